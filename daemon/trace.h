/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_TRACE_H
#define FLYBALL_TRACE_H

#include <stdint.h>

#include "conf/base/siphash.h"
#include "sink/envelope.h"

/*
 * The mark that a message carries out (X-Flyball-Trace) and that a report
 * about it brings back: which message, by which route, of which stream. It is
 * signed, because anybody can write a report: "fb1/ID/ROUTE/STREAM/TAG".
 */
#define TRACE_NAME_MAX 100
#define TRACE_SIZE     (2 * TRACE_NAME_MAX + 64)

struct trace {
	uint64_t message;
	char route[TRACE_NAME_MAX + 1];
	char stream[TRACE_NAME_MAX + 1];
};

/* -1: a name doesn't fit. */
int trace_write(const uint8_t key[SIPHASH_KEY_SIZE], uint64_t message,
    const char *route, const char *stream, char out[TRACE_SIZE]);
/* -1: it isn't one, or not ours. */
int trace_read(const uint8_t key[SIPHASH_KEY_SIZE], const char *text,
    struct trace *out);

#endif
