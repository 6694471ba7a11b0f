/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_COMMAND_WORLD_H
#define FLYBALL_COMMAND_WORLD_H

/*
 * A governor that is played, and commands as an operator types them. Included
 * once by the tests of commands.
 */
#include "daemon/command.h"

#include <jansson.h>
#include <unistd.h>

#include "conf/base/rng.h"
#include "daemon/command_table.h"
#include "tests/unit/fake_governor.h"

static struct governor g;

static inline int
setup(void **state)
{
	(void)state;
	fake_start(&g);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	fake_stop(&g);
	return 0;
}

static const struct command_peer root = { .pid = 42, .may_change = true };
static const struct command_peer guest = { .uid = 65534, .pid = 43 };

/* The whole answer, parsed: it must be one line of valid JSON. */
static inline json_t *
ask_as(const struct command_peer *peer, const char *line)
{
	struct command *c = command_new(&g, peer, line, strlen(line));
	struct strbuf all = { 0 };
	json_error_t error;
	enum step step;
	json_t *answer;

	do {
		step = command_step(c);
		strbuf_add(&all, command_out(c)->data, command_out(c)->len);
		strbuf_reset(command_out(c));
	} while (step == STEP_MORE || step == STEP_PACED);
	command_free(c);
	assert_true(all.len > 0 && all.data[all.len - 1] == '\n');
	assert_ptr_equal(strchr(all.data, '\n'), all.data + all.len - 1);
	answer = json_loads(all.data, 0, &error);
	if (answer == NULL)
		fail_msg("%s: %s: %s", line, error.text, all.data);
	strbuf_fini(&all);
	return answer;
}

/* The result of a command that must succeed; the caller decrefs it. */
static inline json_t *
ask(const char *line)
{
	json_t *answer = ask_as(&root, line), *result;

	if (!json_is_true(json_object_get(answer, "ok")))
		fail_msg("%s: %s", line,
		    json_string_value(json_object_get(answer, "error")));
	result = json_incref(json_object_get(answer, "result"));
	assert_non_null(result);
	json_decref(answer);
	return result;
}

static inline int64_t
number(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_number(v))
		fail_msg("%s is no number", key);
	return (int64_t)json_number_value(v);
}

static inline const char *
text(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		fail_msg("%s is no string", key);
	return json_string_value(v);
}

/* A refusal whose error (or hint) holds `part`. */
static inline void
refused_as(const struct command_peer *peer, const char *line, const char *part,
    bool is_usage)
{
	json_t *answer = ask_as(peer, line);
	const char *error, *hint;

	if (!json_is_false(json_object_get(answer, "ok")))
		fail_msg("%s wasn't refused", line);
	error = text(answer, "error");
	hint = text(answer, "hint");
	if (strstr(error, part) == NULL && strstr(hint, part) == NULL)
		fail_msg("%s: \"%s\" (%s) lacks \"%s\"", line, error, hint,
		    part);
	assert_int_equal(json_object_get(answer, "kind") != NULL, is_usage);
	json_decref(answer);
}

static inline void
did(const char *line)
{
	json_decref(ask(line));
}

#endif
