/* SPDX-License-Identifier: ISC */
/*
 * Rows of the key table: what is learned of mail after a next hop took it. One
 * kind of log is one key; it holds one log's map, or a list of them.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"

#include "conf/key_types.h"
#include "conf/keys_sections.h"
#include "conf/reply_pattern.h"

#define SEC		  INT64_C(1000000)
#define MIN		  (60 * SEC)
#define DAY		  (24 * 60 * MIN)
#define AT(f)		  .offset = offsetof(struct conf_mta_log, f)
#define BOUNDS(low, high) .min = (low), .max = (high)

static const struct key_word auto_zero[] = { { "auto", 0 }, { NULL, 0 } };

#define LOG_ROWS                                                              \
	{ "path", &type_text, AT(path), .check = key_check_path,              \
		.text = "The file. It is followed through rotation and "      \
			"truncation." },                                      \
	    { "journal", &type_bool, AT(journal), .initial = "no",            \
		    .text = "Reads the system's journal, by journalctl, in "  \
			    "place of a file." },                             \
	    { "unit", &type_names, AT(units),                                 \
		    .initial_doc = "postfix*, exim*, or opensmtpd* and "      \
				   "smtpd*",                                  \
		    .text = "Of the journal, only entries of these systemd "  \
			    "units are read, as the journal itself knows "    \
			    "them: any user may write to the mail facility. " \
			    "* and ? stand for any text and character; `*` "  \
			    "also takes what is in no unit." },               \
	    { "route", &type_names, AT(routes), .initial_doc = "every route", \
		    .text =                                                   \
			"The route, or routes, whose next hop writes this "   \
			"log." },                                             \
	    { "credit", &type_count, AT(credit), .initial = "auto",           \
		    BOUNDS(1, 1000000), .words = auto_zero,                   \
		    .text = "How many recipients of one lane may lie in the " \
			    "MTA's queue without a final answer: nobody can " \
			    "slow them any more. auto: five seconds of what " \
			    "the lane may send, and never under ten." },      \
	{                                                                     \
		"credit_timeout", &type_duration, AT(credit_timeout_us),      \
		    .initial = "2m", BOUNDS(SEC, DAY),                        \
		    .text = "After that a recipient of which the log says "   \
			    "nothing holds no credit any more: a log that "   \
			    "stops or loses lines stalls nothing for good."   \
	}

static const struct key log_keys[] = {
	LOG_ROWS,
	{ 0 },
};
static const struct section section_log = {
	.size = sizeof(struct conf_mta_log),
	.keys = log_keys,
};

/* ---- any other log, by a pattern ---- */

/* Reading it is sink/log_pattern.c's; that it compiles and says which queue
 * id is seen here. */
static bool
check_match(struct reader *r, struct node *n, char **text)
{
	struct err why;
	size_t at;
	struct reply_pattern *p = reply_pattern_new(*text, false, &at, &why);

	if (p == NULL) {
		reader_fail(r, n, "at its character %zu: %s", at + 1, why.text);
		return false;
	}
	reply_pattern_free(p);
	if (strstr(*text, "(?<id>") == NULL &&
	    strstr(*text, "(?P<id>") == NULL) {
		reader_fail(r, n, "has no group (?<id>...) for the queue id");
		return false;
	}
	return true;
}

static const struct key pattern_keys[] = {
	LOG_ROWS,
	{ "match", &type_text, AT(match), .flags = KEY_REQUIRED,
	    .check = check_match,
	    .text = "A PCRE2 pattern with the named groups id (the queue id "
		    "that the MTA's reply to us gave), recipient and status, "
		    "and relay, ip, dsn, reply, ident, time where the log has "
		    "them. The status is read by its words (sent, deferred, "
		    "bounced, failed, removed, ...), else the reply's first "
		    "digit says it." },
	{ 0 },
};
static const struct section section_pattern_log = {
	.size = sizeof(struct conf_mta_log),
	.keys = pattern_keys,
};

#define LOGS(list)                                             \
	.offset = offsetof(struct conf, feedback.list) -       \
	    offsetof(struct conf, feedback),                   \
	.n_offset = offsetof(struct conf, feedback.n_##list) - \
	    offsetof(struct conf, feedback)

/* ---- reports ---- */

static void
trust_loopback(struct conf_listener *l)
{
	static const struct in6_addr v4 = {
		{ { [10] = 0xff, [11] = 0xff, [12] = 127 } }
	};

	free(l->trusted); /* an empty list */
	l->n_trusted = 2;
	l->trusted = xcalloc(2, sizeof(*l->trusted));
	l->trusted[0] = (struct conf_cidr){ v4, 104, xstrdup("127.0.0.0/8") };
	l->trusted[1] =
	    (struct conf_cidr){ in6addr_loopback, 128, xstrdup("::1") };
}

static void
seal_reports(struct reader *r, struct node *n, void *base)
{
	struct conf_listener *l = base;

	(void)r;
	(void)n;
	if (l->n_trusted == 0)
		trust_loopback(l);
	l->tls = LISTENER_TLS_NONE;
	l->auth = LISTENER_AUTH_NONE;
	l->is_reports = true;
}

static const struct key reports_keys[] = {
	{ "listen", &type_endpoint,
	    .offset = offsetof(struct conf_listener, listen),
	    .flags = KEY_REQUIRED | KEY_NUMERIC,
	    .text = "Address and port where the MTA in front hands over what "
		    "came for the return path and for feedback loops." },
	{ "trusted", &type_networks,
	    .offset = offsetof(struct conf_listener, trusted),
	    .n_offset = offsetof(struct conf_listener, n_trusted),
	    .initial_doc = "127.0.0.0/8 and ::1",
	    .text = "Networks whose clients may hand reports over." },
	{ 0 },
};
static const struct section section_reports = {
	.keys = reports_keys,
	.seal = seal_reports,
};

/* ---- the section ---- */

static const struct key feedback_keys[] = {
	{ "postfix_log", &type_list, LOGS(postfix_logs),
	    .section = &section_log, .flags = KEY_ONE, .initial_doc = "off",
	    .text = "Postfix's log: syslog's, RFC 3339, or maillog_file." },
	{ "exim_log", &type_list, LOGS(exim_logs), .section = &section_log,
	    .flags = KEY_ONE, .initial_doc = "off",
	    .text = "Exim's main log." },
	{ "opensmtpd_log", &type_list, LOGS(opensmtpd_logs),
	    .section = &section_log, .flags = KEY_ONE, .initial_doc = "off",
	    .text = "OpenSMTPD's log, as syslog writes it." },
	{ "pattern_log", &type_list, LOGS(pattern_logs),
	    .section = &section_pattern_log, .flags = KEY_ONE,
	    .initial_doc = "off",
	    .text = "Any other MTA's log, by a pattern." },
	{ "handed", &type_count,
	    .offset = offsetof(struct conf_feedback, handed),
	    .initial = "500000", BOUNDS(100, 100000000),
	    .text =
		"How many messages that next hops with a log took may be "
		"remembered until the log has said the last word of them; "
		"each takes some 230 bytes of memory. Beyond, the oldest is "
		"forgotten, and an alert says so." },
	{ "reports", &type_map,
	    .offset = offsetof(struct conf_feedback, reports.listener),
	    .given_offset = offsetof(struct conf_feedback, reports.is_given),
	    .section = &section_reports, .initial_doc = "off",
	    .text = "A listener for DSNs (RFC 3464) and complaints (ARF, RFC "
		    "5965): they are read, not relayed, and all other mail is "
		    "refused. Messages get a header field X-Flyball-Trace "
		    "then, and an ENVID where they have none, by which they "
		    "are known again. A report that brings neither back "
		    "counts for the plan; it suppresses nobody and slows no "
		    "lane, as anybody may have written it." },
	{ "events", &type_bool,
	    .offset = offsetof(struct conf_feedback, events),
	    .initial = "false",
	    .text = "Applications may tell on the admin socket what became of "
		    "mail, by `feedback` and a JSON object: what an ESP's "
		    "webhook says, for example." },
	{ 0 },
};
const struct section section_feedback = { .keys = feedback_keys };
