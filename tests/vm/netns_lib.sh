# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Runs inside a guest, sourced: nodes in network namespaces of one kernel, joined by a bridge in the namespace hub.
# node NUMBER: namespace nN, address 198.51.100.N, state in /tmp/nN/state, links in /tmp/nN/dev, disk /dev/nullbN (256 MiB).

set -Eeu
trap 'echo "in the guest, status $?: $BASH_COMMAND" >&2' ERR

# in_node NUMBER COMMAND...
in_node()
{
	local number=$1
	shift
	BRAID_STATE_DIR=/tmp/n$number/state BRAID_DEV_DIR=/tmp/n$number/dev ip netns exec n$number "$@"
}

hub_up()
{
	ip netns add hub
	ip -n hub link add br0 type bridge stp_state 0 forward_delay 0
	ip -n hub link set br0 up
	modprobe null_blk nr_devices=0
}

node_up()
{
	mkdir -p /tmp/n$1/state /tmp/n$1/dev
	ip netns add n$1
	ip -n hub link add p$1 type veth peer name e0 netns n$1
	ip -n hub link set p$1 master br0 up
	ip -n n$1 link set lo up
	ip -n n$1 address add 198.51.100.$1/24 dev e0
	ip -n n$1 link set e0 up
}

# disk_up NUMBER MIB: backing disk in memory
disk_up()
{
	local dir=/sys/kernel/config/nullb/nullb$1
	mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
	mkdir $dir
	echo $2 >$dir/size
	echo 1 >$dir/memory_backed
	echo 4096 >$dir/blocksize
	echo 1 >$dir/discard
	echo 1 >$dir/power
	[ -b /dev/nullb$1 ]
}

disk_down()
{
	rmdir /sys/kernel/config/nullb/nullb$1
}

# cluster NUMBER...: the first founds it
cluster()
{
	local first=$1 number token
	in_node $first braid node init n$first 198.51.100.$first
	shift
	for number; do
		token=$(in_node $first braid node invite n$number 198.51.100.$number)
		in_node $number braid node join $token
	done
}

# until_status NUMBER SECONDS CONDITION: of volume web
until_status()
{
	local end=$((SECONDS + $2)) json
	while :; do
		json=$(in_node $1 braid status web --json)
		! jq -e ".volumes[0] | $3" <<<"$json" >/dev/null || return 0
		if [ $SECONDS -ge $end ]; then
			echo "n$1: not in time: $3: $json" >&2
			return 1
		fi
		sleep 0.1
	done
}

# in_sync NUMBER...
in_sync()
{
	local number
	for number; do
		until_status $number 30 '.healthy and .up_to_date'
	done
}

# write_in_background LIST SECONDS BASE: stamps on volume web of node 1; their status goes to LIST.status
write_in_background()
{
	(
		status=0
		stamp write /tmp/n1/dev/web 0 33554432 $3 $3 $2 2 64 >$1 2>$1.errors || status=$?
		echo $status >$1.status
	) </dev/null &
	wait_until 10 test -s $1
}

# wait_until SECONDS COMMAND...
wait_until()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			echo "not in time: $*" >&2
			return 1
		fi
		sleep 0.1
	done
}

# more_lines FILE COUNT: has it more lines than that?
more_lines()
{
	[ $(wc -l <$1) -gt $2 ]
}
