/* SPDX-License-Identifier: ISC */
/* What survives a restart, and that a crash at any moment lets no recipient
 * too many out. */
#include "tests/unit/plan_world.h"

#include "conf/base/rng.h"

/* ---- a disk: what was committed, and saves that are on their way ---- */

#define RECORDS_MAX 4000

struct record {
	char *key, *value;
};

struct disk {
	struct record v[RECORDS_MAX];
	size_t n;
	struct record going[RECORDS_MAX]; /* in the save under way */
	size_t n_going;
	uint64_t ticket;
};

static void
put_into(struct record *v, size_t *n, const char *key, const char *value)
{
	size_t i = 0;

	while (i < *n && strcmp(v[i].key, key) != 0)
		i++;
	if (i == *n) {
		assert_true(*n < RECORDS_MAX);
		v[(*n)++] = (struct record){ strdup(key), NULL };
	}
	free(v[i].value);
	v[i].value = value != NULL ? strdup(value) : NULL;
}

static void
on_put(const char *key, const char *value, void *arg)
{
	struct disk *d = arg;

	put_into(d->going, &d->n_going, key, value);
}

static void
records_free(struct record *v, size_t *n)
{
	while (*n > 0) {
		(*n)--;
		free(v[*n].key);
		free(v[*n].value);
	}
}

static void
disk_save(struct disk *d, struct sched *s)
{
	d->ticket = sched_save(s, on_put, d);
}

static void
disk_commit(struct disk *d, struct plan_world *pw)
{
	for (size_t i = 0; i < d->n_going; i++)
		put_into(d->v, &d->n, d->going[i].key, d->going[i].value);
	records_free(d->going, &d->n_going);
	sched_saved(pw->w.s, d->ticket, pw->w.now_us);
	sched_check(pw->w.s);
}

static void
disk_free(struct disk *d)
{
	records_free(d->v, &d->n);
	records_free(d->going, &d->n_going);
}

static int
by_key(const void *a, const void *b)
{
	return strcmp(((const struct record *)a)->key,
	    ((const struct record *)b)->key);
}

/* The process is gone, and with it what wasn't committed. The rest comes back
 * in the store's order. */
static void
restart(struct plan_world *pw, struct disk *d, int64_t utc_us)
{
	sched_free(pw->w.s);
	records_free(d->going, &d->n_going);
	pw->w.s = sched_new(&pw->w.f.conf, 1);
	pw->w.now_us = SEC; /* a new boot: another monotonic clock */
	pw->offset_us = utc_us - SEC;
	sched_zone(pw->w.s, pw->zone);
	sched_utc(pw->w.s, SEC, utc_us);
	qsort(d->v, d->n, sizeof(d->v[0]), by_key);
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].value != NULL)
			assert_int_equal(sched_restore(pw->w.s, d->v[i].key,
					     d->v[i].value),
			    0);
	sched_restored(pw->w.s, SEC);
	sched_check(pw->w.s);
}

static int64_t
utc_of(const struct plan_world *pw)
{
	return pw->w.now_us + pw->offset_us;
}

/* ---- permits and the disk ---- */

static void
a_permit_waits_for_its_count_to_be_stored(void **state)
{
	static struct disk d;
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	sched_restored(pw.w.s, pw.w.now_us);
	/* a look reserves nothing and holds nothing */
	assert_string_equal(pw_why(&pw, "ip-a/gmail", GATE_PLAN), "");
	sched_rate_override(pw.w.s, "ip-a/gmail", NULL, 0, INT64_MAX,
	    pw.w.now_us, NULL);
	assert_int_equal(world_lane(&pw.w, "ip-a/gmail").gate, GATE_NONE);
	assert_int_equal(quotas_find(pw.w.s, QUOTA_LANE, "ip-a/gmail")
			     ->quota.ledger.n,
	    0);
	pw_add_of(&pw, "news", "", 100, 1);
	assert_false(sched_wants_save(pw.w.s));
	world_wait(&pw.w, GATE_PLAN);
	assert_true(sched_wants_save(pw.w.s));
	assert_string_equal(pw_why(&pw, "ip-a/gmail", GATE_PLAN),
	    "ip-a/gmail waits until its day's count is on disk");
	disk_save(&d, pw.w.s);
	assert_int_equal(pw_run(&pw, SEC), 0); /* not there yet */
	disk_commit(&d, &pw);
	/* two at a time: 1 and a half per cent of 50 */
	assert_int_equal(pw_run(&pw, SEC), 2);
	for (int i = 0; i < 100; i++) {
		disk_save(&d, pw.w.s);
		disk_commit(&d, &pw);
		pw_run(&pw, SEC);
	}
	assert_int_equal(pw.n_left[0], 50);
	disk_free(&d);
	pw_end(&pw);
}

static void
a_clean_end_loses_no_permit(void **state)
{
	static struct disk d;
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	sched_restored(pw.w.s, pw.w.now_us);
	pw_add_of(&pw, "news", "", 10, 1);
	for (int i = 0; i < 20; i++) {
		disk_save(&d, pw.w.s);
		disk_commit(&d, &pw);
		pw_run(&pw, SEC);
	}
	assert_int_equal(pw.n_left[0], 10);
	sched_settle(pw.w.s);
	disk_save(&d, pw.w.s);
	disk_commit(&d, &pw);
	restart(&pw, &d, utc_of(&pw));
	pw_add_of(&pw, "news", "", 100, 1);
	for (int i = 0; i < 100; i++) {
		disk_save(&d, pw.w.s);
		disk_commit(&d, &pw);
		pw_run(&pw, SEC);
	}
	assert_int_equal(pw.n_left[0], 50);
	disk_free(&d);
	pw_end(&pw);
}

/* Crashes at any moment, with mail in flight and saves half done, and clocks
 * that come back wrong: no day lets more than its 50 out. */
static void
no_crash_lets_one_too_many_out(void **state)
{
	static int64_t fifty[] = { 50 };

	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		static struct disk d;
		static uint32_t by_day[400];
		struct rng rng = { seed };
		struct plan_world pw;
		uint32_t total = 0;
		int64_t first_day = zone_date_parse("2026-03-20");

		memset(by_day, 0, sizeof(by_day));
		pw_init(&pw);
		pw.plans[0].pace = seed % 2 ? PACE_FRONT : PACE_EVEN;
		pw.plans[0].schedule =
		    (struct conf_schedule){ .volumes = fifty, .n_volumes = 1 };
		pw.plans[0].done = DONE_KEEP;
		pw_start(&pw, "Europe/Berlin", "2026-03-20");
		sched_restored(pw.w.s, pw.w.now_us);
		pw_add_of(&pw, "news", "", 30, 3);
		for (int i = 0; i < 1500; i++) {
			struct plan p;
			int64_t day;

			pw.w.now_us += (int64_t)rng_below(&rng, HOUR);
			sched_utc(pw.w.s, pw.w.now_us, utc_of(&pw));
			switch (rng_below(&rng, 8)) {
			case 0:
				disk_save(&d, pw.w.s);
				break;
			case 1:
			case 2:
				if (d.n_going == 0)
					disk_save(&d, pw.w.s);
				disk_commit(&d, &pw);
				break;
			case 3:
				if (rng_below(&rng, 20) > 0)
					break;
				restart(&pw, &d,
				    utc_of(&pw) +
					(int64_t)rng_below(&rng, HOUR));
				pw_add_of(&pw, "news", "", 30, 3);
				break;
			default:
				sched_plan(pw.w.s, pw.w.now_us, &p);
				if (p.kind != PLAN_DISPATCH)
					break;
				day =
				    zone_day(pw.zone, utc_of(&pw)) - first_day;
				assert_in_range(day, 0, 399);
				by_day[day] += p.n_recipients;
				total += p.n_recipients;
				if (by_day[day] > 50)
					print_error("seed %d, step %d\n",
					    (int)seed, i);
				assert_true(by_day[day] <= 50);
				if (rng_below(&rng, 4) > 0)
					pw_answer(&pw, &p, pw_ok);
				pw_add_of(&pw, "news", "", 1, 3);
			}
		}
		assert_true(total > 300);
		disk_free(&d);
		pw_end(&pw);
	}
}

/* ---- the other records ---- */

static void
plans_pauses_and_lists_come_back(void **state)
{
	struct verdict auth = { .class = CLASS_AUTH,
		.blame = BLAME_SENDER_DOMAIN,
		.code = 550,
		.reply = "550 5.7.26 unauthenticated" };
	struct verdict bad = { .class = CLASS_BAD_MAILBOX,
		.blame = BLAME_RECIPIENT,
		.code = 550 };
	static struct disk d;
	struct plan_world pw;
	struct quota *q;

	(void)state;
	pw_init(&pw);
	pw.w.f.conf.list_health = (struct conf_list_health){
		.is_given = true, .bounced_permille = 80, .sample = 10
	};
	pw.w.f.conf.adapt.suspend.sample = 5;
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "news.example", 1000, 1);
	for (int i = 0; i < 3; i++)
		pw_run(&pw, DAY);
	pw_run_as(&pw, SEC, bad); /* holds the list */
	pw_add_of(&pw, "default", "bad.example", 9, 1);
	pw_run_as(&pw, SEC, auth);
	disk_save(&d, pw.w.s);
	disk_commit(&d, &pw);

	restart(&pw, &d, utc_of(&pw));
	q = &quotas_find(pw.w.s, QUOTA_LANE, "ip-a/gmail")->quota;
	assert_int_equal(q->warmup.st.stage, 3);
	assert_int_equal(ledger_get(&q->ledger, q->day - 2, LEDGER_ACCEPTED),
	    75);
	pw_add_of(&pw, "news", "news.example", 1, 1);
	pw_add_of(&pw, "default", "bad.example", 1, 1);
	assert_int_equal(pw_run(&pw, SEC), 0);
	assert_string_equal(pw_why(&pw, "ip-a/gmail", GATE_SENDER), "");
	world_resume(&pw.w, PAUSE_STREAM, "news");
	world_resume(&pw.w, PAUSE_SENDER, "bad.example");
	assert_int_equal(pw_run(&pw, SEC), 0); /* it asks for its count */
	disk_save(&d, pw.w.s);
	disk_commit(&d, &pw);
	assert_int_equal(pw_run(&pw, SEC), 2);
	disk_free(&d);
	pw_end(&pw);
}

static void
another_plan_takes_over_at_the_same_volume(void **state)
{
	int64_t volumes[] = { 100, 110, 113, 5000 };
	static struct disk d;
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "", 1000, 1);
	for (int i = 0; i < 3; i++)
		pw_run(&pw, DAY); /* 112 on the third */
	pw_run(&pw, SEC);
	disk_save(&d, pw.w.s);
	disk_commit(&d, &pw);
	pw.plans[1] = pw.plans[0];
	pw.plans[1].name = (char *)"brisk";
	pw.plans[1].schedule =
	    (struct conf_schedule){ .volumes = volumes, .n_volumes = 4 };
	pw.w.f.conf.n_plans = 2;
	pw.w.f.routes[0].plan = (char *)"brisk";
	restart(&pw, &d, utc_of(&pw));
	/* 168 was the fourth day's: 113 is the most that isn't more */
	assert_int_equal(quotas_find(pw.w.s, QUOTA_LANE, "ip-a/gmail")
			     ->quota.warmup.st.stage,
	    2);
	disk_free(&d);
	pw_end(&pw);
}

static size_t
n_rows_stored(const struct disk *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		n += d->v[i].value != NULL &&
		    strncmp(d->v[i].key, "ledger lane ", 12) == 0;
	return n;
}

/* Days are counted from there then. Those before had greater numbers: one that
 * stayed in the store would push today out at the next start. */
static void
another_length_of_day_grants_nothing_again(void **state)
{
	static struct disk d;
	const struct quota *q;
	struct plan_world pw;
	int64_t charged;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	pw_add_of(&pw, "news", "", 1000, 1);
	for (int i = 0; i < 3; i++)
		pw_run(&pw, DAY);
	pw_run(&pw, SEC);
	disk_save(&d, pw.w.s);
	disk_commit(&d, &pw);
	assert_true(n_rows_stored(&d) > 1);
	pw.plans[0].day_us = pw.plans[0].window_to_us = DAY / 2;
	restart(&pw, &d, utc_of(&pw));
	pw_add_of(&pw, "news", "", 1000, 1);
	for (int i = 0; i < 5; i++) { /* into the next day */
		pw_run(&pw, DAY / 6);
		disk_save(&d, pw.w.s);
		disk_commit(&d, &pw);
	}
	q = &quotas_find(pw.w.s, QUOTA_LANE, "ip-a/gmail")->quota;
	charged = ledger_get(&q->ledger, q->warmup.st.day, LEDGER_CHARGED);
	assert_true(charged > 0);
	assert_int_equal(n_rows_stored(&d), 2);
	/* What was reserved counts as sent now. */
	restart(&pw, &d, utc_of(&pw));
	q = &quotas_find(pw.w.s, QUOTA_LANE, "ip-a/gmail")->quota;
	assert_true(ledger_get(&q->ledger, q->warmup.st.day, LEDGER_CHARGED) >=
	    charged);
	disk_free(&d);
	pw_end(&pw);
}

static void
what_cant_be_read_is_left_out(void **state)
{
	static const struct {
		const char *key, *value;
	} rows[] = {
		{ "", "" },
		{ "colour", "blue" },
		{ "ledger", "1 2" },
		{ "ledger lane ip-a/gmail", "1 2" },
		{ "ledger lane ip-a/gmail x", "1 2" },
		{ "ledger lane ip-a/gmail 99999999999999999999", "1 2" },
		{ "ledger planet ip-a/gmail 20781", "1 2" },
		{ "ledger lane  20781", "1 x" },
		{ "ledger lane ip-a/gmail 20781", "7 2" },
		{ "plan lane ip-a/gmail", "cold-ip" },
		{ "plan lane ip-a/gmail", "cold-ip|1 stage=x" },
		{ "plan nothing", "cold-ip|1 stage=1" },
		{ "list news", "x" },
		{ "sender a.example", "1 0 0 0 0 0 " },
		{ "sender /gmail", "1 0 0 0 0 0 " },
		{ "sender a.example/gmail", "1 0 0 0 0" },
		{ "sender a.example/gmail", "1 0 -1 0 0 0 " },
	};
	struct plan_world pw;

	(void)state;
	pw_init(&pw);
	pw_start(&pw, NULL, "2026-11-24");
	for (size_t i = 0; i < N_OF(rows); i++) {
		int taken = sched_restore(pw.w.s, rows[i].key, rows[i].value);

		if (taken != -1)
			print_error("taken: %s\n", rows[i].key);
		assert_int_equal(taken, -1);
	}
	/* a plan or stream that isn't configured any more isn't missed */
	assert_int_equal(sched_restore(pw.w.s, "plan lane ip-b/gmail",
			     "x|1 stage=1"),
	    0);
	assert_int_equal(sched_restore(pw.w.s, "list gone", "x"), 0);
	sched_check(pw.w.s);
	pw_end(&pw);
}

/* Mail to ten thousand domains leaves nothing behind, unless a plan must
 * remember them; and then not for ever. */
static void
sites_are_remembered_as_long_as_they_matter(void **state)
{
	(void)state;
	for (int has_plan = 0; has_plan < 2; has_plan++) {
		static struct disk d;
		struct plan_world pw;

		pw_init(&pw);
		pw.plans[0].idle.restart_after_us = 30 * DAY;
		if (!has_plan)
			pw.w.f.routes[0].plan = (char *)"";
		pw_start(&pw, NULL, "2026-11-24");
		for (int i = 0; i < 300; i++) {
			char site[40];

			snprintf(site, sizeof(site), "site%d.example", i);
			world_add_site(&pw.w, "news", "other", site, 1);
			pw_run(&pw, SEC);
		}
		disk_save(&d, pw.w.s);
		disk_commit(&d, &pw);
		assert_int_equal(d.n, has_plan ? 600 : 0);
		for (int i = 0; i < 40; i++) {
			pw_run(&pw, DAY);
			disk_save(&d, pw.w.s);
			disk_commit(&d, &pw);
		}
		assert_int_equal(pw.w.s->n_lanes, 0);
		/* the routes' totals alone are still there */
		assert_int_equal(HASH_COUNT(pw.w.s->quotas), 1);
		for (size_t i = 0; i < d.n; i++)
			assert_null(d.v[i].value);
		disk_free(&d);
		pw_end(&pw);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_permit_waits_for_its_count_to_be_stored),
		cmocka_unit_test(a_clean_end_loses_no_permit),
		cmocka_unit_test(no_crash_lets_one_too_many_out),
		cmocka_unit_test(plans_pauses_and_lists_come_back),
		cmocka_unit_test(another_plan_takes_over_at_the_same_volume),
		cmocka_unit_test(sites_are_remembered_as_long_as_they_matter),
		cmocka_unit_test(another_length_of_day_grants_nothing_again),
		cmocka_unit_test(what_cant_be_read_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
