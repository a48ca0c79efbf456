// SPDX-License-Identifier: GPL-2.0
/*
 * Local disk I/O and activity log references, common to the primary's and the replica's side of the data path [W3].
 */
#include <linux/bio.h>
#include "data_path.h"

enum actlog_get_result braid_regions_get(struct braid_volume *volume, struct braid_regions *regions, u64 offset_bytes,
					 u32 length_bytes, u64 epoch)
{
	u32 first = actlog_region(offset_bytes);
	u32 last = actlog_region(offset_bytes + length_bytes - 1);
	struct actlog *log = &volume->core.log;
	enum actlog_get_result result = actlog_get_regions(log, first, last, epoch);
	u32 region;

	regions->nr = 0;
	if (result == ACTLOG_FULL)
		return result;
	for (region = first; region <= last; region++)
		regions->region[regions->nr++] = region;
	/* A replica without a disk logs for the sake of eviction only: there is nothing to wait for. */
	if (result == ACTLOG_WAIT && volume->core.disk != VOLUME_DISK_OK && actlog_commit_begin(log))
		actlog_commit_end(log, true);
	return result;
}

bool braid_regions_ready(const struct braid_volume *volume, const struct braid_regions *regions)
{
	u32 i;

	for (i = 0; i < regions->nr; i++)
		if (!actlog_is_ready(&volume->core.log, regions->region[i]))
			return false;
	return true;
}

void braid_regions_put(struct braid_volume *volume, struct braid_regions *regions, bool stamp)
{
	while (regions->nr)
		actlog_put(&volume->core.log, regions->region[--regions->nr], stamp);
}

static sector_t local_sector(const struct braid_volume *volume, u64 offset_bytes)
{
	return (volume->core.super.data_offset_bytes + offset_bytes) >> SECTOR_SHIFT;
}

struct bio *braid_local_bio(struct braid_volume *volume, struct bio_set *set, blk_opf_t operation,
			    const struct braid_buffer *buffer, u64 offset_bytes, u32 length_bytes,
			    bio_end_io_t *end_io, void *private, gfp_t gfp)
{
	struct braid_disk *disk = READ_ONCE(volume->data);
	struct bio *lender = buffer ? buffer->lender : NULL;
	u32 i, nr_vecs = buffer && !lender ? buffer->nr_vecs : 0;
	struct bio *bio;

	if (!disk)
		return NULL;
	if (lender)
		bio = bio_alloc_clone(disk->bdev, lender, gfp, set);
	else
		bio = bio_alloc_bioset(disk->bdev, nr_vecs, operation, gfp, set);
	if (!bio)
		return NULL;
	bio->bi_opf = operation;	/* and not the lender's */
	bio->bi_end_io = end_io;
	bio->bi_private = private;
	if (length_bytes)
		bio->bi_iter.bi_sector = local_sector(volume, offset_bytes);
	for (i = 0; i < nr_vecs; i++)
		__bio_add_page(bio, buffer->vec[i].bv_page, buffer->vec[i].bv_len, 0);
	return bio;
}

/*
 * Devices made of others are left out: some kernels hand the flag on to the members of a mirror and take a member's
 * "would wait" for a broken one.
 */
bool braid_local_nowait(struct braid_volume *volume)
{
	struct braid_disk *disk = READ_ONCE(volume->data);

	return disk && queue_is_mq(bdev_get_queue(disk->bdev)) && bdev_nowait(disk->bdev);
}

u32 braid_local_alignment(struct braid_volume *volume)
{
	struct braid_disk *disk = READ_ONCE(volume->data);

	return disk ? bdev_dma_alignment(disk->bdev) : 0;
}

bool braid_local_cached(struct braid_volume *volume)
{
	struct braid_disk *disk = READ_ONCE(volume->data);

	return !disk || bdev_write_cache(disk->bdev);
}

int braid_local_wait(struct braid_volume *volume, struct bio_set *set, blk_opf_t operation,
		     const struct braid_buffer *buffer, u32 buffer_bytes, u64 offset_bytes, u32 length_bytes)
{
	struct braid_disk *disk = READ_ONCE(volume->data);
	struct bvec_iter iter;
	struct bio_vec part;
	struct bio *bio;
	int error;

	if (!disk)
		return -EIO;
	bio = bio_alloc_bioset(disk->bdev, DIV_ROUND_UP(offset_in_page(buffer_bytes) + length_bytes, PAGE_SIZE),
			       operation, GFP_NOIO, set);
	bio->bi_iter.bi_sector = local_sector(volume, offset_bytes);
	for_each_bvec(part, buffer->vec, iter, braid_buffer_part(buffer, buffer_bytes, length_bytes))
		__bio_add_page(bio, part.bv_page, part.bv_len, part.bv_offset);
	error = submit_bio_wait(bio);
	bio_put(bio);
	return error;
}

int braid_local_zeroes(struct braid_volume *volume, u64 offset_bytes, u32 length_bytes, bool unmap, bool flush)
{
	struct braid_disk *disk = READ_ONCE(volume->data);
	int error;

	if (!disk)
		return -EIO;
	error = blkdev_issue_zeroout(disk->bdev, local_sector(volume, offset_bytes), length_bytes >> SECTOR_SHIFT,
				     GFP_NOIO, unmap ? 0 : BLKDEV_ZERO_NOUNMAP);
	if (!error && flush)
		error = braid_meta_flush_data(volume);
	return error;
}

int braid_send_io(struct braid_volume *volume, u8 node, u8 type, u16 flags, u64 request_id, struct wire_io *io,
		  struct braid_buffer *payload, enum lane_haste haste)
{
	unsigned int lane = braid_session_data_lane(volume->bn, node);
	struct braid_frame *frame;
	int error;

	if (!lane)
		return -ENOTCONN;
	io->volume_id = volume->id;
	/* Encoding reads only the member of the union that belongs to the type; a whole union is too big for a stack. */
	frame = braid_frame_alloc(type, flags, request_id, (const union wire_body *)io, payload, 0,
				  payload ? payload->length_bytes : 0, GFP_NOIO);
	if (!frame)
		return -ENOMEM;
	error = braid_session_send(volume->bn, node, lane, frame, haste);
	return error ? error : lane;
}
