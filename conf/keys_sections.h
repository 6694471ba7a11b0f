/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_KEYS_SECTIONS_H
#define FLYBALL_KEYS_SECTIONS_H

#include "conf/keys.h"

/* The sections that keys_root.c puts together; each stands in the file that
 * the comment names. */
extern const struct section section_daemon; /* keys_daemon.c */
extern const struct section section_listener;
extern const struct section section_tls;
extern const struct section section_auth;
extern const struct section section_limits;
extern const struct section section_spool;
extern const struct section section_dns; /* keys_dns.c */
extern const struct section section_blocklists;
extern const struct section section_provider; /* keys_providers.c */
extern const struct section section_adapt;
extern const struct section section_route_limit;
extern const struct section section_route; /* keys_routes.c */
extern const struct section section_stream;
extern const struct section section_sender;
extern const struct section section_spike_guard; /* keys_plans.c */
extern const struct section section_suppression;
extern const struct section section_list_health;
extern const struct section section_feedback; /* keys_feedback.c */
extern const struct section section_cluster;  /* keys_cluster.c */

extern const struct key_word mode_words[]; /* enforce, shadow */

#endif
