/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PROVIDER_SERVER_H
#define FLYBALL_PROVIDER_SERVER_H

#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tests/provider/model.h"
#include "tests/provider/world.h"

/*
 * The sockets around the models: one model for each listener (which stands for
 * one sending address) and provider, and one for each listener's door.
 */
struct server {
	const struct world *world;
	struct event_base *base;
	SSL_CTX *tls;	   /* NULL: none */
	FILE *store;	   /* accepted mail, a line a recipient; NULL: none */
	int64_t origin_us; /* 0: the clock hasn't started */
	struct event *deadline; /* armed when the clock starts */
	struct port *ports;	/* world->n_listeners */
};

struct port {
	struct server *server;
	const struct world_listener *listener;
	struct evconnlistener *accept;
	struct provider_model *door;
	struct provider_model **models; /* world->n_providers */
};

/* Binds all; prints one "listening name=... address=... port=..." each. */
int server_open(struct server *sv, const struct world *world,
    struct event_base *base, struct err *err_out);
void server_close(struct server *sv);
/* Starts the clock, once. */
void server_start_clock(struct server *sv);
int64_t server_now_us(void);

/* session.c: serves a client that was accepted, to its end. */
void session_start(struct port *port, int fd);

#endif
