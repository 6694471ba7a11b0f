/* SPDX-License-Identifier: ISC */
/*
 * The syntax of SMTP commands: verbs, paths and parameters, judged by RFC 5321
 * and the RFCs of the extensions that the server offers. The session calls it
 * with one line at a time and decides what the command means in its state;
 * nothing here knows a session, a limit or a user.
 *
 * Parameters that go on to the next hop (ENVID, ORCPT) are kept as given, so
 * they are checked to the letter: what we took another server must take too.
 */
#include "daemon/smtp_command.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REPLY_PARAMETER "501 5.5.4 Bad value of parameter "

static const char *const verb_names[VERB_COUNT] = {
	[VERB_UNKNOWN] = "?",
	[VERB_AUTH] = "AUTH",
	[VERB_BDAT] = "BDAT",
	[VERB_DATA] = "DATA",
	[VERB_EHLO] = "EHLO",
	[VERB_EXPN] = "EXPN",
	[VERB_HELO] = "HELO",
	[VERB_HELP] = "HELP",
	[VERB_MAIL] = "MAIL",
	[VERB_NOOP] = "NOOP",
	[VERB_QUIT] = "QUIT",
	[VERB_RCPT] = "RCPT",
	[VERB_RSET] = "RSET",
	[VERB_STARTTLS] = "STARTTLS",
	[VERB_VRFY] = "VRFY",
};

enum smtp_verb
smtp_verb_parse(const char *line, const char **args_out)
{
	size_t len = strcspn(line, " \t");
	int verb;

	*args_out = line + len + strspn(line + len, " \t");
	for (verb = VERB_UNKNOWN + 1; verb < VERB_COUNT; verb++)
		if (strncasecmp(line, verb_names[verb], len) == 0 &&
		    verb_names[verb][len] == '\0')
			return (enum smtp_verb)verb;
	return VERB_UNKNOWN;
}

/* ---- values ---- */

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/*
 * RFC 3461 4: xtext of printable ASCII. The hex digits are upper case there,
 * and what they hide must be printable too, or a DSN that quotes the value
 * could be given lines of the client's making.
 */
static bool
is_xtext(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		int high, low;

		if (s[i] < 33 || s[i] > 126 || s[i] == '=')
			return false;
		if (s[i] != '+')
			continue;
		if (i + 2 >= len)
			return false;
		high = hex_value(s[i + 1]);
		low = hex_value(s[i + 2]);
		if (high < 0 || low < 0 || high * 16 + low < 32 ||
		    high * 16 + low > 126)
			return false;
		i += 2;
	}
	return true;
}

static bool
value_is(const char *value, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(value, word, len) == 0;
}

static const char *
read_size(struct smtp_mail *m, const char *value, size_t len)
{
	uint64_t size = 0;
	size_t i;

	if (len == 0 || len > 20) /* RFC 1870 4 */
		return REPLY_PARAMETER "SIZE";
	for (i = 0; i < len; i++) {
		if (!isdigit((unsigned char)value[i]))
			return REPLY_PARAMETER "SIZE";
		if (__builtin_mul_overflow(size, 10, &size) ||
		    __builtin_add_overflow(size, (uint64_t)(value[i] - '0'),
			&size)) {
			size = UINT64_MAX;
			break;
		}
	}
	m->size_bytes = size;
	return NULL;
}

static const char *
read_body(struct smtp_mail *m, const char *value, size_t len)
{
	if (value_is(value, len, "7BIT"))
		m->body = BODY_7BIT;
	else if (value_is(value, len, "8BITMIME"))
		m->body = BODY_8BITMIME;
	else if (value_is(value, len, "BINARYMIME"))
		return "555 5.5.4 BODY=BINARYMIME is not offered here";
	else
		return REPLY_PARAMETER "BODY";
	return NULL;
}

static const char *
read_smtputf8(struct smtp_mail *m, const char *value, size_t len)
{
	(void)len;
	if (value != NULL)
		return "501 5.5.4 SMTPUTF8 takes no value";
	m->smtputf8 = true;
	return NULL;
}

static const char *
read_ret(struct smtp_mail *m, const char *value, size_t len)
{
	if (value_is(value, len, "FULL"))
		m->ret = RET_FULL;
	else if (value_is(value, len, "HDRS"))
		m->ret = RET_HDRS;
	else
		return REPLY_PARAMETER "RET";
	return NULL;
}

static const char *
read_envid(struct smtp_mail *m, const char *value, size_t len)
{
	if (len == 0 || len > ENVID_MAX || !is_xtext(value, len))
		return REPLY_PARAMETER "ENVID";
	memcpy(m->envid, value, len);
	m->envid[len] = '\0';
	return NULL;
}

/* RFC 4954 5: who the sender was to an earlier server. We trust only our own
 * users, which the RFC lets us: read and forgotten. */
static const char *
read_auth(struct smtp_mail *m, const char *value, size_t len)
{
	(void)m;
	if (len == 0 || len > ORCPT_MAX ||
	    (!value_is(value, len, "<>") && !is_xtext(value, len)))
		return REPLY_PARAMETER "AUTH";
	return NULL;
}

static const char *
read_notify(struct smtp_rcpt *r, const char *value, size_t len)
{
	static const struct {
		const char *word;
		uint8_t bit;
	} words[] = {
		{ "NEVER", NOTIFY_NEVER },
		{ "SUCCESS", NOTIFY_SUCCESS },
		{ "FAILURE", NOTIFY_FAILURE },
		{ "DELAY", NOTIFY_DELAY },
	};
	const char *end = value + len, *comma;
	size_t i;

	for (;; value = comma + 1) {
		comma = memchr(value, ',', (size_t)(end - value));
		len = (size_t)((comma != NULL ? comma : end) - value);
		for (i = 0; i < 4; i++)
			if (value_is(value, len, words[i].word))
				break;
		if (i == 4)
			return REPLY_PARAMETER "NOTIFY";
		r->notify |= words[i].bit;
		if (comma == NULL)
			break;
	}
	if ((r->notify & NOTIFY_NEVER) && r->notify != NOTIFY_NEVER)
		return "501 5.5.4 NOTIFY=NEVER stands alone";
	return NULL;
}

/* "type;xtext"; of type utf-8 also plain UTF-8 (RFC 6533 3), which the caller
 * allows or not with the rest of the line. */
static const char *
read_orcpt(struct smtp_rcpt *r, const char *value, size_t len)
{
	const char *semicolon = memchr(value, ';', len);
	size_t type_len = semicolon ? (size_t)(semicolon - value) : 0, i;
	char plain[ORCPT_MAX];
	bool is_utf8;

	if (len > ORCPT_MAX || type_len == 0 || type_len + 1 == len)
		return REPLY_PARAMETER "ORCPT";
	for (i = 0; i < type_len; i++)
		if (!isalnum((unsigned char)value[i]) && value[i] != '-')
			return REPLY_PARAMETER "ORCPT";
	is_utf8 = value_is(value, type_len, "utf-8");
	len -= type_len + 1;
	for (i = 0; i < len; i++) {
		char c = semicolon[1 + i];

		plain[i] = is_utf8 && (unsigned char)c >= 0x80 ? 'u' : c;
	}
	if (!is_xtext(plain, len) || !utf8_is_valid(semicolon + 1, len))
		return REPLY_PARAMETER "ORCPT";
	len += type_len + 1;
	memcpy(r->orcpt, value, len);
	r->orcpt[len] = '\0';
	return NULL;
}

/* ---- parameters ---- */

struct parameter {
	const char *name;
	bool value_is_optional;
	const char *(*mail)(struct smtp_mail *m, const char *value, size_t len);
	const char *(*rcpt)(struct smtp_rcpt *r, const char *value, size_t len);
};

static const struct parameter mail_parameters[] = {
	{ .name = "SIZE", .mail = read_size },
	{ .name = "BODY", .mail = read_body },
	{ .name = "SMTPUTF8",
	    .mail = read_smtputf8,
	    .value_is_optional = true },
	{ .name = "RET", .mail = read_ret },
	{ .name = "ENVID", .mail = read_envid },
	{ .name = "AUTH", .mail = read_auth },
	{ 0 },
};

static const struct parameter rcpt_parameters[] = {
	{ .name = "NOTIFY", .rcpt = read_notify },
	{ .name = "ORCPT", .rcpt = read_orcpt },
	{ 0 },
};

/* esmtp-param of RFC 5321 4.1.2: is its keyword spelled right? */
static bool
keyword_is_valid(const char *s, size_t len)
{
	size_t i;

	if (len == 0 || *s == '-')
		return false;
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '-')
			return false;
	return true;
}

static const char *
read_parameter(const struct parameter *table, const char *word, size_t len,
    unsigned *seen, struct smtp_mail *m, struct smtp_rcpt *r)
{
	const char *equals = memchr(word, '=', len);
	const char *value = equals != NULL ? equals + 1 : NULL;
	size_t name_len = equals != NULL ? (size_t)(equals - word) : len;
	size_t value_len = equals != NULL ? len - name_len - 1 : 0;
	const struct parameter *p;
	unsigned bit = 1;

	if (!keyword_is_valid(word, name_len))
		return "501 5.5.4 Bad parameter syntax";
	for (p = table; p->name != NULL; p++, bit <<= 1)
		if (value_is(word, name_len, p->name))
			break;
	if (p->name == NULL)
		return "555 5.5.4 Unsupported parameter";
	if (*seen & bit)
		return "501 5.5.4 A parameter is given twice";
	*seen |= bit;
	if (value == NULL && !p->value_is_optional)
		return "501 5.5.4 A parameter lacks its value";
	return p->mail != NULL ? p->mail(m, value, value_len)
			       : p->rcpt(r, value, value_len);
}

static const char *
read_parameters(const struct parameter *table, const char *s,
    struct smtp_mail *m, struct smtp_rcpt *r)
{
	unsigned seen = 0;

	while (*(s += strspn(s, " \t")) != '\0') {
		size_t len = strcspn(s, " \t");
		const char *refusal =
		    read_parameter(table, s, len, &seen, m, r);

		if (refusal != NULL)
			return refusal;
		s += len;
	}
	return NULL;
}

/* ---- commands ---- */

/* "FROM:" or "TO:", a blank behind it forgiven as so many clients send one. */
static const char *
skip_word(const char *args, const char *word)
{
	size_t len = strlen(word);

	if (strncasecmp(args, word, len) != 0)
		return NULL;
	return args + len + strspn(args + len, " ");
}

/* Parameters are set off by a blank. */
static bool
path_ends_at(const char *s)
{
	return *s == '\0' || *s == ' ' || *s == '\t';
}

const char *
smtp_mail_parse(const char *args, struct smtp_mail *out)
{
	const char *path = skip_word(args, "FROM:"), *refusal;
	enum address_result result;
	size_t used;

	*out = (struct smtp_mail){ 0 };
	if (path == NULL)
		return "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]";
	/* SMTPUTF8 comes behind the path that it is about. */
	result = address_parse_path(path, strlen(path), true, out->path, &used);
	if (result == ADDRESS_TOO_LONG)
		return "501 5.1.7 Sender address too long";
	if (result != ADDRESS_OK || !path_ends_at(path + used))
		return "501 5.1.7 Bad sender address syntax";
	if (*out->path != '\0' && *address_domain(out->path) == '\0')
		return "501 5.1.7 Sender address needs a domain";
	refusal = read_parameters(mail_parameters, path + used, out, NULL);
	if (refusal != NULL)
		return refusal;
	if (!out->smtputf8 && !address_is_ascii(out->path))
		return "553 5.6.7 Sender address needs SMTPUTF8";
	return NULL;
}

const char *
smtp_rcpt_parse(const char *args, bool utf8_ok, struct smtp_rcpt *out)
{
	const char *path = skip_word(args, "TO:"), *refusal;
	enum address_result result;
	size_t used;

	*out = (struct smtp_rcpt){ 0 };
	if (path == NULL)
		return "501 5.5.4 Syntax: RCPT TO:<address> [parameters]";
	result =
	    address_parse_path(path, strlen(path), utf8_ok, out->path, &used);
	if (result == ADDRESS_NEEDS_UTF8)
		return "553 5.6.7 Recipient address needs SMTPUTF8";
	if (result == ADDRESS_TOO_LONG)
		return "501 5.1.3 Recipient address too long";
	if (result != ADDRESS_OK || *out->path == '\0' ||
	    !path_ends_at(path + used))
		return "501 5.1.3 Bad recipient address syntax";
	if (*address_domain(out->path) == '\0')
		return "550 5.1.3 Recipient address needs a domain";
	refusal = read_parameters(rcpt_parameters, path + used, NULL, out);
	if (refusal != NULL)
		return refusal;
	if (!utf8_ok && !address_is_ascii(out->orcpt))
		return REPLY_PARAMETER "ORCPT";
	return NULL;
}

int
smtp_bdat_parse(const char *args, uint64_t *size_out, bool *last_out)
{
	char *end;

	*last_out = false;
	if (!isdigit((unsigned char)*args))
		return -1;
	errno = 0;
	*size_out = strtoull(args, &end, 10);
	if (errno != 0 || !path_ends_at(end))
		return -1;
	end += strspn(end, " \t");
	if (*end == '\0')
		return 0;
	*last_out = true;
	return strcasecmp(end, "LAST") == 0 ? 0 : -1;
}

bool
smtp_helo_is_valid(const char *args)
{
	size_t i;

	for (i = 0; args[i] != '\0'; i++)
		if (!isalnum((unsigned char)args[i]) &&
		    strchr("-._:[]", args[i]) == NULL)
			return false;
	return i > 0 && i <= ADDRESS_DOMAIN_MAX;
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ssize_t
smtp_base64_decode(const char *text, size_t len, char *out, size_t size)
{
	size_t used = 0, i, n_pad = 0;
	uint32_t bits = 0;

	if (len % 4 != 0)
		return -1;
	while (n_pad < 2 && n_pad < len && text[len - 1 - n_pad] == '=')
		n_pad++;
	if (len / 4 * 3 - n_pad > size)
		return -1;
	for (i = 0; i < len - n_pad; i++) {
		int value = base64_value(text[i]);

		if (value < 0)
			return -1;
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 == 0)
			continue;
		out[used++] = (char)(bits >> (6 - i % 4 * 2));
	}
	/* Bits that belong to no octet are zero (RFC 4648 3.5). */
	if (n_pad > 0 && (bits & ((1u << (n_pad * 2)) - 1)) != 0)
		return -1;
	return (ssize_t)used;
}
