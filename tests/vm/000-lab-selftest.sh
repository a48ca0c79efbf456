#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: the lab itself does what the other tests rely on
# Kernels: 6.12 6.1
# Guests: 2
# Disks: volatile 64M,64M
# Deadline: 300

. "$(dirname "$0")/lib.sh"

step "status and output of commands"
status=0
try alpha 'echo out; echo err >&2; exit 3' >/tmp/out.$$ 2>/tmp/err.$$ || status=$?
expect "3 out err" "$status $(cat /tmp/out.$$) $(cat /tmp/err.$$)" "status and output"
rm -f /tmp/out.$$ /tmp/err.$$
expect "$(seq 100000 | md5sum)" "$(on alpha 'seq 100000' | md5sum)" "long output"
status=0
ON_TIMEOUT=1 try alpha 'sleep 100' || status=$?
expect 124 $status "timeout"
expect $KERNEL "$(on beta 'uname -r' | sed -E 's/^([0-9]+\.[0-9]+).*/\1/')" "kernel"
expect "beta 192.0.2.2" "$(on beta 'echo $HOSTNAME $(ip -4 -o address show eth0 |
	sed -E "s/.*inet ([^/]*).*/\1/")')" "name and address"

step "commands at the same time"
on alpha 'mkfifo /tmp/meet'
run_bg alpha 'cat /tmp/meet; exit 4'
on alpha 'echo met >/tmp/meet'
status=0
output=$(wait_bg $JOB) || status=$?
expect "4 met" "$status $output" "background command"
on alpha 'rm /tmp/meet; sleep 1000 & echo started' >/dev/null

step "cost of one command"
begin=$(now_ms)
for i in 1 2 3 4 5 6 7 8 9 10; do
	on alpha true
done
step "$((($(now_ms) - begin) / 10)) ms"

step "modules of the kernel are there"
on alpha 'modprobe dm_flakey && modprobe null_blk && test -b /dev/nullb0 && modprobe -r null_blk'

step "a power cut loses what was not flushed, and only that"
on alpha 'yes flushed | dd of=/dev/vdb bs=4k count=8 iflag=fullblock oflag=direct conv=fsync status=none'
on alpha 'yes forgotten | dd of=/dev/vdb bs=4k count=8 seek=8 iflag=fullblock oflag=direct status=none'
on alpha 'yes fua | dd of=/dev/vdc bs=4k count=1 iflag=fullblock oflag=direct,dsync status=none'
expect "forgotten" "$(on alpha 'dd if=/dev/vdb bs=4k skip=8 count=1 iflag=direct status=none | head -n 1')" \
	"the disk before the cut"
cut alpha
status=0
try alpha true 2>/dev/null || status=$?
expect 125 $status "command on a guest without power"
expect "flushed" "$(head -n 1 "$(disk_file alpha vdb)")" "flushed data in the file"
boot alpha
expect "flushed" "$(on alpha 'dd if=/dev/vdb bs=4k skip=7 count=1 iflag=direct status=none | head -n 1')" \
	"flushed data"
expect "fua" "$(on alpha 'dd if=/dev/vdc bs=4k count=1 iflag=direct status=none | head -n 1')" \
	"data written with FUA"
on alpha 'cmp -n 32768 -i 32768:0 /dev/vdb /dev/zero'

step "a clean power off loses nothing"
on beta 'yes kept | dd of=/dev/vdb bs=4k count=1 iflag=fullblock oflag=direct status=none'
reboot beta
expect "kept" "$(on beta 'dd if=/dev/vdb bs=4k count=1 iflag=direct status=none | head -n 1')" \
	"data after a reboot"


# arrives FROM TO WORD: send one datagram; is it there within a second? The
# neighbour entries are fixed, so that one direction is looked at alone.
arrives()
{
	on "$1" "echo $3 >/dev/udp/$2/7777"
	try "$2" "for i in {1..10}; do
		[[ \$(</tmp/sink) != *$3* ]] || exit 0
		read -t 0.1 <>/tmp/never || :
	done; exit 1"
}

step "links can be cut in each direction, in silence"
on_all 'ping -c 1 -W 5 alpha >/dev/null && ping -c 1 -W 5 beta >/dev/null'
on alpha 'ip neighbour replace 192.0.2.2 lladdr 52:54:00:b7:00:02 dev eth0'
on beta 'ip neighbour replace 192.0.2.1 lladdr 52:54:00:b7:00:01 dev eth0'
on_all 'mkfifo /tmp/never; setsid nc -u -l -k -p 7777 >/tmp/sink </dev/null 2>/dev/null &
	until grep -qs ":1E61 " /proc/net/udp; do sleep 0.1; done'
arrives alpha beta whole1 || fail "datagram to beta lost"
arrives beta alpha whole2 || fail "datagram to alpha lost"
link alpha down out
! arrives alpha beta out1 || fail "alpha can send with its link cut outwards"
arrives beta alpha out2 || fail "alpha cannot receive with its link cut outwards"
link alpha up
link alpha down in
arrives alpha beta in1 || fail "alpha cannot send with its link cut inwards"
! arrives beta alpha in2 || fail "alpha can receive with its link cut inwards"
link alpha down
! arrives alpha beta both1 || fail "alpha can send with its link cut"
! arrives beta alpha both2 || fail "alpha can receive with its link cut"
expect 1 "$(on alpha 'cat /sys/class/net/eth0/carrier')" "carrier with the link cut"
link alpha up
arrives alpha beta again1 || fail "datagram to beta lost after the cut"
arrives beta alpha again2 || fail "datagram to alpha lost after the cut"

step "carrier"
carrier beta off
wait_on beta 5 "loss of carrier" '! grep -q 1 /sys/class/net/eth0/carrier'
carrier beta on
wait_on beta 5 "carrier" 'grep -q 1 /sys/class/net/eth0/carrier'

step "slow links"
# rtt: round trip from alpha to beta, whole milliseconds.
rtt()
{
	on alpha 'ping -c 3 -i 0.2 -q beta' | sed -nE 's|^rtt [^=]*= ([0-9]+).*|\1|p'
}
slow beta 200
delayed=$(rtt)
unslow beta
plain=$(rtt)
step "round trip at least: $delayed ms with a delay of 200 ms, $plain ms without"
[ "$delayed" -ge 200 ] && [ "$plain" -lt 150 ] || fail "delay has no effect"

step "the kernel logs are scanned"
"$LAB" scan "$LAB_NAME" || fail "complaints in the kernel log"
on alpha 'echo "<4>BUG: test" >/dev/kmsg'
logged() { kernel_log alpha | grep "BUG: test"; }
wait_for 5 "line in the kernel log" logged
status=0
output=$("$LAB" scan "$LAB_NAME" --forget) || status=$?
expect 1 $status "status of a scan that finds something"
[[ $output == "alpha: "*"BUG: test" ]] || fail "scan found: $output"
"$LAB" scan "$LAB_NAME" || fail "forgotten line is found again"
