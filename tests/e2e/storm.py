# SPDX-License-Identifier: ISC
"""Mail flows in and out while the daemon ends at a bad moment: what was
accepted must arrive, whole, and twice only where it was in flight."""

import hashlib
import os
import random
import smtplib
import ssl
import threading
import time

from harness import wait_until

# Mail to this domain is refused for good, and the sender must hear of it.
NOWHERE = "nowhere.test"


class Sender(threading.Thread):
    """Sends messages of all sizes as fast as they are taken, and remembers
    those that got their 250. With `tls` (port, user, password) every other
    session is one with a login; with `is_mixed` there are several recipients,
    and some that don't exist."""

    def __init__(self, port, seed, number, stop, is_mixed=False, tls=None):
        super().__init__(daemon=True)
        self.port, self.number, self.stop = port, number, stop
        self.is_mixed, self.tls = is_mixed, tls
        self.random = random.Random(seed + number)
        self.accepted = {}  # a recipient's local part -> sha256 of the body
        self.to_hear = set()  # senders that are owed a notice
        self.n = self.n_sessions = 0

    def message(self):
        self.n += 1
        name = f"m{self.number}x{self.n}"
        large = (30000, 150000) if self.n % 10 == 0 else ()
        size = self.random.choice((10, 300, 3000) + large)
        text = (name + " ").encode() + bytes(self.random.choices(b"abcdefgh", k=size))
        return name, b"".join(text[i:i + 900] + b"\r\n" for i in range(0, len(text), 900))

    def recipients(self, name):
        if not self.is_mixed:
            return [f"{name}@x{self.n % 3}.test"]
        n = self.random.choice((1, 1, 2, 4))
        return [f"{name}r{i}@{'x%d.test' % ((self.n + i) % 3)}" for i in range(n)] + (
            [f"{name}@{NOWHERE}"] if self.n % 7 == 0 else [])

    def connect(self):
        self.n_sessions += 1
        if self.tls is None or self.n_sessions % 2:
            return smtplib.SMTP("127.0.0.1", self.port, timeout=5)
        port, user, password = self.tls
        c = smtplib.SMTP("127.0.0.1", port, timeout=5)
        c.starttls(context=ssl._create_unverified_context())
        c.login(user, password)
        return c

    def session(self):
        with self.connect() as c:
            for _ in range(self.random.choice((3, 1000))):
                if self.stop.is_set():
                    return
                name, body = self.message()
                to = self.recipients(name)
                c.sendmail(f"{name}@sender.test", to,
                           b"Message-ID: <%s@app.test>\r\n\r\n" % name.encode() + body)
                digest = hashlib.sha256(body).hexdigest()
                for r in to:
                    if r.endswith("@" + NOWHERE):
                        self.to_hear.add(name)
                    else:
                        self.accepted[r.split("@")[0]] = digest

    def run(self):
        while not self.stop.is_set():
            try:
                self.session()
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)


class Operator(threading.Thread):
    """Reloads, pauses and asks, at bad moments too."""

    def __init__(self, flyball, seed, stop):
        super().__init__(daemon=True)
        self.flyball, self.stop, self.random = flyball, stop, random.Random(seed)

    def run(self):
        while not self.stop.wait(self.random.uniform(0.05, 0.3)):
            words = self.random.choice((("reload",), ("pause", "provider", "other", "for", "100ms"), ("status",),
                                        ("pause", "route", "out", "for", "50ms"), ("lanes",), ("retry", "where", "state=deferred")))
            self.flyball.ctl(*words, check=False)


def seed_of_the_day():
    return int(os.environ.get("FLYBALL_SEED", str(random.randrange(1 << 30))))


def kill(flyball, chance):
    """And now and then while it starts again, too. How often it was."""
    n = 1
    flyball.kill9()
    while chance.random() < 0.3:
        flyball.spawn()
        time.sleep(chance.uniform(0, 0.05))
        flyball.kill9()
        n += 1
    return n


class Storm:
    """`senders` and an operator around a daemon that ends `n` times."""

    def __init__(self, flyball, seed, n_senders=6, is_mixed=False, tls=None):
        self.flyball, self.chance = flyball, random.Random(seed)
        self.stop, self.n_ends = threading.Event(), 0
        self.senders = [Sender(flyball.port, seed, k, self.stop, is_mixed, tls) for k in range(n_senders)]
        self.threads = self.senders + ([Operator(flyball, seed, self.stop)] if is_mixed else [])

    def rage(self, n_ends, end=None):
        """`end(flyball, chance)` ends the daemon, by SIGKILL if not given, and
        returns how often it did."""
        for t in self.threads:
            t.start()
        for _ in range(n_ends):
            time.sleep(self.chance.uniform(0.02, 0.35))
            self.n_ends += (end or kill)(self.flyball, self.chance)
            self.flyball.start()
        self.stop.set()
        for t in self.threads:
            t.join()
        wait_until(lambda: self.flyball.n_queued() == 0, 120, "the queue to drain")

    def accepted(self):
        return {name: digest for s in self.senders for name, digest in s.accepted.items()}

    def to_hear(self):
        return set().union(*(s.to_hear for s in self.senders))


def compare(test, accepted, stored, n_in_flight, to_hear=(), title="kill -9"):
    """`stored` are the provider's lines; at most n_in_flight messages came
    twice. Who is in `to_hear` got a notice."""
    seen, heard = {}, set()
    for line in stored:
        local, domain = line["rcpt"].split("@")
        if domain == "sender.test":
            heard.add(local)
        else:
            seen.setdefault(local, []).append(line["sha256"])
    missing = [n for n in accepted if n not in seen]
    damaged = [n for n in accepted if any(h != accepted[n] for h in seen.get(n, []))]
    doubles = {}  # the recipients of one message come twice together
    for name, hashes in seen.items():
        message = name.split("r")[0]
        doubles[message] = max(doubles.get(message, 0), len(hashes) - 1)
    n_doubles = sum(doubles.values())
    print(f"{title}: {len(accepted)} accepted, {len(seen)} arrived, {n_doubles} twice"
          + (f", {len(heard)} notices" if to_hear else ""), flush=True)
    test.assertEqual(missing, [])
    test.assertEqual(damaged, [])
    test.assertEqual(set(to_hear) - heard, set(), "not told of a refusal")
    test.assertLessEqual(n_doubles, n_in_flight)
