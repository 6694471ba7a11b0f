/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_TLS_FIXTURE_H
#define FLYBALL_TLS_FIXTURE_H

/*
 * Keys and certificates for tests, made with OpenSSL in a directory of their
 * own: tls_make(&pki, name, alt, days) signs `name`.pem with the authority
 * ca.pem; alt as in "DNS:a.example,IP:127.0.0.1".
 */
#include <assert.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/base/xalloc.h"

struct pki {
	char dir[64];
	EVP_PKEY *key;
	X509 *ca;
	int n_files;
	char *files[32];
	long serial;
};

static inline char *
tls_path(struct pki *p, const char *name, const char *suffix)
{
	char *path = xasprintf("%s/%s%s", p->dir, name, suffix);

	assert(p->n_files < 32);
	p->files[p->n_files++] = path;
	return path;
}

static inline void
tls_write(const char *path, EVP_PKEY *key, X509 *cert)
{
	FILE *f = fopen(path, "w");

	assert(f != NULL);
	if (key != NULL)
		PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	if (cert != NULL)
		PEM_write_X509(f, cert);
	fclose(f);
}

static inline void
tls_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert(e != NULL);
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
}

static inline X509 *
tls_sign(struct pki *p, EVP_PKEY *key, const char *name, const char *alt,
    int days)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++p->serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -2 * 86400);
	X509_gmtime_adj(X509_getm_notAfter(cert), days * 86400);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(cert,
	    p->ca ? X509_get_subject_name(p->ca) : subject);
	X509_set_pubkey(cert, key);
	if (alt != NULL)
		tls_extend(cert, p->ca, NID_subject_alt_name, alt);
	else
		tls_extend(cert, cert, NID_basic_constraints,
		    "critical,CA:TRUE");
	X509_sign(cert, p->key ? p->key : key, EVP_sha256());
	return cert;
}

static inline void
tls_init(struct pki *p)
{
	memset(p, 0, sizeof(*p));
	snprintf(p->dir, sizeof(p->dir), "/tmp/flyball-tls-XXXXXX");
	assert(mkdtemp(p->dir) != NULL);
	p->key = EVP_EC_gen("P-256");
	p->ca = tls_sign(p, p->key, "Test Authority", NULL, 10);
	tls_write(tls_path(p, "ca", ".pem"), NULL, p->ca);
}

/* Writes NAME.pem and NAME.key; days < 0: it is over. */
static inline void
tls_make(struct pki *p, const char *name, const char *alt, int days)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = tls_sign(p, key, name, alt, days);

	tls_write(tls_path(p, name, ".pem"), NULL, cert);
	tls_write(tls_path(p, name, ".key"), key, NULL);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* DIR/NAMESUFFIX in a buffer that lasts as long as the pki. */
static inline char *
tls_file(struct pki *p, const char *name, const char *suffix)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s%s", p->dir, name, suffix);
	for (int i = 0; i < p->n_files; i++)
		if (strcmp(p->files[i], path) == 0)
			return p->files[i];
	assert(!"no such file was made");
	return NULL;
}

static inline void
tls_fini(struct pki *p)
{
	for (int i = 0; i < p->n_files; i++) {
		unlink(p->files[i]);
		free(p->files[i]);
	}
	rmdir(p->dir);
	X509_free(p->ca);
	EVP_PKEY_free(p->key);
}

#endif
