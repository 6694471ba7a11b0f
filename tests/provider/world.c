/* SPDX-License-Identifier: ISC */
/*
 * The grammar of a world file: which keys there are and where they go. Reading
 * itself is world_yaml.c's. The first mistake ends it: this is a file for
 * developers, not for operators.
 */
#include "tests/provider/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/base/xalloc.h"
#include "tests/provider/voice.h"
#include "tests/provider/world_yaml.h"

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
		return yaml_complain(ld, node, "steps: a list is wanted");
	s->n_steps = 0;
	for (yaml_node_item_t *it = node->data.sequence.items.start;
	     it < node->data.sequence.items.top; it++) {
		yaml_node_t *item = yaml_node_at(ld, *it);
		struct step step = { 0, 1 };

		if (yaml_read_map(ld, item, keys, &step) != 0)
			return -1;
		if (s->n_steps == PROVIDER_STEPS_MAX)
			return yaml_complain(ld, item, "too many steps");
		if (s->n_steps > 0 &&
		    step.at_us <= s->steps[s->n_steps - 1].at_us)
			return yaml_complain(ld, item, "steps go back in time");
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
		return yaml_complain(ld, node, "outages: a list is wanted");
	s->n_outages = 0;
	for (yaml_node_item_t *it = node->data.sequence.items.start;
	     it < node->data.sequence.items.top; it++) {
		struct outage o = { 0 };

		if (s->n_outages == PROVIDER_OUTAGES_MAX)
			return yaml_complain(ld, node, "too many outages");
		if (yaml_read_map(ld, yaml_node_at(ld, *it), keys, &o) != 0)
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

	return yaml_read_map(ld, node, keys, base);
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
	return yaml_read_map(ld, node, keys, base);
}

static int
read_greylist(struct loader *ld, yaml_node_t *node, void *base)
{
	static const struct key keys[] = {
		{ "share", T_SHARE, SPEC(greylist.share), NULL },
		{ "delay", T_DURATION, SPEC(greylist.delay_us), NULL },
		{ 0 },
	};

	return yaml_read_map(ld, node, keys, base);
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

	return yaml_read_map(ld, node, keys, base);
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

	if (yaml_scalar(node) != NULL)
		return yaml_read_value(ld, node, &fixed, base);
	return yaml_read_map(ld, node, keys, base);
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
		return yaml_complain(ld, node, "a day can't be 0s long");
	if (s->steps_period_us > 0 && s->n_steps > 0 &&
	    s->steps[s->n_steps - 1].at_us >= s->steps_period_us)
		return yaml_complain(ld, node,
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
	if (yaml_read_map(ld, node, keys, p) != 0)
		return -1;
	return check_spec(ld, node, &p->spec);
}

static int
read_providers(struct loader *ld, yaml_node_t *node, void *base)
{
	struct world *w = ld->world;

	(void)base;
	if (node->type != YAML_MAPPING_NODE)
		return yaml_complain(ld, node, "providers: a map is wanted");
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
	     p < node->data.mapping.pairs.top; p++) {
		const char *name = yaml_scalar(yaml_node_at(ld, p->key));

		if (name == NULL)
			return yaml_complain(ld, node,
			    "a provider needs a name");
		w->providers = xrealloc(w->providers,
		    (w->n_providers + 1) * sizeof(*w->providers));
		w->providers[w->n_providers] = (struct world_provider){ 0 };
		w->n_providers++;
		if (read_provider(ld, name, yaml_node_at(ld, p->value),
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
	return yaml_complain(ld, node,
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
	rc = yaml_read_map(ld, node, keys, &k);
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
	if (yaml_scalar(node) != NULL) {
		add_listener(ld->world, yaml_scalar(node), NULL);
		return 0;
	}
	if (node->type != YAML_SEQUENCE_NODE)
		return yaml_complain(ld, node, "listen: a list is wanted");
	for (yaml_node_item_t *it = node->data.sequence.items.start;
	     it < node->data.sequence.items.top; it++)
		if (read_listener(ld, yaml_node_at(ld, *it)) != 0)
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
	if (yaml_scalar(node) == NULL ||
	    yaml_read_word(yaml_scalar(node), words, 2, &word, &why) != 0)
		return yaml_complain(ld, node, "clock: first_client or start");
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

	if (yaml_read_map(ld, node, keys, base) != 0)
		return -1;
	if (ld->world->certificate == NULL || ld->world->key == NULL)
		return yaml_complain(ld, node, "tls: certificate and key");
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
			rc = yaml_read_map(ld, root, world_keys, ld->world);
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
