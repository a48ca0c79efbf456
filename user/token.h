/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The invitation token: everything a machine needs to become a node of a cluster, on one line of base64url (RFC 4648,
 * no padding). It holds the cluster's secret and is meant for one machine: whoever joins second with it is refused by
 * the others, which know the first one's instance [G10].
 *
 * Bytes, little endian: u8 version, u8 flags (1: insecure), cluster id, secret (absent when insecure), joiner (node), u8 count,
 * nodes, 16 random bytes, u32 CRC32C of all before. Node: u8 id, u8 name length, name, u8 family, 4 or 16 address bytes,
 * u16 port. The checksum finds every change of up to 5 neighbouring characters; bits that base64 would ignore must be 0.
 */
#ifndef BRAID_USER_TOKEN_H
#define BRAID_USER_TOKEN_H

#include "address.h"

enum { TOKEN_NONCE_BYTES = 16, TOKEN_TEXT_MAX = 4096 };

struct token_node {
	u8 node;
	char name[NAME_BYTES_MAX];
	struct node_address address;
};

struct token {
	u8 cluster_id[UUID_BYTES];
	bool insecure;
	u8 secret[SECRET_BYTES];
	struct token_node joiner;
	u8 nonce[TOKEN_NONCE_BYTES];
	u32 nr_nodes;
	struct token_node node[NODES_MAX];
};

/* Terminated text of less than TOKEN_TEXT_MAX characters. */
void token_encode(const struct token *token, char text[TOKEN_TEXT_MAX]);
/* Blanks and line ends around it are ignored. False with *@why for anything that no token_encode() has made. */
bool token_decode(const char *text, struct token *token, const char **why);

#endif
