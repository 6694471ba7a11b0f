#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""make bench: flyball beside a tuned Postfix, and beside no relay at all, in
one run on one machine. Prints a table and writes contrib/bench/RESULTS.md.
Only ratios within a run mean anything: the machine is whatever it is.

  bench.py [--build DIR] [--rounds 5] [--scale 1.0] [--only NAME,...] [--write]
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

parser = argparse.ArgumentParser()
parser.add_argument("--build", default="build")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--scale", type=float, default=1.0, help="share of the usual number of messages")
parser.add_argument("--only", default="")
parser.add_argument("--write", action="store_true", help="keep the result as RESULTS.md")
args = parser.parse_args()
os.environ["FLYBALL_BUILD"] = os.path.abspath(args.build)

import harness  # noqa: E402
from harness import (Flyball, Postfix, certificate, crypt_line, free_port,  # noqa: E402
                     stop_process, wait_until)
import redis_server  # noqa: E402
import shared  # noqa: E402
from redis_server import RedisServer  # noqa: E402

LOAD = os.path.join(args.build, "bench_load")
TICK = os.sysconf("SC_CLK_TCK")

FLYBALL = """
daemon:
  hostname: relay.test
  workers: 2
  state_dir: {dir}/state
  admin_socket: {path: "{dir}/admin.sock"}
  log: {level: warn}
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
limits: {sessions_per_address: 5000}
providers:
  other: {rate: unlimited, connections: unlimited, messages_per_connection: unlimited}
dns: {mx: false}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none, connections: 50}
"""

POSTFIX = """
default_process_limit = 200
smtpd_client_connection_count_limit = 500
smtp_destination_concurrency_limit = 200
initial_destination_concurrency = 50
default_destination_concurrency_limit = 200
smtp_connection_cache_on_demand = yes
smtp_connection_cache_destinations = %s
smtp_connection_reuse_count_limit = 0
in_flow_delay = 0
qmgr_message_active_limit = 40000
smtpd_peername_lookup = no
"""


class Sink:
    """smtp-sink that counts what came."""

    def __init__(self):
        self.port = free_port()
        self.file = tempfile.NamedTemporaryFile("r", prefix="flyball-sink-")
        self.process = subprocess.Popen(
            ["/usr/sbin/smtp-sink", *(["-u", "nobody"] if os.geteuid() == 0 else []),
             "-c", f"127.0.0.1:{self.port}", "1000"],
            stdout=open(self.file.name, "w"), stderr=subprocess.STDOUT)
        time.sleep(0.3)

    def count(self):
        with open(self.file.name, "rb") as f:
            f.seek(0, 2)
            f.seek(max(0, f.tell() - 200))
            found = re.findall(rb"mesg=(\d+)", f.read())
        return int(found[-1]) if found else 0

    def close(self):
        stop_process(self.process)


def cpu_of(pids):
    total = 0.0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += sum(int(fields[i]) for i in (11, 12, 13, 14)) / TICK
        except OSError:
            pass
    return total


def memory_of(pids, key="Pss"):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += sum(int(l.split()[1]) for l in f if l.startswith(key + ":"))
        except OSError:
            pass
    return total / 1024


def anon_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return [int(l.split()[1]) for l in f if l.startswith("RssAnon")][0] / 1024


class NoRelay:
    name = "no relay"

    def __init__(self, sink):
        self.port = sink.port

    def pids(self):
        return []

    def close(self):
        pass


class FlyballRelay:
    name = "flyball"

    def __init__(self, sink, config=FLYBALL, files=None):
        self.f = Flyball(config % sink.port, files=files, log_level="warn", start=False)
        # "warn" hides the ready line that the harness waits for.
        with open(self.f.config_path) as f:
            text = f.read().replace("level: warn", "level: info")
        with open(self.f.config_path, "w") as f:
            f.write(text)
        self.f.start()
        self.port = self.f.port

    def pids(self):
        return [self.f.process.pid]

    def close(self):
        self.f.close()


class PostfixRelay:
    name = "Postfix"

    def __init__(self, sink, extra=""):
        self.p = Postfix(f"127.0.0.1:{sink.port}", POSTFIX % f"[127.0.0.1]:{sink.port}" + extra)
        self.port = self.p.port

    def pids(self):
        with open(os.path.join(self.p.tmp.path, "queue", "pid", "master.pid")) as f:
            master = int(f.read())
        children = subprocess.run(["pgrep", "-P", str(master)], capture_output=True, text=True).stdout.split()
        return [master] + [int(c) for c in children]

    def close(self):
        self.p.close()


def run_load(relay, sink, n, command):
    """Sends n messages; (accepted/s, end-to-end/s, CPU s per 1000, MiB)."""
    pids = relay.pids()
    before, cpu = sink.count(), cpu_of(pids)
    start = time.monotonic()
    out = subprocess.run(command, capture_output=True, text=True)
    accepted = time.monotonic() - start
    if out.returncode != 0:
        raise RuntimeError(f"{command}: {out.stdout}{out.stderr}")
    # smtp-sink counts in steps; the last ones show when a session ends.
    wait_until(lambda: sink.count() - before >= n, 300, f"{n} messages at the sink")
    total = time.monotonic() - start
    memory = memory_of(relay.pids())
    return n / accepted, n / total, (cpu_of(relay.pids()) - cpu) * 1000 / n, memory


def source(relay, n, size, sessions=50, reuse=True):
    return ["/usr/sbin/smtp-source", *(["-d"] if reuse else []), "-s", str(sessions), "-m", str(n), "-l", str(size),
            "-f", "a@app.test", "-t", "b@x.test", f"127.0.0.1:{relay.port}"]


def medians(rows):
    return [statistics.median(c) for c in zip(*rows)]


def compare(title, n, command_of, relays, out):
    """Rounds in turn, so that the machine's moods hit all alike."""
    rows = {r: [] for r in relays}
    for round_ in range(args.rounds):
        for make in relays:
            sink = Sink()
            relay = make(sink)
            try:
                count = max(100, int(n[make] * args.scale))
                run_load(relay, sink, max(50, count // 10), command_of(relay, max(50, count // 10)))  # warm up
                rows[make].append(run_load(relay, sink, count, command_of(relay, count)))
                print(f"  {title} round {round_ + 1} {relay.name}: "
                      + " ".join(f"{v:.3g}" for v in rows[make][-1]), flush=True)
            finally:
                relay.close()
                sink.close()
    out.append(f"\n### {title}\n")
    out.append("| relay | accepted/s | end to end/s | CPU s per 1000 | PSS MiB |")
    out.append("| --- | --- | --- | --- | --- |")
    result = {}
    for make in relays:
        m = medians(rows[make])
        result[make] = m
        out.append(f"| {make.name} | {m[0]:.0f} | {m[1]:.0f} | {m[2]:.3f} | {m[3]:.0f} |")
    ours = result.get(FlyballRelay)
    if ours and PostfixRelay in result:
        theirs = result[PostfixRelay]
        out.append(f"\nflyball is {ours[1] / theirs[1]:.1f} x Postfix end to end, with 1/{theirs[2] / ours[2]:.0f} of its CPU a message"
                   + (f"; {100 * ours[1] / result[NoRelay][1]:.0f} % of no relay" if NoRelay in result else "") + ".")
    return result


def bench_reuse(out):
    compare("4 KiB, 50 sessions, connections reused", {NoRelay: 40000, PostfixRelay: 4000, FlyballRelay: 40000},
            lambda r, n: source(r, n, 4096), [NoRelay, PostfixRelay, FlyballRelay], out)


def bench_new(out):
    compare("4 KiB, a new connection for each message", {NoRelay: 10000, PostfixRelay: 4000, FlyballRelay: 10000},
            lambda r, n: source(r, n, 4096, reuse=False), [NoRelay, PostfixRelay, FlyballRelay], out)


def bench_large(out):
    compare("50 KiB, 50 sessions, connections reused", {NoRelay: 8000, PostfixRelay: 2000, FlyballRelay: 8000},
            lambda r, n: source(r, n, 51200), [NoRelay, PostfixRelay, FlyballRelay], out)


def disk_fdatasync_us(directory):
    """Median of fdatasync after 4 KiB written over preallocated space."""
    path = os.path.join(directory, "probe")
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(fd, b"\0" * 4096 * 500)
    os.fsync(fd)
    times = []
    for i in range(500):
        os.pwrite(fd, os.urandom(4096), i * 4096)
        start = time.monotonic()
        os.fdatasync(fd)
        times.append((time.monotonic() - start) * 1e6)
    os.close(fd)
    os.unlink(path)
    return statistics.median(times)


def bench_latency(out):
    sink = Sink()
    relay = FlyballRelay(sink)
    rows = []
    try:
        for _ in range(args.rounds):
            disk = disk_fdatasync_us(relay.f.tmp.path)
            p = subprocess.run([LOAD, "-s", "1", "-m", str(int(2000 * args.scale)), "-d", f"127.0.0.1:{relay.port}"],
                               capture_output=True, text=True, check=True)
            r = json.loads(p.stdout)
            rows.append((disk, r["p50_us"], r["p99_us"]))
            print("  latency", rows[-1], flush=True)
    finally:
        relay.close()
        sink.close()
    disk, p50, p99 = medians(rows)
    out.append("\n### One session, one message at a time: the 250 after the dot\n")
    out.append(f"fdatasync of 4 KiB on this disk: {disk:.0f} us (median). Median {p50:.0f} us = {p50 / disk:.1f} x that; p99 {p99 / 1000:.2f} ms.")


TLS_FLYBALL = """
daemon: {hostname: relay.test, workers: 2, state_dir: "{dir}/state", admin_socket: {path: "{dir}/admin.sock"}, log: {level: info}}
listeners:
  - {listen: "127.0.0.1:{port}", tls: starttls, auth: required}
tls: {certificate: %s, key: %s}
auth: {users_file: "{dir}/users"}
limits: {sessions_per_address: 5000}
providers:
  other: {rate: unlimited, connections: unlimited}
dns: {mx: false}
routes:
  out: {next_hop: "127.0.0.1:%%d", tls: none, connections: 50}
"""


class FlyballTls(FlyballRelay):
    def __init__(self, sink):
        cert, key = certificate()
        super().__init__(sink, TLS_FLYBALL.replace("%s", cert, 1).replace("%s", key, 1).replace("%%", "%"),
                         files={"users": crypt_line("app", "secret") + "\n"})


class Dovecot:
    """Dovecot as Postfix's SASL server. It remembers the line of a user, not
    that a password fitted it: with a slow hash it computes at each login, with
    a worker for each processor here (one alone, as installed, halves that)."""

    def __init__(self, socket_path, password):
        self.tmp = harness.TempDir()
        os.chmod(self.tmp.path, 0o755)
        users = self.tmp.file("users", f"app:{password}:1000:1000::/tmp::\n", 0o644)
        conf = self.tmp.file("dovecot.conf", f"""
protocols =
base_dir = {self.tmp.path}/run
log_path = {self.tmp.path}/dovecot.log
ssl = no
auth_mechanisms = plain login
auth_cache_size = 1M
auth_cache_verify_password_with_worker = yes
passdb {{
  driver = passwd-file
  args = {users}
}}
userdb {{
  driver = passwd-file
  args = {users}
}}
service auth {{
  unix_listener {socket_path} {{
    mode = 0666
  }}
}}
service auth-worker {{
  process_limit = {os.cpu_count()}
}}
""")
        self.process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", conf])
        wait_until(lambda: os.path.exists(socket_path), 10, "dovecot")

    def pids(self):
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return [self.process.pid] + [int(c) for c in children]

    def close(self):
        stop_process(self.process)
        self.tmp.remove()


class PostfixTls(PostfixRelay):
    def __init__(self, sink, password=None):
        cert, key = certificate()
        super().__init__(sink, f"""
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_tls_auth_only = yes
""")
        self.d = Dovecot(os.path.join(self.p.tmp.path, "queue", "private", "auth"), password or "{CRYPT}" + crypt_line("app", "secret").split(":")[1])

    def pids(self):
        return super().pids() + self.d.pids()

    def close(self):
        super().close()
        self.d.close()


class PostfixPlain(PostfixTls):
    """What is left without the cost of any hash."""

    def __init__(self, sink):
        super().__init__(sink, "{PLAIN}secret")


def bench_tls(out):
    names = {PostfixTls: 1500, PostfixPlain: 4000, FlyballTls: 4000}
    PostfixTls.name, FlyballTls.name = "Postfix with Dovecot SASL (yescrypt)", "flyball (yescrypt)"
    PostfixPlain.name = "Postfix with Dovecot SASL (no hash)"
    if not os.path.exists("/usr/sbin/dovecot"):
        out.append("\n### STARTTLS and AUTH\n\nDovecot isn't installed: left out.")
        return
    rows = compare("STARTTLS (P-256) and AUTH for each message, 20 sessions", names,
                   lambda r, n: [LOAD, "-s", "20", "-m", str(n), "-T", "-a", "app:secret", f"127.0.0.1:{r.port}"],
                   [PostfixTls, PostfixPlain, FlyballTls], out)
    ours = rows[FlyballTls][1]
    out.append(f"\nflyball is {ours / rows[PostfixTls][1]:.1f} x Postfix end to end, "
               f"and {ours / rows[PostfixPlain][1]:.1f} x one that keeps its passwords unhashed.")


def bench_memory(out):
    import ssl
    sink = Sink()
    relay = FlyballTls(sink)
    try:
        time.sleep(1)
        pid = relay.pids()[0]
        idle = memory_of([pid])
        held = []
        context = ssl._create_unverified_context()
        import smtplib
        for _ in range(1000):
            c = smtplib.SMTP("127.0.0.1", relay.port)
            c.starttls(context=context)
            c.ehlo()
            held.append(c)
        sessions = memory_of([pid])
        for c in held:
            c.close()
    finally:
        relay.close()
        sink.close()
    out.append("\n### Memory\n")
    out.append(f"Idle: {idle:.1f} MiB (PSS). With 1,000 TLS sessions: {sessions:.1f} MiB.")


def bench_million(out):
    n = int(1000000 * args.scale)
    sink = Sink()
    relay = FlyballRelay(sink)
    try:
        f = relay.f
        empty = run_load(relay, sink, 20000, source(relay, 20000, 1024))
        f.ctl("pause", "provider", "other")
        start = time.monotonic()
        subprocess.run(source(relay, n, 1024), check=True, capture_output=True)
        filled = n / (time.monotonic() - start)
        with open(f"/proc/{f.process.pid}/status") as s:
            anon = [int(l.split()[1]) for l in s if l.startswith("RssAnon")][0] / 1024
        f.stop()
        start = time.monotonic()
        f.start(timeout=120)
        ready = time.monotonic() - start
        anon_started = anon_of(f.process.pid)
        f.ctl("pause", "provider", "other")
        drained_from = sink.count()
        f.ctl("resume", "provider", "other")
        before = sink.count()
        full = run_load(relay, sink, 20000, source(relay, 20000, 1024))
        start, a = time.monotonic(), sink.count()
        time.sleep(10)
        rate = (sink.count() - a) / (time.monotonic() - start)
    finally:
        relay.f.kill9()
        relay.close()
        sink.close()
    out.append(f"\n### {n:,} messages queued (1 KiB)\n")
    out.append(f"Accepted while filling: {filled:.0f}/s. Memory outside the page cache: {anon:.0f} MiB after filling, "
               f"{anon_started:.0f} MiB after a restart. Ready after start: {ready:.1f} s.")
    out.append(f"\nEmpty queue: {empty[0]:.0f} accepted/s, {empty[1]:.0f} end to end/s. "
               f"With the backlog: {full[0]:.0f} accepted/s while delivering; {rate:.0f} delivered/s afterwards.")


class FlyballShared(FlyballRelay):
    """The same with a Redis to share limits through, of which this lane has
    none: what a cluster costs mail that it doesn't govern."""
    name = "flyball in a cluster"

    def __init__(self, sink):
        self.redis = RedisServer()
        super().__init__(sink, FLYBALL + f'cluster: {{redis: "{self.redis.url()}", name: n1}}\n')

    def close(self):
        super().close()
        self.redis.close()


def bench_cluster(out):
    if not redis_server.available():
        out.append("\n### A cluster\n\nThere is no redis-server: left out.")
        return
    rows = compare("4 KiB, 50 sessions, lanes without limits, alone and in a cluster",
                   {FlyballRelay: 40000, FlyballShared: 40000},
                   lambda r, n: source(r, n, 4096), [FlyballRelay, FlyballShared], out)
    out.append(f"\nIn a cluster: {100 * rows[FlyballShared][1] / rows[FlyballRelay][1]:.0f} % of alone.")


def bench_share(out):
    if not redis_server.available():
        return
    r = shared.measure(max(12, 30 * args.scale))
    limit = shared.RATE * shared.WINDOW_S
    out.append(f"\n### {shared.N_RELAYS} relays, one lane of {shared.RATE}/s\n")
    out.append(f"In any {shared.WINDOW_S} s {r['least']} to {r['most']} recipients were sent, "
               f"{100 * r['least'] / limit:.1f} to {100 * r['most'] / limit:.1f} % of the limit; the relays' shares "
               + ", ".join(f"{s:.1f}/s" for s in r["shares"])
               + f". Redis: {r['calls_per_lane_s']:.2f} calls a second for a relay's lane, {r['bytes_per_call']:.0f} bytes "
               f"both ways and {r['script_us_per_call']:.0f} us a call.")


class FlyballWatched(FlyballRelay):
    """The same with an event log, and somebody who reads metrics and lanes
    every second."""
    name = "flyball, watched"

    def __init__(self, sink):
        self.http_port = free_port()
        super().__init__(sink, FLYBALL.replace("  log:", f"""\
  event_log: {{dir}}/events.jsonl
  http: {{listen: "127.0.0.1:{self.http_port}"}}
  log:"""))
        self.ended = threading.Event()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        while not self.ended.wait(1):
            for path in ("metrics", "api/lanes"):
                urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/{path}", timeout=10).read()

    def close(self):
        self.ended.set()
        self.reader.join()
        super().close()


def bench_watched(out):
    rows = compare("4 KiB, 50 sessions, with an event log, and metrics and lanes read every second",
                   {FlyballRelay: 40000, FlyballWatched: 40000},
                   lambda r, n: source(r, n, 4096), [FlyballRelay, FlyballWatched], out)
    out.append(f"\nWatched: {100 * rows[FlyballWatched][1] / rows[FlyballRelay][1]:.0f} % of unwatched, "
               f"{rows[FlyballWatched][2] / rows[FlyballRelay][2]:.2f} times the CPU.")


def bench_lease(out):
    if not redis_server.available():
        return
    out.append("\n### One call for one lane's leases, in Redis\n")
    out.append("| relays in the lane | limits | us | bytes both ways |")
    out.append("| --- | --- | --- | --- |")
    for name, items in (("one", shared.ONE_LIMIT), ("two windows and a day", shared.TWO_AND_A_DAY)):
        for n in (3, 50):
            us, n_bytes = shared.cost(n, items)
            out.append(f"| {n} | {name} | {us:.0f} | {n_bytes:.0f} |")


BENCHES = {"cluster": bench_cluster, "share": bench_share, "lease": bench_lease, "reuse": bench_reuse, "new": bench_new,
           "large": bench_large, "latency": bench_latency, "watched": bench_watched, "tls": bench_tls, "memory": bench_memory,
           "million": bench_million}


def versions():
    def first(command):
        try:
            return subprocess.run(command, capture_output=True, text=True).stdout.strip().splitlines()[0]
        except (OSError, IndexError):
            return "?"
    with open("/proc/cpuinfo") as f:
        model = [l.split(":")[1].strip() for l in f if l.startswith("model name")][0]
    commit = first(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"])
    return [f"{os.cpu_count()} x {model}, Linux {platform.release()}, "
            f"{first(['findmnt', '-no', 'FSTYPE', '-T', tempfile.gettempdir()])}",
            f"Postfix {first(['postconf', '-d', '-h', 'mail_version'])}, flyball at {commit}, "
            f"{first(['gcc', '--version'])}"]


NOTES = "## How it was made"


def split_sections(text):
    """What stands before the first section, the sections by title, the notes."""
    body, mark, notes = text.partition(NOTES)
    head, *sections = re.split(r"(?m)^(?=### )", body)
    return head, {s.split("\n", 1)[0]: s for s in sections}, mark + notes


def keep(text):
    """Into RESULTS.md: sections that were made now replace the old ones; the
    others, and what was written by hand at the end, stay."""
    path = os.path.join(HERE, "RESULTS.md")
    head, sections, _ = split_sections(text)
    with open(path) as f:
        _, old, notes = split_sections(f.read())
    order = list(old) + [t for t in sections if t not in old]
    with open(path, "w") as f:
        f.write(head + "".join({**old, **sections}[t].rstrip() + "\n\n" for t in order) + notes)


def main():
    out = ["# Benchmark results", "", f"Made by `make bench` on {time.strftime('%Y-%m-%d')}; medians of {args.rounds} rounds, "
           "each round runs all relays in turn. fsync is honoured by both. Only ratios carry over to other machines.", ""]
    out += [f"- {v}" for v in versions()]
    names = [n for n in args.only.split(",") if n] or list(BENCHES)
    for name in names:
        print(f"{name}:", flush=True)
        BENCHES[name](out)
    text = "\n".join(out) + "\n"
    print("\n" + text)
    if args.write:
        keep(text)


main()
