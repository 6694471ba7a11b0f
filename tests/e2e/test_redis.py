# SPDX-License-Identifier: ISC
"""The way to Redis, with real servers: each form of cluster.redis, and what is
said when it can't be used. flyballctl doctor goes the daemon's way there."""

import json
import subprocess
import unittest

from harness import FLYBALLCTL, TempDir, certificate, free_port
from redis_server import RedisServer, Sentinels, available

REACHED = "can be reached"


@unittest.skipUnless(available(), "there is no redis-server")
class Reaching(unittest.TestCase):
    def setUp(self):
        self.tmp = TempDir()
        self.addCleanup(self.tmp.remove)

    def password_file(self, password, name="password"):
        return self.tmp.file(name, password + "\n", 0o600)

    def doctor(self, url, **keys):
        """What is found of Redis: {finding: the whole of it}."""
        more = "".join(f", {k}: {v}" for k, v in keys.items())
        path = self.tmp.file("f.yaml", (
            f"daemon: {{state_dir: {self.tmp.path}, admin_socket: {{path: {self.tmp.path}/s}}}}\n"
            'routes: {a: {next_hop: "127.0.0.1:1"}}\n'
            f'cluster: {{redis: "{url}", name: n1{more}}}\n'))
        p = subprocess.run([FLYBALLCTL, "doctor", "--json", "-c", path], capture_output=True, text=True, timeout=60)
        self.assertTrue(p.stdout, p.stderr)
        return {f["finding"]: f for f in json.loads(p.stdout)["findings"] if f["subject"] == "redis"}

    def assertReached(self, found):
        self.assertEqual({name for name, f in found.items() if f["level"] in ("warn", "fail")}, set(), found)
        self.assertIn(REACHED, found)

    def assertNotReached(self, found, evidence):
        self.assertEqual(list(found), ["can't be reached"])
        self.assertIn(evidence, found["can't be reached"]["evidence"])
        self.assertTrue(found["can't be reached"]["fix"])

    def test_by_address_name_and_socket(self):
        with RedisServer(keeps=True) as r:
            for url in (r.url(), f"redis://localhost:{r.port}", r.url(db=15), r.socket_url(), r.socket_url(db=3)):
                found = self.doctor(url)
                self.assertReached(found)
                self.assertIn("Redis 7", found[REACHED]["evidence"])
                self.assertNotIn("forgets what was sent when it restarts", found)
            self.assertEqual(r.command("DBSIZE"), 0)

    def test_passwords(self):
        with RedisServer(password="open sesame") as r:
            right = self.password_file("open sesame")
            wrong = self.password_file("open barley", "wrong")
            self.assertReached(self.doctor(r.url(), password_file=right))
            self.assertNotReached(self.doctor(r.url(), password_file=wrong),
                                  "the password is wrong for user default")
            self.assertNotReached(self.doctor(r.url()), "wants a password: give cluster.password_file")
        with RedisServer() as r:
            self.assertNotReached(self.doctor(r.url(), password_file=right), "wants no password")

    def test_a_user_with_few_rights(self):
        with RedisServer(password="admin") as r:
            password = self.password_file("relay")
            r.command("ACL", "SETUSER", "relay", "on", ">relay", "~{flyball}*", "&{flyball}*", "+@all", "-@admin",
                      "-@dangerous", "+info")
            self.assertReached(self.doctor(r.url("relay"), password_file=password))
            r.command("ACL", "SETUSER", "relay", "-info", "-client|setname")
            found = self.doctor(r.url("relay"), password_file=password)
            self.assertReached(found)
            self.assertIn("doesn't tell how it is set up", found)
            r.command("ACL", "SETUSER", "relay", "-@scripting")
            found = self.doctor(r.url("relay"), password_file=password)
            self.assertEqual(found["doesn't let us do what relays do"]["level"], "fail")
            self.assertIn("NOPERM", found["doesn't let us do what relays do"]["evidence"])
            r.command("ACL", "SETUSER", "relay", "+@scripting", "-publish")
            self.assertIn("doesn't let us do what relays do", self.doctor(r.url("relay"), password_file=password))
            self.assertNotReached(self.doctor(r.url("nobody"), password_file=password), "is wrong for user nobody")

    def test_tls(self):
        cert, key = certificate("redis.test")
        with RedisServer(config=[f"tls-port {(port := free_port())}", f"tls-cert-file {cert}", f"tls-key-file {key}",
                                 "tls-auth-clients no"]) as r:
            # The name is in the certificate only for the address.
            self.assertReached(self.doctor(f"rediss://127.0.0.1:{port}", tls_ca=cert))
            self.assertNotReached(self.doctor(f"rediss://127.0.0.1:{port}"), "TLS: certificate: ")
            self.assertNotReached(self.doctor(f"rediss://localhost:{port}", tls_ca=cert), "mismatch")
            # Each side in the other's language: an end, not a wait for ever.
            self.assertNotReached(self.doctor(f"rediss://127.0.0.1:{r.port}", tls_ca=cert), "127.0.0.1")
            self.assertNotReached(self.doctor(f"redis://127.0.0.1:{port}"), "127.0.0.1")

    def test_servers_that_are_no_use(self):
        self.assertNotReached(self.doctor(f"redis://127.0.0.1:{free_port()}"), "Connection refused")
        self.assertNotReached(self.doctor("unix:///nonexistent/r.sock"), "No such file")
        with RedisServer() as r:
            self.assertNotReached(self.doctor(r.url(db=16)), "can't select the database")
            with RedisServer(replica_of=r) as replica:
                self.assertNotReached(self.doctor(replica.url()), "is a replica, where nothing can be written")
            r.pause()
            self.assertNotReached(self.doctor(r.url(), timeout="200ms"), "no answer for 0.2 s")
        with RedisServer(config=["cluster-enabled yes", f"cluster-port {free_port()}"]) as r:
            self.assertNotReached(self.doctor(r.url()), "is a Redis Cluster, which isn't spoken")

    def test_memory(self):
        with RedisServer(config=["maxmemory 50mb", "maxmemory-policy allkeys-lru"]) as r:
            found = self.doctor(r.url())
            self.assertEqual(found["may throw away what relays count"]["level"], "warn")
            self.assertIn("forgets what was sent when it restarts", found)
            r.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
            self.assertReached(self.doctor(r.url()))
            r.command("CONFIG", "SET", "maxmemory", "1")
            self.assertIn("OOM", self.doctor(r.url())["is full"]["evidence"])

    def test_sentinels(self):
        with Sentinels(password="p", sentinel_password="s") as s:
            keys = dict(password_file=self.password_file("p"), sentinel_password_file=self.password_file("s", "s"))
            found = self.doctor(s.url(), **keys)
            self.assertReached(found)
            self.assertIn(f"127.0.0.1:{s.servers[0].port}", found[REACHED]["evidence"])
            self.assertNotReached(self.doctor(s.url().replace("#main", "#other"), **keys), 'knows no "other"')
            self.assertNotReached(self.doctor(s.url(), password_file=keys["password_file"]),
                                  "cluster.sentinel_password_file is missing")
            self.assertNotReached(self.doctor(s.sentinels[0].url()), "wants a password")
            # One is left, and it is the last that is asked.
            s.sentinels[0].stop()
            s.sentinels[1].pause()
            self.assertReached(self.doctor(s.url(), timeout="200ms", **keys))

    def test_a_sentinel_for_a_server(self):
        with Sentinels() as s:
            self.assertNotReached(self.doctor(f"redis://127.0.0.1:{s.sentinels[0].port}"), "is a Sentinel: write")


if __name__ == "__main__":
    unittest.main()
