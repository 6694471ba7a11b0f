# SPDX-License-Identifier: ISC
"""flyballctl doctor, with next hops and a name server of the tests' own."""

import json
import os
import socket
import ssl
import struct
import subprocess
import threading
import unittest
import unittest.mock

from dns_server import DnsServer
from harness import FLYBALLCTL, Flyball, Peer, TempDir, certificate, free_port, wait_until

CONFIG = """
daemon: {hostname: relay.test, state_dir: %(dir)s, event_log: "", admin_socket: {path: %(dir)s/sock}}
dns: {servers: ["%(dns)s"], timeout: 1s, mx: no}
blocklists: {zones: [zen.test]}
spool: {min_free: 0, max_bytes: 1MiB}
limits: {sessions: 100}
routes:
  out: {next_hop: "127.0.0.1:%(port)d", tls: %(tls)s, address: 192.0.2.10%(route)s}
senders:
  news.test: {dkim: [s1]}
%(more)s
"""


def rsa_key(bits):
    pem = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}"],
                         capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubout"], input=pem, capture_output=True, check=True).stdout
    return "".join(der.decode().splitlines()[1:-1])


KEY = rsa_key(2048)
SHORT_KEY = rsa_key(512)


def zone():
    return {
        "10.2.0.192.in-addr.arpa": {"PTR": ["out.relay.test"]},
        "out.relay.test": {"A": ["192.0.2.9", "192.0.2.10"]},
        "news.test": {"TXT": ["other", "v=spf1 include:_spf.test -all"], "MX": [(10, "in.news.test")]},
        "_spf.test": {"TXT": ["v=spf1 ip4:192.0.2.0/28 -all"]},
        "s1._domainkey.news.test": {"TXT": [f"v=DKIM1; k=rsa; p={KEY}"]},
        "_dmarc.news.test": {"TXT": ["v=DMARC1; p=reject; rua=mailto:d@news.test"]},
        "zen.test": {},
    }


class Doctor(unittest.TestCase):
    def setUp(self):
        self.dns = DnsServer(zone())
        self.addCleanup(self.dns.close)
        self.tmp = TempDir()
        self.addCleanup(self.tmp.remove)

    def run_doctor(self, port, tls="none", route="", more="", json_wanted=True):
        path = self.tmp.file("f.yaml", CONFIG % dict(
            dir=self.tmp.path, dns=self.dns.address, port=port, tls=tls, route=route, more=more))
        command = [FLYBALLCTL, "doctor", "-c", path] + (["--json"] if json_wanted else [])
        p = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return (p.returncode, json.loads(p.stdout)) if json_wanted else (p.returncode, p.stdout)

    def of(self, report, subject):
        return {f["finding"]: f for f in report["findings"] if f["subject"] == subject}

    def test_all_is_well(self):
        with Peer() as peer:
            status, report = self.run_doctor(peer.port)
            bad = [f for f in report["findings"] if f["level"] in ("warn", "fail") and f["subject"] != "clock"]
            self.assertEqual(bad, [])
            self.assertIn(status, (0, 4))
            self.assertEqual(status, 4 if report["worst"] == "warn" else 0)
            route = self.of(report, "route out")
            self.assertEqual(set(route), {"the next hop answers and offers all that is used", "its name leads back to it",
                                          "isn't on a blocklist"})
            sender = self.of(report, "sender news.test")
            self.assertEqual(set(sender), {"SPF passes", "a DKIM key is published", "DMARC is published", "takes mail",
                                           "isn't on a blocklist"})
            self.assertIn("2048 bits", sender["a DKIM key is published"]["evidence"])
            self.assertIn("aligned: SPF, DKIM", sender["DMARC is published"]["evidence"])
            self.assertEqual(set(self.of(report, "disk")), {"has room"})

    def test_what_is_wrong_and_how_to_mend_it(self):
        self.dns.remove("10.2.0.192.in-addr.arpa")
        self.dns.set("news.test", {"TXT": ["v=spf1 ip4:198.51.100.1 -all"], "MX": [(0, ".")]})
        self.dns.remove("s1._domainkey.news.test")
        self.dns.set("10.2.0.192.zen.test", {"A": ["127.0.0.2"], "TXT": ["see zen.test"]})
        status, report = self.run_doctor(free_port())
        self.assertEqual((status, report["worst"]), (1, "fail"))
        route, sender = self.of(report, "route out"), self.of(report, "sender news.test")
        for found, what, fix in (
                (route, "the next hop can't be reached", "firewall"), (route, "has no reverse name", "PTR"),
                (route, "is on a blocklist", "take it off"), (sender, "SPF doesn't allow a route's address", "ip4:192.0.2.10"),
                (sender, "a DKIM key isn't published", "TXT"), (sender, "takes no mail", "null MX"),
                (sender, "DMARC will have its mail refused: neither SPF nor DKIM aligns", "mend SPF")):
            self.assertIn(what, found)
            self.assertEqual(found[what]["level"], "fail")
            self.assertIn(fix, found[what]["fix"])
            self.assertTrue(found[what]["evidence"])

    def test_half_right(self):
        self.dns.set("out.relay.test", {"A": ["192.0.2.9"]})
        self.dns.set("s1._domainkey.news.test", {"TXT": [f"v=DKIM1; p={SHORT_KEY}"]})
        self.dns.remove("_dmarc.news.test")
        self.dns.set("news.test", {"A": ["192.0.2.80"]})
        self.dns.set("10.2.0.192.zen.test", {"A": ["127.255.255.254"]})
        with Peer(ehlo=("SIZE 0",)) as peer:
            status, report = self.run_doctor(peer.port)
        self.assertEqual(status, 1)
        route, sender = self.of(report, "route out"), self.of(report, "sender news.test")
        self.assertEqual(route["its name doesn't lead back to it"]["level"], "fail")
        self.assertIn("PIPELINING", route["the next hop answers, but doesn't offer all that is used"]["evidence"])
        self.assertEqual(route["a blocklist doesn't answer this resolver"]["level"], "warn")
        self.assertIn("512 bits", sender["a DKIM key is too short"]["evidence"])
        self.assertIn("v=spf1 ip4:192.0.2.10 -all", sender["has no SPF record"]["fix"])
        self.assertIn("has no DMARC record", sender)
        self.assertEqual(sender["has no MX record, its own address stands in for it"]["level"], "warn")

    def test_tls(self):
        cert = certificate("hop.test")
        offered = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 0", "STARTTLS")
        with Peer(ehlo=offered, tls=cert) as peer:
            for tls, route, what, level in (
                    ("verify", f", tls_ca: {cert[0]}, tls_name: hop.test", "TLS works, and the name is right", "ok"),
                    ("verify", f", tls_ca: {cert[0]}, tls_name: wrong.test", "TLS with the next hop fails", "fail"),
                    ("required", ", tls_name: wrong.test", "the next hop's certificate is of another name", "warn")):
                _, report = self.run_doctor(peer.port, tls, route)
                self.assertEqual(self.of(report, "route out")[what]["level"], level, (tls, route))
        with Peer() as peer:
            _, report = self.run_doctor(peer.port, "required")
            self.assertEqual(self.of(report, "route out")["the next hop offers no TLS"]["level"], "fail")

    def test_starttls_that_is_offered_and_refused(self):
        offered = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 0", "STARTTLS")
        for reply, evidence in (("454 4.7.0 TLS not available due to local problem", "454 4.7.0 TLS"), (None, "no answer")):
            with Peer({"starttls": reply}, ehlo=offered, tls=certificate()) as peer:
                for tls, level in (("opportunistic", "warn"), ("required", "fail")):
                    _, report = self.run_doctor(peer.port, tls)
                    found = self.of(report, "route out")["the next hop offers TLS and then refuses it"]
                    self.assertEqual(found["level"], level)
                    self.assertIn(evidence, found["evidence"])

    def test_refused_and_hostile_next_hops(self):
        for banner, what in (("554 5.7.1 go away \x1b[31m\xff", "the next hop refuses us"),):
            with Peer({"banner": banner}) as peer:
                status, report = self.run_doctor(peer.port)
                finding = self.of(report, "route out")[what]
                self.assertEqual((status, finding["level"]), (1, "fail"))
                self.assertNotIn("\x1b", finding["evidence"])
                status, text = self.run_doctor(peer.port, json_wanted=False)
                self.assertEqual(status, 1)
                self.assertIn("fail  route out: the next hop refuses us", text)
                self.assertIn("      fix: let this machine in", text)
                self.assertNotIn("\x1b", text)

    def test_a_next_hop_that_hangs_up_within_tls(self):
        def serve():
            client, _ = server.accept()
            client.sendall(b"220 x\r\n")
            client.recv(1000)
            client.sendall(b"250-x\r\n250 STARTTLS\r\n")
            client.recv(1000)
            client.sendall(b"220 go\r\n")
            with context.wrap_socket(client, server_side=True) as tls:
                tls.recv(1000)
                tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate())
        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=serve)
            thread.start()
            status, report = self.run_doctor(server.getsockname()[1], tls="required")
            thread.join()
        self.assertGreaterEqual(status, 0)  # not by a signal
        self.assertTrue(self.of(report, "route out"))

    def fake_daemon(self, **log):
        """Answers as one that reads a log of that state."""
        server = socket.socket(socket.AF_UNIX)
        server.bind(os.path.join(self.tmp.path, "sock"))
        server.listen()
        answers = {"status": {"pid": os.getpid(), "logs": [log]}, "forecast": []}

        def serve():
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client, client.makefile("rw") as f:
                    for line in f:
                        f.write(json.dumps({"ok": True, "result": answers[line.strip()]}) + "\n")
                        f.flush()
        threading.Thread(target=serve, daemon=True).start()

        def stop():
            server.shutdown(socket.SHUT_RDWR)
            server.close()
            os.unlink(os.path.join(self.tmp.path, "sock"))
        return stop

    def test_a_log_that_says_nothing(self):
        log = self.tmp.file("mail.log", "x\n")
        with Peer() as peer:
            for state, what, level in (
                    ({"line_ms": 500, "heard_ms": 700}, "is alive", "ok"),
                    ({}, "is alive", "ok"),
                    ({"line_ms": 5000, "unheard_ms": 59000}, "is alive", "ok"),
                    ({"line_ms": 500, "unheard_ms": 61000, "heard_ms": 90000},
                     "its lines tell nothing of the mail that was handed over", "fail"),
                    ({"line_ms": 90000, "unheard_ms": 61000}, "is silent, though mail was handed over", "fail"),
                    ({"unheard_ms": 61000}, "is silent, though mail was handed over", "fail"),
                    ({"broken": "No such file"}, "the daemon can't read it", "fail")):
                stop = self.fake_daemon(log=f"postfix {log}", foreign=0, **state)
                status, report = self.run_doctor(peer.port, more="feedback: {postfix_log: {path: %s}}" % log)
                stop()
                found = self.of(report, f"postfix_log {log}")
                self.assertEqual(found[what]["level"], level, (state, found))
                self.assertEqual(found["is written"]["level"], "ok")
                self.assertEqual(status, 1 if level == "fail" else status)

    def test_the_unit_whose_journal_is_read(self):
        """A systemctl of the test's own, as no systemd runs here."""
        bin_dir = os.path.join(self.tmp.path, "bin")
        os.mkdir(bin_dir)
        for code, what, level in ((0, "its unit is active", "ok"),
                                  (3, "no unit that may write it is active", "warn"),
                                  (4, "no unit that may write it is active", "warn"),
                                  (1, "whether its unit is active can't be told", "note")):
            script = self.tmp.file("bin/systemctl", f'#!/bin/sh\n[ "$*" = "is-active -- mine.service" ] || exit 9\n'
                                                    f'exit {code}\n', 0o755)
            with Peer() as peer, unittest.mock.patch.dict(os.environ, PATH=f"{bin_dir}:{os.environ['PATH']}"):
                _, report = self.run_doctor(
                    peer.port, more="feedback: {postfix_log: {journal: yes, unit: mine.service}}")
            self.assertEqual(self.of(report, "postfix_log journal")[what]["level"], level)
            os.unlink(script)

    def test_logs_and_usage(self):
        log = self.tmp.file("mail.log", "x\n")
        with Peer() as peer:
            for path, what, level in ((log, "is written", "ok"), ("/nonexistent/mail.log", "can't be read", "fail")):
                status, report = self.run_doctor(peer.port, more="feedback: {postfix_log: {path: %s}}" % path)
                self.assertEqual(self.of(report, f"postfix_log {path}")[what]["level"], level)
            self.assertEqual(status, 1)
        for words, wanted in ((["doctor", "-x"], 2), (["doctor", "-c", "/nonexistent"], 1)):
            self.assertEqual(subprocess.run([FLYBALLCTL, *words], capture_output=True).returncode, wanted)

    def test_the_queue_of_a_running_daemon(self):
        import smtplib
        config = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
dns: {servers: ["%s"], mx: no}
spool: {expire: 1h}
providers:
  gmail: {rate: 1/day}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none}
"""
        with Peer() as peer, Flyball(config % (self.dns.address, peer.port)) as f:
            for i in range(4):
                with smtplib.SMTP("127.0.0.1", f.port) as c:
                    c.sendmail("a@app.test", [f"x{i}@gmail.com"], b"Subject: x\r\n\r\nx\r\n")
            wait_until(lambda: f.n_queued() == 3, 5, "three that wait")
            p = subprocess.run([FLYBALLCTL, "--json", "doctor", "-c", f.config_path], capture_output=True, text=True, timeout=60)
            self.assertEqual(p.returncode, 1)
            found = self.of(json.loads(p.stdout), "lane out/gmail")
            self.assertIn("3 recipients", found["its queue won't have left before it expires"]["evidence"])


if __name__ == "__main__":
    unittest.main()
