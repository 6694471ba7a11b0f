/* SPDX-License-Identifier: ISC */
/*
 * The part of a notice that people read. Called by dsn.c only.
 *
 * It says in plain words what happened to whom, whether anything is to be done,
 * and shows what the next hop said, whole and line by line: the words of a
 * provider often hold the link that explains the refusal.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/address.h"
#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "sink/dsn_private.h"

struct meaning {
	const char *code; /* without the class: "1.1"; "1." = all of 1 */
	const char *words;
};

/* RFC 3463 3, and the registry's later additions; first match wins. */
static const struct meaning meanings[] = {
	{ "1.1", "There is no such mailbox." },
	{ "1.2", "The domain of the address doesn't exist, or takes no mail." },
	{ "1.3", "The address isn't valid." },
	{ "1.6", "The mailbox has moved, and nobody knows where." },
	{ "1.8", "The sender's domain wasn't accepted." },
	{ "1.10", "The domain of the address takes no mail." },
	{ "1.", "There is something wrong with the address." },
	{ "2.1", "The mailbox is disabled and takes no mail." },
	{ "2.2", "The mailbox is full." },
	{ "2.3", "The message is too large for the mailbox." },
	{ "2.", "The mailbox couldn't take the message." },
	{ "3.4", "The message is too large for the recipient's mail system." },
	{ "3.", "The recipient's mail system had trouble." },
	{ "4.1", "The recipient's mail system doesn't answer." },
	{ "4.4", "The way to the recipient's mail system isn't known." },
	{ "4.6", "The message goes round in a loop." },
	{ "4.7", "The message couldn't be delivered in the time set for it." },
	{ "4.", "The recipient's mail system couldn't be reached." },
	{ "5.3", "Too many recipients at once." },
	{ "5.", "The mail systems didn't understand each other." },
	{ "6.7",
	    "The recipient's mail system doesn't take addresses outside "
	    "ASCII." },
	{ "6.",
	    "The recipient's mail system can't take content of this "
	    "kind." },
	{ "7.", "It was refused for reasons of security or policy." },
	{ NULL, NULL },
};

static const char *const headline[] = {
	[DSN_FAILED] = "Your message could not be delivered to the recipients "
		       "below. It won't be\r\ntried again.",
	[DSN_DELAYED] = "Your message could not be delivered yet. It is kept "
			"and tried again: you\r\ndon't need to send it again.",
	[DSN_DELIVERED] = "Your message was delivered to the recipients "
			  "below.",
	[DSN_RELAYED] = "Your message was passed on to the next mail system, "
			"which doesn't report\r\ndelivery: you may hear "
			"nothing more of it.",
};

static const char *const outcome[] = {
	[DSN_FAILED] = "not delivered",
	[DSN_DELAYED] = "not delivered yet",
	[DSN_DELIVERED] = "delivered",
	[DSN_RELAYED] = "passed on",
};

static const char *
words_of(const char *status)
{
	const char *dot = strchr(status, '.');

	for (const struct meaning *m = meanings; dot && m->code; m++) {
		size_t len = strlen(m->code);

		if (m->code[len - 1] == '.'
			? strncmp(dot + 1, m->code, len) == 0
			: strcmp(dot + 1, m->code) == 0)
			return m->words;
	}
	return NULL;
}

/* A line of what a peer said: controls, and octets that aren't UTF-8, are
 * shown as \xNN. */
static void
add_escaped(struct strbuf *out, const char *s, size_t len)
{
	bool is_utf8 = utf8_is_valid(s, len);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if ((c < 32 && c != '\t') || c == 127 || (c > 127 && !is_utf8))
			strbuf_addf(out, "\\x%02X", c);
		else
			strbuf_addc(out, (char)c);
	}
}

static void
add_reply(struct strbuf *out, const struct dsn_recipient *row, size_t max)
{
	const char *line = row->reply;
	char *part = NULL;

	if (line == NULL || *line == '\0')
		return;
	if (row->remote_mta != NULL && *row->remote_mta != '\0') {
		strbuf_adds(out, "    ");
		add_escaped(out, row->remote_mta, strlen(row->remote_mta));
		strbuf_adds(out, " said:\r\n");
	} else {
		strbuf_adds(out, "    The answer was:\r\n");
	}
	if (strlen(line) > max)
		line = part = xasprintf("%.*s [...]", (int)max, line);
	while (*line != '\0') {
		size_t len = strcspn(line, "\n");
		size_t shown = len;

		if (shown > 0 && line[shown - 1] == '\r')
			shown--;
		strbuf_adds(out, "        ");
		add_escaped(out, line, shown);
		strbuf_adds(out, "\r\n");
		line += len + (line[len] == '\n');
	}
	free(part);
}

static void
add_person(struct strbuf *out, const struct dsn_recipient *row, size_t max)
{
	const char *words =
	    row->action == DSN_FAILED || row->action == DSN_DELAYED
	    ? words_of(row->status)
	    : NULL;
	const char *address = row->recipient->address;

	strbuf_adds(out, "<");
	add_escaped(out, address, strlen(address));
	strbuf_addf(out, ">: %s\r\n", outcome[row->action]);
	if (words != NULL)
		strbuf_addf(out, "    %s\r\n", words);
	add_reply(out, row, max);
	if (row->action == DSN_DELAYED && row->will_retry_until_utc_us != 0) {
		char date[CLOCK_RFC5322_SIZE];

		clock_rfc5322(row->will_retry_until_utc_us, date);
		strbuf_addf(out, "    It is tried until %s.\r\n", date);
	}
	strbuf_adds(out, "\r\n");
}

void
dsn_add_human(const struct dsn_report *report, struct strbuf *out)
{
	char date[CLOCK_RFC5322_SIZE];
	char id[MESSAGE_ID_SIZE];
	size_t max = dsn_reply_max(report);

	strbuf_adds(out, "This is the mail system at ");
	add_escaped(out, report->reporting_mta, strlen(report->reporting_mta));
	strbuf_adds(out, ".\r\n\r\n");
	for (int action = DSN_FAILED; action <= DSN_RELAYED; action++) {
		bool is_said = false;

		for (size_t i = 0; i < report->n_recipients; i++) {
			const struct dsn_recipient *row =
			    &report->recipients[i];

			if ((int)row->action != action)
				continue;
			if (!is_said)
				strbuf_addf(out, "%s\r\n\r\n",
				    headline[action]);
			is_said = true;
			add_person(out, row, max);
		}
	}
	clock_rfc5322(report->envelope->arrived_utc_us, date);
	strbuf_addf(out,
	    "The message was taken in on %s\r\n"
	    "and has the number %s here. Its %s below.\r\n",
	    date, message_id_format(report->envelope->id, id),
	    report->headers_len > 0 ? "header is" : "status for programs is");
}
