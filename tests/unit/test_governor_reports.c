/* SPDX-License-Identifier: ISC */
/* What the governor keeps of reports: the key of its marks, and what was told;
 * a governor that has these alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#include "daemon/governor_known.h"
#include "tests/unit/conf_fixture.h"

#define M1 UINT64_C(0x100000001)

static bool has_random = true;

/* In the place of the C library's. */
ssize_t
getrandom(void *buffer, size_t len, unsigned flags)
{
	(void)flags;
	if (!has_random) {
		errno = ENOSYS;
		return -1;
	}
	memset(buffer, 'r', len);
	return (ssize_t)len;
}

struct world {
	struct fixture f;
	struct runtime rt;
	struct governor g;
};

static void
start(struct world *w, const struct spool_fact *kept)
{
	struct err err;

	*w = (struct world){ 0 };
	fixture_init(&w->f);
	w->f.conf.feedback.reports.is_given = true;
	w->rt.conf = &w->f.conf;
	w->g.rt = &w->rt;
	governor_reports_open(&w->g);
	for (; kept != NULL; kept = kept->next)
		assert_true(governor_reports_restore(&w->g, kept->bytes,
		    kept->key_len, kept->bytes + kept->key_len,
		    kept->value_len));
	assert_int_equal(governor_reports_restored(&w->g, &err), 0);
}

static void
end(struct world *w)
{
	governor_reports_close(&w->g);
	spool_facts_free(w->g.stale);
}

/* A key of zeros would let anybody sign. */
static void
without_a_key_it_doesnt_start(void **state)
{
	struct world w = { .g.rt = &w.rt };
	struct err err = { "" };

	(void)state;
	governor_reports_open(&w.g);
	has_random = false;
	assert_int_equal(governor_reports_restored(&w.g, &err), -1);
	assert_non_null(strstr(err.text, "getrandom"));
	has_random = true;
	assert_null(w.g.stale);
	governor_reports_close(&w.g);
	/* One that was kept needs no other. */
	start(&w, NULL);
	has_random = false;
	{
		struct world later;

		start(&later, w.g.stale);
		assert_memory_equal(later.g.shared.trace_key,
		    w.g.shared.trace_key, SIPHASH_KEY_SIZE);
		end(&later);
	}
	has_random = true;
	end(&w);
}

static void
told_is_told_after_a_restart(void **state)
{
	struct world w, later;

	(void)state;
	start(&w, NULL);
	assert_true(governor_is_news(&w.g, M1, "complained", "a@x.test"));
	assert_false(governor_is_news(&w.g, M1, "complained", "A@x.test"));
	start(&later, w.g.stale);
	assert_false(governor_is_news(&later.g, M1, "complained", "a@x.test"));
	assert_true(governor_is_news(&later.g, M1, "complained", "b@x.test"));
	end(&later);
	end(&w);
}

/* Two transactions of one message: what expired with one says nothing of the
 * other's recipients. */
static void
what_expired_is_no_more_than_that(void **state)
{
	struct world w;

	(void)state;
	start(&w, NULL);
	assert_true(governor_is_expiry_news(&w.g, M1, "Q1", "other", "x.test"));
	assert_false(governor_is_expiry_news(&w.g, M1, "Q1", "other",
	    "x.test"));
	/* The notices of the MTA that told it. */
	assert_true(governor_has_expired(&w.g, M1, "Q1", "other", "x.test"));
	assert_true(governor_has_expired(&w.g, M1, "", "other", "x.test"));
	/* Others. */
	assert_false(governor_has_expired(&w.g, M1, "Q2", "other", "x.test"));
	assert_false(governor_has_expired(&w.g, M1, "", "gmail", ""));
	assert_false(governor_has_expired(&w.g, M1 + 1, "Q1", "other",
	    "x.test"));
	assert_true(governor_is_expiry_news(&w.g, M1, "Q2", "other", "x.test"));
	end(&w);
}

static void
nobody_reads_reports(void **state)
{
	struct world w;

	(void)state;
	start(&w, NULL);
	w.f.conf.feedback.reports.is_given = false;
	for (int i = 0; i < 2; i++)
		assert_true(governor_is_news(&w.g, M1, "bounced", "a@x.test"));
	assert_int_equal(w.g.reports->told.n, 0);
	end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_key_it_doesnt_start),
		cmocka_unit_test(told_is_told_after_a_restart),
		cmocka_unit_test(what_expired_is_no_more_than_that),
		cmocka_unit_test(nobody_reads_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
