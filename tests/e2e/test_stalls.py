# SPDX-License-Identifier: ISC
"""Peers that stop at any point of the dialogue, or close one half of the
connection, a process that is stopped for a while, clocks that jump: each
recipient comes to one end, connections and descriptors are freed, and a client
is never told 250 for what isn't kept."""

import collections
import os
import select
import signal
import smtplib
import socket
import threading
import time
import unittest

from fault import LIBRARY, FaultyFlyball
from harness import IS_SANITIZED, PATIENCE, Flyball, Peer, certificate, wait_until

TIMEOUTS = "{greeting: 1s, command: 1s, mail: 1s, rcpt: 1s, data: 1s, data_block: 1s, data_done: 1s}"

CONFIG = """
daemon:
  hostname: relay.test
  workers: 2
  state_dir: {dir}/state
  admin_socket: {path: "{dir}/admin.sock"}
  event_log: "{dir}/events.jsonl"
  log: {level: info}
  drain_timeout: 5s
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
limits: {%s}
providers: {other: {rate: unlimited, connections: 20}}
adapt: {enabled: false}
suppression: {action: off}
spool: {retry: {first: 200ms, factor: 1, max: 200ms}}
routes:
%s
streams:
%s
"""


def wait_for_end(session):
    """Until the daemon gave the connection up: True, or False after 15 s."""
    poll = select.poll()
    poll.register(session.request, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(15000 * PATIENCE))


def route(name, port, more=""):
    return (f'  {name}: {{next_hop: "127.0.0.1:{port}", connections: 2, idle_timeout: 500ms, '
            f'backoff: {{first: 200ms, max: 200ms}}, timeouts: {TIMEOUTS}{more or ", tls: none"}}}')


def config(routes, limits="sessions: 1000"):
    """`routes`: name -> (port, more); each has its sender domain."""
    streams = [f"  {name}: {{match: {{sender_domain: [{name}.test]}}, routes: [{name}]}}" for name in routes]
    streams.append(f"  default: {{routes: [{next(iter(routes))}]}}")
    return CONFIG % (limits, "\n".join(route(n, *r) for n, r in routes.items()), "\n".join(streams))


class Bad:
    """What a peer does once, at one step, on its first connection; afterwards
    it behaves."""

    def __init__(self, how):
        self.how, self.was, self.ended = how, False, None

    def __call__(self, session, _):
        if self.was:
            return session.DEFAULTS[self.step]
        self.was = True
        if self.how == "half-close":
            session.request.shutdown(socket.SHUT_WR)
        elif self.how == "reset":
            session.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            session.request.close()
            self.ended = True
            raise ConnectionAbortedError
        self.ended = wait_for_end(session)
        return None


STEPS = ("banner", "ehlo", "mail", "rcpt", "data", "content", "eod", "quit")


class Hop(Peer):
    """Bad at one step, in one way."""

    def __init__(self, step, how, ehlo=("PIPELINING", "8BITMIME")):
        self.bad = Bad(how)
        self.bad.step = step
        super().__init__({} if step in ("ehlo", "content") else {step: self.bad}, ehlo=ehlo)
        if step == "ehlo":
            self.replies["ehlo"] = self.say_ehlo
        elif step == "content":
            self.replies["data"] = self.stop_reading

    def say_ehlo(self, session, text):
        return "250 peer.test" if self.bad.was else self.bad(session, text)

    def stop_reading(self, session, text):
        if self.bad.was:
            return "354 go on"
        session.wfile.write(b"354 go on\r\n")
        session.wfile.flush()
        time.sleep(0.2)
        return self.bad(session, text)


class NextHops(unittest.TestCase):
    """All ways to be bad at once, each on its own route."""

    def run_all(self, hops, more=None, files=None):
        routes = {name: (hop.port, (more or {}).get(name, "")) for name, hop in hops.items()}
        with Flyball(config(routes), files=files) as f:
            n_fds = len(os.listdir(f"/proc/{f.process.pid}/fd"))
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                for name in hops:
                    content = (b"y" * 70 + b"\r\n") * (60000 if "content" in name else 1)
                    c.sendmail(f"s@{name}.test", [f"a-{name}@x.test", f"b-{name}@x.test"], b"Subject: x\r\n\r\n" + content)
            wait_until(lambda: f.n_queued() == 0, 30, "the queue to drain")

            def is_quiet():
                load = f.ctl("status")["load"]
                return load["connections"] == 0 and load["sessions"] == 0 and f.ctl("status")["totals"]["in_flight"] == 0
            wait_until(is_quiet, 20, "the last connection to go")
            self.assertLessEqual(len(os.listdir(f"/proc/{f.process.pid}/fd")), n_fds + 1)
            events = f.events()
        ends = collections.Counter(e["recipient"] for e in events if e["event"] in ("delivered", "bounced", "expired"))
        deferred = collections.Counter(e["recipient"] for e in events if e["event"] == "deferred")
        for name, hop in hops.items():
            with self.subTest(name):
                self.assertTrue(hop.bad.was, "it had nothing to be bad at")
                self.assertTrue(hop.bad.ended, "the connection was never given up")
                arrived = collections.Counter(r for m in hop.messages for r in m["recipients"])
                for who in ("a", "b"):
                    self.assertEqual(ends[f"{who}-{name}@x.test"], 1)
                    self.assertEqual(arrived[f"{who}-{name}@x.test"], 1)
                    self.assertLessEqual(deferred[f"{who}-{name}@x.test"], 1)
        return deferred

    def test_at_each_step(self):
        for how in ("stall", "half-close", "reset"):
            hops = {f"{how}-{step}": Hop(step, how) for step in STEPS}
            hops.update({f"{how}-{step}-slow": Hop(step, how, ehlo=()) for step in ("mail", "rcpt", "data")})
            try:
                with self.subTest(how):
                    self.run_all(hops)
            finally:
                for hop in hops.values():
                    hop.close()

    def test_in_tls_and_auth(self):
        """After STARTTLS' 220 no handshake; no answer to AUTH."""
        cert, _ = certificate()
        hops = {}
        more = {}
        for how in ("stall", "half-close", "reset"):
            for step in ("starttls", "handshake", "auth"):
                name = f"{how}-{step}"
                hop = Hop("starttls" if step == "handshake" else step, how, ehlo=("STARTTLS", "AUTH PLAIN"))
                hop.tls = certificate()
                if step == "handshake":
                    hop.replies["starttls"] = self.silent_handshake(hop)
                hops[name] = hop
                more[name] = f', tls: required, auth: {{user: app, password_file: "{{dir}}/password"}}'
        try:
            self.run_all(hops, more, files={"password": "secret\n"})
        finally:
            for hop in hops.values():
                hop.close()

    def silent_handshake(self, hop):
        def reply(session, text):
            if hop.bad.was:
                return "220 2.0.0 Ready"
            session.wfile.write(b"220 2.0.0 Ready\r\n")
            session.wfile.flush()
            return hop.bad(session, text)
        return reply


def greeted(f):
    s = socket.create_connection(("127.0.0.1", f.port), timeout=20)
    s.recv(1000)
    s.sendall(b"EHLO a.test\r\n")
    s.recv(4000)
    return s


def in_data(f, to):
    s = greeted(f)
    s.sendall(b"MAIL FROM:<s@one.test>\r\nRCPT TO:<%s@x.test>\r\nDATA\r\n" % to)
    while b"354" not in s.recv(4000):
        pass
    return s


def rest_of(s):
    out = b""
    while True:
        more = s.recv(4000)
        if not more:
            return out
        out += more


class Clients(unittest.TestCase):
    def test_that_close_one_half(self):
        """Who has said all and closes his side hears the answers; who closes it
        within a message has sent none."""
        with Peer() as peer, Flyball(config({"one": (peer.port, "")})) as f:
            with in_data(f, b"whole") as s:
                s.sendall(b"Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
                s.shutdown(socket.SHUT_WR)
                self.assertRegex(rest_of(s), rb"(?s)250 .*221 ")
            with in_data(f, b"no-quit") as s:
                s.sendall(b"Subject: x\r\n\r\nx\r\n.\r\n")
                s.shutdown(socket.SHUT_WR)
                self.assertIn(b"250 ", rest_of(s))
            for size in (10, 200000):
                with in_data(f, b"half") as s:
                    s.sendall((b"y" * 70 + b"\r\n") * (size // 72 + 1))
                    s.shutdown(socket.SHUT_WR)
                    self.assertNotIn(b"250 ", rest_of(s))
            with greeted(f) as s:
                s.sendall(b"MAIL FROM:<s@one.test>\r\n")
                s.shutdown(socket.SHUT_WR)
                self.assertIn(b"250 ", rest_of(s))
            wait_until(lambda: f.n_queued() == 0 and f.ctl("status")["load"]["sessions"] == 0, 10, "the end")
            self.assertEqual(sorted(m["recipients"][0] for m in peer.messages), ["no-quit@x.test", "whole@x.test"])
            self.assertEqual([name for _, _, names in os.walk(os.path.join(f.tmp.path, "state", "bodies"))
                              for name in names], [])


class Stopped(unittest.TestCase):
    def test_for_a_while(self):
        """SIGSTOP for longer than any timeout: what came meanwhile is read
        before anybody is given up. FLYBALL_STOP sets the seconds."""
        seconds = float(os.environ.get("FLYBALL_STOP", "2.5"))
        stopped = threading.Event()
        waiting = []

        def late(session, _):
            waiting.append(session)
            stopped.wait(30)
            return session.DEFAULTS[session.server.step]

        hops = {}
        for step in ("banner", "mail", "rcpt", "data", "eod", "quit"):
            hops[step] = Peer({step: late}, ehlo=("8BITMIME",))
            hops[step].step = step
        routes = {step: (hop.port, "") for step, hop in hops.items()}
        try:
            with Flyball(config(routes, "command_timeout: 1s, data_timeout: 1s")) as f:
                with smtplib.SMTP("127.0.0.1", f.port) as c:
                    for step in hops:
                        c.sendmail(f"s@{step}.test", [f"{step}@x.test"], b"Subject: x\r\n\r\nx\r\n")
                # QUIT comes when the connection has been idle.
                wait_until(lambda: len(waiting) == len(hops) - 1, 10, "all to be asked")
                with greeted(f) as idle, in_data(f, b"during") as sender:
                    f.signal(signal.SIGSTOP)
                    stopped.set()
                    idle.sendall(b"NOOP\r\n")
                    sender.sendall(b"Subject: x\r\n\r\nx\r\n.\r\n")
                    time.sleep(seconds)
                    f.signal(signal.SIGCONT)
                    self.assertIn(b"250 ", idle.recv(1000))
                    self.assertIn(b"250 ", sender.recv(1000))
                wait_until(lambda: f.n_queued() == 0, 20, "the queue to drain")
                wait_until(lambda: f.ctl("status")["load"]["connections"] == 0, 10, "connections to go")
                self.assertEqual(f.events("deferred"), [])
            arrived = sorted(r for hop in hops.values() for m in hop.messages for r in m["recipients"])
            self.assertEqual(arrived, sorted([f"{s}@x.test" for s in hops] + ["during@x.test"]))
        finally:
            stopped.set()
            for hop in hops.values():
                hop.close()


@unittest.skipUnless(os.path.exists(LIBRARY) and not IS_SANITIZED, "the layer isn't built")
class Clocks(unittest.TestCase):
    HOUR, DAY = 3600 * 1000000, 86400 * 1000000

    def test_that_jump(self):
        """The wall clock goes where it likes: rates, retries and deliveries go
        on as if nothing had been, over restarts too."""
        greylisted = set()

        def rcpt(session, text):
            if "later" in text and text not in greylisted:
                greylisted.add(text)
                return "450 4.2.0 greylisted"
            return "250 2.1.5 Ok"

        n = 0
        text = config_of_clocks()
        with Peer({"rcpt": rcpt}) as peer, FaultyFlyball(text % peer.port) as f:
            for jump in (self.HOUR, -400 * self.DAY, 2 * self.DAY, -self.DAY, 700 * self.DAY, 0):
                n += 1
                with smtplib.SMTP("127.0.0.1", f.port) as c:
                    begun = time.monotonic()
                    for i in range(20):
                        c.sendmail("s@a.test", [f"j{n}x{i}@slow.test"], b"Subject: x\r\n\r\nx\r\n")
                        if i == 3:
                            f.control.clock_us += jump
                    c.sendmail("s@a.test", [f"later{n}@x.test"], b"Subject: x\r\n\r\nx\r\n")
                wait_until(lambda: len(greylisted) == n, 5, "a deferral")
                f.control.clock_us -= 3 * self.DAY  # while it waits for its retry
                if n % 3 == 0:
                    f.stop()
                    f.start()
                wait_until(lambda: len(peer.messages) == 21 * n, 15, f"all mail after jump {n}")
                # 20 at 20/s and a burst of 5; a day that passes grants nothing.
                self.assertGreater(time.monotonic() - begun, 0.5)
                wait_until(lambda: f.n_queued() == 0, 5, "the queue to drain")
            self.assertEqual(f.events("expired") + f.events("bounced"), [])

    def test_that_slept(self):
        """A machine that was suspended goes on."""
        with Peer() as peer, FaultyFlyball(config_of_clocks() % peer.port) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                for i in range(3):
                    f.control.slept_us += self.HOUR
                    f.control.clock_us += self.HOUR
                    c.sendmail("s@a.test", [f"x{i}@slow.test"], b"Subject: x\r\n\r\nx\r\n")
                    wait_until(lambda: len(peer.messages) == i + 1, 10, "the mail")
                    time.sleep(0.6)  # it looks once in half a second


def config_of_clocks():
    return """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
providers:
  slow: {domains: [slow.test], rate: 20/s, burst: 5}
  other: {rate: unlimited}
spool: {retry: {first: 500ms, factor: 1, max: 500ms}}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none}
"""


if __name__ == "__main__":
    unittest.main()
