#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Runs each fuzz target for so many seconds: libFuzzer with the target's
corpus and the one dictionary. What it finds lies in BUILD/found; put a fixed
one into tests/fuzz/corpus/NAME, where `make check` sees it for ever."""

import argparse
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def run(build, name, seconds):
    corpus = os.path.join(HERE, "corpus", name)
    own = os.path.join(build, "corpus", name)
    found = os.path.join(build, "found", name)
    for d in (own, found):
        os.makedirs(d, exist_ok=True)
    p = subprocess.run(
        [os.path.join(build, f"fuzz_{name}"), f"-max_total_time={seconds}", "-timeout=10",
         "-rss_limit_mb=2048", "-max_len=16384", f"-artifact_prefix={found}/", "-print_final_stats=1",
         f"-dict={HERE}/words.dict", own, corpus],
        capture_output=True, text=True, errors="replace")
    runs = re.search(r"number_of_executed_units:\s*(\d+)", p.stderr)
    cover = re.findall(r"cov: (\d+)", p.stderr)
    print(f"fuzz {name}: {runs.group(1) if runs else '?'} runs, "
          f"{cover[-1] if cover else '?'} edges, {'ok' if p.returncode == 0 else 'FAILED'}", flush=True)
    if p.returncode != 0:
        print(p.stderr[-6000:], flush=True)
    return p.returncode == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    names = args.names or sorted(os.path.basename(p)[5:-2] for p in glob.glob(os.path.join(HERE, "fuzz_*.c")))
    bad = [n for n in names if not run(os.path.abspath(args.build), n, args.seconds)]
    if bad:
        print("fuzz failed:", ", ".join(bad))
    print(f"{len(names) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


sys.exit(main())
