/* SPDX-License-Identifier: ISC */
/*
 * `report`: the event log of the last hours as a table by provider, with every
 * kind of refusal in the peer's own words. It reads the file by itself; the
 * daemon, if there is one, is only asked where it lies.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/units.h"
#include "conf/base/xalloc.h"
#include "daemon/ctl.h"
#include "daemon/ctl_show.h"
#include "daemon/ctl_table.h"
#include "daemon/ctl_text.h"
#include "daemon/report.h"

#define DEFAULT_LOG   "/var/log/flyball/events.jsonl"
#define DEFAULT_SINCE (INT64_C(24) * 3600 * 1000000)
#define REPLIES_SHOWN 10

struct wish {
	char *file; /* malloc'd; NULL = where the daemon says */
	int64_t since_us;
	bool wants_all; /* replies */
};

/* ---- words ---- */

static int
misused(const char *text)
{
	fprintf(stderr, "flyballctl report: %s\n", text);
	return -1;
}

static int
read_args(int argc, char **argv, struct wish *wish)
{
	for (int i = 1; i < argc; i++) {
		struct err err;

		if (strcmp(argv[i], "--all") == 0) {
			wish->wants_all = true;
		} else if (strcmp(argv[i], "--since") == 0) {
			if (i + 1 == argc)
				return misused("--since needs a duration");
			if (units_parse_duration(argv[++i], &wish->since_us,
				&err) < 0)
				return misused(err.text);
		} else if (wish->file == NULL &&
		    (argv[i][0] != '-' || argv[i][1] == '\0')) {
			wish->file = xstrdup(argv[i]);
		} else {
			return misused("[--since DURATION] [--all] [FILE]");
		}
	}
	return 0;
}

static void
find_file(const struct ctl *ctl, struct wish *wish)
{
	json_t *status;
	const char *path;

	if (wish->file != NULL)
		return;
	status = ctl_ask(ctl, "status");
	path = ctl_str(status, "event_log");
	wish->file =
	    xstrdup(*path != '\0' && strcmp(path, "-") != 0 ? path
							    : DEFAULT_LOG);
	json_decref(status);
}

/* ---- reading ---- */

static int
read_log(const struct wish *wish, struct report *r)
{
	bool is_stdin = strcmp(wish->file, "-") == 0;
	FILE *from = is_stdin ? stdin : fopen(wish->file, "re");
	char since[CLOCK_RFC3339_SIZE];
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	if (from == NULL) {
		fprintf(stderr, "flyballctl report: %s: %s\n", wish->file,
		    strerror(errno));
		return -1;
	}
	clock_rfc3339(clock_utc_us() - wish->since_us, since);
	while ((len = getline(&line, &cap, from)) > 0)
		report_add(r, line, (size_t)len, since);
	free(line);
	if (!is_stdin)
		fclose(from);
	return 0;
}

/* ---- for people ---- */

static void
count_cell(struct table *t, enum colour colour, uint64_t n)
{
	struct strbuf text = { 0 };

	text_add_count(&text, (int64_t)n);
	table_cell(t, n > 0 ? colour : PLAIN, text.data);
	strbuf_fini(&text);
}

static void
clean_cell(struct table *t, const char *dirty)
{
	struct strbuf text = { 0 };

	text_add_clean(&text, dirty, " / ");
	table_cell(t, PLAIN, text.data != NULL ? text.data : "");
	strbuf_fini(&text);
}

static void
show_providers(const struct ctl *ctl, const struct report *r, size_t n)
{
	struct table *t = table_new(ctl);

	table_column(t, "PROVIDER", false);
	table_column(t, "DELIVERED", true);
	table_column(t, "DEFERRED", true);
	table_column(t, "REJECTED", true);
	table_column(t, "HARD", true);
	table_column(t, "SOFT", true);
	table_column(t, "CHANGES", true);
	table_column(t, "LAST CHANGE", false);
	for (size_t i = 0; i < n; i++) {
		const struct report_provider *p = report_provider(r, i);

		clean_cell(t, p->name);
		count_cell(t, GREEN, p->n_delivered);
		count_cell(t, YELLOW, p->n_deferred);
		count_cell(t, RED, p->n_rejected);
		count_cell(t, RED, p->n_hard);
		count_cell(t, YELLOW, p->n_soft);
		count_cell(t, PLAIN, p->n_changes);
		clean_cell(t, p->last_change);
	}
	ctl_print_table(t, "no mail in this time");
}

static void
show_replies(const struct ctl *ctl, const struct report_provider *p,
    bool wants_all)
{
	size_t n = p->n_replies;
	struct table *t;

	if (n == 0)
		return;
	if (!wants_all && n > REPLIES_SHOWN)
		n = REPLIES_SHOWN;
	printf("\n%s%s refused%s\n", colour_on(ctl, BOLD), p->name,
	    colour_off(ctl, BOLD));
	t = table_new(ctl);
	table_column(t, "TIMES", true);
	table_column(t, "CLASS", false);
	table_column(t, "LAST", false);
	table_optional(t);
	table_column(t, "REPLY", false);
	for (size_t i = 0; i < n; i++) {
		count_cell(t, PLAIN, p->replies[i].n);
		clean_cell(t, p->replies[i].class);
		clean_cell(t, p->replies[i].last);
		clean_cell(t, p->replies[i].reply);
	}
	ctl_print_table(t, "");
	if (n < p->n_replies)
		printf("and %zu more kinds: --all shows them\n",
		    p->n_replies - n);
}

static void
show(const struct ctl *ctl, const struct wish *wish, const struct report *r,
    size_t n)
{
	struct strbuf span = { 0 };

	text_add_span(&span, wish->since_us / 1000);
	printf("the last %s of %s: %llu events\n\n", span.data, wish->file,
	    (unsigned long long)report_n_events(r));
	strbuf_fini(&span);
	show_providers(ctl, r, n);
	for (size_t i = 0; i < n; i++)
		show_replies(ctl, report_provider(r, i), wish->wants_all);
	if (report_n_unread(r) > 0)
		printf("\n%llu lines could not be read\n",
		    (unsigned long long)report_n_unread(r));
}

/* ---- for programs ---- */

static json_t *
json_of(const struct report_provider *p)
{
	json_t *replies = json_array();

	for (size_t i = 0; i < p->n_replies; i++)
		json_array_append_new(replies,
		    json_pack("{s:I, s:s, s:s, s:s, s:s}", "n",
			(json_int_t)p->replies[i].n, "class",
			p->replies[i].class, "code", p->replies[i].code, "last",
			p->replies[i].last, "reply", p->replies[i].reply));
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o}",
	    "provider", p->name, "delivered", (json_int_t)p->n_delivered,
	    "deferred", (json_int_t)p->n_deferred, "rejected",
	    (json_int_t)p->n_rejected, "hard_bounces", (json_int_t)p->n_hard,
	    "soft_bounces", (json_int_t)p->n_soft, "changes",
	    (json_int_t)p->n_changes, "last_change", p->last_change, "replies",
	    replies);
}

static void
show_json(const struct report *r, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_of(report_provider(r, i)));
	ctl_print_json(list);
	json_decref(list);
}

int
ctl_report(const struct ctl *ctl, int argc, char **argv)
{
	struct wish wish = { .since_us = DEFAULT_SINCE };
	struct report *r = report_new();
	int status = CTL_OK;
	size_t n;

	if (read_args(argc, argv, &wish) < 0) {
		status = CTL_USAGE;
		goto out;
	}
	find_file(ctl, &wish);
	if (read_log(&wish, r) < 0) {
		status = CTL_REFUSED;
		goto out;
	}
	n = report_finish(r);
	if (ctl->is_json)
		show_json(r, n);
	else
		show(ctl, &wish, r, n);
out:
	report_free(r);
	free(wish.file);
	return status;
}
