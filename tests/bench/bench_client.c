/* SPDX-License-Identifier: ISC */
/*
 * What the way out costs by itself: a pool that sends messages to a next hop
 * as fast as it takes them, without spool and scheduler.
 *
 *	bench_client [-c CONNECTIONS] [-m MESSAGES] [-l BYTES] [-r] [-t POLICY]
 *	             HOST:PORT
 *
 * -r opens a new connection for each message; -t is the route's `tls`. Prints
 * one JSON object.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "sink/pool.h"

struct work {
	struct pool_job job;
	struct envelope envelope;
	struct recipient recipient;
	struct rcpt_result result;
};

static struct {
	struct event_base *base;
	struct pool *pool;
	unsigned n_to_send, n_done, n_delivered;
	unsigned messages_per_connection;
	char *body;
	size_t body_len;
	char why[300]; /* of the last that failed */
} bench;

static void
send_next(struct work *w)
{
	if (bench.n_to_send == 0)
		return;
	bench.n_to_send--;
	transaction_fini_results(&w->job.transaction);
	free(w->job.refusal);
	w->job = (struct pool_job){ .arg = w,
		.messages_per_connection = bench.messages_per_connection,
		.transaction = { .envelope = &w->envelope,
		    .recipients = &w->recipient,
		    .n_recipients = 1,
		    .results = &w->result,
		    .provider = "other",
		    .body = bench.body,
		    .body_len = bench.body_len } };
	pool_send(bench.pool, 0, &w->job);
}

static void
on_done(struct pool_job *job, void *arg)
{
	struct work *w = job->arg;

	(void)arg;
	bench.n_done++;
	if (!job->is_unused && w->result.fate == FATE_DELIVERED)
		bench.n_delivered++;
	else
		snprintf(bench.why, sizeof(bench.why), "%s",
		    job->is_unused ? job->refusal : w->result.reply);
	send_next(w);
}

static void
make_body(size_t len)
{
	struct strbuf b = { 0 };

	strbuf_adds(&b, "From: a@x.test\r\nSubject: bench\r\n\r\n");
	while (b.len + 72 < len)
		strbuf_adds(&b,
		    "0123456789 0123456789 0123456789 0123456789 "
		    "0123456789 0123456789 0123\r\n");
	bench.body_len = b.len;
	bench.body = strbuf_take(&b);
}

static struct conf *
make_conf(const char *to, const char *policy)
{
	struct strbuf text = { 0 }, errors = { 0 };
	struct conf *conf;

	strbuf_addf(&text,
	    "daemon: {hostname: bench.test}\n"
	    "routes:\n  r: {next_hop: \"%s\", tls: %s}\n"
	    "streams:\n  default: {routes: [r]}\n",
	    to, policy);
	conf = conf_load_text("bench", text.data, text.len, &errors);
	if (conf == NULL)
		fputs(errors.data, stderr);
	strbuf_fini(&text);
	strbuf_fini(&errors);
	return conf;
}

static double
cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int
run(const char *to, const char *policy, unsigned n_conns)
{
	struct conf *conf = make_conf(to, policy);
	struct work *work = xcalloc(n_conns, sizeof(*work));
	unsigned n_messages = bench.n_to_send;
	int64_t begin_us;
	struct err err;
	double took_s;

	bench.base = event_base_new();
	bench.pool = pool_new(bench.base, on_done, NULL);
	if (conf == NULL || pool_configure(bench.pool, conf, &err) < 0)
		return 1;
	begin_us = clock_mono_us();
	for (unsigned i = 0; i < n_conns; i++) {
		work[i].envelope.sender = (char *)"a@x.test";
		work[i].recipient.address = (char *)"b@x.test";
		send_next(&work[i]);
	}
	while (bench.n_done < n_messages)
		event_base_loop(bench.base, EVLOOP_ONCE);
	took_s = (double)(clock_mono_us() - begin_us) / 1e6;
	printf("{\"messages\": %u, \"delivered\": %u, \"seconds\": %.3f, "
	       "\"per_second\": %.0f, \"cpu_us_per_message\": %.1f}\n",
	    n_messages, bench.n_delivered, took_s, n_messages / took_s,
	    cpu_s() * 1e6 / n_messages);
	if (bench.n_delivered < n_messages)
		fprintf(stderr, "%s\n", bench.why);
	pool_free(bench.pool);
	event_base_loop(bench.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	event_base_free(bench.base);
	for (unsigned i = 0; i < n_conns; i++) {
		transaction_fini_results(&work[i].job.transaction);
		free(work[i].job.refusal);
	}
	free(work);
	free(bench.body);
	conf_unref(conf);
	return bench.n_delivered < n_messages;
}

int
main(int argc, char **argv)
{
	unsigned n_conns = 20;
	size_t size = 4096;
	const char *policy = "none";
	int option;

	bench.n_to_send = 10000;
	while ((option = getopt(argc, argv, "c:m:l:rt:")) != -1) {
		if (option == 'c')
			n_conns = (unsigned)atoi(optarg);
		else if (option == 'm')
			bench.n_to_send = (unsigned)atoi(optarg);
		else if (option == 'l')
			size = (size_t)atol(optarg);
		else if (option == 'r')
			bench.messages_per_connection = 1;
		else if (option == 't')
			policy = optarg;
		else
			return 2;
	}
	if (optind != argc - 1 || n_conns == 0 || bench.n_to_send < n_conns) {
		fputs("usage: bench_client [-c N] [-m N] [-l BYTES] [-r] "
		      "[-t POLICY] HOST:PORT\n",
		    stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	make_body(size);
	return run(argv[optind], policy, n_conns);
}
