# SPDX-License-Identifier: GPL-2.0
"""The rows: what is measured on a system, by name, and how one measurement by fio is made.

Values are such that larger is better; latencies have fields of their own, in microseconds.
"""
import json
import os
import re
import shlex
import time
from concurrent.futures import ThreadPoolExecutor

from benchlib.nodes import BenchError

NORMAL, ALONE, COLD, CACHED = "normal", "alone", "cold", "cached"
REGION_MIB = 4
FIO_SLACK_S = 60


class Fio:
    """A row measured by fio. `line` says how the line rate is told in its unit: bytes of one I/O, and which kind of
    sends it is compared with."""

    unit = "IOPS"

    def __init__(self, name, options, line=None, phase=NORMAL, same=None):
        self.name, self.options, self.line, self.phase = name, options, line, phase
        self.same = same        # row of the same options with the peer there


class Other:
    """A row that is not one run of fio; session.py knows how."""

    def __init__(self, name, unit, line=None):
        self.name, self.unit, self.line = name, unit, line
        self.phase = None


SMALL, LARGE = "4 KiB sends", "large sends"
RANDWRITE = "--rw=randwrite --bs=4k "
ROWS = (
    Fio("randwrite-4k-qd1", RANDWRITE + "--iodepth=1", (4096, SMALL)),
    Fio("randwrite-4k-qd32", RANDWRITE + "--iodepth=32", (4096, SMALL)),
    Fio("write-64k-qd8", "--rw=write --bs=64k --iodepth=8", (65536, LARGE)),
    Fio("write-1m-qd4", "--rw=write --bs=1m --iodepth=4", (1 << 20, LARGE)),
    Fio("randread-4k-qd32", "--rw=randread --bs=4k --iodepth=32"),
    Fio("randwrite-4k-fsync", RANDWRITE + "--iodepth=1 --fsync=1", (4096, SMALL)),
    Fio("write-4k-fsync", "--rw=write --bs=4k --iodepth=1 --fsync=1", (4096, SMALL)),
    Fio("randwrite-4k-fsync-cache", RANDWRITE + "--iodepth=1 --fsync=1", (4096, SMALL), phase=CACHED),
    Fio("write-4k-fsync-cache", "--rw=write --bs=4k --iodepth=1 --fsync=1", (4096, SMALL), phase=CACHED),
    Fio("randwrite-4k-fsync-8-cache", RANDWRITE + "--iodepth=1 --fsync=1 --numjobs=8", (4096, SMALL), phase=CACHED),
    Fio("mixed-4k-qd16", "--rw=randrw --rwmixread=70 --bs=4k --iodepth=16"),
    Other("pgbench-8", "tps"),
    Fio("alone-randwrite-4k-qd1", RANDWRITE + "--iodepth=1", phase=ALONE, same="randwrite-4k-qd1"),
    Fio("alone-randwrite-4k-qd32", RANDWRITE + "--iodepth=32", phase=ALONE, same="randwrite-4k-qd32"),
    Other("resync-full", "MiB/s", (1 << 20, LARGE)),
    Other("resync-scattered", "MiB/s", (1 << 20, SMALL)),
    Other("resync-busy-4k", "IOPS"),
    Fio("cold-randwrite-4k-qd32", "--iodepth=32", (4096, SMALL), phase=COLD),
)
BY_NAME = {row.name: row for row in ROWS}


def fio_command(row, device, runtime_s, extra=""):
    """fio's command line for a row, without where its report goes."""
    if row.phase == COLD:
        timing = "--runtime=%g --read_iolog=/tmp/braid-bench.log --replay_no_stall=1" % runtime_s
    else:
        timing = "--filename=%s --time_based --runtime=%g --ramp_time=0.5" % (shlex.quote(device), runtime_s)
    return ("fio --name=bench --direct=1 --ioengine=libaio --group_reporting --output-format=json "
            "--lat_percentiles=1 --clat_percentiles=0 %s %s %s" % (row.options, timing, extra))


def warm_command(device):
    """A thousand writes all over the device."""
    return ("fio --name=warm --filename=%s --direct=1 --ioengine=libaio --rw=randwrite --bs=4k --iodepth=16 "
            "--io_size=4m --output-format=terse --runtime=10" % shlex.quote(device))


def cold_log(device, number):
    """Bash that writes an I/O log for fio: every write to another region of 4 MiB. Multiplying by an odd number modulo
    a power of two visits every region once, in an order that no neighbourhood survives."""
    return r"""
regions=$(($(blockdev --getsize64 %(device)s) / %(bytes)d))
awk -v regions=$regions -v start=%(start)d -v device=%(device)s 'BEGIN {
	for (size = 1; size * 2 <= regions; size *= 2) { }
	count = size < 120000 ? size : 120000
	print "fio version 2 iolog\n" device " add\n" device " open"
	for (i = 0; i < count; i++)
		printf "%%s write %%.0f 4096\n", device, ((i + start) * 162007 %% size) * %(bytes)d
	print device " close"
}' >/tmp/braid-bench.log""" % {"device": device, "bytes": REGION_MIB << 20, "start": number * 131071}


class Meter:
    """Counters of both machines around a measurement, and what they come to for each I/O."""

    FIELDS = ("packets", "wire_bytes", "context_switches", "interrupts", "disk_writes", "metadata_writes",
              "bytes_copied", "allocations")

    def __init__(self, site, system, disks, counts_to=None):
        """@counts_to: folder for the instructions that are counted, None: they are not."""
        self.site, self.system, self.counts_to = site, system, counts_to
        self.disks = [os.path.basename(os.path.realpath(disk)) for disk in disks]

    def command(self, node):
        disk = self.disks[self.site.both().index(node)]
        device = ""
        if node is self.site.primary:
            device = "echo bench-device $(cat /sys/block/$(basename $(readlink -f %s))/stat)" % self.system.device
        return "\n".join((
            "echo bench-disk $(cat /sys/block/%s/stat 2>/dev/null)" % disk, device,
            "grep '%s:' /proc/net/dev" % node.interface,
            "grep -E '^(ctxt|intr) ' /proc/stat | cut -d ' ' -f 1,2",
            self.system.status_command()))

    def parse(self, node, text):
        """{field: count so far}, None for what is not known."""
        values = dict.fromkeys(self.FIELDS)
        values["device_ios"] = values["device_writes"] = None
        for line in text.splitlines():
            words = line.replace(":", ": ").split()
            if words[:1] == [node.interface + ":"] and len(words) > 10:
                values["packets"] = int(words[2]) + int(words[10])
                values["wire_bytes"] = int(words[1]) + int(words[9])
                values["sent_bytes"] = int(words[9])
            elif words[:1] == ["ctxt"]:
                values["context_switches"] = int(words[1])
            elif words[:1] == ["intr"]:
                values["interrupts"] = int(words[1])
            elif words[:1] == ["bench-disk"] and len(words) > 5:
                values["disk_writes"] = int(words[5])
            elif words[:1] == ["bench-device"] and len(words) > 5:
                values["device_ios"] = int(words[1]) + int(words[5])
                values["device_writes"] = int(words[5])
        values["metadata_writes"] = self.system.metadata_writes(text)
        for key, name in (("bytes_copied", "copied_bytes"), ("allocations", "allocations")):
            found = re.search(r"\b%s (\d+)" % name, text)
            values[key] = int(found.group(1)) if found else None
        return values

    def read(self, node):
        return self.parse(node, node.must(self.command(node), 30))

    @staticmethod
    def difference(before, after):
        return {key: after[key] - before[key] if after.get(key) is not None and before.get(key) is not None else None
                for key in after}

    @classmethod
    def per_io(cls, change, ios):
        """Counts for each I/O, four digits; None where there is nothing to count."""
        return {key: None if change.get(key) is None or not ios else float("%.4g" % (change[key] / ios))
                for key in cls.FIELDS}


MARK = "==== braid-bench ===="


def measure_fio(meter, row, runtime_s, number):
    """One measurement by fio. Returns {value, p50_us, p99_us, counters, ...}."""
    site, device = meter.site, meter.system.device
    first, second = site.both()
    if row.phase == COLD:
        first.must(cold_log(device, number), 60)
    command = meter.command(first)
    lines = [command, "echo '%s'" % MARK,
             fio_command(row, device, runtime_s) + " 2>&1", "status=$?",
             "echo '%s'" % MARK, command, "exit $status"]
    before_second = meter.read(second)
    status, text = first.run("\n".join(lines), int(runtime_s + FIO_SLACK_S))
    after_second = meter.read(second)
    parts = text.split(MARK)
    if status != 0 or len(parts) != 3:
        raise BenchError("%s: fio of %s: status %d: %s" % (
            first.name, row.name, status, " | ".join(text.strip().splitlines()[-3:])))
    result = fio_result(parts[1])
    change = meter.difference(meter.parse(first, parts[0]), meter.parse(first, parts[2]))
    # The report leaves the ramp out, the counters do not: count what the device counted.
    ios = change["device_ios"] or result["ios"] * (runtime_s + 0.5) / runtime_s
    result["counters"] = {"primary": meter.per_io(change, ios),
                          "secondary": meter.per_io(meter.difference(before_second, after_second), ios)}
    if row.phase == COLD and change["metadata_writes"] is not None:
        result["metadata_per_1000"] = 1000 * change["metadata_writes"] / ios
    return result


def fio_result(text):
    """What a report of fio in JSON says. Anything that fio printed before the report is a complaint."""
    begin = text.find("{")
    try:
        job = json.JSONDecoder().raw_decode(text[begin:])[0]["jobs"][0]
    except (ValueError, LookupError) as error:
        raise BenchError("fio's report cannot be read: %s: %s" % (error, text[:300].strip()))
    if job["error"]:
        raise BenchError("fio ended with error %d: %s" % (job["error"], text[:begin].strip()[-300:]))
    read, write = job["read"], job["write"]
    main = write if write["total_ios"] else read
    if not main["total_ios"]:
        raise BenchError("fio did nothing")
    result = {"value": read["iops"] + write["iops"], "ios": read["total_ios"] + write["total_ios"]}
    lat = main["lat_ns"]
    result.update(mean_us=microseconds(lat["mean"]), **percentiles(lat))
    if job.get("sync", {}).get("total_ios"):
        result.update({"fsync_" + key: value for key, value in percentiles(job["sync"]["lat_ns"]).items()})
    return result


def percentiles(latency):
    """p50 and p99 of one of fio's latency reports, in microseconds."""
    percentile = latency.get("percentile", {})
    return {"p50_us": microseconds(percentile.get("50.000000")), "p99_us": microseconds(percentile.get("99.000000"))}


def microseconds(value_ns):
    return None if value_ns is None else round(value_ns / 1000, 1)


def profile(site, row, device, runtime_s, folder):
    """Run the row once more under perf on both machines; the hottest functions go to perf-ROW-HOST.txt."""
    def record(node):
        return node.run("perf record -q -a -e cpu-clock -F 997 -o /tmp/braid-bench.perf -- sleep %g" % runtime_s, 60)

    stop = "/tmp/braid-bench.stop"
    # Starting perf can take longer than the row does: the load ends when it is told to.
    load_command = r"""
rm -f %(stop)s
%(fio)s >/dev/null 2>&1 &
for i in {1..900}; do [ ! -e %(stop)s ] || break; sleep 0.1; done
kill -INT $!
wait
""" % {"stop": stop, "fio": fio_command(row, device, 90)}
    with ThreadPoolExecutor() as pool:
        load = pool.submit(site.primary.run, load_command, 120)
        time.sleep(1.5)
        list(pool.map(record, site.both()))
        site.primary.run("touch " + stop)
        load.result()
        texts = list(pool.map(lambda node: node.run(
            "perf report -i /tmp/braid-bench.perf --stdio --sort dso,symbol --percent-limit 0.3 2>/dev/null |"
            " sed -e '/^#/d' -e '/^$/d' -e 's/[ -]*$//' | head -n 40; rm -f /tmp/braid-bench.perf", 120)[1],
            site.both()))
    for node, text in zip(site.both(), texts):
        path = os.path.join(folder, "perf-%s-%s.txt" % (row.name, re.sub(r"[^A-Za-z0-9.-]", "_", node.name)))
        with open(path, "w") as f:
            f.write(text)


# Sends of each kind: what iperf3 is told. Large ones go without a copy on the sender, small ones as a program does it.
LINE_RATES = {LARGE: "-l 1M -Z", SMALL: "-l 4K"}
WAYS = {"there": "", "back": "-R"}


def line_rate(site, seconds, ways):
    """{(kind of sends, way): bytes per second}. `there` is from the primary to the secondary, as writes go."""
    first, second = site.both()
    second.must("iperf3 -s -D -p 5299 -I /tmp/braid-bench.iperf")
    try:
        rates = {}
        for way in ways:
            for kind, length in LINE_RATES.items():
                # A server that has not seen the end of the last test yet turns a new one away.
                text = first.must("for i in 1 2 3 4 5; do said=$(iperf3 -J -p 5299 -c %s -t %g -O 0.5 %s %s) && break; "
                                  "sleep 0.5; done; echo \"$said\"" % (second.address, seconds, length, WAYS[way]),
                                  int(5 * seconds + 30))
                report = json.loads(text)
                if "error" in report:
                    raise BenchError("iperf3: %s" % report["error"])
                rates[kind, way] = report["end"]["sum_received"]["bits_per_second"] / 8
        return rates
    finally:
        second.run("kill $(tr -d '\\0' </tmp/braid-bench.iperf)")
