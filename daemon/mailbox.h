/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_MAILBOX_H
#define FLYBALL_MAILBOX_H

#include <event2/event.h>

/*
 * How threads speak: letters put into a lock-guarded list that the receiver
 * swaps whole, with one eventfd wake-up a batch. Letters are embedded first in
 * the sender's struct; ownership goes with them.
 */
struct letter {
	struct letter *next;
	int kind; /* the receiver's enum */
};

struct mailbox;

/* `receive` is called on the base's thread for each letter, in the order of
 * posting; `batch_done` (may be NULL) once behind each batch. */
struct mailbox *mailbox_new(struct event_base *base,
    void (*receive)(struct letter *letter_take, void *arg),
    void (*batch_done)(void *arg), void *arg);
/* From any thread. */
void mailbox_post(struct mailbox *m, struct letter *letter_take, int kind);
/* Receives what lies there now; for a thread that is about to end. */
void mailbox_drain(struct mailbox *m);
/* Nobody posts any more, and what lies there was drained. */
void mailbox_free(struct mailbox *m);

#endif
