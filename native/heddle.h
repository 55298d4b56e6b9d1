/*
 * The C ABI of the packet path: what src/ffi/tunnel-native.ts binds, and nothing else.
 *
 * Theory of operation. A tunnel joins a TUN device and one UDP socket per listening address. An
 * IP packet that the kernel routes into the device leaves as the payload of a UDP datagram to the
 * peer that owns its destination; a datagram from a peer is written to the device if the inner
 * source belongs to that peer and the inner destination is ours. hp_open makes or takes over the
 * descriptors and the maps, hp_resume starts the threads, hp_accelerate the programs in the
 * kernel: in this order, so that nobody forwards by an empty table. Every call is made from one
 * control thread, never blocks on the network, and returns >= 0 or -errno. The caller fills
 * structures; sizes are checked by hp_layout() at load.
 */
#ifndef HEDDLE_H
#define HEDDLE_H

#include <stdint.h>

/* Everything else of the library stays hidden. */
#define HP_API __attribute__((visibility("default")))

#define HP_ABI_VERSION 4

/** Listening addresses of one tunnel: an IPv4 and an IPv6 one, and room for a second underlay. */
#define HP_LISTEN_MAX 4
/** Queues of the TUN device; more than cores brings nothing. */
#define HP_QUEUES_MAX 8
/** Prefixes that are ours carry this instead of a peer's index. */
#define HP_OWN UINT32_MAX

/* Each can be switched off alone. X(name, bit, text) */
#define HP_FEATURES(X) \
	X(VNET, 0, "vnet-header") \
	X(CSUM, 1, "tun-checksum") \
	X(TSO4, 2, "tun-tso4") \
	X(TSO6, 3, "tun-tso6") \
	X(USO, 4, "tun-uso") \
	X(UDP_SEGMENT, 5, "udp-segment") \
	X(UDP_GRO, 6, "udp-gro") \
	X(TCP_COALESCE, 7, "tcp-coalesce") \
	X(UDP_COALESCE, 8, "udp-coalesce") \
	X(SOURCE_CHECK, 9, "source-check") \
	X(ENCAP, 10, "kernel-encap") \
	X(PERSIST, 11, "persist") \
	X(NAPI, 12, "tun-napi") \
	X(DECAP, 13, "kernel-decap") \
	X(RESIDENT, 14, "kernel-resident") \
	X(FILTER, 15, "socket-filter")

#define HP_FEATURE_BIT(name, bit, text) HP_F_##name = 1u << (bit),
enum hp_feature { HP_FEATURES(HP_FEATURE_BIT) HP_F_END };
#undef HP_FEATURE_BIT

/** What a peer said it understands beyond flannel's format. */
enum hp_capability {
	/** Completes packets that arrive uncut or with a partial checksum. */
	HP_CAP_OFFLOAD = 1u << 0,
	/** Sends from the kernel (feature ENCAP is on there). */
	HP_CAP_ENCAP = 1u << 1,
};

/* X(name): one 64-bit counter, per worker, summed by hp_counters(). */
#define HP_COUNTERS(X) \
	X(tx_wakeups) \
	X(tx_packets) \
	X(tx_bytes) \
	X(tx_superpackets) \
	X(tx_messages) \
	X(tx_encap_packets) \
	X(tx_encap_bytes) \
	X(tx_drop_malformed) \
	X(tx_drop_source) \
	X(tx_drop_no_peer) \
	X(tx_drop_ttl) \
	X(tx_drop_too_big) \
	X(tx_drop_no_socket) \
	X(tx_drop_queue) \
	X(tx_drop_send) \
	X(tx_segment_refused) \
	X(icmp_sent) \
	X(icmp_suppressed) \
	X(rx_wakeups) \
	X(rx_messages) \
	X(rx_aggregates) \
	X(rx_packets) \
	X(rx_bytes) \
	X(rx_writes) \
	X(rx_superpackets) \
	X(rx_bad_checksum) \
	X(rx_drop_truncated) \
	X(rx_drop_malformed) \
	X(rx_drop_source) \
	X(rx_drop_destination) \
	X(rx_drop_ttl) \
	X(rx_decap_packets) \
	X(rx_decap_bytes) \
	X(rx_whole) \
	X(rx_drop_write) \
	X(rx_write_refused) \
	X(rx_errors)

#define HP_COUNTER_ID(name) HP_C_##name,
enum hp_counter { HP_COUNTERS(HP_COUNTER_ID) HP_C_END };
#undef HP_COUNTER_ID

/**
 * struct hp_endpoint - a UDP address
 * @addr: network order; IPv4 uses the first four bytes
 * @port: host order
 * @family: 4 or 6
 * @reserved: zero
 */
struct hp_endpoint {
	uint8_t addr[16];
	uint16_t port;
	uint8_t family;
	uint8_t reserved;
};

/**
 * struct hp_peer - a host at the other end
 * @endpoint: where its datagrams come from and go to
 * @capabilities: enum hp_capability
 * @slot: number of its counters; its own until hp_free_slots
 */
struct hp_peer {
	struct hp_endpoint endpoint;
	uint32_t capabilities;
	uint32_t slot;
};

/**
 * struct hp_prefix - one row of the routing table
 * @addr: network order, host bits zero
 * @peer: index into the peers given with it, or HP_OWN
 * @family: 4 or 6
 * @length: prefix length in bits
 * @reserved: zero
 */
struct hp_prefix {
	uint8_t addr[16];
	uint32_t peer;
	uint8_t family;
	uint8_t length;
	uint16_t reserved;
};

/**
 * struct hp_config - what hp_open needs
 * @size: sizeof(struct hp_config)
 * @features: wanted, enum hp_feature
 * @mtu: greatest inner packet
 * @queues: TUN queues, 1..HP_QUEUES_MAX
 * @listeners: used entries of @listen
 * @device: name of the TUN device, NUL-terminated
 * @listen: addresses to receive on
 * @tun_fds: open queues of a predecessor in any order, -1 for none; what fits is used
 * @udp_fds: open sockets of a predecessor, likewise
 */
struct hp_config {
	uint32_t size;
	uint32_t features;
	uint32_t mtu;
	uint32_t queues;
	uint32_t listeners;
	char device[16];
	struct hp_endpoint listen[HP_LISTEN_MAX];
	int32_t tun_fds[HP_QUEUES_MAX];
	int32_t udp_fds[HP_LISTEN_MAX];
};

/**
 * struct hp_peer_counters - what one peer carried, inner packets and bytes
 * @tx_packets: sent to it
 * @tx_bytes: sent to it
 * @rx_packets: delivered from it
 * @rx_bytes: delivered from it
 */
struct hp_peer_counters {
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t rx_packets;
	uint64_t rx_bytes;
};

/**
 * struct hp_status - what became of the wishes
 * @wanted: features asked for
 * @active: features in use now
 * @error: per feature bit, the errno that switched it off, or 0
 * @device_error: 0, or the errno with which the device went away
 * @failed_call: which step of hp_open failed (enum hp_step), for the message
 */
struct hp_status {
	uint32_t wanted;
	uint32_t active;
	int32_t error[16];
	int32_t device_error;
	uint32_t failed_call;
};

/** Steps of hp_open, so that an errno can be explained. */
enum hp_step { HP_STEP_MEMORY, HP_STEP_CONFIG, HP_STEP_TUN_OPEN, HP_STEP_TUN_ATTACH, HP_STEP_SOCKET,
	       HP_STEP_BIND, HP_STEP_THREAD };

/** Longest node name, with its NUL. */
#define HP_NAME_SIZE 256

/**
 * struct hp_adopted - a prefix of a peer that a predecessor left in the kernel
 * @peer: its endpoint, what it can do, and the row of its counters
 * @addr: of the prefix, network order
 * @length: prefix length in bits
 * @name: of the peer, NUL-terminated; empty when it was never told
 */
struct hp_adopted {
	struct hp_peer peer;
	uint8_t addr[4];
	uint32_t length;
	char name[HP_NAME_SIZE];
};

struct hp_tunnel;

HP_API uint32_t hp_abi_version(void);
/** Fills @sizes with the sizes of the structures above, in their order; returns how many. */
HP_API int hp_layout(uint32_t *sizes, uint32_t capacity);
/** Name of feature bit @bit or counter @index, or NULL past the end. */
HP_API const char *hp_feature_name(uint32_t bit);
HP_API const char *hp_counter_name(uint32_t index);

/**
 * Opens descriptors, or takes those offered that fit and closes the others; on failure all that
 * were offered stay the caller's, and *status says which step failed. No packet moves yet.
 */
HP_API int hp_open(const struct hp_config *config, struct hp_status *status,
		   struct hp_tunnel **out);
/** Peers that a predecessor's programs carry; returns how many rows there are. */
HP_API int hp_adopted(struct hp_tunnel *tunnel, struct hp_adopted *into, uint32_t capacity);
/** Writes the name of a slot where a successor finds it. */
HP_API int hp_name_slot(struct hp_tunnel *tunnel, uint32_t slot, const char *name);
/**
 * Frees slots of peers that the last hp_set_peers did not have, for others to count anew. Those
 * that a thread may still count for are moved to the front of @slots; returns how many.
 */
HP_API int hp_free_slots(struct hp_tunnel *tunnel, uint32_t *slots, uint32_t count);
/** Attaches the programs in the kernel, or replaces a predecessor's, if wanted and possible. */
HP_API int hp_accelerate(struct hp_tunnel *tunnel);
/** Replaces peers and prefixes while packets flow. */
HP_API int hp_set_peers(struct hp_tunnel *tunnel, const struct hp_peer *peers, uint32_t peer_count,
		 const struct hp_prefix *prefixes, uint32_t prefix_count);
/** To be called now and then, and soon after routes have changed: whom the kernel path sends to. */
HP_API int hp_refresh(struct hp_tunnel *tunnel);
HP_API int hp_counters(struct hp_tunnel *tunnel, uint64_t *into, uint32_t capacity);
HP_API int hp_peer_counters(struct hp_tunnel *tunnel, struct hp_peer_counters *into,
			    uint32_t capacity);
HP_API int hp_status(struct hp_tunnel *tunnel, struct hp_status *status);
/** The open descriptors, for a successor; they stay open until hp_close. */
HP_API int hp_descriptors(struct hp_tunnel *tunnel, int32_t *tun_fds, int32_t *udp_fds);
/** Ends the threads but keeps descriptors: packets queue in the kernel until somebody reads on. */
HP_API int hp_pause(struct hp_tunnel *tunnel);
HP_API int hp_resume(struct hp_tunnel *tunnel);
/** Makes the device vanish with its last descriptor (persistence off), and the programs now. */
HP_API int hp_forget_device(struct hp_tunnel *tunnel);
/**
 * Writes the alias (IFLA_IFALIAS) of @device, with its NUL; returns its length, 0 for none, -ENODEV
 * where there is no such device in this namespace.
 */
HP_API int hp_device_alias(const char *device, char *alias, uint32_t capacity);
/** Removes the programs that a predecessor left for @device, or for devices that are gone. */
HP_API int hp_forget(const char *device);
/** Ends the threads, closes everything, frees the handle. */
HP_API int hp_close(struct hp_tunnel *tunnel);

#endif
