/*
 * The UDP sockets. Theory of operation: one per listening address, for both directions, so that
 * the source port a peer sees is the port it sends to (flannel assumes it). Outer packets may be
 * fragmented on the way (no DF), as flannel's and the kernel's VXLAN packets may: a path with a
 * smaller MTU then slows the tunnel instead of swallowing it.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"

/* linux/udp.h and netinet/udp.h of old systems lack them. */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#define IP_PMTUDISC_DONT_VALUE 0
/** Room for the windows of a few TCP flows: a sender in the kernel feels no back pressure. */
#define SOCKET_BUFFER (16 << 20)

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static void set_buffers(int fd)
{
	/* FORCE needs CAP_NET_ADMIN, which a TUN device needs too; else what rmem_max allows */
	if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER) < 0)
		(void)set_int(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
	if (set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER) < 0)
		(void)set_int(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
}

/* Takes an offered socket that is bound to @listen out of the offer, or returns -1. */
static int take_offered(struct hp_config *config, const struct hp_endpoint *listen)
{
	for (size_t i = 0; i < HP_LISTEN_MAX; i++) {
		struct peer want = { .socket = 0 };
		struct sockaddr_storage is = { 0 };
		socklen_t length = sizeof(is);
		int fd = config->udp_fds[i];

		if (fd < 0 || endpoint_fill(listen, &want) < 0 ||
		    getsockname(fd, (struct sockaddr *)&is, &length) < 0 ||
		    !table_same_endpoint(&want, (const struct sockaddr *)&is) ||
		    !fd_is_here(fd, SIOCGSKNS))
			continue;
		config->udp_fds[i] = -1;
		return fd;
	}
	return -1;
}

static int bind_to(int fd, const struct hp_endpoint *listen)
{
	if (listen->family == 4) {
		struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = htons(listen->port) };

		memcpy(&in4.sin_addr, listen->addr, 4);
		return bind(fd, (const struct sockaddr *)&in4, sizeof(in4)) < 0 ? -errno : 0;
	}
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(listen->port) };

	memcpy(&in6.sin6_addr, listen->addr, 16);
	return bind(fd, (const struct sockaddr *)&in6, sizeof(in6)) < 0 ? -errno : 0;
}

static void probe(int fd, uint32_t *features, int32_t *errors)
{
	if (*features & HP_F_UDP_GRO) {
		int rc = set_int(fd, IPPROTO_UDP, UDP_GRO, 1);

		if (rc < 0) {
			*features &= ~(uint32_t)HP_F_UDP_GRO;
			errors[6] = -rc;
		}
	}
	if (*features & HP_F_UDP_SEGMENT) {
		/* Only whether the option exists; the size goes with each message */
		int rc = set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 0);

		if (rc < 0) {
			*features &= ~(uint32_t)HP_F_UDP_SEGMENT;
			errors[5] = -rc;
		}
	}
}
_Static_assert(HP_F_UDP_SEGMENT == 1 << 5 && HP_F_UDP_GRO == 1 << 6, "indices of errors");

/** IPPROTO_RAW means that the IP header is ours. Without CAP_NET_RAW no errors are sent. */
void icmp_open(int *sockets)
{
	sockets[0] = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	sockets[1] = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
}

static int open_new(const struct hp_endpoint *listen, int *fd, uint32_t *step)
{
	int domain = listen->family == 4 ? AF_INET : AF_INET6, rc;

	*step = HP_STEP_SOCKET;
	*fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
	if (*fd < 0)
		return -errno;
	set_buffers(*fd);
	if (domain == AF_INET) {
		(void)set_int(*fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT_VALUE);
	} else {
		(void)set_int(*fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		(void)set_int(*fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DONT_VALUE);
	}
	*step = HP_STEP_BIND;
	rc = bind_to(*fd, listen);
	if (rc < 0) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

int udp_open(struct hp_config *config, uint32_t listener, uint32_t *features, int32_t *errors,
	     int *fd, uint32_t *step)
{
	const struct hp_endpoint *listen = &config->listen[listener];
	int rc = 0;

	*fd = take_offered(config, listen);
	if (*fd < 0)
		rc = open_new(listen, fd, step);
	if (rc == 0)
		probe(*fd, features, errors);
	return rc;
}
