/* SPDX-License-Identifier: ISC */
/*
 * Random life against a naive model: mail comes, leaves, comes back, is paused,
 * rerouted, expires, and the configuration changes under it. After every step
 * the scheduler's structures must agree (check.c). The model knows only the
 * promises: nothing is lost or sent twice at once, no limit is ever exceeded,
 * nothing leaves that is paused or not yet due, and in the end all of it went.
 */
#include "tests/unit/sched_world.h"

#include "conf/base/rng.h"

#define MAIL_MAX    400
#define EVENTS_MAX  60000
#define N_ROUTES    3
#define N_PROVIDERS 4 /* the last is `other`, with sites */
#define N_SITES	    3
#define N_STREAMS   4
#define N_DESTS	    (N_PROVIDERS - 1 + N_SITES)

static const char *const route_names[] = { "ip-a", "ip-b", "ip-c" };
static const char *const provider_names[] = { "gmail", "yahoo", "gmx",
	"other" };
static const char *const site_names[] = { "a.example", "b.example",
	"c.example" };
static const char *const stream_names[] = { "receipts", "news", "digest",
	"default" };

enum mail_state { MAIL_NONE, MAIL_QUEUED, MAIL_DEFERRED, MAIL_IN_FLIGHT };

struct mail {
	enum mail_state state;
	uint64_t message;
	uint32_t n_pending, n_granted, attempts;
	int64_t due_us, expires_us;
	int stream, dest;
	int route; /* in flight by */
};

struct event {
	int64_t at_us;
	int64_t n;
	int route, dest;
};

struct model {
	struct world w;
	struct fixture other_conf; /* to reload back and forth */
	bool is_other_conf;
	struct rng rng;
	struct mail mail[MAIL_MAX];
	struct event events[EVENTS_MAX];
	size_t n_events;
	bool route_paused[N_ROUTES], stream_paused[N_STREAMS];
	bool provider_paused[N_PROVIDERS];
	int64_t route_down_until[N_ROUTES];
	uint64_t n_finished;
};

/* ---- the configuration ---- */

static void
model_conf(struct fixture *f, bool is_other)
{
	struct conf_provider *p;

	fixture_init(f);
	f->conf.spool.retry.first_us = 2 * SEC;
	f->conf.spool.retry.max_us = 20 * SEC;
	f->conf.spool.retry.jitter_permille = 200;
	p = fixture_provider(f, "gmail");
	fixture_rate(&p->limits, is_other ? 150 : 200, SEC);
	fixture_rate(&p->limits, 1000, 20 * SEC);
	p->limits.connections = is_other ? 2 : 4;
	p = fixture_provider(f, "yahoo");
	fixture_rate(&p->limits, 5, SEC);
	p->limits.recipients_per_message = 3;
	p = fixture_provider(f, "gmx");
	p->limits.connections = 1;
	if (!is_other)
		fixture_rate(&p->limits, 300, SEC);
	fixture_rate(&fixture_other(f)->limits, 10, SEC);
	if (is_other)
		fixture_route(f, "ip-c", 5);
	fixture_route(f, "ip-a", 6);
	fixture_route(f, "ip-b", 3);
	if (!is_other)
		fixture_route(f, "ip-c", 4);
	fixture_stream(f, "receipts", PRIORITY_HIGH, 1, "ip-b", "ip-a", NULL);
	if (!is_other)
		fixture_stream(f, "news", PRIORITY_BULK, 1, "ip-a", "ip-c",
		    NULL);
	fixture_stream(f, "digest", is_other ? PRIORITY_NORMAL : PRIORITY_BULK,
	    3, "ip-a", NULL);
	fixture_stream(f, "default", PRIORITY_NORMAL, 2, "ip-c", "ip-b", "ip-a",
	    NULL);
}

static const struct conf *
model_now(const struct model *m)
{
	return m->is_other_conf ? &m->other_conf.conf : &m->w.f.conf;
}

/* ---- naming ---- */

static int
index_of(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	fail_msg("no such name: %s", name);
	return -1;
}

static int
provider_of(int dest)
{
	return dest < N_PROVIDERS - 1 ? dest : N_PROVIDERS - 1;
}

static const char *
site_of(int dest)
{
	return dest < N_PROVIDERS - 1 ? "" : site_names[dest - N_PROVIDERS + 1];
}

static struct mail *
find_mail(struct model *m, uint64_t message)
{
	for (int i = 0; i < MAIL_MAX; i++)
		if (m->mail[i].state != MAIL_NONE &&
		    m->mail[i].message == message)
			return &m->mail[i];
	fail_msg("message %llu is nowhere", (unsigned long long)message);
	return NULL;
}

static struct mail *
random_mail(struct model *m, enum mail_state state)
{
	int start = (int)rng_below(&m->rng, MAIL_MAX);

	for (int i = 0; i < MAIL_MAX; i++) {
		struct mail *mail = &m->mail[(start + i) % MAIL_MAX];

		if (mail->state == state)
			return mail;
	}
	return NULL;
}

/* ---- what is checked at a dispatch ---- */

static void
check_connections(const struct model *m, int route, int dest)
{
	const struct conf *conf = model_now(m);
	unsigned n_route = 0, n_lane = 0;

	for (int i = 0; i < MAIL_MAX; i++) {
		const struct mail *mail = &m->mail[i];

		if (mail->state != MAIL_IN_FLIGHT || mail->route != route)
			continue;
		n_route++;
		n_lane += mail->dest == dest;
	}
	for (size_t i = 0; i < conf->n_routes; i++)
		if (strcmp(conf->routes[i].name, route_names[route]) == 0)
			assert_true(n_route <= conf->routes[i].connections);
	for (size_t i = 0; i < conf->n_providers; i++) {
		const struct conf_provider *p = &conf->providers[i];

		if (strcmp(p->name, provider_names[provider_of(dest)]) == 0 &&
		    p->limits.connections > 0)
			assert_true(n_lane <= p->limits.connections);
	}
}

static void
on_dispatch(struct model *m, const struct plan *p)
{
	struct mail *mail = find_mail(m, p->message);
	const char *route = model_now(m)->routes[p->route].name;
	int r = index_of(route_names, N_ROUTES, route);

	assert_true(mail->state == MAIL_QUEUED ||
	    (mail->state == MAIL_DEFERRED && mail->due_us <= m->w.now_us));
	assert_true(mail->expires_us > m->w.now_us);
	assert_int_equal(p->n_pending, mail->n_pending);
	assert_int_equal(p->attempts, mail->attempts);
	assert_in_range(p->n_recipients, 1, mail->n_pending);
	assert_false(m->route_paused[r]);
	assert_false(m->provider_paused[provider_of(mail->dest)]);
	assert_false(m->stream_paused[index_of(stream_names, N_STREAMS,
	    p->stream)]);
	assert_true(m->route_down_until[r] <= m->w.now_us);
	mail->state = MAIL_IN_FLIGHT;
	mail->n_granted = p->n_recipients;
	mail->route = r;
	check_connections(m, r, mail->dest);
	assert_true(m->n_events < EVENTS_MAX);
	m->events[m->n_events++] =
	    (struct event){ m->w.now_us, p->n_recipients, r, mail->dest };
}

/* ---- steps ---- */

static void
step_add(struct model *m)
{
	struct mail *mail = random_mail(m, MAIL_NONE);

	if (mail == NULL)
		return;
	*mail = (struct mail){
		.state = MAIL_QUEUED,
		.message = ++m->w.n_added,
		.n_pending = 1 +
		    (uint32_t)rng_below(&m->rng,
			rng_below(&m->rng, 4) ? 2 : 30),
		.expires_us = m->w.now_us + 120 * SEC,
		.stream = (int)rng_below(&m->rng, N_STREAMS),
		.dest = (int)rng_below(&m->rng, N_DESTS),
	};
	if (rng_below(&m->rng, 8) == 0) {
		mail->state = MAIL_DEFERRED;
		mail->due_us =
		    m->w.now_us + 1 + (int64_t)rng_below(&m->rng, 5 * SEC);
	}
	sched_add(m->w.s,
	    &(struct sched_delivery){
		.message = mail->message,
		.n_pending = mail->n_pending,
		.stream = stream_names[mail->stream],
		.provider = provider_names[provider_of(mail->dest)],
		.site = site_of(mail->dest),
		.expires_us = mail->expires_us,
		.due_us = mail->due_us,
	    },
	    m->w.now_us);
}

static void
finish(struct model *m, struct mail *mail)
{
	mail->state = MAIL_NONE;
	m->n_finished++;
}

static void
step_plan(struct model *m)
{
	struct plan p;

	sched_plan(m->w.s, m->w.now_us, &p);
	switch (p.kind) {
	case PLAN_DISPATCH:
		on_dispatch(m, &p);
		break;
	case PLAN_EXPIRED:
		assert_true(find_mail(m, p.message)->state != MAIL_IN_FLIGHT);
		assert_true(find_mail(m, p.message)->expires_us <= m->w.now_us);
		finish(m, find_mail(m, p.message));
		break;
	case PLAN_WAIT:
		assert_true(p.due_us > m->w.now_us);
		if (rng_below(&m->rng, 2) && p.due_us < m->w.now_us + SEC)
			m->w.now_us = p.due_us;
		else
			m->w.now_us +=
			    1 + (int64_t)rng_below(&m->rng, SEC / 10);
		break;
	}
}

static void
step_verdict(struct model *m)
{
	struct mail *mail = random_mail(m, MAIL_IN_FLIGHT);
	struct verdict v = { .class = CLASS_OK, .code = 250 };
	int64_t due_us;

	if (mail == NULL)
		return;
	v.message = mail->message;
	v.n_delivered = (uint32_t)rng_below(&m->rng, mail->n_granted + 1);
	v.n_deferred =
	    (uint32_t)rng_below(&m->rng, mail->n_granted - v.n_delivered + 1);
	v.n_pending = mail->n_pending - v.n_delivered;
	v.next = rng_below(&m->rng, 3) ? SETTLE_REQUEUE : SETTLE_RETRY;
	if (v.n_pending == 0 || rng_below(&m->rng, 3) == 0) {
		v.n_pending = 0;
		v.next = SETTLE_DONE;
	}
	/* What nobody attempted comes back to the buckets. */
	for (size_t i = m->n_events; i-- > 0;)
		if (m->events[i].route == mail->route &&
		    m->events[i].dest == mail->dest &&
		    m->events[i].n == mail->n_granted) {
			m->events[i].n = v.n_delivered + v.n_deferred;
			break;
		}
	due_us = sched_verdict(m->w.s, &v, m->w.now_us);
	mail->n_pending = v.n_pending;
	m->route_down_until[mail->route] = 0; /* a real reply */
	mail->due_us = due_us;
	mail->attempts += v.next == SETTLE_RETRY;
	mail->state = v.next == SETTLE_RETRY ? MAIL_DEFERRED : MAIL_QUEUED;
	if (v.next == SETTLE_DONE)
		finish(m, mail);
}

static void
step_unuse(struct model *m)
{
	struct mail *mail = random_mail(m, MAIL_IN_FLIGHT);

	if (mail == NULL)
		return;
	for (size_t i = m->n_events; i-- > 0;)
		if (m->events[i].route == mail->route &&
		    m->events[i].dest == mail->dest &&
		    m->events[i].n == mail->n_granted) {
			m->events[i].n = 0;
			break;
		}
	sched_unuse(m->w.s, mail->message, 0, m->w.now_us);
	mail->state = MAIL_QUEUED;
}

static void
step_operator_on_mail(struct model *m)
{
	struct mail *mail = &m->mail[rng_below(&m->rng, MAIL_MAX)];
	bool is_here =
	    mail->state == MAIL_QUEUED || mail->state == MAIL_DEFERRED;

	if (mail->message == 0)
		return;
	if (rng_below(&m->rng, 4)) {
		assert_int_equal(sched_retry_now(m->w.s, mail->message, 0,
				     m->w.now_us),
		    is_here);
		if (is_here)
			mail->state = MAIL_QUEUED;
	} else {
		assert_int_equal(sched_remove(m->w.s, mail->message, 0),
		    is_here);
		if (is_here)
			finish(m, mail);
	}
}

static void
toggle(struct model *m, enum pause_kind kind, const char *name, bool *paused)
{
	struct err err;

	/* Something that a reload took away can't be paused. */
	if (*paused)
		assert_int_equal(sched_resume(m->w.s, kind, name, m->w.now_us,
				     &err),
		    0);
	else if (sched_pause(m->w.s, kind, name, INT64_MAX, "model",
		     m->w.now_us, &err) != 0)
		return;
	*paused = !*paused;
}

static void
step_pause(struct model *m)
{
	uint64_t i = rng_below(&m->rng, 3);

	switch (rng_below(&m->rng, 3)) {
	case 0:
		toggle(m, PAUSE_ROUTE, route_names[i], &m->route_paused[i]);
		break;
	case 1:
		toggle(m, PAUSE_PROVIDER, provider_names[i],
		    &m->provider_paused[i]);
		break;
	default:
		toggle(m, PAUSE_STREAM, stream_names[i], &m->stream_paused[i]);
	}
}

static void
step_route(struct model *m)
{
	unsigned i = (unsigned)rng_below(&m->rng, N_ROUTES);
	int r = index_of(route_names, N_ROUTES, model_now(m)->routes[i].name);

	if (rng_below(&m->rng, 2)) {
		m->route_down_until[r] =
		    sched_route_down(m->w.s, i, "refused", m->w.now_us);
		assert_in_range(m->route_down_until[r] - m->w.now_us, 0,
		    60 * SEC);
	} else {
		sched_route_up(m->w.s, i, m->w.now_us);
		m->route_down_until[r] = 0;
	}
}

static void
step_reload(struct model *m)
{
	m->is_other_conf = !m->is_other_conf;
	sched_reload(m->w.s, model_now(m), m->w.now_us);
}

static void
step(struct model *m)
{
	uint64_t dice = rng_below(&m->rng, 1000);

	if (dice < 250)
		step_add(m);
	else if (dice < 640)
		step_plan(m);
	else if (dice < 900)
		step_verdict(m);
	else if (dice < 940)
		step_unuse(m);
	else if (dice < 960)
		step_operator_on_mail(m);
	else if (dice < 980)
		step_pause(m);
	else if (dice < 995)
		step_route(m);
	else
		step_reload(m);
}

/* ---- what is checked at the end ---- */

/* The most that lane let go in any half-open interval of that length. */
static int64_t
peak(const struct model *m, int route, int dest, int64_t window_us)
{
	int64_t sum = 0, most = 0;
	size_t from = 0;

	for (size_t to = 0; to < m->n_events; to++) {
		const struct event *e = &m->events[to];

		if (e->route != route || e->dest != dest)
			continue;
		sum += e->n;
		for (; e->at_us - m->events[from].at_us >= window_us; from++)
			if (m->events[from].route == route &&
			    m->events[from].dest == dest)
				sum -= m->events[from].n;
		most = sum > most ? sum : most;
	}
	return most;
}

static void
check_rates(const struct model *m)
{
	for (int r = 0; r < N_ROUTES; r++) {
		assert_true(peak(m, r, 0, SEC) <= 200);
		assert_true(peak(m, r, 0, 20 * SEC) <= 1000);
		assert_true(peak(m, r, 1, SEC) <= 5);
		for (int dest = 3; dest < N_DESTS; dest++)
			assert_true(peak(m, r, dest, SEC) <= 10);
	}
}

/* Everything is opened; all of it must leave in bounded time. */
static void
drain(struct model *m)
{
	struct sched_totals t;

	if (m->is_other_conf)
		step_reload(m);
	for (int i = 0; i < N_ROUTES; i++) {
		if (m->route_paused[i])
			toggle(m, PAUSE_ROUTE, route_names[i],
			    &m->route_paused[i]);
		sched_route_up(m->w.s, (unsigned)i, m->w.now_us);
		m->route_down_until[i] = 0;
	}
	for (int i = 0; i < N_PROVIDERS; i++)
		if (m->provider_paused[i])
			toggle(m, PAUSE_PROVIDER, provider_names[i],
			    &m->provider_paused[i]);
	for (int i = 0; i < N_STREAMS; i++)
		if (m->stream_paused[i])
			toggle(m, PAUSE_STREAM, stream_names[i],
			    &m->stream_paused[i]);
	for (int i = 0; i < 40000; i++) {
		step_plan(m);
		step_verdict(m);
		sched_totals(m->w.s, &t);
		if (t.n_deliveries == 0)
			break;
	}
	assert_int_equal(t.n_deliveries, 0);
	assert_int_equal(t.n_recipients, 0);
	assert_int_equal(m->n_finished, m->w.n_added);
}

static void
random_life(void **state)
{
	const uint64_t seeds =
	    getenv("SEEDS") ? strtoull(getenv("SEEDS"), NULL, 10) : 12;
	struct model *m = calloc(1, sizeof(*m));

	(void)state;
	print_message("seeds 1..%llu\n", (unsigned long long)seeds);
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		memset(m, 0, sizeof(*m));
		m->rng.state = seed;
		model_conf(&m->w.f, false);
		model_conf(&m->other_conf, true);
		world_start(&m->w);
		for (int i = 0; i < 8000; i++) {
			step(m);
			sched_check(m->w.s);
		}
		drain(m);
		check_rates(m);
		world_end(&m->w);
	}
	free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
