/* SPDX-License-Identifier: ISC */
/*
 * Error sentences. Every layer fills one of these when the environment fails;
 * only the daemon decides whether to log, answer 4xx or exit with it.
 */
#include "conf/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
err_set(struct err *err_out, const char *fmt, ...)
{
	va_list ap;

	if (err_out == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(err_out->text, sizeof(err_out->text), fmt, ap);
	va_end(ap);
	return -1;
}

int
err_sys(struct err *err_out, const char *fmt, ...)
{
	const char *why = strerror(errno);
	size_t used;
	va_list ap;

	if (err_out == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(err_out->text, sizeof(err_out->text), fmt, ap);
	va_end(ap);
	used = strlen(err_out->text);
	snprintf(err_out->text + used, sizeof(err_out->text) - used, ": %s",
	    why);
	return -1;
}
