/* SPDX-License-Identifier: ISC */
/*
 * A refused connection says exactly how many there may be: those that are
 * there. So the limit is found with the refusals of one round: each that comes
 * back leaves one less in use, and the limit follows down to those that stay.
 *
 * Upwards it tries one more, then one more than that, two, four while it goes
 * well; one refusal ends the attempt, and the next waits twice as long.
 */
#include "scheduler/conn_cap.h"

#include <stddef.h>

#define WAIT_MOST   32 /* x hold */
#define GROWTH_MOST 64

void
conn_cap_init(struct conn_cap *c)
{
	*c = (struct conn_cap){ .due_us = INT64_MAX };
}

unsigned
conn_cap_of(const struct conn_cap *c, unsigned configured)
{
	return c->limit > 0 && (configured == 0 || c->limit < configured)
	    ? c->limit
	    : configured;
}

bool
conn_cap_refused(struct conn_cap *c, unsigned n_left, int64_t hold_us,
    int64_t now_us)
{
	unsigned limit = n_left > 0 ? n_left : 1;

	if (c->limit > 0 && limit >= c->limit)
		return false;
	if (c->limit == 0)
		c->wait_us = hold_us;
	else if (c->growth > 0)
		c->wait_us = c->wait_us * 2 > WAIT_MOST * hold_us
		    ? WAIT_MOST * hold_us
		    : c->wait_us * 2;
	c->limit = limit;
	c->growth = 0;
	c->is_full = false;
	c->due_us = now_us + c->wait_us;
	return true;
}

bool
conn_cap_step(struct conn_cap *c, unsigned configured, int64_t hold_us,
    int64_t now_us)
{
	if (c->limit == 0 || now_us < c->due_us)
		return false;
	if (!c->is_full) { /* nobody needs more */
		c->due_us = now_us + hold_us;
		return false;
	}
	c->growth = c->growth == 0    ? 1
	    : c->growth < GROWTH_MOST ? c->growth * 2
				      : GROWTH_MOST;
	/* More than once in a row without a refusal: it has moved. */
	if (c->growth > 2)
		c->wait_us = hold_us;
	c->limit += c->growth;
	c->is_full = false;
	c->due_us = now_us + hold_us;
	if (configured > 0 && c->limit >= configured)
		conn_cap_init(c);
	return true;
}

void
conn_cap_remember(struct conn_cap *c, unsigned limit, int64_t wait_us,
    int64_t now_us)
{
	if (limit == 0)
		return;
	conn_cap_init(c);
	c->limit = limit;
	c->wait_us = wait_us;
	c->due_us = now_us + wait_us;
}
