/*
 * The ICMP errors a router owes (RFC 1812 §4.3, RFC 4443 §2.4). Theory of operation: an error
 * quotes as much of the packet as was really received and fits (IPv4 576 bytes in all, IPv6
 * 1280), never more, so no byte of an earlier packet can leak. No error answers an error, a later
 * fragment, or a packet without a single sender. All errors share a token bucket.
 */
#include "internal.h"

#define IPV4_ERROR_MAX 576u
#define IPV6_ERROR_MAX 1280u
_Static_assert(IPV6_ERROR_MAX <= ICMP_ERROR_MAX, "buffer");

static bool ipv4_may_answer(const uint8_t *p, const struct packet *packet)
{
	const uint8_t *from = p + 12, *to = p + 16;

	if ((get16(p + 6) & 0x1fff) != 0)
		return false;
	/* Multicast, broadcast, "this host" and loopback */
	if (to[0] >= 224 || from[0] >= 224 || from[0] == 0 || from[0] == 127)
		return false;
	if (packet->protocol != IPPROTO_ICMP)
		return true;
	/* Only queries: echo, timestamp, address mask */
	if (packet->total <= packet->header)
		return false;
	switch (p[packet->header]) {
	case 0:
	case 8:
	case 13:
	case 14:
		return true;
	default:
		return false;
	}
}

static bool ipv6_may_answer(const uint8_t *p, const struct packet *packet, enum icmp_kind kind)
{
	static const uint8_t any[16];
	const uint8_t *from = p + 8, *to = p + 24;

	if (from[0] == 0xff || memcmp(from, any, 16) == 0)
		return false;
	/* RFC 4443 §2.4 e.3: Packet Too Big may answer multicast */
	if (to[0] == 0xff && kind != ICMP_TOO_BIG_KIND)
		return false;
	if (packet->protocol != IPPROTO_ICMPV6)
		return true;
	/* Errors have types below 128 */
	return packet->total > packet->header && p[packet->header] >= 128;
}

static size_t ipv4_error(const uint8_t *p, const struct packet *packet, enum icmp_kind kind,
			 uint32_t mtu, const uint8_t *own, uint8_t *out)
{
	size_t quote = packet->total < IPV4_ERROR_MAX - 28 ? packet->total : IPV4_ERROR_MAX - 28;
	size_t total = 28 + quote;

	memset(out, 0, 28);
	out[0] = 0x45;
	/* RFC 1812 §4.3.2.5: precedence 6 */
	out[1] = 0xc0;
	put16(out + 2, (uint32_t)total);
	out[8] = 64;
	out[9] = IPPROTO_ICMP;
	memcpy(out + 12, own, 4);
	memcpy(out + 16, p + 12, 4);
	csum_put(out + 10, (uint16_t)~csum_fold(csum_add(out, 20, 0)));
	out[20] = kind == ICMP_TIME_EXCEEDED_KIND ? 11 : 3;
	out[21] = kind == ICMP_TOO_BIG_KIND ? 4 : 0;
	if (kind == ICMP_TOO_BIG_KIND)
		put16(out + 26, mtu);
	memcpy(out + 28, p, quote);
	csum_put(out + 22, (uint16_t)~csum_fold(csum_add(out + 20, total - 20, 0)));
	return total;
}

static size_t ipv6_error(const uint8_t *p, const struct packet *packet, enum icmp_kind kind,
			 uint32_t mtu, const uint8_t *own, uint8_t *out)
{
	size_t quote = packet->total < IPV6_ERROR_MAX - 48 ? packet->total : IPV6_ERROR_MAX - 48;
	size_t total = 48 + quote;
	static const uint8_t types[] = { 3, 1, 2 };

	memset(out, 0, 48);
	out[0] = 0x60;
	put16(out + 4, (uint32_t)total - 40);
	out[6] = IPPROTO_ICMPV6;
	out[7] = 64;
	memcpy(out + 8, own, 16);
	memcpy(out + 24, p + 8, 16);
	out[40] = types[kind];
	if (kind == ICMP_TOO_BIG_KIND)
		put32(out + 44, mtu);
	memcpy(out + 48, p, quote);
	csum_put(out + 42,
		 (uint16_t)~csum_fold(csum_add(out + 40, total - 40,
					       csum_pseudo(out, 6, IPPROTO_ICMPV6, total - 40))));
	return total;
}

/** Writes the error to @out (ICMP_ERROR_MAX bytes); returns its length, 0 when none may be sent. */
size_t icmp_error(const uint8_t *p, const struct packet *packet, enum icmp_kind kind, uint32_t mtu,
		  const uint8_t *own_address, uint8_t *out)
{
	if (packet->family == 4)
		return ipv4_may_answer(p, packet) ?
			       ipv4_error(p, packet, kind, mtu, own_address, out) :
			       0;
	return ipv6_may_answer(p, packet, kind) ?
		       ipv6_error(p, packet, kind, mtu, own_address, out) :
		       0;
}

/* 100 a second, 50 at once: Linux limits itself likewise (icmp_msgs_burst). */
#define BUCKET_COST 10000000u
#define BUCKET_MAX (50u * (uint64_t)BUCKET_COST)

bool bucket_take(struct bucket *b, uint64_t now)
{
	uint64_t elapsed = b->last == 0 ? BUCKET_MAX : now - b->last;

	b->last = now;
	b->tokens = elapsed > BUCKET_MAX - b->tokens ? BUCKET_MAX : b->tokens + elapsed;
	if (b->tokens < BUCKET_COST)
		return false;
	b->tokens -= BUCKET_COST;
	return true;
}
