/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GATE_PAUSE_H
#define FLYBALL_GATE_PAUSE_H

#include "scheduler/gate_row.h"

/* The rows of pauses in gate_rows.c. */
#define PAUSE_FUNCTIONS(subject)                                         \
	int64_t subject##_pause_when(const struct gate_ask *ask);        \
	int64_t subject##_pause_since(const struct gate_ask *ask);       \
	const char *subject##_pause_because(const struct gate_ask *ask); \
	void subject##_pause_say(const struct gate_ask *ask,             \
	    struct gate_view *view)

PAUSE_FUNCTIONS(route);
PAUSE_FUNCTIONS(lane);
PAUSE_FUNCTIONS(provider);
PAUSE_FUNCTIONS(stream); /* of all the lane's streams that have mail */
#undef PAUSE_FUNCTIONS

#endif
