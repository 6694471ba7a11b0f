/* SPDX-License-Identifier: ISC */
/*
 * The table of what lies with MTAs: found by queue id, forgotten by time.
 * governor_logs.c fills it and asks it; nothing here decides anything.
 *
 * There may be a million of them, so the names that repeat are kept once for
 * all that share them, and the hash's own order serves as that of age.
 */
#include "daemon/handed.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

#define SEPARATOR "\x1f" /* in no name and no address */

struct handed_kin {
	UT_hash_handle hh;
	struct handed_names names; /* what the entries point to */
	size_t n_users;
	char text[]; /* the names, one behind the other */
};

/* ---- names ---- */

static struct handed_kin *
kin_of(const struct handed_names *names)
{
	return (struct handed_kin *)(uintptr_t)((const char *)names -
	    offsetof(struct handed_kin, names));
}

static void
join(const struct handed_names *n, struct strbuf *out)
{
	const char *const v[] = { n->route, n->provider, n->site, n->stream,
		n->sender_domain };

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		strbuf_add(out, v[i], strlen(v[i]) + 1);
}

static const char *
next_name(const char **p)
{
	const char *name = *p;

	*p += strlen(name) + 1;
	return name;
}

static const struct handed_names *
kin_ref(struct handed_table *t, const struct handed_names *names)
{
	struct strbuf text = { 0 };
	struct handed_kin *kin;
	const char *p;

	join(names, &text);
	HASH_FIND(hh, t->kins, text.data, text.len, kin);
	if (kin == NULL) {
		kin = xcalloc(1, sizeof(*kin) + text.len);
		memcpy(kin->text, text.data, text.len);
		p = kin->text;
		kin->names.route = next_name(&p);
		kin->names.provider = next_name(&p);
		kin->names.site = next_name(&p);
		kin->names.stream = next_name(&p);
		kin->names.sender_domain = next_name(&p);
		HASH_ADD_KEYPTR(hh, t->kins, kin->text, text.len, kin);
	}
	kin->n_users++;
	strbuf_fini(&text);
	return &kin->names;
}

static void
kin_unref(struct handed_table *t, const struct handed_names *names)
{
	struct handed_kin *kin = kin_of(names);

	if (--kin->n_users > 0)
		return;
	HASH_DEL(t->kins, kin);
	free(kin);
}

/* ---- the table ---- */

void
handed_init(struct handed_table *t, size_t most)
{
	*t = (struct handed_table){ .most = most };
}

void
handed_fini(struct handed_table *t)
{
	while (t->by_key != NULL)
		handed_remove(t, t->by_key);
	heap_fini(&t->due);
}

struct handed *
handed_find(const struct handed_table *t, const char *key)
{
	struct handed *h;

	HASH_FIND_STR(t->by_key, key, h);
	return h;
}

struct handed *
handed_add(struct handed_table *t, const char *key, const struct handed *like,
    const char *sender)
{
	size_t key_len = strlen(key), sender_len = strlen(sender);
	struct handed *old = handed_find(t, key), *h;

	assert(key_len < HANDED_KEY_MAX);
	h = xmalloc(sizeof(*h) + key_len + sender_len + 2);
	*h = *like;
	h->of = kin_ref(t, like->of);
	h->due = (struct heap_node){ 0 };
	h->key_len = (uint8_t)key_len;
	memcpy(h->text, key, key_len + 1);
	memcpy(h->text + key_len + 1, sender, sender_len + 1);
	if (old != NULL)
		handed_remove(t, old);
	HASH_ADD_KEYPTR(hh, t->by_key, h->text, key_len, h);
	t->n++;
	return h;
}

struct handed *
handed_rekey(struct handed_table *t, struct handed *h, const char *key)
{
	struct handed *made;
	int64_t due_us = h->due.key;
	bool is_due = heap_has(&h->due);

	if (strcmp(key, handed_key(h)) == 0)
		return h;
	made = handed_add(t, key, h, handed_sender(h));
	handed_remove(t, h);
	if (is_due)
		heap_add(&t->due, &made->due, due_us);
	return made;
}

void
handed_remove(struct handed_table *t, struct handed *h)
{
	HASH_DEL(t->by_key, h);
	if (heap_has(&h->due))
		heap_remove(&t->due, &h->due);
	kin_unref(t, h->of);
	t->n--;
	free(h);
}

static int
by_age(const struct handed *a, const struct handed *b)
{
	return (a->utc_us > b->utc_us) - (a->utc_us < b->utc_us);
}

void
handed_sort(struct handed_table *t)
{
	HASH_SORT(t->by_key, by_age);
}

struct handed *
handed_due(const struct handed_table *t, int64_t utc_us)
{
	if (heap_top_key(&t->due) > utc_us || t->due.n == 0)
		return NULL;
	return HEAP_OWNER(heap_top(&t->due), struct handed, due);
}

struct handed *
handed_surplus(const struct handed_table *t)
{
	return t->n > t->most ? handed_oldest(t) : NULL;
}

/* ---- kept ---- */

void
handed_format(const struct handed *h, struct strbuf *out)
{
	strbuf_addf(out,
	    "%" PRIu64 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32
	    " %" PRIu32 " %" PRId64,
	    h->message, h->number, h->n_total, h->n_left, h->n_held, h->n_seen,
	    h->utc_us);
	strbuf_addf(out,
	    SEPARATOR "%s" SEPARATOR "%s" SEPARATOR "%s" SEPARATOR
		      "%s" SEPARATOR "%s" SEPARATOR "%s",
	    h->of->route, h->of->provider, h->of->site, h->of->stream,
	    h->of->sender_domain, handed_sender(h));
}

struct handed *
handed_parse(struct handed_table *t, const char *key, const char *text)
{
	struct handed_names of;
	struct handed h = { .of = &of }, *made = NULL;
	char *copy = xstrdup(text), *rest = copy;
	const char *numbers = strsep(&rest, SEPARATOR);
	const char *names[6];
	int end = 0;

	for (size_t i = 0; i < 6; i++)
		names[i] = strsep(&rest, SEPARATOR);
	if (names[5] != NULL && rest == NULL && strlen(key) < HANDED_KEY_MAX &&
	    sscanf(numbers,
		"%" SCNu64 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32
		" %" SCNu32 " %" SCNd64 "%n",
		&h.message, &h.number, &h.n_total, &h.n_left, &h.n_held,
		&h.n_seen, &h.utc_us, &end) == 7 &&
	    numbers[end] == '\0' && h.n_held <= h.n_left &&
	    h.n_left <= h.n_total) {
		of = (struct handed_names){ names[0], names[1], names[2],
			names[3], names[4] };
		/* What left before the start has nobody waiting for it. */
		h.is_heard = true;
		made = handed_add(t, key, &h, names[5]);
	}
	free(copy);
	return made;
}
