/* SPDX-License-Identifier: ISC */
/*
 * From a file to a snapshot: the text becomes a tree, the built-in providers
 * and plans are read first and the operator's keys over them, what is absent
 * is filled in, and the rules look at the whole. Called at start, at a reload
 * and by the tools; nothing is kept between calls.
 *
 * All mistakes are gathered, and with one there is no snapshot at all.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "conf/conf_private.h"
#include "conf/keys.h"
#include "conf/rules.h"

static const char providers_yaml[] =
#include "providers.inc"
    ;

/* Ready-made plans: the keys of one plan each. */
static const struct {
	const char *name;
	const char *text;
} plans_yaml[] = {
#include "plans.inc"
};

/* Mail of this machine alone, so nothing is open by accident. */
static const char listeners_yaml[] = "listeners:\n"
				     "  - listen: 127.0.0.1:2525\n"
				     "    tls: none\n"
				     "    auth: none\n"
				     "    trusted: [127.0.0.0/8, \"::1\"]\n";

/* Reads one more tree into the snapshot; the root isn't filled up. */
static void
read_builtin(struct reader *r, struct conf *conf, const char *name,
    const char *text, size_t len)
{
	struct node *root = tree_parse(name, text, len, r->mistakes);

	if (root == NULL)
		return;
	section_read_given(r, &section_conf, root, conf);
	node_free(root);
}

static void
read_builtin_plan(struct reader *r, struct conf *conf, const char *name,
    const char *text)
{
	struct node *plan = tree_parse(name, text, strlen(text), r->mistakes);
	struct node plans = { .kind = NODE_MAP, .v = &plan, .n = 1 };
	struct node *plans_ref = &plans;
	struct node root = { .kind = NODE_MAP, .v = &plans_ref, .n = 1 };

	if (plan == NULL)
		return;
	plan->key = xstrdup(name);
	plan->key_at = plan->at;
	plans.key = (char *)(uintptr_t) "plans";
	section_read_given(r, &section_conf, &root, conf);
	node_free(plan);
}

/* What a provider claims, as text to compare. */
static char *
claims_of(const struct conf_provider *p)
{
	struct strbuf text = { 0 };

	for (size_t i = 0; i < p->domains.n; i++)
		strbuf_addf(&text, "%s ", p->domains.v[i]);
	strbuf_addc(&text, '/');
	for (size_t i = 0; i < p->mx.n; i++)
		strbuf_addf(&text, "%s ", p->mx.v[i]);
	return strbuf_take(&text);
}

/* A built-in provider whose claims the operator changed is the operator's:
 * then it goes before what others claim. */
static void
read_over_builtin(struct reader *r, struct conf *conf, struct node *root)
{
	size_t n = conf->n_providers;
	char **before = xcalloc(n + 1, sizeof(*before));

	for (size_t i = 0; i < n; i++)
		before[i] = claims_of(&conf->providers[i]);
	section_read(r, &section_conf, root, conf);
	for (size_t i = 0; i < n; i++) {
		char *after = claims_of(&conf->providers[i]);

		conf->providers[i].is_builtin = strcmp(before[i], after) == 0;
		free(after);
		free(before[i]);
	}
	free(before);
}

static void
put_other_last(struct conf *conf)
{
	size_t last = conf->n_providers - 1, i = 0;
	struct conf_provider other;

	assert(conf->n_providers > 0); /* `other` is built in */
	while (i < last && strcmp(conf->providers[i].name, "other") != 0)
		i++;
	other = conf->providers[i];
	memmove(&conf->providers[i], &conf->providers[i + 1],
	    (last - i) * sizeof(other));
	other.is_other = true;
	conf->providers[last] = other;
}

static void
add_default_stream(struct conf *conf)
{
	struct conf_stream st = { .priority = PRIORITY_NORMAL, .weight = 1 };

	st.name = xstrdup("default");
	conf->streams =
	    xrealloc(conf->streams, (conf->n_streams + 1) * sizeof(st));
	conf->streams[conf->n_streams++] = st;
}

static void
put_default_last(struct conf *conf)
{
	size_t i = 0;
	struct conf_stream st;

	while (i < conf->n_streams &&
	    strcmp(conf->streams[i].name, "default") != 0)
		i++;
	if (i == conf->n_streams) {
		add_default_stream(conf);
		return;
	}
	st = conf->streams[i];
	memmove(&conf->streams[i], &conf->streams[i + 1],
	    (conf->n_streams - 1 - i) * sizeof(st));
	conf->streams[conf->n_streams - 1] = st;
}

/* Streams that name no routes have them all. */
static void
fill_stream_routes(struct conf *conf)
{
	for (size_t i = 0; i < conf->n_streams; i++) {
		struct conf_names *routes = &conf->streams[i].routes;

		if (routes->n > 0)
			continue;
		free(routes->v);
		routes->v = xcalloc(conf->n_routes + 1, sizeof(*routes->v));
		for (; routes->n < conf->n_routes; routes->n++)
			routes->v[routes->n] =
			    xstrdup(conf->routes[routes->n].name);
	}
}

static void
name_cluster_node(struct conf *conf)
{
	if (!conf->cluster.is_given || conf->cluster.name[0] != '\0')
		return;
	free(conf->cluster.name);
	conf->cluster.name = xstrdup(conf->daemon.hostname);
}

static void
read_all(struct reader *r, struct conf *conf, struct node *root)
{
	read_builtin(r, conf, "providers.yaml (built in)", providers_yaml,
	    sizeof(providers_yaml) - 1);
	for (size_t i = 0; i < sizeof(plans_yaml) / sizeof(plans_yaml[0]); i++)
		read_builtin_plan(r, conf, plans_yaml[i].name,
		    plans_yaml[i].text);
	read_over_builtin(r, conf, root);
	if (node_member(root, "listeners") == NULL)
		read_builtin(r, conf, "listeners (built in)", listeners_yaml,
		    sizeof(listeners_yaml) - 1);
	put_other_last(conf);
	put_default_last(conf);
	fill_stream_routes(conf);
	for (size_t i = 0; i < conf->n_plans; i++)
		if (conf->plans[i].window_to_us == 0)
			conf->plans[i].window_to_us = conf->plans[i].day_us;
	name_cluster_node(conf);
	rules_check(conf, root, r->mistakes);
}

struct conf *
conf_load_text(const char *name, const char *text, size_t len,
    struct strbuf *errors_out)
{
	struct mistakes mistakes = { 0 };
	struct reader r = { .mistakes = &mistakes, .with_defaults = true };
	struct conf *conf = conf_new(name);
	struct node *root = tree_parse(conf->file, text, len, &mistakes);

	if (root != NULL && root->kind == NODE_MAP)
		read_all(&r, conf, root);
	else if (root != NULL)
		mistakes_add(&mistakes, root->at, "",
		    "must be a map of sections, not %s",
		    node_kind_name(root->kind));
	if (mistakes.n > 0) {
		mistakes_write(&mistakes, errors_out);
		conf_unref(conf);
		conf = NULL;
	}
	node_free(root);
	strbuf_fini(&r.path);
	mistakes_fini(&mistakes);
	return conf;
}

/* Reads at most a byte more than is allowed; the parser then says so. */
static int
read_file(const char *file, struct strbuf *out)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t got = 0;
	int saved;

	if (fd < 0)
		return -1;
	while (out->len <= TREE_BYTES_MAX) {
		strbuf_reserve(out, 65536);
		got = read(fd, out->data + out->len, 65536);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		out->len += (size_t)got;
	}
	saved = errno;
	close(fd);
	errno = saved;
	return got < 0 ? -1 : 0;
}

struct conf *
conf_load(const char *file, struct strbuf *errors_out)
{
	struct strbuf text = { 0 };
	struct conf *conf = NULL;

	if (read_file(file, &text) < 0)
		strbuf_addf(errors_out, "%s: can't be read: %s\n", file,
		    strerror(errno));
	else
		conf = conf_load_text(file, text.data ? text.data : "",
		    text.len, errors_out);
	strbuf_fini(&text);
	return conf;
}
