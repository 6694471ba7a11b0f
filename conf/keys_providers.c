/* SPDX-License-Identifier: ISC */
/*
 * Rows of the key table: providers, their limits and reply rules, and how a
 * lane's rate follows what its provider bears.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/nearest.h"
#include "conf/base/xalloc.h"
#include "conf/key_types.h"
#include "conf/keys_sections.h"
#include "conf/reply_pattern.h"
#include "conf/reply_terms.h"

#define MS		  INT64_C(1000)
#define SEC		  (1000 * MS)
#define DAY		  (86400 * SEC)
#define AT(s, f)	  .offset = offsetof(struct s, f)
#define BOUNDS(low, high) .min = (low), .max = (high)

const struct key_word mode_words[] = { { "enforce", MODE_ENFORCE },
	{ "shadow", MODE_SHADOW }, { NULL, 0 } };
static const struct key_word unlimited_word[] = { { "unlimited", 0 },
	{ NULL, 0 } };
static const struct key_word burst_words[] = { { "auto", 0 }, { NULL, 0 } };

/* ---- adaptation ---- */

static const struct key react_keys[] = {
	{ "decrease", &type_share, AT(conf_adapt, react.decrease_permille),
	    .initial = "15%", BOUNDS(1, 900), .given = ADAPT_DECREASE,
	    .text = "How far below the rate that was last accepted the lane "
		    "goes." },
	{ "hold", &type_duration, AT(conf_adapt, react.hold_us),
	    .initial = "60s", BOUNDS(MS, DAY), .given = ADAPT_HOLD,
	    .text = "No growth for so long." },
	{ 0 },
};
static const struct section section_react = {
	.keys = react_keys,
	.bits_offset = offsetof(struct conf_adapt, given),
};

static const struct key recover_keys[] = {
	{ "probe", &type_share, AT(conf_adapt, recover.probe_permille),
	    .initial = "5%", BOUNDS(1, 1000), .given = ADAPT_PROBE,
	    .text = "How much faster a first careful probe is." },
	{ "every", &type_duration, AT(conf_adapt, recover.every_us),
	    .initial = "60s", BOUNDS(MS, DAY), .given = ADAPT_EVERY,
	    .text = "How often the rate may grow. A failed probe waits twice "
		    "as long." },
	{ 0 },
};
static const struct section section_recover = {
	.keys = recover_keys,
	.bits_offset = offsetof(struct conf_adapt, given),
};

static const struct key_word suspend_overflows[] = { { "hold", SUSPEND_HOLD },
	{ "next_route", SUSPEND_NEXT_ROUTE }, { NULL, 0 } };

static const struct key suspend_keys[] = {
	{ "rejected", &type_share, AT(conf_adapt, suspend.rejected_permille),
	    .initial = "5%", BOUNDS(1, 1000), .given = ADAPT_SUSPEND_REJECTED,
	    .text = "The share of refusals for reputation that suspends the "
		    "lane." },
	{ "sample", &type_count, AT(conf_adapt, suspend.sample),
	    .initial = "20", BOUNDS(1, 1000000), .given = ADAPT_SUSPEND_SAMPLE,
	    .text = "Recipients before a share means anything." },
	{ "for", &type_duration, AT(conf_adapt, suspend.for_us),
	    .initial = "1h", BOUNDS(MS, 31 * DAY), .given = ADAPT_SUSPEND_FOR,
	    .text = "The first suspension; each further one is twice as "
		    "long." },
	{ "max", &type_duration, AT(conf_adapt, suspend.max_us),
	    .initial = "24h", BOUNDS(MS, 31 * DAY), .given = ADAPT_SUSPEND_MAX,
	    .text = "The longest suspension, and the longest pause that a "
		    "provider's advice is followed for." },
	{ "overflow", &type_word, AT(conf_adapt, suspend.overflow),
	    .initial = "hold", .words = suspend_overflows,
	    .given = ADAPT_SUSPEND_OVERFLOW,
	    .text = "Where a suspended lane's mail goes. hold: it waits. "
		    "next_route: by its stream's next route. A provider that "
		    "blocks one address takes the same mail from another one "
		    "for evasion, and soon blocks both: only where the routes "
		    "have nothing to do with each other." },
	{ 0 },
};
static const struct section section_suspend = {
	.keys = suspend_keys,
	.bits_offset = offsetof(struct conf_adapt, given),
};

static const struct key adapt_keys[] = {
	{ "enabled", &type_bool, AT(conf_adapt, enabled), .initial = "true",
	    .given = ADAPT_ENABLED,
	    .text = "Whether lanes follow what their providers bear." },
	{ "mode", &type_word, AT(conf_adapt, mode), .initial = "enforce",
	    .words = mode_words, .given = ADAPT_MODE,
	    .text = "shadow decides and reports, and holds nothing." },
	{ "floor", &type_rate, AT(conf_adapt, floor), .initial = "1/min",
	    .given = ADAPT_FLOOR, .text = "No lane gets slower than that." },
	{ "react", &type_map, .section = &section_react,
	    .text = "What a refusal for rate or reputation does." },
	{ "recover", &type_map, .section = &section_recover,
	    .text = "How a lane finds back." },
	{ "suspend", &type_map, .section = &section_suspend,
	    .text = "When a lane stops for a while." },
	{ 0 },
};
const struct section section_adapt = {
	.keys = adapt_keys,
	.bits_offset = offsetof(struct conf_adapt, given),
};

/* ---- limits ---- */

#define TEXT_RATE "Recipients in a time; of several rates all hold at once."
#define TEXT_BURST \
	"Recipients that may leave at once; auto spreads them evenly."
#define TEXT_CONNECTIONS "Connections at once."
#define TEXT_MESSAGES	 "Messages on one connection."
#define TEXT_RECIPIENTS	 "Recipients in one transaction."

/* The defaults are for providers: what a route leaves out is inherited. */
#define LIMIT_ROWS(s, f, word, of_burst, text_burst)                          \
	{ "rate", &type_rates, AT(s, f.rates), .initial = "unlimited",        \
		.text = TEXT_RATE },                                          \
	    { "burst", &type_count, AT(s, f.burst), .initial = "auto",        \
		    BOUNDS(1, 1000000), .words = of_burst,                    \
		    .text = text_burst },                                     \
	    { "connections", &type_number, AT(s, f.connections),              \
		    .initial = "unlimited", BOUNDS(1, 10000), .words = word,  \
		    .text = TEXT_CONNECTIONS },                               \
	    { "messages_per_connection", &type_number,                        \
		    AT(s, f.messages_per_connection), .initial = "unlimited", \
		    BOUNDS(1, 1000000), .words = word,                        \
		    .text = TEXT_MESSAGES },                                  \
	{                                                                     \
		"recipients_per_message", &type_number,                       \
		    AT(s, f.recipients_per_message),                          \
		    .initial = "100", BOUNDS(1, 100000), .words = word,       \
		    .text = TEXT_RECIPIENTS                                   \
	}

static const struct key route_limit_keys[] = {
	LIMIT_ROWS(conf_route_limit, limits, NULL, NULL,
	    "Recipients that may leave at once."),
	{ 0 },
};
const struct section section_route_limit = {
	.name = "PROVIDER",
	.size = sizeof(struct conf_route_limit),
	.name_offset = offsetof(struct conf_route_limit, provider),
	.keys = route_limit_keys,
};

/* ---- providers ---- */

static bool
check_mx_suffix(struct reader *r, struct node *n, char **text)
{
	size_t dots = (*text)[0] == '.';

	memmove(*text, *text + dots, strlen(*text + dots) + 1);
	return key_check_domain(r, n, text);
}

/* ---- terms of replies ---- */

static const char *
class_at(size_t i, const void *arg)
{
	(void)arg;
	return reply_class_name((enum reply_class)i);
}

static const char *
blame_at(size_t i, const void *arg)
{
	(void)arg;
	return blame_name((enum blame)i);
}

static const char *
phase_at(size_t i, const void *arg)
{
	(void)arg;
	return phase_name((enum phase)i);
}

static void
fail_term(struct reader *r, struct node *n, const char *text, const char *kind,
    const char *(*name)(size_t i, const void *arg), size_t count)
{
	const char *near = nearest_name(text, name, NULL, count);

	if (near != NULL)
		reader_fail(r, n, "there is no %s \"%.40s\" (did you mean %s?)",
		    kind, text, near);
	else
		reader_fail(r, n, "there is no %s \"%.40s\"", kind, text);
}

/* ---- what replies mean ---- */

static bool
check_class(struct reader *r, struct node *n, char **text)
{
	if (reply_class_parse(*text) >= 0)
		return true;
	fail_term(r, n, *text, "class", class_at, CLASS_COUNT);
	return false;
}

static bool
check_blame(struct reader *r, struct node *n, char **text)
{
	if (blame_parse(*text) >= 0)
		return true;
	fail_term(r, n, *text, "blame", blame_at, BLAME_COUNT);
	return false;
}

static bool
check_phase(struct reader *r, struct node *n, char **text)
{
	if (phases_parse(*text) != 0)
		return true;
	fail_term(r, n, *text, "phase", phase_at, PHASE_COUNT);
	return false;
}

static bool
check_match(struct reader *r, struct node *n, char **text)
{
	struct err why;
	size_t at;
	struct reply_pattern *p = reply_pattern_new(*text, false, &at, &why);

	if (p == NULL)
		reader_fail(r, n, "at its character %zu: %s", at + 1, why.text);
	reply_pattern_free(p);
	return p != NULL;
}

static void
seal_reply(struct reader *r, struct node *n, void *base)
{
	struct conf_reply_rule *rule = base;
	struct node *match = node_member(n, "match");
	struct place at = match != NULL ? match->at : n->at;

	if (rule->name[0] == '\0') {
		free(rule->name);
		rule->name = xstrdup(strncmp(r->path.data, "providers.", 10)
			? r->path.data
			: r->path.data + 10);
	}
	rule->where = xasprintf("%s:%u:%u", at.file, at.line, at.column);
}

static void
fini_reply(void *base)
{
	struct conf_reply_rule *rule = base;

	free(rule->where);
	rule->where = NULL;
}

static const struct key_word final_words[] = { { "auto", -1 }, { "true", 1 },
	{ "false", 0 }, { NULL, 0 } };

static const struct key reply_keys[] = {
	{ "name", &type_text, AT(conf_reply_rule, name),
	    .initial_doc = "its place", .check = key_check_plain,
	    .text = "What the rule is called in logs and by `flyballctl "
		    "classify`." },
	{ "match", &type_text, AT(conf_reply_rule, match),
	    .flags = KEY_REQUIRED, .check = check_match,
	    .text = "A regular expression (PCRE2) that the reply must "
		    "match somewhere, in any case. It sees the reply as it "
		    "came, lines joined by \\n, and then as one line in lower "
		    "case with the code at its beginning only: \"550 5.7.1 "
		    "what it says\"." },
	{ "phase", &type_text, AT(conf_reply_rule, phase), .initial = "any",
	    .check = check_phase, .flags = KEY_FILLED,
	    .text = "Where in the conversation: connect, helo, starttls, "
		    "auth, mail, rcpt, data, eod, several of them with commas "
		    "between, or any." },
	{ "class", &type_text, AT(conf_reply_rule, class),
	    .flags = KEY_REQUIRED, .check = check_class,
	    .text = "What such a reply means: ok, rate, reputation-defer, "
		    "reputation-reject, auth, greylist, mailbox-full, "
		    "bad-mailbox, bad-domain, content, system or other." },
	{ "blame", &type_text, AT(conf_reply_rule, blame),
	    .initial_doc = "the class's usual one", .check = check_blame,
	    .text = "Who has to slow down or stop: nobody, lane, "
		    "connections, route, sender_domain, stream, recipient, "
		    "recipient_domain, message or next_hop." },
	{ "pause", &type_duration, AT(conf_reply_rule, pause_us),
	    .initial = "0s", BOUNDS(0, 31 * DAY),
	    .text = "How long to wait, where the provider advises it." },
	{ "final", &type_word, AT(conf_reply_rule, final), .initial = "auto",
	    .words = final_words,
	    .text = "true: the message bounces, whatever the code; false: "
		    "it is tried again; auto: as class and code say." },
	{ 0 },
};
static const struct section section_reply = {
	.size = sizeof(struct conf_reply_rule),
	.keys = reply_keys,
	.seal = seal_reply,
	.fini = fini_reply,
};

static const struct key provider_keys[] = {
	{ "domains", &type_domains, AT(conf_provider, domains),
	    .check = key_check_domain_pattern,
	    .text = "Recipient domains that belong here. \".example.net\" is "
		    "example.net and all below it." },
	{ "mx", &type_domains, AT(conf_provider, mx), .check = check_mx_suffix,
	    .text = "A domain whose MX host ends so belongs here too." },
	LIMIT_ROWS(conf_provider, limits, unlimited_word, burst_words,
	    TEXT_BURST),
	{ "mode", &type_word, AT(conf_provider, mode), .initial = "enforce",
	    .words = mode_words,
	    .text = "shadow reports what the rates would hold, and holds "
		    "nothing." },
	{ "replies", &type_list, AT(conf_provider, replies),
	    .n_offset = offsetof(struct conf_provider, n_replies),
	    .section = &section_reply,
	    .text = "What this provider's replies mean. Tried before the "
		    "built-in rules; the first that matches answers." },
	{ "adapt", &type_map, AT(conf_provider, adapt),
	    .section = &section_adapt,
	    .flags = KEY_PARTIAL | KEY_LISTED_ELSEWHERE,
	    .text = "Keys of adapt that differ for this provider." },
	{ 0 },
};
const struct section section_provider = {
	.name = "NAME",
	.size = sizeof(struct conf_provider),
	.name_offset = offsetof(struct conf_provider, name),
	.keys = provider_keys,
	.check_name = key_check_name,
};
