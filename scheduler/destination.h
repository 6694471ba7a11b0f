/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_DESTINATION_H
#define FLYBALL_DESTINATION_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

/*
 * From facts about a message to where it belongs: recipient domain ->
 * provider, message -> stream. An index over one snapshot; immutable once
 * made, any thread may ask it.
 */
struct destination_index;

struct destination_index *destination_index_new(const struct conf *conf);
void destination_index_free(struct destination_index *index);

/*
 * `domain` as domain_normalise() made it. Exact domain first, then the longest
 * suffix ("." entries), else the provider `other`. Never NULL.
 */
const struct conf_provider *
destination_by_domain(const struct destination_index *index,
    const char *domain);
/* By MX host name: the longest suffix; NULL when no provider has it. */
const struct conf_provider *
destination_by_mx(const struct destination_index *index, const char *mx_host);

/* What a stream can be matched by. Strings may be "" but not NULL. */
struct message_facts {
	const char *user;	   /* authenticated, "" = none */
	const char *user_stream;   /* the user's `stream=` option, "" = none */
	const char *sender_domain; /* normalised; "" for the null sender */
	const char *listener;	   /* its `listen` text */
	/* The value of a header field by name, or NULL; called only when a
	 * stream matches by header. */
	const char *(*header)(const char *name, void *arg);
	void *arg;
};
/* First match wins; the user's own stream before all. Never NULL. */
const struct conf_stream *stream_match(const struct conf *conf,
    const struct message_facts *facts);

#endif
