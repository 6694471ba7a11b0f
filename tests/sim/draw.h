/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_SIM_DRAW_H
#define FLYBALL_SIM_DRAW_H

#include "tests/sim/sim.h"

double draw_even(struct sim *sim, double from, double to);
/* Even on a logarithmic scale. */
double draw_log(struct sim *sim, double from, double to);
/* A limit, its burst (from next to none to a second's worth), latencies. */
struct provider_spec draw_spec(struct sim *sim, const char *name, double rate);
/* What is configured for such a limit: three to eight times as much. */
double draw_ceiling(struct sim *sim, double rate);

#endif
