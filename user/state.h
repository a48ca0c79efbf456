/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a node knows about itself across reboots: the file `node` in the state directory (0700, file 0600).
 *
 * One "key value..." per line, blanks between words, '#' starts a comment line. Values that may hold blanks (paths) are
 * written with %XX. Parsed strictly: an unknown key, a missing or repeated line or a damaged value is an error with its
 * line number, and nothing is changed. Replaced atomically: written beside, synced, renamed, directory synced.
 *
 *   version 1
 *   cluster HEX32                  node ID            name NAME       instance HEX32
 *   secret HEX64 | insecure        listen ADDRESS     next-node ID
 *   timeout-ms N                   data-lanes N
 *   peer ID NAME ADDRESS [HEX32]
 *   volume NAME HEX16 up|down DATA [META]
 */
#ifndef BRAID_USER_STATE_H
#define BRAID_USER_STATE_H

#include "address.h"

enum {
	STATE_VERSION = 1,
	STATE_VOLUMES_MAX = 1024,
	STATE_TIMEOUT_MS_DEFAULT = 5000,
	STATE_TIMEOUT_MS_MIN = 500,
	STATE_TIMEOUT_MS_MAX = 60000,
	STATE_DATA_LANES_DEFAULT = 2,
	STATE_DATA_LANES_MAX = WIRE_LANES_MAX - 1,
	STATE_LOCK_TIMEOUT_MS = 30000,
};

struct state_peer {
	u8 node;
	char name[NAME_BYTES_MAX];
	struct node_address address;
	bool instance_known;
	u8 instance[UUID_BYTES];
};

struct state_volume {
	char name[NAME_BYTES_MAX];
	u64 id;
	bool wanted_up;
	const char *data_path;
	const char *meta_path;	/* NULL: internal */
};

struct state {
	u8 cluster_id[UUID_BYTES];
	u8 node;
	char name[NAME_BYTES_MAX];
	u8 instance[UUID_BYTES];
	bool insecure;
	u8 secret[SECRET_BYTES];
	struct node_address listen;
	u8 next_node;		/* id that the next invited node gets; NODES_MAX: none left */
	u32 timeout_ms;
	u32 data_lanes;
	u32 nr_peers;
	struct state_peer peer[NODES_MAX];
	u32 nr_volumes;
	struct state_volume volume[STATE_VOLUMES_MAX];
};

/* Text <-> struct. @text is changed. On false *@why says what is wrong in which line. */
bool state_parse(char *text, struct state *state, const char **why);
char *state_format(const struct state *state);

/* The directory: --state-dir, $BRAID_STATE_DIR or /var/lib/braid. */
void state_set_directory(const char *directory);
const char *state_directory(void);

enum state_result {
	STATE_OK,
	STATE_MISSING,		/* no file: the node has no identity */
	STATE_DAMAGED,
	STATE_ERROR,		/* system error */
	STATE_LOCKED,		/* another command holds it for too long */
};

/* Load; *@why as above. */
enum state_result state_load(struct state *state, const char **why);
/* Is what state_load() read last, or state_save() wrote, still in the file? */
bool state_is_current(void);
/* Hold the lock for a change: from before state_load() until state_unlock(). Creates the directory. */
enum state_result state_lock(const char **why);
void state_unlock(void);
/* Replace the file. Lock held. */
enum state_result state_save(const struct state *state, const char **why);

struct state_peer *state_find_peer(struct state *state, u8 node);
struct state_peer *state_find_peer_name(struct state *state, const char *name);
struct state_volume *state_find_volume(struct state *state, const char *name);
/* Sorted by id; false when full, or the id is this node's, or the name is taken by another id. Updates what is there. */
bool state_put_peer(struct state *state, const struct state_peer *peer);
bool state_remove_peer(struct state *state, u8 node);
bool state_put_volume(struct state *state, const struct state_volume *volume);	/* by name */
bool state_remove_volume(struct state *state, const char *name);
/* Name of a node (this one included), or NULL. @context: struct state. */
const char *state_node_name(u8 node, const void *context);

#endif
