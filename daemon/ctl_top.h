/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CTL_TOP_H
#define FLYBALL_CTL_TOP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/base/strbuf.h"
#include "daemon/ctl.h"

/*
 * `flyballctl top`: what is on the screen and what keys do to it, apart from
 * the terminal and the daemon (ctl_top.c), so that a test can press keys.
 * ctl_top_screen.c has the state and the keys.
 */
enum top_sort {
	TOP_BY_QUEUED,
	TOP_BY_NAME,
	TOP_BY_SPEED,
	TOP_BY_REFUSAL, /* the latest first */
};
#define TOP_SORT_COUNT 4

enum top_mode {
	TOP_LIST,
	TOP_CONFIRM, /* `words` wait for y */
	TOP_INPUT,   /* a line is typed: a filter, or a rate */
	TOP_WHY,     /* an answer covers the list until a key */
};

enum top_want {
	TOP_NOTHING,
	TOP_DRAW,
	TOP_ASK, /* send `words`, show what comes as the message */
	TOP_QUIT,
};

/* Keys beyond ASCII. */
enum { TOP_KEY_UP = 1000, TOP_KEY_DOWN, TOP_KEY_PAGE_UP, TOP_KEY_PAGE_DOWN };

struct top {
	json_t *lanes; /* the answers in force; the caller sets them */
	json_t *status;
	enum top_sort sort;
	enum top_mode mode;
	char *selected; /* a lane's name; NULL: none */
	char *filter;	/* part of a name; "" = all */
	char *message;
	struct strbuf input;
	bool is_filter; /* what is typed */
	bool is_frozen;
	struct strbuf words; /* of the command that is meant */
	json_t *why;
	size_t first; /* row at the top */
	size_t rows;  /* of lanes that fit, as last drawn */
};

void top_init(struct top *t);
void top_fini(struct top *t);
/* Takes both (NULL: no daemon answers). */
void top_update(struct top *t, json_t *lanes_take, json_t *status_take);
enum top_want top_key(struct top *t, int key);
/* The lanes that fit the filter, in order; lent by t->lanes, in a malloc'd
 * list. And which of them is selected. */
json_t **top_lanes(const struct top *t, size_t *n_out);
size_t top_row(const struct top *t, json_t *const *list, size_t n);

/* ctl_top_draw.c: the whole screen, lines ended by \r\n, for so many rows of ctl->width. */
void top_draw(struct top *t, const struct ctl *ctl, size_t height,
    struct strbuf *out);
/* What the daemon said to `words`; takes it. */
void top_answer(struct top *t, json_t *answer_take);

#endif
