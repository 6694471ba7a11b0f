/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SIM_H
#define FLYBALL_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/heap.h"
#include "conf/base/rng.h"
#include "scheduler/sched.h"
#include "tests/provider/model.h"
#include "tests/unit/conf_fixture.h"

/*
 * A world in virtual time: the real scheduler, and providers of
 * tests/provider/model.h behind connections that take time to open and to
 * answer. What the daemon does between the two (keep connections, classify,
 * settle) is done here in the shortest way, and as the daemon does it.
 *
 * Each site is one provider behind a route of its own or behind a shared one.
 */
#define SIM_SITES_MAX 16

struct sim_session;
struct sim_flight;

struct sim_site {
	const char *name;
	char route_name[16];
	unsigned route;
	bool is_shared; /* behind one hop with others */
	struct provider_spec spec;
	struct provider_model *model;
	struct sim_session *idle;
	int64_t rtt_us;
	unsigned n_recipients; /* a message */
	double per_s;	    /* messages that arrive; 0: there are always some */
	bool is_silent;	    /* nothing arrives */
	uint64_t n_waiting; /* deliveries of it in the scheduler */
	struct heap_node arrival;
};

struct sim {
	struct fixture f;
	struct conf_plan plan; /* of sim_plan() */
	struct sched *s;
	struct rng rng;
	int64_t now_us;
	int64_t start_us;
	struct heap events;   /* flights */
	struct heap arrivals; /* sites */
	struct sim_site sites[SIM_SITES_MAX];
	size_t n_sites;
	uint64_t n_messages;
	uint64_t n_plans, n_verdicts, n_changes;
	void (*on_change)(struct sim *sim, const struct sched_change *c);
	void *arg;
};

/* Rehearsal times: hold 1 s, every 0.5 s; a route `ip-N` for each site. */
void sim_init(struct sim *sim, uint64_t seed);
/* ceiling: recipients a second, in the configuration; 0: none. */
struct sim_site *sim_site_add(struct sim *sim, const struct provider_spec *spec,
    double ceiling, unsigned connections);
/* Before the start: this site's mail goes by the other's route. */
void sim_share_route(struct sim *sim, struct sim_site *site,
    const struct sim_site *with);
/* Before the start: this site's route warms up, `from` on the first day,
 * by_permille of today tomorrow. */
void sim_plan(struct sim *sim, const struct sim_site *site, int64_t from,
    int64_t by_permille, int64_t day_us);
void sim_start(struct sim *sim);
/* There is mail again for a site that was silent. */
void sim_restart(struct sim *sim, struct sim_site *site);
void sim_run(struct sim *sim, int64_t until_us); /* since the start */
void sim_end(struct sim *sim);

double sim_uniform(struct rng *rng, double from, double to);

#endif
