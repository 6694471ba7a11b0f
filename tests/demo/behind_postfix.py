#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The demonstration with a real Postfix between: flyballd hands mail to Postfix,
Postfix delivers to a provider with a limit that it doesn't tell, and the
provider's 421 reaches nobody but Postfix, which writes it into its log. A lane
slows down because of it. About 30 s, on free ports of loopback, in a temporary
directory; as root, because Postfix needs that."""

import argparse
import json
import os
import smtplib
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--build", default="build")
parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C")
parser.add_argument("--seconds", type=float, default=25, help="how long mail is injected")
args = parser.parse_args()
os.environ["FLYBALL_BUILD"] = os.path.abspath(args.build)

from harness import FLYBALLCTL, Flyball, Postfix, Provider  # noqa: E402

# What the provider doesn't tell: half as much after ten seconds.
WORLD = """
providers:
  gmail:
    domains: ["*"]
    rate: 20/s
    burst: 10
    steps: [{at: 10s, factor: 50%}]
    latency: {min: 10ms, mean: 40ms, max: 300ms}
"""

# So that Postfix adds no limits of its own; contrib/docs/postfix.md says why.
POSTFIX = """
minimal_backoff_time = 3s
maximal_backoff_time = 6s
queue_run_delay = 3s
smtp_destination_concurrency_failed_cohort_limit = 100
smtp_destination_concurrency_negative_feedback = 0
"""

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
dns: {mx: false}
adapt: {react: {hold: 1s}, recover: {every: 500ms}, suspend: {for: 2s, max: 2s}}
providers:
  gmail: {rate: 60/s, connections: 10}
routes:
  postfix: {next_hop: "127.0.0.1:%d", tls: none, connections: 10}
feedback: {postfix_log: {path: "%s", route: postfix}}
"""
LANE = "postfix/gmail"


def inject(port, stop):
    """An application that sends at its own pace and knows nothing."""
    start, n = time.monotonic(), 0
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as c:
        while not stop.is_set():
            n += 1
            time.sleep(max(0, start + n / 35 - time.monotonic()))
            c.sendmail("offers@news.demo.test", [f"user{n}@gmail.com"], f"Subject: number {n}\r\n\r\nHello.\r\n")


def in_queue(postfix):
    """Messages that lie in Postfix's queue."""
    return sum(len(files) for sub in ("incoming", "active", "deferred")
               for _, _, files in os.walk(os.path.join(postfix.tmp.path, "queue", sub)))


def words(text, width):
    clean = "".join(c if c.isprintable() else " " for c in text or "")
    return clean if len(clean) <= width else clean[:width - 1] + "…"


def watch(flyball, postfix, provider, stop):
    start, last, before = time.monotonic(), 0, 0
    print(f"{'time':>5}  {'delivered':>10}  {'adapted to':>10}  {'hidden':>7}  {'with Postfix':>12}  {'credit':>6}  "
          f"{'waiting':>7}  held by")
    while args.keep or last < args.seconds:
        time.sleep(1)
        now = time.monotonic() - start
        lane = flyball.ctl("lane", LANE)
        adapted = lane["adapt"]["rate_per_s"]
        reports = [json.loads(l) for l in provider.lines if l.startswith('{"') and '"limit"' in l]
        hidden = f"{reports[-1]['limit']:.0f}/s" if reports else "?"
        print(f"{now:4.0f}s  {(lane['delivered'] - before) / (now - last):8.1f}/s  "
              f"{'-' if adapted is None else f'{adapted:.1f}/s':>10}  {hidden:>7}  {in_queue(postfix):>12}  "
              f"{lane['credit']:>6}  {lane['queued']:>7}  {lane['gate'] or ''}", flush=True)
        refusal = lane["last_refusal"]
        if refusal and refusal["age_ms"] < 1000:
            print(f"       {refusal['class']}: {words(refusal['reply'], 100)}")
        last, before = now, lane["delivered"]
    stop.set()


def summary(flyball, postfix):
    slower = [e for e in flyball.events("lane") if e.get("reply") and e["change"] == "rate"]
    relayed, delivered = len(flyball.events("relayed")), len(flyball.events("delivered"))
    print(f"\nPostfix took {relayed} messages from flyball, and every one of its answers was 250.\n"
          f"Its log told of {delivered} deliveries and {len(flyball.events('deferred'))} refusals.")
    if not slower:
        print("The lane never slowed down.")
        return 1
    e = slower[0]
    line = next((l for l in postfix.log().splitlines() if "status=deferred" in l and "said: 4" in l), "")
    print(f"\nWhat only Postfix saw, in its log:\n  {words(line, 300)}\n"
          f"What flyball made of it:\n  lane {e['lane']}: from {e['from']} to {e['to']}, because of "
          f"\"{words(e['reply'], 120)}\"")
    return 0


def main():
    if not Postfix.available():
        print("this demonstration needs root and Debian's postfix; `make demo` needs neither", file=sys.stderr)
        return 1
    with Provider(WORLD) as provider, Postfix(f"127.0.0.1:{provider.port}", POSTFIX) as postfix, \
            Flyball(CONFIG % (postfix.port, postfix.log_path)) as flyball:
        print(f"mail goes in at 127.0.0.1:{flyball.port}, on to Postfix at 127.0.0.1:{postfix.port}; in another "
              f"terminal try\n  {os.path.relpath(FLYBALLCTL)} -s {flyball.socket} why {LANE}\n")
        stop = threading.Event()
        injector = threading.Thread(target=inject, args=(flyball.port, stop), daemon=True)
        injector.start()
        time.sleep(0.3)
        try:
            watch(flyball, postfix, provider, stop)
        except KeyboardInterrupt:
            pass
        stop.set()
        injector.join(10)
        time.sleep(2)
        return summary(flyball, postfix)


sys.exit(main())
