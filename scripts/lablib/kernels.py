# SPDX-License-Identifier: GPL-2.0
"""Kernels for the guests: stock Debian images, unpacked beside the host.

A guest must run the very kernel whose headers the module is built against, so
the version is read from the installed headers package. Nothing is installed on
the host: images are downloaded, unpacked and prepared in the cache folder.
"""

import contextlib
import fcntl
import glob
import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time

CACHE = os.environ.get("BRAID_CACHE", "/var/cache/braid")
HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
HEADERS = {"6.1": "linux-headers-amd64", "6.12": "linux-headers-6.12-amd64"}

# Drivers of hardware that no guest has: two thirds of the modules. Leaving
# them out makes depmod fast enough to run at every change of our module.
UNUSED = """sound drivers/gpu drivers/media drivers/iio drivers/staging drivers/hid
    drivers/input drivers/comedi drivers/usb drivers/platform drivers/leds
    drivers/hwmon drivers/video drivers/net/wireless drivers/net/ethernet
    drivers/bluetooth drivers/mfd drivers/regulator drivers/power""".split()

# What the guest loads before it has a root file system.
BOOT_MODULES = "virtio_pci virtio_console virtio_blk 9pnet_virtio 9p overlay virtio_net".split()
APPLETS = "sh mount mkdir insmod switch_root ip hostname cat cp echo poweroff".split()
RECIPE = 1          # raise to make every cached kernel be prepared again


class KernelError(Exception):
    """A kernel cannot be had; the text says why and what to do."""


class Kernel:
    """One prepared kernel: where its parts are."""

    def __init__(self, release):
        self.release = release
        self.dir = os.path.join(CACHE, "kernels", release)
        self.vmlinux = os.path.join(self.dir, "vmlinux")
        self.modules = os.path.join(self.dir, "lib/modules", release)
        self.initramfs = None


@contextlib.contextmanager
def locked(name):
    """Hold a lock shared by all users of the cache (blocks)."""
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def output(*argv):
    """Standard output of a command; KernelError when it fails."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise KernelError("%s: %s" % (" ".join(argv), done.stderr.strip()[-800:]))
    return done.stdout


def installed_headers(series):
    """(release, package version) of the headers that modules are built against."""
    meta = HEADERS.get(series)
    if meta is None:
        raise KernelError("kernel %s is unknown; known: %s" % (series, " ".join(HEADERS)))
    try:
        depends = output("dpkg-query", "-W", "-f", "${Depends}", meta)
    except KernelError:
        raise KernelError("package %s is not installed; run scripts/install-packages lab" % meta)
    found = re.search(r"linux-headers-(\S+) \(= ([^)]+)\)", depends)
    if not found:
        raise KernelError("cannot read a release from what %s depends on: %s" % (meta, depends))
    return found.group(1), found.group(2)


def extract_vmlinux(image, target):
    """Unpack the ELF kernel from a bzImage: unpacking it under emulation, at
    every boot, would take seconds."""
    with open(image, "rb") as f:
        data = f.read()
    setup_sectors = data[0x1f1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = data[start:start + length]
    if payload.startswith(b"\xfd7zXZ"):
        elf = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
    elif payload.startswith(b"\x28\xb5\x2f\xfd"):
        # The last four bytes are the unpacked size, not part of the frame.
        elf = subprocess.run(["zstd", "-dcq"], input=payload[:-4], stdout=subprocess.PIPE,
                             check=True).stdout
    else:
        raise KernelError("%s: packed in a way not known here" % image)
    if not elf.startswith(b"\x7fELF"):
        raise KernelError("%s: does not hold an ELF kernel" % image)
    with open(target, "wb") as f:
        f.write(elf)


def fetch(release, version, target):
    """Download and prepare the kernel of RELEASE into folder TARGET."""
    package = "linux-image-%s-unsigned" % release
    work = tempfile.mkdtemp(prefix=".fetch-", dir=os.path.dirname(target))
    try:
        os.chmod(work, 0o755)
        done = subprocess.run(
            ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download",
             "%s=%s" % (package, version)], cwd=work, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        debs = glob.glob(os.path.join(work, "*.deb"))
        if done.returncode != 0 or len(debs) != 1:
            raise KernelError(
                "%s version %s cannot be downloaded. If the archive holds a newer one: "
                "'apt-get update', then upgrade the installed headers.\n%s"
                % (package, version, done.stdout.strip()[-800:]))
        unpacked = os.path.join(work, "unpacked")
        output("dpkg-deb", "-x", debs[0], unpacked)
        source = os.path.join(unpacked, "lib/modules", release)
        if not os.path.isdir(source):
            source = os.path.join(unpacked, "usr/lib/modules", release)
        for folder in UNUSED:
            shutil.rmtree(os.path.join(source, "kernel", folder), ignore_errors=True)
        packed = glob.glob(os.path.join(source, "kernel/**/*.ko.xz"), recursive=True)
        if packed:
            subprocess.run(["xargs", "-0", "-n", "64", "xz", "-d"], check=True,
                           input="\0".join(packed).encode())
        kernel = os.path.join(work, "kernel")
        os.makedirs(os.path.join(kernel, "lib/modules"))
        os.rename(source, os.path.join(kernel, "lib/modules", release))
        for name in ("vmlinuz", "config", "System.map"):
            os.rename(os.path.join(unpacked, "boot", "%s-%s" % (name, release)),
                      os.path.join(kernel, name))
        extract_vmlinux(os.path.join(kernel, "vmlinuz"), os.path.join(kernel, "vmlinux"))
        output("depmod", "-b", kernel, release)
        check_loadable(kernel, release)
        with open(os.path.join(kernel, "prepared"), "w") as f:
            f.write("%s %d\n" % (version, RECIPE))
        shutil.rmtree(target, ignore_errors=True)
        os.rename(kernel, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_loadable(kernel, release):
    """A module built against the installed headers must load in this kernel:
    same release, and the same symbol checksums for a common symbol."""
    with open("/usr/src/linux-headers-%s/Module.symvers" % release) as f:
        wanted = {line.split("\t")[1]: int(line.split("\t")[0], 16) for line in f}
    sample = os.path.join(kernel, "lib/modules", release, "kernel/drivers/block/virtio_blk.ko")
    if not output("modinfo", "-F", "vermagic", sample).startswith(release + " "):
        raise KernelError("%s: version magic is not of release %s" % (sample, release))
    for line in output("modprobe", "--dump-modversions", sample).splitlines():
        checksum, symbol = line.split("\t")
        if wanted.get(symbol, int(checksum, 16)) != int(checksum, 16):
            raise KernelError("kernel %s and the installed headers differ in symbol %s"
                              % (release, symbol))


def boot_module_files(kernel):
    """Files of BOOT_MODULES and all they need, in the order of loading."""
    files = []
    for module in BOOT_MODULES:
        text = output("modprobe", "-d", kernel.dir, "-S", kernel.release,
                      "--show-depends", "--ignore-install", module)
        for line in text.splitlines():
            word = line.split()
            if word[0] == "insmod" and word[1] not in files:
                files.append(word[1])
    return files


def build_initramfs(kernel):
    """The first file system of a guest: busybox, modules, our init and agent.
    Cached by the hash of everything that goes into it."""
    busybox = "/bin/busybox"
    agent, init = os.path.join(HERE, "agent.c"), os.path.join(HERE, "init.sh")
    digest = hashlib.sha256(repr((RECIPE, BOOT_MODULES, APPLETS)).encode())
    for name in (agent, init):
        with open(name, "rb") as f:
            digest.update(f.read())
    digest.update(str(os.stat(busybox)[6:9]).encode())
    target = os.path.join(kernel.dir, "initramfs-%s.cpio" % digest.hexdigest()[:16])
    if os.path.exists(target):
        os.utime(target)
        return target
    work = tempfile.mkdtemp(prefix=".initramfs-", dir=kernel.dir)
    try:
        root = os.path.join(work, "root")
        for folder in ("bin", "modules", "proc", "sys", "dev", "low", "mem", "root"):
            os.makedirs(os.path.join(root, folder))
        shutil.copy(busybox, os.path.join(root, "bin/busybox"))
        for applet in APPLETS:
            os.symlink("busybox", os.path.join(root, "bin", applet))
        output("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s", "-o",
               os.path.join(root, "bin/agent"), agent)
        shutil.copy(init, os.path.join(root, "init"))
        os.chmod(os.path.join(root, "init"), 0o755)
        names = []
        for path in boot_module_files(kernel):
            shutil.copy(path, os.path.join(root, "modules"))
            names.append(os.path.basename(path))
        with open(os.path.join(root, "modules/order"), "w") as f:
            f.write("\n".join(names) + "\n")
        image = os.path.join(work, "image")
        subprocess.run("find . | cpio --quiet -o -H newc -R 0:0 > %s" % image, shell=True,
                       cwd=root, check=True)
        for old in glob.glob(os.path.join(kernel.dir, "initramfs-*.cpio")):
            # Not at once: guests of other labs still boot from it.
            if os.stat(old).st_mtime < time.time() - 7 * 86400:
                os.unlink(old)
        os.rename(image, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def ensure(series):
    """Kernel of a series ("6.1", "6.12"), downloaded and prepared if need be."""
    release, version = installed_headers(series)
    kernel = Kernel(release)
    with locked("kernels"):
        stamp = os.path.join(kernel.dir, "prepared")
        have = ""
        if os.path.exists(stamp):
            with open(stamp) as f:
                have = f.read()
        if have != "%s %d\n" % (version, RECIPE):
            os.makedirs(os.path.dirname(kernel.dir), exist_ok=True)
            fetch(release, version, kernel.dir)
        kernel.initramfs = build_initramfs(kernel)
    return kernel


def modules_digest(folder):
    """Short hash of all modules in FOLDER ("none" when there are none), and their paths."""
    files = sorted(glob.glob(os.path.join(folder, "**/*.ko"), recursive=True)) if folder else []
    digest = hashlib.sha256()
    for path in files:
        digest.update(os.path.basename(path).encode())
        with open(path, "rb") as f:
            digest.update(f.read())
    return (digest.hexdigest()[:16] if files else "none"), files


def modules_with(kernel, folder):
    """Module tree of KERNEL plus the *.ko of FOLDER under extra/, indexed.
    Returns its path; made once for each content of FOLDER."""
    digest, files = modules_digest(folder)
    if not files:
        return kernel.modules
    trees = os.path.join(kernel.dir, "extra")
    base = os.path.join(trees, digest)
    tree = os.path.join(base, "lib/modules", kernel.release)
    with locked("extra"):
        if os.path.isdir(tree):
            os.utime(base)
            return tree
        os.makedirs(trees, exist_ok=True)
        work = tempfile.mkdtemp(prefix=".new-", dir=trees)
        try:
            parent = os.path.join(work, "lib/modules")
            os.makedirs(parent)
            output("cp", "-al", kernel.modules, parent)
            extra = os.path.join(parent, kernel.release, "extra")
            os.mkdir(extra)
            for path in files:
                shutil.copy(path, extra)
            # depmod must not write through the hard links of its index files.
            for index in glob.glob(os.path.join(parent, kernel.release, "modules.*")):
                if os.path.basename(index) not in ("modules.order", "modules.builtin",
                                                   "modules.builtin.modinfo"):
                    os.unlink(index)
            output("depmod", "-b", work, kernel.release)
            os.chmod(work, 0o755)
            os.rename(work, base)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        old = sorted((e for e in os.scandir(trees) if not e.name.startswith(".")),
                     key=lambda e: e.stat().st_mtime)
        # Guests that are up may still use older ones.
        for entry in old[:-24]:
            shutil.rmtree(entry.path, ignore_errors=True)
    return tree
