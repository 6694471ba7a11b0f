# SPDX-License-Identifier: ISC
"""Everything at once: mail in and out, reloads that move routes about, an
operator who asks and changes, peers that hang up; then a drain. Each message
arrives once, and by its own route. Meant for a daemon with a sanitizer too."""

import os
import random
import smtplib
import socket
import ssl
import threading
import time
import unittest

from harness import PATIENCE, Flyball, Peer, certificate, crypt_line, wait_until

SECONDS = float(os.environ.get("FLYBALL_STORM_SECONDS", "4"))


def config(peers, order, rate, more=""):
    """Routes in any order, listeners and streams with them."""
    cert, key = certificate()
    routes = "".join(f'  {name}: {{next_hop: "127.0.0.1:{peers[name].port}", tls: none, '
                     f'connections: {4 + len(order)}}}\n' for name in order)
    streams = "".join(f"  {name}: {{match: {{sender_domain: [{name}.test]}}, routes: [{name}]}}\n"
                      for name in order if name != "spare")
    return f"""
listeners:
  - {{listen: "127.0.0.1:{{port}}", tls: none, auth: none, trusted: [127.0.0.0/8]}}
  - {{listen: "127.0.0.1:{{port2}}", tls: starttls, auth: required}}
tls: {{certificate: {cert}, key: {key}}}
auth: {{users_file: "{{dir}}/users"}}
limits: {{penalty: 0s}}
providers:
  gmail: {{domains: [gmail.com], rate: [{rate}], connections: 6, messages_per_connection: 5}}
  other: {{rate: [unlimited]}}
routes:
{routes}streams:
{streams}  default: {{routes: [a]}}
{more}"""


class Worker(threading.Thread):
    """Does `step` until told to stop; an exception is the test's failure."""

    def __init__(self, step, stop):
        super().__init__(daemon=True)
        self.step, self.stop, self.error = step, stop, None
        self.start()

    def run(self):
        try:
            while not self.stop.is_set():
                self.step()
        except BaseException as e:  # pylint: disable=broad-except
            self.error = e


class Storm(unittest.TestCase):
    def test_reloads_orders_and_mail_at_once(self):
        seed = int(os.environ.get("FLYBALL_SEED", str(random.randrange(1 << 30))))
        print(f"storm: seed {seed}", flush=True)
        hangs_up = random.Random(seed)

        def banner(session, _):
            return None if hangs_up.random() < 0.05 else "220 peer.test ESMTP"
        peers = {name: Peer({"banner": banner}) for name in ("a", "b", "spare")}
        f = Flyball(config(peers, ["a", "b"], "500/s"), files={"users": ""}, start=False)
        f.tmp.file("users", crypt_line("app", "secret") + "\n")
        try:
            f.start()
            self.storm(f, peers, seed)
        finally:
            for p in peers.values():
                p.close()
            f.close()

    def storm(self, f, peers, seed):
        stop = threading.Event()
        accepted, lock, count = {"a": set(), "b": set()}, threading.Lock(), [0]
        context = ssl._create_unverified_context()
        orders = [["a", "b"], ["b", "a"], ["spare", "b", "a"], ["b", "spare", "a"]]
        rnd = random.Random(seed)

        def send(c, n):
            for _ in range(n):
                with lock:
                    count[0] += 1
                    name = f"m{count[0]}"
                route = "ab"[count[0] % 2]
                size = 10 if count[0] % 7 else 90000
                c.sendmail(f"{name}@{route}.test", [f"{name}@{d}" for d in ("gmail.com", "x.test")],
                           b"Subject: x\r\n\r\n" + b"".join(b"y" * 70 + b"\r\n" for _ in range(size // 72 + 1)))
                accepted[route].add(name)

        def plain():
            with smtplib.SMTP("127.0.0.1", f.port, timeout=30) as c:
                send(c, rnd.randrange(1, 6))

        def secure():
            with smtplib.SMTP("127.0.0.1", f.port2, timeout=30) as c:
                c.starttls(context=context)
                c.login("app", "secret")
                send(c, 2)

        def rude():
            with socket.create_connection(("127.0.0.1", rnd.choice((f.port, f.port2))), timeout=30) as s:
                s.sendall(rnd.choice((b"EHLO x\r\nSTARTTLS\r\nxx", b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx",
                                      b"\xff" * 500, b"EHLO x\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\n")))
                if rnd.random() < 0.5:
                    s.recv(100)
            time.sleep(0.02)

        def reload():
            f.configure(config(peers, rnd.choice(orders), rnd.choice(("500/s", "900/s", "unlimited"))))
            f.ctl("reload")
            time.sleep(0.05)

        def ask():
            for words in (("status",), ("lanes",), ("queue", "limit", "20"), ("pause", "stream", "a", "for", "50ms"),
                          ("resume", "stream", "a"), ("suppress", "list"), ("queue", "where", "sender=*@b.test", "limit", "5")):
                f.ctl(*words, check=False)

        def follow():
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(f.socket)
                s.sendall(b"events follow\n")
                for _ in range(20):
                    if not s.recv(4096):
                        break

        workers = [Worker(step, stop) for step in (plain, plain, secure, rude, reload, ask, follow)]
        time.sleep(SECONDS * min(PATIENCE, 2))
        stop.set()
        for w in workers:
            w.join(60)
        self.assertEqual([repr(w.error) for w in workers if w.error], [])
        f.ctl("resume", "stream", "a", check=False)
        wait_until(lambda: f.n_queued() == 0, 60, "the queue to drain")
        for route in "ab":
            got = {}
            for m in peers[route].messages:
                for r in m["recipients"]:
                    got[r] = got.get(r, 0) + 1
                self.assertTrue(m["sender"].endswith(f"@{route}.test"), f"{m['sender']} by {route}")
            want = {f"{n}@{d}" for n in accepted[route] for d in ("gmail.com", "x.test")}
            self.assertEqual(want - set(got), set(), "lost")
            self.assertEqual({r: n for r, n in got.items() if n > 1}, {}, "twice")
        self.assertEqual(peers["spare"].messages, [])
        print(f"storm: {count[0]} messages", flush=True)


if __name__ == "__main__":
    unittest.main()
