# SPDX-License-Identifier: GPL-2.0
"""The row pgbench-8: PostgreSQL on ext4 on the device, eight clients.

The data directory is made once, on this machine, and unpacked onto every system's file system: making it under
emulation would take longer than all of the rest.
"""
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

from benchlib.nodes import BenchError
from lablib import kernels

SCALE = 8
SETTINGS = """
listen_addresses = ''
unix_socket_directories = '/tmp'
shared_buffers = 64MB
max_wal_size = 64MB
min_wal_size = 16MB
checkpoint_timeout = 30min
autovacuum = off
max_connections = 20
"""
FIND = 'bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1); [ -x "$bin/postgres" ] || ' \
    '{ echo "PostgreSQL is not installed"; exit 1; }\n'

PREPARE = FIND + r"""
set -e
chown postgres %(work)s
runuser -u postgres -- bash -e <<END
cd %(work)s
$bin/initdb -D data --no-locale -E UTF8 --wal-segsize=4 -A trust -N >/dev/null
cat >>data/postgresql.conf <<CONF
%(settings)s
CONF
$bin/pg_ctl -D data -o '-p 5299 -k %(work)s' -l log -w start >/dev/null
$bin/createdb -h %(work)s -p 5299 bench
$bin/pgbench -h %(work)s -p 5299 -i -q -s %(scale)d bench >/dev/null 2>&1
$bin/psql -q -h %(work)s -p 5299 -c checkpoint bench
$bin/pg_ctl -D data -m fast -w stop >/dev/null
END
tar -C %(work)s -cf %(target)s.new data
mv %(target)s.new %(target)s
"""

RUN = FIND + r"""
set -e
mkdir -p /tmp/braid-bench-mnt
mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=0 %(device)s
mount %(device)s /tmp/braid-bench-mnt
trap 'cd /; [ ! -e /tmp/braid-bench-mnt/data/postmaster.pid ] ||
	runuser -u postgres -- $bin/pg_ctl -D /tmp/braid-bench-mnt/data -m immediate -w stop >/dev/null 2>&1
	umount /tmp/braid-bench-mnt' EXIT
tar -C /tmp/braid-bench-mnt -xpf %(source)s
sync -f /tmp/braid-bench-mnt
cd /tmp/braid-bench-mnt
runuser -u postgres -- $bin/pg_ctl -D data -o '-p 5299' -l data/log -w start >/dev/null
runuser -u postgres -- $bin/pgbench -h /tmp -p 5299 -n -M prepared -c 8 -j 1 -T %(seconds)d bench 2>&1
"""


def prepare():
    """Make the data directory's archive unless it is there. Returns its path, which guests see too; BenchError if it
    cannot be made."""
    digest = hashlib.sha256((PREPARE + SETTINGS).encode()).hexdigest()[:16]
    target = os.path.join(kernels.CACHE, "pgdata-%d-%s.tar" % (SCALE, digest))
    if os.path.exists(target):
        return target
    os.makedirs(kernels.CACHE, exist_ok=True)
    work = tempfile.mkdtemp(prefix="braid-bench-pg-", dir="/tmp")
    try:
        done = subprocess.run(["bash", "-c", PREPARE % {
            "work": work, "settings": SETTINGS, "scale": SCALE, "target": target}],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise BenchError("no data directory for pgbench: %s" % done.stdout.decode(errors="replace").strip()[-400:])
    except subprocess.TimeoutExpired:
        raise BenchError("no data directory for pgbench: not done after 300 s")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def measure(meter, options):
    """Transactions per second."""
    seconds = 5 if options.quick else max(15, int(options.runtime * 3))
    source = prepare()
    text = meter.site.primary.must(RUN % {"device": meter.system.device, "source": source, "seconds": seconds},
                                   seconds + 180)
    found = re.search(r"^tps = ([\d.]+)", text, re.M)
    if not found:
        raise BenchError("pgbench told no rate: %s" % text.strip()[-300:])
    result = {"value": float(found.group(1))}
    mean = re.search(r"^latency average = ([\d.]+) ms", text, re.M)
    if mean:
        result["mean_us"] = float(mean.group(1)) * 1000
    return result
