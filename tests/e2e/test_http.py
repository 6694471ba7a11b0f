# SPDX-License-Identifier: ISC
"""The HTTP port as monitoring and browsers meet it: health, metrics, what is
refused, and that whoever looks can't stand in the way of the mail."""

import http.client
import json
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import time
import unittest

from harness import FLYBALLCTL, Flyball, Peer, wait_until

CONFIG = """
daemon:
  hostname: relay.test
  workers: 2
  state_dir: "{dir}/state"
  admin_socket: {path: "{dir}/admin.sock"}
  event_log: "{dir}/events.jsonl"
  drain_timeout: 5s
  http: {listen: "127.0.0.1:{port2}"}
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
routes:
  ip-a: {next_hop: "127.0.0.1:PEER", tls: none}
"""

LINE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*)\})? (-?[0-9.]+)$')


def ask(port, path, method="GET", headers=None, body=None):
    """(status, headers, text) of one request."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read().decode()
    finally:
        c.close()


def metrics(port):
    """{(name, labels): value} of /metrics, each line checked."""
    status, headers, text = ask(port, "/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4"), headers
    out, typed = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split(" ")[2])
        if line.startswith("#"):
            continue
        m = LINE.match(line)
        assert m, line
        name = re.sub(r"_(bucket|sum|count)$", "", m.group(1))
        assert name in typed or m.group(1) in typed, line
        key = (m.group(1), m.group(2) or "")
        assert key not in out, line
        out[key] = float(m.group(3))
    return out


def send(port, *recipients):
    with smtplib.SMTP("127.0.0.1", port) as s:
        return s.sendmail("a@shop.test", list(recipients), "Subject: x\r\n\r\nhi\r\n")


def lane(provider, site="", more=""):
    return f'route="ip-a",provider="{provider}",site="{site}"' + more


class Http(unittest.TestCase):
    def daemon(self, peer, config=CONFIG, **kw):
        return Flyball(config.replace("PEER", str(peer.port)), **kw)

    def test_health_and_headers(self):
        with Peer() as peer, self.daemon(peer) as f:
            for path in ("/healthz", "/readyz"):
                self.assertEqual(ask(f.port2, path)[::2], (200, "ok\n"))
            headers = ask(f.port2, "/healthz")[1]
            self.assertIn("default-src 'none'", headers["content-security-policy"])
            self.assertNotIn("unsafe", headers["content-security-policy"])
            self.assertEqual(headers["x-content-type-options"], "nosniff")
            self.assertEqual(headers["referrer-policy"], "no-referrer")
            self.assertEqual(headers["cache-control"], "no-store")
            self.assertNotIn("access-control-allow-origin", headers)
            self.assertEqual(ask(f.port2, "/healthz", "HEAD")[::2], (200, ""))
            self.assertEqual(ask(f.port2, "/metrics", "HEAD")[::2], (200, ""))
            self.assertEqual(ask(f.port2, "/nothing")[0], 404)
            self.assertEqual(ask(f.port2, "/healthz/../metrics")[0], 404)

    def test_nothing_can_be_changed(self):
        with Peer() as peer, self.daemon(peer) as f:
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
                for path in ("/", "/metrics", "/healthz", "/api/status"):
                    status, headers, _ = ask(f.port2, path, method, body="pause route ip-a" if method == "POST" else None)
                    self.assertEqual((method, status), (method, 405))
                    self.assertEqual(headers["allow"], "GET, HEAD")
            self.assertEqual(f.ctl("status")["pauses"], [])

    def test_other_names_are_refused(self):
        with Peer() as peer, self.daemon(peer) as f:
            for host, status in [("[", 421), ("[::1", 421), ("localhost", 200), (f"127.0.0.1:{f.port2}", 200), ("[::1]:99", 200), ("LocalHost:1", 200),
                                 ("evil.example", 421), ("localhost.evil.example", 421), ("127.0.0.1.evil.example", 421),
                                 ("127.0.0.1@evil.example", 421), ("", 421), ("[::2]", 421), ("0x7f.1", 421)]:
                self.assertEqual((host, ask(f.port2, "/metrics", headers={"Host": host})[0]), (host, status))
            self.assertEqual(ask(f.port2, "http://evil.example/metrics", headers={"Host": "localhost"})[0], 421)

    def test_metrics_tell_what_happened(self):
        replies = {"rcpt": lambda s, a: '550 5.1.1 No such "user"' if "bad" in a else
                   "450 4.2.0 Greylisted" if "grey" in a else "250 ok"}
        with Peer(replies) as peer, self.daemon(peer) as f:
            send(f.port, "good@gmail.com", "bad@gmail.com", "grey@example.net")
            wait_until(lambda: metrics(f.port2)[("flyball_lane_deferred_recipients_total", lane("other", "example.net"))] == 1,
                       what="the deferral")
            wait_until(lambda: metrics(f.port2)[("flyball_lane_failed_recipients_total", lane("gmail"))] == 1, what="the bounce")
            m = metrics(f.port2)
            self.assertEqual(m[("flyball_accepted_messages_total", "")], 1)
            self.assertEqual(m[("flyball_lane_delivered_recipients_total", lane("gmail"))], 1)
            self.assertEqual(m[("flyball_lane_failed_recipients_total", lane("gmail"))], 1)
            self.assertEqual(m[("flyball_lane_refused_recipients_total", lane("gmail", more=',class="bad-mailbox"'))], 1)
            self.assertEqual(m[("flyball_lane_refused_recipients_total", lane("other", "example.net", ',class="greylist"'))], 1)
            self.assertEqual(m[("flyball_accept_duration_seconds_count", "")], 1)
            self.assertEqual(m[("flyball_accept_duration_seconds_bucket", 'le="+Inf"')], 1)
            self.assertGreaterEqual(m[("flyball_queue_wait_seconds_count", "")], 2)
            self.assertGreaterEqual(m[("flyball_delivery_duration_seconds_count", "")], 2)
            self.assertGreater(m[("flyball_commit_duration_seconds_count", "")], 0)
            self.assertGreater(m[("flyball_commit_duration_seconds_sum", "")], 0)
            f.ctl("pause", "lane", "ip-a/gmail", "because", "test")
            send(f.port, "good@gmail.com")
            held = ("flyball_lane_held_by", lane("gmail", more=',gate="pause"'))
            wait_until(lambda: held in metrics(f.port2), what="the pause")

    def test_api_says_what_the_admin_socket_says(self):
        with Peer() as peer, self.daemon(peer) as f:
            send(f.port, "a@gmail.com", "b@example.net")
            wait_until(lambda: len(peer.messages) == 2, what="the mail")
            get = lambda path: json.loads(ask(f.port2, path)[2])
            self.assertEqual(get("/api/status")["pid"], f.ctl("status")["pid"])
            self.assertEqual({l["lane"] for l in get("/api/lanes")}, {l["lane"] for l in f.ctl("lanes")})
            self.assertEqual(get("/api/lanes/ip-a/gmail")["lane"], "ip-a/gmail")
            self.assertEqual(get("/api/plans"), f.ctl("plans"))
            self.assertEqual(ask(f.port2, "/api/lanes")[1]["content-type"], "application/json")
            for path in ("/api/lanes/ip-a/nobody", "/api/lanes/ip-a/nobody/history", "/api/drain", "/api/pause", "/api/plans/nothing"):
                self.assertEqual((path, ask(f.port2, path)[0]), (path, 404))

    def test_history_survives(self):
        replies = {"rcpt": lambda s, a: '550-5.1.1 "No"\r\n550 5.1.1 such user' if "bad" in a else "250 ok"}
        with Peer(replies) as peer, self.daemon(peer) as f:
            points = lambda since="1h": json.loads(ask(f.port2, "/api/lanes/ip-a/gmail/history?since=" + since)[2])["points"]
            total = lambda key, since="1h": sum(p[key] for p in points(since))
            send(f.port, "good@gmail.com", "bad@gmail.com")
            wait_until(lambda: total("bounced") == 1, what="the bounce")
            self.assertEqual((total("accepted"), total("delivered")), (2, 1))
            self.assertEqual([p["refused"] for p in points() if p["refused"]], [{"bad-mailbox": 1}])
            f.stop()
            f.start()
            self.assertEqual((total("accepted"), total("delivered"), total("bounced")), (2, 1, 1))
            self.assertIn('550-5.1.1 "No"\n550 5.1.1 such user', [p["reply"] for p in points()])
            send(f.port, "good@gmail.com")
            wait_until(lambda: total("delivered") == 2, what="the second one")
            f.stop()
            f.start()
            for since in ("1h", "10d"):
                self.assertEqual((since, total("accepted", since), total("delivered", since)), (since, 3, 2))
            shown = subprocess.run([FLYBALLCTL, "-s", f.socket, "history", "ip-a/gmail"], capture_output=True, text=True).stdout
            self.assertIn("bad-mailbox 1", shown)

    @unittest.skipUnless(shutil.which("promtool"), "there is no promtool (Debian's prometheus)")
    def test_promtool_has_nothing_to_say(self):
        with Peer() as peer, self.daemon(peer) as f:
            send(f.port, "good@gmail.com", "x@example.net")
            wait_until(lambda: len(peer.messages) == 2, what="the mail")
            p = subprocess.run(["promtool", "check", "metrics"], input=ask(f.port2, "/metrics")[2], text=True, capture_output=True)
            self.assertEqual((p.returncode, p.stdout + p.stderr), (0, ""))

    def test_not_ready_while_draining(self):
        slow = lambda s, a: time.sleep(2) or "250 ok"
        with Peer({"eod": slow}) as peer, self.daemon(peer) as f:
            send(f.port, "a@gmail.com")
            wait_until(lambda: peer.n_open, what="the delivery")
            f.signal(signal.SIGTERM)
            wait_until(lambda: ask(f.port2, "/readyz")[0] == 503, what="unready")
            self.assertIn("draining", ask(f.port2, "/readyz")[2])
            self.assertEqual(ask(f.port2, "/healthz")[0], 200)
            self.assertEqual(f.process.wait(10), 0)
            f.process = None

    def test_not_ready_when_full(self):
        with Peer() as peer, self.daemon(peer, CONFIG + "spool: {max_messages: 1}\n") as f:
            f.ctl("pause", "route", "ip-a")
            send(f.port, "a@gmail.com")
            wait_until(lambda: ask(f.port2, "/readyz")[0] == 503, what="unready")
            self.assertIn("full", ask(f.port2, "/readyz")[2])

    def test_reload_moves_it(self):
        with Peer() as peer, self.daemon(peer) as f:
            with open(f.config_path) as file:
                text = file.read()
            here = f'  http: {{listen: "127.0.0.1:{f.port2}"}}\n'
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                taken.listen()
                f.tmp.file("flyball.yaml", text.replace(here, f'  http: {{listen: "127.0.0.1:{taken.getsockname()[1]}"}}\n'))
                with self.assertRaises(AssertionError):
                    f.ctl("reload")
                self.assertEqual(ask(f.port2, "/healthz")[0], 200)
            f.tmp.file("flyball.yaml", text.replace(here, ""))
            f.ctl("reload")
            with self.assertRaises(OSError):
                ask(f.port2, "/healthz")
            f.tmp.file("flyball.yaml", text)
            f.ctl("reload")
            self.assertEqual(ask(f.port2, "/healthz")[0], 200)

    def test_a_flood_of_connections_leaves_the_mail_alone(self):
        """Idle, dripping and half-closed ones: at most 100 are held, they are
        cut off, and mail goes on meanwhile."""
        with Peer() as peer, self.daemon(peer) as f:
            fds = lambda: len(os.listdir(f"/proc/{f.process.pid}/fd"))
            before = fds()
            flood = []
            for i in range(400):
                s = socket.socket()
                s.setblocking(False)
                s.connect_ex(("127.0.0.1", f.port2))
                flood.append(s)
            for s in flood[::2]:
                try:
                    s.send(b"GET /metrics HTTP/1.1\r\nX-")
                except OSError:
                    pass
            time.sleep(0.5)
            self.assertLess(fds() - before, 130)
            send(f.port, "a@gmail.com")
            wait_until(lambda: peer.messages, what="the mail")
            for s in flood:
                s.close()
            wait_until(lambda: fds() - before < 10, 30, "the connections' end")
            self.assertEqual(ask(f.port2, "/healthz")[0], 200)

    def test_clients_that_go_away(self):
        """In the middle of an answer that is made in steps, with a reset or
        without, and with further requests behind the first."""
        with Peer() as peer, self.daemon(peer) as f:
            send(f.port, "a@gmail.com", *[f"a@s{n}.test" for n in range(300)])
            for i in range(120):
                s = socket.create_connection(("127.0.0.1", f.port2), timeout=10)
                path = ("/metrics", "/api/lanes", "/api/lanes/ip-a/gmail/history", "/")[i % 4]
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * (1 + i % 3))
                if i % 5 == 0:
                    s.recv(100)
                if i % 2:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                s.close()
            self.assertEqual(ask(f.port2, "/healthz")[0], 200)
            self.assertGreaterEqual(len(json.loads(ask(f.port2, "/api/lanes")[2])), 300)

    def test_rubbish(self):
        rubbish = [b"\r\n\r\n", b"GET\r\n\r\n", b"\x00\xff" * 100 + b"\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                   b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n", b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                   b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n", b"GET %2e%2e HTTP/1.1\r\n\r\n",
                   b"GET //healthz HTTP/1.0\r\n\r\n", b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n"]
        with Peer() as peer, self.daemon(peer) as f:
            for line in rubbish:
                with socket.create_connection(("127.0.0.1", f.port2), timeout=10) as s:
                    s.sendall(line)
                    s.shutdown(socket.SHUT_WR)
                    answer = b""
                    while chunk := s.recv(65536):
                        answer += chunk
                    self.assertNotIn(b" 200 ", answer.split(b"\r\n")[0], line)
            self.assertEqual(ask(f.port2, "/healthz")[0], 200)

    def test_watchdog_is_told(self):
        with Peer() as peer:
            f = self.daemon(peer, start=False)
            with f, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
                path = f.tmp.file("notify")
                notify.bind(path)
                notify.settimeout(10)
                f.env = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"}
                f.start()
                seen = [notify.recv(1000) for _ in range(4)]
                self.assertIn(b"READY=1", seen)
                if b"WATCHDOG=1" not in seen:
                    self.fail(f"{seen}")


if __name__ == "__main__":
    unittest.main()
