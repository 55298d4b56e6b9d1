/*
 * The sending half in the kernel. Theory of operation: a small program at the egress of the TUN device
 * (TCX, Linux 6.6) does what tx.c does for the plain case: source and destination by longest prefix
 * match, TTL, outer IPv4 and UDP header, and sends the packet out of the underlay device, uncut and
 * with its checksum still partial, as the kernel's own VXLAN does. What is not the plain case (no
 * peer, TTL used up, IPv6, options, fragments, too big, a peer that did not announce it) goes on to
 * the device's queue and tx.c, which also answers with ICMP. On a real network the card or the kernel
 * cuts the superpacket and the far end sees flannel's format. Where nothing cuts (hosts on one
 * machine) the receiver gets it whole; the segment size is then in the IPv4 identification, which
 * means nothing in a packet with DF (RFC 6864). Only peers that announce "offload" are sent to this
 * way, because only they complete such packets. Needs CAP_BPF; off, with the reason, where refused.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <stdlib.h>
#include <unistd.h>

#include "bpf.h"
#include "fastpath.h"

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
 * @kind: ROUTE_OWN, or ROUTE_PEER with an endpoint
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
#define ROUTE_PEER 2
_Static_assert(sizeof(struct encap_route) == 16, "read by the program");

/* Stack: route key at -8, map key and counter slot at -12, inner map at -24, header at -56. */
#define AT_KEY (-8)
#define AT_INDEX (-12)
#define AT_INNER (-24)
#define AT_HEADER (-56)

/* R6 the packet's context, R7 its data: IPv4 without options, alive, in one piece. */
static void check_packet(struct assembler *a)
{
	asm_load(a, BPF_W, R2, R6, SKB(protocol));
	asm_pass_if(a, BPF_JNE, R2, htons(ETH_P_IP));
	asm_load(a, BPF_W, R7, R6, SKB(data));
	asm_load(a, BPF_W, R8, R6, SKB(data_end));
	asm_op_reg(a, BPF_MOV, R2, R7);
	asm_op(a, BPF_ADD, R2, 20);
	asm_pass_if_reg(a, BPF_JGT, R2, R8);
	asm_load(a, BPF_B, R2, R7, 0);
	asm_pass_if(a, BPF_JNE, R2, 0x45);
	asm_load(a, BPF_B, R2, R7, 8);
	asm_pass_if(a, BPF_JLE, R2, 1);
	asm_load(a, BPF_H, R2, R7, 6);
	asm_op(a, BPF_AND, R2, htons(0x3fff));
	asm_pass_if(a, BPF_JNE, R2, 0);
}

/* R9: 0 for a single packet, else the size of its segments. */
static void check_size(struct assembler *a, uint32_t mtu)
{
	uint32_t single, done;

	asm_load(a, BPF_W, R9, R6, SKB(gso_size));
	asm_load(a, BPF_W, R3, R6, SKB(len));
	single = asm_jump(a, BPF_JEQ, R9, 0);
	asm_pass_if(a, BPF_JGT, R3, (int32_t)(PACKET_MAX - OUTER));
	asm_pass_if(a, BPF_JGT, R9, (int32_t)mtu);
	/* Without DF the identification is not free */
	asm_load(a, BPF_B, R2, R7, 6);
	asm_op(a, BPF_AND, R2, 0x40);
	asm_pass_if(a, BPF_JEQ, R2, 0);
	done = asm_jump(a, BPF_JA, 0, 0);
	asm_land(a, single);
	asm_pass_if(a, BPF_JGT, R3, (int32_t)mtu);
	asm_land(a, done);
}

/* R0: the route of the address at R7 + @offset; the map itself is replaced as a whole. */
static void find_route(struct assembler *a, int offset, bool first, int outer_map)
{
	if (first) {
		asm_store_imm(a, BPF_W, FP, AT_INDEX, 0);
		asm_load_map(a, R1, outer_map);
		asm_op_reg(a, BPF_MOV, R2, FP);
		asm_op(a, BPF_ADD, R2, AT_INDEX);
		asm_call(a, BPF_FUNC_map_lookup_elem);
		asm_pass_if(a, BPF_JEQ, R0, 0);
		asm_store(a, BPF_DW, FP, AT_INNER, R0);
	}
	asm_load(a, BPF_W, R2, R7, offset);
	asm_store(a, BPF_W, FP, AT_KEY + 4, R2);
	asm_store_imm(a, BPF_W, FP, AT_KEY, 32);
	asm_load(a, BPF_DW, R1, FP, AT_INNER);
	asm_op_reg(a, BPF_MOV, R2, FP);
	asm_op(a, BPF_ADD, R2, AT_KEY);
	asm_call(a, BPF_FUNC_map_lookup_elem);
	asm_pass_if(a, BPF_JEQ, R0, 0);
	asm_load(a, BPF_W, R2, R0, offsetof(struct encap_route, kind));
}

/* R2 += the 16-bit word at R7 + @offset, inverted when it is about to go. */
static void sum_word(struct assembler *a, int offset, bool inverted)
{
	asm_load(a, BPF_H, R3, R7, offset);
	if (inverted)
		asm_op(a, BPF_XOR, R3, 0xffff);
	asm_op_reg(a, BPF_ADD, R2, R3);
}

/* Folds R2 to 16 bits and inverts it. */
static void fold(struct assembler *a)
{
	for (int i = 0; i < 2; i++) {
		asm_op_reg(a, BPF_MOV, R3, R2);
		asm_op(a, BPF_RSH, R3, 16);
		asm_op(a, BPF_AND, R2, 0xffff);
		asm_op_reg(a, BPF_ADD, R2, R3);
	}
	asm_op(a, BPF_XOR, R2, 0xffff);
	asm_op(a, BPF_AND, R2, 0xffff);
}

/* TTL and, of a superpacket, the identification; RFC 1624 for the checksum. */
static void patch_inner(struct assembler *a)
{
	uint32_t single;

	asm_op(a, BPF_MOV, R2, 0);
	sum_word(a, 10, true);
	sum_word(a, 8, true);
	asm_load(a, BPF_B, R3, R7, 8);
	asm_op(a, BPF_SUB, R3, 1);
	asm_store(a, BPF_B, R7, 8, R3);
	sum_word(a, 8, false);
	single = asm_jump(a, BPF_JEQ, R9, 0);
	sum_word(a, 4, true);
	asm_put(a, BPF_ALU | BPF_END | BPF_TO_BE, R9, 0, 0, 16);
	asm_store(a, BPF_H, R7, 4, R9);
	sum_word(a, 4, false);
	asm_land(a, single);
	fold(a);
	asm_store(a, BPF_H, R7, 10, R2);
}

/* Adds @length bytes to the words of the header on the stack: R2 the sum. */
static void sum_header(struct assembler *a)
{
	asm_op(a, BPF_MOV, R2, 0);
	for (int i = 0; i < 20; i += 2) {
		if (i == 10)
			continue;
		asm_load(a, BPF_H, R3, FP, AT_HEADER + i);
		asm_op_reg(a, BPF_ADD, R2, R3);
	}
	fold(a);
	asm_store(a, BPF_H, FP, AT_HEADER + 10, R2);
}

/* Room in front, then IPv4 and UDP as the socket would send them, but without UDP checksum. */
static void push_outer(struct assembler *a, const struct hp_endpoint *from)
{
	uint32_t source;

	memcpy(&source, from->addr, 4);
	asm_op_reg(a, BPF_MOV, R1, R6);
	asm_op(a, BPF_MOV, R2, OUTER);
	asm_op(a, BPF_MOV, R3, BPF_ADJ_ROOM_MAC);
	asm_op(a, BPF_MOV, R4, BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 |
				   BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_NO_CSUM_RESET);
	asm_call(a, BPF_FUNC_skb_adjust_room);
	asm_pass_if(a, BPF_JNE, R0, 0);
	asm_call(a, BPF_FUNC_get_prandom_u32);
	asm_store(a, BPF_H, FP, AT_HEADER + 4, R0);
	asm_store_imm(a, BPF_H, FP, AT_HEADER, htons(0x4500));
	asm_store_imm(a, BPF_H, FP, AT_HEADER + 6, 0);
	asm_store_imm(a, BPF_H, FP, AT_HEADER + 8, htons(64 << 8 | IPPROTO_UDP));
	asm_store_imm(a, BPF_H, FP, AT_HEADER + 10, 0);
	asm_store_imm(a, BPF_W, FP, AT_HEADER + 12, (int32_t)source);
	asm_load(a, BPF_W, R2, R8, offsetof(struct encap_route, addr));
	asm_store(a, BPF_W, FP, AT_HEADER + 16, R2);
	asm_store_imm(a, BPF_H, FP, AT_HEADER + 20, htons(from->port));
	asm_load(a, BPF_H, R2, R8, offsetof(struct encap_route, port));
	asm_store(a, BPF_H, FP, AT_HEADER + 22, R2);
	asm_load(a, BPF_W, R2, R6, SKB(len));
	asm_op_reg(a, BPF_MOV, R3, R2);
	asm_put(a, BPF_ALU | BPF_END | BPF_TO_BE, R3, 0, 0, 16);
	asm_store(a, BPF_H, FP, AT_HEADER + 2, R3);
	asm_op(a, BPF_SUB, R2, 20);
	asm_put(a, BPF_ALU | BPF_END | BPF_TO_BE, R2, 0, 0, 16);
	asm_store(a, BPF_H, FP, AT_HEADER + 24, R2);
	asm_store_imm(a, BPF_H, FP, AT_HEADER + 26, 0);
	sum_header(a);
	asm_op_reg(a, BPF_MOV, R1, R6);
	asm_op(a, BPF_MOV, R2, 0);
	asm_op_reg(a, BPF_MOV, R3, FP);
	asm_op(a, BPF_ADD, R3, AT_HEADER);
	asm_op(a, BPF_MOV, R4, OUTER);
	asm_op(a, BPF_MOV, R5, 0);
	asm_call(a, BPF_FUNC_skb_store_bytes);
}

/* Row R8->slot: packets and bytes, per CPU, so plain additions do. */
static void count(struct assembler *a, int counter_map)
{
	uint32_t none, single;

	asm_load(a, BPF_W, R2, R8, offsetof(struct encap_route, slot));
	asm_store(a, BPF_W, FP, AT_INDEX, R2);
	asm_load_map(a, R1, counter_map);
	asm_op_reg(a, BPF_MOV, R2, FP);
	asm_op(a, BPF_ADD, R2, AT_INDEX);
	asm_call(a, BPF_FUNC_map_lookup_elem);
	none = asm_jump(a, BPF_JEQ, R0, 0);
	asm_load(a, BPF_W, R3, R6, SKB(gso_segs));
	single = asm_jump(a, BPF_JNE, R3, 0);
	asm_op(a, BPF_MOV, R3, 1);
	asm_land(a, single);
	asm_load(a, BPF_DW, R2, R0, 0);
	asm_op_reg(a, BPF_ADD, R2, R3);
	asm_store(a, BPF_DW, R0, 0, R2);
	asm_load(a, BPF_W, R3, R6, SKB(len));
	asm_load(a, BPF_DW, R2, R0, 8);
	asm_op_reg(a, BPF_ADD, R2, R3);
	asm_store(a, BPF_DW, R0, 8, R2);
	asm_land(a, none);
}

static void assemble(struct assembler *a, const struct hp_config *config, const int *maps,
		     bool check_source)
{
	asm_put(a, BPF_ALU64 | BPF_MOV | BPF_X, R6, R1, 0, 0);
	check_packet(a);
	check_size(a, config->mtu);
	if (check_source) {
		find_route(a, 12, true, maps[0]);
		asm_pass_if(a, BPF_JNE, R2, ROUTE_OWN);
	}
	find_route(a, 16, !check_source, maps[0]);
	asm_pass_if(a, BPF_JNE, R2, ROUTE_PEER);
	asm_op_reg(a, BPF_MOV, R8, R0);
	count(a, maps[1]);
	patch_inner(a);
	push_outer(a, &config->listen[0]);
	/* A head of zeros: bpf_redirect_neigh wants a link header to replace */
	asm_op_reg(a, BPF_MOV, R1, R6);
	asm_op(a, BPF_MOV, R2, ETH_HLEN);
	asm_op(a, BPF_MOV, R3, 0);
	asm_call(a, BPF_FUNC_skb_change_head);
	asm_op(a, BPF_MOV, R1, maps[2]);
	asm_op(a, BPF_MOV, R2, 0);
	asm_op(a, BPF_MOV, R3, 0);
	asm_op(a, BPF_MOV, R4, 0);
	asm_call(a, BPF_FUNC_redirect_neigh);
	asm_put(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	for (uint32_t i = 0; i < a->passes; i++)
		asm_land(a, a->pass[i]);
	/* TCX_PASS */
	asm_op(a, BPF_MOV, R0, 0);
	asm_put(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int prefix_map(uint32_t entries)
{
	return bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, sizeof(struct encap_key),
			  sizeof(struct encap_route), entries > 0 ? entries : 1, -1);
}

/* The device that holds the listening address, or 0. */
static unsigned int underlay_of(const struct hp_endpoint *listen)
{
	struct ifaddrs *all, *i;
	unsigned int index = 0;

	if (listen->family != 4 || getifaddrs(&all) < 0)
		return 0;
	for (i = all; i && index == 0; i = i->ifa_next) {
		const struct sockaddr_in *in4 = (const void *)i->ifa_addr;

		if (in4 && in4->sin_family == AF_INET && memcmp(&in4->sin_addr, listen->addr, 4) == 0)
			index = if_nametoindex(i->ifa_name);
	}
	freeifaddrs(all);
	return index;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void encap_close(struct encap *e)
{
	close_fd(&e->link);
	close_fd(&e->routes);
	close_fd(&e->counters);
}

/** Attaches the program; the listener must be first in config->listen. Returns 0 or -errno. */
int encap_open(struct encap *e, const struct hp_config *config, bool check_source)
{
	unsigned int device = if_nametoindex(config->device);
	unsigned int underlay = underlay_of(&config->listen[0]);
	struct assembler a = { .length = 0 };
	int inner = -1, program = -1, rc;

	*e = (struct encap){ .link = -1, .routes = -1, .counters = -1 };
	if (underlay == 0)
		return -EADDRNOTAVAIL;
	inner = rc = prefix_map(1);
	if (rc >= 0)
		e->routes = rc = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1, inner);
	if (rc >= 0)
		e->counters = rc = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, PEER_SLOTS_MAX, -1);
	if (rc >= 0) {
		const int maps[] = { e->routes, e->counters, (int)underlay };

		assemble(&a, config, maps, check_source);
		program = rc = bpf_program_load(&a);
	}
	if (rc >= 0)
		e->link = rc = bpf_program_attach(program, device);
	close_fd(&inner);
	/* The link holds the program */
	close_fd(&program);
	if (rc < 0)
		encap_close(e);
	return rc < 0 ? rc : 0;
}

/** A new prefix map, published in one update; IPv6 and plain peers are left to tx.c. */
int encap_set_peers(struct encap *e, const struct hp_peer *peers, const struct hp_prefix *prefixes,
		    uint32_t prefix_count)
{
	uint32_t zero = 0, used = 0;
	int fd = prefix_map(prefix_count), rc = fd;

	for (uint32_t i = 0; rc >= 0 && i < prefix_count; i++) {
		const struct hp_prefix *p = &prefixes[i];
		struct encap_key key = { .length = p->length };
		struct encap_route route = { .kind = ROUTE_OWN };

		if (p->family != 4)
			continue;
		memcpy(key.addr, p->addr, 4);
		if (p->peer != HP_OWN) {
			const struct hp_peer *peer = &peers[p->peer];

			/* A plain peer's row must still hide a shorter prefix */
			route.kind = peer->endpoint.family == 4 &&
						     (peer->capabilities & HP_CAP_OFFLOAD) &&
						     peer->slot < PEER_SLOTS_MAX ?
					     ROUTE_PEER :
					     0;
			route.slot = peer->slot;
			route.port = htons(peer->endpoint.port);
			memcpy(&route.addr, peer->endpoint.addr, 4);
		}
		rc = bpf_map_update(fd, &key, &route);
		used++;
	}
	if (rc >= 0)
		rc = bpf_map_update(e->routes, &zero, &fd);
	close_fd(&fd);
	return rc < 0 ? rc : (int)used;
}

/** Packets and bytes sent to the peer of @slot, over all CPUs. */
int encap_counters(const struct encap *e, uint32_t slot, uint64_t *packets, uint64_t *bytes)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_CONF), rc;
	uint64_t(*rows)[2] = calloc((size_t)(cpus > 0 ? cpus : 1), sizeof(*rows));
	union bpf_attr attr;

	*packets = *bytes = 0;
	if (!rows)
		return -ENOMEM;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)e->counters;
	attr.key = (uintptr_t)&slot;
	attr.value = (uintptr_t)rows;
	rc = slot < PEER_SLOTS_MAX ? bpf_call(BPF_MAP_LOOKUP_ELEM, &attr) : 0;
	for (int i = 0; rc >= 0 && i < cpus; i++) {
		*packets += rows[i][0];
		*bytes += rows[i][1];
	}
	free(rows);
	return rc;
}
