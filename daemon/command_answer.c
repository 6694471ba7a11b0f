/* SPDX-License-Identifier: ISC */
/*
 * JSON for the admin socket's answers, written forward only. Every string goes
 * through strbuf_add_json_string(), so whatever peers or operators wrote comes
 * out as valid JSON on one line. Who opens closes: a test parses each answer.
 */
#include "daemon/command_answer.h"

#include "conf/base/clock.h"
#include "conf/base/json.h"

#include <string.h>

void
answer_fini(struct answer *a)
{
	strbuf_fini(&a->json);
}

void
answer_reset(struct answer *a)
{
	strbuf_fini(&a->json);
	*a = (struct answer){ 0 };
}

/* False: full, the value is left out. */
static bool
begin(struct answer *a, const char *key)
{
	if (a->json.len >= ANSWER_MAX)
		a->is_full = true;
	if (a->is_full)
		return false;
	if (a->wants_comma)
		strbuf_addc(&a->json, ',');
	a->wants_comma = true;
	if (key != NULL) {
		strbuf_addc(&a->json, '"');
		strbuf_adds(&a->json, key);
		strbuf_add(&a->json, "\":", 2);
	}
	return true;
}

void
answer_open(struct answer *a, const char *key, char bracket)
{
	if (!begin(a, key))
		return;
	strbuf_addc(&a->json, bracket);
	a->wants_comma = false;
}

void
answer_close(struct answer *a, char bracket)
{
	if (a->is_full)
		return;
	strbuf_addc(&a->json, bracket);
	a->wants_comma = true;
}

void
answer_key(struct answer *a, const char *key)
{
	if (begin(a, key))
		a->wants_comma = false;
}

void
answer_str(struct answer *a, const char *key, const char *text)
{
	if (begin(a, key))
		strbuf_add_json_string(&a->json, text, strlen(text));
}

void
answer_strn(struct answer *a, const char *key, const char *text, size_t len)
{
	if (begin(a, key))
		strbuf_add_json_string(&a->json, text, len);
}

void
answer_opt(struct answer *a, const char *key, const char *text)
{
	if (text == NULL || *text == '\0')
		answer_null(a, key);
	else
		answer_str(a, key, text);
}

/* Ten thousand lanes have two hundred thousand numbers: printf() would be the
 * half of the work. */
static void
add_int(struct strbuf *out, int64_t value)
{
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char text[24];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (value < 0)
		text[--at] = '-';
	strbuf_add(out, text + at, sizeof(text) - at);
}

void
answer_int(struct answer *a, const char *key, int64_t value)
{
	if (begin(a, key))
		add_int(&a->json, value);
}

void
answer_ratio(struct answer *a, const char *key, int64_t count, int64_t divisor)
{
	int64_t rest;

	if (!begin(a, key))
		return;
	add_int(&a->json, count / divisor);
	rest = (int64_t)((__int128)(count % divisor) * 1000 / divisor);
	if (rest > 0)
		strbuf_addf(&a->json, ".%03lld", (long long)rest);
}

void
answer_bool(struct answer *a, const char *key, bool value)
{
	if (begin(a, key))
		strbuf_adds(&a->json, value ? "true" : "false");
}

void
answer_null(struct answer *a, const char *key)
{
	if (begin(a, key))
		strbuf_adds(&a->json, "null");
}

void
answer_raw(struct answer *a, const char *key, const char *json, size_t len)
{
	if (begin(a, key))
		strbuf_add(&a->json, json, len);
}

void
answer_time(struct answer *a, const char *key, int64_t utc_us)
{
	char text[CLOCK_RFC3339_SIZE];

	if (utc_us == 0) {
		answer_null(a, key);
		return;
	}
	clock_rfc3339(utc_us, text);
	answer_str(a, key, text);
}

void
answer_wait(struct answer *a, const char *key, int64_t due_us, int64_t now_us)
{
	if (due_us == INT64_MAX)
		answer_null(a, key);
	else
		answer_int(a, key,
		    due_us > now_us ? (due_us - now_us + 999) / 1000 : 0);
}
