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
import time
import unittest

from fault import LIBRARY, FaultyFlyball
from harness import IS_SANITIZED, PATIENCE, Flyball, Peer, certificate, wait_until

TIMEOUTS = "{greeting: 500ms, command: 500ms, mail: 500ms, rcpt: 500ms, data: 500ms, data_block: 500ms, data_done: 500ms}"

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


if __name__ == "__main__":
    unittest.main()
