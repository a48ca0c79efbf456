# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions for the tests of this folder: source it first.
#
#	. "$(dirname "$0")/lib.sh"
#
# tests/vm/run sets LAB_NAME, KERNEL, GUESTS; to run a test by hand against a
# lab that is up: LAB_NAME=mine tests/vm/120-name.sh
#
# The status of a test: 0 passed, 77 skipped (see skip), everything else failed.

set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LAB=$REPO/scripts/lab
: "${LAB_NAME:?is the name of a lab that is up}"
GUESTS=${GUESTS:-$("$LAB" status "$LAB_NAME" | sed 's/ .*//' | xargs)}
ON_TIMEOUT=${ON_TIMEOUT:-60}
SEED=${SEED:-$((($(date +%s%N) / 1000) % 1000000007))}
RANDOM=$((SEED % 32768))
echo "seed: $SEED (replay with SEED=$SEED)"

# now_ms: milliseconds since some moment in the past.
now_ms()
{
	local t=$EPOCHREALTIME
	echo $((${t/[.,]/} / 1000))
}

START_MS=$(now_ms)

# step MESSAGE: say where the test is, with the seconds since its start.
step()
{
	local ms=$(($(now_ms) - START_MS))
	printf '[%3d.%03d] %s\n' $((ms / 1000)) $((ms % 1000)) "$*"
}

# fail MESSAGE: end the test as failed.
fail()
{
	step "FAIL: $*" >&2
	# From a subshell, exit would end only that.
	[ "$BASHPID" = "$$" ] || kill -TERM $$
	exit 1
}

# skip REASON: end the test as skipped.
skip()
{
	step "skipped: $*"
	exit 77
}

trap 'step "FAIL: line $LINENO: $BASH_COMMAND: status $?" >&2' ERR
trap 'exit 1' TERM

is_guest()
{
	[[ " $GUESTS " == *" ${1-} "* ]]
}

# try GUEST COMMAND...: run a command line in a guest; its status is ours
# (124 after ON_TIMEOUT seconds, 125 when the guest is dead).
try()
{
	local guest=$1
	shift
	"$LAB" run "$LAB_NAME" "$guest" --timeout "$ON_TIMEOUT" -- "$*"
}

# on GUEST COMMAND...: the same, and the test fails unless the status is 0.
on()
{
	local status=0
	try "$@" || status=$?
	[ $status = 0 ] || fail "on $*: status $status"
}

# on_all COMMAND...: on each guest in turn.
on_all()
{
	local guest
	for guest in $GUESTS; do
		on "$guest" "$@"
	done
}

# run_bg GUEST COMMAND...: start a command line, set JOB to its number. It runs
# until it ends, its guest does, or the test does.
run_bg()
{
	local guest=$1
	shift
	JOB=$("$LAB" run "$LAB_NAME" "$guest" --bg -- "$*")
}

# wait_bg JOB [SECONDS]: print what it wrote; its status is ours, 124 if it
# still runs then.
wait_bg()
{
	"$LAB" wait "$LAB_NAME" "$1" --timeout "${2:-$ON_TIMEOUT}"
}

# kill_bg JOB [SIGNAL NUMBER]
kill_bg()
{
	"$LAB" kill "$LAB_NAME" "$@"
}

# Waits are given for a quiet machine; one that is busy or slow may take this many times longer.
PATIENCE=${PATIENCE:-3}

# wait_for SECONDS DESCRIPTION COMMAND...: until the host's command succeeds.
# Fails the test, with the last output, when that takes too long.
wait_for()
{
	local end=$(($(now_ms) + $1 * 1000 * PATIENCE)) what=$2 output
	shift 2
	while ! output=$("$@" 2>&1); do
		if [ "$(now_ms)" -ge $end ]; then
			printf '%s\n' "$output" >&2
			fail "not in time: $what ($*)"
		fi
		sleep 0.2
	done
}

# wait_on GUEST SECONDS DESCRIPTION COMMAND...: until a command line succeeds
# in a guest. Each attempt may take the rest of the time.
wait_on()
{
	local guest=$1 end=$(($(now_ms) + $2 * 1000 * PATIENCE)) what=$3 output='' left
	shift 3
	while :; do
		left=$((end - $(now_ms)))
		if [ $left -le 0 ]; then
			printf '%s\n' "$output" >&2
			fail "not in time on $guest: $what ($*)"
		fi
		if output=$("$LAB" run "$LAB_NAME" "$guest" --timeout $((left / 1000 + 1)) \
			    -- "$*" 2>&1); then
			return
		fi
		sleep 0.2
	done
}

lab_do()
{
	"$LAB" "$1" "$LAB_NAME" "${@:2}" || fail "lab $*"
}

# Power and cables of a guest; see scripts/lab --help.
# cut GUEST is a power cut; with anything else it is cut(1).
cut()
{
	if is_guest "${1-}"; then
		lab_do cut "$@"
	else
		command cut "$@"
	fi
}
boot() { lab_do boot "$@"; }
reboot() { lab_do reboot "$@"; }
off() { lab_do off "$@"; }
link() { lab_do link "$@"; }
carrier() { lab_do carrier "$@"; }
slow() { lab_do slow "$@"; }
unslow() { lab_do unslow "$@"; }
heal() { lab_do heal; }

# disk_file GUEST DISK: the raw file on the host behind a disk. Its content is
# what the guest wrote; with volatile disks, what it also flushed.
disk_file()
{
	"$LAB" disk "$LAB_NAME" "$@"
}

# kernel_log GUEST: what the kernel said since the test began, over all boots.
kernel_log()
{
	"$LAB" log "$LAB_NAME" "$1" --since-scan
}

# expect WANTED GOT WHAT
expect()
{
	[ "$1" = "$2" ] || fail "$3: expected '$1', got '$2'"
}
