/* SPDX-License-Identifier: ISC */
/*
 * What each provider says when it says no. The wording follows replies that
 * senders published (postmaster pages, bounce corpora), as that is what a
 * classifier must understand: the same 421 is a speed limit at one house and
 * maintenance at the next, some give no enhanced code, some say in a 550 that
 * one is too fast. Addresses are replaced by documentation ones.
 */
#include "tests/provider/voice.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SENDER_IP "192.0.2.10"

static const struct provider_voice table[] = {
	{ .name = "plain",
	    .banner = "mx.example.net ESMTP",
	    .rate_phase = PROVIDER_MAIL,
	    .words = {
		[PROVIDER_OK] = { 250, "2.0.0", "Ok: queued" },
		[PROVIDER_RATE] = { 450, "4.7.1",
		    "Error: too much mail from %i" },
		[PROVIDER_DAILY] = { 450, "4.7.1",
		    "Error: daily message limit exceeded for %i" },
		[PROVIDER_CONNECTIONS] = { 421, "4.7.0",
		    "mx.example.net Error: too many connections from %i" },
		[PROVIDER_REPUTATION_DEFER] = { 421, "4.7.0",
		    "Messages from %i temporarily deferred due to poor "
		    "reputation" },
		[PROVIDER_REPUTATION_REJECT] = { 554, "5.7.1",
		    "Service unavailable; Client host [%i] blocked due to poor "
		    "reputation" },
		[PROVIDER_GREYLIST] = { 450, "4.2.0",
		    "<%r>: Recipient address rejected: Greylisted, please try "
		    "again later" },
		[PROVIDER_UNKNOWN_USER] = { 550, "5.1.1",
		    "<%r>: Recipient address rejected: User unknown" },
		[PROVIDER_MAILBOX_FULL] = { 452, "4.2.2",
		    "<%r>: Mailbox full" },
		[PROVIDER_CONTENT] = { 554, "5.7.1",
		    "Message contains a virus" },
		[PROVIDER_SYSTEM] = { 451, "4.3.0",
		    "Temporary lookup error" },
		[PROVIDER_MAINTENANCE] = { 421, "4.3.2",
		    "System not accepting network messages" },
		[PROVIDER_TOO_MANY_RCPTS] = { 452, "4.5.3",
		    "Error: too many recipients" },
		[PROVIDER_MESSAGES] = { 421, "4.7.0",
		    "Too many messages on this connection, please reconnect" },
	    } },
	{ .name = "gmail",
	    .banner = "mx.google.com ESMTP 4fb4d7f45d1cf - gsmtp",
	    .rate_phase = PROVIDER_EOD,
	    .words = {
		[PROVIDER_OK] = { 250, "2.0.0",
		    "OK  1764032400 4fb4d7f45d1cf - gsmtp" },
		[PROVIDER_RATE] = { 421, "4.7.28",
		    "Gmail has detected an unusual rate of mail originating "
		    "from\nyour IP address %i. To protect our users from spam,"
		    "\nmail has been temporarily rate limited. To review our "
		    "bulk\nemail senders guidelines, go to "
		    "https://support.google.com/mail/?p=UnsolicitedRateLimitError"
		    " - gsmtp" },
		[PROVIDER_DAILY] = { 421, "4.7.28",
		    "[%i] Our system has detected an unusual rate of\n"
		    "unsolicited mail originating from your IP address. To "
		    "protect our\nusers from spam, mail sent from your IP "
		    "address has been temporarily\nrate limited. Please visit "
		    "https://support.google.com/mail/?p=UnsolicitedRateLimitError"
		    " - gsmtp" },
		[PROVIDER_CONNECTIONS] = { 421, "4.7.0",
		    "Too many connections from your IP address %i, closing "
		    "connection. - gsmtp" },
		[PROVIDER_REPUTATION_DEFER] = { 421, "4.7.0",
		    "[%i] Our system has detected that this message is\n"
		    "suspicious due to the very low reputation of the sending "
		    "domain. - gsmtp" },
		[PROVIDER_REPUTATION_REJECT] = { 550, "5.7.1",
		    "[%i] Our system has detected that this message is\n"
		    "likely suspicious due to the very low reputation of the "
		    "sending\ndomain. To best protect our users from spam, the "
		    "message has been\nblocked. Please visit "
		    "https://support.google.com/mail/answer/188131 for more "
		    "information. - gsmtp" },
		[PROVIDER_UNKNOWN_USER] = { 550, "5.1.1",
		    "The email account that you tried to reach does not "
		    "exist. Please try\ndouble-checking the recipient's email "
		    "address for typos or\nunnecessary spaces. - gsmtp" },
		[PROVIDER_MAILBOX_FULL] = { 452, "4.2.2",
		    "The email account that you tried to reach is over quota. "
		    "Please direct\nthe recipient to "
		    "https://support.google.com/mail/?p=OverQuotaTemp - gsmtp" },
		[PROVIDER_CONTENT] = { 552, "5.7.0",
		    "Our system detected an illegal attachment on your "
		    "message. - gsmtp" },
		[PROVIDER_SYSTEM] = { 451, "4.3.0",
		    "Mail server temporarily rejected message. - gsmtp" },
		[PROVIDER_MAINTENANCE] = { 421, "4.3.0",
		    "Temporary System Problem.  Try again later. - gsmtp" },
	    } },
	{ .name = "yahoo",
	    .banner = "mtaproxy301.free.mail.ne1.yahoo.com ESMTP ready",
	    .rate_phase = PROVIDER_MAIL,
	    .words = {
		[PROVIDER_OK] = { 250, "", "ok dirdel" },
		[PROVIDER_RATE] = { 421, "4.7.0",
		    "[TSS04] Messages from %i temporarily deferred due to "
		    "unexpected volume or user complaints - 4.16.55.1; see "
		    "https://postmaster.yahooinc.com/error-codes" },
		[PROVIDER_DAILY] = { 421, "4.7.0",
		    "[TSS04] Messages from %i temporarily deferred due to "
		    "unexpected volume or user complaints - 4.16.55.1; see "
		    "https://postmaster.yahooinc.com/error-codes" },
		[PROVIDER_CONNECTIONS] = { 421, "",
		    "4.7.0 [TS01] Too many concurrent connections from %i" },
		[PROVIDER_REPUTATION_DEFER] = { 421, "",
		    "[IPTS04] Messages from %i temporarily deferred due to "
		    "unexpected volume or user complaints" },
		[PROVIDER_REPUTATION_REJECT] = { 554, "5.7.9",
		    "Message not accepted for policy reasons. See "
		    "https://postmaster.yahooinc.com/error-codes" },
		[PROVIDER_UNKNOWN_USER] = { 554, "",
		    "delivery error: dd This user doesn't have a yahoo.com "
		    "account (%r) [-9] - mta4123.mail.gq1.yahoo.com" },
		[PROVIDER_MAILBOX_FULL] = { 452, "",
		    "4.2.2 mailbox over quota (%r)" },
		[PROVIDER_CONTENT] = { 554, "",
		    "Message not allowed - Headers are not RFC "
		    "compliant[291]" },
		[PROVIDER_SYSTEM] = { 451, "",
		    "mta4212.mail.bf1.yahoo.com Resources temporarily "
		    "unavailable. Please try again later [#4.16.1]." },
		[PROVIDER_MAINTENANCE] = { 421, "",
		    "Service not available, closing transmission channel" },
		[PROVIDER_MESSAGES] = { 421, "",
		    "Max message per connection reached, closing transmission "
		    "channel" },
	    } },
	{ .name = "outlook",
	    .banner = "BN8NAM11FT018.mail.protection.outlook.com Microsoft "
		      "ESMTP MAIL Service ready",
	    .rate_phase = PROVIDER_MAIL,
	    .words = {
		[PROVIDER_OK] = { 250, "2.6.0",
		    "<id@BN8NAM11FT018> Queued mail for delivery" },
		[PROVIDER_RATE] = { 451, "4.7.650",
		    "The mail server [%i] has been temporarily rate limited "
		    "due to IP reputation. For e-mail delivery information, "
		    "see https://postmaster.live.com "
		    "(S843)[DB8EUR05FT045.eop-eur05.prod.protection."
		    "outlook.com]" },
		[PROVIDER_DAILY] = { 451, "4.7.500",
		    "Server busy. Please try again later from [%i]. "
		    "(AS77712344) [BN7NAM10FT045.eop-nam10.prod.protection."
		    "outlook.com]" },
		[PROVIDER_CONNECTIONS] = { 421, "4.3.2",
		    "The maximum number of concurrent connections per resource "
		    "forest has exceeded a limit, closing transmission "
		    "channel. PRX8 [outlook.com]" },
		[PROVIDER_REPUTATION_DEFER] = { 451, "4.7.651",
		    "The mail server [%i] has been temporarily rate limited "
		    "due to IP reputation. (S844)" },
		[PROVIDER_REPUTATION_REJECT] = { 550, "5.7.1",
		    "Unfortunately, messages from [%i] weren't sent. Please "
		    "contact your Internet service provider since part of "
		    "their network is on our block list (S3150). You can also "
		    "refer your provider to "
		    "http://mail.live.com/mail/troubleshooting.aspx#errors. "
		    "[BN3NAM04FT060.eop-nam02.prod.protection.outlook.com]" },
		[PROVIDER_UNKNOWN_USER] = { 550, "5.5.0",
		    "Requested action not taken: mailbox unavailable. "
		    "[BN1NAM02FT033.eop-nam12.prod.protection.outlook.com]" },
		[PROVIDER_MAILBOX_FULL] = { 452, "4.2.2",
		    "Mailbox full [outlook.com]" },
		[PROVIDER_CONTENT] = { 550, "5.7.512",
		    "Access denied, message must be RFC 5322 section 3.6.2 "
		    "compliant" },
		[PROVIDER_SYSTEM] = { 451, "4.7.0",
		    "Temporary server error. Please try again later. PRX6 "
		    "NextHop: outlook.com [outlook.com]" },
		[PROVIDER_MAINTENANCE] = { 421, "4.3.2",
		    "Service not available [outlook.com]" },
	    } },
	{ .name = "icloud",
	    .banner = "p00-icloudmta-asmtp-us-central-1k-10-percent-2 ESMTP",
	    .rate_phase = PROVIDER_RCPT,
	    .words = {
		[PROVIDER_RATE] = { 421, "4.7.1",
		    "[HCM1] Messages from %i are temporarily deferred. Try "
		    "again later - https://support.apple.com/en-us/HT204137" },
		[PROVIDER_DAILY] = { 421, "4.7.1",
		    "[HCM1] Messages from %i are temporarily deferred. Try "
		    "again later - https://support.apple.com/en-us/HT204137" },
		[PROVIDER_REPUTATION_REJECT] = { 550, "5.7.1",
		    "[CS01] Message rejected due to local policy. Please visit "
		    "https://support.apple.com/en-us/HT204137" },
		[PROVIDER_UNKNOWN_USER] = { 550, "5.1.1",
		    "<%r>: user does not exist" },
		[PROVIDER_MAILBOX_FULL] = { 452, "4.2.2",
		    "<%r>: user is overquota" },
		[PROVIDER_SYSTEM] = { 451, "4.7.1",
		    "Service unavailable - try again later" },
	    } },
	{ .name = "gmx",
	    .banner = "gmx.net (mxgmx101) Nemesis ESMTP Service ready",
	    .rate_phase = PROVIDER_MAIL,
	    .words = {
		[PROVIDER_OK] = { 250, "",
		    "Requested mail action okay, completed: id=1MsZ3r" },
		[PROVIDER_RATE] = { 450, "",
		    "Requested mail action not taken: mailbox unavailable\n"
		    "Mail server has sent too many mails in too short a time. "
		    "Please\nreduce the sending rate and try again later.\n"
		    "For explanation visit "
		    "https://postmaster.gmx.net/en/case?c=r0601&i=ip&v=%i" },
		[PROVIDER_DAILY] = { 450, "",
		    "Requested mail action not taken: mailbox unavailable\n"
		    "Mail server has sent too many mails in too short a time. "
		    "Please\nreduce the sending rate and try again later.\n"
		    "For explanation visit "
		    "https://postmaster.gmx.net/en/case?c=r0602&i=ip&v=%i" },
		[PROVIDER_CONNECTIONS] = { 421, "",
		    "gmx.net (mxgmx101) Nemesis ESMTP Service not available\n"
		    "Service not available\ntoo many connections" },
		[PROVIDER_REPUTATION_REJECT] = { 554, "",
		    "gmx.net (mxgmx101) Nemesis ESMTP Service not available\n"
		    "No SMTP service\nIP address is black listed." },
		[PROVIDER_UNKNOWN_USER] = { 550, "",
		    "Requested action not taken: mailbox unavailable\n"
		    "For explanation visit "
		    "https://postmaster.gmx.net/en/case?c=r1601" },
		[PROVIDER_MAILBOX_FULL] = { 452, "",
		    "<%r>: Requested mail action aborted: exceeded storage "
		    "allocation, Quota exceeded" },
		[PROVIDER_CONTENT] = { 550, "",
		    "<%r>: Reject due to policy restrictions (header based)" },
		[PROVIDER_SYSTEM] = { 451, "",
		    "Requested action aborted: local error in processing" },
		[PROVIDER_MAINTENANCE] = { 421, "",
		    "gmx.net (mxgmx101) Nemesis ESMTP Service not available\n"
		    "Service closing transmission channel" },
	    } },
	{ .name = "comcast",
	    .banner = "resimta-po-02v.sys.comcast.net ESMTP server ready",
	    .rate_phase = PROVIDER_RCPT,
	    .words = {
		[PROVIDER_RATE] = { 421, "4.2.0",
		    "Throttled - try again later. Please see "
		    "http://postmaster.comcast.net/smtp-error-codes.php#RL000001" },
		[PROVIDER_DAILY] = { 421, "4.2.0",
		    "Throttled - try again later. Please see "
		    "http://postmaster.comcast.net/smtp-error-codes.php#RL000001" },
		[PROVIDER_REPUTATION_REJECT] = { 554, "",
		    "imta14.emeryville.ca.mail.comcast.net comcast %i Comcast "
		    "block for spam. Please see "
		    "http://postmaster.comcast.net/smtp-error-codes.php"
		    "#BL000000" },
		[PROVIDER_UNKNOWN_USER] = { 550, "5.1.1",
		    "Not our Customer" },
		[PROVIDER_MAILBOX_FULL] = { 452, "4.1.1",
		    "<%r> user over quota" },
		[PROVIDER_SYSTEM] = { 450, "4.2.0",
		    "<%r> - Recipient temporarily unavailable" },
	    } },
	{ .name = "orange",
	    .banner = "mwinf5c63 ME ESMTP server ready",
	    .rate_phase = PROVIDER_MAIL,
	    .words = {
		[PROVIDER_RATE] = { 421, "",
		    "mwinf5c63 ME Trop de messages, veuillez ralentir. Too "
		    "many messages, slow down. OFR_108 [108]" },
		[PROVIDER_CONNECTIONS] = { 421, "",
		    "mwinf5c63 ME Trop de connexions, veuillez verifier votre "
		    "configuration. Too many connections, slow down. "
		    "OFR005_104 [104]" },
		[PROVIDER_REPUTATION_REJECT] = { 550, "",
		    "mwinf5c04 ME Adresse IP source bloquee pour incident de "
		    "spam. Client host blocked for spamming issues. OFR006_102 "
		    "Ref http://csi.cloudmark.com/reset-request/?ip=%i [102]" },
		[PROVIDER_UNKNOWN_USER] = { 550, "5.1.1",
		    "Adresse d au moins un destinataire invalide. Invalid "
		    "recipient. OFR_416 [416]" },
		[PROVIDER_MAILBOX_FULL] = { 552, "5.1.1",
		    "Boite du destinataire pleine. Recipient overquota. "
		    "OFR_417 [417]" },
		[PROVIDER_CONTENT] = { 552, "5.3.4",
		    "Message trop volumineux. Message too large. ofr_514 [514]" },
		[PROVIDER_REPUTATION_DEFER] = { 421, "",
		    "mwinf5c77 ME Service refuse. Veuillez essayer plus tard. "
		    "Service refused, please try later. OFR_999 [999]" },
	    } },
	{ .name = "qq", /* says in a 550 that one is too fast */
	    .banner = "newxmmxszc6.qq.com MX QQ Mail Server.",
	    .rate_phase = PROVIDER_MAIL,
	    .words = {
		[PROVIDER_RATE] = { 550, "",
		    "Sender frequency limited. http://service.exmail.qq.com/"
		    "cgi-bin/help?subtype=1&&id=20022&&no=1000723" },
		[PROVIDER_DAILY] = { 550, "", "Domain frequency limited." },
		[PROVIDER_REPUTATION_REJECT] = { 550, "",
		    "Suspected spam sender." },
		[PROVIDER_UNKNOWN_USER] = { 550, "",
		    "Mailbox not found. http://service.exmail.qq.com/cgi-bin/"
		    "help?subtype=1&&id=20022&&no=1000728" },
	    } },
	{ .name = "ses", /* a smarthost with a quota, not a mailbox provider */
	    .banner = "email-smtp.amazonaws.com ESMTP SimpleEmailService",
	    .rate_phase = PROVIDER_EOD,
	    .words = {
		[PROVIDER_OK] = { 250, "",
		    "Ok 0102018c-12345678-000000" },
		[PROVIDER_RATE] = { 454, "",
		    "Throttling failure: Maximum sending rate exceeded." },
		[PROVIDER_DAILY] = { 454, "",
		    "Throttling failure: Daily message quota exceeded." },
		[PROVIDER_REPUTATION_REJECT] = { 554, "",
		    "Message rejected: Sending paused for this account." },
		[PROVIDER_CONTENT] = { 554, "",
		    "Transaction failed: Illegal header 'Foo'." },
		[PROVIDER_SYSTEM] = { 451, "",
		    "Temporary service failure, try again later." },
	    } },
};

static const struct {
	const char *name;
	bool is_violation;
} kinds[PROVIDER_KINDS] = {
	[PROVIDER_OK] = { "accepted", false },
	[PROVIDER_RATE] = { "rate", true },
	[PROVIDER_DAILY] = { "daily", true },
	[PROVIDER_CONNECTIONS] = { "connections", true },
	[PROVIDER_REPUTATION_DEFER] = { "reputation_defer", true },
	[PROVIDER_REPUTATION_REJECT] = { "reputation_reject", true },
	[PROVIDER_GREYLIST] = { "greylist", false },
	[PROVIDER_UNKNOWN_USER] = { "unknown_user", false },
	[PROVIDER_MAILBOX_FULL] = { "mailbox_full", false },
	[PROVIDER_CONTENT] = { "content", false },
	[PROVIDER_SYSTEM] = { "system", false },
	[PROVIDER_MAINTENANCE] = { "maintenance", false },
	[PROVIDER_TOO_MANY_RCPTS] = { "too_many_recipients", false },
	[PROVIDER_MESSAGES] = { "messages_per_connection", false },
};

const char *
provider_kind_name(enum provider_kind kind)
{
	return kinds[kind].name;
}

bool
provider_kind_is_violation(enum provider_kind kind)
{
	return kinds[kind].is_violation;
}

const struct provider_voice *
voice_at(size_t i)
{
	return i < sizeof(table) / sizeof(table[0]) ? &table[i] : NULL;
}

const struct provider_voice *
voice_find(const char *name)
{
	const struct provider_voice *voice;

	for (size_t i = 0; (voice = voice_at(i)) != NULL; i++)
		if (strcmp(voice->name, name) == 0)
			return voice;
	return NULL;
}

static void
fill(char *out, size_t size, const char *text, const char *rcpt)
{
	size_t len = 0;

	for (; *text != '\0' && len + 1 < size; text++) {
		const char *word = NULL;

		if (text[0] == '%' && text[1] == 'r')
			word = rcpt != NULL && *rcpt ? rcpt : "the recipient";
		else if (text[0] == '%' && text[1] == 'i')
			word = SENDER_IP;
		if (word == NULL) {
			out[len++] = *text;
			continue;
		}
		len += (size_t)snprintf(out + len, size - len, "%s", word);
		if (len >= size)
			len = size - 1;
		text++;
	}
	out[len] = '\0';
}

void
voice_say(const struct provider_voice *voice, enum provider_kind kind,
    const char *rcpt, struct provider_verdict *v)
{
	if (voice->words[kind].code == 0)
		voice = &table[0];
	v->kind = kind;
	v->code = voice->words[kind].code;
	v->enhanced = voice->words[kind].enhanced;
	v->action = v->code == 421 ? PROVIDER_CLOSE : PROVIDER_REPLY;
	fill(v->text, sizeof(v->text), voice->words[kind].text, rcpt);
}

size_t
provider_verdict_format(const struct provider_verdict *v, char *out,
    size_t size)
{
	const char *line = v->text;
	size_t len = 0;

	for (;;) {
		int n = (int)strcspn(line, "\n");
		bool is_last = line[n] == '\0';

		len += (size_t)snprintf(out + len, size - len,
		    "%d%c%s%s%.*s\r\n", v->code, is_last ? ' ' : '-',
		    v->enhanced, *v->enhanced ? " " : "", n, line);
		if (len >= size)
			return size - 1;
		if (is_last)
			return len;
		line += n + 1;
	}
}
