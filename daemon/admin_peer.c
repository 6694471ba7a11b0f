/* SPDX-License-Identifier: ISC */
/*
 * The one place where a role on the admin socket comes from. Nothing that the
 * peer says plays a part in it.
 */
#include "daemon/admin_peer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "conf/base/xalloc.h"

#define GROUPS_MAX 65536 /* NGROUPS_MAX of Linux */

bool
admin_may_change(const struct admin_rule *rule, uid_t uid, gid_t gid,
    const gid_t *groups, size_t n_groups)
{
	if (uid == 0 || uid == rule->own_uid || gid == rule->socket_gid)
		return true;
	for (size_t i = 0; i < n_groups; i++)
		if (groups[i] == rule->socket_gid)
			return true;
	return false;
}

/* Where the kernel can't tell (before Linux 4.13) there are none. */
static gid_t *
groups_of(int fd, size_t *n_out)
{
	socklen_t len = 64 * sizeof(gid_t);
	gid_t *groups = xmalloc(len);

	*n_out = 0;
	while (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0) {
		if (errno != ERANGE || len > GROUPS_MAX * sizeof(gid_t))
			return groups;
		groups = xrealloc(groups, len); /* what it needs */
	}
	*n_out = len / sizeof(gid_t);
	return groups;
}

int
admin_peer_of(int fd, const struct admin_rule *rule, struct command_peer *out,
    struct err *err_out)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	size_t n_groups;
	gid_t *groups;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return err_sys(err_out, "SO_PEERCRED");
	groups = groups_of(fd, &n_groups);
	*out = (struct command_peer){
		.uid = who.uid,
		.pid = who.pid,
		.may_change =
		    admin_may_change(rule, who.uid, who.gid, groups, n_groups),
	};
	free(groups);
	return 0;
}
