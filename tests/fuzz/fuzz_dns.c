/* SPDX-License-Identifier: ISC */
/* What a name server, or somebody in its name, answered. */
#include "sink/dns_answer.h"

#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const enum dns_type types[] = { DNS_A, DNS_AAAA, DNS_PTR,
		DNS_TXT, DNS_MX };
	struct fuzz in = { data, len };
	enum dns_type type =
	    types[fuzz_byte(&in) % (sizeof(types) / sizeof(types[0]))];
	char *message = fuzz_exact(&in);
	struct dns_answer a;

	dns_answer_read((const uint8_t *)message, in.len, type, &a);
	fuzz_check((a.status == DNS_OK) == (a.n > 0) || a.status != DNS_OK);
	fuzz_check(a.n <= DNS_RECORDS_MAX);
	for (size_t i = 0; i < a.n; i++)
		fuzz_check(a.v[i].text != NULL);
	dns_answer_fini(&a);
	free(message);
	return 0;
}
