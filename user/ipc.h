/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Talking to the module. ipc.c is the only file that knows netlink.
 *
 * Every function returns true, or false with *error filled. A call ends within the time that the request names plus a
 * margin; ^C ends it at once (the kernel's waits are killable).
 */
#ifndef BRAID_USER_IPC_H
#define BRAID_USER_IPC_H

#include "model.h"
#include "state.h"

struct ipc_error {
	int error;		/* positive errno */
	bool no_module;
	bool old_module;	/* there, but it does not know this request or speaks another version */
	char code[MODEL_WORD_MAX];	/* stable code of the refusal, "" if the kernel gave none */
	char sentence[320];
	u32 nodes;		/* nodes that the refusal is about, 0 none */
};

struct ipc;

/* Open the family; loads the module when @load and it is not there. */
struct ipc *ipc_open(bool load, struct ipc_error *error);
void ipc_close(struct ipc *ipc);

bool ipc_node_start(struct ipc *ipc, const struct state *state, struct ipc_error *error);
bool ipc_node_stop(struct ipc *ipc, bool force, struct ipc_error *error);
bool ipc_node_get(struct ipc *ipc, struct node_status *node, struct ipc_error *error);
bool ipc_node_set(struct ipc *ipc, u32 timeout_ms, u32 data_lanes, struct ipc_error *error);
bool ipc_peer_add(struct ipc *ipc, const struct state_peer *peer, struct ipc_error *error);

enum ipc_peer_verb { IPC_PEER_REMOVE, IPC_PEER_CONNECT, IPC_PEER_DISCONNECT };
bool ipc_peer_do(struct ipc *ipc, enum ipc_peer_verb verb, u8 node, struct ipc_error *error);
bool ipc_peers(struct ipc *ipc, struct peer_list *peers, struct ipc_error *error);

/* @meta_path NULL: internal. @timeout_ms: how long the disks may take. @volume is filled on success. */
bool ipc_attach(struct ipc *ipc, const char *data_path, const char *meta_path, u32 timeout_ms, struct volume_status *volume,
		struct ipc_error *error);

enum ipc_volume_verb {
	IPC_VOLUME_DOWN,
	IPC_VOLUME_PROMOTE,
	IPC_VOLUME_DEMOTE,
	IPC_VOLUME_RESOLVE,
	IPC_VOLUME_FORGET,
	IPC_VOLUME_SET,
};

struct ipc_volume_request {
	enum ipc_volume_verb verb;
	u64 id;			/* 0: by name only */
	const char *name;	/* NULL: by id only */
	bool force;
	u32 timeout_ms;		/* 0: the kernel's default */
	u32 peer_down;		/* mask */
	u64 split_id;		/* 0: none */
	u8 node;		/* NODE_NONE: none */
	bool trusts;		/* SET: what becomes of payloads */
};

bool ipc_volume_do(struct ipc *ipc, const struct ipc_volume_request *request, struct ipc_error *error);
bool ipc_volume_get(struct ipc *ipc, const char *name, struct volume_status *volume, struct ipc_error *error);
bool ipc_volumes(struct ipc *ipc, struct volume_list *volumes, struct ipc_error *error);
void ipc_volumes_free(struct volume_list *volumes);
bool ipc_known(struct ipc *ipc, struct known_list *known, struct ipc_error *error);
void ipc_known_free(struct known_list *known);

/* Join the events; then wait for the next one. */
bool ipc_listen(struct ipc *ipc, struct ipc_error *error);
enum ipc_next { IPC_EVENT, IPC_NO_EVENT, IPC_FAILED };
/* Wait at most @timeout_ms (-1: for ever, until a signal). */
enum ipc_next ipc_next_event(struct ipc *ipc, int timeout_ms, struct model_event *event, struct ipc_error *error);

#endif
