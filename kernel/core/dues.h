/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether a write need not go alone on a lane [N5], so that many share a call of the socket and a packet.
 *
 * Whose: direct writes that come one by one. Their submitter may have many under way and is perhaps about to make the next; nobody
 * tells. Two things say that another one is near:
 *
 *   unanswered   the newest write that was sent has no answer yet: one will come.
 *   due          writes that answers ended, and in whose place none has come since. Who has a queue of 32 and gets 32 answers comes
 *                with the first of 32.
 *
 * One write at a time has nothing unanswered and nothing due but itself: it goes at once. So an answer is to be counted before those
 * are told whose writes it ends, and a write before it is asked whether it waits.
 *
 * Who ends a deep queue leaves dues behind. Who sends what gathered sees that: when it finds a single write and did so the last
 * time, too, nobody comes. Once alone says little: it may have had its share of a busy processor.
 *
 * Data plane: call under the lane's lock.
 */
#ifndef BRAID_CORE_DUES_H
#define BRAID_CORE_DUES_H

#include "limits.h"

enum dues_limits {
	DUES_MAX = 256,
};

/* Zeroed: nobody has come yet. */
struct dues {
	u32 nr;
	bool was_alone;		/* the write that was found the last time */
};

/* A write comes. */
void dues_came(struct dues *dues);
/* Answers ended @nr writes. */
void dues_ended(struct dues *dues, u32 nr);
/* Does what is queued wait for company? @unanswered: the newest write that was sent is. @enough: more would share nothing. */
bool dues_wait(const struct dues *dues, bool unanswered, bool enough);
/* What gathered is sent because nothing else happened: a single write or more. */
void dues_looked(struct dues *dues, bool alone);

#endif
