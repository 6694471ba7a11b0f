/* SPDX-License-Identifier: ISC */
/*
 * The suppression list's index and its rule: which bounces suppress. Sessions'
 * answers at RCPT and the governor's verdicts ask here; the database keeps the
 * addresses. A good recipient suppressed is the worst mistake, so only final
 * "no such mailbox" replies count as hard, soft ones count once a day, and a
 * delivery in between clears them.
 *
 * Two tables (slot_table.h) keyed by a 64-bit SipHash of the address in lower
 * case: with the list full, an address that isn't in it is taken for one that is
 * with a chance of 1 in 10^12.
 *
 * In the list a slot holds the expiry in minutes and the reason; in the watch a
 * day with the count of hard bounces, and bits: the days with a soft one, the
 * newest lowest.
 */
#include "scheduler/suppression.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "scheduler/slot_table.h"

#define DAY_US	    (86400 * INT64_C(1000000))
#define MINUTE_US   (60 * INT64_C(1000000))
#define NEVER	    UINT32_MAX
#define SWEEP	    4096u /* slots a call */
#define WATCH_DAYS  32
#define ADDRESS_MAX 512
#define IS_DOMAIN   0x100u /* beside the reason */

struct suppression {
	uint8_t key[SIPHASH_KEY_SIZE];
	struct slot_table list, watch;
	uint32_t n_domains; /* in the list; most have none */
};

static const char *const reasons[SUPPRESSION_REASON_COUNT] = {
	[SUPPRESSION_HARD] = "hard",
	[SUPPRESSION_SOFT] = "soft",
	[SUPPRESSION_COMPLAINT] = "complaint",
	[SUPPRESSION_MANUAL] = "manual",
	[SUPPRESSION_DOMAIN] = "domain",
};

const char *
suppression_reason_name(enum suppression_reason reason)
{
	return (size_t)reason < SUPPRESSION_REASON_COUNT ? reasons[reason]
							 : "unknown";
}

int
suppression_reason_parse(const char *name)
{
	for (int i = 0; i < SUPPRESSION_REASON_COUNT; i++)
		if (strcmp(reasons[i], name) == 0)
			return i;
	return -1;
}

const char *
suppression_refusal(const struct suppression_hit *hit)
{
	if (!hit->is_domain)
		return "550 5.1.1 This address is on the suppression list: "
		       "mail to it bounced or was complained about";
	if (hit->reason == SUPPRESSION_DOMAIN)
		return "550 5.1.2 This domain is on the suppression list: its "
		       "provider said that it takes no mail";
	return "550 5.1.2 This domain is on the suppression list";
}

/* ---- life ---- */

struct suppression *
suppression_new(const uint8_t key[SIPHASH_KEY_SIZE])
{
	struct suppression *s = xcalloc(1, sizeof(*s));

	memcpy(s->key, key, SIPHASH_KEY_SIZE);
	slot_table_init(&s->list, SUPPRESSION_MAX);
	slot_table_init(&s->watch, SUPPRESSION_WATCH);
	return s;
}

void
suppression_free(struct suppression *s)
{
	if (s == NULL)
		return;
	slot_table_fini(&s->list);
	slot_table_fini(&s->watch);
	free(s);
}

static uint64_t
hash_of(const struct suppression *s, const char *address)
{
	char lower[ADDRESS_MAX];
	size_t len = 0;
	uint64_t hash;

	for (; address[len] != '\0' && len < sizeof(lower); len++)
		lower[len] = (char)tolower((unsigned char)address[len]);
	hash = siphash(s->key, lower, len);
	return hash != 0 ? hash : 1;
}

/* ---- the list ---- */

static uint32_t
minute_of(int64_t utc_us)
{
	int64_t minute;

	if (utc_us == INT64_MAX)
		return NEVER;
	minute = utc_us / MINUTE_US;
	if (minute < 0)
		return 0;
	return minute < (int64_t)NEVER ? (uint32_t)minute : NEVER - 1;
}

static bool
has_expired(const struct slot *slot, int64_t utc_us)
{
	return slot->a != NEVER && (int64_t)slot->a * MINUTE_US <= utc_us;
}

static void
list_remove(struct suppression *s, struct slot *slot)
{
	s->n_domains -= (slot->b & IS_DOMAIN) != 0;
	slot_table_remove(&s->list, slot);
}

bool
suppression_add(struct suppression *s, const struct suppression_entry *entry)
{
	struct slot *slot =
	    slot_table_add(&s->list, hash_of(s, entry->address));

	if (slot == NULL)
		return false;
	s->n_domains -= (slot->b & IS_DOMAIN) != 0;
	slot->a = minute_of(entry->expires_utc_us);
	slot->b = (uint32_t)entry->reason;
	if (*entry->address == '@') {
		slot->b |= IS_DOMAIN;
		s->n_domains++;
	}
	return true;
}

bool
suppression_remove(struct suppression *s, const char *address)
{
	uint64_t hash = hash_of(s, address);
	struct slot *slot = slot_table_find(&s->watch, hash);

	if (slot != NULL)
		slot_table_remove(&s->watch, slot);
	slot = slot_table_find(&s->list, hash);
	if (slot == NULL)
		return false;
	list_remove(s, slot);
	return true;
}

int
suppression_domain_of(const char *address, char out[SUPPRESSION_DOMAIN_SIZE])
{
	const char *domain = address_domain(address);

	out[0] = '@';
	if (*domain == '[' || domain_normalise(domain, out + 1) < 0) {
		out[0] = '\0';
		return -1;
	}
	return 0;
}

int
suppression_address_parse(const char *text, char out[SUPPRESSION_ADDRESS_SIZE])
{
	if (*text == '@')
		return suppression_domain_of(text, out);
	if (strlen(text) >= SUPPRESSION_ADDRESS_SIZE ||
	    address_check_mailbox(text, true) != ADDRESS_OK)
		return -1;
	strcpy(out, text);
	return 0;
}

/* What has expired goes. */
static struct slot *
list_find(struct suppression *s, const char *address, int64_t utc_us)
{
	struct slot *slot = slot_table_find(&s->list, hash_of(s, address));

	if (slot == NULL || !has_expired(slot, utc_us))
		return slot;
	list_remove(s, slot);
	return NULL;
}

bool
suppression_check(struct suppression *s, const char *address, int64_t utc_us,
    struct suppression_hit *hit_out)
{
	struct slot *slot = list_find(s, address, utc_us);
	char domain[SUPPRESSION_DOMAIN_SIZE];

	if (slot == NULL && s->n_domains > 0 &&
	    suppression_domain_of(address, domain) == 0)
		slot = list_find(s, domain, utc_us);
	if (slot == NULL)
		return false;
	if (hit_out != NULL)
		*hit_out = (struct suppression_hit){
			.reason =
			    (enum suppression_reason)(slot->b & ~IS_DOMAIN),
			.is_domain = (slot->b & IS_DOMAIN) != 0,
			.expires_utc_us = slot->a == NEVER
			    ? INT64_MAX
			    : (int64_t)slot->a * MINUTE_US,
		};
	return true;
}

size_t
suppression_count(const struct suppression *s)
{
	return s->list.n;
}

/* ---- bounces ---- */

/* The watch's second word: days as bits, the newest lowest. Hard bounces are
 * counted in the first word beside the day: 24 bits of day, 8 of count. */
static uint32_t
watch_day(const struct slot *slot)
{
	return slot->a >> 8;
}

static uint32_t
watch_hard(const struct slot *slot)
{
	return slot->a & 0xff;
}

static void
watch_set(struct slot *slot, uint32_t day, uint32_t n_hard)
{
	slot->a = day << 8 | (n_hard < 0xff ? n_hard : 0xff);
}

void
suppression_sweep(struct suppression *s, int64_t utc_us)
{
	uint32_t today = (uint32_t)(utc_us / DAY_US);

	for (uint32_t k = 0; k < SWEEP; k++) {
		struct slot *slot;

		if (s->list.swept >= s->list.n_slots)
			s->list.swept = 0;
		slot = &s->list.v[s->list.swept++];
		if (slot->hash != 0 && has_expired(slot, utc_us))
			list_remove(s, slot);
		if (s->watch.swept >= s->watch.n_slots)
			s->watch.swept = 0;
		slot = &s->watch.v[s->watch.swept++];
		if (slot->hash != 0 && watch_day(slot) + WATCH_DAYS <= today)
			slot_table_remove(&s->watch, slot);
	}
}

/* It is full: the one that bounced longest ago, of a few, makes room. */
static struct slot *
watch_add(struct suppression *s, uint64_t hash)
{
	struct slot *slot = slot_table_add(&s->watch, hash), *oldest = NULL;
	uint32_t mask = s->watch.n_slots - 1;

	if (slot != NULL)
		return slot;
	for (uint32_t i = 0; i < 16; i++) {
		slot = &s->watch.v[((uint32_t)(hash >> 32) + i) & mask];
		if (slot->hash != 0 &&
		    (oldest == NULL || watch_day(slot) < watch_day(oldest)))
			oldest = slot;
	}
	if (oldest == NULL)
		return NULL;
	slot_table_remove(&s->watch, oldest);
	return slot_table_add(&s->watch, hash);
}

static int
days_within(uint32_t bits, int64_t window_us)
{
	int64_t n = (window_us + DAY_US - 1) / DAY_US;
	uint32_t mask = n >= WATCH_DAYS ? UINT32_MAX
	    : n > 0			? (1u << n) - 1
					: 1;

	return __builtin_popcount(bits & mask);
}

/* A clock that steps back counts for the newest day there is. */
static void
watch_turn(struct slot *slot, uint32_t today)
{
	uint32_t day = watch_day(slot), n;

	if (today <= day)
		return;
	n = today - day;
	slot->b = n < WATCH_DAYS ? slot->b << n : 0;
	watch_set(slot, today, watch_hard(slot));
}

bool
suppression_bounce(struct suppression *s, const struct conf_suppression *conf,
    const char *address, bool is_hard, const char *reply, int64_t utc_us,
    struct suppression_entry *entry_out)
{
	uint64_t hash = hash_of(s, address);
	struct slot *slot;
	bool is_over;

	if (conf->action == SUPPRESSION_OFF)
		return false;
	slot = watch_add(s, hash);
	if (slot == NULL)
		return false;
	watch_turn(slot, (uint32_t)(utc_us / DAY_US));
	if (is_hard)
		watch_set(slot, watch_day(slot), watch_hard(slot) + 1);
	else
		slot->b |= 1;
	is_over = is_hard ? conf->hard > 0 && watch_hard(slot) >= conf->hard
			  : conf->soft > 0 &&
		days_within(slot->b, conf->soft_window_us) >= conf->soft;
	if (!is_over)
		return false;
	slot_table_remove(&s->watch, slot);
	*entry_out = (struct suppression_entry){
		.address = address,
		.reason = is_hard ? SUPPRESSION_HARD : SUPPRESSION_SOFT,
		.reply = reply,
		.added_utc_us = utc_us,
		.expires_utc_us =
		    conf->ttl_us > 0 ? utc_us + conf->ttl_us : INT64_MAX,
	};
	return suppression_add(s, entry_out);
}

void
suppression_delivered(struct suppression *s, const char *address)
{
	struct slot *slot;

	if (s->watch.n == 0)
		return;
	slot = slot_table_find(&s->watch, hash_of(s, address));
	if (slot != NULL)
		slot_table_remove(&s->watch, slot);
}

/* ---- domains ---- */

bool
suppression_domain_bounce(struct suppression *s,
    const struct conf_suppression *conf, const char *domain, const char *reply,
    int64_t utc_us, struct suppression_entry *entry_out)
{
	struct slot *slot = list_find(s, domain, utc_us);

	if (conf->action == SUPPRESSION_OFF || conf->domain_ttl_us <= 0 ||
	    (slot != NULL && slot->b != (SUPPRESSION_DOMAIN | IS_DOMAIN)))
		return false;
	*entry_out = (struct suppression_entry){
		.address = domain,
		.reason = SUPPRESSION_DOMAIN,
		.reply = reply,
		.added_utc_us = utc_us,
		.expires_utc_us = utc_us + conf->domain_ttl_us,
	};
	return suppression_add(s, entry_out);
}

bool
suppression_domain_delivered(struct suppression *s, const char *address,
    char domain_out[SUPPRESSION_DOMAIN_SIZE])
{
	struct slot *slot;

	if (s->n_domains == 0 || suppression_domain_of(address, domain_out) < 0)
		return false;
	slot = slot_table_find(&s->list, hash_of(s, domain_out));
	if (slot == NULL || slot->b != (SUPPRESSION_DOMAIN | IS_DOMAIN))
		return false;
	list_remove(s, slot);
	return true;
}

/* ---- stored ---- */

char *
suppression_watch_format(struct suppression *s, const char *address,
    char out[SUPPRESSION_WATCH_SIZE])
{
	struct slot *slot = slot_table_find(&s->watch, hash_of(s, address));

	out[0] = '\0';
	if (slot != NULL)
		snprintf(out, SUPPRESSION_WATCH_SIZE, "1 %u %u %u",
		    watch_day(slot), slot->b, watch_hard(slot));
	return out;
}

int
suppression_watch_parse(struct suppression *s, const char *address,
    const char *text)
{
	unsigned day, bits, n_hard;
	struct slot *slot;
	int end = 0;

	if (strlen(text) >= SUPPRESSION_WATCH_SIZE || strchr(text, '-') ||
	    sscanf(text, "1 %8u %10u %3u%n", &day, &bits, &n_hard, &end) != 3 ||
	    text[end] != '\0' || day > 0xffffff || n_hard > 0xff)
		return -1;
	slot = watch_add(s, hash_of(s, address));
	if (slot == NULL)
		return -1;
	watch_set(slot, day, n_hard);
	slot->b = bits;
	return 0;
}
