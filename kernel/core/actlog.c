// SPDX-License-Identifier: GPL-2.0
/*
 * The activity log in memory: which regions may differ after a crash, group commit of new ones, flush epochs
 * and eviction. Bounds the work after a crash without a metadata write per data write. Keeps [W3] [W6] [D6].
 */
#include "actlog.h"
#include "probe.h"

CORE_STATIC_ASSERT(ACTLOG_PARTS_MAX <= 32, "a set of parts is a u32 mask");

enum {
	ACTLOG_EVICT_FREE_MIN = 32,	/* free slots below which eviction is wanted whatever the size */
};

static u32 regions_of(u64 volume_bytes)
{
	return (u32)((volume_bytes + ACTLOG_REGION_BYTES - 1) / ACTLOG_REGION_BYTES);
}

/* A part's free list gives out the lowest slot that was never used, so n slots in use are among the first n. */
u32 actlog_slots_needed(u32 nr_parts, u64 volume_bytes)
{
	if (nr_parts == 1 && regions_of(volume_bytes) < ACTLOG_PART_REGIONS)
		return regions_of(volume_bytes);
	return nr_parts * ACTLOG_PART_REGIONS;
}

u32 actlog_hash_size(u32 nr_parts, u64 volume_bytes)
{
	u32 size = 1;

	while (size < actlog_slots_needed(nr_parts, volume_bytes))
		size *= 2;
	return size;
}

u32 actlog_default_parts(u64 volume_bytes)
{
	u64 limit_bytes = 64ull << 30;
	u32 parts = 1;

	while (parts < ACTLOG_PARTS_MAX && volume_bytes > limit_bytes) {
		parts *= 2;
		limit_bytes *= 16;
	}
	return parts;
}

static u32 hash_of(const struct actlog *log, u32 region)
{
	u32 h = region * 0x9e3779b1u;

	return (h ^ h >> 15) & log->hash_mask;
}

static u32 find_slot(const struct actlog *log, u32 region)
{
	u32 index = log->hash[hash_of(log, region)];

	while (index != ACTLOG_NO_SLOT && log->slots[index].region != region)
		index = log->slots[index].hash_next;
	return index;
}

static void lru_append(struct actlog *log, u32 index)
{
	struct actlog_slot *slot = &log->slots[index];

	slot->lru_prev = log->lru_last;
	slot->lru_next = ACTLOG_NO_SLOT;
	if (log->lru_last != ACTLOG_NO_SLOT)
		log->slots[log->lru_last].lru_next = index;
	else
		log->lru_first = index;
	log->lru_last = index;
}

static void lru_remove(struct actlog *log, u32 index)
{
	struct actlog_slot *slot = &log->slots[index];

	if (slot->lru_prev != ACTLOG_NO_SLOT)
		log->slots[slot->lru_prev].lru_next = slot->lru_next;
	else
		log->lru_first = slot->lru_next;
	if (slot->lru_next != ACTLOG_NO_SLOT)
		log->slots[slot->lru_next].lru_prev = slot->lru_prev;
	else
		log->lru_last = slot->lru_prev;
	slot->lru_prev = ACTLOG_NO_SLOT;
	slot->lru_next = ACTLOG_NO_SLOT;
}

static void hash_remove(struct actlog *log, u32 index)
{
	u32 *link = &log->hash[hash_of(log, log->slots[index].region)];

	while (*link != index)
		link = &log->slots[*link].hash_next;
	*link = log->slots[index].hash_next;
}

static u32 part_of(u32 index)
{
	return index / ACTLOG_PART_REGIONS;
}

/* Behind the last slot of a part that has memory. */
static u32 part_end(const struct actlog *log, u32 part)
{
	u32 end = (part + 1) * ACTLOG_PART_REGIONS;

	return end < log->nr_memory ? end : log->nr_memory;
}

/* Put an empty slot on its part's free list. */
static void slot_to_free_list(struct actlog *log, u32 index)
{
	struct actlog_slot *slot = &log->slots[index];
	u32 part = part_of(index);

	slot->region = ACTLOG_NO_REGION;
	slot->state = ACTLOG_FREE;
	slot->hash_next = log->part_first_free[part];
	log->part_first_free[part] = index;
	log->part_free[part]++;
}

/* The slot has no write in flight. What the disk says about it is corrected by a later commit of its part. */
static void slot_free(struct actlog *log, u32 index)
{
	struct actlog_slot *slot = &log->slots[index];
	u32 part = part_of(index);

	if (slot->state == ACTLOG_ACTIVE) {
		lru_remove(log, index);
	} else if (slot->state == ACTLOG_COMMITTING) {
		log->nr_committing--;
	} else {
		log->nr_adding--;
		if (!--log->part_adding[part])
			log->part_changed &= ~(1u << part);
	}
	hash_remove(log, index);
	slot_to_free_list(log, index);
	log->nr_used--;
	log->part_removed |= 1u << part;
}

void actlog_init(struct actlog *log, struct actlog_slot *slots, u32 *hash, u32 nr_parts, u64 volume_bytes)
{
	u32 i;

	memset(log, 0, sizeof(*log));
	log->nr_parts = nr_parts;
	log->nr_slots = nr_parts * ACTLOG_PART_REGIONS;
	log->nr_memory = actlog_slots_needed(nr_parts, volume_bytes);
	log->nr_regions = regions_of(volume_bytes);
	log->hash_mask = actlog_hash_size(nr_parts, volume_bytes) - 1;
	log->lru_first = ACTLOG_NO_SLOT;
	log->lru_last = ACTLOG_NO_SLOT;
	log->epoch = 1;
	log->slots = slots;
	log->hash = hash;
	log->part_removed = (1u << nr_parts) - 1;	/* what the disk holds is not known here */

	memset(hash, 0xff, (log->hash_mask + 1) * sizeof(hash[0]));
	memset(slots, 0, log->nr_memory * sizeof(slots[0]));
	for (i = 0; i < nr_parts; i++)
		log->part_first_free[i] = ACTLOG_NO_SLOT;
	for (i = log->nr_memory; i-- > 0;)
		slot_to_free_list(log, i);
}

/* [D6] New regions gather in a part that is to be written anyway, else in the emptiest. nr_parts: none is free. */
static u32 choose_part(const struct actlog *log)
{
	u32 best = log->nr_parts;
	u32 part;

	for (part = 0; part < log->nr_parts; part++) {
		if (!log->part_free[part])
			continue;
		if (log->part_adding[part])
			return part;
		if (best == log->nr_parts || log->part_free[part] > log->part_free[best])
			best = part;
	}
	return best;
}

/* Take a slot for a new region; ACTLOG_NO_SLOT when the log is full. */
static u32 slot_add(struct actlog *log, u32 region)
{
	u32 part = choose_part(log);
	struct actlog_slot *slot;
	u32 index, *head;

	if (part == log->nr_parts)
		return ACTLOG_NO_SLOT;
	index = log->part_first_free[part];
	slot = &log->slots[index];
	log->part_first_free[part] = slot->hash_next;
	log->part_free[part]--;
	log->part_adding[part]++;
	log->part_changed |= 1u << part;
	log->nr_used++;
	log->nr_adding++;

	head = &log->hash[hash_of(log, region)];
	slot->region = region;
	slot->state = ACTLOG_ADDING;
	slot->in_flight = 0;
	slot->epoch = 0;
	slot->lru_prev = ACTLOG_NO_SLOT;
	slot->lru_next = ACTLOG_NO_SLOT;
	slot->hash_next = *head;
	*head = index;
	return index;
}

static bool is_idle(const struct actlog *log, u32 index)
{
	return index == ACTLOG_NO_SLOT || !log->slots[index].in_flight;
}

/* Would so many @idle regions more exceed what may be in use at once? */
static bool too_busy(const struct actlog *log, u32 idle)
{
	if (!log->busy_limit || !idle || log->nr_busy + idle <= log->busy_limit)
		return false;
	MARK(log_busy_limit);
	return true;
}

enum actlog_get_result actlog_get(struct actlog *log, u32 region, u64 epoch)
{
	u32 index = find_slot(log, region);
	struct actlog_slot *slot;

	if (too_busy(log, is_idle(log, index))) {
		log->refused = true;
		return ACTLOG_FULL;
	}
	if (index == ACTLOG_NO_SLOT)
		index = slot_add(log, region);
	if (index == ACTLOG_NO_SLOT) {
		MARK(log_full);
		log->refused = true;
		return ACTLOG_FULL;
	}
	slot = &log->slots[index];
	if (slot->state == ACTLOG_ACTIVE && !slot->in_flight)
		lru_remove(log, index);
	log->nr_busy += !slot->in_flight++;
	if (slot->epoch < epoch && !MUTANT(submission_unstamped))
		slot->epoch = epoch;
	if (log->epoch < epoch)
		log->epoch = epoch;
	return slot->state == ACTLOG_ACTIVE || MUTANT(data_before_log) ? ACTLOG_READY : ACTLOG_WAIT;
}

/* May every region from @first to @last be taken now? */
static bool has_room(const struct actlog *log, u32 first, u32 last)
{
	u32 free = 0, wanted = 0, idle = 0, region, part;

	for (region = first; region <= last; region++) {
		u32 index = find_slot(log, region);

		wanted += index == ACTLOG_NO_SLOT;
		idle += is_idle(log, index);
	}
	if (too_busy(log, idle))
		return false;
	for (part = 0; part < log->nr_parts; part++)
		free += log->part_free[part];
	if (wanted > free)
		MARK(log_full);
	return wanted <= free;
}

enum actlog_get_result actlog_get_regions(struct actlog *log, u32 first, u32 last, u64 epoch)
{
	enum actlog_get_result result = ACTLOG_READY;
	u32 region;

	if (first == last)
		return actlog_get(log, first, epoch);
	if (!has_room(log, first, last)) {
		log->refused = true;
		return ACTLOG_FULL;
	}
	for (region = first; region <= last; region++)
		if (actlog_get(log, region, epoch) == ACTLOG_WAIT)
			result = ACTLOG_WAIT;
	return result;
}

bool actlog_is_ready(const struct actlog *log, u32 region)
{
	u32 index = find_slot(log, region);

	return index != ACTLOG_NO_SLOT && log->slots[index].state == ACTLOG_ACTIVE;
}

void actlog_put(struct actlog *log, u32 region, bool stamp)
{
	u32 index = find_slot(log, region);
	struct actlog_slot *slot;

	if (index == ACTLOG_NO_SLOT || !log->slots[index].in_flight)
		return;
	slot = &log->slots[index];
	if (stamp && slot->epoch < log->epoch && !MUTANT(end_unstamped))
		slot->epoch = log->epoch;
	if (--slot->in_flight)
		return;
	log->nr_busy--;
	if (slot->state == ACTLOG_ACTIVE)
		lru_append(log, index);
}

/* Start a transaction of the parts in @mask. */
static u32 commit_parts(struct actlog *log, u32 mask)
{
	u32 part, i;

	for (part = 0; part < log->nr_parts; part++) {
		if (!(mask >> part & 1) || !log->part_adding[part])
			continue;
		for (i = part * ACTLOG_PART_REGIONS; i < part_end(log, part); i++)
			if (log->slots[i].state == ACTLOG_ADDING)
				log->slots[i].state = ACTLOG_COMMITTING;
		log->nr_adding -= log->part_adding[part];
		log->nr_committing += log->part_adding[part];
		log->part_adding[part] = 0;
	}
	log->part_changed &= ~mask;
	log->part_removed &= ~mask;
	log->part_committing = mask;
	log->forced = false;
	log->transactions++;
	return mask;
}

u32 actlog_commit_begin(struct actlog *log)
{
	u32 mask = log->part_changed;

	if (!actlog_commit_wanted(log))
		return 0;
	if (!mask) {	/* forced: a part with removals is worth the write most */
		MARK(commit_for_mark_only);
		mask = log->part_removed ? log->part_removed & -log->part_removed : 1;
	}
	return commit_parts(log, mask);
}

u32 actlog_commit_all_begin(struct actlog *log)
{
	u32 mask = log->part_changed | log->part_removed;

	if (log->part_committing || (!mask && !log->forced))
		return 0;
	return commit_parts(log, mask ? mask : 1);
}

void actlog_encode_part(const struct actlog *log, u32 part, u32 regions[ACTLOG_PART_REGIONS])
{
	u32 first = part * ACTLOG_PART_REGIONS;
	u32 i;

	for (i = first; i < first + ACTLOG_PART_REGIONS; i++)
		regions[i - first] = i < log->nr_memory ? log->slots[i].region : ACTLOG_NO_REGION;	/* none when free */
}

void actlog_commit_end(struct actlog *log, bool ok)
{
	u32 mask = log->part_committing;
	u32 part, i;

	if (MUTANT(failed_commit_ignored))
		ok = true;
	for (part = 0; part < log->nr_parts; part++) {
		if (!(mask >> part & 1))
			continue;
		for (i = part * ACTLOG_PART_REGIONS; i < part_end(log, part); i++) {
			struct actlog_slot *slot = &log->slots[i];

			if (slot->state != ACTLOG_COMMITTING)
				continue;
			log->nr_committing--;
			if (ok) {
				slot->state = ACTLOG_ACTIVE;
				if (!slot->in_flight)
					lru_append(log, i);
			} else {
				slot->state = ACTLOG_ADDING;
				log->nr_adding++;
				log->part_adding[part]++;
				log->part_changed |= 1u << part;
			}
		}
	}
	log->part_committing = 0;
	if (!ok && mask) {
		MARK(log_commit_failed);
		log->part_removed |= mask;
		log->forced = true;	/* the transaction may have been forced */
	}
}

bool actlog_commit_wanted(const struct actlog *log)
{
	return !log->part_committing && (log->nr_adding || log->forced);
}

u64 actlog_flush_begin(struct actlog *log)
{
	return log->epoch++;
}

void actlog_flush_end(struct actlog *log, u64 epoch)
{
	if (log->stable_epoch < epoch)
		log->stable_epoch = epoch;
}

bool actlog_evict_wanted(const struct actlog *log)
{
	u32 wanted = log->nr_slots / 8;

	if (wanted < ACTLOG_EVICT_FREE_MIN)
		wanted = ACTLOG_EVICT_FREE_MIN;
	return log->refused || log->nr_slots - log->nr_used < wanted;
}

u32 actlog_evict_candidates(const struct actlog *log, u32 *regions, u32 max)
{
	u32 index, nr = 0;

	for (index = log->lru_first; index != ACTLOG_NO_SLOT && nr < max; index = log->slots[index].lru_next)
		if (log->slots[index].epoch <= log->stable_epoch || MUTANT(evict_unflushed))
			regions[nr++] = log->slots[index].region;
	return nr;
}

bool actlog_evict(struct actlog *log, u32 region, u64 epoch)
{
	u32 index = find_slot(log, region);
	const struct actlog_slot *slot;

	if (index == ACTLOG_NO_SLOT)
		return false;
	slot = &log->slots[index];
	if (MUTANT(evict_unflushed))
		epoch = slot->epoch;
	if (MUTANT(evict_epoch_off_by_one))
		epoch++;
	if (slot->state != ACTLOG_ACTIVE || slot->in_flight || slot->epoch > epoch) {	/* [W6] */
		MARK(evict_refused);
		return false;
	}
	slot_free(log, index);
	log->refused = false;
	return true;
}

u32 actlog_next(const struct actlog *log, u32 from, u32 *region)
{
	u32 index;

	for (index = from; index < log->nr_memory; index++) {
		if (log->slots[index].state != ACTLOG_FREE) {
			*region = log->slots[index].region;
			return index;
		}
	}
	return ACTLOG_NO_SLOT;
}

u32 actlog_evict_before(struct actlog *log, u64 epoch)
{
	u32 slot, region;

	for (slot = actlog_next(log, 0, &region); slot != ACTLOG_NO_SLOT; slot = actlog_next(log, slot + 1, &region))
		actlog_evict(log, region, epoch);
	return log->nr_used;
}

u32 actlog_clear(struct actlog *log)
{
	u32 i;

	for (i = 0; i < log->nr_memory; i++)
		if (log->slots[i].state != ACTLOG_FREE && !log->slots[i].in_flight)
			slot_free(log, i);
	log->part_removed |= (1u << log->nr_parts) - 1;
	if (log->nr_used)
		MARK(log_not_empty);
	return log->nr_used;
}
