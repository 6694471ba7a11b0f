# SPDX-License-Identifier: ISC
"""tests/fault from outside: a daemon whose files and sockets fail as a test
says, while it runs. The structures are those of tests/fault/fault.h."""

import ctypes
import errno
import mmap
import os

from harness import BUILD, Flyball

LIBRARY = os.path.join(BUILD, "fault.so")

OPEN, WRITE, DSYNC, SYNC, DIR_SYNC, RENAME, TRUNCATE, UNLINK, MKDIR, ACCEPT, SOCKET, READ = (1 << i for i in range(12))
DATABASE, BODIES, STATE, EVENTS, ELSE = (1 << i for i in range(5))
ANY, REACHED, STALE, GONE = range(4)


class Rule(ctypes.Structure):
    _fields_ = [("ops", ctypes.c_uint32), ("targets", ctypes.c_uint32), ("error", ctypes.c_int32),
                ("permille", ctypes.c_uint32), ("is_short", ctypes.c_uint32), ("delay_us", ctypes.c_uint32),
                ("fate", ctypes.c_uint32), ("unused", ctypes.c_uint32), ("skip", ctypes.c_int64),
                ("count", ctypes.c_int64), ("n_hit", ctypes.c_uint64)]


class Control(ctypes.Structure):
    _fields_ = [("seed", ctypes.c_uint64), ("is_tracking", ctypes.c_uint64), ("power", ctypes.c_int64),
                ("n_changes", ctypes.c_uint64), ("clock_us", ctypes.c_int64), ("slept_us", ctypes.c_int64),
                ("rules", Rule * 16)]


class FaultyFlyball(Flyball):
    """A Flyball with the layer in it: `on()`, `off()`, `n_hit()`."""

    def __init__(self, config, seed=1, tracks=False, **kw):
        super().__init__(config, start=False, **kw)
        path = self.tmp.file("fault")
        with open(path, "wb") as f:
            f.write(bytes(ctypes.sizeof(Control)))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 0)
        self.control = Control.from_buffer(self.map)
        self.control.seed, self.control.is_tracking = seed, tracks
        self.env.update(LD_PRELOAD=LIBRARY, FLYBALL_FAULT=path, FLYBALL_FAULT_DIR=os.path.join(self.tmp.path, "state"),
                        FLYBALL_FAULT_EVENTS=self.events_path)
        self.start()

    def on(self, ops, targets, error=errno.EIO, permille=1000, count=-1, number=0, **more):
        rule = self.control.rules[number]
        rule.ops = 0
        rule.targets, rule.error, rule.permille, rule.count, rule.n_hit = targets, error, permille, count, 0
        for name in ("is_short", "delay_us", "fate", "skip"):
            setattr(rule, name, more.get(name, 0))
        rule.ops = ops

    def off(self):
        for rule in self.control.rules:
            rule.ops = 0

    def n_hit(self, number=0):
        return self.control.rules[number].n_hit

    def cut_power(self, changes):
        """After so many more calls that change the disk; waits for the end."""
        from harness import wait_until
        self.control.power = changes
        wait_until(lambda: self.control.power == -1, 30, "the power to go")
        self.process.wait(10)
        self.process = None
        self.off()
        self.control.power = 0

    def close(self):
        self.off()
        try:
            super().close()
        finally:
            self.control = None
            self.map.close()
            self.file.close()
