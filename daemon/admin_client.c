/* SPDX-License-Identifier: ISC */
/*
 * One connection to the admin socket: lines in, one command at a time, answers
 * out. Both buffers are bounded: no more is read than one line may have, and a
 * command gets no turn while its reader is behind.
 *
 * A peer may close its side and still read (`echo status | socat - ...`), so
 * the end of its input only means that no further line comes.
 */
#include <event2/buffer.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/admin_private.h"
#include "daemon/command_words.h"
#include "daemon/event_filter.h"
#include "daemon/event_log.h"

#define INPUT_MAX (COMMAND_LINE_MAX + 2) /* with CRLF */
#define OUT_LOW	  (COMMAND_OUT_HIGH / 2)

static struct evbuffer *
output(const struct admin_client *c)
{
	return bufferevent_get_output(c->bev);
}

static size_t
n_unread(const struct admin_client *c)
{
	return evbuffer_get_length(output(c));
}

bool
admin_client_is_idle(const struct admin_client *c)
{
	return c->command == NULL && c->follower == NULL && !c->is_in_line &&
	    n_unread(c) == 0;
}

/* ---- following events ---- */

static void
tell_missed(struct admin_client *c)
{
	if (c->n_missed == 0)
		return;
	evbuffer_add_printf(output(c), "{\"event\":\"dropped\",\"n\":%llu}\n",
	    (unsigned long long)c->n_missed);
	c->n_missed = 0;
}

static void
on_event_line(const char *line, size_t len, void *arg)
{
	struct admin_client *c = arg;

	if (!event_filter_fits(c->filter, line, len))
		return;
	if (n_unread(c) + len > ADMIN_FOLLOW_BYTES_MAX) {
		c->n_missed++;
		return;
	}
	tell_missed(c);
	evbuffer_add(output(c), line, len);
}

static void
follow(struct admin_client *c)
{
	/* It may stand still as long as it likes: lines are dropped then. */
	bufferevent_set_timeouts(c->bev, NULL, NULL);
	c->admin->n_followers++;
	c->filter = command_take_filter(c->command);
	c->follower =
	    event_log_follow(governor_events(c->admin->g), on_event_line, c);
}

static void
refuse_follower(struct admin_client *c)
{
	evbuffer_add_printf(output(c),
	    "{\"ok\":false,\"error\":\"%d others follow already\","
	    "\"hint\":\"the event log has the same lines\"}\n",
	    ADMIN_FOLLOWERS_MAX);
}

/* ---- commands ---- */

static void
refuse_line(struct admin_client *c)
{
	evbuffer_add_printf(output(c),
	    "{\"ok\":false,\"error\":\"a command has at most %d bytes\","
	    "\"hint\":\"use conditions (where ...) instead of many IDs\","
	    "\"kind\":\"usage\"}\n",
	    COMMAND_LINE_MAX);
	c->is_closing = true;
}

/* The next line becomes a command; false: there is none (yet). */
static bool
begin_command(struct admin_client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t len;
	char *line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);

	if (line == NULL && evbuffer_get_length(in) >= INPUT_MAX) {
		refuse_line(c);
		return false;
	}
	if (line == NULL && c->is_at_end && evbuffer_get_length(in) > 0) {
		len = evbuffer_get_length(in);
		line = xmalloc(len);
		evbuffer_remove(in, line, len);
	}
	if (line == NULL)
		return false;
	c->command = command_new(c->admin->g, &c->peer, line, len);
	free(line);
	return true;
}

static void
end_command(struct admin_client *c)
{
	command_free(c->command);
	c->command = NULL;
}

static void
pass_on(struct admin_client *c)
{
	struct strbuf *out = command_out(c->command);

	evbuffer_add(output(c), out->data, out->len);
	strbuf_reset(out);
}

static void
line_up_later(struct admin_client *c)
{
	struct timeval tv = { .tv_usec = COMMAND_PACE_US };

	event_add(c->pace, &tv);
}

static void
step(struct admin_client *c)
{
	switch (command_step(c->command)) {
	case STEP_MORE:
		pass_on(c);
		return;
	case STEP_PACED:
		pass_on(c);
		line_up_later(c);
		return;
	case STEP_DONE:
		pass_on(c);
		break;
	case STEP_FOLLOW:
		if (c->admin->n_followers < ADMIN_FOLLOWERS_MAX) {
			pass_on(c);
			follow(c);
		} else {
			refuse_follower(c);
		}
		break;
	}
	end_command(c);
}

/* Nothing is left to do and nothing will come. */
static bool
is_over(const struct admin_client *c)
{
	if (n_unread(c) > 0 || c->command != NULL)
		return false;
	return c->is_closing ||
	    (c->is_at_end && c->follower == NULL &&
		evbuffer_get_length(bufferevent_get_input(c->bev)) == 0);
}

/*
 * libevent's own high watermark asks for the read callback again and again
 * while the buffer is full, which would keep the loop awake; so reading is
 * switched here. One read adds 16 KiB at most.
 */
static void
bound_input(struct admin_client *c)
{
	if (evbuffer_get_length(bufferevent_get_input(c->bev)) >= INPUT_MAX)
		bufferevent_disable(c->bev, EV_READ);
	else if (!c->is_at_end && !c->is_closing)
		bufferevent_enable(c->bev, EV_READ);
}

static bool
has_line(const struct admin_client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	if (evbuffer_get_length(in) == 0)
		return false;
	return c->is_at_end || evbuffer_get_length(in) >= INPUT_MAX ||
	    evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_LF).pos >= 0;
}

/* May it have a turn now? A reader that is behind may not (the write callback
 * comes when it has caught up), nor a change that is paced. */
static bool
can_go_on(const struct admin_client *c)
{
	return c->follower == NULL && !c->is_closing &&
	    n_unread(c) < COMMAND_OUT_HIGH &&
	    !event_pending(c->pace, EV_TIMEOUT, NULL) &&
	    (c->command != NULL || has_line(c));
}

void
admin_client_turn(struct admin_client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	if (c->follower != NULL)
		evbuffer_drain(in, evbuffer_get_length(in));
	else if (can_go_on(c) && (c->command != NULL || begin_command(c)))
		step(c);
	bound_input(c);
	if (is_over(c))
		admin_client_free(c);
	else if (can_go_on(c))
		admin_line_up(c->admin, c);
}

/* ---- callbacks ---- */

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct admin_client *c = arg;

	(void)bev;
	bound_input(c);
	if (c->follower != NULL || can_go_on(c))
		admin_line_up(c->admin, c);
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct admin_client *c = arg;

	(void)bev;
	if (is_over(c))
		admin_client_free(c);
	else if (can_go_on(c))
		admin_line_up(c->admin, c);
}

static void
on_pace(evutil_socket_t fd, short what, void *arg)
{
	struct admin_client *c = arg;

	(void)fd;
	(void)what;
	admin_line_up(c->admin, c);
}

/* Both directions are closed: nobody reads any more either. */
static bool
is_hung_up(const struct admin_client *c)
{
	struct pollfd p = { .fd = bufferevent_getfd(c->bev) };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0;
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct admin_client *c = arg;

	(void)bev;
	if ((what & BEV_EVENT_EOF) == 0 || (what & BEV_EVENT_WRITING) != 0 ||
	    (c->follower != NULL && is_hung_up(c))) {
		admin_client_free(c);
		return;
	}
	c->is_at_end = true;
	if (is_over(c))
		admin_client_free(c);
	else
		admin_line_up(c->admin, c);
}

/* ---- life ---- */

void
admin_client_new(struct admin *a, int fd, const struct command_peer *peer)
{
	struct admin_client *c = xcalloc(1, sizeof(*c));
	struct timeval write_timeout = { .tv_sec = ADMIN_WRITE_TIMEOUT_S };

	c->admin = a;
	c->peer = *peer;
	c->active_us = clock_mono_us();
	c->pace = evtimer_new(governor_base(a->g), on_pace, c);
	c->bev = bufferevent_socket_new(governor_base(a->g), fd,
	    BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_WRITE, OUT_LOW, 0);
	/* A long answer shouldn't take a turn of the loop for each 16 KiB. */
	bufferevent_set_max_single_write(c->bev, 2 * COMMAND_OUT_HIGH);
	bufferevent_set_timeouts(c->bev, NULL, &write_timeout);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	DL_APPEND(a->clients, c);
	a->n_clients++;
}

void
admin_client_free(struct admin_client *c)
{
	struct admin *a = c->admin;

	admin_line_leave(a, c);
	if (c->follower != NULL) {
		event_log_unfollow(governor_events(a->g), c->follower);
		a->n_followers--;
	}
	event_filter_free(c->filter);
	command_free(c->command);
	/* A last answer (to `drain`) goes out if the peer takes it at once. */
	if (n_unread(c) > 0)
		evbuffer_write(output(c), bufferevent_getfd(c->bev));
	bufferevent_free(c->bev);
	event_free(c->pace);
	DL_DELETE(a->clients, c);
	a->n_clients--;
	admin_keep_spare(a);
	free(c);
}
