// SPDX-License-Identifier: GPL-2.0
/*
 * Group commit that costs no latency: see gather.h.
 */
#include "gather.h"

enum { GATHER_SHARE = 64 };	/* of what one write says, in the slack */

void gather_came(struct gather *gather, u64 now_ns)
{
	if (!gather->since_ns)
		gather->since_ns = now_ns;
}

void gather_began(struct gather *gather, const struct actlog *log)
{
	gather->since_ns = 0;
	gather->nr_before = log->nr_committing;
}

bool gather_complete(const struct gather *gather, const struct actlog *log)
{
	return log->nr_adding >= log->nr_busy && log->nr_adding >= gather->nr_before - gather->nr_before / 4;
}

u64 gather_wait(const struct gather *gather, const struct actlog *log, u64 now_ns)
{
	u64 waited_ns = now_ns - gather->since_ns;

	if (!gather->since_ns || log->forced || gather_complete(gather, log) || waited_ns >= gather->slack_ns)
		return 0;
	return gather->slack_ns - waited_ns;
}

void gather_ended(struct gather *gather, u64 here_ns, u64 peers_ns)
{
	u64 less_ns = peers_ns < here_ns ? (here_ns - peers_ns) / GATHER_SHARE : 0;
	u64 more_ns = peers_ns > here_ns ? (peers_ns - here_ns) / GATHER_SHARE : 0;

	if (!peers_ns || less_ns > gather->slack_ns)
		gather->slack_ns = 0;
	else
		gather->slack_ns += more_ns - less_ns;
	if (gather->slack_ns > GATHER_NS_MAX)
		gather->slack_ns = GATHER_NS_MAX;
}
