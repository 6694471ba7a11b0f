/* SPDX-License-Identifier: ISC */
/*
 * The table of commands. It is data: what a command does in the daemon is
 * named in command.c, what flyballctl does with it in flyballctl.c. The role
 * stands here and the dispatcher checks it, so that no handler can forget to.
 */
#include "daemon/command_table.h"

#define USAGE_SELECTION "ID...|where KEY=VALUE..."

const struct command_row command_rows[COMMAND_COUNT] = {
	[COMMAND_STATUS] = {
	    .name = "status",
	    .usage = "",
	    .summary = "show the daemon at a glance",
	    .doc = "Version, uptime, what is queued and in flight, sessions "
		   "and connections, what was accepted, delivered, deferred "
		   "and failed since the start, the spool, each route, and "
		   "whatever the operator has paused or set. Alerts come "
		   "first; a cluster's state stands among the numbers.",
	    .example = "status",
	    .role = ROLE_READ,
	},
	[COMMAND_LANES] = {
	    .name = "lanes",
	    .usage = "[FILTER]",
	    .summary = "list the lanes: rates, queues, what holds them",
	    .doc = "A lane is one route towards one provider (or one site "
		   "that no provider claims). FILTER is a part of the lane's "
		   "name, or a pattern with * and ?.",
	    .example = "lanes gmail",
	    .role = ROLE_READ,
	    .max_args = 1,
	},
	[COMMAND_LANE] = {
	    .name = "lane",
	    .usage = "LANE",
	    .summary = "show one lane with all its gates",
	    .doc = "LANE is ROUTE/PROVIDER, or ROUTE/other:SITE.",
	    .example = "lane ip-a/gmail",
	    .role = ROLE_READ,
	    .min_args = 1,
	    .max_args = 1,
	},
	[COMMAND_HISTORY] = {
	    .name = "history",
	    .usage = "LANE [since DURATION]",
	    .summary = "show what became of a lane's mail over time",
	    .doc = "Accepted, delivered, deferred, bounced and refused "
		   "recipients, what was queued and allowed, and the last "
		   "refusal: by the minute for the last day, by the hour "
		   "further back, for 400 days. Without a duration it is the "
		   "last day. Times in which nothing happened are left out.",
	    .example = "history ip-a/gmail since 1h",
	    .role = ROLE_READ,
	    .min_args = 1,
	    .max_args = 3,
	},
	[COMMAND_WHY] = {
	    .name = "why",
	    .usage = "MESSAGE|LANE",
	    .summary = "say why a message or a lane waits, and until when",
	    .doc = "Every gate that must be open before mail leaves, the one "
		   "that holds first. For a message also how many are ahead "
		   "of it, and the last reply to it, whole.",
	    .example = "why ip-a/gmail",
	    .role = ROLE_READ,
	    .min_args = 1,
	    .max_args = 1,
	},
	[COMMAND_FORECAST] = {
	    .name = "forecast",
	    .usage = "[LANE|STREAM]",
	    .summary = "say when what is queued will have left",
	    .doc = "For each lane with mail: when the last of it leaves if "
		   "each day of its plan goes well and nothing more comes, by "
		   "its plan, its rates and what holds it now. With a stream, "
		   "the lanes that hold mail of it.",
	    .example = "forecast ip-a/gmail",
	    .role = ROLE_READ,
	    .max_args = 1,
	},
	[COMMAND_PLANS] = {
	    .name = "plans",
	    .usage = "",
	    .summary = "list warmup plans: stage, day, allowed, sent",
	    .doc = "Of lanes, of routes (a plan's total) and of sender domains "
		   "at a provider.",
	    .example = "plans",
	    .role = ROLE_READ,
	},
	[COMMAND_PLAN] = {
	    .name = "plan",
	    .usage = "LANE [advance|hold|back|restart|set-day N] "
		     "[because TEXT]",
	    .summary = "show a lane's plan and its history, or steer it",
	    .doc = "LANE is ROUTE/PROVIDER, a ROUTE for its total, or "
		   "DOMAIN/PROVIDER for a sender domain. advance and back go "
		   "one stage on or back, hold stays at this stage until any "
		   "other order, restart begins anew, set-day goes to the "
		   "plan's day N. An order holds from today on; what was sent "
		   "today stays counted.",
	    .example = "plan ip-a/gmail hold",
	    .role = ROLE_CHANGE,
	    .min_args = 1,
	    .max_args = -1,
	    .looks_up_to = 1,
	},
	[COMMAND_QUEUE] = {
	    .name = "queue",
	    .usage = "[where KEY=VALUE...] [limit N]",
	    .summary = "list queued deliveries, the oldest first",
	    .doc = "A delivery is one message towards one lane: the "
		   "recipients that go in one transaction. Without a limit "
		   "the first 100 are shown; N is at most 10000.",
	    .example = "queue where provider=gmail state=deferred limit 20",
	    .role = ROLE_READ,
	    .max_args = -1,
	},
	[COMMAND_MESSAGE] = {
	    .name = "message",
	    .usage = "ID",
	    .summary = "show one message: envelope, deliveries, last replies",
	    .doc = "The envelope as it was accepted, and for each delivery "
		   "its recipients, lane, state, attempts, next attempt and "
		   "the last reply as the next hop gave it.",
	    .example = "message 06PHAR4SG0001",
	    .role = ROLE_READ,
	    .min_args = 1,
	    .max_args = 1,
	},
	[COMMAND_PROVIDERS] = {
	    .name = "providers",
	    .usage = "[FILTER]",
	    .summary = "list the providers and their limits",
	    .doc = "The built-in set merged with the file's: domains, MX "
		   "suffixes, rates and connections. FILTER is a part of the "
		   "name or of a domain, or a pattern with * and ?.",
	    .example = "providers gmail",
	    .role = ROLE_READ,
	    .max_args = 1,
	},
	[COMMAND_CLUSTER] = {
	    .name = "cluster",
	    .usage = "",
	    .summary = "show the relays that share limits with this one",
	    .doc = "Whether limits are shared, or what holds while Redis is "
		   "gone, and why; the Redis and how quickly it answers; each "
		   "relay, when it was seen and how many leases it has; and "
		   "each lane that this relay holds a lease of: its share of "
		   "the limit lately, recipients in hand, wanted and granted "
		   "at the last call, and when the lease ends. Refused where "
		   "no cluster is configured.",
	    .example = "cluster",
	    .role = ROLE_READ,
	},
	[COMMAND_EVENTS] = {
	    .name = "events",
	    .usage = "[KEY=VALUE...] [limit N]",
	    .summary = "show the last events",
	    .doc = "From the end of the event log's file: the last 20, or N "
		   "(at most 1000). With conditions, such as event=deferred "
		   "provider=gmail recipient=*@example.com, those of the "
		   "file's last MiB that fit.",
	    .example = "events event=bounced provider=gmail limit 5",
	    .role = ROLE_READ,
	    .max_args = -1,
	},
	[COMMAND_EVENTS_FOLLOW] = {
	    .name = "events follow",
	    .usage = "[KEY=VALUE...]",
	    .summary = "print events as they happen",
	    .doc = "After the answer the connection carries the event log's "
		   "lines, until it is closed. A reader that is more than 1 "
		   "MiB behind loses whole lines and is told how many: "
		   "{\"event\":\"dropped\",\"n\":...}. With conditions "
		   "only events that fit come.",
	    .example = "events follow event=deferred provider=gmail",
	    .role = ROLE_READ,
	    .max_args = -1,
	},
	[COMMAND_PAUSE] = {
	    .name = "pause",
	    .usage = "route|provider|lane|stream|sender NAME [for DURATION] "
		     "[because TEXT]",
	    .summary = "hold mail back",
	    .doc = "Mail waits in its place, unpunished, until the time is "
		   "over or it is resumed. A paused route's mail takes the "
		   "stream's next route where there is one. A sender is the "
		   "domain of the envelope's sender. Pausing again replaces "
		   "time and reason.",
	    .example = "pause provider gmail for 2h because \"421 4.7.28 "
		       "since noon\"",
	    .role = ROLE_CHANGE,
	    .min_args = 2,
	    .max_args = -1,
	},
	[COMMAND_RESUME] = {
	    .name = "resume",
	    .usage = "route|provider|lane|stream|sender NAME",
	    .summary = "end a pause",
	    .doc = "Ends the pause of just this name; rates go on from what "
		   "was spent.",
	    .example = "resume provider gmail",
	    .role = ROLE_CHANGE,
	    .min_args = 2,
	    .max_args = 2,
	},
	[COMMAND_RATE] = {
	    .name = "rate",
	    .usage = "LANE auto|RATE[,RATE...] [for DURATION] [because TEXT]",
	    .summary = "set a lane's rates by hand, or give them back",
	    .doc = "Takes the place of the configured rates at once; what was "
		   "spent stays spent. All given rates hold together. With "
		   "auto, or when the time is over, the configuration's hold "
		   "again.",
	    .example = "rate ip-a/gmail 5/s,2k/h for 1h",
	    .role = ROLE_CHANGE,
	    .min_args = 2,
	    .max_args = -1,
	},
	[COMMAND_CONNECTIONS] = {
	    .name = "connections",
	    .usage = "LANE auto|N [for DURATION] [because TEXT]",
	    .summary = "set how many connections a lane may have",
	    .doc = "Takes the place of the configured number at once; "
		   "connections over it finish what they do. With auto, or "
		   "when the time is over, the configuration's holds again.",
	    .example = "connections ip-a/gmail 2 for 1h",
	    .role = ROLE_CHANGE,
	    .min_args = 2,
	    .max_args = -1,
	},
	[COMMAND_FORGET] = {
	    .name = "forget",
	    .usage = "LANE [because TEXT]",
	    .summary = "let adaptation begin anew for a lane",
	    .doc = "What was learned of the speed and the connections that "
		   "the provider bears is forgotten and a suspension ends; "
		   "the configured rates hold until it refuses again.",
	    .example = "forget ip-a/gmail because they unblocked us",
	    .role = ROLE_CHANGE,
	    .min_args = 1,
	    .max_args = -1,
	},
	[COMMAND_RETRY] = {
	    .name = "retry",
	    .usage = USAGE_SELECTION " [--dry-run]",
	    .summary = "try deferred deliveries now",
	    .doc = "They go to the end of their queue and leave as their "
		   "lane's gates allow; attempts stay counted. ID is a "
		   "message, with all its deliveries.",
	    .example = "retry where provider=gmail older=1h",
	    .role = ROLE_CHANGE,
	    .min_args = 1,
	    .max_args = -1,
	},
	[COMMAND_BOUNCE] = {
	    .name = "bounce",
	    .usage = USAGE_SELECTION " [because TEXT] [--dry-run]",
	    .summary = "return deliveries to their senders",
	    .doc = "Takes them out of the queue with a delivery status "
		   "notification that gives TEXT as the reason. What is being "
		   "sent at that moment is left alone and counted. TEXT goes "
		   "to the end of the line.",
	    .example = "bounce 06PHAR4SG0001 because \"sent by mistake\"",
	    .role = ROLE_CHANGE,
	    .min_args = 1,
	    .max_args = -1,
	},
	[COMMAND_DROP] = {
	    .name = "drop",
	    .usage = USAGE_SELECTION " [because TEXT] [--dry-run]",
	    .summary = "delete deliveries without a word to the sender",
	    .doc = "There is no way back: look with --dry-run first. What is "
		   "being sent at that moment is left alone and counted.",
	    .example = "drop where sender=*@news.example.com --dry-run",
	    .role = ROLE_CHANGE,
	    .min_args = 1,
	    .max_args = -1,
	},
	[COMMAND_REROUTE] = {
	    .name = "reroute",
	    .usage = USAGE_SELECTION " to ROUTE|STREAM [--dry-run]",
	    .summary = "send deliveries another way",
	    .doc = "They go to the end of the queue of that stream, or of that "
		   "route alone, and stay there over a restart. Retry times "
		   "and attempts stay as they are. A name that is both is "
		   "taken for the stream.",
	    .example = "reroute where lane=ip-a/gmail to ip-b",
	    .role = ROLE_CHANGE,
	    .min_args = 3,
	    .max_args = -1,
	},
	[COMMAND_FEEDBACK] = {
	    .name = "feedback",
	    .usage = "JSON",
	    .summary = "tell what became of one recipient",
	    .doc = "An object with event (delivered, deferred, bounced or "
		   "complained), recipient, the provider's reply, and where "
		   "known route, sender, stream and phase. It counts as a "
		   "reply that flyball got itself: for the lane's speed, its "
		   "plan, and the suppression list. Needs feedback.events.",
	    .example = "feedback '{\"event\":\"deferred\",\"recipient\":"
		       "\"a@gmail.com\",\"route\":\"ip-a\",\"reply\":"
		       "\"421 4.7.28 unusual rate\"}'",
	    .role = ROLE_CHANGE,
	    .min_args = 1,
	    .max_args = -1,
	},
	[COMMAND_SUPPRESS_LIST] = {
	    .name = "suppress list",
	    .usage = "[PATTERN] [limit N]",
	    .summary = "list recipients that aren't written to any more",
	    .doc = "With the reason, the reply that led to it and until when. "
		   "PATTERN may hold * and ?. Without a limit the first 100 "
		   "are shown. A whole domain stands there as @example.net: "
		   "\"suppress list @*\" shows those.",
	    .example = "suppress list *@example.net limit 1000",
	    .role = ROLE_READ,
	    .max_args = -1,
	},
	[COMMAND_SUPPRESS_CHECK] = {
	    .name = "suppress check",
	    .usage = "ADDRESS",
	    .summary = "say whether and why an address is suppressed",
	    .doc = "What a RCPT for this address would be answered with now.",
	    .example = "suppress check nobody@example.net",
	    .role = ROLE_READ,
	    .min_args = 1,
	    .max_args = 1,
	},
	[COMMAND_SUPPRESS_ADD] = {
	    .name = "suppress add",
	    .usage = "ADDRESS [reason hard|soft|complaint|manual|domain] "
		     "[for DURATION] [because TEXT]",
	    .summary = "never write to an address again",
	    .doc = "Without a duration for good. TEXT is kept where a "
		   "bounce's reply would be. ADDRESS may be a whole domain, "
		   "@example.net. What is queued already isn't sent either: "
		   "it bounces when its turn comes.",
	    .example = "suppress add nobody@example.net because \"asked by "
		       "phone\"",
	    .role = ROLE_CHANGE,
	    .min_args = 1,
	    .max_args = -1,
	},
	[COMMAND_SUPPRESS_REMOVE] = {
	    .name = "suppress remove",
	    .usage = "ADDRESS",
	    .summary = "let an address be written to again",
	    .doc = "Bounces that were counted for it are forgotten too. "
		   "ADDRESS may be a whole domain, @example.net.",
	    .example = "suppress remove nobody@example.net",
	    .role = ROLE_CHANGE,
	    .min_args = 1,
	    .max_args = 1,
	},
	[COMMAND_SUPPRESS_EXPORT] = {
	    .name = "suppress export",
	    .usage = "",
	    .summary = "print the suppression list as CSV",
	    .doc = "RFC 4180, with the columns address, reason, reply, added "
		   "and expires.",
	    .example = "suppress export",
	    .role = ROLE_OFFLINE,
	},
	[COMMAND_SUPPRESS_IMPORT] = {
	    .name = "suppress import",
	    .usage = "FILE",
	    .summary = "add the addresses of a CSV file",
	    .doc = "As export writes it, or from elsewhere: a header that "
		   "names an address or email column, or one address a line. "
		   "FILE may be -, stdin. Lines that can't be read are left "
		   "out, and the first of them is named.",
	    .example = "suppress import bounced.csv",
	    .role = ROLE_OFFLINE,
	    .min_args = 1,
	    .max_args = 1,
	},
	[COMMAND_RELOAD] = {
	    .name = "reload",
	    .usage = "",
	    .summary = "read the configuration file again",
	    .doc = "As SIGHUP. A file with mistakes changes nothing and all "
		   "of them are shown. Keys that only a restart can change "
		   "are named, and so is what of a good one couldn't be "
		   "done. The log level is the file's again.",
	    .example = "reload",
	    .role = ROLE_CHANGE,
	},
	[COMMAND_DRAIN] = {
	    .name = "drain",
	    .usage = "",
	    .summary = "finish what is in flight, then stop the daemon",
	    .doc = "As SIGTERM: no new mail is taken, what is in flight gets "
		   "daemon.drain_timeout to end, what is queued stays on "
		   "disk.",
	    .example = "drain",
	    .role = ROLE_CHANGE,
	},
	[COMMAND_LOG_LEVEL] = {
	    .name = "log level",
	    .usage = "error|warn|info|debug",
	    .summary = "say more or less in the log",
	    .doc = "Until the next reload or restart.",
	    .example = "log level debug",
	    .role = ROLE_CHANGE,
	    .min_args = 1,
	    .max_args = 1,
	},
	[COMMAND_VERSION] = {
	    .name = "version",
	    .usage = "",
	    .summary = "print the versions of flyballctl and of the daemon",
	    .doc = "Without a daemon, flyballctl's alone.",
	    .example = "version",
	    .role = ROLE_READ,
	},
	[COMMAND_HELP] = {
	    .name = "help",
	    .usage = "[COMMAND]",
	    .summary = "list the commands, or explain one",
	    .doc = "The same as --help, and COMMAND --help.",
	    .example = "help pause",
	    .role = ROLE_READ,
	    .max_args = 2,
	},
	[COMMAND_TOP] = {
	    .name = "top",
	    .usage = "",
	    .summary = "watch the lanes live, pause and change them",
	    .doc = "All lanes, asked once a second. Keys: up and down (or k "
		   "and j) select a lane, s sorts by another column, / shows "
		   "only lanes with a text in their name, w says why the lane "
		   "waits, p pauses it, u resumes it, r sets its rate, a gives "
		   "it back, the space bar freezes the screen, q quits. "
		   "Nothing is changed before y confirms it.",
	    .example = "top",
	    .role = ROLE_OFFLINE,
	},
	[COMMAND_PASSWD] = {
	    .name = "passwd",
	    .usage = "[-D] [-f USERS_FILE] [-o OPTIONS] USER",
	    .summary = "make a line of the users file",
	    .doc = "Asks for a password (on a terminal twice, without echo; "
		   "else it is one line of stdin) and prints the user's line, "
		   "or with -f puts it into the file. Options, such as "
		   "stream=NAME,senders=a.example|b.example,rate=100/min, "
		   "stay as they are unless -o gives others. -D removes the "
		   "user.",
	    .example = "passwd -f /etc/flyball/users shop",
	    .role = ROLE_OFFLINE,
	    .min_args = 1,
	    .max_args = -1,
	},
	[COMMAND_CHECK_CONFIG] = {
	    .name = "check-config",
	    .usage = "[--dump] [FILE]",
	    .summary = "check a configuration file",
	    .doc = "Prints every mistake with its place and exits with 1, or "
		   "\"FILE: ok\". With --dump also what the file comes to, "
		   "defaults and built-in providers filled in, secrets left "
		   "out. FILE is " FLYBALL_SYSCONFDIR "/flyball/flyball.yaml "
		   "unless given.",
	    .example = "check-config /etc/flyball/flyball.yaml",
	    .role = ROLE_OFFLINE,
	    .min_args = 0,
	    .max_args = 2,
	},
	[COMMAND_CLASSIFY] = {
	    .name = "classify",
	    .usage = "[-c FILE] [--provider NAME] [--phase PHASE]",
	    .summary = "say what replies mean and whom they blame",
	    .doc = "Reads replies from stdin, one a line, \\n between the "
		   "lines of one reply, and prints class, blame and the name "
		   "of the rule, separated by tabs, in order. PHASE is "
		   "connect, helo, starttls, auth, mail, rcpt, data, eod or "
		   "unknown (the default). With -c the file's own rules are "
		   "tried first.",
	    .example = "classify --provider gmail --phase eod",
	    .role = ROLE_OFFLINE,
	    .max_args = -1,
	},
	[COMMAND_REPORT] = {
	    .name = "report",
	    .usage = "[--since DURATION] [--all] [FILE]",
	    .summary = "sum up the event log by provider",
	    .doc = "Recipients delivered, deferred, rejected, bounced hard "
		   "(no such mailbox or domain) and soft (mailbox full, "
		   "expired), what was done about it, and each kind of "
		   "refusal in the peer's own words with how often it came: "
		   "replies that differ in addresses, IDs and numbers only "
		   "are one kind. FILE is the daemon's event log unless "
		   "given, - is stdin; DURATION is 24h unless given. --all "
		   "shows every kind.",
	    .example = "report --since 2h",
	    .role = ROLE_OFFLINE,
	    .max_args = -1,
	},
	[COMMAND_SPOOL_CHECK] = {
	    .name = "spool check",
	    .usage = "[-c FILE | --state-dir DIR]",
	    .summary = "look for damage in the spool of a stopped daemon",
	    .doc = "Reads the whole database (every page, record and "
		   "reference), all contents and the list of free pages, and "
		   "says what is damaged or missing. It reads a truncated or "
		   "corrupt database too and changes nothing. Contents are "
		   "compared with their checksums. The daemon must not run. DIR is the state "
		   "directory, by default the one in the configuration. The "
		   "status is 0 for a sound spool and 1 for a damaged one.",
	    .example = "spool check",
	    .role = ROLE_OFFLINE,
	    .max_args = -1,
	},
	[COMMAND_SPOOL_EXPORT] = {
	    .name = "spool export",
	    .usage = "[-c FILE | --state-dir DIR] TO",
	    .summary = "write every queued message to files",
	    .doc = "From a damaged spool too, as far as it is readable. Each "
		   "message becomes two files in the directory TO: ID.eml, "
		   "the content (RFC 5322) as it was received, and ID.json, "
		   "the envelope: sender, the recipients that still wait, "
		   "ENVID and the rest, and what is missing. What may have "
		   "been delivered already, because its record was found "
		   "outside of the database's trees, goes to TO/uncertain. "
		   "Nothing is changed, and the daemon must not run. The "
		   "status is 1 where the spool is damaged, although all that "
		   "can be read was written.",
	    .example = "spool export /var/tmp/mail",
	    .role = ROLE_OFFLINE,
	    .min_args = 1,
	    .max_args = -1,
	},
	[COMMAND_SPOOL_REBUILD] = {
	    .name = "spool rebuild",
	    .usage = "[-c FILE | --state-dir DIR] TO",
	    .summary = "make a sound spool of what a damaged one still has",
	    .doc = "TO is a new state directory with every message that is "
		   "whole, under its id, and with all that the daemon "
		   "remembers beside the mail (counts, plans, suppressed "
		   "recipients). Messages that aren't whole are left out: "
		   "export writes them. The daemon must not run, and the old "
		   "directory isn't changed; put the new one in its place by "
		   "hand.",
	    .example = "spool rebuild /var/lib/flyball.new",
	    .role = ROLE_OFFLINE,
	    .min_args = 1,
	    .max_args = -1,
	},
	[COMMAND_SIMULATE] = {
	    .name = "simulate",
	    .usage = "[-c FILE] --route NAME --provider NAME --demand "
		     "COUNT/day --days N [--deferred SHARE] [--start DATE] "
		     "[--csv]",
	    .summary = "run a warmup plan on a virtual clock",
	    .doc = "The scheduler itself is run with so much mail a day, "
		   "arriving while the plan's window is open, at a provider "
		   "that takes all of it but the share that it defers. For "
		   "each plan day: what the plan allowed, what this route "
		   "sent, what took the stream's other routes, and what still "
		   "waited when the day ended; then a plot. A provider has no "
		   "plan limit any more where the plan is done: allowed is "
		   "what its rates let through then. It begins today, on the "
		   "plan's start date if that is to come, or on DATE.",
	    .example = "simulate -c flyball.yaml --route ip-a --provider gmail "
		       "--demand 50k/day --days 45 --deferred 3%",
	    .role = ROLE_OFFLINE,
	    .max_args = -1,
	},
	[COMMAND_DOCTOR] = {
	    .name = "doctor",
	    .usage = "[-c FILE]",
	    .summary = "look at all that mail depends on, and say the fix",
	    .doc = "Next hops and what they offer, TLS names, reverse DNS of "
		   "the routes' addresses, SPF, DKIM, DMARC and MX of the "
		   "sender domains, blocklists, clock, disk, open files, logs "
		   "that are read, the Redis of a cluster, and the queue "
		   "against the plans: each with what was found, the evidence, "
		   "and the fix in one line. It changes nothing, but for a key "
		   "of its own in that Redis, for a moment. The status is by the worst finding: 0 "
		   "nothing to do, 4 warnings, 1 something to mend.",
	    .example = "doctor -c flyball.yaml",
	    .role = ROLE_OFFLINE,
	    .max_args = -1,
	},
	[COMMAND_MAN] = {
	    .name = "man",
	    .usage = "flyballctl|flyball.yaml|metrics",
	    .summary = "print a manual page's source, or the list of metrics",
	    .doc = "Generated from the tables that the programs work by.",
	    .example = "man flyball.yaml",
	    .role = ROLE_OFFLINE,
	    .min_args = 1,
	    .max_args = 1,
	},
	[COMMAND_COMPLETE] = {
	    .name = "complete",
	    .usage = "[WORD...]",
	    .summary = "print what may come behind these words",
	    .doc = "For the shells' completion: one possible next word a "
		   "line, names of lanes and providers by the daemon, if one "
		   "answers.",
	    .example = "complete pause provider",
	    .role = ROLE_OFFLINE,
	    .max_args = -1,
	},
};
