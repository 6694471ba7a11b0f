/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_WARMUP_WORLD_H
#define FLYBALL_WARMUP_WORLD_H

/*
 * One plan at one gate, with mail for as long as a test wants, on a clock that
 * the test sets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/warmup.h"

#define SEC	    INT64_C(1000000)
#define HOUR	    (3600 * SEC)
#define DAY	    (24 * HOUR)
#define N_OF(a)	    (sizeof(a) / sizeof((a)[0]))
#define CHANGES_MAX 512

struct warmup_world {
	struct conf_plan plan;
	struct ledger ledger;
	struct warmup w;
	struct zone *zone;
	int64_t utc_us;
	struct warmup_change changes[CHANGES_MAX];
	size_t n_changes;
};

static inline void
on_change(const struct warmup_change *change, void *arg)
{
	struct warmup_world *ww = arg;

	assert_true(ww->n_changes < CHANGES_MAX);
	assert_true(change->why[0] != '\0');
	ww->changes[ww->n_changes++] = *change;
}

/* 50 a day, half as much again each day, up to 100k; all day; no gates. */
static inline struct conf_plan
world_plan_default(void)
{
	return (struct conf_plan){
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
		.idle = { .step_back_after_us = 7 * DAY,
		    .restart_after_us = 30 * DAY },
	};
}

static inline void
ww_start(struct warmup_world *ww, const char *zone, const char *date)
{
	ww->zone = zone != NULL ? zone_open(zone, NULL) : NULL;
	assert_true(zone == NULL || ww->zone != NULL);
	ww->utc_us = zone_instant(ww->zone, zone_date_parse(date), 0);
	warmup_init(&ww->w, "ip-a/gmail", &ww->ledger, &ww->plan,
	    &ww->plan.schedule, ww->zone);
	ww->w.on_change = on_change;
	ww->w.arg = ww;
}

static inline void
ww_end(struct warmup_world *ww)
{
	ledger_fini(&ww->ledger);
	zone_close(ww->zone);
}

/* n recipients leave and are answered: so many deferred, rejected, bounced. */
static inline void
ww_facts(struct warmup_world *ww, int64_t n, int64_t slowed, int64_t rejected,
    int64_t dirty)
{
	int64_t day = ww->w.st.day;

	ledger_add(&ww->ledger, day, LEDGER_ATTEMPTED, n);
	ledger_add(&ww->ledger, day, LEDGER_ACCEPTED,
	    n - slowed - rejected - dirty);
	ledger_add(&ww->ledger, day, LEDGER_DEFERRED, slowed);
	ledger_add(&ww->ledger, day, LEDGER_SLOWED, slowed);
	ledger_add(&ww->ledger, day, LEDGER_REJECTED, rejected);
	ledger_add(&ww->ledger, day, LEDGER_BOUNCED, dirty);
	ledger_add(&ww->ledger, day, LEDGER_DIRTY, dirty);
	warmup_watch(&ww->w, ww->utc_us);
}

/* Sends up to `most`, `chunk` at a time, until until_us; returns how many. The
 * clock is then at until_us. */
static inline int64_t
ww_send(struct warmup_world *ww, int64_t most, int64_t chunk, int64_t until_us)
{
	int64_t sent = 0;

	while (ww->utc_us < until_us && sent < most) {
		struct warmup_permit p = warmup_ask(&ww->w, ww->utc_us);
		int64_t n = chunk < most - sent ? chunk : most - sent;

		if (p.hold != WARMUP_OPEN) {
			assert_true(p.utc_us > ww->utc_us);
			ww->utc_us = p.utc_us < until_us ? p.utc_us : until_us;
			continue;
		}
		assert_true(p.room > 0);
		if (n > p.room)
			n = p.room;
		warmup_charge(&ww->w, n, ww->utc_us);
		ww_facts(ww, n, 0, 0, 0);
		sent += n;
	}
	ww->utc_us = until_us;
	return sent;
}

/* All that a calendar day lets out; the clock is at the next one's begin. */
static inline int64_t
ww_day(struct warmup_world *ww, int64_t most)
{
	int64_t day = zone_day(ww->zone, ww->utc_us);

	return ww_send(ww, most, 1000, zone_instant(ww->zone, day + 1, 0));
}

/* As the daemon restarts: what is stored is all that is left. */
static inline void
ww_restart(struct warmup_world *ww)
{
	char text[WARMUP_TEXT_SIZE], rows[LEDGER_DAYS][LEDGER_TEXT_SIZE];
	int64_t days[LEDGER_DAYS];
	uint32_t n = ww->ledger.n;

	warmup_format(&ww->w, text);
	for (uint32_t i = 0; i < n; i++) {
		days[i] = ww->ledger.rows[i].day;
		ledger_row_format(&ww->ledger.rows[i], rows[i]);
	}
	ledger_fini(&ww->ledger);
	warmup_init(&ww->w, "ip-a/gmail", &ww->ledger, &ww->plan,
	    &ww->plan.schedule, ww->zone);
	ww->w.on_change = on_change;
	ww->w.arg = ww;
	assert_int_equal(warmup_parse(&ww->w, text), 0);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(ledger_row_parse(&ww->ledger, days[i],
				     rows[i]),
		    0);
}

static inline size_t
ww_count(const struct warmup_world *ww, enum warmup_step step)
{
	size_t n = 0;

	for (size_t i = 0; i < ww->n_changes; i++)
		n += ww->changes[i].step == step;
	return n;
}

static inline const struct warmup_change *
ww_last(const struct warmup_world *ww)
{
	assert_true(ww->n_changes > 0);
	return &ww->changes[ww->n_changes - 1];
}

#endif
