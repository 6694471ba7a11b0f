/* SPDX-License-Identifier: ISC */
/*
 * `spool export`: each message as two files, ID.eml with the content as it was
 * received and ID.json with the envelope: what any other mail server needs to
 * send it on. Where parts of a message are lost, the rest is written all the
 * same, and "problems" says what is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/ctl_spool.h"

struct exporter {
	int dir_fd, apart_fd; /* `to`, and `to`/uncertain once needed */
	uint64_t n;
	struct err err;
	bool has_failed;
};

/* ---- the envelope ---- */

/* Addresses may be UTF-8; octets that aren't can't be in JSON. */
static json_t *
text_or_null(const char *s)
{
	json_t *text;

	if (s == NULL)
		return json_null();
	text = json_string(s);
	return text != NULL ? text : json_stringn_nocheck("?", 1);
}

static json_t *
time_or_null(int64_t utc_us)
{
	char text[CLOCK_RFC3339_SIZE];

	if (utc_us == 0)
		return json_null();
	clock_rfc3339(utc_us, text);
	return json_string(text);
}

static json_t *
notify_words(unsigned notify)
{
	static const struct {
		unsigned bit;
		const char *word;
	} rows[] = { { NOTIFY_NEVER, "NEVER" }, { NOTIFY_SUCCESS, "SUCCESS" },
		{ NOTIFY_FAILURE, "FAILURE" }, { NOTIFY_DELAY, "DELAY" } };
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (notify & rows[i].bit)
			json_array_append_new(list, json_string(rows[i].word));
	return list;
}

static json_t *
delivery_json(const struct delivery *d, json_t *addresses)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->n_recipients; i++) {
		const struct recipient *r = &d->recipients[i];

		json_array_append_new(addresses, text_or_null(r->address));
		json_array_append_new(list,
		    json_pack("{s:o, s:o, s:o}", "address",
			text_or_null(r->address), "orcpt",
			text_or_null(r->orcpt), "notify",
			notify_words(r->notify)));
	}
	return json_pack("{s:i, s:o, s:o, s:o, s:i, s:o, s:b, s:o, s:o}",
	    "number", (int)d->number, "provider", text_or_null(d->provider),
	    "site", text_or_null(d->site), "stream", text_or_null(d->stream),
	    "attempts", (int)d->attempts, "due", time_or_null(d->due_utc_us),
	    "delay_warned", d->delay_warned, "last_reply",
	    text_or_null(d->last_reply), "recipients", list);
}

static json_t *
problem_list(const struct image_message *m)
{
	json_t *list = json_array();
	const char *p = m->problems.len > 0 ? m->problems.data : "";

	while (*p != '\0') {
		size_t len = strcspn(p, "\n");

		json_array_append_new(list, json_stringn_nocheck(p, len));
		p += len + (p[len] == '\n');
	}
	return list;
}

static json_t *
envelope_json(const struct image_message *m, const char *id)
{
	static const char *const rets[] = {
		[RET_FULL] = "FULL", [RET_HDRS] = "HDRS"
	};
	static const char *const bodies[] = {
		[BODY_7BIT] = "7BIT", [BODY_8BITMIME] = "8BITMIME"
	};
	const struct envelope *e = &m->envelope;
	json_t *deliveries = json_array(), *addresses = json_array();
	json_t *all;

	for (size_t i = 0; i < e->n_deliveries; i++)
		json_array_append_new(deliveries,
		    delivery_json(&e->deliveries[i], addresses));
	all = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, "
			"s:o, s:o, s:o, s:o, s:o}",
	    "id", id, "sender",
	    text_or_null(m->has_envelope ? e->sender : NULL), "recipients",
	    addresses, "envid", text_or_null(e->envid), "ret",
	    text_or_null(rets[e->ret]), "body", text_or_null(bodies[e->body]),
	    "smtputf8", e->smtputf8, "arrived", time_or_null(e->arrived_utc_us),
	    "stream", text_or_null(e->stream), "user", text_or_null(e->user),
	    "client", text_or_null(e->client), "helo", text_or_null(e->helo),
	    "deliveries", deliveries, "problems", problem_list(m), "content",
	    m->has_content ? json_sprintf("%s.eml", id) : json_null());
	return all;
}

/* ---- files ---- */

static int
open_new(int dir_fd, const char *id, const char *ending, char name[24],
    struct err *err_out)
{
	int fd;

	snprintf(name, 24, "%s.%s", id, ending);
	fd =
	    openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd >= 0 ? fd : err_sys(err_out, "%s", name);
}

static int
close_synced(int fd, const char *name, struct err *err_out)
{
	int rc = fsync(fd) < 0 ? err_sys(err_out, "%s", name) : 0;

	if (close(fd) < 0 && rc == 0)
		rc = err_sys(err_out, "%s", name);
	return rc;
}

static int
write_content(int dir_fd, const char *id, struct image_message *m,
    struct err *err_out)
{
	char name[24];
	int fd;

	if (!m->has_content)
		return 0;
	fd = open_new(dir_fd, id, "eml", name, err_out);
	if (fd < 0)
		return -1;
	if (image_message_copy(m, fd, err_out) < 0) {
		close(fd);
		return -1;
	}
	return close_synced(fd, name, err_out);
}

static int
write_envelope(int dir_fd, const char *id, const struct image_message *m,
    struct err *err_out)
{
	json_t *all = envelope_json(m, id);
	char name[24];
	int fd = open_new(dir_fd, id, "json", name, err_out);
	int rc = -1;

	if (fd >= 0) {
		rc = json_dumpfd(all, fd, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		if (rc == 0 && write(fd, "\n", 1) == 1) {
			rc = close_synced(fd, name, err_out);
		} else {
			rc = err_sys(err_out, "%s", name);
			close(fd);
		}
	}
	json_decref(all);
	return rc;
}

static int
apart_folder(struct exporter *x, struct err *err_out)
{
	if (x->apart_fd >= 0)
		return x->apart_fd;
	if (mkdirat(x->dir_fd, "uncertain", 0700) < 0 && errno != EEXIST)
		return err_sys(err_out, "uncertain");
	x->apart_fd =
	    openat(x->dir_fd, "uncertain", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return x->apart_fd >= 0 ? x->apart_fd : err_sys(err_out, "uncertain");
}

/* The content first: what is wrong with it is said in the envelope. */
static void
export_one(struct image_message *m, void *arg)
{
	struct exporter *x = arg;
	char id[MESSAGE_ID_SIZE];
	int fd;

	if (x->has_failed)
		return;
	message_id_format(m->id, id);
	fd = m->is_uncertain ? apart_folder(x, &x->err) : x->dir_fd;
	if (fd < 0 || write_content(fd, id, m, &x->err) < 0 ||
	    write_envelope(fd, id, m, &x->err) < 0)
		x->has_failed = true;
	else
		x->n++;
}

int
ctl_spool_export_all(struct ctl_spool *s, uint64_t *n_out, struct err *err_out)
{
	struct exporter x = { .apart_fd = -1 };

	if (mkdir(s->to, 0700) < 0 && errno != EEXIST)
		return err_sys(err_out, "%s", s->to);
	x.dir_fd = open(s->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x.dir_fd < 0)
		return err_sys(err_out, "%s", s->to);
	spool_image_each(s->image, export_one, &x);
	if (!x.has_failed && fsync(x.dir_fd) < 0) {
		err_sys(&x.err, "sync");
		x.has_failed = true;
	}
	if (x.apart_fd >= 0)
		close(x.apart_fd);
	close(x.dir_fd);
	*n_out = x.n;
	return x.has_failed ? err_set(err_out, "%s: %s", s->to, x.err.text) : 0;
}
