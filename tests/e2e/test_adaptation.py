# SPDX-License-Identifier: ISC
"""Adaptation through real sockets: a short look at what contrib/bench/adapt.py
measures at length."""

import json
import smtplib
import unittest

from harness import Flyball, Provider, wait_until

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
spool: {retry: {first: 1s, factor: 1, max: 1s}}
adapt: {react: {hold: 1s}, recover: {every: 500ms}, suspend: {for: 1s, max: 1s}}
providers:
  gmail: {rate: 150/s, connections: 10}
  yahoo: {rate: 150/s, connections: 10}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none, connections: 20, backoff: {first: 200ms, max: 200ms}}
"""


def send(f, n, domain, start=0):
    with smtplib.SMTP("127.0.0.1", f.port) as c:
        for i in range(start, start + n):
            c.sendmail("a@app.test", [f"user{i}@{domain}"], b"Subject: x\r\n\r\nx\r\n")


def summary(provider):
    provider.process.wait(60)
    provider.thread.join(5)
    lines = [json.loads(l) for l in provider.lines if l.startswith("{")]
    return {l["provider"]: l for l in lines if l.get("summary")}


class Adaptation(unittest.TestCase):
    def test_a_hidden_limit_is_found_and_kept(self):
        world = """
duration: 14s
providers:
  gmail: {domains: [gmail.com], rate: 40/s, burst: 10, latency: 10ms}
  yahoo: {domains: [yahoo.com], latency: 10ms, demand: 600/14s}
"""
        with Provider(world) as provider, Flyball(CONFIG % provider.port) as f:
            send(f, 1000, "gmail.com")
            send(f, 600, "yahoo.com")
            wait_until(lambda: f.events("lane"), 10, "the first change of speed")
            seen = summary(provider)
            lanes = {l["lane"]: l for l in f.ctl("lanes")}
            change = f.events("lane")[0]
            queued = f.ctl("queue", "limit", "2000")
            delivered = f.events("delivered")
            refused = {e["message"] for e in f.events("deferred") if e["class"] == "rate"}
        self.assertGreater(seen["gmail"]["goodput"], 0.85)
        self.assertLess(seen["gmail"]["violation_share"], 0.04)
        # The other lane noticed nothing.
        self.assertEqual(seen["yahoo"]["accepted"], 600)
        self.assertIsNone(lanes["out/yahoo"]["adapt"]["rate"])
        # Every change has its evidence; the message isn't punished.
        self.assertIn("4.7.28", json.dumps(change))
        self.assertGreater(len(queued), 100)
        self.assertTrue(refused & {e["message"] for e in delivered})
        self.assertEqual({e["attempts"] for e in delivered}, {1})
        self.assertTrue(all(q["attempts"] == 0 for q in queued if "4.7.28" in (q["reply"] or "")))
        # What was in flight when the provider went away has had an attempt.
        self.assertLessEqual(len([q for q in queued if q["attempts"] > 0]), 10)

    def test_noise_slows_nothing(self):
        world = """
duration: 8s
providers:
  gmail:
    domains: [gmail.com]
    demand: 400/8s
    latency: 5ms
    greylist: {share: 10%, delay: 1s}
    noise: {unknown_user: 5%, mailbox_full: 3%, content: 3%, system: 3%}
"""
        with Provider(world) as provider, Flyball(CONFIG % provider.port) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                for i in range(400):
                    c.sendmail("a@app.test", [f"user{i}@gmail.com"], b"Subject: x\r\n\r\nx\r\n",
                               rcpt_options=["NOTIFY=NEVER"])
            seen = summary(provider)["gmail"]
            changes = [e for e in f.events("lane") if e.get("lane", "").endswith("gmail")]
        self.assertGreater(seen["goodput"], 0.97)
        self.assertEqual(seen["violations"], 0)
        self.assertEqual(changes, [])


if __name__ == "__main__":
    unittest.main()
