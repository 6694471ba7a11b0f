/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_HEADER_SCAN_H
#define FLYBALL_HEADER_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/base/strbuf.h"

/*
 * Looks at a message's header section (RFC 5322 2.2) while the content passes
 * through, and finds the place where missing fields can be added.
 */
#define HEADER_NAME_MAX	 128  /* a longer name is no field */
#define HEADER_VALUE_MAX 1024 /* what is kept of a wanted value */

struct header_scan_ops {
	/* The content, unchanged and in order; lent for the call. */
	void (*pass)(const char *data, size_t len, void *arg);
	/* All fields have passed: the place to pass more of them. */
	void (*fields_end)(void *arg);
	void *arg;
};

struct header_value { /* of a wanted field; the first one counts */
	bool is_set;
	struct strbuf text; /* unfolded, blanks around it removed */
};

/* Embedded as a value; `wanted` and its values stay the owner's. */
struct header_scan {
	const struct header_scan_ops *ops;
	const char *const *wanted;   /* names, any case */
	struct header_value *values; /* one for each */
	size_t n_wanted;
	int state;
	struct strbuf *capture; /* of the field that passes now */
	char name[HEADER_NAME_MAX];
	size_t name_len;
	bool name_is_over; /* a blank came: only ":" may follow */
	/* Results. */
	unsigned n_fields;
	unsigned n_received;
	bool has_message_id;
	bool has_date;
};

/* Values kept from the last message are forgotten, their memory is not. */
void header_scan_init(struct header_scan *h, const struct header_scan_ops *ops,
    const char *const *wanted, struct header_value *values, size_t n_wanted);

/* The next piece of the content: CRLF line ends only, checked before. */
void header_scan_add(struct header_scan *h, const char *data, size_t len);

/* The content is whole: it may have ended within its header section. */
void header_scan_end(struct header_scan *h);

/* The value of a wanted field, NULL when the message hasn't got it. */
const char *header_scan_value(const struct header_scan *h, const char *name);

#endif
