/* SPDX-License-Identifier: ISC */
/*
 * flyballd: reads the configuration, makes the daemon and runs it in the
 * foreground. Everything that can be wrong at the start is said in one line on
 * stderr, with exit status 1; wrong usage exits with 2.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "conf/base/strbuf.h"
#include "conf/conf.h"
#include "daemon/activation.h"
#include "daemon/auth.h"
#include "daemon/fault.h"
#include "daemon/governor_run.h"
#include "daemon/runtime.h"
#include "daemon/spool.h"

#define DEFAULT_FILE FLYBALL_SYSCONFDIR "/flyball/flyball.yaml"

static void
usage(FILE *to)
{
	fputs("usage: flyballd [-c FILE] [-t] [-V]\n"
	      "  -c, --config FILE  configuration (default " DEFAULT_FILE ")\n"
	      "  -t, --test         check the configuration and exit\n"
	      "  -V, --version      print the version and exit\n",
	    to);
}

/* Each session and connection is a descriptor: take what we may have. */
static void
raise_descriptor_limit(const struct conf *conf)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur < (rlim_t)conf->limits.sessions + 256)
		log_warn("descriptors", LOG_INT("limit", limit.rlim_cur),
		    LOG_INT("limits.sessions", conf->limits.sessions),
		    LOG_STR("hint", "raise LimitNOFILE of the service"));
}

/* Passwords and mail are in our memory: a core is to have none of it. Where
 * /proc doesn't take the wish (core(5)) there is no core at all. */
static void
keep_memory_private(void)
{
	FILE *f = fopen("/proc/self/coredump_filter", "w");
	bool is_done = f != NULL && fputs("0", f) >= 0;

	if (f != NULL && fclose(f) != 0)
		is_done = false;
	if (!is_done)
		prctl(PR_SET_DUMPABLE, 0);
}

static int
run(const struct conf *conf)
{
	struct err err = { .text = "" };
	struct governor *g;
	int result = 1;

	signal(SIGPIPE, SIG_IGN);
	keep_memory_private();
	log_init(conf->daemon.log.level, conf->daemon.log.format);
	fault_watch(conf->daemon.state_dir, conf->daemon.log.format,
	    SPOOL_HINT);
	raise_descriptor_limit(conf);
	activation_init();
	g = governor_new(conf, &err);
	if (g != NULL && governor_run(g, &err) == 0)
		result = 0;
	if (result != 0)
		fprintf(stderr, "flyballd: %s\n", err.text);
	governor_free(g);
	return result;
}

/* The files that the configuration names are a part of it. */
static int
check(const struct conf *conf, const char *file)
{
	struct strbuf errors = { 0 };
	struct err err = { .text = "" };
	int result = 0;

	if (auth_check_users(conf, &errors) < 0) {
		fputs(errors.data, stderr);
		result = 1;
	}
	if (runtime_check(conf, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		result = 1;
	}
	if (result == 0)
		printf("%s: ok\n", file);
	strbuf_fini(&errors);
	return result;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test", no_argument, NULL, 't' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *file = DEFAULT_FILE;
	struct strbuf errors = { 0 };
	struct conf *conf;
	int is_check = 0;
	int option, result;

	while ((option = getopt_long(argc, argv, "c:tVh", options, NULL)) !=
	    -1) {
		switch (option) {
		case 'c':
			file = optarg;
			break;
		case 't':
			is_check = 1;
			break;
		case 'V':
			puts("flyballd " FLYBALL_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return 2;
	}
	conf = conf_load(file, &errors);
	if (conf == NULL) {
		fputs(errors.data ? errors.data : "", stderr);
		strbuf_fini(&errors);
		return 1;
	}
	result = is_check ? check(conf, file) : run(conf);
	conf_unref(conf);
	strbuf_fini(&errors);
	return result;
}
