// SPDX-License-Identifier: GPL-2.0
/*
 * The state directory: lock, load, and the atomic replacement of the identity file. After a power cut there is either
 * the old file or the new one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "state.h"
#include "text.h"

enum { FILE_BYTES_MAX = 4 << 20, LOCK_RETRY_MS = 50 };

static const char *chosen_directory;
static int lock_fd = -1;
static struct stat current;	/* of the file that was read or written last; st_ino 0: none */

void state_set_directory(const char *directory)
{
	chosen_directory = directory;
}

const char *state_directory(void)
{
	const char *environment = getenv("BRAID_STATE_DIR");

	if (chosen_directory)
		return chosen_directory;
	return environment && *environment ? environment : "/var/lib/braid";
}

static const char *path_of(const char *name)
{
	return textf("%s/%s", state_directory(), name);
}

static enum state_result system_error(const char *path, const char **why)
{
	*why = textf("%s: %s", path, strerror(errno));
	return STATE_ERROR;
}

static enum state_result read_file(int fd, const char *path, char **text, const char **why)
{
	struct stat info;
	size_t size, done = 0;
	ssize_t got;

	if (fstat(fd, &info))
		return system_error(path, why);
	if (!S_ISREG(info.st_mode) || info.st_size > FILE_BYTES_MAX) {
		*why = textf("%s: not a plausible state file", path);
		return STATE_DAMAGED;
	}
	if (info.st_mode & 077) {
		*why = textf("%s: readable by others (mode %03o); it holds the cluster secret: chmod 600", path,
			     (unsigned int)info.st_mode & 0777);
		return STATE_DAMAGED;
	}
	size = (size_t)info.st_size;
	*text = calloc(1, size + 1);
	if (!*text)
		return system_error(path, why);
	while (done < size) {
		got = read(fd, *text + done, size - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return system_error(path, why);
		if (!got)
			break;
		done += (size_t)got;
	}
	if (strlen(*text) != size) {
		*why = textf("%s: a zero byte or a short read", path);
		return STATE_DAMAGED;
	}
	return STATE_OK;
}

/* Every change is a new file: another inode, or at least another time. */
bool state_is_current(void)
{
	struct stat now;

	return current.st_ino && !stat(path_of("node"), &now) && now.st_ino == current.st_ino &&
	       now.st_ctim.tv_sec == current.st_ctim.tv_sec && now.st_ctim.tv_nsec == current.st_ctim.tv_nsec;
}

enum state_result state_load(struct state *state, const char **why)
{
	const char *path = path_of("node");
	enum state_result result;
	char *text = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		if (errno != ENOENT)
			return system_error(path, why);
		*why = textf("%s does not exist", path);
		return STATE_MISSING;
	}
	result = read_file(fd, path, &text, why);
	if (result != STATE_OK || fstat(fd, &current))
		current.st_ino = 0;
	close(fd);
	if (result == STATE_OK && !state_parse(text, state, why)) {
		*why = textf("%s: %s", path, *why);
		result = STATE_DAMAGED;
		current.st_ino = 0;
	}
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
	return result;
}

enum state_result state_lock(const char **why)
{
	const struct timespec pause = { .tv_nsec = LOCK_RETRY_MS * 1000000L };
	const char *path = path_of("lock");
	u32 waited_ms;

	if (mkdir(state_directory(), 0700) && errno != EEXIST)
		return system_error(state_directory(), why);
	lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock_fd < 0)
		return system_error(path, why);
	for (waited_ms = 0; flock(lock_fd, LOCK_EX | LOCK_NB); waited_ms += LOCK_RETRY_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return system_error(path, why);
		if (waited_ms >= STATE_LOCK_TIMEOUT_MS) {
			*why = textf("another braid command has held %s for %u s", path, STATE_LOCK_TIMEOUT_MS / 1000);
			return STATE_LOCKED;
		}
		nanosleep(&pause, NULL);
	}
	return STATE_OK;
}

void state_unlock(void)
{
	if (lock_fd >= 0)
		close(lock_fd);
	lock_fd = -1;
}

static bool write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t done = write(fd, text, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		text += done;
		length -= (size_t)done;
	}
	return true;
}

static bool sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && !fsync(fd);

	if (fd >= 0)
		close(fd);
	return ok;
}

enum state_result state_save(const struct state *state, const char **why)
{
	const char *path = path_of("node");
	const char *temporary = path_of("node.new");
	char *text = state_format(state);
	bool ok;
	int fd;

	if (!text)
		return system_error(path, why);
	if (unlink(temporary) && errno != ENOENT)
		return system_error(temporary, why);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return system_error(temporary, why);
	ok = write_all(fd, text, strlen(text)) && !fsync(fd);
	explicit_bzero(text, strlen(text));
	free(text);
	if (!ok) {
		system_error(temporary, why);
		close(fd);
		unlink(temporary);
		return STATE_ERROR;
	}
	close(fd);
	if (rename(temporary, path) || !sync_directory(state_directory()))
		return system_error(path, why);
	if (stat(path, &current))
		current.st_ino = 0;
	return STATE_OK;
}
