/* SPDX-License-Identifier: ISC */
/*
 * Marks of messages, written by the workers as mail leaves and read by the
 * governor when a report comes back, days later and after restarts. So nothing
 * needs to be remembered of a million messages that nobody complains about.
 */
#include "daemon/trace.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conf/base/address.h"

#define PREFIX	     "fb1/"
#define ENVID_PREFIX "fbe1/"
#define TAG_CHARS    16
#define WHO_CHARS    8

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

/* The message is in it, so that two mails to one person look different. */
static void
who_of(const uint8_t key[SIPHASH_KEY_SIZE], uint64_t message,
    const char *address, char out[WHO_CHARS + 1])
{
	char text[MESSAGE_ID_SIZE + ADDRESS_PATH_MAX + 1];
	size_t len = MESSAGE_ID_SIZE;

	memset(text, 0, sizeof(text));
	message_id_format(message, text);
	for (; *address != '\0' && len < sizeof(text); address++)
		text[len++] = (char)tolower((unsigned char)*address);
	snprintf(out, WHO_CHARS + 1, "%08" PRIx32,
	    (uint32_t)siphash(key, text, len));
}

static void
write_who(const uint8_t key[SIPHASH_KEY_SIZE], uint64_t message,
    const struct recipient *to, size_t n_to, size_t most,
    char out[TRACE_WHO_SIZE])
{
	char *p = out;

	snprintf(out, TRACE_WHO_SIZE, "-");
	if (n_to > most)
		return;
	for (size_t i = 0; i < n_to; i++) {
		if (i > 0)
			*p++ = '.';
		who_of(key, message, to[i].address, p);
		p += WHO_CHARS;
	}
}

bool
trace_names_all(const struct trace *t)
{
	return t->who[0] != '-';
}

bool
trace_is_to(const uint8_t key[SIPHASH_KEY_SIZE], const struct trace *t,
    const char *address)
{
	char who[WHO_CHARS + 1];

	who_of(key, t->message, address, who);
	for (const char *p = t->who; strlen(p) >= WHO_CHARS; p += WHO_CHARS) {
		if (strncmp(p, who, WHO_CHARS) == 0)
			return true;
		p += p[WHO_CHARS] == '.';
	}
	return false;
}

int
trace_write(const uint8_t key[SIPHASH_KEY_SIZE], uint64_t message,
    const char *route, const char *stream, const struct recipient *to,
    size_t n_to, char out[TRACE_SIZE])
{
	char id[MESSAGE_ID_SIZE], who[TRACE_WHO_SIZE], tag[TAG_CHARS + 1];
	int len;

	if (!is_name(route) || !is_name(stream))
		return -1;
	write_who(key, message, to, n_to, TRACE_WHO_MAX, who);
	len = snprintf(out, TRACE_SIZE, PREFIX "%s/%s/%s/%s/",
	    message_id_format(message, id), route, stream, who);
	tag_of(key, out, (size_t)len, tag);
	memcpy(out + len, tag, sizeof(tag));
	return 0;
}

void
trace_write_envid(const uint8_t key[SIPHASH_KEY_SIZE], uint64_t message,
    const struct recipient *to, size_t n_to, char out[TRACE_ENVID_SIZE])
{
	char id[MESSAGE_ID_SIZE], who[TRACE_WHO_SIZE], tag[TAG_CHARS + 1];
	int len;

	write_who(key, message, to, n_to, TRACE_ENVID_WHO_MAX, who);
	len = snprintf(out, TRACE_ENVID_SIZE, ENVID_PREFIX "%s/%s/",
	    message_id_format(message, id), who);
	tag_of(key, out, (size_t)len, tag);
	memcpy(out + len, tag, sizeof(tag));
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

/* What the tag is of ends where it begins. */
static int
check(const uint8_t key[SIPHASH_KEY_SIZE], const char *text, const char *tag,
    const char *id, struct trace *out)
{
	char ours[TAG_CHARS + 1];

	tag_of(key, text, (size_t)(tag - text), ours);
	if (strcmp(tag, ours) != 0 || message_id_parse(id, &out->message) < 0)
		return -1;
	return 0;
}

int
trace_read(const uint8_t key[SIPHASH_KEY_SIZE], const char *text,
    struct trace *out)
{
	char id[MESSAGE_ID_SIZE];
	const char *p = text;

	if (strncmp(p, PREFIX, strlen(PREFIX)) != 0)
		return -1;
	p = take(p + strlen(PREFIX), id, sizeof(id));
	if (p != NULL)
		p = take(p, out->route, sizeof(out->route));
	if (p != NULL)
		p = take(p, out->stream, sizeof(out->stream));
	if (p != NULL)
		p = take(p, out->who, sizeof(out->who));
	return p != NULL ? check(key, text, p, id, out) : -1;
}

int
trace_read_envid(const uint8_t key[SIPHASH_KEY_SIZE], const char *text,
    struct trace *out)
{
	char id[MESSAGE_ID_SIZE];
	const char *p = text;

	if (strncmp(p, ENVID_PREFIX, strlen(ENVID_PREFIX)) != 0)
		return -1;
	out->route[0] = out->stream[0] = '\0';
	p = take(p + strlen(ENVID_PREFIX), id, sizeof(id));
	if (p != NULL)
		p = take(p, out->who, sizeof(out->who));
	return p != NULL ? check(key, text, p, id, out) : -1;
}
