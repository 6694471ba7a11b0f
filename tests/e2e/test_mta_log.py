# SPDX-License-Identifier: ISC
"""What only Postfix saw: a real Postfix between flyball and the provider, whose
log is all that tells of the provider's replies."""

import json
import os
import re
import smtplib
import subprocess
import time
import unittest

from harness import FLYBALLCTL, FLYBALLD, Flyball, Peer, Postfix, wait_until
from mta import Journal

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
limits: {sessions_per_address: 1000}
adapt: {react: {hold: 1s}, recover: {every: 500ms}}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: none, connections: 10}
feedback: {postfix_log: {path: "%s", route: out%s}}
"""
# Backoff as short as Postfix can: what it deferred it tries again soon.
QUICK = "minimal_backoff_time = 2s\nmaximal_backoff_time = 4s\nqueue_run_delay = 2s\n"
RATE = "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address."


def send(f, recipients, n=1, sender="news@sender.test"):
    with smtplib.SMTP("127.0.0.1", f.port) as c:
        for i in range(n):
            c.sendmail(sender, recipients, f"Subject: {i}\r\n\r\nx\r\n".encode())


def config(postfix, more=""):
    return CONFIG % (postfix.port, postfix.log_path, more)


@unittest.skipUnless(Postfix.available(), "needs root and postfix")
class PostfixLog(unittest.TestCase):
    def test_the_providers_own_words(self):
        replies = {"nobody@x.test": "550 5.1.1 no such user here", "grey@x.test": "450 4.2.0 Greylisted, try again"}

        def rcpt(_session, argument):
            return next((r for a, r in replies.items() if a in argument), "250 2.1.5 Ok")
        with Peer({"rcpt": rcpt, "eod": "250 2.0.0 Accepted, said the provider"}) as peer, \
                Postfix(f"127.0.0.1:{peer.port}") as postfix, Flyball(config(postfix)) as f:
            send(f, ["a@x.test", "b@x.test"])
            send(f, ["nobody@x.test"])
            send(f, ["grey@x.test"])
            wait_until(lambda: len(f.events("delivered")) == 2 and f.events("bounced") and f.events("deferred"), 20,
                       "the log's words")
            self.assertEqual(sorted(e["recipient"] for e in f.events("relayed")),
                             ["a@x.test", "b@x.test", "grey@x.test", "nobody@x.test"])
            delivered = f.events("delivered")
            self.assertEqual({e["reply"] for e in delivered}, {"250 2.0.0 Accepted, said the provider"})
            self.assertEqual({e["recipient"] for e in delivered}, {"a@x.test", "b@x.test"})
            bounced, = f.events("bounced")
            self.assertEqual((bounced["reply"], bounced["class"], bounced["recipient"], bounced["sender"]),
                             (replies["nobody@x.test"], "bad-mailbox", "nobody@x.test", "news@sender.test"))
            self.assertEqual(f.events("deferred")[0]["class"], "greylist")
            # The same message as was accepted, and a recipient that isn't written to again.
            accepted = {e["message"]: e for e in f.events("accepted")}
            self.assertEqual(accepted[bounced["message"]]["recipient"], "nobody@x.test")
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                send(f, ["nobody@x.test"])
            # Postfix tells the sender; flyball must not do so too.
            self.assertEqual(f.n_queued(), 0)
            self.assertIn("orig_queue_id=" + bounced["message"], postfix.log())

    def test_a_421_that_only_postfix_saw_slows_the_lane(self):
        refused = []

        def mail(session, _argument):
            if len(session.server.messages) >= 10 and not refused:
                refused.append(time.monotonic())
                return RATE
            return "250 2.1.0 Ok"
        with Peer({"mail": mail}) as peer, Postfix(f"127.0.0.1:{peer.port}", QUICK) as postfix, \
                Flyball(config(postfix)) as f:
            send(f, ["a@gmail.com"], 30)
            wait_until(lambda: len(peer.messages) == 30, 60, "all thirty")
            deferred = f.events("deferred")
            self.assertEqual({(e["class"], e["blame"], e["reply"]) for e in deferred}, {("rate", "lane", RATE)})
            slower = [e for e in f.events("lane") if e["change"] == "rate" and e.get("reply")]
            self.assertEqual((slower[0]["reply"], slower[0]["lane"]), (RATE, "out/gmail"))
            wait_until(lambda: len(f.events("delivered")) == 30, 20, "the last lines")
            self.assertEqual(f.ctl("lane", "out/gmail")["handed"], 0)

    def test_one_reply_for_fifty_recipients_is_one_event(self):
        def eod(session, _argument):
            return RATE if len(session.server.messages) == 20 and not refused.append(1) and len(refused) == 1 \
                else "250 2.0.0 Ok"
        refused = []
        with Peer({"eod": eod}) as peer, Postfix(f"127.0.0.1:{peer.port}", QUICK) as postfix, \
                Flyball(config(postfix, ", credit: 200")) as f:
            send(f, ["a@gmail.com"], 20)
            wait_until(lambda: len(f.events("delivered")) == 20, 30, "the first ones")
            send(f, [f"r{i}@gmail.com" for i in range(50)])
            wait_until(lambda: len(f.events("delivered")) == 70, 60, "all of them")
            deferred = f.events("deferred")
            self.assertEqual({e["reply"] for e in deferred}, {RATE})
            lane = f.ctl("lane", "out/gmail")
            self.assertEqual(lane["deferred"], len(deferred))  # in the counts, each recipient
            slower = [e for e in f.events("lane") if e.get("reply") and e["change"] == "rate"]
            self.assertEqual(len(slower), 1, slower)  # and one decision

    def test_never_more_in_its_queue_than_the_credit(self):
        def eod(_session, _argument):
            time.sleep(0.05)
            return "250 2.0.0 Ok"
        with Peer({"eod": eod}) as peer, Postfix(f"127.0.0.1:{peer.port}") as postfix, \
                Flyball(config(postfix, ", credit: 7")) as f:
            send(f, ["a@gmail.com"], 200)
            most = 0

            def all_delivered():
                nonlocal most
                n = sum(len(files) for _, _, files in os.walk(os.path.join(postfix.tmp.path, "queue", "active")))
                most = max(most, n)
                return len(peer.messages) == 200
            wait_until(all_delivered, 60, "all of it")
            self.assertGreater(most, 0)
            self.assertLessEqual(most, 7)
            wait_until(lambda: len(f.events("delivered")) == 200, 20, "the last lines")

    def test_rotation_in_mid_flight(self):
        with Peer() as peer, Postfix(f"127.0.0.1:{peer.port}") as postfix, Flyball(config(postfix)) as f:
            for i in range(4):
                send(f, [f"r{i}@x.test"], 25)
                os.rename(postfix.log_path, f"{postfix.log_path}.{i}")
                postfix.run("reload")  # as `postfix logrotate` does
                wait_until(lambda: os.path.exists(postfix.log_path), 10, "Postfix's new log")
            send(f, ["last@x.test"], 25)
            wait_until(lambda: len(f.events("delivered")) == 125, 30, "a line for each")
            time.sleep(0.5)
            self.assertEqual(len(f.events("delivered")), 125)

    def test_kill_9_neither_repeats_nor_skips(self):
        with Peer() as peer, Postfix(f"127.0.0.1:{peer.port}") as postfix, Flyball(config(postfix)) as f:
            def lane():
                return f.ctl("lane", "out/other:x.test")
            send(f, ["a@x.test"], 40)
            wait_until(lambda: len(peer.messages) == 40 and len(f.events("delivered")) == 40, 30, "the first ones")
            time.sleep(1.5)  # what is kept is written every second at least
            f.kill9()
            # While it is down Postfix gets mail from others, and its log is rotated.
            with smtplib.SMTP("127.0.0.1", postfix.port) as c:
                c.sendmail("x@other.test", ["y@x.test"], b"Subject: x\r\n\r\nx\r\n")
            os.rename(postfix.log_path, postfix.log_path + ".1")
            postfix.run("reload")
            f.start()
            send(f, ["b@x.test"], 40)
            wait_until(lambda: len([e for e in f.events("delivered") if e["recipient"] == "b@x.test"]) == 40, 30,
                       "the second ones")
            time.sleep(0.5)
            self.assertEqual(len(f.events("delivered")), 80)

    def test_what_was_handed_over_before_a_kill_is_heard_of_after_it(self):
        hold = [True]

        def mail(_session, _argument):
            return "451 4.3.0 later" if hold[0] else "250 2.1.0 Ok"
        with Peer({"mail": mail}) as peer, Postfix(f"127.0.0.1:{peer.port}", QUICK) as postfix, \
                Flyball(config(postfix)) as f:
            send(f, ["a@x.test"], 5)
            wait_until(lambda: len({e["message"] for e in f.events("deferred")}) == 5, 30, "deferrals")
            f.kill9()
            hold[0] = False
            wait_until(lambda: len(peer.messages) == 5, 60, "Postfix's retries")
            f.start()
            wait_until(lambda: len(f.events("delivered")) == 5, 20, "their end")

    def test_kill_of_postfix(self):
        with Peer() as peer, Postfix(f"127.0.0.1:{peer.port}") as postfix, Flyball(config(postfix)) as f:
            send(f, ["a@x.test"], 100)
            with open(os.path.join(postfix.tmp.path, "queue", "pid", "master.pid")) as pid:
                os.kill(int(pid.read()), 9)
            time.sleep(1)
            postfix.run("start")
            send(f, ["b@x.test"], 20)
            wait_until(lambda: len({m["data"] for m in peer.messages}) >= 20 and len(peer.messages) >= 120, 60, "all")
            wait_until(lambda: f.ctl("lane", "out/other:x.test")["handed"] == 0 or None, 60, "no credit left out")

    def test_a_log_that_stops_stalls_nothing_for_good(self):
        with Peer() as peer, Postfix(f"127.0.0.1:{peer.port}") as postfix, \
                Flyball(CONFIG % (postfix.port, postfix.tmp.path + "/nothing.log",
                                  ", credit: 5, credit_timeout: 2s")) as f:
            wait_until(lambda: f.ctl("status")["alerts"], 10, "the alert of a log that isn't there")
            self.assertIn("can't be read", f.ctl("status")["alerts"][0]["text"])
            send(f, ["a@gmail.com"], 20)
            wait_until(lambda: len(peer.messages) >= 5, 10, "the credit")
            time.sleep(0.5)
            self.assertEqual(len(peer.messages), 5)
            gate = f.ctl("why", "out/gmail")
            self.assertIn("credit", str(gate))
            wait_until(lambda: len(peer.messages) == 20, 40, "the rest, as credit times out")
            self.assertTrue([e for e in f.events("alert") if e.get("state") == "silent"])


class WrittenLog(unittest.TestCase):
    """A log that the test writes, in front of a peer that gives queue ids."""

    CONFIG = CONFIG.replace('"%s"', '"{dir}/mail.log"').replace("feedback: {", "feedback: {%s, ")

    def setUp(self):
        self.n = 0

        def queued(_session, _content):
            self.n += 1
            return f"250 2.0.0 Ok: queued as 1A2B3C{self.n:04X}"
        self.peer = Peer({"eod": queued})
        self.addCleanup(self.peer.close)

    def flyball(self, feedback, log):
        return Flyball(self.CONFIG % (self.peer.port, feedback, log), files={"mail.log": ""})

    def sent(self, f, number):
        with open(f.tmp.file("mail.log"), "a") as log:
            log.write(f"Nov 25 04:00:00 host postfix/smtp[7]: 1A2B3C{number:04X}: to=<a@gmail.com>, "
                      "relay=mx.test[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n")

    def test_the_doctor_asks_the_daemon(self):
        with self.flyball("handed: 1000", "") as f:
            def log():
                return f.ctl("status")["logs"][0]
            self.assertEqual((log()["log"], log()["lines"]), (f"postfix {f.tmp.path}/mail.log", 0))
            self.assertNotIn("unheard_ms", log())
            send(f, ["a@gmail.com"])
            wait_until(lambda: "unheard_ms" in log(), 10, "mail that nothing is heard of")
            with open(f.tmp.file("mail.log"), "a") as to:
                to.write("Nov 25 04:00:00 host postfix/qmgr[7]: 9A9A9A9A9A: removed\n")
            wait_until(lambda: "line_ms" in log(), 10, "a line")
            self.assertIn("unheard_ms", log())  # it is about other mail
            self.sent(f, 1)
            wait_until(lambda: "heard_ms" in log(), 10, "our line")
            self.assertNotIn("unheard_ms", log())
            p = subprocess.run([FLYBALLCTL, "doctor", "-c", f.config_path, "--json"], capture_output=True, text=True)
            findings = [x for x in json.loads(p.stdout)["findings"] if x["subject"].startswith("postfix_log")]
            self.assertEqual({x["finding"]: x["level"] for x in findings}, {"is written": "ok", "is alive": "ok"})

    def test_gone_and_back_by_reloads(self):
        with self.flyball("handed: 1000", "") as f:
            def lines():
                return sum(l["lines"] for l in f.ctl("status")["logs"])
            with open(f.config_path) as c:
                text = c.read()
            for config in (re.sub(r"postfix_log: {[^}]*}", "", text), text):
                with open(f.config_path, "w") as c:
                    c.write(config)
                f.ctl("reload")
            time.sleep(1)
            self.sent(f, 1)
            wait_until(lambda: lines() == 1, 10, "a line of the log that came back")

    def test_read_in_another_way_by_reloads(self):
        """A match that changes, while lines come: none is passed over."""
        n = 200
        match = r", credit: 1000, match: 'smtp\[\d+\]: (?<id>\w+): to=<(?<recipient>[^>]+)>.*status=(?<status>\w+)'"
        config = self.CONFIG.replace("postfix_log", "pattern_log") % (self.peer.port, "handed: 1000", match)
        with Flyball(config, files={"mail.log": ""}) as f:
            with open(f.config_path) as c:
                text = c.read()
            send(f, ["a@gmail.com"], n)
            wait_until(lambda: len(f.events("relayed")) == n, 30, "all handed over")
            for number in range(1, n + 1):
                self.sent(f, number)
                if number % 20 == 0:
                    with open(f.config_path, "w") as c:
                        c.write(text.replace("status=", "()" * (number // 20) + "status="))
                    f.ctl("reload")
            wait_until(lambda: len(f.events("delivered")) >= n, 20, "every line")
            self.assertEqual(len(f.events("delivered")), n)

    def test_a_pattern_that_cannot_be_read_by(self):
        """It is a mistake of the configuration, before anything has changed."""
        with self.flyball("handed: 1000", "") as f:
            with open(f.config_path) as c:
                text = c.read()
            bad = text.replace("feedback: {", "feedback: {pattern_log: {path: /dev/null, route: out, match: '[(?<id>]'}, ")
            bad = re.sub(r"postfix_log: {[^}]*}", "", bad)
            with open(f.config_path, "w") as c:
                c.write(bad)
            p = subprocess.run([FLYBALLD, "-t", "-c", f.config_path], capture_output=True, text=True)
            self.assertEqual(p.returncode, 1)
            self.assertIn("feedback.pattern_log[0].match: has no group (?<id>...)", p.stderr)
            p = subprocess.run([FLYBALLCTL, "-s", f.socket, "reload"], capture_output=True, text=True)
            self.assertEqual(p.returncode, 1)
            send(f, ["a@gmail.com"])
            self.sent(f, 1)  # the log before is read on
            wait_until(lambda: len(f.events("delivered")) == 1, 10, "its line")

    def test_the_table_is_full(self):
        with self.flyball("handed: 100", ", credit: 1000") as f:
            send(f, ["a@gmail.com"], 100)
            wait_until(lambda: len(f.events("relayed")) == 100, 20, "as many as are remembered")
            self.assertEqual(f.ctl("status")["alerts"], [])
            self.assertEqual(f.ctl("lane", "out/gmail")["handed"], 100)
            send(f, ["a@gmail.com"], 5)
            wait_until(lambda: len(f.events("relayed")) == 105, 20, "five more")
            alert, = f.ctl("status")["alerts"]
            self.assertIn("the 5 oldest were forgotten", alert["text"])
            self.assertEqual([e["state"] for e in f.events("alert")], ["full"])
            self.assertEqual(f.ctl("lane", "out/gmail")["handed"], 100)  # their credit is free
            for number in range(1, 20):
                self.sent(f, number)
            wait_until(lambda: len(f.events("delivered")) == 14, 10, "the word of those that are known")
            wait_until(lambda: f.ctl("status")["alerts"] == [], 5, "room again")
            f.stop()
            f.start()
            self.assertEqual(f.ctl("lane", "out/gmail")["handed"], 86)
            for number in range(20, 106):
                self.sent(f, number)
            wait_until(lambda: len(f.events("delivered")) == 100, 10, "the rest")
            self.assertEqual(f.ctl("lane", "out/gmail")["handed"], 0)


NO_JOURNAL = Journal.reason_against()


@unittest.skipIf(NO_JOURNAL, NO_JOURNAL)
class RealJournal(unittest.TestCase):
    """A real journal, read by the real journalctl."""

    def test_entries_of_the_mtas_units_over_a_kill(self):
        n = iter(range(1, 1000))
        peer = Peer({"eod": lambda _s, _c: f"250 2.0.0 Ok: queued as 1A2B3C{next(n):04X}"})
        text = CONFIG.replace('path: "%s"', "journal: yes")
        with peer, Journal() as journal, Flyball(text % (peer.port, ""), env=journal.env) as f:
            def said(number, status, reply, dsn, **kw):
                journal.write(f"1A2B3C{number:04X}: to=<a{number}@gmail.com>, relay=mx.test[192.0.2.1]:25, delay=1, "
                              f"delays=0/0/0/1, dsn={dsn}, status={status} ({reply})", **kw)

            def sent(number):
                said(number, "sent", "250 2.0.0 Ok", "2.0.0")
            for i in range(1, 41):
                send(f, [f"a{i}@gmail.com"])
            wait_until(lambda: len(f.events("relayed")) == 40, 10, "the handing over")
            # What `logger -p mail.info` in somebody's session could say.
            gone = "host mx.test[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)"
            said(1, "bounced", gone, "5.1.1", unit="session-3.scope")
            said(1, "bounced", gone, "5.1.1", unit="user@1000.service")
            for i in range(1, 11):
                sent(i)
            wait_until(lambda: len(f.events("delivered")) == 10, 20, "the first ones")
            self.assertEqual(f.events("bounced"), [])
            self.assertGreaterEqual(f.ctl("status")["logs"][0]["foreign"], 2)
            time.sleep(1.5)  # what is kept is written every second at least
            f.kill9()
            for i in range(11, 36):
                sent(i)
            f.start()
            for i in range(36, 41):
                sent(i)
            wait_until(lambda: len(f.events("delivered")) >= 40, 20, "the others")
            time.sleep(0.5)
            self.assertEqual(sorted(e["recipient"] for e in f.events("delivered")),
                             sorted(f"a{i}@gmail.com" for i in range(1, 41)))
            self.assertEqual(f.ctl("lane", "out/gmail")["handed"], 0)


if __name__ == "__main__":
    unittest.main()
