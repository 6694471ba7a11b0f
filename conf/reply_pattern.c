/* SPDX-License-Identifier: ISC */
/*
 * Patterns over replies: PCRE2 with JIT. The configuration compiles each
 * operator's pattern once to check it, the rules of the scheduler match.
 *
 * A peer chooses the subject and an operator the pattern, so a match is
 * bounded: MATCH_LIMIT stops backtracking, and what may switch PCRE2 into
 * another mode from within a pattern (UTF, \C) is refused.
 *
 * The one subtle thing: match data can't be shared by threads, so each has its
 * own, made at its first match and freed when it ends.
 */
#include "conf/reply_pattern.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "conf/base/xalloc.h"

#define MATCH_LIMIT    50000 /* steps back; a sane pattern needs hundreds */
#define MATCH_HEAP_KIB 1024  /* only where there is no JIT */

struct reply_pattern {
	pcre2_code *code;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t match_data_key;
static pcre2_match_context *limits;

static void
match_data_drop(void *data)
{
	pcre2_match_data_free(data);
}

static void
limits_make(void)
{
	int failed = pthread_key_create(&match_data_key, match_data_drop);

	limits = pcre2_match_context_create(NULL);
	assert(limits != NULL && !failed);
	pcre2_set_match_limit(limits, MATCH_LIMIT);
	pcre2_set_depth_limit(limits, MATCH_LIMIT);
	pcre2_set_heap_limit(limits, MATCH_HEAP_KIB);
}

static pcre2_match_data *
match_data(void)
{
	pcre2_match_data *data;

	pthread_once(&once, limits_make);
	data = pthread_getspecific(match_data_key);
	if (data == NULL) {
		data = pcre2_match_data_create(1, NULL);
		assert(data != NULL);
		pthread_setspecific(match_data_key, data);
	}
	return data;
}

struct reply_pattern *
reply_pattern_new(const char *text, bool is_lower, size_t *at_out,
    struct err *err_out)
{
	uint32_t options = PCRE2_DOTALL | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP |
	    PCRE2_NEVER_BACKSLASH_C;
	struct reply_pattern *p;
	PCRE2_UCHAR why[128];
	PCRE2_SIZE at = 0;
	pcre2_code *code;
	int error;

	*at_out = 0;
	if (!is_lower && strlen(text) > REPLY_PATTERN_MAX) {
		err_set(err_out, "longer than %d bytes", REPLY_PATTERN_MAX);
		return NULL;
	}
	options |= is_lower ? PCRE2_NO_AUTO_CAPTURE : PCRE2_CASELESS;
	code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options,
	    &error, &at, NULL);
	if (code == NULL) {
		pcre2_get_error_message(error, why, sizeof(why));
		err_set(err_out, "%s", (const char *)why);
		*at_out = at;
		return NULL;
	}
	/* Without JIT (a hardened kernel) it is slower, and still right. */
	(void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	p = xcalloc(1, sizeof(*p));
	p->code = code;
	return p;
}

void
reply_pattern_free(struct reply_pattern *p)
{
	if (p == NULL)
		return;
	pcre2_code_free(p->code);
	free(p);
}

bool
reply_pattern_matches(const struct reply_pattern *p, const char *subject,
    size_t len)
{
	pcre2_match_data *data = match_data();

	/* 0: it matched, with more groups than the one pair we keep. */
	return pcre2_match(p->code, (PCRE2_SPTR)subject, len, 0, 0, data,
		   limits) >= 0;
}
