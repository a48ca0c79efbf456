# SPDX-License-Identifier: GPL-2.0
"""Talks to the daemon of a lab. Imports next to nothing: it must start fast.

A request is u32 length + its words joined by NUL; answers are frames
{ u32 length, u8 type }: 'o' and 'e' output, 'x' the exit status in decimal.
While a command runs the client may send such frames too: 'i' input (empty =
end), 'w' window size.
"""
import os
import socket
import sys

FORWARDED = """run wait kill killall shell cut boot reboot off link carrier slow unslow
    heal net status""".split()


def lab_dir(name):
    """Folder of the lab called NAME."""
    return os.path.join(os.environ.get("BRAID_LAB_DIR", "/tmp/braid-lab"), name)


def connect(name):
    """Connected socket to the lab's daemon, or None when no such lab is up."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(os.path.join(lab_dir(name), "control"))
    except OSError:
        sock.close()
        return None
    return sock


def send_request(sock, words):
    """Send the words of a request."""
    data = "\0".join(words).encode("utf-8", "surrogateescape")
    sock.sendall(len(data).to_bytes(4, "little") + data)


def send_frame(sock, kind, data):
    """Send one frame to the daemon."""
    sock.sendall(len(data).to_bytes(4, "little") + kind + data)


def receive(sock, count):
    """Exactly COUNT bytes, or None at the end of the stream."""
    parts = []
    while count > 0:
        part = sock.recv(min(count, 65536))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def frames(sock):
    """Frames of the answer as (type, data), until the stream ends."""
    while True:
        head = receive(sock, 5)
        if head is None:
            return
        data = receive(sock, int.from_bytes(head[:4], "little"))
        if data is None:
            return
        yield head[4:5], data


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def show(sock):
    """Copy output to ours; the exit status."""
    for kind, data in frames(sock):
        if kind == b"x":
            return int(data)
        write_all(1 if kind == b"o" else 2, data)
    print("lab: the lab went down", file=sys.stderr)
    return 125


def show_interactive(sock, terminal):
    """Like show(), with our standard input passed on."""
    import threading
    saved = None
    if terminal and os.isatty(0):
        import fcntl
        import signal
        import termios
        import tty

        def resize(*_):
            size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
            send_frame(sock, b"w", size[:4])
        saved = termios.tcgetattr(0)
        tty.setraw(0)
        signal.signal(signal.SIGWINCH, resize)
        resize()

    def pump():
        while True:
            data = os.read(0, 8192)
            send_frame(sock, b"i", data)
            if not data:
                return
    threading.Thread(target=pump, daemon=True).start()
    try:
        return show(sock)
    finally:
        if saved:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)


def main(words):
    """Forward one command line to the daemon named by its second word."""
    if len(words) < 2:
        print("lab: usage: lab %s NAME ...; see lab --help" % words[0], file=sys.stderr)
        return 2
    sock = connect(words[1])
    if sock is None:
        print("lab: no lab %s is up; start it with: lab up %s" % (words[1], words[1]),
              file=sys.stderr)
        return 125
    send_request(sock, words[:1] + words[2:])
    if words[0] == "shell" or (words[0] == "run" and "-i" in words[3:6]):
        return show_interactive(sock, words[0] == "shell")
    return show(sock)
