/*
 * Whose a device is (rtnetlink): the one question that must be answered before a device that was
 * left behind is opened again, when nothing else is loaded yet.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <unistd.h>

#include "fastpath.h"

/** What the kernel says of a device, with all its statistics, is less than half of it. */
#define ANSWER_MAX 16384u

struct question {
	struct nlmsghdr header;
	struct ifinfomsg link;
	struct rtattr name_header;
	char name[16];
};
_Static_assert(sizeof(struct question) == 52, "no padding before the attribute");

static int alias_of(const struct nlmsghdr *header, size_t length, char *alias, uint32_t capacity)
{
	if (!NLMSG_OK(header, length) || header->nlmsg_type == NLMSG_ERROR)
		return -ENODEV;
	size_t rest = IFLA_PAYLOAD(header);

	for (const struct rtattr *a = IFLA_RTA(NLMSG_DATA(header)); RTA_OK(a, rest);
	     a = RTA_NEXT(a, rest)) {
		if (a->rta_type != IFLA_IFALIAS)
			continue;
		if (RTA_PAYLOAD(a) > capacity)
			return -ENOBUFS;
		memcpy(alias, RTA_DATA(a), RTA_PAYLOAD(a));
		return (int)RTA_PAYLOAD(a);
	}
	return 0;
}

int hp_device_alias(const char *device, char *alias, uint32_t capacity)
{
	struct question q = {
		.header = { .nlmsg_len = sizeof(q),
			    .nlmsg_type = RTM_GETLINK,
			    .nlmsg_flags = NLM_F_REQUEST },
		.name_header = { .rta_len = RTA_LENGTH(sizeof(q.name)), .rta_type = IFLA_IFNAME },
	};
	int fd = route_open(), rc = fd;
	uint8_t *answer = malloc(ANSWER_MAX);
	ssize_t length = -1;

	memcpy(q.name, device, strnlen(device, sizeof(q.name) - 1));
	if (fd >= 0 && answer && send(fd, &q, sizeof(q), 0) >= 0)
		/* The kernel has answered when send() returns */
		length = recv(fd, answer, ANSWER_MAX, MSG_DONTWAIT);
	if (rc >= 0)
		rc = length < 0 ? -ENODEV :
				  alias_of((const struct nlmsghdr *)(const void *)answer,
					   (size_t)length, alias, capacity);
	free(answer);
	if (fd >= 0)
		close(fd);
	return rc;
}
