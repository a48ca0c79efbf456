# SPDX-License-Identifier: GPL-2.0
"""The rows about a peer that was away: how fast it gets what it missed, and what writers notice of that."""
import re
import shlex
from concurrent.futures import ThreadPoolExecutor

from benchlib import rows
from benchlib.instructions import Counter
from benchlib.nodes import BenchError
from benchlib.systems import wait_in_sync, wait_until

LIMIT_S = 120
BUSY_S = 10
BUSY_PAUSE_S = 0.5      # on a machine of one processor some writes wait while the watcher looks: too few to be in the p99
SETTLED_S = 3
WRITE_SENT_BYTES = 4096 + 200   # about: data and headers of one write
WATCHING = "/tmp/braid-bench-watching"
SCATTERED_BLOCKS = 4096

# Watches the state on the primary: prints when the resync was first and last seen, and when it was done, in seconds of the
# clock. It looks often until it sees one, which the measurement waits for; what it costs then is for the caller to choose.
WATCH = r"""
set +e
rm -f %(ready)s.pause
mkfifo %(ready)s.pause && exec {pause}<>%(ready)s.pause || exit 1	# never readable: a pause without a process
probe() {
%(probe)s
}
begun= pause_s=0.01 sent=/sys/class/net/%(interface)s/statistics/tx_bytes
: >%(ready)s
limit=$((SECONDS + %(limit)d))
while [ $SECONDS -lt $limit ]; do
	probe 2>/dev/null
	case $S in
	syncing)
		seen=$EPOCHREALTIME
		read -r sent_seen <$sent
		if [ -z "$begun" ]; then
			begun=$seen sent_begun=$sent_seen pause_s=%(pause)s
			[ $SECONDS -ge $((limit - %(longest)d)) ] || limit=$((SECONDS + %(longest)d))
		fi ;;
	synced) break ;;
	esac
	read -r -t $pause_s -u $pause
done
done=$EPOCHREALTIME
echo "resync begun=$begun seen=$seen done=$done sent=$((sent_seen - sent_begun)) state=$S"
"""


def fill_command(device, seed):
    """Write all of the device with data that differ from what any other seed wrote."""
    return ("fio --name=fill --filename=%s --direct=1 --ioengine=libaio --rw=write --bs=1m --iodepth=4 "
            "--refill_buffers --randseed=%d --output-format=terse" % (shlex.quote(device), seed))


def scatter_command(device, seed):
    """Write blocks of 4 KiB all over the device, none twice."""
    return ("fio --name=scatter --filename=%s --direct=1 --ioengine=libaio --rw=randwrite --bs=4k --iodepth=32 "
            "--refill_buffers --io_size=%d --randseed=%d --output-format=terse" % (
                shlex.quote(device), SCATTERED_BLOCKS * 4096, seed))


def watch(meter, longest_s, pause_s):
    """The watcher's command for a system; it watches a running resync for at most longest_s, and looks every pause_s."""
    return WATCH % {"probe": meter.system.probe, "limit": LIMIT_S, "longest": longest_s, "pause": pause_s, "ready": WATCHING,
                    "interface": meter.site.primary.interface}


def await_watcher(first):
    """Until it looks, which may take a machine that is busy a while."""
    wait_until(first, LIMIT_S, "the watcher of the resync", "[ -e %s ]" % WATCHING)


def window(text):
    """(begin, last seen, end, bytes sent while it was seen, whether it was done at the end) of the resync by the watcher's
    report; times by the primary's clock."""
    found = re.search(r"resync begun=([\d.]*) seen=([\d.]*) done=([\d.]*) sent=(\d*) state=(\w*)", text)
    if not found:
        raise BenchError("the resync could not be watched: %s" % text.strip()[-300:])
    if not found.group(1):
        raise BenchError("no resync was seen for %d s" % LIMIT_S if found.group(5) != "synced" else
                         "the resync was over before it was seen")
    return tuple(float(number) for number in found.groups()[:4]) + (found.group(5) == "synced",)


def timed_resync(meter, dirty):
    """Let the peer go, run the command `dirty` on the primary, let the peer come back. Returns (seconds, bytes that the
    primary sent meanwhile, Counter or None)."""
    system, first = meter.system, meter.site.primary
    system.peer_gone()
    first.must(dirty, LIMIT_S)
    before = meter.read(first)
    counter = Counter(meter.site) if meter.counts_to else None
    first.must("rm -f " + WATCHING)
    with ThreadPoolExecutor() as pool:
        watcher = pool.submit(first.must, watch(meter, LIMIT_S, 0.01), 2 * LIMIT_S + 20)
        await_watcher(first)
        if counter:
            counter.start()
        system.peer_back()
        begin, _, end, _, done = window(watcher.result())
    if counter:
        counter.stop()
    if not done:
        raise BenchError("the resync was not done after %d s" % LIMIT_S)
    return end - begin, meter.difference(before, meter.read(first))["sent_bytes"], counter


def device_bytes(meter):
    return int(meter.site.primary.must("blockdev --getsize64 %s" % meter.system.device))


def full(meter, number):
    """All of the device is sent."""
    size = device_bytes(meter)
    seconds, sent, counter = timed_resync(meter, fill_command(meter.system.device, 1000 + number))
    if sent < size * 0.95:
        raise BenchError("only %d of %d bytes were sent: no full resync" % (sent, size))
    found = {"value": size / seconds / (1 << 20), "seconds": round(seconds, 3), "sent_bytes": sent}
    if counter:
        found["instructions"] = counter.end(meter.counts_to, meter.system.name + "-resync-full", size / (1 << 20), "MiB")
    return found


def scattered(meter, number):
    """Blocks all over the device are sent; the value counts only them, whatever else the system sends."""
    seconds, sent, _ = timed_resync(meter, scatter_command(meter.system.device, 2000 + number))
    return {"value": SCATTERED_BLOCKS * 4096 / seconds / (1 << 20), "seconds": round(seconds, 3), "sent_bytes": sent,
            "blocks_per_s": round(SCATTERED_BLOCKS / seconds)}


BUSY_FIO = ("fio --name=busy --filename=%s --direct=1 --ioengine=libaio --rw=randwrite --bs=4k --iodepth=1 --time_based "
            "--runtime=%d")
BUSY = r"""
cd /tmp && rm -f braid-bench-busy*
%(fio)s --write_lat_log=braid-bench-busy --log_unix_epoch=1 >/tmp/braid-bench-busy.txt 2>&1 &
fio=$!
sleep %(settle)s
%(watch)s
kill -INT $fio
wait $fio
awk -F ', *' -v begun="$begun" -v seen="$seen" 'begun != "" && $1 >= begun * 1000 && $1 <= seen * 1000 {
	print $2 }' braid-bench-busy_lat.1.log | sort -n | awk '{ ns[NR] = $1 }
	END { if (NR) printf "samples %%d p50 %%d p99 %%d\n", NR, ns[int((NR + 1) / 2)], ns[int(NR * 0.99 + 0.5)] }'
tail -n 3 /tmp/braid-bench-busy.txt
"""


def settled(meter):
    """Latencies of the same writes once the resync is over, by which those beside it are measured."""
    system, first = meter.system, meter.site.primary
    wait_in_sync(first, system, LIMIT_S)
    found = rows.fio_result(first.must(BUSY_FIO % (shlex.quote(system.device), SETTLED_S) +
                                       " --lat_percentiles=1 --output-format=json 2>&1", 60))
    return {"quiet_p50_us": found["p50_us"], "quiet_p99_us": found["p99_us"]}


def busy(meter, number):
    """Random writes of 4 KiB, one at a time, while all of the device is resynced; only those of that time count, and
    of a resync that takes longer than BUSY_S, because it gives way to them, only those of its begin."""
    system, first = meter.system, meter.site.primary
    system.peer_gone()
    first.must(fill_command(system.device, 3000 + number) + " && rm -f /tmp/braid-bench-busy* " + WATCHING, LIMIT_S)
    fio = BUSY_FIO % (shlex.quote(system.device), LIMIT_S + 20)
    script = BUSY % {"fio": fio, "settle": 2, "watch": watch(meter, BUSY_S, BUSY_PAUSE_S)}
    with ThreadPoolExecutor() as pool:
        writer = pool.submit(first.must, script, LIMIT_S + 60)
        await_watcher(first)
        system.peer_back()
        text = writer.result()
    begin, end, _, sent, done = window(text)
    if end <= begin:
        raise BenchError("the resync was over within %.1f s, which tells nothing of writes beside it" % BUSY_PAUSE_S)
    found = re.search(r"samples (\d+) p50 (\d+) p99 (\d+)", text)
    if not found:
        raise BenchError("no write was done while the resync ran (%.2f s): %s" % (end - begin, text.strip()[-300:]))
    count, p50_ns, p99_ns = (int(word) for word in found.groups())
    quiet = settled(meter)
    return {"value": count / (end - begin), "p50_us": p50_ns / 1000, "p99_us": p99_ns / 1000,
            "resync_mib_s": (sent - count * WRITE_SENT_BYTES) / (end - begin) / (1 << 20),
            "p99_times": p99_ns / 1000 / quiet["quiet_p99_us"],
            "seconds": round(end - begin, 3), "writes": count, "resync_done": done, **quiet}
