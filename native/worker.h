/*
 * The threads of the packet path and what each owns: worker.c runs them, tx.c and rx.c are the two
 * directions. All memory is allocated when a worker is made, none on the packet path.
 */
#ifndef HEDDLE_WORKER_H
#define HEDDLE_WORKER_H

#include "internal.h"

/** Bytes read from the device before they are sent: stays inside the second-level cache. */
#define TX_ARENA (4u * 65536u)
#define TX_FLUSH_BYTES 32768u
#define TX_PACKETS_MAX 64u
#define TX_MESSAGES_MAX 128u
#define TX_IOV_MAX (2u * SEGMENTS_MAX + 2u * TX_PACKETS_MAX)
#define RX_MESSAGES_MAX 64u
/** The odd 2 KiB keep buffers from sharing cache sets. */
#define RX_STRIDE (65536u + 2048u)
/** Rounds before a worker looks at its control descriptor again. */
#define ROUNDS_MAX 64u

#define CONTROL_SIZE 64u

/**
 * struct train - one message for sendmmsg: equal datagrams to one peer
 * @peer: index
 * @count: datagrams
 * @size: of each but the last
 * @bytes: together
 * @first_iov: its first iovec
 * @iov_count: its iovecs
 * @closed: the last was shorter
 */
struct train {
	uint32_t peer, count, size, bytes;
	uint32_t first_iov, iov_count;
	bool closed;
};

/**
 * struct route_cache - the last look-up of a worker: most packets come in runs
 * @family: 0 when empty
 * @pair: source and destination address
 * @source: answer for the source
 * @destination: answer for the destination
 */
struct route_cache {
	uint8_t family;
	uint8_t pair[32];
	uint32_t source, destination;
};

struct tx {
	uint8_t *arena;
	uint8_t *headers;
	uint32_t header_count;
	struct iovec *iov;
	uint32_t iov_count;
	uint32_t packet_count;
	struct train trains[TX_MESSAGES_MAX];
	struct mmsghdr messages[TX_MESSAGES_MAX];
	uint8_t control[TX_MESSAGES_MAX][CONTROL_SIZE] __attribute__((aligned(16)));
	uint32_t train_count;
	uint64_t segment_off_until;
	struct bucket bucket;
	uint8_t icmp[ICMP_ERROR_MAX];
};

struct rx {
	uint8_t *buffers;
	struct mmsghdr messages[RX_MESSAGES_MAX];
	struct iovec iov[RX_MESSAGES_MAX];
	struct sockaddr_in6 names[RX_MESSAGES_MAX];
	uint8_t control[RX_MESSAGES_MAX][CONTROL_SIZE] __attribute__((aligned(16)));
	struct coalescer coalescer;
	struct iovec *write_iov;
	uint8_t header[HEADER_MAX];
	bool aggregates;
	uint64_t merge_off_until;
};

/**
 * struct worker - a thread with one descriptor to wait for
 * @seen: generation it has seen, UINT64_MAX while it sleeps
 * @tun: device queue: read by a sender, written by a receiver
 * @udp: listener index of a receiver, -1 for a sender
 */
struct worker {
	struct hp_tunnel *tunnel;
	_Atomic uint64_t seen;
	pthread_t thread;
	bool started;
	uint32_t index;
	int event;
	int tun;
	int udp;
	uint32_t features;
	struct table *table;
	struct hp_peer_counters *peer_counters;
	struct route_cache cache;
	uint64_t counters[HP_C_END];
	struct tx *tx;
	struct rx *rx;
};

#define COUNT(w, name, n)                                                                          \
	__atomic_store_n(&(w)->counters[HP_C_##name], (w)->counters[HP_C_##name] + (n),            \
			 __ATOMIC_RELAXED)

void decelerate(struct hp_tunnel *t, int error);
void filter_open(struct hp_tunnel *t);
void filter_update(struct hp_tunnel *t);
int worker_make(struct hp_tunnel *t, int tun, int listener);
void worker_routes(struct worker *w, const uint8_t *p, uint8_t family);
bool worker_wait_writable(int fd);
int worker_start(struct worker *w);
void worker_stop(struct worker *w);
void worker_free(struct worker *w);
uint64_t clock_now(void);
void feature_off(struct worker *w, uint32_t bit, int error);

int tx_setup(struct worker *w);
void tx_free(struct tx *tx);
/** One bounded round: 1 if there may be more, 0 if drained, -errno if the device is gone. */
int tx_round(struct worker *w);
int rx_setup(struct worker *w);
void rx_free(struct rx *rx);
int rx_round(struct worker *w);

#endif
