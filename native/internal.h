/*
 * Shared by the files of the packet path. Pure parts (csum, packet, lpm, segment, coalesce, icmp,
 * slice) take buffers and lengths and do no I/O; tests drive them through pure.c. The rest owns
 * descriptors and threads. There are no globals: everything hangs on struct hp_tunnel.
 */
#ifndef HEDDLE_INTERNAL_H
#define HEDDLE_INTERNAL_H

#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "filter.h"
#include "heddle.h"

#define HP_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/** Greatest IP packet. */
#define PACKET_MAX 65535u
/** Longest inner header that is copied: 60 of IPv4 (or IPv6 with extensions) and 60 of TCP. */
#define HEADER_MAX 128u
/** A UDP datagram train: 64 segments before Linux 6.9, and the kernel counts the UDP header too. */
#define TRAIN_MAX 63u
/** Longest train in bytes: 65535 less outer headers, with room for IPv6. */
#define TRAIN_BYTES_MAX 65440u

_Static_assert(sizeof(struct virtio_net_hdr) == 10, "TUN's default vnet header");
#define VNET_SIZE sizeof(struct virtio_net_hdr)

/* linux/virtio_net.h before 6.2 lacks it. */
#define GSO_UDP_L4 5

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u
#define TCP_URG 0x20u
#define TCP_ECE 0x40u
#define TCP_CWR 0x80u

static inline uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

/* csum.c: Internet checksum (RFC 1071). Sums are in memory order, so that no byte is swapped. */
uint64_t csum_add(const uint8_t *data, size_t length, uint64_t sum);
uint16_t csum_fold(uint64_t sum);
uint64_t csum_pseudo(const uint8_t *ip, uint8_t family, uint8_t protocol, size_t l4_length);
void csum_put(uint8_t *at, uint16_t value);
bool csum_l4_good(const uint8_t *ip, uint8_t family, uint8_t protocol, size_t header, size_t total);

/**
 * struct packet - the outside of an inner packet, checked
 * @family: 4 or 6
 * @protocol: IPv4 protocol or IPv6 next header
 * @ttl: TTL or hop limit
 * @fragment: part of a fragmented packet
 * @dont_fragment: DF of IPv4, always for IPv6
 * @header: length of the IP header (IPv6: without extensions)
 * @total: length by the IP header, <= the bytes given
 */
struct packet {
	uint8_t family;
	uint8_t protocol;
	uint8_t ttl;
	bool fragment;
	bool dont_fragment;
	uint16_t header;
	uint32_t total;
};

int packet_parse(const uint8_t *p, size_t length, struct packet *out);
bool packet_header_good(const uint8_t *p, const struct packet *packet);
void packet_decrement_ttl(uint8_t *p, const struct packet *packet);
static inline const uint8_t *packet_source(const uint8_t *p, uint8_t family)
{
	return p + (family == 4 ? 12 : 8);
}
static inline const uint8_t *packet_destination(const uint8_t *p, uint8_t family)
{
	return p + (family == 4 ? 16 : 24);
}

/* lpm.c: longest prefix match over flattened, disjoint ranges. */
#define LPM_NONE (UINT32_MAX - 1)

struct lpm;
int lpm_build(const struct hp_prefix *prefixes, uint32_t count, struct lpm **out);
uint32_t lpm_find(const struct lpm *lpm, uint8_t family, const uint8_t *address);
void lpm_free(struct lpm *lpm);

/* segment.c: a superpacket as headers and slices of the payload. */
#define SEGMENTS_MAX 1400u

/**
 * struct segments - output of segment()
 * @headers: slab of HEADER_MAX bytes per segment
 * @iov: two per segment, header and payload
 * @capacity: segments that fit
 * @count: segments made
 */
struct segments {
	uint8_t *headers;
	struct iovec *iov;
	uint32_t capacity;
	uint32_t count;
};

int segment(uint8_t *p, const struct packet *packet, const struct virtio_net_hdr *vnet,
	    struct segments *out);
int segment_header_length(const uint8_t *p, size_t total, const struct virtio_net_hdr *vnet);
int finish_checksum(uint8_t *p, size_t total, const struct virtio_net_hdr *vnet);

/* coalesce.c: packets of a batch into superpackets. */
#define BATCH_PACKETS_MAX 4096u
#define FLOW_SLOTS 64u

/**
 * struct piece - one received packet inside a group
 * @data: the packet
 * @length: its length
 * @next: index of the following piece of the group, or PIECE_END
 * @partial: its L4 checksum covers the pseudo header only
 */
struct piece {
	uint8_t *data;
	uint32_t length;
	uint32_t next;
	bool partial;
};
#define PIECE_END UINT32_MAX

/**
 * struct group - packets that leave as one write
 * @first: index of the first piece
 * @last: index of the last piece
 * @count: pieces
 * @hash: of the flow
 * @header: bytes before the payload
 * @segment_size: payload of each piece but the last
 * @payload: payload of all pieces
 * @sequence: TCP sequence number that may follow
 * @identity: IPv4 identification that may follow
 * @family: 4 or 6
 * @protocol: TCP or UDP when mergeable, else 0
 * @open: takes more
 * @verified: checksum of the first piece is known to be right
 * @whole: one piece that is a superpacket already
 * @push: FIN/PSH bits of the last piece
 */
struct group {
	uint32_t first, last, count, hash;
	uint32_t payload, sequence;
	uint16_t header, segment_size, identity;
	uint8_t family, protocol;
	bool open, verified, whole;
	uint8_t push;
};

/**
 * struct coalescer - one batch
 * @pieces: packets in order of arrival
 * @groups: writes in order
 * @flows: latest group of a flow, by hash; BATCH_PACKETS_MAX means none
 * @bad_checksum: packets refused because of their checksum
 * @tcp: merge TCP
 * @udp: merge UDP
 */
struct coalescer {
	struct piece *pieces;
	struct group *groups;
	uint32_t piece_count, group_count;
	uint32_t flows[FLOW_SLOTS];
	uint64_t bad_checksum;
	bool tcp, udp;
};

void coalesce_reset(struct coalescer *c);
void coalesce_push(struct coalescer *c, uint8_t *data, const struct packet *packet, bool partial);
bool coalesce_push_whole(struct coalescer *c, uint8_t *data, const struct packet *packet);
void partial_vnet(const uint8_t *data, uint8_t family, struct virtio_net_hdr *vnet);
bool packet_is_partial(const uint8_t *p, const struct packet *packet);
uint32_t coalesce_header(const struct coalescer *c, const struct group *g, uint8_t *header,
			 struct virtio_net_hdr *vnet);

/* icmp.c: errors a router sends. */
enum icmp_kind { ICMP_TIME_EXCEEDED_KIND, ICMP_UNREACHABLE_KIND, ICMP_TOO_BIG_KIND };
#define ICMP_ERROR_MAX 1280u

size_t icmp_error(const uint8_t *p, const struct packet *packet, enum icmp_kind kind, uint32_t mtu,
		  const uint8_t *own_address, uint8_t *out);

/**
 * struct bucket - token bucket for ICMP errors
 * @tokens: in nanoseconds of credit
 * @last: clock at the last refill
 */
struct bucket {
	uint64_t tokens;
	uint64_t last;
};
bool bucket_take(struct bucket *b, uint64_t now);

/* peers.c: the table the packet path reads. */
/**
 * struct peer - an hp_peer as the packet path wants it
 * @address: for sendmsg
 * @address_length: of it
 * @socket: index of the listener of its family, or -1
 * @slot: counters
 * @capabilities: enum hp_capability
 */
struct peer {
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} address;
	uint32_t address_length;
	int32_t socket;
	uint32_t slot;
	uint32_t capabilities;
};

/**
 * struct table - one generation, immutable but for the counters
 * @lpm: prefix -> peer index or HP_OWN
 * @own: our address per family ([0] IPv4, [1] IPv6), source of ICMP errors
 * @has_own: which of @own are set
 * @counters: per worker, per peer
 * @retired: generation at which it was replaced
 * @next: older table, not yet free
 */
struct table {
	struct lpm *lpm;
	struct peer *peers;
	uint32_t peer_count;
	uint8_t own[2][16];
	bool has_own[2];
	struct hp_peer_counters *counters;
	uint64_t retired;
	struct table *next;
};

/* fastpath.c: both directions as programs in the kernel. */
/**
 * struct way - whether the way to a peer leads out of the underlay device
 * @addr: of the peer, network order; 0 when not asked
 * @here: it does
 */
struct way {
	uint32_t addr;
	bool here;
};

/**
 * struct fastpath - descriptors of it, -1 when off
 * @encap: attachment of the sender: a link, or the program itself when @resident
 * @decap: attachment of the receiver
 * @routes: array of one map of prefixes, replaced as a whole
 * @counters: struct hp_peer_counters by slot, per CPU
 * @flows: when a bulk packet of a flow was last left to userspace
 * @names: of peers, by slot
 * @head: struct fast_head
 * @device: index of the TUN device
 * @underlay: index of the device that holds the listening address
 * @cpus: rows that the kernel keeps of each counter
 * @listen: the listening address, network order
 * @ask: socket that asks for routes
 * @watch: socket that hears of changed routes
 * @ways: by slot, what was asked
 * @peers: as last set, with @prefixes: routes may change without them
 * @resident: programs stay attached without us
 * @error: why there are no maps
 */
struct fastpath {
	int encap, decap, routes, counters, flows, names, head;
	unsigned int device, underlay;
	uint32_t cpus, listen;
	int ask, watch;
	struct way *ways;
	struct hp_peer *peers;
	struct hp_prefix *prefixes;
	uint32_t prefix_count;
	bool resident;
	int32_t error;
};

void fastpath_init(struct fastpath *f);
void fastpath_prepare(struct fastpath *f, struct filter *filter, const struct hp_config *config,
		      uint32_t features);
void fastpath_attach(struct fastpath *f, const struct filter *filter,
		     const struct hp_config *config, uint32_t *features, int32_t *errors);
int fastpath_set_peers(struct fastpath *f, const struct hp_peer *peers, uint32_t peer_count,
		       const struct hp_prefix *prefixes, uint32_t prefix_count);
int fastpath_refresh(struct fastpath *f);
int fastpath_counters(const struct fastpath *f, uint32_t slot, struct hp_peer_counters *into);
int fastpath_adopted(const struct fastpath *f, struct hp_adopted *into, uint32_t capacity);
int fastpath_name(const struct fastpath *f, uint32_t slot, const char *name);
void fastpath_free_slot(struct fastpath *f, uint32_t slot);
void fastpath_close(struct fastpath *f);

/* resident.c: programs in the kernel that outlived their process. */
int resident_forget(const char *device);

#define WORKERS_MAX (HP_QUEUES_MAX + HP_LISTEN_MAX)

struct worker;

/**
 * struct hp_tunnel - everything
 * @features: in use; a worker may clear bits
 * @generation: of the table, odd or even does not matter
 * @running: was resumed once, so that the peers are known
 * @base: counters of peers of freed tables, by slot
 * @icmp: raw sockets for ICMP errors, IPv4 and IPv6; -1 when refused
 */
struct hp_tunnel {
	struct hp_config config;
	_Atomic uint32_t features;
	_Atomic int32_t errors[16];
	_Atomic int32_t device_error;
	_Atomic(struct table *) table;
	_Atomic uint64_t generation;
	_Atomic bool stopping;
	bool running;
	struct fastpath fast;
	struct filter filter;
	struct hp_peer_counters *base;
	uint32_t base_count;
	uint32_t worker_count;
	struct worker *workers[WORKERS_MAX];
	int tun[HP_QUEUES_MAX];
	int udp[HP_LISTEN_MAX];
	int icmp[2];
};

int table_build(const struct hp_tunnel *t, const struct hp_peer *peers, uint32_t peer_count,
		const struct hp_prefix *prefixes, uint32_t prefix_count, struct table **out);
void table_free(struct table *table);
int endpoint_fill(const struct hp_endpoint *e, struct peer *to);
bool table_same_endpoint(const struct peer *peer, const struct sockaddr *from);

/* tun.c, udp.c: descriptors. */
int tun_open(struct hp_config *config, uint32_t *features, int32_t *errors, int *fds,
	     uint32_t *step);
int udp_open(struct hp_config *config, uint32_t listener, uint32_t *features, int32_t *errors,
	     int *fd, uint32_t *step);
bool fd_is_here(int fd, unsigned long request);
int tun_set_persist(int fd, bool on);
void icmp_open(int *sockets);

#endif
