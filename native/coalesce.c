/*
 * Packets of one batch into superpackets, so that the kernel's stack is walked once for many.
 * Theory of operation: each flow has at most one open group, its latest; a packet joins it or
 * closes it and starts another, and groups are written in the order of their making, so packets
 * of a flow never overtake one another. A packet joins only if splitting the group gives back
 * exactly the packets that came (segment.c, and the kernel's own tcp_gso_segment): same
 * addresses, ToS with ECN, TTL, DF, ports, ACK, window, options, contiguous sequence, equal
 * length but for the last. What is merged leaves with a partial checksum that nobody verifies
 * again, so it is verified here before.
 */
#include "internal.h"

static void flows_close(struct coalescer *c)
{
	for (uint32_t i = 0; i < FLOW_SLOTS; i++)
		c->flows[i] = PIECE_END;
}

void coalesce_reset(struct coalescer *c)
{
	c->piece_count = 0;
	c->group_count = 0;
	flows_close(c);
}

/**
 * struct candidate - a packet that might merge
 * @header: bytes of IP and TCP or UDP headers
 * @payload: bytes behind them
 */
struct candidate {
	uint16_t header;
	uint32_t payload;
	uint32_t sequence;
	uint8_t flags;
};

static bool tcp_candidate(const uint8_t *p, const struct packet *packet, struct candidate *out)
{
	const uint8_t *tcp = p + packet->header;
	size_t length;

	if (packet->total < packet->header + 20u)
		return false;
	length = (size_t)(tcp[12] >> 4) * 4;
	if (length < 20 || packet->header + length >= packet->total)
		return false;
	/* Pure ACKs and everything that is not plain data stay alone */
	if ((tcp[13] & (TCP_SYN | TCP_RST | TCP_URG | TCP_FIN | TCP_CWR)) || !(tcp[13] & TCP_ACK))
		return false;
	out->header = (uint16_t)(packet->header + length);
	out->sequence = get32(tcp + 4);
	out->flags = tcp[13];
	return true;
}

static bool udp_candidate(const uint8_t *p, const struct packet *packet, struct candidate *out)
{
	const uint8_t *udp = p + packet->header;

	if (packet->total <= packet->header + 8u || get16(udp + 6) == 0)
		return false;
	if (get16(udp + 4) != packet->total - packet->header)
		return false;
	out->header = (uint16_t)(packet->header + 8);
	out->sequence = 0;
	out->flags = 0;
	return true;
}

static bool candidate_of(const struct coalescer *c, const uint8_t *p, const struct packet *packet,
			 struct candidate *out)
{
	if (packet->fragment || packet->header != (packet->family == 4 ? 20 : 40))
		return false;
	if (packet->protocol == IPPROTO_TCP && c->tcp) {
		if (!tcp_candidate(p, packet, out))
			return false;
	} else if (packet->protocol == IPPROTO_UDP && c->udp) {
		if (!udp_candidate(p, packet, out))
			return false;
	} else {
		return false;
	}
	out->payload = packet->total - out->header;
	return true;
}

static uint32_t flow_hash(const uint8_t *p, const struct packet *packet)
{
	const uint8_t *at = packet_source(p, packet->family);
	uint32_t hash = get32(p + packet->header) ^ packet->protocol;

	for (unsigned int i = 0; i < (packet->family == 4 ? 8u : 32u); i += 4)
		hash = (hash ^ get32(at + i)) * 0x9e3779b1u;
	return hash >> 16;
}

static bool same_flow(const uint8_t *a, const uint8_t *b, const struct packet *packet)
{
	size_t length = packet->family == 4 ? 8 : 32;

	return memcmp(packet_source(a, packet->family), packet_source(b, packet->family), length) ==
		       0 &&
	       memcmp(a + packet->header, b + packet->header, 4) == 0;
}

/* The IP header of @b continues that of @a, the first of its group. */
static bool same_ip(const uint8_t *a, const uint8_t *b, const struct packet *packet,
		    const struct group *g)
{
	if (packet->family == 6)
		return memcmp(a, b, 4) == 0 && a[7] == b[7];
	if (a[1] != b[1] || a[8] != b[8] || ((a[6] ^ b[6]) & 0xe0) != 0)
		return false;
	/* RFC 6864: with DF the identification means nothing */
	return packet->dont_fragment || get16(b + 4) == g->identity;
}

/* ACK, data offset, flags but PSH, window, and the options are equal. */
static bool same_tcp(const uint8_t *a, const uint8_t *b, size_t options)
{
	return memcmp(a + 8, b + 8, 5) == 0 && ((a[13] ^ b[13]) & ~TCP_PSH) == 0 &&
	       memcmp(a + 14, b + 14, 2) == 0 && memcmp(a + 20, b + 20, options) == 0;
}

static bool continues(const struct coalescer *c, const struct group *g, const uint8_t *data,
		      const struct packet *packet, const struct candidate *x)
{
	const uint8_t *first = c->pieces[g->first].data;

	if (!g->open || g->family != packet->family || g->protocol != packet->protocol ||
	    g->header != x->header || x->payload > g->segment_size)
		return false;
	/* UDP_MAX_SEGMENTS was 64 before Linux 6.9; TCP has no limit but writev's 1024 pieces */
	if (g->header + g->payload + x->payload > PACKET_MAX ||
	    g->count >= (g->protocol == IPPROTO_UDP ? 64 : 512))
		return false;
	if (!same_ip(first, data, packet, g))
		return false;
	if (g->protocol == IPPROTO_UDP)
		return true;
	return x->sequence == g->sequence &&
	       same_tcp(first + packet->header, data + packet->header,
			(size_t)(x->header - packet->header) - 20);
}

static struct group *group_start(struct coalescer *c, uint32_t piece)
{
	struct group *g = &c->groups[c->group_count++];

	*g = (struct group){ .first = piece, .last = piece, .count = 1 };
	return g;
}

static void group_grow(struct coalescer *c, struct group *g, uint32_t piece,
		       const struct candidate *x)
{
	c->pieces[g->last].next = piece;
	g->last = piece;
	g->count++;
	g->payload += x->payload;
	g->sequence += x->payload;
	g->identity++;
	g->push = x->flags & TCP_PSH;
	g->open = x->payload == g->segment_size && !g->push;
}

static bool good(struct coalescer *c, const uint8_t *p, const struct packet *packet, bool partial)
{
	/* Partial: never left the machine, nothing to verify */
	if (partial ||
	    csum_l4_good(p, packet->family, packet->protocol, packet->header, packet->total))
		return true;
	c->bad_checksum++;
	return false;
}

/* Both the first piece and the new one must be right before anything is merged. */
static bool may_merge(struct coalescer *c, struct group *g, const uint8_t *data,
		      const struct packet *packet, bool partial)
{
	if (!g->verified) {
		struct packet first = *packet;

		first.total = c->pieces[g->first].length;
		if (!good(c, c->pieces[g->first].data, &first, c->pieces[g->first].partial)) {
			g->open = false;
			return false;
		}
		g->verified = true;
	}
	return good(c, data, packet, partial);
}

void coalesce_push(struct coalescer *c, uint8_t *data, const struct packet *packet, bool partial)
{
	uint32_t piece = c->piece_count++, hash = 0, *slot = NULL;
	struct candidate x = { 0 };
	struct group *g;

	c->pieces[piece] = (struct piece){
		.data = data, .length = packet->total, .next = PIECE_END, .partial = partial
	};
	bool mergeable = candidate_of(c, data, packet, &x);
	if (packet->fragment || packet->total < packet->header + 4u ||
	    (packet->protocol != IPPROTO_TCP && packet->protocol != IPPROTO_UDP)) {
		/* Its flow is not known (no ports, or behind extension headers): close all */
		flows_close(c);
	} else {
		hash = flow_hash(data, packet);
		slot = &c->flows[hash % FLOW_SLOTS];
	}
	if (slot && *slot != PIECE_END) {
		g = &c->groups[*slot];
		/* Another flow may share the slot, even one of the other family */
		if (mergeable && g->open && g->family == packet->family &&
		    same_flow(c->pieces[g->first].data, data, packet) &&
		    continues(c, g, data, packet, &x) && may_merge(c, g, data, packet, partial)) {
			group_grow(c, g, piece, &x);
			return;
		}
	}
	/* From here on the older group of the flow is never found again, so order is kept */
	if (slot)
		*slot = c->group_count;
	g = group_start(c, piece);
	g->hash = hash;
	if (!mergeable || x.payload > UINT16_MAX)
		return;
	g->header = x.header;
	g->family = packet->family;
	g->protocol = packet->protocol;
	g->segment_size = (uint16_t)x.payload;
	g->payload = x.payload;
	g->sequence = x.sequence + x.payload;
	g->identity = (uint16_t)(get16(data + 4) + 1);
	g->push = x.flags & TCP_PSH;
	g->open = !g->push;
}

/**
 * A superpacket that arrived uncut: its checksum is partial, its segment size stands in the
 * identification (encap.c). Returns false when it cannot be one.
 */
bool coalesce_push_whole(struct coalescer *c, uint8_t *data, const struct packet *packet)
{
	uint16_t size = get16(data + 4);
	struct group *g;

	if (packet->family != 4 || !packet->dont_fragment || packet->header != 20 || size == 0 ||
	    size >= packet->total || !packet_is_partial(data, packet))
		return false;
	if (packet->protocol == IPPROTO_TCP && packet->total < packet->header + 20u)
		return false;
	/* As any packet that stays alone, but with a vnet header that tells its segments */
	coalesce_push(c, data, packet, true);
	g = &c->groups[c->group_count - 1];
	g->open = false;
	g->whole = true;
	g->segment_size = size;
	return true;
}

/** The vnet header of a single packet with a partial checksum. */
void partial_vnet(const uint8_t *data, uint8_t family, struct virtio_net_hdr *vnet)
{
	uint8_t protocol = family == 4 ? data[9] : data[6];

	*vnet = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = family == 4 ? (uint16_t)((data[0] & 15) * 4) : 40,
		.csum_offset = protocol == IPPROTO_TCP ? 16 : 6,
	};
}

static void whole_vnet(const uint8_t *data, const struct group *g, struct virtio_net_hdr *vnet)
{
	bool tcp = data[9] == IPPROTO_TCP;

	vnet->gso_type = tcp ? VIRTIO_NET_HDR_GSO_TCPV4 : GSO_UDP_L4;
	vnet->gso_size = g->segment_size;
	vnet->hdr_len = (uint16_t)(20 + (tcp ? (data[20 + 12] >> 4) * 4 : 8));
}

/** Writes the headers of the whole group to @header; returns their length, 0 for a lone packet. */
uint32_t coalesce_header(const struct coalescer *c, const struct group *g, uint8_t *header,
			 struct virtio_net_hdr *vnet)
{
	uint16_t l3 = g->family == 4 ? 20 : 40, field = 6;
	uint32_t total = g->header + g->payload;
	uint8_t *l4 = header + l3;

	*vnet = (struct virtio_net_hdr){ 0 };
	if (g->count < 2) {
		const struct piece *piece = &c->pieces[g->first];

		if (piece->partial)
			partial_vnet(piece->data, piece->data[0] >> 4, vnet);
		if (g->whole)
			whole_vnet(piece->data, g, vnet);
		return 0;
	}
	memcpy(header, c->pieces[g->first].data, g->header);
	if (g->family == 4) {
		put16(header + 2, total);
		csum_put(header + 10, 0);
		csum_put(header + 10, (uint16_t)~csum_fold(csum_add(header, l3, 0)));
	} else {
		put16(header + 4, total - 40);
	}
	vnet->gso_type = GSO_UDP_L4;
	if (g->protocol == IPPROTO_TCP) {
		l4[13] |= g->push;
		field = 16;
		vnet->gso_type = g->family == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 :
						  VIRTIO_NET_HDR_GSO_TCPV6;
	} else {
		put16(l4 + 4, total - l3);
	}
	csum_put(l4 + field, csum_fold(csum_pseudo(header, g->family, g->protocol, total - l3)));
	vnet->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	vnet->hdr_len = g->header;
	vnet->gso_size = g->segment_size;
	vnet->csum_start = l3;
	vnet->csum_offset = field;
	return g->header;
}
