# SPDX-License-Identifier: ISC
"""What each class of reply leads to, seen from outside: lanes slow down for
rates and for nothing else, messages aren't punished for them, recipients who
don't exist are not written to again, and a restart forgets none of it."""

import json
import smtplib
import socket
import subprocess
import unittest

from harness import FLYBALLCTL, Flyball, Peer, wait_until

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
adapt: {react: {hold: 1s}, recover: {every: 500ms}}
spool: {retry: {first: 1s, factor: 1, max: 1s, jitter: 0%%}}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none}
"""

RATE = ("421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address. "
        "To protect our users from spam, mail has been temporarily rate limited.")


def send(f, recipients, n=1):
    with smtplib.SMTP("127.0.0.1", f.port) as c:
        for i in range(n):
            c.sendmail("news@sender.test", recipients, f"Subject: {i}\r\n\r\nx\r\n".encode())


class Blame(unittest.TestCase):
    def test_a_rate_reply_slows_the_lane_and_punishes_no_message(self):
        refused = []

        def mail(session, argument):
            # The fourth message meets the limit, once.
            if len(session.server.messages) >= 3 and not refused:
                refused.append(argument)
                return RATE
            return "250 2.1.0 Ok"
        with Peer({"mail": mail}) as peer, Flyball(CONFIG % peer.port) as f:
            send(f, ["a@gmail.com"], 8)
            wait_until(lambda: len(peer.messages) == 8, 20, "all eight")
            deferred, = f.events("deferred")
            self.assertEqual((deferred["class"], deferred["blame"], deferred["reply"]), ("rate", "lane", RATE))
            self.assertEqual([e["attempts"] for e in f.events("delivered")], [1] * 8)
            slower = [e for e in f.events("lane") if e["change"] == "rate" and e.get("reply")]
            self.assertEqual(slower[0]["reply"], RATE)
            self.assertEqual(slower[0]["lane"], "out/gmail")
            self.assertFalse(f.events("bounced"))

    def test_what_is_about_a_recipient_or_a_message_slows_nothing(self):
        replies = {
            "full@gmail.com": "452 4.2.2 The email account that you tried to reach is over quota",
            "grey@gmail.com": "450 4.2.0 Greylisted, please try again in 60 seconds",
            "nobody@gmail.com": "550 5.1.1 The email account that you tried to reach does not exist",
        }

        def rcpt(_session, argument):
            for address, reply in replies.items():
                if address in argument:
                    return reply
            return "250 2.1.5 Ok"
        with Peer({"rcpt": rcpt}) as peer, Flyball(CONFIG % peer.port) as f:
            for address in list(replies) + ["b@gmail.com"]:
                send(f, [address])
            wait_until(lambda: peer.messages and len(f.events("deferred")) >= 2 and f.events("bounced"), 20, "replies")
            self.assertEqual([e["reply"] for e in f.events("bounced")], [replies["nobody@gmail.com"]])
            self.assertFalse(f.events("lane"))

    LISTED = ("554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using zen.spamhaus.org; "
              "https://www.spamhaus.org/query/ip/192.0.2.10")

    def test_a_blocked_address_holds_its_mail_unless_the_operator_lets_it_go_another_way(self):
        for overflow in ("hold", "next_route"):
            config = CONFIG + ('  second: {next_hop: "127.0.0.1:%%d", tls: none}\n'
                               "streams: {default: {routes: [out, second]}}\n").replace("%%", "%")
            config = config.replace("adapt: {", "adapt: {suspend: {overflow: %s}, " % overflow)
            with Peer({"rcpt": lambda _s, a: self.LISTED if "gmail" in a else "250 Ok"}) as blocked, Peer({}) as other, \
                    Flyball(config % (blocked.port, other.port)) as f:
                send(f, ["a@gmail.com"])
                wait_until(lambda: f.ctl("lane", "out/gmail")["adapt"]["is_suspended"], 10, "the suspension")
                send(f, ["b@gmail.com"], 3)
                if overflow == "next_route":
                    wait_until(lambda: len([m for m in other.messages if m["recipients"] == ["b@gmail.com"]]) == 3, 10,
                               "the other way")
                else:
                    wait_until(lambda: f.ctl("lane", "out/gmail")["queued"] == 3, 10, "the mail to wait")
                    self.assertEqual(f.ctl("lane", "out/gmail")["gate"], "suspended")
                    self.assertFalse([m for m in other.messages if m["recipients"] == ["b@gmail.com"]])
                self.assertEqual(len([e for e in f.events("bounced") if e["route"] == "out"]), 1)

    def test_refused_at_the_banner_fewer_connections_are_opened(self):
        def banner(session, _argument):
            return "421 4.7.0 Too many concurrent connections" if session.server.n_open > 1 else "220 peer.test ESMTP"

        def eod(_session, _argument):
            import time
            time.sleep(0.05)
            return "250 2.0.0 Ok"
        with Peer({"banner": banner, "eod": eod}) as peer, Flyball(CONFIG % peer.port) as f:
            send(f, ["a@gmail.com"], 60)
            wait_until(lambda: len(peer.messages) == 60, 30, "all sixty")
            changes = [e for e in f.events("lane") if e["change"] == "connections"]
            self.assertTrue(changes)
            self.assertLess(changes[-1]["to"], 10)
            self.assertFalse([e for e in f.events("lane") if e["change"] == "rate"])
            self.assertEqual([e["attempts"] for e in f.events("delivered")], [1] * 60)


class Alerts(unittest.TestCase):
    """What a provider holds against us is the first thing that status says."""

    REPLIES = {
        "gmail.com": "550 5.7.26 This mail has been blocked because the sender is unauthenticated.",
        "yahoo.com": "554 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
        "outlook.com": "550 5.1.1 User unknown",
    }

    def test_a_sender_a_lane_and_a_list_in_trouble(self):
        def rcpt(_session, argument):
            return next((r for d, r in self.REPLIES.items() if d in argument), "250 2.1.5 Ok")
        config = CONFIG.replace("adapt: {", "adapt: {suspend: {rejected: 50%%, sample: 3, for: 1h}, ") + (
            "list_health: {bounced: 30%%, sample: 4, action: hold}\n"
            "streams: {news: {match: {sender_domain: [list.test]}}, default: {}}\n")
        with Peer({"rcpt": rcpt}) as peer, Flyball(config % peer.port) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                for i in range(4):
                    c.sendmail("a@auth.test", [f"a{i}@gmail.com"], b"Subject: x\r\n\r\nx\r\n")
                    c.sendmail("a@app.test", [f"a{i}@yahoo.com"], b"Subject: x\r\n\r\nx\r\n")
                    c.sendmail("a@list.test", [f"a{i}@outlook.com"], b"Subject: x\r\n\r\nx\r\n")
            names = {"sender": "auth.test/gmail", "lane": "out/yahoo", "list": "news"}
            told = wait_until(lambda: (lambda e: e if set(e) == set(names) else None)(
                {e["alert"]: e for e in f.events("alert")}), 15, "three alerts")
            self.assertEqual({k: e["name"] for k, e in told.items()}, names)
            self.assertEqual({k: e["state"] for k, e in told.items()},
                             {"sender": "paused", "lane": "suspended", "list": "held"})
            self.assertEqual(told["lane"]["reply"], self.REPLIES["yahoo.com"])
            texts = {a["alert"]: a["text"] for a in f.ctl("status")["alerts"]}
            self.assertEqual(set(texts), set(names))
            self.assertIn("paused at gmail: 550 5.7.26", texts["sender"])
            self.assertIn("out/yahoo is suspended: yahoo rejects our mail for its reputation", texts["lane"])
            self.assertIn("stream news is held", texts["list"])
            f.ctl("resume", "sender", "auth.test")
            f.ctl("resume", "stream", "news")
            self.assertEqual([a["alert"] for a in f.ctl("status")["alerts"]], ["lane"])


class Suppression(unittest.TestCase):
    UNKNOWN = "550 5.1.1 <nobody@gmail.com>: Recipient address rejected: User unknown"

    def peer(self):
        return Peer({"rcpt": lambda _s, a: self.UNKNOWN if "nobody@" in a.lower() else "250 2.1.5 Ok"})

    def test_an_unknown_user_is_refused_the_next_time_and_after_a_crash(self):
        with self.peer() as peer, Flyball(CONFIG % peer.port) as f:
            send(f, ["nobody@gmail.com"])
            suppressed = wait_until(lambda: f.events("suppressed"), 10, "suppression")[0]
            self.assertEqual((suppressed["recipient"], suppressed["reason"], suppressed["reply"]),
                             ("nobody@gmail.com", "hard", self.UNKNOWN))
            for kill in (False, True):
                if kill:
                    wait_until(lambda: f.n_queued() == 0, 10, "the notice to leave")
                    f.kill9()
                    f.start()
                with smtplib.SMTP("127.0.0.1", f.port) as c:
                    c.ehlo()
                    c.mail("news@sender.test")
                    code, text = c.rcpt("NoBody@gmail.com")
                    self.assertEqual((code, text[:6]), (550, b"5.1.1 "))
                    self.assertEqual(c.rcpt("b@gmail.com")[0], 250)
            refused = wait_until(lambda: [e for e in f.events("suppressed") if e["state"] == "refused"], 10, "event")
            self.assertEqual(refused[0]["recipient"], "NoBody@gmail.com")

    def test_dropped_silently_where_the_operator_wants_it_so(self):
        config = CONFIG + "suppression: {action: drop}\n"
        with self.peer() as peer, Flyball(config % peer.port) as f:
            send(f, ["nobody@gmail.com"])
            wait_until(lambda: f.events("suppressed"), 10, "suppression")
            send(f, ["nobody@gmail.com"])
            send(f, ["nobody@gmail.com", "b@gmail.com"])
            wait_until(lambda: [m for m in peer.messages if m["recipients"] == ["b@gmail.com"]], 10, "the other one")
            self.assertEqual(len(f.events("bounced")), 1)

    def test_the_list_goes_out_and_comes_in_as_csv(self):
        with self.peer() as peer, Flyball(CONFIG % peer.port) as f:
            send(f, ["nobody@gmail.com"])
            wait_until(lambda: f.events("suppressed"), 10, "suppression")

            def csv(*words, **kw):
                return subprocess.run([FLYBALLCTL, "-s", f.socket, "suppress", *words], text=True,
                                      capture_output=True, **kw)
            out = wait_until(lambda: (lambda p: p if "nobody" in p.stdout else None)(csv("export")), 5, "the entry")
            header, line = out.stdout.splitlines()
            self.assertEqual(header, "address,reason,reply,added,expires")
            self.assertTrue(line.startswith(f'nobody@gmail.com,hard,"{self.UNKNOWN}"') or
                            line.startswith(f"nobody@gmail.com,hard,{self.UNKNOWN}"), line)
            f.ctl("suppress", "remove", "nobody@gmail.com")
            self.assertFalse(f.ctl("suppress", "check", "nobody@gmail.com")["suppressed"])
            into = csv("import", "-", input=out.stdout + "not an address\nmore@gmail.com\n")
            self.assertEqual(into.stdout, "2 added\n")
            self.assertIn("-:3:", into.stderr)
            self.assertEqual(f.ctl("suppress", "check", "nobody@gmail.com")["reason"], "hard")
            wait_until(lambda: [e["address"] for e in f.ctl("suppress", "list")] ==
                       ["more@gmail.com", "nobody@gmail.com"], 5, "both in the list")

    FULL = "552 5.2.2 <full@gmail.com>: user is over quota"

    def test_a_full_mailbox_is_retried_although_it_says_552_and_counts_by_the_day(self):
        replies = [self.FULL, self.FULL, "250 2.1.5 Ok"]
        config = CONFIG + "suppression: {soft: 1}\n"
        with Peer({"rcpt": lambda _s, _a: replies.pop(0) if replies else "250 2.1.5 Ok"}) as peer:
            with Flyball(CONFIG % peer.port) as f:
                send(f, ["full@gmail.com"])
                delivered, = wait_until(lambda: f.events("delivered"), 10, "the third attempt")
                self.assertEqual(delivered["attempts"], 3)
                self.assertEqual([(e["class"], e["reply"]) for e in f.events("deferred")], [("mailbox-full", self.FULL)] * 2)
                self.assertFalse(f.events("bounced") + f.events("suppressed") + f.events("lane"))
            replies[:] = [self.FULL]
            with Flyball(config % peer.port) as f:
                send(f, ["full@gmail.com"])
                added, = wait_until(lambda: [e for e in f.events("suppressed")], 10, "a soft bounce")
                self.assertEqual((added["reason"], added["reply"]), ("soft", self.FULL))
                bounced, = wait_until(lambda: f.events("bounced"), 10, "its next turn")
                self.assertEqual(bounced["enhanced"], "5.1.1")

    NO_DOMAIN = "550 5.1.2 <a@gone.test>: Recipient address rejected: Domain not found"

    def test_a_domain_that_takes_no_mail_is_remembered_until_it_expires_or_is_removed(self):
        replies = {"gone.test": self.NO_DOMAIN}
        with Peer({"rcpt": lambda _s, a: next((r for d, r in replies.items() if d in a), "250 2.1.5 Ok")}) as peer, \
                Flyball(CONFIG % peer.port) as f:
            def rcpt(address):
                with smtplib.SMTP("127.0.0.1", f.port) as c:
                    c.ehlo()
                    c.mail("news@sender.test")
                    code, text = c.rcpt(address)
                    return code, text[:6]
            f.ctl("pause", "lane", "out/other:b.gone.test")
            f.ctl("pause", "lane", "out/other:gone.test")
            send(f, ["a@gone.test"], 3)   # two of them are queued when the first one bounces
            send(f, ["c@b.gone.test"])
            f.ctl("resume", "lane", "out/other:gone.test")
            wait_until(lambda: len(f.events("bounced")) == 3, 10, "all to bounce")
            added, = [e for e in f.events("suppressed") if e["state"] == "added"]
            self.assertEqual((added["recipient"], added["reason"], added["reply"]),
                             ("@gone.test", "domain", self.NO_DOMAIN))
            self.assertEqual(rcpt("other@Gone.test"), (550, b"5.1.2 "))
            self.assertEqual(rcpt("other@mine.test"), (250, b"2.1.5 "))
            f.kill9()
            f.start()
            self.assertEqual(rcpt("other@gone.test"), (550, b"5.1.2 "))
            entry, = f.ctl("suppress", "list", "@*")
            self.assertEqual((entry["address"], entry["reply"]), ("@gone.test", self.NO_DOMAIN))
            out = subprocess.run([FLYBALLCTL, "-s", f.socket, "suppress", "export"], text=True, capture_output=True)
            self.assertIn("@gone.test,domain,", out.stdout)
            f.ctl("suppress", "remove", "@gone.test")
            replies.clear()
            self.assertEqual(rcpt("other@gone.test"), (250, b"2.1.5 "))
            into = subprocess.run([FLYBALLCTL, "-s", f.socket, "suppress", "import", "-"], text=True,
                                  input="address,reason\n@GONE.test,domain\n", capture_output=True)
            self.assertEqual(into.stdout, "1 added\n")
            self.assertEqual(rcpt("other@gone.test"), (550, b"5.1.2 "))

    def test_a_next_hop_that_does_not_relay_shuts_no_domain(self):
        with Peer({"rcpt": "554 5.7.1 <a@gone.test>: Relay access denied"}) as peer, Flyball(CONFIG % peer.port) as f:
            send(f, ["a@gone.test"])
            bounced = wait_until(lambda: f.events("bounced"), 10, "the bounce")
            self.assertEqual((bounced[0]["class"], bounced[0]["blame"]), ("bad-domain", "next_hop"))
            self.assertFalse(f.events("suppressed"))

    def test_one_odd_reply_never_shuts_a_whole_provider(self):
        with Peer({"rcpt": lambda _s, a: "550 5.1.2 Bad destination system" if "a@" in a else "250 2.1.5 Ok"}) as peer, \
                Flyball(CONFIG % peer.port) as f:
            send(f, ["a@gmail.com"])
            wait_until(lambda: f.events("bounced"), 10, "the bounce")
            self.assertEqual(f.events("bounced")[0]["class"], "bad-domain")
            send(f, ["b@gmail.com"])
            wait_until(lambda: [m for m in peer.messages if m["recipients"] == ["b@gmail.com"]], 10, "the other one")
            self.assertFalse(f.events("suppressed"))

    def test_mail_queued_for_an_address_that_is_suppressed_meanwhile_bounces_unsent(self):
        for action, event in (("reject", "bounced"), ("drop", "suppressed")):
            config = CONFIG + "suppression: {action: %s}\n" % action
            with Peer({}) as peer, Flyball(config % peer.port) as f:
                f.ctl("pause", "lane", "out/gmail")
                send(f, ["a@gmail.com", "b@gmail.com"])
                send(f, ["b@gmail.com"])
                wait_until(lambda: f.n_queued() == 2, 10, "both queued")
                f.ctl("suppress", "add", "b@gmail.com")
                f.ctl("resume", "lane", "out/gmail")
                wait_until(lambda: len([e for e in f.events(event) if e["recipient"] == "b@gmail.com"]) == 2, 10, "both told")
                wait_until(lambda: [m for m in peer.messages if m["recipients"] == ["a@gmail.com"]], 10, "the other one")
                wait_until(lambda: f.n_queued() == 0, 10, "an empty queue")
                self.assertFalse([m for m in peer.messages if "b@gmail.com" in m["recipients"]])
                self.assertEqual({e["class"] for e in f.events(event) if e.get("state") != "added"}, {"bad-mailbox"})
                lane = f.ctl("lane", "out/gmail")
                self.assertEqual(len(f.events("delivered")), 1 if action == "drop" else 3)  # and two notices
                self.assertEqual(lane["attempted"], 1, lane)

    def test_off_means_off(self):
        config = CONFIG + "suppression: {action: off}\n"
        with self.peer() as peer, Flyball(config % peer.port) as f:
            for _ in range(2):
                send(f, ["nobody@gmail.com"])
            wait_until(lambda: len(f.events("bounced")) == 2, 10, "two bounces")
            self.assertFalse(f.events("suppressed"))


class Feedback(unittest.TestCase):
    """What an application knows of its mail counts as a reply of our own."""

    def tell(self, f, **what):
        return f.ctl("feedback", json.dumps(what))

    def test_what_an_application_tells_slows_and_suppresses(self):
        config = CONFIG + "feedback: {events: true}\n"
        with Peer() as peer, Flyball(config % peer.port) as f:
            send(f, ["a@gmail.com"], 20)
            wait_until(lambda: len(peer.messages) == 20, 10, "all")
            said = self.tell(f, event="deferred", recipient="a@gmail.com", reply=RATE, sender="news@sender.test")
            self.assertEqual((said["class"], said["blame"]), ("rate", "lane"))
            slower = wait_until(lambda: [e for e in f.events("lane") if e["change"] == "rate"], 5, "the lane")
            self.assertEqual((slower[0]["lane"], slower[0]["reply"]), ("out/gmail", RATE))
            self.tell(f, event="bounced", recipient="nobody@gmail.com", route="out",
                      reply="550-5.1.1 The email account that you tried to reach\n550 5.1.1 does not exist")
            self.assertEqual(f.ctl("suppress", "check", "nobody@gmail.com")["reason"], "hard")
            self.tell(f, event="complained", recipient="angry@gmail.com")
            self.assertEqual(f.ctl("suppress", "check", "angry@gmail.com")["reason"], "complaint")
            self.tell(f, event="delivered", recipient="b@gmail.com", reply="250 2.0.0 OK")
            told = [e for e in f.events() if e.get("source") == "feedback"]
            self.assertEqual([e["event"] for e in told], ["deferred", "bounced", "complained", "delivered"])
            # As a program says it, without flyballctl's quotes.
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(f.socket)
                s.sendall(b'feedback {"event": "deferred", "recipient": "a@gmail.com", "reply": "452 4.2.2 over quota"}\n'
                          b'feedback {"event": "odd"}\nfeedback {"event\nfeedback {"colour": "red"}\n')
                lines = s.makefile()
                self.assertEqual(json.loads(lines.readline())["result"]["class"], "mailbox-full")
                for part in ("event is one of", "", "no key"):
                    answer = json.loads(lines.readline())
                    self.assertFalse(answer["ok"])
                    self.assertIn(part, answer["error"])

    def test_not_unless_it_is_switched_on(self):
        with Peer() as peer, Flyball(CONFIG % peer.port) as f:
            p = subprocess.run([FLYBALLCTL, "-s", f.socket, "feedback", "{}"], capture_output=True, text=True)
            self.assertEqual(p.returncode, 1)
            self.assertIn("feedback: {events: true}", p.stderr)


if __name__ == "__main__":
    unittest.main()
