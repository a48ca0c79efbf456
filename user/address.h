/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a node listens: an IPv4 or IPv6 address and a port, as text and as bytes. Numbers only: a name that resolves
 * differently on two nodes would make two different clusters.
 */
#ifndef BRAID_USER_ADDRESS_H
#define BRAID_USER_ADDRESS_H

#include "../kernel/core/limits.h"

struct node_address {
	u8 family;		/* 4 or 6 */
	u8 bytes[16];		/* network order; family 4: the first four */
	u16 port;		/* 1..65535 */
};

enum { ADDRESS_TEXT_MAX = 64 };

/* "192.0.2.1", "192.0.2.1:7790", "2001:db8::1", "[2001:db8::1]:7790". On false *@why is a sentence. */
bool address_parse(const char *text, struct node_address *address, const char **why);
/* With the port, always; the form that address_parse() reads. */
void address_text(const struct node_address *address, char text[ADDRESS_TEXT_MAX]);
bool address_equal(const struct node_address *a, const struct node_address *b);

#endif
