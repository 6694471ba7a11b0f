/* SPDX-License-Identifier: ISC */
/*
 * A message's content, by DATA or BDAT, up to the model's last word. It is only
 * counted, and hashed where accepted mail is stored.
 */
#include "tests/provider/session_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/base/json.h"
#include "conf/base/strbuf.h"

static void
store(struct session *s)
{
	struct strbuf line = { 0 };
	char hex[65];

	digest_end(s->digest, hex);
	for (size_t i = 0; i < s->n_rcpts; i++) {
		strbuf_adds(&line, "{\"rcpt\":");
		strbuf_add_json_string(&line, s->rcpts[i], strlen(s->rcpts[i]));
		strbuf_adds(&line, ",\"sender\":");
		strbuf_add_json_string(&line, s->sender, strlen(s->sender));
		strbuf_addf(&line,
		    ",\"provider\":\"%s\",\"listener\":\"%s\",\"bytes\":%zu,"
		    "\"sha256\":\"%s\"}\n",
		    s->port->server->world->providers[s->provider].spec.name,
		    s->port->listener->name, digest_bytes(s->digest), hex);
	}
	/* One write: a reader never sees half a line for long. */
	fwrite(line.data, 1, line.len, s->port->server->store);
	fflush(s->port->server->store);
	strbuf_fini(&line);
}

static void
on_message(struct session *s)
{
	struct provider_verdict v;

	if (s->n_content > (size_t)s->port->server->world->size_bytes) {
		session_drop_transaction(s);
		session_say(s, 552, "5.3.4", "Message too big for system");
		return;
	}
	provider_model_eod(session_model(s), &s->at[s->provider],
	    server_now_us(), &v);
	if (v.code == 250 && s->digest != NULL)
		store(s);
	session_drop_transaction(s);
	session_answer(s, &v, READS_COMMANDS);
}

static void
content_start(struct session *s, bool is_dotted)
{
	s->n_content = 0;
	if (s->port->server->store == NULL)
		return;
	if (s->digest == NULL)
		s->digest = digest_new();
	digest_start(s->digest, is_dotted);
}

void
session_on_data(struct session *s, const char *line)
{
	struct provider_verdict v = { .code = 354,
		.enhanced = "",
		.text = "End data with <CR><LF>.<CR><LF>" };

	(void)line;
	if (s->n_rcpts == 0) {
		session_say(s, s->sender != NULL ? 554 : 503, "5.5.1",
		    "no valid recipients");
		return;
	}
	content_start(s, true);
	s->is_fresh = true;
	session_answer(s, &v, READS_DATA);
}

void
session_on_bdat(struct session *s, const char *line)
{
	char *end;

	s->n_chunk = strtoul(line + 4, &end, 10);
	s->is_last_chunk = strcasecmp(end, " LAST") == 0;
	if (s->n_content == 0)
		content_start(s, false);
	s->state = READS_CHUNK; /* also without recipients: it is coming */
}

/* Takes the next n bytes as content. */
static void
take_content(struct session *s, struct evbuffer *in, size_t n)
{
	s->n_content += n;
	while (n > 0 && s->digest != NULL && s->port->server->store != NULL) {
		size_t part = evbuffer_get_contiguous_space(in);

		part = part < n ? part : n;
		digest_add(s->digest,
		    (const char *)evbuffer_pullup(in, (ev_ssize_t)part), part);
		evbuffer_drain(in, part);
		n -= part;
	}
	evbuffer_drain(in, n);
}

bool
session_read_data(struct session *s, struct evbuffer *in)
{
	size_t len = evbuffer_get_length(in);
	struct evbuffer_ptr end;
	char first[3];

	if (s->is_fresh) {
		if (len < 3)
			return false;
		s->is_fresh = false;
		evbuffer_copyout(in, first, 3);
		if (memcmp(first, ".\r\n", 3) == 0) {
			evbuffer_drain(in, 3);
			on_message(s);
			return true;
		}
	}
	end = evbuffer_search(in, "\r\n.\r\n", 5, NULL);
	if (end.pos >= 0) {
		take_content(s, in, (size_t)end.pos + 2);
		evbuffer_drain(in, 3);
		on_message(s);
		return true;
	}
	if (len > 4)
		take_content(s, in, len - 4);
	return false;
}

bool
session_read_chunk(struct session *s, struct evbuffer *in)
{
	size_t len = evbuffer_get_length(in);
	size_t part = len < s->n_chunk ? len : s->n_chunk;

	take_content(s, in, part);
	s->n_chunk -= part;
	if (s->n_chunk > 0)
		return false;
	s->state = READS_COMMANDS;
	if (s->n_rcpts == 0)
		session_say(s, 503, "5.5.1", "no valid recipients");
	else if (s->is_last_chunk)
		on_message(s);
	else
		session_say(s, 250, "2.0.0", "Ok");
	return true;
}
