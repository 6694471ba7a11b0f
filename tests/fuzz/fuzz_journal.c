/* SPDX-License-Identifier: ISC */
/*
 * What journalctl writes: any local user may have made the entry's message, and
 * what is in no entry must not get in.
 */
#include "daemon/log_journal.h"

#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	char *line = fuzz_exact(&in);
	struct log_entry e;
	const char *cursor;
	void *memory;

	if (log_entry_parse(line, in.len, &e, &cursor, &memory)) {
		fuzz_check(strlen(e.program) + strlen(e.message) +
			strlen(e.unit) + strlen(cursor) <=
		    in.len);
		log_entry_free(memory);
	}
	free(line);
	return 0;
}
