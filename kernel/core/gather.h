/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How long a primary's log transaction may wait for company [W3] [D6].
 *
 * A write to a region that is not in the activity log waits for a metadata write, here and on each peer. It is on its way to the peers
 * meanwhile, and their answers come later than the local part would end. So the transaction can begin later, and writes which
 * came since are in the same metadata write. How much later, the slack, is measured, from writes that waited: it grows while peers
 * are the last ones, and shrinks when this node is, so that on average both end together. The first write of a transaction
 * waits for all of it, the last one hardly at all.
 *
 * Nothing is waited for when every region in use waits, and about as many as in the transaction before: nothing is under way then
 * that could end and bring another write. That is how one write at a time is. With fewer than before, ends were reported just now, and
 * those who wrote are about to write again.
 *
 * Data plane: call under the volume's lock. Times are of one monotonic clock.
 */
#ifndef BRAID_CORE_GATHER_H
#define BRAID_CORE_GATHER_H

#include "actlog.h"

enum { GATHER_NS_MAX = 10000000 };	/* a peer that is slow for once is not taken for the measure of all */

struct gather {
	u64 since_ns;	/* the first of those that wait came; 0: nobody waits */
	u64 slack_ns;
	u32 nr_before;	/* regions that the last transaction added */
};

/* A write waits for the next transaction, or the one that is under way. */
void gather_came(struct gather *gather, u64 now_ns);
/* One of @log has begun. */
void gather_began(struct gather *gather, const struct actlog *log);
/* Is everybody here who could come? */
bool gather_complete(const struct gather *gather, const struct actlog *log);
/* For how long is the next one of @log to be put off? 0: it may begin. */
u64 gather_wait(const struct gather *gather, const struct actlog *log, u64 now_ns);
/* A write that had waited ended: its local part at @here_ns, the last answer of a peer at @peers_ns; 0: it had none. */
void gather_ended(struct gather *gather, u64 here_ns, u64 peers_ns);

#endif
