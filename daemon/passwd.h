/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PASSWD_H
#define FLYBALL_PASSWD_H

/*
 * `flyballctl passwd [-f USERS_FILE] [-o OPTIONS] USER` asks for a password
 * (twice, without echo, on a terminal; else one line of stdin) and prints the
 * line for the users file, or with -f puts it there; options that the user has
 * stay unless -o gives others. `-D -f USERS_FILE USER` removes the user.
 * argv[0] is "passwd". Returns the exit status: 0 done, 1 refused, 2 usage.
 */
int passwd_main(int argc, char **argv);

#endif
