/* SPDX-License-Identifier: ISC */
/*
 * The root of the key table: the sections of the file, in the order in which
 * the manual and the dump show them.
 */
#include "conf/key_types.h"
#include "conf/keys_sections.h"

#define AT(f)	 .offset = offsetof(struct conf, f)
#define COUNT(f) .n_offset = offsetof(struct conf, f)

static const struct key root_keys[] = {
	{ "daemon", &type_map, AT(daemon), .section = &section_daemon,
	    .text = "The daemon itself." },
	{ "listeners", &type_list, AT(listeners), COUNT(n_listeners),
	    .section = &section_listener,
	    .initial_doc = "127.0.0.1:2525 for local clients",
	    .text = "How mail comes in." },
	{ "tls", &type_map, AT(tls), .section = &section_tls,
	    .text = "TLS of the listeners." },
	{ "auth", &type_map, AT(auth), .section = &section_auth,
	    .text = "Who may log in." },
	{ "limits", &type_map, AT(limits), .section = &section_limits,
	    .text = "What one client may take." },
	{ "spool", &type_map, AT(spool), .section = &section_spool,
	    .text = "Where accepted mail is kept." },
	{ "dns", &type_map, AT(dns), .section = &section_dns,
	    .text = "Name servers, and whether MX hosts are looked up." },
	{ "providers", &type_named, AT(providers), COUNT(n_providers),
	    .section = &section_provider, .initial_doc = "the built-in set",
	    .text = "Mailbox providers: which domains are one receiving "
		    "system, and what it bears. What is given here goes over "
		    "the built-in set, key by key. \"other\" is every domain "
		    "that no provider claims, one lane for each set of MX "
		    "hosts." },
	{ "routes", &type_named, AT(routes), COUNT(n_routes),
	    .section = &section_route, .flags = KEY_REQUIRED,
	    .text = "Ways out: an MTA that sends, usually by one IP "
		    "address." },
	{ "streams", &type_named, AT(streams), COUNT(n_streams),
	    .section = &section_stream,
	    .initial_doc = "default, by all routes in order",
	    .text = "Kinds of mail. The first match wins; default takes what "
		    "is left." },
	{ "senders", &type_named, AT(senders), COUNT(n_senders),
	    .section = &section_sender,
	    .text = "Our sender domains: their own warmup beside their "
		    "route's (both must have room), what blocklists and the "
		    "doctor look after." },
	{ "plans", &type_named, AT(plans), COUNT(n_plans),
	    .section = &section_plan, .initial_doc = "the built-in ones",
	    .text = "Warmup plans. Ready-made ones are built in and can be "
		    "used by name; a plan of the same name goes over such a "
		    "one, key by key." },
	{ "adapt", &type_map, AT(adapt), .section = &section_adapt,
	    .text = "How every lane follows what its provider bears." },
	{ "spike_guard", &type_map, AT(spike_guard),
	    .given_offset = offsetof(struct conf, spike_guard.is_given),
	    .section = &section_spike_guard, .initial_doc = "off",
	    .text = "Keeps a lane's day near what it was used to, after "
		    "warmup too. Off unless it is given." },
	{ "suppression", &type_map, AT(suppression),
	    .section = &section_suppression,
	    .text = "Recipients that bounced aren't tried again." },
	{ "list_health", &type_map, AT(list_health),
	    .given_offset = offsetof(struct conf, list_health.is_given),
	    .section = &section_list_health, .initial_doc = "off",
	    .text = "Stops a stream whose list is dirty. Off unless it is "
		    "given." },
	{ "blocklists", &type_map, AT(blocklists),
	    .section = &section_blocklists, .initial_doc = "none",
	    .text = "Lists on which a route's address or a sender domain may "
		    "stand." },
	{ "feedback", &type_map, AT(feedback), .section = &section_feedback,
	    .text = "What became of mail after a next hop took it." },
	{ "cluster", &type_map, AT(cluster),
	    .given_offset = offsetof(struct conf, cluster.is_given),
	    .section = &section_cluster, .initial_doc = "this relay alone",
	    .text = "Several relays that share their lanes' limits, through "
		    "one Redis. Off unless it is given; giving it, or taking "
		    "it away, needs a restart." },
	{ 0 },
};

const struct section section_conf = {
	.size = sizeof(struct conf),
	.keys = root_keys,
};
