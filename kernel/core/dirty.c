// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty map: what another replica lacks. Its one duty is to claim too much rather than too little, in memory
 * ([D1] [D2] [D3]) and in whatever a crash leaves on disk ([I5] [I17]).
 */
#include "dirty.h"
#include "probe.h"

CORE_STATIC_ASSERT(DIRTY_PAGE_BITS % 64 == 0, "a page is whole words");
CORE_STATIC_ASSERT(DIRTY_PAGE_BITS < 1 << 16, "dirty_entry.nr_set has room");
CORE_STATIC_ASSERT(DIRTY_PAGE_BYTES == META_BODY_BYTES, "a page is one metadata block");

/* Bits set in a word. The compiler's own may call a library. */
static u32 count_bits(u64 word)
{
	word -= word >> 1 & 0x5555555555555555ull;
	word = (word & 0x3333333333333333ull) + (word >> 2 & 0x3333333333333333ull);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return (u32)(word * 0x0101010101010101ull >> 56);
}

/* Bits @from to @end - 1 of a word, 0 <= @from < @end <= 64. */
static u64 word_mask(u32 from, u32 end)
{
	return ~0ull >> (64 - (end - from)) << from;
}

/* Set or clear bits @from to @end - 1; returns how many changed. */
static u32 page_change(struct dirty_page *page, u32 from, u32 end, bool set)
{
	u32 changed = 0;

	while (from < end) {
		u8 *at = &page->bits[from / 64 * 8];
		u32 in_word = from % 64;
		u32 nr = end - from;
		u64 word, mask;

		if (!in_word && nr >= 64) {
			u32 nr_words = nr / 64;
			u32 i, nr_set = 0;

			for (i = 0; i < nr_words; i++)
				nr_set += count_bits(core_get_le64(at + i * 8));
			memset(at, set ? 0xff : 0, nr_words * 8);
			changed += set ? nr_words * 64 - nr_set : nr_set;
			from += nr_words * 64;
			continue;
		}
		if (nr > 64 - in_word)
			nr = 64 - in_word;
		mask = word_mask(in_word, in_word + nr);
		word = core_get_le64(at);
		changed += count_bits((set ? ~word : word) & mask);
		core_put_le64(at, set ? word | mask : word & ~mask);
		from += nr;
	}
	return changed;
}

static u32 page_count(const struct dirty_page *page)
{
	u32 at, nr_set = 0;

	for (at = 0; at < DIRTY_PAGE_BYTES; at += 8)
		nr_set += count_bits(core_get_le64(&page->bits[at]));
	return nr_set;
}

/* First bit from @from on that is set (or clear), at most @end. */
static u32 page_find(const struct dirty_page *page, u32 from, u32 end, bool set)
{
	while (from < end) {
		u64 word = core_get_le64(&page->bits[from / 64 * 8]);

		word = (set ? word : ~word) >> from % 64;
		if (word) {
			from += (u32)__builtin_ctzll(word);
			return from < end ? from : end;
		}
		from += 64 - from % 64;
	}
	return end;
}

static u32 pool_take(struct dirty_pool *pool)
{
	u32 page = pool->first_free;

	if (page != DIRTY_NO_PAGE) {
		pool->first_free = pool->next_free[page];
		pool->nr_free--;
	}
	return page;
}

/* A page for marking. In a map of one entry, nobody else ever wants the reserve. */
static u32 take_page_to_mark(struct dirty_map *map)
{
	u32 page = pool_take(map->pool);

	if (page == DIRTY_NO_PAGE && map->nr_entries == 1) {
		page = map->reserve_page;
		map->reserve_page = DIRTY_NO_PAGE;
	}
	return page;
}

static void pool_give(struct dirty_pool *pool, u32 page)
{
	pool->next_free[page] = pool->first_free;
	pool->first_free = page;
	pool->nr_free++;
}

void dirty_pool_init(struct dirty_pool *pool, struct dirty_page *pages, u32 *next_free, u32 nr_pages)
{
	u32 page;

	pool->pages = pages;
	pool->more = NULL;
	pool->next_free = next_free;
	pool->nr_first = nr_pages;
	pool->nr_pages = nr_pages;
	pool->first_free = DIRTY_NO_PAGE;
	pool->nr_free = 0;
	for (page = nr_pages; page-- > 0;)
		pool_give(pool, page);
}

void dirty_pool_add(struct dirty_pool *pool, struct dirty_page *page)
{
	u32 index = pool->nr_pages++;

	pool->more[index - pool->nr_first] = page;
	pool_give(pool, index);
}

static struct dirty_page *pool_page(const struct dirty_pool *pool, u32 page)
{
	return page < pool->nr_first ? &pool->pages[page] : pool->more[page - pool->nr_first];
}

u32 dirty_granule_bytes(u64 volume_bytes)
{
	u32 granule_bytes = GRANULE_BYTES_MIN;

	while (granule_bytes < GRANULE_BYTES_MAX && volume_bytes > (u64)granule_bytes * DIRTY_BITS_WANTED_MAX)
		granule_bytes *= 2;
	return granule_bytes;
}

static u32 granule_shift(u32 granule_bytes)
{
	return (u32)__builtin_ctz(granule_bytes);
}

/* Granules of a volume, a last one in part included. */
static u64 granules_needed(u64 volume_bytes, u32 granule_bytes)
{
	u64 whole = volume_bytes >> granule_shift(granule_bytes);

	return whole + !!(volume_bytes & (granule_bytes - 1));
}

u32 dirty_entries_needed(u64 volume_bytes, u32 granule_bytes)
{
	u64 granules = granules_needed(volume_bytes, granule_bytes);

	return (u32)((granules + DIRTY_PAGE_BITS - 1) / DIRTY_PAGE_BITS);
}

void dirty_init(struct dirty_map *map, struct dirty_pool *pool, struct dirty_entry *entries,
		u64 volume_bytes, u32 granule_bytes)
{
	u32 i;

	map->nr_granules = granules_needed(volume_bytes, granule_bytes);
	map->nr_set = 0;
	map->nr_marks = 0;
	map->volume_bytes = volume_bytes;
	map->granule_shift = granule_shift(granule_bytes);
	map->nr_entries = dirty_entries_needed(volume_bytes, granule_bytes);
	map->nr_unsaved = 0;
	map->reserve_page = pool_take(pool);
	map->entries = entries;
	map->pool = pool;
	memset(entries, 0, map->nr_entries * sizeof(entries[0]));
	for (i = 0; i < map->nr_entries; i++)
		entries[i].page = DIRTY_NO_PAGE;
}

/* Granules of entry @index: DIRTY_PAGE_BITS except in the last one. */
static u32 entry_bits(const struct dirty_map *map, u32 index)
{
	u64 left = map->nr_granules - (u64)index * DIRTY_PAGE_BITS;

	return left < DIRTY_PAGE_BITS ? (u32)left : DIRTY_PAGE_BITS;
}

static u32 entry_nr_set(const struct dirty_map *map, u32 index)
{
	const struct dirty_entry *entry = &map->entries[index];

	if (entry->state == DIRTY_MIXED)
		return entry->nr_set;
	return entry->state == DIRTY_FULL ? entry_bits(map, index) : 0;
}

static bool entry_has_page(const struct dirty_entry *entry)
{
	return entry->state == DIRTY_MIXED && entry->page != DIRTY_NO_PAGE;
}

static struct dirty_page *entry_page(const struct dirty_map *map, const struct dirty_entry *entry)
{
	return pool_page(map->pool, entry->page);
}

/* What the index on disk says, or will say when the save under way has ended, of an entry left alone. */
static u32 entry_index_state(const struct dirty_entry *entry)
{
	return entry->saving ? entry->save_state : entry->saved_state;
}

/* The entry differs from its disk copy now. */
static void entry_touch(struct dirty_map *map, struct dirty_entry *entry)
{
	if (!entry->unsaved) {
		entry->unsaved = 1;
		map->nr_unsaved++;
	}
	if (entry->state != DIRTY_CLEAN && entry_index_state(entry) == DIRTY_CLEAN)
		entry->index_unsure = 1;	/* dirty_index_encode() says FULL from now on */
}

static void entry_drop_page(struct dirty_map *map, struct dirty_entry *entry)
{
	u32 page = entry->page;

	entry->page = DIRTY_NO_PAGE;
	if (page == DIRTY_NO_PAGE)
		return;
	if (map->reserve_page == DIRTY_NO_PAGE)
		map->reserve_page = page;
	else
		pool_give(map->pool, page);
}

/* To CLEAN or FULL, whatever it was. */
static void entry_to_uniform(struct dirty_map *map, u32 index, enum dirty_entry_state state)
{
	struct dirty_entry *entry = &map->entries[index];

	map->nr_set -= entry_nr_set(map, index);
	entry_drop_page(map, entry);
	entry->nr_set = 0;
	entry->state = state;
	map->nr_set += entry_nr_set(map, index);
	entry_touch(map, entry);
}

/* CLEAN or FULL (or not loaded) to a page that says the same; the caller changes bits at once. */
static void entry_to_mixed(struct dirty_map *map, u32 index, u32 page)
{
	struct dirty_entry *entry = &map->entries[index];
	u32 nr_set = entry_nr_set(map, index);

	memset(pool_page(map->pool, page)->bits, 0, DIRTY_PAGE_BYTES);
	page_change(pool_page(map->pool, page), 0, nr_set, true);
	entry->page = page;
	entry->nr_set = nr_set & 0xffff;
	entry->state = DIRTY_MIXED;
}

/* Change bits @from to @end - 1 of an entry that has a page. Returns how many changed. */
static u32 entry_change(struct dirty_map *map, u32 index, u32 from, u32 end, bool set)
{
	struct dirty_entry *entry = &map->entries[index];
	u32 changed = page_change(entry_page(map, entry), from, end, set);
	u32 nr_set = set ? entry->nr_set + changed : entry->nr_set - changed;

	entry->nr_set = nr_set & 0xffff;
	map->nr_set = set ? map->nr_set + changed : map->nr_set - changed;
	if (!nr_set)
		entry_to_uniform(map, index, DIRTY_CLEAN);
	else if (nr_set == entry_bits(map, index))
		entry_to_uniform(map, index, DIRTY_FULL);
	else if (changed)
		entry_touch(map, entry);
	return changed;
}

/* A byte range as granules @first to @end - 1 (none when first == end). */
struct granule_range {
	u64 first, end;
};

static u64 range_end_bytes(const struct dirty_map *map, u64 start_bytes, u64 length_bytes)
{
	if (start_bytes >= map->volume_bytes)
		return start_bytes;
	if (length_bytes > map->volume_bytes - start_bytes)
		return map->volume_bytes;
	return start_bytes + length_bytes;
}

/* Every granule that the bytes touch. */
static struct granule_range range_widened(const struct dirty_map *map, u64 start_bytes, u64 length_bytes)
{
	u64 end_bytes = range_end_bytes(map, start_bytes, length_bytes);
	struct granule_range range = { 0, 0 };

	if (end_bytes > start_bytes) {
		range.first = start_bytes >> map->granule_shift;
		range.end = ((end_bytes - 1) >> map->granule_shift) + 1;
		if (MUTANT(last_granule_unmarked) && range.end == map->nr_granules)
			range.end--;
	}
	return range;
}

/* Every granule that lies wholly inside; the volume's end completes its last granule. */
static struct granule_range range_narrowed(const struct dirty_map *map, u64 start_bytes, u64 length_bytes)
{
	u64 end_bytes = range_end_bytes(map, start_bytes, length_bytes);
	struct granule_range range = { 0, 0 };

	if (end_bytes <= start_bytes)
		return range;
	range.first = ((start_bytes - !!start_bytes) >> map->granule_shift) + !!start_bytes;
	range.end = end_bytes == map->volume_bytes ? map->nr_granules : end_bytes >> map->granule_shift;
	if (MUTANT(clear_widened))
		return range_widened(map, start_bytes, length_bytes);
	if (range.end < range.first)
		range.end = range.first;
	return range;
}

static u32 granule_entry(u64 granule)
{
	return (u32)(granule / DIRTY_PAGE_BITS);
}

/* The part of a granule range that lies in one entry, as bits of that entry. */
static u32 bit_from(const struct granule_range *range, u32 index)
{
	u64 base = (u64)index * DIRTY_PAGE_BITS;

	return range->first > base ? (u32)(range->first - base) : 0;
}

static u32 bit_end(const struct dirty_map *map, const struct granule_range *range, u32 index)
{
	u64 left = range->end - (u64)index * DIRTY_PAGE_BITS;
	u32 bits = entry_bits(map, index);

	return left < bits ? (u32)left : bits;
}

static void entry_mark(struct dirty_map *map, u32 index, u32 from, u32 end)
{
	struct dirty_entry *entry = &map->entries[index];
	u32 page;

	if (entry->state == DIRTY_FULL)
		return;
	if (entry->state == DIRTY_CLEAN && end - from < entry_bits(map, index)) {
		page = take_page_to_mark(map);
		if (page != DIRTY_NO_PAGE)
			entry_to_mixed(map, index, page);
	}
	if (entry_has_page(entry)) {
		entry_change(map, index, from, end, true);
	} else if (!MUTANT(pool_empty_unmarked)) {
		MARK(mark_without_page);
		entry_to_uniform(map, index, DIRTY_FULL);
	}
}

void dirty_mark(struct dirty_map *map, u64 start_bytes, u64 length_bytes)
{
	struct granule_range range = range_widened(map, start_bytes, length_bytes);
	u32 index;

	if (range.first == range.end)
		return;
	map->nr_marks++;
	for (index = granule_entry(range.first); index <= granule_entry(range.end - 1); index++)
		entry_mark(map, index, bit_from(&range, index), bit_end(map, &range, index));
}

void dirty_mark_all(struct dirty_map *map)
{
	u32 index;

	map->nr_marks++;
	for (index = 0; index < map->nr_entries; index++)
		if (map->entries[index].state != DIRTY_FULL)
			entry_to_uniform(map, index, DIRTY_FULL);
}

/*
 * A page for clearing a part of the FULL entry @index: free, reserve, or taken from another entry, but not from
 * @first_cleared to @index - 1, whose bits this very call has cleared.
 */
static u32 take_page_to_clear(struct dirty_map *map, u32 index, u32 first_cleared)
{
	u32 page = pool_take(map->pool);
	u32 victim;

	if (page != DIRTY_NO_PAGE)
		return page;
	for (victim = map->nr_entries; map->reserve_page == DIRTY_NO_PAGE && victim-- > 0;) {
		if (victim >= first_cleared && victim <= index)
			continue;
		if (entry_has_page(&map->entries[victim])) {
			MARK(page_robbed);
			entry_to_uniform(map, victim, DIRTY_FULL);	/* its page becomes the reserve */
		}
	}
	page = map->reserve_page;
	map->reserve_page = DIRTY_NO_PAGE;
	return page;
}

/* Returns the granules cleared. */
static u32 entry_clear(struct dirty_map *map, u32 index, u32 from, u32 end, u32 first_cleared)
{
	struct dirty_entry *entry = &map->entries[index];
	u32 nr_set = entry_nr_set(map, index);
	u32 page;

	if (entry->state == DIRTY_CLEAN || from >= end)
		return 0;
	if (end - from == entry_bits(map, index)) {
		entry_to_uniform(map, index, DIRTY_CLEAN);
		return nr_set;
	}
	if (!entry_has_page(entry)) {
		page = take_page_to_clear(map, index, first_cleared);
		if (page == DIRTY_NO_PAGE) {
			MARK(clear_without_page);
			return 0;
		}
		entry_to_mixed(map, index, page);
	}
	return entry_change(map, index, from, end, false);
}

u64 dirty_clear(struct dirty_map *map, u64 start_bytes, u64 length_bytes)
{
	struct granule_range range = range_narrowed(map, start_bytes, length_bytes);
	u64 cleared = 0;
	u32 index;

	if (range.first == range.end)
		return 0;
	for (index = granule_entry(range.first); index <= granule_entry(range.end - 1); index++)
		cleared += entry_clear(map, index, bit_from(&range, index), bit_end(map, &range, index),
				       granule_entry(range.first));
	return cleared;
}

u64 dirty_clear_proven(struct dirty_map *map, u64 start_bytes, u64 length_bytes, u64 marks)
{
	if (map->nr_marks != marks && !MUTANT(proof_outlives_mark)) {
		MARK(marked_while_proving);
		return 0;
	}
	return dirty_clear(map, start_bytes, length_bytes);
}

void dirty_clear_all(struct dirty_map *map)
{
	u32 index;

	for (index = 0; index < map->nr_entries; index++)
		if (map->entries[index].state != DIRTY_CLEAN)
			entry_to_uniform(map, index, DIRTY_CLEAN);
}

void dirty_release(struct dirty_map *map)
{
	u32 index;

	for (index = 0; index < map->nr_entries; index++)
		entry_drop_page(map, &map->entries[index]);
	if (map->reserve_page != DIRTY_NO_PAGE)
		pool_give(map->pool, map->reserve_page);
	map->reserve_page = DIRTY_NO_PAGE;
	map->nr_entries = 0;
}

/* First granule from @from on that is dirty (or clean), at most @end. */
static u64 find_granule(const struct dirty_map *map, u64 from, u64 end, bool dirty)
{
	while (from < end) {
		u32 index = granule_entry(from);
		const struct dirty_entry *entry = &map->entries[index];
		u64 base = (u64)index * DIRTY_PAGE_BITS;
		u32 bits = entry_bits(map, index);

		if (entry_has_page(entry)) {
			u32 bit = page_find(entry_page(map, entry), (u32)(from - base), bits, dirty);

			if (bit < bits)
				return base + bit < end ? base + bit : end;
		} else if ((entry->state != DIRTY_CLEAN) == dirty) {
			return from;
		}
		from = base + bits;
	}
	return end;
}

bool dirty_test(const struct dirty_map *map, u64 offset_bytes)
{
	u64 granule = offset_bytes >> map->granule_shift;

	return offset_bytes < map->volume_bytes && find_granule(map, granule, granule + 1, true) == granule;
}

bool dirty_any(const struct dirty_map *map, u64 start_bytes, u64 length_bytes)
{
	struct granule_range range = range_widened(map, start_bytes, length_bytes);

	return map->nr_set && find_granule(map, range.first, range.end, true) < range.end;
}

bool dirty_next(const struct dirty_map *map, u64 from_bytes, u64 limit_bytes, u64 *start_bytes,
		u64 *length_bytes)
{
	struct granule_range range = range_widened(map, from_bytes, map->volume_bytes);
	u64 first, start, end;

	if (!map->nr_set)
		return false;
	first = find_granule(map, range.first, range.end, true);
	if (first == range.end)
		return false;

	start = first << map->granule_shift;
	if (start < from_bytes)
		start = from_bytes;
	range = range_widened(map, start, limit_bytes);
	end = find_granule(map, first, range.end, false) << map->granule_shift;
	if (end > range_end_bytes(map, start, limit_bytes))
		end = range_end_bytes(map, start, limit_bytes);
	*start_bytes = start;
	*length_bytes = end - start;
	return true;
}

bool dirty_unsaved(const struct dirty_map *map, u64 start_bytes, u64 length_bytes)
{
	struct granule_range range = range_widened(map, start_bytes, length_bytes);
	u32 index;

	for (index = granule_entry(range.first); range.first < range.end && index <= granule_entry(range.end - 1); index++)
		if (map->entries[index].unsaved || map->entries[index].saving)
			return true;
	return false;
}

u64 dirty_bytes(const struct dirty_map *map)
{
	u64 bytes = map->nr_set << map->granule_shift;

	if (map->volume_bytes && dirty_test(map, map->volume_bytes - 1))
		bytes -= (map->nr_granules << map->granule_shift) - map->volume_bytes;
	return bytes;
}

/*
 * Saving. saved_state is what the index on disk says. Only dirty_save_next() decides what it is to say next
 * (save_state), and dirty_index_encode() deviates from the two in one way only, CLEAN to FULL, which entry_touch()
 * has noted as index_unsure before. So saved_state never says MIXED or FULL where the disk says CLEAN, and a page
 * is never written in the belief that the index already points to it when it does not.
 */
u32 dirty_save_next(struct dirty_map *map, u32 from, u8 *bits, bool *page_write, bool *index_write)
{
	u32 index;

	if (!map->nr_unsaved)
		return map->nr_entries;
	for (index = from; index < map->nr_entries; index++) {
		struct dirty_entry *entry = &map->entries[index];

		if (!entry->unsaved || entry->saving)
			continue;
		*page_write = entry_has_page(entry);
		*index_write = entry->index_unsure || entry->state != entry->saved_state;
		if (*page_write)
			memcpy(bits, entry_page(map, entry)->bits, DIRTY_PAGE_BYTES);
		entry->unsaved = 0;
		entry->saving = 1;
		entry->save_state = entry->state;
		entry->index_unsure = 0;
		map->nr_unsaved--;
		return index;
	}
	return map->nr_entries;
}

void dirty_save_end(struct dirty_map *map, u32 index, bool ok)
{
	struct dirty_entry *entry = &map->entries[index];

	if (!entry->saving)
		return;
	entry->saving = 0;
	if (entry->unsaved)
		MARK(changed_while_saving);
	if (entry->unsaved && MUTANT(change_while_saving_lost)) {
		entry->unsaved = 0;
		map->nr_unsaved--;
	}
	if (ok || MUTANT(failed_map_save_ignored)) {
		entry->saved_state = entry->save_state;
		return;
	}
	MARK(map_save_failed);
	/* The disk may say anything between old and new: claim everything, and write both next time. */
	entry->saved_state = DIRTY_FULL;
	entry_touch(map, entry);
	entry->index_unsure = 1;
}

void dirty_index_encode(const struct dirty_map *map, u32 block, u8 *body)
{
	u32 index = block * DIRTY_INDEX_ENTRIES;
	u32 i;

	memset(body, 0, META_BODY_BYTES);
	for (i = 0; i < DIRTY_INDEX_ENTRIES && index < map->nr_entries; i++, index++) {
		const struct dirty_entry *entry = &map->entries[index];
		u32 state = MUTANT(index_before_page) ? entry->state : entry_index_state(entry);

		if (state == DIRTY_CLEAN && entry->state != DIRTY_CLEAN)
			state = DIRTY_FULL;
		body[i / 4] |= (u8)(state << i % 4 * 2);
	}
}

/* Loading. */
static void load_index_entry(struct dirty_map *map, u32 index, u32 value)
{
	struct dirty_entry *entry = &map->entries[index];
	bool untouched = entry->state == DIRTY_CLEAN && !entry->unsaved && !entry->saving;

	if (!untouched || value > DIRTY_MIXED) {
		MARK(index_unreadable);
		entry_to_uniform(map, index, DIRTY_FULL);
		entry->saved_state = DIRTY_FULL;
		entry->index_unsure = 1;
		return;
	}
	entry->state = value & 3;
	entry->saved_state = value & 3;
	if (value == DIRTY_MIXED)
		entry->nr_set = entry_bits(map, index) & 0xffff;
	map->nr_set += entry_nr_set(map, index);
}

void dirty_load_index(struct dirty_map *map, u32 block, const u8 *body)
{
	u32 index = block * DIRTY_INDEX_ENTRIES;
	u32 i;

	for (i = 0; i < DIRTY_INDEX_ENTRIES && index < map->nr_entries; i++, index++)
		load_index_entry(map, index, body ? body[i / 4] >> i % 4 * 2 & 3 : DIRTY_MIXED + 1);
}

u32 dirty_load_next_mixed(const struct dirty_map *map, u32 from)
{
	u32 index = from;

	while (index < map->nr_entries &&
	       (map->entries[index].state != DIRTY_MIXED || entry_has_page(&map->entries[index])))
		index++;
	return index;
}

void dirty_load_page(struct dirty_map *map, u32 index, const u8 *bits)
{
	struct dirty_entry *entry = &map->entries[index];
	u32 nr_bits = entry_bits(map, index);
	struct dirty_page *to;
	u32 page, nr_set;

	if (entry->state != DIRTY_MIXED || entry_has_page(entry))
		return;
	page = bits ? take_page_to_mark(map) : DIRTY_NO_PAGE;
	if (page == DIRTY_NO_PAGE) {
		MARK(page_unreadable);
		entry_to_uniform(map, index, MUTANT(unreadable_page_clean) ? DIRTY_CLEAN : DIRTY_FULL);
		return;
	}
	to = pool_page(map->pool, page);
	memcpy(to->bits, bits, DIRTY_PAGE_BYTES);
	page_change(to, nr_bits, DIRTY_PAGE_BITS, false);
	nr_set = page_count(to);

	map->nr_set -= entry_nr_set(map, index);
	map->nr_set += nr_set;
	entry->page = page;
	entry->nr_set = nr_set & 0xffff;
	if (!nr_set || nr_set == nr_bits)
		entry_to_uniform(map, index, nr_set ? DIRTY_FULL : DIRTY_CLEAN);
}
