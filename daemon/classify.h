/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CLASSIFY_H
#define FLYBALL_CLASSIFY_H

/*
 * `flyballctl classify [-c FILE] [--provider NAME] [--phase PHASE]` reads
 * replies from stdin, one a line, "\n" written between the lines of one reply,
 * and prints class, blame and rule, tabs between, a line for each in order.
 * With -c the providers' own rules of that configuration are tried first, as
 * the daemon does. argv[0] is "classify". Returns the exit status: 0 done,
 * 1 the configuration can't be used, 2 usage.
 */
int classify_main(int argc, char **argv);

#endif
