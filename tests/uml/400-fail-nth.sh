#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: every command of the tool, with the first, second, third ... memory allocation of the kernel failing, until none is left: an error, nothing leaked, and it works afterwards [L3] [L4] [C1]
# Deadline: 2400
# Seconds: 100000

. "$(dirname "$0")/lib.sh"

SITES=0
# faulty NUMBER NTH COMMAND...: run it with that allocation failing. 0: done; 1: refused, as it may be; 2: no such site
# any more, and it is done.
faulty()
{
	local n=$1 nth=$2 status=0 report
	shift 2
	rm -f /tmp/report
	in_node $n timeout 120 env FAIL_NTH=$nth FAIL_REPORT=/tmp/report \
		LD_PRELOAD=$REPO/build/uml/fail_requests.so "$@" >/tmp/said 2>&1 || status=$?
	report=$(cat /tmp/report) || fail "$*: no report, status $status: $(</tmp/said)"
	[ $status -lt 120 ] || fail "$*: status $status with allocation $nth failing: $(</tmp/said)"
	case $report in
	injected) SITES=$((SITES + 1)) ;;
	*) [ $status = 0 ] || fail "$*: without a fault: status $status: $(</tmp/said)"; return 2 ;;
	esac
	[ $status = 0 ]
}

# sweep NUMBER UNDO COMMAND...: all sites of a command. UNDO is evaluated after each time that it was done; when it failed,
# for what it had begun: with nothing begun UNDO may fail.
sweep()
{
	local n=$1 undo=$2 nth status code
	local -A codes=()
	shift 2
	for ((nth = 1; nth < 500; nth++)); do
		status=0
		faulty $n $nth "$@" || status=$?
		case $status in
		0) eval "$undo" || fail "$*: cannot be undone after allocation $nth failed" ;;
		1)
			code=$(sed -n 's/^braid: .*(\([a-z-]*\))$/\1/p' /tmp/said | head -n 1)
			[ "$code" = memory ] || step "allocation $nth: $(</tmp/said)"
			codes[${code:-none}]=yes
			(trap - ERR; eval "$undo") >/dev/null 2>&1 || true
			;;
		2)
			step "$*: $((nth - 1)) sites, errors: ${!codes[*]}"
			eval "$undo"
			return
			;;
		esac
	done
	fail "$*: no end of sites"
}

inject()
{
	local what
	within
	for what in failslab fail_page_alloc; do
		echo N >$INJECTION/$what/ignore-gfp-wait
		echo 0 >$INJECTION/$what/verbose
		echo 32 >$INJECTION/$what/stacktrace-depth
	done
	echo 0 >$INJECTION/fail_page_alloc/min-order
}

# arm NTH: the NTH allocation of each thread that may run a work fails, once; 0: none does. Sets ARMED.
arm()
{
	local file
	ARMED=($(grep -ls '^kworker/u' /proc/[0-9]*/comm))
	ARMED=("${ARMED[@]/%comm/fail-nth}")
	for file in "${ARMED[@]}"; do
		echo $1 >$file 2>/dev/null || true
	done
}

# hit: an armed thread has had its failure.
hit()
{
	local file left
	for file in "${ARMED[@]}"; do
		read -r left 2>/dev/null <$file || continue
		[ $left != 0 ] || return 0
	done
	return 1
}

# within FUNCTION: only allocations below this function of the module count; none: below any of it.
within()
{
	local what range=$RANGE
	[ $# = 0 ] || range=$(sort /proc/kallsyms | awk -v f="$1" 'found { print "0x" from "-0x" $1; exit }
		$3 == f && $4 == "[braid]" { found = 1; from = $1 }')
	[ -n "$range" ] || fail "no function $1"
	for what in failslab fail_page_alloc; do
		echo ${range%-*} >$INJECTION/$what/require-start
		echo ${range#*-} >$INJECTION/$what/require-end
	done
}

# sweep_work NUMBER FUNCTION UNDO COMMAND...: as sweep(), for the work that does what the command asks for
sweep_work()
{
	local n=$1 function=$2 undo=$3 nth status injected
	local -A codes=()
	shift 3
	within $function
	for ((nth = 1; nth < 1000; nth++)); do
		status=0
		arm $nth
		in_node $n timeout 120 "$@" >/tmp/said 2>&1 || status=$?
		injected=no
		hit && injected=yes
		arm 0
		[ $status -lt 120 ] || fail "$*: status $status with allocation $nth of $function failing: $(</tmp/said)"
		if [ $status = 0 ]; then
			eval "$undo" || fail "$*: cannot be undone after allocation $nth of $function failed"
		else
			codes[$(sed -n 's/^braid: .*(\([a-z-]*\))$/\1/p' /tmp/said | head -n 1)]=yes
		fi
		[ $injected = yes ] || break
		SITES=$((SITES + 1))
	done
	within
	[ $injected = no ] || fail "$*: no end of sites of $function"
	[ $status = 0 ] || fail "$*: without a fault: status $status: $(</tmp/said)"
	step "$*: $((nth - 1)) sites of $function, errors: ${!codes[*]}"
	[ -n "${codes[memory]-}" ] || fail "$*: no allocation that failed was reported"
}

load
hub_up
for n in 1 2; do
	node_up $n
	disk_up $n 48
done
disk_up 3 32
base=$(</sys/module/braid/sections/.text)
RANGE=$base-$(printf '0x%x' $((base + $(awk '$1 == "braid" { print $2 }' /proc/modules))))
inject
clean='in_node 1 braid node stop >/dev/null 2>&1 || true; rm -rf /tmp/n1/state/*'
sweep 1 "$clean" braid node init n1 198.51.100.1
in_node 1 braid node init n1 198.51.100.1
sweep 1 'in_node 1 braid node stop' braid node start
in_node 1 braid node start
sweep 1 'in_node 1 braid node remove n2' braid node invite n2 198.51.100.2
token=$(in_node 1 braid node invite n2 198.51.100.2)
in_node 2 braid node join $token
sweep 1 'in_node 1 braid connect n2' braid disconnect n2
sweep 1 'true' braid connect n2
last_id() { in_node 1 braid meta dump --json /dev/nullb$1 | jq -r '[.. | objects | .volume_id // empty][0]'; }
in_node 1 braid create web /dev/nullb1 --force-overwrite /dev/nullb1
sweep 1 'in_node 1 braid down web' braid up web
sweep_work 1 attach_work 'in_node 1 braid down web' braid up web
in_node 1 braid up web
in_node 2 braid replicate web /dev/nullb2
in_sync 1 2
# After a change of roles the nodes greet each other again; until then another one is refused as busy, which is no failure.
roles_agreed() { until_status 1 20 '.promote_refused == null'; }
sweep 1 'in_node 1 braid demote web && roles_agreed' braid promote web
in_node 1 braid promote web
sweep 1 'roles_agreed && in_node 1 braid promote web' braid demote web
in_node 1 braid demote web
sweep 1 'in_node 1 braid up web' braid down web
in_sync 1 2
sweep 2 'in_node 2 braid down web' braid up web
in_node 2 braid up web
in_sync 1 2
id=$(last_id 1)
# gone: node 2 is down, and out of the in-sync set by a write without it
gone()
{
	in_node 2 braid down web
	dd if=/dev/zero of=/tmp/n1/dev/web bs=4k count=1 oflag=direct conv=notrunc status=none
}
in_node 1 braid promote web
gone
sweep 1 'in_node 2 braid delete web --id $id; in_node 2 braid replicate web /dev/nullb2 --force-overwrite /dev/nullb2; in_sync 1 2; gone' \
	braid forget web n2 --id $id
in_node 1 braid forget web n2 --id $id
in_node 2 braid delete web --id $id
sweep 2 'gone; in_node 2 braid delete web --id $id; in_node 1 braid forget web n2 --id $id' \
	braid replicate web /dev/nullb2 --force-overwrite /dev/nullb2
in_node 2 braid replicate web /dev/nullb2 --force-overwrite /dev/nullb2
in_sync 1 2
stamped 1 2 /tmp/list
verified 1 /tmp/list
in_node 1 braid demote web
identical 1 2
sweep 1 'in_node 1 braid down second; in_node 1 braid delete second --id $(last_id 3); wipefs -qa /dev/nullb3' \
	braid create second /dev/nullb3 --force-overwrite /dev/nullb3
step "$SITES allocations failed"
all_down 1 2
