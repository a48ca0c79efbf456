// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink messages of the module to plain structs. The second half of ipc.c; no other file knows attributes.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include "../kernel/uapi/linux/braid.h"
#include "ipc_decode.h"

static u64 number_of(const struct nlattr *attribute)
{
	const void *payload = mnl_attr_get_payload(attribute);
	u16 length = mnl_attr_get_payload_len(attribute);
	u64 wide;
	u32 word;
	u16 half;

	switch (length) {
	case 1:
		return *(const u8 *)payload;
	case 2:
		memcpy(&half, payload, sizeof(half));
		return half;
	case 4:
		memcpy(&word, payload, sizeof(word));
		return word;
	case 8:
		memcpy(&wide, payload, sizeof(wide));
		return wide;
	}
	return 0;
}

static void string_of(const struct nlattr *attribute, char *text, size_t size)
{
	size_t length = mnl_attr_get_payload_len(attribute);

	if (length >= size)
		length = size - 1;
	memset(text, 0, size);
	memcpy(text, mnl_attr_get_payload(attribute), strnlen(mnl_attr_get_payload(attribute), length));
}

static void bytes_of(const struct nlattr *attribute, u8 *bytes, size_t length)
{
	if (mnl_attr_get_payload_len(attribute) == length)
		memcpy(bytes, mnl_attr_get_payload(attribute), length);
}

static void address_of(const struct nlattr *attribute, struct node_address *address)
{
	u16 length = mnl_attr_get_payload_len(attribute);

	if (length != 4 && length != 16)
		return;
	address->family = length == 16 ? 6 : 4;
	memcpy(address->bytes, mnl_attr_get_payload(attribute), length);
}

/* "code: sentence" of the module; anything else is a sentence of the netlink core. */
static void split_message(const char *text, struct ipc_error *error)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz-");

	if (length && length < sizeof(error->code) && text[length] == ':' && text[length + 1] == ' ') {
		memcpy(error->code, text, length);
		text += length + 2;
	}
	snprintf(error->sentence, sizeof(error->sentence), "%s", text);
}

static void read_error_details(const struct nlmsghdr *message, unsigned int offset, struct ipc_error *error)
{
	const struct nlattr *attribute;

	if (!(message->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	mnl_attr_for_each(attribute, message, offset) {
		switch (mnl_attr_get_type(attribute)) {
		case NLMSGERR_ATTR_MSG: {
			char text[sizeof(error->sentence)];

			string_of(attribute, text, sizeof(text));
			split_message(text, error);
			break;
		}
		case NLMSGERR_ATTR_COOKIE:
			error->nodes = (u32)number_of(attribute);
			break;
		}
	}
}

static bool set_errno(struct ipc_error *error, int number)
{
	memset(error, 0, sizeof(*error));
	if (!number)
		return true;
	error->error = number < 0 ? -number : number;
	error->old_module = error->error == EOPNOTSUPP;
	return false;
}

static void default_sentence(struct ipc_error *error)
{
	if (!*error->sentence)
		snprintf(error->sentence, sizeof(error->sentence), "%s", strerror(error->error));
}

bool ipc_decode_error(const struct nlmsghdr *message, struct ipc_error *error)
{
	const struct nlmsgerr *answer = mnl_nlmsg_get_payload(message);
	unsigned int offset = sizeof(*answer);

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*answer)) {
		set_errno(error, EBADMSG);
	} else {
		if (set_errno(error, answer->error))
			return true;
		if (!(message->nlmsg_flags & NLM_F_CAPPED))
			offset += MNL_ALIGN(answer->msg.nlmsg_len - sizeof(answer->msg));
		read_error_details(message, offset, error);
	}
	default_sentence(error);
	return false;
}

bool ipc_decode_done(const struct nlmsghdr *message, struct ipc_error *error)
{
	int number = 0;

	if (mnl_nlmsg_get_payload_len(message) >= sizeof(number))
		memcpy(&number, mnl_nlmsg_get_payload(message), sizeof(number));
	if (set_errno(error, number))
		return true;
	read_error_details(message, sizeof(number), error);
	default_sentence(error);
	return false;
}

bool ipc_decode_family(const struct nlmsghdr *message, void *target)
{
	struct ipc_family *family = target;
	const struct nlattr *attribute, *group, *field;

	mnl_attr_for_each(attribute, message, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(attribute)) {
		case CTRL_ATTR_FAMILY_ID:
			family->id = (u16)number_of(attribute);
			break;
		case CTRL_ATTR_VERSION:
			family->version = (u32)number_of(attribute);
			break;
		case CTRL_ATTR_MCAST_GROUPS:
			mnl_attr_for_each_nested(group, attribute) {
				char name[GENL_NAMSIZ] = "";
				u32 id = 0;

				mnl_attr_for_each_nested(field, group) {
					if (mnl_attr_get_type(field) == CTRL_ATTR_MCAST_GRP_NAME)
						string_of(field, name, sizeof(name));
					if (mnl_attr_get_type(field) == CTRL_ATTR_MCAST_GRP_ID)
						id = (u32)number_of(field);
				}
				if (!strcmp(name, BRAID_GENL_EVENTS))
					family->group = id;
			}
			break;
		}
	}
	return true;
}

bool ipc_decode_node(const struct nlmsghdr *message, void *target)
{
	struct node_status *node = target;
	const struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(attribute)) {
		case BRAID_A_NODE_ID: node->node = (u8)number_of(attribute); break;
		case BRAID_A_NODE_NAME: string_of(attribute, node->name, sizeof(node->name)); break;
		case BRAID_A_NODE_CLUSTER: bytes_of(attribute, node->cluster_id, UUID_BYTES); break;
		case BRAID_A_NODE_INSTANCE: bytes_of(attribute, node->instance, UUID_BYTES); break;
		case BRAID_A_NODE_INSECURE: node->insecure = true; break;
		case BRAID_A_NODE_ADDRESS: address_of(attribute, &node->address); break;
		case BRAID_A_NODE_PORT: node->address.port = (u16)number_of(attribute); break;
		case BRAID_A_NODE_TIMEOUT_MS: node->timeout_ms = (u32)number_of(attribute); break;
		case BRAID_A_NODE_DATA_LANES: node->data_lanes = (u32)number_of(attribute); break;
		case BRAID_A_NODE_VOLUMES: node->nr_volumes = (u32)number_of(attribute); break;
		case BRAID_A_NODE_SEQUENCE: node->sequence = (u32)number_of(attribute); break;
		}
	}
	return true;
}

static void decode_peer_counter(const struct nlattr *attribute, struct peer_status *peer)
{
	u64 value = number_of(attribute);

	switch (mnl_attr_get_type(attribute)) {
	case BRAID_A_PEER_SINCE_NS: peer->since_ns = value; break;
	case BRAID_A_PEER_RTT_NS: peer->rtt_ns = value; break;
	case BRAID_A_PEER_SENT_FRAMES: peer->sent_frames = value; break;
	case BRAID_A_PEER_RECEIVED_FRAMES: peer->received_frames = value; break;
	case BRAID_A_PEER_SENT_BYTES: peer->sent_bytes = value; break;
	case BRAID_A_PEER_RECEIVED_BYTES: peer->received_bytes = value; break;
	case BRAID_A_PEER_DROPPED_FRAMES: peer->dropped_frames = value; break;
	case BRAID_A_PEER_RECONNECTS: peer->reconnects = (u32)value; break;
	case BRAID_A_PEER_LANES: peer->lanes = (u32)value; break;
	}
}

static void decode_peer(const struct nlmsghdr *message, struct peer_status *peer)
{
	const struct nlattr *attribute;

	memset(peer, 0, sizeof(*peer));
	peer->node = NODE_NONE;
	mnl_attr_for_each(attribute, message, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(attribute)) {
		case BRAID_A_PEER_ID: peer->node = (u8)number_of(attribute); break;
		case BRAID_A_PEER_NAME: string_of(attribute, peer->name, sizeof(peer->name)); break;
		case BRAID_A_PEER_ADDRESS: address_of(attribute, &peer->address); break;
		case BRAID_A_PEER_PORT: peer->address.port = (u16)number_of(attribute); break;
		case BRAID_A_PEER_INSTANCE:
			bytes_of(attribute, peer->instance, UUID_BYTES);
			peer->instance_known = mnl_attr_get_payload_len(attribute) == UUID_BYTES;
			break;
		case BRAID_A_PEER_STATE: peer->open = number_of(attribute) == BRAID_PEER_OPEN; break;
		case BRAID_A_PEER_STATE_NAME: string_of(attribute, peer->state, sizeof(peer->state)); break;
		case BRAID_A_PEER_ERROR_NAME: string_of(attribute, peer->error, sizeof(peer->error)); break;
		default: decode_peer_counter(attribute, peer); break;
		}
	}
}

bool ipc_decode_peer_item(const struct nlmsghdr *message, void *target)
{
	struct peer_list *peers = target;
	struct peer_status peer;

	decode_peer(message, &peer);
	if (peer.node < NODES_MAX && peers->nr < NODES_MAX)
		peers->item[peers->nr++] = peer;
	return true;
}

static void decode_split(const struct nlattr *nest, struct volume_status *volume)
{
	const struct nlattr *attribute;

	volume->split = true;
	mnl_attr_for_each_nested(attribute, nest) {
		u64 value = number_of(attribute);

		switch (mnl_attr_get_type(attribute)) {
		case BRAID_A_SPLIT_ID: volume->split_id = value; break;
		case BRAID_A_SPLIT_ANCESTOR_ID: volume->split_ancestor_id = value; break;
		case BRAID_A_SPLIT_ANCESTOR_NUMBER: volume->split_ancestor_number = value; break;
		case BRAID_A_SPLIT_PEER: volume->split_peer = (u8)value; break;
		}
	}
}

static void decode_generation(const struct nlattr *nest, struct volume_status *volume)
{
	struct generation_status *generation = &volume->generation;
	const struct nlattr *attribute;

	volume->has_generation = true;
	*generation = (struct generation_status){ .writer = NODE_NONE };
	mnl_attr_for_each_nested(attribute, nest) {
		u64 value = number_of(attribute);

		switch (mnl_attr_get_type(attribute)) {
		case BRAID_A_GENERATION_ID: generation->id = value; break;
		case BRAID_A_GENERATION_PARENT_ID: generation->parent_id = value; break;
		case BRAID_A_GENERATION_NUMBER: generation->number = value; break;
		case BRAID_A_GENERATION_MEMBERS: generation->members = (u32)value; break;
		case BRAID_A_GENERATION_WRITER: generation->writer = (u8)value; break;
		case BRAID_A_GENERATION_WRITTEN: generation->written = true; break;
		}
	}
}

static void decode_log(const struct nlattr *nest, struct volume_status *volume)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, nest) {
		u64 value = number_of(attribute);

		switch (mnl_attr_get_type(attribute)) {
		case BRAID_A_LOG_USED: volume->log_used = (u32)value; break;
		case BRAID_A_LOG_CAPACITY: volume->log_capacity = (u32)value; break;
		case BRAID_A_LOG_TRANSACTIONS: volume->log_transactions = value; break;
		}
	}
}

static void decode_counters(const struct nlattr *nest, struct volume_status *volume)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, nest) {
		u64 value = number_of(attribute);

		switch (mnl_attr_get_type(attribute)) {
		case BRAID_A_COUNT_WRITES: volume->count_writes = value; break;
		case BRAID_A_COUNT_READS: volume->count_reads = value; break;
		case BRAID_A_COUNT_FLUSHES: volume->count_flushes = value; break;
		case BRAID_A_COUNT_WRITTEN_BYTES: volume->count_written_bytes = value; break;
		case BRAID_A_COUNT_READ_BYTES: volume->count_read_bytes = value; break;
		case BRAID_A_COUNT_LOG_COMMITS: volume->count_log_commits = value; break;
		case BRAID_A_COUNT_RESYNC_SENT_BYTES: volume->count_resync_sent_bytes = value; break;
		case BRAID_A_COUNT_RESYNC_EQUAL_BYTES: volume->count_resync_equal_bytes = value; break;
		case BRAID_A_COUNT_RESYNC_RECEIVED_BYTES: volume->count_resync_received_bytes = value; break;
		case BRAID_A_COUNT_REMOTE_READS: volume->count_remote_reads = value; break;
		}
	}
}

static void decode_relation(const struct nlattr *nest, struct volume_status *volume)
{
	const struct nlattr *attribute;
	struct relation_status *relation;

	if (volume->nr_relations == REPLICAS_MAX)
		return;
	relation = &volume->relation[volume->nr_relations++];
	*relation = (struct relation_status){ .node = NODE_NONE };
	mnl_attr_for_each_nested(attribute, nest) {
		switch (mnl_attr_get_type(attribute)) {
		case BRAID_A_RELATION_NODE: relation->node = (u8)number_of(attribute); break;
		case BRAID_A_RELATION_STATE: relation->state = (u8)number_of(attribute); break;
		case BRAID_A_RELATION_STATE_NAME:
			string_of(attribute, relation->state_name, sizeof(relation->state_name));
			break;
		case BRAID_A_RELATION_UP: relation->up = true; break;
		case BRAID_A_RELATION_PLAN: string_of(attribute, relation->plan, sizeof(relation->plan)); break;
		case BRAID_A_RELATION_VERDICT: string_of(attribute, relation->verdict, sizeof(relation->verdict)); break;
		case BRAID_A_RELATION_CONFIRMED: relation->confirmed = true; break;
		case BRAID_A_RELATION_DIRTY_BYTES: relation->dirty_bytes = number_of(attribute); break;
		case BRAID_A_RELATION_RECONCILE: relation->reconcile = true; break;
		case BRAID_A_RELATION_ACKS_PENDING: relation->acks_pending = (u32)number_of(attribute); break;
		}
	}
}

/* Flags and numbers of a volume; false when the attribute is none of them. */
static bool decode_volume_value(const struct nlattr *attribute, struct volume_status *volume)
{
	u64 value = number_of(attribute);

	switch (mnl_attr_get_type(attribute)) {
	case BRAID_A_VOLUME_ID: volume->id = value; break;
	case BRAID_A_VOLUME_BYTES: volume->bytes = value; break;
	case BRAID_A_VOLUME_GRANULE_BYTES: volume->granule_bytes = (u32)value; break;
	case BRAID_A_VOLUME_BLOCK_BYTES: volume->block_bytes = (u32)value; break;
	case BRAID_A_VOLUME_THIS_NODE: volume->node = (u8)value; break;
	case BRAID_A_VOLUME_REPLICA_ID: volume->replica_id = value; break;
	case BRAID_A_VOLUME_ROLE: volume->is_primary = value == BRAID_ROLE_PRIMARY; break;
	case BRAID_A_VOLUME_ONLINE: volume->online = true; break;
	case BRAID_A_VOLUME_SYNCING: volume->syncing = true; break;
	case BRAID_A_VOLUME_YIELD: volume->yield = true; break;
	case BRAID_A_VOLUME_REPLICAS: volume->replicas = (u32)value; break;
	case BRAID_A_VOLUME_UP_TO_DATE: volume->up_to_date = true; break;
	case BRAID_A_VOLUME_HEALTHY: volume->healthy = true; break;
	case BRAID_A_VOLUME_PRIMARY: volume->primary = (u8)value; break;
	case BRAID_A_VOLUME_SYNC_SOURCE: volume->sync_source = (u8)value; break;
	case BRAID_A_VOLUME_STREAMING: volume->streaming = (u32)value; break;
	case BRAID_A_VOLUME_IN_FLIGHT: volume->in_flight = (u32)value; break;
	case BRAID_A_VOLUME_IO_WAITS: volume->io_waits = true; break;
	case BRAID_A_VOLUME_QUIET: volume->quiet = true; break;
	case BRAID_A_VOLUME_COMMAND: volume->command = true; break;
	case BRAID_A_VOLUME_COMMAND_WAITING: volume->command_waiting = (u32)value; break;
	case BRAID_A_VOLUME_PROPOSAL_WAITING: volume->proposal_waiting = (u32)value; break;
	case BRAID_A_VOLUME_PROMOTE_NODES: volume->promote_nodes = (u32)value; break;
	case BRAID_A_VOLUME_OPENERS: volume->openers = (u32)value; break;
	case BRAID_A_VOLUME_WRITERS: volume->writers = (u32)value; break;
	case BRAID_A_VOLUME_PAYLOAD: volume->trusts = value == BRAID_PAYLOAD_TRUST; break;
	default: return false;
	}
	return true;
}

static void decode_volume(const struct nlmsghdr *message, struct volume_status *volume)
{
	const struct nlattr *attribute;

	memset(volume, 0, sizeof(*volume));
	volume->node = volume->primary = volume->sync_source = volume->split_peer = NODE_NONE;
	mnl_attr_for_each(attribute, message, sizeof(struct genlmsghdr)) {
		if (decode_volume_value(attribute, volume))
			continue;
		switch (mnl_attr_get_type(attribute)) {
		case BRAID_A_VOLUME_NAME: string_of(attribute, volume->name, sizeof(volume->name)); break;
		case BRAID_A_VOLUME_DEVICE: string_of(attribute, volume->device, sizeof(volume->device)); break;
		case BRAID_A_VOLUME_DATA_PATH: string_of(attribute, volume->data_disk, sizeof(volume->data_disk)); break;
		case BRAID_A_VOLUME_META_PATH: string_of(attribute, volume->meta_disk, sizeof(volume->meta_disk)); break;
		case BRAID_A_VOLUME_DISK_NAME: string_of(attribute, volume->disk, sizeof(volume->disk)); break;
		case BRAID_A_VOLUME_WRITES: string_of(attribute, volume->writes, sizeof(volume->writes)); break;
		case BRAID_A_VOLUME_READS: string_of(attribute, volume->reads, sizeof(volume->reads)); break;
		case BRAID_A_VOLUME_PROMOTE_CODE:
			string_of(attribute, volume->promote_code, sizeof(volume->promote_code));
			break;
		case BRAID_A_VOLUME_SPLIT: decode_split(attribute, volume); break;
		case BRAID_A_VOLUME_GENERATION: decode_generation(attribute, volume); break;
		case BRAID_A_VOLUME_LOG: decode_log(attribute, volume); break;
		case BRAID_A_VOLUME_COUNTERS: decode_counters(attribute, volume); break;
		case BRAID_A_VOLUME_PEER: decode_relation(attribute, volume); break;
		}
	}
}

bool ipc_decode_volume(const struct nlmsghdr *message, void *target)
{
	decode_volume(message, target);
	return true;
}

bool ipc_decode_volume_item(const struct nlmsghdr *message, void *target)
{
	struct volume_list *volumes = target;
	struct volume_status *grown = realloc(volumes->item, (volumes->nr + 1) * sizeof(*grown));

	if (!grown)
		return false;
	volumes->item = grown;
	decode_volume(message, &grown[volumes->nr++]);
	return true;
}

bool ipc_decode_known_item(const struct nlmsghdr *message, void *target)
{
	struct known_list *known = target;
	struct known_volume *grown = realloc(known->item, (known->nr + 1) * sizeof(*grown));
	const struct nlattr *attribute;

	if (!grown)
		return false;
	known->item = grown;
	grown += known->nr++;
	memset(grown, 0, sizeof(*grown));
	mnl_attr_for_each(attribute, message, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(attribute)) {
		case BRAID_A_KNOWN_ID: grown->id = number_of(attribute); break;
		case BRAID_A_KNOWN_NAME: string_of(attribute, grown->name, sizeof(grown->name)); break;
		case BRAID_A_KNOWN_BYTES: grown->bytes = number_of(attribute); break;
		case BRAID_A_KNOWN_GRANULE_BYTES: grown->granule_bytes = (u32)number_of(attribute); break;
		case BRAID_A_KNOWN_LOG_PARTS: grown->log_parts = (u32)number_of(attribute); break;
		case BRAID_A_KNOWN_BLOCK_BYTES: grown->block_bytes = (u32)number_of(attribute); break;
		case BRAID_A_KNOWN_REPLICAS: grown->replicas = (u32)number_of(attribute); break;
		case BRAID_A_KNOWN_SEEN_FROM: grown->seen_from = (u32)number_of(attribute); break;
		}
	}
	return true;
}

bool ipc_decode_event(const struct nlmsghdr *message, struct model_event *event)
{
	const struct genlmsghdr *header = mnl_nlmsg_get_payload(message);
	u16 sequence_type = BRAID_A_PEER_SEQUENCE, gone_type = BRAID_A_PEER_GONE;
	const struct nlattr *attribute;

	memset(event, 0, sizeof(*event));
	if (header->cmd != BRAID_CMD_PEER_EVENT && header->cmd != BRAID_CMD_VOLUME_EVENT)
		return false;
	event->node = NODE_NONE;
	if (header->cmd == BRAID_CMD_VOLUME_EVENT) {
		event->is_volume = true;
		sequence_type = BRAID_A_VOLUME_SEQUENCE;
		gone_type = BRAID_A_VOLUME_GONE;
		decode_volume(message, &event->volume);
		event->volume_id = event->volume.id;
	} else {
		decode_peer(message, &event->peer);
		event->node = event->peer.node;
	}
	mnl_attr_for_each(attribute, message, sizeof(*header)) {
		if (mnl_attr_get_type(attribute) == sequence_type)
			event->sequence = (u32)number_of(attribute);
		if (mnl_attr_get_type(attribute) == gone_type)
			event->gone = true;
	}
	return true;
}
