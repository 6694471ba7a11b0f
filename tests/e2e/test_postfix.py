# SPDX-License-Identifier: ISC
"""In front of a real Postfix, which delivers to smtp-sink; fed by smtp-source."""

import os
import re
import smtplib
import subprocess
import textwrap
import unittest

import storm
from harness import ROOT, Flyball, Peer, Postfix, Provider, free_port, has, smtp_sink, stop_process, wait_until

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
limits: {sessions_per_address: 1000}
providers:
  other: {rate: unlimited, connections: 20}
routes:
  out: {next_hop: "127.0.0.1:%d", tls: opportunistic, connections: 10}
"""


@unittest.skipUnless(Postfix.available(), "needs root and postfix")
class BehindUs(unittest.TestCase):
    def test_postfix_delivers_what_we_hand_over(self):
        with Peer() as provider, Postfix(f"127.0.0.1:{provider.port}") as postfix, \
                Flyball(CONFIG % postfix.port) as f:
            with smtplib.SMTP("127.0.0.1", f.port) as c:
                for i in range(20):
                    c.sendmail("a@app.test", [f"r{i}@x.test", f"s{i}@x.test"],
                               b"Subject: x\r\nMessage-ID: <%d@app.test>\r\n\r\n.dot\r\n..\r\nend\r\n" % i)
            wait_until(lambda: sum(len(m["recipients"]) for m in provider.messages) == 40, 30, "delivery by Postfix")
            for m in provider.messages:
                self.assertTrue(m["data"].endswith(b"\r\n\r\n.dot\r\n..\r\nend\r\n"))
            self.assertEqual(len(f.events("delivered")), 40)
            self.assertIn("queued as", f.events("delivered")[0]["reply"])


    def test_kills_while_postfix_delivers(self):
        """Postfix takes what flyball hands over, and what flyball forgot that it
        had handed over, once more; the provider behind it counts."""
        seed, n_kills = storm.seed_of_the_day(), 10
        print(f"kill -9 before Postfix: seed {seed}, {n_kills} kills", flush=True)
        with Provider(store=True) as provider, Postfix(f"127.0.0.1:{provider.port}") as postfix, \
                Flyball(CONFIG % postfix.port) as f:
            rage = storm.Storm(f, seed, n_senders=3)
            rage.rage(n_kills)
            accepted = rage.accepted()

            def has_all():
                return set(accepted) <= {l["rcpt"].split("@")[0] for l in provider.stored()}
            wait_until(has_all, 60, "Postfix to deliver all")
            storm.compare(self, accepted, provider.stored(), rage.n_ends * 10 * 2)


@unittest.skipUnless(Postfix.available(), "needs root and postfix")
class AsTheNotesSay(unittest.TestCase):
    """What README.md and contrib/docs/postfix.md tell to write, at other ports
    and addresses."""

    def blocks(self, name, kind):
        with open(os.path.join(ROOT, name)) as file:
            text = file.read()
        if kind == "indented":
            return [textwrap.dedent(block) for block in re.findall(r"\n\n((?:    .*\n)+)", text)]
        return [block for word, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S) if word == kind]

    def place(self, text, ports):
        for at, port in zip(("10025", "10026"), ports):
            text = text.replace(at, str(port))
        return text.replace("192.0.2.10", "127.0.0.2").replace("192.0.2.11", "127.0.0.3")

    def run_with(self, main, master, yaml, ports, streams):
        """A message of each sender in `streams`, to its end."""
        came = []  # sender -> by which address it came

        def mail(session, line):
            came.append((re.search("<(.*?)>", line).group(1), session.client_address[0]))
            return "250 2.1.0 Ok"
        with Peer({"mail": mail}) as peer:
            # Each transport sends to the recipient's own domain.
            main += f"\nsmtp_tcp_port = {peer.port}\n"
            with Postfix(f"127.0.0.1:{peer.port}", main, self.place(master, ports)) as postfix:
                yaml = self.place(yaml, ports).replace("/var/log/mail.log", postfix.log_path)
                with Flyball(yaml.replace("127.0.0.1:2525", "127.0.0.1:{port}")) as f:
                    for sender in streams:
                        with smtplib.SMTP("127.0.0.1", f.port) as c:
                            c.sendmail(sender, ["someone@localhost"], b"Subject: x\r\n\r\nx\r\n")
                    wait_until(lambda: len(f.events("delivered")) == len(streams), 20, "the ends by the log")
                    self.assertEqual(len(f.events("relayed")), len(streams))
                    ends = {e["sender"]: e for e in f.events("delivered")}
                    self.assertEqual({e["reply"] for e in ends.values()}, {"250 2.0.0 Ok: queued as TEST"})
                    self.assertEqual({s: e["route"] for s, e in ends.items()}, streams)
                    self.assertIn("status=sent", postfix.log())
                    self.assertNotIn("fatal", postfix.log())
        return dict(came)

    def test_readme(self):
        master = next(b for b in self.blocks("README.md", "indented") if "smtpd" in b)
        came = self.run_with("", master, self.blocks("README.md", "yaml")[0], [free_port()], {"a@app.test": "postfix"})
        self.assertEqual(came, {"a@app.test": "127.0.0.1"})

    def test_a_route_for_each_address(self):
        notes = "contrib/docs/postfix.md"
        blocks = self.blocks(notes, "")
        master = next(b for b in blocks if "content_filter" in b)
        main = next(b for b in blocks if "enable_long_queue_ids" in b)
        yaml = self.blocks(notes, "yaml")[0] + """
listeners: [{listen: "127.0.0.1:2525", tls: none, auth: none, trusted: [127.0.0.0/8]}]
streams: {b: {match: {sender_domain: [b.test]}, routes: [ip-b]}, default: {routes: [ip-a]}}
"""
        came = self.run_with(main, master, yaml, [free_port(), free_port()], {"x@a.test": "ip-a", "x@b.test": "ip-b"})
        self.assertEqual(came, {"x@a.test": "127.0.0.2", "x@b.test": "127.0.0.3"})


@unittest.skipUnless(has("smtp-source"), "needs postfix's smtp-source")
class Throughput(unittest.TestCase):
    def run_source(self, port, *args):
        p = subprocess.run(["/usr/sbin/smtp-source", *args, "-f", "a@app.test", "-t", "b@x.test", f"127.0.0.1:{port}"],
                           capture_output=True, text=True, timeout=120)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)

    def test_smtp_source_to_smtp_sink(self):
        port = free_port()
        sink = smtp_sink(port)
        try:
            with Flyball(CONFIG % port) as f:
                self.run_source(f.port, "-s", "20", "-m", "1000", "-l", "4096")
                self.run_source(f.port, "-d", "-s", "20", "-m", "1000", "-l", "50000")  # one message a connection... reused
                wait_until(lambda: f.ctl("status")["load"]["delivered"] == 2000, 60, "2000 deliveries")
                self.assertEqual(f.n_queued(), 0)
        finally:
            stop_process(sink)


if __name__ == "__main__":
    unittest.main()
