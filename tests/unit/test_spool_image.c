/* SPDX-License-Identifier: ISC */
/*
 * A spool read without its daemon: all of it from a sound one; from one with
 * damage anywhere, in the database or in contents, all that is readable, and
 * nothing missing without a word. And a spool that is rebuilt from that.
 */
#include "daemon/spool_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "daemon/spool_rebuild.h"
#include "tests/unit/spool_fixture.h"

#define N_MESSAGES 120
#define ROUNDS	   150

/* ---- a spool that has lived ---- */

struct original {
	uint64_t id;
	size_t len;
	size_t n_deliveries;
};

struct mail {
	struct world w;
	struct original v[N_MESSAGES + 1];
	size_t n;
	struct strbuf mdb; /* the database as it was */
	char path[100];
};

static size_t
len_of(size_t i)
{
	static const size_t lens[] = { 200, 900, 5000, 70000, 0, 1500, 30000 };

	return lens[i % 7];
}

static void
submit_all(struct mail *m)
{
	for (size_t i = 0; i < 2 * N_MESSAGES; i++) {
		struct spool_request *q =
		    submission_new(m->w.spool, i % 5 ? SENDER : "");
		struct answer a;

		q->envelope.envid = xstrdup("QQ314159");
		submission_to(q, "gmail", "a@gmail.com", "b@gmail.com", NULL);
		if (i % 3 == 0)
			submission_to(q, "yahoo", "c@yahoo.com", NULL);
		assert_int_equal(body_fill(q->body, i, len_of(i)), 0);
		a = submit_and_wait(&m->w, q);
		assert_int_equal(a.result, SPOOL_OK);
		m->v[m->n++] =
		    (struct original){ a.id, len_of(i), i % 3 == 0 ? 2 : 1 };
		if (i % 2 == 1) { /* every other one leaves again */
			q = settlement_new(a.id, 0, 2);
			q->rcpts[0].fate = q->rcpts[1].fate = SPOOL_DELIVERED;
			submit_and_wait(&m->w, q);
			if (m->v[--m->n].n_deliveries < 2)
				continue;
			q = settlement_new(a.id, 1, 1);
			q->rcpts[0].fate = SPOOL_DELIVERED;
			submit_and_wait(&m->w, q);
		}
	}
}

static void
slurp(const char *path, struct strbuf *out)
{
	char buf[65536];
	size_t n;
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		strbuf_add(out, buf, n);
	fclose(f);
}

static void
spill_file(const char *path, const char *data, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static int
set_up(void **state)
{
	struct mail *m = xcalloc(1, sizeof(*m));
	struct spool_request *q;

	world_init(&m->w);
	world_start(&m->w);
	submit_all(m);
	q = xcalloc(1, sizeof(*q));
	q->kind = SPOOL_FACTS;
	q->facts = spool_fact_new("s lane", 6, "slow", 4);
	submit_and_wait(&m->w, q);
	world_stop(&m->w);
	snprintf(m->path, sizeof(m->path), "%s/spool.mdb", m->w.dir);
	slurp(m->path, &m->mdb);
	*state = m;
	return 0;
}

static int
tear_down(void **state)
{
	struct mail *m = *state;

	strbuf_fini(&m->mdb);
	world_fini(&m->w);
	free(m);
	return 0;
}

/* ---- looking at it ---- */

struct seen {
	const struct mail *mail;
	size_t n_damages, n_notes;
	size_t n_known, n_whole, n_unknown; /* messages; whole ones are right */
	size_t n_deliveries, n_problems;
	char first[400];
};

static void
on_finding(enum image_finding kind, const char *text, void *arg)
{
	struct seen *s = arg;

	if (kind == IMAGE_NOTE)
		s->n_notes++;
	else if (s->n_damages++ == 0)
		snprintf(s->first, sizeof(s->first), "%s", text);
}

static bool
is_content_right(struct image_message *m, size_t i)
{
	int fd = memfd_create("content", MFD_CLOEXEC);
	char *want = content_make(i, len_of(i)), *have = xmalloc(len_of(i) + 1);
	bool is_right;

	assert_int_equal(image_message_copy(m, fd, NULL), 0);
	is_right = pread(fd, have, len_of(i) + 1, 0) == (ssize_t)len_of(i) &&
	    memcmp(want, have, len_of(i)) == 0;
	close(fd);
	free(want);
	free(have);
	return is_right;
}

static void
on_message(struct image_message *m, void *arg)
{
	struct seen *s = arg;
	const struct envelope *e = &m->envelope;
	size_t i;

	for (i = 0; i < s->mail->n && s->mail->v[i].id != m->id; i++)
		;
	s->n_problems += m->problems.len > 0;
	if (i == s->mail->n) {
		s->n_unknown++;
		return;
	}
	s->n_known++;
	s->n_deliveries += e->n_deliveries;
	/* The i-th that stayed was the 2i-th that came. */
	if (m->has_envelope && m->has_content &&
	    strcmp(e->sender, 2 * i % 5 ? SENDER : "") == 0 &&
	    strcmp(e->envid ? e->envid : "", "QQ314159") == 0 &&
	    e->n_deliveries == s->mail->v[i].n_deliveries &&
	    e->deliveries[0].n_recipients == 2 &&
	    strcmp(e->deliveries[0].recipients[1].address, "b@gmail.com") ==
		0 &&
	    is_content_right(m, 2 * i))
		s->n_whole++;
}

/* False: it couldn't be opened, which is told as well. */
static bool
look(const struct mail *m, struct seen *s)
{
	struct spool_image *im;
	struct err err = { .text = "" };

	*s = (struct seen){ .mail = m };
	im = spool_image_open(m->w.dir, on_finding, s, &err);
	if (im == NULL) {
		assert_true(err.text[0] != '\0');
		return false;
	}
	spool_image_each(im, on_message, s);
	assert_int_equal(spool_image_stats(im)->n_damages, s->n_damages);
	spool_image_close(im);
	return true;
}

static void
everything_is_in_a_sound_one(void **state)
{
	struct mail *m = *state;
	struct seen s;

	assert_true(look(m, &s));
	if (s.n_damages > 0)
		fail_msg("%s", s.first);
	assert_int_equal(s.n_notes, 0);
	assert_int_equal(s.n_whole, N_MESSAGES);
	assert_int_equal(s.n_deliveries, N_MESSAGES + N_MESSAGES / 3);
	assert_int_equal(s.n_unknown, 0);
}

static void
running_daemon_is_left_alone(void **state)
{
	struct mail *m = *state;
	struct seen s = { .mail = m };
	struct err err = { .text = "" };

	world_open(&m->w);
	assert_null(spool_image_open(m->w.dir, on_finding, &s, &err));
	assert_non_null(strstr(err.text, "stop it first"));
	world_stop(&m->w);
	assert_true(look(m, &s));
}

static void
what_is_no_spool_is_refused(void **state)
{
	struct mail *m = *state;
	struct err err = { .text = "" };
	char path[120];

	assert_null(spool_image_open("/nonexistent", on_finding, NULL, &err));
	snprintf(path, sizeof(path), "%s/bodies", m->w.dir);
	assert_null(spool_image_open(path, on_finding, NULL, &err));
	assert_non_null(strstr(err.text, "spool.mdb"));
}

/* ---- damage ---- */

/* A record of mail is under half a page, so a page holds so many messages at
 * most whose records could be lost with it. */
#define LOST_MAX 40

static void
damage_page(struct rng *rng, char *bytes, size_t n_pages)
{
	char *page = bytes + rng_below(rng, n_pages) * 4096;

	if (rng_below(rng, 3) == 0)
		memset(page, 0, 4096);
	else if (rng_below(rng, 2) == 0)
		page[rng_below(rng, 32)] ^= (char)(1 << rng_below(rng, 8));
	else
		for (size_t i = 0; i < 4096; i++)
			page[i] = (char)rng_next(rng);
}

static void
one_bad_page_costs_only_what_is_in_it(void **state)
{
	struct mail *m = *state;
	const uint64_t seed = 7 + 20261125;
	char *bytes = xmalloc(m->mdb.len);
	size_t n_told = 0;

	print_message("seed %llu\n", (unsigned long long)seed);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		struct rng rng = { seed + round };
		struct seen s;

		memcpy(bytes, m->mdb.data, m->mdb.len);
		damage_page(&rng, bytes, m->mdb.len / 4096);
		spill_file(m->path, bytes, m->mdb.len);
		if (!look(m, &s))
			fail_msg("round %llu: not opened",
			    (unsigned long long)round);
		n_told += s.n_damages > 0;
		if (s.n_whole + LOST_MAX < N_MESSAGES)
			fail_msg("round %llu: only %zu of %d (%s)",
			    (unsigned long long)round, s.n_whole, N_MESSAGES,
			    s.first);
		if (s.n_damages == 0 && s.n_known != N_MESSAGES)
			fail_msg("round %llu: %zu of %d, silently",
			    (unsigned long long)round, s.n_known, N_MESSAGES);
	}
	assert_true(n_told > 0);
	free(bytes);
	spill_file(m->path, m->mdb.data, m->mdb.len);
}

static void
flips_and_cuts_anywhere_are_survived(void **state)
{
	struct mail *m = *state;
	const uint64_t seed = 9 + 20261125;
	char *bytes = xmalloc(m->mdb.len);

	print_message("seed %llu\n", (unsigned long long)seed);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		struct rng rng = { seed + round };
		size_t len = m->mdb.len;
		struct seen s;

		memcpy(bytes, m->mdb.data, len);
		for (size_t n = rng_below(&rng, 60); n > 0; n--)
			bytes[rng_below(&rng, len)] ^=
			    (char)(1 << rng_below(&rng, 8));
		if (round % 3 == 0)
			len = rng_below(&rng, len);
		spill_file(m->path, bytes, len);
		if (!look(m, &s))
			continue;
		if (s.n_damages == 0 && s.n_known != N_MESSAGES)
			fail_msg("round %llu: %zu of %d, silently",
			    (unsigned long long)round, s.n_known, N_MESSAGES);
	}
	free(bytes);
	spill_file(m->path, m->mdb.data, m->mdb.len);
}

static void
damaged_contents_are_told(void **state)
{
	struct mail *m = *state;
	char name[BODY_NAME_SIZE], path[160];
	struct seen s;
	struct strbuf was = { 0 };

	assert_int_equal(m->v[5].len, 70000); /* the tenth that came */
	snprintf(path, sizeof(path), "%s/bodies/%s", m->w.dir,
	    body_name(m->v[5].id, name));
	slurp(path, &was);
	spill_file(path, was.data, 69999);
	look(m, &s);
	assert_int_equal(s.n_damages, 1);
	assert_non_null(strstr(s.first, "69999 bytes, not 70000"));
	assert_int_equal(s.n_whole, N_MESSAGES - 1);
	assert_int_equal(s.n_known, N_MESSAGES);

	unlink(path);
	look(m, &s);
	assert_non_null(strstr(s.first, "its content is missing"));
	assert_int_equal(s.n_known, N_MESSAGES);
	spill_file(path, was.data, was.len);

	snprintf(path, sizeof(path), "%s/bodies/%s", m->w.dir,
	    body_name(m->v[5].id + 1, name));
	*strrchr(path, '/') = '\0';
	(void)mkdir(path, 0700);
	path[strlen(path)] = '/';
	spill_file(path, "x", 1);
	look(m, &s);
	assert_int_equal(s.n_damages, 0);
	assert_int_equal(s.n_notes, 1); /* of a crash: the start removes it */
	unlink(path);
	strbuf_fini(&was);
}

/* ---- the daemon's own look ---- */

static void
start_with_damage_keeps_contents(void **state)
{
	struct mail *m = *state;
	char name[BODY_NAME_SIZE], path[160];
	char *bytes = xmemdup(m->mdb.data, m->mdb.len);
	uint64_t be = htobe64(m->v[5].id);
	size_t n_changed = 0;

	/* The first octet of each of its envelopes (there are old ones in
	 * free pages): the version. */
	for (size_t i = 0; i + 10 < m->mdb.len; i++)
		if (memcmp(bytes + i, &be, 8) == 0 &&
		    bytes[i + 8] == RECORD_MESSAGE) {
			bytes[i + 9] = 99;
			n_changed++;
		}
	assert_true(n_changed > 0);
	spill_file(m->path, bytes, m->mdb.len);
	m->w.n_added = 0;
	world_start(&m->w);
	assert_int_equal(m->w.n_added, N_MESSAGES + N_MESSAGES / 3 - 1);
	world_stop(&m->w);
	snprintf(path, sizeof(path), "%s/bodies/%s", m->w.dir,
	    body_name(m->v[5].id, name));
	assert_int_equal(access(path, F_OK), 0);
	free(bytes);
	spill_file(m->path, m->mdb.data, m->mdb.len);
}

static void
assert_refused(struct mail *m, const char *what)
{
	struct spool_ops ops = world_ops(&m->w);
	struct err err = { .text = "" };

	assert_null(spool_open(&m->w.conf, &ops, &err));
	if (strstr(err.text, what) == NULL ||
	    strstr(err.text, "flyballctl spool check") == NULL)
		fail_msg("%s", err.text);
}

static void
start_refuses_what_is_cut_off(void **state)
{
	struct mail *m = *state;

	spill_file(m->path, "", 0);
	assert_refused(m, "it is empty");
	spill_file(m->path, m->mdb.data, 100);
	assert_refused(m, "damaged");
	spill_file(m->path, m->mdb.data, 8192);
	assert_refused(m, "behind the end of the file");
	spill_file(m->path, "#!/bin/sh\n", 10);
	assert_refused(m, "no database");
	spill_file(m->path, m->mdb.data, m->mdb.len);
}

static uint64_t
number_at(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* LMDB would take that page for the next commit, and write over the tree. */
static void
start_refuses_a_used_page_in_the_free_list(void **state)
{
	struct mail *m = *state;
	struct spool_ops ops = world_ops(&m->w);
	struct err err = { .text = "" };
	char *bytes = xmemdup(m->mdb.data, m->mdb.len);
	/* Heads: the roots at 80 and 128, the number at 144. */
	const char *head = bytes +
	    (number_at(bytes + 144) < number_at(bytes + 4096 + 144)) * 4096;
	uint64_t used = number_at(head + 128);
	char *page = bytes + number_at(head + 80) * 4096;
	uint16_t at;

	assert_int_equal(page[10], 2); /* a leaf: the list is short */
	memcpy(&at, page + 16, sizeof(at));
	/* The node's header, its key, the count. */
	memcpy(page + at + 8 + 8 + 8, &used, sizeof(used));
	spill_file(m->path, bytes, m->mdb.len);
	m->w.spool = spool_open(&m->w.conf, &ops, &err);
	assert_non_null(m->w.spool);
	assert_int_equal(spool_scan(m->w.spool, &err), -1);
	assert_non_null(strstr(err.text, "in the list of free pages"));
	world_stop(&m->w);
	free(bytes);
	spill_file(m->path, m->mdb.data, m->mdb.len);
}

/* ---- rebuilding ---- */

static void
rebuilt_spool_has_all_that_is_whole(void **state)
{
	struct mail *m = *state;
	struct mail copy = *m;
	char name[BODY_NAME_SIZE], path[160];
	struct spool_image *im;
	struct rebuilt n;
	struct seen s = { .mail = m };
	struct err err = { .text = "" };
	struct strbuf was = { 0 };

	snprintf(path, sizeof(path), "%s/bodies/%s", m->w.dir,
	    body_name(m->v[5].id, name));
	slurp(path, &was);
	unlink(path);
	strcat(copy.w.dir, ".new");
	im = spool_image_open(m->w.dir, on_finding, &s, &err);
	assert_non_null(im);
	if (spool_rebuild(im, m->w.dir, copy.w.dir, &n, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(n.n_messages, N_MESSAGES - 1);
	assert_int_equal(n.n_left_out, 1);
	assert_int_equal(n.n_facts, 1);
	assert_int_equal(spool_rebuild(im, m->w.dir, copy.w.dir, &n, &err), -1);
	spool_image_close(im);
	spill_file(path, was.data, was.len);

	assert_true(look(&copy, &s));
	assert_int_equal(s.n_damages, 0);
	assert_int_equal(s.n_whole, N_MESSAGES - 1);
	copy.w.conf.daemon.state_dir = copy.w.dir;
	copy.w.n_added = 0;
	world_start(&copy.w);
	assert_int_equal(copy.w.n_added, N_MESSAGES + N_MESSAGES / 3 - 1);
	assert_true(has_message(&copy.w, m->v[3].id, 6, len_of(6)));
	world_stop(&copy.w);
	remove_tree(copy.w.dir);
	strbuf_fini(&was);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_in_a_sound_one),
		cmocka_unit_test(running_daemon_is_left_alone),
		cmocka_unit_test(what_is_no_spool_is_refused),
		cmocka_unit_test(one_bad_page_costs_only_what_is_in_it),
		cmocka_unit_test(flips_and_cuts_anywhere_are_survived),
		cmocka_unit_test(damaged_contents_are_told),
		cmocka_unit_test(start_with_damage_keeps_contents),
		cmocka_unit_test(start_refuses_what_is_cut_off),
		cmocka_unit_test(start_refuses_a_used_page_in_the_free_list),
		cmocka_unit_test(rebuilt_spool_has_all_that_is_whole),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
