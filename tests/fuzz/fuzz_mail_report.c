/* SPDX-License-Identifier: ISC */
/* What the world sends to the listener for reports. */
#include "sink/mail_report.h"

#include "tests/fuzz/fuzz.h"

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
	mail_report_fini(&r);
	id = mail_report_message_id(message, in.len);
	free(id);
	free(message);
	return 0;
}
