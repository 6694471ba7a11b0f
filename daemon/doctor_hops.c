/* SPDX-License-Identifier: ISC */
/*
 * Next hops as a route meets them: reachable, what they offer behind EHLO, and
 * whether their certificate is of the right name. One connection to each, with
 * a short patience, and nothing is sent but EHLO, STARTTLS and QUIT.
 */
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/doctor.h"
#include "sink/tls.h"

#define PATIENCE_S	  10
#define REPLY_MAX	  65536
#define IMPLICIT_TLS_PORT 465

struct hop {
	struct doctor *d;
	const struct conf_route *route;
	char *subject;
	int fd;
	SSL *ssl; /* NULL: in clear */
	struct strbuf in;
	struct strbuf reply;  /* the last one, whole */
	struct strbuf offers; /* of EHLO, one a line */
};

/* ---- the wire ---- */

static int
open_socket(const struct conf_endpoint *to, struct err *err_out)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct timeval patience = { .tv_sec = PATIENCE_S };
	struct addrinfo *found;
	char port[8];
	int fd = -1, result;

	snprintf(port, sizeof(port), "%u", to->port);
	result = getaddrinfo(to->host, port, &hints, &found);
	if (result != 0)
		return err_set(err_out, "%s: %s", to->host,
		    gai_strerror(result));
	for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		    sizeof(patience));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
		    sizeof(patience));
		if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			break;
		err_sys(err_out, "%s", to->text);
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

static ssize_t
receive(struct hop *h, char *buf, size_t size)
{
	if (h->ssl != NULL)
		return SSL_read(h->ssl, buf, (int)size);
	return recv(h->fd, buf, size, 0);
}

static int
say(struct hop *h, const char *line)
{
	size_t len = strlen(line);

	if (h->ssl != NULL)
		return SSL_write(h->ssl, line, (int)len) > 0 ? 0 : -1;
	return send(h->fd, line, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

/* One whole reply; returns its code, -1: none came. */
static int
hear(struct hop *h)
{
	char buf[4096];

	strbuf_reset(&h->reply);
	for (;;) {
		char *lf =
		    h->in.len > 0 ? memchr(h->in.data, '\n', h->in.len) : NULL;
		ssize_t n;

		if (lf != NULL) {
			size_t len = (size_t)(lf - h->in.data) + 1;
			bool is_last = len < 5 || h->in.data[3] != '-';

			strbuf_add(&h->reply, h->in.data, len);
			strbuf_consume(&h->in, len);
			if (is_last)
				return atoi(h->reply.data);
			continue;
		}
		if (h->in.len + h->reply.len > REPLY_MAX)
			return -1;
		n = receive(h, buf, sizeof(buf));
		if (n <= 0)
			return -1;
		strbuf_add(&h->in, buf, (size_t)n);
	}
}

static int
ask(struct hop *h, const char *line)
{
	return say(h, line) == 0 ? hear(h) : -1;
}

/* ---- what it offers ---- */

static bool
offers(const struct hop *h, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = h->offers.data; p != NULL && *p != '\0';) {
		if (strncasecmp(p, word, len) == 0 &&
		    strchr(" =\n", p[len]) != NULL)
			return true;
		p = strchr(p, '\n');
		p = p != NULL ? p + 1 : NULL;
	}
	return false;
}

/* EHLO's keywords, without codes and the greeting. */
static int
greet(struct hop *h)
{
	const char *ehlo = h->route->ehlo[0] != '\0'
	    ? h->route->ehlo
	    : h->d->conf->daemon.hostname;
	char *line = xasprintf("EHLO %s\r\n", ehlo);
	int code = ask(h, line);
	const char *p = h->reply.data;

	free(line);
	if (code != 250)
		return -1;
	strbuf_reset(&h->offers);
	strbuf_adds(&h->offers, "");
	for (p = strchr(p, '\n'); p != NULL && p[1] != '\0';
	     p = strchr(p + 1, '\n'))
		if (strlen(p) > 5) {
			strbuf_add(&h->offers, p + 5, strcspn(p + 5, "\r\n"));
			strbuf_addc(&h->offers, '\n');
		}
	return 0;
}

/* ---- TLS ---- */

static const char *
name_of(const struct conf_route *r)
{
	return r->tls_name[0] != '\0' ? r->tls_name : r->next_hop.host;
}

static bool
is_loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
	    strcmp(host, "localhost") == 0;
}

static bool
certificate_names(X509 *certificate, const char *name)
{
	return X509_check_host(certificate, name, 0, 0, NULL) == 1 ||
	    X509_check_ip_asc(certificate, name, 0) == 1;
}

static void
judge_certificate(struct hop *h)
{
	X509 *certificate = SSL_get1_peer_certificate(h->ssl);
	int days = 0, seconds = 0;
	char text[128];

	tls_describe(h->ssl, text, sizeof(text));
	if (certificate == NULL)
		return;
	if (ASN1_TIME_diff(&days, &seconds, NULL,
		X509_get0_notAfter(certificate)) == 1 &&
	    (days < 0 || seconds < 0))
		doctor_say(h->d, FINDING_WARN, h->subject,
		    "the next hop's certificate has expired",
		    "renew it at the next hop", "%d days ago", -days);
	else if (!certificate_names(certificate, name_of(h->route)))
		doctor_say(h->d, FINDING_WARN, h->subject,
		    "the next hop's certificate is of another name",
		    "set tls_name to the name that it has, or give it a "
		    "certificate of this name; then tls: verify",
		    "it isn't for %s; %s", name_of(h->route), text);
	else
		doctor_say(h->d, FINDING_OK, h->subject,
		    "TLS works, and the name is right", NULL,
		    "%s; the certificate is good for %d days", text, days);
	X509_free(certificate);
}

static void
start_tls(struct hop *h)
{
	struct err err;
	SSL_CTX *context = tls_client_context(h->route, &err);
	char why[256];

	if (context == NULL) {
		doctor_say(h->d, FINDING_FAIL, h->subject,
		    "TLS can't be set up", "look at tls_ca", "%s", err.text);
		return;
	}
	h->ssl = tls_client_new(context, h->route);
	SSL_set_fd(h->ssl, h->fd);
	if (SSL_connect(h->ssl) == 1) {
		judge_certificate(h);
		tls_client_context_free(context);
		return;
	}
	tls_error(h->ssl, why, sizeof(why));
	doctor_say(h->d, FINDING_FAIL, h->subject,
	    "TLS with the next hop fails",
	    h->route->tls == ROUTE_TLS_VERIFY
		? "set tls_name to the certificate's name and tls_ca to its "
		  "issuer, or use tls: required"
		: "look at the next hop's TLS settings and certificate",
	    "%s: %s", name_of(h->route), why);
	SSL_free(h->ssl);
	h->ssl = NULL;
	tls_client_context_free(context);
}

static void
check_starttls(struct hop *h)
{
	const struct conf_route *r = h->route;
	bool is_offered = offers(h, "STARTTLS");
	int code;

	if (r->tls == ROUTE_TLS_NONE) {
		if (is_offered && !is_loopback(r->next_hop.host))
			doctor_say(h->d, FINDING_WARN, h->subject,
			    "mail to the next hop goes in clear over a network",
			    "set tls: verify: the next hop offers STARTTLS",
			    "tls: none to %s", r->next_hop.text);
		return;
	}
	if (!is_offered) {
		doctor_say(h->d,
		    r->tls == ROUTE_TLS_OPPORTUNISTIC ? FINDING_NOTE
						      : FINDING_FAIL,
		    h->subject, "the next hop offers no TLS",
		    "switch TLS on at the next hop",
		    "%s doesn't offer "
		    "STARTTLS",
		    r->next_hop.text);
		return;
	}
	code = ask(h, "STARTTLS\r\n");
	if (code != 220) {
		doctor_say(h->d,
		    r->tls == ROUTE_TLS_OPPORTUNISTIC ? FINDING_WARN
						      : FINDING_FAIL,
		    h->subject, "the next hop offers TLS and then refuses it",
		    "look at its log for the reason; its certificate may be "
		    "unreadable",
		    "%s: %s", r->next_hop.text,
		    code > 0 ? h->reply.data : "no answer to STARTTLS");
		return;
	}
	start_tls(h);
	if (h->ssl != NULL && greet(h) < 0)
		strbuf_reset(&h->offers);
}

/* ---- the visit ---- */

static void
judge_offers(struct hop *h)
{
	static const char *const wanted[] = { "PIPELINING", "8BITMIME",
		"SMTPUTF8", "DSN", "SIZE" };
	struct strbuf has = { 0 }, lacks = { 0 };

	strbuf_adds(&has, "");
	strbuf_adds(&lacks, "");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		strbuf_addf(offers(h, wanted[i]) ? &has : &lacks, " %s",
		    wanted[i]);
	if (lacks.len == 0)
		doctor_say(h->d, FINDING_OK, h->subject,
		    "the next hop answers and offers all that is used", NULL,
		    "%s:%s", h->route->next_hop.text, has.data);
	else
		doctor_say(h->d, FINDING_NOTE, h->subject,
		    "the next hop answers, but doesn't offer all that is used",
		    "switch these on at the next hop: without them mail is "
		    "slower, or some of it is refused",
		    "%s lacks%s", h->route->next_hop.text, lacks.data);
	if (h->route->auth.user[0] != '\0' && !offers(h, "AUTH"))
		doctor_say(h->d, FINDING_FAIL, h->subject,
		    "the next hop takes no log-in",
		    "take auth out of the route, or switch it on at the next "
		    "hop (many offer it behind TLS only)",
		    "%s doesn't offer AUTH", h->route->next_hop.text);
	strbuf_fini(&has);
	strbuf_fini(&lacks);
}

static void
visit(struct hop *h)
{
	int code;

	if (h->route->next_hop.port == IMPLICIT_TLS_PORT &&
	    h->route->tls != ROUTE_TLS_NONE) {
		start_tls(h);
		if (h->ssl == NULL)
			return;
	}
	code = hear(h);
	if (code != 220) {
		doctor_say(h->d, FINDING_FAIL, h->subject,
		    code > 0 ? "the next hop refuses us"
			     : "the next hop says nothing",
		    code > 0 ? "let this machine in at the next hop"
			     : "see whether an SMTP server listens there",
		    "%s: %s", h->route->next_hop.text,
		    code > 0 ? h->reply.data : "no greeting");
		return;
	}
	if (greet(h) < 0) {
		doctor_say(h->d, FINDING_FAIL, h->subject,
		    "the next hop refuses EHLO",
		    "look at its log for the reason, and at daemon.hostname",
		    "%s: %s", h->route->next_hop.text,
		    h->reply.data != NULL ? h->reply.data : "");
		return;
	}
	if (h->ssl == NULL)
		check_starttls(h);
	judge_offers(h);
	say(h, "QUIT\r\n");
}

static void
check_hop(struct doctor *d, const struct conf_route *r)
{
	struct hop h = { .d = d, .route = r };
	struct err err = { "" };

	h.subject = xasprintf("route %s", r->name);
	h.fd = open_socket(&r->next_hop, &err);
	if (h.fd < 0) {
		doctor_say(d, FINDING_FAIL, h.subject,
		    "the next hop can't be reached",
		    "see whether it runs, and whether a firewall is between",
		    "%s", err.text);
	} else {
		visit(&h);
		if (h.ssl != NULL)
			SSL_free(h.ssl);
		close(h.fd);
	}
	strbuf_fini(&h.in);
	strbuf_fini(&h.reply);
	strbuf_fini(&h.offers);
	free(h.subject);
}

void
doctor_check_hops(struct doctor *d)
{
	for (size_t i = 0; i < d->conf->n_routes; i++)
		check_hop(d, &d->conf->routes[i]);
}
