/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Private to ipc.c and ipc_decode.c: netlink messages to plain structs.
 *
 * Decoders take what they know: unknown attributes are skipped, those of a wrong length are treated as absent.
 */
#ifndef BRAID_USER_IPC_DECODE_H
#define BRAID_USER_IPC_DECODE_H

#include <libmnl/libmnl.h>
#include "ipc.h"

struct ipc_family {
	u16 id;
	u32 version;
	u32 group;		/* of the events, 0 none */
};

/* True: success was acknowledged. */
bool ipc_decode_error(const struct nlmsghdr *message, struct ipc_error *error);
bool ipc_decode_done(const struct nlmsghdr *message, struct ipc_error *error);

bool ipc_decode_family(const struct nlmsghdr *message, void *family);
bool ipc_decode_node(const struct nlmsghdr *message, void *node_status);
bool ipc_decode_volume(const struct nlmsghdr *message, void *volume_status);
bool ipc_decode_peer_item(const struct nlmsghdr *message, void *peer_list);
bool ipc_decode_volume_item(const struct nlmsghdr *message, void *volume_list);
bool ipc_decode_known_item(const struct nlmsghdr *message, void *known_list);
/* False: a message that is no event. */
bool ipc_decode_event(const struct nlmsghdr *message, struct model_event *event);

#endif
