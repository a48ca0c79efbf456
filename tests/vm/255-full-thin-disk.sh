#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: a thin disk runs full under a replica, at a secondary and at the primary: writes go on without it, nothing hangs, it returns when there is room [W4] [R2]
# Kernels: 6.12
# Guests: 2
# Disks: durable 48M,16M
# Deadline: 300

. "$(dirname "$0")/cluster.sh"

# The pool's data: that many sectors of vdb at first, the other number later. The thin disk has more than either.
SMALL=24576
LARGE=90112

# pool VERB SECTORS [error_if_no_space]: data of the pool; without the last word requests are queued, for 4 seconds.
pool()
{
	on beta "dmsetup $1 data --table '0 $2 linear /dev/vdb 8192' && dmsetup $1 pool --table '0 $2 thin-pool $META $DATA 128 0 ${3:+1 $3}'
		[ $1 = create ] || dmsetup resume data pool"
}

mapped()
{
	on beta "echo /dev/\$(dmsetup info -c --noheadings -o blkdevname $1)"
}

# fill GUEST FROM TO: random content between two MiB; every write has to succeed.
fill()
{
	ON_TIMEOUT=60 on "$1" "dd if=/dev/urandom of=/dev/braid/web bs=256k count=$((($3 - $2) * 4)) seek=$(($2 * 4)) oflag=direct conv=notrunc,fsync status=none"
}

# data_sum GUEST DISK: of the data area of a replica that is quiet, as the disk has it: braid writes past the page cache.
data_sum()
{
	local area
	area=($(data_area "$1" "$2"))
	on "$1" "blockdev --flushbufs /dev/$2; tail -c +$((area[0] + 1)) /dev/$2 | head -c ${area[1]} | sha256sum"
}

same_data()
{
	local here there
	here=$(data_sum alpha vdb)
	there=$(data_sum beta "${THIN#/dev/}")
	expect "$here" "$there" "content on beta"
}

# given_up: beta's disk is, and who writes says so, too.
given_up()
{
	wait_vol beta web 20 '.disk == "failed"'
	wait_vol alpha web 20 '.peers[0].state != "in-sync"'
}

# room SECTORS: from now on, and beta's volume has its disk back.
room()
{
	on beta 'braid down web'
	pool reload "$1" "${2-}"
	on beta 'braid up web'
	in_sync web 60 alpha beta
	same_data
}

cluster_up alpha beta
on beta 'modprobe dm_thin_pool no_space_timeout=4
	dmsetup create meta --table "0 8192 linear /dev/vdb 0"; dmsetup create data --table "0 1 zero"'
META=$(mapped meta)
DATA=$(mapped data)
on beta 'dmsetup remove data'
pool create $SMALL
on beta "dmsetup message pool 0 'create_thin 0' && dmsetup create thin --table \"0 81920 thin \$(dmsetup info -c --noheadings -o blkdevname pool | sed s,^,/dev/,) 0\""
THIN=$(mapped thin)
on alpha 'braid create web /dev/vdb --size 38M'
on beta "braid replicate web $THIN"
in_sync web 60 alpha beta
on alpha 'braid promote web'
fill alpha 0 4
in_sync web 10 alpha beta

step "full at the secondary; requests are queued for a while, then fail"
fill alpha 4 20
given_up
fill alpha 20 24
room 53248 error_if_no_space

step "full at the secondary; requests fail at once"
fill alpha 24 30
given_up
room 65536 error_if_no_space

step "full at the primary: it goes on without a disk"
on alpha 'braid demote web'
on beta 'braid promote web'
fill beta 27 37
wait_vol beta web 20 '.disk == "failed" and .role == "primary"'
fill beta 0 2
on beta 'braid demote web'
room $LARGE error_if_no_space
on beta 'braid promote web'
fill beta 0 2
in_sync web 10 alpha beta
on beta 'braid demote web'
same_data
on_all 'braid down web'
on beta 'dmsetup remove thin && dmsetup remove pool && dmsetup remove data && dmsetup remove meta'
cluster_down alpha beta
