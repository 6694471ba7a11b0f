/* SPDX-License-Identifier: ISC */
/*
 * How much of the world a listener trusts. Whoever is in `trusted` may send
 * without logging in, so a network that is too wide is an open relay; it is
 * refused unless the file says open_relay: true. Networks that nobody reaches
 * from outside (RFC 1918, 6598, 4193, link-local, loopback) may have any size.
 *
 * The measure is how many public addresses all networks of the listener have
 * together, so that no way to write the same thing gets around it.
 */
#include <arpa/inet.h>
#include <string.h>

#include "conf/rules.h"

/* A company may own a whole IPv4 /8, and of IPv6 at most about a /19; more than
 * a /16 is never one's own. IPv6 is counted in networks of /64. */
#define V4_MOST	     ((uint64_t)1 << 24)
#define V6_MOST	     ((uint64_t)1 << (64 - V6_MOST_BITS))
#define V6_MOST_BITS 16
#define V6_MORE_BITS 1 /* wider is counted as this: it is enough */

/* Of a kept network: IPv4 is ::ffff:a.b.c.d/96+n. */
static const struct {
	const char *address;
	unsigned prefix_bits;
} private_networks[] = {
	{ "::ffff:127.0.0.0", 104 },
	{ "::ffff:10.0.0.0", 104 },
	{ "::ffff:172.16.0.0", 108 },
	{ "::ffff:192.168.0.0", 112 },
	{ "::ffff:100.64.0.0", 106 },
	{ "::ffff:169.254.0.0", 112 },
	{ "fc00::", 7 },
	{ "fe80::", 10 },
	{ "::1", 128 },
};

static const struct in6_addr v4_mapped = { .s6_addr = { [10] = 0xff, 0xff } };

static bool
is_within(const struct in6_addr *a, unsigned a_bits, const struct in6_addr *b,
    unsigned b_bits)
{
	unsigned whole = b_bits / 8, rest = b_bits % 8;

	if (a_bits < b_bits || memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 ||
	    (a->s6_addr[whole] ^ b->s6_addr[whole]) >> (8 - rest) == 0;
}

static bool
is_private(const struct conf_cidr *c)
{
	const size_t n = sizeof(private_networks) / sizeof(private_networks[0]);

	for (size_t i = 0; i < n; i++) {
		struct in6_addr a;

		if (inet_pton(AF_INET6, private_networks[i].address, &a) == 1 &&
		    is_within(&c->address, c->prefix_bits, &a,
			private_networks[i].prefix_bits))
			return true;
	}
	return false;
}

/* How much of the public IPv4 world is in it, also as ::ffff:0:0/96. */
static uint64_t
n_public_v4(const struct conf_cidr *c)
{
	if (is_private(c))
		return 0;
	if (is_within(&c->address, c->prefix_bits, &v4_mapped, 96))
		return (uint64_t)1 << (128 - c->prefix_bits);
	return is_within(&v4_mapped, 96, &c->address, c->prefix_bits)
	    ? (uint64_t)1 << 32
	    : 0;
}

/* Of the IPv6 world; what has IPv4 in it as well is told by that. */
static uint64_t
n_public_v6(const struct conf_cidr *c)
{
	unsigned bits = c->prefix_bits;

	if (is_private(c) || is_within(&c->address, bits, &v4_mapped, 96))
		return 0;
	if (bits < V6_MORE_BITS)
		bits = V6_MORE_BITS;
	return bits < 64 ? (uint64_t)1 << (64 - bits) : 1;
}

void
rule_check_trust(const struct rules *r, const struct conf_listener *l,
    const char *item)
{
	uint64_t n_v4 = 0, n_v6 = 0;
	bool is_wide = false;

	for (size_t i = 0; i < l->n_trusted; i++) {
		const struct conf_cidr *c = &l->trusted[i];
		char i_text[RULE_ITEM_SIZE];

		n_v4 += n_public_v4(c);
		n_v6 += n_public_v6(c);
		if (n_v6 > 2 * V6_MOST) /* many of the widest don't overflow */
			n_v6 = 2 * V6_MOST;
		if (n_v4 <= V4_MOST && n_v6 <= V6_MOST)
			continue;
		is_wide = true;
		if (!l->open_relay)
			rule_fail(r,
			    PATH("listeners", item, "trusted",
				rule_item(i, i_text)),
			    "with %s so much of the world is trusted that "
			    "this were an open relay; if it is meant, say "
			    "open_relay: true",
			    c->text);
	}
	if (l->open_relay && !is_wide)
		rule_fail(r, PATH("listeners", item, "open_relay"),
		    "trusted isn't so wide that it were needed");
}
