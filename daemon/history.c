/* SPDX-License-Identifier: ISC */
/*
 * Counts of each lane. Called by the governor with each answer; read by the
 * metrics. Decides nothing.
 */
#include "daemon/history.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "conf/base/xalloc.h"

struct lane_history {
	char *lane;
	uint64_t n_refused[CLASS_COUNT]; /* since the start */
	UT_hash_handle hh;
};

struct history {
	struct lane_history *lanes;
};

static struct lane_history *
lane_get(struct history *h, const char *lane)
{
	struct lane_history *l;

	HASH_FIND_STR(h->lanes, lane, l);
	if (l != NULL)
		return l;
	l = xcalloc(1, sizeof(*l));
	l->lane = xstrdup(lane);
	HASH_ADD_KEYPTR(hh, h->lanes, l->lane, strlen(l->lane), l);
	return l;
}

void
history_answered(struct history *h, const char *lane,
    const struct history_answers *a, int64_t now_utc_us)
{
	struct lane_history *l = lane_get(h, lane);

	(void)now_utc_us;
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		l->n_refused[c] += a->n_refused[c];
}

const uint64_t *
history_refused(const struct history *h, const char *lane)
{
	struct lane_history *l;

	HASH_FIND_STR(h->lanes, lane, l);
	return l != NULL ? l->n_refused : NULL;
}

struct history *
history_new(void)
{
	return xcalloc(1, sizeof(struct history));
}

void
history_free(struct history *h)
{
	struct lane_history *l, *next;

	if (h == NULL)
		return;
	HASH_ITER(hh, h->lanes, l, next)
	{
		HASH_DEL(h->lanes, l);
		free(l->lane);
		free(l);
	}
	free(h);
}
