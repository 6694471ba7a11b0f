# SPDX-License-Identifier: ISC
"""What an operator does: starts with mistakes, reloads, pauses, changes rates,
looks, acts on the queue."""

import json
import os
import smtplib
import socket
import subprocess
import time
import unittest

from harness import FLYBALLCTL, FLYBALLD, Flyball, Peer, TempDir, certificate, free_port, wait_until

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
providers:
  gmail: {rate: %s}
  other: {rate: unlimited, connections: 20}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none}
"""


def send(f, n=1, domain="gmail.com", sender="a@app.test"):
    with smtplib.SMTP("127.0.0.1", f.port) as c:
        for i in range(n):
            c.sendmail(sender, [f"r{i}@{domain}"], b"Subject: x\r\n\r\nx\r\n")


class Pacing(unittest.TestCase):
    def test_rate_holds_and_others_flow(self):
        with Peer() as peer, Flyball(CONFIG % ("20/s", peer.port)) as f:
            start = time.monotonic()
            send(f, 60)
            send(f, 30, "free.test")
            wait_until(lambda: len([m for m in peer.messages if "free.test" in m["recipients"][0]]) == 30, 5, "free lane")
            wait_until(lambda: len(peer.messages) == 90, 15, "all")
            times = sorted(m["at"] for m in peer.messages if "gmail" in m["recipients"][0])
            self.assertGreater(times[-1] - times[0], 59 / 20 - 0.2)
            self.assertLess(times[-1] - start, 59 / 20 + 1.5)
            # Evenly spread: no second has more than the rate (one for jitter).
            for i, t in enumerate(times):
                self.assertLessEqual(sum(1 for u in times[i:] if u < t + 1), 21)
            self.assertEqual(f.events("deferred"), [])

    def test_recipients_are_what_counts(self):
        with Peer() as peer, Flyball(CONFIG % ("10/s", peer.port)) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                c.sendmail("a@app.test", [f"r{i}@gmail.com" for i in range(25)], b"Subject: x\r\n\r\nx\r\n")
            start = time.monotonic()
            wait_until(lambda: sum(len(m["recipients"]) for m in peer.messages) == 25, 10, "all")
            self.assertGreater(time.monotonic() - start, 1.7)


class Reload(unittest.TestCase):
    def test_bad_file_leaves_the_old_one(self):
        with Peer() as peer, Flyball(CONFIG % ("20/s", peer.port)) as f:
            with open(f.config_path) as c:
                text = c.read()
            with open(f.config_path, "w") as c:
                c.write(text.replace("gmail:", "gmial: {raet: 5/s}\n  gmail:").replace("20/s", "20/fortnight"))
            p = subprocess.run([FLYBALLCTL, "-s", f.socket, "reload"], capture_output=True, text=True)
            self.assertEqual(p.returncode, 1, p.stdout)
            self.assertIn("raet", p.stdout + p.stderr)
            self.assertIn("rate", p.stdout + p.stderr)
            self.assertIn("fortnight", p.stdout + p.stderr)
            send(f)
            wait_until(lambda: peer.messages, 5, "mail still flows")

    def test_a_part_that_fails_leaves_all_of_the_old_one(self):
        """What could be taken over before is given back."""
        with Flyball(CONFIG % ("20/s", 1)) as f:
            with open(f.config_path) as c:
                text = c.read()
            http = free_port()
            for bad in (text.replace(f.events_path, "/proc/nowhere/events.jsonl"),
                        text + "auth: {users_file: /nowhere/users}\n"):
                self.assertIn("nowhere", bad)
                with open(f.config_path, "w") as c:
                    c.write(bad.replace("daemon:\n", f'daemon:\n  http: {{listen: "127.0.0.1:{http}"}}\n'))
                self.assertIn("nowhere", json.dumps(f.ctl("reload", check=False)))
                with self.assertRaises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", http), 5)
                self.assertIsNone(f.ctl("status")["http"])

    def test_good_file_changes_what_it_says_and_drops_no_session(self):
        with Peer() as peer, Peer() as peer2, Flyball(CONFIG % ("1/h", peer.port)) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as held:
                held.ehlo()
                send(f, 3)
                wait_until(lambda: len(peer.messages) == 1, 5, "the first")
                with open(f.config_path) as c:
                    text = c.read()
                text = text.replace("1/h", "100/s").replace(
                    "routes:", f"routes:\n  second: {{next_hop: \"127.0.0.1:{peer2.port}\", tls: none}}")
                text = text.replace("listeners:", f"listeners:\n  - {{listen: \"127.0.0.1:{f.port2}\", tls: none, auth: none, trusted: [127.0.0.0/8]}}")
                text += "streams:\n  other: {match: {sender_domain: [second.test]}, routes: [second]}\n  default: {routes: [out]}\n"
                with open(f.config_path, "w") as c:
                    c.write(text)
                f.signal(1)
                wait_until(lambda: "event=reload" in f.log(), 5, "reload")
                wait_until(lambda: len(peer.messages) == 3, 5, "the rest at the new rate")
                self.assertEqual(held.noop()[0], 250)  # the old session lives
                held.sendmail("x@second.test", ["r@gmail.com"], b"Subject: x\r\n\r\nx\r\n")
                wait_until(lambda: len(peer2.messages) == 1, 5, "the new route")
            with smtplib.SMTP("127.0.0.1", f.port2) as c:
                self.assertEqual(c.noop()[0], 250)
            # and away again
            text2 = text.replace(f"  - {{listen: \"127.0.0.1:{f.port2}\", tls: none, auth: none, trusted: [127.0.0.0/8]}}\n", "")
            with open(f.config_path, "w") as c:
                c.write(text2)
            f.ctl("reload")

            def is_closed():
                with socket.socket() as s:
                    return s.connect_ex(("127.0.0.1", f.port2)) != 0
            wait_until(is_closed, 5, "the listener to close")


class StartMistakes(unittest.TestCase):
    def start(self, text, **kw):
        f = Flyball(text, start=False, **kw)
        f.spawn()
        status = f.process.wait(15)
        log = f.log()
        f.process = None
        f.close()
        return status, log

    def test_each_is_one_clear_line_and_exit_1(self):
        cert, key = certificate("localhost")
        other_key = certificate("other.test")[1]
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        tls = ('listeners:\n  - {listen: "127.0.0.1:{port}", tls: starttls, auth: none, trusted: [127.0.0.0/8]}\n'
               'tls: {certificate: %s, key: %s}\nroutes:\n  out: {next_hop: "127.0.0.1:1"}\n')
        cases = [
            (tls % (cert, other_key), other_key),
            (tls % (cert, "/nonexistent.pem"), "/nonexistent.pem"),
            (CONFIG.replace("{port}", str(port)) % ("1/s", 1), "in use"),
            (CONFIG % ("1/s", 1) + "auth: {users_file: /nonexistent/users}\n", "/nonexistent/users"),
            ("daemon: {event_log: \"\", state_dir: /proc/nonexistent, admin_socket: {path: \"{dir}/a.sock\"}}\n" + CONFIG % ("1/s", 1), "/proc/nonexistent"),
        ]
        try:
            for text, why in cases:
                status, log = self.start(text)
                self.assertEqual(status, 1, why + log)
                self.assertIn(why, log)
        finally:
            taken.close()

    def test_state_dir_of_another_owner(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        t = TempDir()
        os.mkdir(t.file("state"))
        os.chown(t.file("state"), 12345, 12345)
        status, log = self.start(
            f"daemon: {{state_dir: {t.path}/state, event_log: \"\", admin_socket: {{path: \"{{dir}}/a.sock\"}}}}\n" + CONFIG % ("1/s", 1))
        t.remove()
        self.assertEqual(status, 1)
        self.assertIn("belongs to user", log)

    def test_yaml_mistakes_all_at_once(self):
        t = TempDir()
        path = t.file("f.yaml", "limits:\n  mesage_size: 5\n  recipients: many\nroutes:\n  a: {next_hop: x}\n  a: {next_hop: y}\n")
        for command in ([FLYBALLD, "-t", "-c", path], [FLYBALLCTL, "check-config", path]):
            p = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(p.returncode, 1)
            out = p.stdout + p.stderr
            self.assertRegex(out, r"f\.yaml:2:3: limits\.mesage_size: .*did you mean message_size")
            self.assertRegex(out, r"f\.yaml:3:\d+: limits\.recipients: ")
            self.assertRegex(out, r"f\.yaml:6:3: routes\.a: ")
        t.remove()


class Operator(unittest.TestCase):
    def test_pause_resume_and_why(self):
        with Peer() as peer, Flyball(CONFIG % ("100/s", peer.port)) as f:
            f.ctl("pause", "provider", "gmail", "because", "they are angry")
            send(f, 3)
            send(f, 2, "free.test")
            wait_until(lambda: len(peer.messages) == 2, 5, "the other lane")
            time.sleep(0.3)
            self.assertEqual(len(peer.messages), 2)
            self.assertIn("they are angry", json.dumps(f.ctl("why", "out/gmail")))
            self.assertIn("they are angry", json.dumps(f.ctl("status")))
            f.ctl("resume", "provider", "gmail")
            wait_until(lambda: len(peer.messages) == 5, 5, "the paused ones")

    def test_rerouted_mail_stays_on_its_way_over_a_restart(self):
        config = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
providers:
  gmail: {rate: 100/s}
routes:
  one: {next_hop: "127.0.0.1:%d", tls: none}
  two: {next_hop: "127.0.0.1:%d", tls: none}
streams:
  default: {routes: [one]}
"""
        with Peer() as one, Peer() as two, Flyball(config % (one.port, two.port)) as f:
            f.ctl("pause", "provider", "gmail")
            send(f, 4)
            wait_until(lambda: f.n_queued() == 4, 5, "the queue")
            ids = sorted(d["message"] for d in f.ctl("queue"))
            done = f.ctl("reroute", ids[0], ids[1], "to", "two")
            self.assertEqual((done["matched"], done["changed"]), (2, 2))
            self.assertEqual([d["lane"] for d in f.ctl("queue")], ["two/gmail"] * 2 + ["one/gmail"] * 2)
            wait_until(lambda: f.ctl("status")["spool"]["commits"] >= 2, 5, "the commit")
            time.sleep(0.5)
            f.kill9()
            f.start()
            self.assertEqual(sorted(d["lane"] for d in f.ctl("queue")), ["one/gmail"] * 2 + ["two/gmail"] * 2)
            f.ctl("resume", "provider", "gmail")
            wait_until(lambda: len(one.messages) == 2 and len(two.messages) == 2, 10, "all four")

    def test_pause_for_a_while(self):
        with Peer() as peer, Flyball(CONFIG % ("100/s", peer.port)) as f:
            f.ctl("pause", "lane", "out/gmail", "for", "1s")
            start = time.monotonic()
            send(f)
            wait_until(lambda: peer.messages, 5, "the pause's end")
            self.assertGreater(time.monotonic() - start, 0.7)

    def test_rate_change_is_at_once_and_keeps_what_was_spent(self):
        with Peer() as peer, Flyball(CONFIG % ("1/h", peer.port)) as f:
            send(f, 30)
            wait_until(lambda: len(peer.messages) == 1, 5, "the first")
            f.ctl("rate", "out/gmail", "10/s")
            start = time.monotonic()
            wait_until(lambda: len(peer.messages) == 30, 10, "all")
            self.assertGreater(time.monotonic() - start, 2.5)  # no fresh bucket

    def test_queue_actions(self):
        with Flyball(CONFIG % ("100/s", 1)) as f:
            f.ctl("pause", "route", "out")
            send(f, 5)
            send(f, 4, "free.test", "b@other.test")
            self.assertEqual(len(f.ctl("queue")), 9)
            self.assertEqual(len(f.ctl("queue", "where", "provider=gmail")), 5)
            self.assertEqual(len(f.ctl("queue", "where", "sender=b@other.test", "limit", "3")), 3)
            f.ctl("drop", "where", "provider=gmail", "--dry-run")
            self.assertEqual(f.n_queued(), 9)
            f.ctl("drop", "where", "provider=gmail")
            wait_until(lambda: f.n_queued() == 4, 5, "the drop")
            ident = f.ctl("queue")[0]["message"]
            message = f.ctl("message", ident)
            self.assertIn("b@other.test", json.dumps(message))
            f.ctl("bounce", ident, "because", "no longer wanted")
            wait_until(lambda: f.n_queued() == 4, 5, "the bounce, as a DSN")
            f.stop()
            f.start()
            self.assertEqual(f.n_queued(), 4)

    def test_only_owner_and_group_may_change(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        with Peer() as peer, Flyball(CONFIG % ("100/s", peer.port)) as f:
            os.chmod(f.socket, 0o666)
            os.chmod(f.tmp.path, 0o755)

            def as_nobody(*words):
                return subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                                       FLYBALLCTL, "-s", f.socket, "--json", *words], capture_output=True, text=True)
            self.assertEqual(as_nobody("status").returncode, 0)
            refused = as_nobody("pause", "route", "out")
            self.assertEqual(refused.returncode, 1)
            self.assertIn("may", refused.stdout + refused.stderr)

    def test_socket_protocol_in_words(self):
        with Peer() as peer, Flyball(CONFIG % ("100/s", peer.port)) as f:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(f.socket)
                s.sendall(b"version\nnonsense\nlanes\n")
                lines = s.makefile().readline, 
                r = s.makefile()
                answers = [json.loads(r.readline()) for _ in range(3)]
            self.assertEqual([a["ok"] for a in answers], [True, False, True])
            self.assertIn("hint", answers[1])

    def test_events_follow_and_exit_codes(self):
        with Peer() as peer, Flyball(CONFIG % ("100/s", peer.port)) as f:
            p = subprocess.Popen([FLYBALLCTL, "-s", f.socket, "--json", "events", "follow"], stdout=subprocess.PIPE, text=True)
            time.sleep(0.3)
            send(f)
            seen = []
            while "delivered" not in seen:
                seen.append(json.loads(p.stdout.readline())["event"])
            p.terminate()
            p.wait()
            p.stdout.close()
            self.assertEqual(subprocess.run([FLYBALLCTL, "-s", "/nonexistent", "status"], capture_output=True).returncode, 3)
            self.assertEqual(subprocess.run([FLYBALLCTL, "-s", f.socket, "nonsense"], capture_output=True).returncode, 2)

    def test_log_reopened_and_events_are_json_whatever_peers_say(self):
        with Peer({"rcpt": '550 5.1.1 "quoted"\\ \x01 \xff control'}) as peer, Flyball(CONFIG % ("100/s", peer.port)) as f:
            send(f)
            wait_until(lambda: f.events("bounced"), 5, "the bounce")
            os.rename(f.events_path, f.events_path + ".1")
            f.signal(1)
            wait_until(lambda: os.path.exists(f.events_path), 5, "a new file")
            send(f, domain="yahoo.com")  # the first one is suppressed now
            wait_until(lambda: f.events("bounced"), 5, "events in the new file")

    def test_drain_by_command(self):
        with Peer() as peer, Flyball(CONFIG % ("100/s", peer.port)) as f:
            f.ctl("drain")
            self.assertEqual(f.process.wait(10), 0)
            f.process = None


if __name__ == "__main__":
    unittest.main()
