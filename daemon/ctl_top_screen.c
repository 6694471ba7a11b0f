/* SPDX-License-Identifier: ISC */
/*
 * The screen of `flyballctl top` and its keys. Nothing is changed by one key
 * alone: what is meant is spelt out as the command it is, and only y sends it.
 * The selection is a lane's name, not a row, so it stays where it is while
 * lanes come, go and change places.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/ctl_show.h"
#include "daemon/ctl_table.h"
#include "daemon/ctl_text.h"
#include "daemon/ctl_top.h"
#include "daemon/selection.h"

#define INPUT_MAX  100
/* Lines that aren't lanes: head, alert, titles, message, keys. */
#define FRAME_ROWS 5

static const char *const sort_names[TOP_SORT_COUNT] = {
	[TOP_BY_QUEUED] = "queued",
	[TOP_BY_NAME] = "name",
	[TOP_BY_SPEED] = "speed",
	[TOP_BY_REFUSAL] = "last refusal",
};

void
top_init(struct top *t)
{
	*t = (struct top){ .filter = xstrdup(""), .message = xstrdup("") };
}

void
top_fini(struct top *t)
{
	json_decref(t->lanes);
	json_decref(t->status);
	json_decref(t->why);
	free(t->selected);
	free(t->filter);
	free(t->message);
	strbuf_fini(&t->input);
	strbuf_fini(&t->words);
}

static void
say(struct top *t, const char *text)
{
	free(t->message);
	t->message = xstrdup(text);
}

/* ---- which lanes, in which order ---- */

static int
compare_numbers(double a, double b)
{
	return a < b ? 1 : -(a > b);
}

static double
number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* Without a refusal: older than any. */
static double
refusal_age(const json_t *lane)
{
	const json_t *r = json_object_get(lane, "last_refusal");

	return json_is_object(r) ? number(r, "age_ms") : 1e18;
}

static enum top_sort sorting; /* qsort() hands nothing on */

static int
compare_lanes(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int result = 0;

	if (sorting == TOP_BY_QUEUED)
		result = compare_numbers(number(x, "queued_recipients") +
			number(x, "retrying"),
		    number(y, "queued_recipients") + number(y, "retrying"));
	else if (sorting == TOP_BY_SPEED)
		result = compare_numbers(number(x, "delivered_per_s"),
		    number(y, "delivered_per_s"));
	else if (sorting == TOP_BY_REFUSAL)
		result = compare_numbers(-refusal_age(x), -refusal_age(y));
	return result != 0 ? result
			   : strcmp(ctl_str(x, "lane"), ctl_str(y, "lane"));
}

/* Those that fit the filter, sorted; lent by t->lanes. malloc'd list. */
static json_t **
list_lanes(const struct top *t, size_t *n_out)
{
	size_t n = json_array_size(t->lanes), i;
	json_t **list = xcalloc(n + 1, sizeof(*list));
	char *pattern = pattern_of_filter(t->filter);
	json_t *lane;

	*n_out = 0;
	json_array_foreach(t->lanes, i,
	    lane) if (pattern_fits(pattern, ctl_str(lane, "lane")))
	    list[(*n_out)++] = lane;
	free(pattern);
	sorting = t->sort;
	qsort(list, *n_out, sizeof(*list), compare_lanes);
	return list;
}

static size_t
selected_row(const struct top *t, json_t *const *list, size_t n)
{
	for (size_t i = 0; t->selected != NULL && i < n; i++)
		if (strcmp(ctl_str(list[i], "lane"), t->selected) == 0)
			return i;
	return 0;
}

static void
move(struct top *t, long by)
{
	size_t n;
	json_t **list = list_lanes(t, &n);
	long row = (long)selected_row(t, list, n) + by;

	if (row >= (long)n)
		row = (long)n - 1;
	if (row < 0)
		row = 0;
	if (n > 0) {
		free(t->selected);
		t->selected = xstrdup(ctl_str(list[row], "lane"));
	}
	free(list);
}

void
top_update(struct top *t, json_t *lanes_take, json_t *status_take)
{
	json_decref(t->lanes);
	json_decref(t->status);
	t->lanes = lanes_take;
	t->status = status_take;
	if (lanes_take == NULL)
		say(t, "no daemon answers; trying again");
	move(t, 0); /* a lane that is gone isn't selected */
}

/* ---- keys ---- */

static enum top_want
mean(struct top *t, const char *before, const char *behind)
{
	if (t->selected == NULL)
		return TOP_NOTHING;
	strbuf_reset(&t->words);
	strbuf_addf(&t->words, "%s %s%s", before, t->selected, behind);
	t->mode = TOP_CONFIRM;
	return TOP_DRAW;
}

static enum top_want
begin_input(struct top *t, bool is_filter)
{
	if (!is_filter && t->selected == NULL)
		return TOP_NOTHING;
	t->mode = TOP_INPUT;
	t->is_filter = is_filter;
	strbuf_reset(&t->input);
	return TOP_DRAW;
}

static enum top_want
ask_why(struct top *t)
{
	if (t->selected == NULL)
		return TOP_NOTHING;
	strbuf_reset(&t->words);
	strbuf_addf(&t->words, "why %s", t->selected);
	return TOP_ASK;
}

static enum top_want
list_key(struct top *t, int key)
{
	say(t, "");
	switch (key) {
	case 'q':
		return TOP_QUIT;
	case 'k':
	case TOP_KEY_UP:
		move(t, -1);
		return TOP_DRAW;
	case 'j':
	case TOP_KEY_DOWN:
		move(t, 1);
		return TOP_DRAW;
	case TOP_KEY_PAGE_UP:
		move(t, -(long)t->rows);
		return TOP_DRAW;
	case TOP_KEY_PAGE_DOWN:
		move(t, (long)t->rows);
		return TOP_DRAW;
	case 's':
		t->sort = (t->sort + 1) % TOP_SORT_COUNT;
		return TOP_DRAW;
	case ' ':
		t->is_frozen = !t->is_frozen;
		return TOP_DRAW;
	case '/':
		return begin_input(t, true);
	case 'r':
		return begin_input(t, false);
	case 'a':
		return mean(t, "rate", " auto");
	case 'p':
		return mean(t, "pause lane", " because of top");
	case 'u':
		return mean(t, "resume lane", "");
	case 'w':
	case '\r':
	case '\n':
		return ask_why(t);
	default:
		return TOP_NOTHING;
	}
}

static enum top_want
end_input(struct top *t)
{
	char *typed = strbuf_take(&t->input);
	enum top_want want = TOP_DRAW;

	t->mode = TOP_LIST;
	if (t->is_filter) {
		free(t->filter);
		t->filter = xstrdup(typed);
		move(t, 0);
	} else if (*typed != '\0') {
		char *behind = xasprintf(" %s", typed);

		want = mean(t, "rate", behind);
		free(behind);
	}
	free(typed);
	return want;
}

static enum top_want
input_key(struct top *t, int key)
{
	if (key == '\r' || key == '\n')
		return end_input(t);
	if (key == 27) {
		t->mode = TOP_LIST;
		return TOP_DRAW;
	}
	if ((key == 127 || key == 8) && t->input.len > 0)
		t->input.data[--t->input.len] = '\0';
	else if (key >= ' ' && key < 127 && t->input.len < INPUT_MAX)
		strbuf_addc(&t->input, (char)key);
	return TOP_DRAW;
}

enum top_want
top_key(struct top *t, int key)
{
	switch (t->mode) {
	case TOP_LIST:
		return list_key(t, key);
	case TOP_INPUT:
		return input_key(t, key);
	case TOP_CONFIRM:
		t->mode = TOP_LIST;
		if (key == 'y' || key == 'Y')
			return TOP_ASK;
		say(t, "nothing was changed");
		return TOP_DRAW;
	case TOP_WHY:
		t->mode = TOP_LIST;
		json_decref(t->why);
		t->why = NULL;
		return TOP_DRAW;
	}
	return TOP_NOTHING;
}

void
top_answer(struct top *t, json_t *answer_take)
{
	json_t *result = json_object_get(answer_take, "result");

	if (!json_is_true(json_object_get(answer_take, "ok"))) {
		say(t,
		    *ctl_str(answer_take, "error")
			? ctl_str(answer_take, "error")
			: "no daemon answers");
	} else if (json_object_get(result, "gates") != NULL) {
		json_decref(t->why);
		t->why = json_incref(result);
		t->mode = TOP_WHY;
	} else {
		char *done = xasprintf("done: %s", t->words.data);

		say(t, done);
		free(done);
	}
	json_decref(answer_take);
}

/* ---- drawing ---- */

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
	    number(lane, "delivered_per_s");
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
	json_t **list = list_lanes(t, &n);
	size_t row = selected_row(t, list, n);

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
