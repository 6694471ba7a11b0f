/* SPDX-License-Identifier: ISC */
/* Envelopes and deliveries from the disk: what decodes encodes to itself. */
#include "sink/envelope.h"

#include "tests/fuzz/fuzz.h"

static void
try_envelope(const void *data, size_t len)
{
	struct envelope e, again;
	struct strbuf out = { 0 };

	if (envelope_decode(data, len, &e) < 0)
		return;
	envelope_encode(&e, &out);
	fuzz_check(envelope_decode(out.data, out.len, &again) == 0);
	fuzz_check(strcmp(e.sender, again.sender) == 0);
	envelope_fini(&e);
	envelope_fini(&again);
	strbuf_fini(&out);
}

static void
try_delivery(const void *data, size_t len)
{
	struct delivery d, again;
	struct strbuf out = { 0 };

	if (delivery_decode(data, len, &d) < 0)
		return;
	delivery_encode(&d, &out);
	fuzz_check(delivery_decode(out.data, out.len, &again) == 0);
	fuzz_check(d.n_recipients == again.n_recipients);
	delivery_fini(&d);
	delivery_fini(&again);
	strbuf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	char *copy = fuzz_exact(&in);
	char id[MESSAGE_ID_SIZE], *text;
	uint64_t number, again;

	try_envelope(copy, len);
	try_delivery(copy, len);
	free(copy);
	text = fuzz_text(&in, '\0');
	if (message_id_parse(text, &number) == 0) {
		fuzz_check(message_id_parse(message_id_format(number, id),
			       &again) == 0);
		fuzz_check(number == again);
	}
	free(text);
	return 0;
}
