/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PROVIDER_REPORT_H
#define FLYBALL_PROVIDER_REPORT_H

#include "tests/provider/server.h"

/*
 * What the providers saw, one JSON object a line on stdout. Every `interval`:
 *   {"t":12.0,"provider":"gmail","listener":"ip1","attempts":9,"accepted":8,
 *    "refused":{"rate":1},"connections":0,"open":3,"limit":20.0,
 *    "tolerance":null,"day":0,"day_used":96,"reputation":1.0,
 *    "total":{"attempts":97,"accepted":96,"violations":1,"ideal":101.3}}
 * (the first five since the last line), and once at the end the same with
 * "summary":true, counts since the start, and goodput, violation_share and
 * quality; last one line over all with "provider":"*".
 */
struct report;

struct report *report_new(struct server *sv);
void report_free(struct report *r);
void report_interval(struct report *r);
void report_summary(struct report *r);

#endif
