#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: memory allocations fail everywhere in the module, works and interrupts included, while writes and a resync run: nothing acknowledged is lost, healthy afterwards [L4] [W4] [I7]
# Deadline: 900

. "$(dirname "$0")/lib.sh"

# faults PERCENT TIMES: of the module's own allocations, whoever makes them; 0 0 ends it
faults()
{
	local what base
	base=$(</sys/module/braid/sections/.text)
	for what in failslab fail_page_alloc; do
		echo 0 >$INJECTION/$what/probability
		echo N >$INJECTION/$what/ignore-gfp-wait
		echo N >$INJECTION/$what/task-filter
		echo 0 >$INJECTION/$what/verbose
		echo $base >$INJECTION/$what/require-start
		printf '0x%x' $((base + $(awk '$1 == "braid" { print $2 }' /proc/modules))) >$INJECTION/$what/require-end
		echo 32 >$INJECTION/$what/stacktrace-depth
		echo $2 >$INJECTION/$what/times
		echo $1 >$INJECTION/$what/probability
	done
}
left() { cat $INJECTION/failslab/times $INJECTION/fail_page_alloc/times | xargs; }

three_nodes 40 1ms
# A disk in memory that had to allocate for a write would fail it, and be given up: all of it is there before.
for n in 1 2 3; do
	dd if=/dev/zero of=/dev/nullb$n bs=1M oflag=direct status=none 2>/dev/null || true
done
echo 0 >$INJECTION/fail_page_alloc/min-order
volume_up 1 2 3
in_sync 1 2 3
promote 1
stamped 1 1 /tmp/list

for percent in ${PERCENTS:-3 30}; do
	step "$percent percent fail while writing"
	faults $percent 3000
	stamped 1 4 /tmp/list 3 || step "the writer got an error"
	step "left of 3000: $(left)"
	faults 0 0
	in_sync 1 2 3
	verified 1 /tmp/list

	step "$percent percent fail in a resync under load"
	unplug 3
	until_status 1 20 '[.peers[] | select(.node == "n3")][0].connected == false'
	stamped 1 2 /tmp/list
	faults $percent 3000
	plug 3
	stamped 1 6 /tmp/list 3 || step "the writer got an error"
	step "left of 3000: $(left)"
	faults 0 0
	in_sync 1 2 3
	verified 1 /tmp/list
done

step "every single allocation fails for 8 s"
faults 100 1000000
stamped 1 8 /tmp/list 3 || step "the writer got an error"
left=($(left))
step "left of 1000000: ${left[*]}"
faults 0 0
in_sync 1 2 3
verified 1 /tmp/list
# Who lacks memory tries again after a pause: in 8 s three nodes cannot fail so often without spinning.
[ ${left[0]} -gt 900000 ] || fail "allocations are retried without a pause"
in_node 1 braid demote web
identical 1 2 3

step "the 1st, 2nd, ... allocation of the module, whoever makes it, from promotion over writes to demotion"
sites=0
for ((nth = 1; nth <= ${NTH_MAX:-40}; nth++)); do
	faults 0 0
	echo $nth | tee $INJECTION/failslab/interval >$INJECTION/fail_page_alloc/interval
	faults 100 1
	if in_node 1 braid promote web 2>/dev/null; then
		dd if=/dev/urandom of=/tmp/n1/dev/web bs=128k count=2 seek=$nth oflag=direct conv=notrunc status=none || step "site $nth: write error"
	fi
	faults 0 0
	[ "$(in_node 1 braid status web --json | jq -r '.volumes[0].role')" != primary ] || in_node 1 braid demote web
	sites=$((sites + 1))
done
echo 1 | tee $INJECTION/failslab/interval >$INJECTION/fail_page_alloc/interval
step "$sites sites"
in_sync 1 2 3
identical 1 2 3
all_down 1 2 3
