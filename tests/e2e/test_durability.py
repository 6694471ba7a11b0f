# SPDX-License-Identifier: ISC
"""250 means it is on the disk: kill -9 at random points while mail flows both
ways, full spools, clean stops."""

import hashlib
import os
import random
import smtplib
import threading
import time
import unittest

from harness import Flyball, Peer, Provider, wait_until

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

WORLD = """
listen: "127.0.0.1:0"
providers:
  any:
    domains: ["*"]
    latency: 3ms
"""


class KillNine(unittest.TestCase):
    def test_nothing_accepted_is_lost(self):
        n_kills = int(os.environ.get("FLYBALL_KILLS", "50"))
        seed = int(os.environ.get("FLYBALL_SEED", str(random.randrange(1 << 30))))
        print(f"kill -9: seed {seed}, {n_kills} kills", flush=True)
        rnd = random.Random(seed)
        accepted = {}  # unique -> sha256 of the body
        lock = threading.Lock()
        stop = threading.Event()

        def sender(k):
            r = random.Random(seed + k)
            i = 0
            while not stop.is_set():
                try:
                    with smtplib.SMTP("127.0.0.1", f.port, timeout=5) as c:
                        while not stop.is_set():
                            i += 1
                            name = f"m{k}x{i}"
                            size = r.choice((10, 300, 3000, 30000, 150000) if i % 10 == 0 else (10, 300, 3000))
                            body = (name + " ").encode() + bytes(r.choices(b"abcdefgh", k=size)) + b"\r\n"
                            lines = b"\r\n".join(body[j:j + 900] for j in range(0, len(body) - 2, 900)) + b"\r\n"
                            c.sendmail(f"s{k}@app.test", [f"{name}@x{i % 3}.test"],
                                       b"Message-ID: <" + name.encode() + b"@app.test>\r\n\r\n" + lines)
                            with lock:
                                accepted[name] = hashlib.sha256(lines).hexdigest()
                            # Unpaced: mail flows in and out at the kill.
                except (OSError, smtplib.SMTPException):
                    time.sleep(0.02)

        with Provider(WORLD, store=True) as provider:
            f = Flyball(CONFIG % ("", provider.port))
            with f:
                threads = [threading.Thread(target=sender, args=(k,)) for k in range(6)]
                for t in threads:
                    t.start()
                for _ in range(n_kills):
                    time.sleep(rnd.uniform(0.02, 0.35))
                    f.kill9()
                    f.start()
                stop.set()
                for t in threads:
                    t.join()
                wait_until(lambda: f.n_queued() == 0, 120, "the queue to drain")
                self.assertEqual(f.stop(), 0)
                time.sleep(0.3)
                stored = provider.stored()
        seen = {}
        for line in stored:
            name = line["rcpt"].split("@")[0]
            seen.setdefault(name, []).append(line["sha256"])
        missing = [n for n in accepted if n not in seen]
        damaged = [n for n in accepted if any(h != accepted[n] for h in seen.get(n, []))]
        doubles = sum(len(v) - 1 for v in seen.values())
        print(f"kill -9: {len(accepted)} accepted, {len(seen)} arrived, {doubles} twice", flush=True)
        self.assertEqual(missing, [])
        self.assertEqual(damaged, [])
        # Only what was in flight may come twice: at most the route's
        # connections for each kill.
        self.assertLessEqual(doubles, n_kills * 8)
        self.assertGreater(len(accepted), n_kills)


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
