/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_CONF_PRIVATE_H
#define FLYBALL_CONF_PRIVATE_H

#include "conf/conf.h"

/* conf.c: an empty snapshot with one reference. */
struct conf *conf_new(const char *file);

#endif
