# SPDX-License-Identifier: ISC
"""Mail comes in: real clients, TLS, AUTH, limits, rude clients."""

import os
import select
import smtplib
import socket
import ssl
import subprocess
import threading
import time
import unittest

from harness import (PATIENCE, Flyball, Peer, certificate, crypt_line, has,
                     wait_until)

OPEN = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none}
"""


def secure(peer_port, more=""):
    cert, key = certificate()
    return f"""
listeners:
  - {{listen: "127.0.0.1:{{port}}", tls: starttls, auth: required}}
  - {{listen: "127.0.0.1:{{port2}}", tls: implicit, auth: required}}
tls: {{certificate: {cert}, key: {key}}}
auth: {{users_file: "{{dir}}/users"}}
routes:
  out: {{next_hop: "127.0.0.1:{peer_port}", tls: none}}
{more}
"""


MESSAGE = b"From: a@app.test\r\nTo: b@gmail.com\r\nSubject: hello\r\nMessage-ID: <1@app.test>\r\n" \
          b"Date: Tue, 24 Nov 2026 05:16:00 +0000\r\n\r\nline one\r\n..dot\r\n.\r\n\r\nend\r\n"


def talk(port, *sends, timeout=5):
    """Raw dialogue: sends each piece after the last answer came; returns all."""
    out = b""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
        out += s.recv(65536)
        for piece in sends:
            s.sendall(piece)
            out += s.recv(65536)
        s.settimeout(0.3)
        try:
            while True:
                more = s.recv(65536)
                if not more:
                    break
                out += more
        except (TimeoutError, ConnectionError):
            pass
    return out.decode("utf-8", "replace")


class Clients(unittest.TestCase):
    """The same message by every client that people use."""

    @classmethod
    def setUpClass(cls):
        cls.peer = Peer()
        cls.flyball = Flyball(secure(cls.peer.port), files={"users": ""}, start=False)
        cls.flyball.tmp.file("users", crypt_line("app", "secret") + "\n")
        cls.flyball.start()

    @classmethod
    def tearDownClass(cls):
        cls.flyball.close()
        cls.peer.close()

    def arrived(self, sender):
        return wait_until(lambda: [m for m in self.peer.messages if m["sender"] == sender], 10,
                          f"mail of {sender}")[0]

    def context(self):
        context = ssl.create_default_context(cafile=certificate()[0])
        return context

    def test_smtplib_starttls(self):
        with smtplib.SMTP("127.0.0.1", self.flyball.port) as c:
            c.starttls(context=self.context())
            c.login("app", "secret")
            c.sendmail("py@app.test", ["b@gmail.com"], MESSAGE)
        got = self.arrived("py@app.test")
        self.assertEqual(got["recipients"], ["b@gmail.com"])
        head, body = got["data"].split(b"\r\n\r\n", 1)
        self.assertTrue(head.startswith(b"Received: from "), head)
        self.assertIn(b"with ESMTPSA", head.replace(b"\r\n\t", b" "))
        self.assertEqual(body, MESSAGE.split(b"\r\n\r\n", 1)[1])

    def test_smtplib_implicit_tls(self):
        with smtplib.SMTP_SSL("127.0.0.1", self.flyball.port2, context=self.context()) as c:
            c.login("app", "secret")
            c.sendmail("ssl@app.test", ["b@gmail.com"], MESSAGE)
        head = self.arrived("ssl@app.test")["data"].split(b"\r\n\r\n", 1)[0]
        self.assertRegex(head, rb"with ESMTPSA \(TLSv1\.[23] ")

    def test_wrong_password_and_no_auth(self):
        with smtplib.SMTP("127.0.0.1", self.flyball.port) as c:
            c.starttls(context=self.context())
            with self.assertRaises(smtplib.SMTPAuthenticationError) as raised:
                c.login("app", "wrong")
            self.assertEqual(raised.exception.smtp_code, 535)
            code, text = c.mail("x@app.test")
            self.assertEqual((code, text[:5]), (530, b"5.7.0"))

    def test_auth_isnt_offered_in_clear(self):
        with smtplib.SMTP("127.0.0.1", self.flyball.port) as c:
            c.ehlo()
            self.assertFalse(c.has_extn("auth"))
            self.assertTrue(c.has_extn("starttls"))
            code, _ = c.docmd("AUTH", "PLAIN AGFwcABzZWNyZXQ=")
            self.assertIn(code, (530, 538))

    def test_starttls_discards_what_was_pipelined(self):
        out = talk(self.flyball.port, b"EHLO x\r\n", b"STARTTLS\r\nMAIL FROM:<evil@app.test>\r\n")
        self.assertIn("220 2.0.0", out)
        self.assertNotIn("250 2.1.0", out)

    @unittest.skipUnless(has("swaks"), "swaks isn't installed")
    def test_swaks(self):
        p = subprocess.run(
            ["swaks", "--server", "127.0.0.1", "--port", str(self.flyball.port), "--tls", "--auth", "PLAIN",
             "--auth-user", "app", "--auth-password", "secret", "--from", "swaks@app.test", "--to", "b@gmail.com",
             "--helo", "client.test"], capture_output=True, text=True, timeout=30)
        self.assertEqual(p.returncode, 0, p.stdout[-2000:])
        self.arrived("swaks@app.test")

    @unittest.skipUnless(has("swaks"), "swaks isn't installed")
    def test_swaks_login_pipelined(self):
        p = subprocess.run(
            ["swaks", "--server", "127.0.0.1", "--port", str(self.flyball.port), "--tls", "--auth", "LOGIN",
             "--auth-user", "app", "--auth-password", "secret", "--from", "login@app.test", "--to",
             "b@gmail.com,c@gmail.com", "--pipeline", "--helo", "client.test"],
            capture_output=True, text=True, timeout=30)
        self.assertEqual(p.returncode, 0, p.stdout[-2000:])
        # In one transaction or in two: the lane may have a token for one only.
        wait_until(lambda: sorted(r for m in self.peer.messages if m["sender"] == "login@app.test"
                                  for r in m["recipients"]) == ["b@gmail.com", "c@gmail.com"], 10, "both recipients")

    @unittest.skipUnless(has("msmtp"), "msmtp isn't installed")
    def test_msmtp(self):
        config = self.flyball.tmp.file(
            "msmtprc", f"account default\nhost 127.0.0.1\nport {self.flyball.port}\nfrom msmtp@app.test\n"
            f"auth on\nuser app\npassword secret\ntls on\ntls_starttls on\ntls_trust_file {certificate()[0]}\n"
            "tls_host_override localhost\n", 0o600)
        p = subprocess.run(["msmtp", "-C", config, "b@gmail.com"], input=MESSAGE, capture_output=True, timeout=30)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.arrived("msmtp@app.test")

    def test_openssl_s_client(self):
        dialogue = ("EHLO x\r\nAUTH PLAIN AGFwcABzZWNyZXQ=\r\nMAIL FROM:<openssl@app.test>\r\n"
                    "RCPT TO:<b@gmail.com>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n")
        p = subprocess.run(
            ["openssl", "s_client", "-quiet", "-crlf", "-ign_eof", "-starttls", "smtp", "-connect",
             f"127.0.0.1:{self.flyball.port}", "-CAfile", certificate()[0], "-verify_return_error"],
            input=dialogue.replace("\r\n", "\n"), capture_output=True, text=True, timeout=30)
        self.assertIn("queued as", p.stdout, p.stdout + p.stderr)
        self.arrived("openssl@app.test")

    def test_tls_versions_and_resumption(self):
        for version, works in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
            p = subprocess.run(["openssl", "s_client", version, "-connect", f"127.0.0.1:{self.flyball.port2}"],
                               input="QUIT\n", capture_output=True, text=True, timeout=20)
            self.assertEqual("220 relay.test" in p.stdout or "Cipher is TLS" in p.stdout
                             or "Cipher is ECDHE" in p.stdout, works, version + p.stdout + p.stderr)
        session = self.flyball.tmp.file("session.pem")
        for flag in ("-sess_out", "-sess_in"):
            p = subprocess.run(
                ["openssl", "s_client", "-tls1_2", flag, session, "-connect", f"127.0.0.1:{self.flyball.port2}"],
                input="QUIT\n", capture_output=True, text=True, timeout=20)
        self.assertIn("Reused, TLSv1.2", p.stdout)


class Plain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.peer = Peer()
        cls.flyball = Flyball(OPEN % cls.peer.port + "limits: {message_size: 1MiB, recipients: 150}\n")

    @classmethod
    def tearDownClass(cls):
        cls.flyball.close()
        cls.peer.close()

    def test_no_smuggling(self):
        """A bare LF or CR is never a line end, in either direction."""
        for eod in (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r.\r\n", b"\r\n\x00.\r\n"):
            content = b"Subject: x\r\n\r\nfirst" + eod + b"MAIL FROM:<smuggled@app.test>\r\nRCPT TO:<v@gmail.com>\r\nDATA\r\n"
            out = talk(self.flyball.port, b"EHLO x\r\n", b"MAIL FROM:<a@app.test>\r\n", b"RCPT TO:<b@gmail.com>\r\n",
                       b"DATA\r\n", content + b"Subject: y\r\n\r\nsecond\r\n.\r\n")
            self.assertNotIn("354 ", out.split("354 ", 1)[1], repr(eod))
            self.assertRegex(out.rsplit("\r\n", 2)[1], r"^550 5\.6", repr(eod))
        time.sleep(0.3)
        self.assertFalse([m for m in self.peer.messages if m["sender"] == "smuggled@app.test"])

    def test_many_recipients(self):
        with smtplib.SMTP("127.0.0.1", self.flyball.port) as c:
            refused = c.sendmail("many@app.test", [f"r{i}@gmail.com" for i in range(150)], MESSAGE)
        self.assertEqual(refused, {})

        def got():
            return sorted(r for m in self.peer.messages if m["sender"] == "many@app.test" for r in m["recipients"])
        wait_until(lambda: len(got()) == 150, 20, "150 recipients")
        self.assertEqual(len(set(got())), 150)
        with smtplib.SMTP("127.0.0.1", self.flyball.port) as c:
            c.ehlo()
            c.mail("over@app.test")
            for i in range(150):
                self.assertEqual(c.rcpt(f"r{i}@gmail.com")[0], 250)
            self.assertEqual(c.rcpt("one@gmail.com")[0], 452)

    def test_size_limits(self):
        with smtplib.SMTP("127.0.0.1", self.flyball.port) as c:
            c.ehlo()
            self.assertEqual(c.esmtp_features["size"], str(1024 * 1024))
            self.assertEqual(c.mail("a@app.test", ["SIZE=1048577"])[0], 552)
            self.assertEqual(c.mail("a@app.test", ["SIZE=1048576"])[0], 250)
            c.rset()
            c.mail("a@app.test")
            c.rcpt("b@gmail.com")
            code, text = c.data(b"x" * 60 + b"\r\n" + (b"y" * 70 + b"\r\n") * 16000)
            self.assertEqual((code, text[:5]), (552, b"5.3.4"))
            self.assertEqual(c.noop()[0], 250)  # and the session goes on

    def test_bdat(self):
        chunk = b"Subject: bdat\r\n\r\n" + b"0123456789\r\n" * 1000
        out = talk(self.flyball.port, b"EHLO x\r\n",
                   b"MAIL FROM:<bdat@app.test>\r\nRCPT TO:<b@gmail.com>\r\nBDAT %d\r\n" % len(chunk) + chunk +
                   b"BDAT 5 LAST\r\nend\r\n")
        self.assertIn("queued as", out)
        got = wait_until(lambda: [m for m in self.peer.messages if m["sender"] == "bdat@app.test"], 10, "bdat")[0]
        self.assertTrue(got["data"].endswith(b"0123456789\r\nend\r\n"))

    def test_large_message_is_streamed(self):
        body = b"".join(b"%063d\r\n" % i for i in range(10000))
        with smtplib.SMTP("127.0.0.1", self.flyball.port) as c:
            c.sendmail("large@app.test", ["b@gmail.com"], b"Subject: x\r\n\r\n" + body)
        got = wait_until(lambda: [m for m in self.peer.messages if m["sender"] == "large@app.test"], 10, "large")[0]
        self.assertEqual(got["data"].split(b"\r\n\r\n", 1)[1], body)

    def test_missing_headers_are_added(self):
        with smtplib.SMTP("127.0.0.1", self.flyball.port) as c:
            c.sendmail("bare@app.test", ["b@gmail.com"], b"Subject: bare\r\n\r\nx\r\n")
        got = wait_until(lambda: [m for m in self.peer.messages if m["sender"] == "bare@app.test"], 10, "mail")[0]
        head = got["data"].split(b"\r\n\r\n", 1)[0].lower()
        self.assertEqual(head.count(b"message-id:"), 1)
        self.assertEqual(head.count(b"\r\ndate:"), 1)

    def test_loop_is_detected(self):
        hops = b"".join(b"Received: from h%d by h%d; Tue, 24 Nov 2026 05:16:00 +0000\r\n" % (i, i) for i in range(120))
        with smtplib.SMTP("127.0.0.1", self.flyball.port) as c:
            with self.assertRaises(smtplib.SMTPDataError) as raised:
                c.sendmail("loop@app.test", ["b@gmail.com"], hops + b"\r\nx\r\n")
        self.assertEqual(raised.exception.smtp_code, 554)

    def test_smtputf8(self):
        with smtplib.SMTP("127.0.0.1", self.flyball.port) as c:
            c.sendmail("jörg@app.test", ["müller@bücher.example"], "Subject: ü\r\n\r\nä\r\n".encode(),
                       mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        got = wait_until(lambda: [m for m in self.peer.messages if m["sender"] == "jörg@app.test"], 10, "utf8")[0]
        self.assertIn("SMTPUTF8", got["mail"])
        self.assertEqual(got["recipients"], ["müller@bücher.example"])

    def test_dsn_parameters_are_passed_on(self):
        out = talk(self.flyball.port, b"EHLO x\r\n",
                   b"MAIL FROM:<dsn@app.test> RET=HDRS ENVID=id+2B1\r\n"
                   b"RCPT TO:<b@gmail.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b+2Bc@gmail.com\r\nDATA\r\n",
                   b"Subject: x\r\n\r\nx\r\n.\r\n")
        self.assertIn("queued as", out)
        got = wait_until(lambda: [m for m in self.peer.messages if m["sender"] == "dsn@app.test"], 10, "dsn")[0]
        self.assertIn("RET=HDRS", got["mail"])
        self.assertIn("ENVID=id+2B1", got["mail"])
        self.assertIn("ORCPT=rfc822;b+2Bc@gmail.com", got["rcpt_args"][0])
        self.assertRegex(got["rcpt_args"][0], "NOTIFY=(FAILURE,DELAY|DELAY,FAILURE)")


class Rude(unittest.TestCase):
    def test_deadlines_are_absolute(self):
        with Peer() as peer, Flyball(OPEN % peer.port + "limits: {command_timeout: 1s, data_timeout: 2s}\n") as f:
            start = time.monotonic()
            with socket.create_connection(("127.0.0.1", f.port)) as s:
                s.recv(1000)
                s.settimeout(0.2)
                got = b""
                while time.monotonic() - start < 6:
                    try:
                        s.sendall(b"E")  # trickles for ever
                        got += s.recv(1000)
                        if b"421" in got:
                            break
                    except TimeoutError:
                        continue
                    except OSError:
                        break
            took = time.monotonic() - start
            self.assertIn(b"421 4.4.2", got)
            self.assertLess(took, 4)

    def test_a_client_that_closes_its_side_gets_its_answer(self):
        with Peer() as peer, Flyball(OPEN % peer.port) as f:
            with socket.create_connection(("127.0.0.1", f.port)) as c:
                c.sendall(b"HELO x\r\nMAIL FROM:<a@app.test>\r\nRCPT TO:<b@gmail.com>\r\nDATA\r\n"
                          b"Subject: x\r\n\r\nx\r\n.\r\n")
                c.shutdown(socket.SHUT_WR)
                answer = b""
                while (more := c.recv(4096)):
                    answer += more
            self.assertIn(b"queued as", answer)

    def test_sessions_per_address_and_total(self):
        with Peer() as peer, Flyball(OPEN % peer.port + "limits: {sessions: 5, sessions_per_address: 3}\n") as f:
            held = [socket.create_connection(("127.0.0.1", f.port)) for _ in range(3)]
            for s in held:
                self.assertTrue(s.recv(100).startswith(b"220"))
            with socket.create_connection(("127.0.0.1", f.port)) as s:
                self.assertTrue(s.recv(100).startswith(b"421 4.7.0"))
            others = [socket.create_connection(("127.0.0.1", f.port), source_address=("127.0.0.2", 0)) for _ in range(2)]
            for s in others:
                self.assertTrue(s.recv(100).startswith(b"220"))
            with socket.create_connection(("127.0.0.1", f.port), source_address=("127.0.0.3", 0)) as s:
                self.assertTrue(s.recv(100).startswith(b"421 4"))
            for s in held + others:
                s.close()

            def works():
                with socket.create_connection(("127.0.0.1", f.port)) as s:
                    return s.recv(100).startswith(b"220")
            wait_until(works, 5, "places to be free again")

    def test_failed_auth_ends_the_session_and_delays_the_address(self):
        with Peer() as peer, Flyball(secure(peer.port, "limits: {auth_failures: 2, penalty: 1s}\n"), start=False) as f:
            f.tmp.file("users", crypt_line("app", "secret") + "\n")
            f.start()
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                c.starttls(context=ssl._create_unverified_context())
                c.ehlo()
                codes = [c.docmd("AUTH", "PLAIN AGFwcAB3cm9uZw==")[0] for _ in range(2)]
                self.assertEqual(codes[0], 535)
                self.assertIn(codes[1], (421, 535))
                with self.assertRaises((smtplib.SMTPServerDisconnected, AssertionError)):
                    self.assertEqual(c.noop()[0], 250)
            with socket.create_connection(("127.0.0.1", f.port)) as s:
                self.assertTrue(s.recv(200).startswith(b"421 4.7.0"))

            def works():
                with socket.create_connection(("127.0.0.1", f.port)) as s:
                    return s.recv(100).startswith(b"220")
            wait_until(works, 5, "the penalty's end")

    def test_garbage_leaves_nothing_behind(self):
        """Many garbage sessions: descriptors and memory stay where they were."""
        import random
        rnd = random.Random(7)
        n = int(os.environ.get("FLYBALL_GARBAGE", "3000"))
        with Peer() as peer, Flyball(OPEN % peer.port + "limits: {penalty: 0s, sessions_per_address: 1000}\n") as f:
            def figures():
                pid = f.process.pid
                with open(f"/proc/{pid}/status") as s:
                    rss = [int(l.split()[1]) for l in s if l.startswith("RssAnon")][0]
                return len(os.listdir(f"/proc/{pid}/fd")), rss

            def session(seed):
                r = random.Random(seed)
                try:
                    with socket.create_connection(("127.0.0.1", f.port), timeout=5 * PATIENCE) as s:
                        kind = r.randrange(4)
                        waits = r.randrange(2)  # else it is gone before we looked
                        if kind == 0:
                            s.sendall(r.randbytes(r.randrange(3000)))
                        elif kind == 1:
                            s.sendall(b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n" + r.randbytes(2000))
                        elif kind == 2:
                            s.sendall(b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 99999\r\n" + r.randbytes(500))
                        else:
                            s.sendall(b"\r\n".join(r.randbytes(20) for _ in range(30)))
                        if waits:
                            s.shutdown(socket.SHUT_WR)
                            seen = b""
                            while piece := s.recv(65536):
                                seen += piece
                            answered.append(seen.startswith(b"220 "))
                except OSError:
                    failed.append(seed)
            answered, failed = [], []

            def run(count):
                threads = []
                def work(k):
                    for i in range(k, count, 8):
                        session(rnd.random())
                for k in range(8):
                    threads.append(threading.Thread(target=work, args=(k,)))
                for t in threads:
                    t.start()
                for t in threads:
                    t.join()
                wait_until(lambda: f.ctl("status")["load"]["sessions"] == 0, 15, "sessions to end")
            run(n // 3)
            before = figures()
            run(n)
            after = figures()
            print(f"garbage: {len(answered)} answered, {len(failed)} cut off", flush=True)
            self.assertTrue(all(answered))
            self.assertGreater(len(answered), n // 3)  # it did reach the daemon
            self.assertLessEqual(after[0], before[0] + 2)
            if "FLYBALL_SANITIZED" not in os.environ:
                self.assertLess(after[1] - before[1], 4096, "KiB more after garbage")
            self.assertEqual(f.n_queued(), 0)


class NoOpenRelay(unittest.TestCase):
    def test_untrusted_clients_are_refused(self):
        with Peer() as peer, Flyball("""
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.8/32]}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none}
""" % peer.port) as f:
            out = talk(f.port, b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n")
            self.assertNotIn("250 2.1.5", out)
            self.assertRegex(out, r"5[35][0-9] 5\.7\.1")


class SubmissionOptions(unittest.TestCase):
    def test_users_may_be_bound(self):
        streams = """
streams:
  shop: {match: {header: {X-Kind: shop}}, priority: high, routes: [out]}
  news: {match: {sender_domain: [news.test]}, priority: bulk, routes: [out]}
  default: {routes: [out]}
"""
        with Peer() as peer, Flyball(secure(peer.port, streams), start=False) as f:
            f.tmp.file("users", crypt_line("bound", "secret", "senders=shop.test,rate=3/h") + "\n"
                       + crypt_line("news", "secret", "stream=news") + "\n")
            f.start()
            context = ssl._create_unverified_context()
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                c.starttls(context=context)
                c.login("bound", "secret")
                self.assertEqual(c.mail("a@other.test")[0], 553)
                self.assertEqual(c.mail("a@shop.test")[0], 250)
                codes = [c.rcpt(f"r{i}@gmail.com")[0] for i in range(4)]
                self.assertEqual(codes, [250, 250, 250, 450])
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                c.starttls(context=context)
                c.login("news", "secret")
                c.sendmail("a@any.test", ["b@gmail.com"], b"X-Kind: shop\r\n\r\nx\r\n")
            wait_until(lambda: f.events("delivered"), 10, "delivery")
            self.assertEqual(f.events("delivered")[0]["stream"], "news")


class ContentTime(unittest.TestCase):
    """limits.data_timeout is for a message's content, however it is cut."""

    def setUp(self):
        self.flyball = Flyball("limits: {command_timeout: 1s, data_timeout: 3s}\n" + OPEN % 1)
        self.addCleanup(self.flyball.close)
        self.client = socket.create_connection(("127.0.0.1", self.flyball.port))
        self.addCleanup(self.client.close)
        self.replies = self.client.makefile("rb")
        self.addCleanup(self.replies.close)
        self.client.settimeout(20 * PATIENCE)
        self.replies.readline()
        for line in (b"HELO x\r\n", b"MAIL FROM:<a@app.test>\r\n", b"RCPT TO:<b@gmail.com>\r\n"):
            self.client.sendall(line)
            self.assertTrue(self.replies.readline().startswith(b"250 "))
        self.begun = time.monotonic()

    def test_many_chunks_have_no_more_time_than_one(self):
        while not select.select([self.client], [], [], 0.3)[0]:
            self.assertLess(time.monotonic() - self.begun, 20 * PATIENCE)
            self.client.sendall(b"BDAT 1\r\nx")
            self.assertTrue(self.replies.readline().startswith(b"250 "))
        self.assertTrue(self.replies.readline().startswith(b"421 4.4.2 "))

    def test_a_chunk_may_take_longer_than_a_command(self):
        self.client.sendall(b"BDAT 9 LAST\r\nSubject")
        time.sleep(1.5)
        self.client.sendall(b"\r\n")
        reply = self.replies.readline()
        self.assertTrue(reply.startswith(b"250 "), reply)


if __name__ == "__main__":
    unittest.main()
