/* SPDX-License-Identifier: ISC */
/*
 * retry, bounce, drop, reroute: one walk over what is meant, one row for what
 * is done with each. They work in portions and leave the spool's writer time to
 * keep up; what is being sent at that moment is left alone and counted. With
 * --dry-run everything is the same but the deed.
 */
#include "daemon/command_private.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/queue_walk.h"

/* Changes a step; at one step each COMMAND_PACE_US that is 20,000 a second,
 * about what the spool settles. */
#define CHANGES_A_STEP 100

struct deed {
	const char *event; /* of each recipient; NULL: none */
	/* False: it is too late, or being sent. */
	bool (*run)(struct command *c, const struct queue_view *q,
	    const char *stream);
	bool is_for_deferred_only;
};

struct selecting {
	struct queue_walk *walk;
	const struct deed *deed;
	char *stream; /* where it goes; NULL: nowhere else */
	uint64_t n_matched, n_recipients, n_changed, n_in_flight;
};

/* ---- deeds ---- */

static bool
run_retry(struct command *c, const struct queue_view *q, const char *stream)
{
	(void)stream;
	return sched_retry_now(governor_sched(c->g), q->message, q->number,
	    c->now_us);
}

/* What the sender reads, in place of a reply; malloc'd. */
static char *
reply_of(const struct command *c)
{
	return c->because != NULL
	    ? xasprintf("returned by the postmaster: %s", c->because)
	    : xstrdup("returned by the postmaster");
}

static bool
run_bounce(struct command *c, const struct queue_view *q, const char *stream)
{
	char *reply = reply_of(c);
	bool is_done = governor_bounce(c->g, q->message, q->number, reply);

	(void)stream;
	free(reply);
	return is_done;
}

static bool
run_drop(struct command *c, const struct queue_view *q, const char *stream)
{
	(void)stream;
	return governor_drop(c->g, q->message, q->number);
}

static bool
run_reroute(struct command *c, const struct queue_view *q, const char *stream)
{
	return governor_reroute(c->g, q->message, q->number, stream);
}

static const struct deed retry_deed = { NULL, run_retry, true };
static const struct deed bounce_deed = { "bounced", run_bounce, false };
static const struct deed drop_deed = { "removed", run_drop, false };
static const struct deed reroute_deed = { NULL, run_reroute, false };

/* ---- events: one a recipient, as for those that a next hop answered ---- */

static void
tell_recipient(struct command *c, const struct deed *deed,
    const struct queue_view *q, const struct envelope *e,
    const struct recipient *r)
{
	struct event_log *log = governor_events(c->g);
	char *reply = deed->run == run_bounce ? reply_of(c) : NULL;
	char id[MESSAGE_ID_SIZE];

	event_begin(log, deed->event, c->now_utc_us);
	event_str(log, "message", message_id_format(q->message, id));
	event_str(log, "stream", q->stream);
	event_str(log, "provider", q->provider);
	event_str(log, "sender", e->sender);
	event_str(log, "recipient", r->address);
	event_str(log, "reply", reply);
	event_str(log, "because", c->because);
	event_int(log, "uid", c->peer.uid);
	event_int(log, "attempts", q->attempts);
	event_end(log);
	free(reply);
}

static void
tell(struct command *c, const struct deed *deed, const struct queue_view *q,
    const struct envelope *e)
{
	const struct delivery *d;

	if (deed->event == NULL || e == NULL)
		return;
	d = envelope_delivery(e, q->number);
	for (size_t i = 0; d != NULL && i < d->n_recipients; i++)
		tell_recipient(c, deed, q, e, &d->recipients[i]);
}

/* ---- the walk ---- */

static void
show_result(struct command *c, const struct selecting *sel)
{
	uint64_t n_unread = queue_walk_n_unread(sel->walk);

	answer_open(&c->out, NULL, '{');
	answer_str(&c->out, "action", c->row->name);
	answer_bool(&c->out, "dry_run", c->is_dry_run);
	answer_int(&c->out, "matched", (int64_t)sel->n_matched);
	answer_int(&c->out, "recipients", (int64_t)sel->n_recipients);
	answer_int(&c->out, "changed", (int64_t)sel->n_changed);
	answer_int(&c->out, "in_flight", (int64_t)sel->n_in_flight);
	answer_int(&c->out, "unreadable", (int64_t)n_unread);
	answer_close(&c->out, '}');
}

static void
treat(struct command *c, struct selecting *sel, const struct queue_view *q,
    const struct envelope *e)
{
	sel->n_matched++;
	sel->n_recipients += q->n_pending;
	if (q->state == QUEUE_IN_FLIGHT) {
		sel->n_in_flight++;
		return;
	}
	if (sel->deed->is_for_deferred_only && q->state != QUEUE_DEFERRED)
		return;
	if (c->is_dry_run) {
		sel->n_changed++;
	} else if (sel->deed->run(c, q, sel->stream)) {
		c->n_changed = ++sel->n_changed;
		tell(c, sel->deed, q, e);
	}
}

static enum step
step_select(struct command *c)
{
	struct selecting *sel = c->state;
	uint64_t n_before = c->n_changed;
	const struct envelope *e;
	struct queue_view q;

	for (;;) {
		switch (queue_walk_next(sel->walk, c->now_utc_us, &q, &e)) {
		case WALK_FOUND:
			treat(c, sel, &q, e);
			break;
		case WALK_LATER:
			break;
		case WALK_END:
			show_result(c, sel);
			command_changed(c);
			return STEP_DONE;
		}
		if (c->n_changed - n_before >= CHANGES_A_STEP) {
			command_changed(c);
			return STEP_PACED;
		}
		if (command_is_long(c))
			return STEP_MORE;
	}
}

static void
release_select(struct command *c)
{
	struct selecting *sel = c->state;

	queue_walk_free(sel->walk);
	free(sel->stream);
	free(sel);
}

static int
begin_select(struct command *c, const struct deed *deed)
{
	struct selecting *sel;
	struct queue_walk *walk;

	if (c->n_args == 0)
		return command_misused(c, "%s what?", c->row->name);
	walk = queue_walk_new(governor_sched(c->g), governor_reader(c->g),
	    c->args, c->n_args, &c->is_usage, &c->err);
	if (walk == NULL)
		return -1;
	if (deed->event != NULL && !c->is_dry_run &&
	    event_log_is_wanted(governor_events(c->g)))
		queue_walk_want_envelopes(walk);
	sel = xcalloc(1, sizeof(*sel));
	sel->walk = walk;
	sel->deed = deed;
	c->state = sel;
	c->step = step_select;
	c->release = release_select;
	c->is_counted = true;
	return 0;
}

/* ---- the commands ---- */

int
command_retry(struct command *c)
{
	c->is_dry_run = command_take_flag(c, "--dry-run");
	return begin_select(c, &retry_deed);
}

int
command_bounce(struct command *c)
{
	c->is_dry_run = command_take_flag(c, "--dry-run");
	if (command_take_because(c) < 0)
		return -1;
	return begin_select(c, &bounce_deed);
}

int
command_drop(struct command *c)
{
	c->is_dry_run = command_take_flag(c, "--dry-run");
	if (command_take_because(c) < 0)
		return -1;
	return begin_select(c, &drop_deed);
}

/* `to NAME` behind the selection: the stream it means, malloc'd; NULL: it is
 * neither a stream nor a route. */
static char *
take_destination(struct command *c)
{
	struct sched *s = governor_sched(c->g);
	const char *name;
	char *stream;

	if (c->n_args < 3 || strcmp(c->args[c->n_args - 2], "to") != 0) {
		command_misused(c, "%s what to where?", c->row->name);
		return NULL;
	}
	name = c->args[c->n_args - 1];
	c->n_args -= 2;
	if (sched_has_stream(s, name))
		return xstrdup(name);
	stream = xasprintf(SCHED_ROUTE_STREAM "%s", name);
	if (sched_has_stream(s, stream))
		return stream;
	free(stream);
	err_set(&c->hint, "`flyballctl status` lists the routes");
	command_refuse(c, "there is no route or stream \"%.100s\"", name);
	return NULL;
}

int
command_reroute(struct command *c)
{
	char *stream;

	c->is_dry_run = command_take_flag(c, "--dry-run");
	stream = take_destination(c);
	if (stream == NULL)
		return -1;
	if (begin_select(c, &reroute_deed) < 0) {
		free(stream);
		return -1;
	}
	((struct selecting *)c->state)->stream = stream;
	return 0;
}
