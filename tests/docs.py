#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Fails on what isn't documented: a configuration key, a command, a metric, an
event; on files and commands that a text names and that aren't there, and on
examples that don't load or don't say what the programs say."""

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


TEXTS = ["README.md", "SECURITY.md", "CHANGES", "contrib/man/flyballd.8", "contrib/debian/flyball.README.Debian"]
TEXTS += sorted(os.path.relpath(p, ROOT) for p in glob.glob(os.path.join(ROOT, "contrib", "*", "*.md")))
SOURCES = ("", "conf/base/", "conf/", "scheduler/", "sink/", "daemon/", "tests/unit/", "tests/e2e/", "contrib/", "contrib/docs/",
           "contrib/bench/")


def check_texts():
    """Files, make's targets and commands that a text names are there."""
    makefile, table = read("Makefile"), read("daemon/command_table.c")
    for text_path in TEXTS:
        text = read(text_path)
        for word in re.split(r"[\s,()]+", " ".join(re.findall(r"`([^`]+)`", text))):
            word = word.rstrip(".:;")
            if re.match(r"(conf|scheduler|sink|daemon|tests|contrib)/", word):
                found = glob.glob(os.path.join(ROOT, word)) or glob.glob(os.path.join(ROOT, word + ".[ch]"))
            elif re.fullmatch(r"[\w*.-]+\.(c|h|py|md|sh)", word):
                found = any(glob.glob(os.path.join(ROOT, folder, word)) for folder in SOURCES)
            else:
                continue
            if not found:
                complain(f"{text_path} names {word}, which isn't there")
        for target in set(re.findall(r"(?:^    |`|&& )make ([a-z-]+)\b(?!/)", text, re.M)):
            if not re.search(rf"^{target}:", makefile, re.M):
                complain(f"{text_path} names make {target}, which isn't there")
        for word in set(re.findall(r"(?:^ *|`|&& |\$ |\.B |fB)flyballctl (?:--json )?([a-z-]+)", text, re.M)):
            if f'.name = "{word}' not in table:
                complain(f"{text_path} names flyballctl {word}, which isn't there")


def check_map():
    """README's map has every folder, and no other."""
    listed = set(re.findall(r"^\| `([a-z]+)/` \|", read("README.md"), re.M))
    there = {name[:-1] for name in glob.glob("[a-z]*/", root_dir=ROOT) if not name.startswith("build")}
    if listed != there:
        complain(f"README.md's map differs from the tree in {sorted(listed ^ there)}")


def check_events():
    """Every event that the code can make is listed, and every one that is
    listed can be made. The end-to-end tests look at the keys."""
    rows = re.findall(r"^\| (`[^|]*) \| [^|]* \| [^|]* \|$", read("contrib/docs/events.md"), re.M)
    listed = set(re.findall(r"`([a-z_]+)`", " ".join(rows)))
    code = "".join(read(os.path.relpath(p, ROOT)) for p in sources("daemon", "scheduler"))
    for name in set(re.findall(r'event_begin\([^,;]+, "([a-z_]+)"', code)) - listed:
        complain(f"event {name} isn't in contrib/docs/events.md")
    for name in sorted(listed):
        if f'"{name}"' not in code:
            complain(f"contrib/docs/events.md has {name}, which no code makes")
    if len(listed) < 15:
        complain("the list of events wasn't understood")


def check_config(name, text):
    path = os.path.join(BUILD, f"docs-{name}.yaml")
    with open(path, "w") as f:
        f.write(text)
    ctl("check-config", path)


def check_examples():
    """Whole configurations load: the one that is installed, README's and those
    of contrib/docs, with the files that they name, and routes where they leave
    those to the reader."""
    ctl("check-config", os.path.join(ROOT, "contrib/flyball.yaml"))
    etc = os.path.join(BUILD, "docs-etc")
    os.makedirs(etc, exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                    "-keyout", f"{etc}/key.pem", "-out", f"{etc}/cert.pem"], check=True, capture_output=True)
    for name in ("users", "redis.pw", "ses.pw"):
        with open(os.path.join(etc, name), "w") as f:
            f.write("" if name == "users" else "secret\n")
    n = 0
    for path in TEXTS:
        if path.endswith("provider.md"):  # the demonstration provider's own
            continue
        for block in re.findall(r"```yaml\n(.*?)```", read(path), re.S):
            if not re.search("^routes:", block, re.M):
                block += 'routes: {ip-a: {next_hop: "127.0.0.1:1"}, ip-b: {next_hop: "127.0.0.1:2"}}\n'
            check_config(f"{os.path.basename(path)}-{n}", block.replace("/etc/flyball/", etc + "/"))
            n += 1
    if n < 8:
        complain(f"only {n} examples were found")


def check_simulation():
    """What README shows of a plan is what the command prints."""
    block = re.search(r"    \$ (flyballctl simulate .*?)\n\n\(", read("README.md"), re.S).group(1)
    command, _, shown = block.replace("\\\n", " ").partition("\n")
    path = os.path.join(BUILD, "docs-plan.yaml")
    with open(path, "w") as f:
        f.write(re.findall(r"```yaml\n(.*?)```", read("README.md"), re.S)[1])
    said = iter(ctl(*command.replace(" flyball.yaml", " " + path).split()[1:]).splitlines())
    for line in shown.splitlines():
        line = line[4:]
        if line.strip() not in ("", "…") and line not in said:
            complain(f"README.md shows what simulate doesn't: {line}")
            break


def check_licences():
    """Every file says under which licence it stands."""
    for pattern in ("*/*.[ch]", "*/*/*.[ch]", "*/*.py", "*/*/*.py", "*/*.sh"):
        for path in glob.glob(os.path.join(ROOT, pattern)):
            name = os.path.relpath(path, ROOT)
            if not name.startswith("build") and "SPDX-License-Identifier: ISC" not in read(name)[:300]:
                complain(f"{name} has no SPDX line")


for check in (check_keys, check_commands, check_metrics, check_events, check_texts, check_map, check_examples, check_simulation,
              check_licences):
    check()
if not complaints:
    print("docs: ok")
sys.exit(1 if complaints else 0)
