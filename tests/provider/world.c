/* SPDX-License-Identifier: ISC */
/*
 * Reads a world from YAML (libyaml's document tree) by tables of keys: one row
 * says a key's name, type and place in its struct. The first mistake ends it,
 * with its place; this is a file for developers.
 */
#include "tests/provider/world.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

#include "conf/base/units.h"
#include "conf/base/xalloc.h"
#include "tests/provider/voice.h"

struct loader {
	yaml_document_t doc;
	const char *path;
	struct err *err;
	struct world *world;
};

enum type {
	T_RATE,	    /* double, recipients a second */
	T_NUMBER,   /* double */
	T_SHARE,    /* double, from "5%" */
	T_DURATION, /* int64_t us */
	T_COUNT,    /* unsigned */
	T_U64,
	T_SIZE, /* int64_t bytes */
	T_BOOL,
	T_TEXT,	 /* char *, owned */
	T_TEXTS, /* struct world_texts */
	T_VOICE,
	T_PHASE,
	T_OUTAGE,
	T_CALL, /* a function reads it */
};

typedef int reader(struct loader *ld, yaml_node_t *node, void *base);

struct key {
	const char *name;
	enum type type;
	size_t offset;
	reader *call;
};

static int
complain(struct loader *ld, const yaml_node_t *node, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(ld->err, "%s:%zu:%zu: %s", ld->path,
	    node->start_mark.line + 1, node->start_mark.column + 1, text);
}

static const char *
scalar(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE
	    ? (const char *)node->data.scalar.value
	    : NULL;
}

static yaml_node_t *
node_at(struct loader *ld, int id)
{
	return yaml_document_get_node(&ld->doc, id);
}

/* ---- values ---- */

static int
read_rate(const char *s, double *out, struct err *err)
{
	struct rate rate;

	if (units_parse_rate(s, &rate, err) != 0)
		return -1;
	*out = rate_is_unlimited(&rate)
	    ? INFINITY
	    : (double)rate.count * 1e6 / (double)rate.window_us;
	return 0;
}

static int
read_number(const char *s, double *out, struct err *err)
{
	char *end;

	*out = strtod(s, &end);
	if (end == s || *end != '\0' || !(*out >= 0))
		return err_set(err, "\"%s\" is no number", s);
	return 0;
}

static int
read_share(const char *s, double *out, struct err *err)
{
	char *end;

	*out = strtod(s, &end) / 100;
	if (end == s || strcmp(end, "%") != 0 || !(*out >= 0))
		return err_set(err, "\"%s\" is no share (5%%)", s);
	return 0;
}

static int
read_name(const char *s, const char *const *names, int n, int *out,
    struct err *err)
{
	for (int i = 0; i < n; i++) {
		if (names[i] != NULL && strcmp(names[i], s) == 0) {
			*out = i;
			return 0;
		}
	}
	return err_set(err, "unknown word \"%s\"", s);
}

static const char *const phases[] = { NULL, "mail", "rcpt", "eod" };
static const char *const outages[] = { "reset", "hang", "421" };
static const char *const bools[] = { "false", "true" };

static int
read_words(const char *s, enum type type, void *at, struct err *err)
{
	const struct provider_voice *voice;
	int64_t count;
	int word = 0;

	switch (type) {
	case T_COUNT:
		if (units_parse_count(s, &count, err) != 0)
			return -1;
		*(unsigned *)at = (unsigned)count;
		return 0;
	case T_VOICE:
		voice = voice_find(s);
		if (voice == NULL)
			return err_set(err, "no voice is called \"%s\"", s);
		*(const struct provider_voice **)at = voice;
		return 0;
	case T_PHASE:
		if (read_name(s, phases, 4, &word, err) != 0)
			return -1;
		*(enum provider_phase *)at = (enum provider_phase)word;
		return 0;
	case T_OUTAGE:
		if (read_name(s, outages, 3, &word, err) != 0)
			return -1;
		*(enum provider_outage *)at = (enum provider_outage)word;
		return 0;
	case T_BOOL:
		if (read_name(s, bools, 2, &word, err) != 0)
			return -1;
		*(bool *)at = word;
		return 0;
	default:
		return err_set(err, "not a word");
	}
}

static int
read_scalar(const char *s, enum type type, void *at, struct err *err)
{
	char *end;

	switch (type) {
	case T_RATE:
		return read_rate(s, at, err);
	case T_NUMBER:
		return read_number(s, at, err);
	case T_SHARE:
		return read_share(s, at, err);
	case T_DURATION:
		return units_parse_duration(s, at, err);
	case T_SIZE:
		return units_parse_size(s, at, err);
	case T_U64:
		errno = 0;
		*(uint64_t *)at = strtoull(s, &end, 10);
		return *s == '\0' || *end != '\0' || errno != 0
		    ? err_set(err, "\"%s\" is no number", s)
		    : 0;
	case T_TEXT:
		free(*(char **)at);
		*(char **)at = xstrdup(s);
		return 0;
	default:
		return read_words(s, type, at, err);
	}
}

static void
texts_clear(struct world_texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i]);
	free(t->v);
	*t = (struct world_texts){ 0 };
}

static void
texts_add(struct world_texts *t, const char *s)
{
	t->v = xrealloc(t->v, (t->n + 1) * sizeof(*t->v));
	t->v[t->n++] = xstrdup(s);
}

static int
read_texts(struct loader *ld, yaml_node_t *node, struct world_texts *out)
{
	texts_clear(out);
	if (node->type != YAML_SEQUENCE_NODE)
		return complain(ld, node, "a list is wanted");
	for (yaml_node_item_t *it = node->data.sequence.items.start;
	     it < node->data.sequence.items.top; it++) {
		const char *s = scalar(node_at(ld, *it));

		if (s == NULL)
			return complain(ld, node, "a list of words is wanted");
		texts_add(out, s);
	}
	return 0;
}

static int
read_value(struct loader *ld, yaml_node_t *node, const struct key *key,
    void *base)
{
	char *at = (char *)base + key->offset;
	struct err why;

	if (key->type == T_CALL)
		return key->call(ld, node, at);
	if (key->type == T_TEXTS)
		return read_texts(ld, node, (struct world_texts *)at);
	if (scalar(node) == NULL)
		return complain(ld, node, "%s: a single value is wanted",
		    key->name);
	if (read_scalar(scalar(node), key->type, at, &why) != 0)
		return complain(ld, node, "%s: %s", key->name, why.text);
	return 0;
}

/* Reads a map by its keys; base is where their offsets count from. */
static int
read_map(struct loader *ld, yaml_node_t *node, const struct key *keys,
    void *base)
{
	if (node->type != YAML_MAPPING_NODE)
		return complain(ld, node, "a map is wanted");
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
	     p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *name = node_at(ld, p->key);
		const struct key *key = keys;

		while (key->name != NULL && scalar(name) != NULL &&
		    strcmp(key->name, scalar(name)) != 0)
			key++;
		if (key->name == NULL || scalar(name) == NULL)
			return complain(ld, name, "unknown key \"%s\"",
			    scalar(name) != NULL ? scalar(name) : "?");
		if (read_value(ld, node_at(ld, p->value), key, base) != 0)
			return -1;
	}
	return 0;
}

/* ---- a provider ---- */

struct step {
	int64_t at_us;
	double factor;
};

/* steps: [{at: 20s, factor: 10%}, ...] */
static int
read_steps(struct loader *ld, yaml_node_t *node, void *base)
{
	static const struct key keys[] = {
		{ "at", T_DURATION, offsetof(struct step, at_us), NULL },
		{ "factor", T_SHARE, offsetof(struct step, factor), NULL },
		{ 0 },
	};
	struct provider_spec *s = base;

	if (node->type != YAML_SEQUENCE_NODE)
		return complain(ld, node, "steps: a list is wanted");
	s->n_steps = 0;
	for (yaml_node_item_t *it = node->data.sequence.items.start;
	     it < node->data.sequence.items.top; it++) {
		yaml_node_t *item = node_at(ld, *it);
		struct step step = { 0, 1 };

		if (read_map(ld, item, keys, &step) != 0)
			return -1;
		if (s->n_steps == PROVIDER_STEPS_MAX)
			return complain(ld, item, "too many steps");
		if (s->n_steps > 0 &&
		    step.at_us <= s->steps[s->n_steps - 1].at_us)
			return complain(ld, item, "steps go back in time");
		s->steps[s->n_steps].at_us = step.at_us;
		s->steps[s->n_steps++].factor = step.factor;
	}
	return 0;
}

struct outage {
	int64_t from_us, to_us;
	enum provider_outage how;
};

static int
read_outages(struct loader *ld, yaml_node_t *node, void *base)
{
	static const struct key keys[] = {
		{ "from", T_DURATION, offsetof(struct outage, from_us), NULL },
		{ "to", T_DURATION, offsetof(struct outage, to_us), NULL },
		{ "how", T_OUTAGE, offsetof(struct outage, how), NULL },
		{ 0 },
	};
	struct provider_spec *s = base;

	if (node->type != YAML_SEQUENCE_NODE)
		return complain(ld, node, "outages: a list is wanted");
	s->n_outages = 0;
	for (yaml_node_item_t *it = node->data.sequence.items.start;
	     it < node->data.sequence.items.top; it++) {
		struct outage o = { 0 };

		if (s->n_outages == PROVIDER_OUTAGES_MAX)
			return complain(ld, node, "too many outages");
		if (read_map(ld, node_at(ld, *it), keys, &o) != 0)
			return -1;
		s->outages[s->n_outages].from_us = o.from_us;
		s->outages[s->n_outages].to_us = o.to_us;
		s->outages[s->n_outages++].how = o.how;
	}
	return 0;
}

#define SPEC(field) offsetof(struct provider_spec, field)

static int
read_tolerance(struct loader *ld, yaml_node_t *node, void *base)
{
	static const struct key keys[] = {
		{ "start", T_NUMBER, SPEC(tolerance.start), NULL },
		{ "floor", T_NUMBER, SPEC(tolerance.floor), NULL },
		{ "max", T_NUMBER, SPEC(tolerance.max), NULL },
		{ "growth", T_SHARE, SPEC(tolerance.growth), NULL },
		{ "shrink", T_SHARE, SPEC(tolerance.shrink), NULL },
		{ "decay", T_SHARE, SPEC(tolerance.decay), NULL },
		{ "used_well", T_SHARE, SPEC(tolerance.used_well), NULL },
		{ "abuse", T_SHARE, SPEC(tolerance.abuse), NULL },
		{ "patience", T_SHARE, SPEC(tolerance.patience), NULL },
		{ 0 },
	};

	return read_map(ld, node, keys, base);
}

static int
read_reputation(struct loader *ld, yaml_node_t *node, void *base)
{
	static const struct key keys[] = {
		{ "start", T_SHARE, SPEC(reputation.start), NULL },
		{ "loss", T_SHARE, SPEC(reputation.loss), NULL },
		{ "gain", T_SHARE, SPEC(reputation.gain), NULL },
		{ "floor", T_SHARE, SPEC(reputation.floor), NULL },
		{ "reject_below", T_SHARE, SPEC(reputation.reject_below),
		    NULL },
		{ "steady", T_DURATION, SPEC(reputation.steady_us), NULL },
		{ 0 },
	};

	((struct provider_spec *)base)->reputation.is_on = true;
	return read_map(ld, node, keys, base);
}

static int
read_greylist(struct loader *ld, yaml_node_t *node, void *base)
{
	static const struct key keys[] = {
		{ "share", T_SHARE, SPEC(greylist.share), NULL },
		{ "delay", T_DURATION, SPEC(greylist.delay_us), NULL },
		{ 0 },
	};

	return read_map(ld, node, keys, base);
}

static int
read_noise(struct loader *ld, yaml_node_t *node, void *base)
{
	static const struct key keys[] = {
		{ "unknown_user", T_SHARE, SPEC(noise.unknown_user), NULL },
		{ "mailbox_full", T_SHARE, SPEC(noise.mailbox_full), NULL },
		{ "content", T_SHARE, SPEC(noise.content), NULL },
		{ "system", T_SHARE, SPEC(noise.system), NULL },
		{ "maintenance", T_SHARE, SPEC(noise.maintenance), NULL },
		{ "reset", T_SHARE, SPEC(noise.reset), NULL },
		{ "lost_reply", T_SHARE, SPEC(noise.lost_reply), NULL },
		{ 0 },
	};

	return read_map(ld, node, keys, base);
}

/* "3ms", or {min, mean, max, command}. */
static int
read_latency(struct loader *ld, yaml_node_t *node, void *base)
{
	static const struct key keys[] = {
		{ "min", T_DURATION, SPEC(latency.min_us), NULL },
		{ "mean", T_DURATION, SPEC(latency.mean_us), NULL },
		{ "max", T_DURATION, SPEC(latency.max_us), NULL },
		{ "command", T_DURATION, SPEC(latency.command_us), NULL },
		{ 0 },
	};
	static const struct key fixed = { "latency", T_DURATION,
		SPEC(latency.min_us), NULL };

	if (scalar(node) != NULL)
		return read_value(ld, node, &fixed, base);
	return read_map(ld, node, keys, base);
}

#define SPEC_KEYS                                                              \
	{ "voice", T_VOICE, SPEC(voice), NULL },                               \
	    { "rate", T_RATE, SPEC(rate), NULL },                              \
	    { "burst", T_NUMBER, SPEC(burst), NULL },                          \
	    { "steps", T_CALL, 0, read_steps },                                \
	    { "steps_period", T_DURATION, SPEC(steps_period_us), NULL },       \
	    { "ramp", T_BOOL, SPEC(is_ramp), NULL },                           \
	    { "rate_phase", T_PHASE, SPEC(rate_phase), NULL },                 \
	    { "connections", T_COUNT, SPEC(connections), NULL },               \
	    { "messages_per_connection", T_COUNT,                              \
		    SPEC(messages_per_connection), NULL },                     \
	    { "recipients_per_message", T_COUNT, SPEC(recipients_per_message), \
		    NULL },                                                    \
	    { "day", T_DURATION, SPEC(day_us), NULL },                         \
	    { "day_limit", T_NUMBER, SPEC(day_limit), NULL },                  \
	    { "tolerance", T_CALL, 0, read_tolerance },                        \
	    { "reputation", T_CALL, 0, read_reputation },                      \
	    { "greylist", T_CALL, 0, read_greylist },                          \
	    { "outages", T_CALL, 0, read_outages },                            \
	    { "noise", T_CALL, 0, read_noise },                                \
	    { "latency", T_CALL, 0, read_latency },                            \
	{                                                                      \
		"demand", T_RATE, SPEC(demand), NULL                           \
	}

static int
check_spec(struct loader *ld, yaml_node_t *node, const struct provider_spec *s)
{
	if (s->day_us < 1)
		return complain(ld, node, "a day can't be 0s long");
	if (s->steps_period_us > 0 && s->n_steps > 0 &&
	    s->steps[s->n_steps - 1].at_us >= s->steps_period_us)
		return complain(ld, node,
		    "steps_period ends before its last step");
	return 0;
}

static int
read_provider(struct loader *ld, const char *name, yaml_node_t *node,
    struct world_provider *p)
{
	static const struct key keys[] = {
		SPEC_KEYS,
		{ "domains", T_TEXTS, offsetof(struct world_provider, domains),
		    NULL },
		{ 0 },
	};

	_Static_assert(offsetof(struct world_provider, spec) == 0,
	    "the spec's keys count from its provider");
	provider_spec_init(&p->spec, name);
	if (voice_find(name) != NULL)
		p->spec.voice = voice_find(name);
	if (read_map(ld, node, keys, p) != 0)
		return -1;
	return check_spec(ld, node, &p->spec);
}

static int
read_providers(struct loader *ld, yaml_node_t *node, void *base)
{
	struct world *w = ld->world;

	(void)base;
	if (node->type != YAML_MAPPING_NODE)
		return complain(ld, node, "providers: a map is wanted");
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
	     p < node->data.mapping.pairs.top; p++) {
		const char *name = scalar(node_at(ld, p->key));

		if (name == NULL)
			return complain(ld, node, "a provider needs a name");
		w->providers = xrealloc(w->providers,
		    (w->n_providers + 1) * sizeof(*w->providers));
		w->providers[w->n_providers] = (struct world_provider){ 0 };
		w->n_providers++;
		if (read_provider(ld, name, node_at(ld, p->value),
			&w->providers[w->n_providers - 1]) != 0)
			return -1;
	}
	return 0;
}

/* ---- listeners ---- */

struct listener_keys {
	struct provider_spec door;
	char *address, *name, *provider;
};

static struct world_listener *
add_listener(struct world *w, const char *address, const char *name)
{
	struct world_listener *l;

	w->listeners = xrealloc(w->listeners,
	    (w->n_listeners + 1) * sizeof(*w->listeners));
	l = &w->listeners[w->n_listeners++];
	*l = (struct world_listener){ .address = xstrdup(address),
		.name = name != NULL ? xstrdup(name)
				     : xasprintf("ip%zu", w->n_listeners),
		.provider = -1 };
	provider_spec_init(&l->door, "(door)");
	return l;
}

static int
resolve_provider(struct loader *ld, yaml_node_t *node, const char *name,
    int *out)
{
	for (size_t i = 0; i < ld->world->n_providers; i++) {
		if (strcmp(ld->world->providers[i].spec.name, name) == 0) {
			*out = (int)i;
			return 0;
		}
	}
	return complain(ld, node,
	    "no provider \"%s\" (providers come before listen)", name);
}

static int
read_listener(struct loader *ld, yaml_node_t *node)
{
	static const struct key keys[] = {
		SPEC_KEYS,
		{ "listen", T_TEXT, offsetof(struct listener_keys, address),
		    NULL },
		{ "name", T_TEXT, offsetof(struct listener_keys, name), NULL },
		{ "provider", T_TEXT, offsetof(struct listener_keys, provider),
		    NULL },
		{ 0 },
	};
	struct listener_keys k = { 0 };
	struct world_listener *l;
	int rc;

	provider_spec_init(&k.door, "(door)");
	rc = read_map(ld, node, keys, &k);
	if (rc == 0)
		rc = check_spec(ld, node, &k.door);
	if (rc == 0) {
		l = add_listener(ld->world,
		    k.address != NULL ? k.address : "127.0.0.1:0", k.name);
		l->door = k.door;
		if (k.provider != NULL)
			rc = resolve_provider(ld, node, k.provider,
			    &l->provider);
	}
	free(k.address);
	free(k.name);
	free(k.provider);
	return rc;
}

/* "127.0.0.1:0", or a list of {listen, name, provider, connections, ...}. */
static int
read_listen(struct loader *ld, yaml_node_t *node, void *base)
{
	(void)base;
	if (scalar(node) != NULL) {
		add_listener(ld->world, scalar(node), NULL);
		return 0;
	}
	if (node->type != YAML_SEQUENCE_NODE)
		return complain(ld, node, "listen: a list is wanted");
	for (yaml_node_item_t *it = node->data.sequence.items.start;
	     it < node->data.sequence.items.top; it++)
		if (read_listener(ld, node_at(ld, *it)) != 0)
			return -1;
	return 0;
}

static int
read_clock(struct loader *ld, yaml_node_t *node, void *base)
{
	static const char *const words[] = { "first_client", "start" };
	struct err why;
	int word = 0;

	(void)base;
	if (scalar(node) == NULL ||
	    read_name(scalar(node), words, 2, &word, &why) != 0)
		return complain(ld, node, "clock: first_client or start");
	ld->world->starts_at_once = word == 1;
	return 0;
}

static int
read_tls(struct loader *ld, yaml_node_t *node, void *base)
{
	static const struct key keys[] = {
		{ "certificate", T_TEXT, offsetof(struct world, certificate),
		    NULL },
		{ "key", T_TEXT, offsetof(struct world, key), NULL },
		{ "required", T_BOOL, offsetof(struct world, needs_tls), NULL },
		{ 0 },
	};

	if (read_map(ld, node, keys, base) != 0)
		return -1;
	if (ld->world->certificate == NULL || ld->world->key == NULL)
		return complain(ld, node, "tls: certificate and key");
	return 0;
}

/* ---- the whole ---- */

static const struct key world_keys[] = {
	{ "seed", T_U64, offsetof(struct world, seed), NULL },
	{ "clock", T_CALL, 0, read_clock },
	{ "duration", T_DURATION, offsetof(struct world, duration_us), NULL },
	{ "report", T_DURATION, offsetof(struct world, interval_us), NULL },
	{ "size", T_SIZE, offsetof(struct world, size_bytes), NULL },
	{ "ehlo", T_TEXTS, offsetof(struct world, ehlo), NULL },
	{ "tls", T_CALL, 0, read_tls },
	{ "listen", T_CALL, 0, read_listen },
	{ "providers", T_CALL, 0, read_providers },
	{ 0 },
};

static void
world_init(struct world *w)
{
	static const char *const ehlo[] = { "PIPELINING", "8BITMIME",
		"SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "SIZE 52428800" };

	*w = (struct world){
		.seed = 1, .interval_us = 1000000, .size_bytes = 50 << 20
	};
	for (size_t i = 0; i < sizeof(ehlo) / sizeof(ehlo[0]); i++)
		texts_add(&w->ehlo, ehlo[i]);
}

static void
world_complete(struct world *w)
{
	if (w->n_providers == 0) {
		w->providers = xcalloc(1, sizeof(*w->providers));
		w->n_providers = 1;
		provider_spec_init(&w->providers[0].spec, "any");
		texts_add(&w->providers[0].domains, "*");
	}
	if (w->n_listeners == 0)
		add_listener(w, "127.0.0.1:0", NULL);
	/* Alone, it answers from the banner on. */
	for (size_t i = 0; w->n_providers == 1 && i < w->n_listeners; i++)
		w->listeners[i].provider = 0;
}

void
world_init_default(struct world *w)
{
	world_init(w);
	world_complete(w);
}

static int
load_document(struct loader *ld, FILE *f)
{
	yaml_parser_t parser;
	int rc = 0;

	yaml_parser_initialize(&parser);
	yaml_parser_set_input_file(&parser, f);
	if (!yaml_parser_load(&parser, &ld->doc)) {
		rc = err_set(ld->err, "%s:%zu:%zu: %s", ld->path,
		    parser.problem_mark.line + 1,
		    parser.problem_mark.column + 1, parser.problem);
	} else {
		yaml_node_t *root = yaml_document_get_root_node(&ld->doc);

		if (root != NULL)
			rc = read_map(ld, root, world_keys, ld->world);
		yaml_document_delete(&ld->doc);
	}
	yaml_parser_delete(&parser);
	return rc;
}

int
world_load(struct world *w, const char *path, struct err *err_out)
{
	struct loader ld = { .path = path, .err = err_out, .world = w };
	FILE *f = fopen(path, "r");
	int rc;

	if (f == NULL)
		return err_sys(err_out, "%s", path);
	world_init(w);
	rc = load_document(&ld, f);
	fclose(f);
	if (rc == 0)
		world_complete(w);
	else
		world_fini(w);
	return rc;
}

void
world_fini(struct world *w)
{
	texts_clear(&w->ehlo);
	for (size_t i = 0; i < w->n_listeners; i++) {
		free(w->listeners[i].address);
		free(w->listeners[i].name);
	}
	for (size_t i = 0; i < w->n_providers; i++)
		texts_clear(&w->providers[i].domains);
	free(w->listeners);
	free(w->providers);
	free(w->certificate);
	free(w->key);
	*w = (struct world){ 0 };
}

int
world_find_provider(const struct world *w, const char *mailbox)
{
	const char *at = strrchr(mailbox, '@');
	const char *domain = at != NULL ? at + 1 : "";
	int other = -1;

	for (size_t i = 0; i < w->n_providers; i++) {
		const struct world_provider *p = &w->providers[i];

		for (size_t d = 0; d < p->domains.n; d++) {
			if (strcasecmp(p->domains.v[d], domain) == 0)
				return (int)i;
			if (strcmp(p->domains.v[d], "*") == 0 && other < 0)
				other = (int)i;
		}
	}
	return other;
}
