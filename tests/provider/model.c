/* SPDX-License-Identifier: ISC */
/*
 * What a provider answers and why: the steps of the dialogue, its noise, its
 * counts. Called by the demonstration server and by the simulator; how it
 * stands with the sender (bucket, day, reputation) lies in standing.c.
 *
 * Two standings run side by side. One is the sender's. The other belongs to an
 * all-knowing sender who takes each token as it comes and is never refused: it
 * is what `ideal` counts, and what a real sender is measured by.
 *
 * The subtle rule: noise costs no token. Who is refused for a typing mistake
 * hasn't used up anything, so a sender that slows down for it loses by it.
 */
#include "tests/provider/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/rng.h"
#include "conf/base/xalloc.h"
#include "tests/provider/spec.h"
#include "tests/provider/standing.h"
#include "tests/provider/voice.h"

/* Pairs remembered for greylisting; a pair that displaced another is new. */
#define GREY_SLOTS 65536

struct grey {
	uint64_t key;
	int64_t first_us;
};

struct provider_model {
	struct provider_spec spec;
	struct rng rng;
	uint64_t salt;
	int64_t origin_us;
	int64_t now_us; /* since the origin */
	struct standing real, ideal;
	double backlog;	 /* the all-knowing sender's */
	double accepted; /* by it */
	uint64_t refused[PROVIDER_KINDS];
	uint64_t n_connections;
	unsigned n_open;
	struct grey *grey;
};

struct provider_model *
provider_model_new(const struct provider_spec *spec, uint64_t seed,
    int64_t now_us)
{
	struct provider_model *m = xcalloc(1, sizeof(*m));

	m->spec = *spec;
	m->rng.state = seed;
	m->salt = rng_next(&m->rng);
	m->origin_us = now_us;
	standing_init(&m->real, &m->spec);
	standing_init(&m->ideal, &m->spec);
	if (spec->greylist.share > 0)
		m->grey = xcalloc(GREY_SLOTS, sizeof(*m->grey));
	return m;
}

void
provider_model_free(struct provider_model *m)
{
	if (m == NULL)
		return;
	free(m->grey);
	free(m);
}

/* ---- time ---- */

static void
ideal_take(struct provider_model *m, int64_t from_us, int64_t to_us)
{
	double take;

	if (m->spec.demand > 0)
		m->backlog += m->spec.demand * (double)(to_us - from_us) / 1e6 *
		    (1 - spec_lost_share(&m->spec));
	if (spec_outage_at(&m->spec, from_us) >= 0)
		return;
	take = fmin(m->backlog, standing_room(&m->ideal, &m->spec));
	if (take <= 0)
		return;
	m->accepted += take;
	if (isfinite(m->backlog))
		m->backlog -= take;
	standing_accept(&m->ideal, take, to_us);
}

/* Runs both standings up to now, slice by slice from edge to edge. */
static void
advance(struct provider_model *m, int64_t now_us)
{
	int64_t to_us = now_us - m->origin_us;

	while (m->now_us < to_us) {
		int64_t edge_us = spec_next_edge(&m->spec, m->now_us);
		int64_t end_us = edge_us < to_us ? edge_us : to_us;

		standing_refill(&m->real, &m->spec, m->now_us, end_us);
		standing_cap(&m->real, &m->spec, end_us);
		/* It takes tokens as they come: the bucket never runs over. */
		standing_refill(&m->ideal, &m->spec, m->now_us, end_us);
		ideal_take(m, m->now_us, end_us);
		standing_cap(&m->ideal, &m->spec, end_us);
		m->now_us = end_us;
		if (end_us % m->spec.day_us == 0) {
			standing_new_day(&m->real, &m->spec);
			standing_new_day(&m->ideal, &m->spec);
		}
	}
}

void
provider_model_offer(struct provider_model *m, double n, int64_t now_us)
{
	advance(m, now_us);
	m->backlog += n * (1 - spec_lost_share(&m->spec));
}

/* ---- chance ---- */

static bool
happens(struct provider_model *m, double share)
{
	if (share <= 0)
		return false;
	return (double)(rng_next(&m->rng) >> 11) * 0x1p-53 < share;
}

static uint64_t
hash_text(uint64_t h, const char *s)
{
	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return h;
}

/* A fixed number in 0..1 for an address and a question. */
static double
trait(const struct provider_model *m, const char *address, uint64_t question)
{
	struct rng r = { hash_text(m->salt ^ question, address) };

	return (double)(rng_next(&r) >> 11) * 0x1p-53;
}

static int64_t
final_latency(struct provider_model *m)
{
	int64_t mean_us = m->spec.latency.mean_us;
	int64_t min_us = m->spec.latency.min_us, us;
	double u;

	if (mean_us <= min_us)
		return min_us;
	/* Exponential above the minimum, as queueing is. */
	u = ((double)(rng_next(&m->rng) >> 11) + 1) * 0x1p-53;
	us = min_us + (int64_t)(-log(u) * (double)(mean_us - min_us));
	if (m->spec.latency.max_us > 0 && us > m->spec.latency.max_us)
		us = m->spec.latency.max_us;
	return us;
}

/* ---- verdicts ---- */

/* Refuses n recipients (or a connection) and remembers why. */
static void
refuse(struct provider_model *m, enum provider_kind kind, unsigned n,
    const char *rcpt, struct provider_verdict *v)
{
	voice_say(m->spec.voice, kind, rcpt, v);
	m->refused[kind] += n;
	if (provider_kind_is_violation(kind))
		standing_violate(&m->real, &m->spec, n, m->now_us);
}

static void
begin(struct provider_model *m, int64_t now_us, int code, const char *enhanced,
    const char *text, struct provider_verdict *v)
{
	advance(m, now_us);
	*v = (struct provider_verdict){ .kind = PROVIDER_OK,
		.action = PROVIDER_REPLY,
		.code = code,
		.enhanced = enhanced,
		.delay_us = m->spec.latency.command_us };
	snprintf(v->text, sizeof(v->text), "%s", text);
}

/* Says true, and what happens, when nobody is at home. */
static bool
is_out(struct provider_model *m, unsigned n, struct provider_verdict *v)
{
	int how = spec_outage_at(&m->spec, m->now_us);

	if (how < 0)
		return false;
	if (how == PROVIDER_OUTAGE_421) {
		refuse(m, PROVIDER_MAINTENANCE, n, NULL, v);
		return true;
	}
	v->kind = PROVIDER_SYSTEM;
	v->code = 0;
	v->action =
	    how == PROVIDER_OUTAGE_HANG ? PROVIDER_HANG : PROVIDER_RESET;
	m->refused[PROVIDER_SYSTEM] += n;
	return true;
}

static enum provider_phase
rate_phase(const struct provider_spec *spec)
{
	return spec->rate_phase == PROVIDER_PHASES ? spec->voice->rate_phase
						   : spec->rate_phase;
}

/* Speed and standing: takes n tokens and says true, or refuses. */
static bool
pass_gate(struct provider_model *m, struct provider_session *s, unsigned n,
    const char *rcpt, struct provider_verdict *v)
{
	struct provider_spec *spec = &m->spec;

	if (happens(m, standing_reject_share(&m->real, spec))) {
		refuse(m, PROVIDER_REPUTATION_REJECT, n, rcpt, v);
		return false;
	}
	switch (standing_take(&m->real, spec, n)) {
	case STANDING_OK:
		s->n_reserved += n;
		return true;
	case STANDING_NO_TOKEN:
		refuse(m, PROVIDER_RATE, n, rcpt, v);
		break;
	case STANDING_DAY_IS_FULL:
		refuse(m, PROVIDER_DAILY, n, rcpt, v);
		break;
	case STANDING_NO_PATIENCE:
		refuse(m, PROVIDER_REPUTATION_REJECT, n, rcpt, v);
		break;
	}
	return false;
}

void
provider_model_connect(struct provider_model *m, struct provider_session *s,
    int64_t now_us, struct provider_verdict *v)
{
	*s = (struct provider_session){ 0 };
	begin(m, now_us, 220, "", m->spec.voice->banner, v);
	m->n_connections++;
	if (is_out(m, 1, v))
		return;
	if (happens(m, m->spec.noise.maintenance)) {
		refuse(m, PROVIDER_MAINTENANCE, 1, NULL, v);
		return;
	}
	if (m->spec.connections > 0 && m->n_open >= m->spec.connections) {
		refuse(m, PROVIDER_CONNECTIONS, 1, NULL, v);
		v->action = PROVIDER_CLOSE;
		return;
	}
	s->is_counted = true;
	m->n_open++;
}

void
provider_model_disconnect(struct provider_model *m, struct provider_session *s,
    int64_t now_us)
{
	provider_model_reset(m, s, now_us);
	if (s->is_counted)
		m->n_open--;
	s->is_counted = false;
}

void
provider_model_reset(struct provider_model *m, struct provider_session *s,
    int64_t now_us)
{
	advance(m, now_us);
	standing_give_back(&m->real, s->n_reserved);
	s->n_reserved = 0;
	s->n_rcpts = 0;
}

void
provider_model_mail(struct provider_model *m, struct provider_session *s,
    int64_t now_us, struct provider_verdict *v)
{
	unsigned max = m->spec.messages_per_connection;

	provider_model_reset(m, s, now_us);
	begin(m, now_us, 250, "2.1.0", "Sender ok", v);
	if (is_out(m, 1, v))
		return;
	if (max > 0 && s->n_messages >= max) {
		/* The message isn't refused, it may come again at once. */
		voice_say(m->spec.voice, PROVIDER_MESSAGES, NULL, v);
		v->action = PROVIDER_CLOSE;
		m->refused[PROVIDER_MESSAGES]++;
		return;
	}
	if (rate_phase(&m->spec) == PROVIDER_MAIL)
		pass_gate(m, s, 1, NULL, v);
}

static bool
is_greylisted(struct provider_model *m, const char *sender, const char *rcpt)
{
	uint64_t key = hash_text(hash_text(m->salt, sender), "\1");
	struct rng r = { hash_text(key, rcpt) };
	struct grey *g;

	key = rng_next(&r) | 1; /* 0 is an empty slot */
	if ((double)(rng_next(&r) >> 11) * 0x1p-53 >= m->spec.greylist.share)
		return false;
	g = &m->grey[(key >> 8) % GREY_SLOTS];
	if (g->key != key)
		*g = (struct grey){ key, m->now_us };
	return m->now_us - g->first_us < m->spec.greylist.delay_us;
}

/* What hangs on the address, not on the sender. */
static enum provider_kind
recipient_kind(struct provider_model *m, const struct provider_session *s,
    const char *sender, const char *rcpt)
{
	const struct provider_spec *spec = &m->spec;

	if (spec->recipients_per_message > 0 &&
	    s->n_rcpts >= spec->recipients_per_message)
		return PROVIDER_TOO_MANY_RCPTS;
	if (spec->noise.unknown_user > 0 &&
	    trait(m, rcpt, 1) < spec->noise.unknown_user)
		return PROVIDER_UNKNOWN_USER;
	if (spec->noise.mailbox_full > 0 &&
	    trait(m, rcpt, 2) < spec->noise.mailbox_full)
		return PROVIDER_MAILBOX_FULL;
	if (m->grey != NULL && is_greylisted(m, sender, rcpt))
		return PROVIDER_GREYLIST;
	return PROVIDER_OK;
}

void
provider_model_rcpt(struct provider_model *m, struct provider_session *s,
    const char *sender, const char *rcpt, int64_t now_us,
    struct provider_verdict *v)
{
	enum provider_phase phase = rate_phase(&m->spec);
	enum provider_kind kind;

	begin(m, now_us, 250, "2.1.5", "Recipient ok", v);
	if (is_out(m, 1, v))
		return;
	kind = recipient_kind(m, s, sender, rcpt);
	if (kind != PROVIDER_OK) {
		refuse(m, kind, 1, rcpt, v);
		return;
	}
	if (phase == PROVIDER_RCPT && !pass_gate(m, s, 1, rcpt, v))
		return;
	s->n_rcpts++;
	if (phase == PROVIDER_MAIL && s->n_rcpts > s->n_reserved) {
		/* MAIL took for the first; these are taken on credit. */
		standing_force(&m->real, 1);
		s->n_reserved++;
	}
}

/* What becomes of a whole message that stands at its final dot. */
static bool
pass_content(struct provider_model *m, unsigned n, struct provider_verdict *v)
{
	if (is_out(m, n, v))
		return false;
	if (happens(m, m->spec.noise.reset)) {
		v->kind = PROVIDER_SYSTEM;
		v->code = 0;
		v->action = PROVIDER_RESET;
		m->refused[PROVIDER_SYSTEM] += n;
		return false;
	}
	if (happens(m, m->spec.noise.system)) {
		refuse(m, PROVIDER_SYSTEM, n, NULL, v);
		return false;
	}
	if (happens(m, m->spec.noise.content)) {
		refuse(m, PROVIDER_CONTENT, n, NULL, v);
		return false;
	}
	return true;
}

void
provider_model_eod(struct provider_model *m, struct provider_session *s,
    int64_t now_us, struct provider_verdict *v)
{
	unsigned n = s->n_rcpts;

	begin(m, now_us, 250, "2.0.0", "Ok", v);
	v->delay_us = final_latency(m);
	s->n_messages++;
	if (pass_content(m, n, v) &&
	    (rate_phase(&m->spec) != PROVIDER_EOD ||
		pass_gate(m, s, n, NULL, v))) {
		voice_say(m->spec.voice, PROVIDER_OK, NULL, v);
		m->refused[PROVIDER_OK] += n;
		/* Its tokens are spent; a MAIL without a recipient, too. */
		s->n_reserved = 0;
		standing_accept_taken(&m->real, n, m->now_us);
		if (happens(m, m->spec.noise.lost_reply))
			v->action = PROVIDER_RESET;
	}
	provider_model_reset(m, s, now_us);
}

/* ---- reports ---- */

void
provider_model_stats(struct provider_model *m, int64_t now_us,
    struct provider_stats *out)
{
	advance(m, now_us);
	*out = (struct provider_stats){ .connections = m->n_connections,
		.n_open = m->n_open,
		.limit = spec_outage_at(&m->spec, m->now_us) >= 0
		    ? 0
		    : standing_limit(&m->real, &m->spec, m->now_us),
		.tolerance = standing_day_limit(&m->real, &m->spec),
		.day_used = m->real.day_used,
		.reputation = m->real.reputation,
		.day = m->now_us / m->spec.day_us,
		.ideal = m->accepted };
	memcpy(out->refused, m->refused, sizeof(out->refused));
}

uint64_t
provider_stats_attempts(const struct provider_stats *st)
{
	uint64_t n = 0;

	for (int i = 0; i < PROVIDER_KINDS; i++)
		n += st->refused[i];
	return n;
}

uint64_t
provider_stats_violations(const struct provider_stats *st)
{
	uint64_t n = 0;

	for (int i = 0; i < PROVIDER_KINDS; i++)
		if (provider_kind_is_violation((enum provider_kind)i))
			n += st->refused[i];
	return n;
}
