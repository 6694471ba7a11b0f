/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_NEAREST_H
#define FLYBALL_NEAREST_H

#include <stddef.h>

/*
 * The nearest of n names to a mistyped one, by edits of one letter (two
 * neighbours swapped are one edit; letter case costs nothing); NULL when none
 * is near. `name(i, arg)` gives the i-th. For "did you mean X?".
 */
const char *nearest_name(const char *typed,
    const char *(*name)(size_t i, const void *arg), const void *arg, size_t n);

#endif
