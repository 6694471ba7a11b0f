/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_PROVIDER_WORLD_H
#define FLYBALL_PROVIDER_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/base/err.h"
#include "tests/provider/model.h"

/*
 * A world for flyball-provider, as its YAML file says: which providers there
 * are, what they hide, and where they listen. contrib/docs/provider.md and the
 * files in tests/provider/worlds/ show the grammar.
 */

struct world_texts {
	char **v;
	size_t n;
};

struct world_listener {
	char *address; /* "127.0.0.1:0" */
	char *name;    /* stands for the sender's address that came this way */
	int provider;  /* index: who answers here; -1: by recipient */
	/* What holds for the connection itself, whoever is written to. */
	struct provider_spec door;
};

struct world_provider {
	struct provider_spec spec;
	struct world_texts domains; /* "*": every other one */
};

struct world {
	uint64_t seed;
	bool starts_at_once; /* else the clock starts with the first client */
	int64_t duration_us; /* 0: until it is told to stop */
	int64_t interval_us; /* between reports; 0: none */
	int64_t size_bytes;  /* largest message */
	struct world_texts ehlo; /* keywords as they are sent */
	char *certificate, *key; /* NULL: no STARTTLS */
	bool needs_tls;
	struct world_listener *listeners;
	size_t n_listeners;
	struct world_provider *providers;
	size_t n_providers;
};

/* One provider without limits on a free port. */
void world_init_default(struct world *w);
/* Returns 0, or -1 with "FILE:LINE:COLUMN: what is wrong". */
int world_load(struct world *w, const char *path, struct err *err_out);
void world_fini(struct world *w);

/* Index of the provider that a mailbox belongs to; -1: none. */
int world_find_provider(const struct world *w, const char *mailbox);

#endif
