/* SPDX-License-Identifier: ISC */
/*
 * Lines at a rate that a peer controls, one a minute. The workers ask, the
 * governor's tick sums up.
 *
 * The one subtle rule: a limit stands in the list from its first use on and for
 * good, so the list only grows at its head and needs no lock to be read.
 */
#include "conf/base/log_limit.h"

#include "conf/base/log.h"

static struct log_limit *_Atomic known;

static void
make_known(struct log_limit *l)
{
	if (atomic_exchange(&l->is_known, true))
		return;
	l->next = atomic_load(&known);
	while (!atomic_compare_exchange_weak(&known, &l->next, l))
		;
}

bool
log_limit_take(struct log_limit *l, int64_t now_us)
{
	int64_t none = 0;

	if (atomic_compare_exchange_strong(&l->since_us, &none, now_us)) {
		make_known(l);
		return true;
	}
	atomic_fetch_add(&l->n_more, 1);
	return false;
}

void
log_limits_tick(int64_t now_us)
{
	for (struct log_limit *l = atomic_load(&known); l != NULL;
	     l = l->next) {
		int64_t since_us = atomic_load(&l->since_us);
		uint32_t n;

		if (since_us == 0 || now_us - since_us < LOG_LIMIT_US)
			continue;
		n = atomic_exchange(&l->n_more, 0);
		if (n > 0)
			log_info(l->event, LOG_INT("more", n),
			    LOG_INT("in_s",
				(now_us - since_us) / INT64_C(1000000)));
		/* While they go on, a minute has this one line. */
		atomic_store(&l->since_us, n > 0 ? now_us : 0);
	}
}
