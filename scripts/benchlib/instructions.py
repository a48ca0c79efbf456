# SPDX-License-Identifier: GPL-2.0
"""How many instructions one I/O, or a MiB of a resync, takes on each machine, function by function: counted by the emulator
(instructions.c). What else the host computes weighs far less than in times, and shows where packets and interrupts are shared:
compare runs of one host load."""
import bisect
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from benchlib.nodes import BenchError
from benchlib.rows import fio_command

TOP = 400
WAIT_S = 20
LEAD_S = 1.5        # before counting begins: the load has to run
USER_LIMIT = 1 << 47
SECTORS = "awk '{ print $3 + $7 }' /sys/block/$(basename $(readlink -f %s))/stat"


def build(folder):
    """Compile the plugin; returns its path."""
    path = os.path.join(folder, "instructions.so")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.c")
    made = subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", path, source, "-pthread"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if made.returncode:
        raise BenchError("the emulator's plugin cannot be built: %s" % made.stdout.decode(errors="replace").strip()[-200:])
    return path


def take(site, moment):
    """Have both emulators write their counts now. Returns the files: to read them takes longer than the load may run."""
    prefixes = [site.lab.guest_file(node.name, "instructions") for node in site.both()]
    for prefix in prefixes:
        open(prefix + ".request", "w").close()
    until = time.monotonic() + WAIT_S
    while any(os.path.exists(prefix + ".request") for prefix in prefixes):
        if time.monotonic() > until:
            raise BenchError("the emulator's plugin does not answer")
        time.sleep(0.01)
    paths = ["%s.%s" % (prefix, moment) for prefix in prefixes]
    for prefix, path in zip(prefixes, paths):
        os.replace(prefix + ".counts", path)
    return paths


def read(path):
    """{(address, instructions of the block): executions} since the guest began."""
    found = {}
    with open(path) as f:
        for line in f:
            address, instructions, executions = line.split()
            found[int(address, 16), int(instructions)] = int(executions)
    return found


class Symbols:
    """The guest's kernel, by address."""

    def __init__(self, node):
        lines = (line.split() for line in node.must("cat /proc/kallsyms").splitlines())
        found = sorted((int(words[0], 16), " ".join(words[2:])) for words in lines if words[1] in "tTwW")
        self.addresses, self.names = [address for address, _ in found], [name for _, name in found]

    def name(self, address):
        if address < USER_LIMIT:
            return "(programs)", False
        at = bisect.bisect(self.addresses, address) - 1
        return (self.names[at], self.addresses[at] == address) if at >= 0 else ("(unknown)", False)


def by_function(before, after, symbols):
    """{name: [instructions, calls]} between two counts. A call is an execution of the function's first block."""
    found = {}
    for (address, instructions), executions in after.items():
        more = executions - before.get((address, instructions), 0)
        if more:
            name, first = symbols.name(address)
            entry = found.setdefault(name, [0, 0])
            entry[0] += more * instructions
            entry[1] += more * first
    return found


def block_bytes(row):
    """Of one I/O of the row."""
    number, unit = re.search(r"--bs=(\d+)([km])", row.options).groups()
    return int(number) << {"k": 10, "m": 20}[unit]


class Counter:
    """Counts from start() to stop(). end(): {"primary": instructions for each unit of what was done, "secondary": ...}; tables go
    to instructions-LABEL-HOST.txt."""

    def __init__(self, site):
        self.site = site
        self.symbols = [Symbols(node) for node in site.both()]  # takes a while
        self.before = self.after = None

    def start(self):
        self.before = take(self.site, "before")

    def stop(self):
        self.after = take(self.site, "after")

    def end(self, folder, label, done, unit):
        totals = {}
        for side, node, first, last, symbols in zip(("primary", "secondary"), self.site.both(), self.before, self.after, self.symbols):
            found = by_function(read(first), read(last), symbols)
            total = sum(entry[0] for entry in found.values())
            totals[side] = total / done
            with open(os.path.join(folder, "instructions-%s-%s.txt" % (label, node.name)), "w") as f:
                f.write("%.0f %s, %.0f instructions for each\n\n%12s %7s %9s  function\n" % (
                    done, unit, total / done, "for each", "share", "calls"))
                for name, (spent, calls) in sorted(found.items(), key=lambda item: -item[1][0])[:TOP]:
                    f.write("%12.0f %6.1f%% %9.2f  %s\n" % (spent / done, 100 * spent / total, calls / done, name))
        return totals


def profile(site, row, system, runtime_s, folder):
    """Run the row again and count each of its I/Os."""
    counter = Counter(site)
    load_s = runtime_s + LEAD_S + 3
    with ThreadPoolExecutor() as pool:
        load = pool.submit(site.primary.run, fio_command(row, system.device, load_s), load_s + 60)
        time.sleep(LEAD_S)
        done = int(site.primary.must(SECTORS % system.device))
        counter.start()
        time.sleep(runtime_s)
        done = int(site.primary.must(SECTORS % system.device)) - done
        counter.stop()
        load.result()
    if not done:
        raise BenchError("nothing was done while instructions were counted")
    # The device may split what is submitted.
    return counter.end(folder, "%s-%s" % (system.name, row.name), done * 512 / block_bytes(row), "I/Os")
