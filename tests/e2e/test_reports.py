# SPDX-License-Identifier: ISC
"""DSNs and complaints that come back: which mail they are about, and what
they lead to."""

import email
import re
import smtplib
import unittest

from harness import Flyball, Peer, wait_until

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
            self.assertEqual([(e["known_by"], e["recipient"]) for e in f.events("bounced")],
                             [("message-id", "forwarded@else.test"), ("recipient", "RCPT@mine.test")])
            e = f.events("deferred")[0]
            self.assertEqual((e["known_by"], e["class"]), ("envid", "mailbox-full"))
            self.report(f, dsn("stranger@else.test"))
            wait_until(lambda: f.events("unknown_report"), 5, "that it isn't known")
            self.assertNotIn("stranger@else.test", self.suppressed(f))

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


if __name__ == "__main__":
    unittest.main()
