# SPDX-License-Identifier: ISC
"""A real Exim between flyball and the provider: its main log is all that tells
of the provider's replies."""

import smtplib
import time
import unittest

from harness import Flyball, Peer, Provider, wait_until
from mta import Exim, OpenSmtpd, reason_against

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
limits: {sessions_per_address: 1000}
adapt: {react: {hold: 1s}, recover: {every: 500ms}}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none, connections: 10}
feedback: {%s_log: {path: "%s", route: out%s}}
"""
RATE = "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address."
# What the provider doesn't tell: ten a second.
WORLD = """
providers:
  gmail: {domains: ["*"], rate: 10/s, burst: 10, latency: {min: 5ms, mean: 20ms, max: 100ms}}
"""


def send(f, recipients, n=1, sender="news@sender.test"):
    with smtplib.SMTP("127.0.0.1", f.port) as c:
        for i in range(n):
            c.sendmail(sender, recipients, f"Subject: {i}\r\n\r\nx\r\n".encode())


def config(mta, kind, more=""):
    return CONFIG % (mta.port, kind, mta.log_path, more)


def n_told(f, name):
    return len(f.events(name))


EXIM_IS_MISSING = reason_against(Exim.PROGRAM)
OPENSMTPD_IS_MISSING = reason_against(OpenSmtpd.PROGRAM)


@unittest.skipIf(EXIM_IS_MISSING, EXIM_IS_MISSING)
class EximLog(unittest.TestCase):
    def test_the_providers_own_words(self):
        replies = {"nobody@x.test": "550 5.1.1 no such user here", "grey@x.test": "450 4.2.0 Greylisted, try again",
                   "policy@x.test": "554-5.7.1 refused for its content\r\n554 5.7.1 see http://x.test/why"}

        def rcpt(_session, argument):
            return next((r for a, r in replies.items() if a in argument), "250 2.1.5 Ok")
        with Peer({"rcpt": rcpt, "eod": "250 2.0.0 Accepted, said the provider"}) as peer, \
                Exim(f"127.0.0.1:{peer.port}") as exim, Flyball(config(exim, "exim")) as f:
            send(f, ["a@x.test", "b@x.test"])
            for address in replies:
                send(f, [address])
            wait_until(lambda: n_told(f, "delivered") >= 2 and n_told(f, "bounced") >= 2 and n_told(f, "deferred"), 20,
                       "the log's words")
            self.assertEqual(sorted(e["recipient"] for e in f.events("relayed")),
                             sorted(["a@x.test", "b@x.test", *replies]))
            self.assertTrue(all("250 OK id=" in e["reply"] for e in f.events("relayed")))
            delivered = f.events("delivered")
            self.assertEqual({e["reply"] for e in delivered}, {"250 2.0.0 Accepted, said the provider"})
            self.assertEqual({e["recipient"] for e in delivered}, {"a@x.test", "b@x.test"})
            bounced = {e["recipient"]: e for e in f.events("bounced")}
            nobody = bounced["nobody@x.test"]
            self.assertEqual((nobody["reply"], nobody["class"], nobody["sender"], nobody["phase"]),
                             (replies["nobody@x.test"], "bad-mailbox", "news@sender.test", "rcpt"))
            self.assertIn("see http://x.test/why", bounced["policy@x.test"]["reply"])
            deferred = f.events("deferred")[0]
            self.assertEqual((deferred["recipient"], deferred["class"], deferred["reply"]),
                             ("grey@x.test", "greylist", replies["grey@x.test"]))
            # The same message as was accepted, and a recipient that isn't written to again.
            accepted = {e["message"]: e for e in f.events("accepted")}
            self.assertEqual(accepted[nobody["message"]]["recipient"], "nobody@x.test")
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                send(f, ["nobody@x.test"])
            self.assertEqual(f.n_queued(), 0)

    def test_a_421_that_only_exim_saw_slows_the_lane(self):
        refused = []

        def mail(session, _argument):
            if len(session.server.messages) >= 10 and not refused:
                refused.append(time.monotonic())
                return RATE
            return "250 2.1.0 Ok"
        with Peer({"mail": mail}) as peer, Exim(f"127.0.0.1:{peer.port}") as exim, \
                Flyball(config(exim, "exim")) as f:
            send(f, ["a@gmail.com"], 30)
            wait_until(lambda: len(peer.messages) == 30, 60, "all thirty")
            self.assertEqual({(e["class"], e["blame"], e["reply"]) for e in f.events("deferred")},
                             {("rate", "lane", RATE)})
            slower = [e for e in f.events("lane") if e["change"] == "rate" and e.get("reply")]
            self.assertEqual((slower[0]["reply"], slower[0]["lane"]), (RATE, "out/gmail"))
            wait_until(lambda: n_told(f, "delivered") == 30, 20, "the last lines")
            self.assertEqual(f.ctl("lane", "out/gmail")["handed"], 0)  # the credit is all there again

    def test_the_providers_hidden_limit_is_found(self):
        """The demonstration provider behind Exim; its rate is told by 421s alone."""
        with Provider(WORLD) as provider, Exim(f"127.0.0.1:{provider.port}") as exim, \
                Flyball(config(exim, "exim", ", credit: 20")) as f:
            send(f, ["a@gmail.com"], 150)
            wait_until(lambda: [e for e in f.events("lane") if e["change"] == "rate" and "421" in e.get("reply", "")],
                       30, "a slower lane")
            wait_until(lambda: n_told(f, "delivered") == 150, 90, "all of it")
            self.assertEqual(f.ctl("lane", "out/gmail")["handed"], 0)
            # Ten a second and a burst of ten: ungoverned, Exim would have been refused at each try.
            self.assertLess(n_told(f, "deferred"), 40)

    def test_rotation_in_mid_flight(self):
        with Peer() as peer, Exim(f"127.0.0.1:{peer.port}") as exim, Flyball(config(exim, "exim")) as f:
            for i in range(4):
                send(f, [f"r{i}@x.test"], 10)
                exim.rotate()
            send(f, ["last@x.test"], 10)
            wait_until(lambda: n_told(f, "delivered") == 50, 30, "a line for each")
            time.sleep(0.5)
            self.assertEqual(n_told(f, "delivered"), 50)

    def test_kill_9_neither_repeats_nor_skips(self):
        with Peer() as peer, Exim(f"127.0.0.1:{peer.port}") as exim, Flyball(config(exim, "exim")) as f:
            send(f, ["a@x.test"], 20)
            wait_until(lambda: len(peer.messages) == 20 and n_told(f, "delivered") == 20, 30, "the first ones")
            time.sleep(1.5)  # what is kept is written every second at least
            f.kill9()
            # While it is down Exim gets mail from others, and its log is rotated.
            with smtplib.SMTP("127.0.0.1", exim.port) as c:
                c.sendmail("x@other.test", ["y@x.test"], b"Subject: x\r\n\r\nx\r\n")
            exim.rotate()
            f.start()
            send(f, ["b@x.test"], 20)
            wait_until(lambda: len([e for e in f.events("delivered") if e["recipient"] == "b@x.test"]) == 20, 30,
                       "the second ones")
            time.sleep(0.5)
            self.assertEqual(n_told(f, "delivered"), 40)
            self.assertEqual(f.ctl("lane", "out/other:x.test")["handed"], 0)

    def test_what_was_handed_over_before_a_kill_is_heard_of_after_it(self):
        hold = [True]

        def mail(_session, _argument):
            return "451 4.3.0 later" if hold[0] else "250 2.1.0 Ok"
        with Peer({"mail": mail}) as peer, Exim(f"127.0.0.1:{peer.port}") as exim, \
                Flyball(config(exim, "exim")) as f:
            send(f, ["a@x.test"], 5)
            wait_until(lambda: len({e["message"] for e in f.events("deferred")}) == 5, 30, "deferrals")
            f.kill9()
            hold[0] = False
            wait_until(lambda: len(peer.messages) == 5, 60, "Exim's retries")
            f.start()
            wait_until(lambda: n_told(f, "delivered") == 5, 20, "their end")

    def test_kill_of_exim(self):
        with Peer() as peer, Exim(f"127.0.0.1:{peer.port}") as exim, Flyball(config(exim, "exim")) as f:
            send(f, ["a@x.test"], 40)
            wait_until(lambda: peer.messages, 20, "the first one")
            exim.stop(9)
            exim.start()
            send(f, ["b@x.test"], 10)
            wait_until(lambda: len({m["data"].split(b"\r\n\r\n")[0].split(b"id ")[1][:16] for m in peer.messages}) >= 50,
                       60, "all of it")
            wait_until(lambda: f.ctl("lane", "out/other:x.test")["handed"] == 0 or None, 60, "no credit left out")


@unittest.skipIf(OPENSMTPD_IS_MISSING, OPENSMTPD_IS_MISSING)
class OpenSmtpdLog(unittest.TestCase):
    def test_the_providers_own_words(self):
        refused = []

        def rcpt(_session, argument):
            if "nobody@" in argument:
                return "550 5.1.1 no such user here"
            if "fast@" in argument and not refused:
                refused.append(argument)
                return RATE
            return "250 2.1.5 Ok"
        with Peer({"rcpt": rcpt, "eod": "250 2.0.0 Accepted, said the provider"}) as peer, \
                OpenSmtpd(f"127.0.0.1:{peer.port}") as mta, Flyball(config(mta, "opensmtpd")) as f:
            send(f, ["a@gmail.com", "b@gmail.com"])
            wait_until(lambda: n_told(f, "delivered") == 2, 20, "two deliveries")
            send(f, ["nobody@gmail.com"])
            wait_until(lambda: n_told(f, "bounced") == 1, 20, "a bounce")
            send(f, ["fast@gmail.com"])
            wait_until(lambda: n_told(f, "deferred") >= 1, 20, "a deferral")
            self.assertTrue(all("Message accepted for delivery" in e["reply"] for e in f.events("relayed")))
            self.assertEqual({e["reply"] for e in f.events("delivered")}, {"250 2.0.0 Accepted, said the provider"})
            bounced, = f.events("bounced")
            self.assertEqual((bounced["reply"], bounced["class"], bounced["recipient"]),
                             ("550 5.1.1 no such user here", "bad-mailbox", "nobody@gmail.com"))
            deferred = f.events("deferred")[0]
            self.assertEqual((deferred["reply"], deferred["class"], deferred["blame"]), (RATE, "rate", "lane"))
            slower = [e for e in f.events("lane") if e["change"] == "rate" and e.get("reply")]
            self.assertEqual((slower[0]["reply"], slower[0]["lane"]), (RATE, "out/gmail"))


if __name__ == "__main__":
    unittest.main()
