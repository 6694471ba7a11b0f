/* SPDX-License-Identifier: ISC */
/*
 * Which logs are read: from the start, anew at a reload, until the end. The
 * governor calls it; governor_logs.c has what their lines say.
 *
 * The one subtle rule: a log that is to be read in another way (another match,
 * other units) goes on behind the last line that was read in the old one. No
 * line is passed over, and none comes twice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "conf/base/clock.h"
#include "conf/base/log.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_logs.h"

static struct log_slot *
slot_new(struct governor *g, const char *name, const char *place)
{
	struct log_slot *s = xcalloc(1, sizeof(*s));

	s->name = xstrdup(name);
	s->place = xstrdup(place);
	DL_APPEND(g->logs->slots, s);
	return s;
}

bool
governor_logs_restore(struct governor *g, const void *key, size_t key_len,
    const void *value, size_t value_len)
{
	char *k = xstrndup(key, key_len), *v = xstrndup(value, value_len);
	struct handed *h = NULL;
	bool is_ours = true;

	if (strncmp(k, HANDED_PREFIX, strlen(HANDED_PREFIX)) == 0) {
		h = handed_parse(&g->logs->handed, k + strlen(HANDED_PREFIX),
		    v);
		if (h == NULL)
			log_warn("state_unread", LOG_STR("key", k));
	} else if (strncmp(k, PLACE_PREFIX, strlen(PLACE_PREFIX)) == 0) {
		/* Its reader comes with governor_logs_start(). */
		slot_new(g, k + strlen(PLACE_PREFIX), v);
	} else {
		is_ours = false;
	}
	free(k);
	free(v);
	return is_ours;
}

static uint32_t
id_of(const char *name)
{
	uint32_t hash = 0x811c9dc5u;

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 0x01000193u;
	return hash;
}

/* All that a reader is made of; malloc'd. */
static char *
describe(const struct conf_mta_log *log, enum mta_log_format format)
{
	struct strbuf text = { 0 };

	strbuf_addf(&text, "%d %s\n%d\n%s", (int)format, log->path,
	    log->journal, log->match != NULL ? log->match : "");
	for (size_t i = 0; i < log->units.n; i++)
		strbuf_addf(&text, "\n%s", log->units.v[i]);
	return strbuf_take(&text);
}

/* The last one of that name that no log of the configuration has now, or has
 * without a reader; NULL: there is none. */
static struct log_slot *
find_slot(struct governor *g, const char *name)
{
	struct log_slot *s, *found = NULL;

	DL_FOREACH(g->logs->slots, s)
		if ((s->reader == NULL || s->is_gone) &&
		    strcmp(s->name, name) == 0)
			found = s;
	return found;
}

/* The slot for a new reader of that name. Where one reads the same log in
 * another way it ends, and the new one goes on behind its last line. */
static struct log_slot *
take_over(struct governor *g, const char *name)
{
	struct log_slot *s = find_slot(g, name);
	char place[LOG_PLACE_TEXT] = "";

	if (s != NULL && s->reader == NULL)
		return s;
	if (s != NULL) {
		s->is_stopped = true;
		log_reader_stop(s->reader);
		log_reader_place(s->reader, place);
	}
	return slot_new(g, name, place);
}

/* Nothing can be read: it is told, and the next reload tries again. */
static void
give_up(struct governor *g, struct log_slot *s, const struct err *why)
{
	log_reader_free(s->reader);
	s->reader = NULL;
	s->is_broken = true;
	snprintf(s->why, sizeof(s->why), "%.190s", why->text);
	governor_log_alert(g, s, "unreadable", s->why);
}

static int
open_log(struct governor *g, const struct conf_mta_log *log,
    enum mta_log_format format, struct err *err_out)
{
	char *conf = describe(log, format);
	char place[LOG_PLACE_TEXT];
	struct log_reader *r;
	struct log_slot *s;

	DL_FOREACH(g->logs->slots, s)
		if (!s->is_stopped && s->reader != NULL &&
		    strcmp(s->conf, conf) == 0) {
			s->is_gone = false;
			free(conf);
			return 0;
		}
	r = log_reader_new(log, format, g->mailbox, GOVERNOR_LOG, err_out);
	if (r == NULL) {
		free(conf);
		return -1;
	}
	s = take_over(g, log_reader_name(r));
	s->reader = r;
	free(s->conf);
	s->conf = conf;
	s->id = id_of(s->name);
	s->is_gone = false;
	if (log_reader_start(r, s->place, place, err_out) < 0) {
		give_up(g, s, err_out);
		return -1;
	}
	governor_log_keep_place(s, place);
	if (s->is_broken) {
		s->is_broken = false;
		governor_log_alert(g, s, "readable", "");
	}
	return 0;
}

/* Each of them, also behind one that can't be. */
static int
open_all(struct governor *g, struct err *err_out)
{
	const struct conf_feedback *f = &g->rt->conf->feedback;
	const struct conf_mta_log *log;
	enum mta_log_format format;
	struct err err;
	int rc = 0;

	for (size_t i = 0; (log = log_configured(f, i, &format)) != NULL; i++)
		if (open_log(g, log, format, &err) < 0) {
			*err_out = err;
			rc = -1;
		}
	return rc;
}

int
governor_logs_start(struct governor *g, struct err *err_out)
{
	struct log_slot *s, *next;

	if (open_all(g, err_out) < 0)
		return -1;
	/* Places of logs that aren't read any more. */
	DL_FOREACH_SAFE(g->logs->slots, s, next) {
		if (s->reader != NULL)
			continue;
		governor_logs_put(g, PLACE_PREFIX, s->name, NULL);
		DL_DELETE(g->logs->slots, s);
		free(s->name);
		free(s->place);
		free(s);
	}
	return 0;
}

int
governor_logs_reload(struct governor *g, struct err *err_out)
{
	struct log_slot *s;
	int rc;

	g->logs->handed.most = (size_t)g->rt->conf->feedback.handed;
	DL_FOREACH(g->logs->slots, s)
		s->is_gone = true;
	rc = open_all(g, err_out);
	DL_FOREACH(g->logs->slots, s)
		if (s->is_gone && s->reader != NULL) {
			s->is_stopped = true;
			log_reader_stop(s->reader);
		}
	return rc;
}

void
governor_logs_open(struct governor *g)
{
	g->logs = xcalloc(1, sizeof(*g->logs));
	g->logs->last = &g->logs->facts;
	handed_init(&g->logs->handed, (size_t)g->rt->conf->feedback.handed);
}

void
governor_logs_stop(struct governor *g)
{
	struct log_slot *s;

	DL_FOREACH(g->logs->slots, s)
		if (s->reader != NULL)
			log_reader_stop(s->reader);
}

void
governor_logs_close(struct governor *g)
{
	struct log_slot *s, *next;

	if (g->logs == NULL)
		return;
	DL_FOREACH_SAFE(g->logs->slots, s, next) {
		log_reader_free(s->reader);
		free(s->name);
		free(s->conf);
		free(s->place);
		free(s);
	}
	handed_fini(&g->logs->handed);
	log_store_fini(&g->logs->store);
	while (g->logs->facts != NULL) {
		struct spool_fact *f = g->logs->facts->next;

		free(g->logs->facts);
		g->logs->facts = f;
	}
	free(g->logs);
}
