# SPDX-License-Identifier: GPL-2.0
"""Command lines of what makes up a guest: emulator, disk servers, network.

Nothing here runs anything but the probe for hardware virtualisation.
"""
import ctypes
import mmap
import os
import shutil
import subprocess
import time

from lablib import kernels

GUESTS = ("alpha", "beta", "gamma", "delta")
QEMU = "qemu-system-x86_64"
# Everything dies with the daemon, even when that is killed.
TIED = ["setpriv", "--pdeathsig", "KILL", "--"]
BASE = [QEMU, "-machine", "pc,usb=off,hpet=off", "-nodefaults", "-no-user-config",
        "-display", "none", "-no-reboot"]
CMDLINE = ("console=ttyS0 quiet loglevel=4 mitigations=off panic=-1 printk.time=1 "
           "printk.devkmsg=on net.ifnames=0 ipv6.disable_ipv6=1 tsc=reliable "
           "rcupdate.rcu_cpu_stall_timeout=60")
# Without cx16: QEMU 7.2 computes the flags of cmpxchg16b from a stale state
# and leaves an operand's bits in them. An interrupt that comes before the next
# comparison pushes them, and the return from it is a double fault: the guest's
# allocator (which asks for cx16) died of that once in some hours.
ACCEL = {"kvm": ["-accel", "kvm", "-cpu", "host"],
         "tcg": ["-accel", "tcg,thread=multi", "-cpu", "max,-monitor,-erms,-fsrm,-sse4.2,-pclmulqdq,-cx16"]}


def probe(kernel):
    """"kvm" when a guest really boots with it on this host, else "tcg". Found
    out once for each boot of the host: /dev/kvm may exist and not work."""
    forced = os.environ.get("BRAID_ACCEL")
    if forced:
        if forced not in ACCEL:
            raise ValueError("BRAID_ACCEL=%s: must be kvm or tcg" % forced)
        return forced
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    with open("/proc/sys/kernel/random/boot_id") as f:
        boot_id = f.read().strip()
    cache = os.path.join(kernels.CACHE, "accel")
    with kernels.locked("accel"):
        if os.path.exists(cache):
            with open(cache) as f:
                words = f.read().split()
            if words[:1] == [boot_id]:
                return words[1]
        argv = BASE + ACCEL["kvm"] + [
            "-m", "256", "-kernel", kernel.vmlinux, "-initrd", kernel.initramfs,
            "-append", CMDLINE + " lab.probe", "-serial", "stdio"]
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, timeout=15)
            works = b"lab: probe passed" in done.stdout
        except subprocess.TimeoutExpired:
            works = False
        accel = "kvm" if works else "tcg"
        with open(cache, "w") as f:
            f.write("%s %s\n" % (boot_id, accel))
    return accel


def host_tsc_khz(duration_s=0.05):
    """How fast the host's time stamp counter runs, which an emulated guest reads as its own. Left to itself a
    guest measures it against an emulated timer at boot, and on a busy host its seconds then differ by half."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("0f3148c1e2204809d0c3"))     # rdtsc, as one 64-bit value
    hook = ctypes.c_char.from_buffer(code)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(hook))

    def sample():
        """(ticks, ns) of one moment: of some tries the one that nothing came between."""
        tries = [(time.monotonic_ns(), read(), time.monotonic_ns()) for _ in range(20)]
        before_ns, ticks, after_ns = min(tries, key=lambda t: t[2] - t[0])
        return ticks, (before_ns + after_ns) / 2

    begin = sample()
    time.sleep(duration_s)
    end = sample()
    del hook
    return round((end[0] - begin[0]) * 1000000 / (end[1] - begin[1]))


def parse_size(text):
    """Bytes of a size like 256M."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    number, unit = (text[:-1], text[-1:].upper()) if text[-1:].upper() in units else (text, "")
    if not number.isdigit() or int(number) == 0:
        raise ValueError("disk size %r: a number with K, M or G, for instance 256M" % text)
    size = int(number) * units.get(unit, 1)
    if size % 4096:
        raise ValueError("disk size %s is not a multiple of 4096 bytes" % text)
    return size


def parse_disks(spec):
    """("durable"|"volatile", [bytes, ...]) of "[KIND:]SIZE,SIZE..."."""
    kind, colon, sizes = spec.strip().replace(" ", ":", 1).rpartition(":")
    kind = kind if colon else "durable"
    if kind not in ("durable", "volatile"):
        raise ValueError("kind of disks %r: must be durable or volatile" % kind)
    return kind, [parse_size(size.strip()) for size in sizes.split(",")]


def disk_names(count):
    """vdb, vdc, ...: vda is a small empty one, so that names are as documented."""
    return ["vd" + chr(ord("b") + i) for i in range(count)]


def disk_server(folder, disk):
    """Server of a disk that forgets what was not flushed when it is killed."""
    return TIED + ["nbdkit", "-f", "-U", os.path.join(folder, disk + ".nbd"),
                   "--filter=cache", "file", os.path.join(folder, disk + ".raw"),
                   "cache=writeback", "cache-min-block-size=4k"]


def disk_arguments(folder, config):
    """Emulator arguments for all disks of a guest. A durable disk keeps what
    was written when the emulator is killed, so flushing it costs nothing."""
    argv = ["-blockdev", "null-co,node-name=vda,size=1048576,read-zeroes=on,read-only=on",
            "-device", "virtio-blk-pci,drive=vda"]
    for disk in disk_names(len(config["sizes"])):
        if config["disks"] == "durable":
            node = ("driver=raw,node-name=%s,discard=unmap,cache.no-flush=on,"
                    "file.driver=file,file.discard=unmap,file.filename=%s,"
                    "file.locking=off" % (disk, os.path.join(folder, disk + ".raw")))
        else:
            node = ("driver=nbd,node-name=%s,server.type=unix,server.path=%s"
                    % (disk, os.path.join(folder, disk + ".nbd")))
        argv += ["-blockdev", node,
                 "-device", "virtio-blk-pci,drive=%s,write-cache=on,serial=%s"
                 % (disk, disk)]
    return argv


def guest_argv(config, name, folder, modules, agent_fd, qmp_fd):
    """The emulator's command line for one guest."""
    number = GUESTS.index(name) + 1
    repo = kernels.REPO
    cmdline = "%s lab.name=%s lab.address=192.0.2.%d lab.release=%s lab.modules=%s " \
        "lab.repo=%s" % (CMDLINE, name, number, config["release"], modules, repo)
    if config["accel"] == "tcg" and os.uname().machine == "x86_64":
        cmdline += " tsc_early_khz=%d" % host_tsc_khz()
    plugin = []
    if config.get("plugin"):    # addresses in its output mean the same in every boot
        cmdline += " nokaslr"
        plugin = ["-plugin", "%s,out=%s" % (config["plugin"], os.path.join(folder, "instructions"))]
    share = "local,readonly=on,security_model=none,multidevs=remap"
    return TIED + BASE + ACCEL[config["accel"]] + plugin + [
        "-name", name, "-m", str(config["mem"]), "-smp", str(config["cpus"]),
        "-kernel", config["vmlinux"], "-initrd", config["initramfs"], "-append", cmdline,
        "-chardev", "file,id=console,append=on,path=" + os.path.join(folder, "console"),
        "-serial", "chardev:console",
        "-chardev", "socket,id=agent,fd=%d" % agent_fd,
        "-device", "virtio-serial-pci",
        "-device", "virtserialport,chardev=agent,name=lab.agent",
        "-chardev", "socket,id=qmp,fd=%d" % qmp_fd, "-mon", "chardev=qmp,mode=control",
        "-virtfs", "%s,path=/,mount_tag=root" % share,
        "-virtfs", "%s,path=%s,mount_tag=repo" % (share, repo),
        "-device", "virtio-rng-pci",
        "-netdev", "tap,id=net0,ifname=t-%s,script=no,downscript=no,vnet_hdr=on" % name,
        "-device", "virtio-net-pci,id=nic0,netdev=net0,mac=52:54:00:b7:00:%02x,"
        # Of 256 buffers a few large packets take all, and then this version of the emulator may wait for ever for a guest that has told it.
        "rx_queue_size=1024,host_mtu=9000,romfile=" % number] + disk_arguments(folder, config)


def network_script(guests):
    """Shell commands that make the bridge and the taps (in a fresh namespace)."""
    lines = ["set -e", "ip link set lo up",
             "ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
             "ip link set br0 mtu 9000"]
    for name in guests:
        lines += ["ip tuntap add dev t-%s mode tap vnet_hdr" % name,
                  "ip link set t-%s mtu 9000 master br0 up" % name]
    lines += ["ip link set br0 up",
              "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >$f || true; done"]
    return "\n".join(lines)


def link_rules(cuts):
    """nft input that drops in silence; CUTS is a set of (guest, "in"|"out")."""
    rules = ["%s \"t-%s\" drop" % ("iifname" if way == "out" else "oifname", guest)
             for guest, way in sorted(cuts)]
    return ("add table bridge lab\ndelete table bridge lab\n"
            "table bridge lab {\n chain forward {\n"
            "  type filter hook forward priority 0; policy accept;\n  %s\n }\n}\n"
            % "\n  ".join(rules))


def missing_programs():
    """Programs of the host that the lab cannot do without and that are absent."""
    needed = (QEMU, "busybox", "nbdkit", "ip", "nft", "setpriv", "unshare", "depmod",
              "cpio", "zstd", "xz", "gcc")
    return [program for program in needed if not shutil.which(program)]
