/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_ADMIN_PRIVATE_H
#define FLYBALL_ADMIN_PRIVATE_H

/*
 * What admin.c (the socket, whose turn it is) and admin_client.c (one
 * connection) share. A client that has something to do stands in the line of
 * the admin and gets turns from it; what it does in a turn is bounded, and so
 * is the time that all of them together get.
 */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/admin.h"
#include "daemon/admin_peer.h"
#include "daemon/admin_socket.h"
#include "daemon/command.h"
#include "daemon/turn_budget.h"

#define ADMIN_CLIENTS_MAX      256
#define ADMIN_FOLLOWERS_MAX    32
/* A follower that is further behind loses lines. */
#define ADMIN_FOLLOW_BYTES_MAX (1 << 20)
/* Who doesn't take its answer for so long is sent away. */
#define ADMIN_WRITE_TIMEOUT_S  60

struct admin_client {
	struct admin_client *prev, *next;	    /* all of them */
	struct admin_client *line_prev, *line_next; /* in line for a turn */
	struct admin *admin;
	struct bufferevent *bev;
	struct command_peer peer;
	struct command *command; /* under way, or NULL */
	struct event *pace;
	struct event_follower *follower;
	struct event_filter *filter; /* what it wants to follow */
	uint64_t n_missed;	     /* events since the last that was told */
	int64_t active_us;	     /* when it last had something to do */
	bool is_in_line;
	bool is_at_end;	 /* it sends no more */
	bool is_closing; /* goes when its answer is written */
};

struct admin {
	struct governor *g;
	struct admin_socket socket;
	struct admin_rule rule;
	struct event *listen;
	struct event *rest; /* listens again after EMFILE */
	int spare_fd;	    /* given up for a client when there is no other */
	struct event *turn;
	struct admin_client *clients;
	struct admin_client *line;
	unsigned n_clients, n_followers;
	struct turn_budget budget;
	bool is_turn_set;
};

/* admin.c */
/* It has something to do: a turn will come. */
void admin_line_up(struct admin *a, struct admin_client *c);
void admin_line_leave(struct admin *a, struct admin_client *c);
/* A descriptor became free: the spare one takes it if it was given up. */
void admin_keep_spare(struct admin *a);

/* admin_client.c */
void admin_client_new(struct admin *a, int fd, const struct command_peer *peer);
void admin_client_free(struct admin_client *c);
/* Works for a bounded time; lines up again if there is more. May free c. */
void admin_client_turn(struct admin_client *c);
/* Neither working nor following: could be sent away for another. */
bool admin_client_is_idle(const struct admin_client *c);

#endif
