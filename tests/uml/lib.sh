# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For the scenarios of this folder, which run inside the debug kernel as root; source it first. The nodes are those of
# tests/vm/netns_lib.sh: network namespaces n1, n2, ... joined by a bridge, disks /dev/nullbN. All times are the guest's, and
# waiting costs nothing: time jumps while nobody computes.

: "${REPO:?is set by tests/uml/run}" "${SEED:=1}"
# What that library loads is built in here.
modprobe() { :; }
. "$REPO/tests/vm/netns_lib.sh"
RANDOM=$((SEED % 32768))
PATH=$REPO/build/uml/bin:$PATH
INJECTION=/sys/kernel/debug
AREA=33554432		# bytes of a volume that stamps are written to

# step MESSAGE: say where the test is, here and in the kernel log.
step()
{
	echo "[$(cut -d ' ' -f 1 /proc/uptime)] $*"
	echo "<6>uml: $*" >/dev/kmsg
}

fail()
{
	step "FAIL: $*" >&2
	[ "$BASHPID" = "$$" ] || kill -TERM $$
	exit 1
}
trap 'exit 1' TERM
trap 'step "FAIL: line $LINENO: $BASH_COMMAND: status $?" >&2; braid_state >&2' ERR

# braid_state: what a failed test wants to be told
braid_state()
{
	local number
	trap - ERR
	for number in 1 2 3; do
		[ ! -e /run/netns/n$number ] || timeout 5 ip netns exec n$number env BRAID_STATE_DIR=/tmp/n$number/state \
			"$REPO/build/user/braid" status --json |
			jq -cM '.node, (.volumes[] | del(.counters))' || true
	done
}

expect()
{
	[ "$1" = "$2" ] || fail "$3: expected '$1', got '$2'"
}

# With TRACE set the core tells every decision in the kernel log.
load()
{
	insmod "$REPO/build/uml/kmod/braid.ko" ${TRACE:+'dyndbg="func core_trace +p"'}
}

# unload: at once, or after what still holds it came back
unload()
{
	wait_until ${1:-20} rmmod braid 2>/dev/null
	[ ! -e /sys/module/braid ]
}

# in_node NUMBER COMMAND...: as there, but starting a program is what costs most here, and ip(8) does more than is needed.
in_node()
{
	local number=$1
	shift
	BRAID_STATE_DIR=/tmp/n$number/state BRAID_DEV_DIR=/tmp/n$number/dev nsenter --net=/run/netns/n$number "$@"
}

# until_status NUMBER SECONDS CONDITION: as there, but asks rarely: what costs here is computing, not waiting.
until_status()
{
	local end=$((SECONDS + $2)) json pause=0.05
	while :; do
		json=$(in_node $1 braid status web --json)
		! jq -e ".volumes[0] | $3" <<<"$json" >/dev/null || return 0
		if [ $SECONDS -ge $end ]; then
			echo "n$1: not in time: $3: $json" >&2
			return 1
		fi
		sleep $pause
		case $pause in
		0.05) pause=0.2 ;;
		0.2) pause=0.7 ;;
		*) pause=1 ;;
		esac
	done
}

# disk_up NUMBER MIB: a disk in memory. It answers after 10 ms, else one that waits for nothing else would write for ever:
# computing costs no time here.
disk_up()
{
	local dir=/sys/kernel/config/nullb/nullb$1
	mkdir $dir
	echo $2 >$dir/size
	echo 1 >$dir/memory_backed
	echo 4096 >$dir/blocksize
	echo 1 >$dir/discard
	echo 2 >$dir/irqmode
	echo ${DISK_NS:-10000000} >$dir/completion_nsec
	echo 1 >$dir/power
	[ -b /dev/nullb$1 ]
}

# three_nodes [MIB [DELAY]]: module, nodes, disks, one cluster; each cable with a netem delay.
three_nodes()
{
	local n
	load
	hub_up
	for n in 1 2 3; do
		node_up $n
		disk_up $n ${1:-48}
		[ -z "${2-}" ] || delay $n $2
	done
	cluster 1 2 3
}

# delay NUMBER TIME: on the cable of that node, both ways
delay()
{
	tc -n hub qdisc replace dev p$1 root netem delay $2 limit 10000
	tc -n n$1 qdisc replace dev e0 root netem delay $2 limit 10000
}

# volume_up NUMBER...: volume web on the null_blk disks of these nodes, or DISK_N when that is set
volume_up()
{
	local n disk=DISK_$1
	in_node $1 braid create web ${!disk:-/dev/nullb$1}
	shift
	for n; do
		disk=DISK_$n
		in_node $n braid replicate web ${!disk:-/dev/nullb$n}
	done
}

# cable NUMBER: from a node to the bridge. A machine that comes back has its old hardware address: with another one its peers
# would look for it at the former one for half a minute.
cable()
{
	ip -n hub link add p$1 type veth peer name e0 netns n$1
	ip -n hub link set p$1 master br0 up
	ip -n n$1 link set e0 address 02:00:c6:33:64:0$1
	ip -n n$1 address add 198.51.100.$1/24 dev e0
	ip -n n$1 link set e0 up
}

node_up()
{
	mkdir -p /tmp/n$1/state /tmp/n$1/dev
	ip netns add n$1
	ip -n n$1 link set lo up
	cable $1
}

# node_gone NUMBER: delete its namespace. The kernel does the rest in the background; its end of the cable goes last.
node_gone()
{
	ip netns del n$1
	wait_until 20 port_gone $1
}
port_gone() { ! ip -n hub link show p$1 >/dev/null 2>&1; }

unplug() { ip -n hub link set p$1 down; }
plug() { ip -n hub link set p$1 up; }

# stamped NUMBER SECONDS LIST [THREADS [durable]]: write to the volume there; acknowledged writes are added to LIST.
echo 0 >/tmp/base
stamped()
{
	local base=$(($(</tmp/base) + 1000000000))
	echo $base >/tmp/base	# in a file: this may run in the background
	stamp write /tmp/n$1/dev/web 0 $AREA $((SEED + base)) $base $2 ${4:-4} 64 ${5-} >>$3
}

# verified NUMBER LIST: everything acknowledged is there
verified()
{
	stamp verify /tmp/n$1/dev/web 0 $AREA <$2
}

# identical NUMBER...: data areas, byte for byte, while nothing is written
identical()
{
	local first=$1 disk=DISK_$1 n other offset
	other=${!disk:-/dev/nullb$first}
	offset=$(braid meta dump --json $other | jq '[.. | objects | .data_offset_bytes // empty][0]')
	shift
	for n; do
		disk=DISK_$n
		cmp -i $offset $other ${!disk:-/dev/nullb$n}
	done
}

# promote NUMBER: after a demotion elsewhere, whose news has to arrive first; a peer may be busy with a new record
promote()
{
	until_status $1 10 '.primary == null'
	wait_until 10 promoted $1 || { in_node $1 braid promote web; return 1; }
}
promoted() { in_node $1 braid promote web 2>/dev/null; }

# all_down NUMBER...: volumes and nodes, then the module, then the namespaces
all_down()
{
	local n
	for n; do
		in_node $n braid down --all
	done
	for n; do
		in_node $n braid node stop
	done
	unload
	for n in 1 2 3; do
		[ ! -e /run/netns/n$n ] || ip netns del n$n
		[ ! -e /sys/kernel/config/nullb/nullb$n ] || disk_down $n
	done
	ip netns del hub
	rm -rf /tmp/n[123]
	no_leaks
}

# no_leaks: lockdep watched to the end; kmemleak regards nothing younger than 5 s, and reports what two scans in a row did not find
no_leaks()
{
	local found
	[ ! -e /sys/module/braid ] || fail "the module is still there"
	grep -Eq '^ debug_locks: +1$' /proc/lockdep_stats || fail "lockdep is off"
	sleep 6
	echo scan >$INJECTION/kmemleak
	sleep 1
	echo scan >$INJECTION/kmemleak
	found=$(<$INJECTION/kmemleak)
	[ -z "$found" ] || {
		echo "$found"
		fail "memory was leaked"
	}
}
