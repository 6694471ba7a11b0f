/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_UNITS_H
#define FLYBALL_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/base/err.h"

/*
 * One grammar for numbers with units, in YAML, on the admin socket and on the
 * command line. Parsers take the whole string (surrounding blanks are an
 * error), refuse overflow, signs and unknown units, and return 0, or -1 with
 * a sentence that quotes the input and shows a right one.
 */

/* A rate: `count` recipients in each `window_us`. */
struct rate {
	int64_t count;	   /* 0 with window_us 0: unlimited */
	int64_t window_us; /* 0: unlimited */
};

static inline bool
rate_is_unlimited(const struct rate *r)
{
	return r->window_us == 0;
}

/* "20/s" "600/min" "5000/h" "20k/day" "1.5M/day" "10/30s" "unlimited".
 * The count is 1..10^12 (k, M: decimal), the window 1ms..31d. */
int units_parse_rate(const char *s, struct rate *out, struct err *err_out);

/* "500ms" "30s" "5m" "4h" "7d" "0s"; also "1h30m". Up to 3650d. Microseconds. */
int units_parse_duration(const char *s, int64_t *us_out, struct err *err_out);

/* "64KiB" "50MiB" "10GiB" "1TiB" "4096" "4096B", also decimal kB MB GB TB. */
int units_parse_size(const char *s, int64_t *bytes_out, struct err *err_out);

/* "5%" "0.1%" "150%" in permille of one: 50, 1, 1500; finer parts are an
 * error. */
int units_parse_permille(const char *s, int64_t *out, struct err *err_out);

/* Plain count, k and M allowed: "1000", "100k", "2M". */
int units_parse_count(const char *s, int64_t *out, struct err *err_out);

/* The shortest exact text that parses back to the same value. */
#define UNITS_TEXT_SIZE 40
char *units_format_rate(const struct rate *r, char out[UNITS_TEXT_SIZE]);
char *units_format_duration(int64_t us, char out[UNITS_TEXT_SIZE]);
char *units_format_size(int64_t bytes, char out[UNITS_TEXT_SIZE]);
char *units_format_permille(int64_t permille, char out[UNITS_TEXT_SIZE]);

#endif
