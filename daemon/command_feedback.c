/* SPDX-License-Identifier: ISC */
/*
 * `feedback JSON`: reads what an application says of one recipient and hands
 * it to the governor (governor_feedback.c).
 */
#include <jansson.h>
#include <string.h>

#include "conf/base/address.h"
#include "daemon/command_private.h"
#include "daemon/governor_feedback.h"

/* The words have lost the JSON's quotes, so it is read off the line; unless
 * all of it was quoted as one word. */
static const char *
json_of(const struct command *c)
{
	const char *at = strchr(c->line, '{');
	const char *quote = strchr(c->line, '"');

	if (at == NULL || (quote != NULL && quote < at))
		return c->args[0];
	return at;
}

static const char *
text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

static int
check_keys(struct command *c, json_t *o)
{
	static const char *const known[] = { "event", "recipient", "route",
		"sender", "stream", "reply", "phase" };
	const char *key;
	json_t *value;

	json_object_foreach(o, key, value)
	{
		size_t i = 0;

		while (i < sizeof(known) / sizeof(known[0]) &&
		    strcmp(known[i], key) != 0)
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			return command_misused(c,
			    "feedback knows no key \"%.60s\"", key);
		if (!json_is_string(value))
			return command_misused(c, "%s must be a string", key);
	}
	return 0;
}

/* The route may be left out where there is only one. */
static const char *
route_of(const struct command *c, const json_t *o)
{
	const struct conf *conf = governor_conf(c->g);
	const char *route = text_of(o, "route");

	return *route == '\0' && conf->n_routes == 1 ? conf->routes[0].name
						     : route;
}

static int
read_feedback(struct command *c, const json_t *o, struct feedback *out)
{
	const char *phase = text_of(o, "phase");
	int kind = feedback_kind_parse(text_of(o, "event"));

	if (kind < 0)
		return command_misused(c,
		    "event is one of delivered, deferred, bounced, complained");
	*out = (struct feedback){ .kind = (enum feedback_kind)kind,
		.recipient = text_of(o, "recipient"),
		.route = route_of(c, o),
		.sender = text_of(o, "sender"),
		.stream = text_of(o, "stream"),
		.reply = text_of(o, "reply"),
		.phase = PHASE_UNKNOWN };
	if (address_check_mailbox(out->recipient, true) != ADDRESS_OK)
		return command_misused(c, "\"%.100s\" is no recipient",
		    out->recipient);
	if (*phase != '\0' && phase_parse(phase) < 0)
		return command_misused(c, "there is no phase \"%.40s\"", phase);
	if (*phase != '\0')
		out->phase = (enum phase)phase_parse(phase);
	if (*out->reply == '\0' &&
	    (kind == FEEDBACK_DEFERRED || kind == FEEDBACK_BOUNCED))
		return command_misused(c, "the provider's reply is missing");
	return 0;
}

int
command_feedback(struct command *c)
{
	json_error_t error;
	json_t *o;
	struct feedback f;
	struct reply_answer answer;
	int result;

	if (!governor_conf(c->g)->feedback.events) {
		err_set(&c->hint, "write feedback: {events: true}");
		return command_refuse(c, "feedback.events isn't switched on");
	}
	o = json_loads(json_of(c), JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(o)) {
		json_decref(o);
		return command_misused(c, "this is no JSON object: %s",
		    o == NULL ? error.text : "");
	}
	result = check_keys(c, o);
	if (result == 0)
		result = read_feedback(c, o, &f);
	if (result == 0)
		result = governor_feedback(c->g, &f, &answer, &c->err);
	if (result == 0) {
		command_changed(c);
		answer_open(&c->out, NULL, '{');
		answer_str(&c->out, "class", reply_class_name(answer.class));
		answer_str(&c->out, "blame", blame_name(answer.blame));
		answer_opt(&c->out, "rule", answer.rule);
		answer_close(&c->out, '}');
	}
	json_decref(o);
	return result;
}
