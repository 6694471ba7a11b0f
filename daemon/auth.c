/* SPDX-License-Identifier: ISC */
/*
 * Checks passwords for server sessions. I/O workers ask; what isn't remembered
 * is queued for a few threads of our own, since one yescrypt takes as long as
 * hundreds of messages. The queue is bounded: beyond it clients are told to
 * come back.
 *
 * The subtle rule: nobody may learn from the time taken whether a name exists.
 * So an unknown name is hashed too, with the setting of some user of the file,
 * always the same one for that name. Passwords are wiped as soon as they were
 * used; they are never logged.
 */
#include "daemon/auth.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>

#include "conf/base/address.h"
#include "conf/base/clock.h"
#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/auth_cache.h"
#include "daemon/users.h"

#define THREADS_MIN 2
#define THREADS_MAX 8 /* one yescrypt at a time needs 16 MiB */
#define QUEUE_MAX   256

struct request {
	struct request *prev, *next;
	char *user;
	char *password;
	auth_answer_fn *answer;
	void *arg;
};

struct auth {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct users *users; /* replaced whole */
	struct request *queue;
	unsigned n_queued;
	bool is_stopping;
	struct auth_cache *cache;
	char decoy[CRYPT_OUTPUT_SIZE]; /* for unknown names without a file */
	pthread_t threads[THREADS_MAX];
	unsigned n_threads;
};

/* ---- the users file ---- */

/* As many of the lines as have room; the number of the others. */
static void
squeeze_errors(const struct strbuf *errors, struct err *err_out)
{
	const char *line = errors->data, *end;
	const size_t room = sizeof(err_out->text) - 64;
	size_t n_left = 0, used = 0;

	for (; (end = strchr(line, '\n')) != NULL; line = end + 1)
		if (n_left == 0 &&
		    (used == 0 || (size_t)(end - errors->data) < room))
			used = (size_t)(end - errors->data);
		else
			n_left++;
	if (n_left == 0)
		err_set(err_out, "%.*s", (int)used, errors->data);
	else
		err_set(err_out, "%.*s\nand %zu more mistakes", (int)used,
		    errors->data, n_left);
}

static void
warn_of_weakness(const char *file, const struct users *users)
{
	struct stat st;

	if (stat(file, &st) == 0 && (st.st_mode & S_IRWXO) != 0)
		log_warn("users_file", LOG_STR("file", file),
		    LOG_STR("problem", "everybody on this machine may open it"),
		    LOG_STR("hint", "chmod o-rwx"));
	if (users_n_weak(users) > 0)
		log_warn("users_file", LOG_STR("file", file),
		    LOG_STR("problem", "hashes of weak old methods"),
		    LOG_INT("users", users_n_weak(users)),
		    LOG_STR("hint", "flyballctl passwd makes new ones"));
}

static struct users *
load_users(const struct conf *conf, struct err *err_out)
{
	const char *file = conf->auth.users_file;
	struct strbuf errors = { 0 };
	struct users *users;

	if (*file == '\0')
		return users_load_text("", "", 0, conf, &errors);
	users = users_load(file, conf, &errors);
	if (users == NULL)
		squeeze_errors(&errors, err_out);
	else
		warn_of_weakness(file, users);
	strbuf_fini(&errors);
	return users;
}

int
auth_check_users(const struct conf *conf, struct strbuf *errors_out)
{
	struct users *users;

	if (*conf->auth.users_file == '\0')
		return 0;
	users = users_load(conf->auth.users_file, conf, errors_out);
	users_unref(users);
	return users != NULL ? 0 : -1;
}

/* ---- hashing ---- */

/* A new yescrypt hash at crypt_gensalt's own choice of cost. */
static int
make_hash(const char *password, char out[CRYPT_OUTPUT_SIZE],
    struct err *err_out)
{
	struct crypt_data *data = xcalloc(1, sizeof(*data));
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *hash = NULL;

	if (crypt_gensalt_rn("$y$", 0, NULL, 0, setting,
		(int)sizeof(setting)) != NULL)
		hash = crypt_rn(password, setting, data, (int)sizeof(*data));
	if (hash != NULL)
		memcpy(out, hash, strlen(hash) + 1);
	else
		err_sys(err_out, "libcrypt makes no yescrypt hash");
	explicit_bzero(data, sizeof(*data));
	free(data);
	return hash != NULL ? 0 : -1;
}

/* Is it what the stored hash was made of? -1: not enough memory to say. */
static int
compare(const char *password, const char *stored, struct crypt_data *data)
{
	const char *hash;
	int is_same;

	errno = 0;
	hash = crypt_rn(password, stored, data, (int)sizeof(*data));
	if (hash == NULL)
		return errno == ENOMEM ? -1 : 0;
	is_same = strlen(hash) == strlen(stored) &&
	    CRYPTO_memcmp(hash, stored, strlen(stored)) == 0;
	explicit_bzero(data, sizeof(*data));
	return is_same;
}

/* ---- one check ---- */

static struct users *
current_users(struct auth *a)
{
	struct users *users;

	pthread_mutex_lock(&a->lock);
	users = users_ref(a->users);
	pthread_mutex_unlock(&a->lock);
	return users;
}

static struct auth_identity *
make_identity(const struct user *user)
{
	struct auth_identity *who = xcalloc(1, sizeof(*who));
	struct conf_names *domains = &who->sender_domains;

	who->name = xstrdup(user->name);
	who->stream = xstrdup(user->stream);
	who->rate = user->rate;
	domains->n = user->senders.n;
	domains->v = xcalloc(domains->n, sizeof(*domains->v));
	for (size_t i = 0; i < domains->n; i++)
		domains->v[i] = xstrdup(user->senders.v[i]);
	return who;
}

static const char *
decoy_for(struct auth *a, const struct users *users, const char *name)
{
	size_t n = users_n(users);

	if (n == 0)
		return a->decoy;
	return users_nth(users, auth_cache_pick(a->cache, name, n))->hash;
}

static void
check(struct auth *a, const struct request *r, struct crypt_data *data)
{
	struct users *users = current_users(a);
	const struct user *user = users_find(users, r->user);
	const char *stored =
	    user != NULL ? user->hash : decoy_for(a, users, r->user);
	int result = compare(r->password, stored, data);
	struct auth_identity *who = NULL;

	if (result > 0 && user != NULL) {
		auth_cache_put(a->cache, r->user, r->password, stored,
		    clock_mono_us());
		who = make_identity(user);
	}
	users_unref(users);
	r->answer(who, result < 0, r->arg);
}

static void
request_free(struct request *r)
{
	explicit_bzero(r->password, strlen(r->password));
	free(r->password);
	free(r->user);
	free(r);
}

/* ---- threads ---- */

/* Waits for a request; NULL = stop, and nothing is left. */
static struct request *
next_request(struct auth *a, bool *is_stopping_out)
{
	struct request *r;

	pthread_mutex_lock(&a->lock);
	while (a->queue == NULL && !a->is_stopping)
		pthread_cond_wait(&a->wake, &a->lock);
	r = a->queue;
	if (r != NULL) {
		DL_DELETE(a->queue, r);
		a->n_queued--;
	}
	*is_stopping_out = a->is_stopping;
	pthread_mutex_unlock(&a->lock);
	return r;
}

static void *
work(void *arg)
{
	struct auth *a = arg;
	struct crypt_data *data = xcalloc(1, sizeof(*data));
	struct request *r;
	bool is_stopping;

	while ((r = next_request(a, &is_stopping)) != NULL) {
		if (is_stopping)
			r->answer(NULL, true, r->arg);
		else
			check(a, r, data);
		request_free(r);
	}
	free(data);
	return NULL;
}

static int
start_threads(struct auth *a, unsigned n, struct err *err_out)
{
	sigset_t all, before;
	int error = 0;

	/* Signals are for the threads that have a loop. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (a->n_threads < n && error == 0) {
		error =
		    pthread_create(&a->threads[a->n_threads], NULL, work, a);
		a->n_threads += error == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		return 0;
	return err_set(err_out, "threads for passwords: %s", strerror(error));
}

/* ---- life ---- */

static unsigned
threads_wanted(const struct conf *conf)
{
	unsigned n = conf->daemon.workers / 2;

	return n < THREADS_MIN ? THREADS_MIN
	    : n > THREADS_MAX  ? THREADS_MAX
			       : n;
}

struct auth *
auth_new(const struct conf *conf, struct err *err_out)
{
	struct auth *a = xcalloc(1, sizeof(*a));

	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->wake, NULL);
	a->users = load_users(conf, err_out);
	if (a->users != NULL)
		a->cache = auth_cache_new(conf->auth.cache_ttl_us, err_out);
	if (a->cache == NULL || make_hash("", a->decoy, err_out) < 0 ||
	    start_threads(a, threads_wanted(conf), err_out) < 0) {
		auth_free(a);
		return NULL;
	}
	return a;
}

int
auth_reload(struct auth *a, const struct conf *conf, struct err *err_out)
{
	struct users *users = load_users(conf, err_out), *old;

	if (users == NULL)
		return -1;
	pthread_mutex_lock(&a->lock);
	old = a->users;
	a->users = users;
	pthread_mutex_unlock(&a->lock);
	users_unref(old);
	auth_cache_set_ttl(a->cache, conf->auth.cache_ttl_us);
	return 0;
}

void
auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	a->is_stopping = true;
	pthread_cond_broadcast(&a->wake);
	pthread_mutex_unlock(&a->lock);
	for (unsigned i = 0; i < a->n_threads; i++)
		pthread_join(a->threads[i], NULL);
	auth_cache_free(a->cache);
	users_unref(a->users);
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* ---- asking ---- */

static struct auth_identity *
remembered(struct auth *a, const char *name, const char *password)
{
	struct users *users = current_users(a);
	const struct user *user = users_find(users, name);
	struct auth_identity *who = NULL;

	if (user != NULL &&
	    auth_cache_has(a->cache, name, password, user->hash,
		clock_mono_us()))
		who = make_identity(user);
	users_unref(users);
	return who;
}

/* False: there are too many already. */
static bool
enqueue(struct auth *a, struct request *r)
{
	bool has_room;

	pthread_mutex_lock(&a->lock);
	has_room = a->n_queued < QUEUE_MAX && !a->is_stopping;
	if (has_room) {
		DL_APPEND(a->queue, r);
		a->n_queued++;
		pthread_cond_signal(&a->wake);
	}
	pthread_mutex_unlock(&a->lock);
	return has_room;
}

bool
auth_check(struct auth *a, const char *user, const char *password,
    auth_answer_fn *answer, void *arg)
{
	struct auth_identity *who = remembered(a, user, password);
	struct request *r;

	if (who != NULL) {
		answer(who, false, arg);
		return true;
	}
	r = xcalloc(1, sizeof(*r));
	r->user = xstrdup(user);
	r->password = xstrdup(password);
	r->answer = answer;
	r->arg = arg;
	if (enqueue(a, r))
		return false;
	request_free(r);
	answer(NULL, true, arg);
	return true;
}

/* ---- making lines ---- */

static int
check_new_password(const char *password, struct err *err_out)
{
	size_t len = strlen(password);

	if (len == 0)
		return err_set(err_out, "the password is empty");
	if (len >= CRYPT_MAX_PASSPHRASE_SIZE)
		return err_set(err_out, "the password is longer than %d bytes",
		    CRYPT_MAX_PASSPHRASE_SIZE - 1);
	if (!utf8_is_valid(password, len)) /* RFC 4616 2 */
		return err_set(err_out, "the password is not UTF-8");
	for (; *password != '\0'; password++)
		if ((unsigned char)*password < ' ' || *password == 0x7f)
			return err_set(err_out,
			    "the password has a control character");
	return 0;
}

/* Options are judged as the daemon would: by reading the line. */
static int
check_line(const struct strbuf *line, struct err *err_out)
{
	struct strbuf errors = { 0 };
	struct users *users =
	    users_load_text("", line->data, line->len, NULL, &errors);
	const char *what;

	if (users == NULL) {
		what = strstr(errors.data, ": ") + 2;
		err_set(err_out, "%.*s", (int)strcspn(what, "\n"), what);
	}
	strbuf_fini(&errors);
	users_unref(users);
	return users != NULL ? 0 : -1;
}

int
auth_make_line(const char *user, const char *password, const char *options,
    struct strbuf *out, struct err *err_out)
{
	char hash[CRYPT_OUTPUT_SIZE];
	struct strbuf line = { 0 };
	int result;

	if (users_check_name(user, err_out) < 0 ||
	    check_new_password(password, err_out) < 0 ||
	    make_hash(password, hash, err_out) < 0)
		return -1;
	strbuf_addf(&line, "%s:%s", user, hash);
	if (options != NULL && *options != '\0')
		strbuf_addf(&line, ":%s", options);
	result = strpbrk(line.data, "\r\n") == NULL
	    ? check_line(&line, err_out)
	    : err_set(err_out, "an option has a line end");
	if (result == 0)
		strbuf_addf(out, "%s\n", line.data);
	strbuf_fini(&line);
	return result;
}
