/*
 * The prefixes that the programs in the kernel go by. Theory of operation: a new map is written and
 * published in one update, when peers change and when routes do; a successor reads it back.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fastpath.h"

/*
 * The program sends out of the underlay device, whatever the routes say (bpf_fib_lookup could tell
 * it, but is for programs under the GPL only). A host that listens on an address of its loopback,
 * or has other devices too, sends by the threads where the way leads elsewhere.
 */
static bool way_leads_here(const struct fastpath *f, uint32_t addr)
{
	return route_device(f->ask, f->listen, addr) == f->underlay;
}

static bool leads_here(struct fastpath *f, const struct hp_peer *peer)
{
	struct way *way = &f->ways[peer->slot];
	uint32_t addr;

	memcpy(&addr, peer->endpoint.addr, 4);
	if (way->addr != addr)
		*way = (struct way){ .addr = addr, .here = way_leads_here(f, addr) };
	return way->here;
}

static uint32_t kind_of(struct fastpath *f, const struct hp_peer *peer)
{
	uint32_t kind = 0;

	if (peer->endpoint.family != 4 || peer->slot >= PEER_SLOTS_MAX)
		return 0;
	if (peer->capabilities & HP_CAP_OFFLOAD)
		kind |= leads_here(f, peer) ? ROUTE_SEND : ROUTE_AWAY;
	if (peer->capabilities & HP_CAP_ENCAP)
		kind |= ROUTE_RECEIVE;
	return kind;
}

static int publish(struct fastpath *f)
{
	const struct hp_peer *peers = f->peers;
	uint32_t zero = 0, used = 0;
	int fd = fast_prefix_map(f->prefix_count), rc = fd;

	for (uint32_t i = 0; rc >= 0 && i < f->prefix_count; i++) {
		const struct hp_prefix *p = &f->prefixes[i];
		struct encap_key key = { .length = p->length };
		struct encap_route route = { .kind = ROUTE_OWN };

		if (p->family != 4)
			continue;
		memcpy(key.addr, p->addr, 4);
		if (p->peer != HP_OWN) {
			const struct hp_peer *peer = &peers[p->peer];

			/* A plain peer's row must still hide a shorter prefix */
			route.kind = kind_of(f, peer);
			route.slot = peer->slot;
			route.port = htons(peer->endpoint.port);
			memcpy(&route.addr, peer->endpoint.addr, 4);
		}
		rc = bpf_map_update(fd, &key, &route);
		used++;
	}
	if (rc >= 0)
		rc = bpf_map_update(f->routes, &zero, &fd);
	if (fd >= 0)
		close(fd);
	return rc < 0 ? rc : (int)used;
}

static void *copy_of(const void *from, size_t size)
{
	void *copy = malloc(size + 1);

	if (copy && size > 0)
		memcpy(copy, from, size);
	return copy;
}

/** A new prefix map, published in one update; IPv6 and plain peers are left to tx.c. */
int fastpath_set_peers(struct fastpath *f, const struct hp_peer *peers, uint32_t peer_count,
		       const struct hp_prefix *prefixes, uint32_t prefix_count)
{
	struct hp_peer *own_peers = copy_of(peers, peer_count * sizeof(*peers));
	struct hp_prefix *own_prefixes = copy_of(prefixes, prefix_count * sizeof(*prefixes));

	if (!own_peers || !own_prefixes) {
		free(own_peers);
		free(own_prefixes);
		return -ENOMEM;
	}
	free(f->peers);
	free(f->prefixes);
	f->peers = own_peers;
	f->prefixes = own_prefixes;
	f->prefix_count = prefix_count;
	return publish(f);
}

/** The same again if routes have changed since, and with them the way to a peer. */
int fastpath_refresh(struct fastpath *f)
{
	bool other = false;

	if (f->routes < 0 || !f->peers || !route_changed(f->watch))
		return 0;
	for (uint32_t slot = 0; slot < PEER_SLOTS_MAX; slot++) {
		struct way *way = &f->ways[slot];
		bool here = way->addr != 0 && way_leads_here(f, way->addr);

		other |= here != way->here;
		way->here = here;
	}
	return other ? publish(f) : 0;
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
	into->peer.capabilities = (route.kind & (ROUTE_SEND | ROUTE_AWAY) ? HP_CAP_OFFLOAD : 0) |
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
