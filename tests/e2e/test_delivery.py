# SPDX-License-Identifier: ISC
"""Mail goes out: next hops that refuse, stall, hang up, lie."""

import email
import smtplib
import time
import unittest

from harness import Flyball, Peer, certificate, free_port, wait_until

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
providers:
  other: {rate: unlimited, connections: 20}
  gmail: {rate: unlimited}
spool: {retry: {first: 500ms, factor: 1, max: 500ms, jitter: 0%%}%s}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none, backoff: {first: 300ms, max: 600ms}%s}
"""


def config(port, route="", spool=""):
    return CONFIG % (spool, port, route)


def send(flyball, sender, recipients, content=b"Subject: x\r\n\r\nbody\r\n", options=(), rcpt_options=()):
    with smtplib.SMTP("127.0.0.1", flyball.port) as c:
        return c.sendmail(sender, recipients, content, options, rcpt_options)


class Replies(unittest.TestCase):
    def test_each_recipient_has_its_own_fate(self):
        def rcpt(session, text):
            if "full" in text:
                return "452 4.2.2 mailbox full"
            if "nobody" in text:
                return "550 5.1.1 no such user here"
            return "250 2.1.5 Ok"
        with Peer({"rcpt": rcpt}) as peer, Flyball(config(peer.port)) as f:
            send(f, "a@app.test", ["ok@x.test", "full@x.test", "nobody@x.test", "ok2@x.test"])
            wait_until(lambda: f.events("bounced"), 10, "bounce")
            wait_until(lambda: len(f.events("deferred")) >= 2, 10, "a second try of the full one")
            got = [m for m in peer.messages if m["sender"] == "a@app.test"]
            self.assertEqual(len(got), 1)
            self.assertEqual(got[0]["recipients"], ["ok@x.test", "ok2@x.test"])
            bounced = f.events("bounced")
            self.assertEqual([(e["recipient"], e["code"], e["class"]) for e in bounced],
                             [("nobody@x.test", 550, "bad-mailbox")])
            self.assertEqual(bounced[0]["reply"], "550 5.1.1 no such user here")
            self.assertTrue(all(e["recipient"] == "full@x.test" and e["class"] == "mailbox-full"
                                for e in f.events("deferred")))
            dsn = wait_until(lambda: [m for m in peer.messages if m["sender"] == ""], 10, "the DSN")[0]
            self.assertEqual(dsn["recipients"], ["a@app.test"])
            report = email.message_from_bytes(dsn["data"])
            self.assertEqual(report.get_content_type(), "multipart/report")
            status = report.get_payload()[1].as_string()
            self.assertIn("nobody@x.test", status)
            self.assertIn("5.1.1", status)
            self.assertNotIn("full@x.test", status)

    def test_null_sender_gets_no_dsn(self):
        with Peer({"rcpt": "550 5.1.1 no"}) as peer, Flyball(config(peer.port)) as f:
            send(f, "", ["nobody@x.test"])
            wait_until(lambda: f.events("bounced"), 10, "bounce")
            time.sleep(0.5)
            self.assertEqual(f.n_queued(), 0)
            self.assertEqual(len(f.events("accepted")), 1)

    def test_success_dsn_when_asked_and_notify_never(self):
        with Peer(ehlo=("PIPELINING",)) as peer, Flyball(config(peer.port)) as f:
            send(f, "a@app.test", ["ok@x.test"], rcpt_options=["NOTIFY=SUCCESS"])
            dsn = wait_until(lambda: [m for m in peer.messages if m["sender"] == ""], 10, "DSN")[0]
            self.assertRegex(dsn["data"].decode(), r"Action: (delivered|relayed)")
        with Peer({"rcpt": "550 5.1.1 no"}) as peer, Flyball(config(peer.port)) as f:
            send(f, "a@app.test", ["nobody@x.test"], rcpt_options=["NOTIFY=NEVER"])
            wait_until(lambda: f.events("bounced"), 10, "bounce")
            time.sleep(0.5)
            self.assertEqual(f.n_queued(), 0)
            self.assertEqual(len(f.events("accepted")), 1)

    def test_421_anywhere_defers(self):
        for step in ("mail", "rcpt", "data", "eod"):
            with self.subTest(step=step):
                state = {"n": 0}

                def refuse_once(session, text, ok):
                    state["n"] += 1
                    return "421 4.3.2 come back" if state["n"] == 1 else ok
                oks = {"mail": "250 2.1.0 Ok", "rcpt": "250 2.1.5 Ok", "data": "354 go", "eod": "250 2.0.0 Ok"}
                with Peer({step: lambda s, t: refuse_once(s, t, oks[step])}) as peer, Flyball(config(peer.port)) as f:
                    send(f, "a@app.test", ["ok@x.test"])
                    wait_until(lambda: peer.messages, 10, "second try")
                    self.assertEqual(len(f.events("deferred")), 1)
                    self.assertEqual(f.events("deferred")[0]["phase"], step)
                    self.assertEqual(len(peer.messages), 1)

    def test_421_at_the_banner_is_no_attempt(self):
        state = {"n": 0}

        def banner(session, _):
            state["n"] += 1
            return "421 4.7.0 too many connections" if state["n"] <= 2 else "220 peer.test"
        with Peer({"banner": banner}) as peer, Flyball(config(peer.port)) as f:
            send(f, "a@app.test", ["ok@x.test"])
            wait_until(lambda: peer.messages, 10, "delivery")
            self.assertEqual(f.events("deferred"), [])
            self.assertEqual(f.events("delivered")[0]["attempts"], 1)
            self.assertIn("too many connections", f.events("route")[0]["reply"])

    def test_too_many_recipients_splits(self):
        def rcpt(session, text):
            return "452 4.5.3 too many recipients" if len(session.recipients) >= 3 else "250 2.1.5 Ok"
        with Peer({"rcpt": rcpt}) as peer, Flyball(config(peer.port)) as f:
            send(f, "a@app.test", [f"r{i}@x.test" for i in range(10)])
            wait_until(lambda: sum(len(m["recipients"]) for m in peer.messages) == 10, 15, "all ten")
            self.assertEqual(sorted(r for m in peer.messages for r in m["recipients"]),
                             sorted(f"r{i}@x.test" for i in range(10)))
            self.assertEqual(f.events("deferred"), [])

    def test_lost_reply_after_the_dot_is_its_own_verdict(self):
        state = {"n": 0}

        def eod(session, content):
            state["n"] += 1
            return None if state["n"] == 1 else "250 2.0.0 Ok"
        with Peer({"eod": eod}) as peer, Flyball(config(peer.port)) as f:
            send(f, "a@app.test", ["ok@x.test"])
            wait_until(lambda: peer.messages, 10, "second try")
            first = f.events("deferred")[0]
            self.assertEqual((first["phase"], first["code"]), ("eod", 0))
            self.assertIn("twice", first["reply"])

    def test_next_hop_down_then_up(self):
        port = free_port()
        with Flyball(config(port)) as f:
            send(f, "a@app.test", ["ok@x.test"])
            wait_until(lambda: len(f.events("route")) >= 2, 10, "back-off")
            why = f.ctl("why", "out/other:x.test")
            self.assertIn("refused", str(why).lower())
            with Peer(port=port) as peer:
                wait_until(lambda: peer.messages, 10, "delivery after the next hop came up")
                self.assertEqual(f.events("deferred"), [])

    def test_stalls_time_out(self):
        def stall(session, _):
            time.sleep(3)
            return "250 late"
        timeouts = ", timeouts: {greeting: 500ms, command: 500ms, mail: 500ms, rcpt: 500ms, data: 500ms, data_done: 500ms}"
        for step in ("mail", "eod"):
            with self.subTest(step=step):
                with Peer({step: stall}) as peer, Flyball(config(peer.port, timeouts)) as f:
                    send(f, "a@app.test", ["ok@x.test"])
                    first = wait_until(lambda: f.events("deferred"), 10, "time-out")[0]
                    self.assertEqual((first["phase"], first["code"]), (step, 0))
                    self.assertIn("timed out", first["reply"])

    def test_expiry_sends_a_dsn(self):
        with Peer({"rcpt": lambda s, t: "450 4.2.0 later" if "@x.test" in t else "250 Ok"}) as peer, \
                Flyball(config(peer.port, spool=", expire: 2s")) as f:
            send(f, "a@app.test", ["slow@x.test", "slower@x.test"])
            dsn = wait_until(lambda: [m for m in peer.messages if m["sender"] == ""], 15, "expiry DSN")[0]
            self.assertRegex(dsn["data"], rb"Status: [45]\.4\.7")
            self.assertIn(b"450 4.2.0 later", dsn["data"])
            self.assertTrue(f.events("expired"))
            self.assertEqual(f.ctl("status")["load"]["failed"], 2)

    def test_delay_warning(self):
        with Peer({"rcpt": lambda s, t: "450 4.2.0 later" if "@x.test" in t else "250 Ok"}) as peer, \
                Flyball(config(peer.port, spool=", delay_warning: 1s")) as f:
            send(f, "a@app.test", ["slow@x.test", "slower@x.test"])
            dsn = wait_until(lambda: [m for m in peer.messages if m["sender"] == ""], 15, "delay DSN")
            self.assertIn(b"Action: delayed", dsn[0]["data"])
            time.sleep(1.5)
            self.assertEqual(len([m for m in peer.messages if m["sender"] == ""]), 1)

    def test_8bit_and_utf8_are_honestly_refused(self):
        with Peer(ehlo=("PIPELINING",)) as peer, Flyball(config(peer.port)) as f:
            send(f, "a@app.test", ["ok@x.test"], b"Subject: x\r\n\r\n\xc3\xa4\r\n", ["BODY=8BITMIME"])
            e = wait_until(lambda: f.events("bounced"), 10, "bounce")[0]
            self.assertIn("8BITMIME", e["reply"])
            send(f, "a@app.test", ["ü@x.test"], b"Subject: x\r\n\r\nx\r\n", ["SMTPUTF8"])
            e = wait_until(lambda: len(f.events("bounced")) == 2 and f.events("bounced"), 10, "bounce")[1]
            self.assertIn("SMTPUTF8", e["reply"])

    def test_bdat_when_offered(self):
        with Peer(ehlo=("PIPELINING", "CHUNKING", "8BITMIME")) as peer, Flyball(config(peer.port)) as f:
            content = b"Subject: x\r\n\r\n.dots\r\n..\r\n.\r\nend\r\n"
            send(f, "a@app.test", ["ok@x.test"], content)
            m = wait_until(lambda: peer.messages, 10, "delivery")[0]
            self.assertTrue(any(c.startswith("BDAT") for c in peer.commands))
            self.assertEqual(m["data"].split(b"\r\n\r\n", 1)[1], content.split(b"\r\n\r\n", 1)[1])


class Connections(unittest.TestCase):
    def test_reuse_and_limits(self):
        def slow(session, _):
            time.sleep(0.05)
            return "250 Ok"
        with Peer({"eod": slow}) as peer, Flyball(config(peer.port, ", connections: 3, idle_timeout: 1s")) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                for i in range(40):
                    c.sendmail("a@app.test", [f"r{i}@x.test"], b"Subject: x\r\n\r\nx\r\n")
            wait_until(lambda: len(peer.messages) == 40, 20, "all")
            self.assertLessEqual(peer.max_open, 3)
            self.assertLess(peer.n_connections, 10)
            wait_until(lambda: peer.n_open == 0, 5, "idle connections to close")
            self.assertIn("QUIT", peer.commands)

    def test_one_connection_with_two_workers(self):
        with Peer() as peer, Flyball(config(peer.port, ", connections: 1")) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                for i in range(20):
                    c.sendmail("a@app.test", [f"r{i}@x.test"], b"Subject: x\r\n\r\nx\r\n")
            wait_until(lambda: len(peer.messages) == 20, 20, "all")
            self.assertEqual(peer.max_open, 1)

    def test_messages_per_connection(self):
        text = config(0).replace("gmail: {rate: unlimited}", "gmail: {rate: unlimited, messages_per_connection: 5, connections: 1}")
        with Peer() as peer, Flyball(text.replace('"127.0.0.1:0"', f'"127.0.0.1:{peer.port}"')) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                for i in range(20):
                    c.sendmail("a@app.test", [f"r{i}@gmail.com"], b"Subject: x\r\n\r\nx\r\n")
            wait_until(lambda: len(peer.messages) == 20, 20, "all")
            self.assertGreaterEqual(peer.n_connections, 4)

    def test_a_connection_that_died_while_idle_costs_nothing(self):
        """The peer closes after each message without a word."""
        def after(session, content):
            return "250 2.0.0 Ok"
        with Peer({"eod": after, "rset": None, "noop": None}) as peer, Flyball(config(peer.port)) as f:
            send(f, "a@app.test", ["r1@x.test"])
            wait_until(lambda: len(peer.messages) == 1, 10, "first")
            peer.replies["mail"] = lambda s, t: None if s.server.n_connections == 1 else "250 Ok"
            send(f, "b@app.test", ["r2@x.test"])
            wait_until(lambda: len(peer.messages) == 2, 10, "second on a fresh connection")
            self.assertEqual(f.events("deferred"), [])


class Tls(unittest.TestCase):
    def go(self, policy, peer, extra=""):
        with Flyball(config(peer.port, extra).replace("tls: none, backoff", f"tls: {policy}, backoff"),
                     log_level="debug") as f:
            send(f, "a@app.test", ["r@x.test"])
            wait_until(lambda: peer.messages or f.events("route"), 10, "an outcome")
            time.sleep(0.2)
            return bool(peer.messages), f.events("route")

    def test_policies(self):
        cert = certificate("localhost")
        offered = ("PIPELINING", "STARTTLS")
        cases = [  # policy, offers, extra, delivered, why
            ("none", offered, "", True, ""),
            ("opportunistic", ("PIPELINING",), "", True, ""),
            ("opportunistic", offered, "", True, ""),
            ("required", ("PIPELINING",), "", False, "STARTTLS"),
            ("required", offered, "", True, ""),
            ("verify", offered, "", False, "certificate"),
            ("verify", offered, f", tls_ca: {cert[0]}, tls_name: localhost", True, ""),
            ("verify", offered, f", tls_ca: {cert[0]}, tls_name: other.test", False, "certificate"),
        ]
        for policy, ehlo, extra, delivered, why in cases:
            with self.subTest(policy=policy, ehlo=ehlo, extra=extra):
                with Peer(ehlo=ehlo, tls=cert) as peer:
                    got, routes = self.go(policy, peer, extra)
                    self.assertEqual(got, delivered, routes)
                    if not delivered:
                        self.assertIn(why, routes[0]["reply"])

    def test_opportunistic_falls_back(self):
        with Peer({"starttls": lambda s, t: None if s.server.n_connections == 1 else "454 4.7.0 no"},
                  ehlo=("PIPELINING", "STARTTLS"), tls=certificate()) as peer:
            with Flyball(config(peer.port).replace("tls: none, backoff", "tls: opportunistic, backoff")) as f:
                send(f, "a@app.test", ["r@x.test"])
                wait_until(lambda: peer.messages, 15, "delivery in clear")

    def test_auth_to_the_next_hop(self):
        seen = []
        def auth(session, text):
            seen.append((text, session.is_tls))
            return "235 2.7.0 Ok"
        with Peer({"auth": auth}, ehlo=("PIPELINING", "STARTTLS", "AUTH PLAIN LOGIN"), tls=certificate()) as peer:
            with Flyball(config(peer.port, ', auth: {user: app, password_file: "{dir}/pw"}')
                         .replace("tls: none, backoff", "tls: required, backoff"), files={"pw": "geheim\n"}) as f:
                send(f, "a@app.test", ["r@x.test"])
                wait_until(lambda: peer.messages, 10, "delivery")
                self.assertTrue(seen[0][1])
                self.assertEqual(seen[0][0], "AUTH PLAIN AGFwcABnZWhlaW0=")
                self.assertNotIn("geheim", f.log())
                self.assertNotIn("AGFwcABnZWhlaW0=", f.log())


if __name__ == "__main__":
    unittest.main()
