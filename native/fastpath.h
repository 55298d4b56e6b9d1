/*
 * What the two programs in the kernel share: encap.c writes the one that sends, decap.c the one
 * that receives, fastpath.c owns their maps and attachments, resident.c finds a predecessor's.
 */
#ifndef HEDDLE_FASTPATH_H
#define HEDDLE_FASTPATH_H

#include "bpf.h"

/** Outer IPv4 and UDP header. */
#define OUTER 28
/** Peers with a row of the counters in the kernel, and so with a path there. */
#define PEER_SLOTS_MAX 16383u
/** The last row has what slots counted before they were freed, so that totals never fall. */
#define SLOT_GONE PEER_SLOTS_MAX

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
/** Would be sent to in the kernel, but by another device. */
#define ROUTE_AWAY 8
_Static_assert(sizeof(struct encap_route) == 16, "read by the program");


/** Changes whenever a map of this build means something else to the programs of another. */
#ifndef FAST_LAYOUT
#define FAST_LAYOUT 2u
#endif

/**
 * struct fast_head - by which a successor knows maps
 * @layout: FAST_LAYOUT of who made them
 * @device: index of the TUN device
 */
struct fast_head {
	uint32_t layout;
	uint32_t device;
};

#define NAME_SENDER "heddle_send"
#define NAME_RECEIVER "heddle_receive"
#define NAME_ROUTES "heddle_routes"
#define NAME_COUNTERS "heddle_counters"
#define NAME_FLOWS "heddle_flows"
#define NAME_NAMES "heddle_names"
#define NAME_HEAD "heddle_head"
#define NAME_ENDS "heddle_ends"
#define NAME_DROPS "heddle_drops"

/* Stack: route key at -8, map key and counter slot at -12, inner map at -24,
 * outer header or flow key at -56. */
#define AT_KEY (-8)
#define AT_INDEX (-12)
#define AT_INNER (-24)
#define AT_HEADER (-56)

/* route.c */
int route_open(void);
int route_watch(void);
bool route_changed(int watch);
unsigned int route_device(int fd, uint32_t from, uint32_t to);

/* resident.c */
int resident_find(unsigned int at, uint32_t type, unsigned int device);
bool resident_adopt(struct fastpath *f, struct filter *filter, int program);
void resident_sweep(unsigned int device, const struct fastpath *keep);
bool resident_allowed(void);

int fast_prefix_map(uint32_t entries);
void fast_find_route(struct assembler *a, int offset, bool first, int outer_map);
void fast_count(struct assembler *a, int counter_map, int16_t row, int outer);
void encap_assemble(struct assembler *a, const struct hp_config *config,
		    const struct fastpath *maps, bool check_source);
void decap_assemble(struct assembler *a, const struct hp_config *config,
		    const struct fastpath *maps, const struct filter *filter);

/* filter.c */
void filter_count(struct assembler *a, const struct filter *f, int reason);
void filter_pass_peers(struct assembler *a, const struct filter *f, int ip);

#endif
