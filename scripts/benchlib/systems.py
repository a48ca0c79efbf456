# SPDX-License-Identifier: GPL-2.0
"""The systems that are compared: how each is set up at its best known settings, loses its peer, and is taken down.

A system's `probe` is bash that sets $S to synced, syncing or other, from builtins only: it runs many times a second.
"""
import re
import shlex
import time

from benchlib.nodes import BenchError

STATE = "--state-dir /run/braid-bench"
NQN = "nqn.2014-08.org.nvmexpress:braid-bench"
NVME_PORT = 9797
MD = "/dev/md97"


class System:
    """A way to mirror the disks. After set_up, `device` of the primary is what gets measured."""

    name = title = None
    mirrors = True          # has a peer whose loss it survives
    by_default = True       # measured when no systems are named
    probe = "S=other"

    def __init__(self, site):
        self.site = site
        self.primary, self.secondary = site.primary, site.secondary
        self.device = None

    def set_up(self, disks, sparse):
        """Ready, both copies equal, when it returns. BenchError when that fails."""
        raise NotImplementedError

    def tear_down(self):
        """Back to two free disks; BenchError when something stays."""

    def peer_gone(self):
        """The peer leaves; the primary goes on alone when it returns."""

    def peer_back(self):
        """Let the peer come back. The resync need not have begun when it returns."""

    def status_command(self):
        """Command whose output metadata_writes() understands; "" if there is none."""
        return ""

    def metadata_writes(self, text):
        """Writes of metadata so far, from the output of status_command(); None if unknown."""
        return None

    def every(self, command, timeout_s=60):
        """Run on both; all errors together once both have tried."""
        errors = []
        for node in self.site.both():
            try:
                node.must(command, timeout_s)
            except BenchError as error:
                errors.append(str(error))
        if errors:
            raise BenchError("; ".join(errors))


def wait_until(node, seconds, what, command):
    """Poll until the command succeeds on the node."""
    end = time.monotonic() + seconds
    while True:
        status, text = node.run(command, 30)
        if status == 0:
            return
        if time.monotonic() > end:
            raise BenchError("%s: not within %d s: %s: %s" % (node.name, seconds, what, text.strip()[-300:]))
        time.sleep(0.1)


def wait_in_sync(node, system, seconds):
    """Poll until the system says so on the node."""
    wait_until(node, seconds, "in sync again", "probe() {\n%s\n}\nprobe; [ $S = synced ]" % system.probe)


class Raw(System):
    """The disk itself."""

    name, title = "raw", "raw disk"
    mirrors = False

    def set_up(self, disks, sparse):
        self.device = disks[0]


class Braid(System):
    name, title = "braid", "braid"
    create_options = ""
    probe = r"""
S=other
while read -r word rest; do
	case "$word $rest" in
	"peer "?" in-sync "*"dirty 0 bytes"*) S=synced ;;
	"peer "?" target "*) S=syncing ;;
	esac
done </sys/kernel/debug/braid/*-bench"""

    def set_up(self, disks, sparse):
        first, second = self.primary, self.secondary
        for node in self.site.both():
            node.must("mkdir -p /run/braid-bench && " + load_command(node))
        first.must("braid node init %s %s %s" % (braid_name(first), first.address, STATE))
        token = first.must("braid node invite %s %s %s" % (braid_name(second), second.address, STATE))
        second.must("braid node join %s %s" % (token, STATE))
        for node in self.site.both():
            wait_until(node, 20, "a session", "braid node show --json %s | grep -q '\"state\": \"open\"'" % STATE)
        # What comes sparse was never written; nobody could wait for 1 TiB to be compared.
        blank = "--blank " if sparse and self.site.emulated else ""
        first.must("braid create bench %s %s%s %s" % (disks[0], blank, self.create_options, STATE))
        second.must("braid replicate bench %s %s%s" % (disks[1], blank, STATE))
        limit_s = 60
        status, text = first.run("braid wait bench --for in-sync --timeout %d %s" % (limit_s, STATE), limit_s + 10)
        if status != 0:
            state = first.run("braid status bench %s" % STATE)[1]
            raise BenchError("the initial sync is not done after %d s: %s %s" % (limit_s, text.strip(), state.strip()))
        first.must("braid promote bench %s" % STATE)
        self.device = "/dev/braid/bench"
        first.must("[ -b %s ]" % self.device)

    def tear_down(self):
        self.every(r"""
[ -e /sys/module/braid ] || exit 0
braid down --all --force %(state)s
braid node stop %(state)s
rm -rf /run/braid-bench
for try in {1..50}; do
	modprobe -r braid || rmmod braid
	[ -e /sys/module/braid ] || exit 0
	sleep 0.1
done
exit 1""" % {"state": STATE})

    def peer_gone(self):
        self.primary.must("braid disconnect %s %s" % (braid_name(self.secondary), STATE))
        wait_until(self.primary, 20, "the session ends",
                   "! grep -q '^  peer . .* up 1' /sys/kernel/debug/braid/*-bench")

    def peer_back(self):
        self.primary.must("braid connect %s %s" % (braid_name(self.secondary), STATE))

    def status_command(self):
        return "cat /sys/kernel/debug/braid/*bench 2>/dev/null"

    def metadata_writes(self, text):
        found = [int(n) for n in re.findall(r"(?:log_commits|super_writes|dirty_page_writes) (\d+)", text)]
        return sum(found) if found else None


def load_command(node):
    """Load the module that was built, where it was built; elsewhere the installed one."""
    if not node.module:
        return "modprobe braid"
    path = shlex.quote(node.module)
    return "for m in $(modinfo -F depends %s | tr , ' '); do modprobe $m || exit 1; done; insmod %s" % (path, path)


def braid_name(node):
    """A machine's name as braid takes it: letters, digits, dashes."""
    return re.sub(r"[^A-Za-z0-9-]", "-", node.name)[:31]


class BraidTrust(Braid):
    """Payloads are not copied: what the one copy costs."""

    name, title = "braid_trust", "braid, payload=trust"
    by_default = False
    create_options = "--payload trust"


class Drbd84(System):
    """DRBD 8.4, the module of Debian's kernel."""

    name, title = "drbd84", "DRBD 8.4"
    probe = r"""
S=other
while read -r word rest; do
	case "$word $rest" in
	"0: cs:Connected "*ds:UpToDate/UpToDate*) S=synced ;;
	"0: cs:SyncSource "*) S=syncing ;;
	esac
done </proc/drbd"""

    def set_up(self, disks, sparse):
        for node, disk in zip(self.site.both(), disks):
            version = node.must("modinfo -F version drbd")
            if not version.startswith("8.4."):
                raise BenchError("%s: drbd is of version %s, not 8.4" % (node.name, version))
            node.must(r"""
set -e
modprobe drbd usermode_helper=/bin/true
drbdmeta --force 0 v08 %(disk)s internal create-md
drbdsetup new-resource bench
drbdsetup new-minor bench 0 0
drbdsetup attach 0 %(disk)s %(disk)s internal --al-extents 6007
drbdsetup disk-options 0 --c-max-rate 4G --c-fill-target 1M --resync-rate 1G""" % {"disk": disk}, 90)
        self.peer_back()
        self.secondary.must(self.connect(self.secondary, self.primary))
        wait_until(self.primary, 30, "the connection", "grep -q cs:Connected /proc/drbd")
        self.primary.must("drbdsetup new-current-uuid 0 --clear-bitmap && drbdsetup primary 0 --force")
        wait_until(self.primary, 30, "both up to date", "grep -q ds:UpToDate/UpToDate /proc/drbd")
        self.device = "/dev/drbd0"

    @staticmethod
    def connect(node, other):
        return "drbdsetup connect bench %s:7000 %s:7000 --protocol C --max-buffers 8000 --max-epoch-size 8000" % (
            node.address, other.address)

    def tear_down(self):
        self.every("[ -e /sys/module/drbd ] || exit 0; drbdsetup secondary 0; drbdsetup down bench; rmmod drbd", 60)

    def peer_gone(self):
        first, second = self.primary, self.secondary
        # Both ends: one alone would leave the other one to try again at times of its own.
        for node, other in ((first, second), (second, first)):
            node.must("drbdsetup disconnect %s:7000 %s:7000" % (node.address, other.address))
        wait_until(first, 20, "the connection ends", "grep -q cs:StandAlone /proc/drbd")

    def peer_back(self):
        self.primary.must(self.connect(self.primary, self.secondary))
        if self.device:
            self.secondary.must(self.connect(self.secondary, self.primary))

    def status_command(self):
        return "cat /proc/drbd"

    def metadata_writes(self, text):
        found = re.search(r" al:(\d+) bm:(\d+)", text)
        return int(found.group(1)) + int(found.group(2)) if found else None


class Nvme(System):
    """The secondary's disk alone, over NVMe/TCP: no mirror, the cost of one trip."""

    name, title = "nvme", "nvme-tcp alone"
    mirrors = False

    def export(self, disk):
        self.secondary.must(r"""
set -e
modprobe nvmet-tcp
[ -d /sys/kernel/config/nvmet ] || mount -t configfs configfs /sys/kernel/config
cd /sys/kernel/config/nvmet
mkdir subsystems/%(nqn)s
echo 1 >subsystems/%(nqn)s/attr_allow_any_host
mkdir subsystems/%(nqn)s/namespaces/1
echo -n %(disk)s >subsystems/%(nqn)s/namespaces/1/device_path
echo 1 >subsystems/%(nqn)s/namespaces/1/enable
mkdir ports/%(port)d
echo tcp >ports/%(port)d/addr_trtype
echo ipv4 >ports/%(port)d/addr_adrfam
echo %(address)s >ports/%(port)d/addr_traddr
echo %(port)d >ports/%(port)d/addr_trsvcid
ln -s /sys/kernel/config/nvmet/subsystems/%(nqn)s ports/%(port)d/subsystems/""" % {
            "nqn": NQN, "disk": disk, "port": NVME_PORT, "address": self.secondary.address})

    def attach(self):
        """Connect to the exported disk. Returns its path on the primary."""
        self.primary.must("modprobe nvme-tcp && nvme connect -t tcp -a %s -s %d -n %s "
                          "--hostnqn nqn.2014-08.org.nvmexpress:braid-bench-host" % (
                              self.secondary.address, NVME_PORT, NQN))
        find = r"""
for c in /sys/class/nvme/nvme*; do
	[ "$(cat $c/subsysnqn)" = %s ] || continue
	for n in /sys/class/nvme-subsystem/*/nvme*n* $c/nvme*n*; do
		case $(cat ${n%%/*}/subsysnqn 2>/dev/null) in %s) [ ! -b /dev/${n##*/} ] || { echo /dev/${n##*/}; exit 0; } ;; esac
	done
done
exit 1""" % (NQN, NQN)
        wait_until(self.primary, 15, "the remote disk appears", find)
        return self.primary.must(find)

    def set_up(self, disks, sparse):
        self.export(disks[1])
        self.device = self.attach()

    def tear_down(self):
        self.primary.must("! grep -qsx %(nqn)s /sys/class/nvme/*/subsysnqn || nvme disconnect -n %(nqn)s"
                          % {"nqn": NQN})
        self.secondary.must(r"""
cd /sys/kernel/config/nvmet 2>/dev/null || exit 0
[ ! -d ports/%(port)d ] || { rm -f ports/%(port)d/subsystems/%(nqn)s; rmdir ports/%(port)d; }
[ ! -d subsystems/%(nqn)s ] || { echo 0 >subsystems/%(nqn)s/namespaces/1/enable
	rmdir subsystems/%(nqn)s/namespaces/1 && rmdir subsystems/%(nqn)s; }""" % {"nqn": NQN, "port": NVME_PORT})


class MdNvme(Nvme):
    """md raid1 with a bitmap over the local disk and the exported one; reads stay local."""

    name, title = "md_nvme", "md raid1 over nvme-tcp"
    mirrors = True
    probe = r"""
S=other
read -r action </sys/block/md97/md/sync_action
read -r degraded </sys/block/md97/md/degraded
case "$action $degraded" in
"idle 0") S=synced ;;
recover*|resync*) S=syncing ;;
esac"""

    def set_up(self, disks, sparse):
        self.export(disks[1])
        self.remote = self.attach()
        self.primary.must(r"""
set -e
[ ! -e /sys/block/md97 ]
modprobe raid1
mdadm --create %s --run --level=1 --raid-devices=2 --assume-clean --bitmap=internal %s --write-mostly %s
echo active >/sys/block/md97/md/array_state
echo 100000000 >/sys/block/md97/md/sync_speed_max
echo 100000000 >/sys/block/md97/md/sync_speed_min""" % (MD, disks[0], self.remote), 90)
        self.device = MD

    def tear_down(self):
        self.primary.must("[ ! -e /sys/block/md97 ] || mdadm --stop %s" % MD)
        super().tear_down()

    def peer_gone(self):
        self.primary.must(r"""
mdadm %(md)s --fail %(remote)s || exit 1
for try in {1..50}; do mdadm %(md)s --remove %(remote)s && exit 0; sleep 0.1; done
exit 1""" % {"md": MD, "remote": self.remote})

    def peer_back(self):
        self.primary.must("mdadm %s --re-add --write-mostly %s" % (MD, self.remote))


SYSTEMS = (Raw, Braid, BraidTrust, Drbd84, MdNvme, Nvme)
