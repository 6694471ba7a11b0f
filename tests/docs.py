#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Fails on what isn't documented: a configuration key, a command, a metric; on
paths in README.md that don't exist, and on examples that don't load."""

import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("FLYBALL_BUILD", os.path.join(ROOT, "build"))
CTL = os.path.join(BUILD, "flyballctl")

complaints = []


def complain(text):
    complaints.append(text)
    print(f"docs: {text}", file=sys.stderr)


def read(path):
    with open(os.path.join(ROOT, path), errors="replace") as f:
        return f.read()


def sources(*folders):
    for folder in folders:
        yield from sorted(glob.glob(os.path.join(ROOT, folder, "*.c")))


def ctl(*words):
    p = subprocess.run([CTL, *words], capture_output=True, text=True)
    if p.returncode != 0:
        complain(f"flyballctl {' '.join(words)}: status {p.returncode}: {p.stderr.strip()}")
    return p.stdout


def plain(roff):
    """A manual page's words, without roff's escapes."""
    text = re.sub(r"\\f[BIRP]", "", roff)
    return text.replace("\\-", "-").replace("\\(dq", '"').replace("\\&", "").replace("\\e", "\\")


def entries(page):
    """The .TP entries of a manual page: head -> text below it."""
    out, head = {}, None
    lines = plain(page).splitlines()
    for i, line in enumerate(lines):
        if i > 0 and lines[i - 1] == ".TP":
            head = re.sub(r"^\.[A-Z]+ ", "", line).strip().strip('"')
            out[head] = ""
        elif line.startswith((".TP", ".SH", ".SS")):
            head = None
        elif head is not None:
            out[head] += line + "\n"
    return out


def check_keys():
    """Each row of the key tables is in the manual page, and explained there."""
    found = entries(ctl("man", "flyball.yaml"))
    for head, text in found.items():
        if len(re.sub(r"^\..*$", "", text, flags=re.M).split()) < 2:
            complain(f"key {head} has no explanation")
    last = {head.split(":")[0].split(".")[-1] for head in found}
    rows = [name for path in sorted(glob.glob(os.path.join(ROOT, "conf", "keys*.c"))) for name in re.findall(r'\{ "([a-z0-9_]+)",\s+&', read(path))]
    if len(rows) < 100:
        complain(f"only {len(rows)} rows of the key tables were understood")
    for name in set(rows) - last:
        complain(f"key {name} isn't in flyball.yaml(5)")


def check_commands():
    page = plain(ctl("man", "flyballctl"))
    help_text = ctl("help")
    table = read("daemon/command_table.c")
    names = re.findall(r'\.name = "([^"]+)"', table)
    if len(names) < 15:
        complain("the command table wasn't understood")
    for row in re.split(r"\.name = ", table)[1:]:
        name = re.match(r'"([^"]+)"', row).group(1)
        for field in ("summary", "doc"):
            if not re.search(rf'\.{field} = "[^"]', row):
                complain(f"command {name} has no .{field}")
        if name not in page:
            complain(f"command {name} isn't in flyballctl(1)")
        if name.split()[0] not in help_text:
            complain(f"command {name} isn't in flyballctl help")
    for shell in ("flyballctl.bash", "_flyballctl"):
        path = os.path.join("contrib/completion", shell)
        if not os.path.exists(os.path.join(ROOT, path)):
            complain(f"{path} is missing")


def check_metrics():
    """The list of metrics is the one that the table gives; what is told
    elsewhere of a metric names one that there is."""
    page = ctl("man", "metrics")
    names = set(re.findall(r"^\| `(flyball_[a-z_]+)`", page, re.M))
    if len(names) < 30:
        complain("the list of metrics wasn't understood")
    if page != read("contrib/docs/metrics.md"):
        complain("contrib/docs/metrics.md isn't what `flyballctl man metrics` prints")
    for path in sources("daemon"):
        for name in set(re.findall(r'"(flyball_[a-z0-9_]+)', read(path))):
            if name not in names:
                complain(f"metric {name} ({os.path.relpath(path, ROOT)}) isn't in the table")
    for path in glob.glob(os.path.join(ROOT, "contrib", "*", "*")):
        if os.path.dirname(path).endswith(("grafana", "prometheus")):
            for name in set(re.findall(r"\b(flyball_[a-z0-9_]+)", read(path))):
                if re.sub(r"_(bucket|sum|count)$", "", name) not in names and name not in names:
                    complain(f"{os.path.relpath(path, ROOT)} names {name}, which isn't a metric")


def check_readme():
    text = read("README.md")
    for path in re.findall(r"`((?:conf|scheduler|sink|daemon|tests|contrib)/[\w./*-]*)`", text):
        if not glob.glob(os.path.join(ROOT, path)):
            complain(f"README.md names {path}, which isn't there")
    for target in set(re.findall(r"\bmake ([a-z]+)\b", text)):
        if not re.search(rf"^{target}:", read("Makefile"), re.M):
            complain(f"README.md names make {target}, which isn't there")
    words = " ".join(re.findall(r"flyballctl ([a-z-]+)", text)).split()
    table = read("daemon/command_table.c")
    for word in set(words):
        if f'.name = "{word}' not in table:
            complain(f"README.md names flyballctl {word}, which isn't there")


def check_examples():
    """Whole configurations load: the one that is installed, README's."""
    paths = [p for p in ["contrib/flyball.yaml"] if os.path.exists(os.path.join(ROOT, p))]
    for path in paths:
        ctl("check-config", os.path.join(ROOT, path))
    for i, block in enumerate(re.findall(r"```yaml\n(.*?)```", read("README.md"), re.S)):
        path = os.path.join(BUILD, f"readme-{i}.yaml")
        with open(path, "w") as f:
            f.write(block)
        ctl("check-config", path)


def check_licences():
    """Every file says under which licence it stands."""
    for pattern in ("*/*.[ch]", "*/*/*.[ch]", "*/*.py", "*/*/*.py", "*/*.sh"):
        for path in glob.glob(os.path.join(ROOT, pattern)):
            name = os.path.relpath(path, ROOT)
            if not name.startswith("build") and "SPDX-License-Identifier: ISC" not in read(name)[:300]:
                complain(f"{name} has no SPDX line")


for check in (check_keys, check_commands, check_metrics, check_readme, check_examples, check_licences):
    check()
if not complaints:
    print("docs: ok")
sys.exit(1 if complaints else 0)
