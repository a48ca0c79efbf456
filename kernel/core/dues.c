// SPDX-License-Identifier: GPL-2.0
/*
 * Company for a write on a lane: see dues.h.
 */
#include "dues.h"

void dues_came(struct dues *dues)
{
	if (dues->nr)
		dues->nr--;
}

void dues_ended(struct dues *dues, u32 nr)
{
	dues->nr = nr < DUES_MAX - dues->nr ? dues->nr + nr : DUES_MAX;
}

bool dues_wait(const struct dues *dues, bool unanswered, bool enough)
{
	return (unanswered || dues->nr) && !enough;
}

void dues_looked(struct dues *dues, bool alone)
{
	if (alone)
		dues->nr = dues->was_alone ? 0 : dues->nr / 2;
	dues->was_alone = alone;
}
