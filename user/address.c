// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses of nodes as text and bytes.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include "address.h"
#include "text.h"

/* Split "host", "host:port", "[host]:port" and "v6host" into host and port text (NULL: none). */
static bool split(char *text, char **host, char **port)
{
	char *colon;

	*port = NULL;
	if (*text == '[') {
		char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			return false;
		if (end[1])
			*port = end + 2;
		*end = '\0';
		*host = text + 1;
		return true;
	}
	*host = text;
	colon = strchr(text, ':');
	if (colon && !strchr(colon + 1, ':')) {
		*colon = '\0';
		*port = colon + 1;
	}
	return true;
}

static bool is_any(const struct node_address *address)
{
	static const u8 zero[16];

	return !memcmp(address->bytes, zero, sizeof(zero));
}

bool address_parse(const char *text, struct node_address *address, const char **why)
{
	struct node_address found = { .port = WIRE_PORT };
	char *host, *port;
	u64 number;

	if (!split(text_copy(text), &host, &port)) {
		*why = textf("'%s' is not of the form ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT", text);
		return false;
	}
	if (inet_pton(AF_INET, host, found.bytes) == 1) {
		found.family = 4;
	} else if (inet_pton(AF_INET6, host, found.bytes) == 1) {
		found.family = 6;
	} else {
		*why = textf("'%s' is not an IPv4 or IPv6 address (host names are not accepted)", host);
		return false;
	}
	if (is_any(&found)) {
		*why = textf("'%s' does not name one machine; other nodes connect to this address", host);
		return false;
	}
	if (port) {
		if (!text_parse_u64(port, 65535, &number) || !number) {
			*why = textf("'%s' is not a port number from 1 to 65535", port);
			return false;
		}
		found.port = (u16)number;
	}
	*address = found;
	return true;
}

void address_text(const struct node_address *address, char text[ADDRESS_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";

	inet_ntop(address->family == 6 ? AF_INET6 : AF_INET, address->bytes, host, sizeof(host));
	snprintf(text, ADDRESS_TEXT_MAX, address->family == 6 ? "[%s]:%u" : "%s:%u", host, address->port);
}

bool address_equal(const struct node_address *a, const struct node_address *b)
{
	return a->family == b->family && a->port == b->port &&
	       !memcmp(a->bytes, b->bytes, a->family == 6 ? 16 : 4);
}
