#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: an idle cluster runs the keepalive of its sessions and nothing else, however many volumes there are [N6]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 16M
# Deadline: 240

. "$(dirname "$0")/cluster.sh"

VOLUMES=${VOLUMES:-20}
IDLE_S=${IDLE_S:-8}
# What a keepalive may run: a PING and its PONG go out, a PONG and a PING come in, and every data lane looks at its queue.
ALLOWED='session_work|send_work|receive_work'
RUNS_PER_PING=12

# What the guest knows of time, frames sent and received in all sessions, and of I/O on the disks.
COUNTS='date +%s%3N; braid node show --json | jq ".peers[0] | .sent_frames, .received_frames, .reconnects"
	cat /sys/block/nullb*/stat 2>/dev/null | cksum | cut -d " " -f 1'

trace_begin()
{
	on "$2" "mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing
		$COUNTS; cd /sys/kernel/tracing; echo 0 >tracing_on; echo 4096 >buffer_size_kb; echo >trace
		for event in workqueue/workqueue_execute_start timer/timer_expire_entry timer/hrtimer_expire_entry; do
			echo 1 >events/\$event/enable
		done
		echo 1 >tracing_on" >"$WORK/$2-$1-begin"
}

# Leaves "COUNT EVENT FUNCTION" for each function of braid that ran.
trace_end()
{
	on "$2" "cd /sys/kernel/tracing; echo 0 >tracing_on; echo 0 >events/enable; $COUNTS" >"$WORK/$2-$1-end"
	on "$2" 'grep "\[braid\]" /sys/kernel/tracing/trace | sed -n "s/.*: \([a-z_]*\): .*function[ =]\([a-z_0-9]*\) .*/\1 \2/p" |
		sort | uniq -c' >"$WORK/$2-$1"
}

# runs GUEST WHEN: how many works of braid ran.
runs()
{
	awk '/workqueue/ { n += $1 } END { print n + 0 }' "$WORK/$1-$2"
}

# check_idle GUEST WHEN SECONDS: a PING a second and its PONG, from either end, and one PING for the ends of the time.
check_idle()
{
	local guest=$1 when=$2 pings=$(($3 + 1)) begin end sent received
	begin=($(<"$WORK/$guest-$when-begin"))
	end=($(<"$WORK/$guest-$when-end"))
	sent=$((end[1] - begin[1])) received=$((end[2] - begin[2]))
	step "$guest, $when volumes: $sent frames sent, $received received in $((end[0] - begin[0])) ms;" \
		$(sed 's/^ *//; s/workqueue_execute_start //; s/$/,/' "$WORK/$guest-$when")
	expect "${begin[3]}" "${end[3]}" "$guest: reconnects"
	expect "${begin[4]}" "${end[4]}" "$guest: checksum of what is counted on the disks"
	[ $sent -ge 2 ] && [ $received -ge 2 ] || fail "$guest has no keepalive"
	[ $sent -le $((2 * pings)) ] && [ $received -le $((2 * pings)) ] || fail "$guest: more than $pings keepalives"
	! grep -vE "workqueue_execute_start ($ALLOWED)$" "$WORK/$guest-$when" || fail "$guest ran more than its keepalive"
	[ "$(runs "$guest" "$when")" -ge 4 ] || fail "$guest: nothing was traced"
	[ "$(runs "$guest" "$when")" -le $((RUNS_PER_PING * pings)) ] || fail "$guest: $(runs "$guest" "$when") works for $pings pings"
}

# others WHEN: what ran besides, on both.
others()
{
	grep -hvE "workqueue_execute_start ($ALLOWED)$" "$WORK/alpha-$1" "$WORK/beta-$1"
}

# idle WHEN: watch both, again if something ran that may be the last of what was before: the end of a deadline, an idle timer.
# The clocks of busy guests do not agree; a PING is due by the one that runs faster.
idle()
{
	local when=$1 attempt guest begin end ms=0
	for attempt in 1 2 3; do
		together alpha beta -- trace_begin "$when"
		sleep "$IDLE_S"
		together alpha beta -- trace_end "$when"
		others "$when" >"$WORK/others" || break
		step "attempt $attempt:" $(<"$WORK/others")
	done
	for guest in alpha beta; do
		begin=($(<"$WORK/$guest-$when-begin"))
		end=($(<"$WORK/$guest-$when-end"))
		ms=$((end[0] - begin[0] > ms ? end[0] - begin[0] : ms))
	done
	for guest in alpha beta; do
		check_idle "$guest" "$when" $((ms / 1000 + 1))
	done
}

disks()
{
	on "$1" "modprobe null_blk nr_devices=0
		mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
		for i in \$(seq $VOLUMES); do
			disk=/sys/kernel/config/nullb/nullb\$i; mkdir \$disk; echo 1 >\$disk/memory_backed
			echo 20 >\$disk/size; echo 1 >\$disk/power
		done"
}

all_in_sync()
{
	local json
	json=$(try "$1" 'braid status --json')
	jq -c '.volumes[] | select(.healthy and .up_to_date | not)' <<<"$json"
	jq -e "(.volumes | length) == $VOLUMES and ([.volumes[] | .healthy and .up_to_date] | all)" <<<"$json" >/dev/null
}

logs_empty()
{
	on "$1" 'braid status --json' | jq -e '[.volumes[].log_used] | add == 0' >/dev/null
}

cluster_up alpha beta
together alpha beta -- disks
step "no volume"
idle 0

step "$VOLUMES volumes"
on alpha "for i in \$(seq $VOLUMES); do braid create v\$i /dev/nullb\$i >/dev/null || exit 1; done"
on beta "for i in \$(seq $VOLUMES); do braid replicate v\$i /dev/nullb\$i >/dev/null || exit 1; done"
wait_for 30 "volumes are in sync on alpha" all_in_sync alpha
wait_for 30 "volumes are in sync on beta" all_in_sync beta

step "written to, then left alone"
on alpha "for i in \$(seq $VOLUMES); do braid promote v\$i && dd if=/dev/urandom of=/dev/braid/v\$i bs=64k count=4 conv=fsync status=none ||
	exit 1; done"
wait_for 15 "activity logs of alpha are empty" logs_empty alpha
wait_for 15 "activity logs of beta are empty" logs_empty beta
idle $VOLUMES
for guest in alpha beta; do
	[ "$(runs $guest $VOLUMES)" -le $(($(runs $guest 0) * 3 / 2 + RUNS_PER_PING)) ] ||
		fail "$guest: $(runs $guest 0) works without volumes, $(runs $guest $VOLUMES) with $VOLUMES"
done
cluster_down alpha beta
