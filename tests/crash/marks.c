// SPDX-License-Identifier: GPL-2.0
/*
 * Marks in the logs: pairs, batches and what they promise. Marks that were put twice, because an answer was lost, count where
 * they stand first; pairs that cross each other in the two logs are left out.
 */
#include <stdio.h>
#include <stdlib.h>

#include "marks.h"

struct mark {
	const char *text;
	u32 at;			/* position behind it */
};

/* The marks of one log by text. */
struct index {
	u32 nr;
	struct mark *mark;
};

static int by_text(const void *a, const void *b)
{
	const struct mark *one = a, *other = b;
	int order = strcmp(one->text, other->text);

	return order ? order : one->at < other->at ? -1 : one->at > other->at;
}

static void index_read(struct index *index, const struct dmlog *log)
{
	u32 i;

	index->nr = 0;
	index->mark = calloc(log->nr + 1, sizeof(*index->mark));
	for (i = 0; i < log->nr; i++)
		if (log->entry[i].mark)
			index->mark[index->nr++] = (struct mark){ log->entry[i].mark, i + 1 };
	qsort(index->mark, index->nr, sizeof(*index->mark), by_text);
}

/* Position behind the first mark with this text, or 0. */
static u32 find(const struct index *index, const char *text)
{
	u32 low = 0, high = index->nr;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (strcmp(index->mark[middle].text, text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < index->nr && !strcmp(index->mark[low].text, text) ? index->mark[low].at : 0;
}

/* ---- pairs ---- */

static int by_position(const void *a, const void *b)
{
	const struct pair *one = a, *other = b;

	return one->at[0] != other->at[0] ? (one->at[0] < other->at[0] ? -1 : 1) :
	       one->at[1] < other->at[1] ? -1 : one->at[1] > other->at[1];
}

static void read_pairs(struct marks *marks, struct dmlog *const log[2], const struct index index[2])
{
	u32 n, i, nr = 0;
	bool silent = false;

	marks->pair = calloc(log[0]->nr + log[1]->nr + 1, sizeof(*marks->pair));
	for (n = 0; n < 2; n++)
		for (i = 0; i < log[n]->nr; i++) {
			const char *text = log[n]->entry[i].mark;
			struct pair *pair = &marks->pair[nr];

			if (!text || strncmp(text, "k:", 2))
				continue;
			*pair = (struct pair){ text + 2, n, { find(&index[0], text + 2), find(&index[1], text + 2) }, i + 1, false };
			nr += pair->at[0] && pair->at[1] && pair->at[n] <= i;
		}
	qsort(marks->pair, nr, sizeof(*marks->pair), by_position);
	for (i = 0; i < nr; i++) {
		const struct pair *last = marks->nr_pairs ? &marks->pair[marks->nr_pairs - 1] : NULL;

		/* The end of a silence counts in any case. */
		if (marks->pair[i].text[0] == 'h')
			silent = false;
		if (last && marks->pair[i].at[1] < last->at[1])
			continue;
		if (marks->pair[i].text[0] == 'c')
			silent = true;
		marks->pair[i].silent = silent;
		marks->pair[marks->nr_pairs++] = marks->pair[i];
	}
}

/* ---- batches ---- */

static struct batch *batch_of(struct marks *marks, const char *id, size_t length, u32 owner)
{
	struct batch *last = marks->nr_batches ? &marks->batch[marks->nr_batches - 1] : NULL;

	if (last && strlen(last->id) == length && !strncmp(last->id, id, length))
		return last;
	last = &marks->batch[marks->nr_batches++];
	last->id = strndup(id, length);
	last->owner = owner;
	return last;
}

/* ":BLOCK,BLOCKS,STAMP" again and again. */
static void read_spans(struct batch *batch, const char *text)
{
	unsigned long long block, blocks, stamp;

	for (; text && sscanf(text, ":%llx,%llx,%llx", &block, &blocks, &stamp) == 3; text = strchr(text + 1, ':')) {
		batch->span = realloc(batch->span, (batch->nr_spans + 1) * sizeof(*batch->span));
		if (!batch->span)
			exit(2);
		batch->span[batch->nr_spans++] = (struct span){ block * CRASH_BLOCK_SECTORS, blocks * CRASH_BLOCK_SECTORS,
								stamp };
	}
}

static u32 find_of(const struct index *index, char kind, const char *id)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "%c:%s", kind, id);
	return find(index, text);
}

static void read_batches(struct marks *marks, struct dmlog *const log[2], const struct index index[2])
{
	u32 n, i;

	marks->batch = calloc(log[0]->nr + log[1]->nr + 1, sizeof(*marks->batch));
	for (n = 0; n < 2; n++)
		for (i = 0; i < log[n]->nr; i++) {
			const char *text = log[n]->entry[i].mark, *end;

			if (!text || strncmp(text, "l:", 2))
				continue;
			end = strchr(text + 2, ':');
			if (end)
				read_spans(batch_of(marks, text + 2, (size_t)(end - text - 2), n), end);
		}
	for (i = 0; i < marks->nr_batches; i++)
		for (n = 0; n < 2; n++) {
			marks->batch[i].ended_at[n] = find_of(&index[n], 's', marks->batch[i].id);
			marks->batch[i].promised_at[n] = find_of(&index[n], 'b', marks->batch[i].id);
		}
}

/* ---- what was acknowledged and not yet flushed ---- */

struct owned {
	u64 stamp;
	const struct batch *batch;
};

static int by_stamp(const void *a, const void *b)
{
	const struct owned *one = a, *other = b;

	return one->stamp < other->stamp ? -1 : one->stamp > other->stamp;
}

/*
 * Between the two marks of its own batch a write is the writer's own and no resync's: a resync begins with a superblock. Then
 * it had ended when the first mark was put.
 */
static void note_ended(struct dmlog *log, u32 node, const struct owned *owned, u32 nr)
{
	u32 i, super_at = 0;

	for (i = 0; i < log->nr; i++) {
		struct entry *entry = &log->entry[i];
		const struct owned *found;
		struct owned key;
		u32 ended_at, promised_at;

		if (entry->place == PLACE_SUPER)
			super_at = i;
		if (entry->place != PLACE_DATA || !dmlog_is_plain(entry) || !entry->value || !entry->value[0])
			continue;
		key.stamp = entry->value[0];
		found = bsearch(&key, owned, nr, sizeof(*owned), by_stamp);
		ended_at = found ? found->batch->ended_at[node] : 0;
		promised_at = found ? found->batch->promised_at[node] : 0;
		if (ended_at && ended_at > super_at && ended_at < entry->from && (!promised_at || i < promised_at))
			entry->from = ended_at;
	}
}

void marks_read(struct marks *marks, struct dmlog *first, struct dmlog *second)
{
	struct dmlog *const log[2] = { first, second };
	struct owned *owned;
	struct index index[2];
	u32 n, i, j, nr = 0;

	memset(marks, 0, sizeof(*marks));
	for (n = 0; n < 2; n++)
		index_read(&index[n], log[n]);
	read_pairs(marks, log, index);
	read_batches(marks, log, index);
	for (i = 0; i < marks->nr_batches; i++)
		nr += marks->batch[i].nr_spans;
	owned = calloc(nr + 1, sizeof(*owned));
	for (i = 0, nr = 0; i < marks->nr_batches; i++)
		for (j = 0; j < marks->batch[i].nr_spans; j++)
			owned[nr++] = (struct owned){ marks->batch[i].span[j].stamp, &marks->batch[i] };
	qsort(owned, nr, sizeof(*owned), by_stamp);
	for (n = 0; n < 2; n++)
		note_ended(log[n], n, owned, nr);
	free(owned);
}
