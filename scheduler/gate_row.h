/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_GATE_ROW_H
#define FLYBALL_GATE_ROW_H

#include <stdio.h>

#include "scheduler/sched_private.h"

/*
 * One gate, as one row. It says when it opens, and, where it counts something,
 * what a dispatch takes, what comes back unused, and what ends with the
 * transaction. gate.c asks and charges the rows; gate_rows.c has them.
 */
struct gate_row {
	enum gate gate;
	enum gate_scope scope;
	bool overflows;
	/* The most that could ever pass at once; NULL: any number. */
	int64_t (*depth)(const struct gate_ask *ask);
	/* From when it is open: <= now_us, or INT64_MAX = until told. */
	int64_t (*when)(const struct gate_ask *ask);
	int64_t (*since)(const struct gate_ask *ask); /* shut since */
	/* These may be NULL: */
	/* With `overflows`: does it send mail elsewhere? NULL: when shut. */
	bool (*overflows_now)(const struct gate_ask *ask);
	/* The most that may leave in one go now; <= 0: it is shut. */
	int64_t (*room)(const struct gate_ask *ask);
	const char *(*because)(const struct gate_ask *ask);
	void (*charge)(const struct gate_ask *ask);
	void (*give_back)(const struct gate_ask *ask);
	void (*release)(const struct gate_ask *ask);
	/* For the operator; is_open as `when` said. */
	void (*say)(const struct gate_ask *ask, struct gate_view *view);
};

/* What a row's `say` says. */
#define SAY(view, ...) snprintf((view)->text, sizeof((view)->text), __VA_ARGS__)

/* A span as a person would say it: no microseconds. */
const char *gate_span(int64_t us, char out[UNITS_TEXT_SIZE]);

extern const struct gate_row gate_rows[];
extern const size_t n_gate_rows;

#endif
