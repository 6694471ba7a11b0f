/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PROVIDER_SPEC_H
#define FLYBALL_PROVIDER_SPEC_H

#include "tests/provider/model.h"

/* What a spec says of an instant; instants count from the model's origin. */

/* How much of `rate` holds. */
double spec_factor(const struct provider_spec *spec, int64_t at_us);
/* The enum provider_outage that goes on, or -1. */
int spec_outage_at(const struct provider_spec *spec, int64_t at_us);
/* The next instant after `at_us` at which anything changes: between two of
 * them a standing advances in one step. */
int64_t spec_next_edge(const struct provider_spec *spec, int64_t at_us);
/* Recipients that are refused whoever sends, and however; 0..1. */
double spec_lost_share(const struct provider_spec *spec);

#endif
