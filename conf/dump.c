/* SPDX-License-Identifier: ISC */
/*
 * A snapshot written as YAML that loads to the same one, by the key table.
 * Secrets have no row there, so none can be written. Also which keys differ
 * between two snapshots and need a restart.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/key_types.h"
#include "conf/keys.h"

#define INDENT 2

static void section_write(const struct section *s, const void *base,
    bool is_partial, size_t depth, struct strbuf *out);

static void
indent(struct strbuf *out, size_t depth)
{
	for (size_t i = 0; i < depth * INDENT; i++)
		strbuf_addc(out, ' ');
}

static bool
is_written(const struct section *s, const struct key *k, const void *base,
    bool is_partial)
{
	if (k->flags & KEY_ALIAS)
		return false;
	if (k->given_offset != 0)
		return ((const bool *)base)[k->given_offset];
	if (is_partial && k->given != 0)
		return *(const unsigned *)(const void *)((const char *)base +
			   s->bits_offset) &
		    k->given;
	if ((is_partial || k->initial == NULL) && k->type->is_unset != NULL)
		return !k->type->is_unset(k, base);
	return true;
}

static const char *
item_name(const struct section *s, const char *item)
{
	return *(char *const *)(const void *)(item + s->name_offset);
}

static void
write_items(const struct key *k, const void *base, bool is_partial,
    size_t depth, struct strbuf *out)
{
	const struct section *s = k->section;
	const char *item = *(const char *const *)KEY_FIELD_CONST(k, base);
	size_t n = KEY_N_CONST(k, base);

	if (n == 0) {
		strbuf_adds(out,
		    k->type->shape == SHAPE_LIST ? " []\n" : " {}\n");
		return;
	}
	strbuf_addc(out, '\n');
	for (; n > 0; n--, item += s->size) {
		struct strbuf inner = { 0 };

		indent(out, depth + 1);
		section_write(s, item, is_partial, depth + 2, &inner);
		if (k->type->shape == SHAPE_LIST) {
			/* The first key stands behind the dash. */
			strbuf_adds(out, "- ");
			if (inner.len > 0)
				strbuf_consume(&inner, (depth + 2) * INDENT);
			else
				strbuf_adds(&inner, "{}\n");
		} else {
			key_write_text(item_name(s, item), out);
			strbuf_adds(out, inner.len > 0 ? ":\n" : ": {}\n");
		}
		strbuf_add(out, inner.data ? inner.data : "", inner.len);
		strbuf_fini(&inner);
	}
}

static void
key_write(const struct key *k, const void *base, bool is_partial, size_t depth,
    struct strbuf *out)
{
	struct strbuf inner = { 0 };

	is_partial |= (k->flags & KEY_PARTIAL) != 0;
	switch (k->type->shape) {
	case SHAPE_LEAF:
		indent(out, depth);
		strbuf_addf(out, "%s: ", k->name);
		k->type->write(k, base, out);
		strbuf_addc(out, '\n');
		break;
	case SHAPE_MAP:
		section_write(k->section, KEY_FIELD_CONST(k, base), is_partial,
		    depth + 1, &inner);
		if (inner.len > 0) {
			indent(out, depth);
			strbuf_addf(out, "%s:\n%s", k->name, inner.data);
		}
		strbuf_fini(&inner);
		break;
	case SHAPE_LIST:
	case SHAPE_NAMED:
		indent(out, depth);
		strbuf_addf(out, "%s:", k->name);
		write_items(k, base, is_partial, depth, out);
		break;
	}
}

static void
section_write(const struct section *s, const void *base, bool is_partial,
    size_t depth, struct strbuf *out)
{
	for (const struct key *k = s->keys; k->name != NULL; k++)
		if (is_written(s, k, base, is_partial))
			key_write(k, base, is_partial, depth, out);
}

void
conf_dump(const struct conf *conf, struct strbuf *out)
{
	section_write(&section_conf, conf, false, 0, out);
}

/* ---- what needs a restart ---- */

struct comparison {
	struct strbuf path;
	struct strbuf *keys;
	size_t n;
};

static void
compare_key(struct comparison *c, const struct key *k, const void *old,
    const void *new)
{
	struct strbuf a = { 0 }, b = { 0 };

	k->type->write(k, old, &a);
	k->type->write(k, new, &b);
	if (strcmp(a.data, b.data) != 0) {
		c->n++;
		strbuf_addf(c->keys, "%s.%s\n", c->path.data, k->name);
	}
	strbuf_fini(&a);
	strbuf_fini(&b);
}

/* Such keys stand in plain sections only: lists and names can be changed. */
static void
compare_section(struct comparison *c, const struct section *s, const void *old,
    const void *new)
{
	for (const struct key *k = s->keys; k->name != NULL; k++) {
		size_t mark = c->path.len;

		if (k->flags & KEY_RESTART)
			compare_key(c, k, old, new);
		if (k->type->shape != SHAPE_MAP)
			continue;
		strbuf_addf(&c->path, "%s%s", mark > 0 ? "." : "", k->name);
		compare_section(c, k->section, KEY_FIELD_CONST(k, old),
		    KEY_FIELD_CONST(k, new));
		c->path.len = mark;
		c->path.data[mark] = '\0';
	}
}

size_t
conf_needs_restart(const struct conf *old, const struct conf *new,
    struct strbuf *keys_out)
{
	struct comparison c = { .keys = keys_out };

	compare_section(&c, &section_conf, old, new);
	strbuf_fini(&c.path);
	return c.n;
}
