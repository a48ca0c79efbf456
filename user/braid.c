// SPDX-License-Identifier: GPL-2.0
/*
 * The command braid: table of verbs, help, and nothing else. What a verb does is in cmd_*.c.
 */
#include <stdio.h>
#include "cmd.h"

#ifndef BRAID_VERSION
#define BRAID_VERSION "0.1"
#endif

static int cmd_help(const struct verb *verb, int argc, char **argv);
static int cmd_version(const struct verb *verb, int argc, char **argv);

static const struct verb verbs[] = {
	{ "node init", "NAME ADDRESS[:PORT] [--insecure]", "make this machine the first node of a new cluster",
	  "Creates cluster id, secret and identity in the state directory and starts the node.", cmd_node_init },
	{ "node invite", "NAME ADDRESS[:PORT]", "add a node and print the token with which it joins",
	  "The token holds the cluster's secret: hand it over as you would a password. It is for one machine.", cmd_node_invite },
	{ "node join", "TOKEN|-", "make this machine the node that was invited ('-': token from standard input)", NULL,
	  cmd_node_join },
	{ "node remove", "NAME", "forget a node that has no replicas any more", NULL, cmd_node_remove },
	{ "node show", "[--json]", "identity of this node and sessions with the others", NULL, cmd_node_show },
	{ "node start", "", "start this node in the kernel (up, create and replicate do it too)", NULL, cmd_node_start },
	{ "node stop", "", "end all sessions; refused while volumes are up", NULL, cmd_node_stop },
	{ "connect", "NODE", "allow sessions with a node again", NULL, cmd_connect },
	{ "disconnect", "NODE", "end the session with a node, until connect", NULL, cmd_disconnect },
	{ "create", "NAME DISK [--meta DISK] [--size BYTES] [--zero|--blank] [--payload copy|trust]", "make a new volume on a disk",
	  "Without --meta the volume is new and empty: metadata goes to the start of the disk. With --meta the data disk's\n"
	  "content becomes the volume's. A disk with known content is refused unless named again with --force-overwrite.",
	  cmd_create },
	{ "replicate", "NAME DISK [--meta DISK] [--zero|--blank] [--payload copy|trust]", "make a replica here of a volume of another node",
	  "The volume must be up on a connected node. The disk's content is replaced; the initial sync starts by itself.\n"
	  "A disk with known content is refused unless named again with --force-overwrite.",
	  cmd_replicate },
	{ "up", "NAME|--all", "attach volumes", NULL, cmd_up },
	{ "down", "NAME|--all [--force] [--timeout SECONDS]", "detach volumes", NULL, cmd_down },
	{ "promote", "NAME [--peer-down NODE]... [--force --id VOLUME-ID] [--timeout SECONDS]", "make this node the one that writes",
	  "Refused when another node may be primary. --peer-down says that a machine that cannot be reached is known to be\n"
	  "down: if it is not, both sides write and the volume is split.", cmd_promote },
	{ "demote", "NAME [--timeout SECONDS]", "give the writing role up", NULL, cmd_demote },
	{ "resolve", "NAME --keep NODE --split ID [--timeout SECONDS]", "end a split: whose changes stay",
	  "On either node. The other side's changes since the common ancestor are overwritten, and it must not be primary:\n"
	  "save from it what is needed before.", cmd_resolve },
	{ "forget", "NAME NODE --id VOLUME-ID [--timeout SECONDS]", "a replica is gone for good",
	  "Nothing is recorded for it any longer. Should it come back, it has to be made anew with replicate.", cmd_forget },
	{ "set", "NAME payload=copy|trust", "change this node's replica of a volume",
	  "payload=trust: writes are not copied before they are sent. Only for users that leave their memory alone until a write\n"
	  "is complete, as filesystems do from their next mount on: else replicas differ silently. Not while the device is open.\n"
	  "It counts while this node is primary.", cmd_set },
	{ "delete", "NAME --id VOLUME-ID", "give up this node's replica of a volume that is down",
	  "Only the metadata's signature is wiped, the data stays as it is on the disk.", cmd_delete },
	{ "status", "[NAME] [--json]", "volumes, replicas, resync", NULL, cmd_status },
	{ "why", "NAME [--json]", "every reason why a volume is not healthy, and what would cure it", NULL, cmd_why },
	{ "wait", "NAME [--for CONDITION] [--timeout SECONDS]", "wait for a state",
	  "conditions: in-sync connected primary secondary up-to-date healthy, or the state of any replica:\n"
	  "off absent greeting waiting source-asked source target-starting target joining split refused", cmd_wait },
	{ "events", "[--json] [--count N] [--timeout SECONDS]", "print changes as they happen", NULL, cmd_events },
	{ "options set", "KEY=VALUE...", "options of this node: timeout (seconds), data-lanes", NULL, cmd_options_set },
	{ "options show", "", "the options of this node", NULL, cmd_options_show },
	{ "meta dump", "DISK [--json]", "show the metadata on a disk, without the module", NULL, cmd_meta_dump },
	{ "meta check", "DISK [--json]", "is the metadata whole? status 1 if not", NULL, cmd_meta_check },
	{ "meta repair", "DISK", "rewrite a damaged superblock copy from the good one", NULL, cmd_meta_repair },
	{ "version", "", "version of this command", NULL, cmd_version },
	{ "help", "[VERB]", "this list", NULL, cmd_help },
};

static void list_verbs(FILE *out)
{
	size_t i;

	fprintf(out, "usage: braid VERB ...\n\nMirrors block devices between machines.\n\n");
	for (i = 0; i < CORE_ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-14s %s\n", verbs[i].name, verbs[i].summary);
	fprintf(out, "\n'braid VERB --help' tells more; braid(8) is the manual.\n");
}

/* Verb at @argv, *@used words long; NULL if there is none. */
static const struct verb *find_verb(int argc, char **argv, int *used)
{
	size_t i;

	for (i = 0; i < CORE_ARRAY_SIZE(verbs); i++) {
		const char *blank = strchr(verbs[i].name, ' ');
		size_t first = blank ? (size_t)(blank - verbs[i].name) : strlen(verbs[i].name);

		if (strlen(argv[0]) != first || memcmp(argv[0], verbs[i].name, first))
			continue;
		if (blank && (argc < 2 || strcmp(argv[1], blank + 1)))
			continue;
		*used = blank ? 2 : 1;
		return &verbs[i];
	}
	return NULL;
}

/* @first is the first word of verbs of two: the second one of @verb, if it is one of them; or NULL. */
static const char *second_word(const struct verb *verb, const char *first)
{
	size_t length = strlen(first);

	return !strncmp(verb->name, first, length) && verb->name[length] == ' ' ? verb->name + length + 1 : NULL;
}

static const char *second_words(const char *first)
{
	const char *words = NULL;
	size_t i;

	for (i = 0; i < CORE_ARRAY_SIZE(verbs); i++)
		if (second_word(&verbs[i], first))
			words = text_join(words, second_word(&verbs[i], first));
	return words;
}

static int help_group(const char *first)
{
	size_t i;

	printf("usage: braid %s VERB ...\n\n", first);
	for (i = 0; i < CORE_ARRAY_SIZE(verbs); i++)
		if (second_word(&verbs[i], first))
			printf("  braid %s%s%s\n      %s\n", verbs[i].name, *verbs[i].synopsis ? " " : "", verbs[i].synopsis,
			       verbs[i].summary);
	return STATUS_OK;
}

static int fail_verb(char **argv)
{
	const char *words = second_words(argv[0]);

	if (words)
		return fail_usage(textf("braid %s", argv[0]), textf("'%s' is followed by one of: %s", argv[0], words));
	return fail_usage("braid", textf("'%s' is no verb", argv[0]));
}

static int cmd_help(const struct verb *verb, int argc, char **argv)
{
	static char *help[] = { "--help" };
	const struct verb *found;
	int used;

	(void)verb;
	if (!argc || !strcmp(argv[0], "--help")) {
		list_verbs(stdout);
		return STATUS_OK;
	}
	found = find_verb(argc, argv, &used);
	if (found)
		return found->run(found, 1, help);
	return argc == 1 && second_words(argv[0]) ? help_group(argv[0]) : fail_verb(argv);
}

static int cmd_version(const struct verb *verb, int argc, char **argv)
{
	const struct option_spec specs[] = { { 0 } };
	struct operands operands;
	int status;

	if (!args_parse(verb, argc, argv, specs, 0, 0, &operands, &status))
		return status;
	puts("braid " BRAID_VERSION);
	return STATUS_OK;
}

/* --state-dir DIR in front of the verb. Returns words used, or -1. */
static int leading_options(int argc, char **argv)
{
	int used = 0;

	while (used < argc && !strncmp(argv[used], "--state-dir", 11)) {
		if (argv[used][11] == '=' && argv[used][12]) {
			state_set_directory(argv[used] + 12);
			used++;
		} else if (!argv[used][11] && used + 1 < argc) {
			state_set_directory(argv[used + 1]);
			used += 2;
		} else {
			return -1;
		}
	}
	return used;
}

int main(int argc, char **argv)
{
	const struct verb *verb;
	int used, status;

	used = leading_options(argc - 1, argv + 1);
	if (used < 0)
		return fail_usage("braid", "--state-dir needs a directory");
	argc -= 1 + used;
	argv += 1 + used;
	if (argc < 1) {
		list_verbs(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))
		return cmd_help(NULL, 0, NULL);
	if (!strcmp(argv[0], "--version"))
		argv[0] = "version";
	verb = find_verb(argc, argv, &used);
	if (!verb && argc == 2 && second_words(argv[0]) && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return help_group(argv[0]);
	if (!verb)
		return fail_verb(argv);
	status = verb->run(verb, argc - used, argv + used);
	if (fflush(stdout) && status == STATUS_OK)
		return fail_system("cannot write the result", "standard output", 5);
	return status;
}
