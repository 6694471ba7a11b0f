/* SPDX-License-Identifier: ISC */
/*
 * Turns the models' counts into lines. Reads the models, changes nothing.
 * A door (the limits of a listener itself) is reported where it has refused.
 */
#include "tests/provider/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

struct report {
	struct server *sv;
	struct provider_stats *last; /* a row a model, doors behind them */
};

/* goodput, violations / attempts, and their product. */
struct score {
	double accepted, ideal, attempts, violations;
};

static size_t
n_models(const struct server *sv)
{
	return sv->world->n_listeners * (sv->world->n_providers + 1);
}

/* Model i, and whose it is; the last of a listener is its door. */
static struct provider_model *
model_at(const struct server *sv, size_t i, const struct port **port_out,
    const char **name_out)
{
	size_t per_port = sv->world->n_providers + 1;
	const struct port *port = &sv->ports[i / per_port];
	size_t k = i % per_port;

	*port_out = port;
	if (k == sv->world->n_providers) {
		*name_out = port->listener->door.name;
		return port->door;
	}
	*name_out = sv->world->providers[k].spec.name;
	return port->models[k];
}

static bool
is_door(const struct server *sv, size_t i)
{
	return i % (sv->world->n_providers + 1) == sv->world->n_providers;
}

struct report *
report_new(struct server *sv)
{
	struct report *r = xcalloc(1, sizeof(*r));

	r->sv = sv;
	r->last = xcalloc(n_models(sv), sizeof(*r->last));
	return r;
}

void
report_free(struct report *r)
{
	free(r->last);
	free(r);
}

static void
add_number(struct strbuf *b, const char *name, double value)
{
	if (isfinite(value))
		strbuf_addf(b, ",\"%s\":%.3f", name, value);
	else
		strbuf_addf(b, ",\"%s\":null", name);
}

static void
add_refused(struct strbuf *b, const struct provider_stats *st)
{
	const char *comma = "";

	strbuf_adds(b, ",\"refused\":{");
	for (int kind = PROVIDER_OK + 1; kind < PROVIDER_KINDS; kind++) {
		if (st->refused[kind] == 0)
			continue;
		strbuf_addf(b, "%s\"%s\":%llu", comma,
		    provider_kind_name((enum provider_kind)kind),
		    (unsigned long long)st->refused[kind]);
		comma = ",";
	}
	strbuf_adds(b, "}");
}

static void
add_seen(struct strbuf *b, const struct provider_stats *seen,
    const struct provider_stats *now)
{
	strbuf_addf(b, ",\"attempts\":%llu,\"accepted\":%llu",
	    (unsigned long long)provider_stats_attempts(seen),
	    (unsigned long long)seen->refused[PROVIDER_OK]);
	add_refused(b, seen);
	strbuf_addf(b, ",\"connections\":%llu,\"open\":%u",
	    (unsigned long long)seen->connections, now->n_open);
	add_number(b, "limit", now->limit);
	add_number(b, "tolerance", now->tolerance);
	strbuf_addf(b, ",\"day\":%lld", (long long)now->day);
	add_number(b, "day_used", now->day_used);
	add_number(b, "reputation", now->reputation);
}

static struct provider_stats
since(const struct provider_stats *now, const struct provider_stats *then)
{
	struct provider_stats d = *now;

	for (int kind = 0; kind < PROVIDER_KINDS; kind++)
		d.refused[kind] -= then->refused[kind];
	d.connections -= then->connections;
	return d;
}

static struct strbuf
line_start(const struct server *sv, int64_t now_us, const char *provider,
    const char *listener)
{
	struct strbuf b = { 0 };

	strbuf_addf(&b, "{\"t\":%.3f,\"provider\":\"%s\",\"listener\":\"%s\"",
	    (double)(now_us - sv->origin_us) / 1e6, provider, listener);
	return b;
}

static void
line_end(struct strbuf *b)
{
	strbuf_adds(b, "}\n");
	fwrite(b->data, 1, b->len, stdout);
	strbuf_fini(b);
}

void
report_interval(struct report *r)
{
	int64_t now_us = server_now_us();

	if (r->sv->origin_us == 0)
		return;
	for (size_t i = 0; i < n_models(r->sv); i++) {
		const struct port *port;
		const char *name;
		struct provider_model *m = model_at(r->sv, i, &port, &name);
		struct provider_stats now, seen;
		struct strbuf b;

		provider_model_stats(m, now_us, &now);
		seen = since(&now, &r->last[i]);
		r->last[i] = now;
		if (is_door(r->sv, i) && provider_stats_attempts(&seen) == 0)
			continue;
		b = line_start(r->sv, now_us, name, port->listener->name);
		add_seen(&b, &seen, &now);
		strbuf_addf(&b,
		    ",\"total\":{\"attempts\":%llu,\"accepted\":%llu,"
		    "\"violations\":%llu",
		    (unsigned long long)provider_stats_attempts(&now),
		    (unsigned long long)now.refused[PROVIDER_OK],
		    (unsigned long long)provider_stats_violations(&now));
		add_number(&b, "ideal", now.ideal);
		strbuf_adds(&b, "}");
		line_end(&b);
	}
	fflush(stdout);
}

static void
add_score(struct strbuf *b, const struct score *sc)
{
	double goodput = sc->ideal > 0 ? sc->accepted / sc->ideal : NAN;
	double share = sc->attempts > 0 ? sc->violations / sc->attempts : 0;

	if (!isfinite(sc->ideal))
		goodput = NAN; /* no end of it: nothing to compare with */
	strbuf_addf(b, ",\"violations\":%.0f", sc->violations);
	add_number(b, "ideal", sc->ideal);
	add_number(b, "goodput", goodput);
	add_number(b, "violation_share", share);
	add_number(b, "quality", goodput * (1 - share));
}

void
report_summary(struct report *r)
{
	int64_t now_us = server_now_us();
	struct score all = { 0 };
	struct strbuf b;

	if (r->sv->origin_us == 0)
		return;
	for (size_t i = 0; i < n_models(r->sv); i++) {
		const struct port *port;
		const char *name;
		struct provider_model *m = model_at(r->sv, i, &port, &name);
		struct provider_stats now;
		struct score sc;

		provider_model_stats(m, now_us, &now);
		sc.accepted = (double)now.refused[PROVIDER_OK];
		sc.ideal = is_door(r->sv, i) ? 0 : now.ideal;
		sc.attempts = (double)provider_stats_attempts(&now);
		sc.violations = (double)provider_stats_violations(&now);
		all.accepted += sc.accepted;
		all.ideal += sc.ideal;
		all.attempts += sc.attempts;
		all.violations += sc.violations;
		if (is_door(r->sv, i) && sc.attempts == 0)
			continue;
		b = line_start(r->sv, now_us, name, port->listener->name);
		strbuf_adds(&b, ",\"summary\":true");
		add_seen(&b, &now, &now);
		add_score(&b, &sc);
		line_end(&b);
	}
	b = line_start(r->sv, now_us, "*", "*");
	strbuf_addf(&b, ",\"summary\":true,\"attempts\":%.0f,\"accepted\":%.0f",
	    all.attempts, all.accepted);
	add_score(&b, &all);
	line_end(&b);
	fflush(stdout);
}
