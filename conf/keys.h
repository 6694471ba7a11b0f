/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_KEYS_H
#define FLYBALL_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/strbuf.h"
#include "conf/conf.h"
#include "conf/mistakes.h"
#include "conf/tree.h"

/*
 * The key table. One row is everything about one key of the file: where its
 * value lives, how it is read, bounded and written, what it is when absent,
 * and the sentences of the manual. Sections are tables of rows; the root is
 * section_conf. A new key is one new row.
 */
struct key;
struct section;

/* Where reading stands; types report through it. */
struct reader {
	struct mistakes *mistakes;
	struct strbuf path; /* "routes.ip-a" */
	bool with_defaults; /* absent keys get their initial value */
};

void reader_fail(struct reader *r, struct node *n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, said of the member `key` of the map that is being read. */
void reader_fail_key(struct reader *r, struct place at, const char *key,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Where a map's key stands, "file:line:column", for what is found out later;
 * NULL: it doesn't have it. The caller frees it. */
char *reader_where(const struct node *map, const char *key);
/* Goes down a step in the path; leave takes what enter returned. */
size_t reader_enter(struct reader *r, const char *name);
size_t reader_enter_item(struct reader *r, size_t i);
void reader_leave(struct reader *r, size_t mark);

enum key_shape {
	SHAPE_LEAF,  /* read and written by its type */
	SHAPE_MAP,   /* a section inside the same struct */
	SHAPE_LIST,  /* an array of sections */
	SHAPE_NAMED, /* an array of sections under names */
};

/* `base` is the struct that the row's offset counts from. */
struct key_type {
	enum key_shape shape;
	const char *doc; /* "duration"; the manual's word */
	/* Sets the field, freeing what was there; false: reported, and the
	 * field is as it was. */
	bool (*read)(struct reader *r, const struct key *k, struct node *n,
	    void *base);
	/* One line of YAML that reads back to the same. */
	void (*write)(const struct key *k, const void *base,
	    struct strbuf *out);
	void (*fini)(const struct key *k, void *base);
	/* Nothing was given and there is no default: it isn't written. */
	bool (*is_unset)(const struct key *k, const void *base);
	/* For types of measures: text of a bound. */
	void (*write_bound)(int64_t bound, struct strbuf *out);
};

struct key_word {
	const char *word; /* NULL ends the list */
	int64_t value;
};

enum key_flag {
	KEY_REQUIRED = 1,
	KEY_RESTART = 2, /* a running daemon can't change it */
	KEY_PARTIAL = 4, /* a section in which nothing has a default */
	KEY_NUMERIC = 8, /* an endpoint that must be an address */
	KEY_LISTED_ELSEWHERE = 16, /* the manual shows its section once */
	KEY_ALIAS = 64,		   /* of another key: it isn't written */
	KEY_REPLACED = 32,	   /* names take the place of those before */
	KEY_ONE = 128,		   /* a list that may be its only map */
	KEY_FILLED = 256,	   /* a list or text that isn't given empty */
};

struct key {
	const char *name; /* NULL ends a section */
	const struct key_type *type;
	size_t offset;
	size_t n_offset;     /* of an array's count */
	size_t given_offset; /* of a bool that says it was there; 0 = none */
	const char *initial; /* as it would be written; NULL = empty or 0 */
	const char *initial_doc; /* for the manual, where it isn't `initial` */
	int64_t min, max;	 /* both 0: none */
	const struct key_word *words; /* of enums; of measures: "unlimited" */
	const struct section *section;
	unsigned given; /* bit in the section's `given` */
	unsigned flags;
	const char *bound_why; /* what is wrong beyond the bounds */
	/* Judges a text, or each of a list, and may replace it. */
	bool (*check)(struct reader *r, struct node *n, char **text);
	const char *text;
};

struct section {
	const char *name; /* "NAME": how the manual writes a named one */
	size_t size;
	size_t name_offset; /* of char *, in SHAPE_NAMED */
	size_t bits_offset; /* of unsigned, where rows have `given` */
	const struct key *keys;
	bool (*check_name)(struct reader *r, struct node *n, char **name);
	/* After an item's keys were read: what the rows can't say. */
	void (*seal)(struct reader *r, struct node *n, void *base);
	void (*fini)(void *base); /* of what no row owns */
};

#define KEY_FIELD(k, base) ((void *)((char *)(base) + (k)->offset))
#define KEY_FIELD_CONST(k, base) \
	((const void *)((const char *)(base) + (k)->offset))
#define KEY_N(k, base) (*(size_t *)(void *)((char *)(base) + (k)->n_offset))
#define KEY_N_CONST(k, base) \
	(*(const size_t *)(const void *)((const char *)(base) + (k)->n_offset))

extern const struct section section_conf; /* of struct conf */
extern const struct section section_plan; /* of struct conf_plan */

/* Reads a map into a struct. Every mistake is added to the reader's. */
void section_read(struct reader *r, const struct section *s, struct node *map,
    void *base);
/* The same for those keys alone that are there: the others stay as they are. */
void section_read_given(struct reader *r, const struct section *s,
    struct node *map, void *base);
void section_fini(const struct section *s, void *base);

/* Containers; the shapes' rows in tables. */
extern const struct key_type type_map, type_list, type_named;

#endif
