/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LOG_LANE_WORLD_H
#define FLYBALL_LOG_LANE_WORLD_H

/*
 * A lane in front of an MTA whose log is read: messages are handed over, and
 * what became of them comes later.
 */
#include "tests/unit/sched_world.h"

struct log_world {
	struct world w;
	struct conf_mta_log log;
};

static inline void
lw_begin(struct log_world *lw, int64_t credit)
{
	struct conf_adapt *a = &lw->w.f.conf.adapt;

	memset(lw, 0, sizeof(*lw));
	fixture_init(&lw->w.f);
	fixture_provider(&lw->w.f, "yahoo")->limits.connections = 500;
	fixture_route(&lw->w.f, "ip-a", 500);
	fixture_stream(&lw->w.f, "default", PRIORITY_NORMAL, 1, "ip-a", NULL);
	lw->log.path = (char *)(uintptr_t) "/log";
	lw->log.credit = credit;
	lw->w.f.conf.feedback.postfix_logs = &lw->log;
	lw->w.f.conf.feedback.n_postfix_logs = 1;
	a->enabled = false;
	a->floor = (struct rate){ 1, 60 * SEC };
	a->react.decrease_permille = 150;
	a->react.hold_us = 60 * SEC;
	a->recover.probe_permille = 50;
	a->recover.every_us = 60 * SEC;
	a->suspend.rejected_permille = 50;
	a->suspend.sample = 20;
	a->suspend.for_us = 3600 * SEC;
	a->suspend.max_us = 86400 * SEC;
}

static inline void
lw_end(struct log_world *lw)
{
	world_end(&lw->w);
	lw->w.f.conf.feedback.n_postfix_logs = 0;
}

/* Leaves and is taken by the next hop. Returns its epoch. */
static inline uint32_t
lw_hand(struct log_world *lw, uint32_t n)
{
	uint64_t id = world_add(&lw->w, "default", "yahoo", n);
	struct verdict v = { .message = id,
		.n_delivered = n,
		.n_relayed = n,
		.next = SETTLE_DONE,
		.phase = PHASE_EOD,
		.class = CLASS_OK,
		.code = 250,
		.reply = "250 2.0.0 Ok: queued as X" };
	uint32_t epoch;

	world_dispatch(&lw->w, id);
	epoch = sched_epoch(lw->w.s, id, 0);
	world_verdict(&lw->w, &v);
	return epoch;
}

static inline struct evidence
lw_evidence(const struct log_world *lw, const struct verdict *v)
{
	return (struct evidence){ .route = "ip-a",
		.provider = "yahoo",
		.site = "",
		.stream = "default",
		.sender_domain = "a.example",
		.left_us = lw->w.now_us,
		.n_released = v->n_deferred ? 0 : v->n_delivered + v->n_failed,
		.is_first = true,
		.verdict = v };
}

static inline void
lw_tell(struct log_world *lw, const struct evidence *e)
{
	sched_evidence(lw->w.s, e, lw->w.now_us);
	sched_check(lw->w.s);
}

static inline void
lw_accept(struct log_world *lw, uint32_t n)
{
	struct verdict v = { .n_delivered = n,
		.phase = PHASE_EOD,
		.class = CLASS_OK,
		.code = 250,
		.reply = "250 ok" };
	struct evidence e = lw_evidence(lw, &v);

	lw_tell(lw, &e);
}

#endif
