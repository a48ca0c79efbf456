// SPDX-License-Identifier: GPL-2.0
/*
 * Reads that have nothing to wait for [W7]: the user's bio itself goes to the local disk. No request, no clone, no lock and no
 * memory that processors share: what such a read costs is one small allocation and a second trip through the block layer.
 *
 * Whether a read may go this way is the core's decision, made in each step (volume->core.reads_here). A read that the disk fails
 * becomes what it was and goes the way of all others (io_read.c), with the local disk among those that failed it.
 *
 * How many are under way is counted per processor, begun and ended apart; a read may begin on one and end on another. Whoever waits
 * for none has closed the way first: the device has no opener, or is gone. So begun stands still, and ended is read before it.
 */
#include <linux/bio.h>
#include <linux/slab.h>
#include "io_internal.h"

/* What the bio was, until it ends. */
struct passed_read {
	struct braid_volume *volume;
	struct bio *bio;
	struct block_device *device;
	bio_end_io_t *end_io;
	void *private;
	struct bvec_iter iter;
	unsigned long start_time;	/* jiffies, for the disk's statistics */
	struct work_struct work;	/* the disk failed it */
};

static struct kmem_cache *passed_cache;

/* RCU: the volume is there until the waiter was woken, though it may see the count before. */
static void pass_ended(struct braid_volume *volume)
{
	rcu_read_lock();
	this_cpu_inc(volume->passes->ended);
	smp_mb();	/* braid_passes_idle() after idle_waiters++ sees the count, or we see the waiter */
	if (unlikely(READ_ONCE(volume->idle_waiters)))
		wake_up_all(&volume->changed);
	rcu_read_unlock();
}

static void failed_work(struct work_struct *work)
{
	struct passed_read *read = container_of(work, struct passed_read, work);
	struct braid_volume *volume = read->volume;
	struct braid_request *request = braid_request_alloc(volume, volume->io->requests);

	request->kind = REQUEST_READ;
	request->bio = read->bio;
	request->start_time = read->start_time;
	request->offset_bytes = read->iter.bi_sector << SECTOR_SHIFT;
	request->length_bytes = read->iter.bi_size;
	request->failed_nodes = NODE_BIT(volume->core.node);
	kmem_cache_free(passed_cache, read);
	braid_request_start(request);
	pass_ended(volume);	/* the request is counted by now */
}

static void passed_endio(struct bio *bio)
{
	struct passed_read *read = bio->bi_private;
	struct braid_volume *volume = read->volume;

	bio->bi_end_io = read->end_io;
	bio->bi_private = read->private;
	bio->bi_bdev = read->device;
	bio->bi_iter = read->iter;	/* the statistics take its length */
	if (unlikely(bio->bi_status != BLK_STS_OK)) {
		bio->bi_status = BLK_STS_OK;
		INIT_WORK(&read->work, failed_work);
		queue_work(volume->sleeper_workqueue, &read->work);
		return;
	}
	this_cpu_inc(volume->passes->reads);
	this_cpu_add(volume->passes->read_bytes, read->iter.bi_size);
	bio_end_io_acct_remapped(bio, read->start_time, read->device);
	kmem_cache_free(passed_cache, read);
	/* Not bio_endio(), which has been through with it. */
	bio->bi_end_io(bio);
	pass_ended(volume);
}

bool braid_read_pass(struct braid_volume *volume, struct bio *bio)
{
	struct braid_disk *disk = READ_ONCE(volume->data);
	struct passed_read *read;

	if (!READ_ONCE(volume->core.reads_here) || !disk)
		return false;
	/* The status of a bio that others are chained to may be theirs: no telling what failed, and nothing to take back. */
	if (bio_flagged(bio, BIO_CHAIN))
		return false;
	read = kmem_cache_alloc(passed_cache, GFP_NOWAIT | __GFP_NOWARN);
	if (!read)
		return false;
	this_cpu_inc(volume->passes->begun);
	read->volume = volume;
	read->bio = bio;
	read->device = bio->bi_bdev;
	read->end_io = bio->bi_end_io;
	read->private = bio->bi_private;
	read->iter = bio->bi_iter;
	read->start_time = bio_start_io_acct(bio);
	bio->bi_end_io = passed_endio;
	bio->bi_private = read;
	bio_set_dev(bio, disk->bdev);
	bio->bi_iter.bi_sector += volume->core.super.data_offset_bytes >> SECTOR_SHIFT;
	submit_bio_noacct(bio);
	return true;
}

bool braid_passes_idle(const struct braid_volume *volume)
{
	unsigned long begun = 0, ended = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		ended += READ_ONCE(per_cpu_ptr(volume->passes, cpu)->ended);
	smp_rmb();
	for_each_possible_cpu(cpu)
		begun += READ_ONCE(per_cpu_ptr(volume->passes, cpu)->begun);
	return begun == ended;
}

void braid_passes_count(const struct braid_volume *volume, u64 *reads, u64 *read_bytes)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		*reads += READ_ONCE(per_cpu_ptr(volume->passes, cpu)->reads);
		*read_bytes += READ_ONCE(per_cpu_ptr(volume->passes, cpu)->read_bytes);
	}
}

int braid_passes_init(void)
{
	passed_cache = KMEM_CACHE(passed_read, 0);
	return passed_cache ? 0 : -ENOMEM;
}

void braid_passes_exit(void)
{
	kmem_cache_destroy(passed_cache);
}
