# SPDX-License-Identifier: GPL-2.0
"""The two machines of a measurement, whatever they are: guests of the lab, or this machine and one behind ssh.

Everything else drives them through Node.run(command): a bash command line, its exit status and all it printed.
"""
import os
import re
import shlex
import shutil
import signal
import subprocess

from lablib import kernels, manage

TIMED_OUT = 124
GROUP_NICE = -15


class BenchError(Exception):
    """Something cannot be measured; the text says what failed and where."""


class Node:
    """One machine. name and address are for people and for the systems' configuration."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.interface = None
        self.module = None      # file of the braid module; None: the one that is installed

    def run(self, command, timeout_s=60):
        """(status, output) of a bash command line; status 124 when it was not done in time."""
        raise NotImplementedError

    def must(self, command, timeout_s=60):
        """Output of a command line that has to succeed, stripped; else BenchError."""
        status, text = self.run(command, timeout_s)
        if status != 0:
            lines = [line for line in text.splitlines() if line.strip()]
            said = " | ".join(lines[-4:]) or "no output"
            what = "not done after %d s" % timeout_s if status == TIMED_OUT else "status %d" % status
            raise BenchError("%s: %s: %s: %s" % (self.name, shorten(command), what, said))
        return text.strip()


def shorten(command):
    """The first line that says something, for messages."""
    lines = [line.strip() for line in command.splitlines() if line.strip() not in ("", "set -e")]
    return lines[0][:90] if lines else ""


class LabNode(Node):
    """A guest of the lab."""

    def __init__(self, lab, guest, address):
        super().__init__(guest, address)
        self.lab = lab

    def run(self, command, timeout_s=60):
        return self.lab.run(self.name, command, timeout_s)


class ShellNode(Node):
    """A machine with a shell: this one, or with `destination` one behind ssh."""

    def __init__(self, name, address, destination=None, path=""):
        super().__init__(name, address)
        self.destination, self.path = destination, path

    def run(self, command, timeout_s=60):
        if self.path:
            command = "PATH=%s:$PATH\n%s" % (shlex.quote(self.path), command)
        argv = ["bash", "-c", command]
        if self.destination:
            # The far side ends the command too: a broken connection would leave it running.
            far = "timeout -k 5 %d bash -c %s" % (timeout_s, shlex.quote(command))
            argv = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", self.destination, far]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            text, _ = process.communicate(timeout=timeout_s + (10 if self.destination else 0))
            return process.returncode, text.decode(errors="replace")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text, _ = process.communicate()
            return TIMED_OUT, text.decode(errors="replace")


class Site:
    """Both machines. primary writes, secondary holds the other copy."""

    emulated = False

    def both(self):
        return (self.primary, self.secondary)

    def describe(self):
        """Facts for the result: kernel, processors, memory of the primary, accelerator."""
        kernel, cpus, memory = self.primary.must(
            "uname -r; nproc; awk '$1 == \"MemTotal:\" { print int($2 / 1024) }' /proc/meminfo").split()
        return {"kernel": kernel, "cpus": int(cpus), "memory_mib": int(memory)}

    def find_interfaces(self):
        """The network device of each machine that leads to the other one."""
        for node, other in ((self.primary, self.secondary), (self.secondary, self.primary)):
            node.interface = node.must(
                "ip -o route get %s | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p'" % other.address)
            if not node.interface or node.interface == "lo":
                raise BenchError("%s: no network device leads to %s" % (node.name, other.address))

    def recover(self):
        """Bring the machines back after a system could not be taken down. False: not possible here."""
        return False

    def complaints(self):
        """Lines of the kernel logs, since the last call, that cast doubt on what was measured."""
        return []

    def close(self):
        pass


class LabSite(Site):
    """Two guests of the lab, made for this run; the disks are null_blk in their memory."""

    def __init__(self, options):
        self.emulated = True
        self.lab = manage.Lab("bench-%d" % os.getpid())
        self.keep = options.keep
        self.out = options.out
        release = kernels.installed_headers(options.kernel)[0]
        self.modules = os.path.join(options.build, "kmod-" + release)
        self.command = os.path.join(options.build, "user", "braid")
        for path in (os.path.join(self.modules, "braid.ko"), self.command):
            if not os.path.exists(path):
                raise BenchError("%s is missing: make modules KVER=%s command" % (path, release))
        self.lab.up(guests=2, series=options.kernel, disks="4M", cpus=options.cpus, mem_mib=options.mem, plugin=options.plugin,
                    modules=self.modules, deadline_s=150, owner=None if self.keep else os.getpid())
        self.primary = LabNode(self.lab, "alpha", "192.0.2.1")
        self.secondary = LabNode(self.lab, "beta", "192.0.2.2")
        self.go_first()
        self.prepare()

    def go_first(self):
        """Put the guests before what else this machine computes. With automatic groups of the scheduler it is the
        group's priority that counts; both guests are of one."""
        for pid in re.findall(r"\bpid=(\d+)", self.lab.do("status")):
            try:
                with open("/proc/%s/autogroup" % pid, "w") as f:
                    f.write("%d" % GROUP_NICE)
            except OSError:
                return      # no such groups in this kernel

    def prepare(self):
        for node in self.both():
            node.must("mkdir -p /run/lock /var/lib/drbd && cp %s /run/bin/" % shlex.quote(self.command))
        self.find_interfaces()
        self.complaints()

    def describe(self):
        return dict(super().describe(), accel=self.lab.config()["accel"], lab=True)

    def recover(self):
        for node in self.both():
            self.lab.request("cut", node.name)
        for node in self.both():
            status, text = self.lab.request("boot", node.name)
            if status != 0:
                raise BenchError("%s does not boot again: %s" % (node.name, text.strip()))
        self.prepare()
        return True

    def complaints(self):
        from lablib import scan
        bad, load = scan.scan(self.lab.dir)
        if bad:
            self.keep_consoles()
        for node in self.both():
            scan.forget(self.lab.dir, node.name)
        return bad + load

    def keep_consoles(self):
        """All that the machines said so far, beside the results: the lab and its logs go away at the end."""
        for node in self.both():
            shutil.copy(os.path.join(self.lab.dir, node.name, "console"), os.path.join(self.out, "console-%s.txt" % node.name))

    def close(self):
        if not self.keep:
            self.lab.down()


class HereSite(Site):
    """This machine and a peer behind ssh, with real disks."""

    def __init__(self, options, peer):
        path = os.path.join(options.build, "user")
        self.primary = ShellNode(os.uname().nodename, None, path=path)
        self.secondary = ShellNode(peer, None, destination=peer)
        module = os.path.join(options.build, "kmod-" + os.uname().release, "braid.ko")
        self.primary.module = module if os.path.exists(module) else None
        try:
            self.addresses(options.address)
            self.find_interfaces()
            self.refuse_in_use()
        except BenchError as error:
            raise BenchError("%s (nothing was changed)" % error)

    def addresses(self, given):
        """The addresses over which the two talk: as given, or as ssh finds the peer."""
        if given:
            self.primary.address, comma, self.secondary.address = given.partition(",")
            if not comma:
                raise BenchError("--address wants HERE,PEER")
            return
        self.secondary.address = self.primary.must(
            "host=$(ssh -G %s | awk '$1 == \"hostname\" { print $2 }')\n"
            "getent ahostsv4 $host | awk 'NR == 1 { print $1 }'"
            % shlex.quote(self.secondary.destination))
        if not self.secondary.address:
            raise BenchError("no IPv4 address of %s is known: give --address HERE,PEER" % self.secondary.name)
        self.primary.address = self.primary.must(
            "ip -o route get %s | sed -n 's/.* src \\([^ ]*\\).*/\\1/p'" % self.secondary.address)

    def refuse_in_use(self):
        for node in self.both():
            used = node.must("ls -d /sys/module/braid /sys/module/drbd 2>/dev/null || true")
            if used:
                raise BenchError("%s: %s is loaded and may be in use: take it down and unload it first"
                                 % (node.name, " and ".join(os.path.basename(word) for word in used.split())))
