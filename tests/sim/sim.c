/* SPDX-License-Identifier: ISC */
/*
 * Runs the scheduler against provider models in virtual time. Situations.c
 * makes the worlds, tests and programs run them.
 *
 * Two heaps of events: answers that are on their way, and mail that arrives.
 * Between two events the scheduler is asked until it says wait. Each command
 * of the dialogue is an event of its own, so what is in flight is in flight
 * for as long as it would be over a network.
 */
#include "tests/sim/sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "conf/base/xalloc.h"

#define BACKLOG		200 /* messages that wait where there is no end of them */
#define RUN_DRY		100 /* refilled below that */
#define EXPIRES_US	(5 * 86400 * SEC)
#define UTC_AT_START	(INT64_C(1764028800) * SEC - 1000 * SEC)
#define HANG_TIMEOUT_US (10 * SEC)

struct sim_session {
	struct provider_session session;
	struct sim_session *prev, *next;
};

enum step { STEP_CONNECT, STEP_MAIL, STEP_EOD, STEP_DONE };

struct sim_flight {
	struct heap_node node;
	struct sim_site *site;
	struct sim_session *session;
	enum step step;
	uint64_t message;
	uint32_t n, n_pending, n_asked;
	uint32_t attempts;
	uint32_t n_accepted; /* at RCPT */
	struct verdict v;
	bool is_refused; /* before MAIL */
	bool is_lost;	 /* before MAIL, without a word */
	bool was_reused;
	char reply[PROVIDER_TEXT_SIZE + 32];
};

double
sim_uniform(struct rng *rng, double from, double to)
{
	return from + (to - from) * (double)(rng_next(rng) >> 11) * 0x1p-53;
}

/* ---- a world ---- */

void
sim_init(struct sim *sim, uint64_t seed)
{
	*sim = (struct sim){ .rng = { seed } };
	fixture_init(&sim->f);
	sim->f.conf.adapt = (struct conf_adapt){
		.given = ~0u,
		.enabled = true,
		.floor = { 1, 60 * SEC },
		.react = { .decrease_permille = 150, .hold_us = SEC },
		.recover = { .probe_permille = 50, .every_us = SEC / 2 },
		.suspend = { .rejected_permille = 50,
		    .sample = 20,
		    .for_us = 5 * SEC,
		    .max_us = 60 * SEC },
	};
	sim->f.conf.spool.retry.first_us = 2 * SEC;
	sim->f.conf.spool.retry.factor_permille = 1500;
	sim->f.conf.spool.retry.max_us = 10 * SEC;
	sim->f.conf.spool.retry.jitter_permille = 200;
	sim->start_us = sim->now_us = 1000 * SEC;
}

struct sim_site *
sim_site_add(struct sim *sim, const struct provider_spec *spec, double ceiling,
    unsigned connections)
{
	struct sim_site *site = &sim->sites[sim->n_sites];
	struct conf_provider *p;

	site->spec = *spec;
	site->name = site->spec.name;
	snprintf(site->route_name, sizeof(site->route_name), "ip-%zu",
	    sim->n_sites);
	site->route = (unsigned)sim->n_sites++;
	site->n_recipients = 1;
	site->rtt_us = (int64_t)sim_uniform(&sim->rng, 1000, 10000);
	p = fixture_provider(&sim->f, site->name);
	if (ceiling > 0)
		fixture_rate(&p->limits, (int64_t)llround(ceiling * 60),
		    60 * SEC);
	p->limits.burst = 1;
	if (ceiling > 60)
		p->limits.burst = (int64_t)(ceiling / 60);
	fixture_route(&sim->f, site->route_name, connections);
	fixture_stream(&sim->f, site->route_name, PRIORITY_NORMAL, 1,
	    site->route_name, NULL);
	return site;
}

void
sim_share_route(struct sim *sim, struct sim_site *site,
    const struct sim_site *with)
{
	size_t i = (size_t)(site - sim->sites);

	site->route = with->route;
	site->is_shared = sim->sites[with->route].is_shared = true;
	sim->f.stream_routes[i][0] = (char *)with->route_name;
}

void
sim_plan(struct sim *sim, const struct sim_site *site, int64_t from,
    int64_t by_permille, int64_t day_us)
{
	sim->plan = (struct conf_plan){
		.name = (char *)"warmup",
		.start_day = -1,
		.day_us = day_us,
		.window_to_us = day_us,
		.schedule = { .from = from,
		    .to = 100000000,
		    .growth = { { INT64_MAX, by_permille } },
		    .n_growth = 1 },
		.pace = PACE_EVEN,
		.advance_when = { .volume_permille = 700,
		    .deferred_permille = 100,
		    .rejected_permille = 20,
		    .bounced_permille = 50,
		    .complained_permille = -1,
		    .sample = 20 },
		.unhealthy = { .hold = 1,
		    .step_back = 1,
		    .stop_deferred_permille = 300,
		    .stop_rejected_permille = 50 },
		.overflow = OVERFLOW_HOLD,
	};
	sim->f.conf.plans = &sim->plan;
	sim->f.conf.n_plans = 1;
	sim->f.routes[site->route].plan = sim->plan.name;
}

static void
message_add(struct sim *sim, struct sim_site *site)
{
	struct sched_delivery d = {
		.message = ++sim->n_messages,
		.number = (uint32_t)(site - sim->sites),
		.n_pending = site->n_recipients,
		.stream = site->route_name,
		.provider = site->name,
		.site = "",
		.expires_us = sim->now_us + EXPIRES_US,
	};

	site->n_waiting++;
	sched_add(sim->s, &d, sim->now_us);
}

static void
arrive(struct sim *sim, struct sim_site *site)
{
	double wait_s;

	message_add(sim, site);
	provider_model_offer(site->model, site->n_recipients, sim->now_us);
	/* At random moments, as mail comes. */
	wait_s = -log(sim_uniform(&sim->rng, 1e-9, 1)) / site->per_s;
	heap_move(&sim->arrivals, &site->arrival,
	    sim->now_us + 1 + (int64_t)(1e6 * wait_s));
}

static void
refill(struct sim *sim, struct sim_site *site)
{
	if (site->per_s > 0 || site->is_silent || site->n_waiting >= RUN_DRY)
		return;
	while (site->n_waiting < BACKLOG)
		message_add(sim, site);
}

void
sim_start(struct sim *sim)
{
	fixture_stream(&sim->f, "default", PRIORITY_NORMAL, 1, "ip-0", NULL);
	sim->s = sched_new(&sim->f.conf, rng_next(&sim->rng));
	/* A wall clock, so that plans have days; they begin with the start. */
	sched_utc(sim->s, sim->now_us, sim->now_us + UTC_AT_START);
	for (size_t i = 0; i < sim->n_sites; i++) {
		struct sim_site *site = &sim->sites[i];

		site->spec.latency.command_us = 0;
		if (site->per_s > 0)
			site->spec.demand = 0;
		site->model = provider_model_new(&site->spec,
		    rng_next(&sim->rng), sim->start_us);
		if (site->per_s > 0)
			arrive(sim, site);
		refill(sim, site);
	}
}

static void
session_close(struct sim *sim, struct sim_site *site, struct sim_session *ss)
{
	provider_model_disconnect(site->model, &ss->session, sim->now_us);
	free(ss);
}

void
sim_end(struct sim *sim)
{
	struct sim_session *ss, *next;

	while (sim->events.n > 0) {
		struct sim_flight *f =
		    HEAP_OWNER(heap_top(&sim->events), struct sim_flight, node);

		heap_remove(&sim->events, &f->node);
		free(f->session);
		free(f);
	}
	for (size_t i = 0; i < sim->n_sites; i++) {
		DL_FOREACH_SAFE(sim->sites[i].idle, ss, next)
			free(ss);
		provider_model_free(sim->sites[i].model);
	}
	heap_fini(&sim->events);
	heap_fini(&sim->arrivals);
	sched_free(sim->s);
}

void
sim_restart(struct sim *sim, struct sim_site *site)
{
	site->is_silent = false;
	refill(sim, site);
}

/* ---- what a reply means: as a good classifier says it ---- */

static void
classify(struct sim_flight *f, const struct provider_verdict *pv)
{
	static const struct {
		enum reply_class class;
		enum blame blame;
	} table[PROVIDER_KINDS] = {
		[PROVIDER_OK] = { CLASS_OK, BLAME_NOBODY },
		[PROVIDER_RATE] = { CLASS_RATE, BLAME_LANE },
		[PROVIDER_DAILY] = { CLASS_RATE, BLAME_LANE },
		[PROVIDER_CONNECTIONS] = { CLASS_RATE, BLAME_CONNECTIONS },
		[PROVIDER_REPUTATION_DEFER] = { CLASS_REPUTATION_DEFER,
		    BLAME_LANE },
		[PROVIDER_REPUTATION_REJECT] = { CLASS_REPUTATION_REJECT,
		    BLAME_LANE },
		[PROVIDER_GREYLIST] = { CLASS_GREYLIST, BLAME_MESSAGE },
		[PROVIDER_UNKNOWN_USER] = { CLASS_BAD_MAILBOX,
		    BLAME_RECIPIENT },
		[PROVIDER_MAILBOX_FULL] = { CLASS_MAILBOX_FULL,
		    BLAME_RECIPIENT },
		[PROVIDER_CONTENT] = { CLASS_CONTENT, BLAME_MESSAGE },
		[PROVIDER_SYSTEM] = { CLASS_SYSTEM, BLAME_NEXT_HOP },
		[PROVIDER_MAINTENANCE] = { CLASS_SYSTEM, BLAME_NEXT_HOP },
		[PROVIDER_TOO_MANY_RCPTS] = { CLASS_OTHER, BLAME_MESSAGE },
		[PROVIDER_MESSAGES] = { CLASS_OTHER, BLAME_MESSAGE },
	};

	f->v.class = table[pv->kind].class;
	f->v.blame = table[pv->kind].blame;
	f->v.code = pv->action == PROVIDER_RESET || pv->action == PROVIDER_HANG
	    ? 0
	    : pv->code;
	snprintf(f->reply, sizeof(f->reply), "%d %s %s", pv->code,
	    pv->enhanced != NULL ? pv->enhanced : "", pv->text);
	f->v.reply = f->reply;
}

/* All n recipients share the transaction's fate. */
static void
fate(struct sim_flight *f, uint32_t n)
{
	struct verdict *v = &f->v;

	v->n_delivered = v->n_failed = v->n_deferred = 0;
	switch (v->class) {
	case CLASS_OK:
		v->n_delivered = n;
		break;
	case CLASS_REPUTATION_REJECT:
	case CLASS_BAD_MAILBOX:
	case CLASS_BAD_DOMAIN:
	case CLASS_CONTENT:
	case CLASS_AUTH:
		v->n_failed = n;
		break;
	default:
		v->n_deferred = n;
		break;
	}
	v->n_pending = f->n_pending - v->n_delivered - v->n_failed;
	v->next = v->n_pending == 0 ? SETTLE_DONE
	    : v->n_deferred == 0    ? SETTLE_REQUEUE
	    : v->class == CLASS_RATE || v->class == CLASS_REPUTATION_DEFER
	    ? SETTLE_REQUEUE
	    : SETTLE_RETRY;
}

/* ---- the dialogue ---- */

static void
next_at(struct sim *sim, struct sim_flight *f, enum step step, int64_t us)
{
	f->step = step;
	heap_add(&sim->events, &f->node, sim->now_us + us);
}

static void
dispatch(struct sim *sim, const struct plan *p)
{
	struct sim_site *site = &sim->sites[p->number];
	struct sim_flight *f = xcalloc(1, sizeof(*f));

	f->site = site;
	f->message = p->message;
	f->n = p->n_recipients;
	f->n_pending = p->n_pending;
	f->attempts = p->attempts;
	f->v.message = p->message;
	f->v.number = p->number;
	if (site->idle != NULL) {
		f->session = site->idle;
		DL_DELETE(site->idle, f->session);
		f->was_reused = true;
		next_at(sim, f, STEP_MAIL, site->rtt_us / 2);
		return;
	}
	f->session = xcalloc(1, sizeof(*f->session));
	next_at(sim, f, STEP_CONNECT, site->rtt_us);
}

/* The reply ends the transaction; it is here after half a round trip. */
static void
end_after(struct sim *sim, struct sim_flight *f,
    const struct provider_verdict *pv, uint32_t n)
{
	int64_t us = pv->action == PROVIDER_HANG
	    ? HANG_TIMEOUT_US
	    : f->site->rtt_us / 2 + pv->delay_us;

	classify(f, pv);
	fate(f, n);
	if (pv->action != PROVIDER_REPLY) {
		session_close(sim, f->site, f->session);
		f->session = NULL;
	}
	next_at(sim, f, STEP_DONE, us);
}

static void
step_connect(struct sim *sim, struct sim_flight *f)
{
	struct provider_verdict pv;

	provider_model_connect(f->site->model, &f->session->session,
	    sim->now_us, &pv);
	f->v.phase = PHASE_CONNECT;
	if (pv.kind == PROVIDER_OK) {
		next_at(sim, f, STEP_MAIL, f->site->rtt_us * 2);
		return;
	}
	/* Behind a shared hop it is the hop that tells, at MAIL. */
	if (!f->site->is_shared) {
		f->is_lost =
		    pv.action == PROVIDER_RESET || pv.action == PROVIDER_HANG;
		f->is_refused = !f->is_lost;
	}
	pv.action = pv.action == PROVIDER_REPLY ? PROVIDER_CLOSE : pv.action;
	end_after(sim, f, &pv, f->is_lost || f->is_refused ? 0 : f->n);
}

static void step_rcpt(struct sim *sim, struct sim_flight *f);

static void
step_mail(struct sim *sim, struct sim_flight *f)
{
	struct provider_verdict pv;

	provider_model_mail(f->site->model, &f->session->session, sim->now_us,
	    &pv);
	f->v.phase = PHASE_MAIL;
	if (pv.kind == PROVIDER_OK) {
		step_rcpt(sim, f); /* pipelined */
		return;
	}
	/* A kept connection that is gone is no attempt. */
	f->is_lost = f->was_reused && pv.action == PROVIDER_RESET;
	end_after(sim, f, &pv, f->n);
}

/* Does it matter who the recipient is? */
static bool
has_traits(const struct provider_spec *spec)
{
	return spec->noise.unknown_user > 0 || spec->noise.mailbox_full > 0 ||
	    spec->greylist.share > 0;
}

static void
step_rcpt(struct sim *sim, struct sim_flight *f)
{
	struct provider_verdict pv = { 0 }, bad = { 0 };
	char rcpt[64];

	snprintf(rcpt, sizeof(rcpt), "u@%s.example", f->site->name);
	for (uint32_t i = 0; i < f->n; i++) {
		if (has_traits(&f->site->spec))
			snprintf(rcpt, sizeof(rcpt), "u%llu.%u@%s.example",
			    (unsigned long long)f->message, i, f->site->name);
		provider_model_rcpt(f->site->model, &f->session->session,
		    "news@example.com", rcpt, sim->now_us, &pv);
		if (pv.kind == PROVIDER_OK)
			f->n_accepted++;
		else
			bad = pv;
	}
	f->v.phase = PHASE_RCPT;
	if (f->n_accepted > 0)
		next_at(sim, f, STEP_EOD, f->site->rtt_us);
	else
		end_after(sim, f, &bad, f->n);
}

static void
step_eod(struct sim *sim, struct sim_flight *f)
{
	struct provider_verdict pv;

	provider_model_eod(f->site->model, &f->session->session, sim->now_us,
	    &pv);
	f->v.phase = PHASE_EOD;
	end_after(sim, f, &pv, f->n_accepted);
}

static void
step_done(struct sim *sim, struct sim_flight *f)
{
	struct sim_site *site = f->site;

	if (f->session != NULL) {
		provider_model_reset(site->model, &f->session->session,
		    sim->now_us);
		DL_APPEND(site->idle, f->session);
	}
	sim->n_verdicts++;
	if (f->is_lost) {
		sched_unuse(sim->s, f->v.message, f->v.number, sim->now_us);
		sched_route_down(sim->s, site->route, "reset", sim->now_us);
	} else if (f->is_refused) {
		sched_refused(sim->s, &f->v, sim->now_us);
	} else {
		if (f->v.next == SETTLE_DONE)
			site->n_waiting--;
		sched_verdict(sim->s, &f->v, sim->now_us);
	}
	free(f);
	refill(sim, site);
}

static void
step(struct sim *sim, struct sim_flight *f)
{
	static void (*const steps[])(struct sim *, struct sim_flight *) = {
		[STEP_CONNECT] = step_connect,
		[STEP_MAIL] = step_mail,
		[STEP_EOD] = step_eod,
		[STEP_DONE] = step_done,
	};

	heap_remove(&sim->events, &f->node);
	steps[f->step](sim, f);
}

/* ---- time ---- */

static void
tell_changes(struct sim *sim)
{
	struct sched_change c;

	while (sched_change_next(sim->s, &c)) {
		sim->n_changes++;
		if (sim->on_change != NULL)
			sim->on_change(sim, &c);
	}
}

/* Returns when the scheduler wants to be asked again. */
static int64_t
plan_all(struct sim *sim)
{
	struct plan p;

	for (;;) {
		sim->n_plans++;
		sched_plan(sim->s, sim->now_us, &p);
		if (p.kind == PLAN_WAIT)
			return p.due_us;
		if (p.kind == PLAN_DISPATCH)
			dispatch(sim, &p);
		else
			sim->sites[p.number].n_waiting--;
	}
}

void
sim_run(struct sim *sim, int64_t until_us)
{
	int64_t end_us = sim->start_us + until_us;

	for (;;) {
		int64_t next_us = plan_all(sim);

		tell_changes(sim);
		if (heap_top_key(&sim->events) < next_us)
			next_us = heap_top_key(&sim->events);
		if (heap_top_key(&sim->arrivals) < next_us)
			next_us = heap_top_key(&sim->arrivals);
		if (next_us >= end_us)
			break;
		sim->now_us = next_us > sim->now_us ? next_us : sim->now_us;
		while (heap_top_key(&sim->events) <= sim->now_us)
			step(sim,
			    HEAP_OWNER(heap_top(&sim->events),
				struct sim_flight, node));
		while (heap_top_key(&sim->arrivals) <= sim->now_us)
			arrive(sim,
			    HEAP_OWNER(heap_top(&sim->arrivals),
				struct sim_site, arrival));
	}
	sim->now_us = end_us;
}
