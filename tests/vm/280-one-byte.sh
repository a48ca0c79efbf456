#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: a session whose bytes come in segments of one byte: handshake, resync, writes; broken off anywhere within frames [N1] [N4]
# Kernels: 6.12 6.1
# Guests: 1
# Disks: durable 16M
# Deadline: 240
# Mem: 768

. "$(dirname "$0")/cluster.sh"

# here COMMANDS: in the guest, with the helpers for namespaces
here()
{
	on alpha "set -o pipefail; . $REPO/tests/vm/netns_lib.sh; $*"
}

# The way from n1 to n2, from now on. Lanes of n1 end at the relay, which has n2's address in n1's namespace.
relay()
{
	run_bg alpha "exec trickle n1 n2 198.51.100.2 7790 $SEED"
	RELAY=$JOB
	wait_on alpha 10 "the relay listens" 'ip netns exec n1 ss -Hltn | grep -q "198.51.100.2:7790"'
}

# Breaks all connections off, wherever they are.
relay_ends()
{
	on alpha 'pkill -x trickle || true'
	wait_bg "$RELAY" 10 >/dev/null || true
}

# writes COUNT: of 4 to 16 KiB, read back, in the background; sets JOB.
writes()
{
	run_bg alpha ". $REPO/tests/vm/netns_lib.sh; exec fio --name=w --filename=/tmp/n1/dev/web --direct=1 --ioengine=libaio --iodepth=4 \
		--rw=randwrite --bsrange=4k-16k --blockalign=4k --size=4M --number_ios=$1 --randseed=$SEED --verify=crc32c --verify_fatal=1 \
		--do_verify=1 --end_fsync=1 --output-format=terse"
}

# bytes NODE FIELD: of node NODE's session
bytes()
{
	here "in_node $1 braid node show --json" | jq ".peers[0].$2"
}

make_tool trickle
on alpha "cp -u $REPO/build/user/braid $REPO/build/vm/trickle /run/bin/; modprobe braid"
here 'hub_up; for n in 1 2; do node_up $n; disk_up $n 6; done; ip -n n1 address add 198.51.100.2/32 dev lo'
relay

step "handshake, and a resync of something"
here 'cluster 1 2; in_node 1 braid create web /dev/nullb1; in_node 1 braid promote web
	dd if=/dev/urandom of=/tmp/n1/dev/web bs=16k count=2 seek=3 oflag=direct conv=notrunc status=none
	in_node 2 braid replicate web /dev/nullb2; in_sync 1 2'

step "writes"
writes 8
wait_bg "$JOB" 60 >"$WORK/fio" || fail "fio: $(cat "$WORK/fio")"

step "broken off within frames, again and again, while it is written"
for round in 1 2 3; do
	before=$(bytes 2 received_bytes)
	writes 30
	work=$JOB
	wait_for 20 "some bytes of it passed" eval '[ "$(bytes 2 received_bytes)" -gt $((before + RANDOM % 9000)) ]'
	relay_ends
	here 'until_status 1 20 ".peers[0].connected == false"'
	relay
	wait_bg "$work" 60 >"$WORK/fio" || fail "fio: $(cat "$WORK/fio")"
	here 'in_sync 1 2'
done

step "roles swapped"
here 'in_node 1 braid demote web; in_node 2 braid promote web; in_sync 1 2; in_node 2 braid demote web
	offset=$(braid meta dump --json /dev/nullb1 | jq "[.. | objects | .data_offset_bytes // empty][0]")
	cmp -i $offset /dev/nullb1 /dev/nullb2'
for node in 1 2; do
	expect 0 "$(bytes $node dropped_frames)" "frames that n$node dropped"
done
step "n2 received $(bytes 2 received_bytes) bytes since the last break"
here 'for n in 1 2; do in_node $n braid down --all; in_node $n braid node stop; done'
relay_ends
here 'modprobe -r braid; for n in 1 2; do ip netns del n$n; disk_down $n; done; ip netns del hub; rm -rf /tmp/n[12]'
