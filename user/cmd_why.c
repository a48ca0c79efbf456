// SPDX-License-Identifier: GPL-2.0
/*
 * why: every reason why a volume is not healthy or a promotion would be refused, since when, and what would cure it [C3].
 */
#include <stdio.h>
#include "../kernel/uapi/linux/braid.h"
#include "cmd.h"
#include "print.h"

enum { REASONS_MAX = 64 };

struct reason {
	const char *code;
	const char *text;
	const char *remedy;	/* NULL: it cures itself */
	u64 since_ms;		/* age; 0 unknown */
};

struct reasons {
	const struct cmd *cmd;
	const struct volume_status *volume;
	const struct peer_list *peers;
	u64 now_ns;
	u32 nr;
	struct reason item[REASONS_MAX];
};

static void add(struct reasons *reasons, const char *code, const char *text, const char *remedy, u64 since_ms)
{
	if (reasons->nr < REASONS_MAX)
		reasons->item[reasons->nr++] = (struct reason){ code, text, remedy, since_ms };
}

static const char *node_name(const struct reasons *reasons, u8 node)
{
	const char *name = state_node_name(node, &reasons->cmd->state);

	return name ? name : textf("#%u", node);
}

static void add_disk(struct reasons *reasons)
{
	const struct volume_status *volume = reasons->volume;

	if (!strcmp(volume->disk, "failed"))
		add(reasons, "no-disk", textf("the disk %s failed and was given up", volume->data_disk),
		    textf("look into the kernel log; when the disk works again: braid down %s, braid up %s", volume->name,
			  volume->name), 0);
	else if (!strcmp(volume->disk, "none"))
		add(reasons, "no-disk", "there is no disk attached", textf("braid up %s", volume->name), 0);
	if (!volume->online)
		add(reasons, "attaching", "the attach is not complete yet", NULL, 0);
	if (volume->syncing)
		add(reasons, "syncing", volume->sync_source == NODE_NONE ?
		    "the content is half-synced and no node is resyncing it now" :
		    textf("the content is being resynced from %s", node_name(reasons, volume->sync_source)),
		    textf("connect a node that is up to date; braid wait %s --for up-to-date", volume->name), 0);
	else if (!volume->up_to_date && volume->has_generation && !volume->split)
		add(reasons, "stale", textf("this replica is not in the in-sync set of generation %llu %s",
					    (unsigned long long)volume->generation.number,
					    cmd_nodes(reasons->cmd, volume->generation.members)),
		    "connect a node of the in-sync set; the resync starts by itself", 0);
}

static void add_split(struct reasons *reasons)
{
	const struct volume_status *volume = reasons->volume;
	const char *peer;

	if (!volume->split)
		return;
	peer = node_name(reasons, volume->split_peer);
	add(reasons, "split", textf("this node and %s both wrote since generation %llu; split id %016llx", peer,
				    (unsigned long long)volume->split_ancestor_number, (unsigned long long)volume->split_id),
	    "both sides are kept as they are: compare them and save what is needed of each; 'braid resolve --help' tells how to "
	    "settle whose changes stay", 0);
}

static const struct peer_status *session_of(const struct reasons *reasons, u8 node)
{
	u32 i;

	for (i = 0; i < reasons->peers->nr; i++)
		if (reasons->peers->item[i].node == node)
			return &reasons->peers->item[i];
	return NULL;
}

static void add_session(struct reasons *reasons, u8 node)
{
	const struct peer_status *peer = session_of(reasons, node);
	const char *name = node_name(reasons, node);
	const char *text, *remedy;
	u64 since_ms = 0;

	if (!peer) {
		add(reasons, "no-such-peer", textf("%s has a replica, but its address is not known here", name),
		    "connect another node that knows it", 0);
		return;
	}
	if (peer->since_ns && reasons->now_ns > peer->since_ns)
		since_ms = (reasons->now_ns - peer->since_ns) / 1000000;
	text = textf("no session with %s: %s%s%s", name, peer->state, strcmp(peer->error, "none") ? ", " : "",
		     strcmp(peer->error, "none") ? peer->error : "");
	remedy = "check that the machine runs, that braid is up there (braid up --all), and the network between";
	if (!strcmp(peer->state, "disconnected"))
		remedy = textf("braid connect %s", name);
	else if (!strncmp(peer->error, "refused", 7))
		remedy = "'braid node show' on both nodes: cluster, ids and addresses must fit; invite the node again if not";
	add(reasons, "not-connected", text, remedy, since_ms);
}

static void add_relation(struct reasons *reasons, const struct relation_status *relation)
{
	const char *name = node_name(reasons, relation->node);
	const char *volume = reasons->volume->name;
	const char *plan = *relation->plan ? relation->plan : "no plan yet";

	switch (relation->state) {
	case BRAID_RELATION_OFF:
		add_session(reasons, relation->node);
		break;
	case BRAID_RELATION_ABSENT:
		add(reasons, "volume-absent", textf("%s is connected, but the volume is not up there", name),
		    textf("on %s: braid up %s (if its replica is gone for good, here: braid forget %s %s --id ID)", name, volume,
			  volume, name), 0);
		break;
	case BRAID_RELATION_GREETING:
		add(reasons, "comparing", textf("comparing histories with %s", name), NULL, 0);
		break;
	case BRAID_RELATION_WAITING:
		add(reasons, "waiting", textf("%s and this node wait: %s", name, plan), strcmp(plan, "wait-disk") ?
		    "connect the other nodes that have a replica" :
		    "'braid status' on both: bring the disk back, then 'braid down' and 'braid up' the volume there", 0);
		break;
	case BRAID_RELATION_REFUSED:
		add(reasons, "refused", textf("%s and this node do not work together: %s", name, plan),
		    "'braid status' on both nodes shows both sides; nothing is changed until this is settled", 0);
		break;
	case BRAID_RELATION_SOURCE_ASKED:
	case BRAID_RELATION_SOURCE:
		add(reasons, "resync", textf("%s resyncs this replica", name), NULL, 0);
		break;
	case BRAID_RELATION_TARGET_STARTING:
	case BRAID_RELATION_TARGET:
	case BRAID_RELATION_JOINING:
		add(reasons, "resync", textf("this node resyncs %s: %s to go", name, text_size(relation->dirty_bytes)), NULL, 0);
		break;
	}
}

static void add_commands(struct reasons *reasons)
{
	const struct volume_status *volume = reasons->volume;

	if (volume->io_waits || !strcmp(volume->writes, "wait"))
		add(reasons, "io-waits", "I/O waits for a decision or for a lost member",
		    "it goes on when the reasons above or below are gone", 0);
	if (!strcmp(volume->writes, "fail") && volume->is_primary)
		add(reasons, "io-fails", "no replica can take a write now", "bring back a node that is up to date", 0);
	if (volume->proposal_waiting)
		add(reasons, "generation", textf("a new generation waits for %s",
						 cmd_nodes(reasons->cmd, volume->proposal_waiting)), NULL, 0);
	if (volume->command)
		add(reasons, "command", volume->command_waiting ?
		    textf("a promotion waits for %s", cmd_nodes(reasons->cmd, volume->command_waiting)) :
		    "a demotion or resolve is under way", NULL, 0);
	if (volume->quiet)
		add(reasons, "quiet", "writes are held back by a command under way", NULL, 0);
	if (*volume->promote_code && !volume->is_primary)
		add(reasons, volume->promote_code, textf("a promotion here would be refused (%s)%s%s", volume->promote_code,
							 volume->promote_nodes ? ": " : "", volume->promote_nodes ?
							 cmd_nodes(reasons->cmd, volume->promote_nodes) : ""),
		    fail_remedy(volume->promote_code), 0);
}

static void print_reasons(const struct reasons *reasons, bool json)
{
	struct json writer;
	u32 i;

	if (!json) {
		if (!reasons->nr)
			printf("%s: healthy, nothing is in the way\n", reasons->volume->name);
		for (i = 0; i < reasons->nr; i++) {
			const struct reason *reason = &reasons->item[i];

			printf("%s: %s (%s)", reasons->volume->name, reason->text, reason->code);
			if (reason->since_ms)
				printf(", since %s", text_age(reason->since_ms));
			printf("\n  remedy: %s\n", reason->remedy ? reason->remedy : "none needed, it goes on by itself");
		}
		return;
	}
	json_begin(&writer, stdout, false);
	json_number(&writer, "schema", 1);
	json_string(&writer, "volume", reasons->volume->name);
	json_id(&writer, "id", reasons->volume->id);
	json_bool(&writer, "healthy", reasons->volume->healthy);
	json_array(&writer, "reasons");
	for (i = 0; i < reasons->nr; i++) {
		json_object(&writer, NULL);
		json_string(&writer, "code", reasons->item[i].code);
		json_string(&writer, "text", reasons->item[i].text);
		json_string(&writer, "remedy", reasons->item[i].remedy);
		json_number(&writer, "since_ms", reasons->item[i].since_ms);
		json_close_object(&writer);
	}
	json_close_array(&writer);
	json_end(&writer);
}

static int explain(struct cmd *cmd, const char *name, bool json)
{
	static struct reasons reasons;
	static struct volume_status volume;
	static struct peer_list peers;
	const struct state_volume *entry;
	u32 i;

	cmd_learn(cmd);
	if (!ipc_volume_get(cmd->ipc, name, &volume, &cmd->error)) {
		entry = state_find_volume(&cmd->state, name);
		if (!entry || (strcmp(cmd->error.code, "no-such-volume") && strcmp(cmd->error.code, "not-configured")))
			return cmd_fail(cmd, cmd_volume_object(cmd, name), NULL);
		snprintf(volume.name, sizeof(volume.name), "%s", name);
		volume.id = entry->id;
		reasons.volume = &volume;
		add(&reasons, "down", entry->wanted_up ? "it is wanted up but not attached" : "it was taken down",
		    textf("braid up %s", name), 0);
		print_reasons(&reasons, json);
		return STATUS_OK;
	}
	if (!ipc_peers(cmd->ipc, &peers, &cmd->error))
		return cmd_fail(cmd, textf("node %s", cmd->state.name), NULL);
	reasons = (struct reasons){ .cmd = cmd, .volume = &volume, .peers = &peers, .now_ns = cmd_now_ns() };
	add_disk(&reasons);
	add_split(&reasons);
	for (i = 0; i < volume.nr_relations; i++)
		add_relation(&reasons, &volume.relation[i]);
	add_commands(&reasons);
	print_reasons(&reasons, json);
	return STATUS_OK;
}

int cmd_why(const struct verb *verb, int argc, char **argv)
{
	bool json = false;
	const struct option_spec specs[] = { { .name = "json", .help = "machine-readable", .flag = &json }, { 0 } };
	struct operands operands;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, specs, 1, 1, &operands, &status))
		return status;
	status = cmd_open(&cmd, CMD_STATE | CMD_KERNEL, textf("cannot explain %s", operands.word[0]));
	if (status == STATUS_OK)
		status = explain(cmd, operands.word[0], json);
	cmd_close(cmd);
	return status;
}
