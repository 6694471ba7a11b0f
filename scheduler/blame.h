/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_BLAME_H
#define FLYBALL_BLAME_H

#include <stdbool.h>

#include "scheduler/reply_class.h"

/*
 * What a reply leads to, by its class and whom it blames. Everything that
 * changes anything because of a reply asks here, and does nothing else: a full
 * mailbox slows no lane, a rate refusal punishes no message.
 */
enum effect {			     /* bits */
	EFFECT_SLOW = 1 << 0,	     /* the lane's rate falls */
	EFFECT_CONNECTIONS = 1 << 1, /* fewer connections */
	EFFECT_SHARE = 1 << 2,	     /* counts towards the lane's suspension */
	EFFECT_SUSPEND = 1 << 3,     /* suspends the lane at once */
	EFFECT_NEXT_HOP = 1 << 4,    /* the route's next hop backs off */
	EFFECT_SENDER = 1 << 5, /* counts towards the sender domain's pause */
	EFFECT_SENDER_NOW = 1 << 6, /* pauses the sender domain there at once */
	EFFECT_SLOWED = 1 << 7,	    /* the plan's health: deferred */
	EFFECT_REJECTED = 1 << 8,   /* the plan's health: rejected */
	EFFECT_DIRTY = 1 << 9,	    /* plan and list health: bounced */
	EFFECT_SUPPRESS = 1 << 10,  /* a hard bounce of the recipient */
	EFFECT_SOFT = 1 << 11,	    /* a soft bounce of the recipient */
	EFFECT_DOMAIN = 1 << 12,    /* the recipient's domain is remembered */
	EFFECT_UNPUNISHED = 1
	    << 13, /* back first in line, no attempt counted */
	EFFECT_ALERT = 1 << 14,
};
#define EFFECT_COUNT 15

/* is_final: this recipient is given up for it. */
unsigned blame_effects(enum reply_class class, enum blame blame, bool is_final);
const char *effect_name(enum effect effect);

#endif
