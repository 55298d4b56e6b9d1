/*
 * The receiving half in the kernel. Theory of operation: a program at the ingress of the underlay
 * device takes datagrams for the listener whose inner source belongs to the peer they come from
 * and whose inner destination is ours, cuts the outer headers off and puts the packet on the TUN
 * device as if it had been written there. It saves the wake-up of a thread, which is most of a
 * small packet's way. Bulk goes on to the socket and rx.c, which make superpackets of it: uncut
 * superpackets cannot be taken here, because bpf_skb_adjust_room leaves skb->encapsulation set
 * and the next device would cut them. A datagram that comes in fragments, because the way is
 * narrow, must go there too. Order within a flow holds because a flow that had either stays with
 * the socket until it had none for 50 ms; inner fragments, which tell no ports, never do. While
 * nobody has the socket (the process was killed, or is being replaced) bulk is taken too: slower
 * beats lost. What rx.c would certainly drop ends here, counted under the same reason: datagrams
 * of strangers, whatever is in them, and a peer's with another's inner source, a destination that
 * is not ours or a wrong header checksum. Not fragments, whose rest would wait for them, and of
 * several datagrams in one packet only a stranger's: each has a source of its own. Everything
 * else that is doubtful is left to the socket.
 */
#include <linux/if_ether.h>

#include "fastpath.h"

#define INNER (ETH_HLEN + OUTER)
/** Longer TCP packets are bulk: worth merging. */
#define BULK_BYTES 600
#define BULK_PAUSE_NS 50000000
#define FLOW_KEY AT_HEADER
/** Not zero in the first fragment of a datagram. */
#define AT_FRAGMENT (AT_HEADER + 12)
#define AT_TIME (AT_HEADER + 16)
#define TCX_DROP 2
#define REFUSALS_MAX 8u

/**
 * struct refusals - jumps of one program to where it drops
 * @from: of each reason
 * @count: of each reason
 */
struct refusals {
	uint32_t from[DROP_REASONS][REFUSALS_MAX];
	uint32_t count[DROP_REASONS];
};

static void refuse(struct refusals *r, int reason, uint32_t jump)
{
	r->from[reason][r->count[reason]++] = jump;
}

/* R6 context, R7 data: outer headers in one piece, for our listener, no later fragment. */
static void check_outer(struct assembler *a, const struct hp_endpoint *to)
{
	uint32_t address;

	memcpy(&address, to->addr, 4);
	asm_load(a, BPF_W, R2, R6, SKB(protocol));
	asm_pass_if(a, BPF_JNE, R2, htons(ETH_P_IP));
	asm_load(a, BPF_W, R7, R6, SKB(data));
	asm_load(a, BPF_W, R8, R6, SKB(data_end));
	asm_op_reg(a, BPF_MOV, R2, R7);
	asm_op(a, BPF_ADD, R2, INNER);
	asm_pass_if_reg(a, BPF_JGT, R2, R8);
	asm_load(a, BPF_H, R2, R7, ETH_HLEN + 22);
	asm_pass_if(a, BPF_JNE, R2, htons(to->port));
	asm_load(a, BPF_B, R2, R7, ETH_HLEN + 9);
	asm_pass_if(a, BPF_JNE, R2, IPPROTO_UDP);
	asm_load(a, BPF_B, R2, R7, ETH_HLEN);
	asm_pass_if(a, BPF_JNE, R2, 0x45);
	asm_load(a, BPF_H, R2, R7, ETH_HLEN + 6);
	asm_op(a, BPF_AND, R2, htons(0x3fff));
	asm_store(a, BPF_W, FP, AT_FRAGMENT, R2);
	asm_op(a, BPF_AND, R2, htons(0x1fff));
	asm_pass_if(a, BPF_JNE, R2, 0);
	asm_load(a, BPF_W, R2, R7, ETH_HLEN + 16);
	/* 32-bit compare: an immediate would be sign-extended */
	asm_put(a, BPF_ALU | BPF_XOR | BPF_K, R2, 0, 0, (int32_t)address);
	asm_pass_if(a, BPF_JNE, R2, 0);
}

/* One inner packet without options, alive, exactly as long as the datagram says. R9: its length. */
static void check_inner(struct assembler *a, struct refusals *r)
{
	uint32_t part;

	/* A sender in the kernel sends no UDP checksum; others are verified by the socket */
	asm_load(a, BPF_H, R2, R7, ETH_HLEN + 26);
	asm_pass_if(a, BPF_JNE, R2, 0);
	/* The ports of the inner packet are the last bytes read */
	asm_op_reg(a, BPF_MOV, R2, R7);
	asm_op(a, BPF_ADD, R2, INNER + 24);
	asm_pass_if_reg(a, BPF_JGT, R2, R8);
	asm_load(a, BPF_B, R2, R7, INNER);
	asm_pass_if(a, BPF_JNE, R2, 0x45);
	asm_load(a, BPF_B, R2, R7, INNER + 8);
	asm_pass_if(a, BPF_JEQ, R2, 0);
	asm_load(a, BPF_H, R2, R7, INNER + 2);
	asm_put(a, BPF_ALU | BPF_END | BPF_TO_BE, R2, 0, 0, 16);
	asm_op_reg(a, BPF_MOV, R9, R2);
	asm_pass_if(a, BPF_JLT, R2, 24);
	/* Of a fragment the lengths are another matter, and it is left to the socket anyway */
	asm_load(a, BPF_W, R3, FP, AT_FRAGMENT);
	part = asm_jump(a, BPF_JNE, R3, 0);
	asm_op(a, BPF_ADD, R2, OUTER);
	asm_load(a, BPF_H, R3, R7, ETH_HLEN + 2);
	asm_put(a, BPF_ALU | BPF_END | BPF_TO_BE, R3, 0, 0, 16);
	asm_pass_if_reg(a, BPF_JNE, R2, R3);
	/* The UDP length too: the socket would believe it */
	asm_op(a, BPF_SUB, R2, 20);
	asm_load(a, BPF_H, R3, R7, ETH_HLEN + 24);
	asm_put(a, BPF_ALU | BPF_END | BPF_TO_BE, R3, 0, 0, 16);
	asm_pass_if_reg(a, BPF_JNE, R2, R3);
	asm_load(a, BPF_W, R3, R6, SKB(len));
	asm_op(a, BPF_ADD, R2, 20 + ETH_HLEN);
	asm_pass_if_reg(a, BPF_JGT, R2, R3);
	asm_land(a, part);
	/* The header checksum: ten words sum to all ones */
	asm_op(a, BPF_MOV, R2, 0);
	for (int i = 0; i < 20; i += 2) {
		asm_load(a, BPF_H, R3, R7, INNER + i);
		asm_op_reg(a, BPF_ADD, R2, R3);
	}
	asm_op_reg(a, BPF_MOV, R3, R2);
	asm_op(a, BPF_RSH, R3, 16);
	asm_op(a, BPF_AND, R2, 0xffff);
	asm_op_reg(a, BPF_ADD, R2, R3);
	refuse(r, DROP_MALFORMED, asm_jump(a, BPF_JNE, R2, 0xffff));
}

/* The packet goes on as if the program were not there, and no question is asked before. */
static void leave(struct assembler *a)
{
	/* TCX_NEXT */
	asm_op(a, BPF_MOV, R0, -1);
	asm_put(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void leave_if(struct assembler *a, int condition, int dst, int32_t imm)
{
	uint32_t go = asm_jump(a, condition, dst, imm), stay = asm_jump(a, BPF_JA, 0, 0);

	asm_land(a, go);
	leave(a);
	asm_land(a, stay);
}

/* R8: the route of the inner source, whose endpoint must be the datagram's source. */
static void check_routes(struct assembler *a, const struct fastpath *maps, struct refusals *r)
{
	fast_find_route(a, INNER + 12, true, maps->routes);
	refuse(r, DROP_SOURCE, asm_jump(a, BPF_JEQ, R0, 0));
	asm_load(a, BPF_W, R2, R0, offsetof(struct encap_route, addr));
	asm_load(a, BPF_W, R3, R7, ETH_HLEN + 12);
	refuse(r, DROP_SOURCE, asm_jump_reg(a, BPF_JNE, R2, R3));
	asm_load(a, BPF_H, R2, R0, offsetof(struct encap_route, port));
	asm_load(a, BPF_H, R3, R7, ETH_HLEN + 20);
	refuse(r, DROP_SOURCE, asm_jump_reg(a, BPF_JNE, R2, R3));
	asm_op_reg(a, BPF_MOV, R8, R0);
	fast_find_route(a, INNER + 16, false, maps->routes);
	refuse(r, DROP_DESTINATION, asm_jump(a, BPF_JEQ, R0, 0));
	asm_load(a, BPF_W, R2, R0, offsetof(struct encap_route, kind));
	refuse(r, DROP_DESTINATION, asm_jump(a, BPF_JNE, R2, ROUTE_OWN));
	asm_load(a, BPF_W, R2, R8, offsetof(struct encap_route, kind));
	asm_op(a, BPF_AND, R2, ROUTE_RECEIVE);
	leave_if(a, BPF_JEQ, R2, 0);
}

static void flow_call(struct assembler *a, const struct fastpath *maps, int helper)
{
	asm_load_map(a, R1, maps->flows);
	asm_op_reg(a, BPF_MOV, R2, FP);
	asm_op(a, BPF_ADD, R2, FLOW_KEY);
	if (helper == BPF_FUNC_map_update_elem) {
		asm_op_reg(a, BPF_MOV, R3, FP);
		asm_op(a, BPF_ADD, R3, AT_TIME);
		asm_op(a, BPF_MOV, R4, 0);
	}
	asm_call(a, helper);
}

/* Leaves the packet to the socket; the jump that is returned is taken when there is none. */
static uint32_t leave_to_socket(struct assembler *a)
{
	uint32_t nobody;

	/* The flow's key is no longer needed: a struct bpf_sock_tuple takes its place */
	asm_load(a, BPF_W, R2, R7, ETH_HLEN + 12);
	asm_store(a, BPF_W, FP, FLOW_KEY, R2);
	asm_load(a, BPF_W, R2, R7, ETH_HLEN + 16);
	asm_store(a, BPF_W, FP, FLOW_KEY + 4, R2);
	asm_load(a, BPF_W, R2, R7, ETH_HLEN + 20);
	asm_store(a, BPF_W, FP, FLOW_KEY + 8, R2);
	asm_op_reg(a, BPF_MOV, R1, R6);
	asm_op_reg(a, BPF_MOV, R2, FP);
	asm_op(a, BPF_ADD, R2, FLOW_KEY);
	asm_op(a, BPF_MOV, R3, 12);
	asm_op(a, BPF_MOV, R4, BPF_F_CURRENT_NETNS);
	asm_op(a, BPF_MOV, R5, 0);
	asm_call(a, BPF_FUNC_sk_lookup_udp);
	nobody = asm_jump(a, BPF_JEQ, R0, 0);
	asm_op_reg(a, BPF_MOV, R1, R0);
	asm_call(a, BPF_FUNC_sk_release);
	leave(a);
	return nobody;
}

/* Bulk, and what follows bulk of its flow too soon, is left to the socket. R9: inner length. */
static void check_flow(struct assembler *a, const struct fastpath *maps)
{
	uint32_t super, tcp, part, inner_part, known, short_packet, fresh, other, late, added, bulk;
	uint32_t nobody;

	asm_load(a, BPF_H, R2, R7, INNER + 6);
	asm_op(a, BPF_AND, R2, htons(0x1fff));
	inner_part = asm_jump(a, BPF_JNE, R2, 0);
	asm_load(a, BPF_B, R2, R7, INNER + 9);
	super = asm_jump(a, BPF_JEQ, R2, IPPROTO_TCP);
	other = asm_jump(a, BPF_JNE, R2, IPPROTO_UDP);
	/* UDP is bulk only as a superpacket */
	asm_op(a, BPF_MOV, R9, 0);
	asm_land(a, super);
	for (int i = 0; i < 12; i += 4) {
		asm_load(a, BPF_W, R2, R7, INNER + 12 + i);
		asm_store(a, BPF_W, FP, FLOW_KEY + i, R2);
	}
	asm_load(a, BPF_W, R2, FP, AT_FRAGMENT);
	part = asm_jump(a, BPF_JNE, R2, 0);
	asm_load(a, BPF_W, R2, R6, SKB(gso_size));
	super = asm_jump(a, BPF_JNE, R2, 0);
	tcp = asm_jump(a, BPF_JGT, R9, BULK_BYTES);
	short_packet = asm_jump(a, BPF_JA, 0, 0);
	asm_land(a, part);
	asm_land(a, super);
	asm_land(a, tcp);
	asm_call(a, BPF_FUNC_ktime_get_ns);
	asm_store(a, BPF_DW, FP, AT_TIME, R0);
	flow_call(a, maps, BPF_FUNC_map_lookup_elem);
	known = asm_jump(a, BPF_JNE, R0, 0);
	flow_call(a, maps, BPF_FUNC_map_update_elem);
	added = asm_jump(a, BPF_JA, 0, 0);
	asm_land(a, known);
	asm_load(a, BPF_DW, R2, FP, AT_TIME);
	asm_store(a, BPF_DW, R0, 0, R2);
	asm_land(a, added);
	bulk = asm_jump(a, BPF_JA, 0, 0);
	asm_land(a, short_packet);
	flow_call(a, maps, BPF_FUNC_map_lookup_elem);
	fresh = asm_jump(a, BPF_JEQ, R0, 0);
	asm_load(a, BPF_DW, R9, R0, 0);
	asm_call(a, BPF_FUNC_ktime_get_ns);
	asm_op_reg(a, BPF_SUB, R0, R9);
	late = asm_jump(a, BPF_JGE, R0, BULK_PAUSE_NS);
	asm_land(a, bulk);
	nobody = leave_to_socket(a);
	asm_land(a, late);
	asm_land(a, fresh);
	asm_land(a, other);
	asm_land(a, inner_part);
	asm_land(a, nobody);
	/* Only what is whole may go on */
	asm_load(a, BPF_W, R2, FP, AT_FRAGMENT);
	leave_if(a, BPF_JNE, R2, 0);
}

/*
 * Where the checks jump to: a peer's datagram of which a part or a second one is elsewhere, and
 * whatever else is not certain, goes on to the socket; a stranger's never does.
 */
static void refusals_land(struct assembler *a, const struct filter *filter,
			  const struct refusals *r, uint32_t doubts, uint32_t doubts_end)
{
	uint32_t unsure[2 * DROP_REASONS], count = 0;

	for (int reason = 0; reason < DROP_REASONS; reason++) {
		for (uint32_t i = 0; i < r->count[reason]; i++)
			asm_land(a, r->from[reason][i]);
		asm_load(a, BPF_W, R2, FP, AT_FRAGMENT);
		unsure[count++] = asm_jump(a, BPF_JNE, R2, 0);
		asm_load(a, BPF_W, R2, R6, SKB(gso_size));
		unsure[count++] = asm_jump(a, BPF_JNE, R2, 0);
		filter_count(a, filter, reason);
		asm_op(a, BPF_MOV, R0, TCX_DROP);
		asm_put(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	}
	for (uint32_t i = 0; i < count; i++)
		asm_land(a, unsure[i]);
	asm_land_passes(a, doubts, doubts_end);
	asm_load(a, BPF_W, R2, FP, AT_FRAGMENT);
	asm_pass_if(a, BPF_JNE, R2, 0);
	filter_pass_peers(a, filter, ETH_HLEN);
	filter_count(a, filter, DROP_SOURCE);
	asm_op(a, BPF_MOV, R0, TCX_DROP);
	asm_put(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Nothing is dropped: all of it goes on to the socket. */
static void refusals_leave(struct assembler *a, const struct refusals *r)
{
	for (int reason = 0; reason < DROP_REASONS; reason++) {
		for (uint32_t i = 0; i < r->count[reason]; i++)
			asm_land(a, r->from[reason][i]);
	}
}

/** With @filter NULL nothing is dropped here. */
void decap_assemble(struct assembler *a, const struct hp_config *config,
		    const struct fastpath *maps, const struct filter *filter)
{
	struct refusals refusals = { .count = { 0 } };
	uint32_t doubts, doubts_end;

	asm_op_reg(a, BPF_MOV, R6, R1);
	check_outer(a, &config->listen[0]);
	doubts = a->passes;
	check_inner(a, &refusals);
	check_routes(a, maps, &refusals);
	doubts_end = a->passes;
	check_flow(a, maps);
	fast_count(a, maps->counters, offsetof(struct hp_peer_counters, rx_packets), INNER);
	asm_op_reg(a, BPF_MOV, R1, R6);
	asm_op(a, BPF_MOV, R2, -OUTER);
	asm_op(a, BPF_MOV, R3, BPF_ADJ_ROOM_MAC);
	/* The segments of a superpacket keep their size */
	asm_op(a, BPF_MOV, R4, BPF_F_ADJ_ROOM_FIXED_GSO);
	asm_call(a, BPF_FUNC_skb_adjust_room);
	asm_pass_if(a, BPF_JNE, R0, 0);
	asm_op(a, BPF_MOV, R1, (int32_t)maps->device);
	asm_op(a, BPF_MOV, R2, BPF_F_INGRESS);
	asm_call(a, BPF_FUNC_redirect);
	asm_put(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	if (filter)
		refusals_land(a, filter, &refusals, doubts, doubts_end);
	else
		refusals_leave(a, &refusals);
}
