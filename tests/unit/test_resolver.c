/* SPDX-License-Identifier: ISC */
/* Questions over a real socket to a name server of the test's own, on the same
 * loop: answers, silence, order, cancelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "sink/resolver.h"
#include "tests/unit/dns_message.h"

struct world {
	struct event_base *base;
	struct resolver *r;
	struct event *server;
	int fd;
	char address[64];
	char *servers[1];
	struct conf_dns dns;
	unsigned n_asked, n_told, n_open, n_open_most;
	struct dns_answer last;
	char last_text[300];
};

/* Answers with one host that is called as the name; "mute..." isn't. */
static void
on_question(evutil_socket_t fd, short what, void *arg)
{
	struct world *w = arg;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	struct message m;
	uint8_t q[512];
	ssize_t len =
	    recvfrom(fd, q, sizeof(q), 0, (struct sockaddr *)&from, &from_len);
	size_t end = 12;

	(void)what;
	assert_true(len > 17);
	w->n_asked++;
	if (memcmp(q + 13, "mute", 4) == 0)
		return;
	while (q[end] != 0)
		end += q[end] + 1u;
	m.len = 0;
	put_bytes(&m, q, 2);
	put16(&m,
	    memcmp(q + 13, "gone", 4) == 0	 ? 0x8183
		: memcmp(q + 13, "fail", 4) == 0 ? 0x8182
						 : 0x8180);
	put16(&m, 1);
	put16(&m, (m.v[3] & 15) == 0);
	put32(&m, 0);
	put_bytes(&m, q + 12, end + 5 - 12);
	if ((m.v[3] & 15) == 0) {
		size_t start = record_begin(&m, 15, 300);

		put16(&m, 10);
		put_bytes(&m, q + 12, end + 1 - 12);
		record_end(&m, start);
	}
	sendto(fd, m.v, m.len, 0, (struct sockaddr *)&from, from_len);
}

static void
start(struct world *w, int64_t timeout_us)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	memset(w, 0, sizeof(*w));
	w->base = event_base_new();
	w->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(w->fd, (struct sockaddr *)&at, len), 0);
	getsockname(w->fd, (struct sockaddr *)&at, &len);
	snprintf(w->address, sizeof(w->address), "127.0.0.1:%u",
	    ntohs(at.sin_port));
	w->server =
	    event_new(w->base, w->fd, EV_READ | EV_PERSIST, on_question, w);
	event_add(w->server, NULL);
	w->servers[0] = w->address;
	w->dns.servers.v = w->servers;
	w->dns.servers.n = 1;
	w->dns.timeout_us = timeout_us;
	w->r = resolver_new(w->base, &w->dns, NULL);
	assert_non_null(w->r);
}

static void
end(struct world *w)
{
	resolver_free(w->r);
	event_free(w->server);
	event_base_free(w->base);
	close(w->fd);
}

static void
on_answer(const struct dns_answer *a, void *arg)
{
	struct world *w = arg;

	w->n_told++;
	w->n_open--;
	w->last = *a;
	snprintf(w->last_text, sizeof(w->last_text), "%s",
	    a->n > 0 ? a->v[0].text : a->why);
}

static struct resolver_query *
ask(struct world *w, const char *name)
{
	w->n_open++;
	return resolver_ask(w->r, name, DNS_MX, on_answer, w);
}

static void
until_told(struct world *w, unsigned n)
{
	int64_t end_us = clock_mono_us() + 10000000;

	while (w->n_told < n && clock_mono_us() < end_us)
		event_base_loop(w->base, EVLOOP_ONCE);
	assert_int_equal(w->n_told, n);
}

static void
answers(void **state)
{
	static const struct {
		const char *name;
		enum dns_status status;
		const char *text;
	} cases[] = {
		{ "a.test", DNS_OK, "a.test" },
		{ "gone.test", DNS_NXDOMAIN, "" },
		{ "fail.test", DNS_FAILED, NULL },
		/* It can't even be asked for. */
		{ "a..test", DNS_FAILED, NULL },
	};
	struct world w;

	(void)state;
	start(&w, 5000000);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(&w, cases[i].name);
		assert_int_equal(w.n_told, i); /* not from inside */
		until_told(&w, i + 1);
		assert_int_equal(w.last.status, cases[i].status);
		if (cases[i].text != NULL)
			assert_string_equal(w.last_text, cases[i].text);
		else
			assert_true(w.last_text[0] != '\0');
		assert_false(resolver_is_silent(w.r));
	}
	end(&w);
}

static void
silence_ends_in_time(void **state)
{
	struct world w;
	int64_t began_us;

	(void)state;
	start(&w, 300000);
	began_us = clock_mono_us();
	ask(&w, "mute.test");
	until_told(&w, 1);
	assert_int_equal(w.last.status, DNS_FAILED);
	assert_true(clock_mono_us() - began_us >= 200000);
	assert_true(resolver_is_silent(w.r));
	ask(&w, "a.test");
	until_told(&w, 2);
	assert_int_equal(w.last.status, DNS_OK);
	assert_false(resolver_is_silent(w.r));
	end(&w);
}

static void
nobody_there(void **state)
{
	struct world w;

	(void)state;
	start(&w, 5000000);
	event_del(w.server);
	close(w.fd);
	ask(&w, "a.test");
	until_told(&w, 1);
	assert_int_equal(w.last.status, DNS_FAILED);
	/* It costs no time, so nobody needs to be spared the waiting. */
	assert_false(resolver_is_silent(w.r));
	w.fd = dup(0);
	end(&w);
}

static void
many_stand_in_line(void **state)
{
	struct world w;
	char name[32];

	(void)state;
	start(&w, 5000000);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "n%d.test", i);
		ask(&w, name);
	}
	/* One turn of the loop: only so many were sent. */
	event_base_loop(w.base, EVLOOP_ONCE);
	assert_true(w.n_asked <= RESOLVER_ACTIVE_MAX);
	until_told(&w, 500);
	assert_int_equal(w.n_asked, 500);
	end(&w);
}

static void
cancelled_ones_are_never_told(void **state)
{
	struct resolver_query *asked, *waiting;
	struct world w;

	(void)state;
	start(&w, 5000000);
	waiting = ask(&w, "b.test");
	resolver_cancel(waiting);
	asked = ask(&w, "a.test");
	event_base_loop(w.base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	resolver_cancel(asked);
	ask(&w, "c.test");
	until_told(&w, 1);
	assert_string_equal(w.last_text, "c.test");
	end(&w);
}

static void
it_may_end_at_any_time(void **state)
{
	struct world w;
	char name[32];

	(void)state;
	for (int turns = 0; turns < 4; turns++) {
		start(&w, 5000000);
		for (int i = 0; i < 100; i++) {
			snprintf(name, sizeof(name), "%s%d.test",
			    i % 3 ? "n" : "mute", i);
			ask(&w, name);
		}
		for (int i = 0; i < turns; i++)
			event_base_loop(w.base, EVLOOP_ONCE);
		end(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(silence_ends_in_time),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(many_stand_in_line),
		cmocka_unit_test(cancelled_ones_are_never_told),
		cmocka_unit_test(it_may_end_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
