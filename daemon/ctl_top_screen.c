/* SPDX-License-Identifier: ISC */
/*
 * What keys do to the screen of `flyballctl top`. Nothing is changed by one key
 * alone: what is meant is spelt out as the command it is, and only y sends it.
 * The selection is a lane's name, not a row, so it stays where it is while
 * lanes come, go and change places.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/xalloc.h"
#include "daemon/ctl_show.h"
#include "daemon/ctl_top.h"
#include "daemon/selection.h"

#define INPUT_MAX 100

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
json_t **
top_lanes(const struct top *t, size_t *n_out)
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

size_t
top_row(const struct top *t, json_t *const *list, size_t n)
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
	json_t **list = top_lanes(t, &n);
	long row = (long)top_row(t, list, n) + by;

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
