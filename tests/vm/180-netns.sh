#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: three nodes in one kernel, one per network namespace; namespaces and interfaces that vanish; rmmod; 100 cycles without growth [L2] [L3] [C1]
# Kernels: 6.12 6.1
# Guests: 1
# Disks: durable 16M
# Deadline: 900
# Mem: 768
#
# CYCLES (100)

. "$(dirname "$0")/cluster.sh"

CYCLES=${CYCLES:-100}
# here COMMANDS: in the guest, with the helpers for namespaces
here()
{
	ON_TIMEOUT=${SECONDS_MAX:-90} on alpha "set -o pipefail; . $REPO/tests/vm/netns_lib.sh; $*"
}
make_stamp
on alpha "cp -u $REPO/build/user/braid $REPO/build/vm/stamp /run/bin/; modprobe braid"

step "three nodes in one kernel"
here 'hub_up; for n in 1 2 3; do node_up $n; disk_up $n 64; done; cluster 1 2 3
	in_node 1 braid create web /dev/nullb1
	in_node 2 braid replicate web /dev/nullb2
	in_node 3 braid replicate web /dev/nullb3
	in_sync 1 2 3'
here 'in_node 1 braid promote web
	stamp write /tmp/n1/dev/web 0 33554432 '$SEED' 1 2 2 64 >/tmp/list; tail -n 1 /tmp/list
	in_node 1 braid demote web; in_node 3 braid promote web
	stamp verify /tmp/n3/dev/web 0 33554432 </tmp/list
	in_node 3 braid demote web; in_sync 1 2 3
	offset=$(braid meta dump --json /dev/nullb1 | jq "[.. | objects | .data_offset_bytes // empty][0]")
	cmp -i $offset /dev/nullb1 /dev/nullb2 && cmp -i $offset /dev/nullb1 /dev/nullb3'
expect "1 1 1" "$(here 'for n in 1 2 3; do in_node $n braid status --json | jq ".volumes | length"; done' | xargs)" \
	"volumes that each namespace sees"
expect false "$(on alpha 'BRAID_STATE_DIR=/tmp/n1/state braid status --json' | jq '.volumes[0].up')" "volume of a node, seen from another namespace"

step "rmmod is refused while in use"
! try alpha 'rmmod braid' 2>/dev/null || fail "the module was unloaded under live volumes"
here 'in_sync 1 2 3'

step "an interface is removed while a volume is written"
here 'in_node 1 braid promote web
	write_in_background /tmp/list2 60 1000000000
	ip -n hub link del p2
	until_status 1 20 "[.peers[] | select(.node == \"n2\")][0].connected == false"
	lines=$(wc -l </tmp/list2)
	wait_until 20 more_lines /tmp/list2 $((lines + 20)) || { in_node 1 braid status web --json; cat /tmp/list2.*; exit 1; }
	pkill -x stamp; wait
	until_status 1 10 "[.peers[] | select(.node == \"n3\")][0].state == \"in-sync\""
	ip -n hub link add p2 type veth peer name e0 netns n2; ip -n hub link set p2 master br0 up
	ip -n n2 address add 198.51.100.2/24 dev e0; ip -n n2 link set e0 up
	in_sync 1 2 3
	cat /tmp/list /tmp/list2 >/tmp/all; stamp verify /tmp/n1/dev/web 0 33554432 </tmp/all'

step "a namespace with a live volume is deleted, first a secondary, then the primary while it is written"
here 'ip netns del n3
	until_status 1 20 "[.peers[] | select(.node == \"n3\")][0].connected == false"
	wait_until 20 disk_down 3
	dd if=/dev/zero of=/tmp/n1/dev/web bs=64k count=20 oflag=direct seek=600 status=none'
here 'write_in_background /tmp/list3 60 2000000000
	ip netns del n1
	wait_until 30 test -s /tmp/list3.status
	cat /tmp/list3.errors
	[ $(cat /tmp/list3.status) != 0 ]
	until_status 2 20 "[.peers[].connected] | any | not"
	in_node 2 braid promote web --peer-down n1 --peer-down n3
	cat /tmp/list3 >>/tmp/all; stamp verify /tmp/n2/dev/web 0 33554432 </tmp/all
	in_node 2 braid demote web; in_node 2 braid down web; in_node 2 braid node stop'
on alpha 'end=$((SECONDS + 20)); until rmmod braid 2>/dev/null; do [ $SECONDS -lt $end ]; sleep 0.2; done; [ ! -e /sys/module/braid ]'
here 'ip netns del n2; ip netns del hub; for n in 1 2; do disk_down $n; done; rm -rf /tmp/n[123]; modprobe braid'

step "$CYCLES cycles of up, write, down"
here 'ip netns add hub; ip -n hub link add br0 type bridge stp_state 0 forward_delay 0; ip -n hub link set br0 up
	for n in 1 2; do node_up $n; disk_up $n 32; done; cluster 1 2
	in_node 1 braid create web /dev/nullb1
	in_node 2 braid replicate web /dev/nullb2
	in_sync 1 2; in_node 1 braid down web; in_node 2 braid down web'
# usage: what must not grow: open files (counted in steps of 32), braid's large allocations, per-cpu memory, slabs, sockets
usage()
{
	here 'echo $(cut -f 1 /proc/sys/fs/file-nr) $(grep -c "\[braid\]" /proc/vmallocinfo) \
		$(awk "/^SUnreclaim|^Percpu/ { print \$2 }" /proc/meminfo) $(ip netns exec n1 ss -tan | wc -l)'
}
cycles()
{
	SECONDS_MAX=300 here "for i in \$(seq $1); do"'
		in_node 1 braid up web; in_node 2 braid up web
		until_status 1 15 ".peers[0].state == \"in-sync\""
		in_node 1 braid promote web
		dd if=/dev/urandom of=/tmp/n1/dev/web bs=16k count=2 seek=$((i % 50)) oflag=direct conv=notrunc status=none
		in_node 1 braid demote web
		in_node 1 braid down web; in_node 2 braid down web
	done'
}
cycles 8
read -r files areas slab percpu sockets <<<"$(usage)"
cycles $((CYCLES - 8))
read -r files_after areas_after slab_after percpu_after sockets_after <<<"$(usage)"
step "files $files -> $files_after, large allocations $areas -> $areas_after, per-cpu $percpu -> $percpu_after kB," \
	"unreclaimable slab $slab -> $slab_after kB, sockets $sockets -> $sockets_after"
[ $files_after -le $((files + 40)) ] || fail "open files grow"
[ $areas_after -le $areas ] || fail "braid's large allocations grow"
[ $percpu_after -le $((percpu + 64)) ] || fail "per-cpu memory grows"
[ $slab_after -le $((slab + 768)) ] || fail "slabs grow"
here 'cmp -i 1048576 /dev/nullb1 /dev/nullb2
	for n in 1 2; do in_node $n braid node stop; done'
on alpha 'rmmod braid && [ ! -e /sys/module/braid ]'
here 'for n in 1 2; do ip netns del n$n; disk_down $n; done; ip netns del hub'
