/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_REPLY_TEXT_H
#define FLYBALL_REPLY_TEXT_H

#include <stddef.h>

#include "scheduler/reply_class.h"

/*
 * A reply as rules look at it: one line "550 5.7.1 what it says" in lower
 * case, continuation lines run together without their codes, blanks single,
 * Latin accents taken off. The code is the decisive one, the last line's.
 */
#define REPLY_TEXT_SIZE 4096

/* Returns the length; the end of a reply that is too long is kept, and of its
 * beginning as much as fits. */
size_t reply_text_plain(const struct reply_fact *fact,
    char out[REPLY_TEXT_SIZE]);

/* The code of the last line that has one, and an enhanced code that agrees
 * with it, out of a whole reply. 0: it has none. */
int reply_text_code(const char *reply, char enhanced[16]);

#endif
