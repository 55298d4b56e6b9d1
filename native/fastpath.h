/*
 * What the two programs in the kernel share: encap.c writes the one that sends, decap.c the one
 * that receives, fastpath.c owns their maps and links.
 */
#ifndef HEDDLE_FASTPATH_H
#define HEDDLE_FASTPATH_H

#include "bpf.h"

/** Outer IPv4 and UDP header. */
#define OUTER 28
#define PEER_SLOTS_MAX 16384u

/**
 * struct encap_key - key of the prefix map
 */
struct encap_key {
	uint32_t length;
	uint8_t addr[4];
};

/**
 * struct encap_route - value of the prefix map
 * @kind: ROUTE_ flags; none for a prefix that is left to userspace
 * @slot: row of the counters
 * @addr: outer destination, network order
 * @port: outer port, network order
 */
struct encap_route {
	uint32_t kind;
	uint32_t slot;
	uint32_t addr;
	uint16_t port;
	uint16_t reserved;
};
#define ROUTE_OWN 1
/** Sent to in the kernel. */
#define ROUTE_SEND 2
/** Sends from the kernel, so it is received from there. */
#define ROUTE_RECEIVE 4
_Static_assert(sizeof(struct encap_route) == 16, "read by the program");


/**
 * struct fast_maps - what a program refers to
 * @routes: array of one map of prefixes, replaced as a whole
 * @counters: per CPU, by slot: packets and bytes sent, packets and bytes received
 * @flows: when a bulk packet of a flow was last left to userspace
 */
struct fast_maps {
	int routes, counters, flows;
	unsigned int device, underlay;
};

/* Stack: route key at -8, map key and counter slot at -12, inner map at -24,
 * outer header or flow key at -56. */
#define AT_KEY (-8)
#define AT_INDEX (-12)
#define AT_INNER (-24)
#define AT_HEADER (-56)


void fast_find_route(struct assembler *a, int offset, bool first, int outer_map);
void fast_count(struct assembler *a, int counter_map, int16_t row, int outer);
void encap_assemble(struct assembler *a, const struct hp_config *config,
		    const struct fast_maps *maps, bool check_source);
void decap_assemble(struct assembler *a, const struct hp_config *config,
		    const struct fast_maps *maps);

#endif
