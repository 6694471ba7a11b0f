# SPDX-License-Identifier: ISC
"""Warmup plans end to end: simulated, rehearsed with days of seconds and a
kill -9 in the middle, steered by the operator, overflowing to a warm route."""

import collections
import csv
import io
import os
import smtplib
import subprocess
import time
import unittest

from harness import FLYBALLCTL, Flyball, Peer, TempDir, wait_until

# A rehearsal's plan day; FLYBALL_REHEARSAL_DAY=20 takes the time that a
# postmaster would.
DAY_S = int(os.environ.get("FLYBALL_REHEARSAL_DAY", "4"))
VOLUMES = [20, 30, 45, 67, 101, 151, 227, 341, 512, 768]  # 20 x 1.5^n

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
limits: {sessions_per_address: 1000}
providers:
  gmail: {domains: [gmail.com], rate: unlimited, connections: 20}
routes:
  cold: {next_hop: "127.0.0.1:%(cold)d", tls: none, connections: 8, plan: rehearsal}
  warm: {next_hop: "127.0.0.1:%(warm)d", tls: none, connections: 8}
streams:
  default: {routes: [cold, warm]}
plans:
  rehearsal:
    day: %(day)s
    schedule: {from: 20, growth: 150%%, to: 2k}
    pace: %(pace)s
    overflow: %(overflow)s
    advance_when: {volume: 40%%, sample: 20}
"""


def config(cold, warm, day=f"{DAY_S}s", pace="even", overflow="hold"):
    return CONFIG % {"cold": cold.port, "warm": warm.port, "day": day,
                     "pace": pace, "overflow": overflow}


def send(f, n, domain="gmail.com"):
    with smtplib.SMTP("127.0.0.1", f.port) as c:
        for i in range(n):
            c.sendmail("news@app.test", [f"r{i}@{domain}"],
                       b"Subject: x\r\n\r\nx\r\n")


def simulate(text, *args):
    tmp = TempDir()
    path = tmp.file("flyball.yaml", text)
    p = subprocess.run([FLYBALLCTL, "simulate", "-c", path, *args],
                       capture_output=True, text=True, timeout=60)
    tmp.remove()
    return p


class Simulated(unittest.TestCase):
    TEXT = """
daemon: {state_dir: /tmp, timezone: Europe/Berlin}
routes:
  ip-a: {next_hop: "127.0.0.1:25", plan: cold}
  ip-b: {next_hop: "127.0.0.1:26"}
streams:
  default: {routes: [ip-a, ip-b]}
plans:
  cold:
    window: "07:00-21:00"
    schedule: {from: 20, growth: 150%, to: 700}
    overflow: next_route
"""

    def test_csv_is_as_computed_by_hand(self):
        p = simulate(self.TEXT, "--route", "ip-a", "--provider", "gmail", "--demand",
                     "5k/day", "--days", "14", "--csv", "--start", "2026-10-20")
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        rows = list(csv.DictReader(io.StringIO(p.stdout)))
        self.assertEqual(list(rows[0]), ["day", "date", "allowed", "sent", "overflowed", "held"])
        self.assertEqual([r["date"] for r in rows][:7], [f"2026-10-{d}" for d in range(20, 27)])
        expected = VOLUMES[:9] + [700, 700, 700]
        self.assertEqual([int(r["allowed"]) for r in rows][:12], expected)
        for row, allowed in zip(rows, expected):
            self.assertIn(allowed - int(row["sent"]), (0, 1), row)
        # Done: the provider's own 20k/h alone.
        self.assertEqual(int(rows[13]["allowed"]), 480000)
        self.assertEqual(sum(int(r["sent"]) + int(r["overflowed"]) for r in rows) + int(rows[-1]["held"]),
                         14 * 5000)

    def test_a_table_and_a_plot_for_people(self):
        p = simulate(self.TEXT, "--route", "ip-a", "--provider", "gmail", "--demand",
                     "5k/day", "--days", "20", "--deferred", "3%")
        self.assertEqual(p.returncode, 0, p.stderr)
        for part in ("ALLOWED", "OVERFLOWED", "# sent"):
            self.assertIn(part, p.stdout)

    def test_mistakes_are_told(self):
        for args, code in [
                (["--route", "ip-x", "--provider", "gmail", "--demand", "1/day", "--days", "1"], 1),
                (["--route", "ip-a", "--provider", "gmail", "--demand", "1/h", "--days", "1"], 2),
                (["--route", "ip-a", "--provider", "gmail", "--days", "1"], 2),
                (["--route", "ip-a", "--provider", "gmail", "--demand", "1", "--days", "1", "--start", "x"], 2),
                (["--deferred"], 2)]:
            p = simulate(self.TEXT, *args)
            self.assertEqual(p.returncode, code, (args, p.stderr))
            self.assertTrue(p.stderr.startswith("flyballctl simulate: "))


class Rehearsed(unittest.TestCase):
    def test_ten_days_with_a_kill_in_the_middle(self):
        arrived = []

        def accept(session, _):
            arrived.append(time.time())
            return "250 2.0.0 Ok"
        with Peer({"eod": accept}) as cold, Peer() as warm, Flyball(config(cold, warm)) as f:
            send(f, sum(VOLUMES))
            wait_until(lambda: [e for e in f.events("plan") if e["step"] == "began"], 10, "the plan's begin")
            wait_until(lambda: len([e for e in f.events("plan") if e["step"] == "advanced"]) == 4,
                       6 * DAY_S, "four days")
            time.sleep(DAY_S / 2)
            f.kill9()
            f.start()
            wait_until(lambda: len([e for e in f.events("plan") if e["step"] == "advanced"]) >= 9,
                       8 * DAY_S, "nine days")
            time.sleep(DAY_S / 2)
            plan = f.ctl("plan", "cold/gmail")
            began = [e for e in f.events("plan") if e["step"] == "began"]
            self.assertEqual(len(began), 1, "a restart begins nothing anew")
            self.assertGreaterEqual(plan["day"], 10)
            history = plan["history"]
            self.assertEqual([d["day"] for d in history][:10], list(range(1, 11)))
            for day, volume in zip(history, VOLUMES):
                self.assertLessEqual(day["attempted"], volume, day)
                self.assertEqual(day["allowed"], volume, day)
                # What was reserved when it was killed is lost, and a loaded
                # machine is late; but the days are used.
                if day["day"] < 10:
                    self.assertGreaterEqual(day["attempted"], volume * (4 if day["day"] == 5 else 9) // 10, day)
            # What the next hop saw, by its own clock: never one too many in
            # a day, with a fraction of a second for the way.
            start = began[0]["ts"]
            by_day = collections.Counter(int((t - epoch(start)) / DAY_S) for t in arrived)
            for day, volume in enumerate(VOLUMES[:9]):
                self.assertLessEqual(by_day[day], volume + 2, (day, by_day))
            self.assertEqual(len(warm.messages), 0)


class Steered(unittest.TestCase):
    def test_orders_and_views(self):
        with Peer() as cold, Peer() as warm, Flyball(config(cold, warm, "24h", "front")) as f:
            send(f, 60)
            wait_until(lambda: len(cold.messages) == 20, 10, "the first day's 20")
            time.sleep(0.3)
            self.assertEqual(len(cold.messages), 20)
            plan = f.ctl("plan", "cold/gmail")
            self.assertEqual([plan[k] for k in ("plan", "stage", "state", "day", "allowed", "sent", "waiting")],
                             ["rehearsal", 1, "running", 1, 20, 20, 40])
            self.assertIn("all are used", f.ctl("why", "cold/gmail")["summary"])
            forecast = f.ctl("forecast", "cold/gmail")
            self.assertEqual([forecast[0][k] for k in ("lane", "waiting", "plan_days")], ["cold/gmail", 40, 3])
            f.ctl("plan", "cold/gmail", "advance")
            wait_until(lambda: len(cold.messages) == 30, 10, "ten more")
            f.ctl("plan", "cold/gmail", "set-day", "4", "because", "we", "know", "it")
            wait_until(lambda: len(cold.messages) == 60, 10, "the rest")
            self.assertEqual(f.ctl("plans")[0]["stage"], 4)
            told = [e for e in f.events("plan") if e["step"] == "told"]
            self.assertEqual([e["to"] for e in told], [30, 67])
            self.assertEqual(f.ctl("forecast"), [])

    def test_a_lane_whose_plan_starts_later_is_not_called_open(self):
        with Peer() as peer:
            text = config(peer, peer).replace("    day:", "    start: 2099-01-01\n    day:")
            with Flyball(text) as f:
                f.ctl("connections", "cold/gmail", "3")  # makes the lane
                why = f.ctl("why", "cold/gmail")
                self.assertRegex(why["summary"], "^Nothing is queued for cold/gmail; it would be held: plan rehearsal .* starts in")

    def test_what_is_over_takes_the_warm_route(self):
        with Peer() as cold, Peer() as warm, \
                Flyball(config(cold, warm, "24h", "front", "next_route")) as f:
            send(f, 60)
            wait_until(lambda: len(cold.messages) + len(warm.messages) == 60, 10, "all")
            self.assertEqual(len(cold.messages), 20)
            self.assertEqual(f.ctl("plan", "cold/gmail")["history"][0]["overflowed"], 40)


class Full(unittest.TestCase):
    def test_a_plan_that_says_tempfail_refuses_what_it_has_no_room_for(self):
        with Peer() as cold, Peer() as warm, \
                Flyball(config(cold, warm, "24h", "front", "tempfail")) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                def submit(domain="gmail.com"):
                    return c.sendmail("news@app.test", [f"r@{domain}"], b"Subject: x\r\n\r\nx\r\n")
                for _ in range(20):
                    submit()
                wait_until(lambda: len(cold.messages) == 20, 10, "the day's 20")
                time.sleep(0.3)
                with self.assertRaises(smtplib.SMTPDataError) as refused:
                    submit()
                self.assertEqual(refused.exception.smtp_code, 452)
                self.assertIn(b"4.3.2 Plan rehearsal takes no more for cold/gmail today",
                              refused.exception.smtp_error)
                submit("elsewhere.test")  # the same session, another destination
                f.ctl("plan", "cold/gmail", "advance")
                time.sleep(0.3)
                submit()
            wait_until(lambda: len(cold.messages) == 22, 10, "the other two")
            self.assertEqual(len(warm.messages), 0)


def epoch(ts):
    import datetime
    return datetime.datetime.fromisoformat(ts.replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    unittest.main()
