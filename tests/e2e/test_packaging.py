# SPDX-License-Identifier: ISC
"""What an installation brings beside the programs: one version everywhere, files
that the programs they are for can read. tests/package.sh has the package."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import FLYBALLCTL, FLYBALLD, ROOT, Flyball, TempDir, wait_until


def read(*path):
    with open(os.path.join(ROOT, *path)) as file:
        return file.read()


class Version(unittest.TestCase):
    def test_it_is_the_same_everywhere(self):
        version = re.search(r"^VERSION := (\S+)$", read("Makefile"), re.M).group(1)
        for command in ([FLYBALLD, "-V"], [FLYBALLD, "--version"]):
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            self.assertEqual(out, f"flyballd {version}\n")
        out = subprocess.run([FLYBALLCTL, "--version"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(out, f"flyballctl {version}\n")
        self.assertEqual(re.search(r"^(\d+\.\d+\.\d+)", read("CHANGES"), re.M).group(1), version)

    def test_long_options_are_the_short_ones(self):
        for option in ("-h", "--help"):
            p = subprocess.run([FLYBALLD, option], capture_output=True, text=True)
            self.assertEqual((p.returncode, "--config" in p.stdout), (0, True))
        p = subprocess.run([FLYBALLD, "--test", "--config", os.path.join(ROOT, "contrib/flyball.yaml")],
                           capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(subprocess.run([FLYBALLD, "--nonsense"], capture_output=True).returncode, 2)


class Install(unittest.TestCase):
    def test_install_into_a_folder(self):
        tmp = TempDir()
        self.addCleanup(tmp.remove)
        build = os.path.relpath(os.path.dirname(FLYBALLD), ROOT)
        # Nothing is built anew: the programs are there, whoever made them.
        p = subprocess.run(["make", "-C", ROOT, "-o", "all", "-o", f"{build}/flyballctl", "install", f"B={build}",
                            f"DESTDIR={tmp.path}", "PREFIX=/usr"], capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        for path, mode in (("usr/sbin/flyballd", 0o755), ("usr/bin/flyballctl", 0o755),
                           ("etc/flyball/flyball.yaml", 0o644), ("usr/lib/systemd/system/flyball.service", 0o644),
                           ("usr/lib/systemd/system/flyball.socket", 0o644),
                           ("usr/lib/sysusers.d/flyball.conf", 0o644), ("usr/share/man/man8/flyballd.8", 0o644)):
            self.assertEqual(os.stat(os.path.join(tmp.path, path)).st_mode & 0o777, mode, path)
        with open(os.path.join(tmp.path, "usr/lib/systemd/system/flyball.service")) as unit:
            self.assertIn("ExecStart=/usr/sbin/flyballd\n", unit.read())


class Files(unittest.TestCase):
    @unittest.skipUnless(shutil.which("apparmor_parser"), "no apparmor_parser")
    def test_apparmor_profile(self):
        p = subprocess.run(["apparmor_parser", "-Q", "-K", os.path.join(ROOT, "contrib/apparmor/usr.sbin.flyballd")],
                           capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)

    @unittest.skipUnless(shutil.which("logrotate"), "no logrotate")
    def test_logrotate(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(read("contrib/logrotate/flyball").replace("flyball flyball", "root root"))
            file.flush()
            p = subprocess.run(["logrotate", "-d", file.name], capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertNotIn("error:", p.stderr)

    def test_rotated_log_is_written_on_no_more(self):
        """Also when the configuration has a mistake by then."""
        f = Flyball("""
listeners: [{listen: "127.0.0.1:{port}", tls: none, auth: none, trusted: [127.0.0.0/8]}]
routes: {main: {next_hop: "127.0.0.1:1"}}
""")
        self.addCleanup(f.close)
        f.ctl("pause", "route", "main")
        wait_until(lambda: f.events("admin"), 10, "an event")
        for k, mistake in enumerate(("", "nonsense: 1\n")):
            with open(f.config_path, "a") as file:
                file.write(mistake)
            old = f"{f.events_path}.{k}"
            os.rename(f.events_path, old)
            f.signal(signal.SIGHUP)
            wait_until(lambda: os.path.exists(f.events_path), 10, "a new log")
            size = os.path.getsize(old)
            f.ctl("resume" if k == 0 else "pause", "route", "main")
            wait_until(lambda: f.events("admin"), 10, "an event")
            self.assertEqual(os.path.getsize(old), size)
        self.assertIn("nonsense", f.log())

    def test_container_has_the_libraries(self):
        """What the programs are linked with is in the list."""
        libraries = set(re.findall(r"^\s+(\S+) => /\S+", subprocess.run(
            ["ldd", FLYBALLD], capture_output=True, text=True).stdout, re.M))
        names = re.findall(r"\blib[a-z0-9.-]+", read("contrib/Containerfile"))
        owners = set()
        for line in subprocess.run(["dpkg-query", "-S", *[f"*/{x}" for x in libraries]],
                                   capture_output=True, text=True).stdout.splitlines():
            owners.add(line.split(":")[0])
        direct = {x for x in owners if x.startswith(("libevent", "liblmdb", "libjansson", "libyaml", "libc-ares",
                                                     "libhiredis", "libgmime", "libpsl", "libidn2", "libpcre2"))}
        self.assertGreater(len(direct), 8)
        self.assertEqual(direct - set(names), set())


if __name__ == "__main__":
    unittest.main()
