/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_DNS_FAKE_H
#define FLYBALL_DNS_FAKE_H

/* A name server on loopback, on the test's own loop, that answers any question
 * for an A with addresses in 127.0.0.0/24, and has no other record. Included
 * behind cmocka.h. */
#include <arpa/inet.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/conf.h"
#include "tests/unit/dns_message.h"

struct dns_fake {
	struct event *event;
	int fd;
	char address[64];
	char *servers[1];
	struct conf_dns dns; /* that leads here */
	/* What it says: */
	unsigned rcode, n_addresses, last_octet; /* of the first; counted up */
	uint32_t ttl_s;
	unsigned n_asked; /* for A */
};

static inline void
dns_fake_answer(evutil_socket_t fd, short what, void *arg)
{
	struct dns_fake *w = arg;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	static struct message m;
	uint8_t q[512];
	ssize_t len =
	    recvfrom(fd, q, sizeof(q), 0, (struct sockaddr *)&from, &from_len);
	size_t end = 12;
	unsigned type, n;

	(void)what;
	assert_true(len > 17);
	while (q[end] != 0)
		end += q[end] + 1u;
	type = q[end + 2];
	w->n_asked += type == 1;
	n = type == 1 && w->rcode == 0 ? w->n_addresses : 0;
	m.len = 0;
	put_bytes(&m, q, 2);
	put16(&m, 0x8180 + w->rcode);
	put16(&m, 1);
	put16(&m, n);
	put32(&m, 0);
	put_bytes(&m, q + 12, end + 5 - 12);
	for (unsigned i = 0; i < n; i++) {
		size_t start = record_begin(&m, 1, w->ttl_s);

		put32(&m, 0x7f000000 + w->last_octet + i);
		record_end(&m, start);
	}
	sendto(fd, m.v, m.len, 0, (struct sockaddr *)&from, from_len);
}

static inline void
dns_fake_start(struct dns_fake *w, struct event_base *base)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	memset(w, 0, sizeof(*w));
	w->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(w->fd, (struct sockaddr *)&at, len), 0);
	getsockname(w->fd, (struct sockaddr *)&at, &len);
	snprintf(w->address, sizeof(w->address), "127.0.0.1:%u",
	    ntohs(at.sin_port));
	w->event =
	    event_new(base, w->fd, EV_READ | EV_PERSIST, dns_fake_answer, w);
	event_add(w->event, NULL);
	w->servers[0] = w->address;
	w->dns = (struct conf_dns){ .servers = { w->servers, 1 },
		.timeout_us = 3000000 };
	w->n_addresses = 1;
	w->last_octet = 1;
	w->ttl_s = 300;
}

static inline void
dns_fake_end(struct dns_fake *w)
{
	event_free(w->event);
	close(w->fd);
}

#endif
