/* SPDX-License-Identifier: ISC */
/*
 * What reaches the governor from other threads: new deliveries and settled
 * ones from the spool's writer, results from the workers, trouble with the
 * disk. The spool's callbacks run on the writer's thread and only put things
 * into envelopes here.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/address.h"
#include "conf/base/clock.h"
#include "conf/base/xalloc.h"
#include "daemon/governor_private.h"
#include "daemon/submission.h"

struct trouble_letter {
	struct letter letter;
	bool is_failing;
	struct err err;
};

/* ---- on the writer's thread ---- */

static void
added_free(struct added_letter *a)
{
	for (uint32_t i = 0; a->recipients != NULL && i < a->n_pending; i++)
		free(a->recipients[i]);
	free(a->recipients);
	free(a->stream);
	free(a->provider);
	free(a->site);
	free(a->sender);
	free(a->sender_domain);
	free(a->user);
	free(a);
}

/* "" for the null sender, and for what is no domain. */
static void
sender_domain_of(const struct envelope *e, char out[ADDRESS_DOMAIN_MAX + 1])
{
	if (*e->sender == '\0' ||
	    domain_normalise(address_domain(e->sender), out) < 0)
		*out = '\0';
}

static struct added_letter *
describe(const struct envelope *e, bool with_recipients)
{
	const struct delivery *d = &e->deliveries[0];
	struct added_letter *a = xcalloc(1, sizeof(*a));
	char domain[ADDRESS_DOMAIN_MAX + 1];

	sender_domain_of(e, domain);
	a->sender_domain = xstrdup(domain);
	a->message = e->id;
	a->number = d->number;
	a->n_pending = (uint32_t)d->n_recipients;
	a->attempts = d->attempts;
	a->arrived_utc_us = e->arrived_utc_us;
	a->due_utc_us = d->due_utc_us;
	a->stream = xstrdup(delivery_stream(e, d));
	a->provider = xstrdup(d->provider);
	a->site = xstrdup(d->site ? d->site : "");
	if (!with_recipients)
		return a;
	a->sender = xstrdup(e->sender);
	a->user = xstrdup(e->user ? e->user : "");
	a->recipients = xcalloc(d->n_recipients, sizeof(char *));
	for (size_t i = 0; i < d->n_recipients; i++)
		a->recipients[i] = xstrdup(d->recipients[i].address);
	return a;
}

/* At start there is one thread only, and a million letters would be a burden:
 * straight into the scheduler. */
static void
add_scanned(struct governor *g, const struct envelope *e)
{
	const struct delivery *d = &e->deliveries[0];
	char domain[ADDRESS_DOMAIN_MAX + 1];
	const struct added_letter a = { .message = e->id,
		.sender_domain = domain,
		.number = d->number,
		.n_pending = (uint32_t)d->n_recipients,
		.attempts = d->attempts,
		.arrived_utc_us = e->arrived_utc_us,
		.due_utc_us = d->due_utc_us,
		.stream = (char *)(uintptr_t)delivery_stream(e, d),
		.provider = d->provider,
		.site = d->site ? d->site : (char *)"" };

	sender_domain_of(e, domain);
	governor_add(g, &a);
}

static void
on_added(const struct envelope *e, void *arg)
{
	struct governor *g = arg;
	struct added_letter *a;
	bool wanted;

	if (g->is_scanning) {
		add_scanned(g, e);
		return;
	}
	/* Whether somebody follows may change; that is not worth a lock: the
	 * flag is atomic and a line more or less is no harm. */
	wanted = atomic_load(&g->shared.wants_events) &&
	    e->deliveries[0].attempts == 0;
	a = describe(e, wanted);
	a->is_new = e->deliveries[0].attempts == 0;
	mailbox_post(g->mailbox, &a->letter, GOVERNOR_ADDED);
}

static void
on_committed(struct spool_request *request, void *arg)
{
	struct governor *g = arg;

	if (request->kind == SPOOL_SUBMIT) {
		worker_committed(request);
		return;
	}
	if (request->kind == SPOOL_FACTS) {
		governor_facts_kept(g, request);
	} else if (request->owner != NULL) {
		struct pending_verdict *p = request->owner;

		mailbox_post(g->mailbox, &p->letter, GOVERNOR_SETTLED);
	}
	spool_request_free(request);
}

static void
on_trouble(const struct err *err, void *arg)
{
	struct governor *g = arg;
	struct trouble_letter *t = xcalloc(1, sizeof(*t));

	t->is_failing = err != NULL;
	if (err != NULL)
		t->err = *err;
	mailbox_post(g->mailbox, &t->letter, GOVERNOR_TROUBLE);
}

static void
on_classify(const char *mailbox, char **provider_out, char **site_out,
    void *arg)
{
	struct governor *g = arg;
	struct runtime *rt;

	pthread_mutex_lock(&g->rt_lock);
	rt = runtime_ref(g->rt);
	pthread_mutex_unlock(&g->rt_lock);
	submission_classify(rt->index, mailbox, provider_out, site_out);
	runtime_unref(rt);
}

void
governor_spool_ops(struct governor *g, struct spool_ops *ops_out)
{
	*ops_out = (struct spool_ops){ .committed = on_committed,
		.added = on_added,
		.trouble = on_trouble,
		.classify = on_classify,
		.arg = g };
}

/* ---- on the governor's thread ---- */

static void
meet_trouble(struct governor *g, const struct trouble_letter *t)
{
	g->is_spool_failing = t->is_failing;
	if (t->is_failing)
		log_error("spool_failing", LOG_STR("error", t->err.text),
		    LOG_STR("effect",
			"new mail gets 451 and nothing is sent until the disk "
			"works again"));
	else
		log_warn("spool_recovered");
	event_begin(g->events, "alert", clock_utc_us());
	event_str(g->events, "alert", "spool");
	event_str(g->events, "state", t->is_failing ? "failing" : "recovered");
	event_str(g->events, "error", t->is_failing ? t->err.text : NULL);
	event_end(g->events);
	g->wants_plan = true;
}

/* Single messages are refused, nothing else stands still: it begins with the
 * first one, and ends when there was none for a while. */
void
governor_watch_contents(struct governor *g)
{
	struct spool_stats st;
	bool is_failing;

	spool_stats(g->spool, &st);
	is_failing = st.body_failed_us != 0 &&
	    clock_mono_us() - st.body_failed_us < SPOOL_LATELY_US;
	if (is_failing == g->is_content_failing)
		return;
	g->is_content_failing = is_failing;
	event_begin(g->events, "alert", clock_utc_us());
	event_str(g->events, "alert", "spool");
	event_str(g->events, "state",
	    is_failing ? "content-failing" : "content-recovered");
	event_str(g->events, "text",
	    is_failing ? "large messages get 451: their files can't be "
			 "written; the log says why"
		       : NULL);
	event_end(g->events);
}

void
governor_receive(struct letter *letter_take, void *arg)
{
	struct governor *g = arg;

	switch ((enum governor_letter)letter_take->kind) {
	case GOVERNOR_ADDED:
		governor_add(g, (struct added_letter *)letter_take);
		added_free((struct added_letter *)letter_take);
		return;
	case GOVERNOR_RESULT:
		governor_result(g, (struct job *)letter_take);
		return;
	case GOVERNOR_SETTLED:
		governor_settled(g, letter_take);
		g->wants_plan = true;
		return;
	case GOVERNOR_SUPPRESSED:
		governor_tell_suppressed(g,
		    (struct suppressed_letter *)letter_take);
		return;
	case GOVERNOR_REPORT:
		governor_report(g, (struct report_letter *)letter_take);
		return;
	case GOVERNOR_LOG:
		governor_log_batch(g, letter_take);
		return;
	case GOVERNOR_SAVED:
		governor_saved(g, letter_take);
		break;
	case GOVERNOR_TROUBLE:
		meet_trouble(g, (struct trouble_letter *)letter_take);
		break;
	case GOVERNOR_DRAINED:
		governor_drained(g);
		break;
	}
	free(letter_take);
}
