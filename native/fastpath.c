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

/* R0: the route of the address at R7 + @offset; the map itself is replaced as a whole. */
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
	asm_pass_if(a, BPF_JEQ, R0, 0);
	asm_load(a, BPF_W, R2, R0, offsetof(struct encap_route, kind));
}

/* Row R8->slot: packets, and bytes less @outer; per CPU, so plain additions do. */
void fast_count(struct assembler *a, int counter_map, int16_t row, int outer)
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

static int prefix_map(uint32_t entries)
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
				.flows = -1, .names = -1, .head = -1 };
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
}

static int make_maps(struct fastpath *f)
{
	int inner = prefix_map(1), rc = inner;

	if (rc >= 0)
		f->routes = rc = bpf_map_create(NAME_ROUTES, BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1,
						inner);
	if (rc >= 0)
		f->counters = rc = bpf_map_create(NAME_COUNTERS, BPF_MAP_TYPE_PERCPU_ARRAY, 4,
						  sizeof(struct hp_peer_counters), PEER_SLOTS_MAX,
						  -1);
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

static bool adopt_maps(struct fastpath *f)
{
	int receiver = resident_find(f->underlay, ATTACH_TCX_INGRESS, f->device);
	int sender = resident_find(f->device, ATTACH_TCX_EGRESS, f->device);
	bool adopted = resident_adopt(f, receiver) || resident_adopt(f, sender);

	close_fd(&receiver);
	close_fd(&sender);
	return adopted;
}

/** Maps, a predecessor's if it left some; the device must be there. */
void fastpath_prepare(struct fastpath *f, const struct hp_config *config, uint32_t features)
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
		rc = f->resident && adopt_maps(f) ? 0 : make_maps(f);
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
	program = bpf_program_load(a, sender ? NAME_SENDER : NAME_RECEIVER);
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
void fastpath_attach(struct fastpath *f, const struct hp_config *config, uint32_t *features,
		     int32_t *errors)
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
		decap_assemble(&receiver, config, f);
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

static uint32_t kind_of(const struct hp_peer *peer)
{
	if (peer->endpoint.family != 4 || peer->slot >= PEER_SLOTS_MAX)
		return 0;
	return (peer->capabilities & HP_CAP_OFFLOAD ? ROUTE_SEND : 0) |
	       (peer->capabilities & HP_CAP_ENCAP ? ROUTE_RECEIVE : 0);
}

/** A new prefix map, published in one update; IPv6 and plain peers are left to tx.c. */
int fastpath_set_peers(struct fastpath *f, const struct hp_peer *peers,
		       const struct hp_prefix *prefixes, uint32_t prefix_count)
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
			route.kind = kind_of(peer);
			route.slot = peer->slot;
			route.port = htons(peer->endpoint.port);
			memcpy(&route.addr, peer->endpoint.addr, 4);
		}
		rc = bpf_map_update(fd, &key, &route);
		used++;
	}
	if (rc >= 0)
		rc = bpf_map_update(f->routes, &zero, &fd);
	close_fd(&fd);
	return rc < 0 ? rc : (int)used;
}

/** What both programs carried for the peer of @slot, over all CPUs, added to @into. */
int fastpath_counters(const struct fastpath *f, uint32_t slot, struct hp_peer_counters *into)
{
	struct hp_peer_counters *rows;
	int rc;

	if (f->counters < 0 || slot >= PEER_SLOTS_MAX)
		return 0;
	rows = calloc(f->cpus, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	rc = bpf_map_lookup(f->counters, &slot, rows);
	for (uint32_t i = 0; rc >= 0 && i < f->cpus; i++) {
		into->tx_packets += rows[i].tx_packets;
		into->tx_bytes += rows[i].tx_bytes;
		into->rx_packets += rows[i].rx_packets;
		into->rx_bytes += rows[i].rx_bytes;
	}
	free(rows);
	return rc;
}

/* One row of the prefix map; false for our own prefixes and for peers left to userspace. */
static bool adopted_row(const struct fastpath *f, int prefixes, const struct encap_key *key,
			struct hp_adopted *into)
{
	struct encap_route route;

	if (bpf_map_lookup(prefixes, key, &route) < 0 || route.kind == ROUTE_OWN)
		return false;
	memset(into, 0, sizeof(*into));
	into->peer.endpoint.family = 4;
	into->peer.endpoint.port = ntohs(route.port);
	memcpy(into->peer.endpoint.addr, &route.addr, 4);
	into->peer.capabilities = (route.kind & ROUTE_SEND ? HP_CAP_OFFLOAD : 0) |
				  (route.kind & ROUTE_RECEIVE ? HP_CAP_ENCAP : 0);
	into->peer.slot = route.slot;
	into->length = key->length;
	memcpy(into->addr, key->addr, 4);
	(void)bpf_map_lookup(f->names, &route.slot, into->name);
	into->name[HP_NAME_SIZE - 1] = 0;
	return route.addr != 0;
}

/** What the maps say now about IPv4 prefixes of peers; returns how many there are. */
int fastpath_adopted(const struct fastpath *f, struct hp_adopted *into, uint32_t capacity)
{
	struct encap_key key, next;
	struct hp_adopted row;
	uint32_t zero = 0, id = 0, count = 0;
	int fd, rc;

	if (f->routes < 0 || bpf_map_lookup(f->routes, &zero, &id) < 0)
		return 0;
	fd = bpf_by_id(BPF_MAP_GET_FD_BY_ID, id);
	if (fd < 0)
		return 0;
	for (rc = bpf_map_next(fd, NULL, &next); rc == 0; rc = bpf_map_next(fd, &key, &next)) {
		key = next;
		if (!adopted_row(f, fd, &key, &row))
			continue;
		if (count < capacity)
			into[count] = row;
		count++;
	}
	close(fd);
	return (int)count;
}

/** A slot that had another name before starts to count anew. */
int fastpath_name(const struct fastpath *f, uint32_t slot, const char *name)
{
	char value[HP_NAME_SIZE] = { 0 }, before[HP_NAME_SIZE];
	struct hp_peer_counters *none;

	if (f->names < 0 || slot >= PEER_SLOTS_MAX)
		return 0;
	memcpy(value, name, strnlen(name, HP_NAME_SIZE - 1));
	if (bpf_map_lookup(f->names, &slot, before) == 0 && strncmp(before, value, HP_NAME_SIZE) != 0) {
		none = calloc(f->cpus, sizeof(*none));
		if (none)
			(void)bpf_map_update(f->counters, &slot, none);
		free(none);
	}
	return bpf_map_update(f->names, &slot, value);
}
