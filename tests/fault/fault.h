/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_FAULT_H
#define FLYBALL_FAULT_H

#include <stdint.h>

/*
 * A disk and a kernel that fail as they are told: calls on the daemon's files
 * and sockets end with an error, late, short or slowly; a sync that fails
 * loses what it should have written; and the power goes. Preloaded into a
 * daemon (FLYBALL_FAULT names the file that holds `struct fault`, mapped, so
 * that a test changes it while the daemon runs), or linked into a unit test.
 *
 * Below FLYBALL_FAULT_DIR it knows, for each page, what is on the disk as
 * opposed to in the page cache, by the rules of Linux: a write is in the cache
 * alone; a sync that works brings it to the disk; one that fails leaves each
 * page on the disk, or lost though the cache still shows it and calls it
 * clean, so that no later sync writes it, or lost from the cache as well.
 */
enum fault_op {
	FAULT_OPEN = 1 << 0,
	FAULT_WRITE = 1 << 1, /* O_DSYNC or not */
	FAULT_DSYNC = 1 << 2, /* a write to what was opened so */
	FAULT_SYNC = 1 << 3,
	FAULT_DIR_SYNC = 1 << 4,
	FAULT_RENAME = 1 << 5,
	FAULT_TRUNCATE = 1 << 6,
	FAULT_UNLINK = 1 << 7,
	FAULT_MKDIR = 1 << 8,
	FAULT_ACCEPT = 1 << 9,
	FAULT_SOCKET = 1 << 10,
	FAULT_READ = 1 << 11, /* short: as if the file ended */
};

enum fault_target {
	FAULT_DATABASE = 1 << 0, /* DIR/spool.mdb */
	FAULT_BODIES = 1 << 1,	 /* DIR/bodies and below */
	FAULT_STATE = 1 << 2,	 /* DIR itself, and what else is in it */
	FAULT_EVENTS = 1 << 3,	 /* FLYBALL_FAULT_EVENTS */
	FAULT_ELSE = 1 << 4,	 /* other files, and sockets */
};

/* What becomes of a page whose sync failed. */
enum fault_fate {
	FAULT_ANY,     /* one of these, by chance */
	FAULT_REACHED, /* it is on the disk all the same */
	FAULT_STALE,   /* it isn't, and the cache says that it is */
	FAULT_GONE,    /* it isn't, and the cache has forgotten it too */
};

/* Calls that match both masks; the first rule that applies counts. */
struct fault_rule {
	uint32_t ops; /* 0: off; to be set last */
	uint32_t targets;
	int32_t error;	   /* errno; 0: none, the call is short or slow */
	uint32_t permille; /* of the calls */
	uint32_t is_short; /* writes half of it */
	uint32_t delay_us;
	uint32_t fate; /* of a page whose sync it fails */
	uint32_t unused;
	int64_t skip;  /* so many pass before */
	int64_t count; /* so many fail, then none; -1: without end */
	uint64_t n_hit;
};

#define FAULT_RULES 16

struct fault {
	uint64_t seed;
	uint64_t is_tracking; /* pages; from the process's start on */
	/* >0: so many calls that change something later the power goes: what
	 * isn't on the disk isn't in the files, and the process is dead. */
	int64_t power;
	uint64_t n_changes; /* such calls so far */
	/* How far the wall clock is off, and how long the machine slept. */
	int64_t clock_us, slept_us;
	struct fault_rule rules[FAULT_RULES];
};

/* What the process goes by. */
struct fault *fault_layer(void);

#endif
