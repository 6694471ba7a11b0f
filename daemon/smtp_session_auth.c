/* SPDX-License-Identifier: ISC */
/*
 * AUTH (RFC 4954) with PLAIN (RFC 4616) and LOGIN. Takes the exchange apart
 * and hands name and password to the session's owner, who has them checked on
 * other threads. Neither is logged, and the password is wiped from our memory
 * as soon as it was handed over.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/base/log.h"
#include "conf/base/xalloc.h"
#include "daemon/smtp_session_private.h"

#define USER_MAX	 255
#define PASSWORD_MAX	 1024
/* authzid NUL authcid NUL passwd */
#define SASL_DECODED_MAX (2 * (USER_MAX + 1) + PASSWORD_MAX)

#define REPLY_MALFORMED "501 5.5.2 Malformed authentication data"

void
auth_identity_free(struct auth_identity *who)
{
	size_t i;

	if (who == NULL)
		return;
	for (i = 0; i < who->sender_domains.n; i++)
		free(who->sender_domains.v[i]);
	free(who->sender_domains.v);
	free(who->name);
	free(who->stream);
	free(who);
}

void
session_sasl_forget(struct smtp_session *s)
{
	free(s->sasl_user);
	s->sasl_user = NULL;
}

/* The exchange ends without a password to check. */
static void
sasl_break(struct smtp_session *s, const char *reply)
{
	session_sasl_forget(s);
	session_enter(s, SESSION_READY);
	session_reply_bad(s, reply);
}

static void
sasl_ask(struct smtp_session *s, enum sasl_step step, const char *challenge)
{
	s->sasl_step = step;
	session_enter(s, SESSION_SASL);
	session_reply(s, challenge);
}

/* Wrong, whatever it was; enough of them end the session and delay the
 * address. */
static void
sasl_refuse(struct smtp_session *s)
{
	unsigned limit = s->conf->limits.auth_failures;

	s->n_auth_failures++;
	log_info("auth_refused", LOG_STR("client", s->client),
	    LOG_INT("failures", s->n_auth_failures));
	session_enter(s, SESSION_READY);
	if (limit == 0 || s->n_auth_failures < limit) {
		session_reply(s, "535 5.7.8 Authentication failed");
		return;
	}
	session_reply(s, "421 4.7.0 Too many failed authentications, closing");
	session_close(s, "too many failed authentications", true);
}

static bool
is_plausible(const char *text, size_t max)
{
	size_t len = strlen(text);

	return len > 0 && len <= max && utf8_is_valid(text, len);
}

static void
sasl_check(struct smtp_session *s, const char *user, const char *password)
{
	if (!is_plausible(user, USER_MAX) ||
	    !is_plausible(password, PASSWORD_MAX)) {
		sasl_refuse(s);
		return;
	}
	session_enter(s, SESSION_AUTH_WAIT);
	s->ops.check_password(s->ops.arg, user, password);
}

void
smtp_session_auth_done(struct smtp_session *s, struct auth_identity *who_take,
    bool temporary)
{
	if (s->state != SESSION_AUTH_WAIT) {
		auth_identity_free(who_take);
		return;
	}
	session_begin(s);
	session_enter(s, SESSION_READY);
	if (who_take != NULL) {
		s->identity = who_take;
		s->n_auth_failures = 0;
		session_reply(s, "235 2.7.0 Authentication succeeded");
	} else if (temporary) {
		session_reply(s,
		    "454 4.7.0 Authentication is not possible now");
	} else {
		sasl_refuse(s);
	}
	session_end(s);
}

/* "=" is how an empty initial response is written (RFC 4954 4). */
static ssize_t
sasl_decode(const char *text, char out[SASL_DECODED_MAX + 1])
{
	ssize_t len;

	if (strcmp(text, "=") == 0)
		text = "";
	len = smtp_base64_decode(text, strlen(text), out, SASL_DECODED_MAX);
	if (len >= 0)
		out[len] = '\0';
	return len;
}

static void
plain_response(struct smtp_session *s, const char *data, size_t len)
{
	const char *user = memchr(data, '\0', len), *password;
	size_t left;

	if (user == NULL) {
		sasl_break(s, REPLY_MALFORMED);
		return;
	}
	user++;
	left = len - (size_t)(user - data);
	password = memchr(user, '\0', left);
	if (password == NULL ||
	    strlen(password + 1) + 1 + (size_t)(password - data) != len) {
		sasl_break(s, REPLY_MALFORMED);
		return;
	}
	/* Nobody may act for another (RFC 4616 2). */
	if (*data != '\0' && strcmp(data, user) != 0)
		sasl_refuse(s);
	else
		sasl_check(s, user, password + 1);
}

static void
login_response(struct smtp_session *s, const char *data, size_t len)
{
	char *user;

	if (strlen(data) != len) {
		sasl_break(s, REPLY_MALFORMED);
		return;
	}
	if (s->sasl_step == SASL_LOGIN_USER) {
		s->sasl_user = xstrdup(data);
		sasl_ask(s, SASL_LOGIN_PASSWORD, "334 UGFzc3dvcmQ6");
		return;
	}
	user = s->sasl_user;
	s->sasl_user = NULL;
	sasl_check(s, user, data);
	free(user);
}

static void
sasl_response(struct smtp_session *s, const char *text)
{
	char data[SASL_DECODED_MAX + 1];
	ssize_t len = sasl_decode(text, data);

	if (len < 0)
		sasl_break(s, REPLY_MALFORMED);
	else if (s->sasl_step == SASL_PLAIN)
		plain_response(s, data, (size_t)len);
	else
		login_response(s, data, (size_t)len);
	explicit_bzero(data, sizeof(data));
}

void
session_sasl_line(struct smtp_session *s, const char *line, bool is_long)
{
	if (is_long)
		sasl_break(s, "500 5.5.6 Authentication line too long");
	else if (line == NULL)
		sasl_break(s, REPLY_MALFORMED);
	else if (strcmp(line, "*") == 0)
		sasl_break(s, "501 5.7.0 Authentication cancelled");
	else
		sasl_response(s, line);
}

const char *
session_auth_check(const struct smtp_session *s, const char *args)
{
	(void)args;
	if (s->identity != NULL)
		return "503 5.5.1 Already authenticated";
	if (s->listener->auth != LISTENER_AUTH_REQUIRED)
		return "502 5.5.1 AUTH is not offered here";
	if (!session_auth_is_offered(s))
		return "538 5.7.11 Encryption required, STARTTLS first";
	return NULL;
}

void
session_auth(struct smtp_session *s, char *args)
{
	size_t len = strcspn(args, " ");
	char *response = args + len;

	response += strspn(response, " ");
	if (len == 5 && strncasecmp(args, "PLAIN", len) == 0) {
		if (*response == '\0') {
			sasl_ask(s, SASL_PLAIN, "334 ");
			return;
		}
		s->sasl_step = SASL_PLAIN;
	} else if (len == 5 && strncasecmp(args, "LOGIN", len) == 0) {
		if (*response == '\0') {
			sasl_ask(s, SASL_LOGIN_USER, "334 VXNlcm5hbWU6");
			return;
		}
		s->sasl_step = SASL_LOGIN_USER;
	} else {
		session_reply_bad(s,
		    "504 5.5.4 Only PLAIN and LOGIN are offered");
		return;
	}
	/* An initial response can't cancel: "*" is just bad base64 there. */
	sasl_response(s, response);
}
