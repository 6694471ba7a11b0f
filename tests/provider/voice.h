/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PROVIDER_VOICE_H
#define FLYBALL_PROVIDER_VOICE_H

#include "tests/provider/model.h"

/*
 * How a provider words its refusals, after replies seen in the wild. In the
 * texts %r stands for the recipient, %i for the sender's address.
 */
struct provider_voice {
	const char *name;
	const char *banner;
	enum provider_phase rate_phase; /* where it says no to speed */
	struct {
		int code; /* 0: as the plain voice has it */
		const char *enhanced;
		const char *text;
	} words[PROVIDER_KINDS];
};

/* NULL when there is none of that name. The first in the table is "plain". */
const struct provider_voice *voice_find(const char *name);
const struct provider_voice *voice_at(size_t i); /* NULL: no more */

/* Fills code, enhanced, text and action (a 421 closes). */
void voice_say(const struct provider_voice *voice, enum provider_kind kind,
    const char *rcpt, struct provider_verdict *v);

#endif
