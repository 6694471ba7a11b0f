/* SPDX-License-Identifier: ISC */
/*
 * `classify`: what the daemon would make of replies, one a line of stdin. With
 * -c the operator's own rules are tried first, as in the daemon.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/conf.h"
#include "daemon/ctl.h"
#include "scheduler/reply_rules.h"
#include "scheduler/reply_text.h"

struct wish {
	const char *file;
	const char *provider;
	enum phase phase;
};

static int
misused(const char *what, const char *word)
{
	fprintf(stderr, "flyballctl classify: %s%s%s%s\n", what,
	    word != NULL ? " \"" : "", word != NULL ? word : "",
	    word != NULL ? "\"" : "");
	return -1;
}

static int
take_phase(const char *word, struct wish *wish)
{
	int phase = phase_parse(word);

	if (phase < 0)
		return misused("there is no phase", word);
	wish->phase = (enum phase)phase;
	return 0;
}

static int
read_args(int argc, char **argv, struct wish *wish)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i];
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(name, "--provider") != 0 &&
		    strcmp(name, "--phase") != 0 && strcmp(name, "-c") != 0)
			return misused("what is", name);
		if (value == NULL)
			return misused("no value behind", name);
		i++;
		if (strcmp(name, "--provider") == 0)
			wish->provider = value;
		else if (strcmp(name, "-c") == 0)
			wish->file = value;
		else if (take_phase(value, wish) < 0)
			return -1;
	}
	return 0;
}

/* "\n" is a line end, "\\" a backslash; anything else stays. */
static void
unescape(char *line)
{
	char *to = line;

	for (char *from = line; *from != '\0'; from++) {
		if (from[0] == '\\' && from[1] == 'n') {
			*to++ = '\n';
			from++;
		} else if (from[0] == '\\' && from[1] == '\\') {
			*to++ = '\\';
			from++;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

static void
classify(const struct reply_rules *rules, const struct wish *wish,
    const char *text)
{
	char enhanced[16];
	struct reply_fact fact = {
		.phase = wish->phase,
		.code = reply_text_code(text, enhanced),
		.enhanced = enhanced,
		.text = text,
		.provider = wish->provider,
	};
	struct reply_answer a = reply_rules_ask(rules, &fact);

	printf("%s\t%s\t%s\n", reply_class_name(a.class), blame_name(a.blame),
	    a.rule);
}

static void
classify_lines(const struct reply_rules *rules, const struct wish *wish)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	while ((len = getline(&line, &cap, stdin)) > 0) {
		if (line[len - 1] == '\n')
			line[--len] = '\0';
		if (len > 0 && line[len - 1] == '\r')
			line[--len] = '\0';
		unescape(line);
		classify(rules, wish, line);
		/* Whoever asks line by line gets its answers so. */
		fflush(stdout);
	}
	free(line);
}

static struct conf *
load(const struct wish *wish, int *status_out)
{
	struct strbuf errors = { 0 };
	struct conf *conf;

	*status_out = CTL_OK;
	if (wish->file == NULL)
		return NULL;
	conf = conf_load(wish->file, &errors);
	if (conf == NULL) {
		fputs(errors.data, stderr);
		*status_out = CTL_REFUSED;
	}
	strbuf_fini(&errors);
	return conf;
}

int
ctl_classify(int argc, char **argv)
{
	struct wish wish = { .provider = "", .phase = PHASE_UNKNOWN };
	const struct reply_rules *rules;
	struct conf *conf;
	struct err err;
	int status;

	if (read_args(argc, argv, &wish) < 0)
		return CTL_USAGE;
	conf = load(&wish, &status);
	if (status != CTL_OK)
		return status;
	rules = reply_rules_new(conf, &err);
	conf_unref(conf);
	if (rules == NULL) {
		fprintf(stderr, "flyballctl classify: %s\n", err.text);
		return CTL_REFUSED;
	}
	classify_lines(rules, &wish);
	reply_rules_unref(rules);
	return CTL_OK;
}
