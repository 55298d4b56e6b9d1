/*
 * Multicasts the kernel's own question for a neighbour (RTM_GETNEIGH to RTNLGRP_NEIGH) about one
 * address after the other, as fast as it can, for tests that need more questions than this kernel's
 * neighbour table lets a sender cause. Says "asking" when it begins.
 *
 *   ask DEVICE FIRST COUNT SECONDS
 */
#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static struct {
	struct nlmsghdr header;
	struct ndmsg neighbour;
	struct rtattr attribute;
	uint8_t addr[4];
} question;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = 1 << (RTNLGRP_NEIGH - 1) };
	struct in_addr first;
	uint64_t asked = 0;
	uint32_t count, at;
	double end;
	int fd;

	if (argc != 5 || inet_pton(AF_INET, argv[2], &first) != 1) {
		fputs("usage: ask DEVICE FIRST COUNT SECONDS\n", stderr);
		return 2;
	}
	count = (uint32_t)strtoul(argv[3], NULL, 10);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	question.header = (struct nlmsghdr){ .nlmsg_len = sizeof(question),
					     .nlmsg_type = RTM_GETNEIGH,
					     .nlmsg_flags = NLM_F_REQUEST };
	question.neighbour = (struct ndmsg){ .ndm_family = AF_INET,
					     .ndm_ifindex = (int)if_nametoindex(argv[1]) };
	question.attribute = (struct rtattr){ .rta_len = RTA_LENGTH(4), .rta_type = NDA_DST };
	if (fd < 0 || count == 0 || question.neighbour.ndm_ifindex == 0) {
		perror(argv[1]);
		return 1;
	}
	puts("asking");
	fflush(stdout);
	for (end = now() + strtod(argv[4], NULL); asked % 64 != 0 || now() < end; asked++) {
		at = htonl(ntohl(first.s_addr) + (uint32_t)(asked % count));
		memcpy(question.addr, &at, 4);
		/* The kernel takes it for a request too, and what it answers finds no room: no matter */
		(void)sendto(fd, &question, sizeof(question), MSG_DONTWAIT,
			     (struct sockaddr *)(void *)&to, sizeof(to));
	}
	printf("%llu\n", (unsigned long long)asked);
	return 0;
}
