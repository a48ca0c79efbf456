#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: a volume that trusts its submitters: their own pages are sent and written while links are cut, nothing is sent of a page after its write ended, replicas equal [W2] [W4] [L1]
# Kernels: 6.12 6.1
# Guests: 2
# Disks: durable 128M,64M,16M
# Deadline: 400
#
# ROUNDS (3): link cuts under fio.

. "$(dirname "$0")/cluster.sh"

ROUNDS=${ROUNDS:-3}

stable() { on "$1" "cat /sys/block/$(vol "$1" web .device | sed 's,/dev/,,')/queue/stable_writes"; }
dropped() { on "$1" 'braid node show --json' | jq '.peers[0].dropped_frames'; }

cluster_up alpha beta
on alpha 'braid create web /dev/vdb --payload trust'
on beta 'braid replicate web /dev/vdb'
in_sync web 30 alpha beta
on_all 'braid options set timeout=2'
on alpha 'braid disconnect beta && braid connect beta'
in_sync web 20 alpha beta

step "the option: from create, by set, not while it is open, kept over a restart"
expect "trust copy" "$(vol alpha web .payload) $(vol beta web .payload)" "payload on alpha and beta"
expect "1 0" "$(stable alpha) $(stable beta)" "stable_writes on alpha and beta"
on beta 'braid set web payload=trust && braid set web payload=copy && braid set web payload=trust'
on beta 'braid down web && braid up web'
in_sync web 20 alpha beta
expect "trust 1" "$(vol beta web .payload) $(stable beta)" "payload and stable_writes on beta after a restart"
on alpha 'braid promote web && braid set web payload=copy'
expect "copy 0" "$(vol alpha web .payload) $(stable alpha)" "payload and stable_writes on alpha"
refused alpha in-use 'exec 3<>/dev/braid/web; braid set web payload=trust'
expect "copy 0" "$(vol alpha web .payload) $(stable alpha)" "payload and stable_writes after the refusal"
on alpha 'braid set web payload=trust'

step "pages of every kind: not aligned to pages, many small pieces, a filesystem's"
cat >"$WORK/pieces.py" <<'EOF'
import mmap, os, sys
disk = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
memory = mmap.mmap(-1, 2 << 20)
memory.write(os.urandom(2 << 20))
pieces = [memoryview(memory)[at:at + 512] for at in range(512, 1 << 20, 1536)]
pieces = pieces[:len(pieces) // 8 * 8]
os.pwritev(disk, pieces, 0)
os.pwrite(disk, memoryview(memory)[512:512 + (1 << 20)], 8 << 20)
again = mmap.mmap(-1, 1 << 20)
os.preadv(disk, [again], 8 << 20)
assert again[:] == memory[512:512 + (1 << 20)], "a write that is not aligned to pages"
length = 512 * len(pieces)
os.preadv(disk, [memoryview(again)[:length]], 0)
assert again[:length] == b"".join(bytes(piece) for piece in pieces), "a write of many pieces"
EOF
on alpha "python3 $WORK/pieces.py /dev/braid/web"
on alpha 'mkfs.ext4 -q -F /dev/braid/web && mkdir -p /run/web && mount /dev/braid/web /run/web &&
	cp -r /usr/include/linux /run/web && sync -f /run/web && cp -r /usr/include/net /run/web && umount /run/web &&
	fsck.ext4 -f -n /dev/braid/web >/dev/null'
in_sync web 10 alpha beta

for ((round = 1; round <= ROUNDS; round++)); do
	way=$(printf 'both\nin\nout\n' | sed -n "$((round % 3 + 1))p")
	step "round $round: link of beta cut under fio: $way"
	[ $round -gt 1 ] || fio_passes alpha /dev/braid/web 1 200
	job=$JOB
	sleep 2
	link beta down "$way"
	wait_for 12 "alpha goes on without beta" vol_is alpha web '.peers[0].connected == false'
	sleep 1
	link beta up
	in_sync web 40 alpha beta
done
fio_stop alpha "$job"
expect 0 "$(dropped beta)" "frames that beta found damaged"
in_sync web 20 alpha beta
on alpha 'braid demote web'
same_replicas vdb alpha beta

step "forced down with a write in the socket: it ends in time, and what its memory holds then is not sent"
on alpha 'braid promote web'
cat >"$WORK/scribble.py" <<'EOF'
import mmap, os, sys, time
disk = os.open("/dev/braid/web", os.O_RDWR | os.O_DIRECT)
memory = mmap.mmap(-1, 1 << 20)
memory.write(b"W" * (1 << 20))
print("begins", flush=True)
try:
    os.pwrite(disk, memory, 16 << 20)
    print("written", flush=True)
except OSError:
    memory[:] = b"S" * (1 << 20)
    print("failed", flush=True)
time.sleep(8)
EOF
on alpha 'braid options set timeout=20'
on alpha 'braid disconnect beta && braid connect beta'
on beta 'braid options set timeout=20'
in_sync web 20 alpha beta
link beta down
run_bg alpha "exec python3 $WORK/scribble.py"
job=$JOB
begun() { stamps_of "$job" | grep -q begins; }
wait_for 10 "the write begins" begun
sleep 1
begin=$(now_ms)
try alpha 'braid down web --force --timeout 5' || true
[ $(($(now_ms) - begin)) -lt 9000 ] || fail "the forced down took $(($(now_ms) - begin)) ms"
ended() { stamps_of "$job" | grep -q failed; }
wait_for 5 "the write ends, without a link" ended
link beta up
wait_bg "$job" 20 >/dev/null
wait_for 30 "a session" on alpha 'braid node show --json | grep -q "\"state\": \"open\""'
expect 0 "$(dropped beta)" "frames that beta found damaged"
on alpha 'braid up web'
in_sync web 40 alpha beta
same_replicas vdb alpha beta
cluster_down alpha beta
