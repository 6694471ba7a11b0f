/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SPOOL_SCRIPT_H
#define FLYBALL_SPOOL_SCRIPT_H

/*
 * What a process that will die does to a spool, and what must be found there
 * afterwards: a script, one operation after the other, and a random load.
 * Included by the tests that let it die, behind cmocka.h.
 */
#include <signal.h>
#include <sys/wait.h>

#include "conf/base/rng.h"
#include "tests/unit/spool_fixture.h"

#define SMALL 3000
#define LARGE 90000

/* ---- a script, one operation after the other ---- */

enum what { SUBMIT, DELIVER, FAIL, DROP, KEEP, MOVE };

struct op {
	enum what what;
	int message;
	size_t len;
};

static const struct op script[] = {
	{ SUBMIT, 0, SMALL },
	{ SUBMIT, 1, LARGE },
	{ SUBMIT, 2, SMALL },
	{ DELIVER, 0, 0 },
	{ FAIL, 1, 0 },
	{ SUBMIT, 3, LARGE },
	{ KEEP, 2, 0 },
	{ MOVE, 2, 0 },
	{ SUBMIT, 4, LARGE },
	{ DROP, 3, 0 },
	{ FAIL, 2, 0 },
	{ KEEP, 4, 0 },
	{ MOVE, 4, 0 },
	{ SUBMIT, 5, LARGE },
	{ DELIVER, 4, 0 },
};
#define N_OPS	   (sizeof(script) / sizeof(script[0]))
#define N_MESSAGES 6

/* What is in the spool. */
struct model {
	struct {
		bool is_there;
		uint32_t number, attempts;
		size_t len;
		uint64_t id;
	} messages[N_MESSAGES];
	size_t n_notices;
};

static void
model_apply(struct model *m, const struct op *op)
{
	switch (op->what) {
	case SUBMIT:
		m->messages[op->message].is_there = true;
		m->messages[op->message].len = op->len;
		break;
	case FAIL:
		m->n_notices++;
		m->messages[op->message].is_there = false;
		break;
	case DELIVER:
	case DROP:
		m->messages[op->message].is_there = false;
		break;
	case MOVE:
		m->messages[op->message].number++;
		m->messages[op->message].attempts++;
		break;
	case KEEP:
		m->messages[op->message].attempts++;
		break;
	}
}

static struct model
model_after(size_t n_ops)
{
	struct model m = { 0 };

	for (size_t i = 0; i < n_ops; i++)
		model_apply(&m, &script[i]);
	return m;
}

static bool
model_is_equal(const struct model *a, const struct model *b)
{
	for (int i = 0; i < N_MESSAGES; i++) {
		if (a->messages[i].is_there != b->messages[i].is_there)
			return false;
		if (a->messages[i].is_there &&
		    (a->messages[i].number != b->messages[i].number ||
			a->messages[i].attempts != b->messages[i].attempts))
			return false;
	}
	return a->n_notices == b->n_notices;
}

/* ---- the one who dies ---- */

static int steps_left, report_fd;
/* Called in the process that will die: before it opens the spool, when it has,
 * and at the end of the script. */
static void (*before_script)(void), (*after_open)(void);
static void (*after_script)(struct world *w);
/* A message that is refused is sent once more, as a client would. */
static bool is_persistent;

static void
die_at_step(const char *where)
{
	(void)where;
	if (--steps_left == 0)
		kill(getpid(), SIGKILL);
}

static struct spool_request *
script_submission(struct world *w, const struct op *op)
{
	struct spool_request *q = submission_new(w->spool, SENDER);
	char address[32];

	snprintf(address, sizeof(address), "%d@gmail.com", op->message);
	submission_to(q, "gmail", address, NULL);
	if (body_fill(q->body, (uint64_t)op->message, op->len) < 0 &&
	    !is_persistent)
		_exit(3);
	return q;
}

static struct spool_request *
script_settlement(const struct model *m, const struct op *op)
{
	static const enum spool_fate fates[] = { [DELIVER] = SPOOL_DELIVERED,
		[FAIL] = SPOOL_FAILED_FOR_GOOD,
		[DROP] = SPOOL_DROPPED,
		[KEEP] = SPOOL_KEEP,
		[MOVE] = SPOOL_MOVE };
	struct spool_request *q = settlement_new(m->messages[op->message].id,
	    m->messages[op->message].number, 1);

	q->rcpts->fate = fates[op->what];
	q->attempts = q->move_attempts = m->messages[op->message].attempts + 1;
	return q;
}

static struct answer
run_op(struct world *w, const struct model *m, const struct op *op)
{
	struct answer a;

	do
		a = submit_and_wait(w,
		    op->what == SUBMIT ? script_submission(w, op)
				       : script_settlement(m, op));
	while (is_persistent && op->what == SUBMIT && a.result != SPOOL_OK &&
	    usleep(500) == 0);
	return a;
}

/* A byte for each answer, as a client would see his 250. */
static void
run_script(struct world *w)
{
	struct model m = { 0 };

	if (before_script != NULL)
		before_script();
	world_start(w);
	if (after_open != NULL)
		after_open();
	spool_test_step = die_at_step;
	for (size_t i = 0; i < N_OPS; i++) {
		const struct op *op = &script[i];
		struct answer a = run_op(w, &m, op);

		if (a.result != SPOOL_OK || write(report_fd, "+", 1) != 1)
			_exit(3);
		model_apply(&m, op);
		if (op->what == SUBMIT)
			m.messages[op->message].id = a.id;
	}
	spool_test_step = NULL;
	if (after_script != NULL)
		after_script(w);
	_exit(0);
}

/* Runs it until its step; how many answers came, and whether it died. */
static size_t
let_die(struct world *w, void (*run)(struct world *w), int step, bool *died_out)
{
	char answers[N_OPS + 1];
	size_t n = 0;
	int fds[2], status;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		report_fd = fds[1];
		steps_left = step;
		run(w);
	}
	close(fds[1]);
	while ((got = read(fds[0], answers, sizeof(answers))) > 0)
		n += (size_t)got;
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	*died_out = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	if (!*died_out)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return n;
}

/* ---- what is left ---- */

static struct model
model_of_spool(struct world *w)
{
	struct model m = { 0 };
	size_t n_large = 0;

	for (size_t i = 0; i < w->n_added; i++) {
		const struct added *a = &w->added[i];
		int message = atoi(a->first);
		size_t len = message % 2 == 0 && message != 4 ? SMALL : LARGE;
		struct spool_message got;
		char *want, *data;

		if (strcmp(a->stream, SPOOL_DSN_STREAM) == 0) {
			m.n_notices++;
			continue;
		}
		assert_in_range(message, 0, N_MESSAGES - 1);
		assert_false(m.messages[message].is_there);
		m.messages[message].is_there = true;
		m.messages[message].number = a->number;
		m.messages[message].attempts = a->attempts;
		n_large += len == LARGE;
		/* Whole, whether it was answered or not. */
		assert_int_equal(read_delivery(w, a->id, a->number, &got), 0);
		assert_int_equal(got.body_len, len);
		want = content_make((uint64_t)message, len);
		data = content_of(&got);
		assert_memory_equal(want, data, len);
		free(want);
		free(data);
		spool_message_fini(&got);
	}
	assert_int_equal(count_body_files(w->dir), n_large);
	return m;
}

/* ---- a random load, until the end ---- */

#define WINDOW	   24
#define KNOWN_MAX  60000
#define SETTLE_OUT 3 /* of 4 are settled */

enum fate { UNANSWERED, LIVE, IN_DOUBT, GONE };

struct known {
	uint64_t id, seed;
	size_t len;
	enum fate fate;
};

static struct {
	struct known *list;
	size_t n;
} known;

struct report {
	enum fate fate;
	uint64_t id, seed;
	size_t len;
};

static struct known *
find_known(uint64_t id)
{
	for (size_t i = known.n; i-- > 0;)
		if (known.list[i].id == id)
			return &known.list[i];
	return NULL;
}

static struct known *
learn(uint64_t id, uint64_t seed, size_t len, enum fate fate)
{
	struct known *k = find_known(id);

	if (k == NULL) {
		assert_true(known.n < KNOWN_MAX);
		k = &known.list[known.n++];
		*k = (struct known){ .id = id, .seed = seed, .len = len };
	}
	k->fate = fate;
	return k;
}

static void
tell_parent(enum fate fate, uint64_t id, uint64_t seed, size_t len)
{
	struct report r = { .fate = fate, .id = id, .seed = seed, .len = len };

	if (write(report_fd, &r, sizeof(r)) != sizeof(r))
		_exit(3);
}

/* The seed and the length are in the address. */
static void
on_load_committed(struct spool_request *q, void *arg)
{
	struct world *w = arg;

	if (q->result == SPOOL_OK && q->kind == SPOOL_SETTLE) {
		tell_parent(GONE, q->message, 0, 0);
	} else if (q->result == SPOOL_OK) {
		unsigned long seed = 0, len = 0;

		sscanf(q->envelope.deliveries->recipients->address, "s%lu.%lu@",
		    &seed, &len);
		tell_parent(LIVE, q->envelope.id, seed, len);
	}
	pthread_mutex_lock(&w->lock);
	w->last.id = q->kind == SPOOL_SUBMIT ? q->envelope.id : 0;
	w->n_answered++;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
	spool_request_free(q);
}

static void
settle_some(struct world *w, struct rng *rng, uint64_t id)
{
	struct spool_request *q;

	if (id == 0 || rng_below(rng, 4) >= SETTLE_OUT)
		return;
	for (size_t i = 0; i < known.n; i++)
		if (known.list[i].id == id)
			return; /* tried before */
	learn(id, 0, 0, GONE);
	tell_parent(IN_DOUBT, id, 0, 0);
	q = settlement_new(id, 0, 1);
	q->rcpts->fate = SPOOL_DELIVERED;
	spool_submit(w->spool, q);
}

/* Until it is killed. What it learns stays in it. */
static void
run_load(struct world *w, uint64_t seed)
{
	struct rng rng = { .state = seed };
	struct spool_ops ops = world_ops(w);
	size_t n_sent = 0;

	if (before_script != NULL)
		before_script();
	ops.committed = on_load_committed;
	w->spool = spool_open(&w->conf, &ops, NULL);
	if (w->spool == NULL || spool_start(w->spool, NULL) < 0)
		_exit(3);
	for (uint64_t i = 0;; i++) {
		struct spool_request *q = submission_new(w->spool, SENDER);
		size_t len = rng_below(&rng, 30) == 0
		    ? 65537 + rng_below(&rng, 50000)
		    : rng_below(&rng, 9000);
		uint64_t newest, id = seed << 32 | i;
		char address[64];

		snprintf(address, sizeof(address), "s%lu.%zu@gmail.com",
		    (unsigned long)id, len);
		submission_to(q, "gmail", address, NULL);
		(void)body_fill(q->body, id, len); /* else it is refused */
		spool_submit(w->spool, q);
		n_sent++;
		if (n_sent > WINDOW)
			world_wait(w, n_sent - WINDOW);
		pthread_mutex_lock(&w->lock);
		newest = w->last.id;
		w->last.id = 0;
		pthread_mutex_unlock(&w->lock);
		settle_some(w, &rng, newest);
	}
}

static void
hear_reports(int fd)
{
	struct report r;

	while (read(fd, &r, sizeof(r)) == sizeof(r))
		learn(r.id, r.seed, r.len, r.fate);
}

struct load {
	pid_t pid;
	int fd; /* its reports */
};

static struct load
load_start(struct world *w, uint64_t seed)
{
	struct load load;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	load.pid = fork();
	assert_true(load.pid >= 0);
	if (load.pid == 0) {
		close(fds[0]);
		report_fd = fds[1];
		run_load(w, seed);
	}
	close(fds[1]);
	load.fd = fds[0];
	return load;
}

/* Until it was killed. */
static void
load_join(struct load *load)
{
	int status;

	hear_reports(load->fd);
	close(load->fd);
	assert_int_equal(waitpid(load->pid, &status, 0), load->pid);
	assert_true(WIFSIGNALED(status));
}

static void
on_found(const struct envelope *e, void *arg)
{
	unsigned long seed = 0, len = 0;

	(void)arg;
	sscanf(e->deliveries->recipients->address, "s%lu.%lu@", &seed, &len);
	assert_int_equal(e->size_bytes, len);
	/* Settled and answered: must be gone. Unanswered: may be here. */
	if (find_known(e->id) != NULL)
		assert_int_not_equal(find_known(e->id)->fate, GONE);
	else
		learn(e->id, seed, len, UNANSWERED);
	find_known(e->id)->fate =
	    find_known(e->id)->fate == LIVE ? LIVE : UNANSWERED;
}

static void
check_all(struct world *w)
{
	struct spool_ops ops = world_ops(w);
	struct err err = { .text = "" };
	size_t n_live = 0, n_files = 0;

	ops.added = on_found;
	w->spool = spool_open(&w->conf, &ops, &err);
	if (w->spool == NULL || spool_scan(w->spool, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < known.n; i++) {
		struct known *k = &known.list[i];

		if (k->fate == IN_DOUBT) /* not found: it happened */
			k->fate = GONE;
		if (k->fate == GONE)
			continue;
		if (!has_message(w, k->id, k->seed, k->len))
			fail_msg("%llu of %zu bytes is missing or broken",
			    (unsigned long long)k->id, k->len);
		k->fate = LIVE;
		n_live++;
		n_files += k->len > SPOOL_INLINE_MAX;
	}
	assert_int_equal(stats_of(w).n_messages, n_live);
	assert_int_equal(count_body_files(w->dir), n_files);
	world_stop(w);
}

#endif
