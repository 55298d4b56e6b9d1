/*
 * The sending half in the kernel. Theory of operation: a small program at the egress of the TUN
 * device (TCX, Linux 6.6) does what tx.c does for the plain case: source and destination by
 * longest prefix match, TTL, outer IPv4 and UDP header, and sends the packet out of the underlay
 * device, uncut and with its checksum still partial, as the kernel's own VXLAN does. What is not
 * the plain case (no peer, TTL used up, IPv6, options, too big, a peer that did not
 * announce it) goes on to the device's queue and tx.c, which also answers with ICMP. On a real
 * network the card or the kernel cuts the superpacket and the far end sees flannel's format.
 * Where nothing cuts (hosts on one machine) the receiver gets it whole; the segment size is then
 * in the IPv4 identification, which means nothing in a packet with DF (RFC 6864). Only peers that
 * announce "offload" are sent to this way, because only they complete such packets. Needs
 * CAP_BPF; off, with the reason, where refused.
 */
#include <linux/if_ether.h>

#include "fastpath.h"

/* R6 the packet's context, R7 its data: IPv4 without options, alive. */
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

/* The checksum of the IPv4 header on the stack. */
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

/* R0: the route of the address at R7 + @offset, R2: its kind. */
static void find_route(struct assembler *a, int offset, bool first, int routes)
{
	fast_find_route(a, offset, first, routes);
	asm_pass_if(a, BPF_JEQ, R0, 0);
	asm_load(a, BPF_W, R2, R0, offsetof(struct encap_route, kind));
}

void encap_assemble(struct assembler *a, const struct hp_config *config,
		    const struct fastpath *maps, bool check_source)
{
	asm_put(a, BPF_ALU64 | BPF_MOV | BPF_X, R6, R1, 0, 0);
	check_packet(a);
	check_size(a, config->mtu);
	if (check_source) {
		find_route(a, 12, true, maps->routes);
		asm_pass_if(a, BPF_JNE, R2, ROUTE_OWN);
	}
	find_route(a, 16, !check_source, maps->routes);
	asm_op(a, BPF_AND, R2, ROUTE_SEND);
	asm_pass_if(a, BPF_JEQ, R2, 0);
	asm_op_reg(a, BPF_MOV, R8, R0);
	fast_count(a, maps->counters, 0, 0);
	patch_inner(a);
	push_outer(a, &config->listen[0]);
	/* A head of zeros: bpf_redirect_neigh wants a link header to replace */
	asm_op_reg(a, BPF_MOV, R1, R6);
	asm_op(a, BPF_MOV, R2, ETH_HLEN);
	asm_op(a, BPF_MOV, R3, 0);
	asm_call(a, BPF_FUNC_skb_change_head);
	asm_op(a, BPF_MOV, R1, (int32_t)maps->underlay);
	asm_op(a, BPF_MOV, R2, 0);
	asm_op(a, BPF_MOV, R3, 0);
	asm_op(a, BPF_MOV, R4, 0);
	asm_call(a, BPF_FUNC_redirect_neigh);
	asm_put(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}
