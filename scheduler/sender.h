/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SENDER_H
#define FLYBALL_SENDER_H

#include "scheduler/quotas.h"

/*
 * Sender domains: their own warmup and pauses, beside the lanes'. Included
 * inside scheduler/ only.
 *
 * Mail of a domain that has a plan or a pause flows by itself (flow = stream x
 * destination x domain), so that it never stands before mail of another one.
 */
struct sender {
	UT_hash_handle hh;
	char *name;
	const struct conf_sender *conf; /* NULL: it has no plan */
	struct pause *pause;		/* by the operator */
	struct sender_gate *gates;
	unsigned n_users; /* deliveries and flows */
	bool is_split;	  /* has flows of its own */
};

/* One domain at one destination. */
struct sender_gate {
	struct sender *sender;
	char *name;		   /* "a.example/gmail" */
	const char *dest;	   /* within name */
	struct quota_entry *quota; /* NULL: no plan */
	struct sender_gate *prev, *next;
	struct sched *s;
	/* Authentication failed there, or the provider asked for a pause. */
	int64_t n_failed; /* in a row */
	int64_t level;	  /* pauses in a row */
	bool is_shut;
	int64_t since_us, until_us;
	char *because;
	struct timer timer;
	bool is_changed; /* since it was stored */
};

/* NULL for an empty domain. The caller counts itself in n_users. */
struct sender *sender_get(struct sched *s, const char *domain);
struct sender *sender_find(struct sched *s, const char *domain);
void sender_unref(struct sched *s, struct sender *sd);
void sender_tidy(struct sched *s, struct sender *sd); /* frees an unused one */
/* Ends the pauses that its failures brought. False: there is none. */
bool sender_resume(struct sched *s, struct sender *sd);
/* The same of one destination alone; NULL is fine. */
void sender_gate_resume(struct sched *s, struct sender_gate *g);
void senders_configure(struct sched *s);
void senders_free(struct sched *s);

struct sender_gate *sender_gate_get(struct sched *s, struct sender *sd,
    const char *dest);
struct sender_gate *sender_gate_find(const struct sender *sd, const char *dest);
/* Its deliveries get flows of their own. */
void sender_split(struct sched *s, struct sender *sd);
/* Its flows look again whether they are open. */
void sender_refresh(struct sched *s, struct sender *sd);

/* A verdict on mail of this domain at this destination. */
void sender_learn(struct sched *s, struct sender *sd, struct lane *l,
    const struct verdict *v, unsigned effects);
/* The gate's state as text; parse makes the gate. */
void sender_gate_format(const struct sender_gate *g, struct strbuf *out);
int sender_gate_parse(struct sched *s, const char *name, const char *text);

#endif
