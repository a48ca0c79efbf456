# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A cluster of the lab's guests, for the tests of volumes. Source it instead of lib.sh:
#
#	. "$(dirname "$0")/cluster.sh"
#
# The last disk of each guest ("Disks: durable 128M,128M,16M") holds its identity, /var/lib/braid, which has to survive
# a power cut. The others are backing disks: vdb, vdc, ...

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

WORK=$REPO/build/vm/work/${LAB_NAME}
rm -rf "$WORK"
mkdir -p "$WORK"

address()
{
	case $1 in
	alpha) echo 192.0.2.1 ;;
	beta) echo 192.0.2.2 ;;
	gamma) echo 192.0.2.3 ;;
	delta) echo 192.0.2.4 ;;
	esac
}

# together GUEST... -- COMMAND...: "COMMAND... GUEST" for all of them at the same time.
together()
{
	local guests=() pids=() pid guest failed=0
	while [ "$1" != -- ]; do
		guests+=("$1")
		shift
	done
	shift
	for guest in "${guests[@]}"; do
		"$@" "$guest" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || failed=1
	done
	[ $failed = 0 ] || fail "together: $*"
}

mount_state()
{
	on "$1" 'disk=$(ls /dev/vd[b-z] | tail -n 1); mkdir -p /var/lib/braid
		blkid $disk >/dev/null || mkfs.ext4 -q $disk
		mountpoint -q /var/lib/braid || mount $disk /var/lib/braid
		modprobe braid && cp -u '"$REPO/build/user/braid $REPO/build/vm/stamp"' /run/bin/'
}

# make_tool NAME: build/vm/NAME of tests/vm/NAME.c, built once; guests run it from /run/bin.
make_tool()
{
	local source=$REPO/tests/vm/$1.c tool=$REPO/build/vm/$1
	[ "$tool" -nt "$source" ] ||
		gcc -std=gnu11 -O2 -Wall -Wextra -static -pthread -o "$tool" "$source"
}

make_stamp()
{
	make_tool stamp
}

# cluster_up GUEST...: the first one founds the cluster, the others join by token. All sessions are open when it returns.
cluster_up()
{
	local founder=$1 guest token
	make_stamp
	together "$@" -- mount_state
	on "$founder" "braid node init $founder $(address "$founder")"
	shift
	for guest; do
		token=$(on "$founder" "braid node invite $guest $(address "$guest")")
		on "$guest" "braid node join $token"
	done
	for guest in "$founder" "$@"; do
		wait_for 15 "$guest has sessions with all others" sessions_open "$guest" $#
	done
}

# sessions_open GUEST COUNT
sessions_open()
{
	local node
	node=$(try "$1" 'braid node show --json')
	printf '%s\n' "$node"
	[ "$(jq '[.peers[] | select(.state == "open")] | length' <<<"$node")" = "$2" ]
}

# volume NAME DISK GUEST...: create it on the first one, replicate it on the others.
volume()
{
	local name=$1 disk=$2 founder=$3 guest
	shift 3
	on "$founder" "braid create $name /dev/$disk"
	for guest; do
		on "$guest" "braid replicate $name /dev/$disk"
	done
}

# vol GUEST VOLUME FILTER: a value of `braid status --json` by jq.
vol()
{
	on "$1" "braid status --json $2" | jq -r ".volumes[0] | $3"
}

# vol_is GUEST VOLUME CONDITION: is it so now? Prints the volume.
vol_is()
{
	local json
	json=$(try "$1" "braid status --json $2")
	printf '%s: %s\n' "$1" "$(jq -c '.volumes[0]' <<<"$json")"
	jq -e ".volumes[0] | $3" <<<"$json" >/dev/null
}

# wait_vol GUEST VOLUME SECONDS CONDITION
wait_vol()
{
	wait_for "$3" "$1: volume $2: $4" vol_is "$1" "$2" "$4"
}

# in_sync VOLUME SECONDS GUEST...: every replica says that all are in sync.
in_sync()
{
	local volume=$1 seconds=$2 guest
	shift 2
	for guest; do
		wait_vol "$guest" "$volume" "$seconds" '.healthy and .up_to_date and ([.peers[].dirty_bytes] | add // 0) == 0'
	done
}

# relation GUEST VOLUME PEER FIELD
relation()
{
	vol "$1" "$2" ".peers[] | select(.node == \"$3\") | .$4"
}

# counter GUEST VOLUME NAME
counter()
{
	vol "$1" "$2" ".counters.$3"
}

# refused GUEST CODE COMMAND...: it must end with exactly this stable code; prints what it said.
refused()
{
	local guest=$1 code=$2 status=0 output
	shift 2
	output=$(try "$guest" "$*" 2>&1) || status=$?
	[ $status != 0 ] || fail "on $guest: '$*' was not refused: $output"
	[[ $output == *"($code)"* ]] || fail "on $guest: '$*': wanted code $code, status $status: $output"
}

# ends SECONDS GUEST COMMAND...: it returns by itself within that time, whatever its status
ends()
{
	local status=0 seconds=$1
	shift
	ON_TIMEOUT=$seconds try "$@" >"$WORK/out" 2>&1 || status=$?
	[ $status != 124 ] || fail "does not end in $seconds s: $*: $(cat "$WORK/out")"
	[ $status -lt 128 ] || fail "status $status: $*"
}

# data_area GUEST DISK: "OFFSET BYTES" of the data on a backing disk that is down.
data_area()
{
	on "$1" "braid meta dump --json /dev/$2" | jq -r '[.. | objects | select(has("data_offset_bytes"))][0] | "\(.data_offset_bytes) \(.volume_bytes)"'
}

# compare_files FILE OFFSET FILE OFFSET BYTES: fails the test with the first differences.
compare_files()
{
	local differing
	cmp -s -i "$2:$4" -n "$5" "$1" "$3" && return
	differing=$(cmp -l -i "$2:$4" -n "$5" "$1" "$3" | awk '{ b = int(($1 - 1) / 4096); if (!(b in s)) { s[b]; n++; if (n <= 8) l = l " " b } }
		END { print n " blocks of 4 KiB, first:" l }')
	fail "replicas differ in $differing ($1 $3)"
}

# same_replicas DISK GUEST...: their data areas are equal, byte for byte. No I/O may be under way; what the guests have
# not flushed yet is flushed first.
same_replicas()
{
	local disk=$1 first=$2 guest area other
	shift
	for guest; do
		on "$guest" "sync /dev/$disk"
	done
	area=($(data_area "$first" "$disk"))
	[ "${area[1]:-0}" -gt 0 ] || fail "no data area on $disk of $first"
	shift
	for guest; do
		other=($(data_area "$guest" "$disk"))
		expect "${area[1]}" "${other[1]}" "size of the volume on $guest"
		compare_files "$(disk_file "$first" "$disk")" "${area[0]}" "$(disk_file "$guest" "$disk")" \
			"${other[0]}" "${area[1]}"
	done
	step "replicas on $disk of $first $* are identical (${area[1]} bytes)"
}

# back GUEST: power on again, volumes up as its unit would do it.
back()
{
	boot "$1"
	mount_state "$1"
	on "$1" 'braid up --all'
}

node_down()
{
	on "$1" 'braid down --all && braid node stop && modprobe -r braid && [ ! -e /sys/module/braid ] && umount /var/lib/braid'
}

# cluster_down GUEST...: everything down, the module gone: nothing is leaked.
cluster_down()
{
	together "$@" -- node_down
	step "all down, modules unloaded"
}

# stamps GUEST DEVICE BYTES SECONDS THREADS [durable]: start stamped writes in the background, set JOB. Stamps grow from run to run.
STAMP_BASE=1
stamps()
{
	run_bg "$1" "exec stamp write $2 0 $3 $SEED$STAMP_BASE ${STAMP_BASE}000000000 $4 $5 128 ${6-}"
	STAMP_BASE=$((STAMP_BASE + 1))
}

# stamps_of JOB: what it has printed so far, whether it ended or not.
stamps_of()
{
	"$LAB" wait "$LAB_NAME" "$1" --timeout 0 || true
}

# at_least JOB COUNT: has the job acknowledged that many writes?
at_least()
{
	[ "$(stamps_of "$1" | wc -l)" -ge "$2" ]
}

# keep_stamps JOB NAME: add its acknowledgements to the list NAME.
keep_stamps()
{
	stamps_of "$1" >>"$WORK/$2"
}

# check_stamps GUEST DEVICE BYTES NAME: every acknowledged write of the list NAME is there.
check_stamps()
{
	local said
	said=$(try "$1" "stamp verify $2 0 $3 <$WORK/$4" 2>&1) || fail "$1: $2: $said"
	echo "$said"
}

# fio_pass_options DEVICE NUMBER: pass after pass over ten windows of 8 MiB, mixed sizes, each with its own data.
fio_pass_options()
{
	echo "--name=pass --filename=$1 --direct=1 --ioengine=libaio --iodepth=8 --rw=randwrite --bsrange=4k-128k" \
		"--blockalign=4k --offset=$(($2 % ${FIO_WINDOWS:-10} * 8))M --size=8M --randseed=$((SEED + $2)) --verify=crc32c" \
		"--verify_fatal=1 --end_fsync=1 --output-format=terse ${FIO_MORE-}"
}

# fio_passes GUEST DEVICE FIRST [COUNT]: write and verify pass after pass in the background, set JOB; "pass N" for each that is done.
fio_passes()
{
	local pass script=''
	for ((pass = $3; pass < $3 + ${4:-400}; pass++)); do
		script+="$(fio_pass_options "$2" $pass)"$'\n'
	done
	printf '%s' "$script" >"$WORK/fio-$3"
	run_bg "$1" "rm -f /tmp/fio-stop; pass=$3; while [ ! -e /tmp/fio-stop ] && read -r options; do fio --do_verify=1 \$options >/tmp/fio.out 2>&1 ||
		{ cat /tmp/fio.out; exit 1; }; echo pass \$pass; pass=\$((pass + 1)); done <$WORK/fio-$3"
}

# fio_stop GUEST JOB: let it end after the present pass; all that it did must have verified.
fio_stop()
{
	on "$1" 'touch /tmp/fio-stop'
	wait_bg "$2" 60 >"$WORK/fio.out" || { tail -n 5 "$WORK/fio.out"; fail "fio on $1"; }
}

# last_pass JOB: number of the last pass that is done, empty if none.
last_pass()
{
	stamps_of "$1" | sed -n 's/^pass //p' | tail -n 1
}

# fio_check GUEST DEVICE FIRST LAST [BROKEN]: verify what these passes left, but for the window of the pass that was broken off.
fio_check()
{
	local pass checked=0
	for ((pass = $4; pass >= $3 && pass > $4 - ${FIO_WINDOWS:-10}; pass--)); do
		[ -n "${5-}" ] && [ $((pass % ${FIO_WINDOWS:-10})) = $(($5 % ${FIO_WINDOWS:-10})) ] && continue
		on "$1" "fio --verify_only $(fio_pass_options "$2" $pass) >/tmp/fio.out 2>&1 || { cat /tmp/fio.out; exit 1; }"
		checked=$((checked + 1))
	done
	[ $checked -gt 0 ] || fail "no pass of fio to verify"
	step "fio on $1: $checked windows of 8 MiB verified, passes up to $4"
}
