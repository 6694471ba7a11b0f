/* SPDX-License-Identifier: ISC */
/* `history` for people. */
#include <string.h>

#include "conf/base/strbuf.h"
#include "daemon/ctl_show.h"
#include "daemon/ctl_text.h"

static void
rate_cell(struct table *t, const json_t *point)
{
	const json_t *rate = json_object_get(point, "rate_per_s");
	struct strbuf text = { 0 };

	if (json_is_null(rate)) {
		table_cell(t, FAINT, "no limit");
		return;
	}
	strbuf_addf(&text, "%.3g/s", json_number_value(rate));
	table_cell(t, PLAIN, text.data);
	strbuf_fini(&text);
}

static void
refused_cell(struct table *t, const json_t *point)
{
	json_t *refused = json_object_get(point, "refused");
	struct strbuf text = { 0 };
	const char *class;
	json_t *n;

	json_object_foreach(refused, class, n) strbuf_addf(&text, "%s%s %lld",
	    text.len > 0 ? ", " : "", class, (long long)json_integer_value(n));
	table_cell(t, text.len > 0 ? YELLOW : FAINT,
	    text.len > 0 ? text.data : "-");
	strbuf_fini(&text);
}

void
ctl_show_history(const struct ctl *ctl, const json_t *result)
{
	static const char *const keys[] = { "accepted", "delivered", "deferred",
		"bounced", "queued" };
	struct table *t = table_new(ctl);
	const json_t *point;
	size_t i, k;

	table_column(t, "AT", false);
	table_column(t, "ACCEPTED", true);
	table_column(t, "DELIVERED", true);
	table_column(t, "DEFERRED", true);
	table_column(t, "BOUNCED", true);
	table_column(t, "QUEUED", true);
	table_column(t, "ALLOWED", true);
	table_column(t, "REFUSED", false);
	table_column(t, "LAST REFUSAL", false);
	table_optional(t);
	json_array_foreach(json_object_get(result, "points"), i, point)
	{
		ctl_cell(t, PLAIN, point, "at");
		for (k = 0; k < sizeof(keys) / sizeof(*keys); k++)
			ctl_cell(t, ctl_int(point, keys[k]) > 0 ? PLAIN : FAINT,
			    point, keys[k]);
		rate_cell(t, point);
		refused_cell(t, point);
		ctl_cell(t, PLAIN, point, "reply");
	}
	ctl_print_table(t, "nothing happened in that time");
}
