# SPDX-License-Identifier: ISC
"""Mail flows while the disk fails, in every way, and works again: what got its
250 arrives, once and whole; what is refused is told 451 or 452; the operator
is told; and it goes on when the disk does. tests/fault makes the failures."""

import errno
import hashlib
import os
import random
import resource
import signal
import smtplib
import socket
import subprocess
import threading
import time
import unittest

from fault import (ANY, BODIES, DATABASE, DIR_SYNC, DSYNC, EVENTS, LIBRARY, MKDIR, OPEN, READ, RENAME, STALE, STATE, SYNC, UNLINK,
                   WRITE, FaultyFlyball)
from harness import Flyball, Provider, wait_until
from storm import NOWHERE, Storm, compare, seed_of_the_day

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
limits: {sessions_per_address: 1000}
providers: {other: {rate: unlimited, connections: 20}}
spool: {retry: {first: 200ms, factor: 1, max: 200ms}%s}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none, connections: 6, backoff: {first: 200ms, max: 200ms}}
"""

WORLD = """
listen: "127.0.0.1:0"
report: 0s
providers:
  nowhere: {domains: [%s], noise: {unknown_user: 100%%}}
  any: {domains: ["*"], latency: 2ms, noise: {system: 3%%}}
""" % NOWHERE

DISK, FULL = (451, b"4.3.0"), (452, b"4.3.1")


class Sender(threading.Thread):
    """Sends small and large messages; a session survives its refusals."""

    def __init__(self, port, seed, number, stop, sizes=(10, 3000, 90000)):
        super().__init__(daemon=True)
        self.port, self.number, self.stop, self.sizes = port, number, stop, sizes
        self.random = random.Random(seed * 100 + number)
        self.accepted = {}  # name -> sha256 of the body
        self.refused = set()  # (code, enhanced code)
        self.error = None
        self.n = 0

    def message(self):
        self.n += 1
        text = f"m{self.number}x{self.n} ".encode() + self.random.randbytes(
            self.sizes[self.n % len(self.sizes)] // 2).hex().encode()
        return f"m{self.number}x{self.n}", b"".join(text[i:i + 900] + b"\r\n" for i in range(0, len(text), 900))

    def one(self, c):
        name, body = self.message()
        try:
            c.sendmail("s@app.test", [f"{name}@x{self.n % 3}.test"], b"Subject: x\r\n\r\n" + body)
            self.accepted[name] = hashlib.sha256(body).hexdigest()
        except smtplib.SMTPRecipientsRefused as e:
            self.note(*next(iter(e.recipients.values())))
        except smtplib.SMTPResponseException as e:
            self.note(e.smtp_code, e.smtp_error)

    def note(self, code, text):
        self.refused.add((code, text.split()[0]))
        time.sleep(0.01)

    def run(self):
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as c:
                while not self.stop.is_set():
                    self.one(c)
                    time.sleep(0.002)
        except BaseException as e:  # pylint: disable=broad-except
            self.error = e


def files_below(path):
    return [os.path.join(d, name) for d, _, names in os.walk(path) for name in names]


class Flow:
    """Senders at work, for a `with`."""

    def __init__(self, f, seed, n=3, **kw):
        self.f, self.stop = f, threading.Event()
        self.senders = [Sender(f.port, seed, k, self.stop, **kw) for k in range(n)]

    def n_accepted(self):
        return sum(len(s.accepted) for s in self.senders)

    def accepted(self):
        return {name: digest for s in self.senders for name, digest in s.accepted.items()}

    def refused(self):
        return set().union(*(s.refused for s in self.senders))

    def wait_for_more(self, n=10, timeout=20):
        before = self.n_accepted()
        wait_until(lambda: self.n_accepted() >= before + n, timeout, "mail to be taken")

    def __enter__(self):
        for s in self.senders:
            s.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for s in self.senders:
            s.join(60)


# What fails, how, what clients may be told and must be told, whether the
# operator hears of the disk.
ROWS = {
    "database_sync": (SYNC, DATABASE, {}, {DISK}, True, True),
    "database_sync_stale": (SYNC, DATABASE, {"fate": STALE}, {DISK}, True, True),
    "database_meta": (DSYNC, DATABASE, {}, {DISK}, True, True),
    "database_write": (WRITE, DATABASE, {}, {DISK}, True, True),
    "database_write_full": (WRITE, DATABASE, {"error": errno.ENOSPC}, {DISK, FULL}, True, True),
    "database_write_short": (WRITE, DATABASE, {"error": 0, "is_short": 1}, {DISK}, True, True),
    "database_now_and_then": (WRITE | SYNC, DATABASE, {"permille": 50}, {DISK}, True, True),
    "database_slow": (SYNC, DATABASE, {"error": 0, "delay_us": 100000}, set(), False, False),
    "body_write": (WRITE, BODIES, {}, {DISK}, True, "status"),
    "body_write_full": (WRITE, BODIES, {"error": errno.ENOSPC}, {FULL}, True, False),
    "body_write_short": (WRITE, BODIES, {"error": 0, "is_short": 1}, set(), False, False),
    "body_open": (OPEN, BODIES, {"error": errno.EMFILE}, {DISK}, True, "status"),
    "body_sync": (SYNC, BODIES, {}, {DISK}, True, "status"),
    "body_name": (RENAME | MKDIR | DIR_SYNC, BODIES, {"error": errno.ENOSPC, "permille": 500}, {DISK}, True, "status"),
    "body_removal": (UNLINK, BODIES, {}, set(), False, False),
    "body_read": (READ, BODIES, {}, set(), False, False),
    "body_read_end": (READ, BODIES, {"error": 0, "is_short": 1}, set(), False, False),
    "read_only": (OPEN | WRITE | SYNC | DIR_SYNC | RENAME | UNLINK | MKDIR, DATABASE | BODIES | STATE,
                  {"error": errno.EROFS}, {DISK}, True, True),
    "event_log": (WRITE, EVENTS, {"error": errno.ENOSPC}, set(), False, False),
}


@unittest.skipUnless(os.path.exists(LIBRARY), "the layer isn't built")
class FailingDisk(unittest.TestCase):
    """One test a row."""

    def fail_and_recover(self, name, ops, targets, how, may, must, is_told):
        seed = seed_of_the_day()
        with Provider(WORLD, args=["--seed", str(seed % 1000)], store=True) as provider, \
                FaultyFlyball(CONFIG % ("", provider.port), seed=seed, tracks=True) as f:
            with Flow(f, seed) as flow:
                flow.wait_for_more(5)
                f.on(ops, targets, **how)
                wait_until(lambda: f.n_hit() >= 3 and (not must or flow.refused()), 10, f"{name} to fail (seed {seed})")
                if is_told == "status":
                    self.assertIn("large messages got 451", str(f.ctl("status")["alerts"]))
                    wait_until(lambda: f.events("alert"), 10, "its event")
                    self.assertEqual([(a["alert"], a["state"]) for a in f.events("alert")], [("spool", "content-failing")])
                elif is_told:
                    wait_until(lambda: any(a["alert"] == "spool" for a in f.events("alert")), 10, "the alert")
                if is_told is True and "permille" not in how:
                    self.assertTrue(f.ctl("status")["spool"]["is_failing"])
                    self.assertIn("spool", str(f.ctl("status")["alerts"]))
                f.off()
                flow.wait_for_more(20)
            self.assertEqual([s.error for s in flow.senders], [None] * len(flow.senders), f"seed {seed}")
            self.assertLessEqual(flow.refused(), may)
            wait_until(lambda: f.n_queued() == 0, 60, "the queue to drain")
            wait_until(lambda: f.ctl("status")["spool"]["messages"] == 0, 5, "the last settlement")
            status = f.ctl("status")
            self.assertFalse(status["spool"]["is_failing"])
            self.assertEqual(status["spool"]["bytes"], 0)
            if targets & EVENTS:
                self.assertIn("event=event_log", f.log())
            self.assertEqual(f.stop(), 0)
            compare(self, flow.accepted(), provider.stored(), 0, title=name)
            f.start()  # what couldn't be removed is swept
            self.assertEqual(files_below(os.path.join(f.tmp.path, "state", "bodies")), [])


def _make(name, row):
    def test(self):
        self.fail_and_recover(name, *row)
    setattr(FailingDisk, f"test_{name}", test)


for _name, _row in ROWS.items():
    _make(_name, _row)


class SmallFileSystem:
    """A mount namespace with a small file system at `path`, for a `with`; it
    stays while daemons in it (by `prefix`) come and go."""

    def __init__(self, path, options):
        os.makedirs(path, mode=0o700, exist_ok=True)
        script = f'mount -t tmpfs -o mode=0700 tmpfs "$0" && mount -o remount,{options} "$0" && echo mounted && exec sleep 600'
        self.process = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script, path],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if self.process.stdout.readline() != "mounted\n":
            self.close()
            raise unittest.SkipTest("no file system can be mounted here")
        self.prefix = ["nsenter", "-t", str(self.process.pid), "-m"]

    def run(self, *command):
        return subprocess.run([*self.prefix, *command], capture_output=True)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def on_small_disk(test, config, options):
    f = Flyball(config, start=False)
    disk = SmallFileSystem(os.path.join(f.tmp.path, "state"), options)
    test.addCleanup(disk.close)
    f.prefix = disk.prefix
    return f, disk


class SmallDisk(unittest.TestCase):
    def restart_on_full_disk(self, f, disk, flow):
        """Not one byte is left, and the daemon is started again."""
        flow.stop.set()
        for s in flow.senders:
            s.join(30)
        self.assertEqual(f.stop(), 0)
        disk.run("sh", "-c", 'cat /dev/zero > "$0"', os.path.join(f.tmp.path, "state", "filler"))
        f.start()
        self.assertEqual(f.ctl("status")["spool"]["free_bytes"], 0)
        self.assertGreater(f.n_queued(), 20)

    def fill_and_drain(self, min_free, max_bytes, refusal, restarts=False):
        """Nobody takes mail until the disk is full; then somebody does."""
        seed = seed_of_the_day()
        more = f", min_free: {min_free}, max_bytes: {max_bytes}"
        f, disk = on_small_disk(self, CONFIG % (more, 9), "size=24m")
        with f:
            f.start()
            with Flow(f, seed, n=2, sizes=(3000, 30000, 200000)) as flow:
                wait_until(lambda: refusal in flow.refused(), 30, f"the disk to be full (seed {seed})")
                time.sleep(0.3)
                self.assertEqual(flow.refused() - {refusal, DISK}, set())
                before = flow.n_accepted()
                if restarts:
                    self.restart_on_full_disk(f, disk, flow)
                with Provider(WORLD, args=["--seed", str(seed % 1000)], store=True) as provider:
                    f.configure(CONFIG % (more, provider.port))
                    f.ctl("reload")
                    if not restarts:
                        flow.wait_for_more(20, timeout=40)
                    flow.stop.set()
                    wait_until(lambda: f.n_queued() == 0, 60, "the queue to drain")
                    self.assertGreater(before, 20)
                    for s in flow.senders:
                        s.join(30)
                    wait_until(lambda: f.n_queued() == 0, 60, "the queue to drain")
                    compare(self, flow.accepted(), provider.stored(), 0, title="small disk")
            self.assertEqual([s.error for s in flow.senders], [None, None])

    def test_room_is_kept(self):
        self.fill_and_drain("6MiB", "1GiB", FULL)

    def test_none_is_kept(self):
        self.fill_and_drain("0B", "1GiB", FULL)

    def test_restart_on_a_full_one(self):
        self.fill_and_drain("0B", "1GiB", FULL, restarts=True)

    def test_read_only(self):
        """One line that says it, and exit 1."""
        f, _ = on_small_disk(self, CONFIG % ("", 9), "ro")
        f.spawn()
        self.assertEqual(f.process.wait(20), 1)
        f.process = None
        self.assertRegex(f.log(), r"(?m)^flyballd: .*[Rr]ead-only file system")
        f.close()


class SmallMemory(unittest.TestCase):
    def test_end_and_start_again(self):
        """Out of memory the daemon ends at once, and whoever runs it starts it
        again: nothing that was accepted is lost."""
        n, seed = 3, seed_of_the_day()

        def exhaust(f, _):
            with open(f"/proc/{f.process.pid}/status") as s:
                now = [int(line.split()[1]) << 10 for line in s if line.startswith("VmData")][0]
            resource.prlimit(f.process.pid, resource.RLIMIT_DATA, (now + (4 << 20), now + (4 << 20)))
            held = []
            try:
                while f.process.poll() is None and len(held) < 4000:
                    s = socket.create_connection(("127.0.0.1", f.port), timeout=5)
                    held.append(s)
                    s.sendall(b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n")
                    while b"354" not in s.recv(4000):
                        pass
                    s.sendall((b"y" * 70 + b"\r\n") * 800)
            except OSError:
                pass
            finally:
                for s in held:
                    s.close()
            self.assertIn(f.process.wait(10), (-signal.SIGABRT, -signal.SIGTRAP))
            self.assertTrue("event=out_of_memory" in f.log() or "failed to allocate" in f.log(), f.log()[-500:])
            f.process = None
            return 1

        with Provider(WORLD, args=["--seed", str(seed % 1000)], store=True) as provider, \
                Flyball(CONFIG % ("", provider.port)) as f:
            storm = Storm(f, seed, n_senders=3, is_mixed=True)
            storm.rage(n, exhaust)
            self.assertEqual(f.stop(), 0)
            compare(self, storm.accepted(), provider.stored(), storm.n_ends * 6 * 2, storm.to_hear(), "memory")


@unittest.skipUnless(os.path.exists(LIBRARY), "the layer isn't built")
class PowerFailure(unittest.TestCase):
    def test_nothing_accepted_is_lost(self):
        """What was written and not synced is gone, page by page at random; in
        half the cases syncs had failed before."""
        n_cuts, seed = int(os.environ.get("FLYBALL_CUTS", "12")), seed_of_the_day()
        print(f"power: seed {seed}, {n_cuts} failures", flush=True)

        def cut(f, chance):
            if chance.random() < 0.5:
                f.on(SYNC | DSYNC, DATABASE, fate=ANY, permille=100, count=2)
            n = 1
            f.cut_power(chance.randrange(1, 60))
            while chance.random() < 0.4:  # and while it starts again
                n += 1
                f.spawn()
                f.cut_power(chance.randrange(1, 5))
            return n

        with Provider(WORLD, args=["--seed", str(seed % 1000)], store=True) as provider, \
                FaultyFlyball(CONFIG % ("", provider.port), seed=seed, tracks=True) as f:
            storm = Storm(f, seed, is_mixed=True)
            storm.rage(n_cuts, cut)
            self.assertEqual(f.stop(), 0)
            compare(self, storm.accepted(), provider.stored(), storm.n_ends * 6 * 2, storm.to_hear(), "power")
        self.assertGreater(len(storm.accepted()), n_cuts)


if __name__ == "__main__":
    unittest.main()
