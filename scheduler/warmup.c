/* SPDX-License-Identifier: ISC */
/*
 * Warmup within a day: how many may leave now, and what leaving costs. The
 * scheduler's gates ask and charge; from one day to the next is in
 * warmup_day.c, words are in warmup_text.c.
 *
 * The count of a day is its ledger row's `charged`: what was attempted or is
 * in flight. It is only ever compared with the allowance here, before a
 * charge, so nothing else can let one recipient too many out.
 *
 * Pacing: by the time t of a window of length W that opened at O, at most
 * A * (t - O) / W + 1 of the day's A have left. Mail that came late may catch
 * up, but each recipient keeps the next one waiting for half of W / A: twice
 * the even pace, never a heap at once.
 */
#include "scheduler/warmup.h"

#include <string.h>

#include "scheduler/schedule.h"
#include "scheduler/warmup_private.h"

/* ---- life ---- */

void
warmup_init(struct warmup *w, const char *name, struct ledger *ledger,
    const struct conf_plan *plan, const struct conf_schedule *schedule,
    const struct zone *zone)
{
	*w = (struct warmup){ .name = name, .ledger = ledger };
	w->st.day = w->st.jumped_from = WARMUP_NO_DAY;
	w->st.judged_to = WARMUP_NO_DAY;
	warmup_configure(w, plan, schedule, zone);
}

void
warmup_configure(struct warmup *w, const struct conf_plan *plan,
    const struct conf_schedule *schedule, const struct zone *zone)
{
	int64_t last = schedule_last_stage(schedule);

	w->plan = plan;
	w->schedule = schedule;
	w->calendar.zone_ref = zone;
	w->calendar.day_us = plan->day_us;
	w->calendar.epoch_utc_us = w->st.epoch_utc_us;
	if (w->st.stage > last)
		w->st.stage = last;
	if (plan->done == DONE_KEEP)
		w->st.is_done = 0;
	/* With days of another length warmup_tick() counts anew. */
	if (w->st.day != WARMUP_NO_DAY && w->st.day_us == plan->day_us)
		warmup_frame(w);
}

void
warmup_restage(struct warmup *w, int64_t volume)
{
	int64_t last = schedule_last_stage(w->schedule), stage = 0;

	while (stage < last &&
	    schedule_volume(w->schedule, stage + 1) <= volume)
		stage++;
	w->st.stage = stage;
	w->st.n_at_top = w->st.n_unhealthy = 0;
	w->is_changed = true;
	if (w->st.day == WARMUP_NO_DAY)
		return;
	warmup_frame(w);
	warmup_record(w);
}

/* ---- may one leave? ---- */

int64_t
warmup_charged_here(const struct warmup *w)
{
	return w->st.day == WARMUP_NO_DAY
	    ? 0
	    : ledger_get(w->ledger, w->st.day, LEDGER_CHARGED);
}

int64_t
warmup_charged(const struct warmup *w)
{
	int64_t others = w->others != NULL && w->st.day != WARMUP_NO_DAY
	    ? ledger_get(w->others, w->st.day, LEDGER_CHARGED)
	    : 0;

	return warmup_charged_here(w) + others;
}

int64_t
warmup_left(const struct warmup *w)
{
	int64_t charged = warmup_charged(w);

	if (w->allowed == INT64_MAX)
		return INT64_MAX;
	return w->st.is_stopped || charged >= w->allowed ? 0
							 : w->allowed - charged;
}

/* The first instant at which a day's n-th recipient (from 0) is due. */
static int64_t
even_at(const struct warmup *w, int64_t n)
{
	__int128 span_us = (__int128)(w->close_us - w->open_us) * n;

	return w->open_us + (int64_t)((span_us + w->allowed - 1) / w->allowed);
}

/* How many of the day's allowance are due by now, at least 1 in the window. */
static int64_t
even_by(const struct warmup *w, int64_t utc_us)
{
	__int128 n = (__int128)(utc_us - w->open_us) * w->allowed /
	    (w->close_us - w->open_us);

	return (int64_t)n + 1 < w->allowed ? (int64_t)n + 1 : w->allowed;
}

static struct warmup_permit
held(enum warmup_hold hold, int64_t utc_us)
{
	return (struct warmup_permit){ .hold = hold, .utc_us = utc_us };
}

static struct warmup_permit
ask_even(const struct warmup *w, int64_t charged, int64_t utc_us)
{
	int64_t due_us = even_at(w, charged);
	int64_t room = even_by(w, utc_us) - charged;

	if (due_us < w->next_us)
		due_us = w->next_us;
	if (due_us > utc_us)
		return held(WARMUP_PACE, due_us);
	return (struct warmup_permit){ .room = room > 0 ? room : 1,
		.utc_us = utc_us };
}

struct warmup_permit
warmup_ask(struct warmup *w, int64_t utc_us)
{
	int64_t charged;

	warmup_tick(w, utc_us, true);
	if (warmup_is_before_start(w))
		return held(WARMUP_BEFORE_START,
		    calendar_at(&w->calendar, w->st.first_day,
			w->plan->window_from_us));
	if (w->st.is_stopped)
		return held(WARMUP_STOP, warmup_next_open(w));
	if (w->allowed == INT64_MAX)
		return (struct warmup_permit){ .room = INT64_MAX,
			.utc_us = utc_us };
	charged = warmup_charged(w);
	if (charged >= w->allowed)
		return held(WARMUP_SPENT, warmup_next_open(w));
	if (utc_us < w->open_us)
		return held(WARMUP_WINDOW, w->open_us);
	if (utc_us >= w->close_us)
		return held(WARMUP_WINDOW, warmup_next_open(w));
	if (w->plan->pace == PACE_EVEN)
		return ask_even(w, charged, utc_us);
	return (struct warmup_permit){ .room = w->allowed - charged,
		.utc_us = utc_us };
}

int64_t
warmup_charge(struct warmup *w, int64_t n, int64_t utc_us)
{
	ledger_add(w->ledger, w->st.day, LEDGER_CHARGED, n);
	warmup_record(w);
	w->st.last_sent_utc_us = utc_us;
	w->st.n_decayed = 0;
	w->is_changed = true;
	if (w->allowed == INT64_MAX || w->allowed == 0)
		return w->st.day;
	if (w->next_us < utc_us)
		w->next_us = utc_us;
	w->next_us += (int64_t)((__int128)(w->close_us - w->open_us) * n / 2 /
	    w->allowed);
	return w->st.day;
}

void
warmup_give_back(struct warmup *w, int64_t day, int64_t n)
{
	ledger_add(w->ledger, day, LEDGER_CHARGED, -n);
	if (day == w->st.day)
		w->next_us = 0;
}

/* ---- the operator ---- */

static const char *const orders[] = {
	[WARMUP_ORDER_ADVANCE] = "advance",
	[WARMUP_ORDER_HOLD] = "hold",
	[WARMUP_ORDER_BACK] = "back",
	[WARMUP_ORDER_RESTART] = "restart",
	[WARMUP_ORDER_SET_DAY] = "set-day",
};
#define N_ORDERS (sizeof(orders) / sizeof(orders[0]))

int
warmup_order_parse(const char *word)
{
	for (size_t i = 0; i < N_ORDERS; i++)
		if (strcmp(orders[i], word) == 0)
			return (int)i;
	return -1;
}

static int
stage_ordered(const struct warmup *w, enum warmup_order order, int64_t n,
    int64_t *stage_out, struct err *err_out)
{
	int64_t last = schedule_last_stage(w->schedule);

	*stage_out = w->st.stage;
	switch (order) {
	case WARMUP_ORDER_ADVANCE:
		if (w->st.stage >= last)
			return err_set(err_out,
			    "%s is at the plan's last stage already", w->name);
		++*stage_out;
		break;
	case WARMUP_ORDER_HOLD:
		break;
	case WARMUP_ORDER_BACK:
		if (w->st.stage == 0)
			return err_set(err_out,
			    "%s is at the plan's first stage already", w->name);
		--*stage_out;
		break;
	case WARMUP_ORDER_RESTART:
		*stage_out = 0;
		break;
	case WARMUP_ORDER_SET_DAY:
		if (n < 1 || n > last + 1)
			return err_set(err_out,
			    "plan %s has the days 1 to %lld", w->plan->name,
			    (long long)last + 1);
		*stage_out = n - 1;
		break;
	}
	return 0;
}

int
warmup_order(struct warmup *w, enum warmup_order order, int64_t n,
    int64_t utc_us, struct err *err_out)
{
	struct warmup_change c;
	int64_t stage;

	warmup_tick(w, utc_us, false);
	if (w->st.is_done && order == WARMUP_ORDER_HOLD)
		return err_set(err_out, "%s has finished its plan", w->name);
	if (stage_ordered(w, order, n, &stage, err_out) < 0)
		return -1;
	c = warmup_change_begin(w, WARMUP_TOLD, utc_us);
	w->st.is_held = order == WARMUP_ORDER_HOLD;
	if (order != WARMUP_ORDER_HOLD) {
		w->st.is_done = w->st.is_stopped = 0;
		w->st.n_unhealthy = w->st.n_at_top = 0;
	}
	warmup_change_end(w, &c, stage, "the operator said %s%s%lld",
	    orders[order], order == WARMUP_ORDER_SET_DAY ? " " : ", stage ",
	    (long long)stage + 1);
	warmup_record(w);
	return 0;
}
