# SPDX-License-Identifier: ISC
"""What tests, measurements and the demonstration of several relays share: a
provider that counts by the tenth of a second, and applications with more mail
than there is room for."""

import datetime
import json
import smtplib
import threading
import time

from harness import Provider

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
dns: {mx: false}
adapt: {enabled: false}
providers:
  gmail: {rate: %(rate)s, burst: %(burst)d, connections: 50}
routes:
  ip-a: {next_hop: "127.0.0.1:%(port)d", tls: none, connections: 50}
"""


def configuration(provider, rate, burst=1):
    return CONFIG % dict(port=provider.port, rate=rate if isinstance(rate, str) else f"{rate}/s", burst=burst)


class Counter(Provider):
    """A provider for all domains that says no above `rate` recipients a second
    (None: never), and knows how many it had taken by when."""

    def __init__(self, rate=None, latency="{min: 5ms, mean: 20ms, max: 100ms}"):
        limit = f"rate: {rate}/s, burst: {rate}, " if rate else ""
        super().__init__(f"""
report: 100ms
providers:
  gmail: {{domains: ["*"], {limit}latency: {latency}}}
listen:
  - {{name: ip-a, listen: "127.0.0.1:0"}}
""")
        self.n_read = 0
        self.points = []  # (seconds of its own, accepted so far)
        self.offset = None  # from its seconds to ours
        self.n_refused = 0

    def read(self):
        now = time.monotonic()
        while self.n_read < len(self.lines):
            line = self.lines[self.n_read]
            self.n_read += 1
            if not line.startswith("{") or '"summary"' in line:
                continue
            seen = json.loads(line)
            self.points.append((seen["t"], seen["total"]["accepted"]))
            self.n_refused = seen["total"]["violations"]
            if self.offset is None or now - seen["t"] < self.offset:
                self.offset = now - seen["t"]
        return self

    def at(self, when):
        """Accepted by that time of ours."""
        total = 0
        for t, accepted in self.points:
            if t + self.offset > when:
                break
            total = accepted
        return total

    def between(self, start, end):
        return self.at(end) - self.at(start)


def sent_times(relays):
    """When each recipient was sent (the transaction's start), by the relays'
    own event logs, as seconds since 1970. A next hop sees them later, and by
    how much depends on the machine."""
    times = []
    for f in relays:
        for e in f.events("attempt"):
            at = datetime.datetime.fromisoformat(e["ts"].replace("Z", "+00:00")).timestamp()
            times += [at - e.get("took_ms", 0) / 1000] * e["recipients"]
    return sorted(times)


def most_in(times, span):
    """The most of them in any half-open window of that length."""
    most, j = 0, 0
    for i, t in enumerate(times):
        while times[j] <= t - span:
            j += 1
        most = max(most, i - j + 1)
    return most


class Application(threading.Thread):
    """Sends at its pace; while its relay is gone, it waits."""

    def __init__(self, port, per_s, domain="gmail.com"):
        super().__init__(daemon=True)
        self.port, self.per_s, self.domain = port, per_s, domain
        self.is_over = threading.Event()
        self.n_accepted = 0
        self.start()

    def run(self):
        start, n, connection = time.monotonic(), 0, None
        while not self.is_over.is_set():
            n += 1
            time.sleep(max(0, start + n / self.per_s - time.monotonic()))
            try:
                if connection is None:
                    connection = smtplib.SMTP("127.0.0.1", self.port, timeout=10)
                connection.sendmail("news@demo.test", [f"user{n}@{self.domain}"],
                                    f"From: <news@demo.test>\r\nSubject: number {n}\r\n\r\nHello.\r\n")
                self.n_accepted += 1
            except (OSError, smtplib.SMTPException):
                connection = None
                time.sleep(0.2)
        if connection is not None:
            connection.close()

    def stop(self):
        self.is_over.set()
        self.join(15)


def submit(port, n, domain="gmail.com"):
    """Hands n messages over at once."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as s:
        for i in range(n):
            s.sendmail("news@demo.test", [f"user{i}@{domain}"], f"Subject: number {i}\r\n\r\nHello.\r\n")
