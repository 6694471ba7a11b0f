/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_TREE_H
#define FLYBALL_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/mistakes.h"

/*
 * A YAML text as a tree in which every node knows its place. Only what a
 * configuration needs: maps, lists, scalars as text. Anchors, aliases, tags,
 * several documents and keys that aren't words are mistakes.
 */
enum node_kind {
	NODE_NULL,   /* nothing, "~" or "null" */
	NODE_SCALAR, /* text, whatever it looks like */
	NODE_LIST,
	NODE_MAP,
	NODE_BROKEN, /* already reported: readers pass over it */
};

struct node {
	enum node_kind kind;
	bool is_bad;	     /* a mistake about it was found */
	struct place at;     /* of the value */
	char *key;	     /* as a map's member; else NULL */
	struct place key_at; /* of the key */
	char *text;	     /* NODE_SCALAR */
	struct node **v;     /* members or items, in the file's order */
	size_t n;
	struct node **sorted; /* a map's members by key; may be NULL */
};

#define TREE_BYTES_MAX (4 << 20)
#define TREE_NODES_MAX 200000
#define TREE_DEPTH_MAX 16

/*
 * Returns the root, an empty map for an empty text; NULL when the text can't
 * be read as YAML at all. Mistakes are added either way: a tree may come back
 * together with some. `name` stands for the file and must outlive the tree.
 */
struct node *tree_parse(const char *name, const char *text, size_t len,
    struct mistakes *mistakes);
void node_free(struct node *n);

/* The member of a map; NULL when there is none or it is no map. */
struct node *node_member(const struct node *map, const char *key);
/* Something is wrong with it or with what is in it. NULL: no. */
bool node_is_bad(const struct node *n);
const char *node_kind_name(enum node_kind kind); /* "a list" */

#endif
