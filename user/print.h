/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Everything that is shown: for eyes, and as JSON with the schema that braid(8) documents.
 */
#ifndef BRAID_USER_PRINT_H
#define BRAID_USER_PRINT_H

#include "json.h"
#include "meta.h"
#include "model.h"
#include "state.h"

/* Identity and sessions; never the secret. */
void print_node(const struct state *state, bool running, const struct peer_list *peers, u64 now_ns, bool json);
/* Volumes that are up, and of @state those that are not. @only: one name, or NULL. False when @only is neither. */
bool print_status(const struct state *state, const struct volume_list *volumes, const struct peer_list *peers,
		  const char *only, u64 now_ns, bool json);
void print_event(const struct state *state, const struct model_event *event, u32 lost, bool json);
void print_meta(const struct disk *disk, const struct meta_view *view, bool json);
/* "resyncing", "in sync" ...: a relation in words. */
const char *print_relation_words(const struct relation_status *relation);
/* "up-to-date", "stale", "syncing" ...: the content of this replica, also the JSON word. */
const char *print_content(const struct volume_status *volume);

#endif
