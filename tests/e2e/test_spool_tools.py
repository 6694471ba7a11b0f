# SPDX-License-Identifier: ISC
"""`flyballctl spool`, as an operator with a damaged disk uses it, and what the
daemon says of such a disk: at its start, and while it runs."""

import json
import os
import random
import re
import shutil
import smtplib
import subprocess
import unittest
from hashlib import sha256

from harness import FLYBALLCTL, FLYBALLD, Flyball, Peer, wait_until

CONFIG = """
listeners: [{listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}]
routes: {main: {next_hop: "127.0.0.1:{next}"}}
"""
SIZES = [10, 3000, 70000, 20000]


def content(i):
    return (f"Subject: number {i}\r\n\r\n" + "0123456789\r\n" * (SIZES[i % 4] // 12)).encode()


def run(*words):
    return subprocess.run([FLYBALLCTL, *words], capture_output=True, text=True)


class SpoolTools(unittest.TestCase):
    def queue(self, n):
        """A daemon that stopped with n messages queued."""
        f = Flyball(CONFIG.replace("{next}", "1"))
        self.addCleanup(f.close)
        with smtplib.SMTP("127.0.0.1", f.port) as s:
            for i in range(n):
                s.sendmail("" if i % 5 == 0 else "app@shop.example",
                           [f"u{i}@gmail.com", f"v{i}@yahoo.com"], content(i),
                           ["ENVID=QQ+2B"], ["NOTIFY=FAILURE,DELAY"])
        self.state = f.tmp.file("state")
        return f

    def stop(self, f):
        f.process.terminate()
        self.assertEqual(f.process.wait(20), 0)
        f.process = None

    def test_check_needs_the_daemon_stopped(self):
        f = self.queue(1)
        p = run("spool", "check", "-c", f.config_path)
        self.assertEqual(p.returncode, 1)
        self.assertIn(f"in use by flyballd (process {f.process.pid}): stop it first", p.stderr)
        self.stop(f)
        p = run("spool", "check", "-c", f.config_path)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        self.assertIn("the spool is sound", p.stdout)
        p = run("spool", "check", "--state-dir", "/nonexistent")
        self.assertEqual((p.returncode, p.stdout), (1, ""))
        self.assertEqual(run("spool", "export", "--state-dir", self.state).returncode, 2)
        self.assertEqual(run("spool", "check", "nonsense").returncode, 2)

    def test_exported_mail_can_be_sent_on(self):
        f = self.queue(8)
        self.stop(f)
        out = f.tmp.file("out")
        p = run("--json", "spool", "export", "-c", f.config_path, out)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        self.assertEqual(json.loads(p.stdout)["exported"], 8)
        envelopes = sorted(n for n in os.listdir(out) if n.endswith(".json"))
        contents = []
        self.assertEqual(len(envelopes), 8)
        for i, name in enumerate(envelopes):
            with open(os.path.join(out, name)) as file:
                e = json.load(file)
            self.assertEqual(e["recipients"], [f"u{i}@gmail.com", f"v{i}@yahoo.com"])
            self.assertEqual(e["sender"], "" if i % 5 == 0 else "app@shop.example")
            self.assertEqual(e["envid"], "QQ+2B")
            self.assertEqual(e["deliveries"][1]["recipients"][0]["notify"], ["FAILURE", "DELAY"])
            self.assertEqual(e["problems"], [])
            with open(os.path.join(out, e["content"]), "rb") as file:
                data = file.read()
            contents.append(data)
            head, body = data.split(b"\r\n\r\n", 1)  # a Date and a Message-ID were added
            self.assertEqual(body, content(i).split(b"\r\n\r\n", 1)[1])
            self.assertIn(f"Subject: number {i}".encode(), head)
            self.assertTrue(data.startswith(b"Received: "))
            self.assertEqual(os.stat(os.path.join(out, name)).st_mode & 0o777, 0o600)
        # flyballd(8)'s own words, at a next hop.
        with open(os.path.join(os.path.dirname(__file__), "..", "..", "contrib", "man", "flyballd.8")) as page:
            lines = page.read().split(".EX\n")[1].split(".EE")[0]
        with Peer() as peer:
            script = lines.replace("127.0.0.1:2525", f"127.0.0.1:{peer.port}").replace("\\e", "\\")
            script = script.replace("\\-", "-").replace("\\(aq", "'").replace("/var/tmp/mail", out)
            p = subprocess.run(["sh", "-e"], input=script, text=True, capture_output=True)
            self.assertEqual(p.returncode, 0, p.stderr + script)
            got = sorted((m["sender"], tuple(m["recipients"])) for m in peer.messages)
            self.assertEqual(sorted(sha256(m["data"]).hexdigest() for m in peer.messages),
                             sorted(sha256(data).hexdigest() for data in contents))
        self.assertEqual(got, sorted(("" if i % 5 == 0 else "app@shop.example",
                                      (f"u{i}@gmail.com", f"v{i}@yahoo.com")) for i in range(8)))

    def test_rebuilt_spool_is_delivered(self):
        f = self.queue(8)
        self.stop(f)
        path = os.path.join(self.state, "spool.mdb")
        with open(path, "r+b") as file:  # the newer head, and a content
            file.write(bytes(4096))
        bodies = subprocess.run(["find", os.path.join(self.state, "bodies"), "-type", "f"],
                                capture_output=True, text=True).stdout.split()
        os.truncate(bodies[0], 100)
        p = subprocess.run([FLYBALLD, "-c", f.config_path], capture_output=True, text=True)
        self.assertEqual(p.returncode, 1)
        self.assertIn("is damaged", p.stderr)
        self.assertIn("flyballctl spool check", p.stderr)
        p = run("spool", "check", "-c", f.config_path)
        self.assertEqual(p.returncode, 1)
        self.assertIn("damaged: spool.mdb: page 0", p.stdout)
        self.assertRegex(p.stdout, r"damaged: message \w{13}: its content has 100 bytes, not 7")
        p = run("spool", "rebuild", "-c", f.config_path, self.state + ".new")
        self.assertIn("1 messages left out", p.stdout)
        os.rename(self.state, self.state + ".old")
        os.rename(self.state + ".new", self.state)
        with Peer() as peer:
            f.configure(CONFIG.replace("{next}", str(peer.port)))
            f.start()
            wait_until(lambda: f.n_queued() == 0, 20, "an empty queue")
            n = {r for m in peer.messages for r in m["recipients"]}
            self.assertEqual(len(n), 14)
            self.stop(f)
        p = run("spool", "check", "-c", f.config_path)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)

    def test_changed_content_is_kept_back_alone(self):
        f = self.queue(6)
        self.stop(f)
        path = os.path.join(self.state, "spool.mdb")
        with open(path, "rb") as file:
            data = file.read()
        self.assertIn(b"Subject: number 1\r\n", data)
        with open(path, "wb") as file:
            file.write(data.replace(b"Subject: number 1\r\n", b"Subject: number 9\r\n"))
        bodies = subprocess.run(["find", os.path.join(self.state, "bodies"), "-type", "f"],
                                capture_output=True, text=True).stdout.split()
        os.remove(bodies[0])  # of number 2
        p = run("spool", "check", "-c", f.config_path)
        self.assertIn("its content isn't what was received", p.stdout)
        self.assertIn("its content is missing", p.stdout)
        with Peer() as peer:
            f.configure(CONFIG.replace("{next}", str(peer.port)))
            f.start()
            with smtplib.SMTP("127.0.0.1", f.port) as s:
                s.sendmail("app@shop.example", ["later@gmail.com"], content(0))
            wait_until(lambda: f.n_queued() == 4, 20, "what is left")
            got = {r for m in peer.messages for r in m["recipients"]}
            self.assertEqual(got, {"later@gmail.com"} | {f"{k}{i}@{d}.com" for i in (0, 3, 4, 5)
                                                        for k, d in (("u", "gmail"), ("v", "yahoo"))})
            self.assertEqual(len(re.findall("event=spool_read", f.log())), 4)

    def test_spool_of_an_older_version_is_delivered(self):
        data = os.path.join(os.path.dirname(__file__), "..", "data")
        for name in ("spool-1-three-trees", "spool-1-one-tree"):
            with Peer() as peer:
                f = Flyball(CONFIG.replace("{next}", str(peer.port)), start=False)
                self.addCleanup(f.close)
                os.mkdir(f.tmp.file("state"), 0o700)
                subprocess.run(["tar", "-C", f.tmp.file("state"), "-xJf", os.path.join(data, name + ".tar.xz")], check=True)
                f.start()
                self.assertRegex(f.log(), r"event=spool_migrated from=1 to=2")
                wait_until(lambda: f.n_queued() == 0, 20, "an empty queue")
                got = sorted(r for m in peer.messages for r in m["recipients"])
                self.assertEqual(got, ["five@gmail.com", "four@example.net", "one@gmail.com", "three@yahoo.com",
                                       "two@gmail.com"])
                large = [m for m in peer.messages if m["recipients"] == ["five@gmail.com"]][0]["data"]
                self.assertIn(b"line 3999 of large\r\n", large)

    def test_start_on_damage_speaks(self):
        """Wherever bits flip or the file ends: a start, or a clear refusal;
        no crash, and what is refused is exported all the same."""
        f = self.queue(30)
        self.stop(f)
        seed = random.randrange(1 << 30)
        print(f"seed {seed}", end=" ", flush=True)
        rng = random.Random(seed)
        with open(os.path.join(self.state, "spool.mdb"), "rb") as file:
            sound = file.read()
        whole = self.state + ".sound"
        os.rename(self.state, whole)
        n_refused = 0
        for k in range(24):
            shutil.rmtree(self.state, ignore_errors=True)
            shutil.copytree(whole, self.state)
            data, page = bytearray(sound), rng.randrange(60) * 4096
            if k % 4 == 0:
                data[page + rng.randrange(40)] ^= 1 << rng.randrange(8)
            elif k % 4 == 1:
                data[page:page + 4096] = bytes(4096)
            elif k % 4 == 2:
                data = data[:rng.randrange(60 * 4096)]
            else:
                for _ in range(30):
                    data[rng.randrange(60 * 4096)] ^= 1 << rng.randrange(8)
            with open(os.path.join(self.state, "spool.mdb"), "wb") as file:
                file.write(data)
            shutil.rmtree(f.tmp.file("out"), ignore_errors=True)
            e = run("spool", "export", "-c", f.config_path, f.tmp.file("out"))
            self.assertIn(e.returncode, (0, 1), e.stderr)
            start = os.path.getsize(f.log_path)
            f.spawn()
            wait_until(lambda: f.process.poll() is not None or "event=ready" in f.log()[start:], 20, "an answer")
            if f.process.poll() is None:
                f.process.terminate()
                self.assertIn(f.process.wait(20), (0, 1, 3))
            else:
                n_refused += 1
                self.assertIn(f.process.returncode, (1, 3), f.log()[start:])
                self.assertRegex(f.log()[start:], "damaged|database_unreadable|newer flyball")
                self.assertEqual(e.returncode, 1)
            f.process = None
        self.assertGreater(n_refused, 3)

    def test_unreadable_database_ends_the_daemon_with_a_word(self):
        f = self.queue(12)
        messages = [r["message"] for r in f.ctl("queue")]
        os.truncate(os.path.join(self.state, "spool.mdb"), 8192)
        for m in messages:  # one of them isn't in a page cache of its own
            run("-s", f.socket, "message", m)
        self.assertEqual(f.process.wait(20), 3)
        f.process = None
        self.assertRegex(f.log(), r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=error "
                                  r"event=database_unreadable dir=\S+ error=\"SIGBUS")
        self.assertIn("flyballctl spool check", f.log())


if __name__ == "__main__":
    unittest.main()
