/* SPDX-License-Identifier: ISC */
/*
 * A snapshot once it stands: who holds it, what is looked up in it, what two
 * of its parts come to together. Everything here is safe in any thread.
 */
#include "conf/conf.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "conf/conf_private.h"
#include "conf/keys.h"

struct snapshot {
	struct conf conf;
	atomic_uint refs;
};

static struct snapshot *
snapshot_of(const struct conf *conf)
{
	return (struct snapshot *)(uintptr_t)conf;
}

struct conf *
conf_new(const char *file)
{
	struct snapshot *s = xcalloc(1, sizeof(*s));

	atomic_init(&s->refs, 1);
	s->conf.file = xstrdup(file);
	return &s->conf;
}

struct conf *
conf_ref(const struct conf *conf)
{
	struct snapshot *s = snapshot_of(conf);

	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return &s->conf;
}

void
conf_unref(const struct conf *conf)
{
	struct snapshot *s = snapshot_of(conf);

	if (s == NULL ||
	    atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
		return;
	section_fini(&section_conf, &s->conf);
	free(s->conf.file);
	free(s);
}

/* ---- look-ups ---- */

#define FIND_BY(array, count, member, name)                        \
	do {                                                       \
		for (size_t i_ = 0; i_ < (count); i_++)            \
			if (strcmp((array)[i_].member, name) == 0) \
				return &(array)[i_];               \
		return NULL;                                       \
	} while (0)

const struct conf_provider *
conf_provider(const struct conf *conf, const char *name)
{
	FIND_BY(conf->providers, conf->n_providers, name, name);
}

const struct conf_route *
conf_route(const struct conf *conf, const char *name)
{
	FIND_BY(conf->routes, conf->n_routes, name, name);
}

const struct conf_stream *
conf_stream(const struct conf *conf, const char *name)
{
	FIND_BY(conf->streams, conf->n_streams, name, name);
}

static bool
names_have(const struct conf_names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->v[i], name) == 0)
			return true;
	return names->n == 0;
}

const struct conf_mta_log *
conf_route_log(const struct conf *conf, const char *route)
{
	const struct conf_feedback *f = &conf->feedback;
	const struct {
		const struct conf_mta_log *v;
		size_t n;
	} lists[] = {
		{ f->postfix_logs, f->n_postfix_logs },
		{ f->exim_logs, f->n_exim_logs },
		{ f->opensmtpd_logs, f->n_opensmtpd_logs },
		{ f->pattern_logs, f->n_pattern_logs },
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (size_t j = 0; j < lists[i].n; j++)
			if (names_have(&lists[i].v[j].routes, route))
				return &lists[i].v[j];
	return NULL;
}

const struct conf_plan *
conf_plan(const struct conf *conf, const char *name)
{
	FIND_BY(conf->plans, conf->n_plans, name, name);
}

size_t
conf_n_listeners(const struct conf *conf)
{
	return conf->n_listeners + conf->feedback.reports.is_given;
}

const struct conf_listener *
conf_listener_at(const struct conf *conf, size_t i)
{
	return i < conf->n_listeners ? &conf->listeners[i]
				     : &conf->feedback.reports.listener;
}

/* ---- limits of a lane ---- */

/* The smaller of two limits of which 0 is none. */
static int64_t
tighter(int64_t a, int64_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

static void
narrow_rate(struct conf_rates *rates, const struct rate *by)
{
	if (rate_is_unlimited(by))
		return;
	if (rates->n == 1 && rate_is_unlimited(&rates->v[0]))
		rates->n = 0;
	for (size_t i = 0; i < rates->n; i++)
		if (rates->v[i].window_us == by->window_us) {
			if (by->count < rates->v[i].count)
				rates->v[i].count = by->count;
			return;
		}
	if (rates->n < CONF_RATES_MAX) /* rules_check() saw to it */
		rates->v[rates->n++] = *by;
}

struct conf_limit_set
conf_lane_limits(const struct conf_route *route,
    const struct conf_provider *provider)
{
	struct conf_limit_set set = provider->limits;
	const struct conf_limit_set *by = NULL;

	for (size_t i = 0; i < route->n_limits && by == NULL; i++)
		if (strcmp(route->limits[i].provider, provider->name) == 0)
			by = &route->limits[i].limits;
	if (by == NULL)
		return set;
	for (size_t i = 0; i < by->rates.n; i++)
		narrow_rate(&set.rates, &by->rates.v[i]);
	set.burst = tighter(set.burst, by->burst);
	set.connections = (unsigned)tighter(set.connections, by->connections);
	set.messages_per_connection =
	    (unsigned)tighter(set.messages_per_connection,
		by->messages_per_connection);
	set.recipients_per_message =
	    (unsigned)tighter(set.recipients_per_message,
		by->recipients_per_message);
	return set;
}

static void
adapt_override(struct conf_adapt *a, const struct conf_adapt *by)
{
	unsigned given = by->given;

#define TAKE(bit, field)                      \
	do {                                  \
		if (given & (bit))            \
			a->field = by->field; \
	} while (0)
	TAKE(ADAPT_ENABLED, enabled);
	TAKE(ADAPT_MODE, mode);
	TAKE(ADAPT_FLOOR, floor);
	TAKE(ADAPT_DECREASE, react.decrease_permille);
	TAKE(ADAPT_HOLD, react.hold_us);
	TAKE(ADAPT_PROBE, recover.probe_permille);
	TAKE(ADAPT_EVERY, recover.every_us);
	TAKE(ADAPT_SUSPEND_REJECTED, suspend.rejected_permille);
	TAKE(ADAPT_SUSPEND_SAMPLE, suspend.sample);
	TAKE(ADAPT_SUSPEND_FOR, suspend.for_us);
	TAKE(ADAPT_SUSPEND_MAX, suspend.max_us);
	TAKE(ADAPT_SUSPEND_OVERFLOW, suspend.overflow);
#undef TAKE
}

struct conf_adapt
conf_lane_adapt(const struct conf *conf, const struct conf_route *route,
    const struct conf_provider *provider)
{
	struct conf_adapt a = conf->adapt;

	adapt_override(&a, &provider->adapt);
	adapt_override(&a, &route->adapt);
	return a;
}

/* ---- networks ---- */

bool
conf_cidr_contains(const struct conf_cidr *cidr, const struct sockaddr *address)
{
	struct in6_addr a;
	unsigned whole = cidr->prefix_bits / 8, rest = cidr->prefix_bits % 8;
	uint8_t mask = (uint8_t)(0xff00u >> rest);

	if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 =
		    (const struct sockaddr_in6 *)(const void *)address;

		a = in6->sin6_addr;
	} else if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in =
		    (const struct sockaddr_in *)(const void *)address;

		memset(&a, 0, sizeof(a));
		a.s6_addr[10] = a.s6_addr[11] = 0xff;
		memcpy(&a.s6_addr[12], &in->sin_addr, 4);
	} else {
		return false;
	}
	return memcmp(&a, &cidr->address, whole) == 0 &&
	    (rest == 0 ||
		((a.s6_addr[whole] ^ cidr->address.s6_addr[whole]) & mask) ==
		    0);
}
