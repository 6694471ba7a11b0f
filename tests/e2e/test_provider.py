# SPDX-License-Identifier: ISC
"""The demonstration provider itself, as it is what everything is measured by."""

import glob
import hashlib
import json
import os
import smtplib
import socket
import ssl
import subprocess
import unittest

from harness import FLYBALLCTL, PROVIDER, ROOT, Provider, TempDir, certificate, wait_until


def converse(port, *steps):
    """Sends each step, and collects the reply to it as a list of lines."""
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        f = s.makefile("rb")

        def reply():
            lines = []
            while True:
                line = f.readline().decode()
                lines.append(line.rstrip("\r\n"))
                if not line or line[3:4] == " ":
                    return lines
        out = [reply()]
        for step in steps:
            s.sendall(step)
            out.append(reply())
        return out


class Dialogue(unittest.TestCase):
    WORLD = """
listen: "127.0.0.1:0"
providers:
  gmail: {domains: [gmail.com], rate: 1/h, burst: 1}
  gmx: {domains: [gmx.de], rate: 1/h, burst: 1}
  plain: {domains: ["*"]}
"""

    def test_refusals_in_each_ones_words(self):
        with Provider(self.WORLD) as p:
            def message(to):
                return converse(p.port, b"EHLO x\r\n", b"MAIL FROM:<a@b.test>\r\n",
                                f"RCPT TO:<{to}>\r\n".encode(), b"DATA\r\n", b"x\r\n.\r\n")
            self.assertEqual(message("u@gmail.com")[-1][-1][:3], "250")
            last = message("u@gmail.com")[-1]
            self.assertGreater(len(last), 2)
            self.assertTrue(all(l.startswith("421-4.7.28 ") for l in last[:-1]))
            self.assertTrue(last[-1].startswith("421 4.7.28 "))
            self.assertEqual(message("u@gmx.de")[-1][-1][:3], "250")
            at_rcpt = message("u@gmx.de")[3]  # MAIL couldn't know yet
            self.assertTrue(at_rcpt[0].startswith("450-Requested mail action"))

    def test_a_pipelined_mail_is_refused_at_mail(self):
        with Provider(self.WORLD) as p:
            converse(p.port, b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<u@gmx.de>\r\n", b"DATA\r\n", b"x\r\n.\r\n")
            got = converse(p.port, b"MAIL FROM:<a@b.test>\r\nRCPT TO:<u@gmx.de>\r\nDATA\r\n", b"", b"")
            self.assertEqual([r[-1][:3] for r in got[1:]], ["450", "503", "503"])

    def test_what_is_stored_is_the_body(self):
        body = b".dot\r\n..\r\nlast line\r\n"
        stuffed = body.replace(b"\r\n.", b"\r\n..").replace(b".dot", b"..dot", 1)
        with Provider(store=True) as p:
            converse(p.port, b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<dotted@x.test>\r\n", b"DATA\r\n",
                     b"Subject: x\r\n\r\n" + stuffed + b".\r\n")
            content = b"Subject: x\r\nX: y\r\n\r\n" + body
            half = len(content) // 2
            converse(p.port, b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<chunked@x.test>\r\n",
                     b"BDAT %d\r\n" % half + content[:half],
                     b"BDAT %d LAST\r\n" % (len(content) - half) + content[half:])
            wait_until(lambda: len(p.stored()) == 2, 5, "two lines")
            want = hashlib.sha256(body).hexdigest()
            self.assertEqual([(l["rcpt"], l["sha256"]) for l in p.stored()],
                             [("dotted@x.test", want), ("chunked@x.test", want)])

    def test_starttls(self):
        cert, key = certificate()
        with Provider(f'listen: "127.0.0.1:0"\ntls: {{certificate: {cert}, key: {key}, required: true}}\n'
                      'providers: {any: {domains: ["*"]}}\n') as p:
            with smtplib.SMTP("127.0.0.1", p.port) as c:
                with self.assertRaises(smtplib.SMTPSenderRefused) as raised:
                    c.sendmail("a@b.test", ["r@x.test"], b"Subject: x\r\n\r\nx\r\n")
                self.assertEqual(raised.exception.smtp_code, 530)
                c.starttls(context=ssl._create_unverified_context())
                c.sendmail("a@b.test", ["r@x.test"], b"Subject: x\r\n\r\n" + b"x" * 200000 + b"\r\n")

    def test_connections_are_refused_at_the_banner(self):
        with Provider('providers: {any: {domains: ["*"]}}\nlisten: [{name: door, connections: 2}]\n') as p:
            held = [socket.create_connection(("127.0.0.1", p.port), 5) for _ in range(2)]
            for s in held:
                self.assertEqual(s.recv(3), b"220")
            self.assertEqual(converse(p.port)[0][0][:3], "421")
            held.pop().close()
            wait_until(lambda: converse(p.port)[0][0][:3] == "220", 5, "a place")
            held.pop().close()


class Voices(unittest.TestCase):
    """The rule base understands what the providers say."""

    WANT = {"accepted": {"ok"}, "rate": {"rate", "reputation-defer"}, "daily": {"rate", "reputation-defer"},
            "connections": {"rate", "reputation-defer"}, "reputation_defer": {"reputation-defer"},
            "reputation_reject": {"reputation-reject"}, "greylist": {"greylist"}, "unknown_user": {"bad-mailbox"},
            "mailbox_full": {"mailbox-full"}, "content": {"content"}, "system": {"system"},
            "maintenance": {"system"}, "too_many_recipients": {"other"}, "messages_per_connection": {"rate", "system"}}

    def test_each_word_is_understood(self):
        rows = [l.split("\t") for l in subprocess.run([PROVIDER, "--voices"], capture_output=True, text=True,
                                                      check=True).stdout.splitlines()]
        self.assertGreater(len(rows), 100)
        missed = []
        for voice in sorted({r[0] for r in rows}):
            mine = [r for r in rows if r[0] == voice]
            known = [] if voice in ("plain", "ses") else ["--provider", voice]
            p = subprocess.run([FLYBALLCTL, "classify", *known], input="".join(r[2] + "\n" for r in mine),
                               capture_output=True, text=True)
            self.assertEqual(p.returncode, 0, p.stderr)
            answers = [l.split("\t") for l in p.stdout.splitlines()]
            self.assertEqual(len(answers), len(mine))
            missed += [f"{r[0]} {r[1]}: {a[0]} by {a[2]}: {r[2]}" for r, a in zip(mine, answers)
                       if a[0] not in self.WANT[r[1]]]
        self.assertEqual(missed, [], "\n" + "\n".join(missed))


class Reports(unittest.TestCase):
    def test_summary(self):
        with Provider('duration: 1s\nproviders: {any: {domains: ["*"], rate: 5/s, burst: 5, rate_phase: mail}}\n') as p:
            with smtplib.SMTP("127.0.0.1", p.port) as c:
                refused = 0
                for _ in range(50):
                    try:
                        c.sendmail("a@b.test", ["r@x.test"], b"Subject: x\r\n\r\nx\r\n")
                    except smtplib.SMTPException:
                        refused += 1
            self.assertEqual(p.process.wait(5), 0)
            p.thread.join(5)
            lines = [json.loads(l) for l in p.lines[1:]]
            total = lines[-1]
            self.assertTrue(total["summary"])
            self.assertEqual(total["provider"], "*")
            self.assertEqual((total["attempts"], total["violations"]), (50, refused))
            self.assertEqual(total["accepted"], 50 - refused)
            self.assertAlmostEqual(total["ideal"], 10, delta=0.2)

    def test_every_world_can_be_played(self):
        worlds = glob.glob(os.path.join(ROOT, "tests/provider/worlds/*.yaml"))
        self.assertGreaterEqual(len(worlds), 13)
        for path in worlds:
            with self.subTest(path):
                subprocess.run([PROVIDER, "--check", "-w", path], check=True)

    def test_mistakes_in_a_world_have_a_place(self):
        cases = [("providers:\n  a: {rote: 3}\n", ':2:7: unknown key "rote"'),
                 ("providers:\n  a: {rate: soon}\n", ":2:13: rate: "),
                 ("providers: {a: {steps: [{at: 5s}, {at: 1s}]}}\n", ":1:35: steps go back in time"),
                 ("listen: [{provider: x}]\n", ":1:10: no provider"),
                 ("tls: {required: true}\n", ":1:6: tls:"),
                 ("a: [", ":2:1: ")]
        tmp = TempDir()
        for text, want in cases:
            with self.subTest(text):
                p = subprocess.run([PROVIDER, "--check", "-w", tmp.file("w.yaml", text)],
                                   capture_output=True, text=True)
                self.assertEqual(p.returncode, 1)
                self.assertIn("w.yaml" + want, p.stderr)
        tmp.remove()


if __name__ == "__main__":
    unittest.main()
