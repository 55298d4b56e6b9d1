/*
 * Device to network. Theory of operation: packets are read into a small arena until it holds a
 * superpacket's worth or the device is drained, so the bytes are still in the cache when they are
 * sent. Each becomes one or more datagrams; datagrams of equal length to one peer form a train,
 * which leaves as one message with UDP_SEGMENT; all trains leave in one sendmmsg. The inner
 * headers are patched copies in a slab, the payload is never touched. What the kernel refuses as
 * a train is sent again as single datagrams, and trains are not tried for a second.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define SEGMENT_PAUSE_NS 1000000000u
/** So that the IP header behind the vnet header is aligned. */
#define ARENA_SHIFT (16 - VNET_SIZE)
#define ARENA_STEP(used) (((used) + 63u) & ~(size_t)63u)

int tx_setup(struct worker *w)
{
	struct tx *tx = calloc(1, sizeof(*tx));

	w->tx = tx;
	if (!tx)
		return -ENOMEM;
	tx->arena = aligned_alloc(4096, TX_ARENA);
	tx->headers = calloc(SEGMENTS_MAX, HEADER_MAX);
	tx->iov = calloc(TX_IOV_MAX, sizeof(*tx->iov));
	return tx->arena && tx->headers && tx->iov ? 0 : -ENOMEM;
}

void tx_free(struct tx *tx)
{
	if (!tx)
		return;
	free(tx->arena);
	free(tx->headers);
	free(tx->iov);
	free(tx);
}

static void message_fill(struct tx *tx, uint32_t index, const struct train *train,
			 struct peer *peer)
{
	struct msghdr *m = &tx->messages[index].msg_hdr;

	*m = (struct msghdr){
		.msg_name = &peer->address,
		.msg_namelen = peer->address_length,
		.msg_iov = &tx->iov[train->first_iov],
		.msg_iovlen = train->iov_count,
	};
	if (train->count < 2)
		return;
	m->msg_control = tx->control[index];
	m->msg_controllen = CMSG_SPACE(sizeof(uint16_t));
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	uint16_t size = (uint16_t)train->size;

	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
}

static void count_send_error(struct worker *w, uint32_t datagrams, int error)
{
	if (error == EAGAIN || error == ENOBUFS)
		COUNT(w, tx_drop_queue, datagrams);
	else
		COUNT(w, tx_drop_send, datagrams);
}

/* The train as single datagrams: iovecs come one or two to a datagram, of known total length. */
static void send_singly(struct worker *w, int fd, const struct train *train, struct peer *peer)
{
	const struct iovec *iov = &w->tx->iov[train->first_iov];
	uint32_t at = 0;

	for (uint32_t i = 0; i < train->count; i++) {
		uint32_t used = 0, length = 0;
		uint32_t wanted = i + 1 < train->count ? train->size :
							 train->bytes - train->size * i;

		while (at + used < train->iov_count && length < wanted)
			length += (uint32_t)iov[at + used++].iov_len;
		struct msghdr m = {
			.msg_name = &peer->address,
			.msg_namelen = peer->address_length,
			.msg_iov = (struct iovec *)&iov[at],
			.msg_iovlen = used,
		};
		at += used;
		if (sendmsg(fd, &m, MSG_DONTWAIT) < 0)
			count_send_error(w, 1, errno);
	}
}

/* What to do about message @index, which the kernel refused with @error. */
static bool send_failed(struct worker *w, int fd, uint32_t index, int error)
{
	struct train *train = &w->tx->trains[index];

	if (error == EINTR)
		return false;
	if (error == EAGAIN && worker_wait_writable(fd))
		return false;
	if (train->count > 1 && (error == EIO || error == EINVAL || error == EMSGSIZE)) {
		COUNT(w, tx_segment_refused, 1);
		w->tx->segment_off_until = clock_now() + SEGMENT_PAUSE_NS;
		send_singly(w, fd, train, &w->table->peers[train->peer]);
		return true;
	}
	count_send_error(w, train->count, error);
	return true;
}

static void send_run(struct worker *w, int fd, uint32_t from, uint32_t to)
{
	while (from < to) {
		int sent = sendmmsg(fd, &w->tx->messages[from], to - from, MSG_DONTWAIT);

		if (sent > 0)
			from += (uint32_t)sent;
		else if (send_failed(w, fd, from, errno))
			from++;
	}
}

static void flush(struct worker *w)
{
	struct tx *tx = w->tx;
	uint32_t from = 0;

	COUNT(w, tx_messages, tx->train_count);
	for (uint32_t i = 0; i < tx->train_count; i++)
		message_fill(tx, i, &tx->trains[i], &w->table->peers[tx->trains[i].peer]);
	while (from < tx->train_count) {
		int32_t listener = w->table->peers[tx->trains[from].peer].socket;
		uint32_t to = from + 1;

		while (to < tx->train_count &&
		       w->table->peers[tx->trains[to].peer].socket == listener)
			to++;
		send_run(w, w->tunnel->udp[listener], from, to);
		from = to;
	}
	tx->train_count = 0;
	tx->iov_count = 0;
	tx->header_count = 0;
	tx->packet_count = 0;
	if (tx->segment_off_until != 0 && clock_now() >= tx->segment_off_until)
		tx->segment_off_until = 0;
}

static struct train *train_for(struct worker *w, uint32_t peer, uint32_t length)
{
	struct tx *tx = w->tx;
	struct train *t = tx->train_count > 0 ? &tx->trains[tx->train_count - 1] : NULL;

	if (t && t->peer == peer && !t->closed && length <= t->size && t->count < TRAIN_MAX &&
	    t->bytes + length <= TRAIN_BYTES_MAX && (w->features & HP_F_UDP_SEGMENT) &&
	    tx->segment_off_until == 0)
		return t;
	if (tx->train_count == TX_MESSAGES_MAX)
		return NULL;
	t = &tx->trains[tx->train_count++];
	*t = (struct train){ .peer = peer, .size = length, .first_iov = tx->iov_count };
	return t;
}

/* Appends one datagram of @pieces iovecs that stand at tx->iov[tx->iov_count]. */
static bool emit(struct worker *w, uint32_t peer, uint32_t pieces, uint32_t length)
{
	struct train *t = train_for(w, peer, length);
	struct hp_peer_counters *pc = &w->peer_counters[peer];

	if (!t) {
		COUNT(w, tx_drop_queue, 1);
		return false;
	}
	t->count++;
	t->bytes += length;
	t->iov_count += pieces;
	t->closed = length < t->size;
	w->tx->iov_count += pieces;
	COUNT(w, tx_packets, 1);
	COUNT(w, tx_bytes, length);
	__atomic_store_n(&pc->tx_packets, pc->tx_packets + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&pc->tx_bytes, pc->tx_bytes + length, __ATOMIC_RELAXED);
	return true;
}

/*
 * An ICMP error goes out as the host's own packet: written to the device it would be a martian,
 * since its source is an address of this host (fib_validate_source).
 */
static void answer(struct worker *w, const uint8_t *p, const struct packet *packet,
		   enum icmp_kind kind)
{
	struct tx *tx = w->tx;
	unsigned int which = packet->family == 6;
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const struct sockaddr *to = which ? (const struct sockaddr *)&in6 :
					    (const struct sockaddr *)&in4;
	size_t length;

	if (!w->table->has_own[which] || w->tunnel->icmp[which] < 0)
		return;
	length = icmp_error(p, packet, kind, w->tunnel->config.mtu, w->table->own[which], tx->icmp);
	if (length == 0)
		return;
	if (!bucket_take(&tx->bucket, clock_now())) {
		COUNT(w, icmp_suppressed, 1);
		return;
	}
	memcpy(&in4.sin_addr, p + 12, 4);
	memcpy(&in6.sin6_addr, p + 8, 16);
	if (sendto(w->tunnel->icmp[which], tx->icmp, length, MSG_DONTWAIT, to,
		   which ? sizeof(in6) : sizeof(in4)) > 0)
		COUNT(w, icmp_sent, 1);
}

static void emit_superpacket(struct worker *w, uint32_t peer, uint8_t *p,
			     const struct packet *packet, const struct virtio_net_hdr *vnet)
{
	struct tx *tx = w->tx;
	struct segments s = { .headers = tx->headers + (size_t)tx->header_count * HEADER_MAX,
			      .iov = &tx->iov[tx->iov_count],
			      .capacity = SEGMENTS_MAX - tx->header_count };
	int rc = segment(p, packet, vnet, &s);

	if (rc == -ENOBUFS && tx->header_count > 0) {
		flush(w);
		emit_superpacket(w, peer, p, packet, vnet);
		return;
	}
	if (rc < 0) {
		COUNT(w, tx_drop_malformed, 1);
		return;
	}
	COUNT(w, tx_superpackets, 1);
	tx->header_count += s.count;
	for (uint32_t i = 0; i < s.count; i++) {
		struct iovec header = s.iov[2 * (size_t)i], payload = s.iov[2 * (size_t)i + 1];

		/* Without trains it may need several calls; the rest moves to the front */
		if (tx->train_count == TX_MESSAGES_MAX)
			flush(w);
		tx->iov[tx->iov_count] = header;
		tx->iov[tx->iov_count + 1] = payload;
		(void)emit(w, peer, 2, (uint32_t)(header.iov_len + payload.iov_len));
	}
	/* After a flush in between, the slab counts as free while the rest still uses it */
	if (tx->header_count == 0)
		flush(w);
}

/* Where to, if anywhere; everything that a router checks. Returns LPM_NONE when dropped. */
static uint32_t admit(struct worker *w, uint8_t *p, const struct packet *packet, size_t unit)
{
	worker_routes(w, p, packet->family);
	uint32_t peer = w->cache.destination;

	if ((w->features & HP_F_SOURCE_CHECK) && w->cache.source != HP_OWN) {
		COUNT(w, tx_drop_source, 1);
		return LPM_NONE;
	}
	if (peer == LPM_NONE || peer == HP_OWN) {
		COUNT(w, tx_drop_no_peer, 1);
		answer(w, p, packet, ICMP_UNREACHABLE_KIND);
		return LPM_NONE;
	}
	if (packet->ttl <= 1) {
		COUNT(w, tx_drop_ttl, 1);
		answer(w, p, packet, ICMP_TIME_EXCEEDED_KIND);
		return LPM_NONE;
	}
	if (unit > w->tunnel->config.mtu && packet->dont_fragment) {
		COUNT(w, tx_drop_too_big, 1);
		answer(w, p, packet, ICMP_TOO_BIG_KIND);
		return LPM_NONE;
	}
	if (w->table->peers[peer].socket < 0) {
		COUNT(w, tx_drop_no_socket, 1);
		answer(w, p, packet, ICMP_UNREACHABLE_KIND);
		return LPM_NONE;
	}
	packet_decrement_ttl(p, packet);
	return peer;
}

static void send_packet(struct worker *w, const struct virtio_net_hdr *vnet, uint8_t *p,
			size_t length)
{
	bool super = vnet->gso_type != VIRTIO_NET_HDR_GSO_NONE;
	struct packet packet;
	size_t unit = 0;
	uint32_t peer;

	if (packet_parse(p, length, &packet) < 0 || !packet_header_good(p, &packet)) {
		COUNT(w, tx_drop_malformed, 1);
		return;
	}
	if (super) {
		int header = segment_header_length(p, packet.total, vnet);

		unit = header < 0 ? 0 : (size_t)header + vnet->gso_size;
	} else {
		unit = packet.total;
	}
	peer = admit(w, p, &packet, unit);
	if (peer == LPM_NONE)
		return;
	if (super) {
		emit_superpacket(w, peer, p, &packet, vnet);
		return;
	}
	if ((vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	    finish_checksum(p, packet.total, vnet) < 0) {
		COUNT(w, tx_drop_malformed, 1);
		return;
	}
	if (w->tx->train_count == TX_MESSAGES_MAX)
		flush(w);
	w->tx->iov[w->tx->iov_count] = (struct iovec){ .iov_base = p, .iov_len = packet.total };
	(void)emit(w, peer, 1, packet.total);
}

/* Reads one packet to @at; returns bytes used, 0 when drained, -errno when the device is gone. */
static ssize_t read_packet(struct worker *w, uint8_t *at)
{
	struct virtio_net_hdr vnet = { 0 };
	size_t skip = w->features & HP_F_VNET ? 0 : VNET_SIZE;
	ssize_t got;

	do {
		got = read(w->tun, at + skip, VNET_SIZE - skip + PACKET_MAX);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? 0 : -errno;
	if ((size_t)got <= VNET_SIZE - skip) {
		COUNT(w, tx_drop_malformed, 1);
		return (ssize_t)VNET_SIZE;
	}
	if (skip == 0)
		memcpy(&vnet, at, VNET_SIZE);
	send_packet(w, &vnet, at + VNET_SIZE, (size_t)got + skip - VNET_SIZE);
	return got + (ssize_t)skip;
}

int tx_round(struct worker *w)
{
	struct tx *tx = w->tx;
	size_t used = 0;
	ssize_t got = 1;

	while (used < TX_FLUSH_BYTES && tx->packet_count < TX_PACKETS_MAX) {
		got = read_packet(w, tx->arena + used + ARENA_SHIFT);
		if (got <= 0)
			break;
		used += ARENA_STEP((size_t)got + ARENA_SHIFT);
		tx->packet_count++;
	}
	flush(w);
	return got > 0 ? 1 : (int)got;
}
