#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: every crash state of both nodes' disks during real work is reconstructed from block logs and checked: metadata legal, differences marked, promised data there [M] [I1] [I5] [I17] [W3] [W6] [D1] [G3]
# Kernels: 6.12
# Guests: 2
# Disks: durable 48M,512M,16M
# Deadline: 600
#
# STATES (5000): about how many of the states are checked; STATES=all: every one, with many samples of each.
# SHORT=yes: a short workload, for recording the log of tests/crash. Logs stay in build/vm/work/ when KEEP_LOGS=yes.

. "$(dirname "$0")/cluster.sh"

STATES=${STATES:-5000}
PACE=${SHORT:+1}
PACE=${PACE:-3}
PORT=7999
CRASH=$REPO/build/crash
BATCHES=0

make -s -C "$REPO/tests/crash" BUILD="$REPO/build" tools

# The disk becomes a device that records every write, with its flushes, on the next disk.
logged()
{
	on "$1" "cp $CRASH/writer /run/bin/ && modprobe dm-log-writes &&
		echo 0 \$(blockdev --getsz /dev/vdb) log-writes /dev/vdb /dev/vdc | DM_DISABLE_UDEV=1 dmsetup create logged"
}

# ticks GUEST PEER: pairs of marks at random moments, first on GUEST, from now on; sets TICKS.
ticks()
{
	run_bg "$1" "exec writer tick logged $(address "$2") $PORT $1 600 $((PACE * 15))"
	TICKS=$JOB
}

# writes GUEST PEER SECONDS FROM TO: stamped batches between two offsets in MiB, in the background; sets JOB. Other regions in
# every phase: were all of them in the log all the time, it would stand in for everything else.
writes()
{
	BATCHES=$((BATCHES + 1))
	run_bg "$1" "exec writer write /dev/braid/web $(($4 << 20)) $((($5 - $4) << 20)) $SEED$BATCHES $1$BATCHES ${BATCHES}000000 $3 2 logged $(address "$2") $PORT"
}

written()
{
	local said
	said=$(wait_bg "$1" 60) || fail "the writer ended with $?: $said"
	step "batches and writes: $said"
}

# Silence between the two instances of braid; marks still pass.
cut_braid()
{
	on beta 'tc qdisc add dev eth0 clsact
		tc filter add dev eth0 ingress protocol ip u32 match ip protocol 6 0xff match ip dport 7790 0xffff action drop
		tc filter add dev eth0 egress protocol ip u32 match ip protocol 6 0xff match ip sport 7790 0xffff action drop'
}

heal_braid()
{
	on beta 'tc qdisc del dev eth0 clsact'
}

# A cut that takes a replica out of the set, two stretches without it, and its resync beside writes.
cut_and_return()
{
	local stretch
	writes "$1" "$2" $((PACE + 4)) 8 24
	wait_for 10 "a batch" in_flight "$1"
	cut_braid
	wait_vol "$1" web 20 '.peers[0].connected == false'
	wait_vol "$2" web 20 '.peers[0].connected == false'
	on "$1" "writer pair logged $(address "$2") $PORT c $1"
	written "$JOB"
	for stretch in "24 32" "28 44"; do
		# shellcheck disable=SC2086
		writes "$1" "$2" "$PACE" $stretch
		written "$JOB"
		step "idle: regions leave the log of $1 without $2"
		wait_for 20 "the log of $1 is empty" log_empty "$1"
	done
	on "$1" "writer pair logged $(address "$2") $PORT h $1"
	writes "$1" "$2" $((2 * PACE)) 16 44
	heal_braid
	in_sync web 40 "$1" "$2"
	written "$JOB"
}

in_flight() { [ "$(counter "$1" web writes)" -gt 0 ]; }
log_empty() { vol_is "$1" web '.log_used == 0'; }

cluster_up alpha beta
together alpha beta -- logged
run_bg alpha "exec writer serve logged $PORT"
run_bg beta "exec writer serve logged $PORT"
on_all 'braid options set timeout=2'
on alpha 'braid disconnect beta && braid connect beta'

step "alpha alone, then beta as a new replica beside writes"
on alpha 'braid create web /dev/mapper/logged && braid promote web'
ticks alpha beta
writes alpha beta "$PACE" 0 12
written "$JOB"
writes alpha beta $((PACE + 2)) 8 20
on beta 'braid replicate web /dev/mapper/logged'
in_sync web 40 alpha beta
written "$JOB"

step "both in sync"
writes alpha beta $((2 * PACE)) 0 16
written "$JOB"
step "cut and return of beta"
cut_and_return alpha beta
on alpha 'braid demote web'
kill_bg "$TICKS" 15

step "roles swapped"
on beta 'braid promote web'
ticks beta alpha
writes beta alpha "$PACE" 4 20
written "$JOB"
cut_and_return beta alpha
on beta 'braid demote web'
kill_bg "$TICKS" 15
on_all 'braid down web && DM_DISABLE_UDEV=1 dmsetup remove logged && sync /dev/vdc'

logs=("$(disk_file alpha vdc)" "$(disk_file beta vdc)")
if [ -n "${KEEP_LOGS-}" ]; then
	cp --sparse=always "${logs[0]}" "$WORK/alpha.log"
	cp --sparse=always "${logs[1]}" "$WORK/beta.log"
fi
step "replay"
"$CRASH/replay" --seed "$SEED" --states "$STATES" "${logs[@]}" || fail "a crash state is wrong: KEEP_LOGS=yes keeps the logs"
cluster_down alpha beta
