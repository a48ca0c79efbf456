#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: a flush goes where a volatile cache may hold something, and nowhere else, also when caches are turned on and off; shared by many [W5]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 16M
# Deadline: 300

. "$(dirname "$0")/cluster.sh"

ROUNDS=20

disk()
{
	on "$1" 'modprobe null_blk nr_devices=0
		mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
		disk=/sys/kernel/config/nullb/nullb1; mkdir $disk; echo 1 >$disk/memory_backed; echo 8 >$disk/cache_size
		echo 64 >$disk/size; echo 1 >$disk/power; cat /sys/block/nullb1/queue/write_cache'
}

# cache GUEST STATE: what the block layer believes of the disk.
cache()
{
	on "$1" "echo '$2' >/sys/block/nullb1/queue/write_cache; cat /sys/block/nullb1/queue/write_cache"
}

# write WRITES FLUSHES [JOBS]: on alpha, with a flush after each WRITES; leaves in FLUSHED how many reached beta.
write()
{
	local before after
	before=$(counter beta v flushes)
	on alpha "fio --name=w --filename=/dev/braid/v --direct=1 --ioengine=psync --rw=randwrite --bs=4k --fsync=$1 --numjobs=${3:-1} \
		--group_reporting --number_ios=$(($1 * $2)) --output-format=terse --terse-version=3" | cut -d ';' -f 5
	after=$(counter beta v flushes)
	FLUSHED=$((after - before))
	step "$2 flushes of ${3:-1}, one after $1 writes each: $FLUSHED reached beta"
}

least()
{
	[ $FLUSHED -ge "$1" ] || fail "$FLUSHED flushes reached beta, at least $1 were due"
}

most()
{
	[ $FLUSHED -le "$1" ] || fail "$FLUSHED flushes reached beta, at most $1 were due"
}

cluster_up alpha beta
together alpha beta -- disk
volume v nullb1 alpha beta
in_sync v 30 alpha beta
on alpha 'braid promote v'

step "disks with a volatile cache"
write 2 $ROUNDS
least $((ROUNDS - 1))	# fio leaves out the one at the end
write 1 $ROUNDS
most 6
step "many at a time"
write 2 $ROUNDS 8
least 3
most $((8 * ROUNDS - 10))

step "many at the same time after one write: none is left waiting when the first of them has done it all"
slow beta 200
on alpha 'for round in $(seq 5); do
		dd if=/dev/urandom of=/dev/braid/v bs=4k count=1 seek=$round oflag=direct conv=notrunc status=none
		for thread in 1 2 3 4 5 6; do sync /dev/braid/v & done
		wait
	done'
unslow beta

step "no volatile cache on either"
cache alpha 'write through'
cache beta 'write through'
write 2 $ROUNDS
most 4

step "beta's cache is turned on"
cache beta 'write back'
write 2 $ROUNDS
least $((ROUNDS - 1))
cache beta 'write through'
write 2 $ROUNDS
most 4

step "a peer that comes and goes while eight clients write and flush"
cache alpha 'write back'
cache beta 'write back'
run_bg alpha 'fio --name=w --filename=/dev/braid/v --direct=1 --ioengine=psync --rw=randwrite --bs=4k --fsync=2 --numjobs=8 \
	--time_based --runtime=20 --output-format=terse --terse-version=3'
JOB_FIO=$JOB
for round in 1 2 3; do
	sleep 2
	on beta 'braid disconnect alpha'
	sleep 1
	on beta 'braid connect alpha'
	in_sync v 30 beta
done
wait_bg "$JOB_FIO" 60 >/dev/null || fail "fio had an error"
in_sync v 30 alpha beta
write 2 $ROUNDS
least $((ROUNDS - 1))
on alpha 'braid demote v'
cluster_down alpha beta
