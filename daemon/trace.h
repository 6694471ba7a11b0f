/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_TRACE_H
#define FLYBALL_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/siphash.h"
#include "sink/envelope.h"

/*
 * The mark that a message carries out (X-Flyball-Trace) and that a report
 * about it brings back: which message, by which route, of which stream, to
 * whom. It is signed, because anybody can write a report:
 * "fb1/ID/ROUTE/STREAM/WHO/TAG". WHO is a hash of each recipient, 8 digits
 * apart by ".", or "-" where there are more than TRACE_WHO_MAX of them: who has
 * got a mail knows its mark, and must not speak for others with it.
 */
#define TRACE_NAME_MAX 100
#define TRACE_WHO_MAX  8
#define TRACE_WHO_SIZE (TRACE_WHO_MAX * 9 + 2)
#define TRACE_SIZE     (2 * TRACE_NAME_MAX + TRACE_WHO_SIZE + 64)

/*
 * The same of the envelope alone, as ENVID: "fbe1/ID/WHO/TAG", within the 100
 * characters that RFC 3461 4.4 gives it. It stands in no header, so whoever
 * got the mail doesn't know it; MTAs that report do.
 */
#define TRACE_ENVID_WHO_MAX 7
#define TRACE_ENVID_SIZE    101

struct trace {
	uint64_t message;
	char route[TRACE_NAME_MAX + 1];
	char stream[TRACE_NAME_MAX + 1];
	char who[TRACE_WHO_SIZE];
};

/* -1: a name doesn't fit. */
int trace_write(const uint8_t key[SIPHASH_KEY_SIZE], uint64_t message,
    const char *route, const char *stream, const struct recipient *to,
    size_t n_to, char out[TRACE_SIZE]);
/* -1: it isn't one, or not ours. */
int trace_read(const uint8_t key[SIPHASH_KEY_SIZE], const char *text,
    struct trace *out);
void trace_write_envid(const uint8_t key[SIPHASH_KEY_SIZE], uint64_t message,
    const struct recipient *to, size_t n_to, char out[TRACE_ENVID_SIZE]);
/* As trace_read(); route and stream are "". */
int trace_read_envid(const uint8_t key[SIPHASH_KEY_SIZE], const char *text,
    struct trace *out);
/* Did the message go to this address, whatever its case? False also where the
 * mark doesn't say. */
bool trace_names_all(const struct trace *t); /* it does say */
bool trace_is_to(const uint8_t key[SIPHASH_KEY_SIZE], const struct trace *t,
    const char *address);

#endif
