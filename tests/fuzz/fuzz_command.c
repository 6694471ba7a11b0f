/* SPDX-License-Identifier: ISC */
/* The syntax of SMTP commands, addresses, base64. */
#include "daemon/smtp_command.h"

#include <ctype.h>

#include "conf/base/address.h"
#include "tests/fuzz/fuzz.h"

static void
check_printable(const char *s)
{
	for (; *s != '\0'; s++)
		fuzz_check((unsigned char)*s >= ' ' && *s != 127);
}

static void
check_mailbox(const char *path)
{
	char domain[ADDRESS_DOMAIN_MAX + 1], again[ADDRESS_DOMAIN_MAX + 1];

	check_printable(path);
	fuzz_check(strlen(path) <= ADDRESS_PATH_MAX);
	if (*path == '\0' || domain_normalise(address_domain(path), domain) < 0)
		return;
	/* Normal is normal. */
	fuzz_check(domain_normalise(domain, again) == 0);
	fuzz_check(strcmp(domain, again) == 0);
	check_printable(domain);
	for (const char *p = domain; *p != '\0'; p++)
		fuzz_check((unsigned char)*p < 0x80 &&
		    !isupper((unsigned char)*p));
}

static void
check_base64(const char *text)
{
	size_t len = strlen(text);
	char *out = malloc(len + 1);
	ssize_t n = smtp_base64_decode(text, len, out, len);

	fuzz_check(n <= (ssize_t)(len / 4 * 3));
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	char *line = fuzz_text(&in, '\n');
	struct smtp_mail mail;
	struct smtp_rcpt rcpt;
	const char *args;
	uint64_t size;
	bool is_last;

	smtp_verb_parse(line, &args);
	fuzz_check(args >= line && args <= line + strlen(line));
	if (smtp_mail_parse(args, &mail) == NULL) {
		check_mailbox(mail.path);
		check_printable(mail.envid);
	}
	if (smtp_rcpt_parse(args, true, &rcpt) == NULL) {
		check_mailbox(rcpt.path);
		check_printable(rcpt.orcpt);
		fuzz_check(*rcpt.path != '\0');
	}
	if (smtp_rcpt_parse(args, false, &rcpt) == NULL)
		fuzz_check(address_is_ascii(rcpt.path) &&
		    address_is_ascii(rcpt.orcpt));
	smtp_bdat_parse(args, &size, &is_last);
	if (smtp_helo_is_valid(args))
		check_printable(args);
	check_base64(args);
	free(line);
	return 0;
}
