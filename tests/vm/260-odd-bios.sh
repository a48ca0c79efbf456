#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: requests of odd vectors, sizes and places, split and cloned in the middle of them, and writers that change their memory: content is right, replicas are the same [W2] [W8] [R1]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 48M,16M
# Cpus: 2
# Deadline: 300
#
# REQUESTS (80): of each of three threads, in each of the runs

. "$(dirname "$0")/cluster.sh"

REQUESTS=${REQUESTS:-80}
AREA=25161728	# 24 MiB less 4 KiB
RUN=0

# odd_run DEVICE BYTES [SUM]: on alpha; leaves in SUM what the area holds.
odd_run()
{
	RUN=$((RUN + 1))
	SUM=$(on alpha "odd run $1 $2 $SEED$RUN $REQUESTS 3 ${3-}") || fail "$SUM"
	SUM=${SUM#sum }
	[[ $SUM =~ ^[0-9a-f]+$ ]] || fail "odd says: $SUM"
	step "run $RUN on $1: right"
}

odd_sum()
{
	on "$1" "odd sum /dev/braid/web $AREA $SEED" | sed 's/^sum //'
}

reconnects()
{
	on alpha 'braid node show --json' | jq '.peers[0].reconnects'
}

# mapped NAME TABLE: a device made of others, on alpha; prints its path.
mapped()
{
	on alpha "dmsetup create $1 --table \"$2\" && echo /dev/\$(dmsetup info -c --noheadings -o blkdevname $1)"
}

make_tool odd
cluster_up alpha beta
on_all "cp $REPO/build/vm/odd /run/bin/"
on alpha 'modprobe dm_mod'
under=$(mapped under "0 \$(blockdev --getsz /dev/vdb) linear /dev/vdb 0")
on alpha "braid create web $under"
on beta 'braid replicate web /dev/vdb'
in_sync web 30 alpha beta
on alpha 'braid promote web'

step "as they are"
odd_run /dev/braid/web $AREA
odd_run /dev/braid/web $AREA "$SUM"
same_replicas vdb alpha beta

step "bios that were cloned, and begin in the middle of a vector"
odd_run "$(mapped moved '0 50003 linear /dev/braid/web 3')" $AREA
on alpha 'dmsetup remove moved'
odd_run "$(mapped striped '0 49994 striped 2 7 /dev/braid/web 5 /dev/braid/web 25013')" $AREA
on alpha 'dmsetup remove striped'
same_replicas vdb alpha beta

step "while the peer is away, and a resync of what it missed beside more of it"
link beta down
SUM=$(odd_sum alpha)
odd_run /dev/braid/web $AREA "$SUM"
link beta up
odd_run /dev/braid/web $AREA "$SUM"
in_sync web 30 alpha beta
same_replicas vdb alpha beta
expect "$SUM" "$(odd_sum alpha)" "content after the resync"

step "writers that change their memory while it is written"
before=$(reconnects)
on alpha "odd restless /dev/braid/web $AREA $SEED $((REQUESTS * 3))"
in_sync web 10 alpha beta
same_replicas vdb alpha beta
# What was sent would not be what its checksum covers, and the resync after that would hide it.
expect "$before" "$(reconnects)" "reconnects beside writers that change their memory"

# under_table GUEST LINES: what the device below its volume is made of from now on; SIZE there is its size in sectors.
under_table()
{
	on "$1" "SIZE=\$(blockdev --getsz /dev/vdb); echo \"$2\" | dmsetup load under &&
		dmsetup suspend --nolockfs --noflush under && dmsetup resume under"
}

HEALTHY='0 $SIZE linear /dev/vdb 0'
# One block of 4 KiB at 9 MiB of the volume.
HOLE='0 20480 linear /dev/vdb 0
20480 8 error
20488 $((SIZE - 20488)) linear /dev/vdb 20488'

step "a part of a split read fails everywhere, the others do not"
on beta 'braid down web && dmsetup create under --table "0 $(blockdev --getsz /dev/vdb) linear /dev/vdb 0" &&
	sed -i s,/dev/vdb,/dev/$(dmsetup info -c --noheadings -o blkdevname under), /var/lib/braid/node && braid up web'
in_sync web 30 alpha beta
expect 1048576 "$(data_area alpha vdb | cut -d ' ' -f 1)" "offset of the data"
read_hole='dd if=/dev/braid/web of=/dev/null bs=1M count=1 skip=9M iflag=direct,skip_bytes status=none'
on alpha 'echo 256 >/sys/block/$(basename $(readlink -f /dev/braid/web))/queue/max_sectors_kb'
under_table beta "$HOLE"
under_table alpha "$HOLE"
! try alpha "$read_hole" 2>/dev/null || fail "a read succeeds though nobody could read its first part"
under_table alpha "$HEALTHY"
under_table beta "$HEALTHY"
in_sync web 10 alpha beta

# All of it but the chunk with the bad block gets there, in one session; the rest when the block is good again [R5].
step "a resync whose source has a bad block"
link beta down
wait_vol alpha web 15 '.peers[0].connected | not'
on alpha 'dd if=/dev/urandom of=/dev/braid/web bs=1M count=4 seek=7 oflag=direct conv=notrunc status=none'
under_table alpha "$HOLE"
link beta up
wait_vol alpha web 30 '.peers[0].dirty_bytes > 0 and .peers[0].dirty_bytes <= 131072'
before=$(reconnects)
expect target "$(vol alpha web '.peers[0].state')" "beta's state"
on alpha 'dd if=/dev/urandom of=/dev/braid/web bs=4k count=1 oflag=direct conv=notrunc status=none'
under_table alpha "$HEALTHY"
in_sync web 40 alpha beta
expect "$before" "$(reconnects)" "reconnects beside a bad block"
same_replicas vdb alpha beta

step "the middle part of a split request fails, and nobody else has it"
link beta down
odd_run /dev/braid/web $AREA
expect 1048576 "$(data_area alpha vdb | cut -d ' ' -f 1)" "offset of the data"
under_table alpha "$HOLE"
! try alpha 'dd if=/dev/zero of=/dev/braid/web bs=3M count=1 seek=8M oflag=direct,seek_bytes conv=notrunc status=none' 2>/dev/null ||
	fail "a write of 3 MiB succeeds though the disk failed its middle"
wait_vol alpha web 10 '.disk != "ok"'
under_table alpha "$HEALTHY"
on alpha 'braid down web --force && braid up web'	# a writer that nobody can vouch for is not demoted
link beta up
in_sync web 30 alpha beta
on alpha 'braid promote web'
same_replicas vdb alpha beta

step "the same, and the peer has it"
SUM=$(odd_sum alpha)
under_table alpha "$HOLE"
# Not zeroes: these may be there already, by the runs' own and by the write above.
on alpha "tr '\\0' '\\377' </dev/zero | dd of=/dev/braid/web bs=3M count=1 iflag=fullblock seek=8M oflag=direct,seek_bytes conv=notrunc status=none"
wait_vol alpha web 10 '.disk != "ok"'
[ "$(odd_sum alpha)" != "$SUM" ] || fail "the write is not there"

step "without a disk of its own: all of it through the peer"
odd_run /dev/braid/web $AREA
[ "$(counter alpha web remote_reads)" -gt 0 ] || fail "nothing was read from the peer"
on alpha 'braid demote web'
on beta 'braid promote web'
expect "$SUM" "$(odd_sum beta)" "content at the peer"
on beta 'braid demote web'
on_all 'braid down web'
on_all 'dmsetup remove under'
cluster_down alpha beta
