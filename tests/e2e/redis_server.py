# SPDX-License-Identifier: ISC
"""Real Redis servers and Sentinels for tests: free ports of loopback, a
temporary directory, stopped by their pid. And relays that share one."""

import os
import shutil
import signal
import socket
import subprocess

from harness import Flyball, TempDir, free_port, wait_until


def redis_program():
    """(program, argv[0]): redis-server, or what redis-tools has of it, which
    is the same program under another name."""
    found = shutil.which("redis-server")
    if found:
        return found, "redis-server"
    return shutil.which("redis-check-rdb"), "redis-server"


def available():
    return redis_program()[0] is not None


class RedisError(Exception):
    pass


class Client:
    """Speaks with a Redis: `client("SET", "k", 1)`. Replies as bytes, ints,
    lists, None; an error is raised."""

    def __init__(self, address, password=None, timeout=10):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
            self.file = self.socket.makefile("rb")
            if password:
                self("AUTH", password)
        except (OSError, RedisError):
            self.socket.close()
            raise

    def __call__(self, *words):
        self.send(*words)
        return self.read()

    def send(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))

    def read(self):
        line = self.file.readline()
        if not line:
            raise RedisError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if int(rest) < 0:
            return None
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2]
        return [self.read() for _ in range(int(rest))]

    def close(self):
        self.file.close()
        self.socket.close()


class RedisServer:
    """One redis-server. `config` are lines of its configuration; `keeps`: its
    data survives a restart (an append-only file, synced at each write)."""

    def __init__(self, config=(), password=None, keeps=False, replica_of=None, port=None, start=True,
                 program_args=()):
        self.tmp = TempDir()
        self.port = port or free_port()
        self.password = password
        self.socket = self.tmp.file("redis.sock")
        self.log_path = self.tmp.file("redis.log")
        self.process = None
        self.program_args = program_args
        lines = [f"port {self.port}", "bind 127.0.0.1", f"unixsocket {self.socket}", f"dir {self.tmp.path}",
                 f"logfile {self.log_path}", "daemonize no", 'save ""', "databases 16", "repl-diskless-sync-delay 0",
                 f"appendonly {'yes' if keeps else 'no'}", "appendfsync always"]
        if password:
            lines += [f'requirepass "{password}"', f'masterauth "{password}"']
        if replica_of:
            lines.append(f"replicaof 127.0.0.1 {replica_of.port}")
        self.config_path = self.tmp.file("redis.conf", "\n".join(lines + list(config)) + "\n")
        if start:
            self.start()

    def start(self):
        program, name = redis_program()
        self.process = subprocess.Popen([name, self.config_path, *self.program_args], executable=program,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.is_answering, 20, "redis-server")
        return self

    def is_answering(self):
        if self.process.poll() is not None:
            raise AssertionError("redis-server ended:\n" + self.log()[-2000:])
        try:
            self.command("PING")
            return True
        except RedisError as e:
            return "NOAUTH" in str(e)
        except OSError:
            return False

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def client(self, timeout=10):
        return Client(("127.0.0.1", self.port), self.password, timeout)

    def command(self, *words):
        c = self.client()
        try:
            return c(*words)
        finally:
            c.close()

    def info(self, section="all"):
        text = self.command("INFO", section).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def calls(self):
        """Commands so far: {"evalsha": 12, ...}."""
        out = {}
        for name, value in self.info("commandstats").items():
            if name.startswith("cmdstat_"):
                out[name[8:]] = int(value.split("calls=")[1].split(",")[0])
        return out

    def url(self, user="", db=0):
        return f"redis://{user + '@' if user else ''}127.0.0.1:{self.port}/{db}"

    def socket_url(self, db=0):
        return f"unix://{self.socket}?db={db}"

    def pause(self):
        """Neither answers nor ends: a network that swallows all."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self, number=signal.SIGKILL):
        if self.process is None:
            return
        self.resume()
        self.process.send_signal(number)
        self.process.wait(20)
        self.process = None

    def close(self):
        self.stop()
        self.tmp.remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Sentinels:
    """A master, a replica, and three Sentinels that watch them closely."""

    NAME = "main"

    def __init__(self, password=None, sentinel_password=None, down_after_ms=500):
        self.sentinel_password = sentinel_password
        self.servers = [RedisServer(password=password)]
        self.servers.append(RedisServer(password=password, replica_of=self.servers[0]))
        self.sentinels = []
        wait_until(lambda: self.servers[1].info("replication")["master_link_status"] == "up", 20, "the replica")
        for _ in range(3):
            lines = [f"sentinel monitor {self.NAME} 127.0.0.1 {self.servers[0].port} 2",
                     f"sentinel down-after-milliseconds {self.NAME} {down_after_ms}",
                     f"sentinel failover-timeout {self.NAME} 5000"]
            if password:
                lines.append(f"sentinel auth-pass {self.NAME} {password}")
            if sentinel_password:
                lines.append(f"sentinel sentinel-pass {sentinel_password}")
            self.sentinels.append(Sentinel(lines, sentinel_password))
        wait_until(self.is_settled, 20, "the Sentinels to know of each other")

    def is_settled(self):
        for s in self.sentinels:
            master = s.command("SENTINEL", "MASTER", self.NAME)
            facts = dict(zip(master[::2], master[1::2]))
            if facts[b"num-other-sentinels"] != b"2" or facts[b"num-slaves"] != b"1":
                return False
        return True

    def url(self, db=0):
        hosts = ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels)
        return f"redis-sentinel://{hosts}/{db}#{self.NAME}"

    def master(self):
        """As the Sentinels see it."""
        port = int(self.sentinels[0].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.NAME)[1])
        return next(s for s in self.servers if s.port == port)

    def close(self):
        for s in self.sentinels + self.servers:
            s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Sentinel(RedisServer):
    def __init__(self, lines, password):
        self.tmp = TempDir()
        self.port = free_port()
        self.password = password
        self.log_path = self.tmp.file("sentinel.log")
        self.process = None
        self.program_args = ("--sentinel",)
        own = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.tmp.path}", f"logfile {self.log_path}"]
        if password:
            own.append(f"requirepass {password}")
        self.config_path = self.tmp.file("sentinel.conf", "\n".join(own + lines) + "\n")
        self.start()


class Cluster:
    """Relays that share one Redis, n1, n2, ...; each has the configuration's
    {port}, {port2}, {dir} and {name}. `cluster` are more keys of that section,
    as YAML."""

    def __init__(self, n, url, config, cluster="", files=None, start=True, **options):
        self.nodes = []
        for i in range(n):
            name = f"n{i + 1}"
            text = (config.replace("{name}", name) +
                    f'\ncluster: {{redis: "{url}", name: {name}{", " if cluster else ""}{cluster}}}\n')
            self.nodes.append(Flyball(text, files=files, start=start, **options))

    def __getitem__(self, i):
        return self.nodes[i]

    def __iter__(self):
        return iter(self.nodes)

    def wait_shared(self, timeout=20):
        """Until each relay shares its limits with all others."""
        n = sum(f.process is not None for f in self.nodes)

        def is_shared():
            views = [f.ctl("cluster") for f in self.nodes if f.process is not None]
            return all(v["mode"] == "shared" and v["nodes_alive"] == n for v in views)
        wait_until(is_shared, timeout, f"{n} relays to share")

    def delivered(self):
        """Recipients that each relay's next hops took, since it started."""
        return [f.ctl("status")["load"]["delivered"] if f.process else 0 for f in self.nodes]

    def close(self):
        errors = []
        for f in self.nodes:
            try:
                f.close()
            except AssertionError as e:
                errors.append(e)
        if errors:
            raise errors[0]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            self.close()
        except AssertionError as e:
            if kind is None:
                raise
            print(e)  # the first failure is the one to see


def rates_over(times, window_s):
    """The most and the least of the events in any window of that length, from
    the first event to the last."""
    times = sorted(times)
    most, least, j = 0, len(times), 0
    for i, t in enumerate(times):
        while times[j] <= t - window_s:
            j += 1
        most = max(most, i - j + 1)
        if t - window_s >= times[0]:
            least = min(least, i - j + 1)
    return most, least
