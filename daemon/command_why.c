/* SPDX-License-Identifier: ISC */
/*
 * `why MESSAGE|LANE`: every gate with its state, and first of all a summary
 * that a postmaster can read aloud: which gate holds, since when, until when,
 * and what that means for the mail behind it. The gates' own sentences are the
 * scheduler's; here they get the clock.
 */
#include "daemon/command_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "conf/base/strbuf.h"
#include "daemon/ctl_text.h"
#include "sink/envelope.h"

/* ---- words for instants and spans ---- */

/* "14:05", or with its date when that isn't today. */
static const char *
clock_text(const struct command *c, int64_t mono_us, char *out, size_t size)
{
	time_t at = (time_t)((mono_us - c->now_us + c->now_utc_us) / 1000000);
	time_t now = (time_t)(c->now_utc_us / 1000000);
	struct tm at_tm, now_tm;

	localtime_r(&at, &at_tm);
	localtime_r(&now, &now_tm);
	strftime(out, size,
	    at_tm.tm_yday == now_tm.tm_yday && at_tm.tm_year == now_tm.tm_year
		? "%H:%M:%S"
		: "%Y-%m-%d %H:%M",
	    &at_tm);
	return out;
}

/* ---- gates ---- */

void
command_show_gates(struct command *c, const struct gate_view *gates, size_t n)
{
	answer_open(&c->out, "gates", '[');
	for (size_t i = 0; i < n; i++) {
		const struct gate_view *v = &gates[i];

		answer_open(&c->out, NULL, '{');
		answer_str(&c->out, "gate", gate_name(v->gate));
		answer_bool(&c->out, "is_open", v->is_open);
		command_time(c, "since", v->is_open ? 0 : v->since_us);
		command_time(c, "until", v->is_open ? 0 : v->until_us);
		answer_wait(&c->out, "remaining_ms",
		    v->is_open ? c->now_us : v->until_us, c->now_us);
		answer_str(&c->out, "text", v->text);
		answer_close(&c->out, '}');
	}
	answer_close(&c->out, ']');
}

/* " Since 12:01:05, until 14:01:05." */
static void
add_times(const struct command *c, const struct gate_view *v,
    struct strbuf *out)
{
	bool has_until = v->until_us != INT64_MAX;
	char text[40];

	if (v->since_us > 0)
		strbuf_addf(out, " Since %s",
		    clock_text(c, v->since_us, text, sizeof(text)));
	if (has_until)
		strbuf_addf(out, "%s %s",
		    v->since_us > 0 ? ", until" : " Until",
		    clock_text(c, v->until_us, text, sizeof(text)));
	if (v->since_us > 0 || has_until)
		strbuf_addc(out, '.');
}

/* What n recipients take at a rate, at most a year. */
static int64_t
time_at(uint64_t n, const struct rate *r)
{
	const int64_t most_us = INT64_C(31536000000000);
	__int128 us;

	if (rate_is_unlimited(r))
		return 0;
	us = (__int128)n * r->window_us / r->count;
	return us > most_us ? most_us : (int64_t)us;
}

/* How long what is queued takes at the slowest of the lane's rates. */
static void
add_backlog(const struct lane_view *l, struct strbuf *out)
{
	int64_t longest_us = time_at(l->n_queued_recipients, &l->adapted);

	for (size_t i = 0; i < l->n_rates; i++) {
		int64_t us = time_at(l->n_queued_recipients, &l->rates[i]);

		if (us > longest_us)
			longest_us = us;
	}
	if (l->n_queued == 0)
		return;
	strbuf_addf(out, " %" PRIu64 " recipient%s queued",
	    l->n_queued_recipients,
	    l->n_queued_recipients == 1 ? " is" : "s are");
	if (longest_us > 1000000) {
		strbuf_addf(out, ", which take%s about ",
		    l->n_queued_recipients == 1 ? "s" : "");
		text_add_span(out, longest_us / 1000);
		strbuf_adds(out, " at this rate");
	}
	strbuf_addc(out, '.');
}

/* At its pace a lane is shut between any two messages: that is no trouble. */
static bool
is_pacing(const struct command *c, const struct gate_view *v)
{
	return v->until_us < c->now_us + 2000000 &&
	    (v->gate == GATE_RATE || v->gate == GATE_ADAPTED ||
		v->gate == GATE_PLAN || v->gate == GATE_SENDER_PLAN);
}

static void
summarise_lane(const struct command *c, const struct lane_view *l,
    const struct gate_view *first, struct strbuf *out)
{
	bool has_mail = l->n_queued + l->n_retrying > 0;
	bool is_shut = first != NULL && !first->is_open;

	if (is_shut && (has_mail || l->gate != GATE_NONE)) {
		bool flows = is_pacing(c, first);

		strbuf_addf(out, "%s %s: %s", l->name,
		    flows ? "sends as fast as it may" : "is held", first->text);
		strbuf_addc(out, '.');
		if (!flows)
			add_times(c, first, out);
	} else if (has_mail || l->in_flight > 0) {
		strbuf_addf(out, "%s is open: every gate lets mail through.",
		    l->name);
	} else if (is_shut && !is_pacing(c, first)) {
		strbuf_addf(out,
		    "Nothing is queued for %s; it would be held: "
		    "%s.",
		    l->name, first->text);
		add_times(c, first, out);
	} else {
		strbuf_addf(out, "%s is open and nothing is queued for it.",
		    l->name);
	}
	add_backlog(l, out);
	if (l->n_retrying > 0)
		strbuf_addf(out, " %" PRIu64 " deferred wait%s for a retry.",
		    l->n_retrying, l->n_retrying == 1 ? "s" : "");
}

/* The keys of one lane's explanation, into an open object. */
static void
explain_lane(struct command *c, const struct lane_view *l)
{
	struct gate_view gates[GATE_COUNT];
	struct strbuf summary = { 0 };
	size_t n = sched_why(governor_sched(c->g), l->name, c->now_us, gates);

	summarise_lane(c, l, n > 0 ? &gates[0] : NULL, &summary);
	answer_str(&c->out, "lane", l->name);
	answer_str(&c->out, "summary", summary.data);
	answer_bool(&c->out, "is_held", n > 0 && !gates[0].is_open);
	answer_int(&c->out, "queued", (int64_t)l->n_queued);
	answer_int(&c->out, "retrying", (int64_t)l->n_retrying);
	command_show_gates(c, gates, n);
	if (l->last_refusal_us != 0) {
		command_time(c, "last_refusal_at", l->last_refusal_us);
		answer_str(&c->out, "last_refusal", l->last_refusal);
	} else {
		answer_null(&c->out, "last_refusal_at");
		answer_null(&c->out, "last_refusal");
	}
	strbuf_fini(&summary);
}

static int
why_lane(struct command *c, const char *name)
{
	struct lane_view l;

	if (!sched_lane_get(governor_sched(c->g), name, c->now_us, &l))
		return command_no_such_lane(c, name);
	answer_open(&c->out, NULL, '{');
	explain_lane(c, &l);
	answer_close(&c->out, '}');
	return 0;
}

/* ---- a message ---- */

static void
summarise_delivery(const struct command *c, const struct queue_view *q,
    uint64_t n_ahead, struct strbuf *out)
{
	char at[40];

	switch (q->state) {
	case QUEUE_IN_FLIGHT:
		strbuf_addf(out, "It is being sent by %s now.", q->lane);
		break;
	case QUEUE_DEFERRED:
		if (q->is_held) {
			strbuf_addf(out,
			    "The MX hosts of %s are being looked up; without "
			    "an answer it leaves by %s at %s.",
			    q->site, q->lane,
			    clock_text(c, q->due_us, at, sizeof(at)));
			break;
		}
		strbuf_addf(out,
		    "It was deferred (attempt %u) and is tried again at %s, "
		    "in ",
		    q->attempts, clock_text(c, q->due_us, at, sizeof(at)));
		text_add_span(out, (q->due_us - c->now_us) / 1000);
		strbuf_addf(out, ", by %s.", q->lane);
		break;
	case QUEUE_WAITING:
		if (n_ahead == 0)
			strbuf_addf(out,
			    "It waits for lane %s, as the first of stream %s.",
			    q->lane, q->stream);
		else
			strbuf_addf(out,
			    "It waits for lane %s, behind %" PRIu64
			    " other%s of stream %s.",
			    q->lane, n_ahead, n_ahead == 1 ? "" : "s",
			    q->stream);
		break;
	}
}

static void
explain_delivery(struct command *c, const struct delivery *d, uint64_t id)
{
	struct sched *s = governor_sched(c->g);
	struct strbuf text = { 0 };
	struct queue_view q;
	struct lane_view l;

	answer_open(&c->out, NULL, '{');
	answer_int(&c->out, "number", d->number);
	if (!sched_delivery_get(s, id, d->number, &q)) {
		answer_str(&c->out, "state", "settling");
		answer_str(&c->out, "text",
		    "Its last attempt is being written to disk.");
		answer_close(&c->out, '}');
		return;
	}
	summarise_delivery(c, &q, sched_n_ahead(s, id, d->number), &text);
	answer_str(&c->out, "state", queue_state_name(&q));
	answer_str(&c->out, "text", text.data);
	answer_int(&c->out, "attempts", q.attempts);
	answer_opt(&c->out, "reply", d->last_reply);
	if (sched_lane_get(s, q.lane, c->now_us, &l))
		explain_lane(c, &l);
	answer_close(&c->out, '}');
	strbuf_fini(&text);
}

static int
why_message(struct command *c, uint64_t id)
{
	struct envelope e;

	if (command_read_message(c, id, &e) < 0)
		return -1;
	answer_open(&c->out, NULL, '{');
	command_id(c, "message", id);
	command_show_arrival(c, &e);
	answer_open(&c->out, "deliveries", '[');
	for (size_t i = 0; i < e.n_deliveries; i++)
		explain_delivery(c, &e.deliveries[i], id);
	answer_close(&c->out, ']');
	answer_close(&c->out, '}');
	envelope_fini(&e);
	return 0;
}

int
command_why(struct command *c)
{
	uint64_t id;

	if (strchr(c->args[0], '/') != NULL)
		return why_lane(c, c->args[0]);
	if (message_id_parse(c->args[0], &id) == 0)
		return why_message(c, id);
	err_set(&c->hint,
	    "a message is called as in `queue`, a lane "
	    "ROUTE/PROVIDER as in `lanes`");
	return command_refuse(c, "\"%.200s\" is neither a message nor a lane",
	    c->args[0]);
}
