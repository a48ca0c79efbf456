#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: 1,000 volumes of 16 MiB on two nodes: one session, all in sync, memory of each [N1]
# Kernels: 6.12
# Guests: 2
# Disks: durable 32M
# Mem: 3072
# Long: yes
# Deadline: 2400

. "$(dirname "$0")/cluster.sh"

VOLUMES=${VOLUMES:-1000}
# Slices of 18 MiB, one of them for the metadata, on disks of memory.
PER_DISK=250
SLICE_MIB=18
VOLUME_KIB_MAX=128
FRAMES_MAX=32
ON_TIMEOUT=600

# /dev/slice-1 to -$VOLUMES: partitions that only the kernel knows about (BLKPG of linux/blkpg.h).
slices()
{
	on "$1" "modprobe null_blk nr_devices=0
		mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
		for disk in \$(seq 0 $(((VOLUMES - 1) / PER_DISK))); do
			new=/sys/kernel/config/nullb/nullb\$disk; mkdir \$new; echo 1 >\$new/memory_backed
			echo $((PER_DISK * SLICE_MIB)) >\$new/size; echo 1 >\$new/power
		done
		python3 -SE - <<'END'
import ctypes, fcntl, os, struct
for slice in range($VOLUMES):
    disk, number = divmod(slice, $PER_DISK)
    fd = os.open('/dev/nullb%d' % disk, os.O_RDONLY)
    part = ctypes.create_string_buffer(struct.pack('qqi132x', number * $SLICE_MIB << 20, $SLICE_MIB << 20, number + 1))
    fcntl.ioctl(fd, 0x1269, struct.pack('iiiP', 1, 0, len(part), ctypes.addressof(part)))
    os.close(fd)
    os.symlink('nullb%dp%d' % (disk, number + 1), '/dev/slice-%d' % (slice + 1))
END"
}

no_slices()
{
	on "$1" 'rm /dev/slice-*; rmdir /sys/kernel/config/nullb/nullb*; modprobe -r null_blk'
}

# used_kib GUEST: memory that is not free while the caches are empty. Pages on per-CPU lists are free, too.
used_kib()
{
	on "$1" 'for i in 1 2; do sync; echo 3 >/proc/sys/vm/drop_caches; sleep 0.2; done
		cat /proc/sys/vm/stat_refresh
		awk "/^MemTotal:/ { used += \$2 } /^MemFree:/ { used -= \$2 } /^ *count:/ { used -= 4 * \$2 } END { print used }" \
			/proc/meminfo /proc/zoneinfo'
}

# took WHAT COMMAND...: run it, print how long it took.
took()
{
	local what=$1 begun
	begun=$(now_ms)
	shift
	"$@"
	step "$what: $(($(now_ms) - begun)) ms"
}

# each_slice VERB GUEST: braid VERB vN SLICE-N, one after the other; prints the time of each quarter.
each_slice()
{
	on "$2" "begun=\$(date +%s%3N)
		for i in \$(seq $VOLUMES); do
			braid $1 \$([ $1 = create ] && echo --size 16M) v\$i /dev/slice-\$i >/dev/null || exit 1
			[ \$((i % ($VOLUMES / 4))) != 0 ] || echo $1: \$i after \$((\$(date +%s%3N) - begun)) ms
		done"
}

up_all()
{
	on "$1" 'braid up --all'
}

all_in_sync()
{
	local json
	json=$(try "$1" 'braid status --json')
	jq -c '[.volumes | length, (.[] | select(.healthy and .up_to_date | not) | .name)] | .[:8]' <<<"$json"
	jq -e "(.volumes | length) == $VOLUMES and ([.volumes[] | .healthy and .up_to_date] | all)" <<<"$json" >/dev/null
}

both_in_sync()
{
	wait_for 120 "volumes are in sync on alpha" all_in_sync alpha
	wait_for 120 "volumes are in sync on beta" all_in_sync beta
}

each_in_turn()
{
	case $1 in
	alpha) each_slice create alpha ;;
	beta) each_slice replicate beta ;;
	esac
}

# sessions GUEST: "CONNECTIONS RECONNECTS FRAMES" with the peer.
sessions()
{
	echo "$(on "$1" 'ss -Htn state established | grep -c ":7790\b"')" \
		"$(on "$1" 'braid node show --json' | jq -r '.peers[0] | "\(.reconnects) \(.sent_frames)"')"
}

cluster_up alpha beta
before=($(sessions alpha))
expect 3 "${before[0]}" "connections: a control lane and two data lanes"
took "slices" together alpha beta -- slices
took "create on alpha, replicate on beta" together alpha beta -- each_in_turn
took "in sync after that" both_in_sync
took "status of all" on alpha 'braid status >/dev/null'
took "down --all on alpha" on alpha 'braid down --all'
took "down --all on beta" on beta 'braid down --all'
down_kib=$(used_kib alpha)
down=($(sessions alpha))

begun=$(now_ms)
took "up --all on both" together alpha beta -- up_all
took "in sync after that" both_in_sync
step "up and in sync: $(($(now_ms) - begun)) ms"
volume_kib=$((($(used_kib alpha) - down_kib) / VOLUMES))
up=($(sessions alpha))
frames=$(((up[2] - down[2]) / VOLUMES))
step "for each volume: $volume_kib KiB of memory, $frames frames to begin"
expect "${before[0]} ${before[1]}" "${up[0]} ${up[1]}" "connections and reconnects with $VOLUMES volumes"
cluster_down alpha beta
together alpha beta -- no_slices
[ $frames -le $FRAMES_MAX ] || fail "$frames frames for each volume, limit $FRAMES_MAX"
[ $volume_kib -ge 16 ] || fail "$volume_kib KiB for each volume cannot be, it was not measured"
[ $volume_kib -le $VOLUME_KIB_MAX ] || fail "$volume_kib KiB of memory for each volume, limit $VOLUME_KIB_MAX KiB"
