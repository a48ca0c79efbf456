// SPDX-License-Identifier: GPL-2.0
/*
 * The activity log against a table of regions and a disk with two copies of each part [W3] [W6] [D6]: a region is READY only when
 * the disk names it; it leaves only without writes in flight and when its newest write is covered; a crash finds every
 * region that was READY and has not left. Parts have 1006 slots, so some operations take many regions at once.
 */
#include "../../kernel/core/actlog.h"
#include "fuzz.h"

enum { PARTS_MAX = 2, REGIONS = 2300, TRACKED = 64 };

static struct actlog_slot slots[PARTS_MAX * ACTLOG_PART_REGIONS], fresh_slots[PARTS_MAX * ACTLOG_PART_REGIONS];
static u32 hash[4096], fresh_hash[PARTS_MAX][4096];
static struct actlog actlog, fresh[PARTS_MAX];

static struct model {
	bool used, durable;	/* in the log; named by the disk since it came */
	u32 in_flight;
	u64 epoch;
} model[REGIONS];
static u32 touched[REGIONS], nr_touched, nr_used, max_used;

/* What the parts under way name, and what the disk says: a bit for each region. */
static u64 committing[PARTS_MAX][(REGIONS + 63) / 64], disk[PARTS_MAX][(REGIONS + 63) / 64];
static u32 parts_under_way;

static struct model *touch(u32 region)
{
	struct model *it = &model[region];

	if (!it->used) {
		touched[nr_touched++] = region;
		*it = (struct model){ .used = true };
		if (++nr_used > max_used)
			max_used = nr_used;
	}
	return it;
}

static bool named_by_disk(u32 region)
{
	u32 part;

	for (part = 0; part < actlog.nr_parts; part++)
		if (disk[part][region / 64] >> region % 64 & 1)
			return true;
	return false;
}

static void get(u32 region, u64 epoch)
{
	bool known = model[region].used, full = nr_used == actlog.nr_slots;
	enum actlog_get_result result = actlog_get(&actlog, region, epoch);
	struct model *it;

	CHECK((result == ACTLOG_FULL) == (!known && full));
	if (result == ACTLOG_FULL) {
		CHECK(actlog_evict_wanted(&actlog));
		return;
	}
	it = nr_touched < REGIONS || known ? touch(region) : NULL;
	CHECK(it);
	it->in_flight++;
	if (it->epoch < epoch)
		it->epoch = epoch;
	CHECK((result == ACTLOG_READY) == it->durable && (!it->durable || named_by_disk(region)));
	CHECK(actlog.epoch >= epoch && actlog_is_ready(&actlog, region) == it->durable);
}

static void put(u32 region, bool stamp)
{
	struct model *it = &model[region];

	actlog_put(&actlog, region, stamp);
	if (!it->used || !it->in_flight)
		return;
	it->in_flight--;
	if (stamp && it->epoch < actlog.epoch)
		it->epoch = actlog.epoch;
}

static void forget(u32 region)
{
	u32 i;

	for (i = 0; touched[i] != region; i++)
		CHECK(i < nr_touched);
	touched[i] = touched[--nr_touched];
	model[region].used = false;
	nr_used--;
}

static void evict(u32 region, u64 epoch)
{
	const struct model *it = &model[region];
	bool may = it->used && it->durable && !it->in_flight && it->epoch <= epoch;

	CHECK(actlog_evict(&actlog, region, epoch) == may);	/* [W6] */
	if (may)
		forget(region);
}

static void commit_begin(bool all)
{
	u32 regions[ACTLOG_PART_REGIONS], part, i;
	bool busy = parts_under_way;
	u32 mask;

	CHECK(actlog_commit_wanted(&actlog) == (!busy && (actlog.nr_adding || actlog.forced)));
	mask = all ? actlog_commit_all_begin(&actlog) : actlog_commit_begin(&actlog);
	CHECK(!(mask >> actlog.nr_parts) && (!busy || !mask));
	if (!mask)
		return;
	CHECK(!actlog.nr_adding);
	parts_under_way = mask;
	for (part = 0; part < actlog.nr_parts; part++) {
		if (!(mask >> part & 1))
			continue;
		actlog_encode_part(&actlog, part, regions);
		memset(committing[part], 0, sizeof(committing[part]));
		for (i = 0; i < ACTLOG_PART_REGIONS; i++) {
			if (regions[i] == ACTLOG_NO_REGION)
				continue;
			CHECK(regions[i] < REGIONS && model[regions[i]].used);
			committing[part][regions[i] / 64] |= 1ull << regions[i] % 64;
		}
	}
}

static void commit_end(bool ok)
{
	u32 part, i;

	if (!parts_under_way)
		return;
	actlog_commit_end(&actlog, ok);
	for (part = 0; part < actlog.nr_parts && ok; part++)
		if (parts_under_way >> part & 1)
			memcpy(disk[part], committing[part], sizeof(disk[part]));
	parts_under_way = 0;
	for (i = 0; i < nr_touched; i++) {
		struct model *it = &model[touched[i]];
		bool ready = actlog_is_ready(&actlog, touched[i]);

		CHECK(!it->durable || ready);
		CHECK(!ready || named_by_disk(touched[i]));	/* [W3] */
		CHECK(it->durable || ok || !ready);
		it->durable = ready;
	}
	CHECK(ok || !nr_used || actlog_commit_wanted(&actlog));
}

static void clear(void)
{
	u32 i, kept = 0;

	for (i = 0; i < nr_touched;) {
		if (model[touched[i]].in_flight) {
			kept++;
			i++;
		} else {
			forget(touched[i]);
		}
	}
	CHECK(actlog_clear(&actlog) == kept);
}

static void candidates(u32 max)
{
	u32 regions[TRACKED], nr, i;

	nr = actlog_evict_candidates(&actlog, regions, max % (TRACKED + 1));
	CHECK(nr <= max % (TRACKED + 1));
	for (i = 0; i < nr; i++) {
		const struct model *it = &model[regions[i]];

		CHECK(it->used && it->durable && !it->in_flight && it->epoch <= actlog.stable_epoch);
		if (max & 128)
			evict(regions[i], actlog.stable_epoch);
	}
}

static void check(void)
{
	u32 slot, region, nr = 0, adding = 0;

	CHECK(actlog.nr_used == nr_used && actlog.nr_used <= actlog.nr_slots);
	for (slot = actlog_next(&actlog, 0, &region); slot != ACTLOG_NO_SLOT; slot = actlog_next(&actlog, slot + 1, &region)) {
		CHECK(region < REGIONS && model[region].used);
		CHECK(actlog.slots[slot].in_flight == model[region].in_flight && actlog.slots[slot].epoch == model[region].epoch);
		CHECK((actlog.slots[slot].state == ACTLOG_ACTIVE) == model[region].durable);
		adding += actlog.slots[slot].state == ACTLOG_ADDING;
		nr++;
	}
	CHECK(nr == nr_used && adding == actlog.nr_adding);
}

static void start(u32 nr_parts)
{
	u32 part, first;

	while (nr_touched)
		model[touched[--nr_touched]].used = false;
	nr_used = 0;
	parts_under_way = 0;
	memset(disk, 0, sizeof(disk));
	actlog = fresh[nr_parts - 1];
	memcpy(hash, fresh_hash[nr_parts - 1], (actlog.hash_mask + 1) * sizeof(hash[0]));
	/* Free slots are taken from the front: what lies behind is as it was. */
	for (part = 0; part < PARTS_MAX; part++) {
		first = part * ACTLOG_PART_REGIONS;
		memcpy(slots + first, fresh_slots + first,
		       (max_used < ACTLOG_PART_REGIONS ? max_used + 1 : ACTLOG_PART_REGIONS) * sizeof(slots[0]));
	}
	max_used = 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	u32 parts;

	(void)argc;
	(void)argv;
	for (parts = 1; parts <= PARTS_MAX; parts++) {
		CHECK(actlog_hash_size(parts, (u64)REGIONS * ACTLOG_REGION_BYTES) <= CORE_ARRAY_SIZE(hash));
		actlog_init(&actlog, slots, hash, parts, (u64)REGIONS * ACTLOG_REGION_BYTES);
		fresh[parts - 1] = actlog;
		memcpy(fresh_hash[parts - 1], hash, sizeof(hash));
		memcpy(fresh_slots, slots, sizeof(slots));	/* fewer parts look the same from the front */
	}
	return 0;
}

static void operate(struct fuzz_input *input, u8 op)
{
	u8 arg = fuzz_u8(input);
	u32 region = op & 128 ? fuzz_u16(input) % REGIONS : arg % 16, i;

	switch (op & 15) {
	case 0: case 1: case 2:
		get(region, op & 16 ? actlog.epoch : arg >> 4);
		break;
	case 3: case 4:
		put(region, op & 16);
		break;
	case 5: case 6:
		commit_begin(op & 16);
		break;
	case 7: case 8:
		commit_end(!(op & 16));
		break;
	case 9:
		actlog_flush_begin(&actlog);
		break;
	case 10:
		actlog_flush_end(&actlog, op & 16 ? actlog.epoch - 1 : arg);
		break;
	case 11:
		candidates(arg);
		break;
	case 12:
		evict(region, op & 16 ? actlog.stable_epoch : arg);
		break;
	case 13:
		if (arg < 8)
			clear();
		else if (arg < 16)
			actlog.forced = true;
		break;
	case 14:	/* many at once: to fill the log */
		for (i = 0; i < 64u * (arg & 15) && region + i < REGIONS; i++) {
			get(region + i, 0);
			put(region + i, false);
		}
		break;
	default:
		check();
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	u32 steps;

	start(1 + fuzz_u8(&input) % PARTS_MAX);
	for (steps = 0; input.left && steps < 40; steps++)
		operate(&input, fuzz_u8(&input));
	check();
	return 0;
}
