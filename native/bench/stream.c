/*
 * A steady stream whose holes are seen. Theory of operation: the sender sends one numbered record
 * every INTERVAL microseconds, by the clock and not by the last one sent; the receiver counts
 * records and measures the longest time between two of them, and notes when times worth it
 * ended (realtime clock) and how long they were. Over TCP a record that is late shows
 * as a hole; over UDP also as one that is missing.
 *
 *   stream receive udp|tcp ADDRESS PORT                   prints "bound", at the end one line JSON
 *   stream send    udp|tcp ADDRESS PORT RECORDS INTERVAL
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RECORD 200
#define END UINT32_MAX
#define HOLE_US 5000
#define HOLES_MAX 64

static uint64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static uint64_t now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

static int open_socket(const char *kind, const char *host, const char *port, bool listening)
{
	struct addrinfo hints = { .ai_socktype = *kind == 't' ? SOCK_STREAM : SOCK_DGRAM }, *at;
	/* A receiver that waits for a core must not lose what has arrived */
	int fd, one = 1, room = 16 << 20;

	if (getaddrinfo(host, port, &hints, &at) != 0)
		return -1;
	fd = socket(at->ai_family, at->ai_socktype, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (listening ? bind(fd, at->ai_addr, at->ai_addrlen) < 0 :
			connect(fd, at->ai_addr, at->ai_addrlen) < 0)
		return -1;
	if (*kind == 't')
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	freeaddrinfo(at);
	return fd;
}

static int receive(const char *kind, int fd)
{
	static uint64_t holes[HOLES_MAX][2];
	uint64_t last = 0, longest = 0, bytes = 0;
	uint8_t data[65536];
	uint32_t records = 0, count = 0;

	if (*kind == 't' && listen(fd, 1) < 0)
		return 1;
	printf("bound\n");
	fflush(stdout);
	if (*kind == 't')
		fd = accept(fd, NULL, NULL);
	for (;;) {
		ssize_t got = recv(fd, data, sizeof(data), 0);
		uint64_t now = now_us();
		uint32_t number;

		if (got <= 0)
			break;
		memcpy(&number, data, sizeof(number));
		if (*kind == 'u' && number == END)
			break;
		bytes += (uint64_t)got;
		records++;
		if (last != 0 && now - last > longest)
			longest = now - last;
		if (last != 0 && now - last > HOLE_US && count < HOLES_MAX) {
			holes[count][0] = clock_us(CLOCK_REALTIME);
			holes[count++][1] = now - last;
		}
		last = now;
	}
	if (*kind == 't')
		records = (uint32_t)(bytes / RECORD);
	printf("{\"records\":%u,\"longestUs\":%llu,\"holes\":[", records,
	       (unsigned long long)longest);
	for (uint32_t i = 0; i < count; i++)
		printf("%s[%llu,%llu]", i > 0 ? "," : "", (unsigned long long)holes[i][0],
		       (unsigned long long)holes[i][1]);
	printf("]}\n");
	return 0;
}

static int transmit(const char *kind, int fd, uint32_t records, uint64_t interval)
{
	uint64_t start = now_us();
	uint8_t data[RECORD] = { 0 };

	for (uint32_t i = 0; i < records; i++) {
		uint64_t due = start + i * interval, now = now_us();

		if (due > now)
			usleep((useconds_t)(due - now));
		memcpy(data, &i, sizeof(i));
		/* A refusal (no route for a moment) is a record lost */
		(void)!send(fd, data, sizeof(data), MSG_NOSIGNAL);
	}
	if (*kind == 't')
		return 0;
	sleep(1);
	memset(data, 0xff, sizeof(data));
	for (int i = 0; i < 10; i++)
		(void)!send(fd, data, 8, MSG_NOSIGNAL);
	return 0;
}

int main(int argc, char **argv)
{
	bool receiving = argc == 5 && strcmp(argv[1], "receive") == 0;
	int fd;

	if (!receiving && argc != 7)
		return 2;
	fd = open_socket(argv[2], argv[3], argv[4], receiving);
	if (fd < 0)
		return 1;
	return receiving ? receive(argv[2], fd) :
			   transmit(argv[2], fd, (uint32_t)atoi(argv[5]),
				    (uint64_t)atoi(argv[6]));
}
