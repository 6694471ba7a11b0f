/* SPDX-License-Identifier: ISC */
/*
 * The types of values that name machines: networks, and hosts with a port.
 * Nothing is looked up here: a name stays a name.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/address.h"
#include "conf/base/xalloc.h"
#include "conf/key_types.h"

/* ---- networks ---- */

/* Clears what is behind the prefix; false: something was there. */
static bool
mask_address(struct in6_addr *a, unsigned prefix_bits)
{
	bool was_clear = true;

	for (unsigned i = 0; i < 16; i++) {
		unsigned bits = prefix_bits > 8 * i ? prefix_bits - 8 * i : 0;
		uint8_t mask = bits >= 8 ? 0xff : (uint8_t)(0xff00u >> bits);

		was_clear &= (a->s6_addr[i] & (uint8_t)~mask) == 0;
		a->s6_addr[i] &= mask;
	}
	return was_clear;
}

/* "127.0.0.0/8", "::1"; returns 0, or -1 when it is neither. */
static int
parse_network(const char *text, struct in6_addr *address_out,
    unsigned *prefix_out, bool *is_ipv4_out)
{
	char host[INET6_ADDRSTRLEN + 1];
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	struct in_addr v4;
	unsigned long bits, most;
	char *end;

	if (len == 0 || len >= sizeof(host))
		return -1;
	memcpy(host, text, len);
	host[len] = '\0';
	*is_ipv4_out = inet_pton(AF_INET, host, &v4) == 1;
	if (*is_ipv4_out) {
		memset(address_out, 0, sizeof(*address_out));
		address_out->s6_addr[10] = address_out->s6_addr[11] = 0xff;
		memcpy(&address_out->s6_addr[12], &v4, sizeof(v4));
	} else if (inet_pton(AF_INET6, host, address_out) != 1) {
		return -1;
	}
	most = *is_ipv4_out ? 32 : 128;
	bits = most;
	if (slash != NULL) {
		if (!isdigit((unsigned char)slash[1]) || strlen(slash) > 4)
			return -1;
		bits = strtoul(slash + 1, &end, 10);
		if (*end != '\0' || bits > most)
			return -1;
	}
	*prefix_out = (unsigned)(bits + (*is_ipv4_out ? 96 : 0));
	return 0;
}

static bool
read_network(struct reader *r, struct node *n, struct conf_cidr *out)
{
	const char *text = key_node_text(r, n, "network");
	char right[INET6_ADDRSTRLEN];
	bool is_ipv4;

	if (text == NULL)
		return false;
	if (parse_network(text, &out->address, &out->prefix_bits, &is_ipv4) <
	    0) {
		reader_fail(r, n,
		    "\"%.60s\" is no network; write 10.0.0.0/8, 192.0.2.1 or "
		    "2001:db8::/32",
		    text);
		return false;
	}
	if (!mask_address(&out->address, out->prefix_bits)) {
		if (is_ipv4)
			inet_ntop(AF_INET, &out->address.s6_addr[12], right,
			    sizeof(right));
		else
			inet_ntop(AF_INET6, &out->address, right,
			    sizeof(right));
		reader_fail(r, n,
		    "\"%.60s\" has bits behind its prefix (did you mean "
		    "%s/%u?)",
		    text, right, out->prefix_bits - (is_ipv4 ? 96 : 0));
		return false;
	}
	out->text = xstrdup(text);
	return true;
}

static void
fini_networks(const struct key *k, void *base)
{
	struct conf_cidr **v = KEY_FIELD(k, base);

	for (size_t i = 0; i < KEY_N(k, base); i++)
		free((*v)[i].text);
	free(*v);
	*v = NULL;
	KEY_N(k, base) = 0;
}

static bool
read_networks(struct reader *r, const struct key *k, struct node *n, void *base)
{
	struct conf_cidr **field = KEY_FIELD(k, base);
	size_t count;
	struct node *const *v = key_items_of(r, &n, &count, "list of networks");
	bool is_good = v != NULL;

	fini_networks(k, base);
	*field = xcalloc(count + 1, sizeof(**field));
	for (size_t i = 0; i < count; i++) {
		if (read_network(r, v[i], *field + KEY_N(k, base)))
			KEY_N(k, base)++;
		else
			is_good = false;
	}
	return is_good;
}

static void
write_networks(const struct key *k, const void *base, struct strbuf *out)
{
	const struct conf_cidr *v =
	    *(struct conf_cidr *const *)KEY_FIELD_CONST(k, base);

	strbuf_addc(out, '[');
	for (size_t i = 0; i < KEY_N_CONST(k, base); i++) {
		strbuf_adds(out, i > 0 ? ", " : "");
		key_write_text(v[i].text, out);
	}
	strbuf_addc(out, ']');
}

const struct key_type type_networks = {
	.doc = "list of networks",
	.read = read_networks,
	.write = write_networks,
	.fini = fini_networks,
};

/* ---- endpoints ---- */

static bool
is_ip(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, address) == 1 ||
	    inet_pton(AF_INET6, host, address) == 1;
}

static bool
parse_endpoint(const char *text, struct conf_endpoint *out, struct err *err_out)
{
	static const char *const wanted =
	    "write 192.0.2.1:25, [2001:db8::1]:25 or mail.example.com:587";
	const char *colon = strrchr(text, ':'), *close = strchr(text, ']');
	bool has_brackets = text[0] == '[' && close != NULL;
	char domain[ADDRESS_DOMAIN_MAX + 1];
	unsigned long port;
	char *host, *end;

	if (text[0] == '[' && close != NULL && close[1] == '\0')
		colon = NULL;
	if (colon == NULL || (!has_brackets && is_ip(text))) {
		err_set(err_out, "\"%.80s\" has no port; %s", text, wanted);
		return false;
	}
	port = isdigit((unsigned char)colon[1]) ? strtoul(colon + 1, &end, 10)
						: 65536;
	if (port > 65535 || *end != '\0' || strlen(colon) > 6) {
		err_set(err_out, "\"%.40s\" is no port; %s", colon + 1, wanted);
		return false;
	}
	host = has_brackets ? xstrndup(text + 1, (size_t)(close - text - 1))
			    : xstrndup(text, (size_t)(colon - text));
	if (has_brackets ? close + 1 != colon || strchr(host, ':') == NULL ||
		    !is_ip(host)
			 : strchr(host, ':') != NULL ||
		    domain_normalise(host, domain) < 0) {
		err_set(err_out, "\"%.80s\" is no host with a port; %s", text,
		    wanted);
		free(host);
		return false;
	}
	if (!has_brackets && !is_ip(host)) {
		free(host);
		host = xstrdup(domain);
	}
	*out = (struct conf_endpoint){ xstrdup(text), host, (uint16_t)port };
	return true;
}

static void
fini_endpoint(const struct key *k, void *base)
{
	struct conf_endpoint *e = KEY_FIELD(k, base);

	free(e->text);
	free(e->host);
	*e = (struct conf_endpoint){ 0 };
}

static bool
read_endpoint(struct reader *r, const struct key *k, struct node *n, void *base)
{
	const char *text = key_node_text(r, n, "host with a port");
	struct conf_endpoint e;
	struct err err;

	if (text == NULL)
		return false;
	if (!parse_endpoint(text, &e, &err)) {
		reader_fail(r, n, "%s", err.text);
		return false;
	}
	if (k->flags & KEY_NUMERIC && !is_ip(e.host))
		reader_fail(r, n,
		    "a listener needs an address; write 127.0.0.1:%u or "
		    "[::]:%u",
		    e.port, e.port);
	else if (!(k->flags & KEY_NUMERIC) && e.port == 0)
		reader_fail(r, n, "nobody listens on port 0");
	else {
		fini_endpoint(k, base);
		*(struct conf_endpoint *)KEY_FIELD(k, base) = e;
		return true;
	}
	free(e.text);
	free(e.host);
	return false;
}

static void
write_endpoint(const struct key *k, const void *base, struct strbuf *out)
{
	const struct conf_endpoint *e = KEY_FIELD_CONST(k, base);

	key_write_text(e->text ? e->text : "", out);
}

static bool
is_unset_endpoint(const struct key *k, const void *base)
{
	return ((const struct conf_endpoint *)KEY_FIELD_CONST(k, base))->text ==
	    NULL;
}

const struct key_type type_endpoint = {
	.doc = "HOST:PORT",
	.read = read_endpoint,
	.write = write_endpoint,
	.fini = fini_endpoint,
	.is_unset = is_unset_endpoint,
};
