#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: power cut of the target in the initial sync, in a resync, at a change of generation, and of the source in a resync: never promoted half-synced, in the end identical [R2] [G4] [G3] [I5] [I8]
# Kernels: 6.12
# Guests: 2
# Disks: durable 128M,64M,16M
# Deadline: 600

. "$(dirname "$0")/cluster.sh"

AREA=$((96 << 20))

# half_way SOURCE TARGET: is a resync of TARGET in its middle, with something done and something left?
half_way()
{
	vol_is "$2" web '.syncing and .sync_source == "'"$1"'"' &&
		vol_is "$1" web '(.peers[0].dirty_bytes > 8388608) and (.counters.resync_sent_bytes > 2097152)'
}

# not_promotable GUEST PEER: neither plainly nor with the peer declared down, and that is said beforehand.
not_promotable()
{
	local said
	said=$(vol_is "$1" web '.content == "syncing" and .promote_refused == "syncing" and (.up_to_date | not)') ||
		fail "$1: half-synced and does not say so: $said"
	refused "$1" syncing 'braid promote web'
	refused "$1" syncing "braid promote web --peer-down $2"
	step "$1 is half-synced and refuses promotion"
}

cluster_up alpha beta
on alpha 'braid create web /dev/vdb && braid promote web'
on alpha 'stamp write /dev/braid/web 0 '$AREA' '$SEED' 1 4 2 128' >"$WORK/list"
# The rest is data as well, so that the sync takes its time.
on alpha 'openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 </dev/zero 2>/dev/null | dd of=/dev/braid/web bs=1M count=20 seek=100 iflag=fullblock oflag=direct status=none conv=notrunc || true'

step "beta loses power in the initial sync"
slow alpha 5 40mbit
on beta 'braid replicate web /dev/vdb'
wait_for 60 "the initial sync is half way" half_way alpha beta
cut beta
sent=$(counter alpha web resync_sent_bytes)
back beta
on beta 'braid disconnect alpha'
not_promotable beta alpha
on beta 'braid connect alpha'
wait_for 60 "the initial sync goes on" half_way alpha beta
unslow alpha
in_sync web 60 alpha beta
sent=$(($(counter alpha web resync_sent_bytes) - sent))
step "after the return $((sent >> 20)) MiB were sent"
same_replicas vdb alpha beta

step "beta away, alpha writes; then beta loses power in the resync"
# away_and_write SECONDS: beta is off while alpha writes
away_and_write()
{
	cut beta
	wait_vol alpha web 20 '.peers[0].connected == false'
	STAMP_BASE=$((STAMP_BASE + 1))
	on alpha "stamp write /dev/braid/web 0 $AREA $SEED$STAMP_BASE ${STAMP_BASE}000000000 $1 2 128" >>"$WORK/list"
	STAMP_BASE=$((STAMP_BASE + 1))
	slow alpha 5 40mbit
	base=$(counter alpha web resync_sent_bytes)
	back beta
}
moved() { vol_is beta web '.syncing' && vol_is alpha web ".peers[0].dirty_bytes > 4194304 and .counters.resync_sent_bytes > $base + 1048576"; }
away_and_write 3
wait_for 60 "the resync is half way" moved
cut beta
back beta
on beta 'braid disconnect alpha'
not_promotable beta alpha
on beta 'braid connect alpha'
unslow alpha
in_sync web 60 alpha beta
same_replicas vdb alpha beta

step "alpha, the primary, loses power in the resync"
away_and_write 3
wait_for 60 "the resync is half way" moved
cut alpha
wait_vol beta web 20 '.peers[0].connected == false'
not_promotable beta alpha
unslow alpha
back alpha
in_sync web 60 alpha beta
on alpha 'braid promote web'
step "$(check_stamps alpha /dev/braid/web $AREA list)"
same_replicas vdb alpha beta

step "beta loses power at a change of generation, again and again"
for round in 1 2 3; do
	stamps alpha /dev/braid/web $AREA 600 2
	job=$JOB
	wait_for 10 "writes" at_least $job 10
	# The session ends, a generation without beta begins; it returns, one with beta begins: power goes somewhere there.
	on alpha 'braid disconnect beta; braid connect beta'
	sleep 0.$((RANDOM % 10))
	cut beta
	wait_vol alpha web 20 '.peers[0].connected == false'
	before=$(stamps_of $job | wc -l)
	wait_for 10 "writes go on" at_least $job $((before + 10))
	kill_bg $job 15
	wait_bg $job 20 >/dev/null || true
	keep_stamps $job list
	back beta
	in_sync web 40 alpha beta
done
on alpha 'braid demote web'
on beta 'braid promote web'
step "$(check_stamps beta /dev/braid/web $AREA list)"
on beta 'braid demote web'
same_replicas vdb alpha beta
cluster_down alpha beta
