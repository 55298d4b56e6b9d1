/*
 * By which device the kernel would send to an address (rtnetlink). Theory of operation: one socket
 * asks, a route at a time; another hears when routes, rules, links or addresses change, and only
 * whether, so what was asked before is asked again.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include "fastpath.h"

#define GROUP(number) (1u << ((number) - 1))

struct question {
	struct nlmsghdr header;
	struct rtmsg route;
	struct rtattr to_header;
	uint32_t to;
	struct rtattr from_header;
	uint32_t from;
};
_Static_assert(sizeof(struct question) == 44, "no padding between attributes");

static int netlink_open(int flags, uint32_t groups)
{
	struct sockaddr_nl own = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&own, sizeof(own)) < 0) {
		close(fd);
		return -errno;
	}
	return fd < 0 ? -errno : fd;
}

int route_open(void)
{
	return netlink_open(0, 0);
}

int route_watch(void)
{
	return netlink_open(SOCK_NONBLOCK, GROUP(RTNLGRP_LINK) | GROUP(RTNLGRP_IPV4_IFADDR) |
						   GROUP(RTNLGRP_IPV4_ROUTE) |
						   GROUP(RTNLGRP_IPV4_RULE));
}

/** True when something was heard since the last call, or could not be. */
bool route_changed(int watch)
{
	uint8_t ignored[1];
	bool changed = false;

	while (recv(watch, ignored, sizeof(ignored), MSG_TRUNC) >= 0 || errno == ENOBUFS)
		changed = true;
	return changed;
}

static unsigned int device_of(const struct nlmsghdr *header, size_t length)
{
	const struct rtmsg *route = NLMSG_DATA(header);

	if (!NLMSG_OK(header, length) || header->nlmsg_type != RTM_NEWROUTE ||
	    route->rtm_type != RTN_UNICAST)
		return 0;
	size_t rest = RTM_PAYLOAD(header);

	for (const struct rtattr *a = RTM_RTA(route); RTA_OK(a, rest); a = RTA_NEXT(a, rest)) {
		if (a->rta_type == RTA_OIF)
			return *(const unsigned int *)RTA_DATA(a);
	}
	return 0;
}

/** Index of the device, or 0 where there is no route; addresses in network order. */
unsigned int route_device(int fd, uint32_t from, uint32_t to)
{
	const struct question q = {
		.header = { .nlmsg_len = sizeof(q),
			    .nlmsg_type = RTM_GETROUTE,
			    .nlmsg_flags = NLM_F_REQUEST },
		.route = { .rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_src_len = 32 },
		.to_header = { .rta_len = RTA_LENGTH(4), .rta_type = RTA_DST },
		.to = to,
		.from_header = { .rta_len = RTA_LENGTH(4), .rta_type = RTA_SRC },
		.from = from,
	};
	union {
		struct nlmsghdr header;
		uint8_t bytes[1024];
	} answer;
	ssize_t length;

	if (send(fd, &q, sizeof(q), 0) < 0)
		return 0;
	/* The kernel has answered when send() returns */
	length = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
	return length < 0 ? 0 : device_of(&answer.header, (size_t)length);
}
