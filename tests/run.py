#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Runs every test: the layers, unit tests (cmocka), end-to-end tests. Closes
with `N passed, N failed`. Words on the command line select by name."""

import argparse
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import unittest
from collections import deque

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []
        self.lock = threading.Lock()

    def add(self, name, passed, failed, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        if failed:
            self.failures.append(name)


def run_unit(tally, path):
    """A cmocka binary: its counts, and a failure if it died or told of none."""
    start = time.monotonic()
    p = subprocess.run([path], cwd=ROOT, capture_output=True, text=True, errors="replace")
    out = p.stdout + p.stderr
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", out))
    failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test", out))
    if p.returncode != 0 and failed == 0:
        failed = 1
    is_silent = passed + failed == 0 and "[  SKIPPED ]" not in out
    if is_silent:
        failed = 1
        out += "it tells of no test\n"
    name = os.path.relpath(path, os.path.join(ROOT, "build"))
    print(f"{name}: {passed} passed, {failed} failed ({time.monotonic() - start:.1f} s)", flush=True)
    if failed:
        print(out[-8000:], flush=True)
    tally.add(name, passed, failed)


class Result(unittest.TextTestResult):
    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self.n_passed = 0
        self.seconds = {}

    def startTest(self, test):
        self.started = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        self.seconds[test.id()] = time.monotonic() - self.started
        super().stopTest(test)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.n_passed += 1


def run_e2e(tally, words):
    directory = os.path.join(ROOT, "tests", "e2e")
    sys.path.insert(0, directory)
    suite = unittest.defaultTestLoader.discover(directory, "test_*.py")

    def flatten(s):
        for t in s:
            if isinstance(t, unittest.TestSuite):
                yield from flatten(t)
            else:
                yield t
    tests = [t for t in flatten(suite) if not words or any(w in t.id() for w in words)]
    if not tests:
        return
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result)
    result = runner.run(unittest.TestSuite(tests))
    for name, seconds in sorted(result.seconds.items(), key=lambda r: -r[1])[:8]:
        print(f"{seconds:6.1f} s  {name}")
    bad = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    second_try(result)
    tally.add("e2e", result.n_passed, bad, len(result.skipped))


SECOND_TRIES = 3


def second_try(result):
    """Runs a few that failed once more, by themselves: whoever reads the log
    wants to know whether they always fail. They have failed all the same."""
    bad = result.failures + result.errors
    again = [t for t, _ in bad if isinstance(t, unittest.TestCase)]
    if not again or len(bad) > SECOND_TRIES:
        return
    print("once more:", ", ".join(t.id() for t in again), flush=True)
    suite = unittest.defaultTestLoader.loadTestsFromNames([t.id() for t in again])
    second = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result).run(suite)
    print(f"{second.n_passed} of {len(again)} passed at the second try, and count as failed", flush=True)


class Job:
    """A part of the tests in a process of its own; its output is shown when it
    has ended. Its last line of counts counts, or its exit status where it has
    none."""

    def __init__(self, name, command, environment=None, niceness=0):
        self.name, self.command, self.niceness = name, command, niceness
        self.environment = {**os.environ, **(environment or {})}
        self.environment.pop("MAKEFLAGS", None)  # not this make's jobs
        self.process = None

    def start(self):
        self.out = tempfile.TemporaryFile("w+", errors="replace")
        self.started = time.monotonic()
        command = ["nice", "-n", str(self.niceness), *self.command] if self.niceness else self.command
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment,
                                        stdout=self.out, stderr=subprocess.STDOUT, start_new_session=True)

    def finish(self, tally):
        self.process.wait()
        self.seconds = time.monotonic() - self.started
        self.out.seek(0)
        out = self.out.read()
        self.out.close()
        counts = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", out, re.M)
        died = int(self.process.returncode != 0)
        passed, failed, skipped = (int(n or 0) for n in counts[-1]) if counts else (1 - died, died, 0)
        with tally.lock:
            print(f"---- {self.name} ({self.seconds:.0f} s)\n{out}", end="", flush=True)
            tally.add(self.name, passed, max(failed, died), skipped)

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)  # its daemons end with it
            self.process.wait()


class Lane(threading.Thread):
    """Works off a list of jobs that it may share with others."""

    def __init__(self, tally, jobs):
        super().__init__()
        self.tally, self.jobs, self.job, self.is_stopped = tally, jobs, None, False
        self.start()

    def run(self):
        while not self.is_stopped:
            try:
                self.job = self.jobs.popleft()
            except IndexError:
                return
            try:
                self.job.start()
                self.job.finish(self.tally)
            except Exception:
                traceback.print_exc()
                self.tally.add(self.job.name, 0, 1)

    def stop(self):
        self.is_stopped = True
        if self.job:
            self.job.stop()


# What is run again against a daemon with sanitizers: what strangers reach, and
# what several threads do at once.
SANITIZED_E2E = {
    "address": ["test_submission", "test_hostile", "test_concurrent", "test_delivery", "test_http", "Reload", "test_redis", "test_a_failover",
                "test_spool_tools", "test_systemd", "test_security"],
    "thread": ["test_concurrent", "Reload", "test_hostile.Tls"],
}


# Ten plan days of 20 s take more than three minutes and next to no work.
LONG = "test_rehearsal"


def part(build, only, *words):
    """The command that runs just that."""
    return [sys.executable, os.path.abspath(__file__), "--part", "--build", build, "--only", only, *words]


def run_corpora(tally, build):
    """Each fuzz target over the inputs that stand in the tree."""
    for path in sorted(glob.glob(os.path.join(build, "fuzz_*"))):
        name = os.path.basename(path)
        p = subprocess.run([path, f"tests/fuzz/corpus/{name[5:]}"], cwd=ROOT, capture_output=True,
                           text=True, errors="replace")
        print(f"{name}: {p.stdout.strip()}", flush=True)
        if p.returncode != 0:
            print(p.stderr[-6000:], flush=True)
        tally.add(name, int(p.returncode == 0), int(p.returncode != 0))


def e2e_jobs(args):
    """One for each file, the long ones first."""
    files = glob.glob(os.path.join(ROOT, "tests", "e2e", "test_*.py"))
    names = [os.path.basename(f)[:-3] for f in sorted(files, key=os.path.getsize, reverse=True)]
    jobs = []
    # The daemon's place is the harness's constant, so these are told by it.
    for build, kind in ((args.sanitized, "address"), (args.thread, "thread")):
        if build:
            jobs.append(Job(f"e2e, {kind}", part(build, "e2e", *SANITIZED_E2E[kind]),
                            {"FLYBALL_SANITIZED": kind, "FLYBALL_TEST_PATIENCE": "5"}))
    return jobs + [Job(n, part(args.build, "e2e", n + ".")) for n in names if n != LONG]


def unit_jobs(args):
    yield Job("unit", part(args.build, "unit"))
    if args.sanitized:
        yield Job("unit, sanitized", part(args.sanitized, "unit"))
        yield Job("corpora", part(args.sanitized, "corpora"))
    if args.fuzz:
        yield Job("fuzz", [sys.executable, "tests/fuzz/run.py", "--build", args.fuzz, "--seconds", "2"])


def run_at_once(tally, args):
    """End-to-end tests mostly wait, so two of them go on at once, and beside
    them, one after the other and out of their way, what only computes."""
    e2e, rest, long = deque(), deque(), deque()
    if args.only in (None, "e2e"):
        e2e.extend(e2e_jobs(args))
        long.append(Job(LONG, part(args.build, "e2e", LONG), {"FLYBALL_REHEARSAL_DAY": "20"}))
    if args.only in (None, "scripts"):
        rest.append(Job("layers", ["tests/layers.sh"]))
        rest.append(Job("docs", [sys.executable, "tests/docs.py"]))
    if args.only in (None, "unit"):
        rest.extend(unit_jobs(args))
    for target in args.make:
        rest.append(Job(target, ["make", "--no-print-directory", target, f"B={args.build}"]))
    for job in rest:
        job.niceness = 10
    lanes = [Lane(tally, jobs) for jobs in (long, e2e, e2e, rest)]
    try:
        for lane in lanes:
            lane.join()
    finally:
        for lane in lanes:
            lane.stop()


def run_part(tally, args):
    if args.only in (None, "unit"):
        builds = [b for b in (args.build, args.sanitized) if b]
        for path in [p for b in builds for p in sorted(glob.glob(os.path.join(b, "test_*")))]:
            if os.access(path, os.X_OK) and (not args.words or any(w in path for w in args.words)):
                run_unit(tally, path)
    if args.only == "corpora":
        run_corpora(tally, args.build)
    if args.only in (None, "e2e"):
        run_e2e(tally, args.words)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--sanitized", help="a second build of the unit tests, with sanitizers")
    parser.add_argument("--thread", help="a third one of the daemon, with ThreadSanitizer")
    parser.add_argument("--fuzz", help="fuzz targets with libFuzzer, for two seconds each")
    parser.add_argument("--make", nargs="*", default=[], help="targets that are tests, too")
    parser.add_argument("--part", action="store_true", help="one after the other, in this process")
    parser.add_argument("--only", choices=["unit", "e2e", "scripts", "corpora"])
    parser.add_argument("words", nargs="*")
    args = parser.parse_args()
    os.environ["FLYBALL_BUILD"] = os.path.abspath(args.build)
    # Also where a shell started this beside other things, and unittest would take an exit for a test's.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tally = Tally()
    if args.part or args.words:
        run_part(tally, args)
    else:
        run_at_once(tally, args)
    if tally.failures:
        print("failed:", ", ".join(tally.failures))
    print(f"{tally.passed} passed, {tally.failed} failed"
          + (f", {tally.skipped} skipped" if tally.skipped else ""), flush=True)
    # A file may be skipped whole; all of them may not.
    n_run = tally.passed + tally.skipped if args.part else tally.passed
    return 1 if tally.failed or n_run == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
