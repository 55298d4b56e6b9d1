/*
 * The Internet checksum. Theory of operation: the one's complement sum does not depend on the
 * byte order (RFC 1071 §2 B), so everything is summed as it lies in memory, in 32-bit words into
 * a 64-bit accumulator, which the compiler turns into vector code. An odd block is padded with a
 * zero byte; only the last block of a sum may be odd.
 */
#include "internal.h"

/* Four independent sums of four words each: one 64-byte cache line per turn. */
__attribute__((optimize("O3"))) uint64_t csum_add(const uint8_t *data, size_t length, uint64_t sum)
{
	uint64_t lanes[8] = { 0 };
	size_t at = 0;

	for (; at + 32 <= length; at += 32) {
		uint32_t words[8];

		memcpy(words, data + at, sizeof(words));
		for (unsigned int i = 0; i < 8; i++)
			lanes[i] += words[i];
	}
	for (unsigned int i = 0; i < 8; i++)
		sum += lanes[i];
	for (; at + 4 <= length; at += 4) {
		uint32_t word;

		memcpy(&word, data + at, 4);
		sum += word;
	}
	if (at < length) {
		uint32_t word = 0;

		memcpy(&word, data + at, length - at);
		sum += word;
	}
	return sum;
}

/** The sum as 16 bits in memory order, not inverted. */
uint16_t csum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)((sum >> 16) + (sum & 0xffff));
}

void csum_put(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, 2);
}

/** RFC 9293 §3.1, RFC 8200 §8.1: addresses, length and protocol. */
uint64_t csum_pseudo(const uint8_t *ip, uint8_t family, uint8_t protocol, size_t l4_length)
{
	const uint8_t tail[8] = { (uint8_t)(l4_length >> 24), (uint8_t)(l4_length >> 16),
				  (uint8_t)(l4_length >> 8),  (uint8_t)l4_length,
				  0,			      0,
				  0,			      protocol };
	size_t addresses = family == 4 ? 8 : 32;

	return csum_add(packet_source(ip, family), addresses, csum_add(tail, sizeof(tail), 0));
}

/** True when the packet's checksum is right; UDP's "none" does not count as right. */
bool csum_l4_good(const uint8_t *ip, uint8_t family, uint8_t protocol, size_t header, size_t total)
{
	uint64_t sum = csum_pseudo(ip, family, protocol, total - header);

	return csum_fold(csum_add(ip + header, total - header, sum)) == 0xffff;
}
