/*
 * Network to device. Theory of operation: recvmmsg brings datagrams, or trains of them (UDP_GRO);
 * each is checked by itself: well-formed, inner source belongs to the peer at the datagram's
 * source address, inner destination is ours. What passes goes through the coalescer and leaves as
 * few writes as possible. A write that the kernel refuses as a superpacket is repeated packet by
 * packet, and nothing is merged for a second.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#define MERGE_PAUSE_NS 1000000000u
/** Messages per call while large ones arrive: each must still be cached when it is written. */
#define RX_TRAINS_MAX 2u
#define RX_LARGE 9000u
#define BUFFERS_SIZE ((size_t)RX_MESSAGES_MAX * RX_STRIDE)

int rx_setup(struct worker *w)
{
	struct rx *rx = calloc(1, sizeof(*rx));

	w->rx = rx;
	if (!rx)
		return -ENOMEM;
	rx->buffers = aligned_alloc(4096, BUFFERS_SIZE);
	rx->coalescer.pieces = calloc(BATCH_PACKETS_MAX, sizeof(struct piece));
	rx->coalescer.groups = calloc(BATCH_PACKETS_MAX, sizeof(struct group));
	rx->write_iov = calloc(BATCH_PACKETS_MAX + 2, sizeof(*rx->write_iov));
	return rx->buffers && rx->coalescer.pieces && rx->coalescer.groups && rx->write_iov ?
		       0 :
		       -ENOMEM;
}

void rx_free(struct rx *rx)
{
	if (!rx)
		return;
	free(rx->buffers);
	free(rx->coalescer.pieces);
	free(rx->coalescer.groups);
	free(rx->write_iov);
	free(rx);
}

static int write_to(struct worker *w, int fd, struct iovec *iov, uint32_t count)
{
	ssize_t wrote = writev(fd, iov, (int)count);

	if (wrote < 0 && errno == EAGAIN && worker_wait_writable(fd))
		wrote = writev(fd, iov, (int)count);
	if (wrote >= 0) {
		COUNT(w, rx_writes, 1);
		return 0;
	}
	return -errno;
}

static int write_piece(struct worker *w, int fd, const struct piece *piece,
		       struct virtio_net_hdr *vnet)
{
	uint32_t skip = w->features & HP_F_VNET ? 0 : 1;
	struct iovec iov[2] = {
		{ .iov_base = vnet, .iov_len = VNET_SIZE },
		{ .iov_base = piece->data, .iov_len = piece->length },
	};
	int rc;

	/* Without a vnet header the checksum has to be completed here */
	if (skip == 1 && (vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		(void)finish_checksum(piece->data, piece->length, vnet);
	rc = write_to(w, fd, iov + skip, 2 - skip);
	if (rc < 0)
		COUNT(w, rx_drop_write, 1);
	return rc;
}

/* The pieces of a merged group, each by itself. */
static int write_apart(struct worker *w, int fd, const struct group *g)
{
	const struct coalescer *c = &w->rx->coalescer;
	int rc = 0;

	for (uint32_t i = g->first; i != PIECE_END; i = c->pieces[i].next) {
		const struct piece *piece = &c->pieces[i];
		struct virtio_net_hdr vnet = { 0 };

		if (piece->partial)
			partial_vnet(piece->data, piece->data[0] >> 4, &vnet);
		rc = write_piece(w, fd, piece, &vnet);
	}
	return rc;
}

static int write_group(struct worker *w, const struct group *g)
{
	struct rx *rx = w->rx;
	const struct coalescer *c = &rx->coalescer;
	int fd = w->tunnel->tun[g->hash % w->tunnel->config.queues], rc;
	struct virtio_net_hdr vnet;
	uint32_t header = coalesce_header(c, g, rx->header, &vnet), n = 0;

	if (header == 0)
		return write_piece(w, fd, &c->pieces[g->first], &vnet);
	rx->write_iov[n++] = (struct iovec){ .iov_base = &vnet, .iov_len = VNET_SIZE };
	rx->write_iov[n++] = (struct iovec){ .iov_base = rx->header, .iov_len = header };
	for (uint32_t i = g->first; i != PIECE_END; i = c->pieces[i].next)
		rx->write_iov[n++] = (struct iovec){ .iov_base = c->pieces[i].data + header,
						     .iov_len = c->pieces[i].length - header };
	rc = write_to(w, fd, rx->write_iov, n);
	if (rc == 0)
		COUNT(w, rx_superpackets, 1);
	if (rc != -EINVAL)
		return rc;
	/* 6.6.44 and its like refuse tails shorter than gso_size (fixed by 89add40) */
	COUNT(w, rx_write_refused, 1);
	rx->merge_off_until = clock_now() + MERGE_PAUSE_NS;
	return write_apart(w, fd, g);
}

static int flush(struct worker *w)
{
	struct coalescer *c = &w->rx->coalescer;
	int gone = 0;

	for (uint32_t i = 0; i < c->group_count; i++) {
		int rc = write_group(w, &c->groups[i]);

		if (rc == -EBADFD || rc == -EBADF)
			gone = rc;
		if (rc < 0 && c->groups[i].count > 1)
			COUNT(w, rx_drop_write, c->groups[i].count);
	}
	COUNT(w, rx_bad_checksum, c->bad_checksum);
	c->bad_checksum = 0;
	coalesce_reset(c);
	return gone;
}

/* The peer that sent the packet, or LPM_NONE when it must not be delivered. */
static uint32_t admit(struct worker *w, const uint8_t *p, const struct packet *packet,
		      const struct sockaddr *from)
{
	worker_routes(w, p, packet->family);
	uint32_t peer = w->cache.source;

	if (w->features & HP_F_SOURCE_CHECK) {
		if (peer == LPM_NONE || peer == HP_OWN ||
		    !table_same_endpoint(&w->table->peers[peer], from)) {
			COUNT(w, rx_drop_source, 1);
			return LPM_NONE;
		}
	} else if (peer == LPM_NONE || peer == HP_OWN) {
		/* The spare row of counters: packets of nobody */
		peer = w->table->peer_count;
	}
	if (w->cache.destination != HP_OWN) {
		COUNT(w, rx_drop_destination, 1);
		return LPM_NONE;
	}
	if (packet->ttl == 0) {
		COUNT(w, rx_drop_ttl, 1);
		return LPM_NONE;
	}
	return peer;
}

/* A peer that said so may send what its kernel left unfinished (encap.c). */
static void deliver(struct worker *w, uint8_t *p, const struct packet *packet, bool offload)
{
	struct coalescer *c = &w->rx->coalescer;

	if (offload && packet->total > w->tunnel->config.mtu && coalesce_push_whole(c, p, packet)) {
		COUNT(w, rx_whole, 1);
		return;
	}
	coalesce_push(c, p, packet, offload && packet_is_partial(p, packet));
}

static void receive(struct worker *w, uint8_t *p, size_t length, const struct sockaddr *from)
{
	struct hp_peer_counters *pc;
	struct packet packet;
	uint32_t peer;

	if (packet_parse(p, length, &packet) < 0 || !packet_header_good(p, &packet)) {
		COUNT(w, rx_drop_malformed, 1);
		return;
	}
	peer = admit(w, p, &packet, from);
	if (peer == LPM_NONE)
		return;
	pc = &w->peer_counters[peer];
	COUNT(w, rx_packets, 1);
	COUNT(w, rx_bytes, packet.total);
	__atomic_store_n(&pc->rx_packets, pc->rx_packets + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&pc->rx_bytes, pc->rx_bytes + packet.total, __ATOMIC_RELAXED);
	deliver(w, p, &packet, w->table->peers[peer].capabilities & HP_CAP_OFFLOAD);
}

/* Length of each datagram in a train; the whole message when it is a single one. */
static size_t train_size(struct msghdr *m, size_t length)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int size;

		if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof(size));
		if (size > 0)
			return (size_t)size;
	}
	return length;
}

static int take_message(struct worker *w, uint32_t index)
{
	struct rx *rx = w->rx;
	struct msghdr *m = &rx->messages[index].msg_hdr;
	size_t length = rx->messages[index].msg_len, size = train_size(m, length), at = 0;
	uint8_t *data = rx->iov[index].iov_base;
	int rc = 0;

	if (m->msg_flags & MSG_TRUNC) {
		COUNT(w, rx_drop_truncated, 1);
		return 0;
	}
	if (size < length)
		COUNT(w, rx_aggregates, 1);
	if (length > RX_LARGE)
		rx->aggregates = true;
	do {
		size_t rest = length - at;

		if (rx->coalescer.piece_count == BATCH_PACKETS_MAX)
			rc = flush(w);
		receive(w, data + at, rest < size ? rest : size, m->msg_name);
		at += size;
	} while (at < length);
	return rc;
}

static void messages_prepare(struct rx *rx, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		rx->iov[i] = (struct iovec){ .iov_base = rx->buffers + (size_t)i * RX_STRIDE,
					     .iov_len = PACKET_MAX };
		rx->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &rx->names[i],
			.msg_namelen = sizeof(rx->names[i]),
			.msg_iov = &rx->iov[i],
			.msg_iovlen = 1,
			.msg_control = rx->control[i],
			.msg_controllen = CONTROL_SIZE,
		};
	}
}

int rx_round(struct worker *w)
{
	struct rx *rx = w->rx;
	uint32_t wanted = rx->aggregates ? RX_TRAINS_MAX : RX_MESSAGES_MAX;
	bool merge = (w->features & HP_F_VNET) && rx->merge_off_until == 0;
	int got, rc = 0;

	messages_prepare(rx, wanted);
	got = recvmmsg(w->tunnel->udp[w->udp], rx->messages, wanted, MSG_DONTWAIT, NULL);
	if (got < 0) {
		/* Errors that ICMP left on the socket are told once and change nothing */
		if (errno != EAGAIN && errno != EINTR)
			COUNT(w, rx_errors, 1);
		return 0;
	}
	if (rx->merge_off_until != 0 && clock_now() >= rx->merge_off_until)
		rx->merge_off_until = 0;
	rx->aggregates = false;
	rx->coalescer.tcp = merge && (w->features & HP_F_TCP_COALESCE);
	rx->coalescer.udp = merge && (w->features & HP_F_UDP_COALESCE);
	coalesce_reset(&rx->coalescer);
	COUNT(w, rx_messages, (uint64_t)got);
	for (uint32_t i = 0; i < (uint32_t)got && rc == 0; i++)
		rc = take_message(w, i);
	if (rc == 0)
		rc = flush(w);
	return rc < 0 ? rc : (uint32_t)got == wanted;
}
