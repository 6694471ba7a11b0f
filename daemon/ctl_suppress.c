/* SPDX-License-Identifier: ISC */
/*
 * `suppress export` and `suppress import`: the list as CSV, by way of the
 * admin socket's `suppress list` and `suppress add`.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/strbuf.h"
#include "conf/base/units.h"
#include "conf/base/xalloc.h"
#include "conf/base/zone.h"
#include "daemon/ctl.h"
#include "scheduler/suppression_csv.h"

#define DAY_US (86400 * INT64_C(1000000))

static json_t *
ask_words(struct ctl_client *c, char *const *words, size_t n)
{
	struct err err;

	if (ctl_client_send(c, words, n, &err) < 0) {
		fprintf(stderr, "flyballctl: %s\n", err.text);
		return NULL;
	}
	return ctl_client_read(c);
}

static int
complain(const json_t *answer)
{
	const char *error = json_string_value(json_object_get(answer, "error"));

	fprintf(stderr, "flyballctl: %s\n",
	    error != NULL ? error : "the daemon ended the connection");
	return answer != NULL ? CTL_REFUSED : CTL_NO_DAEMON;
}

/* ---- export ---- */

/* CSV has dates, so dates are enough. */
static int64_t
day_of(const json_t *object, const char *key, int64_t if_none)
{
	const char *text = json_string_value(json_object_get(object, key));
	char date[11];
	int64_t day;

	if (text == NULL)
		return if_none;
	snprintf(date, sizeof(date), "%.10s", text);
	day = zone_date_parse(date);
	return day < 0 ? if_none : day * DAY_US;
}

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static void
print_entry(const json_t *item)
{
	struct strbuf line = { 0 };
	int reason = suppression_reason_parse(text_of(item, "reason"));
	struct suppression_entry entry = { .address = text_of(item, "address"),
		.reason = reason < 0 ? SUPPRESSION_MANUAL
				     : (enum suppression_reason)reason,
		.reply = text_of(item, "reply"),
		.added_utc_us = day_of(item, "added", 0),
		.expires_utc_us = day_of(item, "expires", INT64_MAX) };

	suppression_csv_add(&line, &entry);
	fputs(line.data, stdout);
	strbuf_fini(&line);
}

/* The daemon gives no more at once; a list that is cut off must not pass for a
 * whole one. */
#define EXPORT_MOST "1000000"

int
ctl_suppress_export(const struct ctl *ctl, int argc, char **argv)
{
	char *words[] = { (char *)"suppress", (char *)"list", (char *)"limit",
		(char *)EXPORT_MOST };
	struct ctl_client *c = ctl_client_open(ctl, false);
	struct strbuf header = { 0 };
	json_t *answer, *list;
	int result = CTL_OK;

	(void)argc;
	(void)argv;
	if (c == NULL)
		return CTL_NO_DAEMON;
	answer = ask_words(c, words, 4);
	list = json_object_get(answer, "result");
	if (!json_is_array(list)) {
		result = complain(answer);
	} else {
		suppression_csv_header(&header);
		fputs(header.data, stdout);
		strbuf_fini(&header);
		for (size_t i = 0; i < json_array_size(list); i++)
			print_entry(json_array_get(list, i));
		if (json_array_size(list) >= strtoul(EXPORT_MOST, NULL, 10)) {
			fprintf(stderr,
			    "flyballctl: these are the first " EXPORT_MOST
			    " entries, there may be more; `suppress list "
			    "PATTERN` shows a part\n");
			result = CTL_REFUSED;
		}
	}
	json_decref(answer);
	ctl_client_close(c);
	return result;
}

/* ---- import ---- */

struct importer {
	struct ctl_client *client;
	int64_t now_utc_us;
	size_t n_added, n_refused;
	char first_refusal[200];
	bool is_lost;
};

static void
add_entry(const struct suppression_entry *entry, void *arg)
{
	struct importer *im = arg;
	char *words[9];
	char span[UNITS_TEXT_SIZE];
	size_t n = 0;
	json_t *answer;

	if (im->is_lost || entry->expires_utc_us <= im->now_utc_us)
		return;
	words[n++] = (char *)"suppress";
	words[n++] = (char *)"add";
	words[n++] = (char *)entry->address;
	words[n++] = (char *)"reason";
	words[n++] = (char *)suppression_reason_name(entry->reason);
	if (entry->expires_utc_us != INT64_MAX) {
		int64_t left_us = entry->expires_utc_us - im->now_utc_us;

		words[n++] = (char *)"for";
		words[n++] =
		    units_format_duration(left_us - left_us % 1000000 + 1000000,
			span);
	}
	if (*entry->reply != '\0') {
		words[n++] = (char *)"because";
		words[n++] = (char *)entry->reply;
	}
	answer = ask_words(im->client, words, n);
	if (answer == NULL)
		im->is_lost = true;
	else if (json_is_true(json_object_get(answer, "ok")))
		im->n_added++;
	else if (im->n_refused++ == 0)
		snprintf(im->first_refusal, sizeof(im->first_refusal), "%s",
		    text_of(answer, "error"));
	json_decref(answer);
}

static int
read_all(const char *file, struct strbuf *out)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "r");
	char block[65536];
	size_t n;
	int result;

	if (f == NULL) {
		perror(file);
		return -1;
	}
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		strbuf_add(out, block, n);
	result = ferror(f) ? -1 : 0;
	if (result < 0)
		perror(file);
	if (f != stdin)
		fclose(f);
	return result;
}

static int
tell(const struct importer *im, const struct suppression_import *import,
    const char *file)
{
	printf("%zu added", im->n_added);
	if (im->n_refused > 0)
		printf(", %zu refused (%s)", im->n_refused, im->first_refusal);
	putchar('\n');
	if (import->n_bad > 0)
		fprintf(stderr, "%s:%zu: %s; %zu lines left out\n", file,
		    import->line, import->why, import->n_bad);
	if (im->is_lost)
		return complain(NULL);
	return im->n_refused > 0 || import->n_bad > 0 ? CTL_REFUSED : CTL_OK;
}

int
ctl_suppress_import(const struct ctl *ctl, int argc, char **argv)
{
	struct importer im = { .now_utc_us = clock_utc_us() };
	struct suppression_import import = { 0 };
	struct strbuf text = { 0 };
	int result = CTL_REFUSED;

	(void)argc;
	if (read_all(argv[1], &text) < 0)
		return CTL_REFUSED;
	im.client = ctl_client_open(ctl, false);
	if (im.client == NULL) {
		result = CTL_NO_DAEMON;
	} else {
		suppression_csv_read(text.data != NULL ? text.data : "",
		    text.len, im.now_utc_us, 0, add_entry, &im, &import);
		result = tell(&im, &import, argv[1]);
	}
	ctl_client_close(im.client);
	strbuf_fini(&text);
	return result;
}
