# SPDX-License-Identifier: GPL-2.0
"""What the lab command does itself: up, down, list, log, scan, disk. Also the
Python interface: class Lab, used by tests/vm/run."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

from lablib import client, daemon, kernels, machine, scan

LabError = daemon.LabError


class Lab:
    """Handle on a lab by name; it need not be up."""

    def __init__(self, name):
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", name) or name.startswith("."):
            raise LabError("lab name %r: 1 to 40 letters, digits, - _ ." % name)
        self.name = name
        self.dir = client.lab_dir(name)

    def request(self, *words, sink=None):
        """Forward words to the daemon. Returns (status, output text); with
        SINK, output is passed to sink(kind, data) instead. 125: not up."""
        sock = client.connect(self.name)
        if sock is None:
            return 125, "lab: no lab %s is up" % self.name
        parts = []
        with sock:
            client.send_request(sock, words)
            for kind, data in client.frames(sock):
                if kind == b"x":
                    return int(data), b"".join(parts).decode(errors="replace")
                if sink:
                    sink(kind, data)
                else:
                    parts.append(data)
        return 125, "lab: the lab went down"

    def do(self, *words):
        """Like request(), but LabError when it fails. Returns the output."""
        status, text = self.request(*words)
        if status != 0:
            raise LabError("%s: %s" % (" ".join(words), text.strip()))
        return text

    def run(self, guest, line, timeout_s=60):
        """Run a command line in a guest. Returns (status, output)."""
        return self.request("run", guest, "--timeout", str(timeout_s), "--", line)

    def alive(self):
        sock = client.connect(self.name)
        if sock:
            sock.close()
        return sock is not None

    def up(self, guests=2, series="6.12", disks="256M,256M", cpus=1, mem_mib=512,
           modules=None, deadline_s=daemon.BOOT_DEADLINE_S, owner=None, plugin=None):
        """Boot a new lab. Returns the boot times as text. With OWNER, a process
        id, the lab goes down when that process ends. PLUGIN: of the emulator."""
        if os.geteuid() != 0:
            raise LabError("the lab needs root, for its network and for mounting the host")
        if self.alive():
            raise LabError("lab %s is up already; lab down %s ends it" % (self.name, self.name))
        missing = machine.missing_programs()
        if missing:
            raise LabError("missing on this host: %s; run scripts/install-packages lab"
                           % " ".join(missing))
        if not 1 <= guests <= len(machine.GUESTS) or cpus not in (1, 2, 4) or mem_mib < 256:
            raise LabError("1 to 4 guests, 1, 2 or 4 processors, 256 MiB or more")
        kind, sizes = machine.parse_disks(disks)
        if len(sizes) > 8:
            raise LabError("at most 8 disks")
        kernel = kernels.ensure(series)
        if modules is None:
            modules = os.path.join(kernels.REPO, "build", "kmod-" + kernel.release)
        config = {
            "guests": machine.GUESTS[:guests], "series": series, "release": kernel.release,
            "vmlinux": kernel.vmlinux, "initramfs": kernel.initramfs, "disks": kind,
            "sizes": sizes, "cpus": cpus, "mem": mem_mib, "deadline_s": deadline_s,
            "owner": owner, "plugin": plugin,
            "modules": os.path.abspath(modules), "accel": machine.probe(kernel)}
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        with open(os.path.join(self.dir, "config.json"), "w") as f:
            json.dump(config, f, indent=1)
        self.start_daemon(deadline_s)
        try:
            return self.do("up")
        except BaseException:
            self.down()
            raise

    def start_daemon(self, deadline_s):
        with open(os.path.join(self.dir, "daemon.log"), "wb") as log:
            process = subprocess.Popen(
                ["unshare", "--net", "--", "/usr/bin/python3", "-SE",
                 os.path.join(kernels.REPO, "scripts/lab"), "daemon", self.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + deadline_s
        while not self.alive():
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                with open(os.path.join(self.dir, "daemon.log")) as f:
                    raise LabError("the lab's daemon does not start: %s" % f.read()[-2000:])
            time.sleep(0.02)

    def down(self):
        """End a lab and forget its disks. No error when there is none."""
        self.request("down")
        end = time.monotonic() + 30
        while self.alive() and time.monotonic() < end:
            time.sleep(0.02)
        shutil.rmtree(self.dir, ignore_errors=True)

    def config(self):
        path = os.path.join(self.dir, "config.json")
        if not os.path.exists(path):
            raise LabError("no lab %s" % self.name)
        with open(path) as f:
            return json.load(f)

    def guests(self):
        return self.config()["guests"]

    def guest_file(self, guest, name):
        if guest not in self.guests():
            raise LabError("no guest %r; this lab has: %s" % (guest, " ".join(self.guests())))
        return os.path.join(self.dir, guest, name)


def options(words, values):
    """Split words into ({option: value}, positional words)."""
    found, rest = {}, []
    words = list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            rest.append(word)
        elif values.get(word) == 0:
            found[word] = True
        elif word in values and words:
            found[word] = words.pop(0)
        else:
            raise LabError("option %s is unknown or lacks a value" % word)
    return found, rest


def number(opts, key, default):
    """The value of an option as a whole number."""
    text = opts.get(key, str(default))
    if not text.isdigit():
        raise LabError("%s %r: not a number" % (key, text))
    return int(text)


def up(words):
    opts, rest = options(words, {k: 1 for k in (
        "-n", "-k", "--disks", "--cpus", "--mem", "--modules", "--deadline")})
    if len(rest) != 1:
        raise LabError("usage: lab up NAME [options]")
    print(Lab(rest[0]).up(
        guests=number(opts, "-n", 2), series=opts.get("-k", "6.12"),
        disks=opts.get("--disks", "256M,256M"), cpus=number(opts, "--cpus", 1),
        mem_mib=number(opts, "--mem", 512), modules=opts.get("--modules"),
        deadline_s=number(opts, "--deadline", daemon.BOOT_DEADLINE_S)), end="")
    return 0


def down(words):
    for name in words:
        Lab(name).down()
    return 0


def list_labs(_):
    base = os.path.dirname(client.lab_dir("x"))
    for name in sorted(os.listdir(base)) if os.path.isdir(base) else []:
        lab = Lab(name)
        if not os.path.exists(os.path.join(lab.dir, "config.json")):
            continue
        config = lab.config()
        print("%s %s kernel=%s guests=%s disks=%s accel=%s" % (
            name, "up" if lab.alive() else "stale", config["release"],
            ",".join(config["guests"]), config["disks"], config["accel"]))
    return 0


def log(words):
    opts, (name, guest) = options(words, {"--since-scan": 0})
    lab = Lab(name)
    path = lab.guest_file(guest, "console")
    if opts:
        print(scan.unread(lab.dir, guest)[0], end="")
    elif os.path.exists(path):
        with open(path, "rb") as f:
            shutil.copyfileobj(f, sys.stdout.buffer)
    return 0


def scan_logs(words):
    opts, (name,) = options(words, {"--forget": 0})
    lab = Lab(name)
    bad, load = scan.scan(lab.dir) if lab.config() else ([], [])
    for line in bad + load:
        print(line)
    if opts:
        for guest in lab.guests():
            scan.forget(lab.dir, guest)
    return 1 if bad else 0


def disk(words):
    name, guest, which = words
    path = Lab(name).guest_file(guest, which + ".raw")
    if not os.path.exists(path):
        raise LabError("no disk %s" % which)
    print(path)
    return 0


def run_daemon(words):
    return daemon.main(client.lab_dir(words[0]))


VERBS = {"up": up, "down": down, "list": list_labs, "log": log, "scan": scan_logs,
         "disk": disk, "daemon": run_daemon}


def main(words, usage):
    """Run one verb; exit status."""
    verb = VERBS.get(words[0])
    if verb is None:
        print("lab: unknown verb %s\n%s" % (words[0], usage.strip()), file=sys.stderr)
        return 2
    try:
        return verb(words[1:])
    except (LabError, kernels.KernelError, OSError) as error:
        print("lab: %s" % error, file=sys.stderr)
        return 1
    except ValueError as error:
        print("lab: %s (see lab --help)" % error, file=sys.stderr)
        return 2
