// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into the command: the FAIL_NTH-th memory allocation that the kernel makes while it serves the command's netlink
 * requests fails. Only the sending is armed (requests are served within it), so that nothing is spent on exec and the
 * dynamic linker. At the end one line goes to FAIL_REPORT: "injected", or "passed LEFT" when there were fewer sites.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static long left;
static int armed, file = -1;

/* One open file for all: opening it while armed would count. */
static void set_nth(long nth)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%ld\n", nth);

	if (file < 0)
		file = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (pwrite(file, text, (size_t)length, 0) != length) {
		perror("fail-nth");
		_exit(99);
	}
}

static long get_nth(void)
{
	char text[24] = "";

	if (pread(file, text, sizeof(text) - 1, 0) <= 0) {
		perror("fail-nth");
		_exit(99);
	}
	return strtol(text, NULL, 10);
}

__attribute__((constructor)) static void begin(void)
{
	const char *nth = getenv("FAIL_NTH");

	left = nth ? strtol(nth, NULL, 10) : 0;
	armed = left > 0;
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("FAIL_REPORT");
	FILE *report = path && armed ? fopen(path, "w") : NULL;

	if (!report)
		return;
	if (left > 0)
		fprintf(report, "passed %ld\n", left);
	else
		fprintf(report, "injected\n");
	fclose(report);
}

ssize_t sendto(int fd, const void *data, size_t bytes, int flags, const struct sockaddr *to, socklen_t to_bytes)
{
	static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
	ssize_t sent;

	if (!real)
		real = (ssize_t (*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "sendto");
	if (left <= 0)
		return real(fd, data, bytes, flags, to, to_bytes);
	set_nth(left);
	sent = real(fd, data, bytes, flags, to, to_bytes);
	left = get_nth();
	set_nth(0);
	return sent;
}
