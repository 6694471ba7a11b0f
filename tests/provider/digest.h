/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PROVIDER_DIGEST_H
#define FLYBALL_PROVIDER_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

/*
 * SHA-256 of a message's body: what follows the first empty line, as relays may
 * add header fields but must leave the rest alone. Fed in pieces.
 */
struct digest;

struct digest *digest_new(void);
void digest_free(struct digest *d);
/* For the next message. is_dotted: DATA, where a leading dot is doubled. */
void digest_start(struct digest *d, bool is_dotted);
void digest_add(struct digest *d, const char *data, size_t len);
/* 64 hex digits and NUL. */
void digest_end(struct digest *d, char hex[65]);
size_t digest_bytes(const struct digest *d); /* of header and body */

#endif
