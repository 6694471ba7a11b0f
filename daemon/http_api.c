/* SPDX-License-Identifier: ISC */
/*
 * From paths below /api/ to commands of the admin socket that only read; their
 * answers are the JSON. Called by http.c.
 *
 * The subtle rule: a path becomes part of a command's line, so only what can
 * stand in a name gets there, and it must name something: some commands would
 * make a lane for a name that nobody has used yet.
 */
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "daemon/http_private.h"

#define NAME_MAX_BYTES 512

/* Names of routes, providers, sites: a word without blanks or quotes. */
static bool
is_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAME_MAX_BYTES)
		return false;
	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char)*p < 0x80 &&
		    strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY"
			   "Z0123456789-._:/@()+",
			*p) == NULL)
			return false;
	return true;
}

static void
compare_plan(const struct plan_view *p, void *arg)
{
	const char **name = arg;

	if (*name != NULL && strcmp(p->name, *name) == 0)
		*name = NULL; /* found */
}

static bool
is_lane(struct governor *g, const char *name)
{
	struct lane_view l;

	return sched_lane_get(governor_sched(g), name, clock_mono_us(), &l);
}

static bool
is_plan(struct governor *g, const char *name)
{
	const char *sought = name;

	if (is_lane(g, name))
		return true;
	sched_plans_each(governor_sched(g), clock_mono_us(), compare_plan,
	    &sought);
	return sought == NULL;
}

/* "90m" of since=90m; a day where it isn't given, "" where it is none. */
static void
since_of(const struct evhttp_uri *uri, char out[32])
{
	const char *query = evhttp_uri_get_query(uri);
	struct evkeyvalq pairs;
	const char *since;

	snprintf(out, 32, "24h");
	if (query == NULL || evhttp_parse_query_str(query, &pairs) < 0)
		return;
	since = evhttp_find_header(&pairs, "since");
	if (since != NULL)
		snprintf(out, 32, "%s",
		    strlen(since) < 20 && is_name(since) ? since : "");
	evhttp_clear_headers(&pairs);
}

/* `rest` is what stands behind "lanes/". */
static bool
lane_command(struct governor *g, char *rest, const struct evhttp_uri *uri,
    char line[HTTP_COMMAND_MAX])
{
	static const char history[] = "/history";
	size_t len = strlen(rest);
	char since[32];

	if (len > sizeof(history) &&
	    strcmp(rest + len - (sizeof(history) - 1), history) == 0) {
		rest[len - (sizeof(history) - 1)] = '\0';
		since_of(uri, since);
		if (*since == '\0' || !is_name(rest))
			return false;
		snprintf(line, HTTP_COMMAND_MAX, "history %s since %s", rest,
		    since);
		return true;
	}
	if (!is_name(rest) || !is_lane(g, rest))
		return false;
	snprintf(line, HTTP_COMMAND_MAX, "lane %s", rest);
	return true;
}

static bool
command_of(struct governor *g, char *path, const struct evhttp_uri *uri,
    char line[HTTP_COMMAND_MAX])
{
	static const char *const plain[] = { "status", "lanes", "plans",
		"providers", "version" };

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (strcmp(path, plain[i]) == 0) {
			snprintf(line, HTTP_COMMAND_MAX, "%s", path);
			return true;
		}
	if (strncmp(path, "lanes/", 6) == 0)
		return lane_command(g, path + 6, uri, line);
	if (strncmp(path, "plans/", 6) == 0 && is_name(path + 6) &&
	    is_plan(g, path + 6)) {
		snprintf(line, HTTP_COMMAND_MAX, "plan %s", path + 6);
		return true;
	}
	return false;
}

bool
http_api_command(struct governor *g, const struct evhttp_uri *uri,
    char line[HTTP_COMMAND_MAX])
{
	const char *path = evhttp_uri_get_path(uri);
	size_t len;
	char *decoded = evhttp_uridecode(path + strlen("/api/"), 0, &len);
	bool is_known;

	if (decoded == NULL)
		abort(); /* out of memory */
	is_known = strlen(decoded) == len && command_of(g, decoded, uri, line);
	free(decoded);
	return is_known;
}
