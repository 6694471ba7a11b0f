/* SPDX-License-Identifier: ISC */
/*
 * The doctor's look at MTAs' logs: whether the file can be read and is written,
 * whether the unit runs whose journal is read, and, by the daemon's own word,
 * whether its lines tell of the mail that was handed over. Only the last shows
 * that it is the right log.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conf/base/xalloc.h"
#include "daemon/doctor.h"
#include "daemon/log_reader.h"

#define LOG_OLD_S  86400
#define UNHEARD_MS 60000 /* an MTA tells sooner what became of mail */

extern char **environ;

/* ---- the file ---- */

static void
check_file(struct doctor *d, const char *subject, const char *path)
{
	struct stat st;
	long long age_s;

	if (access(path, R_OK) < 0 || stat(path, &st) < 0) {
		doctor_say(d, FINDING_FAIL, subject, "can't be read",
		    "let the daemon's user read it (group adm), and see that "
		    "the MTA writes there",
		    "%s", strerror(errno));
		return;
	}
	age_s = (long long)(time(NULL) - st.st_mtime);
	doctor_say(d, age_s > LOG_OLD_S ? FINDING_WARN : FINDING_OK, subject,
	    age_s > LOG_OLD_S ? "nothing was written there for a day"
			      : "is written",
	    "see whether the MTA logs to another file",
	    "last written %lld s ago", age_s);
}

/* ---- the unit ---- */

/* Exit status; -1: there is no systemctl. */
static int
run_systemctl(char **args)
{
	posix_spawn_file_actions_t files;
	int status = -1, rc;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(&files, fd, "/dev/null",
		    fd == 0 ? O_RDONLY : O_WRONLY, 0);
	rc = posix_spawnp(&pid, args[0], &files, NULL, args, environ);
	posix_spawn_file_actions_destroy(&files);
	if (rc != 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void
check_unit(struct doctor *d, const char *subject, const struct log_units *units)
{
	char *args[LOG_UNITS_MAX + 4] = { (char *)(uintptr_t) "systemctl",
		(char *)(uintptr_t) "is-active", (char *)(uintptr_t) "--" };
	size_t n = units->n < LOG_UNITS_MAX ? units->n : LOG_UNITS_MAX;
	int status;

	for (size_t i = 0; i < n; i++)
		args[3 + i] = (char *)(uintptr_t)units->v[i];
	args[3 + n] = NULL;
	status = run_systemctl(args);
	/* systemctl(1): 3 isn't active, 4 there is no such unit. */
	if (status == 0)
		doctor_say(d, FINDING_OK, subject, "its unit is active", NULL,
		    "%s", units->v[0]);
	else if (status == 3 || status == 4)
		doctor_say(d, FINDING_WARN, subject,
		    "no unit that may write it is active",
		    "start the MTA, or name its unit by `unit`",
		    "systemctl is-active %s: %d", units->v[0], status);
	else
		doctor_say(d, FINDING_NOTE, subject,
		    "whether its unit is active can't be told",
		    "run the doctor where systemd runs", "systemctl: %d",
		    status);
}

/* ---- the daemon's word ---- */

static const json_t *
status_of(const json_t *status, const char *name)
{
	const json_t *log;
	size_t i;

	json_array_foreach(json_object_get(status, "logs"), i, log)
	{
		const char *its =
		    json_string_value(json_object_get(log, "log"));

		if (its != NULL && strcmp(its, name) == 0)
			return log;
	}
	return NULL;
}

/* "7 s ago"; malloc'd. */
static char *
age_text(const json_t *log, const char *key)
{
	const json_t *ms = json_object_get(log, key);

	if (!json_is_integer(ms))
		return xstrdup("never");
	return xasprintf("%lld s ago",
	    (long long)json_integer_value(ms) / 1000);
}

static bool
is_later(const json_t *log, const char *key, json_int_t than_ms)
{
	const json_t *ms = json_object_get(log, key);

	return json_is_integer(ms) && json_integer_value(ms) < than_ms;
}

static void
check_heard(struct doctor *d, const char *subject, const json_t *log)
{
	const char *broken = json_string_value(json_object_get(log, "broken"));
	json_int_t unheard =
	    json_integer_value(json_object_get(log, "unheard_ms"));
	long long foreign =
	    (long long)json_integer_value(json_object_get(log, "foreign"));
	char *line = age_text(log, "line_ms"),
	     *heard = age_text(log, "heard_ms");

	if (broken != NULL)
		doctor_say(d, FINDING_FAIL, subject, "the daemon can't read it",
		    "let the daemon's user read it (group adm; of the journal: "
		    "systemd-journal)",
		    "%s", broken);
	else if (unheard <= UNHEARD_MS)
		doctor_say(d, FINDING_OK, subject, "is alive", NULL,
		    "last line %s, about our mail %s", line, heard);
	else if (is_later(log, "line_ms", unheard))
		doctor_say(d, FINDING_FAIL, subject,
		    "its lines tell nothing of the mail that was handed over",
		    "see that it is the log of this next hop, and that its 250 "
		    "to us names the queue id",
		    "handed over %lld s ago, last line %s, about our mail %s, "
		    "of other units %lld",
		    (long long)unheard / 1000, line, heard, foreign);
	else
		doctor_say(d, FINDING_FAIL, subject,
		    "is silent, though mail was handed over",
		    "see whether the MTA logs elsewhere, or the logger stands "
		    "still",
		    "handed over %lld s ago, last line %s",
		    (long long)unheard / 1000, line);
	free(line);
	free(heard);
}

/* ---- each log ---- */

static void
check_log(struct doctor *d, const json_t *status, enum mta_log_format format,
    const struct conf_mta_log *log)
{
	const char *where = log->journal ? "journal" : log->path;
	const char *kind = log_format_name(format);
	char *subject = xasprintf("%s_log %s", kind, where);
	char *name = xasprintf("%s %s", kind, where);
	const json_t *heard = status_of(status, name);
	struct log_units units;

	log_units_of(log, format, &units);
	if (log->journal)
		check_unit(d, subject, &units);
	else
		check_file(d, subject, log->path);
	if (heard != NULL)
		check_heard(d, subject, heard);
	free(subject);
	free(name);
}

void
doctor_check_logs(struct doctor *d, const json_t *status)
{
	const struct conf_feedback *f = &d->conf->feedback;
	const struct conf_mta_log *log;
	enum mta_log_format format;

	for (size_t i = 0; (log = log_configured(f, i, &format)) != NULL; i++)
		check_log(d, status, format, log);
}
