#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: hostile input to the debug kernel: malformed netlink requests, connections before and after authentication; no change of state, nothing leaked [N2] [N4] [I22] [C1]
# Deadline: 1500
# Seconds: 100000

. "$(dirname "$0")/lib.sh"

# hostile NUMBER MODE NUMBER: of that node against the other
hostile()
{
	CASES=${CASES:-150} in_node $1 /usr/bin/python3 -SE $REPO/tests/vm/hostile.py $2 198.51.100.$3 /tmp/n$1/state/node $SEED
}

# facts NUMBER: what hostile input must not change
facts()
{
	{ in_node $1 braid status --json; in_node $1 braid node show --json; } | jq -cMS 'walk(if type == "object" then
		del(.counters, .log_used, .since_ms, .rtt_ns, .sent_frames, .received_frames, .sent_bytes, .received_bytes, .dropped_frames)
		else . end)'
}

three_nodes 48 1ms
volume_up 1 2
in_sync 1 2
promote 1
echo kept | dd of=/tmp/n1/dev/web bs=4k count=1 conv=sync,notrunc oflag=direct status=none
before="$(facts 1) $(facts 2)"

step "netlink"
in_node 1 /usr/bin/python3 -SE $REPO/tests/vm/netlink_fuzz.py fuzz $SEED
in_node 1 setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all \
	/usr/bin/python3 -SE $REPO/tests/vm/netlink_fuzz.py unprivileged
expect "$before" "$(facts 1) $(facts 2)" "state after malformed requests"

step "connections that do not authenticate"
for mode in handshake truncated garbage lengths silence flood; do
	hostile 1 $mode 2
done
expect "$before" "$(facts 1) $(facts 2)" "state after hostile connections"
echo more | dd of=/tmp/n1/dev/web bs=4k count=1 seek=1 conv=sync,notrunc oflag=direct status=none
in_sync 1 2

step "authenticated, but every frame is wrong"
in_node 1 braid demote web
in_node 1 braid down web
in_node 1 braid node stop
until_status 2 20 '[.peers[] | select(.node == "n1")][0].connected == false'
hostile 1 replay 2
hostile 1 frames 2
in_node 1 braid up web
in_sync 1 2

step "a bad server"
in_node 2 braid down web
in_node 2 braid node stop
hostile 2 server 2
in_node 2 braid up web
in_sync 1 2
identical 1 2
all_down 1 2 3
