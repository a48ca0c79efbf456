#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: links cut both ways, one way, in the middle of a large write, flapping: the writer goes on within the failure timeout, replicas converge [N6] [W4] [L1]
# Kernels: 6.12
# Guests: 2
# Disks: durable 128M,64M,16M
# Deadline: 600
#
# FLAPS (60): seconds of flapping. The failure timeout is the default of 5 s for the first cut and 2 s afterwards.

. "$(dirname "$0")/cluster.sh"

FLAPS=${FLAPS:-60}
AREA=$((32 << 20))
# What a loaded machine may add to the timeout.
MARGIN_MS=5000

cluster_up alpha beta
volume web vdb alpha beta
in_sync web 30 alpha beta
on alpha 'braid promote web'

apart() { vol_is alpha web '.peers[0].connected == false'; }

# with_link_cut WAY TIMEOUT_MS: cut it while alpha writes; writes stop for the timeout at most.
with_link_cut()
{
	local before after job end
	step "link of beta cut: $1, failure timeout $2 ms"
	stamps alpha /dev/braid/web $AREA 600 2
	job=$JOB
	wait_for 10 "writes" at_least "$job" 20
	link beta down "$1"
	wait_for $((($2 + MARGIN_MS) / 1000)) "alpha goes on without beta" apart
	before=$(stamps_of "$job" | wc -l)
	wait_for $((MARGIN_MS / 1000)) "writes go on" at_least "$job" $((before + 20))
	expect "primary up-to-date" "$(vol alpha web '"\(.role) \(.content)"')" "alpha with its link cut"
	expect open "$(vol alpha web .writes_now)" "writes on alpha"
	wait_vol beta web $((($2 + MARGIN_MS) / 1000)) '.peers[0].connected == false'
	expect secondary "$(vol beta web .role)" "role of beta with its link cut"
	refused beta unreachable 'braid promote web'
	link beta up
	in_sync web 30 alpha beta
	kill_bg "$job" 15
	wait_bg "$job" 20 >/dev/null || true
	keep_stamps "$job" list
	same_replicas vdb alpha beta
}

with_link_cut both 5000
on_all 'braid options set timeout=2'
on alpha 'braid disconnect beta && braid connect beta'
in_sync web 20 alpha beta
with_link_cut in 2000
with_link_cut out 2000

step "black hole in the middle of a large write"
run_bg alpha "exec dd if=/dev/urandom of=/dev/braid/web bs=16M count=2 seek=3 iflag=fullblock oflag=direct conv=notrunc"
job=$JOB
moving() { [ "$(counter alpha web written_bytes)" -gt "$written" ]; }
written=$(counter alpha web written_bytes)
wait_for 20 "the large write is under way" moving
link beta down
begin=$(now_ms)
status=0
wait_bg $job 30 || status=$?
expect 0 $status "status of the large write"
[ $(($(now_ms) - begin)) -lt $((2000 + 3 * MARGIN_MS)) ] || fail "the large write took $(($(now_ms) - begin)) ms"
wait_for 10 "alpha goes on without beta" apart
link beta up
in_sync web 30 alpha beta
same_replicas vdb alpha beta

step "flapping every second for $FLAPS s"
stamps alpha /dev/braid/web $AREA $((FLAPS + 4)) 2
job=$JOB
end=$(($(now_ms) + FLAPS * 1000))
while [ "$(now_ms)" -lt $end ]; do
	link beta down
	sleep 1
	link beta up
	sleep 1
done
status=0
said=$(wait_bg $job 40 | tail -n 1) || status=$?
[ $status = 0 ] && [[ $said == end* ]] || fail "the writer ended with $status: $said"
keep_stamps $job list
read -r _ writes latency <<<"$said"
step "$writes writes, the longest took $latency ms"
[ "$latency" -lt $((2 * (2000 + MARGIN_MS))) ] || fail "a write took $latency ms"
in_sync web 40 alpha beta
step "session began $(on alpha 'braid node show --json' | jq '.peers[0].reconnects') times anew"

on alpha 'braid demote web'
on beta 'braid promote web'
step "$(check_stamps beta /dev/braid/web $AREA list)"
on alpha 'braid down web' && on alpha 'braid up web'
in_sync web 20 alpha beta
on beta 'braid demote web'
same_replicas vdb alpha beta
cluster_down alpha beta
