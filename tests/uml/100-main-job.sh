#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: the main job of two nodes: write, flush, link cut, resync, roles swapped, down, unloaded; nothing leaked; the same run twice is the same trace [C2] [W4] [W5] [I5] [I7] [L3]
# Short: yes
# Trace: yes
# Twice: yes

. "$(dirname "$0")/lib.sh"

step "two replicas, cables of 2 ms"
three_nodes 48 2ms
volume_up 1 2
in_sync 1 2
promote 1
stamped 1 2 /tmp/list 4 durable
stamped 1 1 /tmp/list 8
verified 1 /tmp/list

step "the link is cut, writes go on"
stamped 1 10 /tmp/list 2 &
sleep 1
unplug 2
wait
until_status 1 20 '.peers[0].connected == false'
stamped 1 2 /tmp/list
verified 1 /tmp/list

step "healed under load"
stamped 1 5 /tmp/list &
plug 2
wait
in_sync 1 2
verified 1 /tmp/list

step "roles swapped; the new primary copies no payloads"
in_node 1 braid demote web
in_node 2 braid set web payload=trust
promote 2
verified 2 /tmp/list
stamped 2 2 /tmp/list
# The disks know discards and no zeroes: offering discards would fill them with pages of zeroes.
if blkdiscard -o 1048576 -l 1048576 /tmp/n2/dev/web 2>/dev/null; then
	echo 'a discard was taken'
	exit 1
fi
fallocate -p -o 1048576 -l 1048576 /tmp/n2/dev/web
blkdiscard -z -o $((AREA + 65536)) -l 65536 /tmp/n2/dev/web
in_node 2 braid demote web
in_sync 1 2
in_node 1 braid down web
in_node 2 braid down web
identical 1 2
in_node 1 braid up web
in_node 2 braid up web
in_sync 1 2

step "all down; the order of all acknowledgements: $(sha256sum </tmp/list | head -c 16)"
all_down 1 2 3
