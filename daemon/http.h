/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_HTTP_H
#define FLYBALL_HTTP_H

#include "conf/conf.h"

/*
 * The HTTP port: health, metrics, and what the admin socket shows as JSON.
 * Nothing can be changed there, by whatever request.
 */
struct governor;
struct http;

/* Listens where the configuration says; one that listens nowhere without. */
struct http *http_new(struct governor *g, struct err *err_out);
/* Moves to the new configuration's address. -1: it can't be had, and the old
 * one stays. */
int http_reload(struct http *h, const struct conf *conf, struct err *err_out);
/* Where it listens, its port resolved; "" = nowhere. */
const char *http_address(const struct http *h);
void http_free(struct http *h);

#endif
