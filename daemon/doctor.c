/* SPDX-License-Identifier: ISC */
/*
 * `flyballctl doctor -c FILE`: gathers what its checks find and shows it, the
 * worst last where the eye is. Exits with 1 when something must be mended, with
 * 4 when there are warnings alone.
 */
#include "daemon/doctor.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "conf/base/address.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/ctl_table.h"

#define DEFAULT_FILE FLYBALL_SYSCONFDIR "/flyball/flyball.yaml"
#define EXIT_WARN    4

/* ---- findings ---- */

static const char *
level_name(enum finding_level level)
{
	static const char *const names[] = { "ok", "note", "warn", "fail" };

	return names[level];
}

/* Names and replies of peers are in it: nothing that drives a terminal, and
 * nothing that JSON can't hold. */
static char *
clean(char *text_take)
{
	bool is_text = utf8_is_valid(text_take, strlen(text_take));

	for (char *p = text_take; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127 ||
		    (!is_text && (unsigned char)*p > 127))
			*p = *p == '\r' || *p == '\n' ? ' ' : '?';
	return text_take;
}

void
doctor_say(struct doctor *d, enum finding_level level, const char *subject,
    const char *what, const char *fix, const char *evidence, ...)
{
	char text[1000];
	struct finding *f;
	va_list ap;

	va_start(ap, evidence);
	vsnprintf(text, sizeof(text), evidence, ap);
	va_end(ap);
	if (d->n == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 32;
		d->v = xrealloc(d->v, d->cap * sizeof(*d->v));
	}
	f = &d->v[d->n++];
	f->level = level;
	f->subject = clean(xstrdup(subject));
	f->what = clean(xstrdup(what));
	f->evidence = clean(xstrdup(text));
	f->fix = clean(xstrdup(fix != NULL && level > FINDING_OK ? fix : ""));
}

/* ---- questions ---- */

struct doctor_question {
	struct doctor_question *next;
	char *name;
	enum dns_type type;
	struct dns_answer answer;
	bool is_answered;
};

/* What the resolver lends is ours from here. */
static void
on_answer(const struct dns_answer *answer, void *arg)
{
	struct doctor_question *q = arg;

	q->answer = *answer;
	q->answer.v = xcalloc(answer->n + 1, sizeof(*q->answer.v));
	for (size_t i = 0; i < answer->n; i++) {
		q->answer.v[i] = answer->v[i];
		q->answer.v[i].text = xstrdup(answer->v[i].text);
	}
	q->is_answered = true;
}

const struct dns_answer *
doctor_ask(struct doctor *d, const char *name, enum dns_type type)
{
	struct doctor_question *q;

	LL_FOREACH(d->questions, q)
		if (q->type == type && strcasecmp(q->name, name) == 0)
			return &q->answer;
	q = xcalloc(1, sizeof(*q));
	q->name = xstrdup(name);
	q->type = type;
	dns_answer_fail(&q->answer, "no resolver");
	LL_PREPEND(d->questions, q);
	if (d->resolver == NULL)
		return &q->answer;
	resolver_ask(d->resolver, name, type, on_answer, q);
	while (!q->is_answered && event_base_loop(d->base, EVLOOP_ONCE) == 0)
		;
	return &q->answer;
}

/* ---- showing ---- */

static enum finding_level
worst(const struct doctor *d)
{
	enum finding_level level = FINDING_OK;

	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].level > level)
			level = d->v[i].level;
	return level;
}

static void
print_json(const struct doctor *d)
{
	json_t *list = json_array();
	json_t *all;

	for (size_t i = 0; i < d->n; i++) {
		const struct finding *f = &d->v[i];

		json_array_append_new(list,
		    json_pack("{s:s, s:s, s:s, s:s, s:s}", "level",
			level_name(f->level), "subject", f->subject, "finding",
			f->what, "evidence", f->evidence, "fix", f->fix));
	}
	all = json_pack("{s:s, s:o}", "worst", level_name(worst(d)), "findings",
	    list);
	ctl_print_json(all);
	json_decref(all);
}

static void
print_one(const struct doctor *d, const struct finding *f)
{
	static const enum colour colours[] = { GREEN, FAINT, YELLOW, RED };

	printf("%s%-4s%s  %s: %s\n", colour_on(d->ctl, colours[f->level]),
	    level_name(f->level), colour_off(d->ctl, PLAIN), f->subject,
	    f->what);
	if (f->evidence[0] != '\0')
		printf("      %s\n", f->evidence);
	if (f->fix[0] != '\0')
		printf("      fix: %s\n", f->fix);
}

static void
print_text(const struct doctor *d)
{
	size_t n[FINDING_FAIL + 1] = { 0 };

	for (size_t i = 0; i < d->n; i++)
		n[d->v[i].level]++;
	for (int level = FINDING_OK; level <= (int)FINDING_FAIL; level++)
		for (size_t i = 0; i < d->n; i++)
			if ((int)d->v[i].level == level)
				print_one(d, &d->v[i]);
	printf("%zu ok, %zu noted, %zu warnings, %zu to mend\n", n[FINDING_OK],
	    n[FINDING_NOTE], n[FINDING_WARN], n[FINDING_FAIL]);
}

/* ---- life ---- */

static void
doctor_fini(struct doctor *d)
{
	struct doctor_question *q, *next;

	resolver_free(d->resolver);
	LL_FOREACH_SAFE(d->questions, q, next) {
		dns_answer_fini(&q->answer);
		free(q->name);
		free(q);
	}
	for (size_t i = 0; i < d->n; i++) {
		free(d->v[i].subject);
		free(d->v[i].what);
		free(d->v[i].evidence);
		free(d->v[i].fix);
	}
	free(d->v);
	event_base_free(d->base);
}

static int
examine(const struct ctl *ctl, const struct conf *conf)
{
	/* The socket of the file, unless another was named. */
	bool is_default = strcmp(ctl->socket, CTL_SOCKET) == 0;
	struct doctor d = { .conf = conf,
		.ctl = ctl,
		.socket =
		    is_default ? conf->daemon.admin_socket.path : ctl->socket,
		.base = event_base_new() };
	enum finding_level level;
	struct err err;

	d.resolver = resolver_new(d.base, &conf->dns, &err);
	if (d.resolver == NULL)
		doctor_say(&d, FINDING_FAIL, "dns", "can't be asked",
		    "look into /etc/resolv.conf, or give dns.servers", "%s",
		    err.text);
	doctor_check_hops(&d);
	doctor_check_routes(&d);
	doctor_check_senders(&d);
	doctor_check_host(&d);
	doctor_check_redis(&d);
	if (ctl->is_json)
		print_json(&d);
	else
		print_text(&d);
	level = worst(&d);
	doctor_fini(&d);
	return level == FINDING_FAIL ? CTL_REFUSED
	    : level == FINDING_WARN  ? EXIT_WARN
				     : CTL_OK;
}

static int
misused(const char *word)
{
	fprintf(stderr, "flyballctl doctor: what is \"%s\"?\n", word);
	return CTL_USAGE;
}

int
ctl_doctor(const struct ctl *ctl, int argc, char **argv)
{
	const char *file = DEFAULT_FILE;
	struct strbuf errors = { 0 };
	struct conf *conf;
	int status = CTL_REFUSED;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
			file = argv[++i];
		else if (argc == 2 && argv[i][0] != '-')
			file = argv[i];
		else
			return misused(argv[i]);
	}
	/* A next hop may hang up while OpenSSL writes to it. */
	signal(SIGPIPE, SIG_IGN);
	conf = conf_load(file, &errors);
	if (conf != NULL)
		status = examine(ctl, conf);
	else
		fputs(errors.data ? errors.data : "", stderr);
	conf_unref(conf);
	strbuf_fini(&errors);
	return status;
}
