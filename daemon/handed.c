/* SPDX-License-Identifier: ISC */
/*
 * The table of what lies with MTAs: found by queue id, forgotten by time.
 * governor_logs.c fills it and asks it; nothing here decides anything. Names
 * that repeat a million times are interned.
 */
#include "daemon/handed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "conf/base/intern.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

#define SEPARATOR "\x1f" /* in no name and no address */

void
handed_init(struct handed_table *t, size_t most)
{
	*t = (struct handed_table){ .most = most };
}

void
handed_fini(struct handed_table *t)
{
	while (t->oldest != NULL)
		handed_remove(t, t->oldest);
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
	struct handed *old = handed_find(t, key), *h;
	size_t len = strlen(sender) + 1;

	if (old != NULL)
		handed_remove(t, old);
	h = xmalloc(sizeof(*h) + len);
	*h = *like;
	memcpy(h->sender, sender, len);
	h->due = (struct heap_node){ 0 };
	h->key = xstrdup(key);
	HASH_ADD_KEYPTR(hh, t->by_key, h->key, strlen(h->key), h);
	DL_APPEND(t->oldest, h);
	t->n++;
	return h;
}

void
handed_rekey(struct handed_table *t, struct handed *h, const char *key)
{
	struct handed *old = handed_find(t, key);

	if (old == h)
		return;
	if (old != NULL)
		handed_remove(t, old);
	HASH_DEL(t->by_key, h);
	free(h->key);
	h->key = xstrdup(key);
	HASH_ADD_KEYPTR(hh, t->by_key, h->key, strlen(h->key), h);
}

void
handed_remove(struct handed_table *t, struct handed *h)
{
	HASH_DEL(t->by_key, h);
	DL_DELETE(t->oldest, h);
	if (heap_has(&h->due))
		heap_remove(&t->due, &h->due);
	t->n--;
	free(h->key);
	free(h);
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
	return t->n > t->most ? t->oldest : NULL;
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
	    h->route, h->provider, h->site, h->stream, h->sender_domain,
	    h->sender);
}

struct handed *
handed_parse(struct handed_table *t, const char *key, const char *text)
{
	struct handed h = { 0 }, *made = NULL;
	char *copy = xstrdup(text), *rest = copy;
	const char *numbers = strsep(&rest, SEPARATOR);
	const char *names[6];
	int end = 0;

	for (size_t i = 0; i < 6; i++)
		names[i] = strsep(&rest, SEPARATOR);
	if (names[5] != NULL && rest == NULL &&
	    sscanf(numbers,
		"%" SCNu64 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32
		" %" SCNu32 " %" SCNd64 "%n",
		&h.message, &h.number, &h.n_total, &h.n_left, &h.n_held,
		&h.n_seen, &h.utc_us, &end) == 7 &&
	    numbers[end] == '\0' && h.n_held <= h.n_left &&
	    h.n_left <= h.n_total) {
		h.route = intern(names[0]);
		h.provider = intern(names[1]);
		h.site = intern(names[2]);
		h.stream = intern(names[3]);
		h.sender_domain = intern(names[4]);
		/* What left before the start has nobody waiting for it. */
		h.is_heard = true;
		made = handed_add(t, key, &h, names[5]);
	}
	free(copy);
	return made;
}
