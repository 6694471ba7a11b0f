/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CONF_H
#define FLYBALL_CONF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "conf/base/err.h"
#include "conf/base/log.h"
#include "conf/base/units.h"

struct strbuf;

/*
 * What the operator said, as an immutable, reference-counted snapshot. Every
 * field's meaning, default and bounds stand once, in the key table
 * (conf/keys.h); flyball.yaml(5) is generated from it. Strings are never NULL
 * unless said; lists are arrays with a count. Any thread may read a snapshot
 * that it holds a reference on.
 */

struct conf_names { /* a list of strings */
	char **v;
	size_t n;
};

struct conf_cidr { /* IPv4 is kept as ::ffff:a.b.c.d/96+n */
	struct in6_addr address;
	unsigned prefix_bits; /* 0..128 */
	char *text;
};

struct conf_endpoint { /* "127.0.0.1:10025", "[::1]:25", "mail.example:587" */
	char *text;
	char *host; /* without brackets */
	uint16_t port;
};

enum conf_priority { PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_BULK };
#define PRIORITY_COUNT 3

#define CONF_RATES_MAX 8
struct conf_rates { /* all of them hold at once */
	struct rate v[CONF_RATES_MAX];
	size_t n; /* 0: not given */
};

struct conf_daemon {
	char *hostname;
	unsigned workers; /* resolved: never 0 */
	char *state_dir;
	struct {
		char *path;
		unsigned mode; /* 0660 */
		char *group;   /* "" = leave it */
	} admin_socket;
	struct {
		struct conf_endpoint listen; /* text NULL = off */
	} http;
	char *event_log; /* "" = none, "-" = stdout */
	struct {
		enum log_level level;
		enum log_format format;
	} log;
	int64_t drain_timeout_us;
	char *timezone; /* "" = the system's; else an IANA name that exists */
};

enum conf_listener_tls {
	LISTENER_TLS_NONE,
	LISTENER_TLS_STARTTLS,
	LISTENER_TLS_IMPLICIT,
};
enum conf_listener_auth { LISTENER_AUTH_NONE, LISTENER_AUTH_REQUIRED };

struct conf_listener {
	struct conf_endpoint listen; /* a numeric address */
	enum conf_listener_tls tls;
	enum conf_listener_auth auth;
	bool plaintext_auth; /* AUTH without TLS; loopback addresses only */
	struct conf_cidr *trusted;
	size_t n_trusted;
	bool open_relay; /* trusted may be as wide as it likes */
	bool is_reports; /* mail is read here, not relayed */
};

struct conf_tls {
	char *certificate; /* "" = none given */
	char *key;
	char *min_version; /* "1.2" or "1.3" */
	char *where; /* "file:line:column", for errors; NULL: not in a file */
};

struct conf_auth {
	char *users_file;     /* "" = none */
	char *where;	      /* as that of conf_tls */
	int64_t cache_ttl_us; /* good passwords remembered in memory; 0 = off */
};

struct conf_limits {
	int64_t message_size_bytes;
	unsigned recipients;
	unsigned sessions;
	unsigned sessions_per_address;
	int64_t command_timeout_us;
	int64_t data_timeout_us;
	unsigned auth_failures;
	unsigned bad_commands; /* then the session ends */
	unsigned received_hops;
	int64_t penalty_us; /* delay of an address after such an end */
};

struct conf_spool {
	int64_t max_messages;
	int64_t max_bytes;
	int64_t min_free_bytes;
	int64_t expire_us;
	int64_t delay_warning_us; /* 0 = none */
	struct {
		int64_t first_us;
		int64_t factor_permille; /* 2 = 2000 */
		int64_t max_us;
		int64_t jitter_permille; /* 20% = 200: +-20% of the delay */
	} retry;
};

struct conf_dns {
	struct conf_names servers; /* "address" or "address:port"; none: the
				      system's */
	int64_t timeout_us;
	bool mx; /* domains go where their MX hosts belong */
};

enum conf_listed_action { LISTED_PAUSE, LISTED_ALERT };
struct conf_blocklists {
	struct conf_names zones; /* none: nothing is watched */
	int64_t every_us;
	enum conf_listed_action on_listed;
};

/* Decide and report, but hold nothing: shadow. */
enum conf_mode { MODE_ENFORCE, MODE_SHADOW };

/*
 * How a lane's rate follows what the provider bears. The global entry has all
 * fields; a provider's or a route's only those named in `given`.
 */
enum conf_adapt_field { /* bits of `given` */
	ADAPT_ENABLED = 1,
	ADAPT_MODE = 2,
	ADAPT_FLOOR = 4,
	ADAPT_DECREASE = 8,
	ADAPT_HOLD = 16,
	ADAPT_PROBE = 32,
	ADAPT_EVERY = 64,
	ADAPT_SUSPEND_REJECTED = 128,
	ADAPT_SUSPEND_SAMPLE = 256,
	ADAPT_SUSPEND_FOR = 512,
	ADAPT_SUSPEND_MAX = 1024,
	ADAPT_SUSPEND_OVERFLOW = 2048,
};
enum conf_suspend_overflow { SUSPEND_HOLD, SUSPEND_NEXT_ROUTE };
struct conf_adapt {
	unsigned given;
	bool enabled;
	enum conf_mode mode;
	struct rate floor; /* never slower than that */
	struct {
		int64_t decrease_permille; /* below what was last accepted */
		int64_t hold_us;	   /* no growth for so long */
	} react;
	struct {
		int64_t probe_permille;
		int64_t every_us;
	} recover;
	struct {
		int64_t rejected_permille;
		int64_t sample;
		int64_t for_us; /* doubles up to max_us */
		int64_t max_us;
		enum conf_suspend_overflow overflow;
	} suspend;
};

/* A day's volume by the stage: either grown or listed. */
#define CONF_GROWTH_MAX 16
struct conf_schedule {
	int64_t from, to;
	struct conf_growth {
		int64_t until;	     /* this rule holds below; INT64_MAX */
		int64_t by_permille; /* tomorrow in permille of today */
	} growth[CONF_GROWTH_MAX];
	size_t n_growth; /* 0: volumes */
	int64_t *volumes;
	size_t n_volumes;
};

enum conf_plan_count { COUNT_SENDING_DAYS, COUNT_CALENDAR_DAYS };
enum conf_plan_pace { PACE_EVEN, PACE_FRONT };
enum conf_plan_overflow {
	OVERFLOW_NEXT_ROUTE,
	OVERFLOW_HOLD,
	OVERFLOW_TEMPFAIL,
};
enum conf_plan_done { DONE_UNLIMITED, DONE_KEEP };

struct conf_plan_provider {
	char *provider;
	struct conf_schedule schedule;
};

struct conf_plan {
	char *name;
	int64_t start_day; /* days since 1970-01-01; -1 = first_message */
	int64_t day_us;
	int64_t window_from_us, window_to_us; /* within the day; all: 0, day */
	enum conf_plan_count count;
	struct conf_schedule schedule; /* for each provider by itself */
	bool has_total;
	struct conf_schedule total; /* caps the route's whole day beside it */
	enum conf_mode mode;
	struct conf_plan_provider *providers; /* own schedules */
	size_t n_providers;
	enum conf_plan_pace pace;
	struct {
		int64_t volume_permille; /* of the day's allowance, at least */
		int64_t deferred_permille; /* these: less than; -1 = not read */
		int64_t rejected_permille;
		int64_t bounced_permille;
		int64_t complained_permille;
		int64_t sample; /* recipients before a share counts */
	} advance_when;
	struct {
		int64_t hold;	   /* unhealthy days before it steps back */
		int64_t step_back; /* stages */
		int64_t stop_deferred_permille; /* -1 = never */
		int64_t stop_rejected_permille;
	} unhealthy;
	struct {
		int64_t step_back_after_us; /* 0 = never */
		int64_t restart_after_us;
	} idle;
	enum conf_plan_overflow overflow;
	enum conf_plan_done done;
};

struct conf_spike_guard {
	bool is_given;
	enum conf_mode mode;
	int64_t window_us;
	int64_t ratio_permille; /* of the window's peak day */
	int64_t floor;		/* recipients a day that are always fine */
};

enum conf_suppression_action {
	SUPPRESSION_REJECT, /* 550 5.1.1 (a domain: 5.1.2) at RCPT */
	SUPPRESSION_DROP,
	SUPPRESSION_OFF,
};
struct conf_suppression {
	int64_t hard; /* hard bounces that suppress */
	int64_t soft; /* days with a soft bounce within soft_window */
	int64_t soft_window_us;
	int64_t ttl_us;
	int64_t domain_ttl_us; /* 0: domains aren't remembered */
	enum conf_suppression_action action;
};

enum conf_list_action { LIST_HOLD, LIST_ALERT };
struct conf_list_health {
	bool is_given;
	int64_t bounced_permille;
	int64_t sample;
	enum conf_list_action action;
};

/* One rule that says what a reply means; providers.NAME.replies[]. */
struct conf_reply_rule {
	char *name;  /* for people: its id, or "NAME.replies[2]" */
	char *match; /* PCRE2 over the whole reply, see reply_rules.h */
	char *phase; /* phases_parse() */
	char *class;
	char *blame;	  /* "" = the class's usual one */
	int64_t pause_us; /* that the provider advises; 0 = none given */
	int final;	  /* 1 bounce, 0 retry, -1 as class and code say */
	char *where;	  /* "file:line:column" of the match, for errors */
	/* Of built-in rules; NULL and none elsewhere: any. */
	char *code; /* "5", "421", "450-452" */
	struct conf_names providers;
};

/* Limits of one provider; in a route's `providers:` only what is narrowed. */
struct conf_limit_set {
	struct conf_rates rates; /* n == 0: inherited */
	int64_t burst;		 /* 0 = default, see bucket.h */
	unsigned connections;	 /* 0 = inherited / no limit of its own */
	unsigned messages_per_connection;
	unsigned recipients_per_message;
};

struct conf_provider {
	char *name;
	bool is_builtin;
	bool is_other; /* the entry `other`: one lane for each site */
	/* Lower case, A-label form. ".example" also matches what is below. */
	struct conf_names domains;
	struct conf_names mx; /* suffixes, without a leading dot */
	struct conf_limit_set limits;
	enum conf_mode mode; /* of its rates */
	struct conf_adapt adapt;
	struct conf_reply_rule *replies; /* tried before the built-in ones */
	size_t n_replies;
};

enum conf_route_tls {
	ROUTE_TLS_NONE,
	ROUTE_TLS_OPPORTUNISTIC,
	ROUTE_TLS_REQUIRED, /* encrypted, any certificate */
	ROUTE_TLS_VERIFY,   /* chain and name */
};

struct conf_route_limit {
	char *provider;
	struct conf_limit_set limits;
};

struct conf_route {
	char *name;
	struct conf_endpoint next_hop;
	unsigned connections;
	enum conf_route_tls tls;
	char *tls_ca;	/* "" = the system's */
	char *where;	/* of tls_ca, as that of conf_tls */
	char *tls_name; /* name to verify and SNI; "" = next_hop's host */
	char *source;	/* local address; "" = the system's choice */
	char *ehlo;	/* "" = daemon.hostname */
	struct {
		char *user; /* "" = no AUTH */
		char *password_file;
		char *password; /* read at load; never dumped, never logged */
	} auth;
	int64_t idle_timeout_us;
	struct { /* RFC 5321 4.5.3.2 */
		int64_t connect_us;
		int64_t greeting_us;
		int64_t command_us; /* EHLO, STARTTLS, AUTH, RSET, QUIT */
		int64_t mail_us;
		int64_t rcpt_us;
		int64_t data_us;
		int64_t data_block_us;
		int64_t data_done_us;
	} timeouts;
	struct { /* a next hop that can't be reached */
		int64_t first_us;
		int64_t max_us;
	} backoff;
	struct conf_route_limit *limits; /* key `providers` */
	size_t n_limits;
	char *plan;    /* "" = none */
	char *address; /* the IP that the world sees; "" = not said */
	struct conf_adapt adapt;
};

struct conf_sender { /* a sender domain of ours */
	char *domain;
	char *plan;		/* its own warmup; "" = none */
	struct conf_names dkim; /* selectors, for the doctor */
};

struct conf_header_match {
	char *name;
	char *value; /* "*" = any value */
};

struct conf_stream {
	char *name;
	struct { /* all that are given must match; a list matches by any */
		struct conf_names user;
		struct conf_names sender_domain;
		struct conf_names listener; /* a listener's `listen` text */
		struct conf_header_match *header;
		size_t n_header;
	} match;
	enum conf_priority priority;
	unsigned weight;	  /* 1..1000 */
	struct conf_names routes; /* preference order, never empty */
};

/* The log of an MTA behind us, which tells what became of what it took. */
struct conf_mta_log {
	char *path; /* "" = journal */
	bool journal;
	struct conf_names units;  /* of the journal; empty: the MTA's usual */
	struct conf_names routes; /* that hand over to it; empty: all */
	int64_t credit;		  /* recipients; 0 = by the lane's rate */
	int64_t credit_timeout_us;
	char *match; /* of pattern_log */
};

struct conf_feedback {
	struct conf_mta_log *postfix_logs, *exim_logs, *opensmtpd_logs,
	    *pattern_logs;
	size_t n_postfix_logs, n_exim_logs, n_opensmtpd_logs, n_pattern_logs;
	int64_t handed; /* transactions that are remembered for them */
	struct {
		bool is_given;
		struct conf_listener listener;
	} reports;
	bool events; /* `feedback` on the admin socket */
};

/* Relays that share their lanes' limits through one Redis. Nothing but
 * is_given is to be read where that is false. */
enum conf_on_loss { ON_LOSS_SHARE, ON_LOSS_HOLD };
struct conf_cluster {
	bool is_given;
	char *redis; /* the URL, as written: see redis_url.h */
	char *password_file;
	char *password; /* read at load; never dumped, never logged */
	char *sentinel_password_file;
	char *sentinel_password;
	char *tls_ca; /* "" = the system's */
	char *name;   /* of this node; unique in the cluster */
	char *prefix; /* of all keys and channels */
	int64_t lease_us;
	int64_t timeout_us; /* of one call, and of connecting */
	enum conf_on_loss on_loss;
};

struct conf {
	char *file; /* where it was read from */
	struct conf_daemon daemon;
	struct conf_listener *listeners;
	size_t n_listeners;
	struct conf_tls tls;
	struct conf_auth auth;
	struct conf_limits limits;
	struct conf_spool spool;
	struct conf_dns dns;
	struct conf_provider *providers; /* built-in merged with the file's */
	size_t n_providers;		 /* `other` is always the last one */
	struct conf_route *routes;
	size_t n_routes;
	struct conf_stream *streams; /* in the file's order; `default` last */
	size_t n_streams;
	struct conf_sender *senders;
	size_t n_senders;
	struct conf_plan *plans;
	size_t n_plans;
	struct conf_adapt adapt;
	struct conf_spike_guard spike_guard;
	struct conf_suppression suppression;
	struct conf_list_health list_health;
	struct conf_blocklists blocklists;
	struct conf_feedback feedback;
	struct conf_cluster cluster;
};

/*
 * Reads, checks and resolves `file`. On failure returns NULL and puts all
 * mistakes into errors_out, one a line, as "file:line:column: path.to.key:
 * what is wrong (did you mean X?)".
 */
struct conf *conf_load(const char *file, struct strbuf *errors_out);
/* The same for text in memory; `name` stands for the file in messages. */
struct conf *conf_load_text(const char *name, const char *text, size_t len,
    struct strbuf *errors_out);

struct conf *conf_ref(const struct conf *conf);
void conf_unref(const struct conf *conf); /* NULL is fine */

/* The whole snapshot as YAML that loads to the same one; secrets left out. */
void conf_dump(const struct conf *conf, struct strbuf *out);

/*
 * What a change of snapshots can't do while running (state_dir, workers, the
 * admin socket), one key path a line. Returns how many.
 */
size_t conf_needs_restart(const struct conf *old, const struct conf *new,
    struct strbuf *keys_out);

/* Look-ups by name; NULL when there is none. */
const struct conf_provider *conf_provider(const struct conf *conf,
    const char *name);
const struct conf_route *conf_route(const struct conf *conf, const char *name);
const struct conf_stream *conf_stream(const struct conf *conf,
    const char *name);
/* The provider's limits as `route` narrows them (the smaller of both). */
struct conf_limit_set conf_lane_limits(const struct conf_route *route,
    const struct conf_provider *provider);

/* The log in which the fate of what leaves by this route stands; NULL: none. */
const struct conf_mta_log *conf_route_log(const struct conf *conf,
    const char *route);
/* All that is listened on for mail: the listeners, then that for reports. */
size_t conf_n_listeners(const struct conf *conf);
const struct conf_listener *conf_listener_at(const struct conf *conf, size_t i);

/* NULL when there is none. */
const struct conf_plan *conf_plan(const struct conf *conf, const char *name);
/* What holds for one lane: the route's fields over the provider's over the
 * global ones. */
struct conf_adapt conf_lane_adapt(const struct conf *conf,
    const struct conf_route *route, const struct conf_provider *provider);

bool conf_cidr_contains(const struct conf_cidr *cidr,
    const struct sockaddr *address);

/* Walks the key table for the manual page and the test of its completeness. */
struct conf_key_doc {
	const char *path;    /* "limits.message_size", "routes.NAME.next_hop" */
	const char *type;    /* "size", "duration", "list of domains" */
	const char *initial; /* default as text; "" = none, "required" */
	const char *bounds;  /* "1..1000000"; "" = none */
	const char *text;    /* what it is for, whole sentences */
};
void conf_keys_each(void (*each)(const struct conf_key_doc *doc, void *arg),
    void *arg);

#endif
