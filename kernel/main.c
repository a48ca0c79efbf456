// SPDX-License-Identifier: GPL-2.0
/*
 * The module: what is set up in which order, and what every network namespace has of its own [L2] [L3].
 *
 * A namespace's struct braid_net is counted apart from the namespace: a volume whose disk does not answer may outlive it
 * for a while and still names its node.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include "buffer.h"
#include "device.h"
#include "netlink.h"
#include "node.h"

struct namespace_slot {
	struct braid_net *bn;
};

static unsigned int namespace_id __read_mostly;

struct braid_net *braid_net(struct net *net)
{
	struct namespace_slot *slot = net_generic(net, namespace_id);

	return slot->bn;
}

void braid_net_put(struct braid_net *bn)
{
	if (refcount_dec_and_test(&bn->references))
		kfree_sensitive(bn);
}

static int __net_init namespace_init(struct net *net)
{
	struct namespace_slot *slot = net_generic(net, namespace_id);
	struct braid_net *bn = kzalloc(sizeof(*bn), GFP_KERNEL);
	int error;

	if (!bn)
		return -ENOMEM;
	bn->net = net;
	refcount_set(&bn->references, 1);
	mutex_init(&bn->lock);
	INIT_LIST_HEAD(&bn->volumes);
	spin_lock_init(&bn->claims_lock);
	INIT_LIST_HEAD(&bn->claims);
	spin_lock_init(&bn->event_lock);
	error = braid_devices_init_net(bn);
	if (error) {
		kfree(bn);
		return error;
	}
	slot->bn = bn;
	return 0;
}

static void __net_exit namespace_exit(struct net *net)
{
	struct namespace_slot *slot = net_generic(net, namespace_id);
	struct braid_net *bn = slot->bn;

	mutex_lock(&bn->lock);
	bn->dying = true;	/* attaches that have not ended will not go online */
	mutex_unlock(&bn->lock);
	braid_volumes_exit_net(bn);
	mutex_lock(&bn->lock);
	/* Last: a volume that goes down in order still tells its peers. */
	if (bn->configured)
		braid_node_stop(bn);
	mutex_unlock(&bn->lock);
	braid_devices_exit_net(bn);
	braid_net_put(bn);
}

static struct pernet_operations namespace_operations = {
	.init = namespace_init,
	.exit = namespace_exit,
	.id = &namespace_id,
	.size = sizeof(struct namespace_slot),
};

static int __init braid_init(void)
{
	int error = braid_buffer_init();

	if (error)
		return error;
	error = braid_devices_init();
	if (error)
		goto undo_buffers;
	error = braid_sessions_init();
	if (error)
		goto undo_devices;
	error = register_pernet_device(&namespace_operations);
	if (error)
		goto undo_sessions;
	braid_debugfs_init();
	/* Last: from here on commands come. */
	error = braid_netlink_init();
	if (error)
		goto undo_namespaces;
	return 0;

undo_namespaces:
	braid_debugfs_exit();
	unregister_pernet_device(&namespace_operations);
undo_sessions:
	braid_sessions_exit();
undo_devices:
	braid_devices_exit();
undo_buffers:
	braid_buffer_exit();
	return error;
}

/* A device that is open, or a disk that still owes an answer, holds the module: neither is found here. */
static void __exit braid_exit(void)
{
	braid_netlink_exit();
	unregister_pernet_device(&namespace_operations);
	braid_debugfs_exit();
	braid_sessions_exit();
	braid_devices_exit();
	braid_buffer_exit();
}

module_init(braid_init);
module_exit(braid_exit);
MODULE_DESCRIPTION("Mirrored block devices over the network");
MODULE_LICENSE("GPL");
