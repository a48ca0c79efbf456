#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: three replicas: one is lost, the others go on; a survivor takes over from the lost primary; returns under load [G3] [G6] [W4] [D1] [I5]
# Deadline: 900

. "$(dirname "$0")/lib.sh"

# peer NUMBER: filter for a peer's entry
peer()
{
	echo "[.peers[] | select(.node == \"n$1\")][0]"
}

step "three replicas"
three_nodes 48 1ms
volume_up 1 2 3
in_sync 1 2 3
promote 1

step "the third is lost while the first writes"
stamped 1 15 /tmp/list 3 &
sleep 2
unplug 3
until_status 1 20 "$(peer 3).connected == false"
wait
until_status 1 5 "$(peer 2).state == \"in-sync\" and (.generation.members | sort) == [\"n1\", \"n2\"]"
until_status 2 10 "$(peer 3).dirty_bytes > 0"

step "it returns under load"
stamped 1 6 /tmp/list 3 &
plug 3
wait
in_sync 1 2 3
verified 1 /tmp/list

step "the primary is lost with its namespace; the second takes over"
stamped 1 30 /tmp/list 3 2>/tmp/errors &
sleep 3
node_gone 1
! wait $!
until_status 2 20 "$(peer 1).connected == false"
until_status 3 20 "$(peer 1).connected == false"
! in_node 2 braid promote web 2>/dev/null || fail "promoted without a word about n1"
in_node 2 braid promote web --peer-down n1
verified 2 /tmp/list
! in_node 3 braid promote web --peer-down n1 2>/dev/null || fail "two primaries"
stamped 2 3 /tmp/list
until_status 2 20 "$(peer 3).state == \"in-sync\""

step "the first returns, and the third takes over"
stamped 2 5 /tmp/list &
node_up 1
in_node 1 braid up web
wait
in_sync 1 2 3
in_node 2 braid demote web
promote 3
verified 3 /tmp/list
in_node 3 braid demote web
identical 1 2 3

step "one direction only, and links that flap"
promote 1
stamped 1 40 /tmp/list 3 &
tc -n hub qdisc replace dev p2 root netem loss 100%
until_status 1 20 "$(peer 2).connected == false"
delay 2 1ms
for i in 1 2 3 4 5 6; do
	unplug $((2 + i % 2))
	sleep 0.$i
	plug $((2 + i % 2))
	sleep 0.$((7 - i))
done
wait
in_sync 1 2 3
verified 1 /tmp/list
in_node 1 braid demote web
identical 1 2 3
all_down 1 2 3
