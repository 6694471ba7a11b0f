/* SPDX-License-Identifier: ISC */
#ifndef FLYBALL_MAIL_REPORT_PRIVATE_H
#define FLYBALL_MAIL_REPORT_PRIVATE_H

#include "sink/mail_report.h"

/* Shared by mail_report*.c only. Texts have line ends "\n" and no NUL. */

/* A value without blanks around it, bounded, without control characters. */
void report_set(char **field, const char *value, size_t len);
/* The same of a Message-ID, without < >. */
void report_set_id(char **field, const char *value);
/* NULL: there are REPORT_RECIPIENTS_MAX already. */
struct report_recipient *report_add_recipient(struct mail_report *r);
void report_drop_recipient(struct mail_report *r); /* the last one */

void report_read_delivery_status(struct mail_report *r, const char *text);
void report_read_feedback(struct mail_report *r, const char *text);
void report_read_header(struct mail_report *r, const char *text);

#endif
