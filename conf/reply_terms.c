/* SPDX-License-Identifier: ISC */
/*
 * The names of reply classes, blames and phases, both ways. The configuration
 * reads them, everything else prints them; what they lead to stands in
 * scheduler/blame.c. The names are a contract with operators' files and with
 * readers of the event log: one may be added, none may change.
 */
#include "conf/reply_terms.h"

#include <stddef.h>
#include <string.h>

struct class_row {
	const char *name;
	enum blame blame; /* the usual one */
};

static const struct class_row classes[CLASS_COUNT] = {
	[CLASS_OK] = { "ok", BLAME_NOBODY },
	[CLASS_RATE] = { "rate", BLAME_LANE },
	[CLASS_REPUTATION_DEFER] = { "reputation-defer", BLAME_LANE },
	[CLASS_REPUTATION_REJECT] = { "reputation-reject", BLAME_LANE },
	[CLASS_AUTH] = { "auth", BLAME_SENDER_DOMAIN },
	[CLASS_GREYLIST] = { "greylist", BLAME_MESSAGE },
	[CLASS_MAILBOX_FULL] = { "mailbox-full", BLAME_RECIPIENT },
	[CLASS_BAD_MAILBOX] = { "bad-mailbox", BLAME_RECIPIENT },
	[CLASS_BAD_DOMAIN] = { "bad-domain", BLAME_RECIPIENT_DOMAIN },
	[CLASS_CONTENT] = { "content", BLAME_MESSAGE },
	[CLASS_SYSTEM] = { "system", BLAME_NEXT_HOP },
	[CLASS_OTHER] = { "other", BLAME_MESSAGE },
};

static const char *const blames[BLAME_COUNT] = {
	[BLAME_NOBODY] = "nobody",
	[BLAME_LANE] = "lane",
	[BLAME_CONNECTIONS] = "connections",
	[BLAME_ROUTE] = "route",
	[BLAME_SENDER_DOMAIN] = "sender_domain",
	[BLAME_STREAM] = "stream",
	[BLAME_RECIPIENT] = "recipient",
	[BLAME_RECIPIENT_DOMAIN] = "recipient_domain",
	[BLAME_MESSAGE] = "message",
	[BLAME_NEXT_HOP] = "next_hop",
};

static const char *const phases[PHASE_COUNT] = {
	[PHASE_CONNECT] = "connect",
	[PHASE_HELO] = "helo",
	[PHASE_STARTTLS] = "starttls",
	[PHASE_AUTH] = "auth",
	[PHASE_MAIL] = "mail",
	[PHASE_RCPT] = "rcpt",
	[PHASE_DATA] = "data",
	[PHASE_EOD] = "eod",
	[PHASE_UNKNOWN] = "unknown",
};

const char *
reply_class_name(enum reply_class c)
{
	return (unsigned)c < CLASS_COUNT ? classes[c].name : "unknown";
}

const char *
blame_name(enum blame b)
{
	return (unsigned)b < BLAME_COUNT ? blames[b] : "unknown";
}

const char *
phase_name(enum phase p)
{
	return (unsigned)p < PHASE_COUNT ? phases[p] : "unknown";
}

int
reply_class_parse(const char *name)
{
	for (int i = 0; i < CLASS_COUNT; i++)
		if (strcmp(classes[i].name, name) == 0)
			return i;
	return -1;
}

static int
word_find(const char *const *words, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(words[i], name) == 0)
			return i;
	return -1;
}

int
blame_parse(const char *name)
{
	return word_find(blames, BLAME_COUNT, name);
}

int
phase_parse(const char *name)
{
	return word_find(phases, PHASE_COUNT, name);
}

unsigned
phases_parse(const char *names)
{
	char word[16];
	unsigned bits = 0;

	if (strcmp(names, "any") == 0)
		return (1u << PHASE_COUNT) - 1;
	for (const char *at = names + strspn(names, ", "); *at != '\0';
	     at += strspn(at, ", ")) {
		size_t len = strcspn(at, ", ");
		int phase = -1;

		if (len < sizeof(word)) {
			memcpy(word, at, len);
			word[len] = '\0';
			phase = phase_parse(word);
		}
		if (phase < 0)
			return 0;
		bits |= 1u << phase;
		at += len;
	}
	return bits;
}

enum blame
reply_class_blame(enum reply_class c)
{
	return (unsigned)c < CLASS_COUNT ? classes[c].blame : BLAME_NOBODY;
}
