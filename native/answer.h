/*
 * The C ABI of the answering thread: what src/ffi/netlink/answerer-native.ts binds, and nothing
 * else.
 *
 * Theory of operation. With entries on demand the kernel asks for a neighbour (RTM_GETNEIGH) and
 * keeps the packet meanwhile: the answer is a part of that packet's path. A thread of its own hears
 * the questions, looks the address up in a table of prepared answers, sets the forwarding entry and
 * then the neighbour with one send, and writes down what it did. What is not in the table, and all
 * while it serves no device, it only writes down: the caller sees to it. Every call is made from
 * one control thread and waits at most for an answer that is under way; it returns >= 0 or -errno.
 */
#ifndef HEDDLE_ANSWER_H
#define HEDDLE_ANSWER_H

#include <stdint.h>

#include "heddle.h"

/** What became of a question, if not the errno with which the kernel refused the answer. */
enum hm_outcome { HM_ANSWERED = 0, HM_PASSED_ON = -1 };

/**
 * struct hm_answer - how the host sends to one gateway
 * @addr: of the gateway, network order; IPv4 uses the first four bytes
 * @dst: underlay address of the peer, likewise
 * @mac: of the peer's tunnel device
 * @family: of @addr, 4 or 6
 * @dst_family: of @dst, 4 or 6; 0 takes the answer out of the table
 */
struct hm_answer {
	uint8_t addr[16];
	uint8_t dst[16];
	uint8_t mac[6];
	uint8_t family;
	uint8_t dst_family;
};

/**
 * struct hm_record - one question, in the order in which they came
 * @answer: what was set; of one that was passed on only @addr and @family
 * @index: of the device that asked
 * @outcome: enum hm_outcome, or an errno
 * @waited_us: from its arrival to the kernel's acknowledgement
 */
struct hm_record {
	struct hm_answer answer;
	uint32_t index;
	int32_t outcome;
	uint32_t waited_us;
};

/**
 * struct hm_status - what became of the wishes
 * @wake_fd: becomes readable when there is something to take; the caller closes it
 * @port: netlink port that signs the answers
 * @realtime: 1 when the thread runs before ordinary ones (SCHED_FIFO)
 */
struct hm_status {
	int32_t wake_fd;
	uint32_t port;
	uint32_t realtime;
};

struct hm_answerer;

/** Fills @sizes with the sizes of the structures above, in their order; returns how many. */
HP_API int hm_layout(uint32_t *sizes, uint32_t capacity);
/**
 * Opens its sockets in the calling thread's network namespace and listens from then on. @protocol
 * marks its neighbours; @receive_buffer is that of the questions, in bytes.
 */
HP_API int hm_open(uint32_t protocol, uint32_t receive_buffer, struct hm_status *status,
		   struct hm_answerer **out);
/** Adds, replaces or takes out. */
HP_API int hm_set(struct hm_answerer *a, const struct hm_answer *answers, uint32_t count);
/** Answers on these devices only; an index of 0 stands for none. */
HP_API int hm_serve(struct hm_answerer *a, uint32_t index4, uint32_t index6);
/** Takes the oldest records; *lost is 1 when some went unwritten or unheard since the last call. */
HP_API int hm_take(struct hm_answerer *a, struct hm_record *into, uint32_t capacity,
		   uint32_t *lost);
/** Ends the thread, closes its sockets, frees everything. */
HP_API int hm_close(struct hm_answerer *a);

#endif
