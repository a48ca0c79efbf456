#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: processors that go and come on both nodes, clocks that jump, a machine that sleeps, while a volume is written [W10] [N6]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 48M,16M
# Cpus: 2
# Long: yes
# Deadline: 600

. "$(dirname "$0")/cluster.sh"

ROUNDS=${ROUNDS:-4}
FIO_WINDOWS=4
ONLINE=/sys/devices/system/cpu/cpu1/online

# passed N: has fio done that many passes?
passed()
{
	[ "$(last_pass "$FIO")" -ge "$1" ] 2>/dev/null
}

# more_passes: two more, the second of them begun and ended from now on.
more_passes()
{
	local now
	now=$(last_pass "$FIO")
	wait_for 40 "fio goes on after pass ${now:-none}" passed $((${now:-0} + 2))
}

processor()
{
	on "$1" "echo $2 >$ONLINE && grep -q '^$([ "$2" = 0 ] && echo 0 || echo 0-1)$' /sys/devices/system/cpu/online"
}

reconnects()
{
	on alpha 'braid node show --json' | jq '.peers[0].reconnects'
}

cluster_up alpha beta
volume web vdb alpha beta
in_sync web 30 alpha beta
on alpha 'braid promote web'
fio_passes alpha /dev/braid/web 1
FIO=$JOB
more_passes
before=$(reconnects)
for ((round = 1; round <= ROUNDS; round++)); do
	first=alpha
	second=beta
	[ $((RANDOM % 2)) = 0 ] || { first=beta; second=alpha; }
	processor $first 0
	more_passes
	processor $second 0
	more_passes
	processor $first 1
	[ $((RANDOM % 2)) = 0 ] || more_passes
	processor $second 1
	more_passes
	step "round $round, first $first: pass $(last_pass "$FIO")"
done
expect "$before" "$(reconnects)" "reconnects while processors came and went"
in_sync web 10 alpha beta

# clock GUEST SECONDS: forward, or back.
clock()
{
	on "$1" "date -s @\$((\$(date +%s) + $2)) >/dev/null"
}

for guest in alpha beta; do
	step "the clock of $guest jumps"
	clock $guest 864000
	more_passes
	clock $guest -1728000
	more_passes
	clock $guest 864000
done
expect "$before" "$(reconnects)" "reconnects while clocks jumped"
in_sync web 10 alpha beta

awake()
{
	kernel_log "$1" | grep 'PM: suspend exit'
}

# As if for a suspend to idle, but awake again after 5 seconds by itself. The lab's way into the guest does not survive that.
step "beta sleeps"
run_bg beta 'echo devices >/sys/power/pm_test && echo freeze >/sys/power/state'
wait_for 30 "beta is awake again" awake beta
more_passes
wait_vol alpha web 60 '.healthy and .peers[0].state == "in-sync"'
more_passes
cut beta
back beta
in_sync web 60 alpha beta
# What was counted on a processor that is gone counts when the demotion waits for reads and writes.
fio_stop alpha "$FIO"
processor alpha 0
last=$(last_pass "$FIO")
fio_check alpha /dev/braid/web 1 "$last"
on alpha 'braid demote web'
processor alpha 1
on beta 'braid promote web'
fio_check beta /dev/braid/web 1 "$last"
on beta 'braid demote web'
same_replicas vdb alpha beta
cluster_down alpha beta
