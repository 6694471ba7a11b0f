/* SPDX-License-Identifier: ISC */
/* The vectors of the reference implementation: key 00..0f, input 00..n-1. */
#include "conf/base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
the_references_vectors_come_out(void **state)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} rows[] = {
		{ 0, 0x726fdb47dd0e0e31u }, { 1, 0x74f839c593dc67fdu },
		{ 2, 0x0d6c8009d9a94f5au }, { 7, 0xab0200f58b01d137u },
		{ 8, 0x93f5f5799a932462u },
		{ 15, 0xa129ca6149be45e5u }, /* the paper's own */
	};
	uint8_t key[SIPHASH_KEY_SIZE], data[16];

	(void)state;
	for (uint8_t i = 0; i < 16; i++)
		key[i] = data[i] = i;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(siphash(key, data, rows[i].len) == rows[i].hash);
	key[0] = 1;
	assert_true(siphash(key, data, 0) != rows[0].hash);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_references_vectors_come_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
