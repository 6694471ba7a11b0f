/* SPDX-License-Identifier: ISC */
/* Who may change things, and that the kernel's word is read right. */
#include "daemon/admin_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void
the_rule(void **state)
{
	static const struct {
		const char *what;
		uid_t uid;
		gid_t gid;
		gid_t groups[3];
		size_t n_groups;
		bool may;
	} cases[] = {
		{ "root", 0, 0, { 0 }, 0, true },
		{ "root in another group", 0, 5, { 0 }, 0, true },
		{ "the daemon's user", 100, 5, { 0 }, 0, true },
		{ "by main group", 1000, 200, { 0 }, 0, true },
		{ "by another group", 1000, 5, { 4, 200 }, 2, true },
		{ "by the last group", 1000, 5, { 4, 6, 200 }, 3, true },
		{ "nobody", 65534, 65534, { 0 }, 0, false },
		{ "others", 1000, 5, { 4, 6 }, 2, false },
		{ "a uid like the group's id", 200, 5, { 0 }, 0, false },
		{ "a gid like the daemon's", 1000, 100, { 100 }, 1, false },
		{ "in root's group only", 1000, 0, { 0 }, 1, false },
	};
	const struct admin_rule rule = { .own_uid = 100, .socket_gid = 200 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (admin_may_change(&rule, cases[i].uid, cases[i].gid,
			cases[i].groups, cases[i].n_groups) != cases[i].may)
			fail_msg("%s", cases[i].what);
}

static void
a_real_peer_is_who_it_is(void **state)
{
	struct admin_rule rule = { .own_uid = geteuid(), .socket_gid = 12345 };
	struct command_peer peer;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(admin_peer_of(fds[0], &rule, &peer, NULL), 0);
	assert_int_equal(peer.uid, geteuid());
	assert_int_equal(peer.pid, getpid());
	assert_true(peer.may_change);
	close(fds[0]);
	close(fds[1]);
}

static void
no_socket_no_peer(void **state)
{
	struct admin_rule rule = { 0 };
	struct command_peer peer;
	struct err err;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(admin_peer_of(fds[0], &rule, &peer, &err), -1);
	assert_non_null(strstr(err.text, "SO_PEERCRED"));
	close(fds[0]);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rule),
		cmocka_unit_test(a_real_peer_is_who_it_is),
		cmocka_unit_test(no_socket_no_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
