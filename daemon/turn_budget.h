/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_TURN_BUDGET_H
#define FLYBALL_TURN_BUDGET_H

#include <stdint.h>

/*
 * What those who only look may take of the governor's thread: at once a fifth
 * of a second, in the long run a fifth of the time, however many they are.
 */
struct turn_budget {
	int64_t left_us, at_us;
};

void turn_budget_init(struct turn_budget *b, int64_t now_us);
/* Books a turn that took from began_us until now_us; returns the break that
 * is due before the next one. */
int64_t turn_budget_book(struct turn_budget *b, int64_t began_us,
    int64_t now_us);

#endif
