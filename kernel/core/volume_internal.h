/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the volume's control plane share: volume.c (dispatch, greetings), volume_slot.c (peers),
 * volume_sync.c (the dialogue of a resync), volume_record.c (agreeing on generations), volume_command.c (administrators'
 * commands). Everything under the volume's lock.
 */
#ifndef BRAID_CORE_VOLUME_INTERNAL_H
#define BRAID_CORE_VOLUME_INTERNAL_H

#include "volume.h"

/* One step in progress. */
struct step {
	struct volume *volume;
	struct volume_actions *actions;
	u64 random;
};

#define for_each_peer(volume_, peer_)							\
	for ((peer_) = (volume_)->peer; (peer_) < (volume_)->peer + REPLICAS_MAX; (peer_)++)	\
		if ((peer_)->node == NODE_NONE)							\
			continue;								\
		else

struct volume_action *step_emit(struct step *step, enum volume_action_type type);
struct volume_action *step_send(struct step *step, const struct volume_peer *peer, u8 frame_type);
void step_end_session(struct step *step, const struct volume_peer *peer, u8 reason);
u32 step_save(struct step *step, bool maps_first);
void step_changed(struct step *step);

/* volume.c */
static inline const struct generation *volume_tail(const struct volume *volume)
{
	return lineage_tail(&volume->super.chain);
}

u32 volume_members(const struct volume *volume);
bool volume_is_member(const struct volume *volume, u8 node);
void volume_facts_changed(struct volume *volume);
void volume_greet_all(struct volume *volume);
void volume_greet_others(struct volume *volume);	/* those that records do not reach */
/* What the target told of itself is on our disk, or could not be saved. */
void volume_start_saved(struct step *step, struct volume_peer *peer, bool ok);
void volume_mark_log(struct volume *volume, struct volume_peer *peer);
void volume_leave(struct step *step, struct volume_peer *peer, enum volume_relation relation);
/* The disk here is gone: whoever is in a relation leaves it, those in sync only if @in_sync (this node is no primary). */
void volume_leave_for_disk(struct step *step, bool in_sync);
void volume_enter_in_sync(struct step *step, struct volume_peer *peer);
u32 volume_in_sync(const struct volume *volume);

/* volume_slot.c */
void volume_peer_reset(struct volume_peer *peer);	/* as without a session */
struct volume_peer *volume_need_slot(struct volume *volume, u8 node, bool durable);
bool volume_slot_durable(const struct volume *volume, const struct volume_peer *peer);	/* does the superblock name it? */
void volume_learn_replicas(struct volume *volume, u32 nodes);

/*
 * A volume may go down and come back within one session, and answers to its former life are still on their way: greetings
 * and serials of each life are numbered from a base of its own. Should one life ever use up its numbers, it
 * takes those of the next. One of the simulators is built with few.
 */
#ifndef LIFE_NUMBERS
#define LIFE_NUMBERS (1u << 20)
#endif
/* volume_fill.c: where the numbers of this life begin; the number of the next greeting for @peer. */
u32 volume_life_base(const struct volume *volume);
u32 volume_next_number(const struct volume *volume, const struct volume_peer *peer);

/* volume_fill.c: the facts of this replica as @peer->my_number and ->sent_flags announce them. */
void volume_fill_greet(const struct volume *volume, const struct volume_peer *peer, struct wire_greet *greet);

/* volume_blank.c: data areas that were never written [R4] */
bool volume_is_blank(const struct volume *volume);
void volume_not_blank(struct volume *volume);
void volume_blank_adopts(struct volume *volume);	/* a source's history, instead of its own */
void volume_blank_joins(struct volume *volume);		/* in sync with its source */
void volume_target_is_ready(struct volume *volume, struct volume_peer *peer);

/* volume_sync.c */
void volume_choose_source(struct step *step);
void volume_send_accept(struct step *step, struct volume_peer *peer);
void volume_ask_source(struct step *step, struct volume_peer *peer);
void volume_sync_frame(struct step *step, struct volume_peer *peer, const struct volume_event *event);
void volume_sync_adopted(struct step *step, bool ok);
void volume_resync_dry(struct step *step, struct volume_peer *peer);

/* volume_record.c */
void volume_try_propose(struct step *step);
void volume_proposal_saved(struct step *step, bool ok);
void volume_proposal_lost(struct step *step, u8 node);
void volume_record_frame(struct step *step, struct volume_peer *peer, const struct volume_event *event);
void volume_record_saved(struct step *step, bool ok);
/* [G2] Is the current generation the one that the next write needs? */
bool volume_generation_fits(const struct volume *volume);
u32 volume_required_members(const struct volume *volume);
/* @node leaves while this one is primary: notes whether it may lack what was acknowledged. */
void volume_note_lacking(struct volume *volume, u8 node);
/* [G3] Has a record to be agreed on before this writer may go? */
bool volume_record_is_due(const struct volume *volume);

/* volume_command.c */
void volume_command(struct step *step, const struct volume_event *event);
void volume_command_frame(struct step *step, struct volume_peer *peer, const struct volume_event *event);
void volume_command_saved(struct step *step, bool ok);
u32 volume_end_yield(struct step *step, bool maps_first);	/* returns the token of its save: until then nobody is granted */
void volume_unyielded(struct step *step, bool ok);	/* the save that took YIELD off the disk is over */
void volume_command_peer_lost(struct step *step, u8 node);
bool volume_demotion_waits(const struct volume *volume);	/* for a record */
void volume_demotion_goes_on(struct step *step);

#endif
