# SPDX-License-Identifier: ISC
"""What systemd relies on: sockets that it hands over, readiness and watchdog on
its notify socket, and a unit that leaves the service little to do harm with."""

import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import time
import unittest

from harness import FLYBALLD, ROOT, Flyball, Peer, TempDir, wait_until

CONFIG = """
listeners:
  - {listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}
routes: {main: {next_hop: "127.0.0.1:{next}"}}
"""


def listen():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    s.listen(100)
    return s


class Activated(Flyball):
    """A daemon that gets sockets as systemd hands them over."""

    given = ()

    def spawn(self):
        log = open(self.log_path, "a")
        fds = " ".join(f"{3 + i}<&{s.fileno()}" for i, s in enumerate(self.given))
        script = f"exec {fds}; LISTEN_FDS={len(self.given)} LISTEN_PID=$$ exec {FLYBALLD} -c {self.config_path}"
        self.process = subprocess.Popen(["bash", "-c", script], stdout=log, stderr=log,
                                        pass_fds=[s.fileno() for s in self.given])
        log.close()


class Activation(unittest.TestCase):
    def start(self, config, *given):
        # Out of the way of 3 and on, where they go.
        given = [socket.socket(fileno=os.dup2(s.detach(), 100 + i)) for i, s in enumerate(given)]
        f = Activated(config, start=False)
        f.given = given
        f.port = given[0].getsockname()[1]
        f.configure(config)
        self.addCleanup(lambda: [s.close() for s in given])
        self.addCleanup(f.close)
        return f

    def test_nobody_is_refused_while_the_daemon_is_away(self):
        with Peer() as peer:
            f = self.start(CONFIG.replace("{next}", str(peer.port)), listen())
            early = socket.create_connection(("127.0.0.1", f.port))
            early.settimeout(20)
            f.start()
            self.assertTrue(early.recv(100).startswith(b"220 "))
            early.close()
            for round in range(2):
                with smtplib.SMTP("127.0.0.1", f.port) as s:
                    s.sendmail("a@x.example", [f"r{round}@gmail.com"], b"Subject: x\r\n\r\nx\r\n")
                f.process.terminate()
                self.assertEqual(f.process.wait(20), 0)
                between = socket.create_connection(("127.0.0.1", f.port))
                between.settimeout(20)
                f.start()
                self.assertTrue(between.recv(100).startswith(b"220 "))
                between.close()
            wait_until(lambda: len(peer.messages) == 2, what="both messages")
            self.assertNotIn("socket_unused", f.log())

    def test_listeners_of_its_own_beside_it(self):
        f = self.start(CONFIG.replace("{next}", "1"), listen(), listen())
        f.configure(CONFIG.replace("{next}", "1").replace(
            "routes:", '  - {listen: "127.0.0.1:{port2}", tls: none, auth: none, trusted: [127.0.0.0/8]}\nroutes:'))
        f.start()
        for port in (f.port, f.port2):
            with smtplib.SMTP("127.0.0.1", port) as s:
                self.assertEqual(s.noop()[0], 250)
        other = f.given[1].getsockname()[1]
        self.assertRegex(f.log(), f'event=socket_unused address="127.0.0.1 port {other}"')

    def test_reload_gives_up_a_socket_and_takes_it_again(self):
        f = self.start(CONFIG.replace("{next}", "1"), listen(), listen())
        f.start()
        other = f.given[1].getsockname()[1]
        both = CONFIG.replace("{next}", "1").replace(
            "routes:", f'  - {{listen: "127.0.0.1:{other}", tls: none, auth: none, trusted: [127.0.0.0/8]}}\nroutes:')
        for config, ports in ((both, [f.port, other]), (CONFIG.replace("{next}", "1"), [f.port]),
                              (both, [f.port, other])):
            f.configure(config)
            f.ctl("reload")
            for port in ports:
                with smtplib.SMTP("127.0.0.1", port) as s:
                    self.assertEqual(s.noop()[0], 250)

    def test_a_socket_that_was_given_up_costs_nothing(self):
        f = self.start(CONFIG.replace("{next}", "1"), listen(), listen())
        other = f.given[1].getsockname()[1]
        both = CONFIG.replace("{next}", "1").replace(
            "routes:", f'  - {{listen: "127.0.0.1:{other}", tls: none, auth: none, trusted: [127.0.0.0/8]}}\nroutes:')
        f.start()
        for config in (both, CONFIG.replace("{next}", "1")) * 3:
            f.configure(config)
            f.ctl("reload")

        def used_s():
            with open(f"/proc/{f.process.pid}/stat") as stat:
                words = stat.read().rsplit(")", 1)[1].split()
            return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

        def is_taken():
            with socket.create_connection(("127.0.0.1", other)) as s:
                s.settimeout(0.5)
                try:
                    return s.recv(100) != b""
                except TimeoutError:
                    return False
        wait_until(lambda: not is_taken(), what="the socket given up by all workers")
        # Nobody takes it; a loop that is still told of it would never rest.
        with socket.create_connection(("127.0.0.1", other)):
            before = used_s()
            time.sleep(2)
            self.assertLess(used_s() - before, 1)

    def test_sockets_for_another_process_are_not_ours(self):
        f = Flyball(CONFIG.replace("{next}", "1"), env={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
        self.addCleanup(f.close)
        with smtplib.SMTP("127.0.0.1", f.port) as s:
            self.assertEqual(s.noop()[0], 250)


class Notify(unittest.TestCase):
    def test_ready_watchdog_and_stopping(self):
        tmp = TempDir()
        self.addCleanup(tmp.remove)
        path = tmp.file("notify")
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(path)
        s.settimeout(20)
        f = Flyball(CONFIG.replace("{next}", "1"), env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"})
        self.addCleanup(f.close)
        seen = []

        def read(word):
            while word not in seen:
                seen.extend(s.recv(1000).decode().splitlines())
        read("READY=1")
        read("WATCHDOG=1")
        f.process.send_signal(signal.SIGTERM)
        read("STOPPING=1")
        s.close()


class Unit(unittest.TestCase):
    def render(self, name, tmp):
        with open(os.path.join(ROOT, "contrib", "systemd", name)) as file:
            text = file.read().replace("@SBINDIR@/flyballd", "/bin/true")
        return tmp.file(name, text)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_exposure_is_low(self):
        tmp = TempDir()
        self.addCleanup(tmp.remove)
        p = subprocess.run(["systemd-analyze", "security", "--no-pager", "--offline=true", self.render("flyball.service", tmp)],
                           capture_output=True, text=True)
        level = re.search(r"exposure level for flyball.service: ([\d.]+)", p.stdout)
        self.assertIsNotNone(level, p.stdout + p.stderr)
        self.assertLessEqual(float(level.group(1)), 2.0, p.stdout)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_units_have_no_mistakes(self):
        tmp = TempDir()
        self.addCleanup(tmp.remove)
        paths = [self.render("flyball.service", tmp), self.render("flyball.socket", tmp)]
        p = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True)
        ours = [line for line in p.stderr.splitlines() if "flyball" in line]
        self.assertEqual(ours, [], p.stderr)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root and setpriv")
    def test_low_ports_need_one_capability_only(self):
        """As the unit runs it: an ordinary user, CAP_NET_BIND_SERVICE, no core."""
        tmp = TempDir()
        self.addCleanup(tmp.remove)
        os.chmod(tmp.path, 0o755)
        os.mkdir(tmp.file("state"), 0o700)
        os.chown(tmp.file("state"), 65534, 65534)
        log = tmp.file("log")
        config = tmp.file("flyball.yaml", f"""
daemon:
  hostname: relay.test
  state_dir: {tmp.path}/state
  admin_socket: {{path: {tmp.path}/state/admin.sock}}
  event_log: {tmp.path}/state/events.jsonl
listeners: [{{listen: "127.0.0.1:587", tls: none, auth: none, trusted: [127.0.0.0/8]}}]
routes: {{main: {{next_hop: "127.0.0.1:1"}}}}
dns: {{mx: false}}
""")
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", 587))
            except OSError:
                self.skipTest("somebody has port 587")
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
                   "--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service",
                   "--bounding-set=-all,+net_bind_service", shutil.copy(FLYBALLD, tmp.path), "-c", config]
        with open(log, "w") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            wait_until(lambda: "event=ready" in open(log).read() or process.poll() is not None, 20, "ready")
            self.assertIsNone(process.poll(), open(log).read())
            with smtplib.SMTP("127.0.0.1", 587) as s:
                self.assertEqual(s.noop()[0], 250)
        finally:
            process.terminate()
            process.wait(20)


if __name__ == "__main__":
    unittest.main()
