/* SPDX-License-Identifier: ISC */
/*
 * Suspension, advised pauses and outages of one lane. gate_adapt.c calls it.
 *
 * A lane that comes back isn't trusted: one delivery tries while the others
 * wait, and a suspension that ends in a rejection is twice as long. All spans
 * are spread a little at random, so that lanes that were stopped together
 * don't return together.
 *
 * The subtle rule: an outage is a run of failures with nothing else between
 * them. A provider that answers 451 to one message in ten is no outage, and
 * slows nothing, however busy the lane is.
 */
#include "scheduler/breaker.h"

#include <stddef.h>

#include "scheduler/retry.h"

#define JITTER_PERMILLE 100
#define OUTAGE_RUN	6 /* failures in a row */
/* Tried again after this part of the outage so far. */
#define OUTAGE_PART	8
#define OUTAGE_LEAST_US 250000
#define OUTAGE_MOST_US	(300 * INT64_C(1000000))
#define CURED		3 /* accepted while half open, after a suspension */
#define HEALTHY		4 /* x suspend.for: then the doubling is forgotten */

static const char *const names[BREAKER_WHY_COUNT] = {
	[BREAKER_NONE] = "none",
	[BREAKER_REJECTED] = "rejected",
	[BREAKER_ADVISED] = "advised",
	[BREAKER_OUTAGE] = "outage",
};

const char *
breaker_why_name(enum breaker_why why)
{
	return (unsigned)why < BREAKER_WHY_COUNT ? names[why] : "unknown";
}

/* ---- life ---- */

static void
forget_shares(struct breaker *b, int64_t now_us)
{
	meter_ring_init(&b->ring, b->conf.suspend.for_us / METER_FINE_BINS,
	    now_us);
}

void
breaker_init(struct breaker *b, const struct conf_adapt *conf, int64_t now_us)
{
	*b = (struct breaker){ .conf = *conf, .healthy_us = now_us };
	forget_shares(b, now_us);
}

void
breaker_reset(struct breaker *b, int64_t now_us)
{
	struct conf_adapt conf = b->conf;

	breaker_init(b, &conf, now_us);
}

void
breaker_configure(struct breaker *b, const struct conf_adapt *conf,
    int64_t now_us)
{
	bool is_other = conf->suspend.for_us != b->conf.suspend.for_us;

	b->conf = *conf;
	if (is_other)
		forget_shares(b, now_us);
	if (!conf->enabled)
		breaker_reset(b, now_us);
}

void
breaker_remember(struct breaker *b, const struct breaker_memory *m,
    int64_t now_us)
{
	if (!b->conf.enabled)
		return;
	b->n_doubled = m->n_doubled;
	if (!m->is_shut || m->why == BREAKER_NONE)
		return;
	b->state = BREAKER_OPEN;
	b->why = m->why;
	b->since_us = m->since_us;
	/* Over meanwhile: one delivery tries. */
	b->until_us = m->until_us > now_us ? m->until_us : now_us + 1;
}

int64_t
breaker_when(const struct breaker *b, unsigned n_in_flight, int64_t now_us)
{
	switch (b->state) {
	case BREAKER_CLOSED:
		return INT64_MIN;
	case BREAKER_OPEN:
		return b->until_us;
	case BREAKER_HALF_OPEN:
		break;
	}
	return n_in_flight > 0 ? INT64_MAX : now_us;
}

/* ---- states ---- */

static void
open_for(struct breaker *b, enum breaker_why why, int64_t span_us,
    struct rng *rng, int64_t now_us)
{
	/* Never earlier than it was told. */
	span_us += retry_jitter(rng, span_us / 10, 1000) / 2;
	if (b->state == BREAKER_CLOSED)
		b->since_us = now_us;
	b->state = BREAKER_OPEN;
	b->why = why;
	b->until_us = now_us + (span_us > 0 ? span_us : 1);
	b->n_good = 0;
}

static void
close_again(struct breaker *b, int64_t now_us)
{
	b->state = BREAKER_CLOSED;
	b->why = BREAKER_NONE;
	b->healthy_us = now_us;
	b->n_failed = 0;
	forget_shares(b, now_us);
}

bool
breaker_step(struct breaker *b, int64_t now_us)
{
	if (b->state != BREAKER_OPEN || now_us < b->until_us)
		return false;
	b->state = BREAKER_HALF_OPEN;
	b->n_good = 0;
	return true;
}

/* ---- answers ---- */

bool
breaker_answered(struct breaker *b, int64_t now_us)
{
	b->n_failed = 0;
	if (b->state != BREAKER_HALF_OPEN || b->why == BREAKER_REJECTED)
		return false;
	close_again(b, now_us);
	return true;
}

bool
breaker_accepted(struct breaker *b, uint32_t n, int64_t now_us)
{
	meter_ring_bin(&b->ring, now_us)->n_accepted += n;
	if (b->state == BREAKER_HALF_OPEN && b->why == BREAKER_REJECTED) {
		b->n_failed = 0;
		if (++b->n_good < CURED)
			return false;
		close_again(b, now_us);
		return true;
	}
	return breaker_answered(b, now_us);
}

struct meter_sum
breaker_lately(const struct breaker *b, int64_t now_us)
{
	return meter_ring_sum(&b->ring, METER_FINE_BINS, now_us);
}

int64_t
breaker_rejected_permille(const struct breaker *b, int64_t *n_out,
    int64_t now_us)
{
	struct meter_sum sum = breaker_lately(b, now_us);

	*n_out = sum.n_accepted + sum.n_refused;
	return *n_out > 0 ? sum.n_refused * 1000 / *n_out : 0;
}

static int64_t
suspension_us(const struct breaker *b)
{
	return retry_delay(b->conf.suspend.for_us, 2000, b->conf.suspend.max_us,
	    b->n_doubled);
}

bool
breaker_rejected(struct breaker *b, uint32_t n, bool is_listed, struct rng *rng,
    int64_t now_us)
{
	int64_t n_all, permille;

	b->n_failed = 0;
	meter_ring_bin(&b->ring, now_us)->n_refused += n;
	if (!b->conf.enabled ||
	    (b->state == BREAKER_OPEN && b->why == BREAKER_REJECTED))
		return false; /* left before it was suspended */
	permille = breaker_rejected_permille(b, &n_all, now_us);
	if (b->state != BREAKER_HALF_OPEN && !is_listed &&
	    (n_all < b->conf.suspend.sample ||
		permille <= b->conf.suspend.rejected_permille))
		return false;
	if (b->state == BREAKER_CLOSED &&
	    now_us - b->healthy_us > HEALTHY * b->conf.suspend.for_us)
		b->n_doubled = 0;
	b->n_doubled++;
	open_for(b, BREAKER_REJECTED, suspension_us(b), rng, now_us);
	return true;
}

bool
breaker_deferred(struct breaker *b, int64_t pause_us, struct rng *rng,
    int64_t now_us)
{
	b->n_failed = 0;
	if (!b->conf.enabled)
		return false;
	/* Advice is for a provider's real hours; a rehearsal's are shorter. */
	if (pause_us > b->conf.suspend.max_us)
		pause_us = b->conf.suspend.max_us;
	if (pause_us > 0 &&
	    (b->state != BREAKER_OPEN || b->until_us < now_us + pause_us)) {
		open_for(b,
		    b->why == BREAKER_REJECTED ? b->why : BREAKER_ADVISED,
		    pause_us, rng, now_us);
		return true;
	}
	/* It still doesn't want mail: the same again. */
	if (b->state == BREAKER_HALF_OPEN && b->why != BREAKER_OUTAGE) {
		open_for(b, b->why,
		    b->why == BREAKER_REJECTED ? suspension_us(b)
					       : b->conf.react.hold_us,
		    rng, now_us);
		return true;
	}
	return pause_us > 0 ? false : breaker_answered(b, now_us);
}

bool
breaker_failed(struct breaker *b, struct rng *rng, int64_t now_us)
{
	int64_t span_us;

	if (b->n_failed++ == 0)
		b->failing_us = now_us;
	if (!b->conf.enabled || b->state == BREAKER_OPEN ||
	    (b->state == BREAKER_CLOSED && b->n_failed < OUTAGE_RUN))
		return false;
	if (b->state == BREAKER_HALF_OPEN && b->why == BREAKER_REJECTED)
		return false; /* says nothing of its opinion of us */
	span_us = (now_us - b->failing_us) / OUTAGE_PART;
	if (span_us < OUTAGE_LEAST_US)
		span_us = OUTAGE_LEAST_US;
	if (span_us > OUTAGE_MOST_US)
		span_us = OUTAGE_MOST_US;
	open_for(b, BREAKER_OUTAGE, span_us, rng, now_us);
	return true;
}
