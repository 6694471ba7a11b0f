/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CTL_H
#define FLYBALL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "daemon/command_table.h"

/*
 * What the files of flyballctl (ctl_*.c) share. flyballctl sends words to the
 * daemon's admin socket and shows the answer to a person, or does by itself
 * what needs no daemon.
 */
#define CTL_SOCKET "/run/flyball/admin.sock"

enum ctl_exit {
	CTL_OK = 0,
	CTL_REFUSED = 1,
	CTL_USAGE = 2,
	CTL_NO_DAEMON = 3,
};

struct ctl {
	const char *socket;
	bool is_json;
	bool has_colour;
	unsigned width; /* columns of the terminal; 0 = no terminal */
};

/* ctl_client.c: one connection to the daemon. */
struct ctl_client;
/* NULL with a sentence on stderr when nobody answers. */
struct ctl_client *ctl_client_open(const struct ctl *ctl, bool is_quiet);
/* Reading gives up after so long; without, it waits for ever. */
void ctl_client_wait(struct ctl_client *c, unsigned seconds);
void ctl_client_close(struct ctl_client *c);
/* Sends words as a line. -1: they can't be said in one. */
int ctl_client_send(struct ctl_client *c, char *const *words, size_t n,
    struct err *err_out);
/* The next line, parsed; NULL: the connection ended. */
json_t *ctl_client_read(struct ctl_client *c);
/* The next line as it came, without its newline; lent. NULL likewise. */
const char *ctl_client_read_line(struct ctl_client *c);
/* Asks and gives the result; NULL when there is no daemon or it refuses. For
 * completion, without a word on stderr. */
json_t *ctl_ask(const struct ctl *ctl, const char *word);

/* ctl_show.c: answers for people. */
void ctl_show(const struct ctl *ctl, enum command_id id, const json_t *result);
void ctl_show_refusal(const struct ctl *ctl, const json_t *answer);
void ctl_print_json(const json_t *value);
/* One line of `events follow`. */
void ctl_show_event(const struct ctl *ctl, const char *line);

/* Without a daemon. argv[0] is the command; the exit status comes back. */
int ctl_check_config(int argc, char **argv);
int ctl_classify(int argc, char **argv);
int ctl_simulate(const struct ctl *ctl, int argc, char **argv);
int ctl_doctor(const struct ctl *ctl, int argc, char **argv);
int ctl_man(int argc, char **argv);
int ctl_report(const struct ctl *ctl, int argc, char **argv);
int ctl_top(const struct ctl *ctl, int argc, char **argv);
int ctl_spool_check(const struct ctl *ctl, int argc, char **argv);
int ctl_spool_export(const struct ctl *ctl, int argc, char **argv);
int ctl_spool_rebuild(const struct ctl *ctl, int argc, char **argv);
int ctl_suppress_export(const struct ctl *ctl, int argc, char **argv);
int ctl_suppress_import(const struct ctl *ctl, int argc, char **argv);
int ctl_complete(const struct ctl *ctl, int argc, char **argv);

/* ctl_help.c */
void ctl_help(FILE *to);
void ctl_help_command(FILE *to, const struct command_row *row);
/* Options before and behind commands. */
struct ctl_option {
	const char *text; /* "-s SOCKET" */
	const char *doc;
};
extern const struct ctl_option ctl_options[];
extern const size_t n_ctl_options;

#endif
