#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What a mail reader makes of the notices in a directory: for each N.eml an
outline N.out, the text for people N.txt, and the header given back N.ret.
test_dsn.c compares them with what it asked for."""

import email
import email.policy
import glob
import os
import sys


def text_of(value):
    """A header's value as it stands, unfolded."""
    raw = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return raw.replace("\r\n", "").replace("\n", "")


def count_defects(msg):
    """Of the notice itself; what is given back may be as broken as it was."""
    n = len(msg.defects)
    for part in msg.get_payload():
        n += len(part.defects)
    return n


def outline(raw):
    lines = []
    utf8 = b"message/global-delivery-status" in raw
    # The parser knows the fields of the older type only.
    raw = raw.replace(b"message/global-delivery-status", b"message/delivery-status", 1)
    msg = email.message_from_bytes(raw, policy=email.policy.compat32)
    lines.append(f"top {msg.get_content_type()} {msg.get_param('report-type')}")
    for name, value in msg.raw_items():
        lines.append(f"header {name}: {text_of(value)}")
    if not msg.is_multipart():
        return lines + ["not multipart"], "", b""
    lines.append(f"defects {count_defects(msg)}")
    lines.append(f"parts {len(msg.get_payload())}")
    human, returned = "", b""
    for i, part in enumerate(msg.get_payload()):
        kind = part.get_content_type()
        if i == 1 and utf8:
            kind = "message/global-delivery-status"
        lines.append(f"part {kind} {part.get('Content-Transfer-Encoding', '7bit')}")
        if i == 0:
            charset = part.get_content_charset()
            human = part.get_payload(decode=True).decode(charset, "strict")
        elif i == 1:
            for g, group in enumerate(part.get_payload()):
                lines += [f"field {g} {n}: {text_of(v)}" for n, v in group.raw_items()]
        elif kind.startswith("text/"):
            returned = part.get_payload(decode=True)
        else:
            inner = part.get_payload(0)
            lines += [f"inner {n}: {text_of(v)}" for n, v in inner.raw_items()]
    return lines, human, returned


def main():
    for path in glob.glob(os.path.join(sys.argv[1], "*.eml")):
        base = path[:-4]
        with open(path, "rb") as f:
            lines, human, returned = outline(f.read())
        with open(base + ".out", "w", encoding="utf-8", newline="") as f:
            f.write("\n".join(lines) + "\n")
        with open(base + ".txt", "w", encoding="utf-8", newline="") as f:
            f.write(human)
        with open(base + ".ret", "wb") as f:
            f.write(returned)


main()
