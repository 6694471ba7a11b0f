/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_ERR_H
#define FLYBALL_ERR_H

/*
 * Why something of the environment failed, as one sentence for the operator.
 * Functions return 0 or -1 and fill the caller's struct err; a NULL err means
 * that the caller doesn't want to know.
 */
struct err {
	char text[512];
};

/* Writes the sentence; always returns -1, so `return err_set(...)` reads well. */
int err_set(struct err *err_out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* As err_set, with ": " and strerror(errno) behind. */
int err_sys(struct err *err_out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
