/* SPDX-License-Identifier: ISC */
/*
 * What `flyballctl top` shows: head, alert, lanes, message and keys, as lines
 * that end by \r\n, each cut to the screen. Changes nothing but where the list
 * is scrolled to.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl_show.h"
#include "daemon/ctl_table.h"
#include "daemon/ctl_text.h"
#include "daemon/ctl_top.h"

/* Lines that aren't lanes: head, alert, titles, message, keys. */
#define FRAME_ROWS 5

static const char *const sort_names[TOP_SORT_COUNT] = {
	[TOP_BY_QUEUED] = "queued",
	[TOP_BY_NAME] = "name",
	[TOP_BY_SPEED] = "speed",
	[TOP_BY_REFUSAL] = "last refusal",
};

static void
end_line(struct strbuf *out)
{
	strbuf_adds(out, "\033[K\r\n");
}

/* Clean text, cut to the screen. */
static void
add_line(const struct ctl *ctl, enum colour colour, const char *dirty,
    struct strbuf *out)
{
	struct strbuf text = { 0 };

	text_add_clean(&text, dirty, " / ");
	if (text.len > 0) {
		strbuf_adds(out, colour_on(ctl, colour));
		strbuf_add(out, text.data, text_prefix(text.data, ctl->width));
		strbuf_adds(out, colour_off(ctl, colour));
	}
	end_line(out);
	strbuf_fini(&text);
}

static void
draw_head(const struct top *t, const struct ctl *ctl, struct strbuf *out)
{
	const json_t *totals = json_object_get(t->status, "totals");
	struct strbuf line = { 0 };
	double per_s = 0;
	const json_t *lane;
	size_t i;

	json_array_foreach(t->lanes, i, lane) per_s +=
	    json_number_value(json_object_get(lane, "delivered_per_s"));
	strbuf_addf(&line, "flyball %s  up %s  queued %s  flying %s  ",
	    ctl_str(t->status, "hostname"), ctl_span(t->status, "uptime_ms"),
	    ctl_count(totals, "recipients"), ctl_count(totals, "in_flight"));
	text_add_per_s(&line, per_s);
	strbuf_addf(&line, "  by %s%s%s%s", sort_names[t->sort],
	    *t->filter ? ", only " : "", t->filter,
	    t->is_frozen ? "  FROZEN" : "");
	add_line(ctl, BOLD, line.data, out);
	strbuf_fini(&line);
}

static void
draw_alert(const struct top *t, const struct ctl *ctl, struct strbuf *out)
{
	const json_t *alerts = json_object_get(t->status, "alerts");
	struct strbuf line = { 0 };

	if (json_array_size(alerts) > 0) {
		strbuf_addf(&line, "ALERT  %s",
		    ctl_str(json_array_get(alerts, 0), "text"));
		if (json_array_size(alerts) > 1)
			strbuf_addf(&line, " (and %zu more)",
			    json_array_size(alerts) - 1);
	}
	add_line(ctl, RED, line.len > 0 ? line.data : "", out);
	strbuf_fini(&line);
}

/* The selected row stays on the screen. */
static void
scroll(struct top *t, size_t row, size_t n)
{
	if (row < t->first)
		t->first = row;
	if (t->rows > 0 && row >= t->first + t->rows)
		t->first = row - t->rows + 1;
	if (t->first + t->rows > n)
		t->first = n > t->rows ? n - t->rows : 0;
}

/* The table's text, its lines made the screen's, one of them shown inverse. */
static void
add_table(const struct table *table, const struct ctl *ctl, size_t inverse,
    struct strbuf *out)
{
	char *text = NULL, *rest, *line;
	size_t len, row = 0;
	FILE *to = open_memstream(&text, &len);

	if (to == NULL)
		abort(); /* no memory */
	table_print(table, to);
	fclose(to);
	for (rest = text; (line = strsep(&rest, "\n")) != NULL && rest != NULL;
	     row++) {
		bool is_inverse = row == inverse + 1;

		if (is_inverse)
			strbuf_adds(out, ctl->has_colour ? "\033[7m" : ">");
		strbuf_adds(out, line);
		if (is_inverse && ctl->has_colour)
			strbuf_adds(out, "\033[0m");
		end_line(out);
	}
	free(text);
}

static void
draw_lanes(struct top *t, const struct ctl *ctl, struct strbuf *out)
{
	struct table *table = table_new(ctl);
	size_t n, n_drawn = 0;
	json_t **list = top_lanes(t, &n);
	size_t row = top_row(t, list, n);

	scroll(t, row, n);
	ctl_lane_columns(table);
	for (size_t i = t->first; i < n && i < t->first + t->rows; i++) {
		ctl_lane_row(table, list[i], i == row);
		n_drawn++;
	}
	add_table(table, ctl, n > 0 ? row - t->first : SIZE_MAX - 1, out);
	for (; n_drawn < t->rows; n_drawn++)
		end_line(out);
	table_free(table);
	free(list);
}

/* Broken at blanks, a screen line each; returns how many. */
static size_t
add_wrapped(const struct ctl *ctl, const char *dirty, struct strbuf *out)
{
	struct strbuf text = { 0 };
	size_t n = 0;

	text_add_clean(&text, dirty, " / ");
	for (const char *p = text.data; p != NULL && *p != '\0'; n++) {
		size_t len = text_prefix(p, ctl->width), cut = len;

		while (p[len] != '\0' && cut > 0 && p[cut] != ' ')
			cut--;
		len = cut > 0 ? cut : len;
		if (len == 0)
			break; /* narrower than one character */
		strbuf_add(out, p, len);
		end_line(out);
		p += len;
		p += strspn(p, " ");
	}
	strbuf_fini(&text);
	return n;
}

static void
draw_why(struct top *t, const struct ctl *ctl, struct strbuf *out)
{
	const json_t *gate;
	size_t i, n = 1;

	add_line(ctl, BOLD, ctl_str(t->why, "lane"), out);
	n += add_wrapped(ctl, ctl_str(t->why, "summary"), out);
	json_array_foreach(json_object_get(t->why, "gates"), i, gate)
	{
		struct strbuf line = { 0 };
		bool is_open = ctl_true(gate, "is_open");

		if (n++ > t->rows)
			break;
		strbuf_addf(&line, "%-18s %s  %s", ctl_str(gate, "gate"),
		    is_open ? "open" : "shut", ctl_str(gate, "text"));
		add_line(ctl, is_open ? PLAIN : YELLOW, line.data, out);
		strbuf_fini(&line);
	}
	for (; n <= t->rows; n++)
		end_line(out);
}

static void
draw_foot(const struct top *t, const struct ctl *ctl, struct strbuf *out)
{
	static const char *const keys =
	    "q quit  s sort  / filter  w why  p pause  u resume  r rate  a "
	    "auto  space freeze";
	struct strbuf line = { 0 };

	if (t->mode == TOP_CONFIRM)
		strbuf_addf(&line, "%s ?  y: do it, any other key: don't",
		    t->words.data);
	else if (t->mode == TOP_INPUT)
		strbuf_addf(&line, "%s: %s_",
		    t->is_filter ? "only lanes with"
				 : "rate, such as "
				   "5/s for 2h",
		    t->input.data != NULL ? t->input.data : "");
	else
		strbuf_adds(&line, t->message);
	add_line(ctl, t->mode == TOP_CONFIRM ? YELLOW : PLAIN,
	    line.data != NULL ? line.data : "", out);
	strbuf_fini(&line);
	/* No line end: the last row must not scroll. */
	strbuf_adds(out, colour_on(ctl, FAINT));
	strbuf_add(out, keys, text_prefix(keys, ctl->width));
	strbuf_adds(out, colour_off(ctl, FAINT));
	strbuf_adds(out, "\033[K");
}

void
top_draw(struct top *t, const struct ctl *ctl, size_t height,
    struct strbuf *out)
{
	t->rows = height > FRAME_ROWS ? height - FRAME_ROWS : 1;
	strbuf_adds(out, "\033[H");
	draw_head(t, ctl, out);
	draw_alert(t, ctl, out);
	if (t->mode == TOP_WHY)
		draw_why(t, ctl, out);
	else
		draw_lanes(t, ctl, out);
	draw_foot(t, ctl, out);
}
