/* SPDX-License-Identifier: ISC */
/*
 * Rows of the key table: warmup plans, and the guards beside them. Schedules
 * and windows have types of their own in key_plans.c.
 */
#include "conf/key_plans.h"
#include "conf/key_types.h"
#include "conf/keys_sections.h"

#define MS		  INT64_C(1000)
#define SEC		  (1000 * MS)
#define HOUR		  (3600 * SEC)
#define DAY		  (24 * HOUR)
#define AT(s, f)	  .offset = offsetof(struct s, f)
#define BOUNDS(low, high) .min = (low), .max = (high)
#define VOLUME_MAX	  INT64_C(1000000000000)

static const struct key_word never_zero[] = { { "never", 0 }, { NULL, 0 } };
static const struct key_word never_minus[] = { { "never", -1 }, { NULL, 0 } };
static const struct key_word off_minus[] = { { "off", -1 }, { NULL, 0 } };

/* ---- schedules ---- */

/* `at`: where the struct conf_schedule begins. */
#define SCHEDULE_ROWS(at)                                                      \
	{ "from", &type_count,                                                 \
		.offset = (at) + offsetof(struct conf_schedule, from),         \
		BOUNDS(1, VOLUME_MAX),                                         \
		.text = "Recipients on the first day." },                      \
	    { "growth", &type_growth, .offset = (at),                          \
		    .text =                                                    \
			"Tomorrow's volume as a share of today's: 150%. By "   \
			"volume it is a list: [{until: 50k, by: 200%}, {by: "  \
			"120%}]." },                                           \
	    { "to", &type_count,                                               \
		    .offset = (at) + offsetof(struct conf_schedule, to),       \
		    BOUNDS(1, VOLUME_MAX),                                     \
		    .text = "Recipients a day at which it is done." },         \
	{                                                                      \
		"volumes", &type_volumes,                                      \
		    .offset = (at),                                            \
		    .text = "Each day's recipients, in place of from, growth " \
			    "and to."                                          \
	}

static const struct key schedule_keys[] = {
	SCHEDULE_ROWS(0),
	{ 0 },
};
const struct section section_schedule = { .keys = schedule_keys };

static const struct key plan_provider_keys[] = {
	SCHEDULE_ROWS(offsetof(struct conf_plan_provider, schedule)),
	{ 0 },
};

static void
seal_plan_provider(struct reader *r, struct node *n, void *base)
{
	struct conf_plan_provider *p = base;

	schedule_check(r, n, &p->schedule);
}

static const struct section section_plan_provider = {
	.name = "PROVIDER",
	.size = sizeof(struct conf_plan_provider),
	.name_offset = offsetof(struct conf_plan_provider, provider),
	.keys = plan_provider_keys,
	.seal = seal_plan_provider,
};

/* ---- gates ---- */

#define NEVER_OPENS "beyond that the gate would never open"
#define BELOW(name, field, value, what)                                        \
	{                                                                      \
		name, &type_below, AT(conf_plan, advance_when.field),          \
		    .initial = value, BOUNDS(1, 1000),                         \
		    .bound_why = NEVER_OPENS, .words = off_minus, .text = what \
	}

static const struct key advance_keys[] = {
	{ "volume", &type_share, AT(conf_plan, advance_when.volume_permille),
	    .initial = "70%", BOUNDS(0, 1000), .bound_why = NEVER_OPENS,
	    .text = "At least so much of the day's volume was used." },
	BELOW("deferred", deferred_permille, "<10%",
	    "Fewer were deferred; off: not looked at."),
	BELOW("rejected", rejected_permille, "<2%",
	    "Fewer were refused for reputation; off: not looked at."),
	BELOW("bounced", bounced_permille, "<5%",
	    "Fewer bounced; off: not looked at."),
	BELOW("complained", complained_permille, "<0.1%",
	    "Fewer complained; off: not looked at."),
	{ "sample", &type_count, AT(conf_plan, advance_when.sample),
	    .initial = "20", BOUNDS(1, 1000000),
	    .text = "Recipients before a share means anything." },
	{ 0 },
};
static const struct section section_advance = { .keys = advance_keys };

static const struct key stop_keys[] = {
	{ "deferred", &type_share,
	    AT(conf_plan, unhealthy.stop_deferred_permille), .initial = "30%",
	    BOUNDS(1, 1000), .words = never_minus,
	    .text = "So many deferred stop the day." },
	{ "rejected", &type_share,
	    AT(conf_plan, unhealthy.stop_rejected_permille), .initial = "5%",
	    BOUNDS(1, 1000), .words = never_minus,
	    .text = "So many refused for reputation stop the day." },
	{ 0 },
};
static const struct section section_stop = { .keys = stop_keys };

static const struct key unhealthy_keys[] = {
	{ "hold", &type_count, AT(conf_plan, unhealthy.hold), .initial = "1",
	    BOUNDS(0, 1000),
	    .text = "So many unhealthy days are repeated before the plan "
		    "steps back." },
	{ "step_back", &type_count, AT(conf_plan, unhealthy.step_back),
	    .initial = "1", BOUNDS(0, 1000),
	    .text = "How many days it steps back." },
	{ "stop_day_at", &type_map, .section = &section_stop,
	    .text = "What ends a day's sending at once." },
	{ 0 },
};
static const struct section section_unhealthy = { .keys = unhealthy_keys };

static const struct key idle_keys[] = {
	{ "step_back_after", &type_duration,
	    AT(conf_plan, idle.step_back_after_us), .initial = "7d",
	    BOUNDS(MS, 3650 * DAY), .words = never_zero,
	    .text = "For each such time without sending it steps back a "
		    "day." },
	{ "restart_after", &type_duration, AT(conf_plan, idle.restart_after_us),
	    .initial = "30d", BOUNDS(MS, 3650 * DAY), .words = never_zero,
	    .text = "After so long without sending it begins anew." },
	{ 0 },
};
static const struct section section_idle = { .keys = idle_keys };

/* ---- plans ---- */

static const struct key_word counts[] = { { "sending_days",
					      COUNT_SENDING_DAYS },
	{ "calendar_days", COUNT_CALENDAR_DAYS }, { NULL, 0 } };
static const struct key_word paces[] = { { "even", PACE_EVEN },
	{ "front", PACE_FRONT }, { NULL, 0 } };
static const struct key_word overflows[] = {
	{ "next_route", OVERFLOW_NEXT_ROUTE }, { "hold", OVERFLOW_HOLD },
	{ "tempfail", OVERFLOW_TEMPFAIL }, { NULL, 0 }
};
static const struct key_word dones[] = { { "unlimited", DONE_UNLIMITED },
	{ "keep", DONE_KEEP }, { NULL, 0 } };

static const struct key plan_keys[] = {
	{ "start", &type_start, AT(conf_plan, start_day),
	    .initial = "first_message",
	    .text = "The first day: first_message, or a date as "
		    "2026-12-01." },
	{ "day", &type_duration, AT(conf_plan, day_us), .initial = "24h",
	    BOUNDS(10 * MS, DAY),
	    .text = "How long a day of the plan is. 24h is a calendar day of "
		    "daemon.timezone; shorter ones are for rehearsals." },
	{ "window", &type_window, AT(conf_plan, window_from_us),
	    .initial = "all",
	    .text = "When a day's volume is sent: \"07:00-21:00\", all, or "
		    "for shorter days two durations, \"5s-15s\"." },
	{ "count", &type_word, AT(conf_plan, count), .initial = "sending_days",
	    .words = counts,
	    .text = "Whether a day without mail advances the plan: it does "
		    "with calendar_days." },
	{ "schedule", &type_schedule, AT(conf_plan, schedule),
	    .section = &section_schedule, .initial_doc = "required",
	    .text = "Each day's volume, for each provider by itself. A list "
		    "is the same as volumes." },
	{ "volumes", &type_volumes, AT(conf_plan, schedule), .flags = KEY_ALIAS,
	    .text = "The same as schedule with a list." },
	{ "total", &type_schedule, AT(conf_plan, total),
	    .section = &section_schedule, .flags = KEY_LISTED_ELSEWHERE,
	    .given_offset = offsetof(struct conf_plan, has_total),
	    .text = "In the same forms: what all providers may get together "
		    "in a day." },
	{ "mode", &type_word, AT(conf_plan, mode), .initial = "enforce",
	    .words = mode_words,
	    .text = "shadow decides and reports, and holds nothing." },
	{ "providers", &type_named, AT(conf_plan, providers),
	    .n_offset = offsetof(struct conf_plan, n_providers),
	    .section = &section_plan_provider, .flags = KEY_REPLACED,
	    .text = "Providers with a schedule of their own." },
	{ "pace", &type_word, AT(conf_plan, pace), .initial = "even",
	    .words = paces,
	    .text = "even spreads a day's volume over its window; front "
		    "sends as fast as the other limits let it." },
	{ "advance_when", &type_map, .section = &section_advance,
	    .text = "What a day must have been like for the plan to move "
		    "on." },
	{ "unhealthy", &type_map, .section = &section_unhealthy,
	    .text = "What follows when it wasn't." },
	{ "idle", &type_map, .section = &section_idle,
	    .text = "Reputation fades while nothing is sent." },
	{ "overflow", &type_word, AT(conf_plan, overflow),
	    .initial = "next_route", .words = overflows,
	    .text = "Where mail goes that the day has no room for: to the "
		    "stream's next_route, hold waits for the next day, "
		    "tempfail answers 452 at submission." },
	{ "done", &type_word, AT(conf_plan, done), .initial = "unlimited",
	    .words = dones,
	    .text = "After three days at the end: unlimited leaves the "
		    "provider's own limits, keep stays at the last volume." },
	{ 0 },
};
/* `volumes` beside `schedule` is one way too many to say it, none is too few. */
static void
seal_plan(struct reader *r, struct node *n, void *base)
{
	struct conf_schedule *s = &((struct conf_plan *)base)->schedule;
	struct node *volumes = node_member(n, "volumes");
	struct node *schedule = node_member(n, "schedule");

	if (volumes != NULL && schedule != NULL)
		reader_fail_key(r, volumes->key_at, "volumes",
		    "can't stand beside schedule: it is the same");
	else if (volumes != NULL)
		*s = (struct conf_schedule){ .volumes = s->volumes,
			.n_volumes = s->n_volumes };
	else if (schedule == NULL && s->n_growth + s->n_volumes == 0)
		reader_fail_key(r, n->at, "schedule", "is missing");
}

const struct section section_plan = {
	.name = "NAME",
	.size = sizeof(struct conf_plan),
	.name_offset = offsetof(struct conf_plan, name),
	.keys = plan_keys,
	.check_name = key_check_name,
	.seal = seal_plan,
};

/* ---- guards ---- */

static const struct key spike_guard_keys[] = {
	{ "window", &type_duration, AT(conf_spike_guard, window_us),
	    .initial = "7d", BOUNDS(SEC, 400 * DAY),
	    .text = "The time whose busiest day is the measure." },
	{ "ratio", &type_share, AT(conf_spike_guard, ratio_permille),
	    .initial = "200%", BOUNDS(1000, 100000),
	    .text = "No day has more than so much of that." },
	{ "floor", &type_count, AT(conf_spike_guard, floor), .initial = "500",
	    BOUNDS(1, VOLUME_MAX),
	    .text = "Recipients a day that are always fine." },
	{ "mode", &type_word, AT(conf_spike_guard, mode), .initial = "enforce",
	    .words = mode_words,
	    .text = "shadow decides and reports, and holds nothing." },
	{ 0 },
};
const struct section section_spike_guard = { .keys = spike_guard_keys };

static const struct key_word suppression_actions[] = { { "reject",
							   SUPPRESSION_REJECT },
	{ "drop", SUPPRESSION_DROP }, { "off", SUPPRESSION_OFF }, { NULL, 0 } };

static const struct key suppression_keys[] = {
	{ "hard", &type_count, AT(conf_suppression, hard), .initial = "1",
	    BOUNDS(1, 1000),
	    .text = "Hard bounces after which a recipient is suppressed." },
	{ "soft", &type_count, AT(conf_suppression, soft), .initial = "5",
	    BOUNDS(1, 1000),
	    .text = "Days with a soft bounce after which it is." },
	{ "soft_window", &type_duration, AT(conf_suppression, soft_window_us),
	    .initial = "14d", BOUNDS(SEC, 3650 * DAY),
	    .text = "The time in which soft bounces are counted." },
	{ "ttl", &type_duration, AT(conf_suppression, ttl_us), .initial = "90d",
	    BOUNDS(SEC, 3650 * DAY),
	    .text = "How long a recipient stays suppressed." },
	{ "domain_ttl", &type_duration, AT(conf_suppression, domain_ttl_us),
	    .initial = "1d", BOUNDS(0, 3650 * DAY),
	    .text = "How long a whole domain does, of which a provider said "
		    "that it takes no mail there. Short, as DNS is mended "
		    "sooner than a mailbox is made. 0s: domains aren't "
		    "remembered." },
	{ "action", &type_word, AT(conf_suppression, action),
	    .initial = "reject", .words = suppression_actions,
	    .text = "reject answers 550 5.1.1 at RCPT (5.1.2 for a whole "
		    "domain) and bounces what is queued already when its turn "
		    "comes; drop takes the mail and doesn't send it; off does "
		    "nothing." },
	{ 0 },
};
const struct section section_suppression = { .keys = suppression_keys };

static const struct key_word list_actions[] = { { "hold", LIST_HOLD },
	{ "alert", LIST_ALERT }, { NULL, 0 } };

static const struct key list_health_keys[] = {
	{ "bounced", &type_share, AT(conf_list_health, bounced_permille),
	    .initial = "8%", BOUNDS(1, 1000),
	    .text = "So many recipients that don't exist, nor their domain, "
		    "make a list dirty." },
	{ "sample", &type_count, AT(conf_list_health, sample), .initial = "100",
	    BOUNDS(1, 1000000),
	    .text = "Recipients before the share means anything." },
	{ "action", &type_word, AT(conf_list_health, action), .initial = "hold",
	    .words = list_actions,
	    .text = "hold stops the stream, alert only says so." },
	{ 0 },
};
const struct section section_list_health = { .keys = list_health_keys };
