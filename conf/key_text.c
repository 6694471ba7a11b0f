/* SPDX-License-Identifier: ISC */
/*
 * The type of text, and what text can be asked to be: a name, a host, a
 * domain, an address. A check may put the text into its one form (lower case,
 * A-labels), so that later comparing is comparing bytes.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/address.h"
#include "conf/base/json.h"
#include "conf/base/xalloc.h"
#include "conf/key_types.h"

const char *
key_node_text(struct reader *r, struct node *n, const char *wanted)
{
	if (n->kind == NODE_SCALAR)
		return n->text;
	if (n->kind == NODE_NULL)
		reader_fail(r, n, "has no value; it must be a %s", wanted);
	else if (n->kind != NODE_BROKEN)
		reader_fail(r, n, "must be a %s, not %s", wanted,
		    node_kind_name(n->kind));
	return NULL;
}

/* ---- text ---- */

void
key_write_text(const char *text, struct strbuf *out)
{
	bool is_plain = isalnum((unsigned char)text[0]) ||
	    (text[0] == '/' && text[1] != '\0') || text[0] == '.';

	for (const char *p = text; is_plain && *p != '\0'; p++)
		is_plain =
		    isalnum((unsigned char)*p) || strchr("._/-+@", *p) != NULL;
	if (is_plain && strcmp(text, "null") != 0)
		strbuf_adds(out, text);
	else
		strbuf_add_json_string(out, text, strlen(text));
}

static bool
read_text(struct reader *r, const struct key *k, struct node *n, void *base)
{
	char **field = KEY_FIELD(k, base);
	const char *text = key_node_text(r, n, "text");
	char *mine;

	if (text == NULL)
		return false;
	mine = xstrdup(text);
	if (k->check != NULL && mine[0] != '\0' && !k->check(r, n, &mine)) {
		free(mine);
		return false;
	}
	if (mine[0] == '\0' && k->flags & (KEY_REQUIRED | KEY_FILLED)) {
		reader_fail(r, n, "is empty");
		free(mine);
		return false;
	}
	free(*field);
	*field = mine;
	return true;
}

static void
write_text_field(const struct key *k, const void *base, struct strbuf *out)
{
	key_write_text(*(char *const *)KEY_FIELD_CONST(k, base), out);
}

static void
fini_text(const struct key *k, void *base)
{
	char **field = KEY_FIELD(k, base);

	free(*field);
	*field = NULL;
}

static bool
is_unset_text(const struct key *k, const void *base)
{
	return **(char *const *)KEY_FIELD_CONST(k, base) == '\0';
}

const struct key_type type_text = {
	.doc = "text",
	.read = read_text,
	.write = write_text_field,
	.fini = fini_text,
	.is_unset = is_unset_text,
};

/* ---- checks of text ---- */

bool
key_check_plain(struct reader *r, struct node *n, char **text)
{
	for (const char *p = *text; *p != '\0'; p++)
		if ((unsigned char)*p <= 32 || *p == 127) {
			reader_fail(r, n, "can't hold a blank or a control");
			return false;
		}
	return true;
}

/* Names stand in commands, as parts of "ROUTE/PROVIDER", and in file names. */
bool
key_check_name(struct reader *r, struct node *n, char **text)
{
	const char *p = *text;
	size_t len = strspn(p,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "._-");

	if (p[0] != '\0' && p[len] == '\0' && len <= 64 &&
	    isalnum((unsigned char)p[0]))
		return true;
	reader_fail(r, n,
	    "a name is up to 64 letters, digits, \".\", \"_\" or \"-\", and "
	    "begins with a letter or digit");
	return false;
}

bool
key_check_domain(struct reader *r, struct node *n, char **text)
{
	char domain[ADDRESS_DOMAIN_MAX + 1];

	if (domain_normalise(*text, domain) < 0 || domain[0] == '[') {
		reader_fail(r, n, "\"%.80s\" is no domain", *text);
		return false;
	}
	free(*text);
	*text = xstrdup(domain);
	return true;
}

bool
key_check_domain_pattern(struct reader *r, struct node *n, char **text)
{
	char *rest;

	if (strncmp(*text, "*.", 2) == 0) {
		reader_fail(r, n,
		    "write \"%.80s\" for a domain and all below it", *text + 1);
		return false;
	}
	if ((*text)[0] != '.')
		return key_check_domain(r, n, text);
	rest = xstrdup(*text + 1);
	if (!key_check_domain(r, n, &rest)) {
		free(rest);
		return false;
	}
	free(*text);
	*text = xasprintf(".%s", rest);
	free(rest);
	return true;
}

/* RFC 5321 4.1.2: EHLO takes a domain or an address literal. */
bool
key_check_hostname(struct reader *r, struct node *n, char **text)
{
	char domain[ADDRESS_DOMAIN_MAX + 1];

	if (domain_normalise(*text, domain) < 0) {
		reader_fail(r, n,
		    "\"%.80s\" is no host name; write relay.example.com",
		    *text);
		return false;
	}
	free(*text);
	*text = xstrdup(domain);
	return true;
}

bool
key_check_address(struct reader *r, struct node *n, char **text)
{
	unsigned char address[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, *text, address) == 1 ||
	    inet_pton(AF_INET6, *text, address) == 1)
		return true;
	reader_fail(r, n,
	    "\"%.80s\" is no IP address; write 192.0.2.10 or 2001:db8::10",
	    *text);
	return false;
}

bool
key_check_path(struct reader *r, struct node *n, char **text)
{
	if (strlen(*text) < 4000)
		return true;
	reader_fail(r, n, "is too long for a path");
	return false;
}
