// SPDX-License-Identifier: GPL-2.0
/*
 * Attach: from a disk's path to a volume that is there.
 *
 * Attach is one ladder; only its last rung (braid_dispatch_add) cannot fail, and it alone makes the volume visible. On the
 * disk it leaves, in this order: what the activity log named as dirty bits, the data flushed, the superblock with
 * ONDISK_ATTACHED, an empty activity log. A crash between any two of these starts over from a state that claims no less.
 *
 * A disk may never answer, so nobody waits for one under bn->lock, and no command longer than it was told [L1]:
 *
 *   the command      looks up the paths in its own mount namespace, begins under bn->lock, queues the work, and waits.
 *   attach_work      opens, reads and writes the disks. It takes bn->lock for two moments that wait for no disk: to take id and
 *                    name, before anything is written, so that two copies of one disk cannot both be attached; and for the last rungs.
 *
 * The two agree by volume->phase, which only once leaves ATTACHING: for GIVEN_UP by the command, or for UP by the work. Who was given
 * up does not go online: when its disk has answered the work undoes what it built. It writes nothing that it had not begun to write; what
 * it wrote is what a crash just after the attach leaves. Until then its disks are in bn->claims, and it holds the module.
 *
 * The node may be stopped meanwhile, and started with another identity: the work compares bn->starts under bn->lock.
 */
#include <linux/blkdev.h>
#include <linux/slab.h>
#include "device_internal.h"
#include "netlink.h"

struct attach {
	refcount_t references;		/* the command and the work */
	struct work_struct work;
	struct braid_volume *volume;	/* with a reference for each of the two */
	u32 starts;			/* bn->starts when it began; the identity was: */
	u8 node_id;
	u8 cluster_id[UUID_BYTES];
	u8 instance[UUID_BYTES];
	enum braid_error error;		/* when ended */
	struct completion ended;
};

static struct workqueue_struct *attach_workqueue;

static void attach_put(struct attach *attach)
{
	if (refcount_dec_and_test(&attach->references))
		kfree(attach);
}

/* bn->lock held. */
static bool is_same_node(const struct attach *attach, const struct braid_net *bn)
{
	return bn->configured && !bn->dying && bn->starts == attach->starts;
}

/* ---- claims: who has which disk ---- */

/* False: the disk belongs to a volume that is not up yet, or not closed yet. One that is up has it open, and the open will say so. */
static bool claim(struct braid_volume *volume)
{
	struct braid_net *bn = volume->bn;
	struct braid_volume *other;
	bool free = true;

	spin_lock(&bn->claims_lock);
	list_for_each_entry(other, &bn->claims, claim) {
		if (other->phase == BRAID_PHASE_UP && !READ_ONCE(other->removing))
			continue;
		if (other->data_device == volume->data_device || other->meta_device == volume->data_device ||
		    (volume->meta_device &&
		     (other->data_device == volume->meta_device || other->meta_device == volume->meta_device)))
			free = false;
	}
	if (free)
		list_add_tail(&volume->claim, &bn->claims);
	spin_unlock(&bn->claims_lock);
	return free;
}

static void unclaim(struct braid_volume *volume)
{
	spin_lock(&volume->bn->claims_lock);
	list_del(&volume->claim);
	spin_unlock(&volume->bn->claims_lock);
}

/* From ATTACHING to @phase, GIVEN_UP or UP; false: the other of the two came first. */
static bool leave_attaching(struct braid_volume *volume, enum braid_phase phase)
{
	bool left;

	spin_lock(&volume->bn->claims_lock);
	left = volume->phase == BRAID_PHASE_ATTACHING;
	if (left)
		volume->phase = phase;
	spin_unlock(&volume->bn->claims_lock);
	return left;
}

bool braid_volume_attaching(struct braid_net *bn, u64 id, const char *name)
{
	struct braid_volume *volume;
	bool found = false;

	spin_lock(&bn->claims_lock);
	list_for_each_entry(volume, &bn->claims, claim)
		if (volume->phase == BRAID_PHASE_ATTACHING &&
		    (!name || (id ? volume->id == id : !strcmp(volume->name, name))))
			found = true;
	spin_unlock(&bn->claims_lock);
	return found;
}

/* ---- disks ---- */

static enum braid_error disk_open(struct braid_disk **place, dev_t device)
{
	struct braid_disk *disk = braid_disk_open(device, place);

	if (IS_ERR(disk))
		return PTR_ERR(disk) == -ENOMEM ? BRAID_ERROR_MEMORY : BRAID_ERROR_OPEN_DISK;
	*place = disk;
	return bdev_read_only(disk->bdev) ? BRAID_ERROR_OPEN_DISK : BRAID_OK;
}

/* Two holders: one device cannot be both unless it is internal metadata. */
static enum braid_error disks_open(struct braid_volume *volume)
{
	enum braid_error error = disk_open(&volume->data, volume->data_device);

	if (!error && volume->meta_device)
		error = disk_open(&volume->meta, volume->meta_device);
	else if (!error)
		volume->meta = volume->data;
	return error;
}

void braid_volume_disks_close(struct braid_volume *volume)
{
	struct braid_disk *data, *meta;

	spin_lock_irq(&volume->lock);
	data = volume->data;
	meta = volume->meta;
	volume->data = NULL;
	volume->meta = NULL;
	spin_unlock_irq(&volume->lock);
	if (meta != data)
		braid_disk_close(meta);
	braid_disk_close(data);
	unclaim(volume);
}

/* ---- parts ---- */

static enum braid_error parts_create(struct braid_volume *volume)
{
	if (braid_engine_init(volume))
		return BRAID_ERROR_MEMORY;
	if (braid_meta_init(volume))
		goto undo_engine;
	if (braid_io_init(volume))
		goto undo_meta;
	if (braid_apply_init(volume))
		goto undo_io;
	if (braid_sync_init(volume))
		goto undo_apply;
	return BRAID_OK;

undo_apply:
	braid_apply_free(volume);
undo_io:
	braid_io_free(volume);
undo_meta:
	braid_meta_free(volume);
undo_engine:
	braid_engine_free(volume);
	return BRAID_ERROR_MEMORY;
}

void braid_volume_parts_free(struct braid_volume *volume)
{
	braid_engine_stop(volume);
	braid_sync_free(volume);
	/* A log commit tells both halves of the data path, so it ends before they do. */
	braid_meta_stop(volume);
	braid_apply_free(volume);
	braid_io_free(volume);
	braid_meta_free(volume);
	braid_engine_free(volume);
}

/* ---- the ladder ---- */

/* Is it ours, and is it all there? [G10] */
static enum braid_error super_check(const struct attach *attach, const struct ondisk_super *super)
{
	struct braid_volume *volume = attach->volume;

	if (super->node_id != attach->node_id || memcmp(super->cluster_id, attach->cluster_id, UUID_BYTES))
		return BRAID_ERROR_OTHER_NODE;
	if ((volume->meta_device != 0) != !!(super->flags & ONDISK_SEPARATE))
		return BRAID_ERROR_BAD_METADATA;
	if (!ondisk_layout(super->volume_bytes, super->granule_bytes, &volume->layout))
		return BRAID_ERROR_BAD_METADATA;
	if (bdev_nr_bytes(volume->data->bdev) < super->data_offset_bytes + super->volume_bytes ||
	    bdev_nr_bytes(volume->meta->bdev) < volume->layout.end)
		return BRAID_ERROR_DISK_SIZE;
	/* What users may write has to fit every replica's disk, so it is the volume's and not the disk's. */
	if (bdev_logical_block_size(volume->data->bdev) > VOLUME_SECTOR_BYTES << super->block_shift)
		return BRAID_ERROR_BLOCK_SIZE;
	return BRAID_OK;
}

/* Id and name, of a volume that is there, or of one on its way. bn->lock held. */
static enum braid_error check_taken(struct braid_net *bn, u64 id, const char *name)
{
	struct braid_volume *other;
	bool coming = false;

	spin_lock(&bn->claims_lock);
	list_for_each_entry(other, &bn->claims, claim)
		if (other->phase != BRAID_PHASE_UP && (other->id == id || !strcmp(other->name, name)))
			coming = true;
	spin_unlock(&bn->claims_lock);
	if (coming)
		return (enum braid_error)VOLUME_REFUSED_BUSY;
	other = braid_volume_find(bn, id);
	if (!other)
		other = braid_volume_find_name(bn, name);
	if (!other)
		return BRAID_OK;
	braid_volume_put(other);
	return BRAID_ERROR_EXISTS;
}

static enum braid_error take_name(struct attach *attach, const struct ondisk_super *super)
{
	struct braid_volume *volume = attach->volume;
	struct braid_net *bn = volume->bn;
	enum braid_error error = BRAID_ERROR_NOT_CONFIGURED;

	mutex_lock(&bn->lock);
	if (is_same_node(attach, bn))
		error = check_taken(bn, super->volume_id, super->name);
	if (!error) {
		spin_lock(&bn->claims_lock);
		volume->id = super->volume_id;
		strscpy(volume->name, super->name, sizeof(volume->name));
		spin_unlock(&bn->claims_lock);
	}
	mutex_unlock(&bn->lock);
	return error;
}

/* What the log named becomes dirty bits for good; then the log is emptied. The order is that of the head comment. */
static enum braid_error metadata_begin(const struct attach *attach)
{
	struct braid_volume *volume = attach->volume;
	enum braid_error error = braid_meta_load(volume);

	if (error)
		return error;
	if (READ_ONCE(volume->phase) == BRAID_PHASE_GIVEN_UP)
		return BRAID_ERROR_TIMEOUT;
	spin_lock_irq(&volume->lock);
	volume->core.super.flags |= ONDISK_ATTACHED;
	volume->core.super.attach_count++;
	memcpy(volume->core.super.node_instance, attach->instance, UUID_BYTES);
	spin_unlock_irq(&volume->lock);
	if (braid_meta_save_maps(volume) || braid_meta_flush_data(volume) || braid_meta_write_super(volume) ||
	    braid_meta_empty_log(volume))
		return BRAID_ERROR_DISK_IO;
	return BRAID_OK;
}

/* From opened disks to all but the last rungs. The parts exist when there is no error. */
static enum braid_error build(struct attach *attach)
{
	struct braid_volume *volume = attach->volume;
	struct ondisk_super *super = kzalloc(sizeof(*super), GFP_KERNEL);
	enum braid_error error;

	if (!super)
		return BRAID_ERROR_MEMORY;
	error = braid_meta_read_super(volume->meta, super);
	if (!error)
		error = super_check(attach, super);
	if (!error)
		error = take_name(attach, super);
	if (!error)
		error = braid_memory_create(volume, super);
	kfree(super);
	if (error)
		return error;
	error = parts_create(volume);
	if (error)
		return error;
	error = metadata_begin(attach);
	if (error)
		braid_volume_parts_free(volume);
	return error;
}

/* The last rungs. */
static enum braid_error go_online(struct attach *attach)
{
	struct braid_volume *volume = attach->volume;
	struct braid_net *bn = volume->bn;
	enum braid_error error = BRAID_OK;

	mutex_lock(&bn->lock);
	if (!is_same_node(attach, bn))
		error = BRAID_ERROR_NOT_CONFIGURED;
	else if (!leave_attaching(volume, BRAID_PHASE_UP))
		error = BRAID_ERROR_TIMEOUT;
	else
		error = braid_volume_gendisk_create(volume);
	if (!error) {
		/* In this order: as soon as it can be found it can go down. */
		braid_debugfs_add(volume);
		braid_dispatch_add(volume);
	}
	mutex_unlock(&bn->lock);
	return error;
}

static void attach_work(struct work_struct *work)
{
	struct attach *attach = container_of(work, struct attach, work);
	struct braid_volume *volume = attach->volume;
	enum braid_error error = disks_open(volume);

	if (!error)
		error = build(attach);
	if (!error) {
		error = go_online(attach);
		if (error)
			braid_volume_parts_free(volume);
	}
	attach->error = error;
	if (error) {
		braid_volume_disks_close(volume);
		braid_volume_free_minor(volume);
		braid_volume_put(volume);
	}
	complete_all(&attach->ended);
	attach_put(attach);
}

/* ---- the command ---- */

static enum braid_error begin(struct braid_net *bn, dev_t data, dev_t meta, struct attach **result)
{
	struct attach *attach;
	enum braid_error error;

	lockdep_assert_held(&bn->lock);
	if (!bn->configured || bn->dying)
		return BRAID_ERROR_NOT_CONFIGURED;
	attach = kzalloc(sizeof(*attach), GFP_KERNEL);
	if (!attach)
		return BRAID_ERROR_MEMORY;
	error = braid_volume_alloc(bn, &attach->volume);
	if (error) {
		kfree(attach);
		return error;
	}
	attach->volume->data_device = data;
	attach->volume->meta_device = meta;
	if (!claim(attach->volume)) {
		braid_volume_free_minor(attach->volume);
		braid_volume_put(attach->volume);
		kfree(attach);
		return BRAID_ERROR_DISK_BUSY;
	}
	braid_volume_get(attach->volume);
	refcount_set(&attach->references, 2);
	INIT_WORK(&attach->work, attach_work);
	init_completion(&attach->ended);
	attach->starts = bn->starts;
	attach->node_id = bn->identity.node_id;
	memcpy(attach->cluster_id, bn->identity.cluster_id, UUID_BYTES);
	memcpy(attach->instance, bn->identity.instance, UUID_BYTES);
	*result = attach;
	return BRAID_OK;
}

/* Until it is done, or the command does not wait any longer. */
static enum braid_error wait_ended(struct attach *attach, const char *path, u32 timeout_ms)
{
	long left = wait_for_completion_killable_timeout(&attach->ended, msecs_to_jiffies(timeout_ms));

	if (left <= 0 && leave_attaching(attach->volume, BRAID_PHASE_GIVEN_UP)) {
		pr_warn("braid: %s: the attach was given up; the disk is released as soon as it has answered\n", path);
		return left ? BRAID_ERROR_INTERRUPTED : BRAID_ERROR_TIMEOUT;
	}
	/* No disk is waited for any more. */
	wait_for_completion(&attach->ended);
	return attach->error;
}

/* @path NULL: 0. Not under a lock: the filesystem of the path may not answer either. */
static enum braid_error find_device(const char *path, dev_t *device)
{
	int error = 0;

	*device = 0;
	if (path)
		error = lookup_bdev(path, device);
	return error == -ENOMEM ? BRAID_ERROR_MEMORY : error ? BRAID_ERROR_OPEN_DISK : BRAID_OK;
}

enum braid_error braid_volume_attach(struct braid_net *bn, const struct braid_attach *disks, u32 timeout_ms,
				     struct braid_volume **volume)
{
	struct attach *attach;
	enum braid_error error;
	dev_t data, meta;

	error = find_device(disks->data_path, &data);
	if (!error)
		error = find_device(disks->meta_path, &meta);
	if (error)
		return error;
	if (mutex_lock_killable(&bn->lock))
		return BRAID_ERROR_INTERRUPTED;
	error = begin(bn, data, meta, &attach);
	mutex_unlock(&bn->lock);
	if (error)
		return error;
	queue_work(attach_workqueue, &attach->work);
	error = wait_ended(attach, disks->data_path, timeout_ms);
	*volume = attach->volume;
	if (error)
		braid_volume_put(attach->volume);
	attach_put(attach);
	return error;
}

/* ---- module ---- */

int braid_attach_init(void)
{
	attach_workqueue = alloc_workqueue("braid-attach", WQ_UNBOUND, WQ_MAX_ACTIVE);
	return attach_workqueue ? 0 : -ENOMEM;
}

void braid_attach_exit(void)
{
	destroy_workqueue(attach_workqueue);
}
