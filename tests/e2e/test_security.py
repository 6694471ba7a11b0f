# SPDX-License-Identifier: ISC
"""What must not get out, and who must not get in: secrets in no output, no
memory in a core, TLS as a scanner sees it, ports as they were configured."""

import base64
import glob
import os
import re
import resource
import shutil
import signal
import smtplib
import socket
import struct
import subprocess
import unittest
import urllib.request

import redis_server
from harness import FLYBALLCTL, FLYBALLD, IS_SANITIZED, Flyball, Peer, certificate, crypt_line, free_port, wait_until

PASSWORD = "Tr0ub4dor-and-3"       # of a user
HOP_PASSWORD = "hop-W3rksbahn-77"  # of ours at the next hop
REDIS_PASSWORD = "redis-Kl4vier-5"
WRONG = "wr0ng-guess-2718"


def forms(secret):
    """How it might be seen: in clear, and within base64 wherever it begins."""
    yield secret
    for prefix in ("", "x", "xx"):
        yield base64.b64encode((prefix + secret).encode()).decode()[4:-4]


def without_notes(core):
    """The memory in a core. Its notes have the registers, and the vector
    registers what was copied last, which may be a piece of any line."""
    at, = struct.unpack_from("<Q", core, 32)
    size, n = struct.unpack_from("<HH", core, 54)
    for i in range(n):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", core, at + i * size)
        if kind == 4:  # PT_NOTE
            core = core[:offset] + bytes(length) + core[offset + length:]
    return core


class Secrets(unittest.TestCase):
    def test_no_output_has_them(self):
        cert, key = certificate()
        with open(key) as file:
            key_lines = [line for line in file.read().splitlines() if not line.startswith("-")]
        line = crypt_line("app", PASSWORD)
        hash_ = line.split(":")[1]
        secrets = [f for s in (PASSWORD, HOP_PASSWORD, WRONG) for f in forms(s)]
        secrets += [hash_, hash_.split("$")[-1], *key_lines]
        port = free_port()
        with Peer(ehlo=("PIPELINING", "AUTH PLAIN LOGIN", "8BITMIME")) as peer:
            f = Flyball(f"""
daemon:
  hostname: relay.test
  state_dir: {{dir}}/state
  admin_socket: {{path: "{{dir}}/admin.sock"}}
  event_log: "{{dir}}/events.jsonl"
  log: {{level: debug}}
  http: {{listen: "127.0.0.1:{port}"}}
listeners:
  - {{listen: "127.0.0.1:{{port}}", tls: starttls, auth: required, plaintext_auth: true}}
tls: {{certificate: {cert}, key: {key}}}
auth: {{users_file: "{{dir}}/users"}}
routes:
  out: {{next_hop: "127.0.0.1:{peer.port}", tls: none, auth: {{user: app, password_file: "{{dir}}/hop.pw"}}}}
""", start=False)
            for name, text in (("users", line), ("hop.pw", HOP_PASSWORD)):
                f.tmp.file(name, text + "\n", 0o600)
            f.start()
            self.addCleanup(f.close)
            outputs = self.use(f, peer, port)
            # It was used: the next hop has been told.
            told = base64.b64encode(f"\0app\0{HOP_PASSWORD}".encode()).decode()
            self.assertIn(f"AUTH PLAIN {told}", peer.commands)
        outputs["log"], outputs["events"] = f.log(), open(f.events_path).read()
        self.assertIn("level=debug", outputs["log"])
        f.process.terminate()
        f.process.wait(20)
        f.process = None
        with open(f.tmp.file("state/spool.mdb"), "rb") as file:
            outputs["database"] = file.read().decode("latin-1")
        for name, text in outputs.items():
            for secret in secrets:
                self.assertNotIn(secret, text, f"in {name}")

    def use(self, f, peer, http_port):
        """All that talks: good and bad logins, mistakes in the users file, every
        command that shows something, every page."""
        outputs = {}
        with smtplib.SMTP("127.0.0.1", f.port) as s:
            s.login("app", PASSWORD)
            s.sendmail("a@shop.example", ["b@gmail.com"], b"Subject: x\r\n\r\nx\r\n")
        for how in ("PLAIN", "LOGIN"):
            with smtplib.SMTP("127.0.0.1", f.port) as s:
                s.ehlo()
                try:
                    s.user, s.password = "app", WRONG
                    s.auth(how, getattr(s, "auth_" + how.lower()))
                except smtplib.SMTPAuthenticationError as e:
                    outputs["reply " + how] = repr(e)
        with socket.create_connection(("127.0.0.1", f.port)) as s:  # broken in the middle
            s.sendall(b"EHLO x\r\nAUTH PLAIN " + base64.b64encode(f"\0app\0{WRONG}\0x".encode()) + b"\r\nQUIT\r\n")
            outputs["broken"] = s.makefile().read()
        wait_until(lambda: len(peer.messages) == 1, 20, "the message")
        message = f.events("accepted")[0]["message"]
        for words in (["status"], ["lanes"], ["lane", "out/gmail"], ["why", "out/gmail"], ["queue"], ["plans"],
                      ["providers"], ["events"], ["version"], ["history"], ["forecast"], ["message", message]):
            for option in ([], ["--json"]):
                p = subprocess.run([FLYBALLCTL, "-s", f.socket, *option, *words], capture_output=True, text=True)
                outputs[" ".join(option + words)] = p.stdout + p.stderr
        self.assertIn("relay.test", outputs["status"] + outputs["--json status"])
        for command in ([FLYBALLCTL, "check-config", "--dump", f.config_path], [FLYBALLD, "-t", "-c", f.config_path],
                        [FLYBALLCTL, "doctor", "-c", f.config_path]):
            p = subprocess.run(command, capture_output=True, text=True, timeout=60)
            outputs[" ".join(command[1:3])] = p.stdout + p.stderr
        self.assertIn("hop.pw", outputs["check-config --dump"])
        for path in ("/", "/metrics", "/api/status", "/api/lanes", "/api/plans", "/healthz"):
            with urllib.request.urlopen(f"http://127.0.0.1:{http_port}{path}") as r:
                outputs[path] = r.read().decode()
        for broken in (crypt_line("b", PASSWORD) + ":nonsense=1", f"c:{PASSWORD}", PASSWORD):
            with open(f.tmp.file("users"), "a") as file:
                file.write(broken + "\n")
            p = subprocess.run([FLYBALLCTL, "-s", f.socket, "reload"], capture_output=True, text=True)
            self.assertEqual(p.returncode, 1)
            outputs["reload " + broken[:2]] = p.stdout + p.stderr
        return outputs

    @unittest.skipUnless(redis_server.available(), "no Redis")
    def test_password_of_redis(self):
        """The right one, and a wrong one."""
        redis = redis_server.RedisServer(password=REDIS_PASSWORD)
        self.addCleanup(redis.close)
        f = Flyball("""
listeners: [{listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}]
routes: {out: {next_hop: "127.0.0.1:1"}}
cluster: {redis: "redis://127.0.0.1:%d/0", password_file: "{dir}/redis.pw", name: relay-1}
""" % redis.port, start=False, log_level="debug")
        self.addCleanup(f.close)
        for password in (REDIS_PASSWORD, REDIS_PASSWORD + WRONG):
            f.tmp.file("redis.pw", password + "\n", 0o600)
            out = subprocess.run([FLYBALLCTL, "check-config", "--dump", f.config_path],
                                 capture_output=True, text=True).stdout
            self.assertIn("redis.pw", out)
            f.spawn()
            wait_until(lambda: f.process.poll() is not None or "event=ready" in f.log(), 20, "an answer")
            if f.process.poll() is None:
                out += subprocess.run([FLYBALLCTL, "-s", f.socket, "status"], capture_output=True, text=True).stdout
                f.process.terminate()
                f.process.wait(20)
            f.process = None
            for secret in (*forms(REDIS_PASSWORD), *forms(WRONG)):
                self.assertNotIn(secret, out + f.log())

    @unittest.skipIf(IS_SANITIZED, "a sanitizer handles the signal")
    def test_core_has_no_memory(self):
        f = Flyball("""
listeners: [{listen: "127.0.0.1:{port}", tls: none, auth: required, plaintext_auth: true}]
auth: {users_file: "{dir}/users"}
routes: {out: {next_hop: "127.0.0.1:1"}}
""", start=False)
        self.addCleanup(f.close)
        f.tmp.file("users", crypt_line("app", PASSWORD) + "\n")
        with open("/proc/sys/kernel/core_pattern") as file:
            pattern = file.read().strip()
        here = os.getcwd()
        before = resource.getrlimit(resource.RLIMIT_CORE)
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
            os.chdir(f.tmp.path)
            f.start()
        finally:
            os.chdir(here)
            resource.setrlimit(resource.RLIMIT_CORE, before)
        with open(f"/proc/{f.process.pid}/coredump_filter") as file:
            self.assertEqual(int(file.read(), 16), 0)
        with smtplib.SMTP("127.0.0.1", f.port) as s:
            s.login("app", PASSWORD)
        f.process.send_signal(signal.SIGABRT)
        self.assertEqual(f.process.wait(20), -signal.SIGABRT)
        f.process = None
        cores = glob.glob(os.path.join(f.tmp.path, "core*"))
        if re.fullmatch(r"core(\.%p)?", pattern) and before[1] != 0:
            self.assertEqual(len(cores), 1)
        for core in cores:
            with open(core, "rb") as file:
                data = file.read()
            self.assertNotIn(PASSWORD.encode(), data)
            self.assertNotIn(b"127.0.0.1", without_notes(data))
            self.assertLess(len(data), 2 << 20)


@unittest.skipUnless(shutil.which("sslscan"), "no sslscan")
class TlsScan(unittest.TestCase):
    """sslscan's own words about both kinds of listeners."""

    @classmethod
    def setUpClass(cls):
        cert, key = certificate()
        cls.f = Flyball("""
listeners:
  - {listen: "127.0.0.1:{port}", tls: starttls, auth: none, trusted: [127.0.0.0/8]}
  - {listen: "127.0.0.1:{port2}", tls: implicit, auth: none, trusted: [127.0.0.0/8]}
tls: {certificate: %s, key: %s}
routes: {out: {next_hop: "127.0.0.1:1"}}
""" % (cert, key))

    @classmethod
    def tearDownClass(cls):
        cls.f.close()

    def check(self, *target):
        out = subprocess.run(["sslscan", "--no-colour", "--no-check-certificate", *target],
                             capture_output=True, text=True, timeout=120).stdout
        for version in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
            self.assertRegex(out, rf"{re.escape(version)} +disabled", out)
        for version in ("TLSv1.2", "TLSv1.3"):
            self.assertRegex(out, rf"{re.escape(version)} +enabled", out)
        ciphers = re.findall(r"^(?:Preferred|Accepted) +(TLSv1\.\d) +(\d+) bits +(\S+)", out, re.M)
        self.assertGreaterEqual(len(ciphers), 5, out)
        for version, bits, name in ciphers:
            self.assertGreaterEqual(int(bits), 128, name)
            self.assertRegex(name, "^(TLS_|ECDHE-)", "forward secrecy")
            self.assertRegex(name, "GCM|POLY1305|CCM", "no CBC")
        self.assertIn("Session renegotiation not supported", out)
        self.assertNotIn("Compression enabled", out)
        for bits, name in re.findall(r"^TLSv1\.\d +(\d+) bits +(\S+)", out, re.M):
            self.assertGreaterEqual(int(bits), 128, name)
        self.assertNotRegex(out, "(?<!not )vulnerable to heartbleed")

    def test_starttls(self):
        self.check("--starttls-smtp", f"127.0.0.1:{self.f.port}")

    def test_implicit(self):
        self.check(f"127.0.0.1:{self.f.port2}")


class Ports(unittest.TestCase):
    def test_only_what_is_configured_is_open(self):
        port = free_port()
        f = Flyball("""
daemon:
  hostname: relay.test
  state_dir: {dir}/state
  admin_socket: {path: "{dir}/admin.sock"}
  http: {listen: "127.0.0.1:%d"}
listeners: [{listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}]
routes: {out: {next_hop: "127.0.0.1:1"}}
""" % port)
        self.addCleanup(f.close)
        inodes = set()
        for fd in glob.glob(f"/proc/{f.process.pid}/fd/*"):
            found = re.match(r"socket:\[(\d+)\]", os.readlink(fd))
            if found:
                inodes.add(found.group(1))
        listening = set()
        for name in ("tcp", "tcp6", "udp", "udp6"):
            if not os.path.exists(f"/proc/net/{name}"):
                continue
            with open(f"/proc/net/{name}") as table:
                for row in list(table)[1:]:
                    words = row.split()
                    if words[9] in inodes and (words[3] == "0A" or name.startswith("udp")):
                        listening.add((name, words[1]))
        here = "0100007F"
        self.assertEqual(listening, {("tcp", f"{here}:{f.port:04X}"), ("tcp", f"{here}:{port:04X}")})
        mode = os.stat(f.socket).st_mode & 0o777
        self.assertEqual(mode, 0o660)
        self.assertEqual(os.stat(f.tmp.file("state")).st_mode & 0o777, 0o700)
        for root, _, files in os.walk(f.tmp.file("state")):
            for name in files:
                self.assertEqual(os.stat(os.path.join(root, name)).st_mode & 0o077, 0, name)

    def test_http_is_off_unless_asked_for(self):
        f = Flyball("""
listeners: [{listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}]
routes: {out: {next_hop: "127.0.0.1:1"}}
""")
        self.addCleanup(f.close)
        self.assertRegex(f.log(), r'event=ready .*http=""')

    def test_open_relay_is_warned_of(self):
        f = Flyball("""
listeners: [{listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: ["::/0", 0.0.0.0/0], open_relay: true}]
routes: {out: {next_hop: "127.0.0.1:1"}}
""")
        self.addCleanup(f.close)
        self.assertRegex(f.log(), r"level=warn event=open_relay listener=127\.0\.0\.1")


if __name__ == "__main__":
    unittest.main()
