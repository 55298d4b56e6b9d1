/*
 * Sends UDP datagrams with any source address and port, for tests that play the stranger. Theory
 * of operation: a raw socket with the caller's own IP and UDP header; no UDP checksum over IPv4,
 * a right one over IPv6; in fragments where one packet is too small. Payloads come on
 * stdin as a series of [u32 length][bytes], and are sent once, or again and again at a steady rate
 * until as many went out. Says how many were sent.
 *
 *   inject SOURCE SOURCE-PORT DESTINATION PORT [PER-SECOND COUNT]
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define PAYLOAD_MAX 65000
#define PAYLOADS_MAX 65536
/** Of the UDP datagram, in a packet of 1500 bytes of either family; a multiple of 8. */
#define FRAGMENT 1448u

static struct target {
	int fd, family;
	unsigned int l3;
	struct sockaddr_storage to;
	socklen_t to_length;
} target;

static struct payload {
	uint8_t *data;
	uint32_t length;
} payloads[PAYLOADS_MAX];

static uint8_t packet[56 + PAYLOAD_MAX];

static void put16(uint8_t *p, unsigned int value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint32_t add(const uint8_t *p, size_t length, uint32_t sum)
{
	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static void checksum6(unsigned int l4_length)
{
	uint32_t sum = add(packet + 40, l4_length, IPPROTO_UDP + l4_length);

	sum = add(packet + 8, 32, sum);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put16(packet + 46, sum == 0xffff ? 0xffff : ~sum);
}

static int send_packet(unsigned int length)
{
	return sendto(target.fd, packet, length, 0, (struct sockaddr *)&target.to,
		      target.to_length) < 0;
}

/* Where the fragment at @at of the UDP datagram goes; writes the headers in front of it. */
static uint8_t *fragment_headers(unsigned int at, unsigned int size, int more)
{
	static uint16_t identity;

	identity += at == 0;
	if (target.family == AF_INET) {
		put16(packet + 2, 20 + size);
		put16(packet + 4, identity);
		put16(packet + 6, (at / 8) | (more ? 0x2000 : 0));
		return packet + 20;
	}
	put16(packet + 4, 8 + size);
	packet[6] = IPPROTO_FRAGMENT;
	memset(packet + 40, 0, 8);
	packet[40] = IPPROTO_UDP;
	put16(packet + 42, at | (more ? 1 : 0));
	put16(packet + 46, identity);
	return packet + 48;
}

static int send_fragments(unsigned int l4_length)
{
	static uint8_t whole[8 + PAYLOAD_MAX];
	int failed = 0;

	memcpy(whole, packet + target.l3, l4_length);
	for (unsigned int at = 0; at < l4_length; at += FRAGMENT) {
		unsigned int rest = l4_length - at, size = rest < FRAGMENT ? rest : FRAGMENT;
		uint8_t *to = fragment_headers(at, size, rest > FRAGMENT);

		memcpy(to, whole + at, size);
		failed |= send_packet((unsigned int)(to - packet) + size);
	}
	memcpy(packet + target.l3, whole, 8);
	if (target.family == AF_INET6)
		packet[6] = IPPROTO_UDP;
	else
		put16(packet + 6, 0);
	return failed;
}

static int send_payload(const struct payload *p)
{
	unsigned int l4_length = 8 + p->length;

	memcpy(packet + target.l3 + 8, p->data, p->length);
	put16(packet + target.l3 + 4, l4_length);
	if (target.family == AF_INET6) {
		put16(packet + 46, 0);
		checksum6(l4_length);
	}
	if (l4_length > FRAGMENT)
		return send_fragments(l4_length);
	put16(packet + (target.family == AF_INET6 ? 4 : 2),
	      target.family == AF_INET6 ? l4_length : 20 + l4_length);
	return send_packet(target.l3 + l4_length);
}

static int target_open(char **argv)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)&target.to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&target.to;
	int six = strchr(argv[1], ':') != NULL;

	target.family = six ? AF_INET6 : AF_INET;
	target.l3 = six ? 40 : 20;
	target.to.ss_family = (sa_family_t)target.family;
	target.to_length = six ? sizeof(*in6) : sizeof(*in4);
	target.fd = socket(target.family, SOCK_RAW, IPPROTO_RAW);
	packet[0] = six ? 0x60 : 0x45;
	packet[six ? 7 : 8] = 64;
	packet[six ? 6 : 9] = IPPROTO_UDP;
	put16(packet + target.l3, (unsigned int)atoi(argv[2]));
	put16(packet + target.l3 + 2, (unsigned int)atoi(argv[4]));
	if (target.fd < 0 || inet_pton(target.family, argv[1], packet + (six ? 8 : 12)) != 1 ||
	    inet_pton(target.family, argv[3], packet + (six ? 24 : 16)) != 1)
		return -1;
	if (six)
		memcpy(&in6->sin6_addr, packet + 24, 16);
	else
		memcpy(&in4->sin_addr, packet + 16, 4);
	return 0;
}

static unsigned int payloads_read(void)
{
	unsigned int count = 0;
	uint32_t length;

	while (count < PAYLOADS_MAX && fread(&length, 4, 1, stdin) == 1 && length <= PAYLOAD_MAX) {
		struct payload *p = &payloads[count++];

		p->data = malloc(length + 1);
		p->length = length;
		if (!p->data || (length > 0 && fread(p->data, 1, length, stdin) != length))
			return 0;
	}
	return count;
}

int main(int argc, char **argv)
{
	unsigned int count, sent = 0, failed = 0, wanted, rate;
	struct timespec next;

	if ((argc != 5 && argc != 7) || target_open(argv) < 0)
		return 2;
	count = payloads_read();
	rate = argc == 7 ? (unsigned int)atoi(argv[5]) : 0;
	wanted = argc == 7 && count > 0 ? (unsigned int)atoi(argv[6]) : count;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (unsigned int i = 0; i < wanted; i++) {
		/* A millisecond's worth at a time: the clock is not finer on a busy machine */
		if (rate >= 1000 && i % (rate / 1000) == 0) {
			next.tv_nsec += 1000000;
			if (next.tv_nsec >= 1000000000) {
				next.tv_nsec -= 1000000000;
				next.tv_sec++;
			}
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		}
		if (send_payload(&payloads[i % count]))
			failed++;
		else
			sent++;
	}
	printf("{\"sent\":%u,\"failed\":%u}\n", sent, failed);
	return 0;
}
