/* SPDX-License-Identifier: ISC */
/*
 * A warmup plan in words, for `why`, `plan` and events, and as the line in
 * which the database keeps it. Changes nothing but what it reads in.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/units.h"
#include "scheduler/schedule.h"
#include "scheduler/warmup_private.h"

static const char *const steps[] = {
	[WARMUP_BEGAN] = "began",
	[WARMUP_ADVANCED] = "advanced",
	[WARMUP_KEPT] = "kept",
	[WARMUP_STEPPED_BACK] = "stepped-back",
	[WARMUP_STOPPED] = "stopped-for-the-day",
	[WARMUP_DECAYED] = "decayed",
	[WARMUP_RESTARTED] = "restarted",
	[WARMUP_DONE] = "done",
	[WARMUP_TOLD] = "told",
};

const char *
warmup_step_name(enum warmup_step step)
{
	return (size_t)step < sizeof(steps) / sizeof(steps[0]) ? steps[step]
							       : "unknown";
}

const char *
warmup_state_name(const struct warmup *w)
{
	if (w->st.day == WARMUP_NO_DAY || warmup_is_before_start(w))
		return "waiting";
	if (w->st.is_done)
		return "done";
	if (w->st.is_stopped)
		return "stopped";
	return w->st.is_held ? "held" : "running";
}

/* ---- health ---- */

bool
warmup_is_unhealthy(const struct warmup *w, const struct ledger_row *row,
    char *why, size_t size)
{
	const struct {
		int64_t limit_permille;
		enum ledger_fact fact;
		const char *what;
	} shares[] = {
		{ w->plan->advance_when.deferred_permille, LEDGER_SLOWED,
		    "deferred" },
		{ w->plan->advance_when.rejected_permille, LEDGER_REJECTED,
		    "rejected" },
		{ w->plan->advance_when.bounced_permille, LEDGER_DIRTY,
		    "bounced" },
		{ w->plan->advance_when.complained_permille, LEDGER_COMPLAINED,
		    "complained" },
	};
	uint64_t attempted = row->facts[LEDGER_ATTEMPTED];
	char limit[UNITS_TEXT_SIZE];

	if (w->st.is_stopped && row->day == w->st.day) {
		snprintf(why, size, "stopped for the day: %s", w->why_stopped);
		return true;
	}
	if (attempted == 0 || (int64_t)attempted < w->plan->advance_when.sample)
		return false;
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		uint64_t n = row->facts[shares[i].fact];

		if (shares[i].limit_permille < 0 ||
		    n * 1000 < attempted * (uint64_t)shares[i].limit_permille)
			continue;
		snprintf(why, size,
		    "%" PRIu64 " of %" PRIu64
		    " %s, the plan wants less than %s",
		    n, attempted, shares[i].what,
		    units_format_permille(shares[i].limit_permille, limit));
		return true;
	}
	return false;
}

/* ---- why ---- */

/* A span as a person would say it: seconds, minutes, hours, as it is long. */
static const char *
span(int64_t us, char out[UNITS_TEXT_SIZE])
{
	const int64_t second_us = INT64_C(1000000);
	int64_t step_us = us < 10 * second_us ? second_us / 1000
	    : us < 120 * second_us	      ? second_us
	    : us < 172800 * second_us	      ? 60 * second_us
					      : 3600 * second_us;

	if (us < 0)
		us = 0;
	return units_format_duration((us + step_us - 1) / step_us * step_us,
	    out);
}

static void
say_open(const struct warmup *w, char *out, size_t size)
{
	if (w->allowed == INT64_MAX)
		snprintf(out, size, "%s has finished plan %s: no limit a day",
		    w->name, w->plan->name);
	else
		snprintf(out, size,
		    "plan %s allows %s %" PRId64 " today (stage %" PRId64
		    "), %" PRId64 " are used",
		    w->plan->name, w->name, w->allowed, w->st.stage + 1,
		    warmup_charged(w));
}

static void
say_held(const struct warmup *w, const struct warmup_permit *permit,
    int64_t utc_us, char *out, size_t size)
{
	const char *plan = w->plan->name;
	char text[UNITS_TEXT_SIZE];
	const char *in = span(permit->utc_us - utc_us, text);

	switch (permit->hold) {
	case WARMUP_OPEN:
		break;
	case WARMUP_BEFORE_START:
		snprintf(out, size, "plan %s of %s starts in %s", plan, w->name,
		    in);
		break;
	case WARMUP_WINDOW:
		snprintf(out, size,
		    "outside of plan %s's window, which opens in %s", plan, in);
		break;
	case WARMUP_PACE:
		snprintf(out, size,
		    "plan %s spreads %s's %" PRId64 " a day evenly: %" PRId64
		    " are used, the next may leave "
		    "in %s",
		    plan, w->name, w->allowed, warmup_charged(w), in);
		break;
	case WARMUP_SPENT:
		snprintf(out, size,
		    "plan %s allows %s %" PRId64 " today (stage %" PRId64
		    ") and all are used; the next day's begin in %s",
		    plan, w->name, w->allowed, w->st.stage + 1, in);
		break;
	case WARMUP_STOP:
		snprintf(out, size,
		    "plan %s stopped %s for today: %s; it goes on in %s", plan,
		    w->name, w->why_stopped, in);
		break;
	}
}

void
warmup_say(struct warmup *w, int64_t utc_us, char *out, size_t size)
{
	struct warmup_permit permit;

	warmup_tick(w, utc_us, false);
	if (w->st.day == WARMUP_NO_DAY) {
		snprintf(out, size,
		    "plan %s of %s begins with its first message, with %" PRId64
		    " a day",
		    w->plan->name, w->name, schedule_volume(w->schedule, 0));
		return;
	}
	permit = warmup_ask(w, utc_us);
	if (permit.hold == WARMUP_OPEN)
		say_open(w, out, size);
	else
		say_held(w, &permit, utc_us, out, size);
}

/* ---- stored ---- */

#define FIELD(name)                                        \
	{                                                  \
#name, offsetof(struct warmup_state, name) \
	}
static const struct {
	const char *name;
	size_t offset;
} fields[] = {
	FIELD(day),
	FIELD(first_day),
	FIELD(epoch_utc_us),
	FIELD(day_us),
	FIELD(stage),
	FIELD(is_done),
	FIELD(is_held),
	FIELD(is_stopped),
	FIELD(n_unhealthy),
	FIELD(n_at_top),
	FIELD(n_decayed),
	FIELD(last_sent_utc_us),
	FIELD(judged_to),
	FIELD(jumped_from),
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static int64_t *
field_at(struct warmup_state *st, size_t i)
{
	return (int64_t *)(void *)((char *)st + fields[i].offset);
}

char *
warmup_format(const struct warmup *w, char out[WARMUP_TEXT_SIZE])
{
	struct warmup_state st = w->st;
	int len = snprintf(out, WARMUP_TEXT_SIZE, "1");

	for (size_t i = 0; i < N_FIELDS; i++)
		len += snprintf(out + len, WARMUP_TEXT_SIZE - (size_t)len,
		    " %s=%" PRId64, fields[i].name, *field_at(&st, i));
	snprintf(out + len, WARMUP_TEXT_SIZE - (size_t)len, " why=%s",
	    w->why_stopped);
	return out;
}

static int
field_parse(struct warmup_state *st, const char *text, const char **end_out)
{
	size_t len = strcspn(text, "=");
	char *end;
	int64_t n;

	if (text[len] != '=')
		return -1;
	errno = 0;
	n = strtoll(text + len + 1, &end, 10);
	if (errno != 0 || end == text + len + 1 || (*end != ' ' && *end))
		return -1;
	for (size_t i = 0; i < N_FIELDS; i++)
		if (strlen(fields[i].name) == len &&
		    strncmp(fields[i].name, text, len) == 0)
			*field_at(st, i) = n;
	*end_out = end;
	return 0;
}

/* What the arithmetic relies on, whoever wrote it. */
static bool
is_sane(const struct warmup_state *st)
{
	const int64_t far = INT64_C(1000000000000000000);

	if (st->day == WARMUP_NO_DAY)
		return true;
	return st->day > -far && st->day < far && st->first_day > -far &&
	    st->first_day < far && st->stage >= 0 &&
	    st->stage <= SCHEDULE_STAGES_MAX && st->day_us > 0 &&
	    st->day_us < far && st->epoch_utc_us > -far &&
	    st->epoch_utc_us < far && st->last_sent_utc_us > -far &&
	    st->last_sent_utc_us < far;
}

int
warmup_parse(struct warmup *w, const char *text)
{
	struct warmup_state st = { .day = WARMUP_NO_DAY,
		.judged_to = WARMUP_NO_DAY,
		.jumped_from = WARMUP_NO_DAY };
	char why[sizeof(w->why_stopped)] = "";

	if (strncmp(text, "1 ", 2) != 0)
		return -1;
	for (text++; *text == ' ';) {
		text++;
		if (strncmp(text, "why=", 4) == 0) {
			snprintf(why, sizeof(why), "%s", text + 4);
			text += strlen(text);
		} else if (field_parse(&st, text, &text) < 0) {
			return -1;
		}
	}
	if (*text != '\0' || !is_sane(&st))
		return -1;
	w->st = st;
	memcpy(w->why_stopped, why, sizeof(why));
	w->is_changed = false;
	warmup_configure(w, w->plan, w->schedule, w->calendar.zone_ref);
	return 0;
}
