/*
 * Round trips over TCP: one side sends 14 bytes and waits for them to come back. Theory of
 * operation: no think time, TCP_NODELAY, one connection; the first tenth of the round trips warms
 * up and does not count. Prints p50, p99 and p99.9 of the round trip in nanoseconds as JSON.
 *
 *   pingpong server ADDRESS PORT         until the client closes
 *   pingpong client ADDRESS PORT COUNT
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE 14

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int transfer(int fd, char *data, int sending)
{
	for (ssize_t at = 0; at < MESSAGE;) {
		ssize_t n = sending ? write(fd, data + at, (size_t)(MESSAGE - at)) :
				      read(fd, data + at, (size_t)(MESSAGE - at));

		if (n <= 0)
			return -1;
		at += n;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int serve(const struct sockaddr_in *at)
{
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	char data[MESSAGE];

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (const struct sockaddr *)at, sizeof(*at)) < 0 || listen(listener, 1) < 0)
		return 1;
	printf("listening\n");
	fflush(stdout);
	fd = accept(listener, NULL, NULL);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (transfer(fd, data, 0) == 0 && transfer(fd, data, 1) == 0)
		;
	close(fd);
	close(listener);
	return 0;
}

static int client(const struct sockaddr_in *to, size_t count)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t warm = count / 10;
	int64_t *times = calloc(count, sizeof(*times));
	char data[MESSAGE] = "heddle";

	if (!times || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		return 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (size_t i = 0; i < count + warm; i++) {
		int64_t start = now();

		if (transfer(fd, data, 1) < 0 || transfer(fd, data, 0) < 0)
			return 1;
		if (i >= warm)
			times[i - warm] = now() - start;
	}
	qsort(times, count, sizeof(*times), compare);
	printf("{\"p50\":%lld,\"p99\":%lld,\"p999\":%lld}\n", (long long)times[count / 2],
	       (long long)times[count * 99 / 100], (long long)times[count * 999 / 1000]);
	free(times);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	if (argc < 4 || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1)
		return 2;
	address.sin_port = htons((uint16_t)atoi(argv[3]));
	if (strcmp(argv[1], "server") == 0)
		return serve(&address);
	return client(&address, argc > 4 ? strtoul(argv[4], NULL, 10) : 10000);
}
