# SPDX-License-Identifier: ISC
"""What sharing a limit costs and how exact it is: three relays at a lane of
300/s through a real Redis, which bench.py runs as `share` (its figures are
counts, which a busy machine hardly moves); and one call of the script alone, by
the number of relays, as `lease`."""

import os
import time

from harness import ROOT
from redis_server import Cluster, RedisServer
from relays import Counter, configuration, most_in, sent_times, submit

N_RELAYS = 3
RATE = 300
WINDOW_S = 10


def least_in(times, span, start, end):
    """The least of them in any window of that length between the two."""
    inside = [t for t in times if start <= t <= end]
    least, j = len(inside), 0
    for i, t in enumerate(inside):
        # A window that begins just behind t.
        while j < len(inside) and inside[j] <= t + span:
            j += 1
        if t + span <= end:
            least = min(least, j - i - 1)
    return least


def script_us(redis):
    """Time that Redis has spent in scripts."""
    return int(redis.info("commandstats")["cmdstat_evalsha"].split("usec=")[1].split(",")[0])


def measure(seconds=30):
    """A dict of what was counted over so long, once each had its share."""
    with Counter() as sink, RedisServer() as redis:
        with Cluster(N_RELAYS, redis.url(), configuration(sink, RATE), "lease: 1s") as relays:
            relays.wait_shared()
            for f in relays:  # none begins before all have mail
                f.ctl("pause", "route", "ip-a")
            for f in relays:
                submit(f.port, round(RATE * (seconds + 12) / N_RELAYS))
            for f in relays:  # a pause is everybody's: the first one ends it
                f.ctl("resume", "route", "ip-a", check=False)
            time.sleep(4)
            before, bytes_before, usec = redis.calls(), redis.info("stats"), script_us(redis)
            delivered, start = relays.delivered(), time.time()
            time.sleep(seconds)
            end = time.time()
            calls, stats, usec_after = redis.calls(), redis.info("stats"), script_us(redis)
            shares = [b - a for a, b in zip(delivered, relays.delivered())]
            times = sent_times(relays)
    elapsed = end - start
    # Three of these a second are not for a lane: each relay says that it is here.
    n = calls["evalsha"] - before["evalsha"] - N_RELAYS * elapsed
    return {
        "most": most_in(times, WINDOW_S), "least": least_in(times, WINDOW_S, start, end),
        "shares": [s / elapsed for s in shares],
        "calls_per_lane_s": n / elapsed / N_RELAYS,
        "bytes_per_call": sum(int(stats[k]) - int(bytes_before[k]) for k in
                              ("total_net_input_bytes", "total_net_output_bytes")) / (calls["evalsha"] - before["evalsha"]),
        "script_us_per_call": (usec_after - usec) / (calls["evalsha"] - before["evalsha"]),
    }


# Of an item that it asks for: kind, id, limit. One limit by the second; and
# beside it one by the hour and a plan's day.
ONE_LIMIT = [("s", 1000, 300)]
TWO_AND_A_DAY = [("s", 1000, 300), ("p", 3600000, 20000), ("d", 20000, 100000)]


def cost(n_relays, items, n_lanes=50, n_turns=20):
    """One call of lease.lua as each relay makes it for each lane, one after the
    other: (us in Redis, bytes both ways)."""
    with open(os.path.join(ROOT, "daemon", "cluster", "lease.lua"), "rb") as file:
        script = file.read()
    with RedisServer() as redis:
        client = redis.client()
        sha = client("SCRIPT", "LOAD", script)
        held = {}

        def call(lane, relay, turn):
            words = ["EVALSHA", sha, 2, f"{{flyball}}1:lane:ip-a/site{lane}", "{flyball}1:generation",
                     1, "", 1000, 86400000, f"relay-{relay}", 1, turn + 1]
            for i, (kind, id_, limit) in enumerate(items):
                have = held.get((lane, relay, i), 0)
                more = {"s": "", "p": 0, "d": f"{have} 0"}[kind]
                words += [kind, id_, limit, 0 if kind == "d" else have, limit // n_relays, more]
            answer = client(*words)
            for i in range(len(items)):
                held[lane, relay, i] = answer[4 + 5 * i]
            return sum(len(str(w)) + 6 for w in words[3:]) + 60 + sum(len(str(a)) + 3 for a in answer)

        n_bytes = 0
        for turn in range(n_turns):
            if turn == 2:  # all of them are there
                before = script_us(redis)
            for lane in range(n_lanes):
                for relay in range(n_relays):
                    n_bytes += call(lane, relay, turn)
        us = script_us(redis) - before
        client.close()
    return us / ((n_turns - 2) * n_lanes * n_relays), n_bytes / (n_turns * n_lanes * n_relays)
