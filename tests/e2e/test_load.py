# SPDX-License-Identifier: ISC
"""Many sessions, idle and at work, and mixed load for a while. What each costs
is printed; FLYBALL_SOAK sets the soak's seconds (contrib/bench/soak.py runs
it for as long as one likes)."""

import json
import os
import resource
import smtplib
import socket
import struct
import subprocess
import sys
import time
import unittest

from harness import BUILD, IS_SANITIZED, ROOT, Flyball, Peer, Provider, certificate, crypt_line, wait_until

sys.path.insert(0, os.path.join(ROOT, "contrib", "bench"))
from soak import COLUMNS, Soak  # noqa: E402

LOAD = os.path.join(BUILD, "bench_load")

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
  - {listen: "127.0.0.1:{port2}", tls: starttls, auth: required}
tls: {certificate: "%s", key: "%s"}
auth: {users_file: "{dir}/users"}
limits: {sessions: 12000, sessions_per_address: 12000}
providers: {other: {rate: unlimited, connections: 50}}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none, connections: 50}
"""


def anon_kib(f):
    with open(f"/proc/{f.process.pid}/status") as s:
        return [int(line.split()[1]) for line in s if line.startswith("RssAnon")][0]


def start(hop):
    return Flyball(CONFIG % (*certificate(), hop), files={"users": crypt_line("app", "secret") + "\n"})


@unittest.skipIf(IS_SANITIZED, "figures of a sanitized daemon tell nothing")
class Sessions(unittest.TestCase):
    def test_ten_thousand_idle(self):
        n = 10000
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limits[1] < n + 1000:
            self.skipTest(f"only {limits[1]} descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        with Peer() as peer, start(peer.port) as f:
            before, n_fds = anon_kib(f), len(os.listdir(f"/proc/{f.process.pid}/fd"))
            held = []
            try:
                begun = time.monotonic()
                for i in range(n):
                    s = socket.create_connection(("127.0.0.1", f.port), 20, (f"127.0.0.{1 + i % 2}", 0))
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves no TIME_WAIT
                    s.sendall(b"EHLO idle.test\r\n")
                    held.append(s)
                for s in held:
                    while b"250 " not in s.recv(4000):
                        pass
                took = time.monotonic() - begun
                self.assertEqual(f.ctl("status")["load"]["sessions"], n)
                each = (anon_kib(f) - before) / n
                with smtplib.SMTP("127.0.0.1", f.port) as c:
                    begun = time.monotonic()
                    c.sendmail("a@app.test", ["r@x.test"], b"Subject: x\r\n\r\nx\r\n")
                    one = time.monotonic() - begun
                print(f"idle: {n} sessions in {took:.1f} s, {each:.2f} KiB each; a message among them {one * 1000:.1f} ms", flush=True)
                self.assertLess(each, 8)
                self.assertLess(one, 1)
                self.assertTrue(held[0].send(b"NOOP\r\n") and held[0].recv(100).startswith(b"250"))
            finally:
                for s in held:
                    s.close()
            wait_until(lambda: f.ctl("status")["load"]["sessions"] == 0, 20, "the sessions to go")
            wait_until(lambda: peer.messages, 10, "the message")
            self.assertLessEqual(len(os.listdir(f"/proc/{f.process.pid}/fd")), n_fds + 2)

    @unittest.skipUnless(os.path.exists(LOAD), "the load generator isn't built")
    def test_a_thousand_with_tls_at_work(self):
        with Provider() as provider, start(provider.port) as f:
            before = anon_kib(f)
            p = subprocess.run([LOAD, "-s", "1000", "-m", "5000", "-d", "-T", "-a", "app:secret", "-l", "2000",
                                f"127.0.0.1:{f.port2}"], capture_output=True, text=True, timeout=120)
            result = json.loads(p.stdout)
            grew = (anon_kib(f) - before) / 1024
            print(f"TLS: 1000 sessions at work, {result['per_s']:.0f} messages/s, 250 after {result['p50_us'] / 1000:.0f} ms "
                  f"(p99 {result['p99_us'] / 1000:.0f}), {grew:.0f} MiB more", flush=True)
            self.assertEqual(result["failed"], 0)
            wait_until(lambda: f.n_queued() == 0, 60, "the queue to drain")
            self.assertEqual(f.ctl("status")["load"]["delivered"], 5000)
            self.assertLess(grew, 150)


@unittest.skipIf(IS_SANITIZED, "figures of a sanitized daemon tell nothing")
@unittest.skipUnless(os.path.exists(LOAD), "the load generator isn't built")
class ShortSoak(unittest.TestCase):
    def test_memory_and_descriptors_stay(self):
        seconds = float(os.environ.get("FLYBALL_SOAK", "16"))

        def say(row):
            print("soak: " + " ".join(f"{c}={row[c]}" for c in COLUMNS), flush=True)
        bad, figures = Soak(LOAD, seconds, max(4, seconds / 60), 150, say).run()
        self.assertEqual(bad, [], figures)


if __name__ == "__main__":
    unittest.main()
