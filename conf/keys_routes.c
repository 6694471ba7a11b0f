/* SPDX-License-Identifier: ISC */
/*
 * Rows of the key table: routes, streams, sender domains. A route's password
 * is read from its file here, so that a missing one is a mistake with its
 * place; it is in no row, hence in no dump.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "conf/key_types.h"
#include "conf/keys_sections.h"

#define MS		  INT64_C(1000)
#define SEC		  (1000 * MS)
#define HOUR		  (3600 * SEC)
#define DAY		  (24 * HOUR)
#define AT(s, f)	  .offset = offsetof(struct s, f)
#define BOUNDS(low, high) .min = (low), .max = (high)

/* ---- routes ---- */

static void
seal_route(struct reader *r, struct node *n, void *base)
{
	struct conf_route *route = base;
	struct node *auth = node_member(n, "auth");
	struct node *file = node_member(auth, "password_file");
	struct err err;
	char *password = NULL;

	if (file != NULL && route->auth.password_file[0] != '\0') {
		password = key_read_secret(route->auth.password_file, &err);
		if (password == NULL)
			reader_fail_key(r, file->at, "auth.password_file", "%s",
			    err.text);
	}
	route->auth.password = password ? password : xstrdup("");
	route->where = reader_where(n, "tls_ca");
}

static void
fini_route(void *base)
{
	struct conf_route *route = base;

	key_free_secret(&route->auth.password);
	free(route->where);
}

static const struct key_word route_tls[] = { { "none", ROUTE_TLS_NONE },
	{ "opportunistic", ROUTE_TLS_OPPORTUNISTIC },
	{ "required", ROUTE_TLS_REQUIRED }, { "verify", ROUTE_TLS_VERIFY },
	{ NULL, 0 } };

static const struct key route_auth_keys[] = {
	{ "user", &type_text, AT(conf_route, auth.user),
	    .text = "The name to log in with." },
	{ "password_file", &type_text, AT(conf_route, auth.password_file),
	    .check = key_check_path,
	    .text = "A file that holds the password, one line. It is read "
		    "with the configuration." },
	{ 0 },
};
static const struct section section_route_auth = { .keys = route_auth_keys };

#define TIMEOUT(name, field, value, what)                                 \
	{                                                                 \
		name, &type_duration, AT(conf_route, timeouts.field),     \
		    .initial = value, BOUNDS(10 * MS, HOUR), .text = what \
	}

static const struct key timeouts_keys[] = {
	TIMEOUT("connect", connect_us, "30s", "To be connected."),
	TIMEOUT("greeting", greeting_us, "5m", "For the banner."),
	TIMEOUT("command", command_us, "5m",
	    "For EHLO, STARTTLS, AUTH, RSET, QUIT."),
	TIMEOUT("mail", mail_us, "5m", "For MAIL."),
	TIMEOUT("rcpt", rcpt_us, "5m", "For RCPT."),
	TIMEOUT("data", data_us, "2m", "For DATA."),
	TIMEOUT("data_block", data_block_us, "3m",
	    "For each piece of the content to be taken."),
	TIMEOUT("data_done", data_done_us, "10m",
	    "For the reply after the content."),
	{ 0 },
};
static const struct section section_timeouts = { .keys = timeouts_keys };

static const struct key backoff_keys[] = {
	{ "first", &type_duration, AT(conf_route, backoff.first_us),
	    .initial = "1s", BOUNDS(10 * MS, DAY),
	    .text = "The first wait; each further one is twice as long." },
	{ "max", &type_duration, AT(conf_route, backoff.max_us),
	    .initial = "1m", BOUNDS(10 * MS, DAY),
	    .text = "The longest wait." },
	{ 0 },
};
static const struct section section_backoff = { .keys = backoff_keys };

static const struct key route_keys[] = {
	{ "next_hop", &type_endpoint, AT(conf_route, next_hop),
	    .flags = KEY_REQUIRED,
	    .text = "Host and port of the MTA that sends this route's mail. "
		    "Port 465 means TLS from the start." },
	{ "connections", &type_number, AT(conf_route, connections),
	    .initial = "20", BOUNDS(1, 10000),
	    .text = "Connections to the next hop at once." },
	{ "tls", &type_word, AT(conf_route, tls), .initial = "opportunistic",
	    .words = route_tls,
	    .text = "none; opportunistic: when it is offered; required: "
		    "encrypted, whatever the certificate; verify: chain and "
		    "name are checked too." },
	{ "tls_ca", &type_text, AT(conf_route, tls_ca), .check = key_check_path,
	    .initial_doc = "the system's",
	    .text = "PEM file with the authorities to trust with verify. Read "
		    "again on a reload; where it changed, connections that "
		    "were made with the old one end." },
	{ "tls_name", &type_text, AT(conf_route, tls_name),
	    .check = key_check_domain, .initial_doc = "next_hop's host",
	    .text = "The name that the certificate must have." },
	{ "source", &type_text, AT(conf_route, source),
	    .check = key_check_address, .initial_doc = "the system's choice",
	    .text = "The local address to connect from." },
	{ "ehlo", &type_text, AT(conf_route, ehlo), .check = key_check_hostname,
	    .initial_doc = "daemon.hostname",
	    .text = "The name given in EHLO." },
	{ "auth", &type_map, .section = &section_route_auth,
	    .text = "How to log in at the next hop, if it wants that." },
	{ "idle_timeout", &type_duration, AT(conf_route, idle_timeout_us),
	    .initial = "30s", BOUNDS(0, HOUR),
	    .text = "How long an unused connection is kept." },
	{ "timeouts", &type_map, .section = &section_timeouts,
	    .text = "How long the next hop may take, as RFC 5321 4.5.3.2 "
		    "says." },
	{ "backoff", &type_map, .section = &section_backoff,
	    .text = "When a next hop that can't be reached is tried "
		    "again." },
	{ "providers", &type_named, AT(conf_route, limits),
	    .n_offset = offsetof(struct conf_route, n_limits),
	    .section = &section_route_limit, .flags = KEY_PARTIAL,
	    .text = "Providers' limits, narrowed for this route. The smaller "
		    "of both holds." },
	{ "plan", &type_text, AT(conf_route, plan), .check = key_check_name,
	    .text = "The warmup plan that this route follows." },
	{ "address", &type_text, AT(conf_route, address),
	    .check = key_check_address,
	    .text = "The IP address that the world sees this route's mail "
		    "come from." },
	{ "adapt", &type_map, AT(conf_route, adapt), .section = &section_adapt,
	    .flags = KEY_PARTIAL | KEY_LISTED_ELSEWHERE,
	    .text = "Keys of adapt that differ for this route." },
	{ 0 },
};
const struct section section_route = {
	.name = "NAME",
	.size = sizeof(struct conf_route),
	.name_offset = offsetof(struct conf_route, name),
	.keys = route_keys,
	.check_name = key_check_name,
	.seal = seal_route,
	.fini = fini_route,
};

/* ---- streams ---- */

static const struct key_word priorities[] = { { "high", PRIORITY_HIGH },
	{ "normal", PRIORITY_NORMAL }, { "bulk", PRIORITY_BULK }, { NULL, 0 } };

static const struct key match_keys[] = {
	{ "user", &type_names, AT(conf_stream, match.user),
	    .text = "Users who logged in." },
	{ "sender_domain", &type_domains, AT(conf_stream, match.sender_domain),
	    .check = key_check_domain_pattern,
	    .text = "Domains of the envelope's sender." },
	{ "listener", &type_names, AT(conf_stream, match.listener),
	    .text = "Listeners, as their listen says." },
	{ "header", &type_headers, AT(conf_stream, match.header),
	    .n_offset = offsetof(struct conf_stream, match.n_header),
	    .text = "Header fields with their values; \"*\" is any value. "
		    "All of them must be there." },
	{ 0 },
};
static const struct section section_match = { .keys = match_keys };

static const struct key stream_keys[] = {
	{ "match", &type_map, .section = &section_match,
	    .text = "What belongs here: all keys that are given must match, "
		    "a list matches by any of its entries. A stream without "
		    "match is for users who are bound to it." },
	{ "priority", &type_word, AT(conf_stream, priority),
	    .initial = "normal", .words = priorities,
	    .text = "Before the lower ones, which keep a floor of 5% each." },
	{ "weight", &type_number, AT(conf_stream, weight), .initial = "1",
	    BOUNDS(1, 1000),
	    .text = "The share among streams of one priority in one lane." },
	{ "routes", &type_names, AT(conf_stream, routes), .flags = KEY_FILLED,
	    .initial_doc = "all routes, in their order in the file",
	    .text = "Routes in order of preference: the next is used when "
		    "the first has no allowance." },
	{ 0 },
};
const struct section section_stream = {
	.name = "NAME",
	.size = sizeof(struct conf_stream),
	.name_offset = offsetof(struct conf_stream, name),
	.keys = stream_keys,
	.check_name = key_check_name,
};

/* ---- senders ---- */

static const struct key sender_keys[] = {
	{ "plan", &type_text, AT(conf_sender, plan), .check = key_check_name,
	    .initial_doc = "none",
	    .text = "The plan that this domain's mail follows, by whatever "
		    "route it leaves." },
	{ "dkim", &type_names, AT(conf_sender, dkim), .check = key_check_plain,
	    .text = "Selectors of the domain's DKIM keys. flyball doesn't "
		    "sign; the doctor looks whether they are published." },
	{ 0 },
};
const struct section section_sender = {
	.name = "DOMAIN",
	.size = sizeof(struct conf_sender),
	.name_offset = offsetof(struct conf_sender, domain),
	.keys = sender_keys,
	.check_name = key_check_domain,
};
