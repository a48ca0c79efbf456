# SPDX-License-Identifier: GPL-2.0
"""The daemon of one lab: owns its guests, disk servers and network namespace.

Everything is its child and dies with it. It is started inside a fresh network
namespace, so labs cannot collide. Requests come over the socket "control" in
the lab's folder, see client.py.
"""
import asyncio
import inspect
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from lablib import kernels, machine

HEADER = struct.Struct("=IIB3x")
BOOT_DEADLINE_S = 60
OFF_DEADLINE_S = 25
STATUS_TIMEOUT, STATUS_DEAD = 124, 125


class LabError(Exception):
    """A request that cannot be done; the text is for the caller."""


class Job:
    """One command line in a guest. SINK is called with (kind, data)."""

    def __init__(self, guest, number, sink):
        self.guest, self.number, self.sink = guest, number, sink
        self.status = asyncio.get_running_loop().create_future()

    def end(self, status):
        if not self.status.done():
            self.status.set_result(status)


class Guest:
    """One virtual machine. States: off, booting, up, dead (ended by itself)."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.dir = os.path.join(lab.dir, name)
        self.state = "off"
        self.qemu, self.servers = None, []
        self.agent_writer = self.qmp = None
        self.tasks = []
        self.jobs, self.next_job = {}, 1
        self.up = asyncio.Event()
        self.booted_s = 0.0
        self.carrier, self.delay = True, None
        os.makedirs(self.dir, exist_ok=True)
        for disk, size in zip(machine.disk_names(len(lab.config["sizes"])),
                              lab.config["sizes"]):
            with open(os.path.join(self.dir, disk + ".raw"), "ab") as f:
                f.truncate(size)
        self.set_state("off")

    def set_state(self, state):
        self.state = state
        with open(os.path.join(self.dir, "state"), "w") as f:
            f.write(state + "\n")

    def spawn(self, argv, **more):
        """Start a child of this guest; what it says goes to the file "host"."""
        with open(os.path.join(self.dir, "host"), "ab") as log:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    cwd=self.dir, **more)

    async def boot(self, deadline_s=BOOT_DEADLINE_S):
        """Power on and wait until the agent answers."""
        if self.state in ("up", "booting"):
            raise LabError("%s is already on" % self.name)
        self.set_state("booting")
        started = time.monotonic()
        try:
            await self.power_on()
            await asyncio.wait_for(self.up.wait(), deadline_s)
            if self.state != "up":
                raise LabError("%s died while booting\n%s%s"
                               % (self.name, self.tail("host"), self.tail()))
            self.booted_s = time.monotonic() - started
            await self.apply_net()
        except asyncio.TimeoutError:
            await self.cut()
            raise LabError("%s: no answer %d s after power on\n%s"
                           % (self.name, deadline_s, self.tail())) from None
        except Exception:
            if self.state == "booting":
                await self.cut()
            raise

    async def power_on(self):
        config = self.lab.config
        kernel = kernels.Kernel(config["release"])
        modules = await asyncio.to_thread(kernels.modules_with, kernel, config["modules"])
        if config["disks"] == "volatile":
            await self.start_servers()
        self.up.clear()
        agent, agent_far = socket.socketpair()
        qmp, qmp_far = socket.socketpair()
        argv = machine.guest_argv(config, self.name, self.dir, modules,
                                  agent_far.fileno(), qmp_far.fileno())
        self.qemu = self.spawn(argv, pass_fds=(agent_far.fileno(), qmp_far.fileno()))
        agent_far.close()
        qmp_far.close()
        reader, self.agent_writer = await asyncio.open_connection(sock=agent)
        self.qmp = await asyncio.open_connection(sock=qmp)
        self.tasks = [asyncio.create_task(self.listen(reader, self.qemu))]

    async def start_servers(self):
        env = dict(os.environ, TMPDIR=self.dir)
        for disk in machine.disk_names(len(self.lab.config["sizes"])):
            path = os.path.join(self.dir, disk + ".nbd")
            if os.path.exists(path):
                os.unlink(path)
            server = self.spawn(machine.disk_server(self.dir, disk), env=env)
            self.servers.append(server)
            for _ in range(200):
                if os.path.exists(path):
                    break
                if server.poll() is not None:
                    raise LabError("%s: disk server of %s does not start\n%s"
                                   % (self.name, disk, self.tail("host")))
                await asyncio.sleep(0.05)
            else:
                raise LabError("%s: disk server of %s: no socket in 10 s" % (self.name, disk))

    async def listen(self, reader, qemu):
        """Take what the agent sends until the emulator is gone."""
        try:
            while True:
                number, length, kind = HEADER.unpack(await reader.readexactly(HEADER.size))
                data = await reader.readexactly(length) if length else b""
                if kind == ord("H"):
                    self.set_state("up")
                    self.up.set()
                    continue
                job = self.jobs.get(number)
                if job is None:
                    continue
                if kind == ord("x"):
                    del self.jobs[number]
                    job.end(struct.unpack("=i", data)[0])
                else:
                    job.sink(bytes([kind]), data)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        await asyncio.to_thread(qemu.wait)
        if qemu is self.qemu:
            self.gone()

    def gone(self):
        """The emulator has ended: on request (state off) or by itself."""
        if self.state in ("up", "booting"):
            with open(os.path.join(self.dir, "console"), "a") as f:  # a guest that panics ends it with 0, its own death with a signal
                f.write("\nlab: %s ended by itself, status %s of the emulator\n" % (self.name, self.qemu.returncode))
            self.set_state("dead")
        self.qemu = None
        for writer in (self.agent_writer, self.qmp and self.qmp[1]):
            if writer:
                writer.close()
        self.agent_writer = self.qmp = None
        for server in self.servers:
            server.kill()
            server.wait()
        self.servers = []
        for job in list(self.jobs.values()):
            job.end(STATUS_DEAD)
        self.jobs.clear()
        self.up.set()

    async def cut(self):
        """Power cut: kill the emulator, then its disk servers with their caches."""
        qemu = self.qemu
        self.set_state("off")
        if qemu:
            qemu.kill()
            for server in self.servers:
                server.kill()
            await asyncio.to_thread(qemu.wait)
        if self.qemu is qemu:
            self.gone()

    async def off(self):
        """Clean power off; LabError when it had to be cut in the end."""
        if self.state != "up":
            raise LabError("%s is not up but %s" % (self.name, self.state))
        qemu, servers = self.qemu, self.servers
        self.set_state("off")
        self.servers = []
        self.send(0, "O", b"")
        try:
            await asyncio.wait_for(asyncio.to_thread(qemu.wait, OFF_DEADLINE_S),
                                   OFF_DEADLINE_S + 5)
        except (subprocess.TimeoutExpired, asyncio.TimeoutError):
            self.servers = servers
            await self.cut()
            raise LabError("%s: not off after %d s, cut" % (self.name, OFF_DEADLINE_S)) from None
        for server in servers:
            server.terminate()
            await asyncio.to_thread(server.wait)
        if self.qemu is qemu:
            self.gone()

    def send(self, number, kind, data):
        if self.agent_writer is None:
            raise LabError("%s is %s" % (self.name, self.state))
        self.agent_writer.write(HEADER.pack(number, len(data), ord(kind)) + data)

    def start(self, line, sink, kind="R"):
        """Start a command line. Returns its Job."""
        if self.state != "up":
            raise LabError("%s is %s" % (self.name, self.state))
        job = Job(self, self.next_job, sink)
        self.next_job += 1
        self.jobs[job.number] = job
        self.send(job.number, kind, line.encode("utf-8", "surrogateescape"))
        return job

    def kill(self, job, signum=signal.SIGKILL):
        if not job.status.done() and self.agent_writer:
            self.send(job.number, "K", bytes([signum]))

    async def command(self, line, timeout_s=20):
        """Run a command line for the lab itself. Returns (status, output)."""
        parts = []
        job = self.start(line, lambda kind, data: parts.append(data))
        try:
            status = await asyncio.wait_for(asyncio.shield(job.status), timeout_s)
        except asyncio.TimeoutError:
            self.kill(job)
            status = STATUS_TIMEOUT
        return status, b"".join(parts).decode(errors="replace")

    async def set_carrier(self, on):
        self.carrier = on
        if self.qmp is None:
            return
        reader, writer = self.qmp
        for request in ({"execute": "qmp_capabilities"},
                        {"execute": "set_link", "arguments": {"name": "net0", "up": on}}):
            writer.write(json.dumps(request).encode() + b"\n")
            while True:
                line = await asyncio.wait_for(reader.readline(), 10)
                answer = json.loads(line or b"{}")
                if not line or "return" in answer or "error" in answer:
                    break

    async def apply_net(self):
        """Bring carrier and delay of a guest to what was asked for."""
        if not self.carrier:
            await self.set_carrier(False)
        if self.delay:
            await self.set_delay(self.delay)

    async def set_delay(self, delay):
        """Delay what the guest sends: (milliseconds, rate or ""), or None. In
        the guest, whose kernel surely has netem; the host's may not."""
        self.delay = delay
        if self.state != "up":
            return
        line = "tc qdisc del dev eth0 root 2>/dev/null; true"
        if delay:
            line = ("modprobe sch_netem && tc qdisc replace dev eth0 root netem limit 100000 "
                    "delay %sms %s" % (delay[0], "rate " + delay[1] if delay[1] else ""))
        status, text = await self.command(line)
        if status != 0:
            raise LabError("%s: %s: %s" % (self.name, line, text.strip()))

    def tail(self, name="console", lines=15):
        """The last lines of one of the guest's logs."""
        path = os.path.join(self.dir, name)
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as f:
            return "".join("    " + line for line in f.readlines()[-lines:])


class Connection:
    """One client: output goes out as frames; reading shows when it is gone."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.gone = asyncio.Event()
        self.job = None

    def send(self, kind, data):
        if not self.writer.is_closing():
            self.writer.write(struct.pack("=I", len(data)) + kind + data)

    def say(self, text):
        self.send(b"o", (text + "\n").encode())

    async def listen(self):
        """Pass input on to the job, until the client hangs up."""
        try:
            while True:
                length, kind = struct.unpack("=Ic", await self.reader.readexactly(5))
                data = await self.reader.readexactly(length) if length else b""
                if self.job and not self.job.status.done() and kind in (b"i", b"w"):
                    self.job.guest.send(self.job.number, kind.decode().upper(), data)
        except (asyncio.IncompleteReadError, ConnectionError, LabError):
            pass
        self.gone.set()


class Lab:
    """All guests of one lab and the requests about them."""

    def __init__(self, folder):
        self.dir = folder
        with open(os.path.join(folder, "config.json")) as f:
            self.config = json.load(f)
        self.guests = {}
        self.cuts = set()
        self.background, self.next_background = {}, 1
        self.ended = asyncio.Event()
        self.is_orphan = False

    def guest(self, name):
        if name not in self.guests:
            raise LabError("no guest %r; this lab has: %s" % (name, " ".join(self.guests)))
        return self.guests[name]

    async def start(self):
        """Make the network and boot all guests at once."""
        self.run_host(["sh", "-c", machine.network_script(self.config["guests"])])
        for name in self.config["guests"]:
            self.guests[name] = Guest(self, name)
        self.apply_cuts()
        deadline_s = self.config["deadline_s"]
        self.boots = [asyncio.create_task(guest.boot(deadline_s))
                      for guest in self.guests.values()]

    def run_host(self, argv, **more):
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, **more)
        if done.returncode != 0:
            raise LabError("%s: %s" % (" ".join(argv[:2]), done.stdout.strip()))

    def apply_cuts(self):
        self.run_host(["nft", "-f", "-"], input=machine.link_rules(self.cuts))

    async def handle(self, reader, writer):
        """Serve one client."""
        io = Connection(reader, writer)
        status = 1
        try:
            length = int.from_bytes(await reader.readexactly(4), "little")
            words = (await reader.readexactly(length)).decode("utf-8", "surrogateescape")
            verb, *args = words.split("\0")
            listener = asyncio.create_task(io.listen())
            try:
                status = await self.method(verb, args)(io, *args) or 0
            finally:
                listener.cancel()
        except LabError as error:
            io.send(b"e", ("lab: %s\n" % error).encode())
            status = STATUS_DEAD if re.search(r" is (off|dead|booting)$", str(error)) else 1
        except (ValueError, OSError, kernels.KernelError) as error:
            io.send(b"e", ("lab: %s: %s\n" % (verb, error)).encode())
            status = 2
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        io.send(b"x", str(status).encode())
        try:
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            pass
        if self.ended.is_set():
            self.stop.set()

    def method(self, verb, args):
        """What serves a verb; LabError unless it takes these arguments."""
        method = getattr(self, "do_" + verb)
        try:
            inspect.signature(method).bind(None, *args)
        except TypeError:
            raise LabError("wrong number of words for %s; see lab --help" % verb) from None
        return method

    @staticmethod
    def options(args, flags, values):
        """Split leading options off. Returns ({option: value}, rest)."""
        found, rest = {}, list(args)
        while rest and rest[0].startswith("-"):
            word = rest.pop(0)
            if word == "--":
                break
            if word in flags:
                found[word] = True
            elif word in values and rest:
                found[word] = rest.pop(0)
            else:
                raise LabError("option %s is unknown or lacks a value" % word)
        return found, rest

    async def do_run(self, io, guest_name, *args):
        guest = self.guest(guest_name)
        opts, words = self.options(args, ("--bg", "-i"), ("--timeout",))
        if not words:
            raise LabError("run: no command")
        timeout_s = float(opts["--timeout"]) if "--timeout" in opts else None
        if "--bg" in opts:
            return self.start_background(io, guest, " ".join(words))
        job = guest.start(" ".join(words), io.send, "P" if "-i" in opts else "R")
        return await self.follow(io, job, timeout_s)

    async def do_shell(self, io, guest_name):
        guest = self.guest(guest_name)
        return await self.follow(io, guest.start("exec bash -i", io.send, "T"), None)

    async def follow(self, io, job, timeout_s):
        """Wait for a job's end, its timeout or its client's going away."""
        io.job = job
        gone = asyncio.create_task(io.gone.wait())
        await asyncio.wait([job.status, gone], timeout=timeout_s,
                           return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if job.status.done():
            return job.status.result()
        job.guest.kill(job)
        io.job, job.sink = None, lambda kind, data: None
        # A command stuck in the kernel does not die: not waited for.
        await asyncio.wait([job.status], timeout=1)
        if job.status.done() and job.status.result() == STATUS_DEAD:
            return STATUS_DEAD
        return STATUS_TIMEOUT

    def start_background(self, io, guest, line):
        number = str(self.next_background)
        self.next_background += 1
        path = os.path.join(self.dir, "job-" + number)

        def sink(_, data):
            with open(path, "ab") as f:
                f.write(data)
        with open(path, "wb"):
            pass
        self.background[number] = guest.start(line, sink)
        io.say(number)

    def background_job(self, number):
        if number not in self.background:
            raise LabError("no background job %s" % number)
        return self.background[number]

    async def do_wait(self, io, number, *args):
        job = self.background_job(number)
        opts, _ = self.options(args, (), ("--timeout",))
        timeout_s = float(opts["--timeout"]) if "--timeout" in opts else None
        await asyncio.wait([job.status], timeout=timeout_s)
        with open(os.path.join(self.dir, "job-" + number), "rb") as f:
            io.send(b"o", f.read())
        return job.status.result() if job.status.done() else STATUS_TIMEOUT

    async def do_kill(self, io, number, *args):
        job = self.background_job(number)
        job.guest.kill(job, int(args[0]) if args else signal.SIGKILL)

    async def do_killall(self, io, guest_name):
        guest = self.guest(guest_name)
        if guest.state == "up":
            guest.send(0, "Z", b"")

    async def do_cut(self, io, guest_name):
        await self.guest(guest_name).cut()

    async def do_boot(self, io, guest_name, *args):
        guest = self.guest(guest_name)
        opts, _ = self.options(args, (), ("--deadline",))
        await guest.boot(float(opts.get("--deadline", self.config["deadline_s"])))
        io.say("%s %.1f s" % (guest.name, guest.booted_s))

    async def do_off(self, io, guest_name):
        await self.guest(guest_name).off()

    async def do_reboot(self, io, guest_name):
        await self.guest(guest_name).off()
        await self.do_boot(io, guest_name)

    async def do_link(self, io, guest_name, what, way="both"):
        guest = self.guest(guest_name)
        if what not in ("up", "down") or way not in ("in", "out", "both"):
            raise LabError("link: up|down [in|out|both]")
        ways = {(guest.name, w) for w in (("in", "out") if way == "both" else (way,))}
        self.cuts = self.cuts - ways if what == "up" else self.cuts | ways
        self.apply_cuts()

    async def do_carrier(self, io, guest_name, what):
        if what not in ("on", "off"):
            raise LabError("carrier: on|off")
        await self.guest(guest_name).set_carrier(what == "on")

    async def do_slow(self, io, guest_name, delay_ms, rate=""):
        if not re.fullmatch(r"\d+(\.\d+)?", delay_ms) or not re.fullmatch(r"(\d+\w+)?", rate):
            raise LabError("slow: DELAY_MS [RATE], for instance 50 100mbit")
        await self.guest(guest_name).set_delay((delay_ms, rate))

    async def do_unslow(self, io, guest_name):
        await self.guest(guest_name).set_delay(None)

    async def do_heal(self, io):
        self.cuts = set()
        self.apply_cuts()
        for guest in self.guests.values():
            if not guest.carrier:
                await guest.set_carrier(True)
            if guest.delay:
                await guest.set_delay(None)

    async def do_net(self, io, *argv):
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text, _ = await process.communicate()
        io.send(b"o", text)
        return process.returncode

    async def do_status(self, io):
        for guest in self.guests.values():
            cuts = " ".join(way for name, way in sorted(self.cuts) if name == guest.name)
            io.say("%s %s pid=%s boot=%.1fs cut=%s carrier=%s slow=%s" % (
                guest.name, guest.state, guest.qemu.pid if guest.qemu else "-",
                guest.booted_s, cuts or "-", "on" if guest.carrier else "off",
                " ".join(guest.delay) if guest.delay else "-"))

    async def do_up(self, io):
        """Wait for the first boot of all guests."""
        results = await asyncio.gather(*self.boots, return_exceptions=True)
        failures = [str(r) for r in results if isinstance(r, Exception)]
        if failures:
            raise LabError("\n".join(failures))
        for guest in self.guests.values():
            io.say("%s %.1f s" % (guest.name, guest.booted_s))

    async def do_down(self, io):
        for boot in self.boots:
            boot.cancel()
        for guest in self.guests.values():
            await guest.cut()
        self.ended.set()

    async def serve(self):
        """Run until told to go down."""
        self.stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(signum, self.stop.set)
        owner = self.config["owner"]
        if owner:
            self.owner_fd = os.pidfd_open(owner)
            loop.add_reader(self.owner_fd, self.orphaned)
        await self.start()
        path = os.path.join(self.dir, "control")
        server = await asyncio.start_unix_server(self.handle, path + ".new")
        os.rename(path + ".new", path)
        await self.stop.wait()
        for guest in self.guests.values():
            await guest.cut()
        # Last: whoever finds nobody listening may remove the folder.
        os.unlink(path)
        server.close()
        if self.is_orphan:
            shutil.rmtree(self.dir, ignore_errors=True)

    def orphaned(self):
        """The process that this lab belongs to has ended."""
        asyncio.get_running_loop().remove_reader(self.owner_fd)
        self.is_orphan = True
        self.stop.set()


async def amain(folder):
    await Lab(folder).serve()


def main(folder):
    """Entry of the daemon process; its standard error is the lab's daemon.log."""
    try:
        asyncio.run(amain(folder))
    except (LabError, OSError) as error:
        print("lab: %s" % error, file=sys.stderr)
        return 1
    return 0
