/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CONN_CAP_H
#define FLYBALL_CONN_CAP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How many connections the other side bears, found from its refusals of one
 * too many. A route has one (its next hop's banner), and a lane has one (a
 * provider that counts connections by itself). Pure.
 */
struct conn_cap {
	unsigned limit; /* 0: only the configured one */
	unsigned growth;
	bool is_full; /* the limit was used since the last step */
	int64_t wait_us;
	int64_t due_us; /* of conn_cap_step(); INT64_MAX: nothing to do */
};

void conn_cap_init(struct conn_cap *c);
/* The smaller of both; 0: none. */
unsigned conn_cap_of(const struct conn_cap *c, unsigned configured);
/* One was refused, and n_left others are in use. True: the limit changed. */
bool conn_cap_refused(struct conn_cap *c, unsigned n_left, int64_t hold_us,
    int64_t now_us);
/* n are in use. */
static inline void
conn_cap_used(struct conn_cap *c, unsigned n)
{
	if (c->limit > 0 && n >= c->limit)
		c->is_full = true;
}
/* After a restart. */
void conn_cap_remember(struct conn_cap *c, unsigned limit, int64_t wait_us,
    int64_t now_us);
/* Time went by. True: the limit changed. */
bool conn_cap_step(struct conn_cap *c, unsigned configured, int64_t hold_us,
    int64_t now_us);

#endif
