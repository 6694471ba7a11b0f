# SPDX-License-Identifier: ISC
"""Clients and peers that mean harm: what they cost, and what they break."""

import errno
import os
import socket
import ssl
import time
import unittest

from fault import ACCEPT, ELSE, LIBRARY, SOCKET, FaultyFlyball
from harness import IS_SANITIZED, PATIENCE, Flyball, Peer, certificate, crypt_line, wait_until

OPEN = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none}
"""


def with_tls(more=""):
    cert, key = certificate()
    return f"""
listeners:
  - {{listen: "127.0.0.1:{{port}}", tls: starttls, auth: none, trusted: [127.0.0.0/8]}}
tls: {{certificate: {cert}, key: {key}}}
routes:
  out: {{next_hop: "127.0.0.1:9", tls: none}}
{more}
"""


def memory_kib(f):
    """What is ours alone, without the files that are mapped."""
    with open(f"/proc/{f.process.pid}/status") as s:
        return [int(line.split()[1]) for line in s if line.startswith("RssAnon")][0]


def n_descriptors(f):
    return len(os.listdir(f"/proc/{f.process.pid}/fd"))


def cpu_s(f):
    with open(f"/proc/{f.process.pid}/stat") as s:
        words = s.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def greeted(f):
    s = socket.create_connection(("127.0.0.1", f.port), timeout=10)
    s.recv(1000)
    s.sendall(b"EHLO a.test\r\n")
    s.recv(4000)
    return s


class Flood(unittest.TestCase):
    def test_replies_nobody_reads_dont_pile_up(self):
        """EHLO without end, and no look at the answers."""
        with Flyball(OPEN % 9) as f:
            before = memory_kib(f)
            with greeted(f) as s:
                s.setblocking(False)
                data = b"EHLO a\r\n" * 8192
                end = time.monotonic() + 2
                sent = 0
                while time.monotonic() < end:
                    try:
                        sent += s.send(data[sent % 8:])
                    except BlockingIOError:
                        time.sleep(0.01)
                if not IS_SANITIZED:
                    self.assertLess(memory_kib(f) - before, 4096)
                # Whoever begins to read gets one answer for each.
                s.setblocking(True)
                s.settimeout(30)
                s.shutdown(socket.SHUT_WR)
                answers = b""
                while True:
                    more = s.recv(1 << 20)
                    if not more:
                        break
                    answers += more
                self.assertEqual(answers.count(b"250 LIMITS"), sent // 8)


class SlowReaders(unittest.TestCase):
    """RFC 5321 knows no half-closed peers, but Exim closes its side behind QUIT,
    and so do pipes into nc: mail whose 250 got lost is sent again."""

    MAIL = (b"MAIL FROM:<a@news.test>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
            b"Subject: x\r\n\r\nhello\r\n.\r\n")

    def connect(self, f, tls):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(30)
        s.connect(("127.0.0.1", f.port))
        s.recv(1000)
        if tls:
            s.sendall(b"EHLO a.test\r\nSTARTTLS\r\n")
            while b"220 2.0.0" not in s.recv(4000):
                pass
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            s = context.wrap_socket(s)
        return s

    def fill(self, f, s):
        """Asks until the kernel takes no more replies; none of them is read."""
        port = s.getsockname()[1]

        def n_unread():
            with open("/proc/net/tcp") as table:
                return sum(int(w[4].split(":")[0], 16) for w in map(str.split, table)
                           if w[1].endswith(f":{f.port:04X}") and w[2].endswith(f":{port:04X}"))

        before, n_still = -1, 0
        while n_still < 3 or before < 100000:  # it grows after a while
            s.send(b"EHLO a\r\n" * 75)
            time.sleep(0.003 * PATIENCE)
            now = n_unread()
            n_still = n_still + 1 if now == before else 0
            before = now

    def finish(self, s, last):
        """A mail, `last` and an end of file: TLS too without its good-bye."""
        s.sendall(self.MAIL + last)
        with socket.socket(fileno=os.dup(s.fileno())) as same:
            same.shutdown(socket.SHUT_WR)

    def talk(self, f, last, pause=0, tls=False):
        """All that, then reads the answers in small pieces."""
        answers = b""
        with self.connect(f, tls) as s:
            self.fill(f, s)
            self.finish(s, last)
            time.sleep(pause)
            while True:
                more = s.recv(4096)
                if not more:
                    return answers
                answers = answers[-300:] + more

    def test_the_last_reply_arrives(self):
        for tls in (False, True):
            for last in (b"", b"QUIT\r\n"):
                with self.subTest(tls=tls, last=last), Flyball(with_tls()) as f:
                    answers = self.talk(f, last, pause=0.5, tls=tls)
                    self.assertRegex(answers[-120:], rb"250 2\.0\.0 Ok: queued[^\r]*\r\n(221 .*\r\n)?$")
                    self.assertEqual(b"\n221 " in answers[-120:], last != b"")
                    wait_until(lambda: f.ctl("status")["load"]["sessions"] == 0, 5, "its end")
                    self.assertEqual(f.n_queued(), 1)

    def test_one_that_dozes_has_as_long_as_for_a_command(self):
        with Flyball(with_tls()) as f:
            answers = self.talk(f, b"QUIT\r\n", pause=6)
            self.assertRegex(answers[-80:], rb"250 2\.0\.0 Ok: queued[^\r]*\r\n221 .*\r\n$")

    def test_one_that_never_reads_is_left_in_time(self):
        """The deadline is an absolute one, also behind an end of file."""
        for last in (b"", b"QUIT\r\n"):
            with self.subTest(last=last), Flyball(with_tls("limits: {command_timeout: 3s}")) as f, \
                    self.connect(f, False) as s:
                self.fill(f, s)
                self.finish(s, last)
                wait_until(lambda: f.n_queued() == 1, 5, "its mail")
                wait_until(lambda: f.ctl("status")["load"]["sessions"] == 0, 10, "its end")


class Tls(unittest.TestCase):
    def test_silence_behind_starttls_times_out(self):
        with Flyball(with_tls("limits: {command_timeout: 1s}")) as f, greeted(f) as s:
            s.sendall(b"STARTTLS\r\n")
            self.assertIn(b"220", s.recv(1000))
            begun = time.monotonic()
            s.settimeout(10)
            self.assertEqual(s.recv(1000), b"")
            self.assertLess(time.monotonic() - begun, 5)
            wait_until(lambda: f.ctl("status")["load"]["sessions"] == 0, 5, "its end")

    def test_starttls_after_a_reload_took_tls_away(self):
        with Flyball(with_tls()) as f, greeted(f) as s:
            f.configure(OPEN % 9)
            f.ctl("reload")
            s.sendall(b"STARTTLS\r\n")
            while s.recv(1000):
                pass
            with greeted(f) as other:
                other.sendall(b"NOOP\r\n")
                self.assertIn(b"250", other.recv(100))


    def test_failing_handshakes_dont_fill_the_log(self):
        with Flyball(with_tls()) as f:
            for _ in range(30):
                with greeted(f) as s:
                    s.sendall(b"STARTTLS\r\n")
                    self.assertIn(b"220", s.recv(1000))
                    s.sendall(b"this is no ClientHello\r\n")
                    s.settimeout(10)
                    try:
                        while s.recv(1000):
                            pass
                    except ConnectionResetError:
                        pass
            self.assertEqual(f.log().count("event=tls_failed"), 1)


class Guessing(unittest.TestCase):
    def test_a_few_passwords_a_session(self):
        """Who leaves before the session's limit comes back no more often."""
        text = with_tls("limits: {auth_failures: 2, penalty: 30s}\nauth: {users_file: \"{dir}/users\"}").replace(
            "auth: none, trusted: [127.0.0.0/8]", "auth: required, plaintext_auth: true")
        f = Flyball(text, start=False)
        f.tmp.file("users", crypt_line("app", "secret") + "\n")
        f.start()
        try:
            for attempt in range(20):
                with socket.create_connection(("127.0.0.1", f.port), timeout=10) as s:
                    if s.recv(1000).startswith(b"421"):
                        break
                    s.sendall(b"EHLO a.test\r\n")
                    s.recv(4000)
                    s.sendall(b"AUTH PLAIN AGFwcABndWVzcw==\r\n")
                    self.assertIn(b"535", s.recv(1000))
            self.assertEqual(attempt, 8)
        finally:
            f.close()


class Drain(unittest.TestCase):
    def test_a_handshake_that_never_ends_holds_nothing_up(self):
        with Flyball(with_tls()) as f, greeted(f) as s:
            s.sendall(b"STARTTLS\r\n")
            self.assertIn(b"220", s.recv(1000))
            begun = time.monotonic()
            self.assertEqual(f.stop(), 0)
            self.assertLess(time.monotonic() - begun, 3)


class Descriptors(unittest.TestCase):
    def test_clients_cant_have_them_all(self):
        """With few, clients beyond are told to come back; those that are here go
        on, mail leaves, and the operator gets through."""
        with Peer() as peer, Flyball(OPEN % peer.port + "providers: {other: {rate: unlimited}}\n", n_files=128) as f:
            held, refused = [], 0
            try:
                for _ in range(150):
                    s = socket.create_connection(("127.0.0.1", f.port), timeout=5)
                    if s.recv(1000).startswith(b"220"):
                        held.append(s)
                        continue
                    refused += 1
                    s.close()
                self.assertGreater(len(held), 20)
                self.assertGreater(refused, 50)
                self.assertLess(n_descriptors(f), 128 - 40)
                before = cpu_s(f)
                for s in held:
                    s.sendall(b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n")
                    while b"354" not in s.recv(4000):
                        pass
                for s in held:  # each in a file of its own
                    s.sendall((b"x" * 70 + b"\r\n") * 1000 + b".\r\n")
                replies = [s.recv(1000)[:3] for s in held]
                self.assertEqual(set(replies) - {b"250", b"451"}, set())
                n = replies.count(b"250")
                self.assertGreater(n, 20)
                wait_until(lambda: len(peer.messages) == n, 20, "the mail to leave")
                self.assertEqual(f.n_queued(), 0)
                self.assertLess(cpu_s(f) - before, 2)
                self.assertEqual(f.log().count("told to come back"), f.log().count("event=descriptors") - 1)
            finally:
                for s in held:
                    s.close()

            def works():
                with socket.create_connection(("127.0.0.1", f.port), timeout=5) as s:
                    return s.recv(1000).startswith(b"220")
            wait_until(works, 10, "service again")

    @unittest.skipUnless(os.path.exists(LIBRARY) and not IS_SANITIZED, "the layer isn't built")
    def test_none_left_at_all(self):
        """Nothing spins, and all is well once there are some again."""
        with Peer() as peer, FaultyFlyball(OPEN % peer.port) as f, greeted(f) as old:
            f.on(ACCEPT | SOCKET, ELSE, error=errno.EMFILE)
            held = [socket.create_connection(("127.0.0.1", f.port), timeout=5) for _ in range(20)]
            before = cpu_s(f)
            time.sleep(1.2)
            self.assertLess(cpu_s(f) - before, 0.3, "busy out of descriptors")
            self.assertGreater(f.n_hit(), 1)
            old.sendall(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n")
            while b"354" not in old.recv(4000):
                pass
            old.sendall(b"x\r\n.\r\n")
            self.assertIn(b"250", old.recv(1000))
            f.off()
            for s in held:
                s.settimeout(10)
                self.assertTrue(s.recv(1000).startswith(b"220"))
                s.close()
            wait_until(lambda: peer.messages, 20, "the next hop to be tried again")


if __name__ == "__main__":
    unittest.main()
