#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Mixed load for as long as one likes: mail of three sizes, some over TLS with
a login, to a provider that defers and refuses some of it; every interval a
reload that moves things about, a provider paused for a third of it, sessions
that begin and never end, questions by an operator. Each interval gives one
line: memory, descriptors, threads, processor time, how long the 250 took.

  soak.py [--build DIR] [--seconds 3600] [--interval 60] [--rate 100]

Fails where memory or descriptors grow, or where a recipient is unaccounted
for. tests/e2e/test_load.py runs a short one."""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests", "e2e"))

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
  - {listen: "127.0.0.1:{port2}", tls: starttls, auth: required}
tls: {certificate: "%(cert)s", key: "%(key)s"}
auth: {users_file: "{dir}/users"}
limits: {sessions_per_address: 1000, command_timeout: 5s}
suppression: {action: off}
spool: {retry: {first: 2s, factor: 1, max: 2s}}
adapt: {floor: 500/s, react: {hold: 1s}, recover: {every: 1s}, suspend: {for: 1s, max: 2s}}
providers:
  gmail: {rate: %(rate)s, connections: 8, messages_per_connection: 100}
  yahoo: {rate: 500/s, connections: 4, messages_per_connection: 20}
  other: {rate: 500/s, connections: 8}
routes:
  a: {next_hop: "127.0.0.1:%(hop)d", tls: none, connections: 10, idle_timeout: 2s}
%(more)s
streams:
  one: {match: {sender_domain: [one.test]}, routes: [a]}
  default: {routes: [a]}
"""

WORLD = """
clock: start
report: 0s
providers:
  plain: {domains: ["*"], latency: {min: 1ms, mean: 5ms, max: 50ms},
          noise: {system: 3%, mailbox_full: 2%, content: 1%, maintenance: 1%, reset: 0.2%}}
listen: "127.0.0.1:0"
"""

COLUMNS = ("minute", "accepted", "queued", "rss_kib", "anon_kib", "fds", "threads", "cpu_permille", "p50_us", "p99_us",
           "max_us")


class Gauge:
    """What /proc tells of a process."""

    def __init__(self, pid):
        self.pid = pid
        self.cpu, self.at = self.cpu_s(), time.monotonic()

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat") as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def look(self):
        with open(f"/proc/{self.pid}/status") as f:
            status = dict(line.split(":", 1) for line in f)
        cpu, at = self.cpu_s(), time.monotonic()
        row = {"rss_kib": int(status["VmRSS"].split()[0]), "anon_kib": int(status["RssAnon"].split()[0]),
               "fds": len(os.listdir(f"/proc/{self.pid}/fd")), "threads": int(status["Threads"]),
               "cpu_permille": round(1000 * (cpu - self.cpu) / (at - self.at))}
        self.cpu, self.at = cpu, at
        return row


class Soak:
    """`say` gets each interval's line as a dict with COLUMNS."""

    def __init__(self, load, seconds, interval, rate, say):
        self.load, self.interval, self.rate, self.say = load, interval, rate, say
        self.n_intervals = max(3, round(seconds / interval))
        self.rows = []
        self.sent = 0

    def config(self, odd):
        from harness import certificate
        cert, key = certificate()
        return CONFIG % {"cert": cert, "key": key, "hop": self.hop, "rate": "900/s" if odd else "800/s",
                         "more": f'  b: {{next_hop: "127.0.0.1:{self.hop}", tls: none}}' if odd else ""}

    def start_load(self, f):
        """The generators of one interval: (messages, process)."""
        kinds = ((0.60, "r@gmail.com", 4096, 2, f.port, ["-d"]),
                 (0.10, "r@yahoo.com", 2000, 2, f.port2, ["-T", "-a", "app:secret"]),
                 (0.28, "r@plain.test", 1000, 2, f.port, []),
                 (0.02, "r@large.test", 150000, 1, f.port, ["-d"]))
        out = []
        for share, to, size, sessions, port, more in kinds:
            rate = self.rate * share
            n = max(1, round(rate * self.interval))
            out.append((n, subprocess.Popen(
                [self.load, "-s", str(sessions), "-m", str(n), "-l", str(size), "-t", to,
                 "-w", str(round(1e6 * sessions / rate)), *more, f"127.0.0.1:{port}"],
                stdout=subprocess.PIPE, text=True)))
        return out

    def meddle(self, f, number):
        """What else happens in an interval, for a third of it."""
        held = []
        for port, words in ((f.port, b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx"),
                            (f.port2, b"EHLO x\r\nSTARTTLS\r\n")) * 5:
            s = socket.create_connection(("127.0.0.1", port), timeout=10)
            s.sendall(words)
            held.append(s)
        f.ctl("pause", "provider", "yahoo", "for", f"{max(1, round(self.interval / 3))}s")
        f.configure(self.config(number % 2))
        f.ctl("reload")
        for _ in range(3):
            for words in (("lanes",), ("queue", "limit", "50"), ("status",), ("why", "a/yahoo")):
                f.ctl(*words, check=False)
            time.sleep(self.interval / 10)
        for s in held[::2]:
            s.close()
        return held

    def one_interval(self, f, gauge, number):
        begun = time.monotonic()
        generators = self.start_load(f)
        held = self.meddle(f, number)
        results = [json.loads(p.communicate()[0]) for _, p in generators]
        for s in held:
            s.close()
        if any(r["failed"] for r in results):
            raise AssertionError(f"interval {number}: refused {results}")
        self.sent += sum(n for n, _ in generators)
        time.sleep(max(0.0, begun + self.interval - time.monotonic()))
        row = {"minute": number, "accepted": sum(n for n, _ in generators), "queued": f.n_queued(), **gauge.look(),
               **{k: results[0][k] for k in ("p50_us", "p99_us", "max_us")}}
        self.rows.append(row)
        self.say(row)

    def rest(self, f, gauge):
        """Descriptors and threads with nothing to do, once all has gone."""
        from harness import wait_until
        wait_until(lambda: f.n_queued() == 0, 120, "the queue to drain")

        def is_idle():
            load = f.ctl("status")["load"]
            return load["connections"] == 0 and load["sessions"] == 0
        wait_until(is_idle, 60, "the last connection")
        looks = []  # the question itself had a descriptor
        for _ in range(10):
            time.sleep(0.1)
            looks.append(gauge.look())
        return min(looks, key=lambda look: look["fds"])

    def run(self):
        from harness import Flyball, Provider, crypt_line
        with Provider(WORLD) as provider:
            self.hop = provider.port
            f = Flyball(self.config(0), files={"users": crypt_line("app", "secret") + "\n"})
            with f:
                gauge = Gauge(f.process.pid)
                before = None
                for number in range(self.n_intervals):
                    self.one_interval(f, gauge, number)
                    if number == 0:  # whatever is made once has been
                        f.configure(self.config(0))
                        f.ctl("reload")
                        before = self.rest(f, gauge)
                f.configure(self.config(0))
                f.ctl("reload")
                after = self.rest(f, gauge)
                load = f.ctl("status")["load"]
        return self.judge(before, after, load)

    def judge(self, before, after, load):
        """Complaints, [] for none, and the figures."""
        fifth = max(1, len(self.rows) // 5)
        early = statistics.median(r["anon_kib"] for r in self.rows[fifth:2 * fifth])
        late = statistics.median(r["anon_kib"] for r in self.rows[-fifth:])
        bad = []
        if late > early * 1.05 + 2048:
            bad.append(f"memory grew from {early} to {late} KiB")
        for what in ("fds", "threads"):
            if after[what] > before[what]:
                bad.append(f"{what}: {before[what]} at first, {after[what]} in the end")
        # Each has one end; the DSNs about what was refused have theirs.
        ends = load["delivered"] + load["failed"]
        if load["accepted_messages"] != self.sent or ends < self.sent:
            bad.append(f"{self.sent} sent, {load}")
        if load["deferred"] == 0 or load["failed"] == 0:
            bad.append(f"nothing was deferred or failed: {load}")
        return bad, {"sent": self.sent, "early_kib": early, "late_kib": late, "before": before, "after": after,
                     "load": load}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--interval", type=float, default=60)
    parser.add_argument("--rate", type=float, default=100)
    args = parser.parse_args()
    os.environ["FLYBALL_BUILD"] = os.path.abspath(args.build)
    print("| " + " | ".join(COLUMNS) + " |\n" + "|" + " --- |" * len(COLUMNS), flush=True)
    soak = Soak(os.path.join(args.build, "bench_load"), args.seconds, args.interval, args.rate,
                lambda row: print("| " + " | ".join(str(row[c]) for c in COLUMNS) + " |", flush=True))
    bad, figures = soak.run()
    print(json.dumps(figures))
    print("\n".join(bad) if bad else "flat")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
