/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_LOG_H
#define FLYBALL_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One event, one line on stderr, as key=value or as JSON:
 *
 *	log_info("ready", LOG_INT("listeners", 3), LOG_STR("host", name));
 *
 * Event first, ids next, cause and consequence last. Strings are quoted and
 * escaped, so what a peer sent can't forge a line. Safe from any thread.
 */
enum log_level {
	LOG_LEVEL_ERROR, /* an operator must act */
	LOG_LEVEL_WARN,	 /* an operator may act */
	LOG_LEVEL_INFO,	 /* every verdict and change of speed */
	LOG_LEVEL_DEBUG, /* every step of one message */
};

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_field {
	const char *key;
	const char *str; /* NULL: num counts */
	int64_t num;
};

/* A NULL string is written as "". */
static inline struct log_field
log_field_str(const char *key, const char *value)
{
	return (struct log_field){ .key = key, .str = value ? value : "" };
}

#define LOG_STR(k, v) log_field_str((k), (v))
#define LOG_INT(k, v) ((struct log_field){ .key = (k), .num = (int64_t)(v) })

void log_init(enum log_level level, enum log_format format);
void log_set_level(enum log_level level);
enum log_level log_level(void);
bool log_wants(enum log_level level);
/* "error", "warn", "info", "debug"; -1 when it is none of them. */
int log_level_parse(const char *name);
const char *log_level_name(enum log_level level);

void log_write(enum log_level level, const char *event,
    const struct log_field *fields, size_t n_fields);

/* The leading empty field lets the list be empty in C11. */
#define LOG_FIELDS_(...)             \
	(const struct log_field[])   \
	{                            \
		{ 0 }, ##__VA_ARGS__ \
	}
#define LOG_NOW_(level, event, ...)                               \
	log_write((level), (event), LOG_FIELDS_(__VA_ARGS__) + 1, \
	    sizeof(LOG_FIELDS_(__VA_ARGS__)) / sizeof(struct log_field) - 1)
#define LOG_AT_(level, event, ...)                             \
	do {                                                   \
		if (log_wants(level))                          \
			LOG_NOW_(level, event, ##__VA_ARGS__); \
	} while (0)
/* At info, whatever the level: what others wait for. */
#define log_always(event, ...) LOG_NOW_(LOG_LEVEL_INFO, event, ##__VA_ARGS__)
#define log_error(event, ...)  LOG_AT_(LOG_LEVEL_ERROR, event, ##__VA_ARGS__)
#define log_warn(event, ...)   LOG_AT_(LOG_LEVEL_WARN, event, ##__VA_ARGS__)
#define log_info(event, ...)   LOG_AT_(LOG_LEVEL_INFO, event, ##__VA_ARGS__)
#define log_debug(event, ...)  LOG_AT_(LOG_LEVEL_DEBUG, event, ##__VA_ARGS__)

#endif
