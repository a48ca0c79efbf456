# SPDX-License-Identifier: GPL-2.0
"""Rounds: in each, every system in turn is set up, measured in all rows, and taken down.

What fails is null in the result, with its reason; the others go on.
"""
import time

from benchlib import instructions, pgbench, resync, rows
from benchlib.nodes import BenchError
from benchlib.systems import wait_in_sync

OTHERS = {"resync-full": resync.full, "resync-scattered": resync.scattered, "resync-busy-4k": resync.busy}


class Session:
    """All that is measured in one run: for each round in `rounds` {(row, system): measurement}, in `lines`
    {(kind of sends, way): line rates}."""

    def __init__(self, site, disks, options, say):
        self.site, self.disks, self.options, self.say = site, disks, options, say
        self.rounds, self.lines, self.reasons = [], [], {}
        self.systems = [kind(site) for kind in options.kinds]
        self.wanted = [row for row in rows.ROWS if row.name in options.rows]

    def run(self, report):
        """Measure; report() after every system, so that an interruption loses little."""
        for number in range(1, self.options.rounds + 1):
            self.rounds.append({})
            self.lines.append({})
            for system in self.systems:
                # The line is measured beside every system: what the host does besides changes from minute to minute.
                self.line_rate(number, ("there",) if self.lines[-1] else tuple(rows.WAYS))
                self.system_round(number, system)
                report()

    def line_rate(self, number, ways):
        try:
            rates = rows.line_rate(self.site, 1.5 if self.options.quick else 2, ways)
        except (BenchError, ValueError, LookupError) as error:
            self.fail(number, "line_rate", None, error)
            return
        for key, rate in rates.items():
            self.lines[-1].setdefault(key, []).append(rate)
        self.say("round %d  line rate   %s" % (number, ", ".join(
            "%s %s %.2f Gbit/s" % (way, kind, rate * 8e-9) for (kind, way), rate in rates.items())))

    def system_round(self, number, system):
        chosen = [row for row in self.wanted if self.has_meaning(row, system)]
        phases = [(kind, some) for kind, some in (
            (rows.NORMAL, [row for row in chosen if row.phase not in (rows.COLD, rows.CACHED)]),
            (rows.CACHED, [row for row in chosen if row.phase == rows.CACHED]),
            (rows.COLD, [row for row in chosen if row.phase == rows.COLD])) if some]
        for kind, chosen in phases:
            try:
                self.phase(number, system, kind, chosen)
            except BenchError as error:
                for row in chosen:
                    if (row.name, system.name) not in self.rounds[-1]:
                        self.fail(number, system.name, row.name, "no set-up: %s" % error, quiet=row is not chosen[0])
            except KeyboardInterrupt:
                # A lab goes away as a whole; on real machines nothing may stay behind.
                if not self.site.emulated:
                    self.take_down(number, system)
                raise
            if not (self.options.keep and len(self.systems) == 1 and number == self.options.rounds
                    and chosen is phases[-1][1]):
                self.take_down(number, system)

    def phase(self, number, system, kind, chosen):
        """Set the system up on disks of that kind and measure the chosen rows."""
        begun = time.monotonic()
        sparse = kind == rows.COLD
        disks = self.disks.fresh(sparse, kind == rows.CACHED)
        system.device = None
        system.set_up(disks, sparse)
        self.say("round %d  %-10s set up in %.1f s" % (number, system.name, time.monotonic() - begun))
        if not sparse:
            # The first row is not to pay for what every region costs once: that is the cold row's matter.
            self.site.primary.must(rows.warm_command(system.device))
        meter = rows.Meter(self.site, system, disks, self.options.out if self.options.plugin else None)
        for row in chosen:
            self.measure(number, meter, row)

    def take_down(self, number, system):
        try:
            system.tear_down()
            self.disks.release()
        except BenchError as error:
            self.say("round %d  %-10s cannot be taken down: %s" % (number, system.name, error))
            self.complain(number, system)   # before the recovery, after which nobody knows why
            if not self.site.recover():
                raise
        self.complain(number, system)

    def complain(self, number, system):
        for line in self.site.complaints()[:20]:
            self.say("round %d  %-10s kernel log: %s" % (number, system.name, line))

    def has_meaning(self, row, system):
        """Only a mirror can lose its peer and get it back; the raw disk has none to lose."""
        if row.phase == rows.CACHED and not self.disks.cached:
            return False
        if row.phase == rows.ALONE:
            return system.mirrors or system.name == "raw"
        return system.mirrors or row.name not in OTHERS

    def measure(self, number, meter, row):
        """One row. The raw disk knows no peer: its value is the same alone."""
        system = meter.system
        same = self.rounds[-1].get((row.same, system.name)) if row.phase == rows.ALONE and not system.mirrors else None
        if same:
            self.rounds[-1][row.name, system.name] = same
            return
        try:
            found = self.measure_one(number, meter, row)
        except (BenchError, ValueError) as error:
            self.fail(number, system.name, row.name, error)
            return
        self.rounds[-1][row.name, system.name] = found
        self.say("round %d  %-10s %-24s %10.1f %-6s%s" % (
            number, system.name, row.name, found["value"], row.unit, details(found)))
        if "instructions" in found:
            self.say_instructions(number, row, system, "MiB", found["instructions"])
        elif row.phase in (rows.NORMAL, rows.CACHED) or not system.mirrors:
            self.count_instructions(number, row, system)
        if self.options.perf and system.name == "braid" and isinstance(row, rows.Fio):
            rows.profile(self.site, row, system.device, self.options.runtime, self.options.out)

    def count_instructions(self, number, row, system):
        """Once more, as the row was measured: for mirrors that are alone, while they still are."""
        if not self.options.plugin or not isinstance(row, rows.Fio) or row.phase == rows.COLD:
            return
        self.say_instructions(number, row, system, "I/O", instructions.profile(
            self.site, row, system, self.options.runtime, self.options.out))

    def say_instructions(self, number, row, system, unit, spent):
        self.say("round %d  %-10s %-24s %10s instructions for each %s: primary %.0f, secondary %.0f" % (
            number, system.name, row.name, "", unit, spent["primary"], spent["secondary"]))

    def measure_one(self, number, meter, row):
        system = meter.system
        if row.name == "pgbench-8":
            return pgbench.measure(meter, self.options)
        if isinstance(row, rows.Other):
            return OTHERS[row.name](meter, number)
        if row.phase != rows.ALONE or not system.mirrors:
            return rows.measure_fio(meter, row, self.options.runtime, number)
        system.peer_gone()
        try:
            found = rows.measure_fio(meter, row, self.options.runtime, number)
            self.count_instructions(number, row, system)
            return found
        finally:
            self.rejoin(system)

    def rejoin(self, system):
        """The peer comes back and gets what it missed."""
        system.peer_back()
        wait_in_sync(self.site.primary, system, resync.LIMIT_S)

    def fail(self, number, system, row, error, quiet=False):
        """Remember why a value is missing, and say it."""
        self.reasons.setdefault("%s %s" % (system, row) if row else system, str(error))
        if not quiet:
            self.say("round %d  %-10s %s: %s" % (number, system, row or "", error))


def details(found):
    """Latencies and counters of a measurement, for people."""
    parts = []
    if found.get("p50_us") is not None:
        parts.append("p50 %.0f us p99 %.0f us" % (found["p50_us"], found["p99_us"] or 0))
    if found.get("quiet_p99_us"):
        parts.append("resync %.1f MiB/s; without it p50 %.0f us p99 %.0f us" % (
            found["resync_mib_s"], found["quiet_p50_us"], found["quiet_p99_us"]))
    for side, counters in found.get("counters", {}).items():
        parts.append(side + " " + " ".join("%s %.3g" % (short, counters[key]) for key, short in (
            ("packets", "pkt"), ("context_switches", "ctx"), ("interrupts", "irq"), ("metadata_writes", "meta"))
            if counters.get(key) is not None))
    if found.get("seconds"):
        parts.append("%.2f s" % found["seconds"])
    return "  " + "; ".join(parts) if parts else ""
