/* SPDX-License-Identifier: ISC */
/*
 * What receivers look up about our sender domains: SPF for each route's
 * address, DKIM keys, DMARC and what aligns with it, and whether mail to the
 * domain arrives anywhere.
 */
#include <libpsl.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"
#include "daemon/doctor.h"
#include "sink/spf.h"

#define RSA_BITS_MIN  1024 /* RFC 8301 */
#define RSA_BITS_GOOD 2048

struct standing { /* of one domain, for DMARC */
	bool has_spf, has_dkim;
};

/* ---- SPF ---- */

static const struct dns_answer *
ask_for_spf(void *arg, const char *name, enum dns_type type)
{
	return doctor_ask(arg, name, type);
}

static void
check_spf(struct doctor *d, const char *subject, const char *domain,
    const struct conf_route *r, struct standing *standing)
{
	char *sender = xasprintf("postmaster@%s", domain);
	struct spf s = { .ask = ask_for_spf,
		.arg = d,
		.address = r->address,
		.sender = sender,
		.helo = d->conf->daemon.hostname };
	enum spf_result result = spf_check(&s, domain);
	char fix[300];

	snprintf(fix, sizeof(fix), "put %s%s into the SPF record of %s",
	    strchr(r->address, ':') ? "ip6:" : "ip4:", r->address, domain);
	switch (result) {
	case SPF_PASS:
		standing->has_spf = true;
		doctor_say(d, FINDING_OK, subject, "SPF passes", NULL,
		    "%s by route %s: %s, %u look-ups", r->address, r->name,
		    s.why, s.n_lookups);
		break;
	case SPF_NONE:
		snprintf(fix, sizeof(fix),
		    "publish \"v=spf1 %s%s -all\" as TXT of %s",
		    strchr(r->address, ':') ? "ip6:" : "ip4:", r->address,
		    domain);
		doctor_say(d, FINDING_FAIL, subject, "has no SPF record", fix,
		    "%s", s.why);
		break;
	case SPF_FAIL:
	case SPF_SOFTFAIL:
	case SPF_NEUTRAL:
		doctor_say(d, FINDING_FAIL, subject,
		    "SPF doesn't allow a route's address", fix,
		    "%s by route %s: %s, %s", r->address, r->name,
		    spf_result_name(result), s.why);
		break;
	case SPF_PERMERROR:
		doctor_say(d, FINDING_FAIL, subject, "SPF is broken",
		    "mend the record: one of them, at most 10 look-ups, no "
		    "dangling names",
		    "%s by route %s: %s", r->address, r->name, s.why);
		break;
	case SPF_TEMPERROR:
		doctor_say(d, FINDING_WARN, subject,
		    "SPF can't be looked up now",
		    "look at the domain's name servers, then try again", "%s",
		    s.why);
		break;
	}
	free(sender);
}

/* ---- tags of DKIM and DMARC records ---- */

/* The value of `tag` in "v=DKIM1; k=rsa; p=..."; malloc'd, NULL: absent. */
static char *
tag_value(const char *record, const char *tag)
{
	size_t tag_len = strlen(tag);

	while (*record != '\0') {
		size_t len;

		record += strspn(record, " \t;");
		len = strcspn(record, ";");
		if (strncasecmp(record, tag, tag_len) == 0) {
			const char *p = record + tag_len;

			p += strspn(p, " \t");
			if (*p == '=') {
				p++;
				p += strspn(p, " \t");
				len -= (size_t)(p - record);
				while (len > 0 && p[len - 1] == ' ')
					len--;
				return xstrndup(p, len);
			}
		}
		record += len;
	}
	return NULL;
}

/* ---- DKIM ---- */

/* Bits of the public key, 256 for ed25519; 0: it isn't one. */
static int
key_bits(const char *type, const char *base64)
{
	size_t len = strlen(base64);
	unsigned char *der = xmalloc(len + 4);
	const unsigned char *p = der;
	char *text = xmalloc(len + 1);
	EVP_PKEY *key = NULL;
	size_t n = 0;
	int der_len, bits = 0;

	for (size_t i = 0; i < len; i++)
		if (base64[i] != ' ' && base64[i] != '\t')
			text[n++] = base64[i];
	der_len = EVP_DecodeBlock(der, (unsigned char *)text, (int)n);
	if (strcasecmp(type, "ed25519") == 0)
		bits = der_len >= 32 ? 256 : 0;
	else if (der_len > 0)
		key = d2i_PUBKEY(NULL, &p, der_len);
	if (key != NULL)
		bits = EVP_PKEY_get_bits(key);
	EVP_PKEY_free(key);
	free(der);
	free(text);
	return bits;
}

static void
judge_key(struct doctor *d, const char *subject, const char *name,
    const char *record, struct standing *standing)
{
	char *type = tag_value(record, "k"), *key = tag_value(record, "p");
	const char *kind = type != NULL ? type : "rsa";
	int bits = key != NULL ? key_bits(kind, key) : 0;
	bool is_rsa = strcasecmp(kind, "rsa") == 0;

	if (key != NULL && key[0] == '\0')
		doctor_say(d, FINDING_FAIL, subject, "a DKIM key is revoked",
		    "sign with another selector, or publish the key again",
		    "%s has an empty p=", name);
	else if (bits == 0)
		doctor_say(d, FINDING_FAIL, subject, "a DKIM key is broken",
		    "publish the public key as your signer prints it",
		    "%s: p= is no %s key", name, kind);
	else if (is_rsa && bits < RSA_BITS_MIN)
		doctor_say(d, FINDING_FAIL, subject, "a DKIM key is too short",
		    "make an RSA key of 2048 bits under a new selector",
		    "%s: %d bits, receivers take no less than %d", name, bits,
		    RSA_BITS_MIN);
	else if (is_rsa && bits < RSA_BITS_GOOD)
		doctor_say(d, FINDING_WARN, subject, "a DKIM key is short",
		    "make an RSA key of 2048 bits under a new selector",
		    "%s: %d bits", name, bits);
	else
		doctor_say(d, FINDING_OK, subject, "a DKIM key is published",
		    NULL, "%s: %s, %d bits", name, kind, bits);
	standing->has_dkim |= bits >= (is_rsa ? RSA_BITS_MIN : 1);
	free(type);
	free(key);
}

static void
check_dkim(struct doctor *d, const char *subject, const struct conf_sender *s,
    struct standing *standing)
{
	for (size_t i = 0; i < s->dkim.n; i++) {
		char *name =
		    xasprintf("%s._domainkey.%s", s->dkim.v[i], s->domain);
		const struct dns_answer *a = doctor_ask(d, name, DNS_TXT);

		if (a->status == DNS_FAILED)
			doctor_say(d, FINDING_WARN, subject,
			    "a DKIM key can't be looked up now",
			    "look at the domain's name servers, then try "
			    "again",
			    "%s: %s", name, a->why);
		else if (a->n == 0)
			doctor_say(d, FINDING_FAIL, subject,
			    "a DKIM key isn't published",
			    "publish the selector's key as TXT (or CNAME) at "
			    "this name",
			    "no TXT at %s", name);
		else
			judge_key(d, subject, name, a->v[0].text, standing);
		free(name);
	}
	if (s->dkim.n == 0)
		doctor_say(d, FINDING_NOTE, subject,
		    "its DKIM keys aren't looked at",
		    "name the selectors your MTA signs with in dkim",
		    "senders.%s.dkim isn't set", s->domain);
}

/* ---- DMARC ---- */

static const char *
dmarc_record(struct doctor *d, const char *domain, char *where, size_t size)
{
	const struct dns_answer *a;

	snprintf(where, size, "_dmarc.%s", domain);
	a = doctor_ask(d, where, DNS_TXT);
	for (size_t i = 0; i < a->n; i++)
		if (strncasecmp(a->v[i].text, "v=DMARC1", 8) == 0)
			return a->v[i].text;
	return NULL;
}

static bool
is_strict(const char *policy)
{
	return policy != NULL &&
	    (strcasecmp(policy, "reject") == 0 ||
		strcasecmp(policy, "quarantine") == 0);
}

static void
judge_dmarc(struct doctor *d, const char *subject, const char *where,
    const char *record, bool is_inherited, const struct standing *standing)
{
	char *own = tag_value(record, "p"), *sub = tag_value(record, "sp");
	const char *policy = is_inherited && sub != NULL ? sub : own;

	if (policy == NULL)
		doctor_say(d, FINDING_FAIL, subject, "DMARC has no policy",
		    "put p=none, p=quarantine or p=reject into the record",
		    "%s: %s", where, record);
	else if (is_strict(policy) && !standing->has_spf && !standing->has_dkim)
		doctor_say(d, FINDING_FAIL, subject,
		    "DMARC will have its mail refused: neither SPF nor DKIM "
		    "aligns",
		    "mend SPF, or sign with the domain's own DKIM key (d= the "
		    "same domain) and name its selector in dkim",
		    "%s has p=%s", where, policy);
	else if (is_strict(policy) && !standing->has_dkim)
		doctor_say(d, FINDING_WARN, subject,
		    "only SPF aligns with DMARC: forwarded mail fails",
		    "sign with the domain's own DKIM key and name its "
		    "selector in dkim",
		    "%s has p=%s", where, policy);
	else
		doctor_say(d, FINDING_OK, subject, "DMARC is published", NULL,
		    "%s has p=%s; aligned: %s%s%s", where, policy,
		    standing->has_spf ? "SPF" : "",
		    standing->has_spf && standing->has_dkim ? ", " : "",
		    standing->has_dkim	    ? "DKIM"
			: standing->has_spf ? ""
					    : "nothing that was looked at");
	free(own);
	free(sub);
}

static void
check_dmarc(struct doctor *d, const char *subject, const char *domain,
    const struct standing *standing)
{
	const psl_ctx_t *suffixes = psl_builtin();
	const char *above =
	    suffixes != NULL ? psl_registrable_domain(suffixes, domain) : NULL;
	bool is_inherited = false;
	const char *record;
	char where[300];

	record = dmarc_record(d, domain, where, sizeof(where));
	if (record == NULL && above != NULL && strcmp(above, domain) != 0) {
		is_inherited = true;
		record = dmarc_record(d, above, where, sizeof(where));
	}
	if (record != NULL)
		judge_dmarc(d, subject, where, record, is_inherited, standing);
	else
		doctor_say(d, FINDING_FAIL, subject, "has no DMARC record",
		    "publish \"v=DMARC1; p=none; rua=mailto:...\" as TXT at "
		    "_dmarc of the domain: Gmail and Yahoo ask bulk senders "
		    "for one",
		    "nothing at _dmarc.%s%s%s", domain,
		    is_inherited ? " and _dmarc." : "",
		    is_inherited ? above : "");
}

/* ---- mail to the domain ---- */

static void
check_mx(struct doctor *d, const char *subject, const char *domain)
{
	const struct dns_answer *a = doctor_ask(d, domain, DNS_MX);

	if (a->status == DNS_FAILED)
		doctor_say(d, FINDING_WARN, subject,
		    "its MX hosts can't be looked up now",
		    "look at the domain's name servers, then try again", "%s",
		    a->why);
	else if (a->status == DNS_NXDOMAIN)
		doctor_say(d, FINDING_FAIL, subject, "doesn't exist",
		    "register the domain, or send from one that is there",
		    "no such name: %s", domain);
	else if (a->n == 1 && a->v[0].text[0] == '\0')
		doctor_say(d, FINDING_FAIL, subject, "takes no mail",
		    "take the null MX away: many receivers refuse mail from a "
		    "domain that can't be answered (5.7.27)",
		    "%s has a null MX", domain);
	else if (a->n > 0)
		doctor_say(d, FINDING_OK, subject, "takes mail", NULL, "MX %s",
		    a->v[0].text);
	else if (doctor_ask(d, domain, DNS_A)->n > 0 ||
	    doctor_ask(d, domain, DNS_AAAA)->n > 0)
		doctor_say(d, FINDING_WARN, subject,
		    "has no MX record, its own address stands in for it",
		    "give it an MX record that leads to where bounces and "
		    "replies are read",
		    "only A or AAAA at %s", domain);
	else
		doctor_say(d, FINDING_FAIL, subject, "takes no mail",
		    "give it an MX record: bounces and replies go there",
		    "neither MX nor address at %s", domain);
}

void
doctor_check_senders(struct doctor *d)
{
	for (size_t i = 0; i < d->conf->n_senders; i++) {
		const struct conf_sender *s = &d->conf->senders[i];
		char *subject = xasprintf("sender %s", s->domain);
		struct standing standing = { false, false };

		for (size_t k = 0; k < d->conf->n_routes; k++)
			if (d->conf->routes[k].address[0] != '\0')
				check_spf(d, subject, s->domain,
				    &d->conf->routes[k], &standing);
		check_dkim(d, subject, s, &standing);
		check_dmarc(d, subject, s->domain, &standing);
		check_mx(d, subject, s->domain);
		doctor_check_lists(d, subject, NULL, s->domain);
		free(subject);
	}
	if (d->conf->n_senders == 0)
		doctor_say(d, FINDING_NOTE, "senders",
		    "no sender domain is looked at",
		    "name your sender domains under senders, with dkim: "
		    "[selector]",
		    "senders is empty");
}
