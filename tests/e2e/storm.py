# SPDX-License-Identifier: ISC
"""Mail flows in and out while the daemon is killed: what was accepted must
arrive, whole, and twice only where it was in flight."""

import hashlib
import os
import random
import smtplib
import threading
import time

from harness import wait_until


class Sender(threading.Thread):
    """Sends messages of all sizes as fast as they are taken, and remembers
    those that got their 250."""

    def __init__(self, port, seed, number, stop):
        super().__init__(daemon=True)
        self.port, self.number, self.stop = port, number, stop
        self.random = random.Random(seed + number)
        self.accepted = {}  # name -> sha256 of the body
        self.n = 0

    def message(self):
        self.n += 1
        name = f"m{self.number}x{self.n}"
        large = (30000, 150000) if self.n % 10 == 0 else ()
        size = self.random.choice((10, 300, 3000) + large)
        text = (name + " ").encode() + bytes(self.random.choices(b"abcdefgh", k=size))
        return name, b"".join(text[i:i + 900] + b"\r\n" for i in range(0, len(text), 900))

    def run(self):
        while not self.stop.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", self.port, timeout=5) as c:
                    while not self.stop.is_set():
                        name, body = self.message()
                        c.sendmail(f"s{self.number}@app.test", [f"{name}@x{self.n % 3}.test"],
                                   b"Message-ID: <%s@app.test>\r\n\r\n" % name.encode() + body)
                        self.accepted[name] = hashlib.sha256(body).hexdigest()
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)


def seed_of_the_day():
    return int(os.environ.get("FLYBALL_SEED", str(random.randrange(1 << 30))))


def rage(flyball, n_kills, seed, n_senders=6):
    """Kills so many times; returns what was accepted: name -> sha256."""
    chance = random.Random(seed)
    stop = threading.Event()
    senders = [Sender(flyball.port, seed, k, stop) for k in range(n_senders)]
    for s in senders:
        s.start()
    for _ in range(n_kills):
        time.sleep(chance.uniform(0.02, 0.35))
        flyball.kill9()
        flyball.start()
    stop.set()
    for s in senders:
        s.join()
    wait_until(lambda: flyball.n_queued() == 0, 120, "the queue to drain")
    return {name: digest for s in senders for name, digest in s.accepted.items()}


def compare(test, accepted, stored, n_in_flight):
    """`stored` are the provider's lines; at most n_in_flight came twice."""
    seen = {}
    for line in stored:
        seen.setdefault(line["rcpt"].split("@")[0], []).append(line["sha256"])
    missing = [n for n in accepted if n not in seen]
    damaged = [n for n in accepted if any(h != accepted[n] for h in seen.get(n, []))]
    doubles = sum(len(v) - 1 for v in seen.values())
    print(f"kill -9: {len(accepted)} accepted, {len(seen)} arrived, {doubles} twice", flush=True)
    test.assertEqual(missing, [])
    test.assertEqual(damaged, [])
    test.assertLessEqual(doubles, n_in_flight)
