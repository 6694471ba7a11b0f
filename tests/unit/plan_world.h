/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PLAN_WORLD_H
#define FLYBALL_PLAN_WORLD_H

/*
 * A scheduler with plans: gmail and yahoo over a cold ip-a and a warm ip-b.
 * The clock begins at a local midnight; mail is answered at once.
 */
#include "scheduler/sender.h"
#include "tests/unit/sched_world.h"

#define HOUR	(3600 * SEC)
#define DAY	(24 * HOUR)
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

struct plan_world {
	struct world w;
	struct conf_plan plans[2];
	struct conf_sender senders[2];
	struct zone *zone;
	int64_t offset_us;  /* UTC is w.now_us and that */
	uint32_t n_left[3]; /* recipients: by ip-a, by ip-b, of all */
};

static inline void
pw_init(struct plan_world *pw)
{
	memset(pw, 0, sizeof(*pw));
	fixture_init(&pw->w.f);
	fixture_provider(&pw->w.f, "gmail");
	fixture_provider(&pw->w.f, "yahoo");
	fixture_route(&pw->w.f, "ip-a", 1000);
	fixture_route(&pw->w.f, "ip-b", 1000);
	pw->plans[0] = (struct conf_plan){
		.name = (char *)"cold-ip",
		.start_day = -1,
		.day_us = DAY,
		.window_to_us = DAY,
		.schedule = { .from = 50,
		    .to = 100000,
		    .growth = { { INT64_MAX, 1500 } },
		    .n_growth = 1 },
		.pace = PACE_FRONT,
		.advance_when = { .volume_permille = 700,
		    .deferred_permille = 100,
		    .rejected_permille = 20,
		    .bounced_permille = 50,
		    .complained_permille = 1,
		    .sample = 20 },
		.unhealthy = { .hold = 1,
		    .step_back = 1,
		    .stop_deferred_permille = 300,
		    .stop_rejected_permille = 50 },
		.overflow = OVERFLOW_HOLD,
	};
	pw->w.f.conf.plans = pw->plans;
	pw->w.f.conf.n_plans = 1;
	pw->w.f.routes[0].plan = (char *)"cold-ip";
}

static inline void
pw_streams(struct plan_world *pw)
{
	fixture_stream(&pw->w.f, "default", PRIORITY_NORMAL, 1, "ip-a", "ip-b",
	    NULL);
	fixture_stream(&pw->w.f, "news", PRIORITY_NORMAL, 1, "ip-a", NULL);
}

static inline void
pw_start(struct plan_world *pw, const char *zone, const char *date)
{
	pw_streams(pw);
	pw->zone = zone != NULL ? zone_open(zone, NULL) : NULL;
	world_start(&pw->w);
	pw->offset_us =
	    zone_instant(pw->zone, zone_date_parse(date), 0) - pw->w.now_us;
	sched_zone(pw->w.s, pw->zone);
	sched_utc(pw->w.s, pw->w.now_us, pw->w.now_us + pw->offset_us);
}

static inline void
pw_end(struct plan_world *pw)
{
	world_end(&pw->w);
	zone_close(pw->zone);
}

static inline void
pw_add_of(struct plan_world *pw, const char *stream, const char *domain,
    unsigned n_messages, uint32_t n_recipients)
{
	for (unsigned i = 0; i < n_messages; i++) {
		struct sched_delivery d = {
			.message = ++pw->w.n_added,
			.n_pending = n_recipients,
			.stream = stream,
			.provider = "gmail",
			.site = "",
			.expires_us = pw->w.now_us + 400 * DAY,
			.sender_domain = domain,
		};

		sched_add(pw->w.s, &d, pw->w.now_us);
	}
	sched_check(pw->w.s);
}

static inline void
pw_add(struct plan_world *pw, unsigned n)
{
	pw_add_of(pw, "default", "", n, 1);
}

/* How a dispatch is answered; `answer` may change all but the counts. */
static inline void
pw_answer(struct plan_world *pw, const struct plan *p, struct verdict v)
{
	uint32_t rest = p->n_pending - p->n_recipients;

	v.message = p->message;
	v.number = p->number;
	if (v.class == CLASS_OK)
		v.n_delivered = p->n_recipients;
	else if (v.code >= 500)
		v.n_failed = p->n_recipients;
	else
		v.n_deferred = p->n_recipients;
	v.n_pending = rest + v.n_deferred;
	v.next = v.n_pending == 0 ? SETTLE_DONE
	    : v.n_deferred > 0	  ? SETTLE_RETRY
				  : SETTLE_REQUEUE;
	sched_verdict(pw->w.s, &v, pw->w.now_us);
}

static const struct verdict pw_ok = {
	.class = CLASS_OK,
	.code = 250,
	.reply = "250 ok",
};

/* Sends what may leave until now + for_us; returns how many recipients. */
static inline uint32_t
pw_run_as(struct plan_world *pw, int64_t for_us, struct verdict v)
{
	int64_t end_us = pw->w.now_us + for_us;
	uint32_t n = 0;

	for (;;) {
		struct plan p;

		sched_plan(pw->w.s, pw->w.now_us, &p);
		if (p.kind == PLAN_WAIT) {
			if (p.due_us >= end_us)
				break;
			assert_true(p.due_us > pw->w.now_us);
			pw->w.now_us = p.due_us;
			continue;
		}
		assert_int_equal(p.kind, PLAN_DISPATCH);
		n += p.n_recipients;
		pw->n_left[p.route] += p.n_recipients;
		pw_answer(pw, &p, v);
	}
	sched_check(pw->w.s);
	pw->w.now_us = end_us;
	return n;
}

static inline uint32_t
pw_run(struct plan_world *pw, int64_t for_us)
{
	return pw_run_as(pw, for_us, pw_ok);
}

static inline const struct ledger_row *
pw_row(struct plan_world *pw, const char *lane, int64_t days_ago)
{
	struct quota_entry *e = quotas_find(pw->w.s, QUOTA_LANE, lane);

	assert_non_null(e);
	return ledger_find(&e->quota.ledger, e->quota.day - days_ago);
}

/* The text of this gate for a lane; "" when it isn't told. */
static inline const char *
pw_why(struct plan_world *pw, const char *lane, enum gate gate)
{
	static struct gate_view views[GATE_COUNT];
	size_t n = sched_why(pw->w.s, lane, pw->w.now_us, views);

	for (size_t i = 0; i < n; i++)
		if (views[i].gate == gate)
			return views[i].text;
	return "";
}

#endif
