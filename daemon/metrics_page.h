/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_METRICS_PAGE_H
#define FLYBALL_METRICS_PAGE_H

#include <stdbool.h>

#include "conf/base/strbuf.h"

struct cluster;
struct governor;

/*
 * One answer to /metrics. It is made in steps of METRICS_STEP_US at most, so
 * that ten thousand lanes don't keep the governor from its mail; each lane is
 * looked at once, so its samples belong together.
 */
#define METRICS_STEP_US	  2000
/* Lanes of sites within `other` that are told one by one; further ones are
 * summed up for their route. */
#define METRICS_SITES_MAX 1000

struct metrics_page;

struct metrics_page *metrics_page_new(struct governor *g);
/* False: there is more to do. */
bool metrics_page_step(struct metrics_page *p);
/* Complete after the last step; the page's own. */
struct strbuf *metrics_page_text(struct metrics_page *p);
void metrics_page_free(struct metrics_page *p);

/* metrics_cluster.c: NULL = there is no cluster, and nothing is written. */
void metrics_put_cluster(const struct cluster *cluster, struct strbuf *out);

#endif
