# SPDX-License-Identifier: ISC
"""The watch over blocklists, with a name server of the tests' own."""

import time
import unittest

from dns_server import DnsServer
from harness import Flyball, Peer, wait_until
from test_delivery import send

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
dns: {servers: ["%s"], mx: no, timeout: 1s}
blocklists: {zones: [zen.test, dbl.test], every: 1s, on_listed: %s}
routes:
  ip-a: {next_hop: "127.0.0.1:%d", tls: none, address: 192.0.2.10}
  ip-b: {next_hop: "127.0.0.1:%d", tls: none, address: "2001:db8::5"}
streams:
  default: {routes: [ip-a, ip-b]}
senders: {news.test: {plan: cautious}}
"""
A = "10.2.0.192.zen.test"
B = "5." + "0." * 23 + "8.b.d.0.1.0.0.2.zen.test"
LISTED = {"A": ["127.0.0.2"], "TXT": ["see https://zen.test/192.0.2.10"]}
ZONES = {"zen.test": {}, "dbl.test": {}}


def alerts(f, state):
    return [e for e in f.events("alert") if e["alert"] == "blocklist" and e["state"] == state]


def pauses(f):
    return {p["name"]: p["because"] for p in f.ctl("status")["pauses"]}


class Blocklists(unittest.TestCase):
    def setUp(self):
        self.dns = DnsServer(dict(ZONES))
        self.addCleanup(self.dns.close)
        self.peer = Peer()
        self.addCleanup(self.peer.close)

    def flyball(self, action="pause"):
        return Flyball(CONFIG % (self.dns.address, action, self.peer.port, self.peer.port))

    def test_listed_paused_delisted_resumed(self):
        with self.flyball() as f:
            wait_until(lambda: self.dns.n_asked(A, "A") and self.dns.n_asked(B, "A")
                       and self.dns.n_asked("news.test.dbl.test", "A"), 5, "the first look")
            self.assertEqual(f.events("alert"), [])
            self.dns.set(A, LISTED)
            alert = wait_until(lambda: alerts(f, "listed"), 5, "the alert")[0]
            self.assertEqual((alert["route"], alert["subject"], alert["zone"], alert["answer"]),
                             ("ip-a", "192.0.2.10", "zen.test", "127.0.0.2"))
            self.assertEqual(pauses(f), {"ip-a": "listed by zen.test: see https://zen.test/192.0.2.10"})
            send(f, "a@app.test", ["x@else.test"])
            wait_until(lambda: [e for e in f.events("delivered") if e["route"] == "ip-b"], 5, "mail by the other route")
            self.dns.remove(A)
            wait_until(lambda: alerts(f, "delisted"), 5, "the end of it")
            self.assertEqual(pauses(f), {})

    def test_kept_over_a_restart(self):
        self.dns.set(A, LISTED)
        with self.flyball() as f:
            wait_until(lambda: pauses(f), 5, "the pause")
            f.stop()
            n = self.dns.n_asked(A, "A")
            f.start()
            wait_until(lambda: self.dns.n_asked(A, "A") > n + 1, 6, "another look")
            self.assertEqual(list(pauses(f)), ["ip-a"])
            self.assertEqual(len(alerts(f, "listed")), 1)
            self.dns.remove(A)
            wait_until(lambda: not pauses(f), 5, "the resumption")

    def test_who_else_pauses_and_resumes(self):
        """What the operator says goes before the watch."""
        with self.flyball() as f:
            f.ctl("pause", "route", "ip-a", "because", "moving")
            self.dns.set(A, LISTED)
            self.dns.set(B, LISTED)
            wait_until(lambda: len(alerts(f, "listed")) == 2, 5, "both listed")
            self.assertEqual(pauses(f)["ip-a"], "moving")
            f.ctl("resume", "route", "ip-b")
            n = self.dns.n_asked(B, "A")
            wait_until(lambda: self.dns.n_asked(B, "A") > n + 1, 5, "another look")
            self.assertEqual(pauses(f), {"ip-a": "moving"})
            self.dns.remove(A)
            wait_until(lambda: alerts(f, "delisted"), 5, "one delisted")
            self.assertEqual(pauses(f), {"ip-a": "moving"})

    def test_a_refused_resolver_is_no_listing(self):
        self.dns.set(A, {"A": ["127.255.255.254"], "TXT": ["Error: open resolver"]})
        with self.flyball() as f:
            alert = wait_until(lambda: alerts(f, "refused"), 5, "the warning")[0]
            self.assertEqual(alert["answer"], "127.255.255.254")
            n = self.dns.n_asked(A, "A")
            wait_until(lambda: self.dns.n_asked(A, "A") > n + 1, 5, "another look")
            self.assertEqual(len(alerts(f, "refused")), 1)
            self.assertEqual((alerts(f, "listed"), pauses(f)), ([], {}))

    def test_a_sender_domain(self):
        self.dns.set("news.test.dbl.test", {"A": ["127.0.1.2"]})
        with self.flyball() as f:
            alert = wait_until(lambda: alerts(f, "listed"), 5, "the alert")[0]
            self.assertEqual((alert["sender"], alert["zone"]), ("news.test", "dbl.test"))
            self.assertEqual(pauses(f), {"news.test": "listed by dbl.test: 127.0.1.2"})

    def test_alert_alone_and_a_name_server_that_fails(self):
        self.dns.set(A, LISTED)
        with self.flyball("alert") as f:
            wait_until(lambda: alerts(f, "listed"), 5, "the alert")
            self.assertEqual(pauses(f), {})
            self.dns.set(A, "servfail")
            n = self.dns.n_asked(A, "A")
            wait_until(lambda: self.dns.n_asked(A, "A") > n + 2, 8, "more looks")
            time.sleep(0.2)
            self.assertEqual(alerts(f, "delisted"), [])

    def test_no_longer_watched(self):
        self.dns.set(A, LISTED)
        with self.flyball() as f:
            wait_until(lambda: pauses(f), 5, "the pause")
            f.configure((CONFIG % (self.dns.address, "pause", self.peer.port, self.peer.port)).replace("zen.test, ", ""))
            f.ctl("reload")
            self.assertEqual(pauses(f), {})


if __name__ == "__main__":
    unittest.main()
