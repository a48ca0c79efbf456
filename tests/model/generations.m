-- SPDX-License-Identifier: GPL-2.0
--
-- Generations, in-sync sets, activity log and dirty map, as rules: what the design promises, not how the code does it.
-- One block, one region; a copy's content is the set of writes in it; volatile caches, crashes, cuts.
--
-- ARBITER 1: somebody remembers the newest record and grants the next one only to who holds it: a majority of voters, or the
-- store of a cluster manager [G8]. Promises: [I1] [I5] [I7] [I12].
-- ARBITER 0: two nodes alone and an administrator who may be wrong. Promises: [I5] [I7] [I8] [I9] [I10] [I11].
--
-- Each drop_* constant switches one rule off; tests/model/run shows that every one is missed.

const
  N: 2;			-- replicas
  W: 2;			-- writes in all
  G: 3;			-- generations after the first
  CRASHES: 1;
  CUTS: 1;
  ARBITER: 1;

  drop_promote_stale: 0;	-- [G4] who is not in the newest in-sync set is never promoted
  drop_arbiter: 0;		-- [G8] [I12] a record continues the newest one that is remembered
  drop_mark_absent: 0;		-- [D1] the bit is set before the write that the absent one misses is acknowledged
  drop_peers_mark_absent: 0;	-- [D1] on every in-sync replica, not only on the writer
  drop_resync_marks_third: 0;	-- [I5] a target's new content is marked for those that it was in sync with
  drop_leaver_log: 0;		-- [D1] [G6] whoever a record drops lacks all that the log still covers; so does whoever is not
				-- there when a survivor is promoted, since the first record of the survivor drops it
  drop_peer_logs: 0;		-- [W3] each replica logs before it writes
  drop_writer_logs: 0;		-- [W3] the writer, too
  drop_union_logs: 0;		-- [G6] a resync covers the target's log, too
  drop_union_bits: 0;		-- [G6] and the target's own bits
  drop_evict_flushed: 0;	-- [W6] a region leaves the log when all members have flushed
  drop_clear_flushed: 0;	-- [D2] a bit is cleared when the target's copy is stable
  drop_wait_for_members: 0;	-- [W4] a write waits for every member
  drop_record_first: 0;		-- [G3] a record is durable on every member before a write under it
  drop_writer_first: 0;		-- [G2] a record that adds a member is on the writer first
  drop_strip: 0;		-- [G2] unwritten records at the tail do not count
  drop_write_marks: 0;		-- [G2] a write marks its record
  drop_flush_marks: 0;		-- [G2] a flush marks its record

type
  Node: 0..N-1;
  Write: 1..W;
  Gen: 0..G;
  Content: array[Write] of boolean;
  Members: array[Node] of boolean;
  Verdict: enum { SAME, AHEAD, BEHIND, SPLIT };

var
  -- durable, on each replica
  stable: array[Node] of Content;
  logged: array[Node] of boolean;
  dirty: array[Node] of Members;		-- dirty[i][j]: i knows that j may lack something
  tail: array[Node] of Gen;			-- the chain is tail, its parent, and so on to 0
  marked: array[Node] of array[Gen] of boolean;	-- the replica's own written mark of a record
  -- volatile
  up: array[Node] of boolean;
  primary: array[Node] of boolean;
  cache: array[Node] of Content;		-- what reads see
  in_sync: array[Node] of Members;		-- for the time of one session
  source: array[Node] of Members;		-- source[i][j]: i resyncs j
  -- records ever made, by id
  last_gen: Gen;
  parent: array[Gen] of Gen;
  members: array[Gen] of Members;
  writer: array[Gen] of Node;
  begun: array[Gen] of boolean;			-- ghost: a write or flush was begun under it
  newest: Gen;					-- what the arbiter remembers
  -- the world
  link: array[Node] of Members;
  crashes: 0..CRASHES;
  cuts: 0..CUTS;
  -- one write and one flush at a time
  writing: boolean; w_node: Node; w_id: Write; w_local: 0..2; w_peer: array[Node] of 0..2;
  flushing: boolean; f_node: Node; f_local: boolean; f_peer: Members; f_upto: Content;
  next_write: 1..W+1;
  acked: Content;
  firm: Content;				-- acknowledged before a flush that completed

function same(a: Content; b: Content): boolean;
begin
  for x: Write do if a[x] != b[x] then return false; end; end;
  return true;
end;

-- Is all of a in b?
function within(a: Content; b: Content): boolean;
begin
  for x: Write do if a[x] & !b[x] then return false; end; end;
  return true;
end;

function on_path(t: Gen; g: Gen): boolean;
var at: Gen;
begin
  at := t;
  while at != g & at != 0 do at := parent[at]; end;
  return at = g;
end;

function counts(i: Node): Gen;
var at: Gen;
begin
  at := tail[i];
  while drop_strip = 0 & at != 0 & !marked[i][at] do at := parent[at]; end;
  return at;
end;

-- [G5]
function compare(i: Node; j: Node): Verdict;
var a: Gen; b: Gen;
begin
  a := counts(i);
  b := counts(j);
  if a = b then return SAME; end;
  if on_path(a, b) then return AHEAD; end;
  if on_path(b, a) then return BEHIND; end;
  return SPLIT;
end;

-- A write or flush was begun under a record of i that j does not have.
function wrote_alone(i: Node; j: Node): boolean;
begin
  for g: Gen do
    if g != 0 & begun[g] & on_path(tail[i], g) & !on_path(tail[j], g) then return true; end;
  end;
  return false;
end;

function connected(i: Node; j: Node): boolean;
begin
  return i != j & up[i] & up[j] & link[i][j];
end;

function any_primary(): boolean;
begin
  return exists k: Node do up[k] & primary[k] end;
end;

function being_synced(j: Node): boolean;
begin
  return exists k: Node do source[k][j] end;
end;

function syncing_somebody(i: Node): boolean;
begin
  return exists k: Node do source[i][k] end;
end;

-- The in-sync set that the next write of i needs.
function needed(i: Node; k: Node): boolean;
begin
  return k = i | (in_sync[i][k] & connected(i, k));
end;

function record_fits(i: Node): boolean;
begin
  return writer[tail[i]] = i & forall k: Node do members[tail[i]][k] = needed(i, k) end;
end;

function members_have_record(i: Node): boolean;
begin
  return drop_record_first = 1 | forall k: Node do needed(i, k) -> tail[k] = tail[i] end;
end;

function may_record(i: Node): boolean;
begin
  return last_gen < G & (ARBITER = 0 | drop_arbiter = 1 | newest = tail[i]);
end;

procedure new_record(i: Node);
begin
  last_gen := last_gen + 1;
  parent[last_gen] := tail[i];
  writer[last_gen] := i;
  newest := last_gen;
end;

-- j has lost its writer: what was in flight may differ between survivors, so they compare before they are in sync [G6].
procedure lose_writer(j: Node);
begin
  for k: Node do in_sync[j][k] := false; in_sync[k][j] := false; end;
end;

procedure lose_session(i: Node; j: Node);
begin
  if primary[i] & in_sync[i][j] then lose_writer(j); end;
  if primary[j] & in_sync[i][j] then lose_writer(i); end;
  in_sync[i][j] := false; in_sync[j][i] := false;
  source[i][j] := false; source[j][i] := false;
  if writing & w_node = i then w_peer[j] := 0; end;
  if writing & w_node = j then w_peer[i] := 0; end;
  if flushing & (f_node = i | f_node = j) then flushing := false; end;
end;

startstate begin
  clear stable; clear logged; clear dirty; clear tail; clear marked; clear primary; clear cache; clear source;
  clear parent; clear writer; clear begun; clear members;
  last_gen := 0; newest := 0; crashes := 0; cuts := 0;
  for i: Node do
    up[i] := true;
    marked[i][0] := true;
    members[0][i] := true;
    for j: Node do link[i][j] := true; in_sync[i][j] := (i = 0 | j = 0) & i != j; end;
  end;
  primary[0] := true;
  begun[0] := true;
  writing := false; w_node := 0; w_id := 1; w_local := 0; clear w_peer;
  flushing := false; f_node := 0; f_local := false; clear f_peer; clear f_upto;
  next_write := 1; clear acked; clear firm;
end;

-- ---- faults ----

ruleset i: Node; kept: boolean do
  rule "crash" up[i] & crashes < CRASHES & (!kept | !same(cache[i], stable[i])) ==>
  begin
    crashes := crashes + 1;
    if kept then stable[i] := cache[i]; end;
    cache[i] := stable[i];
    if writing & w_node = i then writing := false; end;
    for k: Node do if k != i then lose_session(i, k); end; end;
    up[i] := false;
    primary[i] := false;
  end;
end;

ruleset i: Node do
  rule "boot" !up[i] ==> begin up[i] := true; end;
end;

ruleset i: Node; j: Node do
  rule "cut" i < j & link[i][j] & cuts < CUTS ==>
  begin
    cuts := cuts + 1;
    link[i][j] := false; link[j][i] := false;
    lose_session(i, j);
  end;

  rule "heal" i < j & !link[i][j] ==> begin link[i][j] := true; link[j][i] := true; end;
end;

-- ---- promotion [G4] [G8] ----

ruleset i: Node do
  rule "promote"
    up[i] & !primary[i] & !being_synced(i) & !syncing_somebody(i) & !flushing &
    (!writing | (w_node != i & !connected(i, w_node))) &
    !(exists j: Node do connected(i, j) & syncing_somebody(j) end) &	-- else the primary would have to be the source
    !(exists k: Node do connected(i, k) & (primary[k] | (!in_sync[i][k] & compare(i, k) != SAME & compare(i, k) != AHEAD)) end) &
    (ARBITER = 0 | drop_promote_stale = 1 | members[newest][i]) &
    (ARBITER = 1 | members[tail[i]][i])
  ==>
  begin
    if ARBITER = 1 then	-- learns the newest record, which names it
      tail[i] := newest;
      for g: Gen do if on_path(newest, g) & g != newest then marked[i][g] := true; end; end;
    end;
    primary[i] := true;
    for j: Node do
      for k: Node do if j != i & k != i then in_sync[j][k] := false; end; end;
    end;
  end;

  -- A primary that was cut off meets a newer record: it is none any more, and its write fails.
  rule "deposed"
    ARBITER = 1 & up[i] & primary[i] & tail[i] != newest &
    exists k: Node do connected(i, k) & tail[k] = newest end
  ==>
  begin
    primary[i] := false;
    if writing & w_node = i then writing := false; end;
    if flushing & f_node = i then flushing := false; end;
  end;

  -- Whoever has lost its writer, or comes back after a crash: the log becomes bits for all others, and is empty [G6].
  rule "log becomes bits"
    up[i] & !primary[i] & logged[i] & (!writing | w_node != i) & !being_synced(i) & !syncing_somebody(i) &
    !(exists k: Node do in_sync[i][k] end)
  ==>
  begin
    for k: Node do if k != i then dirty[i][k] := true; end; end;
    stable[i] := cache[i];
    logged[i] := false;
  end;

  rule "demote" up[i] & primary[i] & !writing & !flushing ==> begin primary[i] := false; end;
end;

-- ---- records [G2] [G3] ----

ruleset i: Node do
  rule "record: the set or the writer changes"
    up[i] & primary[i] & !syncing_somebody(i) & (!writing | w_node = i) & !record_fits(i) & may_record(i)
  ==>
  begin
    new_record(i);
    for k: Node do
      members[last_gen][k] := needed(i, k);
      if !needed(i, k) & (logged[i] | writing) & drop_leaver_log = 0 then dirty[i][k] := true; end;
    end;
    tail[i] := last_gen;
    if writing then marked[i][last_gen] := true; begun[last_gen] := true; end;
  end;
end;

ruleset i: Node; j: Node do
  rule "member makes the record durable"
    connected(i, j) & primary[i] & in_sync[i][j] & tail[j] != tail[i] & members[tail[i]][j] & tail[j] = parent[tail[i]]
  ==>
  begin
    for k: Node do
      if k != j & members[tail[j]][k] & !members[tail[i]][k] & logged[j] & drop_leaver_log = 0 then dirty[j][k] := true; end;
    end;
    for g: Gen do marked[j][g] := marked[i][g]; end;
    tail[j] := tail[i];
    for k: Node do	-- whom the record drops is in sync with no member any more
      if !members[tail[i]][k] then lose_session(j, k); end;
    end;
  end;
end;

-- ---- a write [W3] [W4] [D1] ----

ruleset i: Node do
  rule "write begins"
    up[i] & primary[i] & !writing & !flushing & next_write <= W & record_fits(i) & members_have_record(i) & !syncing_somebody(i)
  ==>
  begin
    writing := true; w_node := i; w_id := next_write; w_local := 0; clear w_peer;
    next_write := next_write + 1;
    begun[tail[i]] := true;
    for k: Node do if !needed(i, k) & drop_mark_absent = 0 then dirty[i][k] := true; end; end;
  end;

  rule "writer logs" writing & w_node = i & w_local = 0 ==>
  begin
    w_local := 1;
    if drop_writer_logs = 0 then logged[i] := true; end;
    if drop_write_marks = 0 then marked[i][tail[i]] := true; end;
  end;

  rule "writer writes" writing & w_node = i & w_local = 1 ==> begin w_local := 2; cache[i][w_id] := true; end;

  rule "acknowledged"
    writing & w_node = i & w_local = 2 & record_fits(i) & members_have_record(i) &
    (drop_wait_for_members = 1 | forall k: Node do k != i & needed(i, k) -> w_peer[k] = 2 end)
  ==>
  begin
    assert ARBITER = 0 | newest = tail[i] "I12: acknowledged under a generation that is not the newest";
    writing := false;
    acked[w_id] := true;
  end;
end;

ruleset i: Node; j: Node do
  rule "peer logs"
    writing & w_node = i & connected(i, j) & in_sync[i][j] & w_peer[j] = 0 & (drop_record_first = 1 | tail[j] = tail[i])
  ==>
  begin
    w_peer[j] := 1;
    if drop_peer_logs = 0 then logged[j] := true; end;
    if drop_write_marks = 0 then marked[j][tail[j]] := true; end;
    for k: Node do
      if k != j & !members[tail[j]][k] & drop_peers_mark_absent = 0 then dirty[j][k] := true; end;
    end;
  end;

  rule "peer writes" writing & w_node = i & connected(i, j) & w_peer[j] = 1 ==>
  begin w_peer[j] := 2; cache[j][w_id] := true; end;
end;

-- ---- a flush [W5], and what may leave the log then [W6] ----

ruleset i: Node do
  rule "flush begins"
    up[i] & primary[i] & !writing & !flushing & record_fits(i) & members_have_record(i) & !syncing_somebody(i) &
    exists x: Write do acked[x] & cache[i][x] & !firm[x] end
  ==>
  begin
    flushing := true; f_node := i; f_local := false; clear f_peer;
    begun[tail[i]] := true;
    for x: Write do f_upto[x] := acked[x] & cache[i][x]; end;
    if drop_flush_marks = 0 then marked[i][tail[i]] := true; end;
  end;

  rule "writer flushes" flushing & f_node = i & !f_local ==> begin f_local := true; stable[i] := cache[i]; end;

  rule "flush completes"
    flushing & f_node = i & f_local & record_fits(i) & members_have_record(i) &
    forall k: Node do k != i & needed(i, k) -> f_peer[k] end
  ==>
  begin
    flushing := false;
    for x: Write do firm[x] := firm[x] | f_upto[x]; end;
    clear f_upto;
  end;

  rule "region leaves the log"
    up[i] & primary[i] & logged[i] & !writing & !flushing & record_fits(i) &
    (drop_evict_flushed = 1 | forall k: Node do needed(i, k) -> same(cache[k], stable[k]) end)
  ==>
  begin
    for k: Node do if needed(i, k) then logged[k] := false; end; end;
  end;
end;

ruleset i: Node; j: Node do
  rule "peer flushes"
    flushing & f_node = i & connected(i, j) & in_sync[i][j] & !f_peer[j] & tail[j] = tail[i]
  ==>
  begin
    f_peer[j] := true;
    stable[j] := cache[j];
    if drop_flush_marks = 0 then marked[j][tail[j]] := true; end;
  end;
end;

-- ---- sessions: who is the source [G5] [G6] ----

function may_be_source(i: Node; j: Node): boolean;
var v: Verdict;
begin
  v := compare(i, j);
  if primary[j] | !members[tail[i]][i] | being_synced(i) then return false; end;
  if !primary[i] & any_primary() then return false; end;
  if v = AHEAD then return true; end;
  if v != SAME then return false; end;
  if primary[i] then return true; end;
  if !members[tail[j]][j] then return true; end;
  return tail[i] > tail[j] | (tail[i] = tail[j] & i < j);
end;

ruleset i: Node; j: Node do
  rule "connect"
    connected(i, j) & !in_sync[i][j] & !source[i][j] & !source[j][i] & !being_synced(j) & !syncing_somebody(j) &
    !writing & !flushing
    & (ARBITER = 0 | !primary[i] | newest = tail[i])
    & (may_be_source(i, j) | (i < j & compare(i, j) = SPLIT & (!source[i][j])))
  ==>
  begin
    if compare(i, j) = SPLIT then
      assert wrote_alone(i, j) & wrote_alone(j, i) "I11: a split without divergent writes";
      assert ARBITER = 0 "I12: a split though an arbiter remembers";
    else
      assert N > 2 | within(firm, cache[i]) | within(firm, cache[j]) "I10: both lack what was flushed, and no split is seen";
      assert N > 2 | within(firm, cache[i]) "I8: the source lacks what was flushed";
      assert N > 2 | crashes > 0 | within(acked, cache[i]) "I8: the source lacks what was acknowledged, and no cache was lost";
      for k: Node do if k != j then lose_session(j, k); end; end;
      source[i][j] := true;
      if logged[i] | (logged[j] & drop_union_logs = 0) | (dirty[j][i] & drop_union_bits = 0) then dirty[i][j] := true; end;
      if logged[j] then
        for k: Node do if k != i & k != j then dirty[j][k] := true; end; end;
      end;
    end;
  end;

  -- ---- resync [D2] ----

  rule "resync copies" source[i][j] & dirty[i][j] & !same(cache[i], cache[j]) ==>
  begin
    for k: Node do
      if k != i & k != j & drop_resync_marks_third = 0 then dirty[j][k] := true; end;
    end;
    cache[j] := cache[i];
  end;

  rule "proof clears the bit" source[i][j] & dirty[i][j] & same(cache[i], cache[j]) ==>
  begin
    if drop_clear_flushed = 0 then stable[j] := cache[j]; stable[i] := cache[i]; end;
    logged[j] := false;
    dirty[i][j] := false;
    dirty[j][i] := false;
  end;

  rule "record: the target joins, here first"
    source[i][j] & !dirty[i][j] & !members[tail[i]][j] & may_record(i)
    & forall k: Node do needed(i, k) -> tail[k] = tail[i] end
  ==>
  begin
    new_record(i);
    for k: Node do members[last_gen][k] := members[parent[last_gen]][k] | k = j; end;
    writer[last_gen] := writer[parent[last_gen]];
    if drop_writer_first = 1 then
      for g: Gen do marked[j][g] := marked[i][g]; end;
      tail[j] := last_gen;
    else
      tail[i] := last_gen;
    end;
  end;

  rule "in sync"
    source[i][j] & !dirty[i][j] & members[tail[i]][j] & tail[i] >= tail[j]
  ==>
  begin
    if tail[j] != tail[i] then	-- the chain, and what it has to know of others that are absent [D1]
      for g: Gen do marked[j][g] := marked[i][g]; end;
      tail[j] := tail[i];
      for k: Node do
        if k != i & k != j & (dirty[i][k] | logged[i]) then dirty[j][k] := true; end;
      end;
    end;
    source[i][j] := false;
    in_sync[i][j] := true; in_sync[j][i] := true;
    dirty[j][i] := false;
  end;
end;

-- ---- what must hold ----

invariant "I1: whoever may be promoted holds what was flushed"
  ARBITER = 0 | forall i: Node do up[i] & members[newest][i] & !being_synced(i) -> within(firm, cache[i]) end;

invariant "I5: where two replicas differ a bit or a log says so"
  writing | forall i: Node do forall j: Node do
    i < j & !same(cache[i], cache[j]) -> dirty[i][j] | dirty[j][i] | logged[i] | logged[j]
  end end;

invariant "I7: replicas in sync are equal"
  writing | forall i: Node do forall j: Node do
    connected(i, j) & in_sync[i][j] & (primary[i] | primary[j] | (!logged[i] & !logged[j])) -> same(cache[i], cache[j])
  end end;

invariant "I9: both ends agree"
  forall i: Node do forall j: Node do
    (compare(i, j) = AHEAD) = (compare(j, i) = BEHIND) & (compare(i, j) = SPLIT) = (compare(j, i) = SPLIT)
  end end;
