/* SPDX-License-Identifier: ISC */
/* The users file. A hash, or what stands in its place, is never told. */
#include "daemon/users.h"

#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	char *text = fuzz_exact(&in);
	struct strbuf errors = { 0 };
	struct users *users =
	    users_load_text("users", text, len, NULL, &errors);

	fuzz_check((users == NULL) == (errors.len > 0));
	for (size_t i = 0; users != NULL && i < users_n(users); i++) {
		const struct user *u = users_nth(users, i);

		fuzz_check(users_find(users, u->name) == u);
		fuzz_check(*u->name != '\0' && *u->hash != '\0');
	}
	users_unref(users);
	strbuf_fini(&errors);
	free(text);
	return 0;
}
