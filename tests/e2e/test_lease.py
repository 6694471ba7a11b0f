# SPDX-License-Identifier: ISC
"""Several relays, one budget: what three of them send together, while one is
killed or stands still, and while Redis is gone, flushed or full. The times are
taken where the mail arrives, so a few that were under way may bunch up."""

import os
import signal
import smtplib
import socketserver
import threading
import time
import unittest

from harness import wait_until
from redis_server import Cluster, RedisServer, available, rates_over
from relays import most_in, sent_times

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
providers:
  gmail: {rate: %(rate)s, connections: 20}
plans:
  warm: {schedule: {volumes: [%(day)d, 100000]}, pace: front}
routes:
  out: {next_hop: "127.0.0.1:%(port)d", tls: none, connections: 30%(plan)s}
"""

# Of 300 in a second, what the way to the sink may shift.
SLACK = 15


class Sink(socketserver.ThreadingTCPServer):
    """Takes all; remembers when each recipient came."""
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), SinkSession)
        self.port = self.server_address[1]
        self.times = []
        self.refuse_until = 0  # RCPT gets a 421
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def since(self, start):
        return [t for t in self.times if t >= start]

    def in_span(self, start, span):
        return sum(start <= t < start + span for t in self.times)

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class SinkSession(socketserver.StreamRequestHandler):
    wbufsize = 0

    def handle(self):
        try:
            self.dialogue()
        except OSError:
            pass

    def say(self, text):
        self.wfile.write(text + b"\r\n")

    def dialogue(self):
        self.say(b"220 sink")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.say(b"250-sink\r\n250 PIPELINING")
            elif verb == b"DATA":
                self.say(b"354 go on")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                self.say(b"250 taken")
            elif verb == b"QUIT":
                return self.say(b"221 bye")
            else:
                if verb == b"RCPT" and time.monotonic() < self.server.refuse_until:
                    self.say(b"421 4.7.28 unusual rate of mail")
                    continue
                if verb == b"RCPT":
                    self.server.times.append(time.monotonic())
                self.say(b"250 ok")


def send(f, n):
    """n recipients, a hundred in a message."""
    with smtplib.SMTP("127.0.0.1", f.port) as c:
        for i in range(0, n, 100):
            c.sendmail("a@app.test", [f"u{i + j}@gmail.com" for j in range(100)],
                       b"Subject: x\r\n\r\nx\r\n")


def config(sink, rate="300/s", day=0):
    return CONFIG % {"rate": rate, "port": sink.port, "day": day or 1000,
                     "plan": ", plan: warm" if day else ""}


def modes(cluster, mode):
    """How often each relay entered it."""
    return [sum(f" mode={mode} " in line for line in f.log().splitlines()) for f in cluster]


def wait_mode(f, mode, timeout=20):
    def is_there():
        lines = [line for line in f.log().splitlines() if " event=cluster mode=" in line]
        return lines and f" mode={mode} " in lines[-1]
    wait_until(is_there, timeout, f"mode {mode}")


def wait_flow(sink, at_least, timeout=15):
    """Until that many a second come."""
    wait_until(lambda: sink.in_span(time.monotonic() - 1, 1) >= at_least, timeout, "mail to flow")


@unittest.skipUnless(available(), "needs redis-server")
class Lease(unittest.TestCase):
    def assert_untouched(self, cluster):
        """No message was deferred, bounced or charged an attempt."""
        for f in cluster:
            if f.process is None:
                continue
            self.assertEqual(f.events("deferred") + f.events("bounced"), [])
            self.assertEqual([q for q in f.ctl("queue", "limit", "5") if q["attempts"] > 0], [])

    def test_three_use_all_and_no_more_and_outlive_one(self):
        with Sink() as sink, RedisServer() as redis, Cluster(3, redis.url(), config(sink)) as c:
            for f in c:
                wait_mode(f, "shared")
            send(c[0], 7000)
            send(c[1], 7000)
            wait_flow(sink, 285)
            send(c[2], 7000)
            start, calls = time.monotonic(), redis.calls()["evalsha"]
            before = [f.ctl("status")["load"]["delivered"] for f in c]
            time.sleep(2)
            came = [f.ctl("status")["load"]["delivered"] for f in c]
            time.sleep(1)
            later = [f.ctl("status")["load"]["delivered"] for f in c]
            # The newcomer has its share within two seconds.
            self.assertGreater(came[2], before[2])
            self.assertGreater(later[2] - came[2], 75)
            time.sleep(9)
            calls = redis.calls()["evalsha"] - calls
            span = time.monotonic() - start
            # Two a second for the lane, and one heartbeat.
            self.assertLess(calls / span / 3, 3.2)
            most, _ = rates_over(sink.since(start + 2.5), 1.0)
            self.assertLessEqual(most, 300 + SLACK)
            most, least = rates_over(sink.since(start + 2), 10.0)
            self.assertLessEqual(most, 3000 + SLACK)
            self.assertGreaterEqual(sink.in_span(time.monotonic() - 9, 9), 9 * 300 * 0.97)
            # One dies; within three seconds the others use what it had.
            c[1].kill9()
            killed = time.monotonic()
            time.sleep(4.2)
            self.assertGreater(sink.in_span(killed + 3.1, 1), 280)
            most, _ = rates_over(sink.since(start), 1.0)
            self.assertLessEqual(most, 300 + SLACK)
            self.assert_untouched(c)

    def test_redis_goes_and_comes_back(self):
        with Sink() as sink, RedisServer() as redis, \
                Cluster(3, redis.url(), config(sink), cluster="on_loss: share") as c:
            for f in c:
                wait_mode(f, "shared")
            for f in c:
                send(f, 7000)
            wait_flow(sink, 285)
            redis.stop()
            for f in c:
                wait_mode(f, "share")
            wait_flow(sink, 250)
            self.assertIn("cluster", [a["alert"] for a in c[0].ctl("status")["alerts"]])
            redis.start()
            for f in c:
                wait_mode(f, "shared")
            wait_flow(sink, 285)
            # When each was sent, as a busy machine brings them late and together.
            self.assertLessEqual(most_in(sent_times(c), 1), 300 + SLACK)
            # One alert, and one when it was over.
            for f in c:
                self.assertEqual([e["state"] for e in f.events("alert")], ["share", "shared"])
            self.assert_untouched(c)

    def test_a_relay_that_stands_still_spends_nothing_late(self):
        with Sink() as sink, RedisServer() as redis, Cluster(2, redis.url(), config(sink)) as c:
            for f in c:
                wait_mode(f, "shared")
            for f in c:
                send(f, 5000)
            wait_flow(sink, 285)
            start = time.monotonic()
            os.kill(c[1].process.pid, signal.SIGSTOP)
            time.sleep(4)
            self.assertGreater(sink.in_span(start + 3, 1), 280)
            os.kill(c[1].process.pid, signal.SIGCONT)
            time.sleep(3)
            # What its connections had taken before comes late.
            most, _ = rates_over(sink.since(start), 1.0)
            self.assertLessEqual(most, 300 + 20 + SLACK)
            self.assertEqual(modes(c, "share"), [0, 0])
            self.assert_untouched(c)

    def test_hold_sends_nothing_without_redis(self):
        with Sink() as sink, RedisServer() as redis, \
                Cluster(1, redis.url(), config(sink), cluster="on_loss: hold") as c:
            wait_mode(c[0], "shared")
            send(c[0], 5000)
            wait_flow(sink, 250)
            redis.pause()
            wait_mode(c[0], "hold")
            time.sleep(0.5)
            n = len(sink.times)
            time.sleep(1)
            self.assertEqual(len(sink.times), n)
            self.assertEqual(c[0].ctl("lane", "out/gmail")["gate"], "lease")
            redis.resume()
            wait_flow(sink, 250)
            self.assert_untouched(c)

    def test_a_full_redis_and_another_scheme_are_told(self):
        with Sink() as sink, RedisServer() as redis, Cluster(1, redis.url(), config(sink)) as c:
            wait_mode(c[0], "shared")
            send(c[0], 3000)
            wait_flow(sink, 250)
            redis.command("CONFIG", "SET", "maxmemory", "1")
            wait_mode(c[0], "share")
            self.assertIn("full", c[0].ctl("status")["alerts"][0]["text"])
            redis.command("CONFIG", "SET", "maxmemory", "0")
            wait_mode(c[0], "shared")
            redis.command("HSET", "{flyball}1:generation", "scheme", "2")
            wait_mode(c[0], "refused")
            self.assertIn("scheme 2", c[0].ctl("status")["alerts"][0]["text"])
            self.assert_untouched(c)

    def test_no_day_is_granted_twice(self):
        with Sink() as sink, RedisServer() as redis, \
                Cluster(3, redis.url(), config(sink, rate="400/s", day=1200)) as c:
            for f in c:
                wait_mode(f, "shared")
            for f in c:
                send(f, 1200)
            wait_until(lambda: len(sink.times) > 200, 20, "the day to begin")
            c[1].kill9()
            c[1].start()
            redis.command("FLUSHALL")
            wait_until(lambda: len(sink.times) > 500, 20, "mail to go on")
            redis.command("FLUSHALL")

            def is_used():
                return all(f.ctl("lane", "out/gmail")["gate"] == "plan" for f in c)
            wait_until(is_used, 40, "the day to be used up")
            redis.command("FLUSHALL")
            time.sleep(6)
            # The one that was killed counts what it had reserved as sent.
            self.assertLessEqual(len(sink.times), 1200)
            self.assertGreaterEqual(len(sink.times), 1200 - 60)
            for f in c:
                self.assertEqual(f.ctl("plan", "out/gmail")["sent"], 1200)

    def test_what_one_is_told_or_learns_holds_for_all(self):
        with Sink() as sink, RedisServer() as redis, \
                Cluster(3, redis.url(), config(sink, day=50000)) as c:
            for f in c:
                wait_mode(f, "shared")
            for f in c:
                send(f, 3000)
            wait_flow(sink, 100)

            def lane(f):
                return f.ctl("lane", "out/gmail")

            def within_a_second(what, text):
                wait_until(lambda: all(what(f) for f in c), 1.5, text)
            # The operator's word, from any of them.
            c[0].ctl("pause", "lane", "out/gmail", "because", "of", "a", "trial")
            within_a_second(lambda f: lane(f)["gate"] == "pause", "the pause")
            c[1].ctl("resume", "lane", "out/gmail")
            within_a_second(lambda f: lane(f)["gate"] != "pause", "its end")
            c[2].ctl("rate", "out/gmail", "120/s", "for", "10m")
            within_a_second(lambda f: lane(f)["rates"] == ["120/s"], "the rate")
            c[0].ctl("rate", "out/gmail", "auto")
            within_a_second(lambda f: lane(f)["rates"] == ["300/s"], "the rate's end")
            c[1].ctl("plan", "out/gmail", "advance")
            within_a_second(lambda f: f.ctl("plan", "out/gmail")["stage"] == 2, "the plan's stage")
            c[0].ctl("suppress", "add", "gone@gmail.com")
            wait_until(lambda: all(f.ctl("suppress", "check", "gone@gmail.com")["suppressed"] for f in c), 3,
                       "all to know whom not to write to")
            c[2].ctl("suppress", "remove", "gone@gmail.com")
            wait_until(lambda: not any(f.ctl("suppress", "check", "gone@gmail.com")["suppressed"] for f in c), 3,
                       "all to know that it is over")
            # The last word holds, whoever has had the one before, and also for who reads it all again.
            c[1].ctl("suppress", "add", "back@gmail.com")
            wait_until(lambda: c[0].ctl("suppress", "check", "back@gmail.com")["suppressed"], 3, "the other to know")
            c[0].ctl("suppress", "remove", "back@gmail.com")
            c[1].ctl("suppress", "add", "again@gmail.com")
            wait_until(lambda: c[0].ctl("suppress", "check", "again@gmail.com")["suppressed"], 3, "the other to know")
            c[1].ctl("suppress", "remove", "again@gmail.com")
            wait_until(lambda: not c[0].ctl("suppress", "check", "again@gmail.com")["suppressed"], 3, "the other to know")
            c[0].ctl("suppress", "add", "again@gmail.com")
            wait_until(lambda: c[1].ctl("suppress", "check", "again@gmail.com")["suppressed"], 3, "the other to know")
            c[0].stop()
            c[0].start()
            time.sleep(2)
            for f in c:
                self.assertFalse(f.ctl("suppress", "check", "back@gmail.com")["suppressed"])
                self.assertTrue(f.ctl("suppress", "check", "again@gmail.com")["suppressed"])
            # One refusal slows all, and is one decision.
            self.assertTrue(all(lane(f)["adapt"]["rate"] is None for f in c))
            sink.refuse_until = time.monotonic() + 0.03
            within_a_second(lambda f: lane(f)["adapt"]["rate"] is not None, "all to slow down")
            time.sleep(1)
            self.assertEqual(len({lane(f)["adapt"]["rate"] for f in c}), 1)
            # Who comes later hears of it at once, and so does who was cut off.
            c[2].stop()
            c[0].ctl("pause", "lane", "out/gmail")
            c[2].start()
            within_a_second(lambda f: lane(f)["gate"] == "pause", "the newcomer to know")
            redis.command("FLUSHALL")
            time.sleep(2)
            c[1].ctl("resume", "lane", "out/gmail")
            within_a_second(lambda f: lane(f)["gate"] != "pause", "the pause's end after a flush")

    def test_a_flushed_redis_counts_its_words_anew(self):
        """Others may have said so much since that it looks as if nothing was
        forgotten; what they say counts all the same."""
        with Sink() as sink, RedisServer() as redis, Cluster(1, redis.url(), config(sink)) as c:
            wait_mode(c[0], "shared")

            def revision():
                return int(redis.command("HGET", "{flyball}1:lessons", "revision") or 0)
            for n, words in enumerate((["pause"], ["resume"], ["pause"]), 1):
                c[0].ctl(*words, "lane", "out/gmail")
                wait_until(lambda: revision() == n, 5, "Redis to know")
            c[0].ctl("pause", "lane", "out/yahoo", "because", "of", "us")
            wait_until(lambda: revision() == 4, 5, "Redis to know")
            client = redis.client()
            client("MULTI")
            client("FLUSHALL")
            client("HSET", "{flyball}1:lessons", "revision", "4",
                   "k:pause lane out/gmail", "2\nanother\n0\n0\npause lane out/gmail\n",
                   "k:pause route out", "4\nanother\n0\n1\npause route out\n1 1600000000000000 -1 of them")
            client("EXEC")
            client.close()

            def pauses():
                return sorted(p["name"] + ": " + (p["because"] or "") for p in c[0].ctl("status")["pauses"])
            wait_until(lambda: pauses() == ["out/yahoo: of us", "out: of them"], 5, "the others' word to be heard")
            # What was forgotten is told again.
            wait_until(lambda: redis.command("HGET", "{flyball}1:lessons", "k:pause lane out/yahoo") is not None, 5,
                       "our own to be told")


if __name__ == "__main__":
    unittest.main()
