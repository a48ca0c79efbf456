#!/usr/bin/python3 -SE
# SPDX-License-Identifier: GPL-2.0
"""copy_tree.py LIST DESTINATION [CHUNK]

Copies the files that LIST names (absolute paths, one a line) below DESTINATION. After each chunk of files it calls
fsync on every file and directory of the chunk, and only then tells their checksums, as sha256sum does: a line on its
output is a promise that the file is on stable storage.
"""
import hashlib
import os
import sys


def make_parents(path, made):
    """Create the directories above PATH; all that are new or get an entry are in MADE."""
    parent = os.path.dirname(path)
    if parent not in made:
        if not os.path.isdir(parent):
            make_parents(parent, made)
            os.mkdir(parent)
        made.add(parent)


def copy(source, target, made):
    """Copy one file. Returns its checksum and the open descriptor."""
    make_parents(target, made)
    with open(source, "rb") as f:
        data = f.read()
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left):]
    return hashlib.sha256(data).hexdigest(), fd


def sync_directory(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def main():
    with open(sys.argv[1]) as f:
        paths = f.read().splitlines()
    root, size = sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 20
    for first in range(0, len(paths), size):
        made, done = set(), []
        for path in paths[first:first + size]:
            target = path.lstrip("/")
            done.append((*copy(path, os.path.join(root, target), made), target))
        for _, fd, _ in done:
            os.fsync(fd)
            os.close(fd)
        for path in made:
            sync_directory(path)
        sys.stdout.write("".join("%s  %s\n" % (digest, target) for digest, _, target in done))
        sys.stdout.flush()


main()
