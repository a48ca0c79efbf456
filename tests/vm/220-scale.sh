#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: a volume of 1 PiB: a replica of it that was never written joins at once; attach, memory and resync follow what is dirty, not the size [R4] [D2] [D3] [D4]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 16M
# Mem: 768
# Deadline: 240

. "$(dirname "$0")/cluster.sh"

DISK=nullb0
# Of memory, so that only what was written takes room. In front of the data there are 2.1 GiB of metadata.
DISK_MIB=$(((1 << 30) + 4096))
GRANULES=1024	# of 1 MiB, scattered over the volume: 1 GiB is dirty
CLEAN_KIB_MAX=$((16 << 10))
SCATTERED_KIB_MAX=$((64 << 10))
# Wanted is 1 s; an emulated processor that is shared may take longer.
ATTACH_MS_MAX=3000

sparse_disk()
{
	on "$1" "modprobe null_blk nr_devices=0
		mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
		disk=/sys/kernel/config/nullb/$DISK; mkdir \$disk; echo 1 >\$disk/memory_backed
		echo $DISK_MIB >\$disk/size; echo 4096 >\$disk/blocksize; echo 1 >\$disk/power"
}

no_disk()
{
	on "$1" "rmdir /sys/kernel/config/nullb/$DISK && modprobe -r null_blk"
}

# used_kib GUEST: memory that is not free while the caches are empty. Pages on per-CPU lists are free, too.
used_kib()
{
	on "$1" 'for i in 1 2; do sync; echo 3 >/proc/sys/vm/drop_caches; sleep 0.2; done
		cat /proc/sys/vm/stat_refresh
		awk "/^MemTotal:/ { used += \$2 } /^MemFree:/ { used -= \$2 } /^ *count:/ { used -= 4 * \$2 } END { print used }" \
			/proc/meminfo /proc/zoneinfo'
}

# attach GUEST: `braid up big`; READS and READ_BYTES, WRITES: what it did to the disk. Prints the time.
attach()
{
	local field half
	field=($(on "$1" "cat /sys/block/$DISK/stat; date +%s%N; braid up big >/dev/null || exit 1; date +%s%N
		cat /sys/block/$DISK/stat"))
	half=$((${#field[@]} / 2))
	READS=$((field[half + 1] - field[0]))
	READ_BYTES=$(((field[half + 3] - field[2]) * 512))
	WRITES=$((field[half + 5] - field[4]))
	ATTACH_MS=$(((field[half] - field[half - 1]) / 1000000))
	step "$1: attach took $ATTACH_MS ms, $READS reads of $READ_BYTES bytes, $WRITES writes"
	[ $ATTACH_MS -le $ATTACH_MS_MAX ] || fail "attach took $ATTACH_MS ms, limit $ATTACH_MS_MAX ms"
}

# attach_reads_at_most BLOCKS
attach_reads_at_most()
{
	[ $READ_BYTES -le $(($1 * 4096)) ] || fail "attach read $READ_BYTES bytes, wanted at most $1 blocks"
	[ $WRITES -le 32 ] || fail "attach wrote $WRITES times"
}

# at_most MAX KIB WHAT
at_most()
{
	step "$3: $2 KiB"
	[ "$2" -gt 256 ] || fail "$3: $2 KiB cannot be, it was not measured"
	[ "$2" -le "$1" ] || fail "$3: $2 KiB, limit $1 KiB"
}

step "1 PiB on two nodes"
cluster_up alpha beta
together alpha beta -- sparse_disk
on alpha "braid create --blank --size 1P big /dev/$DISK"
on beta "braid replicate --blank big /dev/$DISK"
expect "$((1 << 50)) 1048576" "$(vol alpha big '"\(.bytes) \(.granule_bytes)"')" "volume and granule"
in_sync big 15 alpha beta
expect "0 0" "$(vol alpha big '"\(.counters.resync_sent_bytes) \(.counters.resync_equal_bytes)"')" "bytes sent and compared [R4]"
on beta 'braid meta dump --json /dev/nullb0' | jq -e '.blank and .chain[1].members == [0, 1]' >/dev/null || fail "it does not say that it is blank"

step "clean"
on alpha 'braid down big'
down_kib=$(used_kib alpha)
attach alpha
attach_reads_at_most 64
at_most $CLEAN_KIB_MAX $(($(used_kib alpha) - down_kib)) "memory of a clean volume"
in_sync big 15 alpha beta

step "$GRANULES granules scattered"
on alpha 'braid promote big'
wait_vol beta big 5 '.primary == "alpha"'
on beta 'braid down big'
on alpha "fio --name=scatter --filename=/dev/braid/big --size=1P --rw=randwrite --norandommap --random_generator=tausworthe64 \
	--bs=4k --number_ios=$GRANULES --direct=1 --ioengine=libaio --iodepth=32 --randseed=$SEED --output-format=terse >/tmp/fio.out 2>&1 ||
	{ cat /tmp/fio.out; exit 1; }
	braid demote big"
dirty=$(relation alpha big beta dirty_bytes)
step "dirty: $((dirty >> 20)) MiB"
[ "$dirty" -le $((GRANULES << 20)) ] && [ "$dirty" -ge $((GRANULES - 8 << 20)) ] || fail "$dirty bytes are dirty"
on alpha 'braid down big'
down_kib=$(used_kib alpha)
attach alpha
attach_reads_at_most $((64 + GRANULES))
[ $READ_BYTES -ge $(((GRANULES - 64) * 4096)) ] || fail "attach read $READ_BYTES bytes: the pages of the map were not read"
expect "$dirty" "$(relation alpha big beta dirty_bytes)" "dirty after attach"
at_most $SCATTERED_KIB_MAX $(($(used_kib alpha) - down_kib)) "memory with 1 GiB scattered dirty"

step "resync of what is dirty"
on beta 'braid up big'
in_sync big 60 alpha beta
step "$(vol alpha big '"compared equal \(.counters.resync_equal_bytes), sent \(.counters.resync_sent_bytes) bytes"')"
[ "$(counter alpha big resync_equal_bytes)" -le $((2 * dirty)) ] || fail "more was compared than was dirty"
expect $((GRANULES * 4096)) "$(counter alpha big resync_sent_bytes)" "bytes sent"

step "down"
up_kib=$(used_kib alpha)
cluster_down alpha beta
at_most $CLEAN_KIB_MAX $((up_kib - $(used_kib alpha))) "memory of the module, its node and the volume"
together alpha beta -- no_disk
