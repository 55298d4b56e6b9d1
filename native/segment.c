/*
 * A superpacket as packets. Theory of operation: the payload stays where it is; each segment is a
 * patched copy of the headers plus an iovec into the payload, with all checksums complete,
 * because the far end may be flannel. Lengths come from the packet, not from vnet->hdr_len, which
 * is not reliable on forwarded packets. As the kernel does it (tcp_gso_segment,
 * inet_gso_segment): FIN and PSH only on the last, CWR only on the first, the IPv4 identification
 * counts up.
 */
#include <errno.h>

#include "internal.h"

#define GSO_KIND(vnet) ((vnet)->gso_type & ~VIRTIO_NET_HDR_GSO_ECN)

/** Bytes of all headers of a superpacket, or -EINVAL. */
int segment_header_length(const uint8_t *p, size_t total, const struct virtio_net_hdr *vnet)
{
	size_t l4 = vnet->csum_start, length;

	if ((vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 || vnet->gso_size == 0 || l4 < 20)
		return -EINVAL;
	switch (GSO_KIND(vnet)) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		if (l4 + 20 > total)
			return -EINVAL;
		length = (size_t)(p[l4 + 12] >> 4) * 4;
		if (length < 20)
			return -EINVAL;
		break;
	case GSO_UDP_L4:
		length = 8;
		break;
	default:
		return -EINVAL;
	}
	length += l4;
	if (length > total || length > HEADER_MAX)
		return -EINVAL;
	return (int)length;
}

/**
 * struct cut - what all segments of a superpacket share
 * @header: bytes of headers
 * @l4: offset of the TCP or UDP header
 * @sequence: of the first segment
 * @flags: TCP flags of the superpacket
 */
struct cut {
	uint16_t header, l4, identity;
	uint8_t family, protocol, flags;
	uint32_t sequence;
};

static void patch_ip(uint8_t *h, const struct cut *c, uint32_t index, size_t total)
{
	if (c->family == 6) {
		put16(h + 4, (uint32_t)total - 40);
		return;
	}
	put16(h + 2, (uint32_t)total);
	put16(h + 4, c->identity + index);
	csum_put(h + 10, 0);
	csum_put(h + 10, (uint16_t)~csum_fold(csum_add(h, c->l4, 0)));
}

static void patch_l4(uint8_t *h, const struct cut *c, uint32_t offset, bool last,
		     const uint8_t *payload, size_t length)
{
	uint8_t *l4 = h + c->l4;
	size_t l4_length = (size_t)(c->header - c->l4) + length, field = 16;
	uint16_t sum;

	if (c->protocol == IPPROTO_TCP) {
		put32(l4 + 4, c->sequence + offset);
		if (offset > 0)
			l4[13] &= (uint8_t)~TCP_CWR;
		if (!last)
			l4[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
	} else {
		put16(l4 + 4, (uint32_t)l4_length);
		field = 6;
	}
	csum_put(l4 + field, 0);
	sum = csum_fold(csum_add(payload, length,
				 csum_add(l4, (size_t)(c->header - c->l4),
					  csum_pseudo(h, c->family, c->protocol, l4_length))));
	/* RFC 768: a sum of zero goes out as all ones; harmless for TCP only if left alone */
	sum = (uint16_t)~sum;
	csum_put(l4 + field, sum == 0 && c->protocol == IPPROTO_UDP ? 0xffff : sum);
}

int segment(uint8_t *p, const struct packet *packet, const struct virtio_net_hdr *vnet,
	    struct segments *out)
{
	int header = segment_header_length(p, packet->total, vnet);
	size_t size = vnet->gso_size, at;
	struct cut c;

	if (header < 0 || vnet->csum_start < packet->header)
		return -EINVAL;
	c = (struct cut){
		.header = (uint16_t)header,
		.l4 = vnet->csum_start,
		.identity = get16(p + 4),
		.family = packet->family,
		.protocol = GSO_KIND(vnet) == GSO_UDP_L4 ? IPPROTO_UDP : IPPROTO_TCP,
	};
	if (c.protocol == IPPROTO_TCP)
		c.sequence = get32(p + c.l4 + 4);
	if ((packet->total - c.header + size - 1) / size > out->capacity - out->count)
		return -ENOBUFS;
	at = c.header;
	for (uint32_t i = 0; at < packet->total; i++) {
		size_t length = packet->total - at < size ? packet->total - at : size;
		uint8_t *h = out->headers + (size_t)out->count * HEADER_MAX;
		struct iovec *iov = out->iov + 2 * (size_t)out->count;

		memcpy(h, p, c.header);
		patch_ip(h, &c, i, c.header + length);
		patch_l4(h, &c, (uint32_t)(at - c.header), at + length == packet->total, p + at,
			 length);
		iov[0] = (struct iovec){ .iov_base = h, .iov_len = c.header };
		iov[1] = (struct iovec){ .iov_base = p + at, .iov_len = length };
		out->count++;
		at += length;
	}
	return 0;
}

/** Completes a checksum that the kernel left to the device; the field holds the pseudo header. */
int finish_checksum(uint8_t *p, size_t total, const struct virtio_net_hdr *vnet)
{
	size_t start = vnet->csum_start, field = start + vnet->csum_offset;
	uint16_t sum;

	if (start < 20 || start > total || field + 2 > total)
		return -EINVAL;
	sum = (uint16_t)~csum_fold(csum_add(p + start, total - start, 0));
	/* csum_offset 6 is UDP, where zero would mean "none" */
	csum_put(p + field, sum == 0 && vnet->csum_offset == 6 ? 0xffff : sum);
	return 0;
}
