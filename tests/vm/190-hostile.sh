#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: hostile input: wire before and after authentication, netlink, superblocks, tokens: a clear error or a counted drop, no change of state [N2] [N4] [I22] [C1] [M] [G10]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 64M,64M,16M
# Deadline: 700

. "$(dirname "$0")/cluster.sh"

STATE=/var/lib/braid/node
# Alpha has the smaller id: it connects to beta. So the bad client runs on alpha.
hostile()
{
	ON_TIMEOUT=400 on "$1" "CASES=${CASES:-400} /usr/bin/python3 -SE $REPO/tests/vm/hostile.py $2 $(address "$3") $STATE $SEED"
}

# facts GUEST: everything that hostile input must not change
facts()
{
	on "$1" 'braid status --json && braid node show --json' | jq -cS 'walk(if type == "object" then
		del(.counters, .log_used, .since_ms, .rtt_ns, .sent_frames, .received_frames, .sent_bytes, .received_bytes, .dropped_frames)
		else . end)'
}

# same_facts BEFORE AFTER WHAT
same_facts()
{
	[ "$1" = "$2" ] || {
		diff <(jq -S . <<<"$1") <(jq -S . <<<"$2") || true
		fail "state after $3 is another one"
	}
}

slab()
{
	on "$1" 'awk "/^SUnreclaim/ { print \$2 }" /proc/meminfo'
}

step "tokens with one character changed"
together alpha beta -- mount_state
on alpha 'braid node init alpha 192.0.2.1'
token=$(on alpha 'braid node invite beta 192.0.2.2')
cat >"$WORK/tokens.sh" <<END
token=$token
export BRAID_STATE_DIR=/tmp/nowhere
refuse()
{
	status=0
	said=\$(braid node join -- "\$1" 2>&1) || status=\$?
	[ \$status = 2 ] && [[ \$said == *"(token)"* ]] && [ ! -e /tmp/nowhere/node ] && return
	echo "token '\$1': status \$status: \$said"
	exit 1
}
letters=ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_
RANDOM=$((SEED % 32768))
for ((at = 0; at < \${#token}; at += 3)); do
	old=\${token:at:1}
	new=\${letters:RANDOM % 64:1}
	[ "\$new" != "\$old" ] || new=\$([ \$old = A ] && echo B || echo A)
	refuse "\${token:0:at}\$new\${token:at+1}"
done
for bad in "" x "\${token:1}" "\${token%?}" "\${token}A" "\$token\$token" "\${token:0:40}" '!!!!' "\$(printf '%05000d' 0)"; do
	refuse "\$bad"
done
echo "\${#token} characters"
END
on beta "bash $WORK/tokens.sh"
on beta "braid node join $token"
for guest in alpha beta; do
	wait_for 15 "$guest has a session" sessions_open $guest 1
done
[[ $(on alpha "ls -ld /var/lib/braid; ls -l $STATE") != *r--r* ]] || fail "the secret can be read by others"
volume web vdb alpha beta
in_sync web 30 alpha beta
on alpha 'braid promote web && echo kept | dd of=/dev/braid/web bs=4k count=1 conv=sync oflag=direct status=none'

step "before authentication, while a session is open"
before="$(facts alpha) $(facts beta)"
memory=$(slab beta)
for mode in handshake truncated garbage lengths; do
	hostile alpha $mode beta
done
hostile alpha silence beta
hostile alpha flood beta
same_facts "$before" "$(facts alpha) $(facts beta)" "hostile connections"
memory_after=$(slab beta)
step "unreclaimable slab of beta: $memory -> $memory_after kB"
[ "$memory_after" -lt $((memory + 8192)) ] || fail "memory grows"
on alpha 'echo more | dd of=/dev/braid/web bs=4k count=1 seek=1 conv=sync,notrunc oflag=direct status=none'
in_sync web 10 alpha beta

step "netlink"
on alpha "/usr/bin/python3 -SE $REPO/tests/vm/netlink_fuzz.py fuzz $SEED"
same_facts "$before" "$(facts alpha) $(facts beta)" "malformed requests"
on alpha "setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all \
	/usr/bin/python3 -SE $REPO/tests/vm/netlink_fuzz.py unprivileged"
same_facts "$before" "$(facts alpha) $(facts beta)" "unprivileged requests"
on alpha 'mkdir /tmp/x && cp /var/lib/braid/node /tmp/x && chown -R 65534 /tmp/x'
refused alpha permission 'setpriv --reuid 65534 --clear-groups --bounding-set -all --inh-caps -all braid --state-dir /tmp/x down web'
# Root of a namespace of its own may run a node there, but not open disks with the rights of the kernel.
on alpha 'mkdir /tmp/y && cp /var/lib/braid/node /tmp/y'
refused alpha permission 'unshare -Urn sh -c "ip link set lo up; ip address add 192.0.2.1/32 dev lo
	BRAID_DEV_DIR=/tmp/y braid --state-dir /tmp/y create other /dev/vdc"'

step "authenticated, but every frame is wrong"
on alpha 'braid demote web && braid down web && braid node stop'
wait_vol beta web 20 '.peers[0].connected == false'
volume_before=$(facts beta | jq -c 'select(.volumes)')
hostile alpha replay beta
hostile alpha frames beta
dropped=$(on beta 'braid node show --json' | jq '.peers[0].dropped_frames')
[ "$dropped" -gt 0 ] || fail "no bad frame was counted"
step "$dropped frames were dropped and counted"
same_facts "$volume_before" "$(facts beta | jq -c 'select(.volumes)')" "hostile frames"
on alpha 'braid up web'
in_sync web 20 alpha beta

step "a bad server"
on beta 'braid down web && braid node stop'
hostile beta server beta
on beta 'braid up web'
in_sync web 30 alpha beta

step "superblocks"
on beta 'braid down web'
cat >"$WORK/super.sh" <<END
RANDOM=$((SEED % 32768))
set -e
dd if=/dev/vdb of=/tmp/good bs=4k count=2 status=none
restore() { dd if=/tmp/good of=/dev/vdb bs=4k count=2 conv=notrunc,fsync status=none; }
# flip COPY OFFSET: one bit
flip()
{
	local at=\$((4096 * \$1 + \$2)) byte
	byte=\$(dd if=/dev/vdb bs=1 count=1 skip=\$at status=none | od -An -tu1)
	printf "\\\\x\$(printf %02x \$((byte ^ 1 << RANDOM % 8)))" | dd of=/dev/vdb bs=1 count=1 seek=\$at conv=notrunc,fsync status=none
}
zero() { dd if=/dev/zero of=/dev/vdb bs=4k count=1 seek=\$1 conv=notrunc,fsync status=none; }
torn() { dd if=/dev/urandom of=/dev/vdb bs=512 count=3 seek=\$((8 * \$1 + 5)) conv=notrunc,fsync status=none; }
# one WHAT: one copy is bad; the other one must do, or the newer one is missed and said so
one()
{
	status=0
	braid meta check /dev/vdb >/tmp/said 2>&1 || status=\$?
	[ \$status = 1 ] || { echo "\$1: meta check: status \$status"; cat /tmp/said; exit 1; }
	braid meta repair /dev/vdb || { echo "\$1: not repaired"; exit 1; }
	braid meta check /dev/vdb >/tmp/said || { echo "\$1: after repair"; cat /tmp/said; exit 1; }
	restore
}
# both WHAT CODE: no copy is good, up is refused and changes nothing
both()
{
	sum=\$(dd if=/dev/vdb bs=4k count=256 status=none | md5sum)
	status=0
	braid up web >/tmp/said 2>&1 || status=\$?
	[ \$status != 0 ] && grep -qE "\$2" /tmp/said || { echo "\$1: up: status \$status"; cat /tmp/said; exit 1; }
	! braid meta repair /dev/vdb 2>/dev/null || { echo "\$1: repaired from nothing"; exit 1; }
	[ "\$sum" = "\$(dd if=/dev/vdb bs=4k count=256 status=none | md5sum)" ] || { echo "\$1: the disk was changed"; exit 1; }
	restore
}
braid meta check /dev/vdb
for copy in 0 1; do
	for i in 1 2 3 4; do at=\$((RANDOM % 4096)); flip \$copy \$at; one "copy \$copy, flip at \$at"; done
	zero \$copy; one "copy \$copy zero"
	torn \$copy; one "copy \$copy torn"
done
flip 0 \$((RANDOM % 4096)); flip 1 \$((RANDOM % 4096)); both "both flipped" "metadata"
torn 0; zero 1; both "torn and zero" "metadata"
zero 0; zero 1; both "both zero" "no-metadata"
# With one bad copy the module attaches all the same.
flip 0 100; braid up web; braid down web
torn 1; braid up web; braid down web
END
on beta "bash $WORK/super.sh"
on beta 'braid up web'
in_sync web 30 alpha beta
same_replicas vdb alpha beta
cluster_down alpha beta
