#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: two nodes, one volume: written on one side, read on the other, replicas equal [C2] [W4]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 128M,64M,16M
# Deadline: 300

. "$(dirname "$0")/cluster.sh"

step "cluster by token"
cluster_up alpha beta

step "volume on both"
volume web vdb alpha beta
in_sync web 30 alpha beta
expect "secondary secondary" "$(vol alpha web .role) $(vol beta web .role)" "roles"
[ "$(counter alpha web resync_sent_bytes)" = 0 ] || fail "the first sync of an empty volume sent data [R4]"

step "a secondary is not writable"
! try beta 'dd if=/dev/zero of=/dev/braid/web bs=4k count=1 oflag=direct status=none' 2>/dev/null ||
	fail "a secondary was written to [I20]"

step "write on alpha"
on alpha 'braid promote web && test -b /dev/braid/web'
wait_vol beta web 5 '.primary == "alpha"'
on alpha 'dd if=/dev/urandom of=/dev/braid/web bs=1M count=16 oflag=direct status=none
	yes small | dd of=/dev/braid/web bs=4k count=3 seek=5000 iflag=fullblock oflag=direct conv=notrunc,fsync status=none'
sum=$(on alpha 'dd if=/dev/braid/web bs=1M count=24 iflag=direct status=none | sha256sum')
in_sync web 10 alpha beta
refused beta peer-primary 'braid promote web'
! try alpha "exec 3<>/dev/braid/web; braid demote web" 2>/dev/null || fail "demoted while open for writing"

step "the other way round"
on alpha 'braid demote web'
on beta 'braid promote web'
expect "$sum" "$(on beta 'dd if=/dev/braid/web bs=1M count=24 iflag=direct status=none | sha256sum')" "content read on beta"
stamps beta /dev/braid/web $((16 << 20)) 2 4
wait_bg $JOB 20 | tail -n 1
keep_stamps $JOB list
check_stamps beta /dev/braid/web $((16 << 20)) list
on beta 'braid demote web'
on alpha 'braid promote web'
check_stamps alpha /dev/braid/web $((16 << 20)) list
on alpha 'braid demote web'

step "both down: equal to the last byte"
in_sync web 10 alpha beta
on_all 'braid down web'
same_replicas vdb alpha beta
on_all 'braid up web'
in_sync web 15 alpha beta
expect "0 0" "$(counter alpha web resync_sent_bytes) $(counter beta web resync_sent_bytes)" "bytes resynced after a clean restart"

step "anew on the used disks: zeroes are made, not believed [R4]"
id=$(vol alpha web .id)
on_all 'braid down web'
on_all "braid delete web --id $id"
refused alpha not-blank 'braid create anew /dev/vdb --blank'
[[ $(try alpha 'braid create anew /dev/vdb --blank' 2>&1) == *"at byte 10485"* ]] ||
	fail "it is not said where the disk holds something"
refused alpha usage 'braid create anew /dev/vdb --blank --zero'
on alpha 'braid create anew /dev/vdb --zero'
on beta 'braid replicate anew /dev/vdb --zero'
in_sync anew 15 alpha beta
expect "0 0" "$(vol alpha anew '"\(.counters.resync_sent_bytes) \(.counters.resync_equal_bytes)"')" "bytes sent and compared"
on alpha 'braid promote anew && cmp -n $((100 << 20)) /dev/braid/anew /dev/zero'
stamps alpha /dev/braid/anew $((16 << 20)) 2 4
wait_bg $JOB 20 | tail -n 1
on alpha 'braid demote anew'
on_all 'braid down anew'
same_replicas vdb alpha beta

step "one more replica, after writes: compared"
on_all 'braid up anew'
in_sync anew 15 alpha beta
on beta "braid down anew && braid delete anew --id $(vol alpha anew .id)"
on beta 'braid replicate anew /dev/vdb --zero'
in_sync anew 60 alpha beta
[ "$(counter alpha anew resync_sent_bytes)" -gt 0 ] || fail "a replica of written space was taken for equal"
on_all 'braid down anew'
same_replicas vdb alpha beta
on_all 'braid up anew'
cluster_down alpha beta
