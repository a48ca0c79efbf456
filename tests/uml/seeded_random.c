// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into the debug kernel: what it takes from the host's random generator is drawn from UML_SEED instead. With
 * time-travel that was the last thing by which two runs could differ: ids and nonces of the module and of the command, hashes,
 * ports and addresses all come from the guest's generator, which is seeded here.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

ssize_t getrandom(void *buffer, size_t length_bytes, unsigned int flags)
{
	static uint64_t state;
	uint8_t *to = buffer;
	size_t i;

	(void)flags;
	if (!state) {
		const char *seed = getenv("UML_SEED");

		state = (seed ? strtoull(seed, NULL, 0) : 0) * 0x9e3779b97f4a7c15ull + 1;
	}
	for (i = 0; i < length_bytes; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		to[i] = (uint8_t)(state * 0x2545f4914f6cdd1dull >> 56);
	}
	return (ssize_t)length_bytes;
}
