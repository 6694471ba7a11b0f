/* SPDX-License-Identifier: ISC */
/*
 * Names that answers, results and logs carry over threads and reloads, kept
 * for good, each one once. Not for what peers say: it would fill the memory.
 */
#include "conf/base/intern.h"

#include <pthread.h>
#include <string.h>

#include <uthash.h>

#include "conf/base/xalloc.h"

struct kept {
	UT_hash_handle hh;
	char text[];
};

static struct kept *all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

const char *
intern(const char *s)
{
	size_t len = strlen(s);
	struct kept *kept;

	pthread_mutex_lock(&lock);
	HASH_FIND(hh, all, s, len, kept);
	if (kept == NULL) {
		kept = xcalloc(1, sizeof(*kept) + len + 1);
		memcpy(kept->text, s, len + 1);
		HASH_ADD_KEYPTR(hh, all, kept->text, len, kept);
	}
	pthread_mutex_unlock(&lock);
	return kept->text;
}
