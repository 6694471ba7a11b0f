/* SPDX-License-Identifier: ISC */
/* The tree: places are exact, and what isn't a configuration says so. */
#include "conf/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/rng.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct node *
parse(const char *text, size_t len, struct strbuf *errors)
{
	struct mistakes m = { 0 };
	struct node *root = tree_parse("f", text, len, &m);

	mistakes_write(&m, errors);
	mistakes_fini(&m);
	return root;
}

/* As Notepad saves it. */
static void
byte_order_mark_is_no_indent(void **state)
{
	static const char text[] = "\xef\xbb\xbf"
				   "a: 1\r\n"
				   "b:\r\n"
				   "  c: 2\r\n";
	struct strbuf errors = { 0 };
	struct node *root = parse(text, sizeof(text) - 1, &errors);

	(void)state;
	if (root == NULL)
		fail_msg("%s", errors.data);
	assert_null(errors.data);
	assert_int_equal(node_member(root, "a")->at.column, 4);
	assert_string_equal(node_member(node_member(root, "b"), "c")->text,
	    "2");
	node_free(root);
}

static void
places_are_exact(void **state)
{
	static const char text[] = "# comment\n"
				   "a: 1\n"
				   "\n"
				   "bé: {c: [x, \"y\"], d: }\n"
				   "e:\n"
				   "  - f: ~\n"
				   "    g: 'null'\n";
	struct strbuf errors = { 0 };
	struct node *root = parse(text, sizeof(text) - 1, &errors), *b, *e;

	(void)state;
	assert_null(errors.data);
	assert_int_equal(root->kind, NODE_MAP);
	assert_int_equal(root->n, 3);
	assert_int_equal(node_member(root, "a")->at.line, 2);
	assert_int_equal(node_member(root, "a")->at.column, 4);
	b = node_member(root, "bé");
	assert_int_equal(b->key_at.line, 4);
	assert_int_equal(b->at.column, 5); /* letters, not bytes */
	assert_string_equal(node_member(b, "c")->v[1]->text, "y");
	assert_int_equal(node_member(b, "c")->v[1]->at.column, 13);
	assert_int_equal(node_member(b, "d")->kind, NODE_NULL);
	e = node_member(root, "e")->v[0];
	assert_int_equal(node_member(e, "f")->kind, NODE_NULL);
	assert_string_equal(node_member(e, "g")->text, "null");
	assert_int_equal(node_member(e, "g")->at.line, 7);
	assert_null(node_member(e, "h"));
	assert_null(node_member(node_member(root, "a"), "h"));
	node_free(root);
}

static void
what_is_no_configuration(void **state)
{
	static const struct {
		const char *text, *error;
		bool has_tree;
	} cases[] = {
		{ "a: 1\na: 2\n",
		    "f:2:1: a: given twice; the first one is in line 1\n",
		    true },
		{ "a: {b: {c: 1, d: 2, c: 3}}",
		    "f:1:21: a.b.c: given twice; the first one is in line 1\n",
		    true },
		{ "a: &x 1\nb: *x\n",
		    "f:1:4: a: anchors (&) aren't supported; write it out\n"
		    "f:2:4: b: aliases (*) aren't supported; write it out, or "
		    "quote the value\n",
		    true },
		{ "a: !!str 1\n",
		    "f:1:4: a: tags (!) aren't supported; leave it out\n",
		    true },
		{ "a: [\"x\\0y\"]\n",
		    "f:1:5: a: a value can't hold a NUL byte\n", true },
		{ "a:\n\tb: 1\n", "f:2:1: a tab can't indent; use spaces\n",
		    false },
		{ "a: b: c\n",
		    "f:1:5: a second \": \" in one line, or the line before "
		    "isn't complete; put a value that has \": \" in quotes\n",
		    false },
		{ "a: @b\n",
		    "f:1:4: a value can't begin with \"@\"; put it in "
		    "quotes\n",
		    false },
		{ "a: {b: 1\n\nc: d\n",
		    "f:3:2: not YAML: did not find "
		    "expected ',' or '}'\n",
		    false },
		{ "a: x\xff\n", "f:1:5: not UTF-8 (byte 0xff)\n", false },
		{ "a: \xed\xa0\x80\n", "f:1:4: not UTF-8 (byte 0xed)\n",
		    false },
		{ "a: 1\nb: x\x01\n", "f:2:5: a control character (0x01)\n",
		    false },
		{ "a: é\xc2\x80\n",
		    "f:1:5: control characters are not allowed\n", false },
		{ "a: 1\n---\nb: 2\n", "f:2:1: a second document in one file\n",
		    false },
		{ "? [a]\n: 1\n", "f:1:3: a key must be a word\n", false },
		{ "\"\": 1\n", "f:1:1: a key must be a word\n", false },
		{ "[[[[[[[[[[[[[[[[[x", "nested too deep\n", false },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct strbuf errors = { 0 };
		struct node *root =
		    parse(cases[i].text, strlen(cases[i].text), &errors);

		assert_non_null(errors.data);
		if (errors.data[0] == 'f' && cases[i].error[0] == 'f')
			assert_string_equal(errors.data, cases[i].error);
		assert_non_null(strstr(errors.data, cases[i].error));
		assert_int_equal(root != NULL, cases[i].has_tree);
		node_free(root);
		strbuf_fini(&errors);
	}
}

static void
empty_is_an_empty_map(void **state)
{
	static const char *const texts[] = { "", "\n", "# nothing\n", "---\n",
		"\xef\xbb\xbf", "~\n" };

	(void)state;
	for (size_t i = 0; i < N(texts); i++) {
		struct strbuf errors = { 0 };
		struct node *root = parse(texts[i], strlen(texts[i]), &errors);

		assert_null(errors.data);
		assert_int_equal(root->kind, NODE_MAP);
		assert_int_equal(root->n, 0);
		node_free(root);
	}
}

/* Size and number are bounded; a map of many keys isn't slow. */
static void
bounds(void **state)
{
	struct strbuf text = { 0 }, errors = { 0 };
	struct node *root;
	char *large = xcalloc(1, TREE_BYTES_MAX + 2);

	(void)state;
	memset(large, '#', TREE_BYTES_MAX + 1);
	assert_null(parse(large, TREE_BYTES_MAX + 1, &errors));
	assert_string_equal(errors.data,
	    "f:1:1: the file is larger than 4 MiB\n");
	strbuf_reset(&errors);
	for (int i = 0; i < 50000; i++)
		strbuf_addf(&text, "k%d: v\n", i);
	root = parse(text.data, text.len, &errors);
	assert_int_equal(errors.len, 0);
	assert_int_equal(root->n, 50000);
	node_free(root);
	strbuf_reset(&text);
	strbuf_addc(&text, '[');
	for (int i = 0; i < TREE_NODES_MAX; i++)
		strbuf_adds(&text, "a,");
	assert_null(parse(text.data, text.len, &errors));
	assert_non_null(strstr(errors.data, "too many values in one file\n"));
	strbuf_fini(&text);
	strbuf_fini(&errors);
	free(large);
}

/* Whatever the bytes are: a tree or an error, and no leak. */
static void
random_bytes(void **state)
{
	static const char alphabet[] = "ab:-,[]{}\"'\n\n  #&*!|>?%@~\t\\0\xc3"
				       "\xa9";
	struct rng rng = { 4711 };
	char text[200];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t len = rng_below(&rng, sizeof(text));
		struct strbuf errors = { 0 };
		struct node *root;

		for (size_t j = 0; j < len; j++)
			text[j] =
			    alphabet[rng_below(&rng, sizeof(alphabet) - 1)];
		root = parse(text, len, &errors);
		assert_true(root != NULL || errors.len > 0);
		node_free(root);
		strbuf_fini(&errors);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_are_exact),
		cmocka_unit_test(byte_order_mark_is_no_indent),
		cmocka_unit_test(what_is_no_configuration),
		cmocka_unit_test(empty_is_an_empty_map),
		cmocka_unit_test(bounds),
		cmocka_unit_test(random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
