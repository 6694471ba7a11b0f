/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_ACTIVATION_H
#define FLYBALL_ACTIVATION_H

#include <sys/socket.h>

/*
 * Listening sockets that whoever started us has opened (systemd's socket
 * activation, sd_listen_fds(3)). They stay open as long as the process lives:
 * what a reload gives up, a later one may take again.
 */

/* Once, at the start, before there are threads. */
void activation_init(void);
/* The socket that is bound to this address, close-on-exec and not blocking; -1:
 * there is none. Lent: nobody closes it. */
int activation_take(const struct sockaddr *to, socklen_t len);
/* Warns of sockets that nobody has taken: whoever connects to them waits. */
void activation_warn_unused(void);

#endif
