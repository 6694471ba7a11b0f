/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_INTERN_H
#define FLYBALL_INTERN_H

/*
 * The one copy of a string that lives as long as the process. For few and
 * short names that outlive what they were read from: it never gives back.
 * Any thread may call it.
 */
const char *intern(const char *s);

#endif
