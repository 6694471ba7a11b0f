/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_ADMIN_PEER_H
#define FLYBALL_ADMIN_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "conf/base/err.h"
#include "daemon/command.h"

/*
 * Who is at the other end of the admin socket, and may they change things?
 * The kernel says who (SO_PEERCRED and SO_PEERGROUPS: as of their connect());
 * the rule is this: root, the daemon's own user, and whoever is in the
 * socket's group.
 */
struct admin_rule {
	uid_t own_uid;
	gid_t socket_gid;
};

/* Pure. `gid` is the effective group, `groups` the supplementary ones. */
bool admin_may_change(const struct admin_rule *rule, uid_t uid, gid_t gid,
    const gid_t *groups, size_t n_groups);

/* -1: the kernel doesn't say; then nobody is let in. */
int admin_peer_of(int fd, const struct admin_rule *rule,
    struct command_peer *out, struct err *err_out);

#endif
