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
 *   the command      begins under bn->lock, opens the disks in its own mount namespace and queues the work; then it waits.
 *   attach_work      reads and writes the disks. It takes bn->lock for two moments that wait for no disk: to take id and name,
 *                    before anything is written, so that two copies of one disk cannot both be attached; and for the last rung.
 *
 * The two agree by attach->state, which only once leaves WAITED: for GIVEN_UP by the command, or for ENDING by the work. Who was given
 * up does not go online: when its disk has answered the work undoes what it built. What it wrote is what a crash just after the
 * attach leaves. Until then the disks stay claimed, bn->attaching says so, and the volume holds the module.
 *
 * The node may be stopped meanwhile, and started with another identity: the work compares bn->starts under bn->lock.
 */
#include <linux/blkdev.h>
#include <linux/slab.h>
#include "device_internal.h"
#include "netlink.h"

enum attach_state {
	ATTACH_WAITED,		/* the command waits */
	ATTACH_GIVEN_UP,	/* it does not any more */
	ATTACH_ENDING,		/* no disk is waited for any more: the command waits until it is told how it ended */
};

struct attach {
	struct list_head entry;		/* bn->attaching; under bn->lock */
	refcount_t references;		/* the command and the work */
	struct work_struct work;
	struct braid_volume *volume;	/* at the end, without error, with a reference for the command */
	bool separate;			/* metadata on a disk of its own */
	u32 starts;			/* bn->starts when it began; the identity was: */
	u8 node_id;
	u8 cluster_id[UUID_BYTES];
	u8 instance[UUID_BYTES];
	atomic_t state;			/* enum attach_state */
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

/* ---- disks ---- */

/* Published only when it is open: is_attaching() looks. */
static bool disk_open(struct braid_disk **place, const char *path)
{
	struct braid_disk *disk = braid_disk_open(path, place);

	if (IS_ERR(disk))
		return false;
	smp_store_release(place, disk);
	return true;
}

/* Two holders: one device cannot be both unless it is internal metadata. */
static enum braid_error disks_open(struct braid_volume *volume, const struct braid_attach *disks)
{
	if (!disk_open(&volume->data, disks->data_path))
		return BRAID_ERROR_OPEN_DISK;
	if (!disks->meta_path)
		volume->meta = volume->data;
	else if (!disk_open(&volume->meta, disks->meta_path))
		return BRAID_ERROR_OPEN_DISK;
	return BRAID_OK;
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
	if (attach->separate != !!(super->flags & ONDISK_SEPARATE))
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

/* Of a volume that is there, or of one on its way. bn->lock held. */
static bool is_taken(struct braid_net *bn, u64 id, const char *name)
{
	struct braid_volume *other;
	struct attach *attach;

	list_for_each_entry(attach, &bn->attaching, entry)
		if (attach->volume->id == id || !strcmp(attach->volume->name, name))
			return true;
	other = braid_volume_find(bn, id);
	if (!other)
		other = braid_volume_find_name(bn, name);
	if (other)
		braid_volume_put(other);
	return other != NULL;
}

static enum braid_error take_name(struct attach *attach, const struct ondisk_super *super)
{
	struct braid_volume *volume = attach->volume;
	struct braid_net *bn = volume->bn;
	enum braid_error error = BRAID_OK;

	mutex_lock(&bn->lock);
	if (!is_same_node(attach, bn)) {
		error = BRAID_ERROR_NOT_CONFIGURED;
	} else if (is_taken(bn, super->volume_id, super->name)) {
		error = BRAID_ERROR_EXISTS;
	} else {
		volume->id = super->volume_id;
		strscpy(volume->name, super->name, sizeof(volume->name));
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

/* The last rungs; bn->lock held. */
static enum braid_error go_online(struct attach *attach)
{
	struct braid_volume *volume = attach->volume;
	enum braid_error error;

	if (!is_same_node(attach, volume->bn))
		return BRAID_ERROR_NOT_CONFIGURED;
	if (atomic_cmpxchg(&attach->state, ATTACH_WAITED, ATTACH_ENDING) != ATTACH_WAITED)
		return BRAID_ERROR_TIMEOUT;
	error = braid_volume_gendisk_create(volume);
	if (error)
		return error;
	/* In this order: as soon as it can be found it can go down. */
	braid_volume_get(volume);
	braid_debugfs_add(volume);
	braid_dispatch_add(volume);
	return BRAID_OK;
}

static void attach_work(struct work_struct *work)
{
	struct attach *attach = container_of(work, struct attach, work);
	struct braid_volume *volume = attach->volume;
	struct braid_net *bn = volume->bn;
	enum braid_error error = attach->error;
	bool built = false;

	if (!error) {
		error = build(attach);
		built = !error;
	}
	mutex_lock(&bn->lock);
	if (!error)
		error = go_online(attach);
	list_del(&attach->entry);
	mutex_unlock(&bn->lock);
	if (error) {
		if (built)
			braid_volume_parts_free(volume);
		braid_volume_disks_close(volume);
		braid_volume_free_minor(volume);
		braid_volume_put(volume);
	}
	attach->error = error;
	complete_all(&attach->ended);
	attach_put(attach);
}

/* ---- the command ---- */

static enum braid_error begin(struct braid_net *bn, struct attach **result)
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
	refcount_set(&attach->references, 2);
	INIT_WORK(&attach->work, attach_work);
	init_completion(&attach->ended);
	attach->starts = bn->starts;
	attach->node_id = bn->identity.node_id;
	memcpy(attach->cluster_id, bn->identity.cluster_id, UUID_BYTES);
	memcpy(attach->instance, bn->identity.instance, UUID_BYTES);
	list_add_tail(&attach->entry, &bn->attaching);
	*result = attach;
	return BRAID_OK;
}

/* Does an attach under way, perhaps one that was given up, have this disk? bn->lock held. */
static bool is_attaching(struct braid_net *bn, dev_t device)
{
	const struct braid_disk *data, *meta;
	struct attach *attach;

	list_for_each_entry(attach, &bn->attaching, entry) {
		/* They are closed after the entry was taken out. */
		data = smp_load_acquire(&attach->volume->data);
		meta = smp_load_acquire(&attach->volume->meta);
		if ((data && data->bdev->bd_dev == device) || (meta && meta->bdev->bd_dev == device))
			return true;
	}
	return false;
}

/* 0: there is none; the open will say so. Not under a lock: the filesystem of the path may not answer either. */
static dev_t device_of(const char *path)
{
	dev_t device;

	return path && !lookup_bdev(path, &device) ? device : 0;
}

/* Until it is done, or the command does not wait any longer: then nobody may look at the volume. */
static enum braid_error wait_ended(struct attach *attach, const char *path, u32 timeout_ms)
{
	long left = wait_for_completion_killable_timeout(&attach->ended, msecs_to_jiffies(timeout_ms));

	if (left <= 0 && atomic_cmpxchg(&attach->state, ATTACH_WAITED, ATTACH_GIVEN_UP) == ATTACH_WAITED) {
		pr_warn("braid: %s: the attach was given up; the disk is released as soon as it has answered\n", path);
		return left ? BRAID_ERROR_INTERRUPTED : BRAID_ERROR_TIMEOUT;
	}
	wait_for_completion(&attach->ended);
	return attach->error;
}

enum braid_error braid_volume_attach(struct braid_net *bn, const struct braid_attach *disks, u32 timeout_ms,
				     struct braid_volume **volume)
{
	dev_t data = device_of(disks->data_path), meta = device_of(disks->meta_path);
	struct attach *attach;
	enum braid_error error;

	if (mutex_lock_killable(&bn->lock))
		return BRAID_ERROR_INTERRUPTED;
	if (is_attaching(bn, data) || is_attaching(bn, meta))
		error = BRAID_ERROR_ATTACHING;
	else
		error = begin(bn, &attach);
	mutex_unlock(&bn->lock);
	if (error)
		return error;
	attach->separate = disks->meta_path != NULL;
	attach->error = disks_open(attach->volume, disks);
	queue_work(attach_workqueue, &attach->work);
	error = wait_ended(attach, disks->data_path, timeout_ms);
	if (!error)
		*volume = attach->volume;
	attach_put(attach);
	return error;
}

bool braid_volume_attach_waited(struct braid_net *bn)
{
	struct attach *attach;

	lockdep_assert_held(&bn->lock);
	list_for_each_entry(attach, &bn->attaching, entry)
		if (atomic_read(&attach->state) != ATTACH_GIVEN_UP)
			return true;
	return false;
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
