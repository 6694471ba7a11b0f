/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_DNS_MESSAGE_H
#define FLYBALL_DNS_MESSAGE_H

/* DNS responses, put together for tests. */
#include <stdint.h>
#include <string.h>

struct message {
	uint8_t v[70000];
	size_t len;
};

static inline void
put8(struct message *m, unsigned n)
{
	m->v[m->len++] = (uint8_t)n;
}

static inline void
put16(struct message *m, unsigned n)
{
	put8(m, n >> 8);
	put8(m, n & 0xff);
}

static inline void
put32(struct message *m, uint32_t n)
{
	put16(m, n >> 16);
	put16(m, n & 0xffff);
}

static inline void
put_bytes(struct message *m, const void *v, size_t len)
{
	memcpy(m->v + m->len, v, len);
	m->len += len;
}

static inline void
put_name(struct message *m, const char *name)
{
	while (*name != '\0') {
		size_t len = strcspn(name, ".");

		put8(m, (unsigned)len);
		put_bytes(m, name, len);
		name += len + (name[len] == '.');
	}
	put8(m, 0);
}

/* A response to a question about a.test. */
static inline void
message_begin(struct message *m, unsigned code, unsigned type,
    unsigned n_answers, unsigned n_authority)
{
	m->len = 0;
	put16(m, 7);
	put16(m, 0x8180 | code);
	put16(m, 1);
	put16(m, n_answers);
	put16(m, n_authority);
	put16(m, 0);
	put_name(m, "a.test");
	put16(m, type);
	put16(m, 1);
}

/* The owner points to the question; returns where the length stands. */
static inline size_t
record_begin(struct message *m, unsigned type, uint32_t ttl_s)
{
	put16(m, 0xc00c);
	put16(m, type);
	put16(m, 1);
	put32(m, ttl_s);
	put16(m, 0);
	return m->len;
}

static inline void
record_end(struct message *m, size_t start)
{
	size_t len = m->len - start;

	m->v[start - 2] = (uint8_t)(len >> 8);
	m->v[start - 1] = (uint8_t)len;
}

static inline void
put_mx(struct message *m, uint32_t ttl_s, unsigned preference, const char *host)
{
	size_t start = record_begin(m, 15, ttl_s);

	put16(m, preference);
	put_name(m, host);
	record_end(m, start);
}

#endif
