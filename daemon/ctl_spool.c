/* SPDX-License-Identifier: ISC */
/*
 * `spool check`, `spool export` and `spool rebuild`: the mail of a daemon that
 * isn't running. They read the directory as it lies there, by spool_image.c,
 * and change nothing in it. What is damaged is told as it is found; a summary
 * closes.
 */
#include "daemon/ctl_spool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "conf/conf.h"
#include "daemon/ctl_text.h"
#include "daemon/spool_rebuild.h"

#define DEFAULT_FILE FLYBALL_SYSCONFDIR "/flyball/flyball.yaml"
/* A file full of nothing has a finding for every page. */
#define SHOWN_MAX    1000

/* ---- words ---- */

static int
misused(const struct ctl_spool *s, const char *text)
{
	fprintf(stderr, "flyballctl %s: %s\n", s->command, text);
	return CTL_USAGE;
}

static int
load_state_dir(struct ctl_spool *s, const char *file)
{
	struct strbuf errors = { 0 };
	struct conf *conf = conf_load(file, &errors);

	if (conf == NULL) {
		fprintf(stderr,
		    "%sflyballctl %s: --state-dir DIR needs no "
		    "configuration\n",
		    errors.data != NULL ? errors.data : "", s->command);
		strbuf_fini(&errors);
		return CTL_REFUSED;
	}
	s->state_dir = xstrdup(conf->daemon.state_dir);
	conf_unref(conf);
	strbuf_fini(&errors);
	return CTL_OK;
}

static int
read_args(struct ctl_spool *s, bool wants_to, int argc, char **argv)
{
	const char *file = DEFAULT_FILE;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
			file = argv[++i];
		} else if (strcmp(argv[i], "--state-dir") == 0 &&
		    i + 1 < argc) {
			free(s->state_dir);
			s->state_dir = xstrdup(argv[++i]);
		} else if (wants_to && s->to == NULL && argv[i][0] != '-') {
			s->to = argv[i];
		} else {
			return misused(s,
			    wants_to ? "[-c FILE | --state-dir DIR] TO"
				     : "[-c FILE | --state-dir DIR]");
		}
	}
	if (wants_to && s->to == NULL)
		return misused(s, "where to?");
	return s->state_dir != NULL ? CTL_OK : load_state_dir(s, file);
}

/* ---- what is found ---- */

static void
on_finding(enum image_finding kind, const char *text, void *arg)
{
	struct ctl_spool *s = arg;
	struct strbuf clean = { 0 };

	if (s->n_shown++ >= SHOWN_MAX)
		return;
	text_add_clean(&clean, text, " ");
	if (s->ctl->is_json)
		json_array_append_new(kind == IMAGE_DAMAGE ? s->damages
							   : s->notes,
		    json_string(clean.data));
	else
		printf("%s: %s\n", kind == IMAGE_DAMAGE ? "damaged" : "note",
		    clean.data);
	strbuf_fini(&clean);
}

static void
print_json(const struct ctl_spool *s, json_t *extra_take)
{
	const struct image_stats *st = spool_image_stats(s->image);
	json_t *all = json_pack(
	    "{s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
	    "s:I, s:O, s:O}",
	    "sound", st->n_damages == 0, "state_dir", s->state_dir, "schema",
	    (json_int_t)st->schema, "messages", (json_int_t)st->n_messages,
	    "deliveries", (json_int_t)st->n_deliveries, "recipients",
	    (json_int_t)st->n_recipients, "bytes", (json_int_t)st->n_bytes,
	    "in_database", (json_int_t)st->n_in_database, "in_files",
	    (json_int_t)st->n_in_files, "facts", (json_int_t)st->n_facts,
	    "found_apart", (json_int_t)st->n_found_apart, "pages",
	    (json_int_t)st->n_pages, "n_damages", (json_int_t)st->n_damages,
	    "damages", s->damages, "notes", s->notes);

	json_object_update(all, extra_take);
	json_decref(extra_take);
	ctl_print_json(all);
	json_decref(all);
}

static void
print_text(const struct ctl_spool *s)
{
	const struct image_stats *st = spool_image_stats(s->image);

	if (s->n_shown > SHOWN_MAX)
		printf("... and %zu findings more\n", s->n_shown - SHOWN_MAX);
	printf("%s: schema %" PRIu64 ", %" PRIu64 " pages of %u bytes\n"
	       "%" PRIu64 " messages with %" PRIu64 " deliveries to %" PRIu64
	       " recipients, %" PRIu64 " bytes (%" PRIu64
	       " contents in the database, %" PRIu64 " in files); %" PRIu64
	       " facts\n",
	    s->state_dir, st->schema, st->n_pages, st->page_bytes,
	    st->n_messages, st->n_deliveries, st->n_recipients, st->n_bytes,
	    st->n_in_database, st->n_in_files, st->n_facts);
	if (st->n_found_apart > 0)
		printf("%" PRIu64 " messages are in pages that a damaged page "
		       "has cut off, %" PRIu64
		       " of them perhaps deleted ones\n",
		    st->n_found_apart, st->n_uncertain);
	if (st->n_damages == 0)
		puts("the spool is sound");
	else
		printf("the spool is damaged: %" PRIu64
		       " findings. What to do: flyballd(8), DAMAGE\n",
		    st->n_damages);
}

/* ---- commands ---- */

/* Does the command's work; the fields that it adds to the summary are
 * malloc'd. -1: err_out. */
typedef int work_fn(struct ctl_spool *s, json_t *extra, struct err *err_out);

static int
run(struct ctl_spool *s, work_fn *work)
{
	json_t *extra = json_object();
	struct err err = { .text = "" };
	int status = CTL_REFUSED;

	s->damages = json_array();
	s->notes = json_array();
	s->image = spool_image_open(s->state_dir, on_finding, s, &err);
	if (s->image == NULL || work(s, extra, &err) < 0) {
		fprintf(stderr, "flyballctl %s: %s\n", s->command, err.text);
		json_decref(extra);
	} else {
		if (spool_image_stats(s->image)->n_damages == 0)
			status = CTL_OK;
		if (s->ctl->is_json)
			print_json(s, extra);
		else
			print_text(s), json_decref(extra);
	}
	if (s->image != NULL)
		spool_image_close(s->image);
	json_decref(s->damages);
	json_decref(s->notes);
	return status;
}

static int
run_command(const struct ctl *ctl, const char *command, bool wants_to,
    work_fn *work, int argc, char **argv)
{
	struct ctl_spool s = { .ctl = ctl, .command = command };
	int status = read_args(&s, wants_to, argc, argv);

	if (status == CTL_OK)
		status = run(&s, work);
	free(s.state_dir);
	return status;
}

static void
read_through(struct image_message *m, void *arg)
{
	(void)arg;
	image_message_copy(m, -1, NULL);
}

static int
check(struct ctl_spool *s, json_t *extra, struct err *err_out)
{
	(void)extra;
	(void)err_out;
	spool_image_each(s->image, read_through, NULL);
	return 0;
}

int
ctl_spool_check(const struct ctl *ctl, int argc, char **argv)
{
	return run_command(ctl, "spool check", false, check, argc, argv);
}

static int export(struct ctl_spool *s, json_t *extra, struct err *err_out)
{
	uint64_t n = 0;

	if (ctl_spool_export_all(s, &n, err_out) < 0)
		return -1;
	json_object_set_new(extra, "exported", json_integer((json_int_t)n));
	if (!s->ctl->is_json)
		printf("%" PRIu64 " messages written to %s\n", n, s->to);
	return 0;
}

int
ctl_spool_export(const struct ctl *ctl, int argc, char **argv)
{
	return run_command(ctl, "spool export", true, export, argc, argv);
}

static int
rebuild(struct ctl_spool *s, json_t *extra, struct err *err_out)
{
	struct rebuilt n;

	if (spool_rebuild(s->image, s->state_dir, s->to, &n, err_out) < 0)
		return -1;
	json_object_set_new(extra, "rebuilt",
	    json_integer((json_int_t)n.n_messages));
	json_object_set_new(extra, "left_out",
	    json_integer((json_int_t)n.n_left_out));
	if (!s->ctl->is_json)
		printf("%" PRIu64 " messages and %" PRIu64
		       " facts taken over to %s, %" PRIu64
		       " messages left out\n",
		    n.n_messages, n.n_facts, s->to, n.n_left_out);
	return 0;
}

int
ctl_spool_rebuild(const struct ctl *ctl, int argc, char **argv)
{
	return run_command(ctl, "spool rebuild", true, rebuild, argc, argv);
}
