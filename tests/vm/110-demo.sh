#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: the demo's story: power cut in the middle of work, take-over, return, roles swapped, replicas identical [I1] [I5]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 192M,96M,16M
# Deadline: 700
# Mem: 768

. "$(dirname "$0")/lib.sh"

export LAB_NAME KERNEL SEED
"$REPO/scripts/demo" || fail "the demo failed with status $?"
