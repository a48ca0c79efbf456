// SPDX-License-Identifier: GPL-2.0
/*
 * Process 1 of a lab guest, and the lab's hand in it.
 *
 * Runs command lines for the host over one virtio-serial port, many at a time,
 * so that nothing of the lab depends on the network under test. It also reaps
 * orphans and powers the guest off, as process 1 must. It starts from the
 * initramfs and is static because a shell or an interpreter in its place would
 * cost seconds under emulation.
 *
 * Every message, both ways: { u32 id, u32 length, u8 type, u8 pad[3] } in the
 * machine's byte order, then the payload. From the host: 'R' run a command
 * line, 'T' the same on a terminal, 'P' the same with standard input piped,
 * 'I' input (empty = end), 'W' window size (u16 rows, columns), 'K' kill (u8
 * signal), 'Z' kill every process, 'O' power off. To the host: 'H' here I am,
 * 'o' and 'e' output, 'x' exit status (i32, as a shell tells it).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX	256
#define CHUNK_BYTES	16384
#define PAYLOAD_BYTES	(1 << 20)
#define PIPE_MAX_BYTES	(1 << 20)

struct header {
	uint32_t id;
	uint32_t length;
	uint8_t type;
	uint8_t pad[3];
};

/* One command line. Stays in use while a descendant holds its output open. */
struct job {
	int used;
	int running;
	int terminal;
	uint32_t id;
	pid_t pid;
	int out, err, in;	/* -1 = closed; terminal: in == out */
	char *input;		/* what the command has not read yet */
	size_t input_bytes;
	int input_ends;
};

static struct job jobs[JOBS_MAX];
static int port;

static void die(const char *what)
{
	dprintf(2, "agent: %s: %s\n", what, strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void write_all(const void *data, size_t bytes)
{
	const char *at = data;

	while (bytes > 0) {
		ssize_t n = write(port, at, bytes);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			die("write to the host");
		at += n;
		bytes -= n;
	}
}

static void read_all(void *data, size_t bytes)
{
	char *at = data;

	while (bytes > 0) {
		ssize_t n = read(port, at, bytes);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			die("read from the host");
		at += n;
		bytes -= n;
	}
}

static void send_frame(uint32_t id, uint8_t type, const void *data, uint32_t bytes)
{
	static char frame[sizeof(struct header) + CHUNK_BYTES];
	struct header head = { .id = id, .length = bytes, .type = type };

	memcpy(frame, &head, sizeof(head));
	if (bytes)
		memcpy(frame + sizeof(head), data, bytes);
	write_all(frame, sizeof(head) + bytes);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_input(struct job *job)
{
	if (!job->terminal)
		close_fd(&job->in);
	job->in = -1;
	free(job->input);
	job->input = NULL;
	job->input_bytes = 0;
}

static void release_if_done(struct job *job)
{
	if (!job->running && job->out < 0 && job->err < 0) {
		close_input(job);
		job->used = 0;
	}
}

/* Move what one descriptor has to the host; once the command has ended, what
 * its descendants still print is read and dropped, so that they do not stop.
 */
static int pump(struct job *job, int *fd, uint8_t type)
{
	char buf[CHUNK_BYTES];
	ssize_t n = read(*fd, buf, sizeof(buf));

	if (n > 0) {
		if (job->running)
			send_frame(job->id, type, buf, n);
		return 1;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		if (job->terminal)
			close_input(job);
		close_fd(fd);
	}
	return 0;
}

/* All that a pipe can hold, and no more: a descendant may never stop writing. */
static void drain(struct job *job, int *fd, uint8_t type)
{
	for (int i = 0; i < PIPE_MAX_BYTES / CHUNK_BYTES; i++) {
		if (*fd < 0 || !pump(job, fd, type))
			return;
	}
}

static void feed(struct job *job)
{
	ssize_t n;

	if (job->input_bytes > 0) {
		n = write(job->in, job->input, job->input_bytes);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			close_input(job);
			return;
		}
		job->input_bytes -= n;
		memmove(job->input, job->input + n, job->input_bytes);
	}
	if (job->input_bytes == 0 && job->input_ends)
		close_input(job);
}

static void queue_input(struct job *job, const char *data, size_t bytes)
{
	if (job->in < 0)
		return;
	if (bytes == 0) {
		job->input_ends = 1;
	} else {
		job->input = realloc(job->input, job->input_bytes + bytes);
		if (!job->input)
			die("memory");
		memcpy(job->input + job->input_bytes, data, bytes);
		job->input_bytes += bytes;
	}
	feed(job);
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (struct job *job = jobs; job < jobs + JOBS_MAX; job++) {
			int32_t code;

			if (!job->used || !job->running || job->pid != pid)
				continue;
			drain(job, &job->out, 'o');
			drain(job, &job->err, 'e');
			code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
						     WEXITSTATUS(status);
			job->running = 0;
			send_frame(job->id, 'x', &code, sizeof(code));
			close_input(job);
			release_if_done(job);
			break;
		}
	}
}

static void exec_command(const char *line)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* The static shell starts three times as fast under emulation. */
	if (chdir("/") == 0) {
		execl("/bin/bash-static", "/bin/bash", "-c", line, (char *)NULL);
		execl("/bin/bash", "/bin/bash", "-c", line, (char *)NULL);
	}
	dprintf(2, "agent: /bin/bash: %s\n", strerror(errno));
	_exit(127);
}

static void start_piped(struct job *job, const char *line, int with_input)
{
	int out[2], err[2], in[2] = { -1, -1 };

	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) ||
	    (with_input && pipe2(in, O_CLOEXEC)))
		die("pipe");
	job->pid = fork();
	if (job->pid < 0)
		die("fork");
	if (job->pid == 0) {
		setsid();
		if (!with_input)
			in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		exec_command(line);
	}
	close(out[1]);
	close(err[1]);
	job->out = out[0];
	job->err = err[0];
	job->in = in[1];
	if (with_input) {
		close(in[0]);
		fcntl(job->in, F_SETFL, O_NONBLOCK);
	}
	fcntl(job->err, F_SETFL, O_NONBLOCK);
}

static void start(uint32_t id, uint8_t type, const char *line)
{
	static const char full[] = "agent: too many commands at once\n";
	struct job *job = jobs;
	int32_t code = 126;

	while (job < jobs + JOBS_MAX && job->used)
		job++;
	if (job == jobs + JOBS_MAX) {
		send_frame(id, 'e', full, sizeof(full) - 1);
		send_frame(id, 'x', &code, sizeof(code));
		return;
	}
	*job = (struct job){ .used = 1, .running = 1, .id = id,
			     .out = -1, .err = -1, .in = -1 };
	if (type == 'T') {
		job->terminal = 1;
		job->pid = forkpty(&job->out, NULL, NULL, NULL);
		if (job->pid < 0)
			die("forkpty");
		if (job->pid == 0)
			exec_command(line);
		fcntl(job->out, F_SETFD, FD_CLOEXEC);
		job->in = job->out;
	} else {
		start_piped(job, line, type == 'P');
	}
	fcntl(job->out, F_SETFL, O_NONBLOCK);
}

static void power_off(void)
{
	kill(-1, SIGTERM);
	for (int i = 0; i < 20 && waitpid(-1, NULL, WNOHANG) >= 0; i++)
		usleep(50000);
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	if (fork() == 0) {
		execl("/bin/umount", "umount", "-a", "-t",
		      "ext2,ext3,ext4,xfs,btrfs,ocfs2,gfs2", (char *)NULL);
		_exit(127);
	}
	wait(NULL);
	sync();
	reboot(RB_POWER_OFF);
}

static void handle(const struct header *head, char *payload)
{
	struct job *job = jobs;
	uint16_t size[2];

	switch (head->type) {
	case 'R':
	case 'P':
	case 'T':
		start(head->id, head->type, payload);
		return;
	case 'Z':
		kill(-1, SIGKILL);
		return;
	case 'O':
		power_off();
		return;
	}
	while (job < jobs + JOBS_MAX &&
	       !(job->used && job->running && job->id == head->id))
		job++;
	if (job == jobs + JOBS_MAX)
		return;
	switch (head->type) {
	case 'K':
		kill(-job->pid, payload[0]);
		break;
	case 'I':
		queue_input(job, payload, head->length);
		break;
	case 'W':
		memcpy(size, payload, sizeof(size));
		ioctl(job->out, TIOCSWINSZ, &(struct winsize){
			.ws_row = size[0], .ws_col = size[1] });
		break;
	}
}

static void serve(int children)
{
	static char payload[PAYLOAD_BYTES + 1];
	struct pollfd fds[2 + 3 * JOBS_MAX];
	struct { struct job *job; int which; } owner[2 + 3 * JOBS_MAX];
	struct signalfd_siginfo info;
	struct header head;
	int n = 2;

	fds[0] = (struct pollfd){ .fd = port, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = children, .events = POLLIN };
	for (struct job *job = jobs; job < jobs + JOBS_MAX; job++) {
		int fd[3] = { job->out, job->err, job->input_bytes ? job->in : -1 };

		for (int i = 0; i < 3 && job->used; i++) {
			if (fd[i] < 0)
				continue;
			owner[n].job = job;
			owner[n].which = i;
			fds[n++] = (struct pollfd){ .fd = fd[i],
						    .events = i == 2 ? POLLOUT : POLLIN };
		}
	}
	if (poll(fds, n, -1) < 0)
		return;
	for (int i = 2; i < n; i++) {
		struct job *job = owner[i].job;

		if (!fds[i].revents)
			continue;
		if (owner[i].which == 0 && job->out >= 0)
			pump(job, &job->out, 'o');
		else if (owner[i].which == 1 && job->err >= 0)
			pump(job, &job->err, 'e');
		else if (owner[i].which == 2 && job->in >= 0)
			feed(job);
		release_if_done(job);
	}
	if (fds[1].revents) {
		if (read(children, &info, sizeof(info)) > 0)
			reap();
	}
	if (fds[0].revents) {
		read_all(&head, sizeof(head));
		if (head.length > PAYLOAD_BYTES)
			die("frame from the host is too long");
		read_all(payload, head.length);
		payload[head.length] = 0;
		handle(&head, payload);
	}
}

int main(int argc, char **argv)
{
	sigset_t set;
	int children;

	if (argc != 2)
		return 2;
	port = open(argv[1], O_RDWR | O_CLOEXEC);
	if (port < 0)
		die(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (children < 0)
		die("signalfd");
	send_frame(0, 'H', NULL, 0);
	for (;;)
		serve(children);
}
