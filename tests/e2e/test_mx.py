# SPDX-License-Identifier: ISC
"""Domains that no provider names go where their MX hosts are. The name server
is the tests' own."""

import email
import time
import unittest

from dns_server import DnsServer, closed_server
from harness import Flyball, Peer, wait_until
from test_delivery import send

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
dns: {servers: ["%s"], timeout: %s}
providers:
  other: {rate: unlimited, connections: 20}
  gmail: {rate: unlimited}
  mine: {domains: [mine.test], mx: [mx.mine.test], rate: unlimited}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none}
"""


def config(dns, peer, timeout="5s"):
    return CONFIG % (getattr(dns, "address", dns), timeout, peer.port)


def delivered(f, recipient):
    return wait_until(lambda: [e for e in f.events("delivered") if e["recipient"] == recipient],
                      10, f"{recipient} delivered")[0]


def lanes(f):
    return sorted(lane["lane"] for lane in f.ctl("lanes"))


ZONE = {
    "hosted.test": {"MX": [(1, "aspmx.l.google.com"), (5, "alt1.aspmx.l.google.com")]},
    "customer.test": {"MX": [(20, "backup.example.net"), (10, "in7.mx.mine.test")]},
    "one.test": {"MX": [(10, "mx2.hoster.test"), (10, "mx1.hoster.test")]},
    "two.test": {"MX": [(10, "mx1.hoster.test"), (10, "mx2.hoster.test")]},
    "alias.test": {"CNAME": ["one.test"]},
    "alone.test": {"A": ["192.0.2.1"]},
    "null.test": {"MX": [(0, ".")]},
    "broken.test": "servfail",
    "mute.test": "silent",
}


class Sorted(unittest.TestCase):
    def test_domains_that_take_no_mail_make_a_list_dirty(self):
        """A list full of them stops as one full of unknown users does."""
        health = "list_health: {bounced: 8%, sample: 4}\n"
        with Peer() as peer, DnsServer(ZONE) as dns, Flyball(health + config(dns, peer)) as f:
            # The DSNs go to an address that is nobody's: that isn't the list's fault.
            send(f, "a@app.test", ["x@gone.test", "x@null.test"])
            wait_until(lambda: len(f.events("bounced")) == 4, 10, "both and their DSNs")
            self.assertEqual(f.events("list"), [])
            send(f, "a@app.test", ["y@gone.test", "y@null.test"])  # what is known
            wait_until(lambda: len(f.events("bounced")) == 8, 10, "the rest")
            e = wait_until(lambda: f.events("list"), 5, "a dirty list")[0]
            self.assertEqual((e["name"], e["step"]), ("default", "held"))
            self.assertIn("4 of 4 recipients don't exist", e["why"])
            send(f, "a@app.test", ["z@gmail.com"])
            wait_until(lambda: "list" in str(f.ctl("why", "out/gmail")), 5, "it being held")
            self.assertEqual([m for m in peer.messages if m["recipients"] == ["z@gmail.com"]], [])
            f.ctl("resume", "stream", "default")
            delivered(f, "z@gmail.com")

    def test_where_domains_belong(self):
        with Peer() as peer, DnsServer(ZONE) as dns, Flyball(config(dns, peer)) as f:
            send(f, "a@app.test", [f"x@{d}" for d in ("hosted.test", "customer.test", "one.test", "two.test",
                                                      "alias.test", "alone.test", "broken.test", "MINE.test")])
            for domain, provider in (("hosted.test", "gmail"), ("customer.test", "mine"), ("one.test", "other"),
                                     ("two.test", "other"), ("alone.test", "other"), ("broken.test", "other"),
                                     ("MINE.test", "mine")):
                self.assertEqual(delivered(f, f"x@{domain}")["provider"], provider, domain)
            delivered(f, "x@alias.test")
            self.assertEqual(lanes(f), ["out/gmail", "out/mine", "out/other:alone.test", "out/other:broken.test",
                                        "out/other:hoster.test"])
            self.assertEqual(dns.n_asked("mine.test", "MX"), 0)
            # The second time nothing is asked, and it is known at submission.
            send(f, "a@app.test", ["y@hosted.test", "y@two.test"])
            delivered(f, "y@hosted.test")
            delivered(f, "y@two.test")
            self.assertEqual(dns.n_asked("hosted.test", "MX"), 1)
            self.assertEqual([e["provider"] for e in f.events("accepted") if e["recipient"] == "y@hosted.test"], ["gmail"])

    def test_in_order_and_before_it_leaves(self):
        """A hundred messages to a slow domain: none leaves by its own site."""
        with Peer() as peer, DnsServer(ZONE) as dns, Flyball(config(dns, peer)) as f:
            dns.delay = 0.5
            for i in range(100):
                send(f, "a@app.test", ["x@hosted.test"], b"Subject: %d\r\n\r\nx\r\n" % i)
            wait_until(lambda: len(peer.messages) == 100, 10, "all of them")
            self.assertEqual({e["provider"] for e in f.events("delivered")}, {"gmail"})
            self.assertEqual(lanes(f), ["out/gmail"])
            self.assertEqual(dns.n_asked("hosted.test", "MX"), 1)

    def test_nowhere_to_go(self):
        with Peer() as peer, DnsServer(ZONE) as dns, Flyball(config(dns, peer)) as f:
            for round in range(2):
                send(f, "a@mine.test", ["x@null.test"])
                send(f, "a@mine.test", ["x@gone.test"])
                n = (round + 1) * 2
                wait_until(lambda: len(peer.messages) == n, 10, "the DSNs")
            self.assertEqual({m["sender"] for m in peer.messages}, {""})
            texts = [email.message_from_bytes(m["data"]).get_payload()[1].as_string() for m in peer.messages]
            self.assertEqual(sum("Status: 5.1.10" in t and "null.test" in t for t in texts), 2)
            self.assertEqual(sum("Status: 5.1.2\n" in t and "gone.test" in t for t in texts), 2)
            bounced = f.events("bounced")
            self.assertEqual(sorted((e["recipient"], e["enhanced"], e["class"], e["blame"]) for e in bounced),
                             2 * [("x@gone.test", "5.1.2", "bad-domain", "recipient_domain")]
                             + 2 * [("x@null.test", "5.1.10", "bad-domain", "recipient_domain")])
            self.assertEqual(dns.n_asked("null.test", "MX"), 1)
            wait_until(lambda: f.n_queued() == 0, 5, "an empty queue")

    def test_remembered_over_a_restart(self):
        with Peer() as peer, DnsServer(ZONE) as dns, Flyball(config(dns, peer)) as f:
            send(f, "a@app.test", ["x@hosted.test", "x@two.test"])
            delivered(f, "x@hosted.test")
            delivered(f, "x@two.test")
            f.stop()
            f.start()
            dns.set("hosted.test", "silent")
            dns.set("two.test", "silent")
            send(f, "a@app.test", ["z@hosted.test", "z@two.test"])
            self.assertEqual(delivered(f, "z@hosted.test")["provider"], "gmail")
            delivered(f, "z@two.test")
            self.assertEqual((dns.n_asked("hosted.test", "MX"), dns.n_asked("two.test", "MX")), (1, 1))

    def test_asked_anew_when_its_time_is_over(self):
        with Peer() as peer, DnsServer(ZONE, ttl=1) as dns, Flyball(config(dns, peer)) as f:
            send(f, "a@app.test", ["1@hosted.test"])
            self.assertEqual(delivered(f, "1@hosted.test")["provider"], "gmail")
            dns.set("hosted.test", {"MX": [(1, "mx1.hoster.test")]})

            def moved():
                moved.n += 1
                send(f, "a@app.test", [f"m{moved.n}@hosted.test"])
                return delivered(f, f"m{moved.n}@hosted.test")["provider"] == "other"
            moved.n = 1
            wait_until(moved, 10, "the new MX to count")
            # A domain that comes back to life isn't bounced on old grounds.
            send(f, "a@mine.test", ["1@gone.test"])
            wait_until(lambda: f.events("bounced"), 10, "the bounce")
            dns.set("gone.test", {"MX": [(1, "mx1.hoster.test")]})
            time.sleep(1.2)  # its time to live
            send(f, "a@app.test", ["2@gone.test"])
            delivered(f, "2@gone.test")


class NoHelp(unittest.TestCase):
    def test_mail_goes_on_without_name_servers(self):
        with Peer() as peer, Flyball(config(closed_server(), peer)) as f:
            start = time.monotonic()
            send(f, "a@app.test", ["x@hosted.test"])
            self.assertEqual(delivered(f, "x@hosted.test")["provider"], "other")
            self.assertLess(time.monotonic() - start, 4)

    def test_a_mute_server_costs_the_timeout_once(self):
        with Peer() as peer, DnsServer(ZONE) as dns, Flyball(config(dns, peer, "1s")) as f:
            start = time.monotonic()
            send(f, "a@app.test", ["x@mute.test"])
            delivered(f, "x@mute.test")
            self.assertGreater(time.monotonic() - start, 0.9)
            for name in ("m2.test", "m3.test", "m4.test"):
                dns.set(name, "silent")
            start = time.monotonic()
            send(f, "a@app.test", ["x@m2.test", "x@m3.test", "x@m4.test"])
            for name in ("m2.test", "m3.test", "m4.test"):
                delivered(f, f"x@{name}")
            self.assertLess(time.monotonic() - start, 0.9)
            self.assertGreater(dns.n_asked("m2.test", "MX"), 0)

    def test_others_dont_wait(self):
        """While one domain's answer is out, and a session's is immediate."""
        with Peer() as peer, DnsServer(ZONE) as dns, Flyball(config(dns, peer, "5s")) as f:
            start = time.monotonic()
            send(f, "a@app.test", ["x@mute.test", "x@one.test"])
            self.assertLess(time.monotonic() - start, 2)
            delivered(f, "x@one.test")
            self.assertLess(time.monotonic() - start, 3)
            self.assertEqual([m for m in peer.messages if "x@mute.test" in m["recipients"]], [])
            waiting = f.ctl("queue")[0]["message"]
            self.assertIn("The MX hosts of mute.test are being looked up", str(f.ctl("why", waiting)))

    def test_switched_off(self):
        with Peer() as peer, DnsServer(ZONE) as dns:
            off = config(dns, peer).replace("dns: {", "dns: {mx: no, ")
            with Flyball(off) as f:
                send(f, "a@app.test", ["x@hosted.test", "x@null.test"])
                self.assertEqual(delivered(f, "x@hosted.test")["provider"], "other")
                delivered(f, "x@null.test")
                self.assertEqual(dns.queries, [])
                # And on again, while it runs.
                f.configure(config(dns, peer))
                f.ctl("reload")
                send(f, "a@app.test", ["y@hosted.test"])
                self.assertEqual(delivered(f, "y@hosted.test")["provider"], "gmail")


if __name__ == "__main__":
    unittest.main()
