// SPDX-License-Identifier: GPL-2.0
/*
 * Metadata on disk, shown. Nodes are numbers here: the disk does not know names.
 */
#include "print.h"
#include "text.h"

static const char *flag_names(u32 flags)
{
	static const char *const names[] = { "syncing", "split", "yield", "separate", "attached", "blank" };
	const char *text = "";
	u32 i;

	for (i = 0; i < CORE_ARRAY_SIZE(names); i++)
		if (flags >> i & 1)
			text = text_join(text, names[i]);
	return *text ? text : "none";
}

static const char *no_name(u8 node, const void *context)
{
	(void)node;
	(void)context;
	return NULL;
}

static void human_chain(const struct chain *chain)
{
	u32 i;

	printf("  chain         %u generation(s)%s\n", chain->count, chain->trimmed ? ", older ones dropped" : "");
	for (i = 0; i < chain->count; i++) {
		const struct generation *record = &chain->record[i];

		printf("    %llu  %016llx  parent %016llx  members %s  writer %s%s\n", (unsigned long long)record->number,
		       (unsigned long long)record->id, (unsigned long long)record->parent_id,
		       text_nodes(record->members, no_name, NULL),
		       record->writer == NODE_NONE ? "none" : textf("#%u", record->writer),
		       record->written ? "  written" : "");
	}
}

static void human_maps(const struct meta_view *view)
{
	u32 slot;

	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		const struct meta_map *map = &view->map[slot];

		if (map->node == NODE_NONE)
			continue;
		printf("  dirty map     slot %u, node #%u: %s dirty (%u full, %u mixed of %u pages)%s\n", slot, map->node,
		       text_size(map->dirty_bytes), map->full_pages, map->mixed_pages, view->layout.pages_per_slot,
		       map->damaged_blocks ? textf(", %u DAMAGED", map->damaged_blocks) : "");
	}
}

static void human(const struct disk *disk, const struct meta_view *view)
{
	const struct ondisk_super *super = &view->super;
	char hex[2 * UUID_BYTES + 1];
	u32 i;

	printf("%s\n", disk->path);
	for (i = 0; i < 2; i++)
		printf("  superblock %u  %s, sequence %llu%s\n", i, ondisk_error_name(view->copy_error[i]),
		       (unsigned long long)view->copy_sequence[i], view->chosen == (int)i ? "  (counts)" : "");
	if (view->chosen < 0)
		return;
	printf("  volume        %s, id %016llx, %s (%llu bytes)\n", super->name, (unsigned long long)super->volume_id,
	       text_size(super->volume_bytes), (unsigned long long)super->volume_bytes);
	printf("  replica       node #%u, id %016llx, attached %llu times\n", super->node_id,
	       (unsigned long long)super->replica_id, (unsigned long long)super->attach_count);
	text_hex(super->cluster_id, UUID_BYTES, hex);
	printf("  cluster       %s\n", hex);
	printf("  layout        metadata %llu bytes, data at %llu, granule %u, log parts %u, logical blocks %u\n",
	       (unsigned long long)super->meta_bytes, (unsigned long long)super->data_offset_bytes, super->granule_bytes,
	       super->actlog_parts, VOLUME_SECTOR_BYTES << super->block_shift);
	printf("  flags         %s\n", flag_names(super->flags));
	printf("  payload       %s\n", super->compat & ONDISK_COMPAT_TRUST ? "trust" : "copy");
	printf("  replicas      %s\n", text_nodes(super->replicas, no_name, NULL));
	if (super->flags & ONDISK_SPLIT)
		printf("  split         %016llx with #%u since generation %llu\n", (unsigned long long)super->split_id,
		       super->split_peer, (unsigned long long)super->split_ancestor_number);
	human_chain(&super->chain);
	printf("  activity log  %u region(s) of %u bytes%s\n", view->nr_regions, ACTLOG_REGION_BYTES,
	       view->log_damaged ? ", DAMAGED: every block counts as different" : "");
	human_maps(view);
}

static void json_mask(struct json *json, const char *key, u32 mask)
{
	u8 node;

	json_array(json, key);
	for (node = 0; node < NODES_MAX; node++)
		if (mask & NODE_BIT(node))
			json_number(json, NULL, node);
	json_close_array(json);
}

static void json_node_id(struct json *json, const char *key, u8 node)
{
	if (node == NODE_NONE)
		json_string(json, key, NULL);
	else
		json_number(json, key, node);
}

static void json_chain(struct json *json, const struct chain *chain)
{
	u32 i;

	json_bool(json, "chain_trimmed", chain->trimmed);
	json_array(json, "chain");
	for (i = 0; i < chain->count; i++) {
		json_object(json, NULL);
		json_id(json, "id", chain->record[i].id);
		json_id(json, "parent", chain->record[i].parent_id);
		json_number(json, "number", chain->record[i].number);
		json_mask(json, "members", chain->record[i].members);
		json_node_id(json, "writer", chain->record[i].writer);
		json_bool(json, "written", chain->record[i].written);
		json_close_object(json);
	}
	json_close_array(json);
}

static void json_super(struct json *json, const struct ondisk_super *super)
{
	char hex[2 * UUID_BYTES + 1];

	json_string(json, "name", super->name);
	json_id(json, "volume_id", super->volume_id);
	json_id(json, "replica_id", super->replica_id);
	text_hex(super->cluster_id, UUID_BYTES, hex);
	json_string(json, "cluster", hex);
	text_hex(super->node_instance, UUID_BYTES, hex);
	json_string(json, "node_instance", hex);
	json_number(json, "node", super->node_id);
	json_number(json, "sequence", super->sequence);
	json_number(json, "attach_count", super->attach_count);
	json_number(json, "volume_bytes", super->volume_bytes);
	json_number(json, "data_offset_bytes", super->data_offset_bytes);
	json_number(json, "meta_bytes", super->meta_bytes);
	json_number(json, "granule_bytes", super->granule_bytes);
	json_number(json, "block_bytes", VOLUME_SECTOR_BYTES << super->block_shift);
	json_number(json, "log_parts", super->actlog_parts);
	json_bool(json, "syncing", super->flags & ONDISK_SYNCING);
	json_bool(json, "split", super->flags & ONDISK_SPLIT);
	json_bool(json, "yield", super->flags & ONDISK_YIELD);
	json_bool(json, "separate", super->flags & ONDISK_SEPARATE);
	json_bool(json, "attached", super->flags & ONDISK_ATTACHED);
	json_bool(json, "blank", super->flags & ONDISK_BLANK);
	json_string(json, "payload", super->compat & ONDISK_COMPAT_TRUST ? "trust" : "copy");
	json_mask(json, "replicas", super->replicas);
	json_mask(json, "reconcile", super->reconcile);
	json_mask(json, "replaced", super->replaced);
	json_id(json, "split_id", super->split_id);
	json_node_id(json, "split_peer", super->split_peer);
	json_chain(json, &super->chain);
}

static void json_log_and_maps(struct json *json, const struct meta_view *view)
{
	u32 i;

	json_object(json, "activity_log");
	json_bool(json, "damaged", view->log_damaged);
	json_number(json, "region_bytes", ACTLOG_REGION_BYTES);
	json_id(json, "written_id", view->written_id);
	json_array(json, "regions");
	for (i = 0; i < view->nr_regions; i++)
		json_number(json, NULL, view->region[i]);
	json_close_array(json);
	json_close_object(json);
	json_array(json, "maps");
	for (i = 0; i < REPLICAS_MAX; i++) {
		if (view->map[i].node == NODE_NONE)
			continue;
		json_object(json, NULL);
		json_number(json, "slot", i);
		json_number(json, "node", view->map[i].node);
		json_number(json, "dirty_bytes", view->map[i].dirty_bytes);
		json_number(json, "full_pages", view->map[i].full_pages);
		json_number(json, "mixed_pages", view->map[i].mixed_pages);
		json_number(json, "damaged_blocks", view->map[i].damaged_blocks);
		json_close_object(json);
	}
	json_close_array(json);
}

void print_meta(const struct disk *disk, const struct meta_view *view, bool json)
{
	const char *problems[32];
	struct json writer;
	u32 nr, i;

	if (!json) {
		human(disk, view);
		return;
	}
	nr = meta_problems(view, problems, CORE_ARRAY_SIZE(problems));
	json_begin(&writer, stdout, false);
	json_number(&writer, "schema", 1);
	json_string(&writer, "disk", disk->path);
	json_array(&writer, "copies");
	for (i = 0; i < 2; i++) {
		json_object(&writer, NULL);
		json_string(&writer, "verdict", ondisk_error_name(view->copy_error[i]));
		json_number(&writer, "sequence", view->copy_sequence[i]);
		json_bool(&writer, "counts", view->chosen == (int)i);
		json_close_object(&writer);
	}
	json_close_array(&writer);
	json_array(&writer, "problems");
	for (i = 0; i < nr; i++)
		json_string(&writer, NULL, problems[i]);
	json_close_array(&writer);
	if (view->chosen >= 0) {
		json_super(&writer, &view->super);
		json_log_and_maps(&writer, view);
	}
	json_end(&writer);
}
