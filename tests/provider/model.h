/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PROVIDER_MODEL_H
#define FLYBALL_PROVIDER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One mailbox provider as one sending address meets it: hidden limits that
 * move, a memory of how it was treated, noise, and its own words for each
 * refusal. In virtual time: no socket, no clock, no I/O; the same spec, seed
 * and calls give the same answers. flyball-provider puts it behind sockets,
 * the simulator calls it directly.
 *
 * Instants are any monotonic microseconds; the spec's own times count from the
 * instant given to provider_model_new(). Time that runs backwards stands still.
 * A unit is one recipient, as everywhere in flyball.
 */

enum provider_phase {
	PROVIDER_CONNECT,
	PROVIDER_MAIL,
	PROVIDER_RCPT,
	PROVIDER_EOD,
	PROVIDER_PHASES
};

enum provider_kind {
	PROVIDER_OK,
	PROVIDER_RATE,		    /* too fast */
	PROVIDER_DAILY,		    /* the day's tolerance is used up */
	PROVIDER_CONNECTIONS,	    /* too many at once */
	PROVIDER_REPUTATION_DEFER,  /* a pause is advised */
	PROVIDER_REPUTATION_REJECT, /* 554 and friends */
	PROVIDER_GREYLIST,
	PROVIDER_UNKNOWN_USER,
	PROVIDER_MAILBOX_FULL,
	PROVIDER_CONTENT,
	PROVIDER_SYSTEM,	 /* random 451, outages, lost connections */
	PROVIDER_MAINTENANCE,	 /* a 421 that has nothing to do with speed */
	PROVIDER_TOO_MANY_RCPTS, /* in one transaction */
	PROVIDER_MESSAGES,	 /* enough on this connection */
	PROVIDER_KINDS
};

/* "rate", "daily", ...: names for reports. */
const char *provider_kind_name(enum provider_kind kind);
/* Refusals for speed or standing; the others say nothing about the sender. */
bool provider_kind_is_violation(enum provider_kind kind);

/* What the server does with the connection beside (or instead of) replying. */
enum provider_action {
	PROVIDER_REPLY,
	PROVIDER_CLOSE, /* reply, then close */
	PROVIDER_RESET, /* no reply, the connection is torn down */
	PROVIDER_HANG,	/* no reply, the connection stays */
};

#define PROVIDER_TEXT_SIZE 512

struct provider_verdict {
	enum provider_kind kind;
	enum provider_action action;
	int code;	      /* 220, 250, 421, ... */
	const char *enhanced; /* "4.7.28"; "" = this provider gives none */
	char text[PROVIDER_TEXT_SIZE]; /* lines apart by \n, codes not in it */
	int64_t delay_us;	       /* answer after so long */
};

/* The reply as it goes over the wire, CRLF and all; returns its length. */
size_t provider_verdict_format(const struct provider_verdict *v, char *out,
    size_t size);

enum provider_outage {
	PROVIDER_OUTAGE_RESET, /* connections are torn down */
	PROVIDER_OUTAGE_HANG,  /* nobody answers */
	PROVIDER_OUTAGE_421,   /* maintenance, said politely */
};

#define PROVIDER_STEPS_MAX   64
#define PROVIDER_OUTAGES_MAX 16

/*
 * Everything hidden. Start from provider_spec_init(): no limit, no noise.
 * Shares are 0..1, rates are recipients a second.
 */
struct provider_spec {
	char name[64];
	const struct provider_voice *voice; /* whose words; voice_find() */

	double rate;  /* INFINITY: none */
	double burst; /* the bucket's depth; 0: what a second brings, >= 1 */
	/*
	 * From `at_us` on the rate is `factor` times `rate`; before the first
	 * step 1. With a period the steps repeat; as a ramp the factor runs
	 * straight from one step to the next (a sawtooth).
	 */
	struct {
		int64_t at_us;
		double factor;
	} steps[PROVIDER_STEPS_MAX];
	unsigned n_steps;
	int64_t steps_period_us; /* 0: once */
	bool is_ramp;
	/* Where the provider says no to speed; PROVIDER_PHASES: as its voice. */
	enum provider_phase rate_phase;

	unsigned connections; /* at once; 0: any number */
	unsigned messages_per_connection;
	unsigned recipients_per_message;

	int64_t day_us;	  /* 24 h; shorter for rehearsals */
	double day_limit; /* recipients a day; INFINITY: none */
	/*
	 * What it tolerates a day from this sender. Tomorrow it is `growth`
	 * times today's for one who used `used_well` of it and was refused
	 * less than `abuse` of what it tried; `shrink` times after abuse;
	 * `decay` times after a day with next to nothing; never under `floor`.
	 * Refusals past `patience` of the day's tolerance turn into 554s.
	 */
	struct {
		double start; /* INFINITY: not modelled */
		double floor, max;
		double growth, shrink, decay;
		double used_well, abuse, patience;
	} tolerance;
	/*
	 * Reputation in 0..1 multiplies the rate (never below `floor`). Each
	 * refusal for speed costs `loss`; a second of steady sending without
	 * any for `steady_us` brings `gain`. Under `reject_below` a part of the
	 * mail gets a 554, all of it at 0; and these cost reputation too.
	 */
	struct {
		bool is_on;
		double start, loss, gain, floor, reject_below;
		int64_t steady_us;
	} reputation;
	struct {
		double share; /* of sender-recipient pairs */
		int64_t delay_us;
	} greylist;
	struct {
		int64_t from_us, to_us;
		enum provider_outage how;
	} outages[PROVIDER_OUTAGES_MAX];
	unsigned n_outages;
	/* Shares. Who is unknown or full stays so: it hangs on the address. */
	struct {
		double unknown_user, mailbox_full, content, system;
		double maintenance; /* of connections */
		double reset;	    /* before a reply to the final dot */
		double lost_reply;  /* accepted, but the reply is lost */
	} noise;
	struct {
		int64_t min_us, mean_us, max_us; /* of the final reply */
		int64_t command_us;		 /* of every other one */
	} latency;
	/* What there is to send a second, for `ideal`; INFINITY: no end of it;
	 * 0: what provider_model_offer() says. */
	double demand;
};

void provider_spec_init(struct provider_spec *spec, const char *name);

/* A connection, kept by the caller; zeroed by provider_model_connect(). */
struct provider_session {
	bool is_counted;
	unsigned n_messages;
	unsigned n_rcpts;    /* accepted in this transaction */
	unsigned n_reserved; /* tokens it holds */
};

struct provider_model;

/* The spec is copied. */
struct provider_model *provider_model_new(const struct provider_spec *spec,
    uint64_t seed, int64_t now_us);
void provider_model_free(struct provider_model *m);

/*
 * One call a step of the dialogue, in its order; the verdict goes to *v. A
 * session counts against the limit from a connect that was answered with 220
 * until disconnect (which is harmless otherwise). mail() opens a transaction,
 * eod() ends it whatever the verdict, reset() drops it and gives back.
 */
void provider_model_connect(struct provider_model *m,
    struct provider_session *s, int64_t now_us, struct provider_verdict *v);
void provider_model_mail(struct provider_model *m, struct provider_session *s,
    int64_t now_us, struct provider_verdict *v);
void provider_model_rcpt(struct provider_model *m, struct provider_session *s,
    const char *sender, const char *rcpt, int64_t now_us,
    struct provider_verdict *v);
void provider_model_eod(struct provider_model *m, struct provider_session *s,
    int64_t now_us, struct provider_verdict *v);
void provider_model_reset(struct provider_model *m, struct provider_session *s,
    int64_t now_us);
void provider_model_disconnect(struct provider_model *m,
    struct provider_session *s, int64_t now_us);

/* So many more recipients wait for this provider at the sender. */
void provider_model_offer(struct provider_model *m, double n, int64_t now_us);

struct provider_stats {
	uint64_t refused[PROVIDER_KINDS]; /* [PROVIDER_OK]: accepted */
	uint64_t connections;		  /* opened */
	unsigned n_open;
	double limit;	  /* recipients a second now */
	double tolerance; /* recipients today */
	double day_used;
	double reputation;
	int64_t day; /* 0 is the first */
	/* What an all-knowing sender would have had accepted until now:
	 * every token as it came, each day's tolerance used to the full, never
	 * refused, so never smaller; INFINITY without limit and demand. */
	double ideal;
};

void provider_model_stats(struct provider_model *m, int64_t now_us,
    struct provider_stats *out);

/* accepted + refused, in recipients (a refused connection counts as one). */
uint64_t provider_stats_attempts(const struct provider_stats *st);
uint64_t provider_stats_violations(const struct provider_stats *st);

#endif
