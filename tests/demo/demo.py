#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The demonstration: flyballd between an application and mailbox providers that
have limits they don't tell. About 30 s, on free ports of loopback, in a
temporary directory; ends by itself with a summary and status 0."""

import argparse
import json
import os
import random
import shutil
import smtplib
import socket
import sys
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--build", default="build")
parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C")
parser.add_argument("--seconds", type=float, default=26, help="how long mail is injected")
args = parser.parse_args()
os.environ["FLYBALL_BUILD"] = os.path.abspath(args.build)

from harness import FLYBALLCTL, Flyball, Provider  # noqa: E402

# What the applications send: sender, messages a second, share of each domain.
DOMAINS = [("gmail.com", 40), ("outlook.com", 20), ("yahoo.com", 20), ("gmx.de", 6),
           ("a-company.test", 7), ("a-club.test", 7)]
TRAFFIC = [("offers@news.demo.test", 43, DOMAINS), ("receipts@shop.demo.test", 9, DOMAINS),
           ("hello@welcome.demo.test", 9, [("gmail.com", 1)])]
BARS = " ▁▂▃▄▅▆▇█"


class Injector(threading.Thread):
    """An application that sends at its own pace and knows nothing."""

    def __init__(self, port, stop, sender, per_s, domains):
        super().__init__(daemon=True)
        self.port, self.stop, self.sender, self.per_s, self.domains = port, stop, sender, per_s, domains
        self.random = random.Random(sender)
        self.n_accepted = 0

    def run(self):
        names, weights = zip(*self.domains)
        start, n = time.monotonic(), 0
        connection = None
        while not self.stop.is_set():
            n += 1
            time.sleep(max(0, start + n / self.per_s - time.monotonic()))
            to = f"user{self.random.randrange(10000)}@{self.random.choices(names, weights)[0]}"
            try:
                if connection is None:
                    connection = smtplib.SMTP("127.0.0.1", self.port, timeout=10)
                connection.sendmail(self.sender, [to], (
                    f"From: <{self.sender}>\r\nTo: <{to}>\r\nSubject: number {n}\r\n\r\n"
                    "Hello from the demonstration.\r\n"))
                self.n_accepted += 1
            except smtplib.SMTPResponseException:
                connection.rset()
            except (OSError, smtplib.SMTPException):
                connection = None
                time.sleep(0.2)


class Admin:
    """One command a line in, one JSON object a line out."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r")

    def __call__(self, words):
        self.socket.sendall(words.encode() + b"\n")
        answer = json.loads(self.lines.readline())
        if not answer["ok"]:
            raise RuntimeError(f"{words}: {answer['error']}")
        return answer["result"]


class Hidden:
    """What the providers know and flyball doesn't, out of their reports."""

    def __init__(self, provider):
        self.provider = provider
        self.n_read = 0
        self.limits = {}

    def read(self):
        lines = self.provider.lines
        while self.n_read < len(lines):
            line = lines[self.n_read]
            self.n_read += 1
            if not line.startswith("{"):
                continue
            seen = json.loads(line)
            if not seen.get("summary"):
                self.limits[seen["listener"], seen["provider"]] = seen["limit"]

    def limit(self, lane):
        provider = "plain" if lane["provider"] == "other" else lane["provider"]
        return self.limits.get((lane["route"], provider))


def rate_text(value, absent="no limit"):
    return absent if value is None else f"{value:.1f}/s"


def one_line(text, width):
    """Replies come from outside: nothing in them may drive the terminal."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return clean if len(clean) <= width else clean[:width - 1] + "…"


class View:
    def __init__(self, hidden):
        self.hidden = hidden
        self.is_live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.last = {}
        self.history = {}
        self.n_drawn = 0
        self.plans = {}

    def row(self, lane, elapsed):
        name = lane["lane"]
        delivered = lane["delivered"]
        now = (delivered - self.last.get(name, delivered)) / elapsed if elapsed else 0
        self.last[name] = delivered
        self.history.setdefault(name, []).append(now)
        held = lane["gate"] or ("" if lane["state"] == "open" else lane["state"])
        if held == "adapted":
            held = "adapted, " + lane["adapt"]["state"]
        if lane.get("because"):
            held += f" ({lane['because']})"
        plan = self.plans.get(name)
        if plan:
            held = f"plan: day {plan['day']}, {plan['sent']} of {plan['allowed']}"
        columns = [f"{name:<20.20}", f"{now:6.1f}/s", f"{rate_text(lane['rate_per_s']):>9}",
                   f"{rate_text(lane['adapt']['rate_per_s'], '-'):>9}", f"{rate_text(self.hidden.limit(lane)):>9}", f"{lane['delivered']:>7}",
                   f"{lane['deferred'] + lane['failed']:>7}", f"{lane['queued']:>6}"]
        return "  ".join(columns) + "  " + one_line(held, 24)

    def spark(self, name, width):
        values = self.history[name][-width:]
        top = max(max(values), 1)
        return "".join(BARS[round(v / top * (len(BARS) - 1))] for v in values)

    def draw(self, admin, status, second, elapsed):
        self.plans = {p["name"]: p for p in admin("plans")}
        width = shutil.get_terminal_size((120, 40)).columns if self.is_live else 120
        load = status["load"]
        title = (f"flyball  {second:4.0f} s   accepted {load['accepted_messages']}, "
                 f"delivered {load['delivered']}, waiting {status['totals']['deliveries']}")
        lines = [title, f"{'lane':<20}  {'now':>8}  {'ceiling':>9}  {'adapted':>9}  {'hidden':>9}  {'deliv.':>7}  "
                        f"{'refused':>7}  {'queue':>6}  held by"]
        for lane in admin("lanes"):
            lines.append(self.row(lane, elapsed))
            if self.is_live:
                lines.append("    " + self.spark(lane["lane"], min(40, width - 4)))
            refusal = lane["last_refusal"]
            if refusal and refusal["age_ms"] < 3000:
                lines.append(f"    {refusal['class']}: " + one_line(refusal["reply"], width - 24))
        lines = [one_line(l, width) for l in lines]
        if self.is_live:
            up = f"\x1b[{self.n_drawn}A" if self.n_drawn else ""
            sys.stdout.write(up + "".join(l + "\x1b[K\n" for l in lines) + "\x1b[J")
            self.n_drawn = len(lines)
        else:
            sys.stdout.write("\n".join(lines) + "\n\n")
        sys.stdout.flush()


def configuration(ports):
    with open(os.path.join(ROOT, "conf", "demo.yaml")) as f:
        text = f.read()
    for name, port in ports.items():
        text = text.replace("{" + name + "}", str(port))
    return text


def provider_ports(provider):
    """A line for each listener at the start."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        lines = [l for l in provider.lines if l.startswith("listening")]
        if len(lines) == 3:
            return {l.split("name=")[1].split()[0]: int(l.split("port=")[1]) for l in lines}
        time.sleep(0.02)
    raise RuntimeError("the demonstration provider doesn't listen")


def web_pages(port):
    """What there is to look at with a browser."""
    found = []
    for path, what in (("/", "dashboard"), ("/metrics", "metrics")):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
                found.append(f"{what}: http://127.0.0.1:{port}{path}")
        except OSError:
            pass
    return found


def watch(admin, view, injectors, stop):
    start = last = time.monotonic()
    pace = 1.0 if view.is_live else 3.0
    end = start + args.seconds
    while True:
        time.sleep(max(0, last + pace - time.monotonic()))
        now = time.monotonic()
        view.hidden.read()
        status = admin("status")
        view.draw(admin, status, now - start, now - last)
        last = now
        if args.keep:
            continue
        if now >= end:
            stop.set()
        # What is queued then may still leave, but not for ever.
        if stop.is_set() and (status["totals"]["deliveries"] == 0 or now >= end + 4):
            return


def summary(admin, injectors, events):
    status, lanes = admin("status"), admin("lanes")
    accepted = sum(i.n_accepted for i in injectors)
    print(f"\nThe application handed over {accepted} messages; {status['load']['delivered']} are delivered, "
          f"{status['load']['failed']} bounced, {status['totals']['deliveries']} wait.")
    for lane in lanes:
        n = lane["delivered"] + lane["deferred"] + lane["failed"]
        print(f"  {lane['lane']:<20} delivered {lane['delivered']:>5}, refused "
              f"{lane['deferred'] + lane['failed']:>5} of {n}")
    rows = {}
    with open(events) as f:
        for line in f:
            e = json.loads(line)
            if e["event"] in ("deferred", "bounced"):
                rows.setdefault(e.get("class"), [0, e.get("reply", "")])[0] += 1
    print("Refusals by class, each with one of the replies:")
    for name, (n, reply) in sorted(rows.items(), key=lambda r: -r[1][0]):
        print(f"  {n:>5} {name:<18} {one_line(reply, 100)}")


def main():
    with open(os.path.join(ROOT, "tests", "demo", "world.yaml")) as f:
        world = f.read()
    with Provider(world) as provider:
        with Flyball(configuration(provider_ports(provider))) as flyball:
            admin = Admin(flyball.socket)
            print(f"mail goes in at 127.0.0.1:{flyball.port}; in another terminal try\n"
                  f"  {os.path.relpath(FLYBALLCTL)} -s {flyball.socket} why ip-a/gmail")
            print("\n".join(web_pages(flyball.port2)) + "\n")
            stop = threading.Event()
            injectors = [Injector(flyball.port, stop, *row) for row in TRAFFIC]
            for i in injectors:
                i.start()
            try:
                watch(admin, View(Hidden(provider)), injectors, stop)
            except KeyboardInterrupt:
                pass
            stop.set()
            summary(admin, injectors, flyball.events_path)
    total = [json.loads(l) for l in provider.lines if '"summary":true' in l][-1]
    print(f"The providers counted {total['attempts']} attempts and refused {total['violations']} of them for "
          f"speed or reputation ({total['violation_share']:.1%}).")
    return 0


sys.exit(main())
