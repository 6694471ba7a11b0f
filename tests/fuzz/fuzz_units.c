/* SPDX-License-Identifier: ISC */
/* Numbers with units: what was read and written is read as the same. */
#include "conf/base/units.h"

#include "tests/fuzz/fuzz.h"

static void
try_rate(const char *s)
{
	struct rate rate, again;
	char text[UNITS_TEXT_SIZE];
	struct err err;

	if (units_parse_rate(s, &rate, &err) < 0)
		return;
	fuzz_check(rate_is_unlimited(&rate) ||
	    (rate.count > 0 && rate.window_us > 0));
	fuzz_check(units_parse_rate(units_format_rate(&rate, text), &again,
		       &err) == 0);
	fuzz_check(again.count == rate.count &&
	    again.window_us == rate.window_us);
}

static void
try_number(const char *s, int (*parse)(const char *, int64_t *, struct err *),
    char *(*format)(int64_t, char[UNITS_TEXT_SIZE]))
{
	char text[UNITS_TEXT_SIZE];
	int64_t value, again;
	struct err err;

	if (parse(s, &value, &err) < 0)
		return;
	fuzz_check(value >= 0);
	if (format == NULL)
		return;
	fuzz_check(parse(format(value, text), &again, &err) == 0);
	fuzz_check(value == again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	char *text = fuzz_text(&in, '\0');

	try_rate(text);
	try_number(text, units_parse_duration, units_format_duration);
	try_number(text, units_parse_size, units_format_size);
	try_number(text, units_parse_permille, units_format_permille);
	try_number(text, units_parse_count, NULL);
	free(text);
	return 0;
}
