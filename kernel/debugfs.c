// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/braid/NAMESPACE-NAME: a volume as text: state, relations, counters, and above all what waits and why.
 * NAMESPACE is the inode number of the network namespace. For people who debug; programs use netlink. Not an
 * interface: lines may change.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include "netlink.h"

enum { TEXT_BYTES = 48 };

static struct dentry *directory;

static void show_state(struct seq_file *file, const struct braid_volume_status *status)
{
	seq_printf(file, "  device braid%u openers %u writers %u bytes %llu granule %u\n", status->minor, status->openers,
		   status->writers, status->volume_bytes, status->granule_bytes);
	seq_printf(file, "  disk %s data %s meta %s\n", braid_disk_name(status->disk),
		   status->data_name[0] ? status->data_name : "-", status->meta_name[0] ? status->meta_name : "internal");
	seq_printf(file, "  node %u role %s primary %d sync_source %d replicas 0x%x streaming 0x%x\n", status->node,
		   braid_role_name(status->role), status->primary == NODE_NONE ? -1 : status->primary,
		   status->sync_source == NODE_NONE ? -1 : status->sync_source, status->replicas, status->streaming);
	seq_printf(file, "  online %d up_to_date %d healthy %d syncing %d yield %d\n", status->online, status->up_to_date,
		   status->healthy, !!(status->super_flags & ONDISK_SYNCING), !!(status->super_flags & ONDISK_YIELD));
	if (status->has_generation)
		seq_printf(file, "  generation %016llx number %llu members 0x%x writer %d written %d\n",
			   status->generation.id, status->generation.number, status->generation.members,
			   status->generation.writer == NODE_NONE ? -1 : status->generation.writer,
			   status->generation.written);
	if (status->super_flags & ONDISK_SPLIT)
		seq_printf(file, "  split %016llx with node %u ancestor %016llx number %llu\n", status->split_id,
			   status->split_peer, status->split_ancestor_id, status->split_ancestor_number);
}

static void show_waits(struct seq_file *file, const struct braid_volume_status *status)
{
	seq_printf(file, "  in_flight %u writes %s reads %s io_waits %d quiet %u\n", status->in_flight,
		   braid_gate_name(status->gate_write), braid_gate_name(status->gate_read), status->io_waits,
		   status->quiet);
	if (status->proposal_active)
		seq_printf(file, "  waits: a new generation, to be acknowledged by 0x%x\n", status->proposal_waiting);
	if (status->command_active)
		seq_printf(file, "  waits: a command, to be answered by 0x%x\n", status->command_waiting);
	if (status->promote_refusal != VOLUME_OK)
		seq_printf(file, "  promote would be refused: %s nodes 0x%x\n",
			   braid_refusal_code(status->promote_refusal), status->promote_nodes);
}

static void show_counters(struct seq_file *file, const struct braid_volume_status *status)
{
	seq_printf(file, "  log %u of %u regions transactions %llu epoch %llu stable %llu\n", status->log.used,
		   status->log.capacity, status->log.transactions, status->log.epoch, status->log.stable_epoch);
	seq_printf(file, "  writes %llu (%llu bytes) reads %llu (%llu bytes, %llu remote) flushes %llu\n",
		   status->count.writes, status->count.written_bytes, status->count.reads, status->count.read_bytes,
		   status->count.remote_reads, status->count.flushes);
	seq_printf(file, "  log_commits %llu super_writes %llu dirty_page_writes %llu\n", status->count.log_commits,
		   status->count.super_writes, status->count.dirty_page_writes);
	seq_printf(file, "  resync sent %llu equal %llu received %llu bytes, proven %llu granules\n",
		   status->count.resync_sent_bytes, status->count.resync_equal_bytes,
		   status->count.resync_received_bytes, status->count.proven_granules);
}

static void show_peer(struct seq_file *file, const struct braid_relation_status *peer)
{
	char relation[TEXT_BYTES], plan[TEXT_BYTES], verdict[TEXT_BYTES];

	seq_printf(file, "  peer %u %s up %d dirty %llu bytes acks_pending %u reconcile %d", peer->node,
		   braid_name_to_text(volume_relation_name(peer->relation), relation, sizeof(relation)), peer->up,
		   peer->dirty_bytes, peer->acks_pending, peer->reconcile);
	if (peer->compared)
		seq_printf(file, " plan %s verdict %s confirmed %d",
			   braid_name_to_text(volume_plan_name(peer->plan), plan, sizeof(plan)),
			   braid_name_to_text(lineage_verdict_name(peer->verdict), verdict, sizeof(verdict)),
			   peer->confirmed);
	seq_putc(file, '\n');
}

static int volume_show(struct seq_file *file, void *unused)
{
	struct braid_volume *volume = file->private;
	struct braid_volume_status *status = kmalloc(sizeof(*status), GFP_KERNEL);
	u32 i;

	if (!status)
		return -ENOMEM;
	braid_volume_status(volume, status);
	seq_printf(file, "%s id %016llx\n", status->name, status->id);
	show_state(file, status);
	show_waits(file, status);
	for (i = 0; i < status->nr_peers; i++)
		show_peer(file, &status->peer[i]);
	show_counters(file, status);
	kfree(status);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(volume);

static void file_name(const struct braid_volume *volume, char *name, size_t name_bytes)
{
	snprintf(name, name_bytes, "%u-%s", volume->bn->net->ns.inum, volume->name);
}

/* Removal waits for readers, and later reads fail: the file needs no reference to the volume. */
void braid_debugfs_add(struct braid_volume *volume)
{
	char name[NAME_BYTES_MAX + 16];

	file_name(volume, name, sizeof(name));
	debugfs_create_file(name, 0400, directory, volume, &volume_fops);
}

void braid_debugfs_remove(struct braid_volume *volume)
{
	char name[NAME_BYTES_MAX + 16];

	file_name(volume, name, sizeof(name));
	debugfs_lookup_and_remove(name, directory);
}

void braid_debugfs_init(void)
{
	directory = debugfs_create_dir("braid", NULL);
}

void braid_debugfs_exit(void)
{
	debugfs_remove(directory);
}
