# SPDX-License-Identifier: ISC
"""Clients and peers that mean harm: what they cost, and what they break."""

import os
import socket
import time
import unittest

from harness import IS_SANITIZED, Flyball, Peer, certificate, crypt_line, wait_until

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
    def test_out_of_descriptors(self):
        """Nothing spins, and all is well once there are some again."""
        with Peer() as peer, Flyball(OPEN % peer.port, n_files=64) as f:
            held = []
            try:
                for _ in range(80):
                    held.append(socket.create_connection(("127.0.0.1", f.port), timeout=5))
                admin = socket.socket(socket.AF_UNIX)
                admin.connect(f.socket)
                held.append(admin)
                wait_until(lambda: n_descriptors(f) >= 64, 10, "no descriptor left")
                time.sleep(0.2)
                before = cpu_s(f)
                time.sleep(2)
                self.assertLess(cpu_s(f) - before, 0.5, "busy out of descriptors")
                admin.sendall(b"version\n")  # the operator gets through
                admin.settimeout(10)
                self.assertIn(b'"ok":true', admin.recv(4000))
            finally:
                for s in held:
                    s.close()

            def works():
                try:
                    with greeted(f) as s:
                        s.sendall(b"NOOP\r\n")
                        return b"250" in s.recv(100)
                except OSError:
                    return False
            wait_until(works, 10, "service again")
            self.assertEqual(f.ctl("status")["totals"]["deliveries"], 0)


if __name__ == "__main__":
    unittest.main()
