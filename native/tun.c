/*
 * The TUN device. Theory of operation: always multiqueue, so that a successor may attach with any
 * number of queues; with a vnet header when wanted, so that superpackets pass whole. Offloads are
 * asked for one group after the other, because the kernel refuses a set as a whole; what it
 * refuses is reported with its errno and the device works without. A persistent device outlives
 * us; a predecessor's queues are taken as they are if they are of that device and speak as we do.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

/* linux/if_tun.h before 6.2 lacks them; the kernel takes them as a pair only. */
#define TUN_F_USO4_USO6 0x60u

static short flags_for(uint32_t features)
{
	short flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE;

	if (features & HP_F_VNET)
		flags |= IFF_VNET_HDR;
	if (features & HP_F_NAPI)
		flags |= IFF_NAPI;
	return flags;
}

/** Whether an open file belongs to our network namespace; @request asks it for its own. */
bool fd_is_here(int fd, unsigned long request)
{
	struct stat here, there;
	int netns = ioctl(fd, request);
	bool same = netns >= 0 && stat("/proc/thread-self/ns/net", &here) == 0 &&
		    fstat(netns, &there) == 0 && here.st_ino == there.st_ino;

	if (netns >= 0)
		close(netns);
	return same;
}

/* Takes an offered queue of this device out of the offer, or returns -1. */
static int take_offered(struct hp_config *config, uint32_t features)
{
	const short ours = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_VNET_HDR | IFF_NAPI;

	for (size_t i = 0; i < HP_QUEUES_MAX; i++) {
		struct ifreq ifr = { 0 };
		int fd = config->tun_fds[i];

		/* A queue whose device was deleted answers EBADFD */
		if (fd < 0 || ioctl(fd, TUNGETIFF, &ifr) < 0 ||
		    strncmp(ifr.ifr_name, config->device, sizeof(ifr.ifr_name)) != 0 ||
		    (ifr.ifr_flags & ours) != flags_for(features) ||
		    !fd_is_here(fd, TUNGETDEVNETNS))
			continue;
		config->tun_fds[i] = -1;
		return fd;
	}
	return -1;
}

static int attach(const struct hp_config *config, uint32_t *features, uint32_t *step)
{
	struct ifreq ifr = { 0 };
	int fd, rc;

	*step = HP_STEP_TUN_OPEN;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	*step = HP_STEP_TUN_ATTACH;
	memcpy(ifr.ifr_name, config->device, sizeof(ifr.ifr_name) - 1);
	ifr.ifr_flags = flags_for(*features);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static void feature_failed(uint32_t *features, int32_t *errors, uint32_t mask, int error)
{
	for (unsigned int bit = 0; bit < 16; bit++) {
		if ((mask & *features & (1u << bit)) != 0)
			errors[bit] = error;
	}
	*features &= ~mask;
}

static void set_offloads(int fd, uint32_t *features, int32_t *errors)
{
	static const struct {
		uint32_t feature, flag;
	} wishes[] = {
		{ HP_F_CSUM, TUN_F_CSUM },
		{ HP_F_TSO4, TUN_F_TSO4 | TUN_F_TSO_ECN },
		{ HP_F_TSO6, TUN_F_TSO6 | TUN_F_TSO_ECN },
		{ HP_F_USO, TUN_F_USO4_USO6 },
	};
	uint32_t flags = 0, all = HP_F_CSUM | HP_F_TSO4 | HP_F_TSO6 | HP_F_USO;

	if ((*features & HP_F_VNET) == 0) {
		feature_failed(features, errors, all, EOPNOTSUPP);
		return;
	}
	for (size_t i = 0; i < HP_ARRAY_SIZE(wishes); i++) {
		if ((*features & wishes[i].feature) == 0)
			continue;
		/* Segmentation without checksum offload does not exist */
		if ((flags & TUN_F_CSUM) == 0 && wishes[i].feature != HP_F_CSUM)
			feature_failed(features, errors, wishes[i].feature, EOPNOTSUPP);
		else if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)(flags | wishes[i].flag)) < 0)
			feature_failed(features, errors, wishes[i].feature, errno);
		else
			flags |= wishes[i].flag;
	}
	/* Also when nothing is wanted: a persistent device keeps what its last owner set */
	(void)ioctl(fd, TUNSETOFFLOAD, (unsigned long)flags);
}

int tun_set_persist(int fd, bool on)
{
	return ioctl(fd, TUNSETPERSIST, on ? 1UL : 0UL) < 0 ? -errno : 0;
}

int tun_open(struct hp_config *config, uint32_t *features, int32_t *errors, int *fds,
	     uint32_t *step)
{
	for (uint32_t i = 0; i < config->queues; i++) {
		fds[i] = take_offered(config, *features);
		if (fds[i] < 0)
			fds[i] = attach(config, features, step);
		if (fds[i] < 0)
			return fds[i];
	}
	set_offloads(fds[0], features, errors);
	if (*features & HP_F_PERSIST) {
		int rc = tun_set_persist(fds[0], true);

		if (rc < 0)
			feature_failed(features, errors, HP_F_PERSIST, -rc);
	}
	return 0;
}
