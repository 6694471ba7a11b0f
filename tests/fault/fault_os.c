/* SPDX-License-Identifier: ISC */
/*
 * What else than the disk may fail: clocks that jump, and descriptors that run
 * out. See fault.h; fault.c says whether it is time.
 */
#include "tests/fault/fault_private.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int
clock_gettime(clockid_t id, struct timespec *out)
{
	int rc = (int)syscall(SYS_clock_gettime, id, out);
	const struct fault *control = fault_clocks();
	int64_t off_us = 0;

	if (rc == 0 && control != NULL && id == CLOCK_REALTIME)
		off_us = control->clock_us;
	else if (rc == 0 && control != NULL && id == CLOCK_BOOTTIME)
		off_us = control->slept_us;
	out->tv_sec += off_us / 1000000;
	return rc;
}

int
accept4(int fd, struct sockaddr *restrict to, socklen_t *restrict len,
    int flags)
{
	if (fault_refuses(FAULT_ACCEPT))
		return -1;
	return (int)syscall(SYS_accept4, fd, to, len, flags);
}

int
socket(int family, int type, int protocol)
{
	if (fault_refuses(FAULT_SOCKET))
		return -1;
	return (int)syscall(SYS_socket, family, type, protocol);
}
