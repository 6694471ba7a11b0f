/* SPDX-License-Identifier: ISC */
/*
 * From the greeting to READY: EHLO (HELO where that is all there is), STARTTLS
 * as the route's policy says, AUTH. What the peer offers is kept for the
 * transactions.
 *
 * Two rules hold here. After STARTTLS nothing that was said in clear counts
 * (RFC 3207 4.2): EHLO again. A password goes out only over TLS, or to this
 * very machine: a peer that stops offering STARTTLS never gets it.
 */
#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "sink/smtp_client_private.h"

#define COMMAND_MAX 512 /* RFC 5321 4.5.3.1.4, CRLF included */

void
client_refuse(struct smtp_client *c, int code, const char *text)
{
	free(c->refusal);
	c->refusal = xstrdup(text);
	c->refusal_code = code;
	client_close(c, code != 421 && c->state != CLIENT_TLS, "refused");
}

static void
refuse_by_reply(struct smtp_client *c)
{
	client_refuse(c, c->reply.code, c->reply.text.data);
}

/* ---- EHLO ---- */

void
client_greet_begin_ehlo(struct smtp_client *c)
{
	client_add(c, "EHLO ");
	client_add(c, c->ehlo);
	client_add(c, "\r\n");
	client_enter(c, CLIENT_EHLO);
}

static void
begin_helo(struct smtp_client *c)
{
	client_add(c, "HELO ");
	client_add(c, c->ehlo);
	client_add(c, "\r\n");
	client_enter(c, CLIENT_HELO);
}

static void
take_size(struct smtp_client *c, const char *params)
{
	c->size_max = strtoull(params, NULL, 10);
}

static void
take_auth(struct smtp_client *c, const char *params)
{
	while (*params != '\0') {
		size_t len = strcspn(params, " ");

		if (len == 5 && strncasecmp(params, "PLAIN", len) == 0)
			c->caps |= CAP_AUTH_PLAIN;
		if (len == 5 && strncasecmp(params, "LOGIN", len) == 0)
			c->caps |= CAP_AUTH_LOGIN;
		params += len;
		params += strspn(params, " ");
	}
}

/* "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT", Postfix's own. */
static void
take_xforward(struct smtp_client *c, const char *params)
{
	while (*params != '\0') {
		size_t len = strcspn(params, " ");

		if (len == 5 && strncasecmp(params, "IDENT", len) == 0)
			c->caps |= CAP_XFORWARD_IDENT;
		params += len;
		params += strspn(params, " ");
	}
}

/* RFC 9422: "LIMITS RCPTMAX=100 MAILMAX=50"; others aren't for us. */
static void
take_limits(struct smtp_client *c, const char *params)
{
	while (*params != '\0') {
		if (strncasecmp(params, "RCPTMAX=", 8) == 0)
			c->rcpt_max = strtoul(params + 8, NULL, 10);
		if (strncasecmp(params, "MAILMAX=", 8) == 0)
			c->mail_max = strtoul(params + 8, NULL, 10);
		params += strcspn(params, " ");
		params += strspn(params, " ");
	}
}

static const struct keyword_row {
	const char *name;
	enum client_cap cap; /* 0: `take` says */
	void (*take)(struct smtp_client *c, const char *params);
} keywords[] = {
	{ "PIPELINING", CAP_PIPELINING, NULL },
	{ "CHUNKING", CAP_CHUNKING, NULL },
	{ "8BITMIME", CAP_8BITMIME, NULL },
	{ "SMTPUTF8", CAP_SMTPUTF8, NULL },
	{ "DSN", CAP_DSN, NULL },
	{ "STARTTLS", CAP_STARTTLS, NULL },
	{ "SIZE", CAP_SIZE, take_size },
	{ "AUTH", 0, take_auth },
	{ "LIMITS", 0, take_limits },
	{ "XFORWARD", 0, take_xforward },
};

/* One line of the reply, behind its code: "SIZE 1000". */
static void
take_keyword(struct smtp_client *c, char *line)
{
	size_t len = strcspn(line, " =\t"); /* old servers: AUTH=LOGIN */
	const char *params = line + len;

	params += strspn(params, " =\t");
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		const struct keyword_row *row = &keywords[i];

		if (strlen(row->name) != len ||
		    strncasecmp(row->name, line, len) != 0)
			continue;
		c->caps |= row->cap;
		if (row->take != NULL)
			row->take(c, params);
	}
}

static void
take_keywords(struct smtp_client *c)
{
	char *line = strchr(c->reply.text.data, '\n'); /* 1st: its name */

	c->caps = 0;
	c->size_max = c->mail_max = c->rcpt_max = 0;
	while (line != NULL) {
		char *end = strchr(++line, '\n');

		if (end != NULL)
			*end = '\0';
		if (strlen(line) > 4)
			take_keyword(c, line + 4);
		if (end != NULL)
			*end = '\n';
		line = end;
	}
}

/* ---- AUTH ---- */

static bool
is_loopback(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return strcasecmp(host, "localhost") == 0;
}

/* Base64 of a secret, and nothing of it left behind. */
static void
add_base64(struct smtp_client *c, const char *data, size_t len)
{
	size_t size = (len + 2) / 3 * 4 + 1;
	char *text = xmalloc(size);

	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)data,
	    (int)len);
	client_add(c, text);
	client_add(c, "\r\n");
	OPENSSL_cleanse(text, size);
	free(text);
}

static void
add_plain(struct smtp_client *c)
{
	const char *user = c->route->auth.user;
	const char *password = c->route->auth.password;
	size_t user_len = strlen(user), password_len = strlen(password);
	size_t len = user_len + password_len + 2;
	char *text = xcalloc(1, len);

	memcpy(text + 1, user, user_len);
	memcpy(text + 2 + user_len, password, password_len);
	add_base64(c, text, len);
	OPENSSL_cleanse(text, len);
	free(text);
}

static void
begin_login(struct smtp_client *c)
{
	c->auth = AUTH_LOGIN;
	client_add(c, "AUTH LOGIN\r\n");
}

static void
begin_plain(struct smtp_client *c)
{
	size_t len =
	    strlen(c->route->auth.user) + strlen(c->route->auth.password) + 2;

	if ((len + 2) / 3 * 4 + strlen("AUTH PLAIN \r\n") > COMMAND_MAX) {
		c->auth = AUTH_PLAIN_LATE;
		client_add(c, "AUTH PLAIN\r\n");
		return;
	}
	c->auth = AUTH_PLAIN;
	client_add(c, "AUTH PLAIN ");
	add_plain(c);
}

static void
begin_auth(struct smtp_client *c)
{
	client_enter(c, CLIENT_AUTH);
	if (!c->is_tls && !is_loopback(c->route->next_hop.host))
		client_refuse(c, 0,
		    "auth is configured, but there is no TLS to send the "
		    "password over");
	else if (c->caps & CAP_AUTH_PLAIN)
		begin_plain(c);
	else if (c->caps & CAP_AUTH_LOGIN)
		begin_login(c);
	else
		client_refuse(c, 0,
		    "auth is configured, but the next hop offers neither "
		    "AUTH PLAIN nor LOGIN");
}

static void
continue_auth(struct smtp_client *c)
{
	switch (c->auth) {
	case AUTH_PLAIN_LATE:
		c->auth = AUTH_PLAIN;
		add_plain(c);
		break;
	case AUTH_LOGIN:
		c->auth = AUTH_LOGIN_USER;
		add_base64(c, c->route->auth.user, strlen(c->route->auth.user));
		break;
	case AUTH_LOGIN_USER:
		c->auth = AUTH_LOGIN_PASSWORD;
		add_base64(c, c->route->auth.password,
		    strlen(c->route->auth.password));
		break;
	case AUTH_PLAIN:
	case AUTH_LOGIN_PASSWORD:
		client_refuse(c, 0,
		    "the next hop asks for more than a user "
		    "and a password");
		break;
	}
}

static void
be_ready(struct smtp_client *c)
{
	client_enter(c, CLIENT_READY);
	c->ops.ready(c->ops.arg);
}

static void
on_auth(struct smtp_client *c)
{
	int code = c->reply.code;
	bool was_plain = c->auth == AUTH_PLAIN || c->auth == AUTH_PLAIN_LATE;

	if (code / 100 == 2)
		be_ready(c);
	else if (code == 334)
		continue_auth(c);
	/* 504: offered, but not meant (RFC 4954 4). */
	else if (code == 504 && was_plain && c->caps & CAP_AUTH_LOGIN)
		begin_login(c);
	else if (code / 100 == 3)
		client_refuse(c, 0, "the reply to AUTH makes no sense");
	else
		refuse_by_reply(c);
}

/* ---- greeted ---- */

/* EHLO or HELO was taken. */
static void
on_greeted(struct smtp_client *c)
{
	enum conf_route_tls policy = c->route->tls;

	if (!c->is_tls && policy != ROUTE_TLS_NONE) {
		if (c->caps & CAP_STARTTLS) {
			client_add(c, "STARTTLS\r\n");
			client_enter(c, CLIENT_STARTTLS);
			return;
		}
		if (policy != ROUTE_TLS_OPPORTUNISTIC) {
			client_enter(c, CLIENT_STARTTLS);
			client_refuse(c, 0,
			    "the route wants TLS, but the next hop doesn't "
			    "offer STARTTLS");
			return;
		}
	}
	if (*c->route->auth.user != '\0')
		begin_auth(c);
	else
		be_ready(c);
}

static void
on_starttls(struct smtp_client *c)
{
	if (c->reply.code / 100 == 2) {
		client_enter(c, CLIENT_TLS);
		c->ops.start_tls(c->ops.arg);
	} else if (c->reply.code == 421 ||
	    c->route->tls != ROUTE_TLS_OPPORTUNISTIC) {
		refuse_by_reply(c);
	} else {
		c->caps &= ~(unsigned)CAP_STARTTLS;
		on_greeted(c);
	}
}

static void
on_ehlo(struct smtp_client *c)
{
	int code = c->reply.code;

	if (code / 100 == 2) {
		take_keywords(c);
		on_greeted(c);
	} else if (code / 100 == 5 && code != 521 && code != 554) {
		begin_helo(c); /* RFC 5321 3.2: no ESMTP here */
	} else {
		refuse_by_reply(c);
	}
}

void
client_greet_reply(struct smtp_client *c)
{
	bool is_good = c->reply.code / 100 == 2;

	switch (c->state) {
	case CLIENT_GREETING:
		if (is_good)
			client_greet_begin_ehlo(c);
		else
			refuse_by_reply(c);
		break;
	case CLIENT_EHLO:
		on_ehlo(c);
		break;
	case CLIENT_HELO:
		c->caps = 0;
		if (is_good)
			on_greeted(c);
		else
			refuse_by_reply(c);
		break;
	case CLIENT_STARTTLS:
		on_starttls(c);
		break;
	case CLIENT_AUTH:
		on_auth(c);
		break;
	default:
		break;
	}
}
