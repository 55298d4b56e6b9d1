/*
 * Owner of the two programs in the kernel. Theory of operation: encap.c is attached to the egress
 * of the TUN device, decap.c to the ingress of the underlay device (TCX, Linux 6.6). Both look
 * routes up in a prefix map that is replaced in one update. They need CAP_BPF; where the kernel
 * refuses, the tunnel works without. With a persistent device they outlive the process
 * (resident.c): the successor goes on with their maps and puts its own programs in their place in
 * one step. Otherwise they live as long as the descriptors of their links.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <unistd.h>

#include "fastpath.h"

#define FLOWS_MAX 8192u

/* R0: the route of the address at R7 + @offset, or NULL; the map is replaced as a whole. */
void fast_find_route(struct assembler *a, int offset, bool first, int outer_map)
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
}

/* Row R8->slot: packets, and bytes less @outer; per CPU, so plain additions do. */
void fast_count(struct assembler *a, int counter_map, int16_t row, int outer)
{
	uint32_t none;

	asm_load(a, BPF_W, R2, R8, offsetof(struct encap_route, slot));
	asm_store(a, BPF_W, FP, AT_INDEX, R2);
	asm_load_map(a, R1, counter_map);
	asm_op_reg(a, BPF_MOV, R2, FP);
	asm_op(a, BPF_ADD, R2, AT_INDEX);
	asm_call(a, BPF_FUNC_map_lookup_elem);
	none = asm_jump(a, BPF_JEQ, R0, 0);
	asm_packets(a, R3, R6);
	asm_load(a, BPF_DW, R2, R0, row);
	asm_op_reg(a, BPF_ADD, R2, R3);
	asm_store(a, BPF_DW, R0, row, R2);
	asm_load(a, BPF_W, R3, R6, SKB(len));
	asm_op(a, BPF_SUB, R3, outer);
	asm_load(a, BPF_DW, R2, R0, row + 8);
	asm_op_reg(a, BPF_ADD, R2, R3);
	asm_store(a, BPF_DW, R0, row + 8, R2);
	asm_land(a, none);
}

int fast_prefix_map(uint32_t entries)
{
	return bpf_map_create("heddle_prefixes", BPF_MAP_TYPE_LPM_TRIE, sizeof(struct encap_key),
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

		if (in4 && in4->sin_family == AF_INET &&
		    memcmp(&in4->sin_addr, listen->addr, 4) == 0)
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

void fastpath_init(struct fastpath *f)
{
	*f = (struct fastpath){ .encap = -1, .decap = -1, .routes = -1, .counters = -1,
				.flows = -1, .names = -1, .head = -1, .ask = -1, .watch = -1 };
}

/** Leaves what is resident to a successor. */
void fastpath_close(struct fastpath *f)
{
	close_fd(&f->encap);
	close_fd(&f->decap);
	close_fd(&f->routes);
	close_fd(&f->counters);
	close_fd(&f->flows);
	close_fd(&f->names);
	close_fd(&f->head);
	close_fd(&f->ask);
	close_fd(&f->watch);
	free(f->ways);
	free(f->peers);
	free(f->prefixes);
	f->ways = NULL;
	f->peers = NULL;
	f->prefixes = NULL;
	f->prefix_count = 0;
}

static int make_maps(struct fastpath *f)
{
	int inner = fast_prefix_map(1), rc = inner;

	if (rc >= 0)
		f->routes = rc = bpf_map_create(NAME_ROUTES, BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1,
						inner);
	if (rc >= 0)
		f->counters = rc = bpf_map_create(NAME_COUNTERS, BPF_MAP_TYPE_PERCPU_ARRAY, 4,
						  sizeof(struct hp_peer_counters),
						  PEER_SLOTS_MAX + 1, -1);
	if (rc >= 0)
		f->flows = rc = bpf_map_create(NAME_FLOWS, BPF_MAP_TYPE_LRU_HASH, 12, 8, FLOWS_MAX,
					       -1);
	if (rc >= 0)
		f->names = rc = bpf_map_create(NAME_NAMES, BPF_MAP_TYPE_HASH, 4, HP_NAME_SIZE,
					       PEER_SLOTS_MAX, -1);
	if (rc >= 0)
		f->head = rc = bpf_map_create(NAME_HEAD, BPF_MAP_TYPE_ARRAY, 4,
					      sizeof(struct fast_head), 1, -1);
	close_fd(&inner);
	return rc;
}

static int open_routes(struct fastpath *f, const struct hp_endpoint *listen)
{
	memcpy(&f->listen, listen->addr, 4);
	f->ways = calloc(PEER_SLOTS_MAX, sizeof(*f->ways));
	if (!f->ways)
		return -ENOMEM;
	f->ask = route_open();
	f->watch = route_watch();
	return f->ask < 0 ? f->ask : f->watch < 0 ? f->watch : 0;
}

static bool adopt_maps(struct fastpath *f, struct filter *filter)
{
	int receiver = resident_find(f->underlay, ATTACH_TCX_INGRESS, f->device);
	int sender = resident_find(f->device, ATTACH_TCX_EGRESS, f->device);
	bool adopted = resident_adopt(f, filter, receiver) || resident_adopt(f, filter, sender);

	close_fd(&receiver);
	close_fd(&sender);
	return adopted;
}

/** Maps, a predecessor's if it left some; the device must be there. */
void fastpath_prepare(struct fastpath *f, struct filter *filter, const struct hp_config *config,
		      uint32_t features)
{
	int rc = -EADDRNOTAVAIL;

	f->device = if_nametoindex(config->device);
	if ((features & (HP_F_ENCAP | HP_F_DECAP)) == 0)
		return;
	/* Asking opens a file each time */
	f->cpus = (uint32_t)sysconf(_SC_NPROCESSORS_CONF);
	f->underlay = underlay_of(&config->listen[0]);
	f->resident = (features & HP_F_PERSIST) != 0 && (features & HP_F_RESIDENT) != 0 &&
		      resident_allowed();
	if (f->underlay != 0)
		rc = open_routes(f, &config->listen[0]);
	if (rc >= 0)
		rc = f->resident && adopt_maps(f, filter) ? 0 : make_maps(f);
	if (rc >= 0)
		return;
	f->error = -rc;
	fastpath_close(f);
}

static int attach(struct fastpath *f, struct assembler *a, uint32_t type)
{
	bool sender = type == ATTACH_TCX_EGRESS;
	unsigned int device = sender ? f->device : f->underlay;
	int program, replaced = -1, rc;

	asm_finish(a);
	program = bpf_program_load(a, BPF_PROG_TYPE_SCHED_CLS,
				   sender ? NAME_SENDER : NAME_RECEIVER);
	if (program < 0)
		return program;
	if (!f->resident) {
		/* The link holds the program */
		rc = bpf_link(program, device, type);
		close(program);
		return rc;
	}
	rc = bpf_program_bind(program, f->head);
	if (rc == 0)
		rc = bpf_program_bind(program, f->names);
	if (rc == 0) {
		replaced = resident_find(device, type, f->device);
		rc = bpf_attach(program, device, type, replaced);
	}
	close_fd(&replaced);
	if (rc == 0)
		return program;
	close(program);
	return rc;
}

/** Attaches what @features asks for and takes away the bits of what failed, with their errno. */
void fastpath_attach(struct fastpath *f, const struct filter *filter,
		     const struct hp_config *config, uint32_t *features, int32_t *errors)
{
	struct assembler sender = { .length = 0 }, receiver = { .length = 0 };
	struct fast_head head = { .layout = FAST_LAYOUT, .device = f->device };
	uint32_t zero = 0, wanted = *features & (HP_F_ENCAP | HP_F_DECAP);
	int encap = -f->error, decap = -f->error;

	if (f->routes >= 0)
		encap = decap = bpf_map_update(f->head, &zero, &head);
	if (encap >= 0 && (wanted & HP_F_ENCAP)) {
		encap_assemble(&sender, config, f, (*features & HP_F_SOURCE_CHECK) != 0);
		f->encap = encap = attach(f, &sender, ATTACH_TCX_EGRESS);
	}
	if (decap >= 0 && (wanted & HP_F_DECAP)) {
		decap_assemble(&receiver, config, f, *features & HP_F_FILTER ? filter : NULL);
		f->decap = decap = attach(f, &receiver, ATTACH_TCX_INGRESS);
	}
	if (f->encap < 0) {
		errors[10] = encap < 0 ? -encap : 0;
		*features &= ~(uint32_t)HP_F_ENCAP;
	}
	if (f->decap < 0) {
		errors[13] = decap < 0 ? -decap : 0;
		*features &= ~(uint32_t)HP_F_DECAP;
	}
	/* Also when nothing is wanted: a predecessor may have wanted it */
	if (config->features & HP_F_PERSIST)
		resident_sweep(f->device, f->resident ? f : NULL);
	if (f->resident && (f->encap >= 0 || f->decap >= 0))
		return;
	errors[14] = (config->features & HP_F_PERSIST) && !resident_allowed() ? EPERM : 0;
	*features &= ~(uint32_t)HP_F_RESIDENT;
	if (f->encap < 0 && f->decap < 0)
		fastpath_close(f);
}
_Static_assert(HP_F_ENCAP == 1 << 10 && HP_F_DECAP == 1 << 13 && HP_F_RESIDENT == 1 << 14,
	       "indices of errors");

static struct hp_peer_counters *rows_of(const struct fastpath *f, uint32_t slot)
{
	struct hp_peer_counters *rows = calloc(f->cpus, sizeof(*rows));

	if (rows && bpf_map_lookup(f->counters, &slot, rows) < 0)
		memset(rows, 0, f->cpus * sizeof(*rows));
	return rows;
}

static void rows_add(const struct fastpath *f, const struct hp_peer_counters *rows,
		     struct hp_peer_counters *into)
{
	for (uint32_t i = 0; i < f->cpus; i++) {
		into->tx_packets += rows[i].tx_packets;
		into->tx_bytes += rows[i].tx_bytes;
		into->rx_packets += rows[i].rx_packets;
		into->rx_bytes += rows[i].rx_bytes;
	}
}

/** What both programs carried for the peer of @slot, over all CPUs, added to @into. */
int fastpath_counters(const struct fastpath *f, uint32_t slot, struct hp_peer_counters *into)
{
	struct hp_peer_counters *rows;

	if (f->counters < 0 || slot > SLOT_GONE)
		return 0;
	rows = rows_of(f, slot);
	if (!rows)
		return -ENOMEM;
	rows_add(f, rows, into);
	free(rows);
	return 0;
}

/*
 * Moves what @slot counted to those that are gone. The programs have no route with @slot any more:
 * an update of a map of maps returns when those that run have ended (maybe_wait_bpf_programs of
 * kernel/bpf/syscall.c). They never write the row of those that are gone.
 */
static void retire(const struct fastpath *f, uint32_t slot)
{
	struct hp_peer_counters *gone = rows_of(f, SLOT_GONE), *rows = rows_of(f, slot);
	uint32_t at = SLOT_GONE;

	if (gone && rows) {
		rows_add(f, rows, &gone[0]);
		memset(rows, 0, f->cpus * sizeof(*rows));
		if (bpf_map_update(f->counters, &slot, rows) == 0)
			(void)bpf_map_update(f->counters, &at, gone);
	}
	free(gone);
	free(rows);
}

void fastpath_free_slot(struct fastpath *f, uint32_t slot)
{
	if (f->names < 0 || slot >= PEER_SLOTS_MAX)
		return;
	retire(f, slot);
	f->ways[slot].addr = 0;
	(void)bpf_map_delete(f->names, &slot);
}

/** A slot that had another name before, such as a killed predecessor's, starts to count anew. */
int fastpath_name(const struct fastpath *f, uint32_t slot, const char *name)
{
	char value[HP_NAME_SIZE] = { 0 }, before[HP_NAME_SIZE];

	if (f->names < 0 || slot >= PEER_SLOTS_MAX)
		return 0;
	memcpy(value, name, strnlen(name, HP_NAME_SIZE - 1));
	if (bpf_map_lookup(f->names, &slot, before) == 0 && strncmp(before, value, HP_NAME_SIZE) != 0)
		retire(f, slot);
	return bpf_map_update(f->names, &slot, value);
}
