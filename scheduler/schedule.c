/* SPDX-License-Identifier: ISC */
/*
 * The arithmetic of warmup schedules: grown, with a factor that may taper by
 * volume, or listed. The plan's gate asks for a stage's volume when a day
 * begins; the configuration's check asks whether a schedule ends at all.
 *
 * Growth is carried in millionths of a recipient, so that 110% of 1 gets
 * somewhere and 150% of 75 is followed by 168, not by 150% of 112. A day's
 * volume is the whole part of that.
 */
#include "scheduler/schedule.h"

#include <stdbool.h>

#define MICRO	   INT64_C(1000000)
#define VOLUME_MAX INT64_C(1000000000000)

static int64_t
highest(const struct conf_schedule *s)
{
	return s->to > 0 && s->to < VOLUME_MAX ? s->to : VOLUME_MAX;
}

static int64_t
factor_permille(const struct conf_schedule *s, int64_t volume)
{
	for (size_t i = 0; i < s->n_growth; i++)
		if (volume < s->growth[i].until)
			return s->growth[i].by_permille;
	/* Past the last rule's end: it goes on at that pace. */
	return s->growth[s->n_growth - 1].by_permille;
}

/* The next stage's volume in millionths, at most `to`. */
static int64_t
grow(const struct conf_schedule *s, int64_t micro)
{
	int64_t top = highest(s) * MICRO;
	__int128 next =
	    (__int128)micro * factor_permille(s, micro / MICRO) / 1000;

	if (next <= micro)
		return micro;
	return next < top ? (int64_t)next : top;
}

static int64_t
first_micro(const struct conf_schedule *s)
{
	int64_t from = s->from < highest(s) ? s->from : highest(s);

	return (from > 0 ? from : 0) * MICRO;
}

static int64_t
listed(const struct conf_schedule *s, int64_t stage)
{
	size_t i =
	    (size_t)stage < s->n_volumes ? (size_t)stage : s->n_volumes - 1;
	int64_t most = 0;

	/* A list that falls was refused by the check; here it is levelled. */
	for (size_t k = 0; k <= i; k++)
		if (s->volumes[k] > most)
			most = s->volumes[k];
	return most;
}

int64_t
schedule_volume(const struct conf_schedule *s, int64_t stage)
{
	int64_t micro;

	if (stage < 0)
		stage = 0;
	if (s->n_growth == 0)
		return s->n_volumes > 0 ? listed(s, stage) : 0;
	micro = first_micro(s);
	for (int64_t i = 0; i < stage; i++) {
		int64_t next = grow(s, micro);

		if (next == micro)
			break;
		micro = next;
	}
	return micro / MICRO;
}

int64_t
schedule_last_stage(const struct conf_schedule *s)
{
	int64_t top = highest(s), micro, stage = 0;

	if (s->n_growth == 0) {
		int64_t last = s->n_volumes > 0 ? (int64_t)s->n_volumes - 1 : 0;

		while (last > 0 && listed(s, last - 1) == listed(s, last))
			last--;
		return last;
	}
	for (micro = first_micro(s); micro < top * MICRO; stage++) {
		int64_t next = grow(s, micro);

		if (next == micro || stage >= SCHEDULE_STAGES_MAX)
			return SCHEDULE_STAGES_MAX;
		micro = next;
	}
	return stage;
}
