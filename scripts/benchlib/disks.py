# SPDX-License-Identifier: GPL-2.0
"""The disks under the systems: null_blk in memory for the lab's guests, the given disks on real machines.

Every system begins on disks that hold nothing known but are written all over: the first write to a page of a null_blk
device has to allocate it, and no system may pay for that in another one's place.
"""
import shlex
from concurrent.futures import ThreadPoolExecutor

from benchlib.nodes import BenchError

NULL_BLK = r"""
set -e
modprobe null_blk nr_devices=0
[ -d /sys/kernel/config/nullb ] || mount -t configfs configfs /sys/kernel/config
dir=/sys/kernel/config/nullb/%(name)s
if [ -d $dir ]; then
	echo 0 >$dir/power
	rmdir $dir
fi
mkdir $dir
echo %(mib)d >$dir/size
echo 1 >$dir/memory_backed
echo %(cache_mib)d >$dir/cache_size
echo 1 >$dir/power
[ -b /dev/%(name)s ]
"""
NULL_BLK_END = r"""
dir=/sys/kernel/config/nullb/%s
[ ! -d $dir ] || { echo 0 >$dir/power && rmdir $dir; }
"""

# What a disk may not be or hold. Prints the reason.
IN_USE = r"""
disk=$(readlink -f %(disk)s)
[ -b "$disk" ] || { echo "is not a block device"; exit; }
mounts=$(lsblk -nro MOUNTPOINTS "$disk" | grep -v '^$' | head -n 1)
[ -z "$mounts" ] || { echo "is mounted on or used as $mounts"; exit; }
[ "$(lsblk -nro NAME "$disk" | wc -l)" = 1 ] || { echo "has partitions, or something is built on it"; exit; }
known=$(wipefs --noheadings --output TYPE "$disk" | xargs)
[ -z "$known" ] || { echo "holds $known"; exit; }
python3 -c 'import os, sys; os.close(os.open(sys.argv[1], os.O_RDWR | os.O_EXCL))' "$disk" 2>/dev/null ||
	echo "is in use"
"""
# Metadata of every system lies at one of the ends.
WIPE_ENDS = r"""
set -e
end=$(($(blockdev --getsize64 %(disk)s) >> 20))
length=$((end < 64 ? end : 64))
wipefs -aq %(disk)s
dd if=/dev/zero of=%(disk)s bs=1M count=$length oflag=direct status=none
dd if=/dev/zero of=%(disk)s bs=1M seek=$((end - length)) count=$length oflag=direct status=none
"""


class NullDisks:
    """Disks in the guests' memory: one written all over for most rows, one of 1 TiB, sparse, for cold writes. Without a volatile
    cache, like a drive with power-loss protection; another one has one, so that flushes have something to do."""

    SMALL_MIB = 300
    SPARSE_MIB = 1 << 20
    CACHE_MIB = 16
    cached = True

    def __init__(self, site):
        self.site = site

    def fresh(self, sparse, cached):
        """New disks on both machines. Returns their paths, primary's first."""
        name, mib = ("benchcold", self.SPARSE_MIB) if sparse else ("bench", self.SMALL_MIB)
        command = NULL_BLK % {"name": name, "mib": mib, "cache_mib": self.CACHE_MIB if cached else 0}
        if not sparse:
            command += "dd if=/dev/zero of=/dev/%s bs=1M count=%d oflag=direct status=none" % (name, mib)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: node.must(command, 90), self.site.both()))
        return ["/dev/" + name] * 2

    def release(self):
        """Give the memory back."""
        for node in self.site.both():
            for name in ("bench", "benchcold"):
                node.run(NULL_BLK_END % name)


class RealDisks:
    """The disks that the user gave away. Nothing is written unless both are free and hold nothing known. Their caches are what
    they are."""

    cached = False

    def __init__(self, site, disk, peer_disk, destroy):
        self.site = site
        self.paths = [disk, peer_disk]
        for node, path in zip(site.both(), self.paths):
            reason = node.must(IN_USE % {"disk": shlex.quote(path)})
            if reason:
                raise BenchError("%s: %s %s; nothing was changed. If nothing on it is needed: wipefs -a %s"
                                 % (node.name, path, reason, path))
        if not destroy:
            raise BenchError("all that is on %s here and on %s of %s would be lost: say --destroy if that is meant"
                             % (disk, peer_disk, site.secondary.name))

    def fresh(self, sparse, cached):
        for node, path in zip(self.site.both(), self.paths):
            node.must(WIPE_ENDS % {"disk": shlex.quote(path)}, 120)
        return self.paths

    def release(self):
        for node, path in zip(self.site.both(), self.paths):
            node.run(WIPE_ENDS % {"disk": shlex.quote(path)}, 120)
