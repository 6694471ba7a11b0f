/* SPDX-License-Identifier: ISC */
/*
 * Reads a Redis URL. The key table calls it to check what the operator wrote,
 * the link to connect. Nothing is looked up here: a name stays a name.
 *
 * Whoever comes from another client wrote another dialect, or a password into
 * the URL: each of these is told by itself, with what to write instead.
 */
#include "conf/redis_url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "conf/base/address.h"
#include "conf/base/nearest.h"
#include "conf/base/xalloc.h"

#define PORT_REDIS    6379
#define PORT_SENTINEL 26379

static const struct scheme {
	const char *name;
	enum redis_place place;
	bool is_tls;
	const char *instead; /* another client's word for it */
} schemes[] = {
	{ "redis", REDIS_AT_HOST, false, NULL },
	{ "rediss", REDIS_AT_HOST, true, NULL },
	{ "unix", REDIS_AT_SOCKET, false, NULL },
	{ "redis-sentinel", REDIS_AT_SENTINELS, false, NULL },
	{ "rediss-sentinel", REDIS_AT_SENTINELS, true, NULL },
	{ "redis-socket", 0, false, "unix:///PATH" },
	{ "redis+socket", 0, false, "unix:///PATH" },
	{ "redis+unix", 0, false, "unix:///PATH" },
	{ "sentinel", 0, false, "redis-sentinel://HOST,HOST#NAME" },
	{ "redis+sentinel", 0, false, "redis-sentinel://HOST,HOST#NAME" },
	{ "valkey", 0, false, "redis://HOST" },
	{ "tcp", 0, false, "redis://HOST" },
	{ "tls", 0, false, "rediss://HOST" },
};
#define N_SCHEMES (sizeof(schemes) / sizeof(schemes[0]))

static const char *
scheme_name(size_t i, const void *arg)
{
	(void)arg;
	return schemes[i].name;
}

static int
find_scheme(const char *text, const char *colon, const struct scheme **out,
    struct err *err_out)
{
	char *name = colon != NULL ? xstrndup(text, (size_t)(colon - text))
				   : xstrdup("");
	const char *near;

	*out = NULL;
	for (size_t i = 0; i < N_SCHEMES; i++)
		if (strcasecmp(schemes[i].name, name) == 0)
			*out = &schemes[i];
	near = *name != '\0' ? nearest_name(name, scheme_name, NULL, 5) : NULL;
	free(name);
	if (*out != NULL && (*out)->instead == NULL)
		return 0;
	if (*out != NULL)
		return err_set(err_out, "write %s here", (*out)->instead);
	if (near != NULL)
		return err_set(err_out, "did you mean %s://?", near);
	return err_set(err_out,
	    "is no Redis URL; write redis://HOST:PORT/DATABASE, "
	    "rediss://HOST:PORT/DATABASE, unix:///PATH?db=DATABASE or "
	    "redis-sentinel://HOST,HOST/DATABASE#NAME");
}

/* Takes %XX for what it means. NULL: it isn't text. */
static char *
decode(const char *from, const char *to)
{
	char *out = xmalloc((size_t)(to - from) + 1), *p = out;

	for (; from < to; from++) {
		char hex[3] = { 0 };

		if (*from != '%') {
			*p++ = *from;
			continue;
		}
		if (to - from < 3 || !isxdigit((unsigned char)from[1]) ||
		    !isxdigit((unsigned char)from[2])) {
			free(out);
			return NULL;
		}
		memcpy(hex, from + 1, 2);
		*p++ = (char)strtoul(hex, NULL, 16);
		from += 2;
		if (p[-1] == '\0') {
			free(out);
			return NULL;
		}
	}
	*p = '\0';
	return out;
}

static int
parse_user(const char *from, const char *to, struct redis_url *out,
    struct err *err_out)
{
	if (memchr(from, ':', (size_t)(to - from)) != NULL)
		return err_set(err_out,
		    "a password doesn't stand in this file: put it into one "
		    "of its own, and name that by password_file");
	if (from == to)
		return 0;
	out->user = decode(from, to);
	if (out->user == NULL)
		return err_set(err_out, "\"%.*s\" is no user's name",
		    (int)(to - from), from);
	return 0;
}

static int
parse_database(const char *text, struct redis_url *out, struct err *err_out)
{
	char *end;
	unsigned long n;

	if (*text == '\0')
		return 0;
	n = isdigit((unsigned char)*text) ? strtoul(text, &end, 10)
					  : REDIS_DATABASE_MAX + 1;
	if (n > REDIS_DATABASE_MAX || *end != '\0')
		return err_set(err_out, "\"%.40s\" is no database's number%s",
		    text,
		    out->place == REDIS_AT_SENTINELS
			? "; what the Sentinels call it goes behind #"
			: "");
	out->database = (unsigned)n;
	return 0;
}

static bool
is_ip(int family, const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(family, host, address) == 1;
}

/* "HOST", "HOST:PORT", "[ADDRESS]:PORT". */
static int
parse_host(const char *from, const char *to, uint16_t port,
    struct conf_endpoint *out, struct err *err_out)
{
	char *text = xstrndup(from, (size_t)(to - from));
	char domain[ADDRESS_DOMAIN_MAX + 1];
	bool has_brackets = text[0] == '[';
	char *close = has_brackets ? strchr(text, ']') : NULL;
	char *colon = has_brackets ? (close != NULL ? close + 1 : NULL)
				   : strchr(text, ':');
	char *host = text + has_brackets, *end;
	unsigned long n = port;
	int rc = -1;

	if (colon != NULL && *colon != '\0') {
		n = *colon == ':' && isdigit((unsigned char)colon[1])
		    ? strtoul(colon + 1, &end, 10)
		    : 0;
		if (n == 0 || n > 65535 || *end != '\0') {
			err_set(err_out,
			    "\"%.80s\" has no port from 1 to 65535", text);
			goto out;
		}
		*colon = '\0';
	}
	if (close != NULL)
		*close = '\0';
	if (has_brackets
		? close == NULL || !is_ip(AF_INET6, host)
		: !is_ip(AF_INET, host) && domain_normalise(host, domain) < 0) {
		err_set(err_out, "\"%.*s\" is no host", (int)(to - from), from);
		goto out;
	}
	out->host = xstrdup(host);
	out->port = (uint16_t)n;
	out->text = has_brackets ? xasprintf("[%s]:%lu", host, n)
				 : xasprintf("%s:%lu", host, n);
	rc = 0;
out:
	free(text);
	return rc;
}

static int
parse_hosts(const char *from, const char *to, struct redis_url *out,
    struct err *err_out)
{
	bool is_many = out->place == REDIS_AT_SENTINELS;

	while (from <= to) {
		const char *comma = memchr(from, ',', (size_t)(to - from));
		const char *end = comma != NULL ? comma : to;

		if (comma != NULL && !is_many)
			return err_set(err_out,
			    "names one server. Sentinels are "
			    "redis-sentinel://HOST,HOST#NAME; Redis Cluster "
			    "isn't spoken: one server with Sentinels bears "
			    "what relays ask");
		if (out->n_hosts == REDIS_SENTINELS_MAX)
			return err_set(err_out, "names more than %d Sentinels",
			    REDIS_SENTINELS_MAX);
		if (parse_host(from, end, is_many ? PORT_SENTINEL : PORT_REDIS,
			&out->hosts[out->n_hosts], err_out) < 0)
			return -1;
		out->n_hosts++;
		from = end + 1;
	}
	return 0;
}

static int
parse_servers(const char *rest, struct redis_url *out, struct err *err_out)
{
	const char *end = rest + strcspn(rest, "/?#");
	const char *name = strchr(end, '#');
	char *database;
	int rc;

	if (parse_hosts(rest, end, out, err_out) < 0)
		return -1;
	if (strchr(end, '?') != NULL)
		return err_set(err_out,
		    "takes no options behind \"?\"; they are keys of cluster");
	if (out->place == REDIS_AT_SENTINELS && (name == NULL || !name[1]))
		return err_set(err_out,
		    "lacks what the Sentinels call the server: write "
		    "#mymaster at its end");
	if (out->place != REDIS_AT_SENTINELS && name != NULL)
		return err_set(err_out, "has a \"#\": only Sentinels need one");
	if (name != NULL)
		out->name = decode(name + 1, name + strlen(name));
	if (name != NULL && out->name == NULL)
		return err_set(err_out, "\"%.80s\" is no name", name + 1);
	if (*end != '/')
		return 0;
	database = xstrndup(end + 1, strcspn(end + 1, "#"));
	rc = parse_database(database, out, err_out);
	free(database);
	return rc;
}

static int
parse_socket(const char *rest, struct redis_url *out, struct err *err_out)
{
	const char *end = rest + strcspn(rest, "?#");

	if (*rest != '/')
		return err_set(err_out,
		    "a socket's path is absolute: unix:///run/redis/"
		    "redis.sock (three slashes)");
	out->path = decode(rest, end);
	if (out->path == NULL ||
	    strlen(out->path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(err_out, "\"%.120s\" is no socket's path", rest);
	if (*end == '\0')
		return 0;
	if (strncmp(end, "?db=", 4) != 0)
		return err_set(err_out, "only ?db=NUMBER may follow the path");
	return parse_database(end + 4, out, err_out);
}

int
redis_url_parse(const char *text, struct redis_url *out, struct err *err_out)
{
	const char *colon = strstr(text, "://");
	const struct scheme *scheme;
	const char *rest, *at;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (find_scheme(text, colon, &scheme, err_out) < 0)
		return -1;
	out->place = scheme->place;
	out->is_tls = scheme->is_tls;
	rest = colon + 3;
	/* Of a socket, what stands before the path. A password with a "/" in
	 * it comes out as a password, not as a strange host. */
	at = strrchr(rest, '@');
	if (at != NULL && (scheme->place != REDIS_AT_SOCKET || *rest != '/')) {
		rc = parse_user(rest, at, out, err_out);
		rest = at + 1;
	}
	if (rc == 0 && scheme->place == REDIS_AT_SOCKET)
		rc = parse_socket(rest, out, err_out);
	else if (rc == 0)
		rc = parse_servers(rest, out, err_out);
	if (rc < 0)
		redis_url_fini(out);
	return rc;
}

void
redis_url_fini(struct redis_url *url)
{
	for (size_t i = 0; i < url->n_hosts; i++) {
		free(url->hosts[i].text);
		free(url->hosts[i].host);
	}
	free(url->path);
	free(url->user);
	free(url->name);
	memset(url, 0, sizeof(*url));
}
