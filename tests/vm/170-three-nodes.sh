#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: three replicas: one lost and back while the others stay, only that one is resynced; a survivor takes over from a dead primary [G3] [G6] [W4] [D1]
# Kernels: 6.12
# Guests: 3
# Disks: durable 96M,64M,16M
# Deadline: 480

. "$(dirname "$0")/cluster.sh"

AREA=$((32 << 20))
cluster_up alpha beta gamma
volume web vdb alpha beta gamma
in_sync web 40 alpha beta gamma
expect "alpha,beta,gamma" "$(vol gamma web '.replicas | sort | join(",")')" "replicas as gamma knows them"

step "gamma loses power while alpha writes; beta stays in sync"
on alpha 'braid promote web'
stamps alpha /dev/braid/web $AREA 600 3
job=$JOB
wait_for 20 "writes" at_least $job 20
cut gamma
wait_vol alpha web 20 '[.peers[] | select(.node == "gamma")][0].connected == false'
before=$(stamps_of $job | wc -l)
wait_for 15 "writes go on" at_least $job $((before + 30))
expect in-sync "$(relation alpha web beta state)" "beta at alpha"
expect alpha,beta "$(vol alpha web '.generation.members | sort | join(",")')" "in-sync set without gamma"
dirty_at_beta() { vol_is beta web '[.peers[] | select(.node == "gamma")][0].dirty_bytes > 0'; }
wait_for 10 "beta keeps gamma's map as well [D1]" dirty_at_beta

step "gamma returns while alpha writes"
back gamma
in_sync web 60 alpha beta gamma
kill_bg $job 15
wait_bg $job 20 >/dev/null || true
keep_stamps $job list
[ "$(counter gamma web resync_received_bytes)" -gt 0 ] || fail "gamma got nothing"
expect 0 "$(counter beta web resync_received_bytes)" "bytes that beta was sent by resync"
[ "$(counter gamma web resync_received_bytes)" -le $((AREA + (8 << 20))) ] || fail "gamma got more than was written"
same_replicas vdb alpha beta gamma

step "the primary loses power; beta goes on, gamma stays with it"
stamps alpha /dev/braid/web $AREA 600 3
job=$JOB
wait_for 20 "writes" at_least $job 50
cut alpha
keep_stamps $job list
for guest in beta gamma; do
	wait_vol $guest web 20 '[.peers[] | select(.node == "alpha")][0].connected == false'
done
refused beta unreachable 'braid promote web'
wait_on beta 20 "beta is promoted" 'braid promote web --peer-down alpha'
step "$(check_stamps beta /dev/braid/web $AREA list)"
refused gamma peer-primary 'braid promote web --peer-down alpha'
stamps beta /dev/braid/web $AREA 2 3
wait_bg $JOB 20 | tail -n 1
keep_stamps $JOB list
wait_vol beta web 30 '[.peers[] | select(.node == "gamma")][0].state == "in-sync"'

step "alpha returns"
back alpha
in_sync web 60 alpha beta gamma
on beta 'braid demote web'
on gamma 'braid promote web'
step "$(check_stamps gamma /dev/braid/web $AREA list)"
on gamma 'braid demote web'
same_replicas vdb alpha beta gamma

step "two of three are lost and return one after the other"
on alpha 'braid promote web'
cut beta
cut gamma
wait_vol alpha web 20 '[.peers[].connected] == [false, false]'
stamps alpha /dev/braid/web $AREA 1 2
wait_bg $JOB 20 | tail -n 1
keep_stamps $JOB list
back beta
wait_vol alpha web 30 '[.peers[] | select(.node == "beta")][0].state == "in-sync"'
stamps alpha /dev/braid/web $AREA 1 2
wait_bg $JOB 20 | tail -n 1
keep_stamps $JOB list
back gamma
in_sync web 60 alpha beta gamma
step "$(check_stamps alpha /dev/braid/web $AREA list)"
on alpha 'braid demote web'
same_replicas vdb alpha beta gamma
cluster_down alpha beta gamma
