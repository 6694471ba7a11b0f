/* SPDX-License-Identifier: ISC */
/*
 * The worlds of the situations. Called by the test that holds them to their
 * goals and by the program that prints them.
 *
 * Nothing here may be tuned to what the controller does: a limit is drawn, the
 * configured ceiling is three to eight times that, and what the controller
 * makes of it is measured by the provider's own books.
 */
#include "tests/sim/situations.h"

#include <math.h>
#include <stdlib.h>

#include "tests/sim/draw.h"

#define MINUTE (60 * SEC)

/* ---- measuring ---- */

static struct outcome
measure(struct sim *sim, struct sim_site *site)
{
	struct provider_stats st;
	struct outcome out = { 0 };
	uint64_t n;

	provider_model_stats(site->model, sim->now_us, &st);
	n = provider_stats_attempts(&st);
	out.goodput =
	    st.ideal > 0 ? (double)st.refused[PROVIDER_OK] / st.ideal : 0;
	out.violations =
	    n > 0 ? (double)provider_stats_violations(&st) / (double)n : 0;
	out.quality = out.goodput * (1 - out.violations);
	out.n_rejected = (unsigned)st.refused[PROVIDER_REPUTATION_REJECT];
	return out;
}

/* Accepted and refused for speed so far. */
struct books {
	double accepted, refused, ideal;
	unsigned n_rejected;
};

static struct books
read_books(struct sim *sim, struct sim_site *site)
{
	struct provider_stats st;

	provider_model_stats(site->model, sim->now_us, &st);
	return (struct books){
		.accepted = (double)st.refused[PROVIDER_OK],
		.refused = (double)provider_stats_violations(&st),
		.ideal = st.ideal,
		.n_rejected = (unsigned)st.refused[PROVIDER_REPUTATION_REJECT],
	};
}

static struct sim *
begin(const struct situation *st, uint64_t seed)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	sim_init(sim, seed);
	sim->on_change = st->on_change;
	return sim;
}

static void
end(struct sim *sim)
{
	sim_end(sim);
	free(sim);
}

/* ---- the situations ---- */

static void
steady(const struct situation *st, uint64_t seed, struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	double rate = draw_log(sim, 20, 200);
	struct provider_spec spec = draw_spec(sim, "gmail", rate);
	struct sim_site *site =
	    sim_site_add(sim, &spec, draw_ceiling(sim, rate), 20);

	sim_start(sim);
	sim_run(sim, MINUTE);
	*out = measure(sim, site);
	end(sim);
}

/* extra: of the new limit from 2 s after the drop on; 0 where more than 5% are
 * refused then. */
static void
drop(const struct situation *st, uint64_t seed, struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	double rate = draw_log(sim, 100, 300);
	struct provider_spec spec = draw_spec(sim, "gmail", rate);
	int64_t at_us = (int64_t)draw_even(sim, 15e6, 25e6);
	struct sim_site *site;
	struct books before, after;
	double accepted, refused;

	spec.steps[0].at_us = at_us;
	spec.steps[0].factor = 0.1;
	spec.n_steps = 1;
	site = sim_site_add(sim, &spec, draw_ceiling(sim, rate), 30);
	sim_start(sim);
	sim_run(sim, at_us + 2 * SEC);
	before = read_books(sim, site);
	sim_run(sim, MINUTE);
	after = read_books(sim, site);
	accepted = after.accepted - before.accepted;
	refused = after.refused - before.refused;
	*out = measure(sim, site);
	out->extra = refused > 0.05 * (accepted + refused)
	    ? 0
	    : accepted / (after.ideal - before.ideal);
	end(sim);
}

/* extra: of twelve seconds, those in which it was there again. */
static void
rise(const struct situation *st, uint64_t seed, struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	double rate = draw_log(sim, 10, 30);
	struct provider_spec spec = draw_spec(sim, "gmail", rate);
	int64_t at_us = (int64_t)draw_even(sim, 12e6, 22e6);
	struct sim_site *site;
	struct books before;
	double took_s = 12;

	spec.steps[0].at_us = at_us;
	spec.steps[0].factor = 10;
	spec.n_steps = 1;
	site = sim_site_add(sim, &spec, 10 * draw_ceiling(sim, rate), 30);
	sim_start(sim);
	sim_run(sim, at_us);
	before = read_books(sim, site);
	for (int64_t us = at_us + SEC; us <= at_us + 20 * SEC; us += SEC) {
		struct books now;

		sim_run(sim, us);
		now = read_books(sim, site);
		if (now.accepted - before.accepted >= 0.8 * 10 * rate) {
			took_s = (double)(us - at_us) / 1e6;
			break;
		}
		before = now;
	}
	sim_run(sim, MINUTE);
	*out = measure(sim, site);
	out->extra = 12 - took_s;
	end(sim);
}

static void
sawtooth(const struct situation *st, uint64_t seed, struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	double rate = draw_log(sim, 20, 80);
	struct provider_spec spec = draw_spec(sim, "yahoo", rate);
	double period_us = draw_even(sim, 12e6, 20e6);
	struct sim_site *site;

	spec.steps[0].at_us = (int64_t)period_us - 1;
	spec.steps[0].factor = draw_even(sim, 3, 4);
	spec.n_steps = 1;
	spec.is_ramp = true;
	spec.steps_period_us = (int64_t)period_us;
	site = sim_site_add(sim, &spec, 4 * draw_ceiling(sim, rate), 30);
	sim_start(sim);
	sim_run(sim, MINUTE);
	*out = measure(sim, site);
	end(sim);
}

/* extra: connections that are open at the end, of those that it bears. */
static void
connections(const struct situation *st, uint64_t seed, struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	struct provider_spec spec = draw_spec(sim, "microsoft", INFINITY);
	struct sim_site *site;
	double trip_s, rate;

	spec.connections = 2 + (unsigned)rng_below(&sim->rng, 7);
	site = sim_site_add(sim, &spec, 0, 30);
	/* What that many connections carry. */
	trip_s =
	    (3 * (double)site->rtt_us + (double)spec.latency.mean_us) / 1e6;
	rate = spec.connections / trip_s;
	site->per_s = 0.9 * rate;
	fixture_rate(&sim->f.providers[0].limits,
	    (int64_t)(draw_ceiling(sim, rate) * 60), 60 * SEC);
	sim_start(sim);
	sim_run(sim, MINUTE);
	*out = measure(sim, site);
	end(sim);
}

/* A provider too slow to be measured by counting, while a backlog waits, with
 * what tests/provider/worlds/slow.yaml has besides. Nothing is known of it. */
static void
slow_world(const struct situation *st, uint64_t seed, double gap_from,
    double gap_to, unsigned burst_most, double ceiling_most,
    struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	double rate = 1 / draw_log(sim, gap_from, gap_to);
	struct provider_spec spec;
	struct sim_site *site;

	provider_spec_init(&spec, "gmx");
	spec.rate = rate;
	spec.burst = 1 + (double)rng_below(&sim->rng, burst_most);
	spec.latency.min_us = spec.latency.mean_us = 10000;
	site =
	    sim_site_add(sim, &spec, rate * draw_log(sim, 3, ceiling_most), 20);
	sim_start(sim);
	sim_run(sim, MINUTE);
	*out = measure(sim, site);
	end(sim);
}

/* Twelve a minute, as a person would set it. */
static void
slow_round_limit(const struct situation *st, uint64_t seed, struct outcome *out)
{
	slow_world(st, seed, 5, 5, 1, 5, out);
}

/* One message in about five seconds and not one more. A minute holds thirteen,
 * and the first two that leave are one too many. Who has to find the gap by
 * trying can have 0.74 of that on average, even if told that it is three to
 * ten times that of the ceiling. */
static void
slow_limit(const struct situation *st, uint64_t seed, struct outcome *out)
{
	slow_world(st, seed, 4, 6, 1, 10, out);
}

/* Of all speeds at which there are few answers in a hold. */
static void
slow_limits(const struct situation *st, uint64_t seed, struct outcome *out)
{
	slow_world(st, seed, 1.5, 13, 3, 10, out);
}

/* Mail comes one message in five seconds, at random moments, and the provider
 * takes one in one and a half to two and a half. */
static void
slow(const struct situation *st, uint64_t seed, struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	double rate = 1 / draw_even(sim, 1.5, 2.5);
	struct provider_spec spec = draw_spec(sim, "gmx", rate);
	struct sim_site *site;

	spec.burst = 1;
	site = sim_site_add(sim, &spec, draw_ceiling(sim, rate), 20);
	site->per_s = 0.2;
	sim_start(sim);
	sim_run(sim, MINUTE);
	*out = measure(sim, site);
	end(sim);
}

/* extra: of the first two seconds after it, what was accepted. */
static void
outage(const struct situation *st, uint64_t seed, struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	double rate = draw_log(sim, 20, 200);
	struct provider_spec spec = draw_spec(sim, "yahoo", rate);
	int64_t at_us = (int64_t)draw_even(sim, 15e6, 25e6);
	struct sim_site *site;
	struct books before, after;

	spec.n_outages = 1;
	spec.outages[0].from_us = at_us;
	spec.outages[0].to_us = at_us + 15 * SEC;
	spec.outages[0].how = rng_below(&sim->rng, 2) ? PROVIDER_OUTAGE_421
						      : PROVIDER_OUTAGE_RESET;
	site = sim_site_add(sim, &spec, draw_ceiling(sim, rate), 20);
	sim_start(sim);
	sim_run(sim, at_us + 17 * SEC);
	before = read_books(sim, site);
	sim_run(sim, at_us + 18 * SEC);
	after = read_books(sim, site);
	sim_run(sim, MINUTE);
	*out = measure(sim, site);
	out->extra = (after.accepted - before.accepted) / rate;
	end(sim);
}

static void
noise(const struct situation *st, uint64_t seed, struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	struct provider_spec spec = draw_spec(sim, "gmail", INFINITY);
	double rate = draw_log(sim, 20, 100);
	struct sim_site *site;

	spec.greylist.share = draw_even(sim, 0.03, 0.1);
	spec.greylist.delay_us = (int64_t)draw_even(sim, 5e5, 2e6);
	spec.noise.unknown_user = draw_even(sim, 0.02, 0.08);
	spec.noise.mailbox_full = draw_even(sim, 0.01, 0.04);
	spec.noise.content = draw_even(sim, 0.01, 0.04);
	spec.noise.system = draw_even(sim, 0.01, 0.05);
	spec.noise.maintenance = draw_even(sim, 0.01, 0.03);
	site = sim_site_add(sim, &spec, draw_ceiling(sim, rate), 20);
	site->per_s = rate;
	sim_start(sim);
	sim_run(sim, MINUTE);
	*out = measure(sim, site);
	end(sim);
}

static void
spiral(const struct situation *st, uint64_t seed, struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	double rate = draw_log(sim, 30, 120);
	struct provider_spec spec = draw_spec(sim, "yahoo", rate);
	struct sim_site *site;
	struct books early;

	spec.reputation.is_on = true;
	spec.reputation.start = draw_even(sim, 0.6, 0.8);
	site = sim_site_add(sim, &spec, draw_ceiling(sim, rate), 20);
	sim_start(sim);
	sim_run(sim, 5 * SEC);
	early = read_books(sim, site);
	sim_run(sim, MINUTE);
	*out = measure(sim, site);
	out->n_rejected -= early.n_rejected;
	end(sim);
}

/* It knew the provider, then sent nothing for three days, and the provider
 * trusts it less than before. */
static void
idle(const struct situation *st, uint64_t seed, struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	double rate = draw_log(sim, 30, 120);
	struct provider_spec spec = draw_spec(sim, "microsoft", rate);
	int64_t idle_us = 3 * 86400 * SEC;
	struct sim_site *site;
	struct books before, after;
	double n;

	spec.steps[0].at_us = MINUTE + idle_us / 2;
	spec.steps[0].factor = draw_even(sim, 0.4, 1);
	spec.n_steps = 1;
	spec.reputation.is_on = true;
	spec.reputation.start = 0.9;
	site = sim_site_add(sim, &spec, draw_ceiling(sim, rate), 20);
	sim_start(sim);
	sim_run(sim, MINUTE);
	site->is_silent = true;
	sim_run(sim, MINUTE + 20 * SEC);
	site->spec.demand = 0;
	sim_run(sim, MINUTE + idle_us);
	before = read_books(sim, site);
	site->is_silent = false;
	sim_restart(sim, site);
	sim_run(sim, 2 * MINUTE + idle_us);
	after = read_books(sim, site);
	n = after.accepted - before.accepted;
	out->goodput = n / (60 * rate * spec.steps[0].factor);
	out->violations = (after.refused - before.refused) /
	    (n + after.refused - before.refused);
	out->quality = out->goodput * (1 - out->violations);
	out->n_rejected = after.n_rejected - before.n_rejected;
	out->extra = 0;
	end(sim);
}

/* extra: the free one's share of its configured rate. */
static void
two(const struct situation *st, uint64_t seed, struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	double slow_rate = draw_log(sim, 5, 20);
	double free_rate = draw_log(sim, 50, 150);
	struct provider_spec a = draw_spec(sim, "gmail", slow_rate);
	struct provider_spec b = draw_spec(sim, "yahoo", INFINITY);
	struct sim_site *sa, *sb;
	struct outcome oa, ob;

	b.demand = free_rate;
	sa = sim_site_add(sim, &a, draw_ceiling(sim, slow_rate), 20);
	sb = sim_site_add(sim, &b, free_rate, 20);
	sim_share_route(sim, sb, sa);
	sim_start(sim);
	sim_run(sim, MINUTE);
	oa = measure(sim, sa);
	ob = measure(sim, sb);
	out->goodput = (oa.goodput + ob.goodput) / 2;
	out->violations = (oa.violations + ob.violations) / 2;
	out->quality = (oa.quality + ob.quality) / 2;
	out->n_rejected = 0;
	out->extra = ob.goodput;
	end(sim);
}

/* Eight tempers behind one route. */
static void
eight(const struct situation *st, uint64_t seed, struct outcome *out)
{
	static const char *const names[8] = { "gmail", "microsoft", "yahoo",
		"apple", "gmx", "comcast", "orange", "qq" };
	struct sim *sim = begin(st, seed);
	struct sim_site *sites[8];

	*out = (struct outcome){ 0 };
	for (size_t i = 0; i < 8; i++) {
		double rate = draw_log(sim, 10, 60);
		struct provider_spec spec = draw_spec(sim, names[i], rate);
		double ceiling = draw_ceiling(sim, rate);

		if (i == 1 || i == 2) {
			spec.steps[0].at_us =
			    (int64_t)draw_even(sim, 15e6, 30e6);
			spec.steps[0].factor = i == 1 ? 0.2 : 4;
			spec.n_steps = 1;
			ceiling *= i == 1 ? 1 : 4;
		}
		if (i == 3) {
			spec.noise.unknown_user = 0.03;
			spec.noise.mailbox_full = 0.02;
		}
		if (i == 5) {
			spec.n_outages = 1;
			spec.outages[0].from_us = 15 * SEC;
			spec.outages[0].to_us = 25 * SEC;
			spec.outages[0].how = PROVIDER_OUTAGE_421;
		}
		spec.reputation.is_on = i == 6;
		if (i == 7) {
			spec.greylist.share = 0.1;
			spec.greylist.delay_us = 2 * SEC;
		}
		sites[i] = sim_site_add(sim, &spec, ceiling, 200);
		if (i > 0)
			sim_share_route(sim, sites[i], sites[0]);
	}
	sim_start(sim);
	sim_run(sim, MINUTE);
	for (size_t i = 0; i < 8; i++) {
		struct outcome o = measure(sim, sites[i]);

		out->goodput += o.goodput / 8;
		out->violations += o.violations / 8;
		out->quality += o.quality / 8;
	}
	end(sim);
}

/* Days of six seconds: what is tolerated a day grows for those alone who use
 * it and don't go beyond. The plan has the published growth, and begins at or
 * somewhat below what is tolerated. */
static void
tolerance(const struct situation *st, uint64_t seed, struct outcome *out)
{
	struct sim *sim = begin(st, seed);
	struct provider_spec spec = draw_spec(sim, "gmail", INFINITY);
	double start = draw_log(sim, 80, 300);
	int64_t by_permille = (int64_t)draw_even(sim, 1200, 1500);
	struct sim_site *site;

	spec.day_us = 6 * SEC;
	spec.tolerance.start = start;
	spec.tolerance.growth = (double)by_permille / 1000;
	site = sim_site_add(sim, &spec, draw_ceiling(sim, start), 20);
	sim_plan(sim, site, (int64_t)(start * draw_even(sim, 0.9, 1)),
	    by_permille, spec.day_us);
	sim_start(sim);
	sim_run(sim, MINUTE);
	*out = measure(sim, site);
	end(sim);
}

const struct situation situations[] = {
	{ .name = "steady hidden limit",
	    .quality = 0.95,
	    .violations = 0.01,
	    .run = steady },
	{ .name = "limit drops to a tenth",
	    .quality = 0.90,
	    .violations = 1,
	    .extra = 0.8,
	    .extra_name = "of the new limit",
	    .run = drop },
	{ .name = "limit rises tenfold",
	    .quality = 0.80,
	    .violations = 1,
	    .extra = 0.001,
	    .extra_name = "s left of 12",
	    .run = rise },
	{ .name = "sawtooth of limits",
	    .quality = 0.85,
	    .violations = 1,
	    .run = sawtooth },
	{ .name = "hidden connection limit",
	    .quality = 0.95,
	    .violations = 1,
	    .run = connections },
	{ .name = "one message per 5 s",
	    .quality = 0.85,
	    .violations = 1,
	    .run = slow },
	{ .name = "one per 5 s and a backlog",
	    .quality = 0.85,
	    .violations = 1,
	    .run = slow_round_limit },
	{ .name = "slow limit and a backlog",
	    .quality = 0.85,
	    .reached = 0.65,
	    .violations = 1,
	    .run = slow_limit },
	{ .name = "slow limits with buckets",
	    .quality = 0.70,
	    .violations = 1,
	    .run = slow_limits },
	{ .name = "outage of 15 s",
	    .quality = 0.95,
	    .violations = 1,
	    .extra = 0.9,
	    .extra_name = "of the limit 2 s after",
	    .run = outage },
	{ .name = "noise only",
	    .quality = 0.98,
	    .violations = 1,
	    .run = noise },
	{ .name = "reputation that spirals down",
	    .quality = 0.90,
	    .violations = 1,
	    .is_554_free = true,
	    .run = spiral },
	{ .name = "idle three days, then a backlog",
	    .quality = 0.95,
	    .violations = 1,
	    .is_554_free = true,
	    .run = idle },
	{ .name = "two providers, one throttled",
	    .quality = 0.95,
	    .violations = 1,
	    .extra = 0.97,
	    .extra_name = "of the free one's limit",
	    .run = two },
	{ .name = "eight providers, mixed",
	    .quality = 0.90,
	    .violations = 1,
	    .run = eight },
	{ .name = "tolerance that grows by the day",
	    .quality = 0.90,
	    .violations = 1,
	    .is_554_free = true,
	    .run = tolerance },
};
const size_t n_situations = sizeof(situations) / sizeof(situations[0]);
