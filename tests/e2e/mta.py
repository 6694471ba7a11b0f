# SPDX-License-Identifier: ISC
"""Exim and OpenSMTPD as next hops. Their Debian packages can't stand beside
Postfix's, so contrib/deps.sh unpacks them under build/mta, and here they run
from there: as root in a mount namespace of their own, which has the users and
directories that the packages would have made. Nothing of the system changes."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

from harness import ROOT, TempDir, free_port, wait_until

UNPACKED = os.path.join(ROOT, "build", "mta")
LIBRARIES = ":".join(glob.glob(os.path.join(UNPACKED, "*", "usr", "lib", "*-linux-gnu")))
FIRST_ID = 390  # of users that are in the namespace's passwd alone


def reason_against(program):
    """Why it can't run here; None: it can."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.path.exists(os.path.join(UNPACKED, program)):
        return f"{program} isn't unpacked: `make deps` says why"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        return "no mount namespaces here"
    p = subprocess.run(["ldd", os.path.join(UNPACKED, program)], capture_output=True, text=True,
                       env={**os.environ, "LD_LIBRARY_PATH": LIBRARIES})
    if "not found" in p.stdout:
        return "missing libraries: " + " ".join(l.split()[0] for l in p.stdout.splitlines() if "not found" in l)
    return None


class Unpacked:
    """One such MTA: `users` are added, `mounts` get an empty file system, then
    `command` runs in the foreground."""

    def __init__(self):
        self.tmp = TempDir()
        os.chmod(self.tmp.path, 0o755)
        self.port = free_port()
        self.process = None

    def spawn(self, users, mounts, command, **kw):
        d = self.tmp.path
        for name, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin\n"), ("group", "{0}:x:{1}:\n")):
            with open(f"/etc/{name}") as f:
                text = f.read()
            self.tmp.file(name, text + "".join(line.format(u, FIRST_ID + i) for i, u in enumerate(users)))
        script = f"mount --bind {d}/passwd /etc/passwd\nmount --bind {d}/group /etc/group\n"
        for where, then in mounts.items():
            script += f"mount -t tmpfs none {where}\n{then}\n"
        script += f"exec {command}\n"
        self.process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-eu", self.tmp.file("run.sh", script)], start_new_session=True, **kw)
        wait_until(self.is_listening, 20, command.split()[0])

    def is_listening(self):
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def stop(self, number=signal.SIGTERM):
        """With its children: the process group is its own."""
        if self.process is not None:
            os.killpg(self.process.pid, number)
            self.process.wait(10)
            self.process = None

    def close(self):
        self.stop()
        time.sleep(0.1)
        self.tmp.remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Exim(Unpacked):
    """Relays all mail to `next_hop` (host:port); what it deferred it tries again
    after two seconds or a little more."""

    PROGRAM = "exim4-daemon-light/usr/sbin/exim4"

    def __init__(self, next_hop, selectors="+smtp_confirmation +millisec", bounces=None):
        """`bounces` (host:port) takes what is from nobody: Exim's own reports."""
        super().__init__()
        d = self.tmp.path
        host, port = next_hop.rsplit(":", 1)
        for sub in ("log", "spool"):
            os.mkdir(os.path.join(d, sub))
            os.chown(os.path.join(d, sub), FIRST_ID, FIRST_ID)
        self.log_path = os.path.join(d, "log", "mainlog")
        self.program = os.path.join(UNPACKED, self.PROGRAM)
        self.tmp.file("exim.conf", f"""
exim_path = {self.program}
spool_directory = {d}/spool
log_file_path = {d}/log/%slog
log_selector = {selectors}
primary_hostname = exim.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
pid_file_path = {d}/exim.pid
tls_advertise_hosts =
deliver_drop_privilege = true
acl_smtp_rcpt = accept
keep_environment =
never_users =
smtp_accept_max = 200
smtp_accept_queue_per_connection = 0
remote_max_parallel = 20
queue_run_max = 5
dsn_advertise_hosts = *
begin routers
{self.bounce_router(bounces)}all:
  driver = manualroute
  route_list = * {host}
  self = send
  transport = out
begin transports
out:
  driver = smtp
  port = {port}
  allow_localhost
  hosts_try_prdr =
begin retry
* * F,1h,2s
""")
        self.start()

    @staticmethod
    def bounce_router(bounces):
        if bounces is None:
            return ""
        host, port = bounces.rsplit(":", 1)
        return (f"bounces:\n  driver = manualroute\n  senders = :\n  route_list = * {host}::{port}\n  self = send\n"
                "  transport = out\n")

    def start(self):
        self.spawn(["Debian-exim"], {}, f"{self.program} -C {self.tmp.path}/exim.conf -bdf -q2s")

    def rotate(self):
        """As logrotate does: Exim opens its log for each line anew."""
        n = 1
        while os.path.exists(f"{self.log_path}.{n}"):
            n += 1
        wait_until(lambda: os.path.exists(self.log_path), 20, "a line in the log")
        os.rename(self.log_path, f"{self.log_path}.{n}")


class Journal:
    """A real journal, that systemd-journal-remote writes and journalctl reads;
    no journald runs. What journald would find out about a writer is said."""

    PROGRAM = "systemd-journal-remote/lib/systemd/systemd-journal-remote"

    @classmethod
    def reason_against(cls):
        if shutil.which("journalctl") is None:
            return "no journalctl here"
        return reason_against(cls.PROGRAM)

    def __init__(self):
        self.tmp = TempDir()
        path = self.tmp.file("test.journal")
        bin_dir = self.tmp.file("bin")
        os.mkdir(bin_dir)
        self.tmp.file("bin/journalctl", f'#!/bin/sh\nexec {shutil.which("journalctl")} --file={path} "$@"\n', 0o755)
        self.env = {"PATH": f"{bin_dir}:{os.environ['PATH']}"}
        self.process = subprocess.Popen(
            [os.path.join(UNPACKED, self.PROGRAM), "-o", path, "-"], stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**os.environ, "LD_LIBRARY_PATH": LIBRARIES})
        self.write("started", "test.service", "test")
        wait_until(lambda: os.path.exists(path), 10, "the journal")

    def write(self, message, unit="postfix@-.service", identifier="postfix/smtp"):
        now = time.time_ns() // 1000
        fields = dict(__REALTIME_TIMESTAMP=now, __MONOTONIC_TIMESTAMP=now % 10**12, _BOOT_ID="0123456789abcdef" * 2,
                      _MACHINE_ID="fedcba9876543210" * 2, SYSLOG_FACILITY=2, SYSLOG_IDENTIFIER=identifier,
                      _SYSTEMD_UNIT=unit, MESSAGE=message)
        self.process.stdin.write(("".join(f"{k}={v}\n" for k, v in fields.items()) + "\n").encode())
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.tmp.remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class OpenSmtpd(Unpacked):
    """Relays all mail to `next_hop`. In the foreground it writes to stderr what
    it would tell syslog; the head of each line, which syslog would add, is ours."""

    PROGRAM = "opensmtpd/usr/sbin/smtpd"

    def __init__(self, next_hop):
        super().__init__()
        self.log_path = self.tmp.file("mail.log", "")
        self.program = os.path.join(UNPACKED, self.PROGRAM)
        self.tmp.file("smtpd.conf", f"""
listen on 127.0.0.1 port {self.port}
action "out" relay host smtp://{next_hop}
match from any for any action "out"
""")
        mounts = {"/var/spool": "mkdir -m 711 /var/spool/smtpd",
                  "/var/lib": "mkdir -p /var/lib/opensmtpd/empty",
                  "/run": "mkdir -p /run/lock"}
        self.log_thread = None
        self.spawn(["opensmtpd", "opensmtpq"], mounts, f"{self.program} -d -f {self.tmp.path}/smtpd.conf",
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")

    def is_listening(self):
        if self.log_thread is None:
            self.log_thread = threading.Thread(target=self.write_log, args=(self.process,), daemon=True)
            self.log_thread.start()
        return super().is_listening()

    def write_log(self, process):
        for line in process.stderr:
            with open(self.log_path, "a") as f:
                f.write(time.strftime("%b %e %H:%M:%S ") + f"host smtpd[{process.pid}]: {line}")

    def close(self):
        process = self.process
        self.stop()
        self.log_thread.join(5)
        process.stderr.close()
        self.tmp.remove()
