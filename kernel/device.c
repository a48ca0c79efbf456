// SPDX-License-Identifier: GPL-2.0
/*
 * The block device of a volume: references, the gendisk, detach. How it comes into being: attach.c.
 *
 * Detach has two parts. The first ends in bounded time whatever the disk does: no opener or failed I/O, the gendisk gone,
 * names free. The second (close_work) waits for the disk to give back every request, then tears down from the top: steps,
 * data path, metadata, disks. With a disk that hangs it lives on by itself and holds the module [L1] [L3]. Of commands that take
 * one volume down at the same time the one that sets `removing` does it, the others wait for the end with it. bn->lock is not
 * needed: who holds command_lock and has seen that the volume is not removed may use it, the teardown begins after that.
 *
 * References of a volume: the list until detach ends, each opener, each lookup. The gendisk holds none; it is put with the
 * volume's memory, and its private_data is used only between open and release.
 *
 * The device can be opened only where the volume is primary: else -EROFS for writing and -EMEDIUMTYPE for reading, since
 * the content of a secondary changes under a reader's page cache.
 */
#include <linux/blkdev.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "device_internal.h"
#include "netlink.h"

enum {
	MINORS_MAX = 0x8000,		/* fits a request id */
	EXIT_TIMEOUT_MS = 5000,
	CLOSE_WAIT_MS = 60000,		/* one turn of a wait that has no end of its own */
};

static DEFINE_IDA(minors);
static struct workqueue_struct *close_workqueue;

/* ---- references ---- */

/* After a grace period, in process context. */
static void volume_free_work(struct work_struct *work)
{
	struct braid_volume *volume = container_of(to_rcu_work(work), struct braid_volume, free_work);

	if (volume->gendisk)
		put_disk(volume->gendisk);
	braid_memory_free(volume);
	braid_net_put(volume->bn);
	free_percpu(volume->passes);
	vfree(volume);
	module_put(THIS_MODULE);
}

static void volume_release(struct kref *references)
{
	struct braid_volume *volume = container_of(references, struct braid_volume, references);

	queue_rcu_work(close_workqueue, &volume->free_work);
}

void braid_volume_get(struct braid_volume *volume)
{
	kref_get(&volume->references);
}

void braid_volume_put(struct braid_volume *volume)
{
	kref_put(&volume->references, volume_release);
}

static void close_work(struct work_struct *work);

static struct braid_volume *volume_new(struct braid_net *bn, u32 minor)
{
	/* kmalloc() would make it 64 KiB. The refusal says it when there is no memory. */
	struct braid_volume *volume = __vmalloc(sizeof(*volume), GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN);

	if (!volume)
		return NULL;
	volume->passes = alloc_percpu(struct braid_passes);
	if (!volume->passes) {
		vfree(volume);
		return NULL;
	}
	__module_get(THIS_MODULE);
	refcount_inc(&bn->references);
	volume->bn = bn;
	volume->minor = minor;
	kref_init(&volume->references);
	mutex_init(&volume->command_lock);
	spin_lock_init(&volume->lock);
	INIT_RCU_WORK(&volume->free_work, volume_free_work);
	INIT_WORK(&volume->close_work, close_work);
	init_completion(&volume->closed);
	return volume;
}

enum braid_error braid_volume_alloc(struct braid_net *bn, struct braid_volume **result)
{
	int minor = ida_alloc_max(&minors, MINORS_MAX - 1, GFP_KERNEL);

	if (minor < 0)
		return minor == -ENOSPC ? BRAID_ERROR_LIMIT : BRAID_ERROR_MEMORY;
	*result = volume_new(bn, minor);
	if (*result)
		return BRAID_OK;
	ida_free(&minors, minor);
	return BRAID_ERROR_MEMORY;
}

void braid_volume_free_minor(struct braid_volume *volume)
{
	ida_free(&minors, volume->minor);
}

/* ---- commands ---- */

/* No mutex can be waited for until a time. */
int braid_command_lock(struct braid_volume *volume, u32 *timeout_ms)
{
	long left = wait_event_killable_timeout(volume->changed, mutex_trylock(&volume->command_lock),
						msecs_to_jiffies(*timeout_ms));

	if (left <= 0)
		return left ? -EINTR : -ETIMEDOUT;
	*timeout_ms = max(1u, jiffies_to_msecs(left));
	return 0;
}

void braid_command_unlock(struct braid_volume *volume)
{
	mutex_unlock(&volume->command_lock);
	wake_up_all(&volume->changed);
}

/* ---- gendisk ---- */

static int volume_disk_open(struct gendisk *disk, bool write)
{
	struct braid_volume *volume = disk->private_data;
	int error = 0;

	spin_lock_irq(&volume->lock);
	if (volume->removing) {
		error = -ENXIO;
	} else if (volume->demoting || volume->core.role != VOLUME_PRIMARY) {
		error = write ? -EROFS : -EMEDIUMTYPE;
	} else {
		braid_volume_get(volume);
		volume->openers++;
		volume->writers += write;
	}
	spin_unlock_irq(&volume->lock);
	return error;
}

/* Kernels do not say any more how it had been opened: writers is exact while all openers write, else an upper bound. */
static void volume_disk_release(struct gendisk *disk)
{
	struct braid_volume *volume = disk->private_data;

	spin_lock_irq(&volume->lock);
	volume->openers--;
	volume->writers = min(volume->writers, volume->openers);
	spin_unlock_irq(&volume->lock);
	wake_up_all(&volume->changed);
	braid_volume_put(volume);
}

BRAID_DISK_ENTRIES(volume_disk)

static void volume_submit_bio(struct bio *bio)
{
	braid_io_submit(bio->bi_bdev->bd_disk->private_data, bio);
}

static const struct block_device_operations volume_operations = {
	.owner = THIS_MODULE,
	.open = volume_disk_open_entry,
	.release = volume_disk_release_entry,
	.submit_bio = volume_submit_bio,
};

enum braid_error braid_volume_gendisk_create(struct braid_volume *volume)
{
	struct block_device *backing = volume->data->bdev;
	struct braid_disk_limits limits = {
		.logical_block_bytes = VOLUME_SECTOR_BYTES << volume->core.super.block_shift,
		.physical_block_bytes = max_t(unsigned int, VOLUME_BLOCK_BYTES, bdev_physical_block_size(backing)),
		.io_sectors_max = IO_BYTES_MAX >> SECTOR_SHIFT,
		/* What fits one frame, and two regions of the activity log. */
		.zeroes_sectors_max = IO_BYTES_MAX >> SECTOR_SHIFT,
	};
	struct gendisk *disk;

	volume->trusts = volume->core.super.compat & ONDISK_COMPAT_TRUST;
	limits.stable_writes = volume->trusts;
	/* [W8] Executed as zeroes: a disk that can only write these would fill up by discards, where it can give back nothing. */
	if (bdev_max_discard_sectors(backing) && bdev_write_zeroes_sectors(backing)) {
		limits.discard_sectors_max = IO_BYTES_MAX >> SECTOR_SHIFT;
		limits.discard_granularity_bytes = VOLUME_BLOCK_BYTES;
	}
	disk = braid_gendisk_alloc(&limits);
	if (IS_ERR(disk))
		return BRAID_ERROR_MEMORY;
	disk->fops = &volume_operations;
	disk->flags |= GENHD_FL_NO_PART;
	disk->private_data = volume;
	snprintf(disk->disk_name, sizeof(disk->disk_name), "braid%u", volume->minor);
	set_capacity(disk, volume->core.super.volume_bytes >> SECTOR_SHIFT);
	if (add_disk(disk)) {
		put_disk(disk);
		return BRAID_ERROR_MEMORY;
	}
	volume->gendisk = disk;
	return BRAID_OK;
}

/* False, and nothing is changed: somebody has it open. */
static bool trust_begins(struct braid_volume *volume, bool trusts)
{
	struct ondisk_super *super = &volume->core.super;
	bool may;

	spin_lock_irq(&volume->lock);
	may = !trusts || !volume->openers;
	if (may) {
		volume->trusts = trusts;
		super->compat = trusts ? super->compat | ONDISK_COMPAT_TRUST : super->compat & ~ONDISK_COMPAT_TRUST;
	}
	spin_unlock_irq(&volume->lock);
	return may;
}

enum braid_error braid_volume_set_trust(struct braid_volume *volume, bool trusts, u32 timeout_ms)
{
	bool before = volume->trusts;
	enum braid_error error = BRAID_OK;

	/* Pages are stable from before the first one that is not copied until after the last. */
	if (trusts)
		braid_gendisk_set_stable_writes(volume->gendisk, true);
	if (!trust_begins(volume, trusts))
		error = BRAID_ERROR_IN_USE;
	else if (braid_meta_save_super_wait(volume, timeout_ms))
		error = BRAID_ERROR_DISK_IO;
	if (error && trusts && !before)
		trust_begins(volume, false);
	if (!volume->trusts)
		braid_gendisk_set_stable_writes(volume->gendisk, false);
	return error;
}

/* ---- detach ---- */

/* The disk gives back what it has, however long it takes: the wait's owner is close_work, status shows no volume any more. */
static void data_path_drain(struct braid_volume *volume)
{
	while (braid_io_wait_idle(volume, CLOSE_WAIT_MS))
		pr_warn("braid: %s: waiting for requests of the detached volume\n", volume->name);
	while (braid_apply_wait_idle(volume, CLOSE_WAIT_MS))
		pr_warn("braid: %s: the disk still owes answers to peers' requests\n", volume->name);
}

/* Peers were told; nothing is in flight: the log may say so, and the superblock too. */
static void metadata_end(struct braid_volume *volume)
{
	if (!volume->clean || volume->disk_failed_posted)
		return;
	if (braid_meta_log_reset_wait(volume, 0, CLOSE_WAIT_MS))
		return;
	spin_lock_irq(&volume->lock);
	volume->core.super.flags &= ~ONDISK_ATTACHED;
	spin_unlock_irq(&volume->lock);
	braid_meta_save_super_wait(volume, CLOSE_WAIT_MS);
}

static void close_work(struct work_struct *work)
{
	struct braid_volume *volume = container_of(work, struct braid_volume, close_work);

	/* Frames that had found the volume before it was removed still use what is freed below. */
	braid_dispatch_drain(volume);
	braid_engine_post_simple(volume, VOLUME_EVENT_GOING_DOWN, NODE_NONE);
	braid_engine_flush(volume);
	/* No user is left; what runs are rounds of our own. */
	braid_io_fail_all(volume);
	data_path_drain(volume);
	metadata_end(volume);
	braid_volume_parts_free(volume);
	braid_volume_disks_close(volume);
	complete_all(&volume->closed);
	braid_volume_put(volume);
}

static u32 left_ms(u64 deadline)
{
	u64 now = get_jiffies_64();

	return time_before64(now, deadline) ? max(1u, jiffies_to_msecs(deadline - now)) : 1;
}

/*
 * Nobody uses it, and a primary has become a secondary in order: then @*ours, unless another command takes it down. With @force a
 * command under way is not waited for: its own timeout may be long.
 */
static enum braid_error quiet_down(struct braid_volume *volume, bool force, u32 timeout_ms, bool *ours)
{
	enum braid_error error = BRAID_OK;
	int locked = 0;

	if (force && !mutex_trylock(&volume->command_lock))
		return BRAID_ERROR_IN_USE;
	if (!force)
		locked = braid_command_lock(volume, &timeout_ms);
	if (locked)
		return locked == -EINTR ? BRAID_ERROR_INTERRUPTED : BRAID_ERROR_TIMEOUT;
	if (!READ_ONCE(volume->removing) && READ_ONCE(volume->core.role) == VOLUME_PRIMARY)
		error = braid_volume_demote(volume, timeout_ms);
	spin_lock_irq(&volume->lock);
	if (volume->removing)
		error = BRAID_OK;
	else if (!error && volume->openers)
		error = BRAID_ERROR_IN_USE;
	else if (!error)
		*ours = volume->removing = true;
	spin_unlock_irq(&volume->lock);
	braid_command_unlock(volume);
	return error;
}

/*
 * With force: what waits fails. A primary's log stays as it is on disk: after the next attach it stands for the difference.
 * False: another command takes it down.
 */
static bool forced_down(struct braid_volume *volume)
{
	bool ours;

	spin_lock_irq(&volume->lock);
	ours = !volume->removing;
	volume->removing = true;
	spin_unlock_irq(&volume->lock);
	if (!ours)
		return false;
	wake_up_all(&volume->changed);
	braid_io_fail_all(volume);
	/* The command under way, if any, sees removing. */
	mutex_lock(&volume->command_lock);
	braid_command_unlock(volume);
	return true;
}

/* It is nobody's any more: out of sight, and closed as soon as its disk allows it. */
static void remove_volume(struct braid_volume *volume)
{
	volume->clean = READ_ONCE(volume->core.role) != VOLUME_PRIMARY;
	braid_debugfs_remove(volume);
	braid_dispatch_remove(volume);
	/* Waits for nothing but submissions under way; the page cache's last writes fail when the volume was forced. */
	del_gendisk(volume->gendisk);
	braid_volume_free_minor(volume);
	queue_work(close_workqueue, &volume->close_work);
}

enum braid_error braid_volume_down(struct braid_volume *volume, bool force, u32 timeout_ms)
{
	u64 deadline = get_jiffies_64() + msecs_to_jiffies(timeout_ms);
	bool used = READ_ONCE(volume->openers) || mutex_is_locked(&volume->command_lock);
	enum braid_error error = BRAID_OK;
	bool ours = false;
	long left;

	if (!force || !used)
		error = quiet_down(volume, force, force ? timeout_ms / 2 : timeout_ms, &ours);
	if (error && !force)
		return error;
	if (force && (used || error))
		ours = forced_down(volume);
	if (ours)
		remove_volume(volume);
	left = wait_for_completion_killable_timeout(&volume->closed, msecs_to_jiffies(left_ms(deadline)));
	if (left > 0)
		return BRAID_OK;
	if (ours)
		pr_warn("braid: %s: is down; its disk has not answered every request and is closed as soon as it has\n",
			volume->name);
	return left ? BRAID_ERROR_INTERRUPTED : BRAID_ERROR_TIMEOUT;
}

void braid_volumes_exit_net(struct braid_net *bn)
{
	struct braid_volume *volume;

	while ((volume = braid_volume_next(bn, 0))) {
		braid_volume_down(volume, true, EXIT_TIMEOUT_MS);
		braid_volume_put(volume);
	}
}

/* ---- module ---- */

int braid_devices_init(void)
{
	if (braid_memory_init())
		return -ENOMEM;
	if (braid_passes_init())
		goto no_passes;
	if (braid_attach_init())
		goto no_attach;
	close_workqueue = alloc_workqueue("braid-close", WQ_UNBOUND, 0);
	if (close_workqueue)
		return 0;
	braid_attach_exit();
no_attach:
	braid_passes_exit();
no_passes:
	braid_memory_exit();
	return -ENOMEM;
}

void braid_devices_exit(void)
{
	braid_attach_exit();
	rcu_barrier();
	destroy_workqueue(close_workqueue);
	braid_passes_exit();
	braid_memory_exit();
	ida_destroy(&minors);
}
