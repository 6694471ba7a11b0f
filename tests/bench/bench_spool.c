/* SPDX-License-Identifier: ISC */
/*
 * What the spool costs, beside what the disk costs: the time from handing a
 * message over to its commit, one after the other; messages a second with
 * several under way; a queue of many, its growth, its scan at start, and what
 * it does to mail that comes and goes. In temporary directories, removed at
 * the end; -q is left out where it is under 27 times -n.
 *
 *	bench_spool [-d DIR] [-n MESSAGES] [-l BYTES] [-q QUEUED]
 *
 * Prints one JSON object.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "conf/base/rng.h"
#include "conf/base/xalloc.h"
#include "daemon/spool.h"

static struct {
	char *dir, *long_dir; /* an empty spool, one with a queue */
	size_t n_messages;
	size_t size;
	size_t n_queued;
	char *content;
} opt = { .n_messages = 3000, .size = 4096, .n_queued = 200000 };

static void
fail(const char *what)
{
	fprintf(stderr, "bench_spool: %s\n", what);
	exit(1);
}

/* ---- numbers ---- */

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int64_t
permille(int64_t *v, size_t n, size_t p)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[(n - 1) * p / 1000];
}

static void
print_latency(const char *name, int64_t *v, size_t n)
{
	int64_t median_us = permille(v, n, 500), p99_us = permille(v, n, 990);

	printf("  \"%s_us\": {\"median\": %" PRId64 ", \"p99\": %" PRId64
	       ", \"max\": %" PRId64 "},\n",
	    name, median_us, p99_us, v[n - 1]);
}

/* The disk itself: 4 KiB at a time into space that is written already. */
#define DISK_BLOCKS 1000

static struct {
	int fd;
	size_t next;
} disk;

static void
disk_open(void)
{
	char *path = xasprintf("%s/disk", opt.dir);
	char block[4096] = { 0 };

	disk.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (size_t i = 0; i < DISK_BLOCKS; i++)
		if (write(disk.fd, block, sizeof(block)) != sizeof(block))
			fail("can't write");
	fsync(disk.fd);
	free(path);
}

static int64_t
disk_sync_us(void)
{
	char block[4096];
	size_t at = disk.next++ % DISK_BLOCKS;
	int64_t begun_us = clock_mono_us();

	memset(block, (int)disk.next, sizeof(block));
	if (pwrite(disk.fd, block, sizeof(block), (off_t)(4096 * at)) !=
		sizeof(block) ||
	    fdatasync(disk.fd) < 0)
		fail("can't sync");
	return clock_mono_us() - begun_us;
}

/* ---- a spool, and who waits for it ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	size_t n_answered;
	size_t n_refused;
	uint64_t *ids; /* of what was committed */
	size_t n_ids;
	size_t cap;
	size_t n_added;
} world = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.wake = PTHREAD_COND_INITIALIZER };

static void
on_committed(struct spool_request *q, void *arg)
{
	(void)arg;
	pthread_mutex_lock(&world.lock);
	world.n_answered++;
	world.n_refused += q->result != SPOOL_OK;
	if (q->kind == SPOOL_SUBMIT && q->result == SPOOL_OK &&
	    world.n_ids < world.cap)
		world.ids[world.n_ids++] = q->envelope.id;
	pthread_cond_signal(&world.wake);
	pthread_mutex_unlock(&world.lock);
	spool_request_free(q);
}

static void
on_added(const struct envelope *e, void *arg)
{
	(void)e;
	(void)arg;
	world.n_added++;
}

static void
wait_for(size_t n_answered)
{
	pthread_mutex_lock(&world.lock);
	while (world.n_answered < n_answered)
		pthread_cond_wait(&world.wake, &world.lock);
	pthread_mutex_unlock(&world.lock);
}

static struct spool *
open_spool(char *dir)
{
	static struct conf conf;
	struct spool_ops ops = { .committed = on_committed, .added = on_added };
	struct err err;
	struct spool *spool;

	conf.daemon.state_dir = dir;
	conf.daemon.hostname = (char *)"bench.example";
	conf.spool.max_messages = 10000000;
	conf.spool.max_bytes = (int64_t)100 << 30;
	spool = spool_open(&conf, &ops, &err);
	if (spool == NULL)
		fail(err.text);
	return spool;
}

static void
submit(struct spool *spool)
{
	struct spool_request *q = xcalloc(1, sizeof(*q));
	struct envelope *e = &q->envelope;

	q->kind = SPOOL_SUBMIT;
	*e = (struct envelope){ .arrived_utc_us = clock_utc_us(),
		.sender = xstrdup("bounces@news.example.com"),
		.stream = xstrdup("default"),
		.user = xstrdup("shop"),
		.client = xstrdup("192.0.2.17"),
		.helo = xstrdup("app.example.com"),
		.deliveries = xcalloc(1, sizeof(struct delivery)),
		.n_deliveries = 1 };
	e->deliveries->provider = xstrdup("gmail");
	e->deliveries->site = xstrdup("");
	delivery_add(e->deliveries, "someone.or.other@gmail.com");
	q->body = body_new(spool);
	if (body_add(q->body, opt.content, opt.size, NULL) < 0)
		fail("no body");
	spool_submit(spool, q);
}

static void
settle(struct spool *spool, uint64_t id)
{
	struct spool_request *q = xcalloc(1, sizeof(*q));

	q->kind = SPOOL_SETTLE;
	q->message = id;
	q->rcpts = xcalloc(1, sizeof(*q->rcpts));
	q->n_rcpts = 1;
	q->rcpts[0].fate = SPOOL_DELIVERED;
	spool_submit(spool, q);
}

static void
expect_ids(size_t n)
{
	world.ids = xrealloc(world.ids, n * sizeof(*world.ids));
	world.cap = n;
	world.n_ids = 0;
}

/* ---- the measurements ---- */

/* One message at a time, and the disk in turns with it: other load on the
 * machine hits both alike. */
static void
measure_single(struct spool *spool, const char *name)
{
	int64_t *v = xcalloc(opt.n_messages, sizeof(*v));
	int64_t *syncs = xcalloc(opt.n_messages, sizeof(*syncs));
	char disk_name[64];

	for (size_t i = 0; i < opt.n_messages; i++) {
		int64_t begun_us;
		size_t before = world.n_answered;

		syncs[i] = disk_sync_us();
		begun_us = clock_mono_us();
		submit(spool);
		wait_for(before + 1);
		v[i] = clock_mono_us() - begun_us;
	}
	snprintf(disk_name, sizeof(disk_name), "%s_fdatasync_4k", name);
	print_latency(name, v, opt.n_messages);
	print_latency(disk_name, syncs, opt.n_messages);
	free(v);
	free(syncs);
}

/* `window` requests are always under way, as from so many sessions: the ids
 * are settled, or without them messages submitted. Returns requests a second. */
static int64_t
run_window(struct spool *spool, size_t n, size_t window,
    const uint64_t *settle_ids)
{
	size_t answered = world.n_answered;
	int64_t begun_us = clock_mono_us();

	for (size_t i = 0; i < n; i++) {
		if (i >= window)
			wait_for(answered + i - window + 1);
		if (settle_ids != NULL)
			settle(spool, settle_ids[i]);
		else
			submit(spool);
	}
	wait_for(answered + n);
	return (int64_t)n * 1000000 / (clock_mono_us() - begun_us);
}

static void
measure_window(struct spool *spool, size_t n, size_t window,
    const uint64_t *settle_ids, const char *name)
{
	struct spool_stats before, after;
	uint64_t n_commits;
	int64_t per_s;

	spool_stats(spool, &before);
	per_s = run_window(spool, n, window, settle_ids);
	spool_stats(spool, &after);
	n_commits = after.n_commits - before.n_commits;
	printf("  \"%s\": {\"per_s\": %" PRId64
	       ", \"per_commit\": %.1f, \"commit_us\": %" PRId64
	       ", \"commit_us_max\": %" PRId64 "},\n",
	    name, per_s, (double)n / (double)n_commits,
	    (after.commit_us_total - before.commit_us_total) /
		(int64_t)n_commits,
	    after.commit_us_max);
}

/* Insert and delete in turns, as a relay that keeps up does. */
static void
measure_flow(struct spool *spool, size_t n, size_t window, const char *name)
{
	size_t answered = world.n_answered, done = 0;
	int64_t begun_us = clock_mono_us();

	expect_ids(n);
	for (size_t i = 0; i < n; i++) {
		if (i + done >= window)
			wait_for(answered + i + done - window + 1);
		submit(spool);
		pthread_mutex_lock(&world.lock);
		size_t ready = world.n_ids;
		pthread_mutex_unlock(&world.lock);
		while (done < ready)
			settle(spool, world.ids[done++]);
	}
	wait_for(answered + n + done);
	while (done < n)
		settle(spool, world.ids[done++]);
	wait_for(answered + n + n);
	printf("  \"%s\": {\"per_s\": %" PRId64 "},\n", name,
	    (int64_t)n * 1000000 / (clock_mono_us() - begun_us));
}

static long
resident_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		sscanf(line, "RssAnon: %ld", &kib);
	if (f != NULL)
		fclose(f);
	return kib;
}

static void
forget_cache(void)
{
	char *path = xasprintf("%s/spool.mdb", opt.long_dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		fdatasync(fd);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
	}
	free(path);
}

static void
measure_scan(const char *name)
{
	struct err err;
	int64_t begun_us = clock_mono_us(), took_us;
	struct spool *spool = open_spool(opt.long_dir);

	world.n_added = 0;
	if (spool_scan(spool, &err) < 0)
		fail(err.text);
	took_us = clock_mono_us() - begun_us;
	printf("  \"%s\": {\"deliveries\": %zu, \"ms\": %" PRId64
	       ", \"anonymous_kib\": %ld},\n",
	    name, world.n_added, took_us / 1000, resident_kib());
	spool_close(spool);
}

static void
start(struct spool *spool)
{
	struct err err;

	if (spool_start(spool, &err) < 0)
		fail(err.text);
}

/* Recipients answer at their own pace: the queue empties in no order. */
static void
shuffle(uint64_t *ids, size_t n)
{
	struct rng rng = { .state = 1 };

	for (size_t i = n; i > 1; i--) {
		size_t j = rng_below(&rng, i);
		uint64_t id = ids[i - 1];

		ids[i - 1] = ids[j];
		ids[j] = id;
	}
}

#define ROUNDS 9

/* One of two spools that are measured in turns, too. */
struct side {
	struct spool *spool;
	const uint64_t *queue; /* settled in this order; NULL: the newest */
	int64_t accept[ROUNDS], deliver[ROUNDS], single_us[ROUNDS];
};

static void
run_round(struct side *s, size_t round)
{
	size_t n = opt.n_messages;
	int64_t begun_us;

	expect_ids(n);
	s->accept[round] = run_window(s->spool, n, 16, NULL);
	s->deliver[round] =
	    run_window(s->spool, n, 16, s->queue ? s->queue : world.ids);
	if (s->queue != NULL)
		s->queue += n;
	begun_us = clock_mono_us();
	for (size_t i = 0; i < n / 10; i++) {
		size_t before = world.n_answered;

		submit(s->spool);
		wait_for(before + 1);
	}
	s->single_us[round] = (clock_mono_us() - begun_us) / (int64_t)(n / 10);
}

static void
print_pair(const char *when, const char *what, int64_t *empty, int64_t *queued)
{
	int64_t a = permille(empty, ROUNDS, 500);
	int64_t b = permille(queued, ROUNDS, 500);

	printf("  \"%s_%s\": {\"empty\": %" PRId64 ", \"queued\": %" PRId64
	       ", \"percent\": %" PRId64 "},\n",
	    when, what, a, b, b * 100 / a);
}

static void
measure_pair(struct spool *empty, struct spool *queued, const uint64_t *queue,
    const char *when)
{
	struct side a = { .spool = empty };
	struct side b = { .spool = queued, .queue = queue };

	for (size_t round = 0; round < ROUNDS; round++) {
		run_round(&a, round);
		run_round(&b, round);
	}
	print_pair(when, "accept_per_s", a.accept, b.accept);
	print_pair(when, "deliver_per_s", a.deliver, b.deliver);
	print_pair(when, "single_us", a.single_us, b.single_us);
}

static void
measure_queue(void)
{
	struct spool *spool = open_spool(opt.long_dir), *empty;
	size_t n_paired = ROUNDS * opt.n_messages, half;
	uint64_t *queue;

	start(spool);
	expect_ids(opt.n_queued);
	measure_window(spool, opt.n_queued, 512, NULL, "queue_grows");
	spool_close(spool);
	queue = world.ids;
	world.ids = NULL;
	forget_cache();
	measure_scan("scan_cold");
	measure_scan("scan_warm");
	spool = open_spool(opt.long_dir);
	start(spool);
	empty = open_spool(opt.dir);
	start(empty);
	measure_pair(empty, spool, queue, "queued");
	/* Half of what is left; and the pair once more, of the other half. */
	shuffle(queue + n_paired, opt.n_queued - n_paired);
	half = (opt.n_queued - n_paired) / 2;
	measure_window(spool, half, 64, queue + n_paired, "settle_64_shuffled");
	measure_pair(empty, spool, queue + n_paired + half, "half_settled");
	spool_close(spool);
	spool_close(empty);
	free(queue);
}

static void
measure(void)
{
	struct spool *spool = open_spool(opt.dir);
	size_t n = opt.n_messages * 4;

	start(spool);
	measure_single(spool, "single_growing");
	expect_ids(n);
	measure_window(spool, n, 16, NULL, "submit_16");
	measure_window(spool, n, 16, world.ids, "settle_16");
	expect_ids(n * 4);
	measure_window(spool, n * 4, 64, NULL, "submit_64");
	measure_window(spool, n * 4, 64, world.ids, "settle_64");
	measure_single(spool, "single_reusing");
	measure_flow(spool, n, 16, "flow_16");
	measure_flow(spool, n * 4, 64, "flow_64");
	spool_close(spool);
}

static void
remove_dir(char *dir)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", dir, (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

int
main(int argc, char **argv)
{
	const char *where = "/var/tmp";
	int c;

	while ((c = getopt(argc, argv, "d:n:l:q:")) != -1) {
		if (c == 'd')
			where = optarg;
		else if (c == 'n')
			opt.n_messages = strtoul(optarg, NULL, 10);
		else if (c == 'l')
			opt.size = strtoul(optarg, NULL, 10);
		else if (c == 'q')
			opt.n_queued = strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	opt.dir = xasprintf("%s/bench_spool.XXXXXX", where);
	opt.long_dir = xasprintf("%s/bench_spool.XXXXXX", where);
	if (mkdtemp(opt.dir) == NULL || mkdtemp(opt.long_dir) == NULL)
		fail("no temporary directory");
	opt.content = xmalloc(opt.size);
	memset(opt.content, 'x', opt.size);
	printf("{\n  \"bytes\": %zu,\n", opt.size);
	disk_open();
	measure();
	if (opt.n_queued > 3 * ROUNDS * opt.n_messages)
		measure_queue();
	printf("  \"refused\": %zu\n}\n", world.n_refused);
	remove_dir(opt.dir);
	remove_dir(opt.long_dir);
	free(opt.content);
	free(opt.dir);
	free(opt.long_dir);
	free(world.ids);
	return 0;
}
