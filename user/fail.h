/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The one way in which the command reports that it did not do what was asked: code, object, cause and a remedy that
 * never destroys data, and the exit status that goes with it.
 */
#ifndef BRAID_USER_FAIL_H
#define BRAID_USER_FAIL_H

/* Exit statuses; documented in braid.8 and stable. */
enum exit_status {
	STATUS_OK = 0,
	STATUS_REFUSED = 1,	/* the state of a node, volume or disk does not allow it */
	STATUS_USAGE = 2,	/* the command line is wrong */
	STATUS_NOT_FOUND = 3,	/* no such node, volume or disk */
	STATUS_SYSTEM = 4,	/* I/O or system error */
	STATUS_TIMEOUT = 5,
	STATUS_MODULE = 6,	/* kernel module missing or too old */
};

struct failure {
	enum exit_status status;
	const char *code;	/* stable, lower case with dashes */
	const char *what;	/* "cannot promote web" */
	const char *object;	/* "volume web on beta"; NULL: left out */
	const char *cause;
	const char *remedy;	/* NULL: the one that fail_remedy() knows for the code, if any */
};

/* Print @failure to standard error; returns its status. */
int fail(const struct failure *failure);
/* Status and code of a usage error: @cause about command line of @verb ("braid node init"). Returns STATUS_USAGE. */
int fail_usage(const char *verb, const char *cause);
/* A system call failed on @object: errno text is the cause. Returns STATUS_SYSTEM. */
int fail_system(const char *what, const char *object, int error);

/* The table code -> remedy; NULL when unknown. */
const char *fail_remedy(const char *code);
/* Exit status that fits a code of the kernel. */
enum exit_status fail_status(const char *code);

#endif
