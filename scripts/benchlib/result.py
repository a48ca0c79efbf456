# SPDX-License-Identifier: GPL-2.0
"""From measurements to medians, spreads, ratios and targets; the table and bench.json."""
import datetime
import json
import os
import statistics

from benchlib import rows

COLUMNS = ("raw", "line_rate", "braid", "braid_trust", "drbd84", "md_nvme", "nvme")
LATENCIES = ("p50_us", "p99_us", "mean_us", "fsync_p50_us", "fsync_p99_us", "quiet_p50_us", "quiet_p99_us")

# What braid is to reach: row, what it is compared with, at least this ratio.
TARGETS = (
    ("randwrite-4k-qd1", "drbd84", 1.6), ("randwrite-4k-qd1", "nvme", 0.95),
    ("randwrite-4k-qd32", "drbd84", 3.0), ("randwrite-4k-qd32", "nvme", 2.0),
    ("write-64k-qd8", "drbd84", 1.8), ("write-64k-qd8", "line_rate", 0.85),
    ("write-1m-qd4", "line_rate", 0.95), ("randread-4k-qd32", "raw", 0.97),
    ("alone-randwrite-4k-qd1", "raw", 0.85), ("alone-randwrite-4k-qd32", "raw", 0.85),
    ("cold-randwrite-4k-qd32", "drbd84", 3.0), ("randwrite-4k-fsync", "drbd84", 1.5),
    ("write-4k-fsync", "drbd84", 1.5), ("randwrite-4k-fsync-cache", "drbd84", 1.5),
    ("write-4k-fsync-cache", "drbd84", 1.5), ("resync-full", "line_rate", 0.90), ("pgbench-8", "drbd84", 1.3))
METADATA_PER_1000_MAX = 60
RESYNC_P99_TIMES_MAX = 2    # [R3]


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def rounded(value):
    return None if value is None else float("%.5g" % value)


class Result:
    """All rounds of a session, summed up."""

    def __init__(self, session, facts):
        self.session, self.facts = session, facts
        self.rows = [self.row(row) for row in session.wanted]

    def values(self, row, system):
        """The value of each round, None where there is none."""
        if system == "line_rate":
            if not row.line:
                return []
            io_bytes, kind = row.line
            rates = [median(found.get((kind, "there"), ())) for found in self.session.lines]
            return [None if rate is None else rate / io_bytes for rate in rates]
        return [found[row.name, system]["value"] if (row.name, system) in found else None
                for found in self.session.rounds]

    def field(self, row, system, field):
        return rounded(median(found.get((row.name, system), {}).get(field) for found in self.session.rounds))

    def counters(self, row, system):
        """Medians over the rounds, for each machine."""
        measured = [found[row.name, system]["counters"] for found in self.session.rounds
                    if "counters" in found.get((row.name, system), {})]
        return {side: {key: rounded(median(one[side][key] for one in measured)) for key in rows.Meter.FIELDS}
                for side in ("primary", "secondary")} if measured else None

    def row(self, row):
        entry = {"name": row.name, "unit": row.unit}
        entry.update({system: rounded(median(self.values(row, system))) for system in COLUMNS})
        entry["spread"], entry["rounds"], entry["counters"] = {}, {}, {}
        for system in COLUMNS:
            values = [value for value in self.values(row, system) if value is not None]
            if not values:
                continue
            entry["spread"][system] = rounded((max(values) - min(values)) / median(values)) if median(values) else None
            entry["rounds"][system] = [rounded(value) for value in values]
            if system == "line_rate":
                continue
            for field in LATENCIES + ("metadata_per_1000", "p99_times", "resync_mib_s", "seconds", "blocks_per_s", "sent_bytes"):
                value = self.field(row, system, field)
                if value is not None:
                    entry["%s_%s" % (system, field)] = value
            entry["counters"][system] = self.counters(row, system)
        entry["ratios"] = {"braid/" + other: self.ratio(row, other) for other in COLUMNS if other != "braid"}
        return entry

    def ratio(self, row, other):
        """Median over the rounds of braid's value through the other one's of the same round."""
        pairs = zip(self.values(row, "braid"), self.values(row, other))
        return rounded(median(ours / theirs for ours, theirs in pairs if ours is not None and theirs))

    def targets(self):
        """[{row, against, wanted, got, reached}] for the rows that were wanted; got None if it was not measured."""
        found = []
        by_name = {entry["name"]: entry for entry in self.rows}
        for name, against, wanted in TARGETS:
            if name in by_name:
                got = by_name[name]["ratios"].get("braid/" + against)
                found.append({"row": name, "against": against, "wanted": wanted, "got": got,
                              "reached": None if got is None else got >= wanted})
        for name, field, what, most in (
                ("cold-randwrite-4k-qd32", "metadata_per_1000", "metadata writes per 1000", METADATA_PER_1000_MAX),
                ("resync-busy-4k", "p99_times", "p99 without resync", RESYNC_P99_TIMES_MAX)):
            if name in by_name:
                got = by_name[name].get("braid_" + field)
                found.append({"row": name, "against": what, "wanted": most, "got": got,
                              "reached": None if got is None else got <= most})
        return found

    def save(self, path):
        lines = self.session.lines
        now = datetime.datetime.now(datetime.timezone.utc)
        data = {"schema": 1, "host": os.uname().nodename, "date": now.isoformat(timespec="seconds"), **self.facts,
                "rounds": len(self.session.rounds), "runtime_s": self.session.options.runtime,
                "line_rate_bytes_per_s": {
                    "%s, %s" % key: rounded(median(rate for found in lines for rate in found.get(key, ())))
                    for key in (lines[0] if lines else ())},
                "rows": self.rows, "targets": self.targets(), "missing": self.session.reasons}
        with open(path + ".new", "w") as f:
            json.dump(data, f, indent=1)
            f.write("\n")
        os.rename(path + ".new", path)

    def table(self):
        """For the terminal: medians with spreads, then the targets."""
        shown = [c for c in COLUMNS if any(entry[c] is not None for entry in self.rows)]
        lines = ["", "%-26s %-6s" % ("median (spread)", "") + "".join("%16s" % c for c in shown)]
        for entry in self.rows:
            cells = "".join("%16s" % self.cell(entry, column) for column in shown)
            lines.append("%-26s %-6s%s" % (entry["name"], entry["unit"], cells))
        lines += ["", "%-26s %-26s %8s %8s" % ("braid against", "", "wanted", "got")]
        for target in self.targets():
            got = "-" if target["got"] is None else "%.2f" % target["got"]
            verdict = {None: "not measured", True: "reached", False: "MISSED"}[target["reached"]]
            lines.append("%-26s %-26s %8.2f %8s  %s" % (
                target["row"], target["against"], target["wanted"], got, verdict))
        lines += ["not measured: %s: %s" % (what, why.splitlines()[0]) for what, why in self.session.reasons.items()]
        return "\n".join(lines)

    @staticmethod
    def cell(entry, column):
        value = entry[column]
        if value is None:
            return "-"
        text = "%.0f" % value if value >= 100 else "%.1f" % value
        spread = entry["spread"].get(column)
        return "%s (%.0f%%)" % (text, 100 * spread) if spread is not None and len(entry["rounds"][column]) > 1 else text
