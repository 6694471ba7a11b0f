/* SPDX-License-Identifier: ISC */
/*
 * The words behind `where`, for queue, retry, bounce and drop: one row a key,
 * which says how its value is read and against what it is held. Looks at what
 * it is given and reads nothing itself.
 */
#include "daemon/selection.h"

#include <stdlib.h>
#include <string.h>

#include "conf/base/address.h"
#include "conf/base/nearest.h"
#include "conf/base/strbuf.h"
#include "conf/base/units.h"
#include "conf/base/xalloc.h"
#include "sink/envelope.h"

const struct selection_row selection_rows[SELECT_COUNT] = {
	[SELECT_ID] = { "id", "ID", "one message, with all its deliveries",
	    false },
	[SELECT_PROVIDER] = { "provider", "NAME",
	    "a provider of the configuration; \"other\" for the rest", false },
	[SELECT_SITE] = { "site", "DOMAIN",
	    "a destination that no provider claims", false },
	[SELECT_STREAM] = { "stream", "NAME", "the stream it came by", false },
	[SELECT_ROUTE] = { "route", "NAME", "the route it would leave by",
	    false },
	[SELECT_LANE] = { "lane", "LANE", "the lane it would leave by", false },
	[SELECT_STATE] = { "state", "waiting|deferred|inflight",
	    "whether it waits in its queue, for its retry time, or is being "
	    "sent",
	    false },
	[SELECT_ATTEMPTS] = { "attempts", "N",
	    "how often it was tried; also attempts>N and attempts<N, which "
	    "the shell wants quoted",
	    false },
	[SELECT_SENDER] = { "sender", "ADDRESS",
	    "the envelope's sender; sender=<> is the null sender", true },
	[SELECT_RECIPIENT] = { "recipient", "ADDRESS",
	    "any recipient who is left", true },
	[SELECT_DOMAIN] = { "domain", "DOMAIN",
	    "the domain of any recipient who is left", true },
	[SELECT_OLDER] = { "older", "DURATION",
	    "accepted longer ago than that; older=0s is everything", true },
	[SELECT_YOUNGER] = { "younger", "DURATION",
	    "accepted no longer ago than that", true },
};

static const char *const state_names[] = {
	[QUEUE_WAITING] = "waiting",
	[QUEUE_DEFERRED] = "deferred",
	[QUEUE_IN_FLIGHT] = "inflight",
};
#define N_STATES (sizeof(state_names) / sizeof(*state_names))

const char *
queue_state_name(const struct queue_view *q)
{
	return state_names[q->state];
}

/* ---- patterns ---- */

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool
is_pattern(const char *text)
{
	return strpbrk(text, "*?") != NULL;
}

bool
pattern_fits(const char *pattern, const char *text)
{
	const char *star = NULL, *from = NULL;

	/* Only the last star is ever tried again: no pattern takes longer
	 * than its length times the text's. */
	while (*text != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			from = text;
		} else if (*pattern == '?' ||
		    (*pattern != '\0' && lower(*pattern) == lower(*text))) {
			pattern++;
			text++;
		} else if (star != NULL) {
			pattern = star;
			text = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

char *
pattern_of_filter(const char *filter)
{
	return is_pattern(filter) ? xstrdup(filter) : xasprintf("*%s*", filter);
}

/* ---- reading ---- */

static const char *
key_name(size_t i)
{
	return selection_rows[i].key;
}

static const char *
nth_key(size_t i, const void *arg)
{
	(void)arg;
	return selection_rows[i].key;
}

static int
unknown_key(const char *word, size_t len, struct err *err_out)
{
	struct strbuf keys = { 0 };
	char typed[32];
	const char *near;

	if (len >= sizeof(typed))
		len = sizeof(typed) - 1;
	memcpy(typed, word, len);
	typed[len] = '\0';
	for (size_t i = 0; i < SELECT_COUNT; i++)
		strbuf_addf(&keys, "%s%s", i ? ", " : "", key_name(i));
	near = nearest_name(typed, nth_key, NULL, SELECT_COUNT);
	if (near != NULL)
		err_set(err_out, "there is no key \"%s\" (did you mean %s?)",
		    typed, near);
	else
		err_set(err_out, "there is no key \"%s\"; there are: %s", typed,
		    keys.data);
	strbuf_fini(&keys);
	return -1;
}

static int
key_find(const char *word, size_t len)
{
	for (int i = 0; i < SELECT_COUNT; i++)
		if (strlen(key_name((size_t)i)) == len &&
		    strncmp(key_name((size_t)i), word, len) == 0)
			return i;
	return -1;
}

static int
read_state(struct selection_term *t, struct err *err_out)
{
	for (size_t i = 0; i < N_STATES; i++)
		if (strcmp(t->text, state_names[i]) == 0) {
			t->number = i;
			return 0;
		}
	return err_set(err_out,
	    "state is waiting, deferred or inflight, not \"%s\"", t->text);
}

static int
read_count(struct selection_term *t, struct err *err_out)
{
	int64_t count;

	/* The units' counts begin at 1. */
	if (strcmp(t->text, "0") == 0) {
		t->number = 0;
		return 0;
	}
	if (units_parse_count(t->text, &count, err_out) < 0)
		return -1;
	t->number = (uint64_t)count;
	return 0;
}

static int
read_value(struct selection_term *t, struct err *err_out)
{
	int64_t us;

	switch (t->key) {
	case SELECT_ID:
		if (message_id_parse(t->text, &t->number) < 0)
			return err_set(err_out, "\"%s\" is no message ID",
			    t->text);
		return 0;
	case SELECT_STATE:
		return read_state(t, err_out);
	case SELECT_ATTEMPTS:
		return read_count(t, err_out);
	case SELECT_OLDER:
	case SELECT_YOUNGER:
		if (units_parse_duration(t->text, &us, err_out) < 0)
			return -1;
		t->number = (uint64_t)us;
		return 0;
	case SELECT_SENDER:
		if (strcmp(t->text, "<>") == 0)
			t->text = "";
		return 0;
	default:
		return 0;
	}
}

static int
read_term(struct selection_term *t, const char *word, struct err *err_out)
{
	size_t len = strcspn(word, "=<>");
	int key = key_find(word, len);

	if (key < 0)
		return unknown_key(word, len, err_out);
	t->key = (enum selection_key)key;
	t->op = word[len];
	t->text = word + len + 1;
	if (t->op != '=' && t->key != SELECT_ATTEMPTS)
		return err_set(err_out,
		    "%s is compared with =, only attempts also with < and >",
		    key_name(t->key));
	if (*t->text == '\0')
		return err_set(err_out, "%s has no value: %s=%s",
		    key_name(t->key), key_name(t->key),
		    selection_rows[t->key].value);
	return read_value(t, err_out);
}

int
selection_parse(struct selection *sel, char *const *words, size_t n,
    size_t *used_out, struct err *err_out)
{
	size_t i;

	sel->n = 0;
	for (i = 0; i < n && strpbrk(words[i], "=<>") != NULL; i++) {
		if (sel->n == SELECTION_TERMS_MAX)
			return err_set(err_out, "at most %d conditions",
			    SELECTION_TERMS_MAX);
		if (read_term(&sel->terms[sel->n], words[i], err_out) < 0)
			return -1;
		sel->n++;
	}
	*used_out = i;
	if (i == 0)
		return err_set(err_out,
		    "where needs a condition, such as provider=gmail; "
		    "older=0s is everything");
	return 0;
}

bool
selection_wants_envelope(const struct selection *sel)
{
	for (size_t i = 0; i < sel->n; i++)
		if (selection_rows[sel->terms[i].key].is_of_envelope)
			return true;
	return false;
}

/* ---- fitting ---- */

/* All keys must fit, each by any of its terms. */
static bool
fits(const struct selection *sel, bool of_envelope,
    bool (*term_fits)(const struct selection_term *t, const void *subject),
    const void *subject)
{
	bool has[SELECT_COUNT] = { false }, does[SELECT_COUNT] = { false };

	for (size_t i = 0; i < sel->n; i++) {
		const struct selection_term *t = &sel->terms[i];

		if (selection_rows[t->key].is_of_envelope != of_envelope)
			continue;
		has[t->key] = true;
		if (!does[t->key])
			does[t->key] = term_fits(t, subject);
	}
	for (size_t i = 0; i < SELECT_COUNT; i++)
		if (has[i] && !does[i])
			return false;
	return true;
}

static bool
route_fits(const struct selection_term *t, const char *lane)
{
	size_t len = strcspn(lane, "/");
	char route[256];

	if (len >= sizeof(route))
		return false;
	memcpy(route, lane, len);
	route[len] = '\0';
	return pattern_fits(t->text, route);
}

static bool
number_fits(const struct selection_term *t, uint64_t number)
{
	if (t->op == '<')
		return number < t->number;
	return t->op == '>' ? number > t->number : number == t->number;
}

static bool
queue_term_fits(const struct selection_term *t, const void *subject)
{
	const struct queue_view *q = subject;

	switch (t->key) {
	case SELECT_ID:
		return q->message == t->number;
	case SELECT_PROVIDER:
		return pattern_fits(t->text, q->provider);
	case SELECT_SITE:
		return pattern_fits(t->text, q->site);
	case SELECT_STREAM:
		return pattern_fits(t->text, q->stream);
	case SELECT_ROUTE:
		return route_fits(t, q->lane);
	case SELECT_LANE:
		return pattern_fits(t->text, q->lane);
	case SELECT_STATE:
		return (uint64_t)q->state == t->number;
	case SELECT_ATTEMPTS:
		return number_fits(t, q->attempts);
	default:
		return false;
	}
}

bool
selection_fits_queue(const struct selection *sel, const struct queue_view *q)
{
	return fits(sel, false, queue_term_fits, q);
}

struct envelope_subject {
	const struct envelope *envelope;
	const struct delivery *delivery;
	int64_t age_us;
};

static bool
recipient_fits(const struct selection_term *t, const struct delivery *d)
{
	for (size_t i = 0; i < d->n_recipients; i++) {
		const char *address = d->recipients[i].address;

		if (pattern_fits(t->text,
			t->key == SELECT_DOMAIN ? address_domain(address)
						: address))
			return true;
	}
	return false;
}

static bool
envelope_term_fits(const struct selection_term *t, const void *subject)
{
	const struct envelope_subject *s = subject;

	switch (t->key) {
	case SELECT_SENDER:
		return pattern_fits(t->text, s->envelope->sender);
	case SELECT_RECIPIENT:
	case SELECT_DOMAIN:
		return recipient_fits(t, s->delivery);
	case SELECT_OLDER:
		return s->age_us >= (int64_t)t->number;
	case SELECT_YOUNGER:
		return s->age_us <= (int64_t)t->number;
	default:
		return false;
	}
}

bool
selection_fits_envelope(const struct selection *sel, const struct envelope *e,
    uint32_t number, int64_t now_utc_us)
{
	struct envelope_subject s = { .envelope = e };

	/* A clock that was set back makes nothing younger than new. */
	if (now_utc_us > e->arrived_utc_us)
		s.age_us = now_utc_us - e->arrived_utc_us;
	for (size_t i = 0; i < e->n_deliveries; i++)
		if (e->deliveries[i].number == number)
			s.delivery = &e->deliveries[i];
	return s.delivery != NULL && fits(sel, true, envelope_term_fits, &s);
}
