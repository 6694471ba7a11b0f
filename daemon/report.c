/* SPDX-License-Identifier: ISC */
/*
 * Sums up the event log for `flyballctl report`. It sees one line at a time
 * and keeps numbers only, so a log of any length takes as much memory as there
 * are kinds of refusals; when a peer puts something new into each reply, the
 * kinds are bounded too.
 */
#include "daemon/report.h"

#include <ctype.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "conf/base/xalloc.h"

#define KINDS_MAX 20000
#define KIND_MAX  400 /* bytes of a kind's text */

struct kind {
	UT_hash_handle hh;
	char *key; /* class, code and text without its numbers */
	char *class, *code, *reply, *last;
	uint64_t n;
};

struct sum {
	UT_hash_handle hh;
	char *name;
	struct kind *kinds;
	char *last_change;
	struct report_provider view;
};

struct report {
	struct sum *sums;
	struct sum **order;
	size_t n_sums, n_kinds;
	uint64_t n_events, n_unread;
};

struct report *
report_new(void)
{
	return xcalloc(1, sizeof(struct report));
}

static void
kind_free(struct kind *k)
{
	free(k->key);
	free(k->class);
	free(k->code);
	free(k->reply);
	free(k->last);
	free(k);
}

void
report_free(struct report *r)
{
	struct sum *s, *next_sum;

	HASH_ITER(hh, r->sums, s, next_sum)
	{
		struct kind *k, *next_kind;

		HASH_ITER(hh, s->kinds, k, next_kind)
		{
			HASH_DEL(s->kinds, k);
			kind_free(k);
		}
		HASH_DEL(r->sums, s);
		free((void *)s->view.replies);
		free(s->last_change);
		free(s->name);
		free(s);
	}
	free(r->order);
	free(r);
}

/* ---- kinds of replies ---- */

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || strchr("._-:@+=/<>[]", c) != NULL;
}

/* "4.7.28" */
static bool
is_enhanced(const char *word, size_t len)
{
	size_t n_dots = 0;

	for (size_t i = 0; i < len; i++) {
		if (word[i] == '.')
			n_dots++;
		else if (!isdigit((unsigned char)word[i]))
			return false;
	}
	return n_dots == 2 && len <= 9 && word[1] == '.';
}

/* IDs, addresses and numbers change from reply to reply; codes don't. */
static bool
is_variable(const char *word, size_t len)
{
	size_t n_digits = 0, n_dots = 0;

	if (is_enhanced(word, len))
		return false;
	for (size_t i = 0; i < len; i++) {
		n_digits += isdigit((unsigned char)word[i]) != 0;
		n_dots += word[i] == '.';
		if (word[i] == '@' || word[i] == ':')
			return true;
	}
	return n_digits >= 4 || n_dots >= 4 || (n_digits > 0 && len >= 12);
}

/* A line's "421-" or "421 "; 0 when it has none. */
static size_t
code_len(const char *line)
{
	for (int i = 0; i < 3; i++)
		if (!isdigit((unsigned char)line[i]))
			return 0;
	return line[3] == '-' || line[3] == ' ' ? 4 : 0;
}

void
reply_kind(const char *reply, struct strbuf *out)
{
	bool is_line_start = true;

	while (*reply != '\0' && out->len < KIND_MAX) {
		size_t len = is_line_start ? code_len(reply) : 0;
		bool is_code = len > 0;

		is_line_start = *reply == '\n';
		while (!is_code && reply[len] != '\0' && is_word(reply[len]))
			len++;
		if (len == 0)
			strbuf_addc(out, *reply++);
		else if (!is_code && is_variable(reply, len))
			strbuf_addc(out, '*');
		else
			strbuf_add(out, reply, len);
		reply += len;
	}
}

/* ---- adding ---- */

static const char *
str(const json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text != NULL ? text : "";
}

static struct sum *
sum_get(struct report *r, const char *name)
{
	struct sum *s;

	if (*name == '\0')
		name = "-";
	HASH_FIND_STR(r->sums, name, s);
	if (s != NULL)
		return s;
	s = xcalloc(1, sizeof(*s));
	s->name = xstrdup(name);
	s->view.name = s->name;
	s->view.last_change = "";
	HASH_ADD_KEYPTR(hh, r->sums, s->name, strlen(s->name), s);
	r->n_sums++;
	return s;
}

static struct kind *
kind_get(struct report *r, struct sum *s, const char *key)
{
	struct kind *k;

	HASH_FIND_STR(s->kinds, key, k);
	if (k != NULL)
		return k;
	/* What is new beyond the bound is counted with others of its class. */
	if (r->n_kinds >= KINDS_MAX) {
		HASH_FIND_STR(s->kinds, "", k);
		if (k != NULL)
			return k;
		key = "";
	}
	k = xcalloc(1, sizeof(*k));
	k->key = xstrdup(key);
	HASH_ADD_KEYPTR(hh, s->kinds, k->key, strlen(k->key), k);
	r->n_kinds++;
	return k;
}

static void
add_refusal(struct report *r, struct sum *s, const json_t *event)
{
	int64_t code = json_integer_value(json_object_get(event, "code"));
	struct strbuf key = { 0 };
	struct kind *k;

	strbuf_addf(&key, "%s %lld ", str(event, "class"), (long long)code);
	reply_kind(str(event, "reply"), &key);
	k = kind_get(r, s, key.data);
	if (k->n++ == 0) {
		k->class = xstrdup(str(event, "class"));
		k->code =
		    code > 0 ? xasprintf("%lld", (long long)code) : xstrdup("");
		k->reply = xstrdup(*k->key != '\0'
			? str(event, "reply")
			: "(more kinds than are kept apart)");
	}
	free(k->last);
	k->last = xstrdup(str(event, "ts"));
	strbuf_fini(&key);
}

static bool
is_hard(const char *class)
{
	return strcmp(class, "bad-mailbox") == 0 ||
	    strcmp(class, "bad-domain") == 0;
}

static void
add_change(struct sum *s, const json_t *event)
{
	const char *lane = str(event, "lane"), *from = str(event, "from");

	s->view.n_changes++;
	free(s->last_change);
	s->last_change = xasprintf("%s %s%s%s%s%s %s%s",
	    *lane ? lane : str(event, "route"), str(event, "change"),
	    *from ? " " : "", from, *str(event, "to") ? " to " : "",
	    str(event, "to"), str(event, "state"), str(event, "because"));
	s->view.last_change = s->last_change;
}

static void
add_event(struct report *r, const json_t *event)
{
	const char *name = str(event, "event"), *class = str(event, "class");
	const char *provider = str(event, "provider");
	int64_t n = json_integer_value(json_object_get(event, "recipients"));
	struct sum *s;

	/* A log and a report may both tell of one recipient. */
	if (json_is_true(json_object_get(event, "repeat")))
		return;
	if (strcmp(name, "delivered") == 0) {
		sum_get(r, provider)->view.n_delivered++;
	} else if (strcmp(name, "deferred") == 0) {
		s = sum_get(r, provider);
		s->view.n_deferred++;
		s->view.n_soft += strcmp(class, "mailbox-full") == 0;
		add_refusal(r, s, event);
	} else if (strcmp(name, "bounced") == 0) {
		s = sum_get(r, provider);
		if (is_hard(class))
			s->view.n_hard++;
		else
			s->view.n_rejected++;
		add_refusal(r, s, event);
	} else if (strcmp(name, "expired") == 0) {
		sum_get(r, provider)->view.n_soft += n > 0 ? (uint64_t)n : 1;
	} else if (strcmp(name, "lane") == 0 || strcmp(name, "plan") == 0) {
		add_change(sum_get(r, provider), event);
	}
}

void
report_add(struct report *r, const char *line, size_t len, const char *since)
{
	json_t *event = json_loadb(line, len, 0, NULL);

	if (!json_is_object(event)) {
		r->n_unread++;
	} else if (strcmp(str(event, "ts"), since) >= 0) {
		r->n_events++;
		add_event(r, event);
	}
	json_decref(event);
}

uint64_t
report_n_events(const struct report *r)
{
	return r->n_events;
}

uint64_t
report_n_unread(const struct report *r)
{
	return r->n_unread;
}

/* ---- the end ---- */

static int
compare_replies(const void *a, const void *b)
{
	const struct report_reply *x = a, *y = b;

	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	return strcmp(x->reply, y->reply);
}

static void
list_replies(struct sum *s)
{
	struct report_reply *list =
	    xcalloc(HASH_COUNT(s->kinds) + 1, sizeof(*list));
	size_t n = 0;

	for (struct kind *k = s->kinds; k != NULL; k = k->hh.next)
		list[n++] = (struct report_reply){ k->class, k->code, k->reply,
			k->n, k->last };
	qsort(list, n, sizeof(*list), compare_replies);
	s->view.replies = list;
	s->view.n_replies = n;
}

static uint64_t
business(const struct report_provider *p)
{
	return p->n_delivered + p->n_deferred + p->n_hard + p->n_rejected;
}

static int
compare_sums(const void *a, const void *b)
{
	const struct sum *x = *(struct sum *const *)a;
	const struct sum *y = *(struct sum *const *)b;
	uint64_t n = business(&x->view), m = business(&y->view);

	if (n != m)
		return n < m ? 1 : -1;
	return strcmp(x->name, y->name);
}

size_t
report_finish(struct report *r)
{
	size_t n = 0;

	r->order = xcalloc(r->n_sums + 1, sizeof(struct sum *));
	for (struct sum *s = r->sums; s != NULL; s = s->hh.next) {
		list_replies(s);
		r->order[n++] = s;
	}
	qsort(r->order, n, sizeof(*r->order), compare_sums);
	return n;
}

const struct report_provider *
report_provider(const struct report *r, size_t i)
{
	return &r->order[i]->view;
}
