/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SIPHASH_H
#define FLYBALL_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/*
 * SipHash-2-4 (Aumasson and Bernstein 2012): a keyed hash of 64 bits, for
 * tables whose keys others choose. The key is secret and random.
 */
#define SIPHASH_KEY_SIZE 16

uint64_t siphash(const uint8_t key[SIPHASH_KEY_SIZE], const void *data,
    size_t len);

#endif
