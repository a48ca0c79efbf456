# SPDX-License-Identifier: GPL-2.0
"""Complaints in the kernel logs of a lab's guests, and what is forgiven."""
import os
import re

BAD = re.compile(
    r"(?<!DE)BUG|WARNING:|Oops|general protection|KASAN|KFENCE|lockdep|"
    r"possible (circular|recursive)|INFO: task .* blocked|hung_task|soft lockup|"
    r"rcu.*stall|Call Trace|refcount_t|UBSAN|list_(add|del) corruption|Kernel panic|"
    r"scheduling while atomic|sleeping function called|Out of memory")
STALL = re.compile(r"rcu.*stall", re.IGNORECASE)
# A stall report is followed by its own trace: this many lines belong to it.
STALL_LINES = 80
# The boot's own noise: lines that only repeat words given to the kernel.
FORGIVEN = re.compile(r"(Kernel c|C)ommand line:")


def guests_of(folder):
    """Names of the guests whose state is kept in a lab's folder, sorted."""
    return sorted(entry.name for entry in os.scandir(folder)
                  if os.path.exists(os.path.join(entry.path, "state")))


def unread(folder, guest):
    """(text of the guest's log since the last forget, offset of its end)."""
    mark = 0
    mark_path = os.path.join(folder, guest, "scanned")
    if os.path.exists(mark_path):
        with open(mark_path) as f:
            mark = int(f.read())
    console = os.path.join(folder, guest, "console")
    if not os.path.exists(console):
        return "", 0
    with open(console, "rb") as f:
        f.seek(mark)
        data = f.read()
    return data.decode(errors="replace"), mark + len(data)


def forget(folder, guest):
    """Let the next scan of this guest begin at the present end of its log."""
    _, end = unread(folder, guest)
    with open(os.path.join(folder, guest, "scanned"), "w") as f:
        f.write("%d\n" % end)


def complaints(text):
    """(lines that fail a test, lines that the host's load may explain)."""
    bad, load = [], []
    stall_left = 0
    for line in text.splitlines():
        stall_left -= 1
        if not BAD.search(line) or FORGIVEN.search(line):
            continue
        if STALL.search(line):
            stall_left = STALL_LINES
            load.append(line)
        elif "Call Trace" in line and stall_left > 0:
            continue
        else:
            bad.append(line)
    return bad, load


def scan(folder):
    """(bad, load) over all guests, as lines "guest: text". A guest that ended
    by itself is a complaint too."""
    bad, load = [], []
    for guest in guests_of(folder):
        text, _ = unread(folder, guest)
        guest_bad, guest_load = complaints(text)
        bad += ["%s: %s" % (guest, line) for line in guest_bad]
        load += ["%s: host-load? %s" % (guest, line) for line in guest_load]
        with open(os.path.join(folder, guest, "state")) as f:
            if f.read().strip() == "dead":
                bad.append("%s: ended by itself: a panic or reset if the emulator's status was 0: %s" %
                           (guest, text.strip().split("\n")[-1]))
    return bad, load
