#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: every verb that changes something is killed at random points, over and over: nothing is left that other commands cannot deal with [L3] [L4] [C1]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 48M,48M,16M
# Long: yes
# Deadline: 300
#
# KILLS (40): commands that are killed

. "$(dirname "$0")/cluster.sh"

KILLS=${KILLS:-40}
cluster_up alpha beta
volume web vdb alpha beta
in_sync web 30 alpha beta
ID=$(vol alpha web .id)

# In the guest: commands in random order, each killed after a part of the time that such a command takes. One that was done
# before the kill came is as good.
cat >"$WORK/kill.sh" <<END
exec 2>/tmp/killed	# the shell's own remarks
RANDOM=$((SEED % 32768))
id_of() { braid meta dump --json /dev/vdc 2>/dev/null | jq -r '.volume_id // "0000000000000001"'; }
begun=\$(date +%s%3N)
for i in 1 2 3 4; do braid down web; braid up web; done >/dev/null
whole=\$(((\$(date +%s%3N) - begun) / 8))
done=0
for ((i = 0; i < $KILLS; i++)); do
	case \$((RANDOM % 17)) in
	0) verb='up web' ;;
	1) verb='up --all' ;;
	2) verb='down web' ;;
	3) verb='down --all' ;;
	4 | 5) verb='promote web --timeout 3' ;;
	6 | 7) verb='demote web --timeout 3' ;;
	8) verb='create other /dev/vdc --size 16M' ;;
	9) verb='create other /dev/vdc --size 16M --force-overwrite /dev/vdc' ;;
	10) braid down other >/dev/null 2>&1 || true; verb="delete other --id \$(id_of)" ;;
	11) verb='node start' ;;
	12) braid down --all >/dev/null 2>&1 || true; verb='node stop' ;;
	13) verb='node invite gamma 192.0.2.3' ;;
	14) verb='node remove gamma' ;;
	15) verb='options set timeout=4' ;;
	16) verb='disconnect beta' ;;
	esac
	status=0
	delay_ms=\$((RANDOM * RANDOM % (whole + whole / 4 + 1) % 1000))
	timeout -s KILL 0.\$(printf %03d \$delay_ms) braid \$verb >/tmp/said 2>&1 || status=\$?
	[ \$status = 137 ] || done=\$((done + 1))
	# What looks only must never find a state that it cannot read, nor a lock that nobody holds.
	for look in 'node show' 'status' 'options show'; do
		timeout 15 braid \$look >/tmp/look 2>&1 || { echo "after 'braid \$verb' killed at \$delay_ms ms: \$look: \$(cat /tmp/look)"; exit 1; }
	done
done
echo "\$done of $KILLS commands ended before they were killed; such a command takes \$whole ms"
END

# again VERB...: as often as it takes while what was killed is still under way in the kernel; must be done then.
again()
{
	wait_on alpha 30 "braid $*" "braid $*"
}

step "killed"
ON_TIMEOUT=200 on alpha "bash $WORK/kill.sh"

step "what the commands say afterwards"
again node start
on alpha 'braid connect beta'
again up --all
again up web
on alpha 'braid node remove gamma 2>/tmp/said || grep -q "(no-such-peer)" /tmp/said'
wait_for 20 "alpha has a session" sessions_open alpha 1
in_sync web 30 alpha beta
again promote web
on alpha 'dd if=/dev/urandom of=/dev/braid/web bs=64k count=20 seek=3 oflag=direct conv=notrunc status=none'
again demote web
in_sync web 10 alpha beta
same_replicas vdb alpha beta
expect "$ID" "$(vol alpha web .id)" "id of the volume"

step "the other volume is there as a whole, or can be made, and goes"
on alpha 'id=$(braid meta dump --json /dev/vdc 2>/dev/null | jq -r ".volume_id // empty")
	if grep -q "^volume other" /var/lib/braid/node || braid status other >/dev/null 2>&1; then
		braid down other || true
		id=$(grep "^volume other" /var/lib/braid/node | grep -o "[0-9a-f]\{16\}" | head -n 1)
		braid delete other --id $id
	fi
	braid create other /dev/vdc --size 16M --force-overwrite /dev/vdc
	id=$(braid status --json other | jq -r ".volumes[0].id"); braid down other; braid delete other --id $id
	# Killed in the middle: the disk is wiped, the state still names it.
	braid create other /dev/vdc --size 16M; braid down other; cp /var/lib/braid/node /tmp/node
	id=$(braid meta dump --json /dev/vdc | jq -r .volume_id); braid delete other --id $id; cp /tmp/node /var/lib/braid/node
	braid delete other --id $id; ! braid status other 2>/dev/null'

step "a node that runs without one of its peers, as when its start was killed"
on alpha 'braid down --all; braid node stop; cp /var/lib/braid/node /tmp/node; sed -i /beta/d /var/lib/braid/node; braid node start
	cp /tmp/node /var/lib/braid/node; braid up --all'
wait_for 20 "alpha has a session" sessions_open alpha 1
in_sync web 30 alpha beta
cluster_down alpha beta
