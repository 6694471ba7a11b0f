/* SPDX-License-Identifier: ISC */
/*
 * Replies of a next hop: bounded, without control characters, whatever the
 * cuts.
 */
#include "sink/smtp_reply.h"

#include "conf/base/rng.h"
#include "tests/fuzz/fuzz.h"

static void
check_reply(const struct smtp_reply *r)
{
	fuzz_check(r->code >= 200 && r->code <= 599);
	fuzz_check(r->text.len <= REPLY_TEXT_MAX);
	fuzz_check(strlen(r->text.data) == r->text.len);
	for (size_t i = 0; i < r->text.len; i++) {
		unsigned char c = (unsigned char)r->text.data[i];

		fuzz_check(c >= ' ' || c == '\t' || c == '\n');
		fuzz_check(c != 127);
	}
	fuzz_check(*r->enhanced == '\0' ||
	    r->enhanced[0] - '0' == r->code / 100);
}

/* All replies, one after the other, as one text. */
static void
run(const struct fuzz *in, uint64_t seed, struct strbuf *out)
{
	struct smtp_reply r = { 0 };
	struct rng rng = { seed };
	size_t at = 0;

	while (at < in->len) {
		size_t n = seed == 0 ? in->len - at : 1 + rng_below(&rng, 40);
		size_t used;
		enum reply_read rc;

		if (n > in->len - at)
			n = in->len - at;
		rc = smtp_reply_read(&r, (const char *)in->data + at, n, &used);
		fuzz_check(used <= n);
		fuzz_check(rc == REPLY_BROKEN || used > 0);
		at += used;
		if (rc == REPLY_BROKEN) {
			strbuf_adds(out, "broken");
			break;
		}
		if (rc != REPLY_DONE)
			continue;
		check_reply(&r);
		strbuf_addf(out, "%d %s %s\n", r.code, r.enhanced, r.text.data);
	}
	smtp_reply_fini(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	uint64_t seed = 1 + fuzz_byte(&in);
	struct strbuf whole = { 0 }, cut = { 0 };

	run(&in, 0, &whole);
	run(&in, seed, &cut);
	fuzz_check(whole.len == cut.len);
	fuzz_check(whole.len == 0 ||
	    memcmp(whole.data, cut.data, whole.len) == 0);
	strbuf_fini(&whole);
	strbuf_fini(&cut);
	return 0;
}
