# SPDX-License-Identifier: ISC
"""A whole warmup in the real daemon, with short days: ten of them, against a
provider whose tolerance grows only for those who use it well, with a restart
and a kill in the middle. FLYBALL_REHEARSAL_DAY sets a day's length: 20 s in
`make check`, where it passes beside the other tests."""

import json
import os
import smtplib
import threading
import time
import unittest

from harness import Flyball, Provider, wait_until

DAY_S = float(os.environ.get("FLYBALL_REHEARSAL_DAY", "2.5"))
DAYS = 10

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
spool: {retry: {first: 1s, factor: 1, max: 1s}}
adapt: {react: {hold: 1s}, recover: {every: 500ms}, suspend: {for: 1s, max: 1s}}
providers:
  gmail: {rate: 2000/s, connections: 10}
routes:
  cold: {next_hop: "127.0.0.1:%d", tls: none, plan: rehearsal, backoff: {first: 200ms, max: 200ms}}
plans:
  rehearsal:
    day: %dms
    schedule: {from: 40, growth: 140%%, to: 100k}
    overflow: hold
"""

WORLD = """
providers:
  gmail:
    domains: ["*"]
    day: %dms
    tolerance: {start: 44, growth: 150%%, shrink: 70%%, decay: 80%%, used_well: 60%%, abuse: 5%%, patience: 20%%}
    latency: 3ms
"""


class Application(threading.Thread):
    """Always has more to send than the plan allows; minds no restart."""

    def __init__(self, flyball):
        super().__init__(daemon=True)
        self.flyball = flyball
        self.stop = threading.Event()
        self.n = 0

    def run(self):
        while not self.stop.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", self.flyball.port, timeout=5) as c:
                    while not self.stop.is_set():
                        if self.flyball.n_waiting > 3000:
                            time.sleep(0.1)
                            continue
                        c.sendmail("a@app.test", [f"user{self.n}@gmail.com"], b"Subject: x\r\n\r\nx\r\n")
                        self.n += 1
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)


class Rehearsal(unittest.TestCase):
    def test_ten_days(self):
        with Provider(WORLD % round(DAY_S * 1000)) as provider:
            with Flyball(CONFIG % (provider.port, round(DAY_S * 1000))) as f:
                f.n_waiting = 0
                application = Application(f)
                application.start()
                self.live(f, application)
                history = self.plan(f)["history"]
                application.stop.set()
                application.join(10)
        self.judge(history, [json.loads(l) for l in provider.lines if l.startswith("{")])

    def plan(self, f):
        return f.ctl("plan", "cold/gmail")

    def live(self, f, application):
        """Ten days, a clean restart in the fourth, a kill in the seventh."""
        start = time.monotonic()
        wait_until(lambda: f.events("delivered"), 10, "the first day")
        events = [(3.5, lambda: self.assertEqual(f.stop(), 0)), (6.5, f.kill9)]
        while time.monotonic() < start + DAYS * DAY_S:
            if events and time.monotonic() > start + events[0][0] * DAY_S:
                before = self.plan(f)
                events.pop(0)[1]()
                f.start()
                after = self.plan(f)
                self.assertEqual(after["plan"], "rehearsal")
                self.assertGreaterEqual(after["day"], before["day"])
                if after["day"] == before["day"]:
                    self.assertEqual(after["allowed"], before["allowed"])
                    # Nothing forgotten; what was in flight at a kill is
                    # counted before it leaves.
                    self.assertGreaterEqual(after["sent"], before["sent"])
            f.n_waiting = f.n_queued()
            time.sleep(DAY_S / 25)

    def judge(self, history, reports):
        self.assertGreaterEqual(len(history), DAYS - 1)
        for day in history:
            self.assertLessEqual(day["attempted"], day["allowed"], day)
        allowed = [day["allowed"] for day in history]
        self.assertEqual(allowed[:4], [40, 56, 78, 109])  # 140 % each
        summary = reports[-1]
        self.assertLessEqual(summary["violation_share"], 0.01)
        rejected = sum(r["refused"].get("reputation_reject", 0) for r in reports if "total" in r)
        self.assertEqual(rejected, 0)
        # The days were used, restarts or not; a loaded machine may be late.
        for day in history[:-1]:
            self.assertGreater(day["accepted"], 0.5 * day["allowed"], day)


if __name__ == "__main__":
    unittest.main()
