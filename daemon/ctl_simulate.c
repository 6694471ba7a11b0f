/* SPDX-License-Identifier: ISC */
/*
 * `simulate`: a route's plan at a provider, run on a virtual clock, as a table
 * with a plot under it, or as CSV. The scheduler does it (simulate.c); this
 * file reads the words and draws.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/clock.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "conf/base/zone.h"
#include "conf/conf.h"
#include "daemon/ctl.h"
#include "daemon/ctl_table.h"
#include "daemon/ctl_text.h"
#include "scheduler/calendar.h"
#include "scheduler/simulate.h"

#define PLOT_ROWS    12
#define PLOT_COLUMNS 72 /* where the terminal doesn't say */
#define SEED	     1

struct wish {
	const char *file;
	struct simulate sim;
	const char *start; /* NULL: today, or the plan's own */
	bool is_csv;
};

struct days {
	struct simulate_day *v;
	size_t n, cap;
};

/* ---- words ---- */

static int
misused(const char *what, const char *word)
{
	fprintf(stderr, "flyballctl simulate: %s%s%s%s\n", what,
	    word != NULL ? " \"" : "", word != NULL ? word : "",
	    word != NULL ? "\"" : "");
	return -1;
}

/* "50k/day", or a count alone. */
static int
take_demand(const char *word, int64_t *out, struct err *err)
{
	struct rate rate;

	if (strchr(word, '/') == NULL)
		return units_parse_count(word, out, err);
	if (units_parse_rate(word, &rate, err) < 0)
		return -1;
	if (rate.window_us != CALENDAR_DAY_US)
		return err_set(err, "the demand is a day's: 50k/day");
	*out = rate.count;
	return 0;
}

static int
take(struct wish *w, const char *name, const char *value)
{
	struct err err = { "" };
	int result = 0;

	if (strcmp(name, "-c") == 0)
		w->file = value;
	else if (strcmp(name, "--route") == 0)
		w->sim.route = value;
	else if (strcmp(name, "--provider") == 0)
		w->sim.provider = value;
	else if (strcmp(name, "--demand") == 0)
		result = take_demand(value, &w->sim.demand, &err);
	else if (strcmp(name, "--days") == 0)
		result = units_parse_count(value, &w->sim.n_days, &err);
	else if (strcmp(name, "--deferred") == 0)
		result = units_parse_permille(value, &w->sim.deferred_permille,
		    &err);
	else if (strcmp(name, "--start") == 0)
		w->start = value;
	else
		return misused("what is", name);
	return result < 0 ? misused(err.text, NULL) : 0;
}

static int
read_args(int argc, char **argv, struct wish *w)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--csv") == 0) {
			w->is_csv = true;
			continue;
		}
		if (i + 1 == argc)
			return misused("no value behind", argv[i]);
		if (take(w, argv[i], argv[i + 1]) < 0)
			return -1;
		i++;
	}
	if (w->sim.route == NULL || w->sim.provider == NULL)
		return misused("which --route and which --provider?", NULL);
	if (w->sim.demand == 0 || w->sim.n_days == 0)
		return misused("how much --demand for how many --days?", NULL);
	return 0;
}

/* ---- CSV ---- */

static void
print_count(int64_t n)
{
	/* Neither plan nor provider sets a limit. */
	if (n == INT64_MAX)
		fputs("unlimited", stdout);
	else
		printf("%" PRId64, n);
}

static void
print_csv(const struct days *days)
{
	puts("day,date,allowed,sent,overflowed,held");
	for (size_t i = 0; i < days->n; i++) {
		const struct simulate_day *d = &days->v[i];
		char date[ZONE_DATE_SIZE];

		printf("%" PRId64 ",%s,", d->day, zone_date(d->date, date));
		print_count(d->allowed);
		printf(",%" PRId64 ",%" PRId64 ",%" PRId64 "\n", d->sent,
		    d->overflowed, d->held);
	}
}

/* ---- the table ---- */

static void
cell(struct table *t, int64_t n, enum colour colour)
{
	struct strbuf text = { 0 };

	if (n == INT64_MAX)
		strbuf_adds(&text, "unlimited");
	else
		text_add_count(&text, n);
	table_cell(t, colour, text.data);
	strbuf_fini(&text);
}

static void
print_table(const struct ctl *ctl, const struct days *days)
{
	static const char *const titles[] = { "ALLOWED", "SENT", "OVERFLOWED",
		"HELD" };
	struct table *t = table_new(ctl);

	table_column(t, "DAY", true);
	table_column(t, "DATE", false);
	for (size_t i = 0; i < 4; i++)
		table_column(t, titles[i], true);
	for (size_t i = 0; i < days->n; i++) {
		const struct simulate_day *d = &days->v[i];
		char date[ZONE_DATE_SIZE];

		cell(t, d->day, PLAIN);
		table_cell(t, PLAIN, zone_date(d->date, date));
		cell(t, d->allowed, PLAIN);
		cell(t, d->sent, GREEN);
		cell(t, d->overflowed, d->overflowed > 0 ? YELLOW : FAINT);
		cell(t, d->held, d->held > 0 ? RED : FAINT);
	}
	table_print(t, stdout);
	table_free(t);
}

/* ---- the plot ---- */

/*
 * Each row is a factor above the one below it, so that the first days of a
 * warmup are seen beside the last, and steady growth is a straight line. The
 * factor is as small as lets all days be seen.
 */
struct plot {
	int64_t levels[PLOT_ROWS + 1]; /* from row 1 */
	int64_t factor_permille;
};

static int64_t
greatest_of(const struct days *days)
{
	int64_t most = 1;

	for (size_t i = 0; i < days->n; i++)
		if (days->v[i].sent > most)
			most = days->v[i].sent;
	return most;
}

static int64_t
least_of(const struct days *days)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < days->n; i++)
		if (days->v[i].sent > 0 && days->v[i].sent < least)
			least = days->v[i].sent;
	return least;
}

static void
scale(struct plot *p, const struct days *days)
{
	int64_t greatest = greatest_of(days), least = least_of(days);

	for (p->factor_permille = 1200;; p->factor_permille += 100) {
		/* Days that differ by a rounding stand equally high. */
		int64_t level = greatest - greatest / 50;

		for (int row = PLOT_ROWS; row > 0; row--) {
			p->levels[row] = level > 0 ? level : 1;
			level = level * 1000 / p->factor_permille;
		}
		if (p->levels[1] <= least || p->factor_permille >= 10000)
			return;
	}
}

static char
mark_of(const struct plot *p, const struct simulate_day *d, int row)
{
	if (d->sent >= p->levels[row])
		return '#';
	return d->allowed >= p->levels[row] ? '.' : ' ';
}

static void
print_plot(const struct ctl *ctl, const struct days *days)
{
	size_t columns = ctl->width > 24 ? ctl->width - 12 : PLOT_COLUMNS;
	size_t step = (days->n + columns - 1) / columns;
	struct plot p;

	scale(&p, days);
	putchar('\n');
	for (int row = PLOT_ROWS; row > 0; row--) {
		struct strbuf label = { 0 };

		text_add_count(&label, p.levels[row]);
		printf("%10s ", label.data);
		strbuf_fini(&label);
		for (size_t i = 0; i < days->n; i += step)
			putchar(mark_of(&p, &days->v[i], row));
		putchar('\n');
	}
	printf("%10s ", "day");
	for (size_t i = 0; i < days->n; i += step)
		putchar(days->v[i].day / 10 !=
			    (days->v[i].day - (int64_t)step) / 10
			? '|'
			: '-');
	printf(
	    "\n%11s# sent  . allowed, not used  | every tenth day  rows grow "
	    "by %" PRId64 ".%" PRId64 "\n",
	    "", p.factor_permille / 1000, p.factor_permille / 100 % 10);
}

/* ---- running ---- */

static void
keep(const struct simulate_day *day, void *arg)
{
	struct days *days = arg;

	if (days->n == days->cap) {
		days->cap = days->cap > 0 ? days->cap * 2 : 64;
		days->v = xrealloc(days->v, days->cap * sizeof(*days->v));
	}
	days->v[days->n++] = *day;
}

static struct conf *
load(const char *file)
{
	struct strbuf errors = { 0 };
	struct conf *conf = conf_load(file, &errors);

	if (conf == NULL)
		fputs(errors.data, stderr);
	strbuf_fini(&errors);
	return conf;
}

/* The day that was asked for; else the plan's own, if that is to come. */
static int
find_start(struct wish *w, const struct conf *conf, const struct zone *zone)
{
	const struct conf_route *route = conf_route(conf, w->sim.route);
	const struct conf_plan *plan = route != NULL && route->plan[0]
	    ? conf_plan(conf, route->plan)
	    : NULL;
	int64_t day;

	w->sim.start_utc_us = clock_utc_us();
	if (w->start == NULL) {
		day = plan != NULL ? plan->start_day : -1;
		if (day > zone_day(zone, w->sim.start_utc_us))
			w->sim.start_utc_us = zone_instant(zone, day, 0);
		return 0;
	}
	day = zone_date_parse(w->start);
	if (day < 0)
		return misused("--start wants a date like 2026-12-01, not",
		    w->start);
	w->sim.start_utc_us = zone_instant(zone, day, 0);
	return 0;
}

static int
run(const struct ctl *ctl, struct wish *w, const struct conf *conf,
    const struct zone *zone)
{
	struct days days = { 0 };
	struct err err;

	if (find_start(w, conf, zone) < 0)
		return CTL_USAGE;
	w->sim.conf = conf;
	w->sim.zone = zone;
	if (simulate_run(&w->sim, keep, &days, &err) < 0) {
		misused(err.text, NULL);
		return CTL_REFUSED;
	}
	if (w->is_csv) {
		print_csv(&days);
	} else {
		print_table(ctl, &days);
		print_plot(ctl, &days);
	}
	free(days.v);
	return CTL_OK;
}

int
ctl_simulate(const struct ctl *ctl, int argc, char **argv)
{
	struct wish w = {
		.file = FLYBALL_SYSCONFDIR "/flyball/flyball.yaml",
		.sim = { .seed = SEED },
	};
	struct conf *conf;
	struct zone *zone;
	struct err err;
	int status;

	if (read_args(argc, argv, &w) < 0)
		return CTL_USAGE;
	conf = load(w.file);
	if (conf == NULL)
		return CTL_REFUSED;
	zone = zone_open(conf->daemon.timezone, &err);
	if (zone == NULL) {
		misused(err.text, NULL);
		conf_unref(conf);
		return CTL_REFUSED;
	}
	status = run(ctl, &w, conf, zone);
	zone_close(zone);
	conf_unref(conf);
	return status;
}
