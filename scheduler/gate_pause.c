/* SPDX-License-Identifier: ISC */
/*
 * The gates of pauses, by the operator or a blocklist: of a route, a lane, a
 * provider, a stream. Rows of gate_rows.c; pause.c keeps the pauses.
 */
#include "scheduler/gate_pause.h"

/* "for another 4m", or `never` when nobody knows. */
static const char *
until(const struct gate_ask *ask, int64_t until_us, const char *never,
    char *out, size_t size)
{
	char text[UNITS_TEXT_SIZE];

	if (until_us == INT64_MAX)
		return never;
	snprintf(out, size, "for another %s",
	    gate_span(until_us - ask->now_us, text));
	return out;
}

/* ---- pauses: of the route, the lane, the provider, the stream ---- */

static struct pause *
pause_of_route(const struct gate_ask *ask)
{
	return ask->route->pause;
}

static struct pause *
pause_of_lane(const struct gate_ask *ask)
{
	return ask->lane->pause;
}

static struct pause *
pause_of_provider(const struct gate_ask *ask)
{
	return ask->lane->dest->provider->pause;
}

/* Of the lane's streams with mail in line: only if all of them are paused. */
static struct pause *
pause_of_stream(const struct gate_ask *ask)
{
	struct pause *first = NULL;
	struct flow *f;

	if (ask->flow != NULL)
		return ask->flow->stream->pause;
	DL_FOREACH2(ask->lane->dest->flows, f, dest_next)
	{
		struct pause *p = f->stream->pause;

		if (f->lane != ask->lane || f->queue == NULL)
			continue;
		if (p == NULL)
			return NULL;
		if (first == NULL || p->until_us < first->until_us)
			first = p;
	}
	return first;
}

static int64_t
pause_when(const struct pause *p)
{
	return p != NULL ? p->until_us : INT64_MIN;
}

static int64_t
pause_since(const struct pause *p)
{
	return p != NULL ? p->since_us : 0;
}

static void
pause_say(const struct gate_ask *ask, const struct pause *p,
    struct gate_view *view)
{
	char text[80];

	if (p == NULL) {
		SAY(view, "nobody has paused it");
		return;
	}
	SAY(view, "%s %s is paused %s%s%s", pause_kind_name(p->kind), p->name,
	    until(ask, p->until_us, "until it is resumed", text, sizeof(text)),
	    p->because[0] ? ": " : "", p->because);
}

/* One set of row functions for each subject of a pause. */
#define PAUSE_ROW_FUNCTIONS(subject)                                    \
	int64_t subject##_pause_when(const struct gate_ask *ask)        \
	{                                                               \
		return pause_when(pause_of_##subject(ask));             \
	}                                                               \
	int64_t subject##_pause_since(const struct gate_ask *ask)       \
	{                                                               \
		return pause_since(pause_of_##subject(ask));            \
	}                                                               \
	const char *subject##_pause_because(const struct gate_ask *ask) \
	{                                                               \
		const struct pause *p = pause_of_##subject(ask);        \
                                                                        \
		return p != NULL ? p->because : "";                     \
	}                                                               \
	void subject##_pause_say(const struct gate_ask *ask,            \
	    struct gate_view *view)                                     \
	{                                                               \
		pause_say(ask, pause_of_##subject(ask), view);          \
	}
PAUSE_ROW_FUNCTIONS(route)
PAUSE_ROW_FUNCTIONS(lane)
PAUSE_ROW_FUNCTIONS(provider)
PAUSE_ROW_FUNCTIONS(stream)
