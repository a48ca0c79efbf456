/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The mutants, each listed once: a bug of a class that is known from the field, put where MUTANT(name) stands (core/probe.h).
 *
 *   X(name, label that it breaks, class, who notices, what is done wrong)
 *
 * Classes are those of tests/scenarios. Who notices: sim (the simulator over its seeds), one of its stories, or test_NAME (a
 * unit test); it is asked first, all the others only when it does not. tests/mutants/run reads this list; one line each.
 */
#ifndef BRAID_TEST_PROBE_LIST_H
#define BRAID_TEST_PROBE_LIST_H

#define PROBE_MUTANTS(X) \
	/* who gets the dirty bits */ \
	X(absent_unmarked, "D1", "B2", sim, "a write does not mark what absent replicas miss") \
	X(starting_target_unmarked, "D1", "B1", sim, "a write between the exchange of bits and the start of the resync is not marked") \
	X(apply_unmarked, "D1", "B2", sim, "a secondary that applies a write does not mark it for absent replicas") \
	X(leaver_log_unmarked, "D1", "W6", sim, "regions in the log are not marked for a peer that leaves the stream") \
	X(dropped_member_unmarked, "D1", "B9", B9-dropped-while-in-flight, "a secondary does not mark its log for a member that a record drops") \
	X(resync_unmarked_for_third, "I5", "B6", B6-target-meets-a-third, "a resync target does not mark for third replicas what the resync writes") \
	X(accept_before_durable, "G3", "G4", G4-record-not-durable, "a resync target adopts a record that is not durable at its maker") \
	X(forced_in_foreign_history, "I10", "G14", G14-half-synced-by-force, "a half-synced replica promoted by force goes on in the history of its source") \
	X(new_life_unnoticed, "I5", "G16", G16-behind-the-back, "a new disk at a known node is taken for the old one") \
	X(others_not_parted, "I5", "B14", sim, "a replica that becomes a target stays in sync with others") \
	X(new_replica_clean, "D1", "G15", B3-unknown-replica, "a replica heard of for the first time counts as lacking nothing") \
	X(joiner_gets_no_maps, "D1", "B2", B3-new-member-is-told, "a new member is not told what absent replicas lack") \
	X(joined_run_goes_on, "R3", "B22", test_volume_sync, "the resync of a new member goes on when that has joined") \
	X(joined_before_maps, "D1", "B7", N1-every-dialogue-broken, "a new member stores the record before the maps that it was told") \
	/* who has memory for them */ \
	X(no_slot_for_session, "D3", "G15", test_volume_slot, "no memory is made ready for the slot of a node that a session opens with") \
	X(no_slot_for_replicas, "D3", "G15", test_volume_slot, "no memory is made ready for the slots of replicas that a greeting names") \
	X(no_slot_for_member, "D3", "G15", test_volume_slot, "no memory is made ready for the slots of members that a record names") \
	X(no_slot_for_chain, "D3", "G15", test_volume_slot, "no memory is made ready for the slots of members that a source names") \
	X(no_slot_for_map, "D3", "G15", test_volume_slot, "no memory is made ready for the slot of a replica whose map a source sends") \
	/* who loses them */ \
	X(cleared_without_proof, "D2", "G7", sim, "the bits of a target are cleared when it is ready") \
	X(left_over_bits_cleared, "D2", "G5", sim, "equal histories count as in sync whatever bits are left") \
	X(joins_before_dry, "D2", "B5", sim, "a target joins as soon as it is ready") \
	X(dry_not_checked, "D2", "B3", test_volume_sync, "a resync that reports that it is dry is believed though bits were set since") \
	X(target_bits_ignored, "G6", "G14", sim, "the source ignores the bits that the target sent") \
	X(accept_before_bits, "R2", "G18", test_volume_sync, "a target is accepted before what it told is on the source's disk") \
	X(adopted_without_maps, "I8", "B8", test_volume_sync, "a target stores the chain of the source before its own bits") \
	/* data areas that were never written */ \
	X(blank_kept_when_written, "R4", "G15", R4-blank-but-written, "a replica counts as never written whatever records it has") \
	X(blank_with_trimmed_chain, "R4", "G15", test_volume_blank, "a chain that has lost records counts as one without writes") \
	X(blank_source_not_asked, "R4", "G15", R4-blank-but-written, "a new replica that reads as zeroes lacks nothing, whatever its source holds") \
	X(blank_target_not_asked, "R4", "G15", R4-blank-at-one-end, "a new replica lacks nothing when its source was never written, whatever it holds itself") \
	X(blank_target_keeps_flag, "R4", "G15", R4-blank-no-more, "a replica that was resynced still counts as never written") \
	X(blank_again_after_data, "R4", "G15", R4-blank-no-more, "a replica counts as never written after its first resync, which wrote") \
	X(blank_after_force, "R4", "G15", test_volume_blank, "a replica that was promoted by force still counts as never written") \
	X(blank_to_old_peer, "N7", "N9", test_volume_blank, "a greeting says that the data area reads as zeroes to a peer that does not know the word") \
	X(fresh_with_any_source, "I5", "B6", test_volume_blank, "a new replica does not mark what a second source writes there for the first one") \
	/* the activity log */ \
	X(data_before_log, "W3", "B10", test_actlog, "data is written before its region is durably in the log") \
	X(failed_commit_ignored, "W3", "B10", test_actlog, "a log commit that failed counts as done") \
	X(evict_unflushed, "W6", "W6", sim, "regions leave the log before the flush") \
	X(evict_epoch_off_by_one, "W6", "W6", test_actlog, "a region leaves the log one flush too early") \
	X(end_unstamped, "W6", "W6", sim, "a write does not stamp its region when it ends") \
	X(submission_unstamped, "W6", "W6", test_actlog, "the epoch of a write from the writer does not stamp the region") \
	X(epoch_not_raised, "W6", "W6", test_volume_command, "a new primary counts epochs from below those in its log") \
	X(crash_log_ignored, "G6", "B9", sim, "regions of the log found after a crash do not become dirty") \
	X(crash_not_reconciled, "G6", "G12", G5-bits-on-both-sides, "after a crash members are not asked to be compared") \
	X(survivors_not_compared, "G6", "B2", sim, "survivors of a lost writer do not compare what was in flight") \
	/* generation records */ \
	X(gate_open_early, "G3", "G4", D2-record-fails-here, "writes begin under a record that is not agreed yet") \
	X(record_acks_not_awaited, "G3", "G4", sim, "a record is in force as soon as it is durable here") \
	X(record_held_by_nobody, "G3", "G3", test_volume, "a primary without a disk counts a record as agreed that no peer answered") \
	X(unsaved_record_withdrawn, "G5", "G3", test_volume, "a record whose save failed, and which the disk may have, is replaced by another one") \
	X(record_acked_before_durable, "G3", "G4", test_volume, "a record is acknowledged before it is durable") \
	X(stale_record_ack_counts, "G3", "Q7", test_volume, "the answer to an older record counts for the newest") \
	X(refused_record_counts, "G3", "Q7", test_volume, "a record that a member refused counts as accepted there") \
	X(member_by_label, "G4", "G4", sim, "members that are gone stay in the in-sync set while writes go on") \
	X(writer_not_recorded, "G2", "G2", G2-writers-in-turn, "a new primary writes under the record of another") \
	X(release_before_record, "W4", "G4", D3-flush-fails-there, "writes that miss a peer complete before a record without it") \
	X(missed_forgotten, "W4", "W12", sim, "requests in flight are not told that a peer left") \
	X(release_of_unmissed, "W4", "B13", test_volume, "requests that a peer got after its return are released with the older ones") \
	X(session_outlives_stream, "I15", "B13", sim, "the session outlives the stream: old writes can arrive after newer ones") \
	X(in_flight_not_written, "G2", "W5", test_volume, "a record made while writes are in flight counts as unwritten") \
	X(written_never_marked, "G2", "G11", sim, "no record is ever marked written") \
	X(written_mark_not_awaited, "G2", "G8", sim, "writes do not wait until the written mark is durable") \
	X(written_mark_lost, "G2", "G8", G13-split-met-at-attach, "the written mark found in the log after a crash is ignored") \
	X(mark_of_memory, "G2", "G8", test_volume, "the log's written mark gives way to that of a record whose superblock is still being written") \
	X(mark_not_of_parent, "G2", "G8", test_volume, "writes do not wait for their record's written mark while the next record is being made durable") \
	X(parent_mark_ignored, "G2", "G19", test_volume, "a target that joins does not learn that the record before was written") \
	X(unwritten_tail_counts, "I11", "G8", sim, "promotions without a write count in the comparison of histories") \
	X(failed_save_ignored, "G3", "B10", D2-resolve-fails, "a superblock that could not be written counts as saved") \
	X(failed_disk_stays_member, "G3", "G3", D2-record-fails-here, "a primary whose disk failed stays in the in-sync set") \
	/* comparing and planning */ \
	X(changed_facts_not_greeted, "I9", "G10", sim, "facts that changed since the greeting are used but not greeted again") \
	X(verdict_of_old_greeting, "I9", "G10", sim, "a verdict about an older greeting is compared with the newest plan") \
	X(lacking_of_others, "I11", "G2", test_volume_command, "a record counts as written for what another writer's time left in the log") \
	X(joiner_not_last, "G2", "G4", test_volume_sync, "a replica that is no writer adds a member before its other members agreed") \
	X(joiner_beside_leaver, "G2", "G4", test_volume_sync, "and goes on when one of these has left, who may be writing") \
	X(accepted_anew, "L1", "R2", test_volume_sync, "a target that has a written mark by now adopts its source's chain once more, without it") \
	X(start_before_greeting, "I9", "G10", test_volume_sync, "a source starts though its facts have changed and it is to greet anew") \
	X(verdict_while_starting, "I7", "G10", test_volume_complete, "a verdict counts before a resync starts, though the facts that it is about have changed") \
	X(joiner_left_by_verdict, "I9", "G19", test_volume_sync, "a source leaves the new member, though that one may count itself in sync already") \
	X(verdict_one_sided, "I9", "G11", sim, "one end asks who is complete, the other does not") \
	X(split_adopted, "I8", "G17", test_volume_sync, "a target adopts the chain of a source that became the other side of a split since it was asked") \
	X(split_by_number, "G5", "G17", test_lineage, "of two histories that both went on the longer one wins") \
	X(split_picks_direction, "G7", "G17", test_plan, "a split is resolved without asking") \
	X(split_not_stored, "G7", "G13", D2-resolve-fails, "a split is not stored") \
	X(unrelated_by_number, "G10", "G17", test_lineage, "of two unrelated histories the longer one wins") \
	X(common_by_number, "G5", "G2", test_lineage, "records of equal numbers count as the same") \
	X(half_synced_complete, "G4", "B6", test_plan, "a half-synced replica counts as complete") \
	X(changing_copy_complete, "G6", "B14", test_plan, "a replica that another one resyncs may be a source") \
	X(authority_ignored, "G6", "G19", test_volume_complete, "among equal copies after a crash pairs choose differently") \
	X(with_primary_ignored, "G6", "B20", sim, "replicas in sync with one primary do not see that they are equal") \
	X(ahead_is_source, "G4", "G12", test_plan, "who is ahead by a mark alone is the source though half-synced") \
	X(leftover_never_yields, "G7", "G14", test_plan, "a half-synced leftover of a side that was given up stands against the others for ever") \
	X(source_beside_primary, "R1", "B2", sim, "a secondary resyncs a replica that a primary should") \
	X(primary_is_target, "I8", "G9", test_plan, "a running primary is resynced") \
	/* resync dialogue */ \
	X(half_synced_unmarked, "G4", "B6", G15-new-replica, "a target does not say that it is half-synced") \
	X(half_synced_cleared_early, "G4", "B6", G15-new-replica, "the mark goes when the resync begins") \
	X(behind_holds_all, "G4", "B6", test_volume_complete, "a member that missed the last written record counts as holding everything") \
	X(dropped_target_complete, "G4", "G4", test_volume_complete, "a target that a record drops from the set goes on as complete") \
	X(ready_before_durable, "I17", "B19", D2-adoption-fails, "a target is ready before the chain that it adopts is durable") \
	X(ready_with_old_chain, "R1", "G19", test_volume_complete, "a record made since the chain was sent is kept from the target") \
	/* roles */ \
	X(promote_stale, "G4", "Q5", test_volume_command, "a replica outside the in-sync set is promoted") \
	X(promote_behind, "G4", "Q5", G1-behind-the-back, "a replica that knows of a newer history is promoted") \
	X(promote_half_synced, "G4", "B6", test_volume_command, "a half-synced replica is promoted") \
	X(promote_unreachable, "G8", "Q1", sim, "a replica is promoted while a member cannot be asked") \
	X(called_down_though_seen, "G8", "Q6", test_volume_command, "a node that was called down is not asked, though it came up during the promotion") \
	X(promotion_not_rechecked, "I12", "Q6", test_volume_command, "what changed while the peers were asked does not stop a promotion") \
	X(primary_grants, "I12", "Q6", test_volume_command, "a primary allows another one") \
	X(new_disk_testifies, "G4", "G16", test_volume_command, "a member with a new disk counts as one that knows of nothing newer") \
	X(former_place_taken, "G4", "G16", test_volume_sync, "a new replica takes the former one's place in a record as if it had been there") \
	X(two_grants, "I12", "Q6", Q6-two-askers, "two promotions are granted at once") \
	X(stale_asker_granted, "G4", "Q5", test_volume_command, "a peer that a record left out gets its grant") \
	X(yields_under_primary, "G7", "G14", test_volume_command, "a side of a split yields while it has a primary on another node") \
	X(yield_for_good, "G7", "G14", test_volume_command, "a side of a split goes on yielding when its administrator decides to keep it") \
	X(granted_before_durable, "G7", "G14", test_volume_command, "a promotion is granted before it is durable that this side yields no more") \
	X(gate_open_yielding, "G7", "G14", test_volume_command, "a primary writes before it is durable that it yields no more") \
	X(granted_while_yielding, "G7", "G14", test_volume_command, "a side of a split yields after it allowed a primary") \
	X(refusal_ignored, "I12", "Q6", Q4-through-a-third, "a promotion goes on though a peer refused it") \
	X(grant_never_ends, "L1", "Q6", N1-every-dialogue-broken, "a grant outlives the promotion that asked for it") \
	X(demoted_without_record, "G3", "Q11", Q11-demoted-after-a-loss, "a writer is demoted while its record still counts in a member that may lack acknowledged writes") \
	X(diskless_stays_in_sync, "G4", "Q11", test_volume_command, "a primary whose disk failed stays in sync with the others when it is demoted") \
	X(demoted_beside_writes, "I12", "Q11", test_volume_command, "a demotion that was given up takes place when users write again") \
	X(lacking_not_written, "G2", "Q11", test_volume_command, "the record that leaves out a member which may lack acknowledged writes counts as unwritten") \
	X(forget_member, "G8", "Q4", G7-forget-a-member, "a replica that is still counted in sync can be forgotten") \
	X(forget_keeps_replica, "D1", "B8", G7-forgotten-and-back, "a forgotten replica stays among the replicas") \
	/* input and output of the data path */ \
	X(reads_unguarded, "I3", "G9", test_volume_complete, "after a crash reads do not wait until the members are compared") \
	X(read_from_target, "I2", "W7", W11-not-from-a-target, "a read is served by a replica that is being resynced") \
	X(primary_applies, "I20", "S3", test_volume, "a primary applies the write of another node") \
	X(peer_error_ignored, "W4", "W8", N2-only-data-blocked, "a peer that failed a write stays in the stream") \
	/* the simulator's own data path and metadata, which stand for the module's (tests/sim) */ \
	X(read_there_unlocked, "I3", "W11", W11-read-after-the-disk, "a primary without a disk reads from a peer beside a write in flight there") \
	X(flush_not_done, "W5", "W6", sim, "the primary answers a flush without flushing its disk") \
	X(apply_flush_not_done, "W5", "W6", sim, "a secondary answers a flush without flushing its disk") \
	X(flush_skipped_with_cache, "W5", "W6", sim, "a flush does not go to replicas that said that writes may be in a volatile cache") \
	X(flush_covers_later, "W5", "W6", test_flush, "a flush counts for writes that ended after it began") \
	X(settled_in_any_generation, "G2", "W6", test_flush, "a flush of an older generation stands for one under the newest") \
	X(settled_for_ever, "W5", "W6", test_flush, "what a replica had flushed counts when it comes back, and for the next writer") \
	X(cache_not_told, "W5", "W6", sim, "replicas with a volatile cache acknowledge writes as stable") \
	X(fua_ignored, "W5", "W6", sim, "FUA writes stay in the volatile cache") \
	X(local_write_before_log, "W3", "B10", B10-data-after-log, "the primary writes before its region is logged") \
	X(apply_before_log, "W3", "B10", B10-data-after-log, "a secondary writes before its region is logged") \
	X(ranges_unlocked, "W1", "W7", sim, "writes that overlap do not wait for each other on the primary") \
	X(peer_error_acked, "W4", "W8", D2-record-fails-there, "a failed write of a peer counts as acknowledged") \
	X(local_error_acked, "W4", "W8", W8-primary-write-error, "a write that failed here completes before the node left the in-sync set") \
	X(gate_ignored, "G3", "G4", sim, "writes do not ask the gate") \
	X(mark_not_waited_for, "G2", "G8", G13-split-met-at-attach, "the first write of a generation does not wait for its mark") \
	X(resync_before_marks, "I5", "B6", B6-target-meets-a-third, "resync data is written before what third replicas lack is saved") \
	X(forget_with_writes, "W4", "L1", test_volume_command, "a replica is forgotten while writes wait for the record that drops it") \
	X(proof_outlives_mark, "D2", "B4", B4-marked-while-proving, "a proof clears bits that were set again after its data was read") \
	X(proof_without_peer, "D2", "B4", sim, "bits are cleared before the target flushed") \
	X(resync_unlocked, "I15", "B13", sim, "resync does not hold the range that it compares") \
	X(dry_with_open_chunks, "D2", "B5", sim, "a resync is dry while chunks are on their way") \
	X(maps_first_ignored, "D1", "B7", G19-writer-lost-at-the-end, "a superblock is written without the maps that have to be on disk before it") \
	X(evict_before_maps, "D1", "W6", sim, "regions leave the log before the dirty bits of them are on disk") \
	X(attach_log_once, "I17", "D7", D7-log-begun-anew, "attach empties one copy of the log, and what follows it may be lost unseen") \
	X(attach_log_first, "I17", "D6", sim, "attach empties the log before what it names is dirty on disk") \
	X(save_error_hidden, "G3", "B10", D2-resolve-fails, "a superblock that could not be written is reported as saved") \
	X(reset_outlives_quiet, "W6", "W6", W6-demotion-broken-off, "the log reset of a demotion that was broken off evicts what users wrote since") \
	X(evict_tells_next_epoch, "W6", "W6", W6-late-eviction, "EVICT names a flush that has not ended") \
	/* metadata on disk */ \
	X(clear_widened, "D2", "B17", test_dirty, "clearing a part of a granule clears all of it") \
	X(last_granule_unmarked, "D1", "B12", test_dirty, "the last granule of a volume is never marked") \
	X(pool_empty_unmarked, "D1", "B11", test_dirty, "without a free page a mark is lost") \
	X(change_while_saving_lost, "D1", "B7", test_dirty, "a bit set while its page is being written is never saved") \
	X(failed_map_save_ignored, "D1", "B10", test_dirty, "a page of the map that could not be written counts as saved") \
	X(index_before_page, "I17", "B7", test_dirty, "the index says mixed before the page is written") \
	X(unreadable_page_clean, "I17", "D1", test_dirty, "a torn page of the map counts as clean") \
	X(trim_oldest, "G5", "G8", test_lineage, "a full chain drops its oldest record, whoever needs it") \
	X(old_super_preferred, "I17", "D7", test_ondisk, "of two superblocks the older one counts") \
	X(newer_format_ignored, "G10", "N9", test_ondisk, "a copy that a newer version wrote is passed over for an older one") \
	X(damaged_log_ignored, "I17", "D1", test_ondisk, "regions that a torn copy of the log names are dropped") \
	X(older_log_preferred, "I17", "D7", test_ondisk, "of two copies of the log the older one counts") \
	X(lost_log_empty, "I17", "D1", test_ondisk, "a log without a valid copy counts as empty") \
	X(place_unchecked, "D5", "D7", test_ondisk, "a block that was written to the wrong place is accepted") \
	X(former_life_accepted, "D5", "G16", test_ondisk, "a block of a former life of the disk is accepted")

#endif
