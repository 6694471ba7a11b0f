/* SPDX-License-Identifier: ISC */
/*
 * Logging in to a Redis, and what its errors mean: everything that is said in
 * words by the server is read here. Called by the link and its subscription.
 *
 * A wrong password and a Redis Cluster don't mend themselves: they are told
 * apart, so that the link asks seldom and the operator is told what to do.
 */
#include "daemon/redis_login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Scripts that read TIME and write: by their effects since 5.0. */
#define MAJOR_MIN 5

/* ---- what errors mean ---- */

static const struct {
	const char *word;
	struct redis_error error;
} errors[] = {
	{ "NOSCRIPT", { REDIS_UNSENT, REDIS_ERROR_SCRIPT } },
	{ "OOM", { REDIS_FULL, REDIS_ERROR_KEEP } },
	{ "MISCONF", { REDIS_UNSENT, REDIS_ERROR_KEEP } },
	{ "NOREPLICAS", { REDIS_UNSENT, REDIS_ERROR_KEEP } },
	{ "BUSY", { REDIS_UNSENT, REDIS_ERROR_KEEP } },
	{ "NOPERM", { REDIS_UNSENT, REDIS_ERROR_KEEP } },
	{ "TRYAGAIN", { REDIS_UNSENT, REDIS_ERROR_KEEP } },
	{ "CROSSSLOT", { REDIS_UNSENT, REDIS_ERROR_KEEP } },
	{ "READONLY", { REDIS_UNSENT, REDIS_ERROR_MOVE } },
	{ "LOADING", { REDIS_UNSENT, REDIS_ERROR_MOVE } },
	{ "MASTERDOWN", { REDIS_UNSENT, REDIS_ERROR_MOVE } },
	{ "NOAUTH", { REDIS_UNSENT, REDIS_ERROR_MOVE } },
	{ "WRONGPASS", { REDIS_UNSENT, REDIS_ERROR_MOVE } },
	{ "MOVED", { REDIS_UNSENT, REDIS_ERROR_MOVE } },
	{ "ASK", { REDIS_UNSENT, REDIS_ERROR_MOVE } },
	{ "CLUSTERDOWN", { REDIS_UNSENT, REDIS_ERROR_MOVE } },
};

static bool
has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	return strncmp(text, word, len) == 0 &&
	    (text[len] == '\0' || text[len] == ' ');
}

struct redis_error
redis_error_classify(const char *text)
{
	struct redis_error other = { REDIS_FAILED, REDIS_ERROR_KEEP };

	/* Before 7.0 what stopped a script stood inside: "ERR Error running
	 * script (call to f_..): @user_script:1: -OOM command not allowed". */
	if (has_word(text, "ERR") && strstr(text, "running script") != NULL &&
	    strstr(text, ": -") != NULL)
		text = strstr(text, ": -") + 3;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (has_word(text, errors[i].word))
			return errors[i].error;
	return other;
}

/* ---- logging in ---- */

static void
say(struct redis_login *l, struct redis_conn *c, enum redis_login_step step,
    const char *const *words)
{
	l->steps[l->n_steps++] = step;
	redis_conn_say(c, words);
}

void
redis_login_begin(struct redis_login *l, struct redis_conn *c,
    const struct redis_url *url, const char *password, const char *name,
    bool is_listener)
{
	char database[16], node[300];

	memset(l, 0, sizeof(*l));
	l->user = url->user;
	l->has_password = password[0] != '\0';
	if (l->has_password && url->user != NULL)
		say(l, c, LOGIN_AUTH,
		    (const char *const[]){ "AUTH", url->user, password, NULL });
	else if (l->has_password)
		say(l, c, LOGIN_AUTH,
		    (const char *const[]){ "AUTH", password, NULL });
	snprintf(database, sizeof(database), "%u", url->database);
	if (url->database != 0 && !is_listener)
		say(l, c, LOGIN_SELECT,
		    (const char *const[]){ "SELECT", database, NULL });
	snprintf(node, sizeof(node), "flyball:%s", name);
	say(l, c, LOGIN_NAME,
	    (const char *const[]){ "CLIENT", "SETNAME", node, NULL });
	if (!is_listener)
		say(l, c, LOGIN_INFO, (const char *const[]){ "INFO", NULL });
}

/* A line "name:value" of INFO; "" when it isn't there. */
static void
info_value(const char *info, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);
	const char *p = info;

	out[0] = '\0';
	while (p != NULL && !(strncmp(p, name, len) == 0 && p[len] == ':')) {
		p = strchr(p, '\n');
		p = p != NULL ? p + 1 : NULL;
	}
	if (p != NULL)
		snprintf(out, size, "%.*s", (int)strcspn(p + len + 1, "\r\n"),
		    p + len + 1);
}

static bool
info_is(const char *info, const char *name, const char *wanted)
{
	char value[32];

	info_value(info, name, value, sizeof(value));
	return strcmp(value, wanted) == 0;
}

static enum redis_login_result
judge_info(const char *info, struct redis_facts *facts, char *why, size_t size)
{
	info_value(info, "redis_version", facts->version,
	    sizeof(facts->version));
	info_value(info, "run_id", facts->run_id, sizeof(facts->run_id));
	info_value(info, "maxmemory_policy", facts->policy,
	    sizeof(facts->policy));
	if (info_is(info, "redis_mode", "cluster")) {
		snprintf(why, size,
		    "is a Redis Cluster, which isn't spoken: name a single "
		    "server or Sentinels");
		return REDIS_LOGIN_WRONG;
	}
	if (info_is(info, "redis_mode", "sentinel")) {
		snprintf(why, size,
		    "is a Sentinel: write redis-sentinel://...#NAME");
		return REDIS_LOGIN_WRONG;
	}
	if (facts->version[0] != '\0' && atoi(facts->version) < MAJOR_MIN) {
		snprintf(why, size, "is Redis %s; at least %d.0 is needed",
		    facts->version, MAJOR_MIN);
		return REDIS_LOGIN_WRONG;
	}
	if (info_is(info, "loading", "1")) {
		snprintf(why, size, "still loads its data");
		return REDIS_LOGIN_REFUSED;
	}
	if (info_is(info, "role", "slave")) {
		snprintf(why, size,
		    "is a replica, where nothing can be written: name its "
		    "master, or Sentinels");
		return REDIS_LOGIN_REFUSED;
	}
	return REDIS_LOGIN_GOES_ON;
}

static enum redis_login_result
judge_auth(const struct redis_login *l, const char *error, char *why,
    size_t size)
{
	if (has_word(error, "WRONGPASS") ||
	    strstr(error, "invalid password") != NULL)
		snprintf(why, size,
		    "the password is wrong for user %s; see "
		    "cluster.password_file",
		    l->user != NULL ? l->user : "default");
	else if (strstr(error, "without any password") != NULL)
		snprintf(why, size,
		    "wants no password, but cluster.password_file is given");
	else
		snprintf(why, size, "refuses to log us in: %.150s", error);
	return has_word(error, "LOADING") ? REDIS_LOGIN_REFUSED
					  : REDIS_LOGIN_WRONG;
}

/* An ACL may refuse us what we can do without. */
static enum redis_login_result
judge_error(const struct redis_login *l, enum redis_login_step step,
    const char *error, char *why, size_t size)
{
	if (step == LOGIN_AUTH)
		return judge_auth(l, error, why, size);
	if (has_word(error, "NOAUTH")) {
		snprintf(why, size,
		    "wants a password: give cluster.password_file");
		return REDIS_LOGIN_WRONG;
	}
	if (step == LOGIN_SELECT) {
		snprintf(why, size, "can't select the database: %.150s", error);
		return REDIS_LOGIN_WRONG;
	}
	if (has_word(error, "LOADING") || has_word(error, "MASTERDOWN")) {
		snprintf(why, size, "%.200s", error);
		return REDIS_LOGIN_REFUSED;
	}
	/* Also of other kinds, "ERR max number of clients reached". */
	if (!has_word(error, "NOPERM") &&
	    strstr(error, "unknown command") == NULL) {
		snprintf(why, size, "%.200s", error);
		return REDIS_LOGIN_REFUSED;
	}
	return REDIS_LOGIN_GOES_ON;
}

enum redis_login_result
redis_login_reply(struct redis_login *l, const struct redisReply *r,
    struct redis_facts *facts, char *why, size_t size)
{
	enum redis_login_step step = l->steps[l->n_done];
	enum redis_login_result result = REDIS_LOGIN_GOES_ON;

	l->n_done++;
	if (r->type == REDIS_REPLY_ERROR)
		result = judge_error(l, step, r->str, why, size);
	else if (step == LOGIN_INFO && r->type == REDIS_REPLY_STRING)
		result = judge_info(r->str, facts, why, size);
	if (result == REDIS_LOGIN_GOES_ON && l->n_done == l->n_steps)
		return REDIS_LOGIN_DONE;
	return result;
}
