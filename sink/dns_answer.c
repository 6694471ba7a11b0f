/* SPDX-License-Identifier: ISC */
/*
 * Reads what a name server answered. The resolver calls it; it asks nothing
 * and keeps nothing. The walk over the message is the C library's, which is
 * what bounds it: no name or record reaches beyond the message's end.
 *
 * The subtle rule: an answer without a record of the wanted type is still one,
 * and how long it holds is in the zone's SOA record (RFC 2308), not nowhere.
 */
#include "sink/dns_answer.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/base/xalloc.h"

void
dns_answer_fail(struct dns_answer *out, const char *why)
{
	*out = (struct dns_answer){ .status = DNS_FAILED, .why = why };
}

void
dns_answer_fini(struct dns_answer *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i].text);
	free(a->v);
	*a = (struct dns_answer){ .status = DNS_FAILED, .why = "" };
}

/* ---- one record ---- */

static char *
read_host(ns_msg *m, const uint8_t *at, const uint8_t *end)
{
	char name[NS_MAXDNAME];

	if (at >= end ||
	    dn_expand(ns_msg_base(*m), ns_msg_end(*m), at, name, sizeof(name)) <
		0)
		return NULL;
	for (char *p = name; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 'a' - 'A');
	if (strcmp(name, ".") == 0)
		name[0] = '\0';
	return xstrdup(name);
}

static char *
read_strings(const uint8_t *at, const uint8_t *end)
{
	struct strbuf text = { 0 };

	while (at < end) {
		size_t len = *at++;

		if (len > (size_t)(end - at))
			len = (size_t)(end - at);
		strbuf_add(&text, at, len);
		at += len;
	}
	/* A NUL would end it for us, but not for others. */
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '\0')
			text.data[i] = '?';
	return strbuf_take(&text);
}

static char *
read_address(int family, size_t size, const uint8_t *at, size_t len)
{
	char text[INET6_ADDRSTRLEN];

	if (len != size || inet_ntop(family, at, text, sizeof(text)) == NULL)
		return NULL;
	return xstrdup(text);
}

/* NULL: there is no sense in it. */
static char *
read_data(ns_msg *m, ns_rr *rr, enum dns_type type, unsigned *preference_out)
{
	const uint8_t *at = ns_rr_rdata(*rr);
	size_t len = ns_rr_rdlen(*rr);

	*preference_out = 0;
	switch (type) {
	case DNS_A:
		return read_address(AF_INET, 4, at, len);
	case DNS_AAAA:
		return read_address(AF_INET6, 16, at, len);
	case DNS_PTR:
		return read_host(m, at, at + len);
	case DNS_TXT:
		return read_strings(at, at + len);
	case DNS_MX:
		if (len < 3)
			return NULL;
		*preference_out = ns_get16(at);
		return read_host(m, at + 2, at + len);
	}
	return NULL;
}

/* ---- the message ---- */

static void
lower_ttl(struct dns_answer *out, uint32_t ttl_s, bool *is_set)
{
	if (!*is_set || ttl_s < out->ttl_s)
		out->ttl_s = ttl_s;
	*is_set = true;
}

static void
read_records(ns_msg *m, enum dns_type type, struct dns_answer *out)
{
	bool is_set = false;
	ns_rr rr;

	for (int i = 0; i < ns_msg_count(*m, ns_s_an); i++) {
		struct dns_record record;

		if (ns_parserr(m, ns_s_an, i, &rr) < 0)
			break;
		if (ns_rr_class(rr) != ns_c_in)
			continue;
		if (ns_rr_type(rr) == ns_t_cname)
			lower_ttl(out, ns_rr_ttl(rr), &is_set);
		if ((enum dns_type)ns_rr_type(rr) != type ||
		    out->n == DNS_RECORDS_MAX)
			continue;
		record.text = read_data(m, &rr, type, &record.preference);
		if (record.text == NULL)
			continue;
		lower_ttl(out, ns_rr_ttl(rr), &is_set);
		if (out->v == NULL)
			out->v = xcalloc(DNS_RECORDS_MAX, sizeof(*out->v));
		out->v[out->n++] = record;
	}
}

/* RFC 2308 section 5: the lesser of the SOA's own TTL and its last field. */
static uint32_t
negative_ttl(ns_msg *m)
{
	ns_rr rr;

	for (int i = 0; i < ns_msg_count(*m, ns_s_ns); i++) {
		uint32_t minimum;

		if (ns_parserr(m, ns_s_ns, i, &rr) < 0)
			break;
		if (ns_rr_type(rr) != ns_t_soa || ns_rr_rdlen(rr) < 22)
			continue;
		minimum =
		    (uint32_t)ns_get32(ns_rr_rdata(rr) + ns_rr_rdlen(rr) - 4);
		return minimum < ns_rr_ttl(rr) ? minimum : ns_rr_ttl(rr);
	}
	return 0;
}

void
dns_answer_read(const uint8_t *message, size_t len, enum dns_type type,
    struct dns_answer *out)
{
	ns_msg m;
	unsigned code;

	*out = (struct dns_answer){ .status = DNS_FAILED, .why = "" };
	if (len > 65535 || ns_initparse(message, (int)len, &m) < 0 ||
	    !ns_msg_getflag(m, ns_f_qr)) {
		out->why = "the answer is garbled";
		return;
	}
	code = (unsigned)ns_msg_getflag(m, ns_f_rcode);
	if (code == ns_r_nxdomain) {
		out->status = DNS_NXDOMAIN;
		out->ttl_s = negative_ttl(&m);
		return;
	}
	if (code != ns_r_noerror) {
		out->why = code == ns_r_refused ? "the server refuses"
		    : code == ns_r_servfail	? "the server failed"
						: "the server reports an error";
		return;
	}
	read_records(&m, type, out);
	out->status = out->n > 0 ? DNS_OK : DNS_NODATA;
	if (out->n == 0)
		out->ttl_s = negative_ttl(&m);
}
