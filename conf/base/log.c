/* SPDX-License-Identifier: ISC */
/*
 * The operator's log on stderr. It is written with one write(2) a line, so
 * lines of several threads never mix. It never carries a body or an AUTH
 * exchange; callers see to that.
 */
#include "conf/base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/clock.h"
#include "conf/base/json.h"
#include "conf/base/strbuf.h"

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static _Atomic enum log_level current_level = LOG_LEVEL_INFO;
static _Atomic enum log_format current_format = LOG_FORMAT_TEXT;

void
log_init(enum log_level level, enum log_format format)
{
	current_level = level;
	current_format = format;
}

void
log_set_level(enum log_level level)
{
	current_level = level;
}

enum log_level
log_level(void)
{
	return current_level;
}

bool
log_wants(enum log_level level)
{
	return level <= current_level;
}

int
log_level_parse(const char *name)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(*level_names); i++)
		if (strcmp(name, level_names[i]) == 0)
			return (int)i;
	return -1;
}

const char *
log_level_name(enum log_level level)
{
	return level_names[level];
}

/* JSON's escapes; key=value uses the same, so one rule serves both readers. */
static void
add_quoted(struct strbuf *line, const char *s)
{
	strbuf_add_json_string(line, s, strlen(s));
}

static bool
is_bare(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f ||
		    strchr("\"\\=", *s) != NULL)
			return false;
	return true;
}

static void
add_text(struct strbuf *line, const struct log_field *f)
{
	strbuf_addf(line, " %s=", f->key);
	if (f->str == NULL)
		strbuf_addf(line, "%lld", (long long)f->num);
	else if (is_bare(f->str))
		strbuf_adds(line, f->str);
	else
		add_quoted(line, f->str);
}

static void
add_json(struct strbuf *line, const struct log_field *f)
{
	strbuf_addf(line, ",\"%s\":", f->key);
	if (f->str == NULL)
		strbuf_addf(line, "%lld", (long long)f->num);
	else
		add_quoted(line, f->str);
}

void
log_write(enum log_level level, const char *event,
    const struct log_field *fields, size_t n_fields)
{
	bool json = current_format == LOG_FORMAT_JSON;
	struct strbuf line = { 0 };
	char ts[CLOCK_RFC3339_SIZE];
	ssize_t written;

	clock_rfc3339(clock_utc_us(), ts);
	strbuf_addf(&line,
	    json ? "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":\"%s\""
		 : "%s level=%s event=%s",
	    ts, level_names[level], event);
	for (size_t i = 0; i < n_fields; i++)
		(json ? add_json : add_text)(&line, &fields[i]);
	strbuf_adds(&line, json ? "}\n" : "\n");
	written = write(STDERR_FILENO, line.data, line.len);
	(void)written; /* a closed stderr must not stop the mail */
	strbuf_fini(&line);
}
