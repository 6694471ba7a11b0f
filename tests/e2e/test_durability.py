# SPDX-License-Identifier: ISC
"""250 means it is on the disk: kill -9 at random points while mail flows both
ways, full spools, clean stops."""

import os
import smtplib
import threading
import time
import unittest

import storm
from harness import Flyball, Peer, Provider, certificate, crypt_line, wait_until

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
limits: {sessions_per_address: 1000}
providers:
  other: {rate: unlimited, connections: 20}
spool: {retry: {first: 200ms, factor: 1, max: 200ms}%s}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none, connections: 8, backoff: {first: 200ms, max: 200ms}}
"""

MIXED = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
  - {listen: "127.0.0.1:{port2}", tls: starttls, auth: required}
tls: {certificate: "%s", key: "%s"}
auth: {users_file: "{dir}/users"}
limits: {sessions_per_address: 1000}
suppression: {action: off}
providers: {other: {rate: unlimited, connections: 20}}
spool: {retry: {first: 200ms, factor: 1, max: 200ms}}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none, connections: 8, backoff: {first: 200ms, max: 200ms}}
"""

WORLD = """
listen: "127.0.0.1:0"
report: 0s
providers:
  nowhere: {domains: [%s], noise: {unknown_user: 100%%}}
  any: {domains: ["*"], latency: 3ms, noise: {system: 5%%, reset: 1%%}}
""" % storm.NOWHERE


class KillNine(unittest.TestCase):
    def test_nothing_accepted_is_lost(self):
        """Small and large mail, several recipients and some that don't exist,
        with TLS and without, deferrals, reloads and pauses."""
        n_kills = int(os.environ.get("FLYBALL_KILLS", "100"))
        seed = storm.seed_of_the_day()
        print(f"kill -9: seed {seed}, {n_kills} kills", flush=True)
        with Provider(WORLD, args=["--seed", str(seed % 1000)], store=True) as provider:
            config = MIXED % (*certificate(), provider.port)
            with Flyball(config, files={"users": crypt_line("app", "secret") + "\n"}) as f:
                rage = storm.Storm(f, seed, is_mixed=True, tls=(f.port2, "app", "secret"))
                rage.rage(n_kills)
                self.assertEqual(f.stop(), 0)
            # Only what was in flight may come twice: for each of the route's
            # connections one on the wire, and one whose outcome wasn't on the
            # disk yet.
            storm.compare(self, rage.accepted(), provider.stored(), rage.n_ends * 8 * 2, rage.to_hear())
        self.assertGreater(len(rage.accepted()), n_kills)


class Stops(unittest.TestCase):
    def test_sigterm_drains_what_is_in_flight(self):
        def slow(session, _):
            time.sleep(0.7)
            return "250 2.0.0 Ok"
        with Peer({"eod": slow}) as peer, Flyball(CONFIG % ("", peer.port)) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                for i in range(20):
                    c.sendmail("a@app.test", [f"r{i}@x.test"], b"Subject: x\r\n\r\nx\r\n")
            wait_until(lambda: peer.n_open == 8, 10, "eight in flight")
            self.assertEqual(f.stop(), 0)
            in_flight = len(peer.messages)
            self.assertGreaterEqual(in_flight, 8)
            f.start()
            wait_until(lambda: len(peer.messages) >= 20, 20, "the rest")
            wait_until(lambda: f.n_queued() == 0, 10, "an empty queue")
            self.assertEqual(len(peer.messages), 20)

    def test_what_was_answered_last_counts_after_the_start(self):
        """The answer that comes when everything else has ended: its count of the
        day, and what its lane learned of it."""
        goes_on = threading.Event()

        def late(session, argument):
            goes_on.wait(10)
            return "452 4.2.2 mailbox full" if "full" in argument else "421 4.7.28 unusual rate of mail"
        config = CONFIG % ("", 0) + "plans:\n  slowly: {volumes: [1000], window: all, pace: front}\n"
        with Peer({"rcpt": late}) as peer, Flyball(
                config.replace("127.0.0.1:0", f"127.0.0.1:{peer.port}").replace("tls: none, conn", "plan: slowly, tls: none, conn")
                .replace("first: 200ms, factor: 1, max: 200ms", "first: 1h, factor: 1, max: 1h")) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                for name in ("full@x.test", "r@y.test"):
                    c.sendmail("a@app.test", [name], b"Subject: x\r\n\r\nx\r\n")
            wait_until(lambda: sum(c.startswith("RCPT") for c in peer.commands) == 2, 10, "both in flight")
            f.process.terminate()
            wait_until(lambda: "event=drain" in f.log(), 10, "the drain")
            goes_on.set()
            self.assertEqual(f.stop(), 0)
            self.assertEqual(len(f.events("deferred")), 2)
            peer.replies = {"rcpt": "452 4.2.2 wait"}
            f.start()
            day = f.ctl("plan", "out/other:x.test")["history"][-1]
            self.assertEqual((day["attempted"], day["deferred"]), (1, 1))
            # The lane goes on as slowly as it was told to; so it isn't refused at
            # once by a provider that is back.
            lane = f.ctl("lane", "out/other:y.test")
            self.assertNotEqual((lane["adapt"]["state"], lane["adapt"]["rate"]), ("open", None))

    def test_second_daemon_is_refused(self):
        with Peer() as peer, Flyball(CONFIG % ("", peer.port)) as f:
            second = Flyball(CONFIG % ("", peer.port), start=False)
            with open(f.config_path) as a:
                text = a.read().replace(f":{f.port}", f":{second.port}").replace("admin.sock", "other.sock")
            with open(second.config_path, "w") as b:
                b.write(text)
            second.spawn()
            self.assertEqual(second.process.wait(10), 1)
            self.assertIn("another", second.log())
            second.process = None
            second.close()


class Limits(unittest.TestCase):
    def test_full_spool_is_a_452(self):
        with Flyball(CONFIG % (", max_messages: 5", 1)) as f:  # nobody at port 1
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                for i in range(5):
                    c.sendmail("a@app.test", [f"r{i}@x.test"], b"Subject: x\r\n\r\nx\r\n")
                with self.assertRaises(smtplib.SMTPDataError) as raised:
                    c.sendmail("a@app.test", ["six@x.test"], b"Subject: x\r\n\r\nx\r\n")
                self.assertEqual(raised.exception.smtp_code, 452)
                self.assertTrue(raised.exception.smtp_error.startswith(b"4.3.1"))
            self.assertEqual(f.n_queued(), 5)

    def test_too_little_free_space_is_a_452(self):
        with Flyball(CONFIG % (", min_free: 200TiB", 1)) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                with self.assertRaises(smtplib.SMTPResponseException) as raised:
                    c.sendmail("a@app.test", ["r@x.test"], b"Subject: x\r\n\r\nx\r\n")
                self.assertEqual(raised.exception.smtp_code, 452)


if __name__ == "__main__":
    unittest.main()
