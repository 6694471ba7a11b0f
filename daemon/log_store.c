/* SPDX-License-Identifier: ISC */
/*
 * Log records that wait for somebody to know their queue id. governor_logs.c
 * puts them in and takes them out again when a reply brings the id.
 */
#include "daemon/log_store.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "conf/base/xalloc.h"

void
stored_id_free(struct stored_id *id)
{
	struct stored_record *r, *next;

	for (r = id->first; r != NULL; r = next) {
		next = r->next;
		free(r);
	}
	free(id->ident);
	free(id);
}

struct stored_id *
log_store_take(struct log_store *s, struct stored_id *id)
{
	HASH_DEL(s->by_key, id);
	DL_DELETE(s->oldest, id);
	s->n--;
	return id;
}

void
log_store_fini(struct log_store *s)
{
	while (s->oldest != NULL)
		stored_id_free(log_store_take(s, s->oldest));
}

struct stored_id *
log_store_find(const struct log_store *s, const char *key)
{
	struct stored_id *id;

	HASH_FIND_STR(s->by_key, key, id);
	return id;
}

struct stored_id *
log_store_find_ident(const struct log_store *s, const char *ident)
{
	struct stored_id *id;

	DL_FOREACH(s->oldest, id)
		if (strcmp(id->ident, ident) == 0)
			return id;
	return NULL;
}

/* ---- copies ---- */

static const size_t spans[] = {
	offsetof(struct mta_record, queue_id),
	offsetof(struct mta_record, ident),
	offsetof(struct mta_record, recipient),
	offsetof(struct mta_record, orig_to),
	offsetof(struct mta_record, relay),
	offsetof(struct mta_record, relay_ip),
	offsetof(struct mta_record, source_ip),
	offsetof(struct mta_record, dsn),
	offsetof(struct mta_record, reply),
	offsetof(struct mta_record, child),
};
#define N_SPANS (sizeof(spans) / sizeof(spans[0]))

static struct span *
span_at(struct mta_record *r, size_t i)
{
	return (struct span *)(void *)((char *)r + spans[i]);
}

static struct stored_record *
copy(const struct mta_record *r)
{
	struct mta_record from = *r;
	struct stored_record *to;
	size_t len = 0;
	char *at;

	for (size_t i = 0; i < N_SPANS; i++)
		len += span_at(&from, i)->len;
	to = xcalloc(1, sizeof(*to) + len + 1);
	to->record = *r;
	at = to->bytes;
	for (size_t i = 0; i < N_SPANS; i++) {
		struct span *s = span_at(&to->record, i);

		if (s->len > 0)
			memcpy(at, s->p, s->len);
		s->p = at;
		at += s->len;
	}
	return to;
}

void
log_store_add(struct log_store *s, const char *key, const struct mta_record *r,
    int64_t now_us)
{
	struct stored_id *id = log_store_find(s, key);
	struct stored_record *record;

	if (id == NULL) {
		size_t len = strlen(key) + 1;

		if (s->n >= LOG_STORE_MOST)
			stored_id_free(log_store_take(s, s->oldest));
		id = xcalloc(1, sizeof(*id) + len);
		memcpy(id->key, key, len);
		id->last = &id->first;
		id->until_us = now_us + LOG_STORE_US;
		id->ident = xstrdup("");
		HASH_ADD_STR(s->by_key, key, id);
		DL_APPEND(s->oldest, id);
		s->n++;
	}
	if (r->kind == MTA_LOG_RECEIVED && r->ident.len > 0) {
		free(id->ident);
		id->ident = xstrndup(r->ident.p, r->ident.len);
	}
	if (r->kind == MTA_LOG_RECEIVED || id->n == LOG_STORE_EACH)
		return;
	record = copy(r);
	*id->last = record;
	id->last = &record->next;
	id->n++;
}

size_t
log_store_tick(struct log_store *s, int64_t now_us)
{
	size_t n = 0;

	while (s->oldest != NULL && s->oldest->until_us <= now_us) {
		stored_id_free(log_store_take(s, s->oldest));
		n++;
	}
	return n;
}
