/*
 * What a stranger sends costs no wake-up. Theory of operation: a filter on each UDP socket drops
 * datagrams whose source is no peer's endpoint, where the kernel would queue them; it sees them
 * whole, over IPv4 and IPv6, whichever way they came. decap.c drops most of them earlier, by the
 * same map. rx.c remains the judge of what is delivered: the filter only has to let through
 * whatever rx.c might take, so it is off before the threads start, and off again for good when the
 * kernel refuses a change of peers. A socket keeps its filter when it is handed over; whoever sets
 * peers next puts its own there. Needs CAP_BPF; without it rx.c drops and counts by itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fastpath.h"

/* asm/socket.h before 4.1 lacks it. */
#ifndef SO_ATTACH_BPF
#define SO_ATTACH_BPF 50
#endif
#define KEY AT_HEADER
#define FILTER_BIT 15
_Static_assert(HP_F_FILTER == 1u << FILTER_BIT, "index of errors");

/**
 * struct end - key of the map of endpoints
 * @addr: as in struct hp_endpoint
 * @port: network order
 * @family: 4 or 6
 */
struct end {
	uint8_t addr[16];
	uint16_t port;
	uint16_t family;
};
_Static_assert(sizeof(struct end) == 20, "read by the programs");

static int end_map(uint32_t entries)
{
	return bpf_map_create("heddle_ends_of", BPF_MAP_TYPE_HASH, sizeof(struct end), 1,
			      entries > 0 ? entries : 1, -1);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void filter_init(struct filter *f)
{
	*f = (struct filter){ .ends = -1, .drops = -1, .program = { -1, -1 } };
}

/** Leaves what a resident program needs to a successor. */
void filter_close(struct filter *f)
{
	close_fd(&f->ends);
	close_fd(&f->drops);
	close_fd(&f->program[0]);
	close_fd(&f->program[1]);
}

/** Maps, unless a predecessor's were found; -errno, which is why there are none. */
int filter_prepare(struct filter *f)
{
	int inner = -1, rc = 0;

	f->cpus = (uint32_t)sysconf(_SC_NPROCESSORS_CONF);
	if (f->ends < 0) {
		inner = rc = end_map(1);
		if (rc >= 0)
			f->ends = rc = bpf_map_create(NAME_ENDS, BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1,
						      inner);
		close_fd(&inner);
	}
	if (rc >= 0 && f->drops < 0)
		f->drops = rc = bpf_map_create(NAME_DROPS, BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8,
					       DROP_REASONS, -1);
	return rc < 0 ? rc : 0;
}

/* R0: the entry of @map under what is at @at of the stack. */
static void find_in(struct assembler *a, int at)
{
	asm_op_reg(a, BPF_MOV, R2, FP);
	asm_op(a, BPF_ADD, R2, at);
	asm_call(a, BPF_FUNC_map_lookup_elem);
}

/** Counts the datagrams of the packet under @reason; R6: context. */
void filter_count(struct assembler *a, const struct filter *f, int reason)
{
	uint32_t none;

	asm_store_imm(a, BPF_W, FP, AT_INDEX, reason);
	asm_load_map(a, R1, f->drops);
	find_in(a, AT_INDEX);
	none = asm_jump(a, BPF_JEQ, R0, 0);
	asm_packets(a, R3, R6);
	asm_load(a, BPF_DW, R2, R0, 0);
	asm_op_reg(a, BPF_ADD, R2, R3);
	asm_store(a, BPF_DW, R0, 0, R2);
	asm_land(a, none);
}

/* The key but for what the packet says. */
static void key_begin(struct assembler *a, int family)
{
	for (int i = 0; i < 16; i += 4)
		asm_store_imm(a, BPF_W, FP, KEY + i, 0);
	asm_store_imm(a, BPF_W, FP, KEY + 16, 0);
	asm_store_imm(a, BPF_H, FP, KEY + 18, family);
}

/* R0: NULL for a stranger; passes while the peers are not known. */
static void find_end(struct assembler *a, const struct filter *f)
{
	asm_store_imm(a, BPF_W, FP, AT_INDEX, 0);
	asm_load_map(a, R1, f->ends);
	find_in(a, AT_INDEX);
	asm_pass_if(a, BPF_JEQ, R0, 0);
	asm_op_reg(a, BPF_MOV, R1, R0);
	find_in(a, KEY);
}

/** Passes what came from a peer, by the IPv4 header at R7 + @ip and the UDP header behind it. */
void filter_pass_peers(struct assembler *a, const struct filter *f, int ip)
{
	key_begin(a, 4);
	asm_load(a, BPF_W, R2, R7, ip + 12);
	asm_store(a, BPF_W, FP, KEY, R2);
	asm_load(a, BPF_H, R2, R7, ip + 20);
	asm_store(a, BPF_H, FP, KEY + 16, R2);
	find_end(a, f);
	asm_pass_if(a, BPF_JNE, R0, 0);
}

/* Bytes of the packet onto the stack; helpers, because a socket's filter may not read directly. */
static void copy(struct assembler *a, int at, int size, int helper, int offset)
{
	asm_op_reg(a, BPF_MOV, R1, R6);
	asm_op(a, BPF_MOV, R2, offset);
	asm_op_reg(a, BPF_MOV, R3, FP);
	asm_op(a, BPF_ADD, R3, at);
	asm_op(a, BPF_MOV, R4, size);
	asm_op(a, BPF_MOV, R5, BPF_HDR_START_NET);
	asm_call(a, helper);
	asm_pass_if(a, BPF_JNE, R0, 0);
}

static int load(const struct filter *f, int family)
{
	struct assembler a = { .length = 0 };

	asm_op_reg(&a, BPF_MOV, R6, R1);
	key_begin(&a, family);
	copy(&a, KEY, family == 4 ? 4 : 16, BPF_FUNC_skb_load_bytes_relative, family == 4 ? 12 : 8);
	/* At the socket the data begin with the UDP header, and that with the source port */
	copy(&a, KEY + 16, 2, BPF_FUNC_skb_load_bytes, 0);
	find_end(&a, f);
	asm_pass_if(&a, BPF_JNE, R0, 0);
	filter_count(&a, f, DROP_SOURCE);
	asm_op(&a, BPF_MOV, R0, 0);
	asm_put(&a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	/* All of it: as many bytes as -1 is */
	asm_finish(&a);
	return bpf_program_load(&a, BPF_PROG_TYPE_SOCKET_FILTER, "heddle_filter");
}

static int attach(struct filter *f, const struct hp_config *config, const int *sockets)
{
	int rc = 0;

	for (uint32_t i = 0; rc >= 0 && i < config->listeners; i++) {
		int family = config->listen[i].family;
		int *program = &f->program[family == 6];

		if (*program < 0)
			*program = rc = load(f, family);
		if (rc >= 0 && setsockopt(sockets[i], SOL_SOCKET, SO_ATTACH_BPF, program,
					  sizeof(*program)) < 0)
			rc = -errno;
	}
	return rc < 0 ? rc : 0;
}

/** Also of an offered socket: a predecessor's filter knows the predecessor's peers. */
void filter_detach(const int *sockets, uint32_t count)
{
	int ignored = 0;

	for (uint32_t i = 0; i < count; i++)
		(void)setsockopt(sockets[i], SOL_SOCKET, SO_DETACH_FILTER, &ignored,
				 sizeof(ignored));
}

static int publish(const struct filter *f, const struct table *table)
{
	struct end *keys = calloc((size_t)table->peer_count + 1, sizeof(*keys));
	uint8_t *values = calloc((size_t)table->peer_count + 1, 1);
	uint32_t zero = 0;
	int fd = end_map(table->peer_count), rc = fd;

	if (!keys || !values)
		rc = -ENOMEM;
	for (uint32_t i = 0; rc >= 0 && i < table->peer_count; i++) {
		const struct peer *peer = &table->peers[i];

		if (peer->address.sa.sa_family == AF_INET) {
			keys[i].family = 4;
			keys[i].port = peer->address.in4.sin_port;
			memcpy(keys[i].addr, &peer->address.in4.sin_addr, 4);
		} else {
			keys[i].family = 6;
			keys[i].port = peer->address.in6.sin6_port;
			memcpy(keys[i].addr, &peer->address.in6.sin6_addr, 16);
		}
	}
	if (rc >= 0)
		rc = bpf_map_update_batch(fd, keys, values, table->peer_count);
	if (rc >= 0)
		rc = bpf_map_update(f->ends, &zero, &fd);
	close_fd(&fd);
	free(keys);
	free(values);
	return rc < 0 ? rc : 0;
}

static void stop(struct filter *f, const struct hp_config *config, const int *sockets)
{
	uint32_t zero = 0;

	filter_detach(sockets, config->listeners);
	/* A program that stays attached passes everything without it */
	if (f->ends >= 0)
		(void)bpf_map_delete(f->ends, &zero);
}

/** From now on datagrams of nobody in @table end at the sockets; -errno: none do. */
int filter_set_peers(struct filter *f, const struct hp_config *config, const int *sockets,
		     const struct table *table)
{
	int rc = publish(f, table);

	if (rc == 0)
		rc = attach(f, config, sockets);
	/* Replaced filters count against the socket until RCU frees them: the last one does as well */
	if (rc == -ENOMEM)
		rc = 0;
	if (rc < 0)
		stop(f, config, sockets);
	return rc;
}

/** Dropped for @reason by all programs, on all CPUs. */
uint64_t filter_dropped(const struct filter *f, uint32_t reason)
{
	uint64_t sum = 0, *rows = f->drops < 0 ? NULL : calloc(f->cpus, sizeof(*rows));

	if (rows && bpf_map_lookup(f->drops, &reason, rows) == 0) {
		for (uint32_t i = 0; i < f->cpus; i++)
			sum += rows[i];
	}
	free(rows);
	return sum;
}
