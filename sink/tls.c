/* SPDX-License-Identifier: ISC */
/*
 * TLS policy in one place: what we offer as a server, what we ask of a next
 * hop. The streams drive the handshakes; nothing here touches a socket.
 *
 * Forward secrecy only, TLS 1.2 at least (RFC 8996, RFC 9325). Tickets are
 * sealed with a key that OpenSSL makes for each context, so a reload or
 * restart ends old sessions' resumption and nothing else.
 */
#include "sink/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CIPHERS_TLS12 "ECDHE+AESGCM:ECDHE+CHACHA20"
/* Not OpenSSL's finite fields, the smallest of which has 112 bits. */
#define GROUPS	      "X25519:P-256:X448:P-384:P-521"

static int
fail(struct err *err_out, const char *what, const char *name)
{
	char why[200];

	tls_error(NULL, why, sizeof(why));
	return err_set(err_out, "%s %s: %s", what, name, why);
}

static int
set_common(SSL_CTX *context, const char *min_version, struct err *err_out)
{
	int version =
	    strcmp(min_version, "1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;

	SSL_CTX_set_options(context,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
		SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(context,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_set_min_proto_version(context, version) != 1 ||
	    SSL_CTX_set_cipher_list(context, CIPHERS_TLS12) != 1 ||
	    SSL_CTX_set1_groups_list(context, GROUPS) != 1)
		return fail(err_out, "tls", "settings");
	return 0;
}

static int
load_certificate(SSL_CTX *context, const struct conf_tls *tls,
    struct err *err_out)
{
	if (SSL_CTX_use_certificate_chain_file(context, tls->certificate) != 1)
		return fail(err_out, "tls.certificate", tls->certificate);
	if (SSL_CTX_use_PrivateKey_file(context, tls->key, SSL_FILETYPE_PEM) !=
	    1)
		return fail(err_out, "tls.key", tls->key);
	if (SSL_CTX_check_private_key(context) != 1)
		return err_set(err_out,
		    "tls.key %s doesn't belong to tls.certificate %s", tls->key,
		    tls->certificate);
	return 0;
}

SSL_CTX *
tls_server_context(const struct conf_tls *tls, struct err *err_out)
{
	static const unsigned char id[] = "flyball";
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	ERR_clear_error();
	if (context == NULL) {
		fail(err_out, "tls", "context");
		return NULL;
	}
	if (set_common(context, tls->min_version, err_out) < 0 ||
	    load_certificate(context, tls, err_out) < 0) {
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(context, id, sizeof(id) - 1);
	/* One ticket is enough for a client that comes back. */
	SSL_CTX_set_num_tickets(context, 1);
	return context;
}

/* ---- client ---- */

/* The route's last session lives with its context. */
static int slot;
static pthread_once_t slot_once = PTHREAD_ONCE_INIT;

static void
make_slot(void)
{
	slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static int
session_slot(void)
{
	pthread_once(&slot_once, make_slot);
	return slot;
}

static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_CTX *context = SSL_get_SSL_CTX(ssl);
	SSL_SESSION *old = SSL_CTX_get_ex_data(context, session_slot());

	SSL_CTX_set_ex_data(context, session_slot(), session);
	SSL_SESSION_free(old);
	return 1; /* the reference is ours now */
}

struct tls_trust
tls_trust_of(const char *tls_ca)
{
	struct tls_trust trust = { { 0 } };
	FILE *f = *tls_ca != '\0' ? fopen(tls_ca, "re") : NULL;
	EVP_MD_CTX *digest = f != NULL ? EVP_MD_CTX_new() : NULL;
	bool is_read = digest != NULL &&
	    EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
	char buf[4096];
	size_t n;

	while (is_read && (n = fread(buf, 1, sizeof(buf), f)) > 0)
		is_read = EVP_DigestUpdate(digest, buf, n) == 1;
	if (is_read && !ferror(f))
		EVP_DigestFinal_ex(digest, trust.sha256, NULL);
	EVP_MD_CTX_free(digest);
	if (f != NULL)
		fclose(f);
	return trust;
}

static int
load_trust(SSL_CTX *context, const struct conf_route *route,
    struct err *err_out)
{
	if (*route->tls_ca != '\0') {
		if (SSL_CTX_load_verify_file(context, route->tls_ca) != 1)
			return fail(err_out, "tls_ca", route->tls_ca);
	} else if (SSL_CTX_set_default_verify_paths(context) != 1) {
		return fail(err_out, "tls", "system certificates");
	}
	return 0;
}

SSL_CTX *
tls_client_context(const struct conf_route *route, struct err *err_out)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	ERR_clear_error();
	if (context == NULL) {
		fail(err_out, "tls", "context");
		return NULL;
	}
	if (set_common(context, "1.2", err_out) < 0 ||
	    (route->tls == ROUTE_TLS_VERIFY &&
		load_trust(context, route, err_out) < 0)) {
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_verify(context,
	    route->tls == ROUTE_TLS_VERIFY ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
	    NULL);
	SSL_CTX_set_session_cache_mode(context,
	    SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, on_new_session);
	return context;
}

void
tls_client_context_free(SSL_CTX *context)
{
	if (context == NULL)
		return;
	SSL_SESSION_free(SSL_CTX_get_ex_data(context, session_slot()));
	SSL_CTX_set_ex_data(context, session_slot(), NULL);
	SSL_CTX_free(context);
}

static bool
is_ip_address(const char *name)
{
	unsigned char buf[16];

	return inet_pton(AF_INET, name, buf) == 1 ||
	    inet_pton(AF_INET6, name, buf) == 1;
}

SSL *
tls_client_new(SSL_CTX *context, const struct conf_route *route)
{
	const char *name =
	    *route->tls_name ? route->tls_name : route->next_hop.host;
	SSL_SESSION *session = SSL_CTX_get_ex_data(context, session_slot());
	SSL *ssl = SSL_new(context);

	if (ssl == NULL)
		return NULL;
	if (is_ip_address(name)) {
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
	} else {
		SSL_set_tlsext_host_name(ssl, name);
		SSL_set1_host(ssl, name);
	}
	/* A single-use TLS 1.3 ticket is better used once more than not. */
	if (session != NULL && SSL_SESSION_is_resumable(session))
		SSL_set_session(ssl, session);
	SSL_set_connect_state(ssl);
	return ssl;
}

void
tls_describe(const SSL *ssl, char *out, size_t size)
{
	snprintf(out, size, "%s %s", SSL_get_version(ssl),
	    SSL_get_cipher_name(ssl));
}

void
tls_error(const SSL *ssl, char *out, size_t size)
{
	/* The first one is the cause, what follows is who heard of it. */
	unsigned long code = ERR_peek_error();
	long verify = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
	const char *reason;

	if (verify != X509_V_OK) {
		snprintf(out, size, "certificate: %s",
		    X509_verify_cert_error_string(verify));
	} else if (code != 0) {
		reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
						: ERR_reason_error_string(code);
		snprintf(out, size, "%s", reason ? reason : "TLS error");
	} else {
		snprintf(out, size, "the connection was closed");
	}
	ERR_clear_error();
}
