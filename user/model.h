/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel knows, as plain structs: the middle layer between text (print.c, cmd_*.c) and netlink (ipc.c).
 *
 * Node ids are 0..NODES_MAX - 1 or NODE_NONE; sets of nodes are masks; times are CLOCK_MONOTONIC nanoseconds.
 */
#ifndef BRAID_USER_MODEL_H
#define BRAID_USER_MODEL_H

#include "address.h"

enum { MODEL_WORD_MAX = 40 };

struct node_status {
	u8 node;
	char name[NAME_BYTES_MAX];
	u8 cluster_id[UUID_BYTES];
	u8 instance[UUID_BYTES];
	bool insecure;
	struct node_address address;
	u32 timeout_ms, data_lanes, nr_volumes, sequence;
};

struct peer_status {
	u8 node;
	char name[NAME_BYTES_MAX];
	struct node_address address;
	bool instance_known;
	u8 instance[UUID_BYTES];
	bool open;
	char state[MODEL_WORD_MAX], error[MODEL_WORD_MAX];
	u64 since_ns, rtt_ns;
	u64 sent_frames, received_frames, sent_bytes, received_bytes, dropped_frames;
	u32 reconnects, lanes;
};

struct relation_status {
	u8 node;
	u8 state;		/* enum braid_relation */
	char state_name[MODEL_WORD_MAX], plan[MODEL_WORD_MAX], verdict[MODEL_WORD_MAX];
	bool up, confirmed, reconcile;
	u64 dirty_bytes;
	u32 acks_pending;
};

struct generation_status {
	u64 id, parent_id, number;
	u32 members;
	u8 writer;
	bool written;
};

struct volume_status {
	u64 id, replica_id, bytes;
	char name[NAME_BYTES_MAX], device[MODEL_WORD_MAX];
	char data_disk[MODEL_WORD_MAX], meta_disk[MODEL_WORD_MAX];
	u32 granule_bytes, block_bytes;
	u8 node, primary, sync_source;
	bool is_primary;
	char disk[MODEL_WORD_MAX], writes[MODEL_WORD_MAX], reads[MODEL_WORD_MAX], promote_code[MODEL_WORD_MAX];
	u32 promote_nodes;
	bool online, syncing, yield, up_to_date, healthy, io_waits, quiet, command;
	bool trusts;		/* submitters: their pages are not copied */
	bool split;
	u64 split_id, split_ancestor_id, split_ancestor_number;
	u8 split_peer;
	bool has_generation;
	struct generation_status generation;
	u32 replicas, streaming, in_flight, command_waiting, proposal_waiting, openers, writers;
	u32 log_used, log_capacity;
	u64 log_transactions;
	u64 count_writes, count_reads, count_flushes, count_written_bytes, count_read_bytes, count_log_commits;
	u64 count_resync_sent_bytes, count_resync_equal_bytes, count_resync_received_bytes, count_remote_reads;
	u32 nr_relations;
	struct relation_status relation[REPLICAS_MAX];
};

struct known_volume {
	u64 id, bytes;
	char name[NAME_BYTES_MAX];
	u32 granule_bytes, block_bytes, log_parts, replicas, seen_from;
};

struct model_event {
	bool is_volume;		/* else peer */
	bool gone;
	bool lost;		/* the socket overflowed: nothing else is valid */
	u32 sequence;
	u8 node;		/* peer events */
	u64 volume_id;		/* volume events */
	struct peer_status peer;
	struct volume_status volume;
};

/* Lists that grow; items are in the order of the kernel. */
struct peer_list {
	u32 nr;
	struct peer_status item[NODES_MAX];
};

struct volume_list {
	u32 nr;
	struct volume_status *item;
};

struct known_list {
	u32 nr;
	struct known_volume *item;
};

#endif
