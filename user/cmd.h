/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the verbs share: opening state and module, reporting refusals, links of devices. And the verbs themselves.
 */
#ifndef BRAID_USER_CMD_H
#define BRAID_USER_CMD_H

#include "args.h"
#include "fail.h"
#include "ipc.h"
#include "json.h"
#include "state.h"

enum cmd_flags {
	CMD_LOCK = 1 << 0,	/* the state file will change: hold its lock */
	CMD_STATE = 1 << 1,	/* an identity must exist */
	CMD_KERNEL = 1 << 2,	/* the module must be there */
	CMD_START = 1 << 3,	/* load the module and start this node in it if it does not run yet */
};

struct cmd {
	const char *what;	/* "cannot promote web" */
	bool has_state;
	struct state state;
	struct ipc *ipc;
	struct ipc_error error;
};

/* The one command context; large, therefore static. Returns STATUS_OK or what was reported. */
int cmd_open(struct cmd **cmd, u32 flags, const char *what);
void cmd_close(struct cmd *cmd);
/* For the time of something long, and then once more with what others have changed meanwhile. STATUS_OK or reported. */
void cmd_unlock(struct cmd *cmd);
int cmd_lock_again(struct cmd *cmd);
/* Save the state; STATUS_OK or reported. */
int cmd_save(struct cmd *cmd);

enum { CMD_ATTACH_MS = 60000 };	/* for how long a disk need not answer: it may have to spin up */

/*
 * The volume of the state's @entry is up, or *@attached by this call. Without the lock of the state file: other commands need not wait for
 * this disk. So another one may attach the same; its end is waited for. False: cmd->error.
 */
bool cmd_attach(struct cmd *cmd, const struct state_volume *entry, u32 timeout_ms, struct volume_status *volume, bool *attached);
enum cmd_wanted { CMD_WANTED_AS_IT_WAS, CMD_WANTED_UP, CMD_WANTED_DOWN };
/*
 * After something was done to a volume without the lock of the state file: the link, and with the lock what is to be remembered, follow
 * what is so now, whatever others did meanwhile. STATUS_OK or reported; the lock is not held afterwards.
 */
int cmd_settle(struct cmd *cmd, const char *name, enum cmd_wanted wanted);
/* Merge the nodes that the kernel learnt from its peers into the state file. Never fails loudly: a warning at most. */
void cmd_learn(struct cmd *cmd);
/* Report cmd->error about @object. @remedy NULL: the table's. */
int cmd_fail(struct cmd *cmd, const char *object, const char *remedy);
int cmd_fail_state(const char *what, enum state_result result, const char *why);
/* Start this node in the kernel with all peers of the state; nothing to do if it runs. */
int cmd_start_node(struct cmd *cmd);

/* Node id by name, or NODE_NONE. */
u8 cmd_node(struct cmd *cmd, const char *name);
int cmd_fail_node(struct cmd *cmd, const char *name);
const char *cmd_nodes(const struct cmd *cmd, u32 mask);	/* "{alpha,beta}" */
/* "volume web on alpha" */
const char *cmd_volume_object(const struct cmd *cmd, const char *name);
/* Volume of the kernel by name; STATUS_OK or reported. */
int cmd_volume(struct cmd *cmd, const char *name, struct volume_status *volume);
/* Seconds of --timeout; 0 when not given. False: reported to *@status. */
bool cmd_timeout(const struct verb *verb, const char *text, u32 *timeout_ms, int *status);
/* --id; the same. */
bool cmd_id(const struct verb *verb, const char *text, u64 *id, int *status);
/* copy or trust. */
bool cmd_payload(const struct verb *verb, const char *text, bool *trusts, int *status);
u64 cmd_random_id(void);	/* never 0 */
bool cmd_random(void *bytes, size_t length_bytes);
u64 cmd_now_ns(void);		/* CLOCK_MONOTONIC */

/* /dev/braid/NAME */
const char *link_path(const char *name);
/* Make or replace the link (and the node when there is no devtmpfs). Failure is a warning: the volume works without. */
void link_make(const char *name, const char *device);
void link_remove(const char *name);

int cmd_node_init(const struct verb *verb, int argc, char **argv);
int cmd_node_invite(const struct verb *verb, int argc, char **argv);
int cmd_node_join(const struct verb *verb, int argc, char **argv);
int cmd_node_remove(const struct verb *verb, int argc, char **argv);
int cmd_node_show(const struct verb *verb, int argc, char **argv);
int cmd_node_start(const struct verb *verb, int argc, char **argv);
int cmd_node_stop(const struct verb *verb, int argc, char **argv);
int cmd_connect(const struct verb *verb, int argc, char **argv);
int cmd_disconnect(const struct verb *verb, int argc, char **argv);
int cmd_create(const struct verb *verb, int argc, char **argv);
int cmd_replicate(const struct verb *verb, int argc, char **argv);
int cmd_up(const struct verb *verb, int argc, char **argv);
int cmd_down(const struct verb *verb, int argc, char **argv);
int cmd_delete(const struct verb *verb, int argc, char **argv);
int cmd_promote(const struct verb *verb, int argc, char **argv);
int cmd_demote(const struct verb *verb, int argc, char **argv);
int cmd_resolve(const struct verb *verb, int argc, char **argv);
int cmd_forget(const struct verb *verb, int argc, char **argv);
int cmd_set(const struct verb *verb, int argc, char **argv);
int cmd_wait(const struct verb *verb, int argc, char **argv);
int cmd_events(const struct verb *verb, int argc, char **argv);
int cmd_status(const struct verb *verb, int argc, char **argv);
int cmd_why(const struct verb *verb, int argc, char **argv);
int cmd_options_set(const struct verb *verb, int argc, char **argv);
int cmd_options_show(const struct verb *verb, int argc, char **argv);
int cmd_meta_dump(const struct verb *verb, int argc, char **argv);
int cmd_meta_check(const struct verb *verb, int argc, char **argv);
int cmd_meta_repair(const struct verb *verb, int argc, char **argv);

#endif
