/* SPDX-License-Identifier: ISC */
/*
 * The one way in which threads of the daemon hand things to each other. All
 * state that decides has one owner; whoever wants it changed writes a letter.
 */
#include "daemon/mailbox.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "conf/base/xalloc.h"

struct mailbox {
	pthread_mutex_t lock;
	struct letter *first;
	struct letter **last;
	int fd;
	struct event *wake;
	void (*receive)(struct letter *letter_take, void *arg);
	void (*batch_done)(void *arg);
	void *arg;
};

static struct letter *
take_all(struct mailbox *m)
{
	struct letter *first;

	pthread_mutex_lock(&m->lock);
	first = m->first;
	m->first = NULL;
	m->last = &m->first;
	pthread_mutex_unlock(&m->lock);
	return first;
}

void
mailbox_drain(struct mailbox *m)
{
	struct letter *letter = take_all(m);

	while (letter != NULL) {
		struct letter *next = letter->next;

		m->receive(letter, m->arg);
		letter = next;
	}
	if (m->batch_done != NULL)
		m->batch_done(m->arg);
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	/* The event is edge-triggered: the counter needn't be read down. */
	(void)fd;
	(void)what;
	mailbox_drain(arg);
}

struct mailbox *
mailbox_new(struct event_base *base,
    void (*receive)(struct letter *letter_take, void *arg),
    void (*batch_done)(void *arg), void *arg)
{
	struct mailbox *m = xcalloc(1, sizeof(*m));

	pthread_mutex_init(&m->lock, NULL);
	m->last = &m->first;
	m->receive = receive;
	m->batch_done = batch_done;
	m->arg = arg;
	m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	m->wake =
	    event_new(base, m->fd, EV_READ | EV_ET | EV_PERSIST, on_wake, m);
	event_add(m->wake, NULL);
	return m;
}

void
mailbox_post(struct mailbox *m, struct letter *letter_take, int kind)
{
	static const uint64_t one = 1;
	struct letter *letter = letter_take;
	int was_empty;

	letter->next = NULL;
	letter->kind = kind;
	pthread_mutex_lock(&m->lock);
	was_empty = m->first == NULL;
	*m->last = letter;
	m->last = &letter->next;
	pthread_mutex_unlock(&m->lock);
	/* Whoever found it empty wakes the owner; the rest ride along. The
	 * counter overflows after 2^64 wake-ups. */
	if (was_empty && write(m->fd, &one, sizeof(one)) < 0)
		abort();
}

void
mailbox_free(struct mailbox *m)
{
	if (m == NULL)
		return;
	event_free(m->wake);
	close(m->fd);
	pthread_mutex_destroy(&m->lock);
	free(m);
}
