/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Generations: the chain of records that says who holds everything [G1], and the one
 * comparison of two chains [G5].
 *
 * Plain data, no locks of its own; part of the control plane (see volume.h for the lock).
 */
#ifndef BRAID_CORE_LINEAGE_H
#define BRAID_CORE_LINEAGE_H

#include "limits.h"

/* [G1] One stretch of history with one in-sync set and one writer. */
struct generation {
	u64 id;		/* random, never 0 */
	u64 parent_id;	/* 0 in the first record */
	u64 number;	/* parent's number + 1 */
	u32 members;	/* the in-sync set: mask of node ids */
	u8 writer;	/* node id, or NODE_NONE */
	bool written;	/* [G2] a write or a completed flush may have happened under it */
};

/* Oldest first; the last record is the current generation. count == 0: no history yet (new replica). */
struct chain {
	u32 count;
	bool trimmed;	/* older records have been dropped */
	struct generation record[CHAIN_RECORDS_MAX];
};

enum lineage_verdict {
	LINEAGE_SAME,
	LINEAGE_I_AM_AHEAD,
	LINEAGE_PEER_IS_AHEAD,
	LINEAGE_SPLIT,
	LINEAGE_UNRELATED,
};

/* Stable upper-case name of a verdict, for traces and status. */
const char *lineage_verdict_name(enum lineage_verdict verdict);

/* The verdict that the other end must have reached [I9]. */
enum lineage_verdict lineage_mirror(enum lineage_verdict verdict);

/*
 * [G5] Compare two chains. The tail of unwritten records of each is stripped first (the first
 * record is never stripped) [G2]. Total and antisymmetric. An empty chain is behind every other;
 * two empty ones are SAME. Only ids and numbers of records that both hold decide, so that gaps of
 * trimmed chains do not matter. With SPLIT, *@ancestor (if not NULL) is the newest common record of
 * @mine; with other verdicts it is not touched.
 */
enum lineage_verdict lineage_compare(const struct chain *mine, const struct chain *peer,
				     struct generation *ancestor);

/*
 * [G7] Id of a split, equal on both sides and unchanged while both go on: a mix of the ids of the first record of each
 * side after the ancestor, independent of the order.
 */
u64 lineage_split_id(const struct chain *mine, const struct chain *peer);

/* [G2] Last record that counts: the tail of unwritten ones stripped, but never the first. NULL if the chain is empty. */
const struct generation *lineage_stripped_tail(const struct chain *chain);

/* Last record, or NULL if the chain is empty. */
const struct generation *lineage_tail(const struct chain *chain);

/* Record with @id, or NULL. */
const struct generation *lineage_find(const struct chain *chain, u64 id);

/*
 * Append @record; its parent_id and number must continue the tail (asserted by return: false and
 * nothing changed otherwise; parent 0 and number 1 in an empty chain). A full chain is trimmed first: the
 * records that matter are the newest half and, of each node absent from the tail's members, the last record
 * it was a member of (what that node's own tail may be); then the first one (what tells SPLIT from UNRELATED);
 * then, of each node, the last written record it was a member of and the newest written one at or before its
 * last (its stripped tail may be any of these); then the same for earlier stretches of membership. Of the rest the
 * oldest unwritten, then the oldest goes.
 */
bool lineage_append(struct chain *chain, const struct generation *record);

/* Next record to propose: continues @chain's tail. @id is the caller's random number. */
struct generation lineage_next(const struct chain *chain, u64 id, u32 members, u8 writer);

/* Set the written mark of record @id. False if it was set already, or there is no such record. */
bool lineage_mark_written(struct chain *chain, u64 id);

/* Legal: ids nonzero and unique, parents and numbers ascending, members nonzero, writer sane. Empty is legal. */
bool lineage_valid(const struct chain *chain);

bool lineage_equal(const struct chain *a, const struct chain *b);

#endif
