// SPDX-License-Identifier: GPL-2.0
/*
 * Metadata of one replica that was damaged, as the module attaches it and as `braid meta check` and `repair` read it [M] [I17] [G10]
 * [G6]. A whole image is made, then bent: bytes changed with or without a right checksum, blocks torn, misdirected, unreadable.
 *
 * What must hold: whatever counts as a superblock can be written again; damage of the log, an index block or a page only ever
 * adds dirty bits; both readers see the same; a repair makes both copies good and changes nothing else.
 *
 * Input: numbers for the image, then the damage, a few bytes each.
 */
#include <errno.h>

#include "../../kernel/core/volume.h"
#include "../../user/meta.h"
#include "fuzz.h"

enum {
	REGIONS = 48, VOLUME_BYTES = REGIONS * ACTLOG_REGION_BYTES - VOLUME_BLOCK_BYTES, GRANULE_BYTES = 65536,
	GRANULES = REGIONS * (ACTLOG_REGION_BYTES / GRANULE_BYTES), WORDS = GRANULES / 64,
	PAGES = 1, BLOCKS = 64,
	SLOTS = 2,	/* of 16: the peers are nodes 1 and 2 */
};

static u8 image[BLOCKS][META_BLOCK_BYTES];
static bool unreadable[BLOCKS], written[BLOCKS], bent_before[BLOCKS];
static struct ondisk_layout layout;
static struct ondisk_super formatted;

static struct volume volume;
static struct dirty_pool pool;
static struct dirty_page pages[SLOTS * PAGES + REPLICAS_MAX];
static u32 next_free[SLOTS * PAGES + REPLICAS_MAX];
static struct dirty_entry entries[REPLICAS_MAX][PAGES];
static struct wire_greet facts[REPLICAS_MAX], scratch;
static struct actlog_slot log_slots[ACTLOG_PART_REGIONS];
static u32 log_hash[1024], regions[2 * ACTLOG_PART_REGIONS];
static struct actlog empty_log;	/* stays empty: a crash's regions become dirty bits */
static struct meta_view view;

/* What an attach claims: the bits of each slot, and those of its maps alone. */
static struct claim {
	bool attached;
	u64 bits[SLOTS][PAGES][WORDS], map_bytes[SLOTS];
	u32 reconcile;
} whole, bent;

/* ---- the disk of user/meta.c ---- */

bool disk_read(const struct disk *disk, u64 offset_bytes, void *buffer, size_t length_bytes)
{
	(void)disk;
	CHECK(offset_bytes % META_BLOCK_BYTES == 0 && length_bytes == META_BLOCK_BYTES);
	errno = EIO;
	if (offset_bytes / META_BLOCK_BYTES >= BLOCKS || unreadable[offset_bytes / META_BLOCK_BYTES])
		return false;
	memcpy(buffer, image[offset_bytes / META_BLOCK_BYTES], META_BLOCK_BYTES);
	return true;
}

bool disk_write(const struct disk *disk, u64 offset_bytes, const void *buffer, size_t length_bytes)
{
	(void)disk;
	CHECK(offset_bytes % META_BLOCK_BYTES == 0 && length_bytes <= META_BLOCK_BYTES);
	CHECK(offset_bytes / META_BLOCK_BYTES < BLOCKS);
	memcpy(image[offset_bytes / META_BLOCK_BYTES], buffer, length_bytes);
	written[offset_bytes / META_BLOCK_BYTES] = true;
	return true;
}

bool disk_flush(const struct disk *disk)
{
	(void)disk;
	return true;
}

/* ---- the image ---- */

static struct ondisk_header header_of(const struct ondisk_super *super, u16 kind, u64 location, u64 sequence)
{
	return (struct ondisk_header){ .volume_id = super->volume_id, .replica_id = super->replica_id, .location = location,
				       .sequence = sequence, .kind = kind };
}

static u8 *block_at(u64 location)
{
	CHECK(location / META_BLOCK_BYTES < BLOCKS);
	written[location / META_BLOCK_BYTES] = true;
	return image[location / META_BLOCK_BYTES];
}

static void seal(u8 *block)
{
	core_put_le32(block + 8, core_crc32c(0, block + 12, META_BLOCK_BYTES - 12));
}

static void make_map(struct fuzz_input *input, u32 slot)
{
	static u8 body[META_BODY_BYTES];
	struct ondisk_header header;
	u8 states = fuzz_u8(input);
	u32 page;

	for (page = 0; page < PAGES; page++) {
		u64 location = ondisk_page_offset(&layout, slot, page);

		if ((states >> 2 * page & 3) != DIRTY_MIXED)
			continue;
		memset(body, 0, sizeof(body));
		body[fuzz_u8(input) % (GRANULES / 8)] = 1 | fuzz_u8(input);
		body[fuzz_u16(input) % (GRANULES / 8)] = fuzz_u8(input);
		header = header_of(&formatted, ONDISK_DIRTY_PAGE, location, 1);
		ondisk_body_encode(&header, body, block_at(location));
	}
	memset(body, 0, sizeof(body));
	body[0] = states & 15;
	header = header_of(&formatted, ONDISK_DIRTY_INDEX, ondisk_index_offset(&layout, slot, 0), 1);
	ondisk_body_encode(&header, body, block_at(header.location));
}

/* Both copies of the log: newer one @newer. */
static void make_log(struct fuzz_input *input, u32 newer)
{
	u32 copy, i;

	memset(regions, 0xff, sizeof(regions));
	for (copy = 0; copy < 2; copy++) {
		struct ondisk_header header = header_of(&formatted, ONDISK_ACTLOG, ondisk_actlog_offset(&layout, 0, copy),
							 copy == newer ? 8 : 7);

		for (i = 0; i < 2; i++)
			regions[i] = fuzz_u8(input) % (REGIONS + 1) ? fuzz_u8(input) % REGIONS : ACTLOG_NO_REGION;
		ondisk_actlog_encode(&header, fuzz_u8(input) & 1 ? 9 : 0, regions, block_at(header.location));
	}
}

static void make_image(struct fuzz_input *input)
{
	struct ondisk_super super = formatted;
	u8 bits = fuzz_u8(input);
	u32 i;

	for (i = 0; i < BLOCKS; i++)
		if (written[i]) {
			memset(image[i], 0, META_BLOCK_BYTES);
			written[i] = unreadable[i] = bent_before[i] = false;
		}
	super.flags |= (bits & (ONDISK_SYNCING | ONDISK_ATTACHED)) | (bits & 2 ? ONDISK_BLANK : 0);
	super.reconcile = bits >> 5 & 6;
	super.sequence = 4;
	ondisk_super_encode(&super, 0, block_at(0));
	super.sequence = bits & 32 ? 3 : 5;
	ondisk_super_encode(&super, 1, block_at(ondisk_super_offset(1)));
	for (i = 0; i < SLOTS; i++)
		make_map(input, i);
	make_log(input, bits >> 3 & 1);
}

/* ---- attach ---- */

static const u8 *readable(u64 location)
{
	CHECK(location / META_BLOCK_BYTES < BLOCKS);
	return unreadable[location / META_BLOCK_BYTES] ? NULL : image[location / META_BLOCK_BYTES];
}

static const u8 *body_at(const struct ondisk_super *super, u16 kind, u64 location)
{
	struct ondisk_header expected = header_of(super, kind, location, 0);
	const u8 *block = readable(location), *body;
	u64 sequence;

	return block && ondisk_body_decode(&expected, block, &body, &sequence) == ONDISK_OK ? body : NULL;
}

static void load_log(const struct ondisk_super *super)
{
	struct ondisk_header expected[2];
	u32 copy, nr, newest, i;
	u64 sequence, written_id;
	const u8 *block[2];

	for (copy = 0; copy < 2; copy++) {
		expected[copy] = header_of(super, ONDISK_ACTLOG, ondisk_actlog_offset(&layout, 0, copy), 0);
		block[copy] = readable(expected[copy].location);
	}
	if (!ondisk_actlog_load(&expected[0], &expected[1], block[0], block[1], volume.log.nr_regions, regions, &nr, &sequence,
				&written_id, &newest)) {
		volume_log_lost(&volume);
		return;
	}
	for (i = 0; i < nr; i++)
		volume_log_found(&volume, regions[i]);
	if (written_id)
		volume_written_found(&volume, written_id);
}

static void collect(struct claim *claim)
{
	u32 slot, page, word;

	claim->reconcile = volume.super.reconcile;
	for (slot = 0; slot < SLOTS; slot++)
		for (page = 0; page < PAGES; page++) {
			const struct dirty_entry *entry = &entries[slot][page];

			for (word = 0; word < WORDS; word++)
				claim->bits[slot][page][word] = entry->state == DIRTY_CLEAN ? 0 : entry->state == DIRTY_FULL ? ~0ull :
					core_get_le64(pages[entry->page].bits + word * 8);
		}
}

/* As the module: superblock, maps, log; then the first step. Other geometries are decoded but not loaded here. */
static void attach(struct claim *claim, bool go_on)
{
	struct volume_event event = { .type = VOLUME_EVENT_ONLINE, .node = NODE_NONE, .random = 77 };
	static struct volume_actions actions;
	static u8 again[META_BLOCK_BYTES];
	enum ondisk_error error[2];
	struct ondisk_super super;
	u32 slot, page;

	claim->attached = false;
	if (unreadable[0] || unreadable[1] || ondisk_super_choose(image[0], image[1], &super, error) < 0)
		return;
	CHECK(ondisk_super_valid(&super));
	if (super.volume_bytes != VOLUME_BYTES || super.granule_bytes != GRANULE_BYTES || super.actlog_parts != 1)
		return;
	memset(&volume, 0, sizeof(volume));
	dirty_pool_init(&pool, pages, next_free, CORE_ARRAY_SIZE(pages));
	volume.log = empty_log;
	volume_init(&volume, &super, super.node_id, &scratch);
	for (slot = 0; slot < REPLICAS_MAX; slot++)
		volume_slot_give(&volume, slot, &pool, entries[slot], &facts[slot]);
	for (slot = 0; slot < SLOTS; slot++) {
		struct dirty_map *map = &volume.peer[slot].map;

		claim->map_bytes[slot] = 0;
		if (super.slot_node[slot] == NODE_NONE)
			continue;
		dirty_load_index(map, 0, body_at(&super, ONDISK_DIRTY_INDEX, ondisk_index_offset(&layout, slot, 0)));
		for (page = dirty_load_next_mixed(map, 0); page < map->nr_entries; page = dirty_load_next_mixed(map, page + 1))
			dirty_load_page(map, page, body_at(&super, ONDISK_DIRTY_PAGE, ondisk_page_offset(&layout, slot, page)));
		claim->map_bytes[slot] = dirty_bytes(map);
	}
	load_log(&super);
	claim->attached = true;
	collect(claim);
	if (!go_on)
		return;
	volume_step(&volume, &event, &actions);
	ondisk_super_encode(&volume.super, 0, again);
	CHECK(ondisk_super_decode(again, 0, &super) == ONDISK_OK);
}

/* ---- damage ---- */

/* Returns whether all that was claimed before has still to be claimed. */
static bool damage(struct fuzz_input *input)
{
	u8 what = fuzz_u8(input), where = fuzz_u8(input);
	u64 log = ondisk_actlog_offset(&layout, 0, 0) / META_BLOCK_BYTES, index = layout.index_offset / META_BLOCK_BYTES;
	u32 block = where % 10 < 4 ? where % 2 + (where & 2 ? (u32)log : 0) : where % 10 < 6 ? (u32)index + where % 2 :
		    (u32)(layout.page_offset / META_BLOCK_BYTES) + where % (SLOTS * PAGES);
	bool map = block >= index, zero = !bent_before[block];	/* what was bent before may get a right checksum now */
	u32 offset, nr, i;

	written[block] = bent_before[block] = true;
	switch (what & 7) {
	case 0:
		unreadable[block] = true;
		return true;
	case 1:		/* misdirected */
		memcpy(image[block], image[(block + 1 + (what >> 3)) % BLOCKS], META_BLOCK_BYTES);
		return map;
	case 2:		/* torn: the rest is from something else */
		offset = (1 + (what >> 3) % 7) * 512;
		memset(image[block] + offset, fuzz_u8(input), META_BLOCK_BYTES - offset);
		return map;
	default:
		break;
	}
	offset = what & 8 ? fuzz_u8(input) % 72 : fuzz_u16(input) % META_BLOCK_BYTES;
	if (block < 2 && what & 8)
		offset = 64 + fuzz_u8(input);
	nr = 1 + fuzz_u8(input) % 8;
	for (i = 0; i < nr; i++) {
		u8 *byte = &image[block][(offset + i) % META_BLOCK_BYTES], change = fuzz_u8(input);

		zero &= !change;
		*byte ^= change;
	}
	if (what & 16) {
		seal(image[block]);
		return zero;
	}
	return map || zero;
}

static void compare(void)
{
	u32 slot, page, word;

	for (slot = 0; slot < SLOTS; slot++)
		for (page = 0; page < PAGES; page++)
			for (word = 0; word < WORDS; word++)
				CHECK(!(whole.bits[slot][page][word] & ~bent.bits[slot][page][word]));
	CHECK(!(whole.reconcile & ~bent.reconcile));
}

/* The command reads the same, and its repair leaves two good copies of what counts. */
static void offline(void)
{
	struct disk disk = { .fd = -1, .path = "disk", .bytes = sizeof(image) };
	const char *problems[32];
	u32 slot;

	if (!meta_read(&disk, &view)) {
		CHECK(unreadable[0] || unreadable[1]);
		return;
	}
	meta_problems(&view, problems, CORE_ARRAY_SIZE(problems));
	for (slot = 0; slot < SLOTS && bent.attached; slot++)
		CHECK(view.map[slot].dirty_bytes == bent.map_bytes[slot]);
	if (meta_repair_refusal(&view))
		return;
	CHECK(view.chosen >= 0 && meta_repair(&disk, &view));
	formatted.sequence = view.super.sequence;
	CHECK(meta_read(&disk, &view));
	CHECK(view.chosen >= 0 && view.copy_error[0] == ONDISK_OK && view.copy_error[1] == ONDISK_OK);
	CHECK(view.super.sequence == formatted.sequence && meta_repair_refusal(&view));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct generation first;

	(void)argc;
	(void)argv;
	formatted = (struct ondisk_super){ .volume_id = 7, .replica_id = 8, .name = "v", .replicas = 7, .split_peer = NODE_NONE };
	CHECK(ondisk_plan(VOLUME_BYTES, 1 << 30, true, 0, 1, &formatted));
	formatted.granule_bytes = GRANULE_BYTES;
	formatted.flags = ONDISK_SEPARATE;
	memset(formatted.slot_node, NODE_NONE, sizeof(formatted.slot_node));
	formatted.slot_node[0] = 1;
	formatted.slot_node[1] = 2;
	first = lineage_next(&formatted.chain, 9, 3, 0);
	lineage_append(&formatted.chain, &first);
	actlog_init(&empty_log, log_slots, log_hash, 1, VOLUME_BYTES);
	CHECK(ondisk_layout(VOLUME_BYTES, GRANULE_BYTES, &layout) && layout.end <= sizeof(image));
	return 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	bool only_more = true;
	u32 steps;

	make_image(&input);
	attach(&whole, false);
	CHECK(whole.attached);
	for (steps = 0; input.left && steps < 6; steps++)
		only_more &= damage(&input);
	attach(&bent, true);
	if (bent.attached && only_more)
		compare();
	offline();
	fuzz_memory_free();
	return 0;
}
