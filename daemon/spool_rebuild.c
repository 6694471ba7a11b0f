/* SPDX-License-Identifier: ISC */
/*
 * A damaged spool's way out: what can be read, in a spool of its own that the
 * daemon starts with. It writes with the daemon's own functions, without its
 * writer thread, so there is one way in which records are made.
 */
#include "daemon/spool_rebuild.h"

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/base/xalloc.h"
#include "daemon/spool_private.h"

/* What one transaction takes. */
#define TURN_BYTES ((uint64_t)16 << 20)
/* Address space only; the daemon makes it larger when it has to. */
#define ROOM_BYTES ((int64_t)1 << 40)

struct rebuild {
	struct spool *spool;
	struct turn turn;
	uint64_t n_bytes; /* in this transaction */
	struct rebuilt *out;
	struct err err;
	bool has_failed;
};

static void
fail(struct rebuild *r, int rc)
{
	if (rc != 0 && !r->has_failed) {
		err_set(&r->err, "%s: %s", r->spool->store.path,
		    mdb_strerror(rc));
		r->has_failed = true;
	}
}

/* ---- transactions ---- */

static bool
begin(struct rebuild *r)
{
	int rc = 0;

	if (r->has_failed)
		return false;
	if (r->turn.txn == NULL)
		rc = mdb_txn_begin(r->spool->store.env, NULL, 0, &r->turn.txn);
	fail(r, rc);
	return rc == 0;
}

static void
end(struct rebuild *r)
{
	if (r->turn.txn == NULL)
		return;
	if (r->has_failed)
		mdb_txn_abort(r->turn.txn);
	else
		fail(r, spool_io.commit(r->turn.txn));
	r->turn.txn = NULL;
	r->n_bytes = 0;
}

static void
count(struct rebuild *r, uint64_t bytes)
{
	r->n_bytes += bytes;
	if (r->n_bytes >= TURN_BYTES)
		end(r);
}

/* ---- messages ---- */

static bool
is_whole(const struct image_message *m)
{
	return m->has_envelope && m->envelope.n_deliveries > 0 &&
	    m->has_content && !m->is_uncertain && m->problems.len == 0;
}

/* A content over SPOOL_INLINE_MAX: through the daemon's own way to a file. */
static int
copy_body(struct rebuild *r, const struct image_message *m)
{
	struct body *b = body_new(r->spool);
	char buf[65536];
	int rc = 0;

	while (rc == 0) {
		ssize_t n =
		    pread(m->content_fd, buf, sizeof(buf), (off_t)body_len(b));

		if (n < 0)
			rc = err_sys(&r->err, "a content");
		if (n <= 0)
			break;
		rc = body_add(b, buf, (size_t)n, &r->err);
	}
	if (rc == 0 && (!body_is_file(b) || body_is_over(b)))
		rc = err_set(&r->err, "a content: no room");
	if (rc == 0)
		rc = body_place(b, m->id, &r->err);
	if (rc == 0)
		body_release(b);
	body_free(b);
	return rc;
}

static void
take_message(struct image_message *m, void *arg)
{
	struct rebuild *r = arg;
	const char *content = m->content.len > 0 ? m->content.data : "";

	if (m->content_fd >= 0)
		content = NULL;
	/* Reads it through first: that may find a problem. */
	if (r->has_failed || image_message_copy(m, -1, NULL) < 0)
		return;
	if (!is_whole(m)) {
		r->out->n_left_out++;
		return;
	}
	if (!begin(r))
		return;
	if (content == NULL && copy_body(r, m) < 0) {
		r->has_failed = true;
		return;
	}
	fail(r, record_add(&r->turn, &m->envelope, content, m->content.len));
	r->out->n_messages++;
	count(r, m->content.len + 1024);
}

static void
take_fact(const struct strbuf *key, const struct strbuf *value, void *arg)
{
	struct rebuild *r = arg;
	struct spool_fact *f;

	if (key->len > SPOOL_FACT_KEY_MAX || !begin(r))
		return;
	f = spool_fact_new(key->data, key->len,
	    value->len > 0 ? value->data : "", value->len);
	fail(r, facts_put(&r->turn, f));
	spool_facts_free(f);
	r->out->n_facts++;
	count(r, key->len + value->len);
}

/* ---- the directory ---- */

static uid_t new_uid;
static gid_t new_gid;

static int
give(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return lchown(path, new_uid, new_gid);
}

static int
give_away(const char *from, const char *to, struct err *err_out)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (stat(from, &st) < 0)
		return err_sys(err_out, "%s", from);
	new_uid = st.st_uid;
	new_gid = st.st_gid;
	if (nftw(to, give, 16, FTW_PHYS) != 0)
		return err_sys(err_out, "%s: owner", to);
	return 0;
}

static int
fill(struct rebuild *r, struct spool_image *im, struct err *err_out)
{
	spool_image_each(im, take_message, r);
	end(r);
	spool_image_facts(im, take_fact, r);
	end(r);
	turn_fini(&r->turn);
	if (r->has_failed)
		*err_out = r->err;
	return r->has_failed ? -1 : 0;
}

int
spool_rebuild(struct spool_image *im, const char *from, const char *to,
    struct rebuilt *out, struct err *err_out)
{
	struct conf conf = { .daemon = { .state_dir = (char *)(uintptr_t)to },
		.spool = { .max_bytes = ROOM_BYTES } };
	const struct spool_ops none = { 0 };
	struct rebuild r = { .out = out };
	int rc;

	*out = (struct rebuilt){ 0 };
	if (access(to, F_OK) == 0)
		return err_set(err_out, "%s: there is something already", to);
	r.spool = spool_open(&conf, &none, err_out);
	if (r.spool == NULL)
		return -1;
	r.turn.spool = r.spool;
	rc = fill(&r, im, err_out);
	spool_close(r.spool);
	return rc < 0 ? -1 : give_away(from, to, err_out);
}
