/* SPDX-License-Identifier: ISC */
/*
 * A model of nodes that share limits: the real node's half and the real
 * script, in virtual time, while nodes crash, stand still and come back,
 * messages are late, lost or overtake each other, Redis is flushed and rates
 * are changed. Whatever happens, no window holds more than its limit and no
 * day more than its count. Each run prints its seed when it fails.
 */
#include "tests/unit/lease_world.h"

#include "conf/base/rng.h"

#define PERIOD	  SEC
#define NODES_MAX 6
#define CALLS_MAX 64
#define SENDS_MAX 400000
#define STEP_US	  1000

struct call { /* under way, there or back */
	bool is_used, is_back;
	unsigned node;
	int64_t incarnation;
	struct lease_ask ask;
	struct lease_answer answer;
	int64_t sent_us; /* by the node's clock */
	int64_t at_us;	 /* arrives then */
};

struct node {
	char name[8];
	struct lease lease;
	int64_t clock_us; /* its monotonic clock is ahead by so much */
	int64_t incarnation;
	bool is_up;
	int64_t still_until_us; /* it does nothing until then */
	int64_t demand;		/* recipients a second; -1: any */
	int64_t queued, owed_us;
	int64_t charged; /* of the day, on its disk */
	int64_t n_sent;
};

struct model {
	struct fake_redis redis;
	struct rng rng;
	int64_t now_us;
	struct node nodes[NODES_MAX];
	unsigned n_nodes;
	struct call calls[CALLS_MAX];
	struct conf_rates rates;
	int64_t day_limit; /* INT64_MAX: none */
	int64_t delay_us;  /* of a message, at most */
	int64_t lost_permille;
	int64_t *sends; /* when each recipient left */
	size_t n_sends, n_calls;
};

static int64_t
node_now(const struct model *m, const struct node *n)
{
	return m->now_us + n->clock_us;
}

static void
node_start(struct model *m, struct node *n)
{
	lease_init(&n->lease, PERIOD);
	lease_limit(&n->lease, &m->rates, 0, PERIOD, node_now(m, n));
	n->incarnation = m->now_us + 1;
	n->is_up = true;
	n->queued = 0;
	n->still_until_us = 0;
}

static void
node_crash(struct node *n)
{
	lease_fini(&n->lease);
	n->is_up = false;
}

static void
model_start(struct model *m, uint64_t seed, unsigned n_nodes)
{
	*m = (struct model){ .rng.state = seed, .n_nodes = n_nodes };
	m->day_limit = INT64_MAX;
	m->now_us = 1000 * SEC;
	m->delay_us = 2000;
	m->sends = calloc(SENDS_MAX, sizeof(*m->sends));
	fake_redis_start(&m->redis);
	for (unsigned i = 0; i < n_nodes; i++)
		snprintf(m->nodes[i].name, sizeof(m->nodes[i].name), "n%u", i);
}

static void
model_go(struct model *m)
{
	for (unsigned i = 0; i < m->n_nodes; i++)
		node_start(m, &m->nodes[i]);
}

static void
model_end(struct model *m)
{
	for (unsigned i = 0; i < m->n_nodes; i++)
		if (m->nodes[i].is_up)
			node_crash(&m->nodes[i]);
	fake_redis_end(&m->redis);
	free(m->sends);
}

/* ---- the wire ---- */

static int64_t
arrives(struct model *m)
{
	return m->now_us + (int64_t)rng_below(&m->rng, (uint64_t)m->delay_us) +
	    1;
}

static bool
is_lost(struct model *m)
{
	return (int64_t)rng_below(&m->rng, 1000) < m->lost_permille;
}

static void
node_call(struct model *m, struct node *n)
{
	struct call *c = NULL;

	for (unsigned i = 0; i < CALLS_MAX; i++)
		if (!m->calls[i].is_used)
			c = &m->calls[i];
	if (c == NULL)
		return;
	lease_day(&n->lease, 1, m->day_limit, n->charged);
	*c = (struct call){ .is_used = true,
		.node = (unsigned)(n - m->nodes),
		.incarnation = n->incarnation,
		.sent_us = node_now(m, n),
		.at_us = arrives(m) };
	lease_ask(&n->lease, n->queued, node_now(m, n), &c->ask);
	c->is_used = !is_lost(m);
	m->n_calls++;
}

static void
call_arrives(struct model *m, struct call *c)
{
	struct node *n = &m->nodes[c->node];

	if (!c->is_back) {
		bool is_ok = fake_redis_lease(&m->redis, n->name,
		    c->incarnation, PERIOD, &c->ask, m->now_us, &c->answer);

		c->is_back = true;
		c->at_us = arrives(m);
		c->is_used = is_ok && !is_lost(m);
		return;
	}
	if (n->is_up && n->still_until_us > m->now_us) {
		c->at_us = n->still_until_us + 1; /* it lies in its socket */
		return;
	}
	c->is_used = false;
	c->answer.sent_us = c->sent_us;
	if (n->is_up && n->incarnation == c->incarnation)
		lease_answer(&n->lease, &c->answer, node_now(m, n));
}

/* ---- nodes ---- */

static void
node_demand(struct node *n)
{
	if (n->demand < 0) {
		n->queued = 100000;
		return;
	}
	n->owed_us += n->demand * STEP_US;
	while (n->owed_us >= SEC && n->queued < 1000) {
		n->owed_us -= SEC;
		n->queued++;
	}
}

static void
node_send(struct model *m, struct node *n)
{
	int64_t now_us = node_now(m, n);

	while (n->queued > 0) {
		if (lease_when(&n->lease, 1, now_us) > now_us) {
			lease_wanted(&n->lease, now_us);
			return;
		}
		lease_charge(&n->lease, 1, now_us);
		n->charged++;
		n->n_sent++;
		n->queued--;
		assert_true(m->n_sends < SENDS_MAX);
		m->sends[m->n_sends++] = m->now_us;
	}
}

static void
node_step(struct model *m, struct node *n)
{
	int64_t now_us = node_now(m, n);

	if (!n->is_up || n->still_until_us > m->now_us)
		return;
	lease_day(&n->lease, 1, m->day_limit, n->charged);
	node_demand(n);
	node_send(m, n);
	/* What is never answered is given up. */
	if (n->lease.is_asking && now_us - n->lease.asked_us > PERIOD / 2)
		lease_failed(&n->lease, now_us);
	if (lease_due(&n->lease) <= now_us)
		node_call(m, n);
}

static void
model_run(struct model *m, int64_t span_us, void (*mischief)(struct model *m))
{
	int64_t end_us = m->now_us + span_us;

	while (m->now_us < end_us) {
		m->now_us += STEP_US;
		for (unsigned i = 0; i < CALLS_MAX; i++)
			if (m->calls[i].is_used &&
			    m->calls[i].at_us <= m->now_us)
				call_arrives(m, &m->calls[i]);
		for (unsigned i = 0; i < m->n_nodes; i++)
			node_step(m, &m->nodes[i]);
		if (mischief != NULL)
			mischief(m);
	}
}

/* The most in any half-open window of this length. */
static int64_t
most_in(const struct model *m, int64_t window_us)
{
	int64_t most = 0;
	size_t first = 0;

	for (size_t i = 0; i < m->n_sends; i++) {
		while (m->sends[i] - m->sends[first] >= window_us)
			first++;
		if ((int64_t)(i - first + 1) > most)
			most = (int64_t)(i - first + 1);
	}
	return most;
}

static int64_t
sent_since(const struct model *m, int64_t since_us)
{
	int64_t n = 0;

	for (size_t i = m->n_sends; i > 0 && m->sends[i - 1] >= since_us; i--)
		n++;
	return n;
}

static void
check_limits(const struct model *m, uint64_t seed)
{
	for (size_t i = 0; i < m->rates.n; i++) {
		const struct rate *r = &m->rates.v[i];
		int64_t most = most_in(m, r->window_us);

		if (most > r->count)
			fail_msg("seed %llu: %lld in a window of %lld us, "
				 "limit %lld",
			    (unsigned long long)seed, (long long)most,
			    (long long)r->window_us, (long long)r->count);
	}
	if (m->day_limit != INT64_MAX && (int64_t)m->n_sends > m->day_limit)
		fail_msg("seed %llu: %zu of a day's %lld",
		    (unsigned long long)seed, m->n_sends,
		    (long long)m->day_limit);
}

/* ---- named cases ---- */

static void
three_busy_nodes_share_all_of_it(void **state)
{
	struct model m;

	(void)state;
	model_start(&m, 1, 3);
	m.rates = rates_of(300, SEC, 0, 0);
	for (unsigned i = 0; i < 3; i++)
		m.nodes[i].demand = -1;
	model_go(&m);
	model_run(&m, 6 * SEC, NULL);
	for (unsigned i = 0; i < 3; i++)
		m.nodes[i].n_sent = 0;
	m.n_calls = 0;
	model_run(&m, 10 * SEC, NULL);
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(m.nodes[i].n_sent, 985, 1000);
	assert_in_range(sent_since(&m, m.now_us - 10 * SEC), 2970, 3000);
	assert_in_range(m.n_calls, 0, 3 * 20);
	check_limits(&m, 1);
	model_end(&m);
}

static void
a_newcomer_has_its_share_within_two_seconds(void **state)
{
	struct model m;

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		model_start(&m, seed, 3);
		m.rates = rates_of(300, SEC, 0, 0);
		m.nodes[0].demand = m.nodes[1].demand = -1;
		model_go(&m);
		model_run(&m, 8 * SEC + (int64_t)rng_below(&m.rng, 1000000),
		    NULL);
		m.nodes[2].demand = -1;
		model_run(&m, 2 * SEC, NULL);
		m.nodes[2].n_sent = 0;
		model_run(&m, SEC, NULL);
		if (m.nodes[2].n_sent < 95 || m.nodes[2].n_sent > 100)
			fail_msg("seed %llu: %lld of 100",
			    (unsigned long long)seed,
			    (long long)m.nodes[2].n_sent);
		check_limits(&m, seed);
		model_end(&m);
	}
}

static void
a_dead_nodes_share_is_used_within_three_seconds(void **state)
{
	struct model m;

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		model_start(&m, seed, 3);
		m.rates = rates_of(300, SEC, 0, 0);
		for (unsigned i = 0; i < 3; i++)
			m.nodes[i].demand = -1;
		model_go(&m);
		model_run(&m, 6 * SEC + (int64_t)rng_below(&m.rng, 1000000),
		    NULL);
		node_crash(&m.nodes[1]);
		model_run(&m, 3 * SEC, NULL);
		model_run(&m, SEC, NULL);
		assert_in_range(sent_since(&m, m.now_us - SEC), 290, 300);
		check_limits(&m, seed);
		model_end(&m);
	}
}

static void
an_idle_node_holds_nothing_and_asks_nothing(void **state)
{
	struct model m;

	(void)state;
	model_start(&m, 1, 2);
	m.rates = rates_of(20, SEC, 100000, 3600 * SEC);
	m.nodes[0].demand = 5;
	model_go(&m);
	model_run(&m, 5 * SEC, NULL);
	m.nodes[0].demand = 0;
	model_run(&m, 3 * SEC, NULL);
	m.n_calls = 0;
	model_run(&m, 10 * SEC, NULL);
	assert_int_equal(m.n_calls, 0);
	assert_int_equal(lease_room(&m.nodes[0].lease, m.now_us), 0);
	model_end(&m);
}

static void
a_days_count_is_used_up_and_never_passed(void **state)
{
	struct model m;

	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		model_start(&m, seed, 4);
		m.rates = rates_of(100, SEC, 0, 0);
		m.day_limit = 997;
		for (unsigned i = 0; i < 4; i++)
			m.nodes[i].demand = i == 3 ? 7 : -1;
		model_go(&m);
		model_run(&m, 25 * SEC, NULL);
		assert_int_equal(m.n_sends, 997);
		model_end(&m);
	}
}

static void
fewer_tokens_than_nodes_go_round(void **state)
{
	struct model m;

	(void)state;
	model_start(&m, 1, 5);
	m.rates = rates_of(2, SEC, 0, 0);
	for (unsigned i = 0; i < 5; i++)
		m.nodes[i].demand = -1;
	model_go(&m);
	model_run(&m, 120 * SEC, NULL);
	for (unsigned i = 0; i < 5; i++)
		assert_in_range(m.nodes[i].n_sent, 10, 80);
	check_limits(&m, 1);
	model_end(&m);
}

static void
long_windows_lose_little(void **state)
{
	struct model m;
	int64_t most;

	(void)state;
	model_start(&m, 1, 3);
	m.rates = rates_of(6000, 60 * SEC, 0, 0);
	for (unsigned i = 0; i < 3; i++)
		m.nodes[i].demand = -1;
	model_go(&m);
	model_run(&m, 200 * SEC, NULL);
	most = sent_since(&m, m.now_us - 60 * SEC);
	assert_in_range(most, 5800, 6000);
	check_limits(&m, 1);
	model_end(&m);
}

/* ---- the script alone ---- */

static void
what_the_script_grants_after_a_flush(void **state)
{
	static const struct lease_ask_item minute = { LEASE_LONG, 60000, 6000,
		.want = 50 },
					   day = { LEASE_DAY, 7, 120,
						   .want = 50, .seen = 100 },
					   less = { LEASE_DAY, 7, 120,
						   .want = 50, .seen = 40 };
	struct lease_ask_item other;
	struct lease_answer a;
	struct fake_redis r;
	int64_t t = 1000 * SEC;

	(void)state;
	fake_redis_start(&r);
	assert_true(fake_redis_ask(&r, "a", 1, minute, t, &a));
	assert_int_equal(a.items[0].held, 0);
	assert_false(fake_redis_ask(&r, "a", 1, minute, t + 1,
	    &a)); /* the same call */
	assert_true(fake_redis_ask(&r, "a", 2, minute, t + 10 * SEC, &a));
	assert_int_equal(a.items[0].held, 50);
	/* What anybody has seen of the day holds, whoever speaks last. */
	fake_redis_flush(&r);
	assert_true(fake_redis_ask(&r, "a", 3, day, t, &a));
	assert_true(fake_redis_ask(&r, "b", 1, less, t, &a));
	assert_int_equal(a.items[0].total, 100);
	assert_true(fake_redis_ask(&r, "b", 2, less, t + 10 * SEC, &a));
	assert_int_equal(a.items[0].held, 20);
	/* Three days later it is forgotten. */
	other = day;
	for (other.id = 8; other.id <= 10; other.id++)
		fake_redis_ask(&r, "a", (uint64_t)other.id, other, t + 20 * SEC,
		    &a);
	other = less;
	other.seen = 0;
	fake_redis_ask(&r, "b", 3, other, t + 30 * SEC, &a);
	assert_int_equal(a.items[0].sent, 0);
	fake_redis_end(&r);
}

/* ---- whatever happens ---- */

static void
do_mischief(struct model *m, struct node *n)
{
	switch (rng_below(&m->rng, 8)) {
	case 0:
		if (n->is_up)
			node_crash(n);
		break;
	case 1:
	case 2:
		if (!n->is_up)
			node_start(m, n);
		break;
	case 3:
		n->still_until_us =
		    m->now_us + (int64_t)rng_below(&m->rng, 30 * SEC);
		break;
	case 4:
		n->demand = (int64_t)rng_below(&m->rng, 200) - 60;
		n->demand = n->demand < 0 ? -1 : n->demand;
		break;
	case 5:
		m->delay_us = 1 +
		    (int64_t)rng_below(&m->rng,
			rng_below(&m->rng, 2) ? 5000 : 3 * SEC);
		break;
	case 6:
		m->lost_permille = (int64_t)rng_below(&m->rng, 200);
		break;
	case 7:
		n->demand = -1;
		break;
	}
}

static void
any_mischief(struct model *m)
{
	if (rng_below(&m->rng, 700) != 0)
		return;
	do_mischief(m, &m->nodes[rng_below(&m->rng, m->n_nodes)]);
}

static void
flushes_too(struct model *m)
{
	any_mischief(m);
	if (rng_below(&m->rng, 15000) == 0)
		fake_redis_flush(&m->redis);
}

static void
run_any(uint64_t seed, void (*mischief)(struct model *m))
{
	struct model m;

	model_start(&m, seed, 2 + (unsigned)(seed % (NODES_MAX - 1)));
	m.rates = rates_of(1 + (int64_t)rng_below(&m.rng, 120),
	    seed % 3 == 0 ? 3 * SEC : SEC,
	    seed % 2 ? 200 + (int64_t)rng_below(&m.rng, 2000) : 0, 60 * SEC);
	if (seed % 4 == 1)
		m.day_limit = 50 + (int64_t)rng_below(&m.rng, 3000);
	for (unsigned i = 0; i < m.n_nodes; i++) {
		m.nodes[i].clock_us =
		    (int64_t)rng_below(&m.rng, 600 * SEC) - 300 * SEC;
		m.nodes[i].demand = -1;
	}
	model_go(&m);
	model_run(&m, 60 * SEC, mischief);
	check_limits(&m, seed);
	model_end(&m);
}

static uint64_t
n_seeds(uint64_t otherwise)
{
	const char *text = getenv("SEEDS");

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void
no_limit_is_passed_whatever_happens(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= n_seeds(40); seed++)
		run_any(seed, any_mischief);
}

static void
no_limit_is_passed_after_a_flush(void **state)
{
	(void)state;
	for (uint64_t seed = 1001; seed <= 1000 + n_seeds(40); seed++)
		run_any(seed, flushes_too);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_busy_nodes_share_all_of_it),
		cmocka_unit_test(a_newcomer_has_its_share_within_two_seconds),
		cmocka_unit_test(
		    a_dead_nodes_share_is_used_within_three_seconds),
		cmocka_unit_test(an_idle_node_holds_nothing_and_asks_nothing),
		cmocka_unit_test(a_days_count_is_used_up_and_never_passed),
		cmocka_unit_test(fewer_tokens_than_nodes_go_round),
		cmocka_unit_test(long_windows_lose_little),
		cmocka_unit_test(what_the_script_grants_after_a_flush),
		cmocka_unit_test(no_limit_is_passed_whatever_happens),
		cmocka_unit_test(no_limit_is_passed_after_a_flush),
	};

	cmocka_set_test_filter(getenv("CASE"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
