/* SPDX-License-Identifier: ISC */
/*
 * What the scheduler finds in the database at its start: one "key=value" a
 * line. It takes a record or leaves it out, and then still can plan.
 */
#include "scheduler/sched.h"

#include "conf/conf.h"
#include "tests/fuzz/fuzz.h"

#define NOW_US	   INT64_C(1000000)
#define NOW_UTC_US INT64_C(1795500000000000)

static const char yaml[] =
    "listeners: [{listen: '127.0.0.1:1', tls: none, auth: none, "
    "trusted: [127.0.0.0/8]}]\n"
    "routes:\n"
    "  out: {next_hop: '127.0.0.1:2', tls: none, plan: cold}\n"
    "  b: {next_hop: '127.0.0.1:3', tls: none}\n"
    "plans:\n"
    "  cold: {schedule: {from: 50, growth: 150%, to: 100k}}\n"
    "streams: {default: {routes: [out, b]}}\n"
    "senders: {news.example.com: {plan: cold}}\n";

static void
put_nothing(const char *key, const char *value, void *arg)
{
	(void)arg;
	fuzz_check(key != NULL);
	fuzz_check(value == NULL || strchr(value, '\n') == NULL);
}

static void
try_planning(struct sched *s)
{
	struct sched_delivery d = { .message = 1,
		.n_pending = 3,
		.stream = "default",
		.provider = "gmail",
		.site = "",
		.expires_us = NOW_US + INT64_C(432000000000),
		.sender_domain = "news.example.com" };
	struct plan plan;
	int64_t now_us = NOW_US;

	sched_add(s, &d, now_us);
	for (int i = 0; i < 4; i++) {
		sched_plan(s, now_us, &plan);
		fuzz_check(plan.kind != PLAN_WAIT || plan.due_us > now_us);
		sched_save(s, put_nothing, NULL);
		if (plan.kind != PLAN_WAIT || plan.due_us == INT64_MAX)
			break;
		now_us = plan.due_us;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct conf *conf;
	struct fuzz in = { data, len };
	struct strbuf errors = { 0 };
	struct sched *s;

	if (conf == NULL)
		conf = conf_load_text("fuzz", yaml, strlen(yaml), &errors);
	if (errors.len > 0)
		fputs(errors.data, stderr);
	fuzz_check(conf != NULL);
	s = sched_new(conf, 1);
	sched_utc(s, NOW_US, NOW_UTC_US);
	while (in.len > 0) {
		char *line = fuzz_text(&in, '\n');
		char *equals = strchr(line, '=');

		if (equals != NULL) {
			*equals = '\0';
			sched_restore(s, line, equals + 1);
		}
		free(line);
	}
	sched_restored(s, NOW_US);
	try_planning(s);
	sched_free(s);
	return 0;
}
