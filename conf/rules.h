/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_RULES_H
#define FLYBALL_RULES_H

#include <stdbool.h>

#include "conf/conf.h"
#include "conf/mistakes.h"
#include "conf/tree.h"

/*
 * Rules across keys: names that lead nowhere, values that contradict each
 * other. `root` is the file's tree, for places; what reading found bad there
 * is passed over, so one slip isn't told twice.
 */
struct rules {
	const struct conf *conf;
	struct node *root;
	struct mistakes *mistakes;
};

void rules_check(const struct conf *conf, struct node *root,
    struct mistakes *mistakes);

/* A path: keys, names, "[2]", up to NULL. */
#define PATH(...)      ((const char *const[]){ __VA_ARGS__, NULL })
#define RULE_ITEM_SIZE 24
/* "[i]" for a path. */
const char *rule_item(size_t i, char out[RULE_ITEM_SIZE]);

/* The node at the path; NULL when the file doesn't have it. */
struct node *rule_node(const struct rules *r, const char *const *path);
/* Reading found nothing wrong there. */
bool rule_is_sound(const struct rules *r, const char *const *path);
/* Says it at the path, or at the nearest place above that the file has. */
void rule_fail(const struct rules *r, const char *const *path, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));
/* There is no WHAT of that name; suggests the nearest of n. */
void rule_fail_dangling(const struct rules *r, const char *const *path,
    const char *what, const char *name,
    const char *(*name_at)(size_t i, const void *arg), const void *arg,
    size_t n);
const char *rule_provider_name(size_t i, const void *conf);
const char *rule_route_name(size_t i, const void *conf);

/* A plan's name leads somewhere; a section of adapt agrees with itself, and
 * with what it leaves to the global one. */
void rule_check_plan_name(const struct rules *r, const char *const *path,
    const char *plan);
void rule_check_adapt(const struct rules *r, const struct conf_adapt *a,
    const char *const *path);

/* Not so much of the world is trusted that it were an open relay. */
void rule_check_trust(const struct rules *r, const struct conf_listener *l,
    const char *item);

/* The rules, by subject. */
void rules_check_hosts(const struct rules *r);	   /* rules_hosts.c */
void rules_check_providers(const struct rules *r); /* rules_providers.c */
void rules_check_plans(const struct rules *r);	   /* rules_plans.c */
void rules_check_feedback(const struct rules *r);  /* rules_feedback.c */

#endif
