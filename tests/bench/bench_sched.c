/* SPDX-License-Identifier: ISC */
/*
 * What one decision of the scheduler costs, and what one queued delivery
 * weighs: a fill, then cycles of plan and verdict, with 1,000 lanes. The cost
 * should hardly change from an empty queue to a million, so it runs with both.
 *
 *	bench_sched [DELIVERIES [LANES]]
 *
 * Real time is read here; the scheduler runs on an invented clock.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/base/rng.h"
#include "scheduler/delivery.h"
#include "scheduler/sched.h"
#include "tests/unit/conf_fixture.h"

#define CYCLES	  200000
#define N_STREAMS 3

static int64_t
real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
report(const char *what, int64_t *ns, size_t n)
{
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += ns[i];
	qsort(ns, n, sizeof(*ns), by_value);
	printf("  %-22s median %5lld  p99 %6lld  max %8lld  mean %5lld ns\n",
	    what, (long long)ns[n / 2], (long long)ns[n * 99 / 100],
	    (long long)ns[n - 1], (long long)(sum / (int64_t)n));
}

/* What reading the clock twice costs, to be taken off. */
static int64_t
clock_cost_ns(void)
{
	int64_t ns[1001];

	for (int i = 0; i < 1001; i++) {
		int64_t t = real_ns();

		ns[i] = real_ns() - t;
	}
	qsort(ns, 1001, sizeof(*ns), by_value);
	return ns[500];
}

static const char *const streams[N_STREAMS] = { "receipts", "news", "default" };

static void
add(struct sched *s, uint64_t message, uint64_t lane, int64_t now_us)
{
	struct sched_delivery d = {
		.message = message,
		.n_pending = 1,
		.stream = streams[message % N_STREAMS],
		.provider = "other",
		.expires_us = INT64_C(432000000000),
	};
	char site[48];

	snprintf(site, sizeof(site), "site%llu.example",
	    (unsigned long long)lane);
	d.site = site;
	sched_add(s, &d, now_us);
}

/* Each lane of ip-a warms up, by an even pace, under the spike guard. */
static void
add_plan(struct fixture *f, struct conf_plan *plan)
{
	const int64_t day_us = 86400 * SEC;

	*plan = (struct conf_plan){
		.name = (char *)"cold-ip",
		.start_day = -1,
		.day_us = day_us,
		.window_to_us = day_us,
		.schedule = { .from = 100000000,
		    .to = 1000000000,
		    .growth = { { INT64_MAX, 1500 } },
		    .n_growth = 1 },
		.pace = PACE_EVEN,
		.overflow = OVERFLOW_HOLD,
		.advance_when = { .volume_permille = 700,
		    .deferred_permille = 100,
		    .rejected_permille = 20,
		    .bounced_permille = 50,
		    .complained_permille = 1,
		    .sample = 20 },
		.unhealthy = { .stop_deferred_permille = 300,
		    .stop_rejected_permille = 50 },
	};
	f->conf.plans = plan;
	f->conf.n_plans = 1;
	f->routes[0].plan = plan->name;
	f->conf.spike_guard = (struct conf_spike_guard){
		.is_given = true,
		.window_us = 7 * day_us,
		.ratio_permille = 2000,
		.floor = 1000000000,
	};
}

static void
make_conf(struct fixture *f, int64_t count)
{
	fixture_init(f);
	fixture_rate(&fixture_other(f)->limits, count, SEC);
	fixture_rate(&fixture_other(f)->limits, count * 2000, 3600 * SEC);
	fixture_other(f)->limits.connections = 20;
	fixture_route(f, "ip-a", 10000);
	fixture_route(f, "ip-b", 10000);
	fixture_stream(f, "receipts", PRIORITY_HIGH, 1, "ip-b", "ip-a", NULL);
	fixture_stream(f, "news", PRIORITY_BULK, 1, "ip-a", "ip-b", NULL);
	fixture_stream(f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
}

struct samples {
	int64_t plan[CYCLES], verdict[CYCLES], add[CYCLES];
	size_t n;
};

/* Each delivery that leaves is answered, and a new one takes its place. */
static int64_t
cycles(struct sched *s, struct samples *out, uint64_t *message,
    uint64_t n_lanes, int64_t now_us, uint64_t *n_waits)
{
	int64_t clock_ns = clock_cost_ns();
	struct rng rng = { .state = 1 };

	for (out->n = 0; out->n < CYCLES;) {
		struct verdict v = { .n_delivered = 1, .code = 250 };
		struct plan p;
		int64_t t = real_ns();

		sched_plan(s, now_us, &p);
		out->plan[out->n] = real_ns() - t - clock_ns;
		if (p.kind == PLAN_WAIT) {
			/* Counted as well: the call that finds nothing. */
			(*n_waits)++;
			now_us = p.due_us;
			continue;
		}
		v.message = p.message;
		t = real_ns();
		sched_verdict(s, &v, now_us);
		out->verdict[out->n] = real_ns() - t - clock_ns;
		t = real_ns();
		add(s, ++*message, rng_below(&rng, n_lanes), now_us);
		out->add[out->n++] = real_ns() - t - clock_ns;
	}
	return now_us;
}

static void
run(uint64_t n, uint64_t n_lanes, int64_t count, bool has_plan,
    const char *what)
{
	struct conf_plan plan;
	struct samples *samples = malloc(sizeof(*samples));
	struct fixture *f = malloc(sizeof(*f));
	uint64_t message = 0, n_waits = 0;
	size_t before, after;
	struct sched *s;
	int64_t t;

	make_conf(f, count);
	if (has_plan)
		add_plan(f, &plan);
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	s = sched_new(&f->conf, 1);
	t = real_ns();
	while (message < n) {
		message++;
		add(s, message, message % n_lanes, SEC);
	}
	t = real_ns() - t;
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	printf("%llu deliveries, %llu sites, %s: filled at %lld ns each, "
	       "%.1f bytes each with all lanes\n",
	    (unsigned long long)n, (unsigned long long)n_lanes, what,
	    (long long)(t / (int64_t)n), (double)(after - before) / (double)n);
	cycles(s, samples, &message, n_lanes, SEC, &n_waits);
	report("plan (dispatch)", samples->plan, samples->n);
	report("verdict", samples->verdict, samples->n);
	report("add", samples->add, samples->n);
	printf("  %llu plans said wait\n", (unsigned long long)n_waits);
	sched_free(s);
	free(f);
	free(samples);
}

int
main(int argc, char **argv)
{
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	uint64_t n_lanes = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;

	printf("a delivery is %zu bytes, without its share of the hash\n",
	    sizeof(struct delivery));
	run(n_lanes * 2, n_lanes, 1000000, false, "gates open");
	run(n, n_lanes, 1000000, false, "gates open");
	run(n_lanes * 2, n_lanes, 20, false, "gates shut most of the time");
	run(n, n_lanes, 20, false, "gates shut most of the time");
	run(n, n_lanes, 1000000, true, "plans and spike guard");
	return 0;
}
