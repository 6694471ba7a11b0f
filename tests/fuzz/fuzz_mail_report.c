/* SPDX-License-Identifier: ISC */
/* What the world sends to the listener for reports. */
#include "sink/mail_report.h"

#include "daemon/trace.h"
#include "tests/fuzz/fuzz.h"

/* Marks that a report brings back: nobody can have signed them. */
static void
check_marks(const struct mail_report *r)
{
	static const uint8_t key[SIPHASH_KEY_SIZE] = "fuzzers' own key";
	struct trace trace;

	fuzz_check(trace_read(key, r->trace, &trace) < 0);
	fuzz_check(trace_read_envid(key, r->envid, &trace) < 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	char *message = fuzz_exact(&in);
	struct mail_report r;
	char *id;

	mail_report_read(&r, message, in.len);
	fuzz_check(r.kind != REPORT_DSN || r.n_recipients > 0);
	fuzz_check(r.n_recipients <= REPORT_RECIPIENTS_MAX);
	for (size_t i = 0; i < r.n_recipients; i++)
		fuzz_check(r.kind != REPORT_DSN ||
		    r.recipients[i].action != ACTION_NONE);
	check_marks(&r);
	mail_report_fini(&r);
	id = mail_report_message_id(message, in.len);
	free(id);
	free(message);
	return 0;
}
