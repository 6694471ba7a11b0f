/* SPDX-License-Identifier: ISC */
/*
 * Reads the users file: at start and reload for auth.c, and for `flyballctl
 * passwd` before it writes a line. Knows nothing of passwords; whether a hash
 * is one that crypt(3) can check is judged by its form alone, so that a file
 * of thousands is read in no time.
 *
 * A secret must not get into a message: a mistake in the hash's column may be
 * a password that stands there in clear.
 */
#include "daemon/users.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "conf/base/address.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

struct entry {
	struct user user;
	char *name, *hash, *stream; /* what user points to */
	bool is_weak;
	UT_hash_handle hh;
};

struct users {
	_Atomic int refs;
	struct entry *by_name;
	struct entry **v; /* in the file's order */
	size_t n;
	size_t n_weak;
};

struct reader {
	const char *file;
	const struct conf *conf;
	struct strbuf *errors;
	struct users *users;
	unsigned line;
	const char *line_start;
	size_t n_mistakes;
};

/* ---- life ---- */

static void
entry_free(struct entry *e)
{
	for (size_t i = 0; i < e->user.senders.n; i++)
		free(e->user.senders.v[i]);
	free(e->user.senders.v);
	free(e->name);
	free(e->hash);
	free(e->stream);
	free(e);
}

struct users *
users_ref(struct users *users)
{
	atomic_fetch_add(&users->refs, 1);
	return users;
}

void
users_unref(struct users *users)
{
	if (users == NULL || atomic_fetch_sub(&users->refs, 1) > 1)
		return;
	HASH_CLEAR(hh, users->by_name);
	for (size_t i = 0; i < users->n; i++)
		entry_free(users->v[i]);
	free(users->v);
	free(users);
}

const struct user *
users_find(const struct users *users, const char *name)
{
	struct entry *e;

	HASH_FIND_STR(users->by_name, name, e);
	return e != NULL ? &e->user : NULL;
}

size_t
users_n(const struct users *users)
{
	return users->n;
}

const struct user *
users_nth(const struct users *users, size_t i)
{
	return &users->v[i]->user;
}

size_t
users_n_weak(const struct users *users)
{
	return users->n_weak;
}

/* ---- mistakes ---- */

__attribute__((format(printf, 3, 4))) static void
mistake(struct reader *r, const char *at, const char *fmt, ...)
{
	char what[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	strbuf_addf(r->errors, "%s:%u:%zu: %s\n", r->file, r->line,
	    (size_t)(at - r->line_start) + 1, what);
	r->n_mistakes++;
}

/* ---- the columns ---- */

int
users_check_name(const char *name, struct err *err_out)
{
	size_t len = strlen(name);

	if (len == 0)
		return err_set(err_out, "the user's name is missing");
	if (len > USERS_NAME_MAX)
		return err_set(err_out,
		    "the user's name is longer than %d bytes", USERS_NAME_MAX);
	if (*name == '#')
		return err_set(err_out, "a user's name can't begin with \"#\"");
	if (!utf8_is_valid(name, len))
		return err_set(err_out, "the user's name is not UTF-8");
	for (; *name != '\0'; name++)
		if ((unsigned char)*name <= ' ' || *name == 0x7f ||
		    *name == ':')
			return err_set(err_out,
			    "a user's name can't have blanks, controls or "
			    "\":\"");
	return 0;
}

/* Length of what follows the last "$", for the methods of crypt(5). */
static const struct {
	const char *prefix;
	size_t tail;
} methods[] = {
	{ "$y$", 43 },	  /* yescrypt */
	{ "$gy$", 43 },	  /* gost-yescrypt */
	{ "$7$", 43 },	  /* scrypt */
	{ "$2", 53 },	  /* bcrypt: salt and hash together */
	{ "$6$", 86 },	  /* sha512crypt */
	{ "$5$", 43 },	  /* sha256crypt */
	{ "$sha1$", 28 }, /* sha1crypt */
	{ "$md5", 22 },	  /* SunMD5 */
	{ "$1$", 22 },	  /* md5crypt */
	{ "$3$", 32 },	  /* NT */
	{ "_", 20 },	  /* bsdicrypt, the whole of it */
	{ "", 13 },	  /* descrypt, the whole of it */
};

static bool
is_whole_hash(const char *hash)
{
	const char *dollar = strrchr(hash, '$');
	size_t tail = strlen(dollar != NULL ? dollar + 1 : hash);
	size_t i = 0;

	while (strncmp(hash, methods[i].prefix, strlen(methods[i].prefix)) != 0)
		i++;
	return tail == methods[i].tail;
}

static void
read_hash(struct reader *r, struct entry *e)
{
	const char *hash = e->user.hash;

	switch (crypt_checksalt(hash)) {
	case CRYPT_SALT_OK:
		break;
	case CRYPT_SALT_METHOD_LEGACY:
	case CRYPT_SALT_TOO_CHEAP:
		e->is_weak = true;
		break;
	default:
		mistake(r, hash,
		    "this is no password hash that crypt(3) knows; "
		    "`flyballctl passwd` makes one");
		return;
	}
	if (!is_whole_hash(hash))
		mistake(r, hash,
		    "the password hash is not whole; "
		    "`flyballctl passwd` makes a new one");
}

/* ---- options ---- */

static void
read_stream(struct reader *r, struct entry *e, char *value)
{
	if (*value == '\0')
		mistake(r, value, "stream= needs a stream's name");
	else if (r->conf != NULL && conf_stream(r->conf, value) == NULL)
		mistake(r, value, "no stream is called \"%s\"", value);
	e->user.stream = value;
}

static void
read_senders(struct reader *r, struct entry *e, char *value)
{
	struct conf_names *names = &e->user.senders;
	char domain[ADDRESS_DOMAIN_MAX + 1];
	char *next;

	for (; value != NULL; value = next) {
		next = strchr(value, '|');
		if (next != NULL)
			*next++ = '\0';
		if (*value == '\0' || domain_normalise(value, domain) < 0) {
			mistake(r, value,
			    "\"%s\" is no domain; write "
			    "senders=a.example|b.example",
			    value);
			continue;
		}
		names->v =
		    xrealloc(names->v, (names->n + 1) * sizeof(*names->v));
		names->v[names->n++] = xstrdup(domain);
	}
}

static void
read_rate(struct reader *r, struct entry *e, char *value)
{
	struct err err;

	if (units_parse_rate(value, &e->user.rate, &err) < 0)
		mistake(r, value, "%s", err.text);
}

static const struct {
	const char *key;
	void (*read)(struct reader *r, struct entry *e, char *value);
} options[] = {
	{ "stream", read_stream },
	{ "senders", read_senders },
	{ "rate", read_rate },
};
#define N_OPTIONS (sizeof(options) / sizeof(*options))

static void
read_option(struct reader *r, struct entry *e, char *text, bool seen[N_OPTIONS])
{
	char *value = strchr(text, '=');

	if (value == NULL) {
		mistake(r, text, "an option is written key=value");
		return;
	}
	*value++ = '\0';
	for (size_t i = 0; i < N_OPTIONS; i++) {
		if (strcmp(text, options[i].key) != 0)
			continue;
		if (seen[i])
			mistake(r, text, "%s= stands here twice", text);
		else
			options[i].read(r, e, value);
		seen[i] = true;
		return;
	}
	mistake(r, text,
	    "there is no option \"%s\"; there are stream, senders and rate",
	    text);
}

static void
read_options(struct reader *r, struct entry *e, char *text)
{
	bool seen[N_OPTIONS] = { false };
	char *next;

	if (*text == '\0')
		return;
	for (; text != NULL; text = next) {
		next = strchr(text, ',');
		if (next != NULL)
			*next++ = '\0';
		read_option(r, e, text, seen);
	}
}

/* ---- lines ---- */

static void
keep(struct users *users, struct entry *e)
{
	e->user.name = e->name = xstrdup(e->user.name);
	e->user.hash = e->hash = xstrdup(e->user.hash);
	e->user.stream = e->stream = xstrdup(e->user.stream);
	HASH_ADD_KEYPTR(hh, users->by_name, e->name, strlen(e->name), e);
	if ((users->n & (users->n - 1)) == 0)
		users->v = xrealloc(users->v,
		    (users->n ? 2 * users->n : 1) * sizeof(*users->v));
	users->v[users->n++] = e;
	users->n_weak += e->is_weak;
}

static void
read_name(struct reader *r, const char *name)
{
	const struct user *twin;
	struct err err;

	if (users_check_name(name, &err) < 0) {
		mistake(r, name, "%s", err.text);
		return;
	}
	twin = users_find(r->users, name);
	if (twin != NULL)
		mistake(r, name, "\"%s\" stands on line %u already", name,
		    twin->line);
}

/* Cuts the line at its colons; until keep() the entry points into it. */
static void
read_user(struct reader *r, char *line)
{
	char *hash = strchr(line, ':'), *rest;
	size_t n_before = r->n_mistakes;
	struct entry *e;

	if (hash == NULL) {
		mistake(r, line, "a user is written name:hash[:options]");
		return;
	}
	*hash++ = '\0';
	rest = strchr(hash, ':');
	if (rest != NULL)
		*rest++ = '\0';
	e = xcalloc(1, sizeof(*e));
	e->user = (struct user){
		.name = line, .hash = hash, .stream = "", .line = r->line
	};
	read_name(r, line);
	read_hash(r, e);
	if (rest != NULL)
		read_options(r, e, rest);
	if (r->n_mistakes == n_before)
		keep(r->users, e);
	else
		entry_free(e);
}

static void
read_line(struct reader *r, char *line, size_t len)
{
	r->line++;
	r->line_start = line;
	if (memchr(line, '\0', len) != NULL) {
		mistake(r, line, "there is a NUL byte in this line");
		return;
	}
	while (len > 0 && strchr(" \t\r", line[len - 1]) != NULL)
		line[--len] = '\0';
	line += strspn(line, " \t");
	if (*line != '\0' && *line != '#')
		read_user(r, line);
}

struct users *
users_load_text(const char *name, const char *text, size_t len,
    const struct conf *conf, struct strbuf *errors_out)
{
	struct reader r = { .file = name, .conf = conf, .errors = errors_out };
	char *copy = xstrndup(text, len), *line = copy, *end;

	r.users = xcalloc(1, sizeof(*r.users));
	r.users->refs = 1;
	for (; line < copy + len; line = end + 1) {
		end = memchr(line, '\n', (size_t)(copy + len - line));
		if (end == NULL)
			end = copy + len;
		*end = '\0';
		read_line(&r, line, (size_t)(end - line));
	}
	free(copy);
	if (r.n_mistakes == 0)
		return r.users;
	users_unref(r.users);
	return NULL;
}

/* ---- the file ---- */

int
users_read_file(const char *file, struct strbuf *out, struct err *err_out)
{
	int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return err_sys(err_out, "%s", file);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(fd);
		return err_set(err_out, "%s: it is a directory", file);
	}
	do {
		strbuf_reserve(out, 65536);
		n = read(fd, out->data + out->len, 65536);
		out->len += n > 0 ? (size_t)n : 0;
	} while ((n > 0 && out->len <= USERS_FILE_MAX) ||
	    (n < 0 && errno == EINTR));
	if (n < 0)
		err_sys(err_out, "%s", file);
	else if (n > 0)
		n = err_set(err_out, "%s: it is larger than 64 MiB", file);
	close(fd);
	return n < 0 ? -1 : 0;
}

struct users *
users_load(const char *file, const struct conf *conf, struct strbuf *errors_out)
{
	const char *where = conf != NULL ? conf->auth.where : NULL;
	struct strbuf text = { 0 };
	struct users *users = NULL;
	struct err err;

	if (users_read_file(file, &text, &err) < 0)
		strbuf_addf(errors_out, "%s%s%s\n", where != NULL ? where : "",
		    where != NULL ? ": auth.users_file: " : "", err.text);
	else
		users = users_load_text(file, text.data, text.len, conf,
		    errors_out);
	strbuf_fini(&text);
	return users;
}
