#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: every wrong use of the command names object, cause and remedy; disks in use are refused; commands with a dead peer or a hung disk end [C3] [L1] [M]
# Kernels: 6.12
# Guests: 2
# Disks: durable 96M,32M,16M
# Deadline: 480

. "$(dirname "$0")/cluster.sh"

# table GUEST <LINES: "STATUS CODE WORDS | COMMAND LINE": the command must end with this status and code, name object
# (unless it is a usage error), cause and remedy, and mention the words.
table()
{
	local guest=$1 status code words line
	: >"$WORK/table.sh"
	while IFS= read -r line; do
		[ -n "$line" ] || continue
		read -r status code words <<<"${line%%|*}"
		printf 'check %q %q %q %q\n' "$status" "$code" "${words% }" "${line#*| }" >>"$WORK/table.sh"
	done
	cat >"$WORK/check.sh" <<'END'
	failed=0
	check()
	{
		status=0
		said=$(eval "$4" 2>&1 >/tmp/output </dev/null) || status=$?
		why=
		[ $status = $1 ] || why="status $status, not $1"
		[[ $said == *"($2)"* ]] || why="$why; no code $2"
		[ $2 = usage ] || [ $2 = token ] || [[ $said == *"  object: "* ]] || why="$why; no object"
		[[ $said == *"  cause: "* ]] || why="$why; no cause"
		[[ $said == *"  remedy: "* ]] || why="$why; no remedy"
		[[ $said == *"$3"* ]] || why="$why; no word of $3"
		[[ ${said#*remedy:} != *--force* ]] || why="$why; the remedy destroys"
		[ -z "$why" ] || { echo "$4: $why"; echo "$said"; failed=1; }
	}
	. "$(dirname "$0")/table.sh"
	exit $failed
END
	on "$guest" "bash $WORK/check.sh"
	step "$(wc -l <"$WORK/table.sh") wrong uses on $guest are answered as they should be"
}

together alpha beta -- mount_state
make_stamp

step "without identity"
table alpha <<'END'
2 usage no verb | braid frobnicate
2 usage init | braid node
2 usage init | braid node frobnicate
2 usage missing | braid node init
2 usage missing | braid node init alpha
2 usage too many | braid node init alpha 192.0.2.1 more
2 usage name | braid node init -- -alpha 192.0.2.1
2 usage name | braid node init "al pha" 192.0.2.1
2 usage name | braid node init "" 192.0.2.1
2 usage | braid node init alpha 192.0.2
2 usage | braid node init alpha 192.0.2.1:0
2 usage | braid node init alpha 192.0.2.1:65536
2 usage | braid node init alpha 0.0.0.0
2 usage unknown option --frob | braid node init --frob alpha 192.0.2.1
2 token token | braid node join nonsense
2 token token | braid node join -
4 address listen | braid node init alpha 192.0.2.77
1 no-identity braid node init | braid create web /dev/vdb
1 no-identity | braid up --all
1 no-identity | braid status
1 no-identity | braid promote web
1 no-identity | braid node invite beta 192.0.2.2
1 no-identity | braid node show
2 usage | braid --state-dir
END
expect "" "$(on alpha 'ls /var/lib/braid | grep -v -e lost+found -e lock || true')" "files after refusals"

step "with identity, one node"
on alpha 'braid node init alpha 192.0.2.1'
table alpha <<'END'
1 exists alpha | braid node init alpha 192.0.2.1
2 usage missing | braid create web
2 usage missing | braid create
2 usage name | braid create we/b /dev/vdb
2 usage name | braid create .. /dev/vdb
2 usage size | braid create web /dev/vdb --size 1x
2 usage size | braid create web /dev/vdb --size 1000
2 usage size | braid create web /dev/vdb --size 0
2 usage value | braid create web /dev/vdb --meta
2 usage copy | braid create web /dev/vdb --payload maybe
2 usage missing | braid set web
2 usage payload | braid set web payload
2 usage payload | braid set web size=1M
2 usage copy | braid set web payload=
3 no-such-volume web | braid set web payload=trust
3 no-such-disk /dev/nothing | braid create web /dev/nothing
1 not-a-block-device /dev/null | braid create web /dev/null
1 not-a-block-device | touch /tmp/file && braid create web /tmp/file
1 too-small vdb | braid create web /dev/vdb --size 10G
3 no-such-volume web | braid replicate web /dev/vdb
3 no-such-volume web | braid up web
3 no-such-volume web | braid down web
3 no-such-volume web | braid promote web
3 no-such-volume web | braid demote web
3 no-such-volume web | braid status web
3 no-such-volume web | braid why web
3 no-such-volume web | braid wait web --timeout 1
2 usage id | braid delete web
2 usage | braid up
2 usage | braid up web --all
2 usage | braid down
2 usage | braid down web --timeout x
2 usage | braid down web --timeout 0
2 usage | braid promote web --force
2 usage | braid promote web --force --id 12
2 usage keep | braid resolve web
2 usage id | braid forget web beta
3 no-such-peer beta | braid connect beta
3 no-such-peer alpha | braid disconnect alpha
3 no-such-peer beta | braid node remove beta
3 no-such-peer alpha | braid node remove alpha
3 no-such-disk | braid meta dump /dev/nothing
3 no-metadata vdb | braid meta dump /dev/vdb
3 no-metadata vdb | braid meta check /dev/vdb
2 usage | braid wait web --for christmas
2 usage | braid options set frob=1
2 usage | braid options set timeout=0
2 usage | braid options set data-lanes=100
2 usage | braid options set timeout
2 usage name | braid node invite alpha,beta 192.0.2.2
1 exists alpha | braid node invite alpha 192.0.2.2
END
expect 0 "$(on alpha 'braid status --json' | jq '.volumes | length')" "volumes after refusals"
on alpha 'cmp -n 1048576 /dev/vdb /dev/zero'

step "disks that are in use or hold something"
on alpha 'mkfs.ext4 -q -L treasure /dev/vdb'
refused alpha signature 'braid create web /dev/vdb'
[[ $(try alpha 'braid create web /dev/vdb' 2>&1) == *ext4*treasure* ]] || fail "it is not said what the disk holds"
refused alpha signature 'braid create web /dev/vdb --force-overwrite /dev/vdc'
on alpha 'mount /dev/vdb /mnt'
refused alpha in-use 'braid create web /dev/vdb --force-overwrite /dev/vdb'
[[ $(try alpha 'braid create web /dev/vdb' 2>&1) == */mnt* ]] || fail "it is not said where the disk is mounted"
on alpha 'umount /mnt && e2fsck -fn /dev/vdb >/dev/null 2>&1 && wipefs -qa /dev/vdb
	blkdiscard -f /dev/vdb
	# A DOS partition table with one Linux partition.
	printf "\0\0\2\0\x83\0\0\0\0\x08\0\0\0\0\1\0" | dd of=/dev/vdb bs=1 seek=446 conv=notrunc status=none
	printf "\x55\xaa" | dd of=/dev/vdb bs=1 seek=510 conv=notrunc,fsync status=none'
refused alpha signature 'braid create web /dev/vdb'
[[ $(try alpha 'braid create web /dev/vdb' 2>&1) == *"partition table"* ]] || fail "it is not said that there is a partition table"
on alpha 'wipefs -qa /dev/vdb; blkdiscard -f /dev/vdb; modprobe dm_mod
	dmsetup create holder --table "0 65536 linear /dev/vdb 0"'
refused alpha in-use 'braid create web /dev/vdb'
on alpha 'dmsetup remove holder; swapoff -a; mkswap -q /dev/vdb 2>/dev/null || mkswap /dev/vdb >/dev/null'
refused alpha signature 'braid create web /dev/vdb'
on alpha 'braid create web /dev/vdb --force-overwrite /dev/vdb'
refused alpha exists 'braid create web /dev/vdc'
refused alpha in-use 'braid create other /dev/vdb --force-overwrite /dev/vdb'

step "two nodes: smaller disk, wrong roles, wrong ids"
token=$(on alpha 'braid node invite beta 192.0.2.2')
on beta "braid node join $token"
for guest in alpha beta; do
	wait_for 15 "$guest has a session" sessions_open $guest 1
done
refused beta too-small 'braid replicate web /dev/vdc'
on beta 'braid replicate web /dev/vdb'
in_sync web 30 alpha beta
id=$(vol alpha web .id)
on alpha 'braid promote web'
table beta <<END
1 peer-primary alpha | braid promote web
1 not-primary web | braid demote web
1 is-up down | braid delete web --id $id
1 no-split web | braid resolve web --keep alpha --split 00000000000000aa
2 usage | braid resolve web --keep alpha --split zz
3 no-such-peer gamma | braid promote web --peer-down gamma
3 no-such-peer beta | braid promote web --peer-down beta
1 in-use web | braid node remove alpha
1 in-use down | braid node stop
1 exists | braid create web /dev/vdc
5 timeout web | braid wait web --for split --timeout 0.2
END
expect "primary in-sync" "$(vol alpha web '"\(.role) \(.peers[0].state)"')" "after refusals"
on alpha 'exec 3<>/dev/braid/web; ! braid demote web 2>/tmp/said && grep -q "(in-use)" /tmp/said && ! braid down web 2>/tmp/said && grep -q "(in-use)" /tmp/said'

step "every verb has help, and every first word of two"
on alpha 'braid help | sed -n "s/^  \([a-z]* \?[a-z]*\)  .*/\1/p" >/tmp/verbs; [ $(wc -l </tmp/verbs) -ge 25 ]
	while read -r verb; do braid $verb --help | grep -q "^usage: braid" || { echo "no help: $verb"; exit 1; }; done </tmp/verbs
	for group in node meta options; do
		braid help $group | grep -q "^  braid $group [a-z]" && [ "$(braid $group --help)" = "$(braid help $group)" ] || exit 1
	done
	for file in status "node show"; do braid $file --json | jq -e . >/dev/null; done'

step "commands while the peer is dead"
link beta down
ends 10 alpha 'braid status && braid why web; braid node show'
ends 15 alpha 'braid wait web --for connected --timeout 2'
ends 15 beta 'braid promote web --timeout 3'
ends 15 alpha 'braid demote web --timeout 8'
ends 15 alpha 'braid promote web --timeout 8'
ends 20 beta 'braid down web && braid up web'
link beta up
in_sync web 30 alpha beta
on alpha 'braid demote web'

step "commands while a disk hangs"
on_all 'braid down web'
on alpha 'size=$(blockdev --getsz /dev/vdb); dmsetup create slow --table "0 $size linear /dev/vdb 0"
	sed -i s,/dev/vdb,/dev/$(dmsetup info -c --noheadings -o blkdevname slow), /var/lib/braid/node'
on_all 'braid up web'
in_sync web 30 alpha beta
on alpha 'braid promote web && dmsetup suspend --nolockfs --noflush slow'
run_bg alpha 'exec dd if=/dev/zero of=/dev/braid/web bs=4k count=1 oflag=direct status=none'
write=$JOB
wait_vol alpha web 10 '.in_flight > 0'
ends 10 alpha 'braid status && braid why web; braid node show'
ends 15 alpha 'braid demote web --timeout 2'
run_bg alpha 'exec braid demote web --timeout 600'
demote=$JOB
ends 10 alpha 'braid status'
kill_bg "$demote" 9
status=0
wait_bg "$demote" 10 >/dev/null || status=$?
[ $status = 137 ] || fail "a waiting command cannot be killed: status $status"
ends 10 alpha 'braid status'
ends 30 alpha 'braid down web --force --timeout 3'
on alpha 'dmsetup resume slow'
status=0
wait_bg "$write" 20 || status=$?
step "the write that hung ended with status $status"
[ $status != 124 ] || fail "a write never ends"
wait_on alpha 20 "the volume is down" '! braid status web --json | jq -e ".volumes[0].up"'
on alpha 'braid up web'
in_sync web 30 alpha beta
same_replicas vdb alpha beta

# Regions have left the log in memory; its write hangs. Nobody waits for it any more, and users write again [W6].
step "a demotion is killed while it empties the log"
on alpha 'modprobe dm-delay && braid promote web &&
	dd if=/dev/urandom of=/dev/braid/web bs=4k count=1 oflag=direct conv=notrunc status=none &&
	dmsetup load slow --table "0 $(blockdev --getsz /dev/vdb) delay /dev/vdb 0 0 /dev/vdb 0 1000000 /dev/vdb 0 0" &&
	dmsetup suspend --nolockfs --noflush slow && dmsetup resume slow'
run_bg alpha 'exec braid demote web --timeout 600'
demote=$JOB
wait_vol alpha web 15 '.writes_now == "wait" and .log_used == 0'
kill_bg "$demote" 9
status=0
wait_bg "$demote" 10 >/dev/null || status=$?
[ $status = 137 ] || fail "a demotion that empties the log cannot be killed: status $status"
wait_vol alpha web 5 '.role == "primary" and .writes_now == "open"'
on alpha 'dmsetup load slow --table "0 $(blockdev --getsz /dev/vdb) linear /dev/vdb 0" &&
	dmsetup suspend --nolockfs --noflush slow && dmsetup resume slow
	dd if=/dev/urandom of=/dev/braid/web bs=4k count=4 oflag=direct conv=notrunc status=none && braid demote web'
in_sync web 10 alpha beta
same_replicas vdb alpha beta

# Its chunks keep their ranges: their answers never come, and find no volume later. Pages that are written back wait for them.
step "a source is forced down while its target's disk hangs"
on beta 'braid promote web'
on alpha 'braid disconnect beta'
wait_vol beta web 10 '.peers[0].connected | not'
on beta 'dd if=/dev/urandom of=/dev/braid/web bs=1M count=8 oflag=direct conv=notrunc status=none'
on alpha 'data=$(braid meta dump --json /dev/vdb | jq .data_offset_bytes); sectors=$((data / 512))
	printf "0 $sectors linear /dev/vdb 0\n$sectors $(($(blockdev --getsz /dev/vdb) - sectors)) delay /dev/vdb $sectors 1000000\n" |
		dmsetup load slow
	dmsetup suspend --nolockfs --noflush slow && dmsetup resume slow && braid connect beta'
wait_vol beta web 30 '.peers[0].state == "target"'
run_bg beta 'exec dd if=/dev/zero of=/dev/braid/web bs=1M count=8 conv=fsync,notrunc status=none'
write=$JOB
wait_on beta 20 "pages are written back" "awk '/^Writeback:/ { exit !(\$2 > 0) }' /proc/meminfo"
ends 30 beta 'braid down web --force --timeout 3'
status=0
wait_bg "$write" 20 || status=$?
[ $status != 124 ] || fail "a write never ends"
on alpha 'dmsetup load slow --table "0 $(blockdev --getsz /dev/vdb) linear /dev/vdb 0" &&
	dmsetup suspend --nolockfs --noflush slow && dmsetup resume slow'
wait_on beta 20 "the volume is down" '! braid status web --json | jq -e ".volumes[0].up"'
on beta 'braid up web'
in_sync web 30 alpha beta
same_replicas vdb alpha beta

step "delete wants the id"
on beta 'braid down web'
refused beta wrong-id 'braid delete web --id 00000000000000aa'
on beta "braid delete web --id $id"
refused beta no-such-volume 'braid up web'
# It was in sync: the next generation is the first one without it.
wait_vol alpha web 15 '.peers[0].state == "absent"'
refused alpha in-sync-member "braid forget web beta --id $id"
on alpha 'braid promote web --peer-down beta
	dd if=/dev/zero of=/dev/braid/web bs=4k count=1 oflag=direct conv=notrunc status=none && braid demote web'
wait_on alpha 15 "beta's replica is forgotten" "braid forget web beta --id $id"
expect alpha "$(vol alpha web '.replicas | join(",")')" "replicas that are left"
wait_vol alpha web 5 '.healthy'
on alpha 'braid down web && dmsetup remove slow'
cluster_down alpha beta
