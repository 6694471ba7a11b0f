#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Measures adaptation: flyballd against the demonstration provider in each
world of tests/provider/worlds, with limits that it isn't told and ceilings at
least three times as high. Prints the medians over seeds:

  goodput    accepted / what an all-knowing sender would have had accepted
  violations refusals for rate, connections or reputation / attempts
  quality    goodput x (1 - violations)

A run takes a minute; several go on at once, as they mostly wait."""

import argparse
import contextlib
import json
import os
import socket
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default="build")
parser.add_argument("--seeds", default="1,2,3")
parser.add_argument("--parallel", type=int, default=4)
parser.add_argument("--write", action="store_true", help="keep the table as ADAPTATION.md beside this file")
parser.add_argument("--mta", choices=["postfix"], help="with this MTA between, which flyball hears by its log; as root")
parser.add_argument("--trace", help="keep each run's per-second reports in this folder")
parser.add_argument("worlds", nargs="*", help="names; default: all")
args = parser.parse_args()
os.environ["FLYBALL_BUILD"] = os.path.abspath(args.build)

from harness import Flyball, Postfix, Provider  # noqa: E402

WORLDS = os.path.join(ROOT, "tests", "provider", "worlds")
DOMAINS = {"gmail": "gmail.com", "outlook": "outlook.com", "yahoo": "yahoo.com", "icloud": "icloud.com",
           "gmx": "gmx.de", "comcast": "comcast.net", "orange": "orange.fr", "qq": "qq.com"}

# Rehearsal times: a hold of a second, a probe every half.
CONFIG = """
listeners:
  - {{listen: "127.0.0.1:{{port}}", tls: none, auth: none, trusted: [127.0.0.0/8]}}
limits: {{sessions_per_address: 1000}}
spool: {{retry: {{first: 2s, factor: 1.5, max: 5s}}}}
suppression: {{action: off}}
adapt: {{react: {{hold: 1s}}, recover: {{every: 500ms}}, suspend: {{for: 1s, max: 1s}}}}
providers:
{providers}
dns: {{mx: false}}
routes:
  out: {{next_hop: "127.0.0.1:{next_hop}", tls: none, connections: 40, backoff: {{first: 500ms, max: 1s}}{plan}}}
"""


# What Postfix needs so as not to add limits of its own: contrib/docs/postfix.md.
POSTFIX = """
minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s
smtp_destination_concurrency_failed_cohort_limit = 100
smtp_destination_concurrency_negative_feedback = 0
smtp_destination_recipient_limit = 1
"""


class Situation:
    """What one world asks of the sender. `ceilings` are the configured rates;
    `feed` says when how many messages are handed over: (second, messages a
    second) steps for each provider."""

    def __init__(self, ceilings, feed, goal, plan=None, since=0, world=None):
        self.ceilings, self.feed, self.goal, self.plan, self.since = ceilings, feed, goal, plan, since
        self.world = world  # where it has another name

    def ceiling(self):
        return ", ".join(rate(r) for r in self.ceilings.values())


def rate(ceiling):
    """As the configuration has it: a number is a second's."""
    return ceiling if isinstance(ceiling, str) else f"{ceiling}/s"


def always(per_s):
    return [(0, per_s)]


SITUATIONS = {
    "steady": Situation({"gmail": 150}, always(80), 0.95),
    "drop": Situation({"gmail": 200}, always(80), 0.90),
    "rise": Situation({"gmail": 400}, always(130), 0.80),
    "sawtooth": Situation({"yahoo": 300}, always(100), 0.85),
    "connections": Situation({"outlook": 300}, always(100), 0.95),
    # The first ceiling is as far above the limit as those of the other worlds, 3.5 times; the second ten times.
    "slow": Situation({"gmx": "7/10s"}, always(1), 0.85),
    "slow-far": Situation({"gmx": 2}, always(1), 0.85, world="slow"),
    "outage": Situation({"yahoo": 150}, always(60), 0.95),
    "noise": Situation({"gmail": 300}, always(50), 0.98),
    "spiral": Situation({"yahoo": 200}, always(60), 0.90),
    "idle": Situation({"outlook": 200}, [(0, 40), (15, 0), (25, 100)], 0.95, since=25),
    "two": Situation({"gmail": 100, "yahoo": 200}, always(80), 0.95),
    "eight": Situation({"gmail": 150, "outlook": 100, "yahoo": 150, "icloud": 80, "gmx": 5,
                        "comcast": 60, "orange": 90, "qq": 50}, always(50), 0.90),
    "tolerance": Situation({"gmail": 900}, always(300), 0.90,
                           plan="{day: 6s, schedule: {from: 95, growth: 150%, to: 1M}}"),
}


class Feeder(threading.Thread):
    """Hands over mail for one provider, by its steps, until told to stop."""

    def __init__(self, port, domain, steps, stop):
        super().__init__(daemon=True)
        self.port, self.domain, self.steps, self.stop = port, domain, steps, stop

    def rate(self, second):
        return [per_s for at, per_s in self.steps if at <= second][-1]

    def message(self, f, s, n):
        s.sendall(f"MAIL FROM:<news@sender.test>\r\nRCPT TO:<user{n}@{self.domain}> NOTIFY=NEVER\r\nDATA\r\n".encode())
        for _ in range(3):
            f.readline()
        s.sendall(f"Subject: {n}\r\n\r\nHello.\r\n.\r\n".encode())
        f.readline()

    def run(self):
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            f = s.makefile("rb")
            f.readline()
            s.sendall(b"EHLO sender.test\r\n")
            while f.readline()[3:4] == b"-":
                pass
            start, n, owed, last = time.monotonic(), 0, 0.0, 0.0
            while not self.stop.is_set():
                now = time.monotonic() - start
                owed += self.rate(now) * (now - last)
                last = now
                while owed >= 1 and not self.stop.is_set():
                    n += 1
                    owed -= 1
                    self.message(f, s, n)
                time.sleep(0.01)


@contextlib.contextmanager
def behind(provider):
    """Where mail goes, and what else the configuration has to say."""
    if args.mta is None:
        yield provider.port, ""
        return
    with Postfix(f"127.0.0.1:{provider.port}", POSTFIX) as postfix:
        yield postfix.port, f"feedback: {{postfix_log: {{path: {postfix.log_path}, route: out}}}}\n"


def run(name, seed):
    situation = SITUATIONS[name]
    with open(os.path.join(WORLDS, (situation.world or name) + ".yaml")) as f:
        world = f.read()
    stop = threading.Event()
    # Postfix starts slowly, and the world's minute begins with the provider.
    with Provider(world, args=["--seed", str(seed)]) as provider, behind(provider) as (next_hop, feedback):
        rows = "".join(f"  {p}: {{rate: {rate(r)}, connections: 20}}\n" for p, r in situation.ceilings.items())
        text = CONFIG.format(providers=rows, next_hop=next_hop,
                             plan=", plan: warmup" if situation.plan else "")
        if situation.plan:
            text += f"plans: {{warmup: {situation.plan}}}\n"
        text += feedback
        with Flyball(text, log_level="warn") as flyball:
            feeders = [Feeder(flyball.port, DOMAINS[p], situation.feed, stop) for p in situation.ceilings]
            for f in feeders:
                f.start()
            provider.process.wait(100)
            stop.set()
            for f in feeders:
                f.join(5)
        provider.thread.join(5)
        lines = [json.loads(l) for l in provider.lines if l.startswith("{")]
    if args.trace:
        os.makedirs(args.trace, exist_ok=True)
        with open(os.path.join(args.trace, f"{name}-{seed}.jsonl"), "w") as f:
            f.writelines(json.dumps(l) + "\n" for l in lines)
    return score(lines, situation.since)


def score(lines, since):
    """What the last line says, less what was there at `since`."""
    end = lines[-1]
    before = {l["provider"]: l["total"] for l in lines if "total" in l and l["t"] <= since}

    def count(key):
        return end[key] - sum(total[key] for total in before.values())
    goodput = count("accepted") / count("ideal")
    share = count("violations") / count("attempts")
    rejects = sum(l["refused"].get("reputation_reject", 0) for l in lines if "total" in l and l["t"] > since)
    return {"goodput": goodput, "violations": share, "quality": goodput * (1 - share), "rejects": rejects}


HEAD = """# Adaptation, measured

flyballd against `build/flyball-provider` through sockets, in the worlds of `tests/provider/worlds`: limits that
it isn't told, ceilings at least three times as high, rehearsal times (hold 1 s, a probe every 0.5 s), runs of
60 s. *goodput* = accepted ÷ what an all-knowing sender would have had accepted, *violations* = refusals for
speed or standing ÷ attempts, *quality* = goodput × (1 − violations). Written by `contrib/bench/adapt.py --write`.

"""


NOTES = "\n## Notes\n"


def table(rows, seeds):
    out = [f"Medians over the seeds {', '.join(map(str, seeds))}, {os.cpu_count()} CPUs, {time.strftime('%Y-%m-%d')}.\n",
           "| world | ceiling | goodput | violations | quality | goal | 554s |",
           "| --- | --- | --- | --- | --- | --- | --- |"]
    for name, m, is_met in rows:
        st = SITUATIONS[name]
        out.append(f"| {name} | {st.ceiling()} | {m['goodput']:.3f} | {m['violations']:.1%} | {m['quality']:.3f} | "
                   f"{st.goal:.2f}{'' if is_met else ' missed'} | {m['rejects']:.0f} |")
    return "\n".join(out) + "\n"


def main():
    names = args.worlds or list(SITUATIONS)
    seeds = [int(s) for s in args.seeds.split(",")]
    print(f"seeds {seeds}; medians")
    print(f"{'world':<12} {'goodput':>8} {'violations':>11} {'quality':>8} {'goal':>6}  {'554s':>5}")
    rows = []
    with ThreadPoolExecutor(args.parallel) as pool:
        runs = {(n, s): pool.submit(run, n, s) for n in names for s in seeds}
        for n in names:
            results = [runs[n, s].result() for s in seeds]
            m = {k: statistics.median(r[k] for r in results) for k in results[0]}
            is_met = m["quality"] >= SITUATIONS[n].goal
            rows.append((n, m, is_met))
            print(f"{n:<12} {m['goodput']:8.3f} {m['violations']:10.1%} {m['quality']:8.3f} "
                  f"{SITUATIONS[n].goal:6.2f}  {m['rejects']:5.0f}  {'' if is_met else 'missed'}", flush=True)
    print(f"{sum(r[2] for r in rows)} of {len(rows)} goals met")
    if args.write:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ADAPTATION.md")
        with open(path) as f:
            notes = f.read().partition(NOTES)
        with open(path, "w") as f:
            f.write(HEAD + table(rows, seeds) + notes[1] + notes[2])
    return 0


sys.exit(main())
