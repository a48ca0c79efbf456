#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: disks that fail under a replica: the primary's, a secondary's, the metadata alone; bad blocks, silent intervals; nothing acknowledged is lost [W4] [W7] [L1] [L3]
# Deadline: 900

. "$(dirname "$0")/lib.sh"

export DM_DISABLE_UDEV=1
# table NUMBER TARGET...: the disk of that node now is that target over its null_blk disk
table()
{
	local n=$1 sectors
	sectors=$(blockdev --getsz /dev/nullb$n)
	shift
	if [ ! -e /dev/mapper/d$n ]; then
		dmsetup create d$n --noudevsync --table "0 $sectors $*"
	else
		dmsetup load d$n --table "0 $sectors $*"
		dmsetup suspend --noflush --nolockfs d$n
		dmsetup resume --noudevsync d$n
	fi
}

# good NUMBER
good() { table $1 linear /dev/nullb$1 0; }

# again NUMBER: the disk works, the volume is attached anew
again()
{
	good $1
	in_node $1 braid down web
	in_node $1 braid up web
}

for n in 1 2 3; do
	declare DISK_$n=/dev/mapper/d$n
done
three_nodes 48 1ms
for n in 1 2 3; do
	good $n
done
volume_up 1 2 3
in_sync 1 2 3
promote 1
stamped 1 2 /tmp/list

step "every write to the primary's disk fails under load: it goes on with its peers' disks"
stamped 1 10 /tmp/list &
sleep 2
table 1 error
wait
until_status 1 5 '.disk == "failed"'
verified 1 /tmp/list
stamped 1 2 /tmp/list
in_node 1 braid demote web
promote 2
verified 2 /tmp/list
again 1
in_sync 1 2 3
in_node 2 braid demote web
identical 1 2 3

step "a secondary's disk fails under load"
promote 1
stamped 1 10 /tmp/list &
sleep 2
table 3 error
wait
until_status 3 5 '.disk == "failed"'
until_status 1 5 '[.peers[] | select(.node == "n2")][0].state == "in-sync"'
verified 1 /tmp/list
again 3
in_sync 1 2 3
in_node 1 braid demote web
identical 1 2 3

step "writes fail, reads do not (flakey, error_writes); on the secondary, then on the primary"
promote 1
for n in 2 1; do
	stamped 1 8 /tmp/list &
	sleep 1
	table $n flakey /dev/nullb$n 0 0 60 1 error_writes
	wait
	verified 1 /tmp/list
	until_status $n 5 '.disk == "failed"'
	if [ $n = 1 ]; then
		in_node 1 braid demote web
	fi
	again $n
	in_sync 1 2 3
	[ $n = 1 ] || verified 1 /tmp/list
done
promote 1
verified 1 /tmp/list

step "bad blocks below a read (dust): answered from a peer and repaired [W7]"
table 1 dust /dev/nullb1 0 4096
offset=$(in_node 1 braid status web --json >/dev/null; braid meta dump --json /dev/mapper/d1 | jq '[.. | objects | .data_offset_bytes // empty][0]')
for block in 0 3 64 65 66 2000 4000; do
	dmsetup message d1 0 addbadblock $((offset / 4096 + block))
done
dmsetup message d1 0 enable
verified 1 /tmp/list
dd if=/tmp/n1/dev/web of=/dev/null bs=1M iflag=direct status=none
until_status 1 5 '.disk != "failed"'
[[ $(dmsetup message d1 0 countbadblocks) == *" 0 "* ]] || step "left: $(dmsetup message d1 0 countbadblocks)"
good 1

step "the metadata disk alone fails"
in_node 3 braid down web
stamped 1 1 /tmp/list	# takes the third out of the in-sync set, so that it can be forgotten
id=$(in_node 1 braid status web --json | jq -r '.volumes[0].id')
in_node 1 braid forget web n3 --id $id
in_node 3 braid delete web --id $id
truncate -s 16M /tmp/meta
loop=$(losetup -f --show /tmp/meta)
sectors=$(blockdev --getsz $loop)
dmsetup create m3 --noudevsync --table "0 $sectors linear $loop 0"
wipefs -qa /dev/mapper/d3 || true
in_node 3 braid replicate web /dev/mapper/d3 --meta /dev/mapper/m3
in_sync 1 2 3
stamped 1 10 /tmp/list &
sleep 2
dmsetup load m3 --table "0 $sectors error"
dmsetup suspend --noflush --nolockfs m3
dmsetup resume --noudevsync m3
wait
stamped 1 2 /tmp/list
until_status 3 10 '.disk == "failed"'
verified 1 /tmp/list
dmsetup load m3 --table "0 $sectors linear $loop 0"
dmsetup suspend --noflush --nolockfs m3
dmsetup resume --noudevsync m3
in_node 3 braid down web
in_node 3 braid up web
in_sync 1 2 3
in_node 1 braid demote web

step "a disk that stalls: the peer is left, and comes back"
promote 1
stamped 1 90 /tmp/list &
sleep 1
dmsetup suspend --noflush --nolockfs d2
sleep 60
dmsetup resume --noudevsync d2
wait
in_sync 1 2 3
verified 1 /tmp/list
in_node 1 braid demote web
identical 1 2

for n in 1 2 3; do
	in_node $n braid down web
done
dmsetup remove_all
losetup -d $loop
all_down 1 2 3
