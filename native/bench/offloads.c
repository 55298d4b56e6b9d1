/*
 * Switches the offloads of a device as `ethtool -K` would, which is not installed everywhere.
 * Theory of operation: the kernel tells the names of its feature bits; those that a plain NIC may
 * lack are set or cleared in one SFEATURES call.
 *
 *   offloads DEVICE on|off
 */
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define FEATURES_MAX 128

static const char *const switched[] = {
	"tx-checksum-ip-generic",	"rx-checksum",		"tx-tcp-segmentation",
	"tx-tcp-ecn-segmentation",	"tx-tcp6-segmentation", "tx-tcp-mangleid-segmentation",
	"tx-generic-segmentation",	"rx-gro",		"tx-udp-segmentation",
};

static int ethtool(int fd, const char *device, void *command)
{
	struct ifreq ifr = { 0 };

	strncpy(ifr.ifr_name, device, IFNAMSIZ - 1);
	ifr.ifr_data = command;
	return ioctl(fd, SIOCETHTOOL, &ifr);
}

static int is_switched(const char *name)
{
	for (size_t i = 0; i < sizeof(switched) / sizeof(*switched); i++) {
		if (strcmp(name, switched[i]) == 0)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	size_t strings = sizeof(struct ethtool_gstrings) + FEATURES_MAX * ETH_GSTRING_LEN;
	size_t blocks = FEATURES_MAX / 32 * sizeof(struct ethtool_set_features_block);
	struct ethtool_gstrings *names = calloc(1, strings);
	struct ethtool_sfeatures *set = calloc(1, sizeof(*set) + blocks);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc != 3 || !names || !set || fd < 0)
		return 2;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	/* Zero asks for all: a wrong length gives none since Linux 6.10 */
	names->len = 0;
	if (ethtool(fd, argv[1], names) < 0) {
		perror("ETHTOOL_GSTRINGS");
		return 1;
	}
	set->cmd = ETHTOOL_SFEATURES;
	set->size = (names->len + 31) / 32;
	for (unsigned int i = 0; i < names->len && i < FEATURES_MAX; i++) {
		if (!is_switched((const char *)names->data + i * ETH_GSTRING_LEN))
			continue;
		set->features[i / 32].valid |= 1u << i % 32;
		if (strcmp(argv[2], "on") == 0)
			set->features[i / 32].requested |= 1u << i % 32;
	}
	/* Positive: some bits were adjusted by the driver, which is fine */
	if (ethtool(fd, argv[1], set) < 0) {
		perror("ETHTOOL_SFEATURES");
		return 1;
	}
	free(names);
	free(set);
	return 0;
}
