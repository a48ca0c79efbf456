/* SPDX-License-Identifier: GPL-2.0 */
/* The data path of the simulated nodes: what io.c, apply.c, sync.c and the log commit of meta.c do in the module. */
#ifndef BRAID_SIM_PATH_H
#define BRAID_SIM_PATH_H

#include "world.h"

void world_send(struct world *world, u8 from, u8 to, bool control, const struct message *message);
void world_save_maps(struct world *world, u8 node);

bool path_step(struct world *world, u8 node);
void path_receive(struct world *world, u8 from, u8 to, const struct message *message);
void path_missed(struct world *world, u8 node, u8 peer);
void path_release(struct world *world, u8 node, u8 peer);
void path_peer_down(struct world *world, u8 node, u8 peer);
void path_resync_start(struct world *world, u8 node, u8 peer);
void path_resync_stop(struct world *world, u8 node, u8 peer);
bool path_applying(struct world *world, u8 node);
/* Start a write of @block or, with WORLD_BLOCKS, a flush; false when there is no room. */
bool path_submit(struct world *world, u8 node, u32 block);
bool path_idle(struct world *world, u8 node);

#endif
