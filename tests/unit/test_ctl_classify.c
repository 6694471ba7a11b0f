/* SPDX-License-Identifier: ISC */
/* `flyballctl classify` as a script sees it: stdin, stdout, exit status. */
#include "daemon/ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct run {
	int status;
	char out[4096];
};

static FILE *
file_with(const char *text)
{
	FILE *f = tmpfile();

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	rewind(f);
	return f;
}

/* With stdin and stdout exchanged for files, and stderr for nothing. */
static struct run
run(const char *input, int argc, char **argv)
{
	FILE *in = file_with(input), *out = tmpfile();
	FILE *old_in = stdin, *old_out = stdout, *old_err = stderr;
	struct run r = { 0 };
	size_t len;

	assert_non_null(out);
	stdin = in;
	stdout = out;
	stderr = fopen("/dev/null", "w");
	r.status = ctl_classify(argc, argv);
	fclose(stderr);
	stdin = old_in;
	stdout = old_out;
	stderr = old_err;
	rewind(out);
	len = fread(r.out, 1, sizeof(r.out) - 1, out);
	r.out[len] = '\0';
	fclose(in);
	fclose(out);
	return r;
}

#define RUN(input, ...)                                                       \
	run(input, (int)(sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *)), \
	    (char *[]){ __VA_ARGS__, NULL })

static char classify_word[] = "classify", phase_word[] = "--phase",
	    provider_word[] = "--provider", config_word[] = "-c";

static void
a_line_in_a_line_out(void **state)
{
	struct run r =
	    RUN("250 2.0.0 ok\n"
		"421-4.7.28 unusual rate of mail originating\\n421-4.7.28 from "
		"your DKIM\\n421 4.7.28 domain\r\n"
		"\n"
		"550 5.1.1 user unknown\n"
		"connection refused",
		classify_word);

	(void)state;
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out,
	    "ok\tnobody\taccepted\n"
	    "rate\tsender_domain\tgmail-rate-domain\n"
	    "system\tnext_hop\tno-reply\n"
	    "bad-mailbox\trecipient\tunknown-user\n"
	    "system\tnext_hop\tno-reply\n");
}

static void
phase_and_provider_count(void **state)
{
	static char rcpt[] = "rcpt", connect[] = "connect", cox[] = "cox";
	static const char later[] =
	    "452 requested action aborted: try again later\n";
	struct run r;

	(void)state;
	r = RUN("550 x\n", classify_word, phase_word, rcpt);
	assert_string_equal(r.out, "other\tmessage\tother\n");
	r = RUN("550 x\n", classify_word, phase_word, connect);
	assert_string_equal(r.out,
	    "reputation-reject\tlane\trefused-at-connect\n");
	r = RUN(later, classify_word, provider_word, cox);
	assert_string_equal(r.out, "rate\tlane\tcox-later\n");
	r = RUN(later, classify_word);
	assert_string_equal(r.out, "system\tnext_hop\tsystem-4\n");
}

static void
own_rules_of_a_file_come_first(void **state)
{
	static char gmail[] = "gmail", path[] = "/tmp/classify-XXXXXX";
	static const char text[] =
	    "routes: {a: {next_hop: \"127.0.0.1:25\"}}\n"
	    "providers:\n"
	    "  gmail: {replies: [{match: 'no \\w+ here', class: greylist}]}\n";
	static const char broken[] =
	    "routes: {a: {next_hop: \"127.0.0.1:25\"}}\n"
	    "providers:\n"
	    "  gmail: {replies: [{match: 'no (', class: greylist}]}\n";
	int fd = mkstemp(path);
	struct run r;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	r = RUN("550 5.1.1 no user here\n", classify_word, config_word, path,
	    provider_word, gmail);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "greylist\tmessage\tgmail.replies[0]\n");
	r = RUN("550 5.1.1 no user here\n", classify_word, config_word, path);
	assert_string_equal(r.out, "bad-mailbox\trecipient\tunknown-user\n");

	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, broken, strlen(broken), 0), strlen(broken));
	assert_int_equal(RUN("550 x\n", classify_word, config_word, path)
			     .status,
	    1);
	unlink(path);
	close(fd);
	assert_int_equal(RUN("550 x\n", classify_word, config_word, path)
			     .status,
	    1);
}

static void
wrong_words_are_usage(void **state)
{
	static char never[] = "never", odd[] = "--odd";

	(void)state;
	assert_int_equal(RUN("", classify_word, phase_word, never).status, 2);
	assert_int_equal(RUN("", classify_word, odd).status, 2);
	assert_int_equal(RUN("", classify_word, never).status, 2);
	assert_int_equal(RUN("", classify_word, phase_word).status, 2);
	assert_int_equal(RUN("", classify_word).status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_in_a_line_out),
		cmocka_unit_test(phase_and_provider_count),
		cmocka_unit_test(own_rules_of_a_file_come_first),
		cmocka_unit_test(wrong_words_are_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
