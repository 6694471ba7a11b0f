/* SPDX-License-Identifier: ISC */
/*
 * Shows an answer without knowing what it is: a list of objects is a table
 * with their keys as columns, an object is a list of keys and values, and what
 * lies inside it follows under its own heading.
 */
#include <string.h>

#include "conf/base/strbuf.h"
#include "daemon/ctl_show.h"
#include "daemon/ctl_text.h"

static bool
is_nested(const json_t *value)
{
	return json_is_object(value) ||
	    (json_is_array(value) && json_array_size(value) > 0 &&
		json_is_object(json_array_get(value, 0)));
}

static void
add_titles(struct table *t, const json_t *first)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)first, key, value)
	{
		struct strbuf title = { 0 };

		if (is_nested(value))
			continue;
		text_add_label(&title, key);
		for (char *p = title.data; *p != '\0'; p++)
			if (*p >= 'a' && *p <= 'z')
				*p = (char)(*p - 'a' + 'A');
		table_column(t, title.data, json_is_number(value));
		strbuf_fini(&title);
	}
}

static void
show_rows(const struct ctl *ctl, const json_t *rows)
{
	struct table *t = table_new(ctl);
	const json_t *first = json_array_get(rows, 0), *row;
	const char *key;
	json_t *value;
	size_t i;

	add_titles(t, first);
	json_array_foreach(rows, i, row) json_object_foreach((json_t *)first,
	    key, value) if (!is_nested(value)) ctl_cell(t, PLAIN, row, key);
	ctl_print_table(t, "none");
}

static size_t
label_width(const json_t *object)
{
	const char *key;
	json_t *value;
	size_t width = 0;

	json_object_foreach((json_t *)object, key,
	    value) if (!is_nested(value) && strlen(key) > width) width =
	    strlen(key);
	return width;
}

static void
show_object(const struct ctl *ctl, const json_t *object)
{
	size_t width = label_width(object);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		struct strbuf label = { 0 }, text = { 0 };

		if (!is_nested(value)) {
			text_add_label(&label, key);
			text_add_value(&text, key, value);
			printf("%-*s  %s\n", (int)width, label.data,
			    text.data != NULL ? text.data : "");
		}
		strbuf_fini(&label);
		strbuf_fini(&text);
	}
	json_object_foreach((json_t *)object, key, value)
	{
		struct strbuf label = { 0 };

		if (!is_nested(value))
			continue;
		text_add_label(&label, key);
		printf("\n%s%s%s\n", colour_on(ctl, BOLD), label.data,
		    colour_off(ctl, BOLD));
		ctl_show_any(ctl, value);
		strbuf_fini(&label);
	}
}

void
ctl_show_any(const struct ctl *ctl, const json_t *result)
{
	struct strbuf text = { 0 };

	if (json_is_object(result)) {
		show_object(ctl, result);
	} else if (is_nested(result)) {
		show_rows(ctl, result);
	} else if (json_is_array(result) && json_array_size(result) == 0) {
		puts("none");
	} else {
		text_add_value(&text, "", result);
		puts(text.data != NULL ? text.data : "");
		strbuf_fini(&text);
	}
}

void
ctl_show_providers(const struct ctl *ctl, const json_t *result)
{
	struct table *t = table_new(ctl);
	const json_t *p;
	size_t i;

	table_column(t, "PROVIDER", false);
	table_column(t, "FROM", false);
	table_column(t, "RATES", false);
	table_column(t, "CONN", true);
	table_column(t, "MSG/CONN", true);
	table_column(t, "RCPT/MSG", true);
	table_column(t, "DOMAINS; MX", false);
	json_array_foreach(result, i, p)
	{
		struct strbuf names = { 0 };

		ctl_cell(t, PLAIN, p, "provider");
		table_cell(t, PLAIN,
		    ctl_true(p, "is_builtin") ? "built-in" : "file");
		ctl_cell(t, PLAIN, p, "rates");
		ctl_cell(t, PLAIN, p, "connections");
		ctl_cell(t, PLAIN, p, "messages_per_connection");
		ctl_cell(t, PLAIN, p, "recipients_per_message");
		text_add_value(&names, "", json_object_get(p, "domains"));
		if (json_array_size(json_object_get(p, "mx")) > 0) {
			strbuf_adds(&names, "; ");
			text_add_value(&names, "", json_object_get(p, "mx"));
		}
		table_cell(t, PLAIN, names.data);
		strbuf_fini(&names);
	}
	ctl_print_table(t, "no such provider");
}
