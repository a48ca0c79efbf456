#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: power cut of the primary at a random moment, again and again: no acknowledged write is lost, replicas end identical [I1] [I5] [D1]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 128M,96M,16M
# Deadline: 1200
#
# ROUNDS (10). The roles change with every round. On web: stamped writes of 4 to 128 KiB, each acknowledged one is checked.
# On db: fio with crc32c verification, each finished pass is checked.

. "$(dirname "$0")/cluster.sh"

ROUNDS=${ROUNDS:-10}
AREA=$((48 << 20))

cluster_up alpha beta
volume web vdb alpha beta
volume db vdc alpha beta
in_sync web 30 alpha beta
in_sync db 30 alpha beta

primary=alpha
other=beta
pass=0
on $primary 'braid promote web && braid promote db'
for ((round = 1; round <= ROUNDS; round++)); do
	wait_ms=$((300 + RANDOM % 4000))
	step "round $round of $ROUNDS: $primary writes, power cut after its first pass of fio and $wait_ms ms"
	stamps $primary /dev/braid/web $AREA 60 4
	stamps=$JOB
	fio_passes $primary /dev/braid/db $pass
	fio=$JOB
	end=$(($(now_ms) + wait_ms))
	has_pass() { [ -n "$(last_pass $fio)" ]; }
	wait_for 30 "a pass of fio" has_pass
	wait_for 30 "acknowledged writes" at_least $stamps 20
	left=$((end - $(now_ms)))
	[ $left -le 0 ] || sleep $((left / 1000)).$(printf %03d $((left % 1000)))
	cut $primary
	keep_stamps $stamps list
	! stamps_of $stamps | grep '^end' || fail "the writer ended before the cut"
	last=$(last_pass $fio)

	wait_vol $other web 20 ".peers[0].connected == false"
	on $other "braid promote web --peer-down $primary && braid promote db --peer-down $primary"
	step "round $round: $(check_stamps $other /dev/braid/web $AREA list)"
	fio_check $other /dev/braid/db $pass $last $((last + 1))
	back $primary
	in_sync web 40 alpha beta
	in_sync db 40 alpha beta
	same_replicas vdb alpha beta
	same_replicas vdc alpha beta
	pass=$((last + 2))
	read -r primary other <<<"$other $primary"
done
step "no write of $(wc -l <"$WORK/list") lost in $ROUNDS power cuts"
on $primary 'braid demote web && braid demote db'
cluster_down alpha beta
