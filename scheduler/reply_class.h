/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_REPLY_CLASS_H
#define FLYBALL_REPLY_CLASS_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/reply_terms.h"

/*
 * What a reply means and whom it blames: the two answers of the classifier.
 * A reply without code (code 0) is what our own side saw: a timeout, a reset,
 * a refused connection; `text` then tells it.
 */
struct reply_fact {
	enum phase phase;
	int code;	      /* 100..599, 0 = no reply at all */
	const char *enhanced; /* "4.7.28" or "" */
	const char *text;     /* the whole reply, lines joined by \n */
	const char *provider; /* name; "" when unknown */
};

struct reply_answer {
	enum reply_class class;
	enum blame blame;
	bool is_final;	  /* this recipient will never work: bounce */
	const char *rule; /* that answered; lives as long as the process */
	int64_t pause_us; /* that the provider advises; 0 = none */
};

/*
 * Classifies by code and enhanced code (RFC 5321 4.2, RFC 3463, the IANA
 * enhanced status code registry). Pure and thread-safe.
 */
struct reply_answer reply_classify(const struct reply_fact *fact);

#endif
