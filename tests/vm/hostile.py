#!/usr/bin/python3 -SE
# SPDX-License-Identifier: GPL-2.0
"""hostile.py MODE ADDRESS STATE [SEED]: a bad client or server of the braid port [N2] [N4] [I22].

Modes: garbage silence flood handshake replay truncated lengths server (before authentication; the real session of the
same nodes may be open meanwhile), frames (authenticated as the node whose state file STATE is; that node is stopped).
Each case prints what it expected and got; status 1 if one of them was not as expected.
"""
import hashlib
import hmac
import os
import random
import select
import socket
import struct
import sys
import time

PORT = 7790
MAGIC = 0x31445242
HELLO, CHALLENGE, PROOF, REFUSE = 1, 2, 3, 4
REFUSALS = {1: "cluster", 2: "node", 3: "version", 4: "lane", 5: "proof", 6: "instance", 7: "busy", 8: "insecure",
            9: "disconnected"}
CONTROL = list(range(16, 20)) + list(range(32, 46))
DATA = list(range(64, 75))
CLOSE_S = 15

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xffffffff


def frame(kind, body=b"", sequence=0, length=None, flags=0, magic=MAGIC, version=1, body_crc=None, request=0):
    """One frame; a header that lies keeps a right checksum of itself."""
    head = struct.pack("<IBBHIIQI", magic, version, kind, flags, sequence,
                       len(body) if length is None else length, request,
                       crc32c(body) if body_crc is None else body_crc)
    return head + struct.pack("<I", crc32c(head)) + body


def read_state(path):
    state = {"peers": []}
    with open(path) as f:
        for line in f:
            words = line.split()
            if words and words[0] == "peer":
                state["peers"].append((int(words[1]), words[2]))
            elif len(words) == 2:
                state[words[0]] = words[1]
    return state


class Lane:
    """One connection."""

    def __init__(self, address, timeout_s=10):
        self.socket = socket.create_connection((address, PORT), timeout_s)
        self.socket.settimeout(timeout_s)
        self.sent = b""

    def send(self, data):
        self.sent += data
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def end(self):
        """Nothing more comes from here. The other side may have closed already."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def receive_exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data

    def receive(self):
        """(type, body) of one frame."""
        head = self.receive_exactly(32)
        length = struct.unpack_from("<I", head, 12)[0]
        return head[5], self.receive_exactly(length)

    def closed(self, within_s=CLOSE_S):
        """Does the other side close? What still arrives is dropped."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if not select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]:
                return False
            try:
                if not self.socket.recv(65536):
                    return True
            except (ConnectionResetError, BrokenPipeError):
                return True
        return False

    def close(self):
        self.socket.close()


class Attack:
    def __init__(self, address, state, seed):
        self.address, self.state = address, state
        self.random = random.Random(seed)
        self.failed = 0

    def expect(self, what, wanted, got):
        good = got == wanted
        self.failed += not good
        if not good:
            print("%s: expected %s, got %s" % (what, wanted, got), flush=True)

    def hello(self, session=None, **more):
        """Body of a HELLO that would be right, but for MORE."""
        state = self.state
        fields = {"version": (1, 1), "node": int(state["node"]), "peer": state["peers"][0][0], "lane": 0, "lanes": 2,
                  "features": 0, "session": session or self.random.getrandbits(63) | 1, "insecure": 0,
                  "cluster": bytes.fromhex(state["cluster"]), "instance": bytes.fromhex(state["instance"]),
                  "nonce": self.random.randbytes(32)}
        fields.update(more)
        return struct.pack("<HHBBBBQQB7x16s16s32s", *fields["version"], fields["node"], fields["peer"], fields["lane"],
                           fields["lanes"], fields["features"], fields["session"], fields["insecure"],
                           fields["cluster"], fields["instance"], fields["nonce"])

    def handshake(self, lane, secret=None, hello=None):
        """Run the initiator's side. "open", "refused NAME" or "closed"."""
        hello = hello or self.hello()
        secret = bytes.fromhex(self.state["secret"]) if secret is None else secret
        try:
            lane.send(frame(HELLO, hello))
            kind, challenge = lane.receive()
            if kind == CHALLENGE:
                mac = hmac.new(secret, b"braid initiator 1" + hello + challenge, hashlib.sha256).digest()
                lane.send(frame(PROOF, mac, 1))
                kind, answer = lane.receive()
                if kind == PROOF:
                    wanted = hmac.new(secret, b"braid responder 1" + hello + challenge, hashlib.sha256).digest()
                    return "open" if hmac.compare_digest(wanted, answer) else "wrong proof"
                challenge = answer
            return "refused " + REFUSALS.get(challenge[0], "?") if kind == REFUSE else "type %d" % kind
        except (ConnectionError, TimeoutError, socket.timeout) as error:
            return "closed" if isinstance(error, ConnectionError) else "silence"

    def garbage(self):
        for i in range(40):
            lane = Lane(self.address)
            data = self.random.randbytes(self.random.choice((1, 31, 32, 33, 500, 5000)))
            if i % 3 == 0:
                data = frame(HELLO, self.hello())[:self.random.randrange(4, 33)] + data
            lane.send(data)
            if len(data) >= 32:
                self.expect("garbage %d" % i, True, lane.closed())
            lane.close()

    def silence(self):
        lanes = [Lane(self.address) for _ in range(20)]
        half = Lane(self.address)
        half.send(frame(HELLO, self.hello())[:40])
        waiting = Lane(self.address)
        waiting.send(frame(HELLO, self.hello()))
        for number, lane in enumerate(lanes + [half, waiting]):
            self.expect("silence %d" % number, True, lane.closed())

    def flood(self):
        lanes = []
        for number in range(500):
            lane = Lane(self.address)
            if number % 3 == 0:
                lane.send(frame(HELLO, self.hello())[:self.random.randrange(129)])
            lanes.append(lane)
        for number, lane in enumerate(lanes):
            self.expect("flood %d" % number, True, lane.closed())

    def case(self, what, wanted, **more):
        secret = more.pop("secret", None)
        lane = Lane(self.address)
        got = self.handshake(lane, secret, self.hello(**more))
        self.expect(what, wanted, got)
        self.expect(what + ", then", True, lane.closed())
        lane.close()

    def handshake_cases(self):
        other = self.random.randbytes(16)
        self.case("wrong secret", "refused proof", secret=self.random.randbytes(32))
        self.case("empty secret", "refused proof", secret=b"")
        self.case("no secret", "refused insecure", insecure=1)
        self.case("other cluster", "refused cluster", cluster=other)
        self.case("unknown node", "refused node", node=30)
        self.case("meant for another", "refused node", peer=29)
        self.case("other instance", "refused instance", instance=other)
        self.case("newer version", "refused version", version=(7, 9))
        self.case("data lane of no session", "refused lane", lane=1)
        for name, more in (("node out of range", {"node": 32}), ("lane beyond", {"lane": 5, "lanes": 2}),
                           ("too many lanes", {"lanes": 200}), ("version 0", {"version": (0, 0)}),
                           ("insecure 2", {"insecure": 2})):
            lane = Lane(self.address)
            lane.send(frame(HELLO, self.hello(**more)))
            self.expect(name, True, lane.closed())
        lane = Lane(self.address)
        hello = self.hello()
        lane.send(frame(HELLO, hello))
        challenge = lane.receive()[1]
        lane.send(frame(HELLO, hello, 1))
        self.expect("second HELLO", True, lane.closed())
        self.case("nonce echoed", "refused proof", nonce=challenge[64:96], secret=b"x")

    def replay(self):
        """What a genuine initiator once sent, word for word."""
        lane = Lane(self.address)
        self.expect("genuine handshake", "open", self.handshake(lane))
        lane.close()
        # A socket that is closed at once may take back its last word when the machine is busy.
        for attempt in range(5):
            again = Lane(self.address)
            again.send(lane.sent)
            try:
                kind, body = again.receive()
                if kind == CHALLENGE:
                    kind, body = again.receive()
                break
            except ConnectionResetError:
                kind, body = 0, b"\0"
        self.expect("replayed handshake", (REFUSE, 5), (kind, body[0]))
        self.expect("replay, then", True, again.closed())

    def truncated(self):
        whole = frame(HELLO, self.hello())
        for cut in list(range(1, len(whole), 7)) + [31, 32, 33, len(whole) - 1]:
            lane = Lane(self.address)
            lane.send(whole[:cut])
            lane.end()
            self.expect("cut after %d bytes" % cut, True, lane.closed())

    def lengths(self):
        for kind in range(0, 76):
            for length in (513, 4097, 1 << 21, 0xffffffff, 0, 95):
                lane = Lane(self.address)
                lane.send(frame(kind, b"", length=length, body_crc=self.random.getrandbits(32)))
                legal_refusal = kind == REFUSE and length == 4
                self.expect("type %d, length %d" % (kind, length), True, legal_refusal or lane.closed())
                lane.close()

    def server(self):
        """Be what the other side connects to: ADDRESS is our own."""
        listener = socket.create_server((self.address, PORT), reuse_port=False)
        listener.settimeout(20)
        bad = [b"", self.random.randbytes(200), frame(CHALLENGE, self.random.randbytes(96)),
               frame(CHALLENGE, b"", length=0xffffffff), frame(PROOF, bytes(32)), frame(REFUSE, b"\xff\0\0\0"),
               frame(CHALLENGE, self.hello(version=(1, 1)))[:77]]
        for number, data in enumerate(bad):
            connection = listener.accept()[0]
            lane = Lane.__new__(Lane)
            lane.socket, lane.sent = connection, b""
            connection.settimeout(10)
            lane.send(data)
            lane.end()
            self.expect("bad server %d" % number, True, lane.closed())
            lane.close()
        lane = Lane.__new__(Lane)
        lane.socket, lane.sent = listener.accept()[0], b""
        lane.socket.settimeout(10)
        kind, body = lane.receive()
        self.expect("first frame", HELLO, kind)
        lane.send(frame(CHALLENGE, body))
        self.expect("reflected HELLO", True, lane.closed())

    def opened(self):
        """Control and data lane of an open session."""
        session = self.random.getrandbits(63) | 1
        lanes = []
        for number in range(2):
            lane = Lane(self.address)
            got = self.handshake(lane, None, self.hello(session, lane=number))
            if got != "open":
                self.expect("authentication of lane %d" % number, "open", got)
                sys.exit(1)
            lanes.append(lane)
        # The first frame of the other side tells that it regards the session as open.
        lanes[0].receive()
        return lanes

    def frames(self):
        """Authenticated, in an open session."""
        volume = struct.pack("<Q", self.random.getrandbits(63) | 1)
        cases = []
        for kind in CONTROL + DATA + [0, 5, 15, 20, 46, 63, 75, 255]:
            cases.append(("type %d, length beyond" % kind, dict(kind=kind, length=(1 << 20) + 4097)))
            cases.append(("type %d, length 4 GiB" % kind, dict(kind=kind, length=0xffffffff)))
            cases.append(("type %d, no body" % kind, dict(kind=kind)))
            cases.append(("type %d, wrong lane" % kind, dict(kind=kind, body=bytes(8))))
            cases.append(("type %d, unknown flags" % kind, dict(kind=kind, body=volume * 5, flags=0x8000)))
            cases.append(("type %d, random body" % kind, dict(kind=kind, body=self.random.randbytes(40))))
        cases += [("wrong sequence", dict(kind=16, body=bytes(8), sequence=9)), ("wrong magic", dict(kind=16, magic=1)),
                  ("wrong version", dict(kind=16, body=bytes(8), version=2)),
                  ("wrong body checksum", dict(kind=16, body=bytes(8), body_crc=1)),
                  ("HELLO when open", dict(kind=HELLO, body=self.hello())),
                  ("PROOF when open", dict(kind=PROOF, body=bytes(32)))]
        self.random.shuffle(cases)
        for what, fields in cases[:int(os.environ.get("CASES", "400"))]:
            lanes = self.opened()
            fields.setdefault("sequence", 2)
            lane = lanes[1 if fields["kind"] in DATA else 0]
            if "wrong lane" in what:
                lane = lanes[0 if fields["kind"] in DATA else 1]
            lane.send(frame(**fields))
            # A random body may be legal for a type of that length; it names no volume and is dropped.
            ended = lane.closed(0.5 if "random body" in what else 4)
            self.expect(what, True, ended or "random body" in what)
            for lane in lanes:
                lane.close()


def main():
    mode, address, path = sys.argv[1:4]
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    attack = Attack(address, read_state(path), seed)
    method = {"handshake": attack.handshake_cases}.get(mode) or getattr(attack, mode)
    begun = time.monotonic()
    method()
    print("%s: %s (%.1f s)" % (mode, "%d cases wrong" % attack.failed if attack.failed else "as expected",
                               time.monotonic() - begun))
    return 1 if attack.failed else 0


sys.exit(main())
