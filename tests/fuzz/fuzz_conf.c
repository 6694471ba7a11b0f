/* SPDX-License-Identifier: ISC */
/*
 * The YAML file: whatever it is, there is a snapshot or there are mistakes,
 * each with its place; and a snapshot that was dumped loads again as the same.
 */
#include "conf/conf.h"

#include "tests/fuzz/fuzz.h"

/* Every mistake is "fuzz:LINE:COLUMN: ..." or speaks of the whole file. */
static void
check_errors(const struct strbuf *errors)
{
	fuzz_check(errors->len > 0);
	fuzz_check(errors->data[errors->len - 1] == '\n');
	fuzz_check(strncmp(errors->data, "fuzz:", 5) == 0);
}

static void
check_dump(const struct conf *conf)
{
	struct strbuf first = { 0 }, second = { 0 }, errors = { 0 };
	struct conf *again;

	conf_dump(conf, &first);
	again = conf_load_text("fuzz", first.data, first.len, &errors);
	/* Secrets aren't in a dump, and files they lie in may be gone. */
	if (again != NULL) {
		conf_dump(again, &second);
		fuzz_check(strcmp(first.data, second.data) == 0);
	}
	conf_unref(again);
	strbuf_fini(&first);
	strbuf_fini(&second);
	strbuf_fini(&errors);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	char *text = fuzz_exact(&in);
	struct strbuf errors = { 0 };
	struct conf *conf = conf_load_text("fuzz", text, len, &errors);

	if (conf == NULL)
		check_errors(&errors);
	else
		check_dump(conf);
	conf_unref(conf);
	strbuf_fini(&errors);
	free(text);
	return 0;
}
