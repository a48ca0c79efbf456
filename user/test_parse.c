// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of everything of the command that works without the module: state file, token, addresses, numbers, and metadata
 * formatted, read, damaged and repaired in a file. Random choices are replayed with SEED=n.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "../kernel/core/dirty.h"
#include "address.h"
#include "meta.h"
#include "state.h"
#include "text.h"
#include "token.h"

static u32 nr_failed, nr_checked;
static u64 seed;

#define CHECK(condition) check(condition, #condition, __func__, __LINE__)

static bool check(bool ok, const char *text, const char *function, int line)
{
	nr_checked++;
	if (!ok) {
		nr_failed++;
		printf("FAILED %s:%d: %s\n", function, line, text);
	}
	return ok;
}

static u32 random_below(u32 limit)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33) % limit;
}

static void test_numbers(void)
{
	u64 value = 7;
	u32 ms = 7;

	CHECK(text_parse_u64("0", 5, &value) && value == 0);
	CHECK(text_parse_u64("18446744073709551615", UINT64_MAX, &value) && value == UINT64_MAX);
	CHECK(!text_parse_u64("18446744073709551616", UINT64_MAX, &value));
	CHECK(!text_parse_u64("6", 5, &value) && !text_parse_u64("", 5, &value) && !text_parse_u64("-1", 5, &value));
	CHECK(!text_parse_u64("1 ", 5, &value) && !text_parse_u64("0x1", 50, &value));
	CHECK(text_parse_size("4096", &value) && value == 4096);
	CHECK(text_parse_size("2G", &value) && value == 2ull << 30);
	CHECK(text_parse_size("1TiB", &value) && value == 1ull << 40);
	CHECK(!text_parse_size("16777216T", &value) && !text_parse_size("1X", &value) && !text_parse_size("G", &value));
	CHECK(!text_parse_size("1GX", &value));
	CHECK(text_parse_seconds("1.5", &ms) && ms == 1500);
	CHECK(text_parse_seconds("0.0019", &ms) && ms == 1);
	CHECK(!text_parse_seconds("1.", &ms) && !text_parse_seconds(".5", &ms) && !text_parse_seconds("1s", &ms));
	CHECK(text_parse_id("00000000000000ff", &value) && value == 255);
	CHECK(!text_parse_id("0000000000000000", &value) && !text_parse_id("ff", &value));
	CHECK(!strcmp(text_size(1ull << 30), "1.0 GiB") && !strcmp(text_size(1023), "1023 B"));
	CHECK(!strcmp(text_unquote(text_quote("/dev/a b%\n")), "/dev/a b%\n") && !text_unquote("a%0") && !text_unquote("a%00"));
}

static void test_addresses(void)
{
	static const char *const good[][2] = {
		{ "192.0.2.1", "192.0.2.1:7790" },
		{ "192.0.2.1:1", "192.0.2.1:1" },
		{ "2001:db8::1", "[2001:db8::1]:7790" },
		{ "[2001:db8::1]", "[2001:db8::1]:7790" },
		{ "[2001:db8::1]:65535", "[2001:db8::1]:65535" },
	};
	static const char *const bad[] = { "", ":1", "host", "192.0.2", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "[::1",
					   "[::1]x", "0.0.0.0", "::", "192.0.2.1:7790:1", "192.0.2.1 " };
	struct node_address address;
	char text[ADDRESS_TEXT_MAX];
	const char *why;
	size_t i;

	for (i = 0; i < CORE_ARRAY_SIZE(good); i++) {
		if (!CHECK(address_parse(good[i][0], &address, &why)))
			continue;
		address_text(&address, text);
		CHECK(!strcmp(text, good[i][1]));
	}
	for (i = 0; i < CORE_ARRAY_SIZE(bad); i++)
		CHECK(!address_parse(bad[i], &address, &why));
}

static struct token sample_token(bool insecure, u32 nr_nodes)
{
	struct token token = { .insecure = insecure, .nr_nodes = nr_nodes };
	const char *why;
	u32 i;

	for (i = 0; i < SECRET_BYTES && !insecure; i++)
		token.secret[i] = (u8)random_below(256);
	for (i = 0; i < UUID_BYTES; i++)
		token.cluster_id[i] = token.nonce[i] = (u8)random_below(256);
	token.joiner.node = (u8)nr_nodes;
	strcpy(token.joiner.name, "joiner");
	address_parse("192.0.2.77:1234", &token.joiner.address, &why);
	for (i = 0; i < nr_nodes; i++) {
		token.node[i].node = (u8)i;
		memset(token.node[i].name, 'a' + (int)i % 26, 1 + random_below(NAME_BYTES_MAX - 1));
		address_parse(i % 2 ? "[2001:db8::1]:9" : "192.0.2.3", &token.node[i].address, &why);
	}
	return token;
}

static void test_token_round_trip(void)
{
	char text[TOKEN_TEXT_MAX];
	struct token token, back;
	const char *why;
	u32 nr;

	for (nr = 0; nr < NODES_MAX; nr++) {
		token = sample_token(nr % 2, nr);
		token_encode(&token, text);
		if (CHECK(token_decode(textf("  %s\n", text), &back, &why)))
			CHECK(!memcmp(&token, &back, sizeof(token)));
	}
}

/* Every single changed, lost, added or swapped character is found. */
static void damage_token(const struct token *token)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/= ";
	char text[TOKEN_TEXT_MAX], damaged[2 * TOKEN_TEXT_MAX];
	struct token back;
	const char *why;
	size_t length, i, d;
	u32 wrong = 0;

	token_encode(token, text);
	length = strlen(text);
	for (i = 0; i < length; i++) {
		for (d = 0; d < sizeof(digits) - 1; d++) {
			strcpy(damaged, text);
			damaged[i] = digits[d];
			if (digits[d] != text[i] && token_decode(damaged, &back, &why))
				wrong++;
			sprintf(damaged, "%.*s%c%s", (int)i, text, digits[d], text + i);
			if (token_decode(damaged, &back, &why) && (i || digits[d] != ' '))
				wrong++;
		}
		sprintf(damaged, "%.*s%s", (int)i, text, text + i + 1);
		if (token_decode(damaged, &back, &why))
			wrong++;
		if (i + 1 < length && text[i] != text[i + 1]) {
			strcpy(damaged, text);
			damaged[i] = text[i + 1];
			damaged[i + 1] = text[i];
			if (token_decode(damaged, &back, &why))
				wrong++;
		}
		sprintf(damaged, "%.*s", (int)i, text);
		if (token_decode(damaged, &back, &why))
			wrong++;
	}
	CHECK(!wrong);
	CHECK(!token_decode("", &back, &why) && !token_decode("-", &back, &why));
}

/* Three lengths: with 0, 1 and 2 bytes in the last group of base64. */
static void test_token_damage(void)
{
	struct token token = sample_token(false, 2);

	damage_token(&token);
	strcpy(token.joiner.name, "joiner1");
	damage_token(&token);
	strcpy(token.joiner.name, "joiner12");
	damage_token(&token);
}

static const char identity[] =
	"version 1\n"
	"cluster 000102030405060708090a0b0c0d0e0f\n"
	"node 0\n"
	"name alpha\n"
	"instance 0f0e0d0c0b0a09080706050403020100\n"
	"secret 000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\n"
	"listen 192.0.2.1:7790\n";

static struct state one, two;

static bool parses(const char *head, const char *tail, const char **why)
{
	return state_parse(textf("%s%s", head, tail), &one, why);
}

static void test_state_round_trip(void)
{
	const char *why = "";
	char *text;

	if (!CHECK(parses(identity, "# comment\n\npeer 3 gamma 192.0.2.3 000102030405060708090a0b0c0d0e0f\n"
			  "peer 1 beta [2001:db8::1]:9\nvolume web 00000000000000ff up /dev/a%20b\n"
			  "volume db 0000000000000100 down /dev/x /dev/y\n", &why))) {
		printf("  %s\n", why);
		return;
	}
	CHECK(one.nr_peers == 2 && one.peer[0].node == 1 && one.peer[1].instance_known && one.next_node == 4);
	CHECK(one.nr_volumes == 2 && !strcmp(one.volume[0].data_path, "/dev/a b") && one.volume[0].wanted_up);
	text = state_format(&one);
	CHECK(state_parse(text_copy(text), &two, &why) && !strcmp(state_format(&two), text));
}

static void test_state_refusals(void)
{
	static const struct {
		const char *tail, *line;
	} bad[] = {
		{ "colour red\n", "line 8:" },
		{ "name beta\n", "line 8:" },
		{ "insecure\n", "line 8:" },
		{ "peer 0 beta 192.0.2.2\n", "line 8:" },
		{ "peer 1 alpha 192.0.2.2\n", "line 8:" },
		{ "peer 1 beta 192.0.2.2\npeer 1 gamma 192.0.2.2\n", "line 9:" },
		{ "peer 1 beta 192.0.2.2\npeer 2 beta 192.0.2.2\n", "line 9:" },
		{ "peer 32 beta 192.0.2.2\n", "line 8:" },
		{ "peer 1 beta\n", "line 8:" },
		{ "volume web 00ff up /dev/a\n", "line 8:" },
		{ "volume web 00000000000000ff sideways /dev/a\n", "line 8:" },
		{ "volume web 00000000000000ff up dev/a\n", "line 8:" },
		{ "volume web 00000000000000ff up /dev/a\nvolume web 00000000000000ff up /dev/a\n", "line 9:" },
		{ "timeout-ms 100\n", "line 8:" },
		{ "timeout-ms 5000", "line 8:" },
		{ "a b c d e f g\n", "line 8:" },
	};
	const char *why = "";
	size_t i, length;

	for (i = 0; i < CORE_ARRAY_SIZE(bad); i++)
		if (CHECK(!parses(identity, bad[i].tail, &why)) && !CHECK(!strncmp(why, bad[i].line, strlen(bad[i].line))))
			printf("  %s\n", why);
	CHECK(!parses("", "node 0\nversion 1\n", &why) && !strncmp(why, "line 1:", 7));
	CHECK(!parses("", "version 2\n", &why));
	for (length = 0; length < sizeof(identity) - 1; length++)
		CHECK(!state_parse(textf("%.*s", (int)length, identity), &one, &why));
}

static void test_state_file(const char *directory)
{
	const char *why = "";

	state_set_directory(directory);
	CHECK(state_load(&two, &why) == STATE_MISSING);
	CHECK(parses(identity, "", &why) && state_lock(&why) == STATE_OK && state_save(&one, &why) == STATE_OK);
	state_unlock();
	CHECK(state_load(&two, &why) == STATE_OK && !strcmp(state_format(&one), state_format(&two)));
	CHECK(!system(textf("test $(stat -c %%a%%a %s %s/node | tr -d '\\n') = 700700600600", directory, directory)));
	CHECK(!system(textf("chmod 644 %s/node", directory)) && state_load(&two, &why) == STATE_DAMAGED);
	CHECK(!system(textf("rm -r %s", directory)));
}

static struct ondisk_super sample_super(u64 bytes)
{
	struct ondisk_super super = { .volume_id = 0x1234, .replica_id = 0x5678, .name = "web", .replicas = 5, .node_id = 2,
				      .split_peer = NODE_NONE };

	CHECK(ondisk_plan(bytes, 0, false, 0, 0, &super));
	memset(super.slot_node, NODE_NONE, sizeof(super.slot_node));
	super.slot_node[0] = 0;
	super.chain.count = 1;
	super.chain.record[0] = (struct generation){ .id = 9, .number = 1, .members = 4, .writer = NODE_NONE };
	return super;
}

static void write_index(const struct disk *disk, const struct meta_view *view, const u8 *body)
{
	struct ondisk_header header = { .volume_id = view->super.volume_id, .replica_id = view->super.replica_id, .sequence = 2,
					.location = ondisk_index_offset(&view->layout, 0, 0), .kind = ONDISK_DIRTY_INDEX };
	u8 block[META_BLOCK_BYTES];

	ondisk_body_encode(&header, body, block);
	CHECK(disk_write(disk, header.location, block, sizeof(block)));
}

static void test_meta(const char *path)
{
	static struct meta_view view;
	struct disk disk = { .path = path, .bytes = 1ull << 30 };
	struct ondisk_super super = sample_super(disk.bytes);
	u8 body[META_BODY_BYTES] = { DIRTY_FULL | DIRTY_MIXED << 2 };
	const char *problems[8];
	u8 junk[512];
	bool failed;

	disk.fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(disk.fd >= 0 && !ftruncate(disk.fd, (off_t)disk.bytes));
	CHECK(!disk_signature(&disk, &failed) && !failed);
	memset(junk, 0xa5, sizeof(junk));
	CHECK(disk_write(&disk, super.meta_bytes, junk, sizeof(junk)));
	CHECK(meta_format(&disk, &super) && meta_read(&disk, &view));
	CHECK(view.chosen == 1 && !meta_problems(&view, problems, 8) && !view.nr_regions && !view.map[0].dirty_bytes);
	CHECK(view.super.volume_bytes == super.volume_bytes && !strcmp(view.super.name, "web"));
	CHECK(strstr(disk_signature(&disk, &failed), "volume web"));
	CHECK(disk_read(&disk, super.meta_bytes, junk, sizeof(junk)) && junk[0] == 0xa5 && junk[511] == 0xa5);

	write_index(&disk, &view, body);
	CHECK(meta_read(&disk, &view) && view.map[0].full_pages == 1 && view.map[0].mixed_pages == 1);
	CHECK(view.map[0].damaged_blocks == 1 && meta_problems(&view, problems, 8) == 1);
	CHECK(view.map[0].dirty_bytes == 2ull * DIRTY_PAGE_BITS * super.granule_bytes);

	CHECK(meta_repair_refusal(&view));
	CHECK(disk_write(&disk, ondisk_super_offset(1) + 200, junk, sizeof(junk)) && meta_read(&disk, &view));
	CHECK(view.chosen == 0 && view.copy_error[1] == ONDISK_BAD_CHECKSUM && !meta_repair_refusal(&view));
	CHECK(meta_repair(&disk, &view) && meta_read(&disk, &view) && view.copy_error[1] == ONDISK_OK);
	CHECK(meta_wipe(&disk) && meta_read(&disk, &view) && view.chosen < 0);
	close(disk.fd);
	unlink(path);
}

int main(void)
{
	const char *chosen = getenv("SEED");
	char directory[] = "/tmp/braid-test-XXXXXX";

	seed = chosen ? strtoull(chosen, NULL, 0) : (u64)time(NULL);
	printf("seed %llu\n", (unsigned long long)seed);
	if (!mkdtemp(directory))
		return 1;
	test_numbers();
	test_addresses();
	test_token_round_trip();
	test_token_damage();
	test_state_round_trip();
	test_state_refusals();
	test_state_file(textf("%s/state", directory));
	test_meta(textf("%s/disk", directory));
	rmdir(directory);
	printf("%u checks, %u failed\n", nr_checked, nr_failed);
	return nr_failed != 0;
}
