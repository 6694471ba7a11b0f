/* SPDX-License-Identifier: ISC */
/* Ids, and envelopes to bytes and back: what is ours comes back the same, and
 * nothing else is taken. */
#include "sink/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/xalloc.h"

#define SEED 20261125

/* ---- ids ---- */

static void
ids_are_shown_in_crockfords_base32(void **state)
{
	static const struct {
		uint64_t id;
		const char *text;
	} rows[] = {
		{ 0, "0000000000000" },
		{ 1, "0000000000001" },
		{ 31, "000000000000Z" },
		{ 32, "0000000000010" },
		{ 1234567890123456789, "128GGYHYYK08N" },
		{ UINT64_MAX, "FZZZZZZZZZZZZ" },
	};
	char text[MESSAGE_ID_SIZE];
	uint64_t id;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_string_equal(message_id_format(rows[i].id, text),
		    rows[i].text);
		assert_int_equal(message_id_parse(rows[i].text, &id), 0);
		assert_true(id == rows[i].id);
	}
}

static void
typed_ids_forgive_case_and_lookalikes(void **state)
{
	uint64_t a, b;

	(void)state;
	assert_int_equal(message_id_parse("0abcdefghjkmn", &a), 0);
	assert_int_equal(message_id_parse("0ABCDEFGHJKMN", &b), 0);
	assert_true(a == b);
	assert_int_equal(message_id_parse("oO000000iIlL1", &a), 0);
	assert_int_equal(message_id_parse("0000000011111", &b), 0);
	assert_true(a == b);
}

static void
what_is_no_id_is_refused(void **state)
{
	static const char *const rows[] = { "", "1", "000000000000",
		"00000000000000", "000000000000U", "G000000000000",
		"ZZZZZZZZZZZZZ", "00000-0000000", " 000000000001",
		"000000000000\xc3" };
	uint64_t id = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(message_id_parse(rows[i], &id), -1);
	assert_true(id == 7);
}

/* ---- the form on disk ---- */

static void
same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		assert_true(a == b);
	else
		assert_string_equal(a, b);
}

static void
assert_same_envelope(const struct envelope *a, const struct envelope *b)
{
	assert_true(a->arrived_utc_us == b->arrived_utc_us);
	same_text(a->sender, b->sender);
	same_text(a->envid, b->envid);
	assert_int_equal(a->ret, b->ret);
	assert_int_equal(a->body, b->body);
	assert_int_equal(a->smtputf8, b->smtputf8);
	assert_int_equal(a->has_8bit, b->has_8bit);
	same_text(a->stream, b->stream);
	same_text(a->user, b->user);
	same_text(a->client, b->client);
	same_text(a->helo, b->helo);
	assert_true(a->size_bytes == b->size_bytes);
	assert_int_equal(a->has_crc, b->has_crc);
	assert_true(a->content_crc == b->content_crc);
}

static void
assert_same_delivery(const struct delivery *a, const struct delivery *b)
{
	same_text(a->provider, b->provider);
	same_text(a->site, b->site);
	assert_int_equal(a->attempts, b->attempts);
	assert_true(a->due_utc_us == b->due_utc_us);
	assert_int_equal(a->delay_warned, b->delay_warned);
	same_text(a->last_reply, b->last_reply);
	assert_int_equal(a->n_recipients, b->n_recipients);
	for (size_t i = 0; i < a->n_recipients; i++) {
		same_text(a->recipients[i].address, b->recipients[i].address);
		same_text(a->recipients[i].orcpt, b->recipients[i].orcpt);
		assert_int_equal(a->recipients[i].notify,
		    b->recipients[i].notify);
	}
}

static char *
random_text(struct rng *rng, bool may_be_null)
{
	size_t len =
	    rng_next(rng) % 5 ? rng_next(rng) % 40 : rng_next(rng) % 400;
	char *s;

	if (may_be_null && rng_next(rng) % 4 == 0)
		return NULL;
	s = xmalloc(len + 1);
	for (size_t i = 0; i < len; i++)
		s[i] = (char)(1 + rng_next(rng) % 255);
	s[len] = '\0';
	return s;
}

static void
random_envelope(struct rng *rng, struct envelope *e)
{
	*e = (struct envelope){ .arrived_utc_us = (int64_t)rng_next(rng),
		.sender = random_text(rng, false),
		.envid = random_text(rng, true),
		.ret = rng_next(rng) % 3,
		.body = rng_next(rng) % 3,
		.smtputf8 = rng_next(rng) % 2,
		.has_8bit = rng_next(rng) % 2,
		.stream = random_text(rng, false),
		.user = random_text(rng, false),
		.client = random_text(rng, true),
		.helo = random_text(rng, true),
		.size_bytes = rng_next(rng) >> rng_next(rng) % 64,
		.has_crc = rng_below(rng, 2),
		.content_crc = (uint32_t)rng_next(rng) };
}

static void
random_delivery(struct rng *rng, struct delivery *d)
{
	size_t n = rng_next(rng) % 6;

	*d = (struct delivery){ .provider = random_text(rng, false),
		.site = random_text(rng, true),
		.attempts = (uint32_t)rng_next(rng),
		.due_utc_us = (int64_t)rng_next(rng),
		.delay_warned = rng_next(rng) % 2,
		.last_reply = random_text(rng, true) };
	for (size_t i = 0; i < n; i++) {
		char *address = random_text(rng, false);
		struct recipient *r = delivery_add(d, address);

		r->orcpt = random_text(rng, true);
		r->notify = (uint8_t)(rng_next(rng) % 16);
		free(address);
	}
}

static void
what_is_written_comes_back(void **state)
{
	struct rng rng;

	(void)state;
	print_message("seed %d\n", SEED);
	rng.state = SEED;
	for (int i = 0; i < 2000; i++) {
		struct envelope e, e_back;
		struct delivery d, d_back;
		struct strbuf out = { 0 };

		random_envelope(&rng, &e);
		envelope_encode(&e, &out);
		assert_int_equal(envelope_decode(out.data, out.len, &e_back),
		    0);
		assert_same_envelope(&e, &e_back);
		strbuf_reset(&out);
		random_delivery(&rng, &d);
		delivery_encode(&d, &out);
		assert_int_equal(delivery_decode(out.data, out.len, &d_back),
		    0);
		assert_same_delivery(&d, &d_back);
		envelope_fini(&e);
		envelope_fini(&e_back);
		delivery_fini(&d);
		delivery_fini(&d_back);
		strbuf_fini(&out);
	}
}

static void
extremes_come_back(void **state)
{
	static const int64_t times[] = { 0, 1, -1, INT64_MAX, INT64_MIN };
	struct strbuf out = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct envelope back,
		    e = { .arrived_utc_us = times[i],
			    .sender = (char *)"",
			    .size_bytes = UINT64_MAX };

		strbuf_reset(&out);
		envelope_encode(&e, &out);
		assert_int_equal(envelope_decode(out.data, out.len, &back), 0);
		assert_same_envelope(&e, &back);
		envelope_fini(&back);
	}
	strbuf_fini(&out);
}

static void
a_usual_delivery_is_small(void **state)
{
	struct strbuf out = { 0 };
	struct delivery d = { .provider = (char *)"gmail", .site = (char *)"" };

	(void)state;
	delivery_add(&d, "somebody@gmail.com");
	delivery_encode(&d, &out);
	assert_true(out.len < 64);
	d.provider = NULL;
	d.site = NULL;
	delivery_fini(&d);
	strbuf_fini(&out);
}

/* Copied to its exact size, so that a read beyond it is seen by ASan. */
static int
decode_exact(const char *data, size_t len, bool is_delivery)
{
	char *copy = xmemdup(data, len);
	struct envelope e;
	struct delivery d;
	int rc;

	rc = is_delivery ? delivery_decode(copy, len, &d)
			 : envelope_decode(copy, len, &e);
	if (rc == 0 && is_delivery)
		delivery_fini(&d);
	else if (rc == 0)
		envelope_fini(&e);
	free(copy);
	return rc;
}

static void
what_is_cut_or_longer_is_refused(void **state)
{
	struct rng rng;

	(void)state;
	print_message("seed %d\n", SEED);
	rng.state = SEED;
	for (int i = 0; i < 200; i++) {
		bool is_delivery = i % 2;
		struct strbuf out = { 0 };
		struct envelope e;
		struct delivery d;

		random_envelope(&rng, &e);
		random_delivery(&rng, &d);
		if (is_delivery)
			delivery_encode(&d, &out);
		else
			envelope_encode(&e, &out);
		for (size_t len = 0; len < out.len; len++)
			assert_int_equal(decode_exact(out.data, len,
					     is_delivery),
			    -1);
		strbuf_addc(&out, '\0');
		assert_int_equal(decode_exact(out.data, out.len, is_delivery),
		    -1);
		out.data[0] = 3; /* another version */
		assert_int_equal(decode_exact(out.data, out.len - 1,
				     is_delivery),
		    -1);
		envelope_fini(&e);
		delivery_fini(&d);
		strbuf_fini(&out);
	}
}

static void
damage_is_survived(void **state)
{
	struct rng rng;
	int n_refused = 0;

	(void)state;
	print_message("seed %d\n", SEED);
	rng.state = SEED;
	for (int i = 0; i < 20000; i++) {
		struct strbuf out = { 0 };
		struct delivery d;

		random_delivery(&rng, &d);
		delivery_encode(&d, &out);
		for (uint64_t n = 1 + rng_next(&rng) % 3; n > 0; n--)
			out.data[rng_next(&rng) % out.len] =
			    (char)rng_next(&rng);
		n_refused += decode_exact(out.data, out.len, true) < 0;
		n_refused += decode_exact(out.data, out.len, false) < 0;
		delivery_fini(&d);
		strbuf_fini(&out);
	}
	assert_true(n_refused > 20000);
}

static void
a_count_without_bytes_is_refused(void **state)
{
	/* provider "x", no site, 0 attempts, due 0, not warned, no reply, and
	 * then 4 billion recipients. */
	static const char bytes[] =
	    "\x01\x02x\x00\x00\x00\x00\x00\xff\xff\xff\xff\x0f";
	/* A number of more than 64 bits. */
	static const char endless[] = "\x01\xff\xff\xff\xff\xff\xff\xff\xff"
				      "\xff\xff\xff\xff\xff\x01";

	(void)state;
	assert_int_equal(decode_exact(bytes, sizeof(bytes) - 1, true), -1);
	assert_int_equal(decode_exact(endless, sizeof(endless) - 1, true), -1);
	assert_int_equal(decode_exact(endless, sizeof(endless) - 1, false), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_shown_in_crockfords_base32),
		cmocka_unit_test(typed_ids_forgive_case_and_lookalikes),
		cmocka_unit_test(what_is_no_id_is_refused),
		cmocka_unit_test(what_is_written_comes_back),
		cmocka_unit_test(extremes_come_back),
		cmocka_unit_test(a_usual_delivery_is_small),
		cmocka_unit_test(what_is_cut_or_longer_is_refused),
		cmocka_unit_test(damage_is_survived),
		cmocka_unit_test(a_count_without_bytes_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
