// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty map against a plain bitmap, with a disk on which page and index writes are torn, fail or get lost in a crash [D1] [D2]
 * [D3] [I5] [I17]: the map always claims at least what the bitmap says, and exactly that while there are pages enough; what a
 * completed save covered is claimed after every crash.
 *
 * Input: byte 0 size, byte 1 pages of the pool, then operations.
 */
#include "../../kernel/core/dirty.h"
#include "fuzz.h"

enum { ENTRIES_MAX = 3, PAGES_MAX = ENTRIES_MAX + 2, GRANULE = 4096, WORDS = DIRTY_PAGE_BYTES / 8, BATCH = 4 };

static const u32 sizes[] = { 1, 63, 64, 500, 32255, 32256, 32257, 2 * 32256, 2 * 32256 + 70 };	/* granules */

static struct dirty_page pages[PAGES_MAX];
static u32 next_free[PAGES_MAX];
static struct dirty_entry entries[ENTRIES_MAX];
static struct dirty_pool pool;
static struct dirty_map map;
static bool enough;		/* pages for every entry: the map is exact */
static u32 nr_granules;

typedef u64 bitmap[ENTRIES_MAX][WORDS];

static bitmap model;		/* what is dirty */
static bitmap promised;		/* what every crash has to keep */

/* What the disk holds; torn: unreadable. */
static struct {
	bool torn[ENTRIES_MAX], written[ENTRIES_MAX], index_torn;
	u8 page[ENTRIES_MAX][DIRTY_PAGE_BYTES];
	u8 index[META_BODY_BYTES];
} disk;

/* A save under way, as the module makes it: pages, then the index, then the end of each entry. */
static struct {
	u32 nr, entry[BATCH], from;
	bool page_write[BATCH], index_write;
	u8 bits[BATCH][DIRTY_PAGE_BYTES];
	u64 covered[BATCH][WORDS];
} save;

static u64 word_of(const u8 *bits, u32 word)
{
	return core_get_le64(bits + word * 8);
}

static u32 entry_bits(u32 entry)
{
	u32 left = nr_granules - entry * DIRTY_PAGE_BITS;

	return left < DIRTY_PAGE_BITS ? left : DIRTY_PAGE_BITS;
}

/* What the map says, as a word of bits. */
static u64 map_word(u32 entry, u32 word)
{
	u32 bits = entry_bits(entry);
	u64 valid = word * 64 >= bits ? 0 : bits - word * 64 >= 64 ? ~0ull : ~0ull >> (64 - (bits - word * 64));

	if (entries[entry].state == DIRTY_CLEAN)
		return 0;
	if (entries[entry].state == DIRTY_FULL || entries[entry].page == DIRTY_NO_PAGE)
		return valid;
	return word_of(pages[entries[entry].page].bits, word);
}

static void check(void)
{
	u64 nr_set = 0, in_entry;
	u32 used = map.reserve_page != DIRTY_NO_PAGE, nr_unsaved = 0, entry, word;

	for (entry = 0; entry < map.nr_entries; entry++) {
		u32 words = (entry_bits(entry) + 63) / 64;

		in_entry = 0;
		used += entries[entry].state == DIRTY_MIXED && entries[entry].page != DIRTY_NO_PAGE;
		nr_unsaved += entries[entry].unsaved;
		for (word = 0; word < words; word++) {
			u64 found = map_word(entry, word);

			in_entry += (u64)__builtin_popcountll(found);
			CHECK(!(model[entry][word] & ~found));
			CHECK(!enough || model[entry][word] == found);
		}
		nr_set += in_entry;
		if (entries[entry].state == DIRTY_MIXED)
			CHECK(in_entry && in_entry == entries[entry].nr_set);
	}
	CHECK(map.nr_set == nr_set && map.nr_unsaved == nr_unsaved);
	CHECK(pool.nr_free + used == pool.nr_pages);
}

static void model_change(u64 first, u64 end, bool set)
{
	for (; first < end; first++) {
		u64 *word = &model[first / DIRTY_PAGE_BITS][first % DIRTY_PAGE_BITS / 64];
		u64 *kept = &promised[first / DIRTY_PAGE_BITS][first % DIRTY_PAGE_BITS / 64];
		u64 bit = 1ull << first % 64;

		if (first % 64 == 0 && end - first >= 64) {
			bit = ~0ull;
			first += 63;
		}
		*word = set ? *word | bit : *word & ~bit;
		if (!set)
			*kept &= ~bit;	/* a crash may keep it, nobody needs it */
	}
}

/* Granules and bytes near the edges of pages and words, or anywhere. */
static u64 draw_offset(struct fuzz_input *input)
{
	static const u32 edges[] = { 0, 63, 64, 128, 32192, 32255, 32256, 32257, 64511, 64512 };
	u8 how = fuzz_u8(input);
	u64 granule = how & 128 ? fuzz_u16(input) : edges[how % CORE_ARRAY_SIZE(edges)];

	return granule * GRANULE + (how & 64 ? (u64)fuzz_u8(input) * 16 : 0);
}

static u64 bytes_of_volume(void)
{
	return map.volume_bytes;
}

static void change(struct fuzz_input *input, bool set)
{
	u64 start = draw_offset(input), end = draw_offset(input), volume = bytes_of_volume(), first, last, before = map.nr_set;

	if (end < start)
		end = start + (fuzz_u8(input) + 1) * 512;
	if (set)
		dirty_mark(&map, start, end - start);
	else
		CHECK(dirty_clear(&map, start, end - start) <= (end - start) / GRANULE + 1);
	if (start >= volume)
		return;
	end = end > volume ? volume : end;
	first = set ? start / GRANULE : (start + GRANULE - 1) / GRANULE;
	last = set ? (end + GRANULE - 1) / GRANULE : end == volume ? nr_granules : end / GRANULE;
	if (start < end)
		model_change(first, last, set);
	CHECK(set ? map.nr_set >= before : map.nr_set <= before || !enough);
	if (set && start < end)
		CHECK(dirty_test(&map, start) && dirty_test(&map, end - 1) && dirty_any(&map, start, end - start));
}

static void look(struct fuzz_input *input)
{
	u64 from = draw_offset(input), limit = GRANULE * (1 + (u64)fuzz_u8(input)), start = 0, length = 0;

	if (!dirty_next(&map, from, limit, &start, &length)) {
		CHECK(from >= bytes_of_volume() || !dirty_any(&map, from, bytes_of_volume() - from));
		return;
	}
	CHECK(start >= from && length && length <= limit && start + length <= bytes_of_volume());
	CHECK(dirty_test(&map, start) && dirty_test(&map, start + length - 1));
	CHECK(start <= from || !dirty_any(&map, from, start - from));
	CHECK(dirty_bytes(&map) <= bytes_of_volume() && dirty_bytes(&map));
}

static void save_begin(void)
{
	bool page_write = false, index_write = false;

	if (save.nr == BATCH)
		return;
	save.from = dirty_save_next(&map, 0, save.bits[save.nr], &page_write, &index_write);
	if (save.from == map.nr_entries)
		return;
	save.entry[save.nr] = save.from;
	save.page_write[save.nr] = page_write;
	save.index_write |= index_write;
	memcpy(save.covered[save.nr++], model[save.from], sizeof(model[0]));
}

/* @fate: 1 the pages are never written, 2 they are torn, 4 and 8 the same of the index. */
static void save_write(u8 fate, bool index_too)
{
	u32 i, word;

	for (i = 0; i < save.nr; i++) {
		for (word = 0; word < WORDS; word++)	/* from here on the disk may say old or new */
			promised[save.entry[i]][word] &= save.covered[i][word];
		if (!save.page_write[i] || (fate & 1))
			continue;
		disk.torn[save.entry[i]] = fate & 2;
		disk.written[save.entry[i]] = true;
		memcpy(disk.page[save.entry[i]], save.bits[i], DIRTY_PAGE_BYTES);
	}
	if (!index_too || !save.index_write || (fate & 7))	/* never before the pages are durable */
		return;
	dirty_index_encode(&map, 0, disk.index);
	disk.index_torn = fate & 8;
}

static void save_end(bool ok)
{
	u32 i;

	for (i = 0; i < save.nr; i++) {
		dirty_save_end(&map, save.entry[i], ok);
		if (ok) {
			u32 entry = save.entry[i], word;

			for (word = 0; word < WORDS; word++)	/* but for what was cleared meanwhile */
				promised[entry][word] = save.covered[i][word] & model[entry][word];
		}
	}
	save.nr = 0;
	save.index_write = false;
}

static void begin(u32 granules, u32 nr_pages)
{
	nr_granules = granules;
	dirty_pool_init(&pool, pages, next_free, nr_pages);
	dirty_init(&map, &pool, entries, (u64)granules * GRANULE - 512 * (granules % 7), GRANULE);
	enough = nr_pages > map.nr_entries;
}

/* Power is lost: what the disk says must be more than what was promised; the model goes on from there. */
static void crash(void)
{
	static const u8 never_written[DIRTY_PAGE_BYTES];
	u32 entry, word, nr_pages = pool.nr_pages;

	save.nr = 0;
	save.index_write = false;
	begin(nr_granules, nr_pages);
	dirty_load_index(&map, 0, disk.index_torn ? NULL : disk.index);
	for (entry = dirty_load_next_mixed(&map, 0); entry < map.nr_entries; entry = dirty_load_next_mixed(&map, entry + 1))
		dirty_load_page(&map, entry, disk.torn[entry] ? NULL :
				disk.written[entry] ? disk.page[entry] : never_written);
	for (entry = 0; entry < map.nr_entries; entry++)
		for (word = 0; word < WORDS; word++) {
			u64 found = map_word(entry, word);

			CHECK(!(promised[entry][word] & ~found));
			model[entry][word] = found;	/* a map without pages claims more than the disk will the next time */
		}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	u32 granules = sizes[fuzz_u8(&input) % CORE_ARRAY_SIZE(sizes)], nr_entries, steps;

	nr_entries = (granules + DIRTY_PAGE_BITS - 1) / DIRTY_PAGE_BITS;
	begin(granules, 1 + fuzz_u8(&input) % (nr_entries + 1));
	memset(model, 0, nr_entries * sizeof(model[0]));
	memset(promised, 0, nr_entries * sizeof(promised[0]));
	memset(disk.index, 0, nr_entries);
	memset(disk.written, 0, sizeof(disk.written));
	memset(disk.torn, 0, sizeof(disk.torn));
	disk.index_torn = false;
	save.nr = 0;
	save.index_write = false;
	for (steps = 0; input.left && steps < 24; steps++) {
		u8 op = fuzz_u8(&input);

		switch (op & 15) {
		case 0: case 1: case 2:
			change(&input, true);
			break;
		case 3: case 4: case 5:
			change(&input, false);
			break;
		case 6:
			look(&input);
			break;
		case 7:
			op & 16 ? dirty_mark_all(&map) : dirty_clear_all(&map);
			model_change(0, nr_granules, op & 16);
			break;
		case 8: case 9:
			save_begin();
			break;
		case 10: case 11:	/* all is written, and ends */
			save_write(0, true);
			save_end(true);
			break;
		case 12:
			save_write(op >> 4, true);
			save_end(false);
			break;
		case 13:
			save_write(op >> 4, op & 16);
			crash();
			break;
		case 14:
			crash();
			break;
		default:
			check();
			break;
		}
	}
	check();
	dirty_release(&map);
	CHECK(pool.nr_free == pool.nr_pages);
	return 0;
}
