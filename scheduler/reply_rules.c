/* SPDX-License-Identifier: ISC */
/*
 * The reply rules, compiled. The workers ask for each reply that a next hop
 * gives, so what is said most often (2xx, 3xx) is answered without looking,
 * and a rule's cheap conditions (code, phase, provider) are looked at before
 * its pattern.
 *
 * Nothing is decided here about lanes or messages: an answer only says what a
 * reply means. And nothing is trusted: replies are cut to a few KiB, patterns
 * bounded by conf/reply_pattern.c.
 */
#include "scheduler/reply_rules.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/intern.h"
#include "conf/base/xalloc.h"
#include "conf/reply_base.h"
#include "conf/reply_pattern.h"
#include "scheduler/reply_text.h"

struct rule {
	const char *name; /* intern(): answers outlive the rules */
	struct reply_pattern *pattern;
	int code_from, code_to;
	unsigned phases; /* bits */
	enum reply_class class;
	enum blame blame;
	int64_t pause_us;
	int final;		     /* 1, 0, -1: as class and code say */
	struct conf_names providers; /* none: any */
};

struct rule_list {
	struct rule *v;
	size_t n;
};

struct provider_rules { /* what the operator wrote for one */
	char *provider;
	struct rule_list list;
};

struct reply_rules {
	_Atomic int refs;
	struct provider_rules *own;
	size_t n_own;
	struct rule_list base;
};

/* ---- making ---- */

/* "5" is 500 to 599, "45" is 450 to 459; "421", "450-452". */
static int
codes_parse(const char *s, int *from_out, int *to_out)
{
	static const int widths[] = { 0, 100, 10, 1 };
	size_t len = strspn(s, "0123456789");
	char *end;

	if (len < 1 || len > 3)
		return -1;
	*from_out = (int)strtol(s, &end, 10) * widths[len];
	*to_out = *from_out + widths[len] - 1;
	if (*end == '-') {
		*to_out = (int)strtol(end + 1, &end, 10);
		if (*to_out < *from_out)
			return -1;
	}
	return *end == '\0' ? 0 : -1;
}

static void
names_copy(struct conf_names *to, const struct conf_names *from)
{
	to->v = xcalloc(from->n > 0 ? from->n : 1, sizeof(*to->v));
	for (to->n = 0; to->n < from->n; to->n++)
		to->v[to->n] = xstrdup(from->v[to->n]);
}

static int
rule_make(struct rule *r, const struct conf_reply_rule *from, bool is_base,
    struct err *err_out)
{
	struct err why;
	size_t at;
	int class = reply_class_parse(from->class);
	int blame = *from->blame != '\0' ? blame_parse(from->blame)
					 : (int)reply_class_blame(class);

	r->name = intern(from->name);
	r->code_to = 599;
	r->phases = phases_parse(from->phase);
	if (class < 0 || blame < 0 || r->phases == 0 ||
	    (from->code != NULL &&
		codes_parse(from->code, &r->code_from, &r->code_to) != 0))
		return err_set(err_out,
		    "%s: %s: no such class, blame, phase or code", from->where,
		    from->name);
	r->class = (enum reply_class) class;
	r->blame = (enum blame)blame;
	r->pause_us = from->pause_us;
	r->final = from->final;
	names_copy(&r->providers, &from->providers);
	r->pattern = reply_pattern_new(from->match, is_base, &at, &why);
	if (r->pattern == NULL)
		return err_set(err_out,
		    "%s: %s.match: at its character %zu: %s", from->where,
		    from->name, at + 1, why.text);
	return 0;
}

static int
list_make(struct rule_list *list, const struct conf_reply_rule *from, size_t n,
    bool is_base, struct err *err_out)
{
	list->v = xcalloc(n > 0 ? n : 1, sizeof(*list->v));
	for (size_t i = 0; i < n; i++) {
		list->n++;
		if (rule_make(&list->v[i], &from[i], is_base, err_out) != 0)
			return -1;
	}
	return 0;
}

static int
own_make(struct reply_rules *rules, const struct conf *conf,
    struct err *err_out)
{
	rules->own = xcalloc(conf->n_providers + 1, sizeof(*rules->own));
	for (size_t i = 0; i < conf->n_providers; i++) {
		const struct conf_provider *p = &conf->providers[i];
		struct provider_rules *own = &rules->own[rules->n_own];

		if (p->n_replies == 0)
			continue;
		rules->n_own++;
		own->provider = xstrdup(p->name);
		if (list_make(&own->list, p->replies, p->n_replies, false,
			err_out) != 0)
			return -1;
	}
	return 0;
}

static void
list_free(struct rule_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct rule *r = &list->v[i];

		reply_pattern_free(r->pattern);
		for (size_t k = 0; k < r->providers.n; k++)
			free(r->providers.v[k]);
		free(r->providers.v);
	}
	free(list->v);
}

static void
rules_free(struct reply_rules *rules)
{
	for (size_t i = 0; i < rules->n_own; i++) {
		free(rules->own[i].provider);
		list_free(&rules->own[i].list);
	}
	free(rules->own);
	list_free(&rules->base);
	free(rules);
}

const struct reply_rules *
reply_rules_new(const struct conf *conf, struct err *err_out)
{
	size_t n_base;
	const struct conf_reply_rule *base = reply_base(&n_base);
	struct reply_rules *rules = xcalloc(1, sizeof(*rules));

	rules->refs = 1;
	if (list_make(&rules->base, base, n_base, true, err_out) != 0 ||
	    (conf != NULL && own_make(rules, conf, err_out) != 0)) {
		rules_free(rules);
		return NULL;
	}
	return rules;
}

/* Only the count of what nobody may change is changed. */
const struct reply_rules *
reply_rules_ref(const struct reply_rules *rules)
{
	if (rules != NULL)
		atomic_fetch_add(&((struct reply_rules *)rules)->refs, 1);
	return rules;
}

void
reply_rules_unref(const struct reply_rules *rules)
{
	struct reply_rules *r = (struct reply_rules *)rules;

	if (r != NULL && atomic_fetch_sub(&r->refs, 1) == 1)
		rules_free(r);
}

/* ---- asking ---- */

static bool
rule_may_fit(const struct rule *r, const struct reply_fact *fact)
{
	if (fact->code < r->code_from || fact->code > r->code_to ||
	    (r->phases & (1u << fact->phase)) == 0)
		return false;
	if (r->providers.n == 0)
		return true;
	for (size_t i = 0; fact->provider != NULL && i < r->providers.n; i++)
		if (strcmp(r->providers.v[i], fact->provider) == 0)
			return true;
	return false;
}

/* What never ends a recipient by itself: he may well exist. */
static bool class_waits(enum reply_class class)
{
	return class == CLASS_OK || class == CLASS_RATE ||
	    class == CLASS_GREYLIST || class == CLASS_MAILBOX_FULL ||
	    class == CLASS_REPUTATION_DEFER;
}

static bool
is_final(const struct rule *r, const struct reply_fact *fact)
{
	if (r->final >= 0)
		return r->final > 0;
	/* That we can't log in is no recipient's fault; and what is said
	 * before MAIL speaks of none. */
	if (r->class == CLASS_AUTH && r->blame == BLAME_NEXT_HOP)
		return false;
	return fact->code >= 500 && !class_waits(r->class) &&
	    (fact->phase >= PHASE_MAIL);
}

static struct reply_answer
answer_of(const struct rule *r, const struct reply_fact *fact)
{
	return (struct reply_answer){
		.class = r->class,
		.blame = r->blame,
		.is_final = is_final(r, fact),
		.rule = r->name,
		.pause_us = r->pause_us,
	};
}

static const struct rule_list *
own_of(const struct reply_rules *rules, const char *provider)
{
	for (size_t i = 0; provider != NULL && i < rules->n_own; i++)
		if (strcmp(rules->own[i].provider, provider) == 0)
			return &rules->own[i].list;
	return NULL;
}

/* The reply as it came; of one that is too long, its beginning. */
static size_t
raw_len(const char *text)
{
	return text != NULL ? strnlen(text, REPLY_TEXT_SIZE) : 0;
}

struct reply_answer
reply_rules_ask(const struct reply_rules *rules, const struct reply_fact *fact)
{
	const struct rule_list *own;
	char plain[REPLY_TEXT_SIZE];
	size_t len;

	if (rules == NULL || (fact->code >= 200 && fact->code < 400))
		return reply_classify(fact);
	own = own_of(rules, fact->provider);
	len = reply_text_plain(fact, plain);
	for (size_t i = 0; own != NULL && i < own->n; i++) {
		const struct rule *r = &own->v[i];

		if (rule_may_fit(r, fact) &&
		    ((fact->text != NULL &&
			 reply_pattern_matches(r->pattern, fact->text,
			     raw_len(fact->text))) ||
			reply_pattern_matches(r->pattern, plain, len)))
			return answer_of(r, fact);
	}
	/* Our own side's timeouts and refusals have no provider's words. */
	for (size_t i = 0; fact->code > 0 && i < rules->base.n; i++) {
		const struct rule *r = &rules->base.v[i];

		if (rule_may_fit(r, fact) &&
		    reply_pattern_matches(r->pattern, plain, len))
			return answer_of(r, fact);
	}
	return reply_classify(fact);
}
