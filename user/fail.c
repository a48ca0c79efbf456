// SPDX-License-Identifier: GPL-2.0
/*
 * Reporting of what was not done, and the one table from stable codes to exit statuses and remedies. A remedy never
 * destroys data: forced verbs are not among them.
 */
#include <stdio.h>
#include <string.h>
#include "fail.h"
#include "text.h"

static const struct {
	const char *code;
	enum exit_status status;
	const char *remedy;
} table[] = {
	/* state of the volume */
	{ "no-disk", STATUS_REFUSED, "bring its disk back, then 'braid down' and 'braid up' the volume on this node" },
	{ "stale", STATUS_REFUSED, "promote a replica that is up to date, or connect this one to such a node and wait: "
	  "braid wait NAME --for up-to-date" },
	{ "syncing", STATUS_REFUSED, "wait until the resync is complete: braid wait NAME --for up-to-date" },
	{ "peer-primary", STATUS_REFUSED, "stop using the volume on the named node, then run 'braid demote' there" },
	{ "unreachable", STATUS_REFUSED, "bring the named nodes back and connected; only for a machine that is known to be "
	  "down and stays down until then, add --peer-down NODE" },
	{ "busy", STATUS_REFUSED, "another change is under way ('braid why NAME' shows it); try again when it has ended" },
	{ "not-primary", STATUS_REFUSED, "'braid status NAME' shows which node is primary" },
	{ "no-split", STATUS_REFUSED, "there is nothing to resolve; 'braid status NAME' shows the relations" },
	{ "other-split", STATUS_REFUSED, "read the present split id from 'braid why NAME' and compare again what both sides hold" },
	{ "is-primary", STATUS_REFUSED, "stop using the volume on the side that is to yield, then 'braid demote' it there" },
	{ "in-sync-member", STATUS_REFUSED, "while that node is away, promote this volume on a node that is up to date and write to it "
	  "once; then try again" },
	{ "metadata-write", STATUS_SYSTEM, "look into the kernel log for errors of the metadata disk; 'braid meta check DISK'" },
	/* things at hand, kernel */
	{ "not-configured", STATUS_REFUSED, "start this node: braid node start (or braid node init / braid node join, once)" },
	{ "already-configured", STATUS_REFUSED, "'braid node show' shows what runs; 'braid node stop' ends it" },
	{ "no-such-peer", STATUS_NOT_FOUND, "'braid node show' lists the nodes that are known here" },
	{ "no-such-volume", STATUS_NOT_FOUND, "'braid status' lists the volumes; 'braid up NAME' attaches one that is down" },
	{ "exists", STATUS_REFUSED, "choose another name, or use the one that exists" },
	{ "open-disk", STATUS_SYSTEM, "check that the disk is there, writable and not used by anything else (lsblk DISK)" },
	{ "no-metadata", STATUS_NOT_FOUND, "check that this is the right disk; 'braid meta dump DISK' shows what it holds" },
	{ "bad-metadata", STATUS_SYSTEM, "'braid meta check DISK' shows the damage; 'braid meta repair DISK' restores a copy from "
	  "the good one" },
	{ "metadata-incompatible", STATUS_REFUSED, "use the braid release that wrote this metadata, or a newer one" },
	{ "other-node", STATUS_REFUSED, "'braid meta dump DISK' shows whose it is; check for a cloned disk or a restored snapshot" },
	{ "disk-size", STATUS_REFUSED, "give the disk its former size back; 'braid meta dump DISK' shows it" },
	{ "block-size", STATUS_REFUSED, "use a disk whose logical blocks are not larger ('lsblk -o NAME,LOG-SEC' shows them). A volume that is "
	  "to have replicas on disks of 4096 bytes a block is made with 'braid create --block-size 4096'" },
	{ "disk-busy", STATUS_REFUSED, "wait for the other command, or for the disk to answer (the kernel log may say what it does); then "
	  "'braid up NAME'" },
	{ "disk-io", STATUS_SYSTEM, "look into the kernel log for errors of the disk" },
	{ "in-use", STATUS_REFUSED, "unmount or close what uses it (lsof, fuser, lsblk show who), then try again" },
	{ "timeout", STATUS_TIMEOUT, "'braid why NAME' shows what was waited for; try again, with a longer --timeout if need be" },
	{ "interrupted", STATUS_TIMEOUT, "'braid status NAME' shows the state that was left" },
	{ "memory", STATUS_SYSTEM, "free memory on this machine and try again" },
	{ "address", STATUS_SYSTEM, "check with 'ip address' that this machine has the address, and that no one uses the port" },
	{ "limit", STATUS_REFUSED, "a limit of this release is reached; braid(8) lists them" },
	{ "missing", STATUS_USAGE, NULL },
	{ "invalid", STATUS_USAGE, NULL },
	{ "confirm", STATUS_USAGE, "add --id with the volume's id, which 'braid status NAME' shows" },
	{ "permission", STATUS_SYSTEM, "run it as root (CAP_NET_ADMIN; attaching disks wants CAP_SYS_ADMIN too)" },
	{ "internal", STATUS_SYSTEM, "please report it with the kernel log" },
	/* the command's own */
	{ "no-identity", STATUS_REFUSED, "make this machine the first node with 'braid node init NAME ADDRESS', or join it with a "
	  "token from 'braid node invite' of another node" },
	{ "state-damaged", STATUS_SYSTEM, "correct the named line, or restore the file from a backup" },
	{ "state-locked", STATUS_TIMEOUT, "wait until the other braid command has ended" },
	{ "module-missing", STATUS_MODULE, "install the braid kernel module for this kernel and load it: modprobe braid" },
	{ "module-old", STATUS_MODULE, "unload the module and load the one of this release; both must be of one version" },
	{ "signature", STATUS_REFUSED, "choose another disk" },
	{ "not-blank", STATUS_REFUSED, "leave --blank out: then everything is compared; or --zero, which writes zeroes over what is there" },
	{ "not-a-block-device", STATUS_REFUSED, "name a block device; a file becomes one with 'losetup --find --show FILE'" },
	{ "too-small", STATUS_REFUSED, "use a larger disk" },
	{ "no-such-disk", STATUS_NOT_FOUND, "'lsblk' lists the disks of this machine" },
	{ "wrong-id", STATUS_REFUSED, "read the id from 'braid status NAME' or 'braid meta dump DISK' and compare the volume" },
	{ "is-up", STATUS_REFUSED, "take it down first: braid down NAME" },
	{ "token", STATUS_USAGE, "copy the whole line that 'braid node invite' printed, or make a new token there" },
};

const char *fail_remedy(const char *code)
{
	size_t i;

	for (i = 0; i < CORE_ARRAY_SIZE(table); i++)
		if (!strcmp(table[i].code, code))
			return table[i].remedy;
	return NULL;
}

enum exit_status fail_status(const char *code)
{
	size_t i;

	for (i = 0; i < CORE_ARRAY_SIZE(table); i++)
		if (!strcmp(table[i].code, code))
			return table[i].status;
	return STATUS_SYSTEM;
}

static const char *summary(enum exit_status status)
{
	switch (status) {
	case STATUS_REFUSED:
		return "refused";
	case STATUS_USAGE:
		return "wrong use";
	case STATUS_NOT_FOUND:
		return "not found";
	case STATUS_TIMEOUT:
		return "time is up";
	case STATUS_MODULE:
		return "kernel module";
	default:
		return "failed";
	}
}

int fail(const struct failure *failure)
{
	const char *remedy = failure->remedy ? failure->remedy : fail_remedy(failure->code);

	fflush(stdout);
	fprintf(stderr, "braid: %s: %s (%s)\n", failure->what, summary(failure->status), failure->code);
	if (failure->object)
		fprintf(stderr, "  object: %s\n", failure->object);
	fprintf(stderr, "  cause: %s\n", failure->cause);
	if (remedy)
		fprintf(stderr, "  remedy: %s\n", remedy);
	return failure->status;
}

int fail_usage(const char *verb, const char *cause)
{
	const char *words = strchr(verb, ' ');

	return fail(&(struct failure){ .status = STATUS_USAGE, .code = "usage",
		    .what = words ? words + 1 : "command line", .cause = cause,
		    .remedy = textf("%s --help shows how it is used", verb) });
}

int fail_system(const char *what, const char *object, int error)
{
	return fail(&(struct failure){ .status = STATUS_SYSTEM, .code = "system", .what = what, .object = object,
		    .cause = strerror(error), .remedy = "check the object and the permissions, then try again" });
}
