/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_KEY_TYPES_H
#define FLYBALL_KEY_TYPES_H

#include "conf/keys.h"

/* What a value can be. The comment names the field's C type. */
extern const struct key_type type_text;	    /* char *, never NULL */
extern const struct key_type type_bool;	    /* bool */
extern const struct key_type type_word;	    /* an enum; words */
extern const struct key_type type_number;   /* unsigned */
extern const struct key_type type_count;    /* int64_t */
extern const struct key_type type_duration; /* int64_t, microseconds */
extern const struct key_type type_size;	    /* int64_t, bytes */
extern const struct key_type type_share;    /* int64_t, permille */
extern const struct key_type type_below;    /* "<10%"; int64_t, permille */
extern const struct key_type type_factor;   /* "1.5"; int64_t, permille */
extern const struct key_type type_mode;	    /* "0660"; unsigned */
extern const struct key_type type_rate;	    /* struct rate, limited */
extern const struct key_type type_rates;    /* struct conf_rates */
extern const struct key_type type_names;    /* struct conf_names */
extern const struct key_type type_domains; /* the same, with key_check_domain */
extern const struct key_type type_networks; /* struct conf_cidr *, count */
extern const struct key_type type_endpoint; /* struct conf_endpoint */
extern const struct key_type type_headers;  /* struct conf_header_match * */

/* Checks for `struct key`.check and `struct section`.check_name. */
bool key_check_name(struct reader *r, struct node *n, char **text);
bool key_check_hostname(struct reader *r, struct node *n, char **text);
bool key_check_domain(struct reader *r, struct node *n, char **text);
/* "example.net", or ".example.net" for what is below it too. */
bool key_check_domain_pattern(struct reader *r, struct node *n, char **text);
bool key_check_address(struct reader *r, struct node *n, char **text);
bool key_check_path(struct reader *r, struct node *n, char **text);
/* Without blanks and controls; may be empty. */
bool key_check_plain(struct reader *r, struct node *n, char **text);

/* The scalar's text; NULL when it is none, which is reported. */
const char *key_node_text(struct reader *r, struct node *n, const char *wanted);
/* Text as a YAML scalar: plain where that is safe. */
void key_write_text(const char *text, struct strbuf *out);
/* A measure of a type such as type_count, with its words and bounds. */
bool key_read_measure(struct reader *r, const struct key *k, struct node *n,
    int64_t *out);
const char *key_word_of(const struct key_word *words, int64_t value);
/* One value as a list of it: its items and their number; NULL when it is
 * neither, which is reported. */
struct node *const *key_items_of(struct reader *r, struct node *const *n,
    size_t *count_out, const char *wanted);

/* What stands in the file, one line without its end; NULL: err_out says why.
 * Freed by the other, which overwrites it; NULL in there is fine. */
char *key_read_secret(const char *file, struct err *err_out);
void key_free_secret(char **secret);

#endif
