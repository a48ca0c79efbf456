// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of ipc_decode.c: messages as the module sends them (and damaged ones) become the structs that the verbs look at.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <stdio.h>
#include "../kernel/uapi/linux/braid.h"
#include "ipc_decode.h"
#include "print.h"

static u32 nr_failed, nr_checked;

#define CHECK(condition) check(condition, #condition, __func__, __LINE__)

static void check(bool ok, const char *text, const char *function, int line)
{
	nr_checked++;
	if (!ok) {
		nr_failed++;
		printf("FAILED %s:%d: %s\n", function, line, text);
	}
}

static char buffer[16384];

static struct nlmsghdr *begin(u8 command)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

	header->cmd = command;
	return message;
}

static struct nlmsghdr *error_message(int error, const char *text, bool with_cookie)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nlmsgerr *answer = mnl_nlmsg_put_extra_header(message, sizeof(*answer));

	message->nlmsg_type = NLMSG_ERROR;
	message->nlmsg_flags = NLM_F_CAPPED | (text ? NLM_F_ACK_TLVS : 0);
	answer->error = error;
	if (text)
		mnl_attr_put_strz(message, NLMSGERR_ATTR_MSG, text);
	if (with_cookie)
		mnl_attr_put_u32(message, NLMSGERR_ATTR_COOKIE, 5);
	return message;
}

static void test_errors(void)
{
	struct ipc_error error;

	CHECK(ipc_decode_error(error_message(0, NULL, false), &error));
	CHECK(!ipc_decode_error(error_message(-EHOSTUNREACH, "unreachable: no answer", true), &error));
	CHECK(error.error == EHOSTUNREACH && error.nodes == 5);
	CHECK(!strcmp(error.code, "unreachable") && !strcmp(error.sentence, "no answer"));
	CHECK(!ipc_decode_error(error_message(-EINVAL, "Attribute failed policy validation", false), &error));
	CHECK(!*error.code && !strcmp(error.sentence, "Attribute failed policy validation"));
	CHECK(!ipc_decode_error(error_message(-EPERM, NULL, false), &error) && *error.sentence && !*error.code);
	CHECK(!ipc_decode_error(error_message(-EOPNOTSUPP, NULL, false), &error) && error.old_module);
}

static struct nlmsghdr *volume_message(u8 command)
{
	struct nlmsghdr *message = begin(command);
	struct nlattr *nest;

	mnl_attr_put_u64(message, BRAID_A_VOLUME_ID, 0x1234);
	mnl_attr_put_strz(message, BRAID_A_VOLUME_NAME, "web");
	mnl_attr_put_strz(message, BRAID_A_VOLUME_DEVICE, "braid3");
	mnl_attr_put_u64(message, BRAID_A_VOLUME_BYTES, 1ull << 30);
	mnl_attr_put_u8(message, BRAID_A_VOLUME_ROLE, BRAID_ROLE_PRIMARY);
	mnl_attr_put_u8(message, BRAID_A_VOLUME_THIS_NODE, 2);
	mnl_attr_put_strz(message, BRAID_A_VOLUME_DISK_NAME, "ok");
	mnl_attr_put(message, BRAID_A_VOLUME_ONLINE, 0, NULL);
	mnl_attr_put(message, BRAID_A_VOLUME_UP_TO_DATE, 0, NULL);
	mnl_attr_put_u32(message, BRAID_A_VOLUME_SEQUENCE, 77);
	mnl_attr_put_u32(message, 999, 1);
	nest = mnl_attr_nest_start(message, BRAID_A_VOLUME_GENERATION);
	mnl_attr_put_u64(message, BRAID_A_GENERATION_NUMBER, 5);
	mnl_attr_put_u32(message, BRAID_A_GENERATION_MEMBERS, 6);
	mnl_attr_nest_end(message, nest);
	nest = mnl_attr_nest_start(message, BRAID_A_VOLUME_PEER);
	mnl_attr_put_u8(message, BRAID_A_RELATION_NODE, 1);
	mnl_attr_put_u8(message, BRAID_A_RELATION_STATE, BRAID_RELATION_TARGET);
	mnl_attr_put_strz(message, BRAID_A_RELATION_STATE_NAME, "target");
	mnl_attr_put_u64(message, BRAID_A_RELATION_DIRTY_BYTES, 1 << 29);
	mnl_attr_nest_end(message, nest);
	return message;
}

static void check_volume(const struct volume_status *volume)
{
	CHECK(volume->id == 0x1234 && !strcmp(volume->name, "web") && !strcmp(volume->device, "braid3"));
	CHECK(volume->is_primary && volume->up_to_date && !volume->healthy && volume->node == 2);
	CHECK(volume->primary == NODE_NONE && volume->sync_source == NODE_NONE && !volume->split);
	CHECK(volume->has_generation && volume->generation.number == 5 && volume->generation.members == 6);
	CHECK(volume->generation.writer == NODE_NONE && !volume->generation.written);
	CHECK(volume->nr_relations == 1 && volume->relation[0].node == 1 && volume->relation[0].dirty_bytes == 1 << 29);
	CHECK(!strcmp(print_content(volume), "up-to-date"));
	CHECK(!strcmp(print_relation_words(&volume->relation[0]), "resyncing"));
}

static void test_volume(void)
{
	struct volume_list list = { 0 };
	struct volume_status volume;
	struct model_event event;

	CHECK(ipc_decode_volume(volume_message(BRAID_CMD_VOLUME_GET), &volume));
	check_volume(&volume);
	CHECK(ipc_decode_volume_item(volume_message(BRAID_CMD_VOLUME_GET), &list));
	CHECK(ipc_decode_volume_item(volume_message(BRAID_CMD_VOLUME_GET), &list) && list.nr == 2);
	check_volume(&list.item[1]);
	ipc_volumes_free(&list);
	CHECK(ipc_decode_event(volume_message(BRAID_CMD_VOLUME_EVENT), &event));
	CHECK(event.is_volume && event.sequence == 77 && !event.gone && event.volume_id == 0x1234);
	CHECK(!ipc_decode_event(volume_message(BRAID_CMD_VOLUME_GET), &event));
}

static void test_peer(void)
{
	static const u8 address[16] = { 192, 0, 2, 9 };
	struct nlmsghdr *message = begin(BRAID_CMD_PEER_EVENT);
	struct peer_list peers = { 0 };
	struct model_event event;

	mnl_attr_put_u8(message, BRAID_A_PEER_ID, 3);
	mnl_attr_put_strz(message, BRAID_A_PEER_NAME, "gamma");
	mnl_attr_put(message, BRAID_A_PEER_ADDRESS, 4, address);
	mnl_attr_put_u16(message, BRAID_A_PEER_PORT, 7790);
	mnl_attr_put(message, BRAID_A_PEER_INSTANCE, 8, address);
	mnl_attr_put_u8(message, BRAID_A_PEER_STATE, BRAID_PEER_OPEN);
	mnl_attr_put(message, BRAID_A_PEER_GONE, 0, NULL);
	CHECK(ipc_decode_peer_item(message, &peers) && peers.nr == 1);
	CHECK(peers.item[0].node == 3 && peers.item[0].open && peers.item[0].address.family == 4);
	CHECK(peers.item[0].address.port == 7790 && !peers.item[0].instance_known);
	CHECK(ipc_decode_event(message, &event) && !event.is_volume && event.gone && event.node == 3);
}

int main(void)
{
	test_errors();
	test_volume();
	test_peer();
	printf("%u checks, %u failed\n", nr_checked, nr_failed);
	return nr_failed != 0;
}
