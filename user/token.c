// SPDX-License-Identifier: GPL-2.0
/*
 * The invitation token: codec.
 */
#include "../kernel/core/codec.h"
#include "text.h"
#include "token.h"

enum {
	VERSION = 1,
	FLAG_INSECURE = 1,
	CRC_BYTES = 4,
	NODE_BYTES_MAX = 1 + 1 + NAME_BYTES_MAX + 1 + 16 + 2,
	BYTES_MAX = 2 + UUID_BYTES + SECRET_BYTES + NODE_BYTES_MAX * (NODES_MAX + 1) + 1 + TOKEN_NONCE_BYTES + CRC_BYTES,
};

CORE_STATIC_ASSERT(BYTES_MAX * 4 / 3 + 4 < TOKEN_TEXT_MAX, "the longest token fits");

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

struct writer {
	u32 length;
	u8 bytes[BYTES_MAX];
};

static void put(struct writer *writer, const void *bytes, size_t length)
{
	memcpy(writer->bytes + writer->length, bytes, length);
	writer->length += (u32)length;
}

static void put_u8(struct writer *writer, u8 value)
{
	put(writer, &value, 1);
}

static void put_node(struct writer *writer, const struct token_node *node)
{
	u8 port[2];

	put_u8(writer, node->node);
	put_u8(writer, (u8)strlen(node->name));
	put(writer, node->name, strlen(node->name));
	put_u8(writer, node->address.family);
	put(writer, node->address.bytes, node->address.family == 6 ? 16 : 4);
	core_put_le16(port, node->address.port);
	put(writer, port, sizeof(port));
}

static void to_text(const u8 *bytes, u32 length, char *text)
{
	u32 bits = 0, nr_bits = 0;

	while (length || nr_bits) {
		if (nr_bits < 6 && length) {
			bits = bits << 8 | *bytes++;
			nr_bits += 8;
			length--;
		} else if (nr_bits < 6) {
			bits <<= 6 - nr_bits;
			nr_bits = 6;
		}
		nr_bits -= 6;
		*text++ = digits[bits >> nr_bits & 63];
	}
	*text = '\0';
}

void token_encode(const struct token *token, char text[TOKEN_TEXT_MAX])
{
	struct writer writer = { 0 };
	u8 crc[CRC_BYTES];
	u32 i;

	put_u8(&writer, VERSION);
	put_u8(&writer, token->insecure ? FLAG_INSECURE : 0);
	put(&writer, token->cluster_id, UUID_BYTES);
	if (!token->insecure)
		put(&writer, token->secret, SECRET_BYTES);
	put_node(&writer, &token->joiner);
	put_u8(&writer, (u8)token->nr_nodes);
	for (i = 0; i < token->nr_nodes; i++)
		put_node(&writer, &token->node[i]);
	put(&writer, token->nonce, TOKEN_NONCE_BYTES);
	core_put_le32(crc, core_crc32c(0, writer.bytes, writer.length));
	put(&writer, crc, sizeof(crc));
	to_text(writer.bytes, writer.length, text);
}

struct reader {
	const u8 *bytes;
	u32 left;
	bool ok;
};

static void take(struct reader *reader, void *bytes, size_t length)
{
	if (!reader->ok || reader->left < length) {
		reader->ok = false;
		memset(bytes, 0, length);
		return;
	}
	memcpy(bytes, reader->bytes, length);
	reader->bytes += length;
	reader->left -= (u32)length;
}

static u8 take_u8(struct reader *reader)
{
	u8 value;

	take(reader, &value, 1);
	return value;
}

static void take_node(struct reader *reader, struct token_node *node)
{
	u8 length, port[2];

	memset(node, 0, sizeof(*node));
	node->node = take_u8(reader);
	length = take_u8(reader);
	if (length >= NAME_BYTES_MAX)
		reader->ok = false;
	else
		take(reader, node->name, length);
	node->address.family = take_u8(reader);
	take(reader, node->address.bytes, node->address.family == 6 ? 16 : 4);
	take(reader, port, sizeof(port));
	node->address.port = core_get_le16(port);
	if (!codec_node_valid(node->node, false) || !codec_name_valid(node->name) || strlen(node->name) != length ||
	    !node->address.port ||
	    (node->address.family != 4 && node->address.family != 6))
		reader->ok = false;
}

/* False for a foreign character, too long a text, or bits set that belong to no byte. */
static bool from_text(const char *text, size_t nr_chars, struct writer *bytes)
{
	u32 bits = 0, nr_bits = 0;

	bytes->length = 0;
	for (; nr_chars; nr_chars--, text++) {
		const char *digit = *text ? strchr(digits, *text) : NULL;

		if (!digit)
			return false;
		bits = bits << 6 | (u32)(digit - digits);
		nr_bits += 6;
		if (nr_bits < 8)
			continue;
		nr_bits -= 8;
		if (bytes->length == BYTES_MAX)
			return false;
		bytes->bytes[bytes->length++] = (u8)(bits >> nr_bits);
		bits &= (1u << nr_bits) - 1;
	}
	return nr_bits < 6 && !bits;
}

static bool read_token(struct reader *reader, struct token *token)
{
	u32 i, seen;
	u8 flags;

	memset(token, 0, sizeof(*token));
	take_u8(reader);
	flags = take_u8(reader);
	token->insecure = flags & FLAG_INSECURE;
	take(reader, token->cluster_id, UUID_BYTES);
	if (!token->insecure)
		take(reader, token->secret, SECRET_BYTES);
	take_node(reader, &token->joiner);
	token->nr_nodes = take_u8(reader);
	if (!reader->ok || (flags & ~FLAG_INSECURE) || token->nr_nodes >= NODES_MAX)
		return false;
	seen = NODE_BIT(token->joiner.node);
	for (i = 0; i < token->nr_nodes; i++) {
		take_node(reader, &token->node[i]);
		if (!reader->ok || (seen & NODE_BIT(token->node[i].node)))
			return false;
		seen |= NODE_BIT(token->node[i].node);
	}
	take(reader, token->nonce, TOKEN_NONCE_BYTES);
	return reader->ok && !reader->left;
}

bool token_decode(const char *text, struct token *token, const char **why)
{
	struct writer bytes;
	struct reader reader;
	size_t nr_chars;

	text += strspn(text, " \t\r\n");
	nr_chars = strcspn(text, " \t\r\n");
	if (text[nr_chars + strspn(text + nr_chars, " \t\r\n")]) {
		*why = "the token is not one word; it may have been broken into lines";
		return false;
	}
	if (!nr_chars || !from_text(text, nr_chars, &bytes) || bytes.length < 2 + CRC_BYTES) {
		*why = "this is not a complete token: a character is foreign or missing";
		return false;
	}
	reader = (struct reader){ .bytes = bytes.bytes, .left = bytes.length - CRC_BYTES, .ok = true };
	if (core_get_le32(bytes.bytes + reader.left) != core_crc32c(0, bytes.bytes, reader.left)) {
		*why = "its checksum does not fit: a character was changed, added or lost";
		return false;
	}
	if (bytes.bytes[0] != VERSION) {
		*why = textf("token version %u is not known to this braid", bytes.bytes[0]);
		return false;
	}
	if (!read_token(&reader, token)) {
		*why = "its content is impossible";
		return false;
	}
	return true;
}
