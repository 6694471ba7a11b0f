/* SPDX-License-Identifier: ISC */
/*
 * The suppression list as text: CSV for people and other programs, one line
 * for the database. The admin socket and the store call it. Nothing here
 * decides who is suppressed; a line that makes no sense is left out and told.
 */
#include "scheduler/suppression_csv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/base/zone.h"

#define DAY_US	  (86400 * INT64_C(1000000))
#define FIELDS	  16
#define FIELD_MAX 4096
#define REPLY_MAX 2048

/* ---- out ---- */

static void
add_field(struct strbuf *out, const char *field)
{
	/* A line that begins with "#" is a comment, and an address may. */
	if (strpbrk(field, "\",\r\n") == NULL && strspn(field, "# \t") == 0) {
		strbuf_adds(out, field);
		return;
	}
	strbuf_addc(out, '"');
	for (; *field != '\0'; field++) {
		if (*field == '"')
			strbuf_addc(out, '"');
		strbuf_addc(out, *field);
	}
	strbuf_addc(out, '"');
}

void
suppression_csv_header(struct strbuf *out)
{
	strbuf_adds(out, "address,reason,reply,added,expires\n");
}

void
suppression_csv_add(struct strbuf *out, const struct suppression_entry *entry)
{
	char date[ZONE_DATE_SIZE];

	add_field(out, entry->address);
	strbuf_addf(out, ",%s,", suppression_reason_name(entry->reason));
	add_field(out, entry->reply);
	strbuf_addf(out, ",%s,", zone_date(entry->added_utc_us / DAY_US, date));
	if (entry->expires_utc_us != INT64_MAX)
		strbuf_adds(out,
		    zone_date(entry->expires_utc_us / DAY_US, date));
	strbuf_addc(out, '\n');
}

/* ---- in: one record of fields ---- */

struct record {
	char text[FIELD_MAX]; /* the fields, NUL-terminated */
	const char *fields[FIELDS];
	size_t n;
	bool is_too_long;
	char address[SUPPRESSION_ADDRESS_SIZE];
};

struct reader {
	const char *p, *end;
	size_t line;
};

static bool
is_eol(char c)
{
	return c == '\n' || c == '\r';
}

static void
put(struct record *r, size_t *len, char c)
{
	if (*len + 1 < sizeof(r->text))
		r->text[(*len)++] = c;
	else
		r->is_too_long = true;
}

/* Within quotes everything counts, "" is a quote. */
static void
read_quoted(struct reader *in, struct record *r, size_t *len)
{
	for (in->p++; in->p < in->end; in->p++) {
		if (*in->p == '"' && in->p + 1 < in->end && in->p[1] == '"')
			in->p++;
		else if (*in->p == '"') {
			in->p++;
			return;
		}
		if (*in->p == '\n')
			in->line++;
		put(r, len, *in->p);
	}
}

static void
read_field(struct reader *in, struct record *r, size_t *len)
{
	const char *field = r->text + *len;

	while (in->p < in->end && (*in->p == ' ' || *in->p == '\t'))
		in->p++;
	if (in->p < in->end && *in->p == '"')
		read_quoted(in, r, len);
	while (in->p < in->end && *in->p != ',' && !is_eol(*in->p))
		put(r, len, *in->p++);
	while (r->text + *len > field && r->text[*len - 1] == ' ')
		(*len)--;
	put(r, len, '\0');
	r->text[sizeof(r->text) - 1] = '\0';
	if (r->n < FIELDS)
		r->fields[r->n++] = field;
}

/* Empty lines and comments. */
static void
skip_blank(struct reader *in)
{
	while (in->p < in->end) {
		if (*in->p == '#')
			while (in->p < in->end && *in->p != '\n')
				in->p++;
		else if (!is_eol(*in->p))
			return;
		else if (*in->p++ == '\n')
			in->line++;
	}
}

/* False: there is no more. */
static bool
read_record(struct reader *in, struct record *r)
{
	size_t len = 0;

	r->n = 0;
	r->is_too_long = false;
	skip_blank(in);
	if (in->p >= in->end)
		return false;
	for (;;) {
		read_field(in, r, &len);
		if (in->p >= in->end || *in->p != ',')
			return true;
		in->p++;
	}
}

/* ---- in: what the columns mean ---- */

enum column { COL_ADDRESS, COL_REASON, COL_REPLY, COL_ADDED, COL_EXPIRES };
#define COLUMNS 5

static const struct {
	const char *name;
	enum column column;
} column_names[] = {
	{ "address", COL_ADDRESS },
	{ "email", COL_ADDRESS },
	{ "email address", COL_ADDRESS },
	{ "recipient", COL_ADDRESS },
	{ "reason", COL_REASON },
	{ "reply", COL_REPLY },
	{ "note", COL_REPLY },
	{ "added", COL_ADDED },
	{ "created", COL_ADDED },
	{ "expires", COL_EXPIRES },
};

struct layout {
	int at[COLUMNS]; /* field of each column; -1 = none */
};

static bool
is_header(const struct record *r, struct layout *layout)
{
	struct layout found = { { -1, -1, -1, -1, -1 } };

	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0;
		     k < sizeof(column_names) / sizeof(column_names[0]); k++)
			if (strcasecmp(r->fields[i], column_names[k].name) == 0)
				found.at[column_names[k].column] = (int)i;
	if (found.at[COL_ADDRESS] < 0)
		return false;
	*layout = found;
	return true;
}

static const char *
field_of(const struct record *r, const struct layout *layout, enum column c)
{
	int i = layout->at[c];

	return i >= 0 && (size_t)i < r->n ? r->fields[i] : "";
}

/* "2026-11-24", or an instant that begins so. */
static int
read_date(const char *text, int64_t *utc_us_out)
{
	char date[11];
	int64_t day;

	if (strlen(text) < 10 || strchr("T ", text[10]) == NULL)
		return -1;
	snprintf(date, sizeof(date), "%s", text);
	day = zone_date_parse(date);
	if (day < 0)
		return -1;
	*utc_us_out = day * DAY_US;
	return 0;
}

static const char *
entry_of(struct record *r, const struct layout *layout, int64_t utc_us,
    int64_t ttl_us, struct suppression_entry *e)
{
	const char *reason = field_of(r, layout, COL_REASON);
	const char *added = field_of(r, layout, COL_ADDED);
	const char *expires = field_of(r, layout, COL_EXPIRES);
	int found;

	*e = (struct suppression_entry){
		.address = field_of(r, layout, COL_ADDRESS),
		.reason = SUPPRESSION_MANUAL,
		.reply = field_of(r, layout, COL_REPLY),
		.added_utc_us = utc_us,
		.expires_utc_us = ttl_us > 0 ? utc_us + ttl_us : INT64_MAX,
	};
	if (r->is_too_long || strlen(e->reply) > REPLY_MAX)
		return "the line is too long";
	if (suppression_address_parse(e->address, r->address) < 0)
		return "that is no address";
	e->address = r->address;
	found = suppression_reason_parse(reason);
	if (found < 0 && reason[0] != '\0')
		return "the reason is hard, soft, complaint, manual or domain";
	if (found >= 0)
		e->reason = (enum suppression_reason)found;
	if (added[0] != '\0' && read_date(added, &e->added_utc_us) < 0)
		return "added is no date like 2026-11-24";
	if (expires[0] != '\0' && read_date(expires, &e->expires_utc_us) < 0)
		return "expires is no date like 2026-11-24";
	return NULL;
}

static void
count_bad(struct suppression_import *out, size_t line, const char *address,
    const char *why)
{
	if (out->n_bad++ > 0)
		return;
	out->line = line;
	snprintf(out->why, sizeof(out->why), "\"%.80s\": %s", address, why);
}

void
suppression_csv_read(const char *data, size_t len, int64_t utc_us,
    int64_t ttl_us,
    void (*each)(const struct suppression_entry *entry, void *arg), void *arg,
    struct suppression_import *out)
{
	struct layout layout = { { 0, 1, 2, 3, 4 } };
	struct reader in = { data, data + len, 1 };
	struct record r;
	bool is_first = true;

	*out = (struct suppression_import){ 0 };
	/* A byte order mark, as spreadsheets write. */
	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		in.p += 3;
	while (read_record(&in, &r)) {
		struct suppression_entry e;
		const char *why;

		if (is_first && is_header(&r, &layout)) {
			is_first = false;
			continue;
		}
		is_first = false;
		why = entry_of(&r, &layout, utc_us, ttl_us, &e);
		if (why != NULL) {
			count_bad(out, in.line, e.address, why);
			continue;
		}
		out->n_added++;
		each(&e, arg);
	}
}

/* ---- stored ---- */

void
suppression_entry_format(const struct suppression_entry *e, struct strbuf *out)
{
	strbuf_addf(out, "1 %s %" PRId64 " %" PRId64 " %s",
	    suppression_reason_name(e->reason), e->added_utc_us,
	    e->expires_utc_us, e->reply);
}

int
suppression_entry_parse(const char *text, struct suppression_entry *out)
{
	int64_t added, expires;
	char reason[16];
	int found, end = 0;

	if (sscanf(text, "1 %15s %" SCNd64 " %" SCNd64 "%n", reason, &added,
		&expires, &end) != 3 ||
	    text[end] != ' ')
		return -1;
	found = suppression_reason_parse(reason);
	if (found < 0)
		return -1;
	out->reason = (enum suppression_reason)found;
	out->added_utc_us = added;
	out->expires_utc_us = expires;
	out->reply = text + end + 1;
	return 0;
}
