#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: both machines lose power at once, with volatile disk caches: what a flush or FUA covered is there, only logged regions are resynced [W5] [W6] [D6] [G6] [I1] [I17]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: volatile 128M,64M,16M
# Deadline: 480

. "$(dirname "$0")/cluster.sh"

ROUNDS=${ROUNDS:-2}
AREA=$((24 << 20))
REGION=$((4 << 20))

cluster_up alpha beta
volume web vdb alpha beta
in_sync web 40 alpha beta
size=$(vol alpha web .bytes)

primary=alpha
other=beta
for ((round = 1; round <= ROUNDS; round++)); do
	step "round $round: $primary writes with flushes and FUA to the first $((AREA >> 20)) of $((size >> 20)) MiB"
	on $primary 'braid promote web'
	stamps $primary /dev/braid/web $AREA 60 3 durable
	enough=$((150 + RANDOM % 200))
	wait_for 40 "$enough durable writes" at_least $JOB $enough
	together alpha beta -- cut
	keep_stamps $JOB list

	together alpha beta -- back
	in_sync web 40 alpha beta
	step "resynced after the return of both"
	compared=0
	for guest in alpha beta; do
		for name in resync_sent_bytes resync_equal_bytes; do
			compared=$((compared + $(counter $guest web $name)))
		done
	done
	step "$((compared >> 10)) KiB sent or compared, of $((size >> 10))"
	[ $compared -le $((AREA + REGION)) ] || fail "more than the logged regions was resynced"
	[ $compared -gt 0 ] || fail "nothing was resynced after a crash: no log was found, or nothing was counted"

	# Either side holds every durable write.
	on $other 'braid promote web'
	step "$(check_stamps $other /dev/braid/web $AREA list)"
	on $other 'braid demote web'
	on_all 'braid down web'
	same_replicas vdb alpha beta
	on_all 'braid up web'
	in_sync web 20 alpha beta
	read -r primary other <<<"$other $primary"
done
cluster_down alpha beta
