/*
 * The sockets of the answering thread: one that hears the kernel's questions, and those for
 * requests.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answerer.h"

/** A bound socket, with its port. */
int netlink_open(uint32_t *port)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	socklen_t length = sizeof(address);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int rc;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)(void *)&address, sizeof(address)) < 0 ||
	    getsockname(fd, (struct sockaddr *)(void *)&address, &length) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	*port = address.nl_pid;
	return fd;
}

/** What our own changes cause by thousands neither wakes it nor fills its buffer. */
int questions_open(uint32_t receive_buffer)
{
	struct sock_filter only_questions[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __builtin_bswap16(RTM_GETNEIGH), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = 4, .filter = only_questions };
	int size = (int)receive_buffer, group = RTNLGRP_NEIGH, rc;
	uint32_t port;
	int fd = netlink_open(&port);

	if (fd < 0)
		return fd;
	/* Without the privilege the default holds some hundred questions */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0 &&
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}
