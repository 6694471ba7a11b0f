# SPDX-License-Identifier: ISC
"""A name server for tests, on loopback: answers what it was told, over UDP and
TCP, and counts what it was asked. Names it doesn't know don't exist."""

import ipaddress
import socket
import socketserver
import struct
import threading
import time

TYPES = {"A": 1, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
NAMES = {number: name for name, number in TYPES.items()}
NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5


def pack_name(name):
    out = b""
    for label in filter(None, name.rstrip(".").split(".")):
        out += bytes([len(label)]) + label.encode()
    return out + b"\0"


def pack_data(kind, value):
    if kind == "MX":
        preference, host = value
        return struct.pack("!H", preference) + pack_name(host)
    if kind in ("PTR", "CNAME"):
        return pack_name(value)
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "TXT":
        text = value.encode()
        return b"".join(bytes([len(text[i:i + 255])]) + text[i:i + 255] for i in range(0, max(len(text), 1), 255))
    raise ValueError(kind)


class DnsServer:
    """records: {name: {"MX": [(10, "mx.a.test")], "TXT": ["..."], ...}}; a
    name's value may also be "servfail", "refused" or "silent". `ttl` holds for
    all, and for what doesn't exist too. `delay`: seconds before each answer."""

    def __init__(self, records=None, ttl=300):
        self.records = {name.lower(): value for name, value in (records or {}).items()}
        self.ttl = ttl
        self.delay = 0
        self.queries = []  # (name, type)
        self.lock = threading.Lock()
        server = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self):
                data, sock = self.request
                answer = server.answer(data, 1232)
                if answer:
                    sock.sendto(answer, self.client_address)

        class Tcp(socketserver.BaseRequestHandler):
            def handle(self):
                head = self.request.recv(2)
                if len(head) < 2:
                    return
                answer = server.answer(self.request.recv(struct.unpack("!H", head)[0]), 65535)
                if answer:
                    self.request.sendall(struct.pack("!H", len(answer)) + answer)

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        while True:
            self.udp = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Udp)
            self.port = self.udp.server_address[1]
            try:
                self.tcp = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Tcp)
                break
            except OSError:  # somebody's: another pair
                self.udp.server_close()
        self.address = f"127.0.0.1:{self.port}"
        for s in (self.udp, self.tcp):
            s.daemon_threads = True
            threading.Thread(target=s.serve_forever, args=(0.05,), daemon=True).start()

    def set(self, name, value):
        with self.lock:
            self.records[name.lower()] = value

    def remove(self, name):
        with self.lock:
            self.records.pop(name.lower(), None)

    def n_asked(self, name, kind):
        with self.lock:
            return self.queries.count((name.lower(), kind))

    def answer(self, query, room):
        if len(query) < 12:
            return None
        number, flags, n_questions = struct.unpack("!HHH", query[:6])
        at, labels = 12, []
        while at < len(query) and query[at] != 0:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        name = ".".join(labels).lower()
        kind = NAMES.get(struct.unpack("!H", query[at + 1:at + 3])[0], "?")
        question = query[12:at + 5]
        with self.lock:
            self.queries.append((name, kind))
            value = self.records.get(name)
            is_parent = any(known.endswith("." + name) for known in self.records)
        if self.delay:
            time.sleep(self.delay)
        if value == "silent":
            return None
        code = {"servfail": SERVFAIL, "refused": REFUSED}.get(value, 0) if isinstance(value, str) else 0
        if value is None and not is_parent:
            code = NXDOMAIN
        records = []
        if code == 0 and value:
            if "CNAME" in value and kind != "CNAME":
                records.append((name, "CNAME", value["CNAME"][0]))
                target = value["CNAME"][0].lower()
                records += [(target, kind, v) for v in self.records.get(target, {}).get(kind, [])]
            else:
                records += [(name, kind, v) for v in value.get(kind, [])]
        body = b""
        for owner, k, v in records:
            data = pack_data(k, v)
            body += pack_name(owner) + struct.pack("!HHIH", TYPES[k], 1, self.ttl, len(data)) + data
        n_authority = 0
        if not records and code in (0, NXDOMAIN):
            data = pack_name("ns.test") + pack_name("root.test") + struct.pack("!IIIII", 1, 60, 60, 60, self.ttl)
            body += pack_name("test") + struct.pack("!HHIH", 6, 1, self.ttl, len(data)) + data
            n_authority = 1
        flags = 0x8180 | code
        if 12 + len(question) + len(body) > room:
            flags, body, records, n_authority = flags | 0x0200, b"", [], 0
        return struct.pack("!HHHHHH", number, flags, 1, len(records), n_authority, 0) + question + body

    def close(self):
        for s in (self.udp, self.tcp):
            s.shutdown()
            s.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def closed_server():
    """An address at which no name server answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"
