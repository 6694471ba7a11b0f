/* SPDX-License-Identifier: ISC */
/*
 * The body's hash, for tests that compare what went in with what came out.
 * Lines may be cut anywhere between two pieces.
 */
#include "tests/provider/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "conf/base/xalloc.h"

struct digest {
	EVP_MD_CTX *md;
	size_t n_bytes;
	bool is_dotted;
	bool is_body;
	size_t line_len; /* so far, with its CR */
	char last;
};

struct digest *
digest_new(void)
{
	struct digest *d = xcalloc(1, sizeof(*d));

	d->md = EVP_MD_CTX_new();
	return d;
}

void
digest_free(struct digest *d)
{
	if (d == NULL)
		return;
	EVP_MD_CTX_free(d->md);
	free(d);
}

void
digest_start(struct digest *d, bool is_dotted)
{
	EVP_DigestInit_ex(d->md, EVP_sha256(), NULL);
	d->n_bytes = d->line_len = 0;
	d->is_dotted = is_dotted;
	d->is_body = false;
	d->last = '\0';
}

/* A piece of one line, with its LF when that is the line's end. */
static void
add_part(struct digest *d, const char *s, size_t len)
{
	bool is_end = s[len - 1] == '\n';
	size_t line_len = d->line_len + len;
	bool is_empty =
	    is_end && line_len == 2 && (len == 2 ? s[0] : d->last) == '\r';

	if (d->is_body)
		EVP_DigestUpdate(d->md, s, len);
	else if (is_empty)
		d->is_body = true;
	d->n_bytes += len;
	d->last = s[len - 1];
	d->line_len = is_end ? 0 : line_len;
}

void
digest_add(struct digest *d, const char *data, size_t len)
{
	const char *end = data + len;

	while (data < end) {
		const char *lf = memchr(data, '\n', (size_t)(end - data));
		const char *next = lf != NULL ? lf + 1 : end;

		if (d->is_dotted && d->line_len == 0 && *data == '.' &&
		    d->last != '.') {
			/* Only the first of the line: line_len stays 0. */
			d->last = '.';
			data++;
			continue;
		}
		add_part(d, data, (size_t)(next - data));
		data = next;
	}
}

void
digest_end(struct digest *d, char hex[65])
{
	unsigned char raw[EVP_MAX_MD_SIZE];

	EVP_DigestFinal_ex(d->md, raw, NULL);
	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", raw[i]);
}

size_t
digest_bytes(const struct digest *d)
{
	return d->n_bytes;
}
