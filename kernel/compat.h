/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only file that names kernel versions. Every difference between the kernels that braid builds for has one
 * wrapper here, under a name of our own; nothing of the kernel is redefined. Each section says since when the
 * kernel differs, so that it can go when the older kernel goes. Oldest kernel: 6.1.
 */
#ifndef BRAID_COMPAT_H
#define BRAID_COMPAT_H

#include <linux/blkdev.h>
#include <linux/bvec.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/net.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <linux/hrtimer.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <net/sock.h>

/* ---- exclusively opened block devices: struct file since 6.9, mode flags renamed in 6.5 ---- */

struct braid_disk {
	struct block_device *bdev;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	struct file *file;
#endif
};

/*
 * Open for reading and writing, exclusively for @holder. ERR_PTR on failure, -EACCES for a disk that is read-only. Sleeps, for as long as
 * the disk's driver wants.
 */
static inline struct braid_disk *braid_disk_open(dev_t device, void *holder)
{
	struct braid_disk *disk = kzalloc(sizeof(*disk), GFP_KERNEL);
	long error;

	if (!disk)
		return ERR_PTR(-ENOMEM);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	disk->file = bdev_file_open_by_dev(device, BLK_OPEN_READ | BLK_OPEN_WRITE, holder, NULL);
	error = PTR_ERR_OR_ZERO(disk->file);
	if (!error)
		disk->bdev = file_bdev(disk->file);
#else
	disk->bdev = blkdev_get_by_dev(device, FMODE_READ | FMODE_WRITE | FMODE_EXCL, holder);
	error = PTR_ERR_OR_ZERO(disk->bdev);
#endif
	if (error) {
		kfree(disk);
		return ERR_PTR(error);
	}
	return disk;
}

/* Close; NULL is allowed. Sleeps; in a work or kernel thread. The disk is nobody's when it returns. */
static inline void braid_disk_close(struct braid_disk *disk)
{
	if (!disk)
		return;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	__fput_sync(disk->file);	/* fput() of a kernel thread closes some time later */
#else
	blkdev_put(disk->bdev, FMODE_READ | FMODE_WRITE | FMODE_EXCL);
#endif
	kfree(disk);
}

/* ---- a bio driver's disk: limits are given at allocation since 6.9, features are among them since 6.11 ---- */

struct braid_disk_limits {
	unsigned int logical_block_bytes;
	unsigned int physical_block_bytes;
	unsigned int io_sectors_max;
	unsigned int discard_sectors_max;	/* 0: no discard */
	unsigned int discard_granularity_bytes;
	unsigned int zeroes_sectors_max;
	bool stable_writes;			/* pages must not change while they are written */
};

/* Disk with a volatile write cache, FUA and I/O statistics. ERR_PTR on failure. Sleeps. */
static inline struct gendisk *braid_gendisk_alloc(const struct braid_disk_limits *wanted)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	struct queue_limits limits = {
		.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA | BLK_FEAT_IO_STAT,
		.logical_block_size = wanted->logical_block_bytes,
		.physical_block_size = wanted->physical_block_bytes,
		.io_min = wanted->physical_block_bytes,
		.max_hw_sectors = wanted->io_sectors_max,
		.max_segments = USHRT_MAX,
		.max_hw_discard_sectors = wanted->discard_sectors_max,
		.discard_granularity = wanted->discard_granularity_bytes,
		.max_write_zeroes_sectors = wanted->zeroes_sectors_max,
	};

	if (wanted->stable_writes)
		limits.features |= BLK_FEAT_STABLE_WRITES;
	return blk_alloc_disk(&limits, NUMA_NO_NODE);
#else
	struct gendisk *disk = blk_alloc_disk(NUMA_NO_NODE);
	struct request_queue *queue;

	if (!disk)
		return ERR_PTR(-ENOMEM);
	queue = disk->queue;
	blk_queue_flag_set(QUEUE_FLAG_IO_STAT, queue);
	blk_queue_flag_set(QUEUE_FLAG_NONROT, queue);
	if (wanted->stable_writes)
		blk_queue_flag_set(QUEUE_FLAG_STABLE_WRITES, queue);
	blk_queue_flag_clear(QUEUE_FLAG_ADD_RANDOM, queue);
	blk_queue_write_cache(queue, true, true);
	blk_queue_logical_block_size(queue, wanted->logical_block_bytes);
	blk_queue_physical_block_size(queue, wanted->physical_block_bytes);
	blk_queue_io_min(queue, wanted->physical_block_bytes);
	blk_queue_max_hw_sectors(queue, wanted->io_sectors_max);
	blk_queue_max_segments(queue, USHRT_MAX);
	queue->limits.discard_granularity = wanted->discard_granularity_bytes;
	blk_queue_max_discard_sectors(queue, wanted->discard_sectors_max);
	blk_queue_max_write_zeroes_sectors(queue, wanted->zeroes_sectors_max);
	return disk;
#endif
}

/*
 * Ask for stable pages, or no more: filesystems that are mounted from now on, and the device's own page cache. Not while it is open,
 * if all who use it are to follow. Sleeps. Where the page cache hangs is another place since 6.10.
 */
static inline void braid_gendisk_set_stable_writes(struct gendisk *disk, bool stable)
{
	struct address_space *mapping;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	struct queue_limits limits = queue_limits_start_update(disk->queue);

	if (stable)
		limits.features |= BLK_FEAT_STABLE_WRITES;
	else
		limits.features &= ~BLK_FEAT_STABLE_WRITES;
	if (queue_limits_commit_update(disk->queue, &limits))
		pr_warn("braid: %s: limits of the queue cannot be changed\n", disk->disk_name);
#else
	if (stable)
		blk_queue_flag_set(QUEUE_FLAG_STABLE_WRITES, disk->queue);
	else
		blk_queue_flag_clear(QUEUE_FLAG_STABLE_WRITES, disk->queue);
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	mapping = disk->part0->bd_mapping;
#else
	mapping = disk->part0->bd_inode->i_mapping;
#endif
	if (stable)
		mapping_set_stable_writes(mapping);
	else
		mapping_clear_stable_writes(mapping);
}

/*
 * Open and release of a gendisk take other arguments since 6.5, and release does not say the mode any more. Defines
 * wrappers NAME_open_entry and NAME_release_entry for block_device_operations around
 * int NAME_open(struct gendisk *, bool write) and void NAME_release(struct gendisk *).
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define BRAID_DISK_ENTRIES(name)								\
	static int name##_open_entry(struct gendisk *disk, blk_mode_t mode)			\
	{											\
		return name##_open(disk, (mode & BLK_OPEN_WRITE) != 0);				\
	}											\
	static void name##_release_entry(struct gendisk *disk)					\
	{											\
		name##_release(disk);								\
	}
#else
#define BRAID_DISK_ENTRIES(name)								\
	static int name##_open_entry(struct block_device *bdev, fmode_t mode)			\
	{											\
		return name##_open(bdev->bd_disk, (mode & FMODE_WRITE) != 0);			\
	}											\
	static void name##_release_entry(struct gendisk *disk, fmode_t mode)			\
	{											\
		name##_release(disk);								\
	}
#endif

/* ---- zero-copy send: MSG_SPLICE_PAGES since 6.5, sendpage before ---- */

/*
 * Send @vec (@nr_vecs, @length_bytes in all) without copying.
 * @flags: MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL. Bytes sent (may be fewer), or a negative errno when none was. The pages
 * must be sendpage_ok() and stay unchanged until the socket drops its references. May sleep without MSG_DONTWAIT.
 */
static inline int braid_socket_send_pages(struct socket *socket, const struct bio_vec *vec, unsigned int nr_vecs,
					  size_t length_bytes, int flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	struct msghdr message = { .msg_flags = flags | MSG_SPLICE_PAGES };

	iov_iter_bvec(&message.msg_iter, ITER_SOURCE, vec, nr_vecs, length_bytes);
	return sock_sendmsg(socket, &message);
#else
	size_t sent_bytes = 0;
	unsigned int i;

	for (i = 0; i < nr_vecs; i++) {
		int part_flags = i == nr_vecs - 1 ? flags : flags | MSG_MORE | MSG_SENDPAGE_NOTLAST;
		int result = kernel_sendpage(socket, vec[i].bv_page, vec[i].bv_offset, vec[i].bv_len, part_flags);

		if (result < 0)
			return sent_bytes ? (int)sent_bytes : result;
		sent_bytes += result;
		if ((size_t)result < vec[i].bv_len)
			break;
	}
	return (int)sent_bytes;
#endif
}

/* ---- high resolution timers: set up in one call since 6.13, the old way goes in 6.15 ---- */

static inline void braid_hrtimer_setup(struct hrtimer *timer, enum hrtimer_restart (*function)(struct hrtimer *))
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(timer, function, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer->function = function;
#endif
}

/* ---- timers: renamed in 6.2, the old name goes in 6.15 ---- */

/* Deactivate and wait for a running callback. Not from hard interrupt. */
static inline void braid_timer_stop(struct timer_list *timer)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	timer_delete_sync(timer);
#else
	del_timer_sync(timer);
#endif
}

#endif
