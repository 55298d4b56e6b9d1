/*
 * Sends UDP datagrams with any source address and port, for tests that play the stranger. Theory
 * of operation: a raw socket with the caller's own IPv4 and UDP header, UDP checksum absent;
 * payloads come on stdin as a series of [u32 length][bytes]. Says how many were sent.
 *
 *   inject SOURCE SOURCE-PORT DESTINATION PORT
 */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PAYLOAD_MAX 65000

static void put16(uint8_t *p, unsigned int value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

int main(int argc, char **argv)
{
	static uint8_t packet[28 + PAYLOAD_MAX];
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	unsigned int sent = 0, failed = 0;
	uint32_t length;

	if (argc != 5 || fd < 0 || inet_pton(AF_INET, argv[1], packet + 12) != 1 ||
	    inet_pton(AF_INET, argv[3], packet + 16) != 1)
		return 2;
	memcpy(&to.sin_addr, packet + 16, 4);
	packet[0] = 0x45;
	packet[8] = 64;
	packet[9] = IPPROTO_UDP;
	put16(packet + 20, (unsigned int)atoi(argv[2]));
	put16(packet + 22, (unsigned int)atoi(argv[4]));
	while (fread(&length, 4, 1, stdin) == 1 && length <= PAYLOAD_MAX) {
		if (length > 0 && fread(packet + 28, 1, length, stdin) != length)
			return 1;
		put16(packet + 2, 28 + length);
		put16(packet + 24, 8 + length);
		if (sendto(fd, packet, 28 + length, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			failed++;
		else
			sent++;
	}
	printf("{\"sent\":%u,\"failed\":%u}\n", sent, failed);
	return 0;
}
