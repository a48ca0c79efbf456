#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What: split brain is seen by both sides with one id and one ancestor, resolved by one command, and never claimed without divergent writes [G5] [G7] [G2] [I10] [I11]
# Kernels: 6.12
# Guests: 2
# Disks: durable 128M,64M,16M
# Deadline: 480

. "$(dirname "$0")/cluster.sh"

AREA=$((16 << 20))
cluster_up alpha beta
on_all 'braid options set timeout=2'
on alpha 'braid disconnect beta && braid connect beta'
volume web vdb alpha beta
in_sync web 30 alpha beta

apart() { vol_is alpha web '.peers[0].connected == false' && vol_is beta web '.peers[0].connected == false'; }

# write GUEST BLOCK: one block that tells who wrote it
write()
{
	on "$1" "yes $1 | dd of=/dev/braid/web bs=4k count=1 seek=$2 iflag=fullblock oflag=direct conv=notrunc status=none"
}

# block GUEST BLOCK: first word of a block
block()
{
	on "$1" "dd if=/dev/braid/web bs=4k count=1 skip=$2 iflag=direct status=none | head -c 20 | head -n 1 | tr -d '\0'"
}

step "both promoted in turn while apart, nobody writes: no split"
on alpha 'braid promote web' && write alpha 0 && on alpha 'braid demote web'
link beta down
wait_for 20 "they are apart" apart
on alpha 'braid promote web --peer-down beta && braid demote web'
on beta 'braid promote web --peer-down alpha && braid demote web'
link beta up
in_sync web 20 alpha beta
expect "null null" "$(vol alpha web .split) $(vol beta web .split)" "split without divergent writes"

step "one side promoted and written, the other one only promoted: no split"
link beta down
wait_for 20 "they are apart" apart
on alpha 'braid promote web --peer-down beta'
write alpha 10
on beta 'braid promote web --peer-down alpha && braid demote web'
link beta up
in_sync web 20 alpha beta
expect "null null" "$(vol alpha web .split) $(vol beta web .split)" "split with one writer"
on alpha 'braid demote web'

step "both promoted and written while apart"
link beta down
wait_for 20 "they are apart" apart
ancestor=$(vol alpha web .generation.id)
expect "$ancestor" "$(vol beta web .generation.id)" "generation of both"
on alpha 'braid promote web --peer-down beta'
on beta 'braid promote web --peer-down alpha'
write alpha 20
write alpha 21
write beta 21
write beta 22
link beta up
for guest in alpha beta; do
	wait_vol $guest web 20 '.split != null and .peers[0].state == "split" and (.healthy | not)'
done
expect "$(vol alpha web .split.id)" "$(vol beta web .split.id)" "id of the split"
expect "$ancestor $ancestor" "$(vol alpha web .split.ancestor) $(vol beta web .split.ancestor)" "common ancestor"
expect "beta alpha" "$(vol alpha web .split.peer) $(vol beta web .split.peer)" "other side of the split"
split=$(vol alpha web .split.id)

step "nothing is replicated in a split; both go on for themselves"
write alpha 23
expect "alpha beta" "$(block alpha 21) $(block beta 21)" "block written on both sides"
[ "$(block beta 23)" != alpha ] || fail "a write crossed the split"
expect "0 0" "$(vol alpha web '.streaming | length') $(vol beta web '.streaming | length')" "replicas that get writes"

step "it is on disk: still there after beta was down and up"
on beta 'braid demote web && braid down web && braid up web'
for guest in alpha beta; do
	wait_vol $guest web 20 ".split.id == \"$split\" and .peers[0].state == \"split\""
done
on alpha 'braid demote web'
[[ $(on beta 'braid why web' || true) == *$split* ]] || fail "why does not name the split"

step "wrong ways to resolve are refused and change nothing"
refused alpha usage 'braid resolve web'
refused alpha other-split 'braid resolve web --keep alpha --split 00000000000000aa'
refused alpha no-such-peer "braid resolve web --keep nobody --split $split"
on beta 'braid promote web --peer-down alpha' || true
refused alpha is-primary "braid resolve web --keep alpha --split $split"
on beta 'braid demote web'
expect "$split" "$(vol beta web .split.id)" "split after refusals"

step "resolve on one side: alpha's changes stay"
on alpha "braid resolve web --keep alpha --split $split"
in_sync web 30 alpha beta
expect "null null" "$(vol alpha web .split) $(vol beta web .split)" "split after it was resolved"
refused alpha no-split "braid resolve web --keep alpha --split $split"
on beta 'braid promote web'
expect "alpha alpha alpha" "$(block beta 20) $(block beta 21) $(block beta 23)" "alpha's changes on beta"
[ "$(block beta 22)" != beta ] || fail "a change of the losing side is still there"
on beta 'braid demote web'
same_replicas vdb alpha beta
cluster_down alpha beta
