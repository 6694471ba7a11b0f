/* SPDX-License-Identifier: ISC */
/*
 * Lists of suppressed addresses as CSV, and records of them: what was read and
 * written is read as the same.
 */
#include "scheduler/suppression_csv.h"

#include "tests/fuzz/fuzz.h"

#define NOW_UTC_US INT64_C(1795500000000000)

static size_t n_each;

static void
check_again(const struct suppression_entry *entry, void *arg)
{
	const struct suppression_entry *first = arg;

	fuzz_check(strcmp(first->address, entry->address) == 0);
	fuzz_check(first->reason == entry->reason);
	n_each++;
}

static void
on_entry(const struct suppression_entry *entry, void *arg)
{
	struct strbuf csv = { 0 }, record = { 0 };
	struct suppression_import import;
	struct suppression_entry again;

	(void)arg;
	suppression_csv_header(&csv);
	suppression_csv_add(&csv, entry);
	n_each = 0;
	suppression_csv_read(csv.data, csv.len, NOW_UTC_US, 0, check_again,
	    (void *)entry, &import);
	fuzz_check(n_each == 1 && import.n_bad == 0);
	suppression_entry_format(entry, &record);
	fuzz_check(suppression_entry_parse(record.data, &again) == 0);
	fuzz_check(again.reason == entry->reason);
	fuzz_check(again.expires_utc_us == entry->expires_utc_us);
	strbuf_fini(&csv);
	strbuf_fini(&record);
}

static void
try_record(const char *text)
{
	static const uint8_t key[SIPHASH_KEY_SIZE];
	struct suppression *s = suppression_new(key);
	struct suppression_entry entry;
	char watch[SUPPRESSION_WATCH_SIZE];

	suppression_entry_parse(text, &entry);
	if (suppression_watch_parse(s, "a@b.test", text) == 0)
		suppression_watch_format(s, "a@b.test", watch);
	suppression_free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	char *text = fuzz_exact(&in), *record;
	struct suppression_import import;

	suppression_csv_read(text, len, NOW_UTC_US, 0, on_entry, NULL, &import);
	free(text);
	record = fuzz_text(&in, '\n');
	try_record(record);
	free(record);
	return 0;
}
