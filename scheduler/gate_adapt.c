/* SPDX-License-Identifier: ISC */
/*
 * The adaptive gates: the speed a provider was found to bear, and suspension.
 * Rows of gate_rows.c; they ask what lane_adapt.c keeps and say it in words.
 * In shadow mode they are always open and count what they would have held.
 */
#include "scheduler/gate_adapt.h"

#include "scheduler/lane_adapt.h"

/* ---- speed ---- */

int64_t
adapted_depth(const struct gate_ask *ask)
{
	if (lane_is_shadow(ask->lane))
		return INT64_MAX;
	return adapt_depth(&ask->lane->adapt->speed);
}

int64_t
adapted_when(const struct gate_ask *ask)
{
	struct lane_adapt *a = ask->lane->adapt;
	int64_t now_us = ask->now_us, window_us, when_us;

	if (lane_is_shadow(ask->lane))
		return INT64_MIN;
	window_us =
	    adapt_window_when(&a->speed, lane_unanswered(ask->lane), now_us);
	if (a->speed.state == ADAPT_OPEN)
		return window_us;
	when_us = adapt_when(&a->speed, now_us);
	return when_us > window_us ? when_us : window_us;
}

int64_t
adapted_since(const struct gate_ask *ask)
{
	const struct lane *l = ask->lane;

	return l->gate == GATE_ADAPTED ? l->held_since_us : ask->now_us;
}

void
adapted_charge(const struct gate_ask *ask)
{
	struct lane *l = ask->lane;
	struct lane_adapt *a = l->adapt;
	int64_t due_us = adapt_due(&a->speed);
	uint32_t n = (uint32_t)ask->n;

	if (lane_is_shadow(l) &&
	    adapt_when(&a->speed, ask->now_us) > ask->now_us) {
		/* It leaves all the same, and owes nothing for it. */
		a->n_shadowed += n;
		adapt_unsent(&a->speed, n, ask->now_us, ask->now_us);
	}
	if (adapt_sent(&a->speed, n, ask->now_us))
		change_rate(ask->s, l, NULL);
	if (adapt_due(&a->speed) != due_us)
		lane_adapt_arm(ask->s, l);
}

void
adapted_give_back(const struct gate_ask *ask)
{
	adapt_unsent(&ask->lane->adapt->speed, (uint32_t)ask->n, ask->left_us,
	    ask->now_us);
}

static const char *
why_so_fast(enum adapt_state state)
{
	switch (state) {
	case ADAPT_OPEN:
		break;
	case ADAPT_HOLDING:
		return "it was refused a moment ago";
	case ADAPT_CLIMBING:
		return "on the way back to what it bore";
	case ADAPT_FLAT:
		return "just below what it refused";
	case ADAPT_PROBING:
		return "trying whether it bears more";
	}
	return "";
}

void
adapted_say(const struct gate_ask *ask, struct gate_view *view)
{
	const struct lane *l = ask->lane;
	const struct lane_adapt *a = l->adapt;
	char rate[UNITS_TEXT_SIZE], wait[UNITS_TEXT_SIZE];
	struct rate r = rate_in_words(adapt_rate(&a->speed));

	if (!a->conf.enabled) {
		SAY(view, "adaptation is off for %s", l->name);
	} else if (a->speed.state == ADAPT_OPEN) {
		SAY(view, "%s has not refused %s's speed", l->dest->name,
		    l->name);
	} else if (view->is_open) {
		SAY(view, "%s is taken to bear %s%s: %s", l->dest->name,
		    units_format_rate(&r, rate),
		    lane_is_shadow(l) ? " (shadow: held to nothing)" : "",
		    why_so_fast(a->speed.state));
	} else {
		SAY(view,
		    "%s is taken to bear %s, %s; the next may leave in "
		    "%s",
		    l->dest->name, units_format_rate(&r, rate),
		    why_so_fast(a->speed.state),
		    gate_span(view->until_us - ask->now_us, wait));
	}
}

/* ---- suspension ---- */

int64_t
suspended_when(const struct gate_ask *ask)
{
	const struct lane *l = ask->lane;

	if (l->adapt->breaker.state == BREAKER_CLOSED || lane_is_shadow(l))
		return INT64_MIN;
	return breaker_when(&l->adapt->breaker, lane_unanswered(l),
	    ask->now_us);
}

/* Only where the operator wants it so: whom a provider turned away by one
 * address looks the worse for coming by the next. In an outage there is nothing
 * to gain; while one delivery tries, the others wait for what it hears. */
bool
suspended_overflows(const struct gate_ask *ask)
{
	const struct lane_adapt *a = ask->lane->adapt;

	return a->breaker.state == BREAKER_OPEN &&
	    a->breaker.why != BREAKER_OUTAGE &&
	    a->conf.suspend.overflow == SUSPEND_NEXT_ROUTE &&
	    !lane_is_shadow(ask->lane);
}

int64_t
suspended_since(const struct gate_ask *ask)
{
	return ask->lane->adapt->breaker.since_us;
}

static const char *
why_shut(enum breaker_why why)
{
	switch (why) {
	case BREAKER_NONE:
		break;
	case BREAKER_REJECTED:
		return "rejects our mail for its reputation";
	case BREAKER_ADVISED:
		return "asked to wait";
	case BREAKER_OUTAGE:
		return "has a failure of its own";
	}
	return "";
}

const char *
suspended_because(const struct gate_ask *ask)
{
	return why_shut(ask->lane->adapt->breaker.why);
}

void
suspended_release(const struct gate_ask *ask)
{
	(void)ask; /* gate.c wakes who waits at a gate with a release */
}

void
suspended_say(const struct gate_ask *ask, struct gate_view *view)
{
	const struct lane *l = ask->lane;
	const struct breaker *b = &l->adapt->breaker;
	char wait[UNITS_TEXT_SIZE];
	int64_t n, permille;

	permille = breaker_rejected_permille(b, &n, ask->now_us);
	if (b->state == BREAKER_CLOSED && n == 0)
		SAY(view, "%s has rejected nothing for our reputation",
		    l->dest->name);
	else if (b->state == BREAKER_CLOSED)
		SAY(view, "%s rejected %lld.%lld%% of %lld lately",
		    l->dest->name, (long long)permille / 10,
		    (long long)permille % 10, (long long)n);
	else if (b->state == BREAKER_OPEN)
		SAY(view, "%s %s%s; tried again in %s", l->dest->name,
		    why_shut(b->why),
		    lane_is_shadow(l) ? " (shadow: held to nothing)" : "",
		    gate_span(b->until_us - ask->now_us, wait));
	else
		SAY(view, "%s %s; one delivery tries whether it still does",
		    l->dest->name, why_shut(b->why));
}
