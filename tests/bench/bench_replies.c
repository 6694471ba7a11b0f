/* SPDX-License-Identifier: ISC */
/*
 * What it costs to say what a reply means: the refusals of tests/data, one
 * after the other, in CPU time of this thread; and what compiling the built-in
 * rules costs, which each reload pays.
 *
 *	bench_replies [FILE...]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/base/xalloc.h"
#include "scheduler/reply_rules.h"
#include "scheduler/reply_text.h"

#define N_MAX  4000
#define ROUNDS 50

struct sample {
	char *provider, *reply;
	char enhanced[16];
	struct reply_fact fact;
	int64_t ns;
};

static struct sample samples[N_MAX];
static size_t n_samples;

static int64_t
cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void
unescape(char *s)
{
	char *to = s;

	for (; *s != '\0'; s++, to++) {
		*to = *s;
		if (s[0] == '\\' && s[1] == 'n') {
			*to = '\n';
			s++;
		}
	}
	*to = '\0';
}

static void
add_row(char *line)
{
	struct sample *s = &samples[n_samples];
	char *provider = strsep(&line, "\t"), *phase = strsep(&line, "\t");
	char *reply = strsep(&line, "\t");

	if (reply == NULL || n_samples == N_MAX)
		return;
	unescape(reply);
	s->provider = xstrdup(provider);
	s->reply = xstrdup(reply);
	s->fact = (struct reply_fact){ .phase = (enum phase)phase_parse(phase),
		.code = reply_text_code(reply, s->enhanced),
		.enhanced = s->enhanced,
		.text = s->reply,
		.provider = s->provider };
	n_samples += s->fact.code >= 400;
}

static void
read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;

	if (f == NULL) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	while (getline(&line, &size, f) > 0)
		if (line[0] != '#') {
			line[strcspn(line, "\n")] = '\0';
			add_row(line);
		}
	free(line);
	fclose(f);
}

static int
by_ns(const void *a, const void *b)
{
	int64_t x = ((const struct sample *)a)->ns;
	int64_t y = ((const struct sample *)b)->ns;

	return (x > y) - (x < y);
}

static void
measure(const struct reply_rules *rules)
{
	int64_t sum_ns = 0;

	for (size_t i = 0; i < n_samples; i++) {
		int64_t before_ns = cpu_ns();

		for (int k = 0; k < ROUNDS; k++)
			reply_rules_ask(rules, &samples[i].fact);
		samples[i].ns = (cpu_ns() - before_ns) / ROUNDS;
		sum_ns += samples[i].ns;
	}
	qsort(samples, n_samples, sizeof(*samples), by_ns);
	printf(
	    "  %zu refusals: mean %lld ns, median %lld, p99 %lld, max %lld\n",
	    n_samples, (long long)(sum_ns / (int64_t)n_samples),
	    (long long)samples[n_samples / 2].ns,
	    (long long)samples[n_samples * 99 / 100].ns,
	    (long long)samples[n_samples - 1].ns);
}

static void
measure_accepted(const struct reply_rules *rules)
{
	struct reply_fact fact = { .phase = PHASE_EOD,
		.code = 250,
		.enhanced = "2.0.0",
		.text = "250 2.0.0 Ok: queued as D04B3C0008B",
		.provider = "gmail" };
	int64_t before_ns = cpu_ns();

	for (int i = 0; i < 1000000; i++)
		reply_rules_ask(rules, &fact);
	printf("  a 250: %lld ns\n",
	    (long long)(cpu_ns() - before_ns) / 1000000);
}

int
main(int argc, char **argv)
{
	const struct reply_rules *rules;
	int64_t before_ns = cpu_ns();
	struct err err;

	rules = reply_rules_new(NULL, &err);
	if (rules == NULL) {
		fprintf(stderr, "%s\n", err.text);
		return EXIT_FAILURE;
	}
	printf("reply rules\n  compiled in %lld us\n",
	    (long long)(cpu_ns() - before_ns) / 1000);
	for (int i = 1; i < argc; i++)
		read_file(argv[i]);
	if (argc == 1) {
		read_file("tests/data/replies.tsv");
		read_file("tests/data/replies_more.tsv");
	}
	measure(rules);
	measure_accepted(rules);
	for (size_t i = 0; i < n_samples; i++) {
		free(samples[i].provider);
		free(samples[i].reply);
	}
	reply_rules_unref(rules);
	return EXIT_SUCCESS;
}
