/*
 * Moves bytes that can be checked. Theory of operation: the stream is a pseudo-random sequence
 * that both sides can compute; the receiver compares every byte. UDP datagrams carry their number
 * and then the sequence from there, so loss, order, duplicates and damage are counted apart:
 * "late" came after a later one, "repeated" had come before.
 *
 *   transfer tcp-receive ADDRESS PORT            prints {"bytes":N,"wrong":N}
 *   transfer tcp-send    ADDRESS PORT BYTES
 *   transfer udp-receive ADDRESS PORT            prints datagrams, late, repeated, wrong likewise
 *   transfer udp-send    ADDRESS PORT DATAGRAMS SIZE PAUSE-EVERY [SIZE-OF-EVERY-OTHER]
 */
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536
#define END UINT32_MAX
#define NUMBERS_MAX (1u << 20)

static uint8_t byte_at(uint64_t position)
{
	uint64_t x = (position >> 3) * 0x9e3779b97f4a7c15u;

	return (uint8_t)((x ^ x >> 29) >> (position & 7) * 8);
}

static void fill(uint8_t *data, size_t length, uint64_t position)
{
	for (size_t i = 0; i < length; i++)
		data[i] = byte_at(position + i);
}

static uint64_t wrong_bytes(const uint8_t *data, size_t length, uint64_t position)
{
	uint64_t wrong = 0;

	for (size_t i = 0; i < length; i++)
		wrong += data[i] != byte_at(position + i);
	return wrong;
}

static int open_socket(char **argv, int type, int listening)
{
	struct addrinfo hints = { .ai_socktype = type, .ai_flags = AI_NUMERICHOST }, *address;
	int one = 1, fd;

	if (getaddrinfo(argv[2], argv[3], &hints, &address) != 0)
		return -1;
	fd = socket(address->ai_family, type, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	int buffer = 8 << 20;

	if (type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	if ((listening ? bind : connect)(fd, address->ai_addr, address->ai_addrlen) < 0) {
		perror(listening ? "bind" : "connect");
		return -1;
	}
	freeaddrinfo(address);
	return fd;
}

static int tcp_receive(char **argv)
{
	static uint8_t data[CHUNK];
	int listener = open_socket(argv, SOCK_STREAM, 1), fd;
	uint64_t position = 0, wrong = 0;
	ssize_t n;

	if (listener < 0 || listen(listener, 1) < 0)
		return 1;
	printf("listening\n");
	fflush(stdout);
	fd = accept(listener, NULL, NULL);
	while ((n = read(fd, data, sizeof(data))) > 0) {
		wrong += wrong_bytes(data, (size_t)n, position);
		position += (uint64_t)n;
	}
	printf("{\"bytes\":%llu,\"wrong\":%llu}\n", (unsigned long long)position,
	       (unsigned long long)wrong);
	return 0;
}

static int tcp_send(char **argv)
{
	static uint8_t data[CHUNK];
	uint64_t total = strtoull(argv[4], NULL, 10), position = 0;
	int fd = open_socket(argv, SOCK_STREAM, 0);

	while (fd >= 0 && position < total) {
		size_t length = total - position < CHUNK ? (size_t)(total - position) : CHUNK;
		ssize_t n;

		fill(data, length, position);
		for (size_t at = 0; at < length; at += (size_t)n) {
			n = write(fd, data + at, length - at);
			if (n <= 0)
				return 1;
		}
		position += length;
	}
	return fd < 0;
}

static int udp_receive(char **argv)
{
	static uint8_t data[CHUNK], came[NUMBERS_MAX];
	int fd = open_socket(argv, SOCK_DGRAM, 1);
	uint64_t count = 0, late = 0, repeated = 0, wrong = 0;
	uint32_t next = 0, number;
	ssize_t n;

	printf("listening\n");
	fflush(stdout);
	while (fd >= 0 && (n = recv(fd, data, sizeof(data), 0)) >= 4) {
		memcpy(&number, data, 4);
		if (number == END)
			break;
		count++;
		wrong += number >= NUMBERS_MAX || wrong_bytes(data + 4, (size_t)n - 4, number) != 0;
		if (number >= NUMBERS_MAX)
			continue;
		if (came[number])
			repeated++;
		else if (number < next)
			late++;
		else
			next = number + 1;
		came[number] = 1;
	}
	printf("{\"datagrams\":%llu,\"late\":%llu,\"repeated\":%llu,\"wrong\":%llu}\n",
	       (unsigned long long)count, (unsigned long long)late, (unsigned long long)repeated,
	       (unsigned long long)wrong);
	return 0;
}

static int udp_send(char **argv)
{
	static uint8_t data[CHUNK];
	uint32_t total = (uint32_t)atoi(argv[4]), every = (uint32_t)atoi(argv[6]);
	size_t sizes[2] = { (size_t)atoi(argv[5]), (size_t)atoi(argv[argv[7] ? 7 : 5]) };
	const struct timespec pause = { .tv_nsec = 1000000 };
	int fd = open_socket(argv, SOCK_DGRAM, 0);
	uint32_t end = END;

	for (uint32_t i = 0; fd >= 0 && i < total; i++) {
		size_t size = sizes[i % 2];

		memcpy(data, &i, 4);
		fill(data + 4, size - 4, i);
		(void)!send(fd, data, size, 0);
		if (every > 0 && i % every == every - 1)
			nanosleep(&pause, NULL);
	}
	for (int i = 0; fd >= 0 && i < 5; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
		(void)!send(fd, &end, sizeof(end), 0);
	}
	return fd < 0;
}

int main(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[1], "tcp-receive") == 0)
		return tcp_receive(argv);
	if (argc >= 5 && strcmp(argv[1], "tcp-send") == 0)
		return tcp_send(argv);
	if (argc >= 4 && strcmp(argv[1], "udp-receive") == 0)
		return udp_receive(argv);
	if (argc >= 7 && strcmp(argv[1], "udp-send") == 0)
		return udp_send(argv);
	return 2;
}
