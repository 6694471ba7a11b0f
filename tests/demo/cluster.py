#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Several relays that share one lane's limit through a real Redis. Each has more
mail than the lane lets through; one of them is killed, and Redis is stopped and
comes back, and the total stays on its line. About 70 s, on free ports of
loopback, in temporary directories; no root. Its status is 0 only if the totals
held."""

import argparse
import os
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--build", default="build")
parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C")
parser.add_argument("--nodes", type=int, default=3, help="how many relays")
parser.add_argument("--rate", type=int, default=60, help="the lane's limit, recipients a second")
args = parser.parse_args()
os.environ["FLYBALL_BUILD"] = os.path.abspath(args.build)

from harness import FLYBALLCTL, wait_until  # noqa: E402
from redis_server import Cluster, RedisServer, available  # noqa: E402
from relays import Application, Counter, configuration, most_in, sent_times  # noqa: E402

BURST = 10
WINDOW_S = 10  # the totals are judged over any so long a time
BARS = "▏▎▍▌▋▊▉█"


class View:
    def __init__(self, cluster, redis, totals):
        self.cluster, self.redis, self.totals = cluster, redis, totals
        self.start = self.last = time.monotonic()
        self.last_delivered = {}
        self.last_total = 0

    def node(self, f, name, elapsed):
        if f.process is None:
            self.last_delivered[name] = 0  # it begins anew
            return f"{name}   gone        "
        status = f.ctl("status")
        delivered = status["load"]["delivered"]
        rate = (delivered - self.last_delivered.get(name, 0)) / elapsed
        self.last_delivered[name] = delivered
        return f"{name} {rate:5.1f}/s {status['cluster']['mode']:<6}"

    def draw(self):
        now = time.monotonic()
        elapsed = now - self.last
        self.last = now
        parts = [self.node(f, f"n{i + 1}", elapsed) for i, f in enumerate(self.cluster)]
        total = self.totals.read().at(now)
        rate = (total - self.last_total) / elapsed
        self.last_total = total
        eighths = max(0, round(rate / args.rate * 20 * 8))
        bar = "█" * (eighths // 8) + (BARS[eighths % 8 - 1] if eighths % 8 else "")
        print(f"{now - self.start:4.0f} s  Redis {'up  ' if self.redis.process else 'DOWN'}  " + "  ".join(parts) +
              f"  total {rate:5.1f}/s of {args.rate} {bar:<21}|", flush=True)

    def watch(self, seconds):
        """Draws for so long; returns when that began and ended."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            time.sleep(max(0, self.last + 1 - time.monotonic()))
            self.draw()
        return began, time.monotonic()


class Judge:
    def __init__(self):
        self.n_wrong = 0

    def says(self, is_right, text):
        self.n_wrong += not is_right
        print(f"  {'held  ' if is_right else 'BROKEN'}  {text}")


def tell(text):
    print(f"\n{text}", flush=True)


def play(cluster, redis, totals, view):
    """The acts; returns when each began and ended."""
    acts = {}
    tell(f"{args.nodes} relays, one limit of {args.rate}/s for the lane ip-a/gmail:")
    view.watch(4)  # until each has its part
    acts["shared"] = view.watch(14)
    tell(f"n{args.nodes} is killed (kill -9): the others use its part.")
    cluster[args.nodes - 1].kill9()
    view.watch(3)
    acts["killed"] = view.watch(11)
    tell("Redis is stopped: each relay goes on with its part of the limit.")
    redis.stop()
    acts["gone"] = view.watch(15)
    tell("Redis is back, and so is the relay that was killed.")
    redis.start()
    cluster[args.nodes - 1].start()
    acts["return"] = view.watch(8)
    acts["back"] = view.watch(12)
    return acts


def judge_acts(cluster, totals, acts):
    judge = Judge()
    tell("What came of it:")
    # When a transaction is told of shifts a few on a busy machine.
    most = most_in(sent_times(cluster), WINDOW_S)
    judge.says(most <= args.rate * WINDOW_S * 1.02,
               f"never more than the limit: at most {most} recipients sent in any {WINDOW_S} s "
               f"(limit {args.rate * WINDOW_S})")
    judge.says(totals.n_refused == 0, f"the provider, who bears just that, refused {totals.n_refused}")
    for act, what, least in (("shared", "all relays", 0.95), ("killed", "one killed", 0.95),
                             ("gone", "Redis gone", 0.5), ("back", "all back", 0.95)):
        began, ended = acts[act]
        share = totals.between(began, ended) / (args.rate * (ended - began))
        judge.says(share >= least, f"{what}: {share:.1%} of the limit was used (at least {least:.0%})")
    return judge


def judge_mail(judge, cluster, applications, totals):
    """No message was lost, deferred or tried in vain."""
    for f in cluster:
        f.ctl("pause", "route", "ip-a")
    wait_until(lambda: all(f.ctl("status")["totals"]["in_flight"] == 0 for f in cluster), 20, "nothing on its way")
    time.sleep(0.5)  # until the provider has told
    statuses = [f.ctl("status") for f in cluster]
    accepted = sum(a.n_accepted for a in applications)
    waiting = sum(s["totals"]["deliveries"] for s in statuses)
    delivered = totals.read().at(time.monotonic())
    # What was on its way as a relay was killed is sent again.
    twice = delivered + waiting - accepted
    judge.says(0 <= twice <= 20, f"no message is lost: {accepted} taken, {delivered} delivered, {waiting} wait"
               + (f", {twice} sent twice by the kill" if twice else ""))
    deferred = sum(len(f.events("deferred")) for f in cluster)
    judge.says(deferred == 0, f"no message was deferred by any of it: {deferred}")


def main():
    if not available():
        sys.exit("there is no redis-server; contrib/deps.sh cluster installs it")
    # It says no above the lane's limit: were two relays to send where one may,
    # it would be seen.
    with Counter(args.rate) as totals, RedisServer(keeps=True) as redis:
        with Cluster(args.nodes, redis.url(), configuration(totals, args.rate, BURST), "lease: 500ms") as cluster:
            print("in another terminal try\n"
                  f"  {os.path.relpath(FLYBALLCTL)} -s {cluster[0].socket} cluster")
            cluster.wait_shared()
            applications = [Application(f.port, args.rate * 0.9) for f in cluster]
            view = View(cluster, redis, totals)
            try:
                acts = play(cluster, redis, totals, view)
                while args.keep:
                    view.watch(1)
            except KeyboardInterrupt:
                return 1
            for a in applications:
                a.stop()
            judge = judge_acts(cluster, totals.read(), acts)
            judge_mail(judge, cluster, applications, totals)
    return 1 if judge.n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
