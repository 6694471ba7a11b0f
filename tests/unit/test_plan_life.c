/* SPDX-License-Identifier: ISC */
/* A random life with plans, senders, guards and lists, under the scheduler's
 * own consistency check: nothing is lost, nothing leaves that a day's count
 * doesn't allow, and in the end everything has left. */
#include "conf/base/rng.h"
#include "tests/unit/plan_world.h"

#define FLYING_MAX 64

struct life {
	struct plan_world pw;
	struct rng rng;
	struct plan flying[FLYING_MAX];
	size_t n_flying;
	uint64_t n_added, n_gone, n_left;
};

static void
live(struct life *l, uint64_t seed)
{
	memset(l, 0, sizeof(*l));
	l->rng.state = seed;
	pw_init(&l->pw);
	l->pw.plans[0].pace = seed % 2 ? PACE_EVEN : PACE_FRONT;
	l->pw.plans[0].overflow = (enum conf_plan_overflow)(seed % 3);
	l->pw.plans[0].count =
	    seed % 5 ? COUNT_SENDING_DAYS : COUNT_CALENDAR_DAYS;
	l->pw.plans[0].idle.step_back_after_us = 3 * DAY;
	l->pw.plans[0].has_total = seed % 4 == 0;
	l->pw.plans[0].total = l->pw.plans[0].schedule;
	l->pw.plans[1] = l->pw.plans[0];
	l->pw.plans[1].name = (char *)"other";
	l->pw.plans[1].has_total = false;
	l->pw.plans[1].schedule.from = 20;
	l->pw.w.f.conf.n_plans = 2;
	l->pw.senders[0] = (struct conf_sender){ .domain = (char *)"d0.example",
		.plan = (char *)"other" };
	l->pw.w.f.conf.senders = l->pw.senders;
	l->pw.w.f.conf.n_senders = 1;
	l->pw.w.f.conf.adapt.suspend.sample = 3;
	l->pw.w.f.conf.list_health = (struct conf_list_health){
		.is_given = true, .bounced_permille = 300, .sample = 20
	};
	l->pw.w.f.conf.spike_guard = (struct conf_spike_guard){
		.is_given = seed % 3 != 0,
		.window_us = 7 * DAY,
		.ratio_permille = 1500,
		.floor = 60,
	};
	pw_start(&l->pw, seed % 2 ? "Europe/Berlin" : NULL, "2026-03-20");
}

static void
add_some(struct life *l)
{
	static const char *const streams[] = { "default", "news" };
	static const char *const providers[] = { "gmail", "yahoo", "other" };
	char domain[20], site[20];
	struct sched_delivery d = {
		.message = ++l->n_added,
		.n_pending = 1 + (uint32_t)rng_below(&l->rng, 5),
		.stream = streams[rng_below(&l->rng, 2)],
		.provider = providers[rng_below(&l->rng, 3)],
		.site = "",
		.sender_domain = domain,
		.expires_us = l->pw.w.now_us + 4000 * DAY,
	};

	snprintf(domain, sizeof(domain), "d%d.example",
	    (int)rng_below(&l->rng, 4));
	snprintf(site, sizeof(site), "s%d.example", (int)rng_below(&l->rng, 5));
	if (strcmp(d.provider, "other") == 0)
		d.site = site;
	sched_add(l->pw.w.s, &d, l->pw.w.now_us);
}

/* Just after a dispatch: it was within what the day allows. */
static void
check_count(const struct quota *q)
{
	int64_t charged = ledger_get(&q->ledger, q->day, LEDGER_CHARGED);

	if (q->has_plan && !quota_is_shadow(q))
		assert_true(charged <= q->warmup.allowed);
	if (q->guard != NULL && q->cap_day == q->day)
		assert_true(charged <= q->cap);
}

static void
plan_one(struct life *l)
{
	struct plan p;

	if (l->n_flying == FLYING_MAX)
		return;
	sched_plan(l->pw.w.s, l->pw.w.now_us, &p);
	if (p.kind != PLAN_DISPATCH) {
		assert_int_equal(p.kind, PLAN_WAIT);
		return;
	}
	l->flying[l->n_flying++] = p;
	check_count(&quotas_find(l->pw.w.s, QUOTA_LANE, p.lane)->quota);
	if (strncmp(p.lane, "ip-a/", 5) == 0)
		check_count(&quotas_find(l->pw.w.s, QUOTA_ROUTE, "ip-a")
				 ->quota);
	l->n_left += p.n_recipients;
}

static void
answer_one(struct life *l, bool is_good)
{
	static const struct verdict bad[] = {
		{ .class = CLASS_RATE, .blame = BLAME_LANE, .code = 421 },
		{ .class = CLASS_RATE,
		    .blame = BLAME_SENDER_DOMAIN,
		    .code = 421,
		    .pause_us = 600 * SEC },
		{ .class = CLASS_REPUTATION_REJECT,
		    .blame = BLAME_LANE,
		    .code = 554 },
		{ .class = CLASS_AUTH,
		    .blame = BLAME_SENDER_DOMAIN,
		    .code = 550 },
		{ .class = CLASS_BAD_MAILBOX,
		    .blame = BLAME_RECIPIENT,
		    .code = 550 },
		{ .class = CLASS_GREYLIST,
		    .blame = BLAME_MESSAGE,
		    .code = 450 },
	};
	struct sched_totals before, after;
	struct plan p;
	size_t i;

	if (l->n_flying == 0)
		return;
	i = rng_below(&l->rng, l->n_flying);
	p = l->flying[i];
	l->flying[i] = l->flying[--l->n_flying];
	if (rng_below(&l->rng, 10) == 0 && !is_good) {
		sched_unuse(l->pw.w.s, p.message, p.number, l->pw.w.now_us);
		return;
	}
	sched_totals(l->pw.w.s, &before);
	pw_answer(&l->pw, &p,
	    is_good || rng_below(&l->rng, 10) > 0
		? pw_ok
		: bad[rng_below(&l->rng, N_OF(bad))]);
	sched_totals(l->pw.w.s, &after);
	l->n_gone += before.n_deliveries - after.n_deliveries;
}

static void
reload(struct life *l)
{
	static char cold[] = "cold-ip", other[] = "other", none[] = "";
	char *const names[] = { cold, other, none };

	l->pw.w.f.routes[0].plan = names[rng_below(&l->rng, 3)];
	l->pw.w.f.conf.n_senders = (size_t)rng_below(&l->rng, 2);
	l->pw.plans[1].mode =
	    rng_below(&l->rng, 4) ? MODE_ENFORCE : MODE_SHADOW;
	sched_reload(l->pw.w.s, &l->pw.w.f.conf, l->pw.w.now_us);
}

static void
step_clock(struct life *l, int64_t step_us)
{
	l->pw.offset_us += step_us;
	sched_utc(l->pw.w.s, l->pw.w.now_us, l->pw.w.now_us + l->pw.offset_us);
}

static void
discard(const char *key, const char *value, void *arg)
{
	(void)key, (void)value, (void)arg;
}

static void
one_step(struct life *l)
{
	struct sched *s = l->pw.w.s;
	int64_t now_us = l->pw.w.now_us;
	uint64_t dice = rng_below(&l->rng, 100);

	if (dice < 25)
		add_some(l);
	else if (dice < 55)
		plan_one(l);
	else if (dice < 75)
		answer_one(l, false);
	else if (dice < 90)
		l->pw.w.now_us += (int64_t)rng_below(&l->rng, 3 * HOUR);
	else if (dice < 92)
		step_clock(l,
		    (int64_t)rng_below(&l->rng, 60 * HOUR) - 30 * HOUR);
	else if (dice < 93)
		sched_slept(s, (int64_t)rng_below(&l->rng, DAY), now_us);
	else if (dice < 94)
		reload(l);
	else if (dice < 95)
		sched_pause(s, PAUSE_SENDER, "d1.example",
		    now_us + (int64_t)rng_below(&l->rng, DAY), "", now_us,
		    NULL);
	else if (dice < 96)
		sched_resume(s, PAUSE_STREAM, "news", now_us, NULL);
	else if (dice < 97)
		sched_plan_order(s, "ip-a/gmail",
		    (enum warmup_order)rng_below(&l->rng, 5), 2, now_us, NULL);
	else
		sched_saved(s, sched_save(s, discard, NULL), now_us);
}

static void
everything_leaves_in_the_end(struct life *l)
{
	struct sched *s = l->pw.w.s;

	l->pw.w.f.routes[0].plan = (char *)"";
	l->pw.w.f.conf.n_senders = 0;
	l->pw.w.f.conf.spike_guard.is_given = false;
	l->pw.w.f.conf.list_health.is_given = false;
	sched_reload(s, &l->pw.w.f.conf, l->pw.w.now_us);
	sched_resume(s, PAUSE_STREAM, "news", l->pw.w.now_us, NULL);
	sched_resume(s, PAUSE_STREAM, "default", l->pw.w.now_us, NULL);
	for (int i = 0; i < 200 && l->n_gone < l->n_added; i++) {
		size_t n;

		do {
			n = l->n_flying;
			plan_one(l);
			if (l->n_flying == FLYING_MAX)
				answer_one(l, true);
		} while (l->n_flying != n);
		while (l->n_flying > 0)
			answer_one(l, true);
		l->pw.w.now_us += 12 * HOUR;
	}
	assert_int_equal(l->n_gone, l->n_added);
}

static void
a_random_life_is_consistent(void **state)
{
	(void)state;
	print_message("seeds 1..24\n");
	for (uint64_t seed = 1; seed <= 24; seed++) {
		static struct life l;

		live(&l, seed);
		for (int i = 0; i < 2500; i++) {
			one_step(&l);
			if (i % 5 == 0)
				sched_check(l.pw.w.s);
		}
		assert_true(l.n_left > 300); /* it was a life */
		everything_leaves_in_the_end(&l);
		pw_end(&l.pw);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_random_life_is_consistent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
