/* SPDX-License-Identifier: ISC */
/* Contexts and policies, with handshakes between two SSLs in memory. */
#include "sink/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls_fixture.h"

static struct pki pki;

/* ---- two ends ---- */

struct ends {
	SSL_CTX *server_context, *client_context;
	SSL *server, *client;
	char error[200]; /* the client's */
};

/* What one end wrote is read by the other. */
static void
join(SSL *a, SSL *b)
{
	BIO *one, *two;

	BIO_new_bio_pair(&one, 0, &two, 0);
	SSL_set_bio(a, one, one);
	SSL_set_bio(b, two, two);
}

/* Until both are through, or one gives up. */
static bool
handshake(struct ends *e)
{
	for (int i = 0; i < 20; i++) {
		int c = SSL_do_handshake(e->client);
		int s;

		if (c != 1 &&
		    SSL_get_error(e->client, c) != SSL_ERROR_WANT_READ) {
			tls_error(e->client, e->error, sizeof(e->error));
			return false;
		}
		s = SSL_do_handshake(e->server);
		if (s != 1 &&
		    SSL_get_error(e->server, s) != SSL_ERROR_WANT_READ) {
			/* The client hears of it by an alert. */
			SSL_do_handshake(e->client);
			tls_error(e->client, e->error, sizeof(e->error));
			return false;
		}
		if (c == 1 && s == 1)
			return true;
	}
	return false;
}

static bool
connect_ends(struct ends *e, const struct conf_route *route)
{
	e->server = SSL_new(e->server_context);
	SSL_set_accept_state(e->server);
	e->client = tls_client_new(e->client_context, route);
	assert_non_null(e->client);
	join(e->server, e->client);
	return handshake(e);
}

static void
ends_close(struct ends *e)
{
	SSL_free(e->server);
	SSL_free(e->client);
	e->server = e->client = NULL;
}

static void
ends_fini(struct ends *e)
{
	ends_close(e);
	SSL_CTX_free(e->server_context);
	tls_client_context_free(e->client_context);
}

static struct conf_tls
server_conf(const char *name, const char *min_version)
{
	return (struct conf_tls){ .certificate = tls_file(&pki, name, ".pem"),
		.key = tls_file(&pki, name, ".key"),
		.min_version = (char *)min_version };
}

static struct conf_route
route_to(const char *host, enum conf_route_tls tls, const char *ca)
{
	return (struct conf_route){ .name = (char *)"r",
		.next_hop = { .host = (char *)host },
		.tls = tls,
		.tls_ca = ca ? tls_file(&pki, ca, ".pem") : (char *)"",
		.tls_name = (char *)"" };
}

static bool
try_once(const char *certificate, const struct conf_route *route,
    struct ends *e)
{
	struct conf_tls tls = server_conf(certificate, "1.2");
	struct err err;

	*e = (struct ends){ 0 };
	e->server_context = tls_server_context(&tls, &err);
	assert_non_null(e->server_context);
	e->client_context = tls_client_context(route, &err);
	assert_non_null(e->client_context);
	return connect_ends(e, route);
}

/* ---- tests ---- */

static void
policies_decide_about_certificates(void **state)
{
	static const struct {
		const char *certificate, *host, *name, *ca;
		enum conf_route_tls tls;
		const char *error; /* NULL: taken */
	} rows[] = {
		{ "good", "mx.example", "", "ca", ROUTE_TLS_VERIFY, NULL },
		{ "good", "127.0.0.1", "", "ca", ROUTE_TLS_VERIFY, NULL },
		{ "good", "::1", "", "ca", ROUTE_TLS_VERIFY, NULL },
		{ "good", "192.0.2.1", "mx.example", "ca", ROUTE_TLS_VERIFY,
		    NULL },
		{ "good", "other.example", "", "ca", ROUTE_TLS_VERIFY,
		    "hostname mismatch" },
		{ "good", "mx.example", "other.example", "ca", ROUTE_TLS_VERIFY,
		    "hostname mismatch" },
		{ "good", "127.0.0.2", "", "ca", ROUTE_TLS_VERIFY,
		    "IP address mismatch" },
		{ "good", "mx.example", "", NULL, ROUTE_TLS_VERIFY,
		    "certificate" },
		{ "expired", "mx.example", "", "ca", ROUTE_TLS_VERIFY,
		    "certificate has expired" },
		{ "expired", "other.example", "", NULL, ROUTE_TLS_REQUIRED,
		    NULL },
		{ "good", "other.example", "", NULL, ROUTE_TLS_REQUIRED, NULL },
		{ "good", "other.example", "", NULL, ROUTE_TLS_OPPORTUNISTIC,
		    NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct conf_route route =
		    route_to(rows[i].host, rows[i].tls, rows[i].ca);
		struct ends e;
		bool ok;

		route.tls_name = (char *)rows[i].name;
		ok = try_once(rows[i].certificate, &route, &e);
		if (ok != (rows[i].error == NULL))
			fail_msg("row %zu: %d %s", i, ok, e.error);
		if (!ok && strcasestr(e.error, rows[i].error) == NULL)
			fail_msg("row %zu: %s", i, e.error);
		ends_fini(&e);
	}
}

static void
names_are_told_by_sni_and_addresses_are_not(void **state)
{
	static const struct {
		const char *host, *name, *sni;
	} rows[] = {
		{ "mx.example", "", "mx.example" },
		{ "192.0.2.1", "mx.example", "mx.example" },
		{ "127.0.0.1", "", NULL },
		{ "::1", "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct conf_route route =
		    route_to(rows[i].host, ROUTE_TLS_REQUIRED, NULL);
		const char *sni;
		struct ends e;

		route.tls_name = (char *)rows[i].name;
		assert_true(try_once("good", &route, &e));
		sni = SSL_get_servername(e.server, TLSEXT_NAMETYPE_host_name);
		if (rows[i].sni == NULL)
			assert_null(sni);
		else
			assert_string_equal(sni, rows[i].sni);
		ends_fini(&e);
	}
}

static void
sessions_are_resumed(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct conf_route route =
	    route_to("mx.example", ROUTE_TLS_VERIFY, "ca");

	(void)state;
	for (int i = 0; i < 2; i++) {
		char text[128], c;
		struct ends e;

		assert_true(try_once("good", &route, &e));
		assert_false(SSL_session_reused(e.client));
		ends_close(&e);
		SSL_CTX_set_max_proto_version(e.client_context, versions[i]);
		for (int turn = 0; turn < 3; turn++) {
			assert_true(connect_ends(&e, &route));
			tls_describe(e.client, text, sizeof(text));
			assert_non_null(strstr(text,
			    i ? "TLSv1.3 TLS_" : "TLSv1.2 "));
			/* TLS 1.3 tells its ticket with the first data. */
			SSL_read(e.client, &c, 1);
			if (turn == 2)
				assert_true(SSL_session_reused(e.client));
			SSL_shutdown(e.client);
			ends_close(&e);
		}
		ends_fini(&e);
	}
}

static void
old_versions_are_refused(void **state)
{
	static const struct {
		const char *min_version;
		int client_max;
		bool ok;
	} rows[] = {
		{ "1.2", TLS1_1_VERSION, false },
		{ "1.2", TLS1_2_VERSION, true },
		{ "1.3", TLS1_2_VERSION, false },
		{ "1.3", TLS1_3_VERSION, true },
	};
	struct conf_route route =
	    route_to("mx.example", ROUTE_TLS_REQUIRED, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct conf_tls tls = server_conf("good", rows[i].min_version);
		struct ends e = { 0 };
		struct err err;

		e.server_context = tls_server_context(&tls, &err);
		e.client_context = tls_client_context(&route, &err);
		SSL_CTX_set_min_proto_version(e.client_context, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(e.client_context,
		    rows[i].client_max);
		if (connect_ends(&e, &route) != rows[i].ok)
			fail_msg("row %zu: %s", i, e.error);
		ends_fini(&e);
	}
}

static void
what_cannot_be_loaded_is_told_in_one_line(void **state)
{
	struct conf_tls good = server_conf("good", "1.2");
	struct conf_tls other = server_conf("expired", "1.2");
	const struct {
		struct conf_tls tls;
		const char *error;
	} rows[] = {
		{ { .certificate = good.certificate,
		      .key = other.key,
		      .min_version = good.min_version },
		    "tls.key" },
		{ { .certificate = (char *)"/nonexistent.pem",
		      .key = good.key,
		      .min_version = good.min_version },
		    "tls.certificate /nonexistent.pem: No such file" },
		{ { .certificate = good.certificate,
		      .key = (char *)"/nonexistent.key",
		      .min_version = good.min_version },
		    "tls.key /nonexistent.key: No such file" },
		{ { .certificate = good.key,
		      .key = good.key,
		      .min_version = good.min_version },
		    "tls.certificate" },
	};
	struct conf_route route =
	    route_to("mx.example", ROUTE_TLS_VERIFY, NULL);
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_null(tls_server_context(&rows[i].tls, &err));
		if (strncmp(err.text, rows[i].error, strlen(rows[i].error)) !=
		    0)
			fail_msg("row %zu: %s", i, err.text);
		assert_null(strchr(err.text, '\n'));
	}
	route.tls_ca = (char *)"/nonexistent-ca.pem";
	assert_null(tls_client_context(&route, &err));
	assert_non_null(strstr(err.text, "/nonexistent-ca.pem"));
}

static int
make_files(void **state)
{
	(void)state;
	tls_init(&pki);
	tls_make(&pki, "good", "DNS:mx.example,IP:127.0.0.1,IP:::1", 10);
	tls_make(&pki, "expired", "DNS:mx.example", -1);
	return 0;
}

static int
remove_files(void **state)
{
	(void)state;
	tls_fini(&pki);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies_decide_about_certificates),
		cmocka_unit_test(names_are_told_by_sni_and_addresses_are_not),
		cmocka_unit_test(sessions_are_resumed),
		cmocka_unit_test(old_versions_are_refused),
		cmocka_unit_test(what_cannot_be_loaded_is_told_in_one_line),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
