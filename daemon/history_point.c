/* SPDX-License-Identifier: ISC */
/*
 * One point of a lane's history as it is stored: a line of numbers, and the
 * last refusal behind them. The keys make a ring, so that what is stored is
 * bounded by the number of lanes alone. Pure.
 */
#include "daemon/history_point.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/spool.h"

const int64_t history_span_s[HISTORY_KINDS] = { 60, 3600 };
/* 24 hours, 400 days. */
const int64_t history_ring[HISTORY_KINDS] = { 1440, 9600 };

static const char kinds[HISTORY_KINDS] = { 'm', 'h' };

/* ---- keys ---- */

size_t
history_key_prefix(char *out, size_t size, enum history_kind kind,
    const char *lane)
{
	int n = snprintf(out, size, "%c%c %s ", SPOOL_FACT_ARCHIVE, kinds[kind],
	    lane);

	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

size_t
history_key(char *out, size_t size, enum history_kind kind, const char *lane,
    int64_t utc_s)
{
	int64_t place = utc_s / history_span_s[kind] % history_ring[kind];
	size_t n = history_key_prefix(out, size, kind, lane);

	if (n == 0 || n + 5 > size)
		return 0;
	snprintf(out + n, size - n, "%04d", (int)place);
	return n + 4;
}

int
history_key_kind(const char *key, size_t len)
{
	if (len < 3 || key[0] != SPOOL_FACT_ARCHIVE || key[2] != ' ')
		return -1;
	for (int kind = 0; kind < HISTORY_KINDS; kind++)
		if (key[1] == kinds[kind])
			return kind;
	return -1;
}

/* ---- points ---- */

/* Never in the middle of a character: JSON would have to mend it. */
void
history_point_set_reply(struct history_point *p, const char *reply)
{
	size_t len = strlen(reply);

	if (len > HISTORY_REPLY_MAX) {
		len = HISTORY_REPLY_MAX;
		while (len > 0 && ((unsigned char)reply[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(p->reply, reply, len);
	p->reply[len] = '\0';
}

void
history_point_format(const struct history_point *p, struct strbuf *out)
{
	bool any = false;

	strbuf_addf(out,
	    "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
	    " %" PRId64 " %" PRId64 " ",
	    p->utc_s, p->n_accepted, p->n_delivered, p->n_deferred,
	    p->n_bounced, p->n_queued, p->rate_milli);
	for (int c = 0; c < CLASS_COUNT; c++)
		if (p->n_refused[c] > 0) {
			strbuf_addf(out, "%s%s:%" PRId64, any ? "," : "",
			    reply_class_name((enum reply_class)c),
			    p->n_refused[c]);
			any = true;
		}
	strbuf_addf(out, "%s %s", any ? "" : "-", p->reply);
}

/* "rate:3,greylist:1" or "-"; what another version may have called otherwise
 * is left out. */
static int
parse_refused(char *text, struct history_point *out)
{
	char *save, *pair;

	if (strcmp(text, "-") == 0)
		return 0;
	for (pair = strtok_r(text, ",", &save); pair != NULL;
	     pair = strtok_r(NULL, ",", &save)) {
		char *colon = strchr(pair, ':');
		int class;

		if (colon == NULL)
			return -1;
		*colon = '\0';
		class = reply_class_parse(pair);
		if (class >= 0)
			out->n_refused[class] = strtoll(colon + 1, NULL, 10);
	}
	return 0;
}

static int
parse_numbers(char **text, int64_t *numbers, int n)
{
	for (int i = 0; i < n; i++) {
		char *end;

		numbers[i] = strtoll(*text, &end, 10);
		if (end == *text || *end != ' ')
			return -1;
		*text = end + 1;
	}
	return 0;
}

int
history_point_parse(const char *text, size_t len, struct history_point *out)
{
	char copy[2048], *p = copy, *space;
	int64_t n[7];

	*out = (struct history_point){ 0 };
	if (len >= sizeof(copy))
		return -1;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (parse_numbers(&p, n, 7) < 0 || n[0] <= 0)
		return -1;
	space = strchr(p, ' ');
	if (space == NULL)
		return -1;
	*space = '\0';
	if (parse_refused(p, out) < 0)
		return -1;
	out->utc_s = n[0];
	out->n_accepted = n[1];
	out->n_delivered = n[2];
	out->n_deferred = n[3];
	out->n_bounced = n[4];
	out->n_queued = n[5];
	out->rate_milli = n[6];
	history_point_set_reply(out, space + 1);
	return 0;
}
