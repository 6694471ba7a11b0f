/* SPDX-License-Identifier: ISC */
/*
 * Letters between threads: none is lost, none comes twice, those of one sender
 * in order, all on the receiver's thread. Built with SAN=thread too.
 */
#include "daemon/mailbox.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/base/xalloc.h"

#define N_SENDERS 4
#define N_LETTERS 20000

enum kind { KIND_NUMBER = 7, KIND_LAST };

struct note {
	struct letter letter;
	int sender, number;
};

struct receiver {
	struct event_base *base;
	struct mailbox *mailbox;
	pthread_t thread;
	int next[N_SENDERS]; /* the number that must come */
	int n_last, n_received, n_batches, n_wrong;
	int n_echoes; /* of these letters it writes itself */
	bool in_batch;
};

static void
post(struct mailbox *m, int sender, int number, int kind)
{
	struct note *n = xcalloc(1, sizeof(*n));

	n->sender = sender;
	n->number = number;
	mailbox_post(m, &n->letter, kind);
}

static void
on_letter(struct letter *letter, void *arg)
{
	struct note *n = (struct note *)letter;
	struct receiver *r = arg;

	r->in_batch = true;
	r->n_received++;
	r->n_wrong += !pthread_equal(pthread_self(), r->thread);
	r->n_wrong += n->number != r->next[n->sender]++;
	r->n_last += letter->kind == KIND_LAST;
	if (r->n_echoes > 0) {
		r->n_echoes--;
		post(r->mailbox, 0, n->number + 1, KIND_NUMBER);
	}
	free(n);
}

static void
on_batch(void *arg)
{
	struct receiver *r = arg;

	r->n_batches++;
	r->n_wrong += !r->in_batch; /* none behind nothing */
	r->in_batch = false;
	if (r->n_last == N_SENDERS)
		event_base_loopbreak(r->base);
}

static void
receiver_init(struct receiver *r)
{
	memset(r, 0, sizeof(*r));
	r->base = event_base_new();
	assert_non_null(r->base);
	r->mailbox = mailbox_new(r->base, on_letter, on_batch, r);
	r->thread = pthread_self();
}

static void
receiver_fini(struct receiver *r)
{
	mailbox_free(r->mailbox);
	event_base_free(r->base);
}

/* ---- many senders ---- */

struct sender {
	pthread_t thread;
	struct mailbox *mailbox;
	int number;
};

static void *
send_all(void *arg)
{
	struct sender *s = arg;

	for (int i = 0; i < N_LETTERS; i++)
		post(s->mailbox, s->number, i,
		    i == N_LETTERS - 1 ? KIND_LAST : KIND_NUMBER);
	return NULL;
}

static void *
receive_all(void *arg)
{
	struct receiver *r = arg;

	r->thread = pthread_self();
	event_base_loop(r->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

static void
nothing_is_lost_between_threads(void **state)
{
	struct sender senders[N_SENDERS];
	struct receiver r;
	pthread_t thread;

	(void)state;
	receiver_init(&r);
	for (int i = 0; i < N_SENDERS; i++) {
		senders[i] =
		    (struct sender){ .mailbox = r.mailbox, .number = i };
		assert_int_equal(pthread_create(&senders[i].thread, NULL,
				     send_all, &senders[i]),
		    0);
	}
	assert_int_equal(pthread_create(&thread, NULL, receive_all, &r), 0);
	for (int i = 0; i < N_SENDERS; i++)
		pthread_join(senders[i].thread, NULL);
	pthread_join(thread, NULL);
	assert_int_equal(r.n_received, N_SENDERS * N_LETTERS);
	assert_int_equal(r.n_wrong, 0);
	for (int i = 0; i < N_SENDERS; i++)
		assert_int_equal(r.next[i], N_LETTERS);
	receiver_fini(&r);
}

/* ---- one thread ---- */

static void
letters_come_in_batches(void **state)
{
	struct receiver r;

	(void)state;
	receiver_init(&r);
	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < 100; i++)
			post(r.mailbox, 0, r.next[0] + i, KIND_NUMBER);
		assert_int_equal(r.n_received, 100 * (round - 1));
		event_base_loop(r.base, EVLOOP_NONBLOCK);
		assert_int_equal(r.n_received, 100 * round);
		assert_int_equal(r.n_batches, round);
	}
	/* Quiet until there is something again. */
	event_base_loop(r.base, EVLOOP_NONBLOCK);
	assert_int_equal(r.n_batches, 3);
	assert_int_equal(r.n_wrong, 0);
	receiver_fini(&r);
}

static void
letter_written_while_receiving_comes_next(void **state)
{
	struct receiver r;

	(void)state;
	receiver_init(&r);
	r.n_echoes = 5;
	post(r.mailbox, 0, 0, KIND_NUMBER);
	for (int i = 0; i < 6; i++)
		event_base_loop(r.base, EVLOOP_NONBLOCK);
	assert_int_equal(r.n_received, 6);
	assert_int_equal(r.n_wrong, 0);
	receiver_fini(&r);
}

static void
kind_goes_with_the_letter(void **state)
{
	struct receiver r;

	(void)state;
	receiver_init(&r);
	post(r.mailbox, 0, 0, KIND_NUMBER);
	post(r.mailbox, 0, 1, KIND_LAST);
	event_base_loop(r.base, EVLOOP_NONBLOCK);
	assert_int_equal(r.n_last, 1);
	receiver_fini(&r);
}

static void
drained_without_a_loop(void **state)
{
	struct receiver r;

	(void)state;
	receiver_init(&r);
	for (int i = 0; i < 10; i++)
		post(r.mailbox, 0, i, KIND_NUMBER);
	mailbox_drain(r.mailbox);
	assert_int_equal(r.n_received, 10);
	assert_int_equal(r.n_wrong, 0);
	receiver_fini(&r);
	mailbox_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_between_threads),
		cmocka_unit_test(letters_come_in_batches),
		cmocka_unit_test(letter_written_while_receiving_comes_next),
		cmocka_unit_test(kind_goes_with_the_letter),
		cmocka_unit_test(drained_without_a_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
