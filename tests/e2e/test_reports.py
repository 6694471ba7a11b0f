# SPDX-License-Identifier: ISC
"""DSNs and complaints that come back: which mail they are about, and what
they lead to."""

import email
import email.utils
import re
import smtplib
import time
import unittest

from dns_server import DnsServer
from harness import Flyball, Peer, Postfix, wait_until
from mta import Exim, reason_against

EXIM_IS_MISSING = reason_against(Exim.PROGRAM)

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
feedback: {reports: {listen: "127.0.0.1:{port2}"%s}}
providers:
  mine: {domains: [mine.test], rate: unlimited}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none, plan: slowly}
plans:
  slowly: {volumes: [1000000], window: all, pace: front}
"""

DSN = """From: MAILER-DAEMON@mx.test
To: bounces@app.test
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It went wrong.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test
%s
Final-Recipient: rfc822; %s
Action: %s
Status: %s
Diagnostic-Code: smtp; %s
--b
Content-Type: text/rfc822-headers

%s
--b--
"""

ARF = """From: fbl@mine.test
To: complaints@app.test
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

Spam!
--b
Content-Type: message/feedback-report

Feedback-Type: %s
User-Agent: Loop/1.0
Version: 1
Original-Rcpt-To: <%s>
--b
Content-Type: message/rfc822

%s

body
--b--
"""


def dsn(recipient, headers="Subject: x", action="failed", status="5.1.1", text="550 5.1.1 no such user here", envid=""):
    return DSN % (f"Original-Envelope-Id: {envid}\n" if envid else "", recipient, action, status, text, headers)


class Reports(unittest.TestCase):
    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)

    def flyball(self, more="", peer=None):
        return Flyball(CONFIG % (more, (peer or self.peer).port))

    def send(self, f, recipient, content="Subject: x\r\nMessage-ID: <m.%s@app.test>\r\n\r\nbody\r\n", options=()):
        """Sends one message and returns its header as the next hop got it."""
        with smtplib.SMTP("127.0.0.1", f.port) as c:
            c.sendmail("bounces@app.test", [recipient], (content % recipient.split("@")[0]).encode(), options)
        message = wait_until(lambda: [m for m in self.peer.messages if recipient in m["recipients"]], 10, "the mail")[-1]
        wait_until(lambda: [e for e in f.events("delivered") if e["recipient"] == recipient], 5, "its event")
        return message["data"].decode().split("\r\n\r\n")[0]

    def report(self, f, text):
        with smtplib.SMTP("127.0.0.1", f.port2) as c:
            c.sendmail("", ["bounces@app.test"], text.replace("\r\n", "\n").replace("\n", "\r\n").encode())

    def suppressed(self, f):
        return {e["recipient"]: e["reason"] for e in f.events("suppressed") if e["state"] == "added"}

    def test_known_by_our_mark_and_that_lasts(self):
        with self.flyball() as f:
            header = self.send(f, "gone@mine.test")
            self.assertRegex(header, r"^X-Flyball-Trace: fb1/[0-9A-Z]{13}/out/default/[0-9a-f]{8}/[0-9a-f]{16}\r\n")
            f.stop()
            f.start()
            mark = "\n".join(l for l in header.splitlines() if l.startswith("X-Flyball"))
            self.report(f, dsn("gone@mine.test", mark))
            e = wait_until(lambda: f.events("bounced"), 5, "the bounce")[0]
            self.assertEqual((e["source"], e["known_by"], e["recipient"], e["route"], e["provider"], e["class"], e["reply"]),
                             ("dsn", "trace", "gone@mine.test", "out", "mine", "bad-mailbox", "550 5.1.1 no such user here"))
            accepted = f.events("accepted")[0]["message"]
            self.assertEqual(e["message"], accepted)
            self.assertEqual(self.suppressed(f), {"gone@mine.test": "hard"})
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                self.send(f, "gone@mine.test")
            # Nobody else can make one.
            forged = re.sub(r"[0-9a-f]{16}$", "0123456789abcdef", mark)
            self.report(f, dsn("victim@mine.test", forged))
            wait_until(lambda: f.events("unknown_report"), 5, "that it isn't known")
            self.assertEqual(list(self.suppressed(f)), ["gone@mine.test"])

    def test_known_by_what_left_lately(self):
        with self.flyball() as f:
            for name in ("id", "rcpt", "env"):
                self.send(f, f"{name}@mine.test", options=["ENVID=QQ314"] if name == "env" else [])
            self.report(f, dsn("forwarded@else.test", "Message-ID: <m.id@app.test>"))
            wait_until(lambda: len(f.events("bounced")) == 1, 5, "the first")
            self.report(f, dsn("RCPT@mine.test"))
            wait_until(lambda: len(f.events("bounced")) == 2, 5, "the second")
            self.report(f, dsn("env@mine.test", envid="QQ314", action="delayed", status="4.2.2", text="452 4.2.2 full"))
            wait_until(lambda: f.events("deferred"), 5, "the third")
            self.send(f, "queue@mine.test")
            self.report(f, dsn("forwarded@else.test").replace("Reporting-MTA", "X-Postfix-Queue-ID: TEST\nReporting-MTA"))
            self.report(f, dsn("forwarded@else.test").replace("Reporting-MTA", "X-Postfix-Queue-ID: OTHER\nReporting-MTA"))
            wait_until(lambda: f.events("unknown_report"), 5, "that it isn't known")
            self.assertEqual([(e["known_by"], e["recipient"]) for e in f.events("bounced")],
                             [("message-id", "forwarded@else.test"), ("recipient", "RCPT@mine.test"),
                              ("queue-id", "forwarded@else.test")])
            e = f.events("deferred")[0]
            self.assertEqual((e["known_by"], e["class"]), ("envid", "mailbox-full"))
            self.report(f, dsn("stranger@else.test"))
            wait_until(lambda: len(f.events("unknown_report")) == 2, 5, "that it isn't known")
            self.assertNotIn("stranger@else.test", self.suppressed(f))

    def test_without_proof_it_counts_once_and_suppresses_nobody(self):
        """Whoever guesses an address that was written to, and its Message-ID."""
        with self.flyball() as f:
            self.send(f, "victim@mine.test")
            for text in (dsn("victim@mine.test"), dsn("victim@mine.test", "Message-ID: <m.victim@app.test>"),
                         ARF % ("abuse", "victim@mine.test", "Message-ID: <m.victim@app.test>"),
                         ARF % ("abuse", "other@mine.test", "Message-ID: <m.victim@app.test>")):
                self.report(f, text)
            wait_until(lambda: len(f.events("bounced")) == 2 and len(f.events("complained")) == 2, 5, "the reports")
            self.assertEqual([e.get("repeat") for e in f.events("bounced") + f.events("complained")],
                             [None, True, None, True])
            self.assertFalse([e for e in f.events("bounced") + f.events("complained") if "proof" in e])
            day = f.ctl("plan", "out/mine")["history"][-1]
            self.assertEqual((day["bounced"], day["complained"]), (1, 1))
            self.assertEqual(self.suppressed(f), {})
            self.send(f, "victim@mine.test")

    def test_it_counts_once_over_a_restart(self):
        with self.flyball() as f:
            mark = re.search("X-Flyball-Trace: .*", self.send(f, "angry@mine.test")).group()
            for n in (1, 2):
                self.report(f, ARF % ("abuse", "angry@mine.test", mark))
                self.report(f, dsn("angry@mine.test", mark))
                wait_until(lambda: len(f.events("complained")) == len(f.events("bounced")) == n, 5, "both reports")
                day = f.ctl("plan", "out/mine")["history"][-1]
                self.assertEqual((day["complained"], day["bounced"]), (1, 1))
                f.stop()
                f.start()
            self.assertEqual([e.get("repeat") for e in f.events("complained")], [None, True])

    def test_who_is_no_recipient_has_nothing_looked_up(self):
        """Name servers are asked about domains of our mail, not about those
        that strangers write of."""
        zone = {f"{name}.test": {"MX": [(10, f"mx.{name}.test")]} for name in ("known", "stranger", "later")}
        with DnsServer(zone) as dns, self.flyball() as f:
            with open(f.config_path) as text:
                config = text.read()
            f.stop()
            f.configure(config.replace("dns: {mx: false}", f'dns: {{servers: ["{dns.address}"]}}'))
            f.start()
            mark = re.search("X-Flyball-Trace: .*", self.send(f, "a@known.test")).group()
            self.report(f, dsn("a@stranger.test"))
            self.report(f, dsn("b@stranger.test", "Message-ID: <m.a@app.test>"))
            self.report(f, dsn("c@stranger.test", mark))
            self.report(f, ARF % ("abuse", "d@stranger.test", mark))
            wait_until(lambda: f.events("complained"), 5, "the last report")
            self.assertEqual(len(f.events("unknown_report")), 1)
            self.assertEqual(len(f.events("bounced")), 2)
            self.send(f, "b@later.test")  # asked for behind whatever was asked for
            asked = {name for name, _ in dns.queries}
            self.assertIn("later.test", asked)
            self.assertNotIn("stranger.test", asked)

    def test_a_recipient_speaks_not_for_its_domain(self):
        none = dict(status="5.1.2", text="550 5.1.2 no such domain")
        with self.flyball() as f:
            mark = re.search("X-Flyball-Trace: .*", self.send(f, "evil@shared.test")).group()
            self.report(f, dsn("evil@shared.test", mark, **none))
            wait_until(lambda: f.events("bounced"), 5, "the bounce")
            self.assertEqual((f.events("bounced")[0]["class"], self.suppressed(f)), ("bad-domain", {}))
            self.send(f, "a@shared.test")
            envid = re.search(r"ENVID=(\S+)", self.peer.messages[-1]["mail"]).group(1)
            self.report(f, dsn("a@shared.test", envid=envid, **none))
            wait_until(lambda: self.suppressed(f), 5, "what an MTA says of the domain")
            self.assertEqual(list(self.suppressed(f)), ["@shared.test"])

    def test_our_envid_proves_it_without_a_header(self):
        with self.flyball() as f:
            self.send(f, "gone@mine.test")
            self.send(f, "gone2@mine.test")
            self.send(f, "theirs@mine.test", options=["ENVID=QQ314"])
            envids = [re.search(r"ENVID=(\S+)", m["mail"]).group(1) for m in self.peer.messages]
            self.assertRegex(envids[0], r"^fbe1/[0-9A-Z]{13}/[0-9a-f]{8}/[0-9a-f]{16}$")
            self.assertEqual(envids[2], "QQ314")  # a sender's own stays
            self.report(f, dsn("victim@mine.test", envid=envids[0]))
            self.report(f, dsn("gone@mine.test", envid=re.sub(r"[0-9a-f]{16}$", "0123456789abcdef", envids[0])))
            self.report(f, dsn("gone@mine.test", envid=envids[0]))
            wait_until(lambda: len(f.events("bounced")) == 3, 5, "the bounces")
            self.assertEqual([(e["known_by"], e.get("proof")) for e in f.events("bounced")],
                             [("envid", None), ("recipient", None), ("envid", "envid")])
            self.assertEqual(self.suppressed(f), {"gone@mine.test": "hard"})
            f.stop()
            f.start()
            self.report(f, dsn("gone2@mine.test", envid=envids[1]))
            wait_until(lambda: self.suppressed(f).get("gone2@mine.test"), 5, "the other, after the restart")

    def test_a_rate_in_a_dsn_slows_the_lane(self):
        """As the line of a log would, if it is new and proven."""
        def mark(header):
            return "\n".join(l for l in header.splitlines() if l.startswith("X-Flyball"))

        def slow(recipient, headers, at):
            date = email.utils.formatdate(time.time() + at)
            return dsn(recipient, headers, "delayed", "4.7.28",
                       f"421 4.7.28 unusual rate of mail\nLast-Attempt-Date: {date}")
        with self.flyball() as f:
            marks = [mark(self.send(f, f"r{i}@mine.test")) for i in range(3)]
            self.report(f, slow("r0@mine.test", "Subject: no mark", 0))
            self.report(f, slow("r1@mine.test", marks[1], 0))
            wait_until(lambda: len(f.events("deferred")) == 2, 5, "the deferrals")
            slower = wait_until(lambda: [e for e in f.events("lane") if e["change"] == "rate"], 5, "a slower lane")
            self.assertEqual((slower[0]["lane"], slower[0]["reply"]), ("out/mine", "421 4.7.28 unusual rate of mail"))
            self.assertEqual(len(slower), 1)
            self.assertEqual([e["class"] for e in f.events("deferred")], ["rate", "rate"])
            self.assertEqual(f.ctl("lane", "out/mine")["deferred"], 2)
            self.assertEqual(f.ctl("plan", "out/mine")["history"][-1]["deferred"], 2)

    def test_a_late_dsn_slows_nothing(self):
        with Flyball(CONFIG % ("", self.peer.port)) as f:
            self.send(f, "late@mine.test")
            f.stop()
            f.start()  # when it left isn't known any more
            mark = re.search(r"X-Flyball-Trace: \S+", self.peer.messages[0]["data"].decode()).group()
            self.report(f, dsn("late@mine.test", mark, "failed", "4.7.28", "421 4.7.28 unusual rate of mail"))
            e, = wait_until(lambda: f.events("bounced"), 5, "the bounce")
            self.assertEqual((e["class"], e["proof"]), ("rate", "trace"))
            day = f.ctl("plan", "out/mine")["history"][-1]
            self.assertEqual(day["bounced"], 1)
            self.assertEqual([e for e in f.events("lane") if e["change"] == "rate"], [])

    def test_log_and_dsn_tell_it_once(self):
        """Whichever comes first; what only the DSN tells counts all the same."""
        line = "Nov 25 04:00:00 host postfix/smtp[7]: %s: to=<%s>, relay=mx.mine.test[192.0.2.1]:25, delay=1, " \
               "delays=0/0/0/1, dsn=%s, status=%s (host mx.mine.test[192.0.2.1] said: %s (in reply to RCPT TO command))\n"
        gone = "550 5.1.1 no such user here"
        n = iter(range(100))
        peer = Peer({"eod": lambda _s, _c: f"250 2.0.0 Ok: queued as 1A2B3C4D{next(n)}"})
        with peer, Flyball((CONFIG % ("", peer.port)).replace(
                "feedback: {", 'feedback: {postfix_log: {path: "{dir}/mail.log", route: out}, '),
                files={"mail.log": ""}) as f:
            self.peer = peer

            def log(text):
                with open(f.tmp.file("mail.log"), "a") as to:
                    to.write(text)

            def day():
                return f.ctl("plan", "out/mine")["history"][-1]
            marks = []
            for i in range(3):
                with smtplib.SMTP("127.0.0.1", f.port) as c:
                    c.sendmail("bounces@app.test", [f"r{i}@mine.test"], b"Subject: x\r\n\r\nx\r\n")
                wait_until(lambda: len(f.events("relayed")) == i + 1, 10, "the handing over")
                marks.append(re.search(r"X-Flyball-Trace: \S+", peer.messages[i]["data"].decode()).group())
            log(line % ("1A2B3C4D0", "r0@mine.test", "5.1.1", "bounced", gone))
            wait_until(lambda: len(f.events("bounced")) == 1, 10, "the log's word")
            self.report(f, dsn("r0@mine.test", marks[0]))
            self.report(f, dsn("r1@mine.test", marks[1]))
            wait_until(lambda: len(f.events("bounced")) == 3, 10, "the reports")
            self.assertEqual(day()["bounced"], 2)
            log(line % ("1A2B3C4D1", "r1@mine.test", "5.1.1", "bounced", gone))
            wait_until(lambda: len(f.events("bounced")) == 4, 10, "the log's late word")
            # Delivered, said the log; and then it came back from there.
            log("Nov 25 04:00:00 host postfix/smtp[7]: 1A2B3C4D2: to=<r2@mine.test>, relay=mx.mine.test[192.0.2.1]:25, "
                "delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n")
            wait_until(lambda: f.events("delivered"), 10, "the delivery")
            self.report(f, dsn("r2@mine.test", marks[2]))
            wait_until(lambda: len(f.events("bounced")) == 5, 10, "the bounce after it")
            self.assertEqual(day()["bounced"], 3)
            self.assertEqual([bool(e.get("repeat")) for e in f.events("bounced")], [False, True, False, True, False])
            self.assertEqual(f.ctl("lane", "out/mine")["handed"], 0)
            self.assertEqual(f.ctl("status")["load"]["failed"], 3)
            self.report(f, dsn("r0@mine.test"))  # without a mark: once more what the log told
            wait_until(lambda: len(f.events("bounced")) == 6, 10, "the report without a mark")
            self.assertEqual(day()["bounced"], 3)

    def test_what_expired_speaks_for_nobody_else(self):
        """The log doesn't name the recipients of what it gave up; those that
        went another way aren't among them."""
        n = iter(range(100))
        peer = Peer({"eod": lambda _s, _c: f"250 2.0.0 Ok: queued as 1A2B3C4D{next(n)}"})
        with peer, Flyball((CONFIG % ("", peer.port)).replace(
                "feedback: {", 'feedback: {postfix_log: {path: "{dir}/mail.log", route: out}, ').replace(
                "rate: unlimited", "rate: unlimited, recipients_per_message: 1, connections: 1"),
                files={"mail.log": ""}) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                c.sendmail("bounces@app.test", ["r0@mine.test", "r1@mine.test"], b"Subject: x\r\n\r\nx\r\n")
            wait_until(lambda: len(f.events("relayed")) == 2, 10, "the handing over")
            ids = {m["recipients"][0]: f"1A2B3C4D{i}" for i, m in enumerate(peer.messages)}
            mark = re.search(r"X-Flyball-Trace: \S+", peer.messages[0]["data"].decode()).group()
            with open(f.tmp.file("mail.log"), "a") as log:
                log.write(f"Nov 25 04:00:00 host postfix/qmgr[7]: {ids['r0@mine.test']}: "
                          "from=<bounces@app.test>, status=expired, returned to sender\n")
            wait_until(lambda: f.events("expired"), 10, "the log's word")
            for name in ("r0", "r1"):
                self.report(f, dsn(f"{name}@mine.test", mark).replace(
                    "Reporting-MTA", f"X-Postfix-Queue-ID: {ids[name + '@mine.test']}\nReporting-MTA"))
            wait_until(lambda: len(f.events("bounced")) == 2, 10, "both notices")
            self.assertEqual([bool(e.get("repeat")) for e in f.events("bounced")], [True, False])
            self.report(f, ARF % ("abuse", "r1@mine.test", mark))
            wait_until(lambda: f.events("complained"), 10, "the complaint")
            day = f.ctl("plan", "out/mine")["history"][-1]
            self.assertEqual((day["bounced"], day["complained"]), (2, 1))  # of r0 the log told

    def test_a_mark_speaks_for_nobody_else(self):
        """Whoever got mail has its mark, and might have others suppressed."""
        with self.flyball() as f:
            header = self.send(f, "evil@mine.test").replace("\r\n", "\n")
            mark = "\n".join(l for l in header.splitlines() if l.startswith("X-Flyball"))
            self.report(f, dsn("victim1@mine.test", mark))
            self.report(f, dsn("victim2@mine.test", "Message-ID: <m.evil@app.test>"))
            self.report(f, ARF % ("abuse", "victim3@mine.test", header))
            self.report(f, dsn("EVIL@mine.test", mark))  # he himself may
            wait_until(lambda: len(f.events("bounced")) == 3 and f.events("complained"), 5, "the reports")
            wait_until(lambda: self.suppressed(f), 5, "his own")
            self.assertEqual(list(self.suppressed(f)), ["EVIL@mine.test"])
            f.stop()
            f.start()  # the mark is all that is left
            self.report(f, dsn("victim4@mine.test", mark))
            wait_until(lambda: len(f.events("bounced")) == 4, 5, "the report")
            self.assertEqual(list(self.suppressed(f)), ["EVIL@mine.test"])
            for n in range(1, 5):
                self.send(f, f"victim{n}@mine.test")

    def test_a_bounce_counts_for_the_plan(self):
        with self.flyball() as f:
            self.send(f, "gone@mine.test")
            self.report(f, dsn("gone@mine.test"))
            wait_until(lambda: f.events("bounced"), 5, "the bounce")
            day = f.ctl("plan", "out/mine")["history"][-1]
            self.assertEqual((day["attempted"], day["bounced"]), (1, 1))

    def test_a_complaint(self):
        with self.flyball() as f:
            header = self.send(f, "angry@mine.test")
            self.report(f, ARF % ("abuse", "angry@mine.test", header.replace("\r\n", "\n")))
            e = wait_until(lambda: f.events("complained"), 5, "the complaint")[0]
            self.assertEqual((e["recipient"], e["route"], e["provider"], e["type"], e["reporter"]),
                             ("angry@mine.test", "out", "mine", "abuse", "Loop/1.0"))
            self.assertEqual(f.ctl("plan", "out/mine")["history"][-1]["complained"], 1)
            self.assertEqual(self.suppressed(f), {"angry@mine.test": "complaint"})
            wait_until(lambda: f.ctl("suppress", "check", "angry@mine.test").get("reason") == "complaint", 5, "it on disk")
            # The opposite of one is none.
            self.send(f, "happy@mine.test")
            self.report(f, ARF % ("not-spam", "happy@mine.test", "Subject: x"))
            self.report(f, dsn("angry@mine.test", header))
            wait_until(lambda: f.events("bounced"), 5, "what came after it")
            self.assertEqual(len(f.events("complained")), 1)

    def test_nothing_else_is_taken(self):
        with self.flyball() as f:
            for text in ("Subject: hello\n\nhow are you?\n", dsn("x@mine.test").replace("Action: failed\n", "")):
                with self.assertRaises(smtplib.SMTPDataError) as refused:
                    self.report(f, text)
                self.assertEqual(refused.exception.smtp_code, 550)
                self.assertTrue(refused.exception.smtp_error.startswith(b"5.7.1"))
            self.assertEqual(self.peer.messages, [])
            self.assertEqual(f.n_queued(), 0)
        with self.flyball(", trusted: [10.0.0.0/8]") as f:
            with self.assertRaises(smtplib.SMTPException):
                self.report(f, dsn("x@mine.test"))

    def test_the_mark_goes_along_with_bdat_and_dots(self):
        with Peer(ehlo=("PIPELINING", "CHUNKING", "SIZE 0")) as peer:
            self.peer = peer
            with self.flyball(peer=peer) as f:
                content = "Subject: x\r\nMessage-ID: <m.%s@app.test>\r\n\r\n.dot\r\n..\r\nend\r\n"
                header = self.send(f, "a@mine.test", content)
                self.assertTrue(header.startswith("X-Flyball-Trace: "))
                self.assertTrue(peer.messages[0]["data"].endswith(b"\r\n\r\n.dot\r\n..\r\nend\r\n"))
                size = int(re.search(r"SIZE=(\d+)", peer.messages[0]["mail"]).group(1))
                self.assertEqual(size, len(peer.messages[0]["data"]))
                self.assertEqual(email.message_from_bytes(peer.messages[0]["data"])["Message-ID"], "<m.a@app.test>")

    def test_without_reports_there_is_no_mark(self):
        with Flyball((CONFIG % ("", self.peer.port)).replace("feedback:", "#")) as f:
            self.assertNotIn("X-Flyball", self.send(f, "a@mine.test"))


class RealReports(unittest.TestCase):
    """What real MTAs write of mail that they took from us: no log is read."""

    def bounce(self, start_mta):
        def rcpt(_session, argument):
            return "550 5.1.1 no such user here" if "gone@" in argument else "250 2.1.5 Ok"
        f = Flyball(CONFIG % ("", 1), start=False)
        try:
            with Peer({"rcpt": rcpt}) as peer, start_mta(peer.port, f.port2) as mta:
                f.configure(CONFIG % ("", mta.port))
                f.start()
                with smtplib.SMTP("127.0.0.1", f.port) as c:
                    c.sendmail("bounces@app.test", ["gone@mine.test"], b"Subject: x\r\n\r\nbody\r\n")
                e, = wait_until(lambda: f.events("bounced"), 30, "the MTA's report")
                self.assertEqual((e["recipient"], e["source"], e["proof"], e["class"], e["route"]),
                                 ("gone@mine.test", "dsn", "envid", "bad-mailbox", "out"))
                self.assertIn("550 5.1.1 no such user here", e["reply"])
                self.assertEqual(e["message"], f.events("accepted")[0]["message"])
                wait_until(lambda: [s for s in f.events("suppressed") if s["recipient"] == "gone@mine.test"], 5, "it")
                self.assertEqual(f.ctl("plan", "out/mine")["history"][-1]["bounced"], 1)
        finally:
            f.close()

    @unittest.skipUnless(Postfix.available(), "needs root and postfix")
    def test_postfix(self):
        self.bounce(lambda provider, reports: Postfix(
            f"127.0.0.1:{provider}", f"transport_maps = inline:{{app.test=smtp:[127.0.0.1]:{reports}}}"))

    @unittest.skipIf(EXIM_IS_MISSING, EXIM_IS_MISSING)
    def test_exim(self):
        self.bounce(lambda provider, reports: Exim(f"127.0.0.1:{provider}", bounces=f"127.0.0.1:{reports}"))


if __name__ == "__main__":
    unittest.main()
