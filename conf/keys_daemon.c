/* SPDX-License-Identifier: ISC */
/*
 * Rows of the key table: the daemon itself, how mail comes in, what clients
 * may take, the spool. The texts are the manual's.
 */
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/address.h"
#include "conf/base/xalloc.h"
#include "conf/base/zone.h"
#include "conf/key_types.h"
#include "conf/keys_sections.h"

#define MS		  INT64_C(1000)
#define SEC		  (1000 * MS)
#define MINUTE		  (60 * SEC)
#define HOUR		  (60 * MINUTE)
#define DAY		  (24 * HOUR)
#define KIB		  INT64_C(1024)
#define MIB		  (1024 * KIB)
#define TIB		  (1024 * 1024 * MIB)
#define AT(s, f)	  .offset = offsetof(struct s, f)
#define BOUNDS(low, high) .min = (low), .max = (high)

#define WORKERS_MAX 256

/* ---- daemon ---- */

static char system_name[ADDRESS_DOMAIN_MAX + 1];

/* The system's full name as its resolver gives it. Asked once: the answer may
 * take seconds where DNS is broken, and a reload must not wait for it. */
static void
find_system_name(void)
{
	struct addrinfo hints = { .ai_flags = AI_CANONNAME,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	char host[256] = "";

	if (gethostname(host, sizeof(host) - 1) < 0)
		host[0] = '\0';
	if (strchr(host, '.') == NULL &&
	    getaddrinfo(host, NULL, &hints, &found) == 0 &&
	    found->ai_canonname != NULL &&
	    strchr(found->ai_canonname, '.') != NULL)
		snprintf(host, sizeof(host), "%s", found->ai_canonname);
	if (found != NULL)
		freeaddrinfo(found);
	if (domain_normalise(host, system_name) < 0)
		strcpy(system_name, "localhost");
}

static void
seal_daemon(struct reader *r, struct node *n, void *base)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct conf_daemon *d = base;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	(void)r;
	(void)n;
	if (d->workers == 0)
		d->workers = online < 1	   ? 1
		    : online > WORKERS_MAX ? WORKERS_MAX
					   : (unsigned)online;
	if (d->hostname[0] == '\0') {
		pthread_once(&once, find_system_name);
		free(d->hostname);
		d->hostname = xstrdup(system_name);
	}
}

static bool
check_timezone(struct reader *r, struct node *n, char **text)
{
	struct zone *zone;
	struct err err;

	if (strcmp(*text, "system") == 0) {
		**text = '\0';
		return true;
	}
	zone = zone_open(*text, &err);
	if (zone == NULL)
		reader_fail(r, n, "%s; write Europe/Berlin, UTC or system",
		    err.text);
	zone_close(zone);
	return zone != NULL;
}

static const struct key_word log_levels[] = { { "error", LOG_LEVEL_ERROR },
	{ "warn", LOG_LEVEL_WARN }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG }, { NULL, 0 } };
static const struct key_word log_formats[] = { { "text", LOG_FORMAT_TEXT },
	{ "json", LOG_FORMAT_JSON }, { NULL, 0 } };
static const struct key_word auto_word[] = { { "auto", 0 }, { NULL, 0 } };

static const struct key admin_socket_keys[] = {
	{ "path", &type_text, AT(conf_daemon, admin_socket.path),
	    .initial = "/run/flyball/admin.sock", .check = key_check_path,
	    .flags = KEY_RESTART | KEY_FILLED,
	    .text = "Where the socket is. Its folder must exist." },
	{ "mode", &type_mode, AT(conf_daemon, admin_socket.mode),
	    .initial = "0660", .flags = KEY_RESTART,
	    .text = "Who may connect, and so look. Change things may root, the "
		    "daemon's own user and the socket's group." },
	{ "group", &type_text, AT(conf_daemon, admin_socket.group),
	    .initial_doc = "the daemon's own", .check = key_check_plain,
	    .flags = KEY_RESTART, .text = "The group that the socket gets." },
	{ 0 },
};
static const struct section section_admin_socket = {
	.keys = admin_socket_keys,
};

static const struct key http_keys[] = {
	{ "listen", &type_endpoint, AT(conf_daemon, http.listen),
	    .initial_doc = "off", .flags = KEY_NUMERIC,
	    .text = "Address and port. Nobody is asked who he is there, and "
		    "what is shown holds addresses out of replies: so give a "
		    "loopback address, or one that only your own people "
		    "reach." },
	{ 0 },
};
static const struct section section_http = { .keys = http_keys };

static const struct key log_keys[] = {
	{ "level", &type_word, AT(conf_daemon, log.level), .initial = "info",
	    .words = log_levels,
	    .text = "What is logged to stderr: error (act now), warn (you may "
		    "act), info (every verdict), debug (every step)." },
	{ "format", &type_word, AT(conf_daemon, log.format), .initial = "text",
	    .words = log_formats,
	    .text = "text is key=value, json one object a line." },
	{ 0 },
};
static const struct section section_log = { .keys = log_keys };

static const struct key daemon_keys[] = {
	{ "hostname", &type_text, AT(conf_daemon, hostname),
	    .initial_doc = "the system's full name",
	    .check = key_check_hostname,
	    .text = "The name in greetings, EHLO, Received and "
		    "Reporting-MTA." },
	{ "workers", &type_number, AT(conf_daemon, workers), .initial = "auto",
	    .words = auto_word, BOUNDS(1, WORKERS_MAX), .flags = KEY_RESTART,
	    .text = "Threads for connections. auto is one for each CPU." },
	{ "state_dir", &type_text, AT(conf_daemon, state_dir),
	    .initial = "/var/lib/flyball", .check = key_check_path,
	    .flags = KEY_RESTART | KEY_FILLED,
	    .text = "The spool and all that is remembered. Made with mode "
		    "0700 when it isn't there, and locked against a second "
		    "daemon." },
	{ "admin_socket", &type_map, .section = &section_admin_socket,
	    .text = "The socket that flyballctl talks to." },
	{ "http", &type_map, .section = &section_http,
	    .text = "The dashboard, metrics for Prometheus (/metrics), health "
		    "(/healthz, /readyz) and the same as JSON (/api/...). "
		    "Nothing can be changed there." },
	{ "event_log", &type_text, AT(conf_daemon, event_log),
	    .initial = "/var/log/flyball/events.jsonl", .check = key_check_path,
	    .text = "Where events go, one JSON object a line; \"-\" is "
		    "stdout, \"\" is none. It is opened anew on a reload." },
	{ "log", &type_map, .section = &section_log,
	    .text = "The log for people, on stderr." },
	{ "drain_timeout", &type_duration, AT(conf_daemon, drain_timeout_us),
	    .initial = "30s", BOUNDS(0, HOUR),
	    .text = "How long what is in flight may take to end after "
		    "SIGTERM." },
	{ "timezone", &type_text, AT(conf_daemon, timezone),
	    .initial = "system", .check = check_timezone,
	    .text = "Where the days and windows of plans begin and end: "
		    "system, or a name such as Europe/Berlin." },
	{ 0 },
};
const struct section section_daemon = {
	.keys = daemon_keys,
	.seal = seal_daemon,
};

/* ---- listeners ---- */

static const struct key_word listener_tls[] = { { "none", LISTENER_TLS_NONE },
	{ "starttls", LISTENER_TLS_STARTTLS },
	{ "implicit", LISTENER_TLS_IMPLICIT }, { NULL, 0 } };
static const struct key_word listener_auth[] = { { "none", LISTENER_AUTH_NONE },
	{ "required", LISTENER_AUTH_REQUIRED }, { NULL, 0 } };

static const struct key listener_keys[] = {
	{ "listen", &type_endpoint, AT(conf_listener, listen),
	    .flags = KEY_REQUIRED | KEY_NUMERIC,
	    .text = "Address and port. [::] takes IPv4 too where the system "
		    "lets it." },
	{ "tls", &type_word, AT(conf_listener, tls), .initial = "starttls",
	    .words = listener_tls,
	    .text = "none, starttls (RFC 3207), or implicit as on port 465 "
		    "(RFC 8314)." },
	{ "auth", &type_word, AT(conf_listener, auth), .initial = "required",
	    .words = listener_auth,
	    .text = "required: clients log in, but for those in trusted. "
		    "none: only clients in trusted may send." },
	{ "plaintext_auth", &type_bool, AT(conf_listener, plaintext_auth),
	    .initial = "false",
	    .text = "Offers AUTH without TLS. Only on loopback." },
	{ "trusted", &type_networks, AT(conf_listener, trusted),
	    .n_offset = offsetof(struct conf_listener, n_trusted),
	    .text = "Networks whose clients may send without logging in. "
		    "More than one IPv4 /8, or an IPv6 network wider than /16, "
		    "needs open_relay; private networks don't count." },
	{ "open_relay", &type_bool, AT(conf_listener, open_relay),
	    .initial = "false",
	    .text = "The explicit word for a relay that (nearly) anybody may "
		    "use, because something else keeps strangers away. It is "
		    "warned of at each start." },
	{ 0 },
};
const struct section section_listener = {
	.size = sizeof(struct conf_listener),
	.keys = listener_keys,
};

/* ---- tls, auth ---- */

static bool
check_tls_version(struct reader *r, struct node *n, char **text)
{
	if (strcmp(*text, "1.2") == 0 || strcmp(*text, "1.3") == 0)
		return true;
	reader_fail(r, n,
	    "\"%.20s\" isn't one of \"1.2\" or \"1.3\"; older versions are "
	    "broken (RFC 8996)",
	    *text);
	return false;
}

static const struct key tls_keys[] = {
	{ "certificate", &type_text, AT(conf_tls, certificate),
	    .check = key_check_path,
	    .text = "PEM file with the certificate and what links it to its "
		    "root. Read again on a reload." },
	{ "key", &type_text, AT(conf_tls, key), .check = key_check_path,
	    .text = "PEM file with the private key that belongs to it." },
	{ "min_version", &type_text, AT(conf_tls, min_version),
	    .initial = "1.2", .check = check_tls_version, .flags = KEY_FILLED,
	    .text = "The oldest version that clients may speak: \"1.2\" or "
		    "\"1.3\"." },
	{ 0 },
};

static void
seal_tls(struct reader *r, struct node *n, void *base)
{
	(void)r;
	((struct conf_tls *)base)->where = reader_where(n, "certificate");
}

static void
fini_tls(void *base)
{
	free(((struct conf_tls *)base)->where);
}

const struct section section_tls = {
	.keys = tls_keys,
	.seal = seal_tls,
	.fini = fini_tls,
};

static const struct key auth_keys[] = {
	{ "users_file", &type_text, AT(conf_auth, users_file),
	    .check = key_check_path,
	    .text = "Who may log in, one a line: name:hash[:key=value,...]. "
		    "`flyballctl passwd` writes it." },
	{ "cache_ttl", &type_duration, AT(conf_auth, cache_ttl_us),
	    .initial = "60s", BOUNDS(0, HOUR),
	    .text = "How long a good password is remembered in memory, so "
		    "that its slow hash isn't worked out each time. 0s: "
		    "not at all." },
	{ 0 },
};

static void
seal_auth(struct reader *r, struct node *n, void *base)
{
	(void)r;
	((struct conf_auth *)base)->where = reader_where(n, "users_file");
}

static void
fini_auth(void *base)
{
	free(((struct conf_auth *)base)->where);
}

const struct section section_auth = {
	.keys = auth_keys,
	.seal = seal_auth,
	.fini = fini_auth,
};

/* ---- limits ---- */

static const struct key limits_keys[] = {
	{ "message_size", &type_size, AT(conf_limits, message_size_bytes),
	    .initial = "50MiB", BOUNDS(KIB, 1024 * MIB),
	    .text = "The largest message taken (RFC 1870)." },
	{ "recipients", &type_number, AT(conf_limits, recipients),
	    .initial = "1000", BOUNDS(1, 100000),
	    .text = "Recipients of one message. RFC 5321 asks for 100." },
	{ "sessions", &type_number, AT(conf_limits, sessions),
	    .initial = "10000", BOUNDS(0, 1000000),
	    .text = "Clients at once; 0: any number." },
	{ "sessions_per_address", &type_number,
	    AT(conf_limits, sessions_per_address), .initial = "200",
	    BOUNDS(0, 1000000),
	    .text = "Clients at once from one address (one /64 of IPv6); 0: "
		    "any number." },
	{ "command_timeout", &type_duration,
	    AT(conf_limits, command_timeout_us), .initial = "5m",
	    BOUNDS(100 * MS, HOUR),
	    .text = "How long a client may take for one command, whole." },
	{ "data_timeout", &type_duration, AT(conf_limits, data_timeout_us),
	    .initial = "10m", BOUNDS(100 * MS, DAY),
	    .text = "How long a client may take for one message's content." },
	{ "auth_failures", &type_number, AT(conf_limits, auth_failures),
	    .initial = "5", BOUNDS(1, 1000),
	    .text = "Failed log-ins that end a session." },
	{ "bad_commands", &type_number, AT(conf_limits, bad_commands),
	    .initial = "20", BOUNDS(0, 100000),
	    .text = "Refused commands that end a session; 0: any number." },
	{ "received_hops", &type_number, AT(conf_limits, received_hops),
	    .initial = "100", BOUNDS(1, 1000),
	    .text = "Received fields in a message that is taken; more is a "
		    "loop (RFC 5321 6.3)." },
	{ "penalty", &type_duration, AT(conf_limits, penalty_us),
	    .initial = "30s", BOUNDS(0, DAY),
	    .text = "How long an address is turned away after a session that "
		    "was ended for failures. It doubles with each one." },
	{ 0 },
};
const struct section section_limits = { .keys = limits_keys };

/* ---- spool ---- */

static const struct key retry_keys[] = {
	{ "first", &type_duration, AT(conf_spool, retry.first_us),
	    .initial = "5m", BOUNDS(10 * MS, DAY),
	    .text = "The wait after a first deferral." },
	{ "factor", &type_factor, AT(conf_spool, retry.factor_permille),
	    .initial = "2", BOUNDS(1000, 100000),
	    .text = "How much longer each further wait is." },
	{ "max", &type_duration, AT(conf_spool, retry.max_us), .initial = "4h",
	    BOUNDS(10 * MS, 7 * DAY), .text = "The longest wait." },
	{ "jitter", &type_share, AT(conf_spool, retry.jitter_permille),
	    .initial = "20%", BOUNDS(0, 900),
	    .text = "By how much a wait may be longer or shorter, so that "
		    "retries don't come all at once." },
	{ 0 },
};
static const struct section section_retry = { .keys = retry_keys };

static const struct key spool_keys[] = {
	{ "max_messages", &type_count, AT(conf_spool, max_messages),
	    .initial = "2000000", BOUNDS(1, 100000000),
	    .text = "Messages kept at most. Beyond, new mail is answered "
		    "with 452 4.3.1, and what was accepted goes on." },
	{ "max_bytes", &type_size, AT(conf_spool, max_bytes),
	    .initial = "20GiB", BOUNDS(MIB, 32 * TIB),
	    .text = "What the messages may take on disk." },
	{ "min_free", &type_size, AT(conf_spool, min_free_bytes),
	    .initial = "1GiB", BOUNDS(0, 256 * TIB),
	    .text = "What must stay free on the spool's disk." },
	{ "expire", &type_duration, AT(conf_spool, expire_us), .initial = "5d",
	    BOUNDS(SEC, 30 * DAY),
	    .text = "How long delivery is tried before the message goes back "
		    "to its sender." },
	{ "delay_warning", &type_duration, AT(conf_spool, delay_warning_us),
	    .initial = "0s", BOUNDS(0, 30 * DAY),
	    .text = "After so long the sender is told once that a message is "
		    "late; 0s: not told." },
	{ "retry", &type_map, .section = &section_retry,
	    .text = "When a deferred message is tried again." },
	{ 0 },
};
const struct section section_spool = { .keys = spool_keys };
