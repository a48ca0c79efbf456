#!/usr/bin/python3 -SE
# SPDX-License-Identifier: GPL-2.0
"""netlink_fuzz.py fuzz [SEED] | unprivileged

fuzz: malformed requests to the generic netlink family of braid: missing, short, long, nested, duplicate, unknown and
out-of-range attributes, truncated messages. None of them is legal, so each one must be refused, at once.
unprivileged: every command must be refused for lack of permission.
"""
import errno
import os
import random
import socket
import struct
import sys

NETLINK_GENERIC, NLMSG_ERROR, NLMSG_DONE = 16, 2, 3
REQUEST, ACK, DUMP = 1, 4, 0x300
COMMANDS = (*range(1, 19), 21)	# 19 and 20 are events
NODE_STOP, NODE_GET, NODE_SET, PEER_GET, VOLUME_GET, KNOWN_GET = 2, 3, 4, 9, 16, 17
NODE_FORCE = 13
ATTRIBUTES_MAX = 60


class Family:
    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.socket.bind((0, 0))
        self.socket.settimeout(10)
        self.sequence = 0
        self.number, self.groups = self.resolve()

    def send(self, kind, payload, flags):
        self.sequence += 1
        self.socket.send(struct.pack("=IHHII", 16 + len(payload), kind, REQUEST | ACK | flags, self.sequence, 0) + payload)

    def answer(self):
        """(error, messages): until the acknowledgement or the end of a dump."""
        messages = []
        while True:
            data = self.socket.recv(65536)
            while len(data) >= 16:
                length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data)
                if sequence == self.sequence:
                    if kind == NLMSG_ERROR:
                        return -struct.unpack_from("=i", data, 16)[0], messages
                    if kind == NLMSG_DONE:
                        return 0, messages
                    messages.append(data[16:length])
                data = data[(length + 3) & ~3:]

    def request(self, command, payload=b"", flags=0, kind=None):
        self.send(self.number if kind is None else kind, struct.pack("=BBH", command, 0, 0) + payload, flags)
        return self.answer()

    def resolve(self):
        error, messages = self.request(3, attribute(2, b"braid\0"), kind=16)
        if error:
            raise OSError(error, "family braid: " + os.strerror(error))
        found = dict(attributes(messages[0][4:]))
        groups = {}
        for _, group in attributes(found.get(7, b"")):
            parts = dict(attributes(group))
            groups[parts[1].rstrip(b"\0").decode()] = struct.unpack("=I", parts[2])[0]
        return struct.unpack("=H", found[1])[0], groups


def attribute(kind, data, length=None):
    """One attribute; LENGTH: what its header claims."""
    text = struct.pack("=HH", 4 + len(data) if length is None else length, kind) + data
    return text + b"\0" * (-len(text) % 4)


def attributes(data):
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3fff, data[4:length]
        data = data[(length + 3) & ~3:]


def malformed(command, draw):
    """Payloads that are not legal for COMMAND."""
    if command not in (NODE_STOP, NODE_GET, NODE_SET):
        yield "nothing", b""
    for kind in range(1, ATTRIBUTES_MAX):
        flag = (command, kind) == (NODE_STOP, NODE_FORCE)
        if not flag:
            yield "attribute %d empty" % kind, attribute(kind, b"")
        yield "attribute %d all ones, 3 bytes" % kind, attribute(kind, b"\xff" * 3)
        yield "attribute %d all ones, 300 bytes" % kind, attribute(kind, b"\xff" * 300)
        yield "attribute %d nested" % kind, attribute(kind | 0x8000, attribute(1, b"\xff") * 3)
        yield "attribute %d twice and random" % kind, attribute(kind, draw.randbytes(5)) + attribute(kind, draw.randbytes(7))
    yield "attribute beyond the end", attribute(1, b"\x01", length=200)
    yield "attribute shorter than its header", attribute(1, b"\x01", length=2)
    yield "unknown attribute", attribute(0x3000, b"\0" * 8)
    for _ in range(20):
        yield "random attributes", b"".join(
            attribute(draw.randrange(14, 0x3fff), draw.randbytes(draw.randrange(40))) for _ in range(draw.randrange(1, 6)))
    yield "random bytes", b"\xff\xff" + draw.randbytes(draw.randrange(8, 300))


def fuzz(seed):
    family, draw = Family(), random.Random(seed)
    tried = accepted = 0
    for command in COMMANDS:
        for what, payload in malformed(command, draw):
            error, _ = family.request(command, payload)
            tried += 1
            if not error:
                accepted += 1
                print("command %d with %s was accepted" % (command, what))
    for command in (0, 19, 20, 22, 200, 255):
        error, _ = family.request(command, attribute(1, b"\0"))
        tried += 1
        if error not in (errno.EOPNOTSUPP, errno.EINVAL):
            accepted += 1
            print("command %d: error %d" % (command, error))
    print("%d malformed requests, %d accepted" % (tried, accepted))
    return 1 if accepted else 0


def unprivileged():
    family, wrong = Family(), 0
    for command in COMMANDS:
        for flags in (0, DUMP):
            error, messages = family.request(command, b"", flags)
            # A command without a dump says so before it looks at permissions.
            if messages or (error != errno.EPERM and not (flags and error == errno.EOPNOTSUPP) and
                            not (command == KNOWN_GET and error == errno.EOPNOTSUPP)):
                wrong += 1
                print("command %d flags %#x without privilege: error %d, %d messages" % (command, flags, error,
                                                                                          len(messages)))
    for name, number in family.groups.items():
        try:
            family.socket.setsockopt(270, 1, number)
            wrong += 1
            print("group %s joined without privilege" % name)
        except PermissionError:
            pass
    print("without privilege: %d answers wrong" % wrong)
    return 1 if wrong else 0


sys.exit(unprivileged() if sys.argv[1] == "unprivileged" else fuzz(int(sys.argv[2]) if len(sys.argv) > 2 else 1))
