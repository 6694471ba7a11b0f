/* SPDX-License-Identifier: ISC */
/*
 * What a plan makes of a day that is over, of days without mail, and of a day
 * that goes badly while it lasts. warmup_day.c says when; the ledger has the
 * facts. Each step is told with its evidence, also the one not taken.
 *
 * A day on which nothing was tried says nothing about health. The shares are
 * read from what blames the lane or the list (LEDGER_SLOWED, LEDGER_DIRTY), so
 * greylisting and full mailboxes hold no plan back.
 */
#include <stdio.h>

#include "scheduler/schedule.h"
#include "scheduler/warmup_private.h"

#define DAYS_AT_TOP 3 /* then the plan is done */

/* ---- a day is over ---- */

static void
keep(struct warmup *w, struct warmup_change *c, const char *why)
{
	c->step = WARMUP_KEPT;
	warmup_change_end(w, c, w->st.stage, "%s", why);
}

static void
judge_bad(struct warmup *w, struct warmup_change *c, const char *why)
{
	int64_t stage = w->st.stage - w->plan->unhealthy.step_back;

	w->st.n_at_top = 0;
	if (++w->st.n_unhealthy <= w->plan->unhealthy.hold ||
	    w->st.stage == 0 || w->plan->unhealthy.step_back == 0) {
		keep(w, c, why);
		return;
	}
	c->step = WARMUP_STEPPED_BACK;
	w->st.is_done = 0;
	warmup_change_end(w, c, stage > 0 ? stage : 0,
	    "%s, on %lld days in a row", why, (long long)w->st.n_unhealthy);
}

static void
judge_good(struct warmup *w, struct warmup_change *c, const char *why)
{
	w->st.n_unhealthy = 0;
	if (w->st.is_done)
		return;
	if (w->st.stage < schedule_last_stage(w->schedule)) {
		warmup_change_end(w, c, w->st.stage + 1, "%s", why);
		return;
	}
	w->st.n_at_top++;
	if (w->st.n_at_top < DAYS_AT_TOP || w->plan->done != DONE_UNLIMITED) {
		keep(w, c, "it has the plan's highest volume");
		return;
	}
	c->step = WARMUP_DONE;
	w->st.is_done = 1;
	warmup_change_end(w, c, w->st.stage,
	    "the highest volume was held for %d days", DAYS_AT_TOP);
}

/* The day's evidence against the plan's conditions. */
static void
judge_day(struct warmup *w, int64_t utc_us)
{
	const struct ledger_row *row = ledger_find(w->ledger, w->st.day);
	struct warmup_change c =
	    warmup_change_begin(w, WARMUP_ADVANCED, utc_us);
	int64_t share = w->plan->advance_when.volume_permille;
	int64_t attempted, allowed = w->allowed;
	char why[160] = "";

	if (row == NULL || row->facts[LEDGER_ATTEMPTED] == 0)
		return;
	attempted = row->facts[LEDGER_ATTEMPTED];
	/* Others sent of the same volume; their health is theirs to judge. */
	if (w->others != NULL)
		attempted += ledger_get(w->others, w->st.day, LEDGER_CHARGED);
	if (warmup_is_unhealthy(w, row, why, sizeof(why))) {
		if (w->st.is_held)
			keep(w, &c, why);
		else
			judge_bad(w, &c, why);
		return;
	}
	if (w->st.is_done) {
		w->st.n_unhealthy = 0;
		return;
	}
	snprintf(why, sizeof(why), "%lld of %lld sent%s", (long long)attempted,
	    (long long)allowed, w->st.is_held ? ", held by the operator" : "");
	if (w->st.is_held)
		keep(w, &c, why);
	else if ((__int128)attempted * 1000 < (__int128)share * allowed)
		keep(w, &c, why);
	else
		judge_good(w, &c, why);
}

/* Of n days without mail, those that advance a plan of calendar days: all
 * until the plan calls it idle. */
static int64_t
days_counted(const struct warmup *w, int64_t n)
{
	int64_t most = w->plan->idle.step_back_after_us / w->plan->day_us - 1;
	int64_t before;

	if (w->plan->idle.step_back_after_us == 0 ||
	    w->st.last_sent_utc_us == 0)
		return n;
	before =
	    w->st.day - 1 - calendar_day(&w->calendar, w->st.last_sent_utc_us);
	if (before > 0)
		most -= before;
	return n < most ? n : most;
}

static void
idle_days(struct warmup *w, int64_t n_idle, int64_t utc_us)
{
	int64_t last = schedule_last_stage(w->schedule), n, stage;
	struct warmup_change c;

	if (w->plan->count != COUNT_CALENDAR_DAYS || w->st.is_held ||
	    w->st.is_done || w->st.stage >= last)
		return;
	n = days_counted(w, n_idle);
	if (n <= 0)
		return;
	stage = w->st.stage + n;
	c = warmup_change_begin(w, WARMUP_ADVANCED, utc_us);
	warmup_change_end(w, &c, stage < last ? stage : last,
	    "%lld calendar days passed without mail", (long long)n);
}

static bool
was_idle(const struct warmup *w, int64_t day)
{
	return ledger_get(w->ledger, day, LEDGER_CHARGED) == 0 &&
	    ledger_get(w->ledger, day, LEDGER_ATTEMPTED) == 0;
}

/* ---- idleness ---- */

static void
restart(struct warmup *w, int64_t idle_us, int64_t utc_us)
{
	struct warmup_change c =
	    warmup_change_begin(w, WARMUP_RESTARTED, utc_us);

	if (w->st.stage == 0 && !w->st.is_done)
		return;
	w->st.is_done = 0;
	w->st.n_at_top = w->st.n_unhealthy = 0;
	warmup_change_end(w, &c, 0, "nothing was sent for %lld days",
	    (long long)(idle_us / w->plan->day_us));
}

static void
decay(struct warmup *w, int64_t utc_us)
{
	int64_t after_us = w->plan->idle.step_back_after_us;
	int64_t restart_us = w->plan->idle.restart_after_us;
	int64_t idle_us = utc_us - w->st.last_sent_utc_us;
	struct warmup_change c;
	int64_t n, stage;

	if (w->st.last_sent_utc_us == 0 || w->st.is_held)
		return;
	if (restart_us > 0 && idle_us >= restart_us) {
		restart(w, idle_us, utc_us);
		return;
	}
	n = after_us > 0 ? idle_us / after_us - w->st.n_decayed : 0;
	if (n <= 0)
		return;
	w->st.n_decayed += n;
	stage = w->st.stage > n ? w->st.stage - n : 0;
	if (stage == w->st.stage)
		return;
	c = warmup_change_begin(w, WARMUP_DECAYED, utc_us);
	w->st.is_done = 0;
	w->st.n_at_top = 0;
	warmup_change_end(w, &c, stage, "nothing was sent for %lld days",
	    (long long)(idle_us / w->plan->day_us));
}

void
warmup_judge(struct warmup *w, int64_t day, int64_t utc_us)
{
	bool is_idle = was_idle(w, w->st.day);

	judge_day(w, utc_us);
	idle_days(w, day - w->st.day - !is_idle, utc_us);
	decay(w, utc_us);
}

/* ---- within the day ---- */

static bool
is_over(const struct ledger_row *row, enum ledger_fact fact,
    int64_t limit_permille)
{
	return limit_permille >= 0 &&
	    (uint64_t)row->facts[fact] * 1000 >=
	    (uint64_t)row->facts[LEDGER_ATTEMPTED] * (uint64_t)limit_permille;
}

void
warmup_watch(struct warmup *w, int64_t utc_us)
{
	const struct ledger_row *row;
	struct warmup_change c;
	bool is_slow, is_refused;

	if (w->st.day == WARMUP_NO_DAY || w->st.is_stopped)
		return;
	row = ledger_find(w->ledger, w->st.day);
	if (row == NULL || row->facts[LEDGER_ATTEMPTED] == 0 ||
	    row->facts[LEDGER_ATTEMPTED] < w->plan->advance_when.sample)
		return;
	is_slow = is_over(row, LEDGER_SLOWED,
	    w->plan->unhealthy.stop_deferred_permille);
	is_refused = is_over(row, LEDGER_REJECTED,
	    w->plan->unhealthy.stop_rejected_permille);
	if (!is_slow && !is_refused)
		return;
	c = warmup_change_begin(w, WARMUP_STOPPED, utc_us);
	w->st.is_stopped = 1;
	snprintf(w->why_stopped, sizeof(w->why_stopped),
	    "%u of %u were %s today",
	    row->facts[is_slow ? LEDGER_SLOWED : LEDGER_REJECTED],
	    row->facts[LEDGER_ATTEMPTED], is_slow ? "deferred" : "rejected");
	warmup_change_end(w, &c, w->st.stage, "%s", w->why_stopped);
}

int64_t
warmup_outlook(const struct warmup *w, int64_t n_days)
{
	int64_t last = schedule_last_stage(w->schedule);

	if (w->st.is_done)
		return INT64_MAX;
	if (w->st.is_held)
		return schedule_volume(w->schedule, w->st.stage);
	if (w->plan->done == DONE_UNLIMITED &&
	    w->st.stage + n_days >= last + DAYS_AT_TOP - w->st.n_at_top)
		return INT64_MAX;
	return schedule_volume(w->schedule, w->st.stage + n_days);
}
