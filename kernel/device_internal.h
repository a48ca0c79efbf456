/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What device.c (references, gendisk, down) and attach.c (disks, the parts of a volume, the way up) share.
 */
#ifndef BRAID_DEVICE_INTERNAL_H
#define BRAID_DEVICE_INTERNAL_H

#include "device.h"

/* ---- device.c; process context, sleep ---- */

/* With a number and one reference, a reference of @bn and one of the module; nothing else of it exists, it is in no list. */
enum braid_error braid_volume_alloc(struct braid_net *bn, struct braid_volume **result);
/* Its number is free for others; before the last reference is put, once. */
void braid_volume_free_minor(struct braid_volume *volume);
/* /dev/braidN, which nobody can open as long as the volume is not primary. OK or MEMORY. */
enum braid_error braid_volume_gendisk_create(struct braid_volume *volume);

/* ---- attach.c; process context, sleep ---- */

int braid_attach_init(void);		/* module */
void braid_attach_exit(void);		/* waits for attaches that nobody waits for any more; there is none while the module can go */
/* From the top down: nobody calls what is freed next. Waits for what is under way on the disks. */
void braid_volume_parts_free(struct braid_volume *volume);
/* Of an attach that failed, or the end of a down: the disks are anybody's afterwards. In a work. */
void braid_volume_disks_close(struct braid_volume *volume);

#endif
