// SPDX-License-Identifier: GPL-2.0
/*
 * Nodes, volumes and events, shown. Metadata is in print_meta.c.
 */
#include "../kernel/uapi/linux/braid.h"
#include "print.h"
#include "text.h"

static const char *name_of(const struct state *state, u8 node)
{
	static char numbers[UINT8_MAX + 1][sizeof("#255")];	/* no new memory: `events` runs for long */
	const char *name = node == NODE_NONE ? NULL : state_node_name(node, state);

	if (name)
		return name;
	snprintf(numbers[node], sizeof(numbers[node]), "#%u", node);
	return numbers[node];
}

static void json_node(struct json *json, const char *key, const struct state *state, u8 node)
{
	json_string(json, key, node == NODE_NONE ? NULL : name_of(state, node));
}

static void json_nodes(struct json *json, const char *key, const struct state *state, u32 mask)
{
	u8 node;

	json_array(json, key);
	for (node = 0; node < NODES_MAX; node++)
		if (mask & NODE_BIT(node))
			json_node(json, NULL, state, node);
	json_close_array(json);
}

const char *print_content(const struct volume_status *volume)
{
	if (!strcmp(volume->disk, "failed"))
		return "disk-failed";
	if (!strcmp(volume->disk, "none"))
		return "no-disk";
	if (!volume->online)
		return "attaching";
	if (volume->split)
		return "split";
	if (volume->up_to_date)
		return "up-to-date";
	if (volume->syncing)
		return "syncing";
	return volume->has_generation ? "stale" : "empty";
}

const char *print_relation_words(const struct relation_status *relation)
{
	static const char *const words[] = {
		[BRAID_RELATION_OFF] = "not connected",
		[BRAID_RELATION_ABSENT] = "volume not up there",
		[BRAID_RELATION_GREETING] = "comparing",
		[BRAID_RELATION_WAITING] = "waiting",
		[BRAID_RELATION_IN_SYNC] = "in sync",
		[BRAID_RELATION_SOURCE_ASKED] = "asked for resync",
		[BRAID_RELATION_SOURCE] = "resyncing us",
		[BRAID_RELATION_TARGET_STARTING] = "starting resync",
		[BRAID_RELATION_TARGET] = "resyncing",
		[BRAID_RELATION_JOINING] = "joining",
		[BRAID_RELATION_SPLIT] = "SPLIT",
		[BRAID_RELATION_REFUSED] = "REFUSED",
	};

	return relation->state < CORE_ARRAY_SIZE(words) ? words[relation->state] : relation->state_name;
}

static void print_peer_line(const struct peer_status *peer, u64 now_ns)
{
	char address[ADDRESS_TEXT_MAX];
	u64 age_ms = peer->since_ns && now_ns > peer->since_ns ? (now_ns - peer->since_ns) / 1000000 : 0;

	address_text(&peer->address, address);
	printf("  %-12s id %-2u  %-24s %-14s", peer->name, peer->node, address, peer->state);
	if (peer->since_ns)
		printf(" for %s", text_age(age_ms));
	if (peer->open && peer->rtt_ns)
		printf(", round trip %.2f ms", (double)peer->rtt_ns / 1e6);
	if (!peer->open && *peer->error && strcmp(peer->error, "none"))
		printf(" (%s)", peer->error);
	putchar('\n');
}

static void json_peer(struct json *json, const struct peer_status *peer, u64 now_ns)
{
	char address[ADDRESS_TEXT_MAX], hex[2 * UUID_BYTES + 1];

	address_text(&peer->address, address);
	text_hex(peer->instance, UUID_BYTES, hex);
	json_string(json, "name", peer->name);
	json_number(json, "id", peer->node);
	json_string(json, "address", address);
	json_string(json, "instance", peer->instance_known ? hex : NULL);
	json_string(json, "state", *peer->state ? peer->state : NULL);
	json_string(json, "error", *peer->error && strcmp(peer->error, "none") ? peer->error : NULL);
	json_number(json, "since_ms", peer->since_ns && now_ns > peer->since_ns ? (now_ns - peer->since_ns) / 1000000 : 0);
	json_number(json, "rtt_ns", peer->rtt_ns);
	json_number(json, "lanes", peer->lanes);
	json_number(json, "reconnects", peer->reconnects);
	json_number(json, "sent_frames", peer->sent_frames);
	json_number(json, "received_frames", peer->received_frames);
	json_number(json, "sent_bytes", peer->sent_bytes);
	json_number(json, "received_bytes", peer->received_bytes);
	json_number(json, "dropped_frames", peer->dropped_frames);
}

/* A peer of the state file as if the kernel had told it. */
static struct peer_status peer_from_state(const struct state_peer *peer)
{
	struct peer_status status = { .node = peer->node, .address = peer->address,
				      .instance_known = peer->instance_known };

	memcpy(status.name, peer->name, NAME_BYTES_MAX);
	memcpy(status.instance, peer->instance, UUID_BYTES);
	return status;
}

static void print_node_json(const struct state *state, bool running, const struct peer_list *peers, u64 now_ns)
{
	char address[ADDRESS_TEXT_MAX], hex[2 * UUID_BYTES + 1];
	struct json json;
	u32 i;

	json_begin(&json, stdout, false);
	json_string(&json, "name", state->name);
	json_number(&json, "id", state->node);
	text_hex(state->cluster_id, UUID_BYTES, hex);
	json_string(&json, "cluster", hex);
	text_hex(state->instance, UUID_BYTES, hex);
	json_string(&json, "instance", hex);
	address_text(&state->listen, address);
	json_string(&json, "address", address);
	json_bool(&json, "insecure", state->insecure);
	json_bool(&json, "running", running);
	json_number(&json, "timeout_ms", state->timeout_ms);
	json_number(&json, "data_lanes", state->data_lanes);
	json_array(&json, "peers");
	for (i = 0; i < peers->nr; i++) {
		json_object(&json, NULL);
		json_peer(&json, &peers->item[i], now_ns);
		json_close_object(&json);
	}
	json_close_array(&json);
	json_end(&json);
}

void print_node(const struct state *state, bool running, const struct peer_list *peers, u64 now_ns, bool json)
{
	char address[ADDRESS_TEXT_MAX], hex[2 * UUID_BYTES + 1];
	struct peer_list shown = *peers;
	u32 i;

	if (!running)
		for (shown.nr = 0; shown.nr < state->nr_peers; shown.nr++)
			shown.item[shown.nr] = peer_from_state(&state->peer[shown.nr]);
	if (json) {
		print_node_json(state, running, &shown, now_ns);
		return;
	}
	address_text(&state->listen, address);
	text_hex(state->cluster_id, UUID_BYTES, hex);
	printf("%s  id %u  %s  %s%s\n", state->name, state->node, address, running ? "running" : "not running",
	       state->insecure ? "  INSECURE" : "");
	printf("  cluster %s  timeout %.1f s  data lanes %u\n", hex, state->timeout_ms / 1000.0, state->data_lanes);
	for (i = 0; i < shown.nr; i++)
		print_peer_line(&shown.item[i], now_ns);
}

static bool resyncing(const struct relation_status *relation)
{
	return relation->state == BRAID_RELATION_TARGET || relation->state == BRAID_RELATION_TARGET_STARTING ||
	       relation->state == BRAID_RELATION_SOURCE;
}

static u32 percent_done(const struct volume_status *volume, const struct relation_status *relation)
{
	u64 left = relation->dirty_bytes < volume->bytes ? relation->dirty_bytes : volume->bytes;

	return volume->bytes ? (u32)(100 - (double)left * 100 / (double)volume->bytes) : 100;
}

static const struct peer_status *session_of(const struct peer_list *peers, u8 node)
{
	u32 i;

	for (i = 0; i < peers->nr; i++)
		if (peers->item[i].node == node)
			return &peers->item[i];
	return NULL;
}

static void print_relation(const struct state *state, const struct volume_status *volume,
			   const struct relation_status *relation, const struct peer_list *peers, u64 now_ns)
{
	const struct peer_status *peer = session_of(peers, relation->node);

	printf("  %-12s %s", name_of(state, relation->node), print_relation_words(relation));
	if (resyncing(relation) && relation->state != BRAID_RELATION_SOURCE)
		printf(" %u%%", percent_done(volume, relation));
	if (relation->dirty_bytes)
		printf(", %s%s to go", relation->reconcile ? "up to " : "", text_size(relation->dirty_bytes));
	if ((relation->state == BRAID_RELATION_WAITING || relation->state == BRAID_RELATION_REFUSED) && *relation->plan)
		printf(" (%s)", relation->plan);
	if (relation->state == BRAID_RELATION_OFF && peer && !peer->open) {
		if (*peer->error && strcmp(peer->error, "none"))
			printf(" (%s)", peer->error);
		if (peer->since_ns && now_ns > peer->since_ns)
			printf(" since %s", text_age((now_ns - peer->since_ns) / 1000000));
	}
	putchar('\n');
}

static void print_volume(const struct state *state, const struct volume_status *volume, const struct peer_list *peers,
			 u64 now_ns)
{
	u32 i;

	printf("%-12s %-9s  %-11s %10s  /dev/%s", volume->name, volume->is_primary ? "primary" : "secondary",
	       print_content(volume), text_size(volume->bytes), volume->device);
	if (volume->has_generation)
		printf("  generation %llu %s", (unsigned long long)volume->generation.number,
		       text_nodes(volume->generation.members, state_node_name, state));
	if (!volume->is_primary && volume->primary != NODE_NONE)
		printf("  primary on %s", name_of(state, volume->primary));
	if (volume->io_waits)
		printf("  I/O WAITS");
	printf("\n  id %016llx%s\n", (unsigned long long)volume->id, volume->trusts ? "  payload trust" : "");
	if (volume->split)
		printf("  split %016llx with %s since generation %llu\n", (unsigned long long)volume->split_id,
		       name_of(state, volume->split_peer), (unsigned long long)volume->split_ancestor_number);
	for (i = 0; i < volume->nr_relations; i++)
		print_relation(state, volume, &volume->relation[i], peers, now_ns);
}

static void json_relations(struct json *json, const struct state *state, const struct volume_status *volume)
{
	u32 i;

	json_array(json, "peers");
	for (i = 0; i < volume->nr_relations; i++) {
		const struct relation_status *relation = &volume->relation[i];

		json_object(json, NULL);
		json_node(json, "node", state, relation->node);
		json_number(json, "id", relation->node);
		json_string(json, "state", relation->state_name);
		json_bool(json, "connected", relation->up);
		json_string(json, "plan", *relation->plan ? relation->plan : NULL);
		json_string(json, "verdict", *relation->verdict ? relation->verdict : NULL);
		json_bool(json, "confirmed", relation->confirmed);
		json_number(json, "dirty_bytes", relation->dirty_bytes);
		json_bool(json, "reconcile", relation->reconcile);
		json_number(json, "acks_pending", relation->acks_pending);
		json_close_object(json);
	}
	json_close_array(json);
}

static void json_generation(struct json *json, const struct state *state, const struct volume_status *volume)
{
	if (!volume->has_generation) {
		json_string(json, "generation", NULL);
		return;
	}
	json_object(json, "generation");
	json_id(json, "id", volume->generation.id);
	json_id(json, "parent", volume->generation.parent_id);
	json_number(json, "number", volume->generation.number);
	json_nodes(json, "members", state, volume->generation.members);
	json_node(json, "writer", state, volume->generation.writer);
	json_bool(json, "written", volume->generation.written);
	json_close_object(json);
}

static void json_split(struct json *json, const struct state *state, const struct volume_status *volume)
{
	if (!volume->split) {
		json_string(json, "split", NULL);
		return;
	}
	json_object(json, "split");
	json_id(json, "id", volume->split_id);
	json_node(json, "peer", state, volume->split_peer);
	json_id(json, "ancestor", volume->split_ancestor_id);
	json_number(json, "ancestor_number", volume->split_ancestor_number);
	json_close_object(json);
}

static void json_counters(struct json *json, const struct volume_status *volume)
{
	json_object(json, "counters");
	json_number(json, "writes", volume->count_writes);
	json_number(json, "reads", volume->count_reads);
	json_number(json, "flushes", volume->count_flushes);
	json_number(json, "written_bytes", volume->count_written_bytes);
	json_number(json, "read_bytes", volume->count_read_bytes);
	json_number(json, "log_commits", volume->count_log_commits);
	json_number(json, "resync_sent_bytes", volume->count_resync_sent_bytes);
	json_number(json, "resync_equal_bytes", volume->count_resync_equal_bytes);
	json_number(json, "resync_received_bytes", volume->count_resync_received_bytes);
	json_number(json, "remote_reads", volume->count_remote_reads);
	json_close_object(json);
}

static void json_volume(struct json *json, const struct state *state, const struct volume_status *volume)
{
	char device[sizeof("/dev/") + sizeof(volume->device)];

	snprintf(device, sizeof(device), "/dev/%s", volume->device);
	json_string(json, "name", volume->name);
	json_id(json, "id", volume->id);
	json_bool(json, "up", true);
	json_string(json, "device", device);
	json_number(json, "bytes", volume->bytes);
	json_string(json, "role", volume->is_primary ? "primary" : "secondary");
	json_string(json, "content", print_content(volume));
	json_string(json, "disk", volume->disk);
	json_bool(json, "healthy", volume->healthy);
	json_bool(json, "up_to_date", volume->up_to_date);
	json_bool(json, "syncing", volume->syncing);
	json_node(json, "primary", state, volume->primary);
	json_node(json, "sync_source", state, volume->sync_source);
	json_string(json, "data_disk", *volume->data_disk ? volume->data_disk : NULL);
	json_string(json, "meta_disk", *volume->meta_disk ? volume->meta_disk : NULL);
	json_id(json, "replica_id", volume->replica_id);
	json_number(json, "granule_bytes", volume->granule_bytes);
	json_number(json, "block_bytes", volume->block_bytes);
	json_string(json, "payload", volume->trusts ? "trust" : "copy");
	json_nodes(json, "replicas", state, volume->replicas);
	json_nodes(json, "streaming", state, volume->streaming);
	json_bool(json, "io_waits", volume->io_waits);
	json_string(json, "writes_now", volume->writes);
	json_string(json, "reads_now", volume->reads);
	json_number(json, "in_flight", volume->in_flight);
	json_number(json, "openers", volume->openers);
	json_string(json, "promote_refused", *volume->promote_code ? volume->promote_code : NULL);
	json_nodes(json, "promote_nodes", state, volume->promote_nodes);
	json_number(json, "log_used", volume->log_used);
	json_number(json, "log_capacity", volume->log_capacity);
	json_generation(json, state, volume);
	json_split(json, state, volume);
	json_relations(json, state, volume);
	json_counters(json, volume);
}

static bool is_up(const struct volume_list *volumes, const char *name)
{
	u32 i;

	for (i = 0; i < volumes->nr; i++)
		if (!strcmp(volumes->item[i].name, name))
			return true;
	return false;
}

static void show_down(struct json *json, const struct state_volume *volume)
{
	if (!json) {
		printf("%-12s down       %s%s%s%s\n", volume->name, volume->data_path, volume->meta_path ? " meta " : "",
		       volume->meta_path ? volume->meta_path : "", volume->wanted_up ? "  (wanted up)" : "");
		return;
	}
	json_object(json, NULL);
	json_string(json, "name", volume->name);
	json_id(json, "id", volume->id);
	json_bool(json, "up", false);
	json_bool(json, "wanted_up", volume->wanted_up);
	json_string(json, "data_path", volume->data_path);
	json_string(json, "meta_path", volume->meta_path);
	json_close_object(json);
}

bool print_status(const struct state *state, const struct volume_list *volumes, const struct peer_list *peers,
		  const char *only, u64 now_ns, bool json)
{
	struct json writer;
	bool found = !only;
	u32 i;

	if (json) {
		json_begin(&writer, stdout, false);
		json_number(&writer, "schema", 1);
		json_string(&writer, "node", state->name);
		json_array(&writer, "volumes");
	}
	for (i = 0; i < volumes->nr; i++) {
		if (only && strcmp(volumes->item[i].name, only))
			continue;
		found = true;
		if (!json) {
			print_volume(state, &volumes->item[i], peers, now_ns);
			continue;
		}
		json_object(&writer, NULL);
		json_volume(&writer, state, &volumes->item[i]);
		json_close_object(&writer);
	}
	for (i = 0; i < state->nr_volumes; i++) {
		if ((only && strcmp(state->volume[i].name, only)) || is_up(volumes, state->volume[i].name))
			continue;
		found = true;
		show_down(json ? &writer : NULL, &state->volume[i]);
	}
	if (json) {
		json_close_array(&writer);
		json_end(&writer);
	}
	return found;
}

static void print_event_json(const struct state *state, const struct model_event *event, u32 lost)
{
	struct json json;

	json_begin(&json, stdout, true);
	if (lost || event->lost) {
		json_string(&json, "event", "lost");
		json_number(&json, "count", lost);
		json_end(&json);
		return;
	}
	json_string(&json, "event", event->is_volume ? "volume" : "peer");
	json_number(&json, "sequence", event->sequence);
	json_bool(&json, "gone", event->gone);
	if (event->is_volume && event->gone) {
		json_id(&json, "id", event->volume_id);
		json_string(&json, "name", event->volume.name);
	} else if (event->is_volume) {
		json_volume(&json, state, &event->volume);
	} else if (event->gone) {
		json_number(&json, "id", event->node);
	} else {
		json_peer(&json, &event->peer, 0);
	}
	json_end(&json);
}

/* One line for eyes. @lost > 0: that many events are missing before the next one; @event is not looked at. */
void print_event(const struct state *state, const struct model_event *event, u32 lost, bool json)
{
	const struct volume_status *volume = &event->volume;
	u32 i;

	if (json) {
		print_event_json(state, event, lost);
	} else if (event->lost) {
		printf("- events were lost: the listener was too slow\n");
	} else if (lost) {
		printf("- %u event(s) lost\n", lost);
	} else if (!event->is_volume) {
		printf("%u node %s: %s%s%s\n", event->sequence, name_of(state, event->node),
		       event->gone ? "removed" : event->peer.state,
		       !event->peer.open && *event->peer.error && strcmp(event->peer.error, "none") ? ", " : "",
		       !event->peer.open && strcmp(event->peer.error, "none") ? event->peer.error : "");
	} else if (event->gone) {
		printf("%u volume %s: down\n", event->sequence, volume->name);
	} else {
		printf("%u volume %s: %s, %s", event->sequence, volume->name, volume->is_primary ? "primary" : "secondary",
		       print_content(volume));
		for (i = 0; i < volume->nr_relations; i++)
			printf("; %s %s", name_of(state, volume->relation[i].node),
			       print_relation_words(&volume->relation[i]));
		putchar('\n');
	}
	fflush(stdout);
}
