/* SPDX-License-Identifier: ISC */
/*
 * A load generator for `make bench`, for what Postfix's smtp-source can't do:
 * STARTTLS and AUTH, and the time from the final dot to its 250. Blocking
 * sockets and one thread a session, so that it measures the server and not
 * itself. Talks to loopback only.
 *
 *	bench_load [-s SESSIONS] [-m MESSAGES] [-l BYTES] [-d] [-T] [-a USER:PW]
 *	           [-t RECIPIENT] [-w US] HOST:PORT
 *
 * -d keeps the connection; -w waits between messages. Prints one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

struct options {
	unsigned n_sessions;
	unsigned n_messages;
	size_t size;
	unsigned wait_us;
	int keeps;
	int tls;
	char *auth; /* base64 of the PLAIN response, or NULL */
	const char *recipient;
	struct sockaddr_in to;
	SSL_CTX *context;
	char *content;
	size_t content_len;
};

static struct options opt = { .n_sessions = 1,
	.n_messages = 100,
	.size = 4096,
	.recipient = "b@x.test" };
static atomic_uint n_begun;
static atomic_uint n_failed;
static int64_t *latencies_us; /* one a message */

struct link {
	int fd;
	SSL *ssl;
	char buf[4096];
	size_t len;
};

static int
link_write(struct link *l, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = l->ssl ? SSL_write(l->ssl, data, (int)len)
				   : send(l->fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Reads one reply; its code, or -1. */
static int
link_reply(struct link *l)
{
	for (;;) {
		char *end = memchr(l->buf, '\n', l->len);

		if (end != NULL) {
			size_t used = (size_t)(end - l->buf) + 1;
			int is_last = used < 4 || l->buf[3] != '-';
			int code = atoi(l->buf);

			memmove(l->buf, l->buf + used, l->len - used);
			l->len -= used;
			if (is_last)
				return code;
			continue;
		}
		size_t room = sizeof(l->buf) - l->len;
		ssize_t n = l->ssl
		    ? SSL_read(l->ssl, l->buf + l->len, (int)room)
		    : recv(l->fd, l->buf + l->len, room, 0);
		if (room == 0 || n <= 0)
			return -1;
		l->len += (size_t)n;
	}
}

static int
say(struct link *l, const char *line, int expected)
{
	return link_write(l, line, strlen(line)) == 0 &&
		link_reply(l) == expected
	    ? 0
	    : -1;
}

static void
link_close(struct link *l)
{
	if (l->ssl != NULL)
		SSL_free(l->ssl);
	if (l->fd >= 0)
		close(l->fd);
	*l = (struct link){ .fd = -1 };
}

static int
link_secure(struct link *l)
{
	if (say(l, "STARTTLS\r\n", 220) < 0)
		return -1;
	l->ssl = SSL_new(opt.context);
	SSL_set_fd(l->ssl, l->fd);
	return SSL_connect(l->ssl) == 1 ? say(l, "EHLO bench.test\r\n", 250)
					: -1;
}

static int
link_open(struct link *l)
{
	char line[512];
	int on = 1;

	l->fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(l->fd, (struct sockaddr *)&opt.to, sizeof(opt.to)) < 0 ||
	    link_reply(l) != 220 || say(l, "EHLO bench.test\r\n", 250) < 0)
		return -1;
	if (opt.tls && link_secure(l) < 0)
		return -1;
	if (opt.auth == NULL)
		return 0;
	snprintf(line, sizeof(line), "AUTH PLAIN %s\r\n", opt.auth);
	return say(l, line, 235);
}

static int
send_message(struct link *l, unsigned number)
{
	char rcpt[300];
	int64_t start_us;

	snprintf(rcpt, sizeof(rcpt), "RCPT TO:<%s>\r\n", opt.recipient);
	if (say(l, "MAIL FROM:<a@app.test>\r\n", 250) < 0 ||
	    say(l, rcpt, 250) < 0 || say(l, "DATA\r\n", 354) < 0)
		return -1;
	start_us = clock_mono_us();
	if (link_write(l, opt.content, opt.content_len) < 0 ||
	    link_reply(l) != 250)
		return -1;
	latencies_us[number] = clock_mono_us() - start_us;
	return 0;
}

static void *
run_session(void *arg)
{
	struct link l = { .fd = -1 };
	unsigned number;

	(void)arg;
	while ((number = atomic_fetch_add(&n_begun, 1)) < opt.n_messages) {
		if ((l.fd < 0 && link_open(&l) < 0) ||
		    send_message(&l, number) < 0) {
			atomic_fetch_add(&n_failed, 1);
			link_close(&l);
			continue;
		}
		if (!opt.keeps) {
			say(&l, "QUIT\r\n", 221);
			link_close(&l);
		}
		if (opt.wait_us > 0)
			usleep(opt.wait_us);
	}
	link_close(&l);
	return NULL;
}

static void
make_content(void)
{
	struct strbuf b = { 0 };

	strbuf_adds(&b,
	    "From: <a@app.test>\r\nTo: <b@x.test>\r\n"
	    "Date: Tue, 24 Nov 2026 05:16:00 +0000\r\n"
	    "Message-ID: <bench@app.test>\r\n\r\n");
	while (b.len < opt.size)
		strbuf_adds(&b,
		    "0123456789012345678901234567890123456789"
		    "012345678901234567890123456789012345\r\n");
	strbuf_adds(&b, ".\r\n");
	opt.content_len = b.len;
	opt.content = strbuf_take(&b);
}

static void
make_auth(const char *user_and_password)
{
	char plain[256], out[400];
	size_t len = strlen(user_and_password);

	plain[0] = '\0';
	memcpy(plain + 1, user_and_password, len);
	*strchr(plain + 1, ':') = '\0';
	EVP_EncodeBlock((unsigned char *)out, (unsigned char *)plain,
	    (int)len + 1);
	opt.auth = xstrdup(out);
}

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
report(int64_t took_us)
{
	unsigned n = opt.n_messages;

	qsort(latencies_us, n, sizeof(*latencies_us), compare);
	printf("{\"messages\": %u, \"failed\": %u, \"seconds\": %.3f, "
	       "\"per_s\": %.1f, \"p50_us\": %lld, \"p99_us\": %lld, "
	       "\"max_us\": %lld}\n",
	    n, atomic_load(&n_failed), (double)took_us / 1e6,
	    n * 1e6 / (double)took_us, (long long)latencies_us[n / 2],
	    (long long)latencies_us[n - 1 - n / 100],
	    (long long)latencies_us[n - 1]);
}

static int
parse_address(char *text)
{
	char *colon = strrchr(text, ':');

	if (colon == NULL)
		return -1;
	*colon = '\0';
	opt.to.sin_family = AF_INET;
	opt.to.sin_port = htons((uint16_t)atoi(colon + 1));
	return inet_pton(AF_INET, text, &opt.to.sin_addr) == 1 &&
		strncmp(text, "127.", 4) == 0
	    ? 0
	    : -1;
}

static int
parse_options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "s:m:l:dTa:t:w:")) != -1)
		switch (option) {
		case 's':
			opt.n_sessions = (unsigned)atoi(optarg);
			break;
		case 'm':
			opt.n_messages = (unsigned)atoi(optarg);
			break;
		case 'l':
			opt.size = (size_t)atol(optarg);
			break;
		case 'd':
			opt.keeps = 1;
			break;
		case 'T':
			opt.tls = 1;
			break;
		case 'a':
			if (strchr(optarg, ':') == NULL || strlen(optarg) > 200)
				return -1;
			make_auth(optarg);
			break;
		case 't':
			opt.recipient = optarg;
			break;
		case 'w':
			opt.wait_us = (unsigned)atoi(optarg);
			break;
		default:
			return -1;
		}
	return optind + 1 == argc ? parse_address(argv[optind]) : -1;
}

int
main(int argc, char **argv)
{
	pthread_t *threads;
	int64_t start_us;

	if (parse_options(argc, argv) < 0 || opt.n_messages == 0) {
		fputs("usage: bench_load [-s SESSIONS] [-m MESSAGES] [-l "
		      "BYTES] [-d] [-T] [-a USER:PASSWORD] [-t RECIPIENT] [-w "
		      "US] 127.x.y.z:PORT\n",
		    stderr);
		return 2;
	}
	opt.context = SSL_CTX_new(TLS_client_method());
	make_content();
	latencies_us = xcalloc(opt.n_messages, sizeof(*latencies_us));
	threads = xcalloc(opt.n_sessions, sizeof(*threads));
	start_us = clock_mono_us();
	for (unsigned i = 0; i < opt.n_sessions; i++)
		pthread_create(&threads[i], NULL, run_session, NULL);
	for (unsigned i = 0; i < opt.n_sessions; i++)
		pthread_join(threads[i], NULL);
	report(clock_mono_us() - start_us);
	return atomic_load(&n_failed) == 0 ? 0 : 1;
}
