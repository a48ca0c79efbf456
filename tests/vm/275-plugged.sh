#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: writes that are submitted together, or gather, share packets; a submitter that has to sleep in the middle of them sends what it has [N5]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 48M,16M
# Deadline: 240

. "$(dirname "$0")/cluster.sh"

WRITES=640
TOGETHER=32

# write OPTIONS...: on alpha; leaves in PACKETS how many it sent meanwhile, in TURNS how often the threads had to that send what gathered.
write()
{
	local sent='cat /sys/class/net/eth0/statistics/tx_packets' before turns_before
	local turns='awk "/^Name:/ { gatherer = /braid_gather/ } gatherer && /^voluntary/ { n += \$2 } END { print n + 0 }" /proc/[0-9]*/status 2>/dev/null'
	before=$(on alpha "$sent")
	turns_before=$(on alpha "$turns")
	on alpha "fio --name=w --filename=/dev/braid/v --direct=1 --ioengine=libaio --rw=randwrite --bs=4k --number_ios=$WRITES \
		--randseed=$SEED --verify=crc32c --do_verify=1 --output-format=terse --terse-version=3 $*" | cut -d ';' -f 5
	PACKETS=$(($(on alpha "$sent") - before))
	TURNS=$(($(on alpha "$turns") - turns_before))
	step "$WRITES writes, $*: $PACKETS packets, $TURNS turns of threads"
}

cluster_up alpha beta
volume v vdb alpha beta
in_sync v 30 alpha beta
on alpha 'braid promote v'

step "one at a time: a packet each, at once"
write --iodepth=1
[ $PACKETS -ge $WRITES ] || fail "$PACKETS packets for $WRITES writes"

step "$TOGETHER in one call of the system"
write --iodepth=$TOGETHER --iodepth_batch_submit=$TOGETHER --iodepth_batch_complete_min=$TOGETHER
[ $PACKETS -le $((WRITES / 3)) ] || fail "$PACKETS packets for $WRITES writes"

# How many depends on the load: the bound tells gathering from none (a packet for each), not what dues add to it; the figure is printed.
step "$TOGETHER under way, each in a call of its own: they gather"
write --iodepth=$TOGETHER --iodepth_batch_submit=1 --iodepth_batch_complete_min=$TOGETHER
[ $PACKETS -le $((WRITES * 3 / 4)) ] || fail "$PACKETS packets for $WRITES writes"

step "one at a time again: at once, though the dues of those before are left"
write --iodepth=1
[ $TURNS -le $((WRITES / 10)) ] || fail "$TURNS turns for $WRITES writes"

step "$TOGETHER together, while the disk takes only a few at a time, so that their submitter sleeps between them"
tags=$(on alpha 'cat /sys/block/vdb/queue/nr_requests; echo 4 >/sys/block/vdb/queue/nr_requests')
write --iodepth=$TOGETHER --iodepth_batch_submit=$TOGETHER --iodepth_batch_complete_min=$TOGETHER
on alpha "echo $tags >/sys/block/vdb/queue/nr_requests"

step "a filesystem's journal"
on alpha 'mkfs.ext4 -q -b 4096 /dev/braid/v && mount /dev/braid/v /mnt &&
	for i in $(seq 100); do echo $i >/mnt/$i && sync -f /mnt/$i; done && umount /mnt'
same_replicas vdb alpha beta
in_sync v 30 alpha beta
cluster_down
