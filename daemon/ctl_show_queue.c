/* SPDX-License-Identifier: ISC */
/* `queue`, `message`, and what retry, bounce, drop and reroute did, for
 * people. */
#include <string.h>

#include "conf/base/strbuf.h"
#include "daemon/ctl_show.h"
#include "daemon/ctl_text.h"

static enum colour
state_colour(const json_t *entry)
{
	const char *state = ctl_str(entry, "state");

	if (strcmp(state, "deferred") == 0)
		return YELLOW;
	return strcmp(state, "inflight") == 0 ? GREEN : PLAIN;
}

/* "r1@a.test" or "r1@a.test and 4 more". */
static void
add_recipients(struct strbuf *out, const json_t *entry)
{
	const json_t *list = json_object_get(entry, "recipients");
	const char *first = json_string_value(json_array_get(list, 0));
	int64_t n = ctl_int(entry, "recipient_count");

	text_add_clean(out, first != NULL ? first : "-", " ");
	if (n > 1)
		strbuf_addf(out, " and %lld more", (long long)(n - 1));
}

static void
entry_row(struct table *t, const json_t *e)
{
	struct strbuf text = { 0 };

	ctl_cell(t, PLAIN, e, "message");
	ctl_cell(t, state_colour(e), e, "state");
	ctl_cell(t, PLAIN, e, "age_ms");
	ctl_cell(t, PLAIN, e, "due_in_ms");
	ctl_cell(t, PLAIN, e, "attempts");
	ctl_cell(t, PLAIN, e, "size_bytes");
	ctl_cell(t, PLAIN, e, "stream");
	ctl_cell(t, PLAIN, e, "lane");
	text_add_clean(&text, ctl_str(e, "sender"), " ");
	table_cell(t, PLAIN, text.len > 0 ? text.data : "<>");
	strbuf_fini(&text);
	add_recipients(&text, e);
	table_cell(t, PLAIN, text.data);
	strbuf_fini(&text);
	ctl_cell(t, PLAIN, e, "reply");
}

void
ctl_show_queue(const struct ctl *ctl, const json_t *result)
{
	struct table *t = table_new(ctl);
	const json_t *e;
	size_t i;

	table_column(t, "MESSAGE", false);
	table_column(t, "STATE", false);
	table_column(t, "AGE", true);
	table_column(t, "NEXT IN", true);
	table_column(t, "TRIED", true);
	table_optional(t);
	table_column(t, "SIZE", true);
	table_optional(t);
	table_column(t, "STREAM", false);
	table_optional(t);
	table_column(t, "LANE", false);
	table_max(t, 28);
	table_column(t, "FROM", false);
	table_max(t, 30);
	table_column(t, "TO", false);
	table_max(t, 40);
	table_column(t, "LAST REPLY", false);
	table_optional(t);
	json_array_foreach(result, i, e) entry_row(t, e);
	ctl_print_table(t, "nothing is queued that fits");
}

/* ---- message ---- */

static void
show_delivery(const struct ctl *ctl, const json_t *d)
{
	const json_t *recipient;
	size_t i;

	printf("\n%sdelivery %lld%s by %s: %s%s%s, tried %lld times",
	    colour_on(ctl, BOLD), (long long)ctl_int(d, "number"),
	    colour_off(ctl, BOLD),
	    *ctl_str(d, "lane") ? ctl_str(d, "lane") : ctl_str(d, "provider"),
	    colour_on(ctl, state_colour(d)), ctl_str(d, "state"),
	    colour_off(ctl, state_colour(d)),
	    (long long)ctl_int(d, "attempts"));
	if (ctl_int(d, "ahead") > 0)
		printf(", %s ahead of it", ctl_count(d, "ahead"));
	if (json_is_number(json_object_get(d, "due_in_ms")))
		printf(", next in %s", ctl_span(d, "due_in_ms"));
	if (json_is_number(json_object_get(d, "expires_in_ms")))
		printf(", expires in %s", ctl_span(d, "expires_in_ms"));
	putchar('\n');
	json_array_foreach(json_object_get(d, "recipients"), i, recipient)
	    ctl_print_reply("  to ", json_string_value(recipient));
	if (*ctl_str(d, "reply") != '\0') {
		puts("  last reply:");
		ctl_print_reply("    ", ctl_str(d, "reply"));
	}
}

void
ctl_show_message(const struct ctl *ctl, const json_t *result)
{
	const json_t *d;
	size_t i;

	printf("%s%s%s\n", colour_on(ctl, BOLD), ctl_str(result, "message"),
	    colour_off(ctl, BOLD));
	if (*ctl_str(result, "sender") != '\0')
		ctl_line("from", result, "sender");
	else
		printf("%-12s <> (a notification)\n", "from");
	ctl_line("arrived", result, "arrived");
	ctl_line("age", result, "age_ms");
	ctl_line("size", result, "size_bytes");
	ctl_line("stream", result, "stream");
	ctl_line("user", result, "user");
	ctl_line("client", result, "client");
	ctl_line("helo", result, "helo");
	ctl_line("ENVID", result, "envid");
	ctl_line("RET", result, "ret");
	json_array_foreach(json_object_get(result, "deliveries"), i, d)
	    show_delivery(ctl, d);
}

/* ---- retry, bounce, drop, reroute ---- */

/* "12 of 15 deliveries (20 recipients) dropped". */
void
ctl_show_changed(const struct ctl *ctl, const json_t *result)
{
	static const struct {
		const char *action, *would, *did;
	} words[] = {
		{ "retry", "would be tried now", "are tried now" },
		{ "bounce", "would be returned", "returned" },
		{ "drop", "would be dropped", "dropped" },
		{ "reroute", "would go another way", "go another way now" },
	};
	const char *words_found = "changed";
	bool is_dry_run = ctl_true(result, "dry_run");

	(void)ctl;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(words[i].action, ctl_str(result, "action")) == 0)
			words_found =
			    is_dry_run ? words[i].would : words[i].did;
	printf("%s of %s deliveries (%s recipients) %s%s\n",
	    ctl_count(result, "changed"), ctl_count(result, "matched"),
	    ctl_count(result, "recipients"), words_found,
	    is_dry_run ? "; nothing was done" : "");
	if (ctl_int(result, "in_flight") > 0)
		printf("%s are being sent just now and were left alone\n",
		    ctl_count(result, "in_flight"));
	if (ctl_int(result, "unreadable") > 0)
		printf("%s could not be read from disk: see the log\n",
		    ctl_count(result, "unreadable"));
}
