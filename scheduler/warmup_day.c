/* SPDX-License-Identifier: ISC */
/*
 * Warmup from day to day: when a plan begins, how a finished day is judged,
 * what idleness costs, and what steps of the clock do to it. warmup.c calls
 * warmup_tick() before it answers anything.
 *
 * A day is judged once (judged_to), in the order of days. When the wall clock
 * steps by more than half a day the day goes on under another number: it isn't
 * over, so it is neither judged nor followed by a fresh allowance; when the
 * clock steps back again it gets its number back. Smaller steps, and a clock
 * that reads differently after a restart, only choose among the counts that
 * the ledger has by day.
 */
#include <stdarg.h>
#include <stdio.h>

#include "scheduler/schedule.h"
#include "scheduler/warmup_private.h"

/* ---- changes ---- */

struct warmup_change
warmup_change_begin(const struct warmup *w, enum warmup_step step,
    int64_t utc_us)
{
	return (struct warmup_change){
		.step = step,
		.utc_us = utc_us,
		.day = w->st.day,
		.from_stage = w->st.stage,
		.from_volume = w->st.is_done
		    ? INT64_MAX
		    : schedule_volume(w->schedule, w->st.stage),
	};
}

void
warmup_change_end(struct warmup *w, struct warmup_change *c, int64_t stage,
    const char *why, ...)
{
	va_list ap;

	va_start(ap, why);
	vsnprintf(c->why, sizeof(c->why), why, ap);
	va_end(ap);
	w->st.stage = stage;
	w->is_changed = true;
	c->to_stage = stage;
	c->to_volume =
	    w->st.is_done ? INT64_MAX : schedule_volume(w->schedule, stage);
	if (w->st.day != WARMUP_NO_DAY)
		warmup_frame(w);
	if (w->on_change != NULL)
		w->on_change(c, w->arg);
}

/* ---- the day ---- */

bool
warmup_is_before_start(const struct warmup *w)
{
	return w->plan->start_day >= 0 && w->st.day < w->st.first_day;
}

static int64_t
allowance(const struct warmup *w)
{
	const struct ledger_row *row = ledger_find(w->ledger, w->st.day);

	if (warmup_is_before_start(w))
		return 0;
	/* Come back to a day that had its say: it has what it had then. */
	if (row != NULL && w->st.day < w->st.judged_to &&
	    row->facts[LEDGER_ALLOWED] > 0)
		return row->facts[LEDGER_ALLOWED] == LEDGER_MAX
		    ? INT64_MAX
		    : row->facts[LEDGER_ALLOWED];
	return w->st.is_done ? INT64_MAX
			     : schedule_volume(w->schedule, w->st.stage);
}

void
warmup_frame(struct warmup *w)
{
	const struct conf_plan *p = w->plan;
	int64_t day = w->st.day;

	w->begin_us = calendar_begin(&w->calendar, day);
	w->end_us = calendar_begin(&w->calendar, day + 1);
	w->open_us = calendar_at(&w->calendar, day, p->window_from_us);
	w->close_us = p->window_to_us >= p->day_us
	    ? w->end_us
	    : calendar_at(&w->calendar, day, p->window_to_us);
	/* A window that this day's clocks skip whole: take the day. */
	if (w->close_us <= w->open_us) {
		w->open_us = w->begin_us;
		w->close_us = w->end_us;
	}
	w->allowed = allowance(w);
}

void
warmup_record(struct warmup *w)
{
	if (w->st.day == WARMUP_NO_DAY ||
	    ledger_find(w->ledger, w->st.day) == NULL)
		return;
	ledger_set(w->ledger, w->st.day, LEDGER_ALLOWED, w->allowed);
	ledger_set(w->ledger, w->st.day, LEDGER_STAGE, w->st.stage);
}

int64_t
warmup_next_open(const struct warmup *w)
{
	return calendar_at(&w->calendar, w->st.day + 1,
	    w->plan->window_from_us);
}

static void
enter(struct warmup *w, int64_t day)
{
	w->st.day = day;
	w->st.is_stopped = 0;
	w->why_stopped[0] = '\0';
	w->next_us = 0;
	w->is_changed = true;
	warmup_frame(w);
}

static void
begin(struct warmup *w, int64_t utc_us)
{
	struct warmup_change c;
	int64_t start_day = w->plan->start_day;

	w->st.epoch_utc_us = start_day < 0
	    ? utc_us
	    : zone_instant(w->calendar.zone_ref, start_day, 0);
	w->st.day_us = w->plan->day_us;
	w->calendar.epoch_utc_us = w->st.epoch_utc_us;
	w->st.first_day = start_day < 0
	    ? calendar_day(&w->calendar, utc_us)
	    : calendar_day(&w->calendar, w->st.epoch_utc_us);
	enter(w, calendar_day(&w->calendar, utc_us));
	w->st.judged_to = w->st.day;
	if (warmup_is_before_start(w))
		return;
	c = warmup_change_begin(w, WARMUP_BEGAN, utc_us);
	warmup_change_end(w, &c, w->st.stage, "plan %s begins", w->plan->name);
}

/* The length of a plan day changed: what was sent today stays counted. */
static void
recount(struct warmup *w, int64_t utc_us)
{
	int64_t charged = warmup_charged_here(w);

	ledger_forget(w->ledger, INT64_MAX);
	w->st.epoch_utc_us = w->calendar.epoch_utc_us = utc_us;
	w->st.day_us = w->plan->day_us;
	w->st.jumped_from = WARMUP_NO_DAY;
	w->st.first_day = w->st.judged_to = calendar_day(&w->calendar, utc_us);
	ledger_add(w->ledger, w->st.first_day, LEDGER_CHARGED, charged);
	enter(w, w->st.first_day);
}

/* ---- time goes on ---- */

/* The day it is on is over, and so are those before `day`. */
static void
judge_days(struct warmup *w, int64_t day, int64_t utc_us)
{
	warmup_judge(w, day, utc_us);
	w->st.judged_to = day;
	enter(w, day);
}

static void
start_comes(struct warmup *w, int64_t day, int64_t utc_us)
{
	struct warmup_change c;

	enter(w, day);
	w->st.judged_to = day;
	if (warmup_is_before_start(w))
		return;
	c = warmup_change_begin(w, WARMUP_BEGAN, utc_us);
	warmup_change_end(w, &c, w->st.stage, "plan %s begins", w->plan->name);
}

static void
ahead(struct warmup *w, int64_t day, int64_t utc_us)
{
	w->st.jumped_from = WARMUP_NO_DAY;
	if (warmup_is_before_start(w)) {
		start_comes(w, day, utc_us);
		return;
	}
	/* After a step back: days that had their say already, up to the one
	 * that we came from. */
	if (w->st.day < w->st.judged_to)
		enter(w, day < w->st.judged_to ? day : w->st.judged_to);
	if (day > w->st.day)
		judge_days(w, day, utc_us);
}

/* The facts of one day under another number. A day that has facts already
 * keeps them, and is taken to have spent as much as this one. */
static void
move_facts(struct ledger *l, int64_t from, int64_t to)
{
	const struct ledger_row *row = ledger_find(l, from);
	int64_t charged = ledger_get(l, to, LEDGER_CHARGED);
	struct ledger_row old;

	if (row == NULL)
		return;
	old = *row;
	if (charged > 0) {
		int64_t most = ledger_get(l, to, LEDGER_ALLOWED);

		if (most > old.facts[LEDGER_CHARGED])
			most = old.facts[LEDGER_CHARGED];
		if (charged < most)
			ledger_set(l, to, LEDGER_CHARGED, most);
		return;
	}
	for (int i = 0; i < LEDGER_FACTS; i++) {
		ledger_set(l, to, (enum ledger_fact)i, old.facts[i]);
		ledger_set(l, from, (enum ledger_fact)i, 0);
	}
}

/* Its facts and the plan's day 1 go along with the day's new number. */
static void
rename_day(struct warmup *w, int64_t day)
{
	int64_t was_stopped = w->st.is_stopped;

	move_facts(w->ledger, w->st.day, day);
	if (w->st.first_day <= w->st.day)
		w->st.first_day += day - w->st.day;
	w->st.judged_to = day;
	enter(w, day);
	w->st.is_stopped = was_stopped;
}

/* To an earlier day, by a small step or a restart. */
static void
back(struct warmup *w, int64_t day)
{
	int64_t charged = warmup_charged_here(w);

	/* A day that its successors were lived before isn't granted: it has
	 * what is left of the one we come from. */
	if (ledger_find(w->ledger, day) == NULL && charged > 0)
		ledger_set(w->ledger, day, LEDGER_CHARGED, charged);
	enter(w, day);
}

void
warmup_tick(struct warmup *w, int64_t utc_us, bool has_mail)
{
	int64_t day;

	if (w->st.day == WARMUP_NO_DAY) {
		if (has_mail || w->plan->start_day >= 0)
			begin(w, utc_us);
		return;
	}
	if (w->st.day_us != w->plan->day_us)
		recount(w, utc_us);
	if (utc_us >= w->begin_us && utc_us < w->end_us)
		return;
	day = calendar_day(&w->calendar, utc_us);
	if (day > w->st.day)
		ahead(w, day, utc_us);
	else if (day < w->st.day)
		back(w, day);
}

void
warmup_stepped(struct warmup *w, int64_t step_us, int64_t utc_us)
{
	int64_t half_us = w->plan->day_us / 2, from = w->st.day, day;

	if (from == WARMUP_NO_DAY)
		return;
	if (w->next_us != 0)
		w->next_us += step_us;
	day = calendar_day(&w->calendar, utc_us);
	if (day == from || (step_us < half_us && step_us > -half_us))
		return; /* warmup_tick() will see to it */
	if (w->st.last_sent_utc_us != 0)
		w->st.last_sent_utc_us += step_us;
	if (day > from) {
		int64_t next_us = w->next_us;

		rename_day(w, day);
		w->st.jumped_from = from;
		w->next_us = next_us;
	} else if (w->st.jumped_from != WARMUP_NO_DAY) {
		rename_day(w, day);
		w->st.jumped_from = WARMUP_NO_DAY;
	} else {
		back(w, day);
	}
}
