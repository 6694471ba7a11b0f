/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SIM_SEASON_H
#define FLYBALL_SIM_SEASON_H

#include <stdint.h>

/* Days of a sender of a million a day over eight providers, in real times;
 * how many were accepted and refused for speed. */
struct season {
	double offered, accepted, refused;
	uint64_t n_decisions;
};
void season_run(uint64_t seed, unsigned n_days, struct season *out);

#endif
