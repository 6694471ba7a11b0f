# SPDX-License-Identifier: ISC
"""flyballctl as a person and as a script meet it, and the admin socket with
clients that don't behave."""

import fcntl
import json
import os
import pty
import random
import re
import select
import smtplib
import socket
import struct
import subprocess
import termios
import time
import unittest

from harness import FLYBALLCTL, Flyball, Peer, TempDir, certificate, crypt_line, has, wait_until

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
providers:
  gmail: {rate: %s}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none}
"""


def send(f, n=1, domain="gmail.com", sender="a@app.test"):
    with smtplib.SMTP("127.0.0.1", f.port) as c:
        for i in range(n):
            c.sendmail(sender, [f"r{i}@{domain}"], b"Subject: x\r\n\r\nx\r\n")


def run(*words, stdin=None, env=None):
    return subprocess.run([FLYBALLCTL, *words], capture_output=True, text=True, input=stdin,
                          env={**os.environ, **(env or {})}, timeout=60)


def run_on_terminal(*words, env=None):
    """What it prints when stdout is a terminal."""
    master, slave = pty.openpty()
    p = subprocess.Popen([FLYBALLCTL, *words], stdout=slave, env={**os.environ, "TERM": "xterm", **(env or {})})
    os.close(slave)
    out = b""
    try:
        while True:
            out += os.read(master, 4096)
    except OSError:
        pass  # EIO: the other end is closed
    os.close(master)
    p.wait(10)
    return out.decode()


def commands():
    out = run("--help").stdout
    return re.findall(r"^  ([a-z][a-z -]*[a-z])  +\S", out.split("options:")[0], re.M)


class WithoutDaemon(unittest.TestCase):
    def test_help_of_every_command(self):
        names = commands()
        self.assertGreater(len(names), 20)
        for name in names:
            if name == "complete":
                continue  # any word is its own
            p = run(*name.split(), "--help")
            self.assertEqual(p.returncode, 0, name)
            self.assertIn(f"usage: flyballctl {name}", p.stdout)
            self.assertIn(f"example: flyballctl {name}", p.stdout)

    def test_exit_codes(self):
        for words, status in [([], 2), (["--help"], 0), (["--version"], 0), (["version"], 0), (["stauts"], 2),
                              (["lane"], 2), (["status", "now"], 2), (["-x"], 2), (["-s"], 2),
                              (["-s", "/nonexistent", "status"], 3), (["-s", "/nonexistent", "--json", "lanes"], 3),
                              (["check-config", "/nonexistent"], 1), (["man", "tar"], 2), (["classify", "--phase", "x"], 2)]:
            p = run(*words, stdin="")
            self.assertEqual(p.returncode, status, (words, p.stderr))
            self.assertTrue(p.stdout or p.stderr or status == 0, words)
        self.assertIn("did you mean `status`", run("stauts").stderr)
        self.assertIn("isn't running", run("-s", "/nonexistent", "status").stderr)

    def test_manual_pages_have_no_mistakes(self):
        pages = [run("man", "flyballctl").stdout, run("man", "flyball.yaml").stdout]
        with open(os.path.join(os.path.dirname(__file__), "../../contrib/man/flyballd.8")) as f:
            pages.append(f.read())
        for name in commands():
            self.assertIn(name.replace("-", "\\-"), pages[0])
        for key in ("limits.message_size", "routes.NAME.next_hop", "daemon.hostname"):
            self.assertIn(key, pages[1])
        if not has("groff"):
            self.skipTest("needs groff")
        for page in pages:
            p = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True, text=True)
            self.assertEqual((p.returncode, p.stderr), (0, ""))

    def test_classify_answers_each_line_in_order(self):
        p = run("classify", "--provider", "gmail", "--phase", "eod",
                stdin="250 2.0.0 OK\n421-4.7.28 unusual rate of mail\\n421 4.7.28 from your IP\n550 5.1.1 no such user\n\ngarbage \\\\\n")
        self.assertEqual(p.returncode, 0)
        lines = [l.split("\t") for l in p.stdout.splitlines()]
        self.assertEqual(len(lines), 5)
        self.assertTrue(all(len(l) == 3 for l in lines))
        self.assertEqual([lines[0][0], lines[1][0], lines[2][0]], ["ok", "rate", "bad-mailbox"])

    def test_check_config(self):
        t = TempDir()
        cert, key = certificate("localhost")
        other_key = certificate("other.test")[1]
        users = t.file("users", crypt_line("shop", "secret") + "\n")
        text = "listeners:\n  - {listen: \"127.0.0.1:2525\", tls: starttls, auth: required}\n" \
            "tls: {certificate: %s, key: %s}\nauth: {users_file: %s}\nroutes:\n  a: {next_hop: \"127.0.0.1:25\"}\n"
        path = t.file("f.yaml", text % (cert, key, users))
        p = run("check-config", path)
        self.assertEqual((p.returncode, p.stdout, p.stderr), (0, f"{path}: ok\n", ""))
        dump = run("check-config", "--dump", path)
        self.assertEqual(dump.returncode, 0)
        again = t.file("again.yaml", dump.stdout)
        p = run("check-config", again)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(run("check-config", "--dump", again).stdout, dump.stdout)
        # what only shows beyond the file itself
        t.file("users", "shop:nohash\nshop\n")
        path = t.file("f.yaml", text % (cert, other_key, users))
        p = run("check-config", path)
        self.assertEqual(p.returncode, 1)
        self.assertIn("users:1", p.stderr)
        self.assertIn("users:2", p.stderr)
        self.assertIn("tls.key", p.stderr)
        self.assertEqual(p.stdout, "")
        t.remove()

    def test_completion_needs_no_daemon(self):
        self.assertIn("pause", run("complete").stdout.split())
        self.assertEqual(run("complete", "events").stdout.split()[0], "follow")
        self.assertIn("provider", run("complete", "pause").stdout.split())
        self.assertIn("provider=", run("-s", "/nonexistent", "complete", "queue", "where").stdout.split())

    def test_completion_knows_every_command_and_its_words(self):
        def complete(*words):
            return set(run("-s", "/nonexistent", "complete", *words).stdout.split())
        names = commands()
        self.assertIn("reroute", names)
        n_words = 0
        for name in names:
            first, *second = name.split()
            self.assertIn(first, complete())
            self.assertLessEqual(set(second), complete(first), name)
            rest = run("help", *name.split()).stdout.split("\n")[0].removeprefix(f"usage: flyballctl {name}")
            words = set(re.findall(r"(?<![\w/.-])(--?[a-z-]+|[a-z][a-z.-]+)(?![\w=])", rest))
            offered = complete(*name.split()) | complete(*name.split(), "x") | complete(*name.split(), "lane", "x")
            self.assertLessEqual(words, offered, name)
            n_words += len(words)
        self.assertGreater(n_words, 60)
        for name in ("queue", "retry", "bounce", "drop", "reroute"):
            self.assertIn("lane=", complete(name, "where"))


class Looks(unittest.TestCase):
    def test_each_command_shows_something_for_people(self):
        with Flyball(CONFIG % ("1/h", 1)) as f:
            send(f, 3)
            send(f, 2, "free.test")
            f.ctl("pause", "lane", "out/gmail", "because", "they are", "angry")
            f.ctl("rate", "out/gmail", "5/h,20/day", "for", "2h")
            message = f.ctl("queue")[0]["message"]
            for words, parts in [
                    (["status"], ["queue", "5 deliveries", "ROUTE", "pause lane", "out/gmail", "they are angry", "5/h, 20/day"]),
                    (["lanes"], ["LANE", "out/gmail", "out/other:free.test", "held", "pause"]),
                    (["lanes", "gmail"], ["out/gmail"]),
                    (["lane", "out/gmail"], ["GATE", "5/h, 20/day", "set by hand", "they are angry"]),
                    (["why", "out/gmail"], ["out/gmail is held: lane out/gmail is paused until it is resumed: they are angry", "Since"]),
                    (["why", message], [message, "waits for lane out/gmail", "they are angry"]),
                    (["queue", "where", "provider=gmail", "limit", "2"], ["MESSAGE", message, "waiting", "r0@gmail.com"]),
                    (["message", message], [message, "a@app.test", "r0@gmail.com", "delivery 0 by out/gmail"]),
                    (["providers", "gmail"], ["gmail", "googlemail.com"]),
                    (["events", "event=admin"], ["admin", "pause lane out/gmail", "uid="]),
                    (["version"], ["flyballctl", "flyballd"]),
                    (["help", "pause"], ["usage: flyballctl pause"]),
                    (["retry", message, "--dry-run"], ["0 of 1", "nothing was done"]),
                    (["drop", message, "--dry-run"], ["1 of 1", "would be dropped"]),
                    (["reroute", message, "to", "out", "--dry-run"], ["1 of 1", "would go another way"]),
                    (["log", "level", "debug"], ["log level is debug"]),
                    (["rate", "out/gmail", "auto"], ["out/gmail: 1/h as configured"]),
                    (["forget", "out/gmail"], ["as configured"]),
                    (["resume", "lane", "out/gmail"], ["lane out/gmail goes on"]),
                    (["bounce", message, "because", "a", "mistake"], ["1 of 1", "returned"]),
                    (["reload"], ["in force"])]:
                p = run("-s", f.socket, *words)
                self.assertEqual(p.returncode, 0, (words, p.stderr))
                self.assertNotIn("\033", p.stdout)
                for part in parts:
                    self.assertIn(part, p.stdout, words)
                # The same as JSON, behind or before the command.
                if words[0] not in ("help", "bounce", "resume"):
                    json.loads(run("-s", f.socket, *words, "--json").stdout)

    def test_columns_line_up(self):
        with Flyball(CONFIG % ("1/h", 1)) as f:
            send(f, 3)
            send(f, 2, "a-rather-long-name.free.test")
            lines = run("-s", f.socket, "lanes").stdout.splitlines()
            at = lines[0].index("STATE")
            self.assertEqual(len(lines), 3, lines)
            for line in lines[1:]:
                self.assertEqual(line[at - 1], " ")
                self.assertNotEqual(line[at], " ")

    def test_colour_only_on_a_terminal(self):
        with Flyball(CONFIG % ("1/h", 1)) as f:
            send(f, 1)
            self.assertIn("\033[", run_on_terminal("-s", f.socket, "lanes", env={"NO_COLOR": ""}))
            self.assertNotIn("\033[", run_on_terminal("-s", f.socket, "lanes", env={"NO_COLOR": "1"}))
            self.assertNotIn("\033[", run_on_terminal("-s", f.socket, "lanes", env={"TERM": "dumb"}))
            self.assertNotIn("\033[", run("-s", f.socket, "lanes", env={"TERM": "xterm"}).stdout)

    def test_a_reply_does_not_drive_the_terminal(self):
        with Peer({"rcpt": "450 4.2.0 \033[31m\x07 red"}) as peer, Flyball(CONFIG % ("100/s", peer.port)) as f:
            send(f, 1)
            wait_until(lambda: f.events("deferred"), 5, "the deferral")
            for words in (["lanes"], ["lane", "out/gmail"], ["why", "out/gmail"], ["queue"], ["events"]):
                out = run("-s", f.socket, *words).stdout
                self.assertIn("[31m", out, words)
                self.assertNotIn("\033", out)

    def test_completion_knows_lanes_and_providers(self):
        with Flyball(CONFIG % ("1/h", 1)) as f:
            send(f, 1)

            def complete(*words):
                return run("-s", f.socket, "complete", *words).stdout.split("\n")
            self.assertIn("out/gmail", complete("why"))
            self.assertIn("out/gmail", complete("pause", "lane"))
            self.assertIn("out", complete("pause", "route"))
            self.assertIn("out", complete("reroute", "where", "lane=out/gmail", "to"))
            self.assertIn("out/gmail", complete("connections"))
            self.assertIn("gmail", complete("pause", "provider"))
            self.assertEqual(complete("resume", "route"), [""])
            f.ctl("pause", "route", "out")
            self.assertEqual(complete("resume", "route"), ["out", ""])
            self.assertEqual(complete("log", "level"), ["error", "warn", "info", "debug", ""])


class Examples(unittest.TestCase):
    """What the help shows works, typed into a shell as it stands there."""

    CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
feedback: {events: true}
providers:
  gmail: {rate: 1/h}
routes:
  ip-a: {next_hop: "127.0.0.1:1", tls: none, plan: moderate}
  ip-b: {next_hop: "127.0.0.1:1", tls: none}
"""
    # Of a cluster, of a terminal; the doctor asks other machines.
    ELSEWHERE = ("cluster", "top", "doctor")
    LAST = ("drain", "spool check", "spool export", "spool rebuild")

    def test_every_example_works(self):
        f = Flyball(self.CONFIG)
        self.addCleanup(f.close)
        send(f, 3)
        f.tmp.file("bounced.csv", "address\nx@example.net\n")
        message = f.ctl("queue")[-1]["message"]
        for name in [c for c in commands() if c not in self.ELSEWHERE + self.LAST] + list(self.LAST):
            text = re.search(r"^example: (.*)$", run("help", *name.split()).stdout, re.M).group(1).replace("06PHAR4SG0001", message)
            text = re.sub(r"/(etc/flyball|var/tmp|var/lib)/", f.tmp.path + "/", text)
            if name.startswith("spool"):
                if f.process is not None:
                    self.assertEqual(f.process.wait(20), 0)
                    f.process = None
                text = text.replace(name, f"{name} -c flyball.yaml")
            is_endless = name == "events follow"
            p = subprocess.run(["bash", "-c", ("timeout 1 " if is_endless else "") + text], cwd=f.tmp.path, text=True,
                               capture_output=True, input="secret\n", timeout=60,
                               env={**os.environ, "FLYBALL_SOCKET": f.socket,
                                    "PATH": f"{os.path.dirname(FLYBALLCTL)}:{os.environ['PATH']}"})
            self.assertEqual(p.returncode, 124 if is_endless else 0, (text, p.stdout[-300:], p.stderr[-300:]))


class Changes(unittest.TestCase):
    def test_halve_a_rate_for_two_hours_and_put_it_back(self):
        with Flyball(CONFIG % ("20/s", 1)) as f:
            f.ctl("pause", "route", "out")
            send(f, 1)
            self.assertEqual(f.ctl("rate", "out/gmail", "10/s", "for", "2h")["rates"], ["10/s"])
            lane = f.ctl("lane", "out/gmail")
            self.assertTrue(lane["is_overridden"])
            self.assertEqual(lane["rate_per_s"], 10)
            override = f.ctl("status")["overrides"][0]
            self.assertGreater(override["remaining_ms"], 7190000)
            f.ctl("rate", "out/gmail", "auto")
            self.assertEqual(f.ctl("lane", "out/gmail")["rates"], ["20/s"])
            self.assertEqual(f.ctl("status")["overrides"], [])
            names = [e["command"] for e in f.events("admin")]
            self.assertEqual(names, ["pause route out", "rate out/gmail 10/s for 2h", "rate out/gmail auto"])

    def test_bounces_tell_sender_and_event_log_why(self):
        with Peer() as peer, Flyball(CONFIG % ("20/s", peer.port)) as f:
            f.ctl("pause", "provider", "gmail")
            send(f, 2)
            result = f.ctl("bounce", "where", "provider=gmail", "because", "sent by \"mistake\"")
            self.assertEqual((result["matched"], result["changed"]), (2, 2))
            wait_until(lambda: len(peer.messages) == 2, 10, "the notifications")
            self.assertEqual(peer.messages[0]["sender"], "")
            self.assertIn(b'sent by "mistake"', peer.messages[0]["data"])
            events = f.events("bounced")
            self.assertEqual([e["recipient"] for e in events], ["r0@gmail.com", "r1@gmail.com"])
            self.assertIn('sent by "mistake"', events[0]["reply"])

    def test_events_that_fit(self):
        with Peer() as peer, Flyball(CONFIG % ("100/s", peer.port)) as f:
            p = subprocess.Popen([FLYBALLCTL, "-s", f.socket, "--json", "events", "follow", "event=delivered", "recipient=*@free.test"],
                                 stdout=subprocess.PIPE, text=True)
            time.sleep(0.3)
            send(f, 2)
            send(f, 1, "free.test")
            event = json.loads(p.stdout.readline())
            self.assertEqual((event["event"], event["recipient"]), ("delivered", "r0@free.test"))
            p.terminate()
            p.wait()
            p.stdout.close()
            wait_until(lambda: len(peer.messages) == 3, 5, "all")
            time.sleep(0.1)
            self.assertEqual(len(f.ctl("events", "event=delivered")), 3)
            self.assertEqual(len(f.ctl("events", "event=delivered", "provider=gmail", "limit", "1")), 1)

    def test_group_members_may_change(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        with Flyball(CONFIG % ("1/h", 1)) as f:
            os.chmod(f.tmp.path, 0o755)
            f.ctl("pause", "route", "out")
            gid = os.stat(f.socket).st_gid
            self.assertEqual(gid, os.getegid())

            def as_user(groups, *words):
                return subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", *groups,
                                       FLYBALLCTL, "-s", f.socket, *words], capture_output=True, text=True).returncode
            self.assertEqual(as_user(["--clear-groups"], "status"), 3)  # the mode keeps them out
            self.assertEqual(as_user(["--groups", str(gid)], "resume", "route", "out"), 0)
            os.chmod(f.socket, 0o666)
            self.assertEqual(as_user(["--clear-groups"], "status"), 0)
            self.assertEqual(as_user(["--clear-groups"], "pause", "route", "out"), 1)


class Report(unittest.TestCase):
    def test_what_was_refused_and_how_often(self):
        with Peer({"rcpt": lambda s, a: "550 5.1.1 <%s> unknown, id %d" % (a[a.index("<") + 1:a.index(">")], time.monotonic_ns())
                   if "r1@" in a else "250 ok"}) as peer, \
                Flyball(CONFIG % ("1000/s", peer.port) + "suppression: {action: off}\n") as f:
            for _ in range(3):
                send(f, 2)
            wait_until(lambda: len(f.events("bounced")) == 3, 10, "the bounces")
            out = run("-s", f.socket, "report").stdout
            self.assertRegex(out, r"(?m)^gmail +3 +0 +0 +3 +0 ")
            self.assertRegex(out, r"(?m)^ +3 +bad-mailbox +\S+ +550 5\.1\.1 <r1@gmail\.com> unknown, id \d+$")
            # Without the daemon, from a file or a pipe, as JSON.
            report = json.loads(run("-s", "/nonexistent", "report", "--json", "--since", "1h", f.events_path).stdout)
            gmail = [p for p in report if p["provider"] == "gmail"][0]
            self.assertEqual((gmail["delivered"], gmail["hard_bounces"]), (3, 3))
            self.assertEqual([(r["n"], r["class"], r["code"]) for r in gmail["replies"]], [(3, "bad-mailbox", "550")])
            with open(f.events_path) as events:
                self.assertIn("gmail", run("report", "-", stdin=events.read()).stdout)
            self.assertEqual(run("report", "/nonexistent").returncode, 1)
            self.assertEqual(run("report", "--since", "yesterday").returncode, 2)


class Terminal:
    """flyballctl on a terminal of its own: keys in, the screen out."""

    def __init__(self, *words, rows=24, columns=120):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(FLYBALLCTL, [FLYBALLCTL, *words])
        self.resize(rows, columns)
        self.raw = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys):
        os.write(self.fd, keys.encode())

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                self.raw += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                break
        last = self.raw.split("\033[H")[-1]
        return re.sub(r"\033\[[0-9;?]*[A-Za-z]", "", last)

    def wait(self, text):
        wait_until(lambda: text in self.read(), 10, text)

    def status(self):
        try:
            while chunk := os.read(self.fd, 65536):
                self.raw += chunk.decode(errors="replace")
        except OSError:
            pass  # EIO: it has ended
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


class Top(unittest.TestCase):
    def test_a_lane_is_paused_after_a_confirmation(self):
        with Flyball(CONFIG % ("1/h", 1)) as f:
            send(f, 3)
            t = Terminal("-s", f.socket, "top")
            t.wait("out/gmail")
            t.press("p")
            t.wait("pause lane out/gmail")
            self.assertEqual(f.ctl("status")["pauses"], [])
            t.press("y")
            t.wait("done: pause lane out/gmail")
            self.assertEqual(f.ctl("status")["pauses"][0]["name"], "out/gmail")
            t.press("w")
            t.wait("is paused until it is resumed")
            t.press("x")
            t.resize(10, 60)
            t.wait("LANE")
            t.press("r2/h for 1h\ry")
            t.wait("done: rate")
            self.assertEqual(f.ctl("lane", "out/gmail")["rates"], ["2/h"])
            f.kill9()
            t.wait("no daemon answers")
            t.press("q")
            self.assertEqual(t.status(), 0)
            self.assertIn("\033[?1049l", t.raw)  # the screen as it was before

    def test_it_needs_a_terminal_and_a_daemon(self):
        self.assertEqual(run("top").returncode, 2)
        t = Terminal("-s", "/nonexistent", "top")
        self.assertEqual(t.status(), 3)


class Socket(unittest.TestCase):
    def test_mail_flows_while_clients_misbehave(self):
        with Peer() as peer, Flyball(CONFIG % ("1000/s", peer.port)) as f:
            f.ctl("pause", "route", "out")
            send(f, 300)
            clients = []
            for i in range(100):
                s = socket.socket(socket.AF_UNIX)
                s.connect(f.socket)
                s.setblocking(False)
                clients.append(s)
            before = self.resident(f)
            # All of them ask for a lot and none reads; some send half lines.
            for s in clients:
                try:
                    s.send(b"queue limit 10000\n" * 500)
                    s.send(b"lanes\nevents follow\n" if s.fileno() % 2 else b"x" * 70000)
                except BlockingIOError:
                    pass
            f.ctl("resume", "route", "out")
            start = time.monotonic()
            wait_until(lambda: len(peer.messages) == 300, 20, "the mail")
            self.assertLess(time.monotonic() - start, 10)
            if "FLYBALL_SANITIZED" not in os.environ:
                self.assertLess(self.resident(f) - before, 60 << 20)
            self.assertTrue(f.ctl("version"))
            for s in clients:
                s.close()

    @staticmethod
    def resident(f):
        with open(f"/proc/{f.process.pid}/status") as s:
            return int(re.search(r"VmRSS:\s+(\d+) kB", s.read()).group(1)) << 10

    def test_garbage_is_answered(self):
        rng = random.Random(4711)
        words = ["pause", "rate", "queue", "where", "lane", "why", "drop", "limit", "for", "because", "\"", "=",
                 "provider=gmail", "out/gmail", "\\", "\x00", "\x1b", "é", "9" * 40, "--dry-run", "events", "help"]
        with Flyball(CONFIG % ("1/h", 1)) as f:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(f.socket)
                r = s.makefile("rb")
                for _ in range(500):
                    line = " ".join(rng.choice(words) for _ in range(rng.randrange(6)))
                    if line.startswith("events"):
                        continue
                    s.sendall(line.encode() + b"\n")
                    answer = json.loads(r.readline())
                    if not answer["ok"]:
                        self.assertTrue(answer["error"], line)
            self.assertTrue(f.ctl("status"))

    def test_a_second_daemon_is_refused_and_a_dead_socket_replaced(self):
        with Flyball(CONFIG % ("1/h", 1)) as f:
            other = Flyball(("daemon: {hostname: x.test, state_dir: \"{dir}/state\", event_log: \"\", admin_socket: {path: %s}}\n" % f.socket)
                            + CONFIG % ("1/h", 1), start=False)
            other.spawn()
            self.assertEqual(other.process.wait(15), 1)
            self.assertIn("another daemon answers", other.log())
            other.process = None
            other.close()
            self.assertTrue(f.ctl("version"))
            f.kill9()
            self.assertTrue(os.path.exists(f.socket))
            f.start()
            self.assertTrue(f.ctl("version"))
            f.stop()
            self.assertFalse(os.path.exists(f.socket))


if __name__ == "__main__":
    unittest.main()
