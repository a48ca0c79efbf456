#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: disks of 512 and of 4096 bytes a block in one volume, where the volume allows it; refused where it does not; resync beside discards that only one disk knows; a filesystem of 512 adopted [W4] [W8] [M]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 48M,16M
# Deadline: 240

. "$(dirname "$0")/cluster.sh"

AREA=25161728	# 24 MiB less 4 KiB
RUN=0

# large GUEST: /dev/nullb1, 48 MiB in memory with blocks of 4096 bytes.
large()
{
	on "$1" 'modprobe null_blk nr_devices=0
		mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
		disk=/sys/kernel/config/nullb/nullb1; mkdir $disk; echo 1 >$disk/memory_backed; echo 4096 >$disk/blocksize
		echo 48 >$disk/size; echo 1 >$disk/power; blockdev --getss /dev/nullb1'
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
	here=$(data_sum alpha "$1")
	there=$(data_sum beta "$2")
	expect "$here" "$there" "content of $2 on beta"
}

block_bytes()
{
	vol "$1" "$2" .block_bytes
	on "$1" "blockdev --getss /dev/braid/$2"
}

# odd_run: requests of odd shape on alpha's device; leaves in SUM what the area holds.
odd_run()
{
	RUN=$((RUN + 1))
	SUM=$(on alpha "odd run /dev/braid/web $AREA $SEED$RUN 40 3 ${SUM-}") || fail "$SUM"
	SUM=${SUM#sum }
}

empty()
{
	on beta 'cmp -n 1048576 /dev/nullb1 /dev/zero'
}

make_tool odd
cluster_up alpha beta
on_all "cp $REPO/build/vm/odd /run/bin/"
expect 4096 "$(large beta)" "blocks of the large disk"

step "a volume of 512 bytes a block"
on alpha 'braid create small /dev/vdb && braid promote small'
expect 512 "$(block_bytes alpha small | uniq)" "blocks"
refused beta block-size 'braid replicate small /dev/nullb1'
refused beta block-size 'braid create other /dev/nullb1 --block-size 512'
empty
on alpha 'dd if=/dev/urandom of=/dev/braid/small bs=512 count=3 seek=5 oflag=direct status=none
	braid demote small && braid down small'

step "its disk is copied to one of larger blocks"
expect 4096 "$(large alpha)" "blocks of the large disk"
on alpha 'dd if=/dev/vdb of=/dev/nullb1 bs=1M oflag=direct status=none; cp /var/lib/braid/node /tmp/node
	sed -i s,/dev/vdb,/dev/nullb1, /var/lib/braid/node'
refused alpha block-size 'braid up small'
on alpha 'cmp /dev/vdb /dev/nullb1 && cp /tmp/node /var/lib/braid/node && rmdir /sys/kernel/config/nullb/nullb1
	id=$(braid meta dump --json /dev/vdb | jq -r .volume_id); braid up small && braid down small && braid delete small --id $id
	blkdiscard -f /dev/vdb; sync /dev/vdb'

step "a volume of 4096, on a disk of 512 and on one of 4096"
on alpha 'braid create web /dev/vdb --block-size 4096'
on beta 'braid replicate web /dev/nullb1'
in_sync web 30 alpha beta
on alpha 'braid promote web'
expect 4096 "$(block_bytes alpha web | uniq)" "blocks"
! try alpha 'dd if=/dev/zero of=/dev/braid/web bs=512 count=1 seek=1 oflag=direct status=none' 2>/dev/null ||
	fail "a write of 512 bytes was taken"
odd_run
in_sync web 10 alpha beta
same_data vdb nullb1

step "a resync beside writes, discards and zeroes; one of the disks knows no discards"
link beta down
odd_run
link beta up
odd_run
in_sync web 30 alpha beta
same_data vdb nullb1

step "roles swapped"
on alpha 'braid demote web'
on beta 'braid promote web'
expect 4096 "$(block_bytes beta web | uniq)" "blocks"
expect "$SUM" "$(on beta "odd sum /dev/braid/web $AREA $SEED" | sed 's/^sum //')" "content on beta"
on beta 'mkfs.ext4 -q /dev/braid/web && mount /dev/braid/web /mnt && cp /bin/bash /mnt && umount /mnt'
in_sync web 10 alpha beta
same_data vdb nullb1
on beta 'braid demote web'

step "a filesystem with blocks smaller than 4096 is adopted"
on_all 'id=$(braid status --json web | jq -r ".volumes[0].id"); braid down web && braid delete web --id $id'
on alpha 'modprobe brd rd_nr=1 rd_size=32768; wipefs -qa /dev/vdb; mkfs.ext4 -q -b 1024 /dev/vdb 32768 && mount /dev/vdb /mnt && cp /bin/bash /mnt && umount /mnt
	braid create home /dev/vdb --meta /dev/ram0 --size 40M && braid promote home'
expect 512 "$(block_bytes alpha home | uniq)" "blocks"
on alpha 'mount /dev/braid/home /mnt && cmp /bin/bash /mnt/bash && umount /mnt && braid demote home'
refused beta block-size 'braid replicate home /dev/nullb1 --force-overwrite /dev/nullb1'
cluster_down alpha beta
