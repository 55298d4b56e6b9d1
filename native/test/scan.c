/*
 * Sends UDP datagrams to one address after the other, as fast as it can, for tests that play a
 * scanner: COUNT addresses from FIRST on, then the same again, until SECONDS are over. What the
 * kernel refuses (there is no way, no room) is counted and goes on. Says how many it tried.
 *
 *   scan FIRST COUNT SECONDS
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct in_addr first;
	uint64_t tried = 0, refused = 0;
	uint32_t count;
	double end;
	int fd;

	if (argc != 4 || inet_pton(AF_INET, argv[1], &first) != 1) {
		fputs("usage: scan FIRST COUNT SECONDS\n", stderr);
		return 2;
	}
	count = (uint32_t)strtoul(argv[2], NULL, 10);
	end = now() + strtod(argv[3], NULL);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || count == 0) {
		perror("socket");
		return 1;
	}
	while (tried % 64 != 0 || now() < end) {
		to.sin_addr.s_addr = htonl(ntohl(first.s_addr) + (uint32_t)(tried++ % count));
		if (sendto(fd, "?", 1, 0, (struct sockaddr *)(void *)&to, sizeof(to)) < 0)
			refused++;
	}
	printf("{\"tried\":%llu,\"refused\":%llu}\n", (unsigned long long)tried,
	       (unsigned long long)refused);
	return 0;
}
