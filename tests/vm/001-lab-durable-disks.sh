#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: a durable disk keeps through a power cut all that was written, flushed or not
# Kernels: 6.12 6.1
# Guests: 2
# Deadline: 120

. "$(dirname "$0")/lib.sh"

step "write without a flush, cut the power"
on alpha 'cmp -n 1048576 /dev/vdb /dev/zero'
on alpha 'yes written | dd of=/dev/vdb bs=4k count=8 iflag=fullblock oflag=direct status=none'
cut alpha
expect "written" "$(head -n 1 "$(disk_file alpha vdb)")" "data in the file"

step "the other guest does not notice"
on beta 'cmp -n 1048576 /dev/vdb /dev/zero'

boot alpha
expect "written" "$(on alpha 'dd if=/dev/vdb bs=4k skip=7 count=1 iflag=direct status=none | head -n 1')" \
	"data after the power cut"
