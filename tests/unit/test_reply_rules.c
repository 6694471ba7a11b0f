/* SPDX-License-Identifier: ISC */
/*
 * The rules against replies that were really given (tests/data/replies*.tsv),
 * the traps that a code or a first glance sets, operators' rules, and input
 * that means harm.
 */
#include "scheduler/reply_rules.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/xalloc.h"
#include "conf/reply_base.h"
#include "scheduler/reply_text.h"

static const struct reply_rules *rules; /* the built-in ones */

static int
make_rules(void **state)
{
	struct err err = { "" };

	(void)state;
	rules = reply_rules_new(NULL, &err);
	if (rules == NULL)
		fprintf(stderr, "%s\n", err.text);
	return rules != NULL ? 0 : -1;
}

static int
drop_rules(void **state)
{
	(void)state;
	reply_rules_unref(rules);
	return 0;
}

static struct reply_answer
ask_of(const struct reply_rules *r, const char *provider, enum phase phase,
    const char *reply)
{
	char enhanced[16];
	struct reply_fact fact = {
		.phase = phase,
		.code = reply_text_code(reply, enhanced),
		.enhanced = enhanced,
		.text = reply,
		.provider = provider,
	};

	return reply_rules_ask(r, &fact);
}

static struct reply_answer
ask(enum phase phase, const char *reply)
{
	return ask_of(rules, "", phase, reply);
}

/* ---- replies that were given ---- */

struct corpus {
	int n, n_right, n_good_suppressed;
};

static void
unescape(char *s)
{
	char *to = s;

	for (; *s != '\0'; s++, to++) {
		*to = *s;
		if (s[0] == '\\' && s[1] == 'n') {
			*to = '\n';
			s++;
		}
	}
	*to = '\0';
}

static void
corpus_row(struct corpus *c, char *line)
{
	char *provider = strsep(&line, "\t"), *phase = strsep(&line, "\t");
	char *reply = strsep(&line, "\t"), *class = strsep(&line, "\t");
	struct reply_answer a;
	int wanted;

	assert_non_null(class);
	wanted = reply_class_parse(class);
	assert_true(wanted >= 0 && phase_parse(phase) >= 0);
	unescape(reply);
	a = ask_of(rules, provider, (enum phase)phase_parse(phase), reply);
	c->n++;
	c->n_right += (int)a.class == wanted;
	/* The worst mistake: a good recipient would be suppressed. */
	if (a.class == CLASS_BAD_MAILBOX &&
	    (wanted == CLASS_RATE || wanted == CLASS_REPUTATION_DEFER ||
		wanted == CLASS_REPUTATION_REJECT)) {
		c->n_good_suppressed++;
		print_error("%s taken for a bad mailbox by %s: %s\n", class,
		    a.rule, reply);
	}
	if ((int)a.class != wanted)
		print_message("wants %s, got %s by %s: %s\n", class,
		    reply_class_name(a.class), a.rule, reply);
}

static struct corpus
corpus_read(const char *path)
{
	struct corpus c = { 0 };
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;

	if (f == NULL)
		fail_msg("%s: not found; run from the project's root", path);
	while (getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '#' && line[0] != '\0')
			corpus_row(&c, line);
	}
	free(line);
	fclose(f);
	print_message("%s: %d of %d right\n", path, c.n_right, c.n);
	return c;
}

static void
known_replies_are_right(void **state)
{
	struct corpus c = corpus_read("tests/data/replies.tsv");

	(void)state;
	assert_true(c.n >= 322);
	assert_true(c.n_right * 100 >= c.n * 97);
	assert_int_equal(c.n_good_suppressed, 0);
}

static void
other_replies_are_right(void **state)
{
	struct corpus c = corpus_read("tests/data/replies_more.tsv");

	(void)state;
	assert_true(c.n >= 1280);
	assert_true(c.n_right * 100 >= c.n * 95);
	assert_int_equal(c.n_good_suppressed, 0);
}

static void
no_sentence_is_mistaken_for_a_bad_mailbox(void **state)
{
	struct corpus c = corpus_read("tests/data/replies_never.tsv");

	(void)state;
	assert_true(c.n >= 80);
	assert_int_equal(c.n_good_suppressed, 0);
}

/* ---- traps ---- */

struct trap {
	enum phase phase;
	const char *reply;
	enum reply_class class;
	enum blame blame;
	bool is_final;
	int64_t pause_us; /* -1: not looked at */
};

#define P(phase)	PHASE_##phase
#define C(class, blame) CLASS_##class, BLAME_##blame
#define MIN_US		INT64_C(60000000)

static const struct trap traps[] = {
	/* Gmail's 4.7.28 names its own scope, wherever the lines break. */
	{ P(EOD),
	    "421-4.7.28 [192.0.2.1] Gmail has detected an unusual rate of\n"
	    "421-4.7.28 unsolicited mail originating from your IP address.\n"
	    "421 4.7.28 To protect our users, it has been rate limited.",
	    C(RATE, LANE), false, 0 },
	{ P(EOD),
	    "421 4.7.28 Gmail has detected an unusual rate of unsolicited "
	    "mail originating from your IP Netblock [192.0.2.0/24].",
	    C(RATE, LANE), false, -1 },
	{ P(EOD),
	    "421-4.7.28 Gmail has detected an unusual rate of unsolicited\n"
	    "421-4.7.28 mail originating from your DKIM\n"
	    "421 4.7.28 domain [example.com 36]. Temporarily rate limited.",
	    C(RATE, SENDER_DOMAIN), false, -1 },
	{ P(EOD),
	    "421 4.7.28 Gmail has detected an unusual rate of unsolicited "
	    "mail originating from your SPF domain [example.com 36].",
	    C(RATE, SENDER_DOMAIN), false, -1 },
	{ P(EOD),
	    "421 4.7.28 Gmail has detected an unusual rate of unsolicited "
	    "mail containing one of your URL domains.",
	    C(RATE, STREAM), false, -1 },
	{ P(EOD),
	    "550 5.7.28 There is an unusual rate of unsolicited mail "
	    "originating from your IP address.",
	    C(REPUTATION_REJECT, LANE), true, -1 },
	/* "Rate limited", but slowing down is no help. */
	{ P(EOD),
	    "421 4.7.26 This mail has been rate limited because it is "
	    "unauthenticated.",
	    C(AUTH, SENDER_DOMAIN), false, -1 },
	{ P(EOD), "421 4.7.27 rate limited because SPF didn't pass",
	    C(AUTH, SENDER_DOMAIN), false, -1 },
	{ P(EOD), "421 4.7.30 rate limited because DKIM didn't pass",
	    C(AUTH, SENDER_DOMAIN), false, -1 },
	{ P(EOD), "421 4.7.32 rate limited: not aligned",
	    C(AUTH, SENDER_DOMAIN), false, -1 },
	{ P(EOD), "421 4.7.23 The sending IP has no PTR record; rate limited",
	    C(AUTH, ROUTE), false, -1 },
	{ P(EOD), "421 4.7.29 rate limited: not sent over TLS", C(AUTH, ROUTE),
	    false, -1 },
	/* One recipient, who exists. */
	{ P(RCPT),
	    "450-4.2.1 The user you are trying to contact is receiving mail at\n"
	    "450-4.2.1 a rate that prevents additional messages from being\n"
	    "450 4.2.1 delivered.",
	    C(RATE, RECIPIENT), false, -1 },
	{ P(RCPT), "550 5.2.1 The user is receiving mail at a rate that",
	    C(RATE, RECIPIENT), false, -1 },
	{ P(EOD),
	    "554 5.2.122 The recipient has exceeded their limit for the "
	    "number of messages they can receive per hour.",
	    C(RATE, RECIPIENT), false, -1 },
	/* A 5xx that is a rate never ends a recipient. */
	{ P(MAIL), "550 Ip frequency limited.", C(RATE, LANE), false, 0 },
	{ P(MAIL),
	    "550 192.0.2.1 has sent to too many recipients this hour. "
	    "IB607",
	    C(RATE, LANE), false, -1 },
	{ P(RCPT), "550 5.1.0 <a@example.com> sender rejected. AUP#In-1310",
	    C(RATE, CONNECTIONS), false, -1 },
	{ P(RCPT), "550 5.1.0 192.0.2.1 rejected. AUP#In-1450", C(RATE, LANE),
	    false, -1 },
	{ P(RCPT), "550 5.1.0 192.0.2.1 rejected. AUP#In-1220",
	    C(REPUTATION_REJECT, LANE), true, -1 },
	/* A 4xx that is final. */
	{ P(CONNECT),
	    "421 4.7.1 [TS03] All messages from 192.0.2.1 will be "
	    "permanently deferred; Retrying will NOT succeed.",
	    C(REPUTATION_DEFER, LANE), true, 240 * MIN_US },
	{ P(CONNECT),
	    "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily "
	    "deferred due to unexpected volume or user complaints",
	    C(REPUTATION_DEFER, LANE), false, 240 * MIN_US },
	/* GMX: no enhanced codes, the last line decides. */
	{ P(CONNECT),
	    "421-gmx.net (mxgmx114) Nemesis ESMTP Service not available\n"
	    "554-No SMTP service\n"
	    "554-Bad DNS PTR resource record.\n"
	    "554 For explanation visit http://postmaster.gmx.com/?c=rdns",
	    C(AUTH, ROUTE), false, -1 },
	{ P(RCPT),
	    "550-Requested action not taken: mailbox unavailable\n"
	    "550 For explanation visit http://postmaster.gmx.com/?c=bl",
	    C(REPUTATION_REJECT, ROUTE), true, -1 },
	{ P(EOD),
	    "552-Requested mail action aborted: exceeded storage allocation\n"
	    "552 For explanation visit http://postmaster.gmx.com/?c=r1503",
	    C(MAILBOX_FULL, RECIPIENT), false, -1 },
	/* Orange: one sentence, the number decides. */
	{ P(CONNECT),
	    "421 mwinf5c77 ME Service refuse. Veuillez essayer plus "
	    "tard. Service refused, please try later. OFR_999 [999]",
	    C(REPUTATION_DEFER, LANE), false, 240 * MIN_US },
	{ P(CONNECT),
	    "421 4.2.0 Service refuse. Veuillez essayer plus tard. "
	    "Service refused, please try later. OFR005_505 [505]",
	    C(SYSTEM, NEXT_HOP), false, -1 },
	{ P(CONNECT),
	    "550 5.5.0 Service refus\303\251. Veuillez essayer plus "
	    "tard. LPN007_103",
	    C(REPUTATION_REJECT, LANE), false, -1 },
	{ P(CONNECT),
	    "421 Trop de connexions, veuillez v\351rifier. OFR005_104",
	    C(RATE, CONNECTIONS), false, -1 },
	/* Split it, their disk, no cause given, no reply at all. */
	{ P(RCPT), "452 4.5.3 Error: too many recipients", C(OTHER, MESSAGE),
	    false, 0 },
	{ P(RCPT), "554 Too many recipients", C(OTHER, MESSAGE), false, -1 },
	{ P(MAIL), "452 4.3.1 Insufficient system storage", C(SYSTEM, NEXT_HOP),
	    false, -1 },
	{ P(CONNECT), "421 4.7.0 Try again later, closing connection.",
	    C(SYSTEM, NEXT_HOP), false, -1 },
	{ P(CONNECT), "Connection timed out", C(SYSTEM, NEXT_HOP), false, 0 },
	{ P(EOD), "connection refused; too many connections",
	    C(SYSTEM, NEXT_HOP), false, -1 },
	/* Whose domain it is. */
	{ P(RCPT),
	    "450 4.1.8 <a@example.com>: Sender address rejected: Domain "
	    "not found",
	    C(BAD_DOMAIN, SENDER_DOMAIN), false, -1 },
	{ P(RCPT), "550 5.1.2 <b@example.org>: Unknown domain",
	    C(BAD_DOMAIN, RECIPIENT_DOMAIN), true, -1 },
	/* Our own log-in at the next hop is nobody's address. */
	{ P(MAIL), "530 5.7.0 Must issue a STARTTLS command first",
	    C(AUTH, NEXT_HOP), false, -1 },
	{ P(AUTH), "535 5.7.8 Error: authentication failed", C(AUTH, NEXT_HOP),
	    false, -1 },
	{ P(MAIL), "530 5.5.1 Authentication Required.", C(AUTH, NEXT_HOP),
	    false, -1 },
	/* A 4xx may only be looking for the mailbox. */
	{ P(RCPT),
	    "450 4.1.1 <b@example.org>: Recipient address rejected: "
	    "User unknown in local recipient table",
	    C(BAD_MAILBOX, RECIPIENT), false, -1 },
	{ P(RCPT), "550 5.1.1 <b@example.org>: User unknown",
	    C(BAD_MAILBOX, RECIPIENT), true, 0 },
	/* A list that all of them use refuses the route, one customer's
	 * doesn't. */
	{ P(RCPT),
	    "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked "
	    "using zen.spamhaus.org",
	    C(REPUTATION_REJECT, ROUTE), true, -1 },
	{ P(MAIL),
	    "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. "
	    "Part of their network is on our block list (S3140).",
	    C(REPUTATION_REJECT, ROUTE), true, -1 },
	{ P(RCPT),
	    "550 5.7.513 Service unavailable, Client host [192.0.2.1] blocked "
	    "by example.org using Customer Block list (AS16012607)",
	    C(REPUTATION_REJECT, LANE), true, -1 },
	{ P(EOD),
	    "554 5.7.1 Service unavailable; Sender address [a@example.com] "
	    "blocked using dbl.spamhaus.org",
	    C(REPUTATION_REJECT, STREAM), true, -1 },
	{ P(EOD),
	    "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked "
	    "due to poor reputation",
	    C(REPUTATION_REJECT, LANE), true, -1 },
	/* Words that a refusal for reputation shares with a bad mailbox. */
	{ P(RCPT),
	    "550 5.7.1 Mailbox unavailable. Your IP address 192.0.2.1 "
	    "is blacklisted using zen.spamhaus.org",
	    C(REPUTATION_REJECT, ROUTE), true, -1 },
	{ P(RCPT),
	    "550 5.1.1 <b@example.org> rejected: your host has a poor "
	    "reputation",
	    C(REPUTATION_REJECT, LANE), true, -1 },
	{ P(RCPT), "550 Too many invalid recipients from your IP",
	    C(REPUTATION_REJECT, LANE), true, -1 },
	{ P(RCPT),
	    "550 5.1.1 Hourly limit of messages to unknown users "
	    "exceeded",
	    C(RATE, LANE), false, -1 },
	{ P(EOD), "550 Message not accepted for policy reasons",
	    C(REPUTATION_REJECT, LANE), true, -1 },
	{ P(EOD),
	    "550 5.2.1 Mailbox unavailable. This server does not accept mails "
	    "from this sender address (a@example.com)",
	    C(REPUTATION_REJECT, LANE), true, -1 },
	/* Errors held against the address, and those of one session. */
	{ P(RCPT), "451 too many errors detected from your IP",
	    C(REPUTATION_DEFER, LANE), false, -1 },
	{ P(RCPT), "421 4.7.0 mx.example.org Error: too many errors",
	    C(OTHER, MESSAGE), false, -1 },
	/* After the message only the sender's domain is still in question. */
	{ P(EOD), "550 Domain may not exist or DNS check failed",
	    C(BAD_DOMAIN, SENDER_DOMAIN), true, -1 },
	{ P(RCPT),
	    "452 <b@example.org>: Recipient address rejected: Domain "
	    "not active",
	    C(BAD_DOMAIN, RECIPIENT_DOMAIN), false, -1 },
	/* Relays that quote the reply they got. */
	{ P(EOD),
	    "550 permanent failure for one or more recipients (b@example.org:"
	    "550 5.4.1 Recipient address rejected: Access denied.)",
	    C(BAD_MAILBOX, RECIPIENT), true, -1 },
	{ P(RCPT),
	    "450 4.2.1 <b@example.org>: Recipient address rejected: "
	    "this mailbox is inactive and has been disabled",
	    C(BAD_MAILBOX, RECIPIENT), false, -1 },
	{ P(RCPT),
	    "550 5.2.1 The user you are trying to contact is receiving email "
	    "at a rate that prevents additional messages from being delivered.",
	    C(RATE, RECIPIENT), false, -1 },
	/* The code alone says that nobody is there, unless the words don't. */
	{ P(RCPT), "550 5.1.1 <connect@ip.example.org> xyzzy",
	    C(BAD_MAILBOX, RECIPIENT), true, -1 },
	{ P(RCPT), "550 5.1.1 <b@example.org> refused: your server xyzzy",
	    C(REPUTATION_REJECT, LANE), true, -1 },
	{ P(RCPT), "550 5.1.1 connection refused from 192.0.2.1",
	    C(REPUTATION_REJECT, LANE), true, -1 },
	{ P(CONNECT), "453 Mail from 192.0.2.1 not allowed - [90]",
	    C(REPUTATION_DEFER, LANE), false, -1 },
};

static void
traps_are_seen(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++) {
		const struct trap *t = &traps[i];
		struct reply_answer a = ask(t->phase, t->reply);

		if (a.class != t->class || a.blame != t->blame ||
		    a.is_final != t->is_final ||
		    (t->pause_us >= 0 && a.pause_us != t->pause_us))
			fail_msg("%s: %s, %s, %s, pause %lld by %s", t->reply,
			    reply_class_name(a.class), blame_name(a.blame),
			    a.is_final ? "final" : "-", (long long)a.pause_us,
			    a.rule);
	}
}

/* 2xx and 3xx are answered without a look at their text. */
static void
good_replies_are_good(void **state)
{
	(void)state;
	assert_int_equal(ask(P(EOD), "250 ok: blocked using spamhaus").class,
	    CLASS_OK);
	assert_int_equal(ask(P(DATA), "354 user unknown").class, CLASS_OK);
	assert_int_equal(ask(P(CONNECT), "220-a\n220 b").class, CLASS_OK);
}

/* ---- the operator's own ---- */

struct own {
	struct conf conf;
	struct conf_provider provider;
	struct conf_reply_rule rule;
};

/* One rule for `gmail`. */
static void
own_init(struct own *o, char *match, char *class, char *blame)
{
	memset(o, 0, sizeof(*o));
	o->rule = (struct conf_reply_rule){
		.name = (char *)"gmail.replies[0]",
		.match = match,
		.phase = (char *)"any",
		.class = class,
		.blame = blame,
		.pause_us = 10 * MIN_US,
		.final = -1,
		.where = (char *)"flyball.yaml:7:17",
	};
	o->provider.name = (char *)"gmail";
	o->provider.replies = &o->rule;
	o->provider.n_replies = 1;
	o->conf.providers = &o->provider;
	o->conf.n_providers = 1;
}

static struct reply_answer
own_ask(struct own *o, const char *provider, enum phase phase,
    const char *reply)
{
	struct err err = { "" };
	const struct reply_rules *r = reply_rules_new(&o->conf, &err);
	struct reply_answer a;

	if (r == NULL)
		fail_msg("%s", err.text);
	a = ask_of(r, provider, phase, reply);
	reply_rules_unref(r);
	if (strcmp(a.rule, o->rule.name) != 0) /* it outlives r */
		a.rule = "another";
	return a;
}

static const char dkim_rate[] =
    "421-4.7.28 [192.0.2.1 15] Our system has detected an unusual rate of\n"
    "421-4.7.28 unsolicited mail originating from your DKIM domain\n"
    "421 4.7.28 [example.com 35].";

static void
own_rules_come_first(void **state)
{
	struct own o;
	struct reply_answer a;

	(void)state;
	own_init(&o, (char *)"^421[- ]4\\.7\\.28.*dkim DOMAIN",
	    (char *)"system", (char *)"");
	a = own_ask(&o, "gmail", P(EOD), dkim_rate);
	assert_string_equal(a.rule, "gmail.replies[0]");
	assert_int_equal(a.class, CLASS_SYSTEM);
	assert_int_equal(a.blame, BLAME_NEXT_HOP); /* the class's usual one */
	assert_int_equal(a.pause_us, 10 * MIN_US);
	assert_false(a.is_final);
	/* Not for another provider, not for another reply. */
	assert_string_equal(own_ask(&o, "yahoo", P(EOD), dkim_rate).rule,
	    "another");
	assert_string_equal(own_ask(&o, "gmail", P(EOD), "421 x").rule,
	    "another");
}

static void
own_patterns_see_lines_and_none(void **state)
{
	struct own o;

	(void)state;
	own_init(&o, (char *)"rate of\\n421-4", (char *)"rate", (char *)"lane");
	assert_string_equal(own_ask(&o, "gmail", P(EOD), dkim_rate).rule,
	    "gmail.replies[0]");
	own_init(&o, (char *)"unusual rate of unsolicited mail", (char *)"rate",
	    (char *)"lane");
	assert_string_equal(own_ask(&o, "gmail", P(EOD), dkim_rate).rule,
	    "gmail.replies[0]");
}

static void
own_phase_and_final_hold(void **state)
{
	struct own o;
	struct reply_answer a;

	(void)state;
	own_init(&o, (char *)"unusual", (char *)"rate", (char *)"stream");
	o.rule.phase = (char *)"rcpt";
	assert_string_equal(own_ask(&o, "gmail", P(EOD), dkim_rate).rule,
	    "another");
	o.rule.phase = (char *)"rcpt, eod";
	o.rule.final = 1;
	a = own_ask(&o, "gmail", P(EOD), dkim_rate);
	assert_int_equal(a.blame, BLAME_STREAM);
	assert_true(a.is_final);
	o.rule.final = 0;
	o.rule.class = (char *)"bad-mailbox";
	assert_false(own_ask(&o, "gmail", P(EOD), "550 5.1.1 unusual")
			 .is_final);
}

static void
bad_patterns_say_where(void **state)
{
	static const struct {
		const char *match, *says;
	} bad[] = {
		{ "abc(", "character 5" },
		{ "a**", "character 3" },
		{ "[z-a]", "character 4" },
		{ "(?<n>a)(?<n>b)", "character" },
		{ "x\\", "character 3" },
		{ "(*UTF)a", "UTF" },
		{ "(?'", "character" },
	};
	char *longest = xmalloc(8000);
	struct err err;
	struct own o;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		own_init(&o, (char *)bad[i].match, (char *)"rate", (char *)"");
		assert_null(reply_rules_new(&o.conf, &err));
		if (strstr(err.text, "flyball.yaml:7:17: ") != err.text ||
		    strstr(err.text, "gmail.replies[0].match") == NULL ||
		    strstr(err.text, bad[i].says) == NULL)
			fail_msg("%s: %s", bad[i].match, err.text);
	}
	memset(longest, 'a', 7999);
	longest[7999] = '\0';
	own_init(&o, longest, (char *)"rate", (char *)"");
	assert_null(reply_rules_new(&o.conf, &err));
	assert_non_null(strstr(err.text, "longer than"));
	free(longest);
}

static void
bad_words_are_refused(void **state)
{
	struct err err;
	struct own o;

	(void)state;
	own_init(&o, (char *)"a", (char *)"reputation", (char *)"");
	assert_null(reply_rules_new(&o.conf, &err));
	own_init(&o, (char *)"a", (char *)"rate", (char *)"somebody");
	assert_null(reply_rules_new(&o.conf, &err));
	own_init(&o, (char *)"a", (char *)"rate", (char *)"");
	o.rule.phase = (char *)"sometimes";
	assert_null(reply_rules_new(&o.conf, &err));
	assert_non_null(strstr(err.text, "flyball.yaml:7:17"));
}

/* ---- harm ---- */

static int64_t
cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

/* Without a limit each of these would take longer than the universe has. */
static void
hopeless_patterns_give_up(void **state)
{
	static const char *const patterns[] = { "(a+)+$", "(a|a)*b", "(a*)*c",
		"^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*x",
		"((a{1,9}){1,9}){1,9}z" };
	char *reply = xmalloc(65537);
	struct own o;

	(void)state;
	memset(reply, 'a', 65536);
	memcpy(reply, "550 ", 4);
	reply[65535] = '!';
	reply[65536] = '\0';
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		int64_t before_us = cpu_us();

		own_init(&o, (char *)patterns[i], (char *)"rate", (char *)"");
		own_ask(&o, "gmail", P(EOD), reply);
		/* Compiling all rules is in it, and a sanitizer may be. */
		if (cpu_us() - before_us > 5 * INT64_C(1000000))
			fail_msg("%s took %lld us", patterns[i],
			    (long long)(cpu_us() - before_us));
	}
	free(reply);
}

/* The longest reply that the reader lets through, of every kind of byte. */
static void
longest_replies_are_answered(void **state)
{
	static const char *const parts[] = { "a", " ", "550-", "\n550-5.1.1 ",
		"<a@b> ", "user ", "\377", "\303", "\303\251", "1.",
		"spam spam ", "mailbox is not ", "x@", "sender domain " };
	char *reply = xmalloc(65537);

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int64_t before_us = cpu_us();
		size_t len = 0, part = strlen(parts[i]);

		while (len + part <= 65536) {
			memcpy(reply + len, parts[i], part);
			len += part;
		}
		reply[len] = '\0';
		memcpy(reply, "550 ", 4);
		assert_non_null(ask(P(RCPT), reply).rule);
		if (cpu_us() - before_us > 2 * INT64_C(1000000))
			fail_msg("%s took %lld us", parts[i],
			    (long long)(cpu_us() - before_us));
	}
	free(reply);
}

/* The last line decides, however much stands before it. */
static void
end_of_a_long_reply_counts(void **state)
{
	char *reply = xmalloc(65537);
	size_t len = 0;

	(void)state;
	while (len < 60000)
		len += (size_t)sprintf(reply + len, "550-blah blah blah\n");
	strcpy(reply + len, "550 5.1.1 Recipient not found, user unknown");
	assert_int_equal(ask(P(RCPT), reply).class, CLASS_BAD_MAILBOX);
	free(reply);
}

static void
garbage_is_answered(void **state)
{
	struct rng rng = { 20261125 };
	char reply[300];

	(void)state;
	print_message("seed 20261125\n");
	for (int i = 0; i < 20000; i++) {
		size_t len = rng_next(&rng) % (sizeof(reply) - 1);
		struct reply_answer a;

		for (size_t k = 0; k < len; k++)
			reply[k] = (char)(rng_next(&rng) % 255 + 1);
		reply[len] = '\0';
		if (len > 5 && i % 2 == 0)
			memcpy(reply, i % 4 == 0 ? "550 " : "421-", 4);
		a = ask((enum phase)(i % PHASE_COUNT), reply);
		assert_non_null(a.rule);
		assert_true(a.class < CLASS_COUNT && a.blame < BLAME_COUNT);
	}
}

static void *
ask_often(void *arg)
{
	intptr_t n_wrong = 0;

	(void)arg;
	for (int round = 0; round < 20; round++)
		for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++)
			n_wrong += ask(traps[i].phase, traps[i].reply).class !=
			    traps[i].class;
	return (void *)n_wrong;
}

static void
any_thread_may_ask(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often,
				     NULL),
		    0);
	for (int i = 0; i < 4; i++) {
		void *n_wrong;

		pthread_join(threads[i], &n_wrong);
		assert_null(n_wrong);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_replies_are_right),
		cmocka_unit_test(other_replies_are_right),
		cmocka_unit_test(no_sentence_is_mistaken_for_a_bad_mailbox),
		cmocka_unit_test(traps_are_seen),
		cmocka_unit_test(good_replies_are_good),
		cmocka_unit_test(own_rules_come_first),
		cmocka_unit_test(own_patterns_see_lines_and_none),
		cmocka_unit_test(own_phase_and_final_hold),
		cmocka_unit_test(bad_patterns_say_where),
		cmocka_unit_test(bad_words_are_refused),
		cmocka_unit_test(hopeless_patterns_give_up),
		cmocka_unit_test(longest_replies_are_answered),
		cmocka_unit_test(end_of_a_long_reply_counts),
		cmocka_unit_test(garbage_is_answered),
		cmocka_unit_test(any_thread_may_ask),
	};

	return cmocka_run_group_tests(tests, make_rules, drop_rules);
}
