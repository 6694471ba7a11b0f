# SPDX-License-Identifier: ISC
"""What the end-to-end tests stand on: the real flyballd on loopback, peers that
follow a script, a real Postfix, certificates. Every server takes a free port
and is stopped by its pid; everything lives in a temporary directory."""

import atexit
import functools
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("FLYBALL_BUILD", "build"))
FLYBALLD = os.path.join(BUILD, "flyballd")
FLYBALLCTL = os.path.join(BUILD, "flyballctl")
PROVIDER = os.path.join(BUILD, "flyball-provider")

# Sanitized daemons are several times slower.
PATIENCE = float(os.environ.get("FLYBALL_TEST_PATIENCE", "1"))
# Their memory tells nothing of ours.
IS_SANITIZED = "FLYBALL_SANITIZED" in os.environ


def free_port():
    """Not one of those that the kernel gives to outgoing connections: a daemon
    that is killed and started again must find its port free."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def wait_until(predicate, timeout=10.0, what="condition"):
    """Polls until the predicate returns something true, and returns it."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"timed out after {timeout * PATIENCE:g} s waiting for {what}")
        time.sleep(0.02)


class TempDir:
    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="flyball-test-")

    def file(self, name, text=None, mode=None):
        path = os.path.join(self.path, name)
        if text is not None:
            with open(path, "w") as f:
                f.write(text)
        if mode is not None:
            os.chmod(path, mode)
        return path

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


_certificates = {}


def certificate(name="localhost"):
    """A self-signed P-256 certificate and key for a name: (cert, key) paths."""
    if name not in _certificates:
        d = tempfile.mkdtemp(prefix="flyball-cert-")
        atexit.register(shutil.rmtree, d, ignore_errors=True)
        cert, key = os.path.join(d, "cert.pem"), os.path.join(d, "key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", key,
             "-out", cert, "-subj", f"/CN={name}",
             "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"],
            check=True, capture_output=True)
        _certificates[name] = (cert, key)
    return _certificates[name]


def crypt_line(user, password, options=""):
    """A users file line made by our own tool."""
    command = [FLYBALLCTL, "passwd"] + (["-o", options] if options else []) + [user]
    out = subprocess.run(command, input=password + "\n", text=True,
                         capture_output=True, check=True)
    return out.stdout.strip()


@functools.cache
def documented_events():
    """contrib/docs/events.md: event -> its keys."""
    out = {}
    with open(os.path.join(ROOT, "contrib", "docs", "events.md")) as f:
        for line in f:
            cells = [re.findall(r"`([a-z_]+)`", c) for c in line.split("|")[1:-1]]
            if len(cells) == 3:
                keys = set(cells[2]) | (out["relayed"] if "relayed" in cells[2] else set())
                out.update({name: keys for name in cells[0]})
    return out


class Flyball:
    """One flyballd. `config` is YAML below our own defaults; the placeholders
    {port}, {port2}, {dir} are filled in. `n_files` limits its descriptors;
    `prefix` is a command that runs it."""

    def __init__(self, config, files=None, start=True, log_level="info", env=None,
                 n_files=None, prefix=()):
        self.tmp = TempDir()
        self.port = free_port()
        self.port2 = free_port()
        self.process = None
        self.env = env or {}
        self.prefix = [*prefix, *(["prlimit", f"--nofile={n_files}"] if n_files else [])]
        self.log_path = self.tmp.file("flyballd.log")
        self.events_path = self.tmp.file("events.jsonl")
        self.socket = self.tmp.file("admin.sock")
        self.log_level = log_level
        for name, text in (files or {}).items():
            self.tmp.file(name, text)
        self.config_path = self.tmp.file("flyball.yaml")
        self.configure(config)
        if start:
            self.start()

    def configure(self, config):
        base = (
            "daemon:\n"
            "  hostname: relay.test\n"
            "  workers: 2\n"
            f"  state_dir: {self.tmp.path}/state\n"
            f"  admin_socket: {{path: {self.socket}}}\n"
            f"  event_log: {self.events_path}\n"
            f"  log: {{level: {self.log_level}}}\n"
            "  drain_timeout: 5s\n")
        text = (config.replace("{port}", str(self.port))
                .replace("{port2}", str(self.port2))
                .replace("{dir}", self.tmp.path))
        if "daemon:" not in text:
            text = base + text
        if "\ndns:" not in text:  # nothing leaves the machine
            text += "\ndns: {mx: false}\n"
        with open(self.config_path, "w") as f:
            f.write(text)

    def spawn(self):
        log = open(self.log_path, "a")
        self.process = subprocess.Popen(
            [*self.prefix, FLYBALLD, "-c", self.config_path], stdout=log, stderr=log,
            env={**os.environ, **self.env})
        log.close()

    def start(self, timeout=20):
        offset = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        self.spawn()

        def is_ready():
            if self.process.poll() is not None:
                raise AssertionError(f"flyballd ended ({self.process.returncode}):\n" + self.log()[-4000:])
            return "event=ready" in self.log()[offset:]
        wait_until(is_ready, timeout, "flyballd's ready line")
        return self

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def events(self, name=None):
        if not os.path.exists(self.events_path):
            return []
        out = []
        with open(self.events_path) as f:
            for line in f:
                if not line.endswith("\n"):
                    break  # being written
                event = json.loads(line)
                if name is None or event["event"] == name:
                    out.append(event)
        return out

    def ctl(self, *words, check=True):
        p = subprocess.run([FLYBALLCTL, "-s", self.socket, "--json", *words],
                           capture_output=True, text=True, timeout=60)
        if check and p.returncode != 0:
            raise AssertionError(f"flyballctl {words}: {p.returncode} {p.stdout} {p.stderr}")
        return json.loads(p.stdout) if p.stdout.strip() else None

    def n_queued(self):
        return self.ctl("status")["totals"]["deliveries"]

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, timeout=20):
        """SIGTERM; returns the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("flyballd didn't stop:\n" + self.log()[-3000:])
        self.process = None
        return status

    def kill9(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def check_events(self):
        """Every event and key is in the documentation."""
        known = documented_events()
        if not os.path.exists(self.events_path):
            return
        with open(self.events_path) as f:
            lines = [l for l in itertools.islice(f, 20000) if l.endswith("\n")]
        for event in map(json.loads, lines):
            extra = set(event) - known.get(event["event"], set()) - {"ts", "event"}
            if event["event"] not in known or extra:
                raise AssertionError(f"contrib/docs/events.md hasn't {event['event']} with {sorted(extra)}: {event}")

    def close(self):
        """Stops it, well or not; complains of an end that isn't a clean one."""
        try:
            self.check_events()
            if self.process is not None:
                status = self.stop()
                if status != 0 and "Sanitizer" not in self.log():
                    raise AssertionError(f"flyballd ended with {status}:\n" + self.log()[-6000:])
            if os.path.exists(self.log_path) and "Sanitizer" in self.log():
                at = self.log().index("Sanitizer")
                raise AssertionError("a sanitizer complains:\n" + self.log()[max(0, at - 200):at + 12000])
        finally:
            if self.process is not None:
                self.process.kill()
                self.process.wait()
                self.process = None
            self.tmp.remove()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
            return
        try:
            self.close()
        except AssertionError as e:  # the first failure is the one to see
            print(e)


class Peer(socketserver.ThreadingTCPServer):
    """A next hop in Python that answers as told. `replies` maps a step
    ("banner", "ehlo", "mail", "rcpt", "data", "eod", ...) to a reply, or to a
    function of (session, argument) that returns one; None closes the
    connection; a dict has defaults for the rest. What it accepted lies in
    `messages` as dicts: sender, recipients, data, mail (parameters), rcpt_args."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, replies=None, ehlo=("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 0"),
                 tls=None, port=0):
        self.replies = replies or {}
        self.ehlo = ehlo
        self.tls = tls
        self.messages = []
        self.commands = []
        self.n_connections = 0
        self.n_open = 0
        self.max_open = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", port), PeerSession)
        self.port = self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def handle_error(self, request, client_address):
        pass  # peers that go away are part of the tests

    def close(self):
        self.shutdown()
        self.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class PeerSession(socketserver.StreamRequestHandler):
    DEFAULTS = {"banner": "220 peer.test ESMTP", "helo": "250 peer.test", "mail": "250 2.1.0 Ok",
                "rcpt": "250 2.1.5 Ok", "data": "354 go on", "eod": "250 2.0.0 Ok: queued as TEST",
                "rset": "250 2.0.0 Ok", "quit": "221 2.0.0 Bye", "noop": "250 2.0.0 Ok",
                "auth": "235 2.7.0 Ok", "starttls": "220 2.0.0 Ready", "other": "502 5.5.2 what?"}

    def answer(self, step, argument=""):
        reply = self.server.replies.get(step, self.DEFAULTS.get(step))
        if callable(reply):
            reply = reply(self, argument)
        if reply is None:
            raise ConnectionAbortedError
        self.wfile.write(reply.encode("utf-8", "surrogateescape") + b"\r\n")
        self.wfile.flush()
        if reply.startswith("421"):
            raise ConnectionAbortedError
        return reply

    def handle(self):
        server = self.server
        self.is_tls = False
        with server.lock:
            server.n_connections += 1
            server.n_open += 1
            server.max_open = max(server.max_open, server.n_open)
        try:
            self.dialogue()
        except (ConnectionError, OSError):
            pass
        finally:
            if self.is_tls:
                self.request.close()
            with server.lock:
                server.n_open -= 1

    def start_tls(self):
        import ssl
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server.tls)
        self.request = context.wrap_socket(self.request, server_side=True)
        self.connection = self.request
        self.rfile = self.request.makefile("rb")
        self.wfile = self.request.makefile("wb", 0)
        self.is_tls = True

    def dialogue(self):
        self.reset()
        self.answer("banner")
        while True:
            line = self.rfile.readline(100000)
            if not line:
                return
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            with self.server.lock:
                self.server.commands.append(text)
            verb = text.split(" ")[0].upper()
            if verb == "EHLO":
                if "ehlo" in self.server.replies:
                    self.answer("ehlo", text)
                    continue
                words = [w for w in self.server.ehlo if not (w == "STARTTLS" and self.is_tls)]
                lines = ["peer.test"] + words
                out = [("250-" if i + 1 < len(lines) else "250 ") + w for i, w in enumerate(lines)]
                self.wfile.write(("\r\n".join(out) + "\r\n").encode())
                self.wfile.flush()
            elif verb == "MAIL":
                if self.answer("mail", text).startswith("2"):
                    self.sender = text[text.index("<") + 1:text.index(">")]
                    self.mail = text
            elif verb == "RCPT":
                if self.answer("rcpt", text).startswith("2"):
                    self.recipients.append(text[text.index("<") + 1:text.rindex(">")])
                    self.rcpt_args.append(text)
            elif verb == "DATA":
                if not self.recipients:
                    self.wfile.write(b"554 5.5.1 no valid recipients\r\n")
                    self.wfile.flush()
                elif self.answer("data").startswith("354"):
                    self.data(self.read_dotted())
            elif verb == "BDAT":
                words = text.split(" ")
                chunk = self.rfile.read(int(words[1]))
                if not self.recipients:
                    self.wfile.write(b"554 5.5.1 no valid recipients\r\n")
                    self.wfile.flush()
                    continue
                self.chunks += chunk
                if words[-1].upper() == "LAST":
                    self.data(self.chunks)
                else:
                    self.answer("bdat")
            elif verb == "STARTTLS" and self.server.tls:
                if self.answer("starttls").startswith("220"):
                    self.start_tls()
            elif verb == "QUIT":
                self.answer("quit")
                return
            elif verb == "RSET":
                self.reset()
                self.answer("rset")
            else:
                self.answer(verb.lower() if verb.lower() in self.DEFAULTS else "other", text)

    def reset(self):
        self.sender, self.mail, self.recipients, self.rcpt_args, self.chunks = None, "", [], [], b""

    def read_dotted(self):
        lines = []
        while True:
            line = self.rfile.readline()
            if not line:
                raise ConnectionAbortedError
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)

    def data(self, content):
        self.content = content
        reply = self.server.replies.get("eod", self.DEFAULTS["eod"])
        if callable(reply):
            reply = reply(self, content)
        if reply is None:
            raise ConnectionAbortedError
        if reply.startswith("2"):
            with self.server.lock:
                self.server.messages.append(dict(
                    sender=self.sender, recipients=list(self.recipients), data=content,
                    mail=self.mail, rcpt_args=list(self.rcpt_args), at=time.monotonic()))
        self.reset()
        self.wfile.write(reply.encode() + b"\r\n")
        self.wfile.flush()
        if reply.startswith("421"):
            raise ConnectionAbortedError


class Provider:
    """The demonstration provider with a world of its own."""

    def __init__(self, world=None, args=(), store=False):
        self.tmp = TempDir()
        command = [PROVIDER, *args]
        if world is not None:
            command += ["-w", self.tmp.file("world.yaml", world)]
        self.store_path = self.tmp.file("store.jsonl")
        if store:
            command += ["--store", self.store_path]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port = int(line.split("port=")[1].split()[0])
        self.lines = [line]
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def stored(self):
        if not os.path.exists(self.store_path):
            return []
        with open(self.store_path) as f:
            return [json.loads(l) for l in f if l.endswith("\n")]

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        self.thread.join(5)
        self.process.stdout.close()
        self.tmp.remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Postfix:
    """A real Postfix with its own queue and configuration, relaying all mail
    to `next_hop` (host:port); `extra` and `master` are further lines of main.cf
    and master.cf. Needs root; `Postfix.available()` says."""

    @staticmethod
    def available():
        return os.geteuid() == 0 and os.path.exists("/usr/sbin/postfix")

    def __init__(self, next_hop, extra="", master=""):
        self.tmp = TempDir()
        os.chmod(self.tmp.path, 0o755)
        self.port = free_port()
        d = self.tmp.path
        for sub in ("etc", "queue", "data"):
            os.mkdir(os.path.join(d, sub))
        shutil.chown(os.path.join(d, "data"), "postfix")
        self.log_path = os.path.join(d, "mail.log")
        host, port = next_hop.rsplit(":", 1)
        with open(os.path.join(d, "etc", "main.cf"), "w") as f:
            f.write(f"""compatibility_level = 3.6
queue_directory = {d}/queue
data_directory = {d}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [{host}]:{port}
smtpd_recipient_restrictions = permit_mynetworks, reject
smtp_host_lookup = native
disable_dns_lookups = yes
maillog_file = {self.log_path}
maillog_file_prefixes = {d}
smtpd_authorized_xforward_hosts = 127.0.0.0/8
enable_long_queue_ids = yes
smtp_destination_concurrency_limit = 50
{extra}
""")
        with open("/etc/postfix/master.cf.proto" if os.path.exists("/etc/postfix/master.cf.proto")
                  else "/usr/share/postfix/master.cf.dist") as f:
            services = f.read()
        services = services.replace("smtp      inet  n       -       y       -       -       smtpd",
                                f"127.0.0.1:{self.port} inet n - n - - smtpd")
        lines = []
        for line in services.splitlines():
            if line and not line[0].isspace() and not line.startswith("#"):
                words = line.split()
                if len(words) >= 8:
                    words[4] = "n"  # no chroot
                    line = " ".join(words)
            lines.append(line)
        if not any(l.startswith("postlog ") for l in lines):
            lines.append("postlog unix-dgram n - n - 1 postlogd")
        lines.append(master)
        with open(os.path.join(d, "etc", "master.cf"), "w") as f:
            f.write("\n".join(lines) + "\n")
        self.run("start")
        wait_until(self.is_listening, 20, "postfix")

    def run(self, verb):
        return subprocess.run(["/usr/sbin/postfix", "-c", os.path.join(self.tmp.path, "etc"), verb],
                              capture_output=True, text=True)

    def is_listening(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def close(self):
        self.run("stop")
        time.sleep(0.2)
        self.tmp.remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def smtp_sink(port, *args):
    """Postfix's smtp-sink; returns the process."""
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    p = subprocess.Popen(["/usr/sbin/smtp-sink", *user, *args, f"127.0.0.1:{port}", "1000"])

    def is_up():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_until(is_up, 10, "smtp-sink")
    return p


def stop_process(p, number=signal.SIGTERM):
    if p.poll() is None:
        p.send_signal(number)
        p.wait(10)


def has(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin") is not None
