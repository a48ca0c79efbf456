// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of frames that go out, and their encoding [N4]: header and fixed part lie in the frame, the payload is referred to [N5].
 *
 * Memory [L4]: small frames, which is all that the data path needs, come from a reserve; long ones (lists, chains) from the slab
 * first. Sequence number and header checksum are added when a frame is sent (lane_send.c).
 */
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "lane.h"

enum {
	FRAME_SMALL_BYTES = 256,	/* fixed part of all but lists and chains */
	FRAMES_SMALL = 256,		/* kept in reserve */
	FRAMES_LARGE = 16,
};

enum frame_origin {
	FRAME_SMALL,
	FRAME_LARGE,
	FRAME_SLAB,
};

static mempool_t *small_frames;
static mempool_t *large_frames;

int braid_frames_init(void)
{
	BUILD_BUG_ON(offsetof(struct braid_frame, fixed) !=
		     offsetof(struct braid_frame, encoded_header) + WIRE_HEADER_BYTES);
	small_frames = mempool_create_kmalloc_pool(FRAMES_SMALL, sizeof(struct braid_frame) + FRAME_SMALL_BYTES);
	large_frames = mempool_create_kmalloc_pool(FRAMES_LARGE, sizeof(struct braid_frame) + WIRE_FIXED_BYTES_MAX);
	if (small_frames && large_frames)
		return 0;
	braid_frames_exit();
	return -ENOMEM;
}

void braid_frames_exit(void)
{
	mempool_destroy(small_frames);
	mempool_destroy(large_frames);
	small_frames = NULL;
	large_frames = NULL;
}

/* An upper bound of the encoded fixed part. An element of a list takes no more bytes on the wire than in memory. */
static u32 fixed_bytes_bound(u8 type, const union wire_body *body, const struct wire_rule *rule)
{
	struct wire_header largest = { .type = type, .length_bytes = rule->max_bytes };
	u32 bound_bytes = wire_fixed_bytes(&largest);

	switch (type) {
	case WIRE_ACKS:
		return min_t(u32, bound_bytes, 64 + body->acks.nr * sizeof(body->acks.ack[0]));
	case WIRE_RANGES:
		return min_t(u32, bound_bytes, 64 + body->ranges.nr * sizeof(body->ranges.range[0]));
	case WIRE_EVICT:
		return min_t(u32, bound_bytes, 64 + body->evict.nr * sizeof(body->evict.region[0]));
	default:
		return bound_bytes;
	}
}

static struct braid_frame *frame_memory(u32 fixed_bytes, gfp_t gfp)
{
	struct braid_frame *frame;

	if (WARN_ON_ONCE(fixed_bytes > WIRE_FIXED_BYTES_MAX))
		return NULL;
	if (fixed_bytes <= FRAME_SMALL_BYTES) {
		frame = mempool_alloc(small_frames, gfp);
		if (frame)
			frame->origin = FRAME_SMALL;
		return frame;
	}
	frame = kmalloc(sizeof(*frame) + fixed_bytes, gfp | __GFP_NOWARN | __GFP_NORETRY);
	if (frame) {
		frame->origin = FRAME_SLAB;
		return frame;
	}
	frame = mempool_alloc(large_frames, gfp);
	if (frame)
		frame->origin = FRAME_LARGE;
	return frame;
}

static void frame_init(struct braid_frame *frame, u8 type, u32 fixed_bytes)
{
	INIT_LIST_HEAD(&frame->entry);
	memset(&frame->header, 0, sizeof(frame->header));
	frame->header.type = type;
	frame->header.length_bytes = fixed_bytes;
	frame->header.body_crc = core_crc32c(0, frame->fixed, fixed_bytes);
	frame->volume_id = 0;
	frame->payload = NULL;
	frame->prefix_page = NULL;
	frame->payload_offset_bytes = 0;
	frame->payload_bytes = 0;
	frame->fixed_bytes = fixed_bytes;
}

struct braid_frame *braid_frame_alloc(u8 type, u16 flags, u64 request_id, const union wire_body *body,
				      struct braid_buffer *payload, u32 payload_offset_bytes, u32 payload_bytes, gfp_t gfp)
{
	const struct wire_rule *rule = wire_rule(type);
	struct braid_frame *frame;
	u32 bound_bytes, fixed_bytes;

	if (WARN_ON_ONCE(!rule))
		return NULL;
	bound_bytes = fixed_bytes_bound(type, body, rule);
	frame = frame_memory(bound_bytes, gfp);
	if (!frame)
		return NULL;
	fixed_bytes = wire_encode_body(type, body, frame->fixed);
	WARN_ON_ONCE(fixed_bytes > bound_bytes);
	frame_init(frame, type, fixed_bytes);
	frame->header.flags = flags;
	frame->header.request_id = request_id;
	if (braid_type_is_of_volume(type))
		frame->volume_id = body->volume.volume_id;
	if (payload && payload_bytes) {
		braid_buffer_get(payload);
		frame->payload = payload;
		frame->payload_offset_bytes = payload_offset_bytes;
		frame->payload_bytes = payload_bytes;
		frame->header.length_bytes += payload_bytes;
	}
	return frame;
}

struct braid_frame *braid_frame_from_reply(const struct auth_reply *reply)
{
	struct braid_frame *frame = frame_memory(reply->length_bytes, GFP_NOIO);

	if (!frame)
		return NULL;
	memcpy(frame->fixed, reply->body, reply->length_bytes);
	frame_init(frame, reply->type, reply->length_bytes);
	return frame;
}

void braid_frames_free(struct list_head *frames)
{
	struct braid_frame *frame, *next;

	list_for_each_entry_safe(frame, next, frames, entry) {
		list_del(&frame->entry);
		braid_frame_free(frame);
	}
}

void braid_frame_free(struct braid_frame *frame)
{
	if (!frame)
		return;
	if (frame->payload)
		braid_buffer_put(frame->payload);
	if (frame->prefix_page)
		put_page(frame->prefix_page);
	switch (frame->origin) {
	case FRAME_SMALL:
		mempool_free(frame, small_frames);
		break;
	case FRAME_LARGE:
		mempool_free(frame, large_frames);
		break;
	default:
		kfree(frame);
	}
}
