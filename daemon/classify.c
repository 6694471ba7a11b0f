/* SPDX-License-Identifier: ISC */
/*
 * The classifier for people and scripts: what the daemon would make of these
 * replies. It needs no daemon, and with the built-in rules no configuration.
 *
 * A line without a reply's code is what our own side would have seen: a
 * timeout, a refused connection.
 */
#include "daemon/classify.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "scheduler/reply_rules.h"
#include "scheduler/reply_text.h"

#define EXIT_USAGE 2

struct ask {
	const char *file; /* configuration; NULL = built-in rules only */
	const char *provider;
	enum phase phase;
};

static int
usage(void)
{
	fprintf(stderr,
	    "usage: flyballctl classify [-c FILE] [--provider NAME] "
	    "[--phase PHASE]\n");
	return EXIT_USAGE;
}

static int
phase_of(const char *name, enum phase *phase_out)
{
	int phase = phase_parse(name);

	if (phase < 0) {
		fprintf(stderr, "classify: no phase '%s'; there are", name);
		for (int i = 0; i < PHASE_COUNT; i++)
			fprintf(stderr, " %s", phase_name((enum phase)i));
		fprintf(stderr, "\n");
		return -1;
	}
	*phase_out = (enum phase)phase;
	return 0;
}

static int
read_options(struct ask *ask, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "provider", required_argument, NULL, 'p' },
		{ "phase", required_argument, NULL, 'P' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	optind = 0; /* a caller may have used it */
	while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (option == 'c')
			ask->file = optarg;
		else if (option == 'p')
			ask->provider = optarg;
		else if (option != 'P')
			return usage();
		else if (phase_of(optarg, &ask->phase) != 0)
			return EXIT_USAGE;
	}
	return optind == argc ? 0 : usage();
}

static const struct reply_rules *
make_rules(const char *file)
{
	const struct reply_rules *rules = NULL;
	struct strbuf errors = { 0 };
	struct conf *conf = NULL;
	struct err err;

	if (file != NULL) {
		conf = conf_load(file, &errors);
		if (conf == NULL)
			fprintf(stderr, "%s", errors.data);
	}
	if (file == NULL || conf != NULL) {
		rules = reply_rules_new(conf, &err);
		if (rules == NULL)
			fprintf(stderr, "%s\n", err.text);
	}
	strbuf_fini(&errors);
	conf_unref(conf);
	return rules;
}

/* In place: "\n" becomes a line's end. */
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
classify(const struct reply_rules *rules, const struct ask *ask, char *line)
{
	char enhanced[16];
	struct reply_fact fact = { .phase = ask->phase,
		.enhanced = enhanced,
		.text = line,
		.provider = ask->provider };
	struct reply_answer answer;

	line[strcspn(line, "\r\n")] = '\0';
	unescape(line);
	fact.code = reply_text_code(line, enhanced);
	answer = reply_rules_ask(rules, &fact);
	printf("%s\t%s\t%s\n", reply_class_name(answer.class),
	    blame_name(answer.blame), answer.rule);
}

int
classify_main(int argc, char **argv)
{
	struct ask ask = { .provider = "", .phase = PHASE_UNKNOWN };
	int status = read_options(&ask, argc, argv);
	const struct reply_rules *rules;
	char *line = NULL;
	size_t size = 0;

	if (status != 0)
		return status;
	rules = make_rules(ask.file);
	if (rules == NULL)
		return EXIT_FAILURE;
	while (getline(&line, &size, stdin) > 0)
		classify(rules, &ask, line);
	free(line);
	reply_rules_unref(rules);
	return ferror(stdin) || fflush(stdout) != 0 ? EXIT_FAILURE
						    : EXIT_SUCCESS;
}
