/* SPDX-License-Identifier: ISC */
/*
 * In front of an MTA whose log is read, a lane has a credit: what was handed
 * over and isn't final yet. Once mail lies in the MTA's queue nobody can slow
 * it any more, so not more than the credit lies there. A row of gate_rows.c;
 * what is final comes by evidence.c, and what nothing is heard of in time is
 * released by the caller there too.
 *
 * The one subtle rule: everything that leaves is counted, log or not, so that
 * a log that a reload adds or takes away finds the count right.
 */
#include "scheduler/gate_credit.h"

#include "scheduler/lane_adapt.h"

#define CREDIT_S	5 /* seconds of what the lane may send */
#define CREDIT_LEAST	10
#define UNLIMITED_S	20 /* of what it did send, where nothing limits it */
#define UNLIMITED_LEAST 100

/* Of what was accepted over the longer run, in a span of seconds. */
static int64_t
accepted_in(const struct lane *l, int64_t s, int64_t now_us)
{
	struct meter_sum sum = meter_long(&l->adapt->speed.meter, now_us);

	return rate_of(sum.n_accepted, sum.span_us > 0 ? sum.span_us : 1) /
	    RATE_ONE * s;
}

int64_t
lane_credit(const struct lane *l, int64_t now_us)
{
	const struct conf_mta_log *log = l->route->log;
	const struct adapt *a = &l->adapt->speed;
	int64_t rate = lane_is_shadow(l) ? 0 : adapt_rate(a);
	int64_t credit, least = CREDIT_LEAST;

	if (log == NULL)
		return INT64_MAX;
	if (log->credit > 0)
		return log->credit;
	if (rate == 0)
		rate = a->ceiling;
	credit = rate > INT64_MAX / CREDIT_S ? INT64_MAX / RATE_ONE
					     : rate * CREDIT_S / RATE_ONE;
	if (rate == 0) {
		credit = accepted_in(l, UNLIMITED_S, now_us);
		least = UNLIMITED_LEAST;
	}
	return credit > least ? credit : least;
}

void
credit_settle(struct lane *l, int64_t n, int64_t n_relayed)
{
	l->credit.n_out -= n - n_relayed;
	if (l->credit.n_out < 0)
		l->credit.n_out = 0;
	if (n_relayed > 0 && l->credit.n_early > 0)
		l->credit.n_early--;
	else if (n_relayed > 0)
		l->credit.n_flights++;
}

/* ---- the row ---- */

int64_t
credit_room(const struct gate_ask *ask)
{
	return lane_credit(ask->lane, ask->now_us) - ask->lane->credit.n_out;
}

int64_t
credit_when(const struct gate_ask *ask)
{
	if (ask->lane->route->log == NULL)
		return INT64_MIN;
	return credit_room(ask) > 0 ? INT64_MIN : INT64_MAX;
}

int64_t
credit_since(const struct gate_ask *ask)
{
	const struct lane *l = ask->lane;

	return l->gate == GATE_CREDIT ? l->held_since_us : ask->now_us;
}

void
credit_charge(const struct gate_ask *ask)
{
	ask->lane->credit.n_out += ask->n;
}

void
credit_give_back(const struct gate_ask *ask)
{
	credit_settle(ask->lane, ask->n, 0);
}

/* Nothing comes back by itself, but one that waits is woken. */
void
credit_release(const struct gate_ask *ask)
{
	(void)ask;
}

void
credit_say(const struct gate_ask *ask, struct gate_view *view)
{
	const struct lane *l = ask->lane;

	if (l->route->log == NULL)
		return; /* the next hop's answers are final */
	SAY(view,
	    "%lld recipients lie with %s's next hop without a final "
	    "answer in its log, of %lld that may%s",
	    (long long)l->credit.n_out, l->route->name,
	    (long long)lane_credit(l, ask->now_us),
	    view->is_open ? "" : "; the next answer makes room");
}
