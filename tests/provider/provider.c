/* SPDX-License-Identifier: ISC */
/*
 * flyball-provider: an SMTP server that plays mailbox providers whose limits
 * the sender doesn't know. For the demonstration, the end-to-end tests and for
 * measuring adaptation; it delivers nothing.
 */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/units.h"
#include "tests/provider/report.h"
#include "tests/provider/server.h"
#include "tests/provider/voice.h"
#include "tests/provider/world.h"

struct program {
	struct world world;
	struct server server;
	struct report *report;
	struct event_base *base;
};

static const char usage[] =
    "usage: flyball-provider [-w WORLD.yaml] [--seed N] [--duration TIME]\n"
    "                        [--report TIME] [--store FILE] [--check]\n"
    "       flyball-provider --voices\n"
    "Plays the mailbox providers of WORLD (default: one without limits) and\n"
    "reports what it saw, one JSON object a line. --duration counts from the\n"
    "first client; --store appends each accepted recipient with the SHA-256\n"
    "of the body; --check only reads the world; --voices lists each voice's\n"
    "refusals (voice, kind, reply; tabs between, \\n within).\n";

static const struct option options[] = {
	{ "world", required_argument, NULL, 'w' },
	{ "seed", required_argument, NULL, 's' },
	{ "duration", required_argument, NULL, 'd' },
	{ "report", required_argument, NULL, 'r' },
	{ "store", required_argument, NULL, 'o' },
	{ "check", no_argument, NULL, 'c' },
	{ "voices", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static void
on_stop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopexit(arg, NULL);
}

static void
on_interval(evutil_socket_t fd, short what, void *arg)
{
	struct program *p = arg;

	(void)fd;
	(void)what;
	report_interval(p->report);
}

static int
run(struct program *p)
{
	struct timeval tick = { .tv_sec = p->world.interval_us / 1000000,
		.tv_usec = p->world.interval_us % 1000000 };
	struct event *term = evsignal_new(p->base, SIGTERM, on_stop, p->base);
	struct event *intr = evsignal_new(p->base, SIGINT, on_stop, p->base);
	struct event *timer =
	    event_new(p->base, -1, EV_PERSIST, on_interval, p);

	event_add(term, NULL);
	event_add(intr, NULL);
	if (p->world.interval_us > 0)
		event_add(timer, &tick);
	p->report = report_new(&p->server);
	event_base_dispatch(p->base);
	report_summary(p->report);
	report_free(p->report);
	event_free(timer);
	event_free(intr);
	event_free(term);
	return 0;
}

static int
fail(const struct err *err)
{
	fprintf(stderr, "flyball-provider: %s\n", err->text);
	return 1;
}

/* Options that came before the world was read are kept and applied after. */
struct wishes {
	const char *world, *store;
	const char *seed, *duration, *report;
	bool only_check;
};

static void
list_voices(void)
{
	const struct provider_voice *voice;

	for (size_t i = 0; (voice = voice_at(i)) != NULL; i++) {
		for (int kind = PROVIDER_OK; kind < PROVIDER_KINDS; kind++) {
			struct provider_verdict v = { 0 };
			char reply[2 * PROVIDER_TEXT_SIZE];
			char *line, *rest = reply;

			voice_say(voice, (enum provider_kind)kind,
			    "user@example.com", &v);
			provider_verdict_format(&v, reply, sizeof(reply));
			printf("%s\t%s\t", voice->name,
			    provider_kind_name((enum provider_kind)kind));
			line = strsep(&rest, "\r");
			fputs(line, stdout);
			while ((line = strsep(&rest, "\r")) != NULL &&
			    line[1] != '\0')
				printf("\\n%s", line + 1);
			putchar('\n');
		}
	}
}

static int
parse_options(int argc, char **argv, struct wishes *w)
{
	int c;

	while ((c = getopt_long(argc, argv, "w:h", options, NULL)) != -1) {
		switch (c) {
		case 'w':
			w->world = optarg;
			break;
		case 's':
			w->seed = optarg;
			break;
		case 'd':
			w->duration = optarg;
			break;
		case 'r':
			w->report = optarg;
			break;
		case 'o':
			w->store = optarg;
			break;
		case 'c':
			w->only_check = true;
			break;
		case 'v':
			list_voices();
			exit(0);
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			return -1;
		}
	}
	return optind == argc ? 0 : -1;
}

static int
load(struct program *p, const struct wishes *w, struct err *err)
{
	if (w->world == NULL)
		world_init_default(&p->world);
	else if (world_load(&p->world, w->world, err) != 0)
		return -1;
	if (w->seed != NULL)
		p->world.seed = strtoull(w->seed, NULL, 10);
	if (w->duration != NULL &&
	    units_parse_duration(w->duration, &p->world.duration_us, err) != 0)
		return -1;
	if (w->report != NULL &&
	    units_parse_duration(w->report, &p->world.interval_us, err) != 0)
		return -1;
	return 0;
}

int
main(int argc, char **argv)
{
	struct program p = { 0 };
	struct wishes w = { 0 };
	struct err err;
	int rc = 0;

	signal(SIGPIPE, SIG_IGN);
	if (parse_options(argc, argv, &w) != 0) {
		fputs(usage, stderr);
		return 2;
	}
	if (load(&p, &w, &err) != 0)
		return fail(&err);
	if (w.only_check) {
		world_fini(&p.world);
		return 0;
	}
	if (w.store != NULL && (p.server.store = fopen(w.store, "a")) == NULL) {
		err_sys(&err, "%s", w.store);
		return fail(&err);
	}
	p.base = event_base_new();
	p.server.deadline = evtimer_new(p.base, on_stop, p.base);
	if (server_open(&p.server, &p.world, p.base, &err) != 0)
		return fail(&err);
	rc = run(&p);
	server_close(&p.server);
	event_free(p.server.deadline);
	event_base_free(p.base);
	if (p.server.store != NULL)
		fclose(p.server.store);
	world_fini(&p.world);
	return rc;
}
