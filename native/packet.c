/*
 * The outside of an inner packet. Theory of operation: nothing is read before its presence has
 * been checked, lengths in the header are believed only when they fit into the bytes received,
 * and bytes behind the packet (padding) are ignored. Extension headers of IPv6 are not walked: a
 * packet with them is forwarded as it is and never merged.
 */
#include <errno.h>

#include "internal.h"

static int parse_ipv4(const uint8_t *p, size_t length, struct packet *out)
{
	uint16_t header, total, fragment;

	if (length < 20)
		return -EINVAL;
	header = (uint16_t)((p[0] & 15) * 4);
	total = get16(p + 2);
	fragment = get16(p + 6);
	if (header < 20 || total < header || total > length)
		return -EINVAL;
	*out = (struct packet){
		.family = 4,
		.protocol = p[9],
		.ttl = p[8],
		/* MF or an offset */
		.fragment = (fragment & 0x3fff) != 0,
		.dont_fragment = (fragment & 0x4000) != 0,
		.header = header,
		.total = total,
	};
	return 0;
}

static int parse_ipv6(const uint8_t *p, size_t length, struct packet *out)
{
	size_t total;

	if (length < 40)
		return -EINVAL;
	total = 40u + get16(p + 4);
	if (total > length || total > PACKET_MAX)
		return -EINVAL;
	*out = (struct packet){
		.family = 6,
		.protocol = p[6],
		.ttl = p[7],
		/* Fragment header; behind other extensions it does not matter here */
		.fragment = p[6] == IPPROTO_FRAGMENT,
		.dont_fragment = true,
		.header = 40,
		.total = (uint32_t)total,
	};
	return 0;
}

int packet_parse(const uint8_t *p, size_t length, struct packet *out)
{
	if (length < 1)
		return -EINVAL;
	switch (p[0] >> 4) {
	case 4:
		return parse_ipv4(p, length, out);
	case 6:
		return parse_ipv6(p, length, out);
	default:
		return -EPROTONOSUPPORT;
	}
}

/** RFC 1812 §5.2.2: a router checks the header checksum. IPv6 has none. */
bool packet_header_good(const uint8_t *p, const struct packet *packet)
{
	return packet->family == 6 || csum_fold(csum_add(p, packet->header, 0)) == 0xffff;
}

/** The TTL must be at least 1. RFC 1624: the checksum grows by what the word lost. */
void packet_decrement_ttl(uint8_t *p, const struct packet *packet)
{
	if (packet->family == 6) {
		p[7]--;
		return;
	}
	uint32_t sum = get16(p + 10) + 0x100u;

	p[8]--;
	put16(p + 10, sum + (sum >= 0xffff));
}

/**
 * True when the L4 checksum field holds the sum of the pseudo header only, which a kernel on the
 * same machine leaves to the device. A complete one that happens to look so is computed again.
 */
bool packet_is_partial(const uint8_t *p, const struct packet *packet)
{
	uint16_t found, expected;
	size_t field;

	if (packet->fragment)
		return false;
	if (packet->protocol == IPPROTO_TCP)
		field = packet->header + 16u;
	else if (packet->protocol == IPPROTO_UDP)
		field = packet->header + 6u;
	else
		return false;
	if (field + 2 > packet->total)
		return false;
	memcpy(&found, p + field, 2);
	expected = csum_fold(csum_pseudo(p, packet->family, packet->protocol,
					 packet->total - packet->header));
	return found == expected;
}
