/* SPDX-License-Identifier: ISC */
/*
 * Marks of messages, written by the workers as mail leaves and read by the
 * governor when a report comes back, days later and after restarts. So nothing
 * needs to be remembered of a million messages that nobody complains about.
 */
#include "daemon/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREFIX	  "fb1/"
#define TAG_CHARS 16

/* No "/" and nothing that a header field or a log would break at. */
static int
is_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= TRACE_NAME_MAX &&
	    strpbrk(name, "/ \t\r\n") == NULL;
}

static void
tag_of(const uint8_t key[SIPHASH_KEY_SIZE], const char *text, size_t len,
    char out[TAG_CHARS + 1])
{
	snprintf(out, TAG_CHARS + 1, "%016" PRIx64, siphash(key, text, len));
}

int
trace_write(const uint8_t key[SIPHASH_KEY_SIZE], uint64_t message,
    const char *route, const char *stream, char out[TRACE_SIZE])
{
	char id[MESSAGE_ID_SIZE], tag[TAG_CHARS + 1];
	int len;

	if (!is_name(route) || !is_name(stream))
		return -1;
	len = snprintf(out, TRACE_SIZE, PREFIX "%s/%s/%s/",
	    message_id_format(message, id), route, stream);
	tag_of(key, out, (size_t)len, tag);
	memcpy(out + len, tag, sizeof(tag));
	return 0;
}

/* Copies up to the next "/"; returns what is behind it, NULL: too long. */
static const char *
take(const char *p, char *out, size_t size)
{
	size_t len = strcspn(p, "/");

	if (len == 0 || len >= size || p[len] != '/')
		return NULL;
	memcpy(out, p, len);
	out[len] = '\0';
	return p + len + 1;
}

int
trace_read(const uint8_t key[SIPHASH_KEY_SIZE], const char *text,
    struct trace *out)
{
	char id[MESSAGE_ID_SIZE], tag[TAG_CHARS + 1];
	const char *p = text;

	if (strncmp(p, PREFIX, strlen(PREFIX)) != 0)
		return -1;
	p = take(p + strlen(PREFIX), id, sizeof(id));
	if (p != NULL)
		p = take(p, out->route, sizeof(out->route));
	if (p != NULL)
		p = take(p, out->stream, sizeof(out->stream));
	if (p == NULL)
		return -1;
	tag_of(key, text, (size_t)(p - text), tag);
	if (strcmp(p, tag) != 0 || message_id_parse(id, &out->message) < 0)
		return -1;
	return 0;
}
