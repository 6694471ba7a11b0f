/* SPDX-License-Identifier: ISC */
/*
 * A line on the admin socket: its words, conditions among them, and a filter
 * of events over the rest of the input.
 */
#include "daemon/command_words.h"
#include "daemon/event_filter.h"
#include "daemon/selection.h"
#include "sink/envelope.h"
#include "tests/fuzz/fuzz.h"

static void
check_joined(const struct words *w)
{
	struct strbuf line = { 0 };
	struct words again;
	struct err err;

	if (words_join(w->v, w->n, &line, &err) == 0) {
		fuzz_check(words_split(line.data != NULL ? line.data : "",
			       line.len, &again, &err) == 0);
		fuzz_check(again.n == w->n);
		for (size_t i = 0; i < w->n; i++)
			fuzz_check(strcmp(w->v[i], again.v[i]) == 0);
		words_fini(&again);
	}
	strbuf_fini(&line);
}

static void
try_selection(char *const *v, size_t n)
{
	static struct recipient recipients[] = {
		{ .address = (char *)"a@example.net" },
		{ .address = (char *)"b@example.org" },
	};
	static struct delivery delivery = { .provider = (char *)"other",
		.site = (char *)"example.net",
		.recipients = recipients,
		.n_recipients = 2 };
	static const struct envelope e = { .id = 77,
		.sender = (char *)"s@app.test",
		.stream = (char *)"default",
		.deliveries = &delivery,
		.n_deliveries = 1 };
	const struct queue_view q = { .message = 77,
		.n_pending = 2,
		.stream = "default",
		.provider = "other",
		.site = "example.net",
		.lane = "out/other" };
	struct selection sel;
	struct err err;
	size_t used;

	if (selection_parse(&sel, v, n, &used, &err) < 0)
		return;
	fuzz_check(used > 0 && used <= n && sel.n <= SELECTION_TERMS_MAX);
	selection_wants_envelope(&sel);
	selection_fits_queue(&sel, &q);
	selection_fits_envelope(&sel, &e, 0, 1);
}

static void
try_filter(char *const *v, size_t n, const struct fuzz *line)
{
	struct err err;
	struct event_filter *f = event_filter_new(v, n, &err);
	char *copy = fuzz_exact(line);

	if (f != NULL)
		event_filter_fits(f, copy, line->len);
	event_filter_free(f);
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz in = { data, len };
	const uint8_t *lf = memchr(data, '\n', len);
	struct fuzz first = { data, lf != NULL ? (size_t)(lf - data) : len };
	char *line = fuzz_exact(&first);
	struct words w;
	struct err err;

	in.data += first.len;
	in.len -= first.len;
	if (words_split(line, first.len, &w, &err) == 0) {
		check_joined(&w);
		try_selection(w.v, w.n);
		try_filter(w.v, w.n, &in);
		words_fini(&w);
	}
	free(line);
	return 0;
}
