# SPDX-License-Identifier: GPL-2.0
"""Bar charts of a result: build/bench/GROUP.svg, by gnuplot."""
import os
import shutil
import subprocess

from benchlib.result import COLUMNS

# One chart for rows of one unit and of a like size: file, title, unit, rows.
GROUPS = (
    ("small-writes", "4 KiB writes", "IOPS",
     ("randwrite-4k-qd1", "randwrite-4k-qd32", "randwrite-4k-fsync", "write-4k-fsync", "randwrite-4k-fsync-cache",
      "cold-randwrite-4k-qd32")),
    ("large-writes", "Large writes", "IOPS", ("write-64k-qd8", "write-1m-qd4")),
    ("reads-alone", "Reads, mixed, and writes while the peer is gone", "IOPS",
     ("randread-4k-qd32", "mixed-4k-qd16", "alone-randwrite-4k-qd1", "alone-randwrite-4k-qd32")),
    ("resync", "Resync", "MiB/s", ("resync-full", "resync-scattered")),
    ("resync-busy", "4 KiB writes while a resync runs", "IOPS", ("resync-busy-4k",)),
    ("pgbench", "pgbench, 8 clients", "transactions per second", ("pgbench-8",)))

SCRIPT = """
set terminal svg size 900,480 font "sans,13" background "white"
set output "%(svg)s"
set title "%(title)s"
set ylabel "%(unit)s"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 noborder
set boxwidth 0.9
set grid ytics
set key outside right
set logscale y
set xtics rotate by -15
set datafile missing "-"
plot %(plots)s
"""


def draw(rows, folder):
    """Charts of all groups that have values. Returns the paths written; none without gnuplot."""
    written = []
    if not shutil.which("gnuplot"):
        return written
    by_name = {row["name"]: row for row in rows}
    for name, title, unit, wanted in GROUPS:
        chosen = [by_name[row] for row in wanted if row in by_name]
        columns = [c for c in COLUMNS if any(row[c] for row in chosen)]
        if not columns:
            continue
        data = "\n".join(" ".join([row["name"]] + ["%g" % row[c] if row[c] else "-" for c in columns])
                         for row in chosen)
        svg = os.path.join(folder, name + ".svg")
        plots = ", ".join('$data using %d:xtic(1) title "%s"' % (2 + i, c.replace("_", " "))
                          for i, c in enumerate(columns))
        script = "$data << END\n%s\nEND\n" % data + SCRIPT % {"svg": svg, "title": title, "unit": unit, "plots": plots}
        done = subprocess.run(["gnuplot"], input=script, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode == 0:
            written.append(svg)
        else:
            print("gnuplot: %s: %s" % (name, done.stdout.strip()[-300:]))
    return written
