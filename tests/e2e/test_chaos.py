# SPDX-License-Identifier: ISC
"""Everything at once: providers that reset, hang, lose replies, greylist and
refuse, several recipients a message, reloads, pauses and changes of rate in
between. In the end each recipient has been delivered or bounced, exactly as
the events say, and nothing is left. FLYBALL_CHAOS sets the seconds."""

import collections
import os
import random
import smtplib
import threading
import time
import unittest

from harness import Flyball, Provider, wait_until
from storm import seed_of_the_day

SECONDS = float(os.environ.get("FLYBALL_CHAOS", "10"))
DOMAINS = ["gmail.com", "yahoo.com", "a.test", "b.test", "c.test"]

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
limits: {sessions_per_address: 1000}
spool: {retry: {first: 300ms, factor: 1, max: 300ms}}
suppression: {action: off}
adapt: {floor: 20/s, react: {hold: 200ms}, recover: {every: 100ms}, suspend: {for: 200ms, max: 200ms}}
providers:
  gmail: {rate: 500/s, connections: 8, messages_per_connection: 30}
  yahoo: {rate: 500/s, connections: 8, messages_per_connection: 7}
  other: {rate: 500/s, connections: 8}
routes:
  a: {next_hop: "127.0.0.1:%d", tls: none, connections: 12, backoff: {first: 100ms, max: 300ms},
      timeouts: {greeting: 1s, command: 1s, mail: 1s, rcpt: 1s, data: 1s, data_done: 1s}}
  b: {next_hop: "127.0.0.1:%d", tls: none, connections: 12, backoff: {first: 100ms, max: 300ms},
      timeouts: {greeting: 1s, command: 1s, mail: 1s, rcpt: 1s, data: 1s, data_done: 1s}}
streams:
  one: {match: {sender_domain: [one.test]}, priority: high, routes: [a, b]}
  two: {match: {sender_domain: [two.test]}, priority: bulk, routes: [b, a]}
  default: {routes: [a]}
"""

WORLD = """
clock: start
providers:
  gmail: {domains: [gmail.com], rate: 300/s, latency: {min: 1ms, mean: 5ms, max: 50ms}, recipients_per_message: 3,
          noise: {reset: 1%, lost_reply: 0.5%, maintenance: 2%, unknown_user: 2%}}
  yahoo: {domains: [yahoo.com], connections: 5, messages_per_connection: 7, latency: 3ms,
          outages: [{from: 2s, to: 3s, how: hang}, {from: 5s, to: 6s, how: reset}, {from: 8s, to: 9s, how: "421"}],
          noise: {content: 2%, system: 5%}}
  plain: {domains: ["*"], latency: 2ms, greylist: {share: 20%, delay: 200ms}, noise: {reset: 0.5%}}
listen:
  - {name: a, listen: "127.0.0.1:0"}
  - {name: b, listen: "127.0.0.1:0"}
"""


class Sender(threading.Thread):
    def __init__(self, port, number, seed, stop, goes_on):
        super().__init__(daemon=True)
        self.port, self.number, self.stop, self.goes_on = port, number, stop, goes_on
        self.random = random.Random(seed + number)
        self.accepted = []  # recipients that got their 250

    def run(self):
        n = 0
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as c:
            while not self.stop.is_set():
                self.goes_on.wait()
                time.sleep(0.01)
                n += 1
                to = [f"m{self.number}x{n}r{i}@{self.random.choice(DOMAINS)}"
                      for i in range(self.random.choice((1, 1, 2, 5)))]
                size = self.random.choice((10, 1000, 5000, 100000) if n % 20 == 0 else (10, 1000))
                refused = c.sendmail(f"s@{self.random.choice(('one', 'two', 'three'))}.test", to,
                                     b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" * (size // 2),
                                     rcpt_options=["NOTIFY=NEVER"])
                self.accepted += [t for t in to if t not in refused]


class Chaos(unittest.TestCase):
    def meddle(self, f, chance):
        """What an operator may do at a bad moment."""
        kind = chance.randrange(6)
        name = chance.choice(("a", "b"))
        if kind == 0:
            f.ctl("reload")
        elif kind == 1:
            f.signal(1)
        elif kind == 2:
            f.ctl("pause", "route", name, "for", "300ms")
        elif kind == 3:
            f.ctl("rate", f"{name}/gmail", chance.choice(("50/s", "300/s", "auto")), check=False)
        elif kind == 4:
            f.ctl("pause", "provider", "yahoo", "for", "200ms")
        else:
            for words in (["lanes"], ["queue", "limit", "1000"], ["status"], ["why", f"{name}/yahoo"]):
                f.ctl(*words, check=False)

    def test_everything_at_once(self):
        seed = seed_of_the_day()
        print(f"chaos: seed {seed}", flush=True)
        chance = random.Random(seed)
        stop, goes_on = threading.Event(), threading.Event()
        with Provider(WORLD, args=["--seed", str(seed % 1000)], store=True) as provider:
            wait_until(lambda: len([l for l in provider.lines if l.startswith("listening")]) == 2, 5, "both ports")
            ports = [int(l.split("port=")[1]) for l in provider.lines if l.startswith("listening")]
            with Flyball(CONFIG % tuple(ports)) as f:
                senders = [Sender(f.port, k, seed, stop, goes_on) for k in range(4)]
                for s in senders:
                    s.start()
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    time.sleep(chance.uniform(0.05, 0.4))
                    self.meddle(f, chance)
                    goes_on.clear() if f.n_queued() > 1200 else goes_on.set()
                stop.set()
                goes_on.set()
                for s in senders:
                    s.join(20)
                f.ctl("rate", "a/gmail", "auto", check=False)
                f.ctl("rate", "b/gmail", "auto", check=False)
                wait_until(lambda: f.n_queued() == 0, 90, "the queue to drain")
                events = f.events()
            stored = collections.Counter(l["rcpt"] for l in provider.stored())
        self.judge([r for s in senders for r in s.accepted], events, stored)

    def judge(self, accepted, events, stored):
        delivered = collections.Counter(e["recipient"] for e in events if e["event"] == "delivered")
        bounced = collections.Counter(e["recipient"] for e in events if e["event"] in ("bounced", "expired"))
        doubles = {r: n for r, n in stored.items() if n > 1}
        print(f"chaos: {len(accepted)} accepted, {len(delivered)} delivered, {len(bounced)} bounced, "
              f"{len(doubles)} came twice", flush=True)
        self.assertGreater(len(accepted), 100)
        self.assertEqual(len(accepted), len(set(accepted)))
        # Each has one end, and only one.
        self.assertEqual([r for r in accepted if delivered[r] + bounced[r] != 1], [])
        # What is called delivered arrived; what is called bounced did not,
        # unless a reply was lost on the way before.
        self.assertEqual([r for r in delivered if stored[r] == 0], [])
        # Twice only where the reply was lost (half a percent of Gmail's, and
        # what a stop cut off).
        self.assertLess(len(doubles), 10 + 0.03 * len(accepted))


if __name__ == "__main__":
    unittest.main()
