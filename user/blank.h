/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Data areas of new replicas that read as zeroes [R4]: made so (--zero), or believed and looked at (--blank).
 */
#ifndef BRAID_USER_BLANK_H
#define BRAID_USER_BLANK_H

#include "disk.h"

/*
 * Makes [@offset_bytes, + @length_bytes) of @disk read as zeroes, flushed. May take long: shows progress on stderr. Ending the program in
 * the middle leaves a part of it done. STATUS_OK or reported for @what.
 */
int blank_make(const struct disk *disk, u64 offset_bytes, u64 length_bytes, const char *what);
/* Reads samples of it. STATUS_OK when they are zeroes, else refused with the place of the first byte that is not. */
int blank_check(const struct disk *disk, u64 offset_bytes, u64 length_bytes, const char *what);

#endif
