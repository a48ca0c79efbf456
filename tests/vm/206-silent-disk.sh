#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: a disk that does not answer while its volume is brought up or taken down: commands of other volumes and of the node go on, the waiting command can be killed and ends by itself, nothing comes up later that nobody waits for [L1] [L3] [C1]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 48M,48M,16M
# Deadline: 400

. "$(dirname "$0")/cluster.sh"

silent() { on alpha 'dmsetup suspend --nolockfs --noflush slow'; }
answers() { on alpha 'dmsetup resume slow'; }
# bg_ends JOB SECONDS STATUS WHAT
bg_ends()
{
	local status=0
	wait_bg "$1" "$2" >"$WORK/out" 2>&1 || status=$?
	[ $status = "$3" ] || fail "$4: status $status and not $3: $(cat "$WORK/out")"
}

# What an administrator or a cluster manager does with another volume, and with the node.
others_go_on()
{
	ends 10 alpha 'braid status && braid why web && braid why other; braid node show'
	on alpha 'braid down web && braid up web && braid promote web &&
		dd if=/dev/urandom of=/dev/braid/web bs=64k count=4 oflag=direct conv=notrunc status=none && braid demote web'
	on alpha 'braid options set timeout=4 && braid options set timeout=5 && braid disconnect beta && braid connect beta'
	in_sync web 30 alpha beta
}

cluster_up alpha beta
volume web vdb alpha beta
on alpha 'modprobe dm_mod && dmsetup create slow --table "0 $(blockdev --getsz /dev/vdc) linear /dev/vdc 0"
	braid create other /dev/$(dmsetup info -c --noheadings -o blkdevname slow)'
on beta 'braid replicate other /dev/vdc'
in_sync web 30 alpha beta
in_sync other 30 alpha beta

step "brought up"
on alpha 'braid down other'
silent
run_bg alpha 'exec braid up other --timeout 600'
up=$JOB
wait_on alpha 10 "the attach is under way" 'braid up other --timeout 0.1 2>&1 | grep "(disk-busy)"'
others_go_on
refused alpha disk-busy 'braid up other --timeout 1'
refused alpha disk-busy 'braid down web; braid node stop'
on alpha 'braid up web'

step "the command is killed; the node is stopped, and started again"
kill_bg "$up" 9
bg_ends "$up" 10 137 "a killed command"
refused alpha no-such-volume 'braid promote other'
refused alpha disk-busy 'braid up other --timeout 1'
on alpha 'braid down web && braid node stop && braid node start && braid up web'
in_sync web 30 alpha beta
! try alpha 'braid down web && braid node stop && rmmod braid' 2>/dev/null || fail "the module went while it waits for a disk"
on alpha 'braid node start && braid up web'

step "the disk answers: what was given up does not come up"
answers
wait_on alpha 20 "the disk is released" '[ "$(dmsetup info -c --noheadings -o open slow)" = 0 ]'
on alpha 'braid status --json | jq -e "[.volumes[] | select(.up) | .name] == [\"web\"]"' >/dev/null
on alpha 'braid up other'
in_sync other 30 alpha beta
in_sync web 30 alpha beta

step "one of several: the others come up, and it is said which does not"
on alpha 'braid down --all'
silent
refused alpha disk-busy 'braid up --all --timeout 2'
in_sync web 30 alpha beta
# Another command waits for the same disk until it answers.
run_bg alpha 'exec braid up other'
up=$JOB
answers
bg_ends "$up" 30 0 "a command that waits for the disk"
in_sync other 30 alpha beta

step "brought up, and the disk falls silent behind the superblock: its name is known"
on alpha 'braid down other && modprobe dm-delay
	dmsetup load slow --table "0 16 linear /dev/vdc 0
16 $(($(blockdev --getsz /dev/vdc) - 16)) delay /dev/vdc 16 1000000"
	dmsetup suspend --nolockfs --noflush slow && dmsetup resume slow'
run_bg alpha 'exec braid up other --timeout 600'
up=$JOB
wait_on alpha 10 "the superblock was read" 'braid promote other 2>&1 | grep "(busy)"'
refused alpha busy 'braid down other'
others_go_on
on alpha 'dmsetup load slow --table "0 $(blockdev --getsz /dev/vdc) linear /dev/vdc 0"
	dmsetup suspend --nolockfs --noflush slow && dmsetup resume slow'
bg_ends "$up" 30 0 "a command that waits for the disk"
in_sync other 30 alpha beta

step "taken down"
on alpha 'braid promote other && dd if=/dev/urandom of=/dev/braid/other bs=64k count=4 oflag=direct conv=notrunc status=none'
silent
run_bg alpha 'exec braid down other --timeout 600'
down=$JOB
wait_vol alpha other 10 '.writes_now == "wait"'
# Who waits for a turn on the same volume waits no longer than it was told.
refused alpha timeout 'braid demote other --timeout 1'
refused alpha timeout 'braid down other --timeout 1'
others_go_on
ends 20 alpha 'braid down other --force --timeout 3'
on alpha 'braid status --json other | jq -e ".volumes[0].up | not"' >/dev/null
others_go_on
answers
bg_ends "$down" 20 0 "a command that waited for the disk while another one took the volume down by force"
on alpha 'braid up other'
in_sync other 30 alpha beta

step "several at once take the same volume up and down"
cat >"$WORK/several.sh" <<'EOF'
all() { for job in $(jobs -p); do wait $job || exit; done; }
for i in 1 2 3 4 5; do
	for j in 1 2 3; do braid up other & done; all
	[ "$(readlink -f /dev/braid/other)" = "$(braid status --json other | jq -r '.volumes[0].device')" ]
	for j in 1 2 3; do braid down other & done; all
	[ ! -e /dev/braid/other ]
done
# Whoever was last: what is, the link, and what is remembered are the same.
for i in 1 2 3 4 5; do
	for j in 1 2; do braid up other & braid down other & done >/dev/null 2>&1; wait
	up=$(braid status --json other | jq '.volumes[0].up')
	[ "$up" = "$([ -e /dev/braid/other ] && echo true || echo false)" ]
	[ "$up" = "$(grep '^volume other' /var/lib/braid/node | grep -qw up && echo true || echo false)" ]
done
EOF
on alpha "bash -e $WORK/several.sh && braid down other"
on alpha 'braid up other'
in_sync other 30 alpha beta
on alpha 'braid promote other && braid promote web && braid demote web && braid demote other'
in_sync other 10 alpha beta
same_replicas vdc alpha beta
cluster_down alpha beta
