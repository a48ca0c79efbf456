#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: interfaces and namespaces that vanish under live volumes and in the middle of handshakes and resyncs; the module is not unloaded under them, and is when they are gone [L2] [L3]
# Short: yes
# Deadline: 900

. "$(dirname "$0")/lib.sh"

step "the module under live volumes"
three_nodes 48 1ms
volume_up 1 2 3
in_sync 1 2 3
! rmmod braid 2>/dev/null || fail "unloaded under live volumes"
in_node 1 braid set web payload=trust	# bios wait for sockets that vanish [W2]
promote 1
stamped 1 2 /tmp/list

step "an interface is removed under a writer"
stamped 1 12 /tmp/list 2 &
sleep 1
ip -n hub link del p2
until_status 1 20 '[.peers[] | select(.node == "n2")][0].connected == false'
wait
cable 2
in_sync 1 2 3
verified 1 /tmp/list

step "a namespace is deleted in the middle of a resync to it, again and again"
for wait_s in 0.02 0.15 0.4; do
	node_gone 3
	until_status 1 20 '[.peers[] | select(.node == "n3")][0].connected == false'
	stamped 1 1 /tmp/list
	node_up 3
	delay 3 5ms
	in_node 3 braid up web
	sleep $wait_s
done
in_sync 1 2 3
verified 1 /tmp/list

step "deleted during the handshake"
for wait_s in 0.001 0.007 0.012 0.02; do
	node_gone 2
	node_up 2
	delay 2 4ms
	in_node 2 braid node start
	sleep $wait_s
done
in_node 2 braid up web
in_sync 1 2 3

step "the primary's namespace is deleted under a writer, all namespaces under an open device"
stamped 1 30 /tmp/list 4 2>/tmp/errors &
writer=$!
sleep 2
sleep 60 9</tmp/n1/dev/web &
holder=$!
ip netns del n1
! wait $writer
for n in 2 3; do
	until_status $n 20 '[.peers[] | select(.node == "n1")][0].connected == false'
done
takes_over() { in_node 2 braid promote web --peer-down n1 2>/dev/null; }
wait_until 10 takes_over	# the survivors compare with each other first
verified 2 /tmp/list
in_node 2 braid demote web
ip netns del n2
ip netns del n3
ip netns del hub
! rmmod braid 2>/dev/null || fail "unloaded under an open device"
kill $holder
wait $holder || true
unload
for n in 1 2 3; do
	disk_down $n
done
no_leaks

step "a namespace goes while everything starts up; the module comes and goes"
for ms in 000 005 040 200; do
	load
	hub_up
	node_up 1
	node_up 2
	disk_up 1 32
	disk_up 2 32
	rm -rf /tmp/n[12]/state/*
	cluster 1 2
	(trap - ERR; volume_up 1 2) >/dev/null 2>&1 &
	sleep 0.$ms
	ip netns del n2
	wait $! || true
	ip netns del n1
	ip netns del hub
	unload
	disk_down 1
	disk_down 2
done
no_leaks
