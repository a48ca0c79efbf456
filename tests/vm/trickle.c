// SPDX-License-Identifier: GPL-2.0
/*
 * A relay between two network namespaces that hands on the first 8 KiB of each direction byte by byte, each in a segment of its
 * own, and then pieces of which three in four are single bytes, the others up to 600 [N1] [N4]:
 *
 *   trickle FROM_NAMESPACE TO_NAMESPACE ADDRESS PORT SEED
 *
 * Listens at ADDRESS in the first namespace (ip netns names it), and connects to the same address in the second one. Who asked
 * for the address in the first one talks to whom it belongs to in the second. Bytes of each direction are counted, and written
 * to standard output when that direction ends. It runs until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int socket_in(const char *namespace)
{
	char path[128];
	int fd, one = 1, result;

	snprintf(path, sizeof(path), "/run/netns/%s", namespace);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(path);
	close(fd);
	result = socket(AF_INET, SOCK_STREAM, 0);
	if (result < 0 || setsockopt(result, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		die("socket");
	return result;
}

enum { SINGLE_BYTES = 8192, PIECE_BYTES_MAX = 600 };

/* Each piece is on its way before the next one is given: no two share a segment. The receiver joins what it has not read yet. */
static void send_piece(int to, const char *piece, size_t length)
{
	int unsent = 1;

	if (send(to, piece, length, MSG_NOSIGNAL) != (ssize_t)length)
		exit(0);
	while (!ioctl(to, SIOCOUTQNSD, &unsent) && unsent)
		sched_yield();
}

static void pump(int from, int to, const char *direction)
{
	unsigned long long bytes = 0;
	char buffer[4096], line[64];
	ssize_t got, i, piece;

	while ((got = read(from, buffer, sizeof(buffer))) > 0)
		for (i = 0; i < got; i += piece, bytes += (unsigned long long)piece) {
			piece = bytes < SINGLE_BYTES || random() % 4 ? 1 : 1 + random() % PIECE_BYTES_MAX;
			if (piece > got - i)
				piece = got - i;
			send_piece(to, buffer + i, (size_t)piece);
		}
	shutdown(to, SHUT_WR);
	i = snprintf(line, sizeof(line), "%s %llu\n", direction, bytes);
	exit(write(1, line, (size_t)i) != i);
}

/* Two processes for each connection. Whichever of them ends, both sockets are closed when the other one ends, too. */
static void relay(int from, int to)
{
	int one = 1;

	if (setsockopt(from, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		die("TCP_NODELAY");
	srandom((unsigned int)random());
	if (!fork())
		pump(from, to, "there");
	srandom((unsigned int)random());
	if (!fork())
		pump(to, from, "back");
	close(from);
	close(to);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int listener, from, to;

	if (argc != 6 || !inet_aton(argv[3], &address.sin_addr)) {
		fprintf(stderr, "usage: see the head of trickle.c\n");
		return 2;
	}
	address.sin_port = htons((unsigned short)atoi(argv[4]));
	srandom((unsigned int)atoi(argv[5]));
	signal(SIGCHLD, SIG_IGN);
	listener = socket_in(argv[1]);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 16))
		die("listen");
	while ((from = accept(listener, NULL, NULL)) >= 0) {
		to = socket_in(argv[2]);
		if (connect(to, (struct sockaddr *)&address, sizeof(address))) {
			close(from);
			close(to);
			continue;
		}
		relay(from, to);
	}
	die("accept");
}
