/* SPDX-License-Identifier: ISC */
/*
 * Keeps the admin socket and HTTP from taking the governor away from its
 * mail. Its owners work in short turns and ask here how long to stand back.
 */
#include "daemon/turn_budget.h"

#define MOST_US 200000
/* It grows by one part in BREAK + 1. */
#define BREAK	4

void
turn_budget_init(struct turn_budget *b, int64_t now_us)
{
	*b = (struct turn_budget){ MOST_US, now_us };
}

int64_t
turn_budget_book(struct turn_budget *b, int64_t began_us, int64_t now_us)
{
	int64_t spent_us = now_us - began_us;

	b->left_us += (began_us - b->at_us) / BREAK;
	if (b->left_us > MOST_US)
		b->left_us = MOST_US;
	b->left_us -= spent_us;
	b->at_us = now_us;
	if (b->left_us > 0)
		return 0;
	b->left_us = 0;
	return spent_us * BREAK;
}
