/*
 * The peer table. Theory of operation: a table is built whole by the control thread, published
 * with one pointer store, and never changed again; workers load the pointer once per round. The
 * old one is kept until every worker has begun a later round or sleeps (tunnel.c), so the packet
 * path takes no lock. A peer is found by prefix alone: the source check compares the endpoint of
 * the peer that owns the inner source with where the datagram came from.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

/** The address of @to. */
int endpoint_fill(const struct hp_endpoint *e, struct peer *to)
{
	if (e->family == 4) {
		to->address.in4.sin_family = AF_INET;
		to->address.in4.sin_port = htons(e->port);
		memcpy(&to->address.in4.sin_addr, e->addr, 4);
		to->address_length = sizeof(to->address.in4);
		return 0;
	}
	if (e->family != 6)
		return -EINVAL;
	to->address.in6.sin6_family = AF_INET6;
	to->address.in6.sin6_port = htons(e->port);
	memcpy(&to->address.in6.sin6_addr, e->addr, 16);
	to->address_length = sizeof(to->address.in6);
	return 0;
}

static int peer_fill(const struct hp_tunnel *t, const struct hp_peer *from, struct peer *to)
{
	to->socket = -1;
	to->slot = from->slot;
	to->capabilities = from->capabilities;
	for (uint32_t i = 0; i < t->config.listeners && to->socket < 0; i++) {
		if (t->config.listen[i].family == from->endpoint.family)
			to->socket = (int32_t)i;
	}
	return endpoint_fill(&from->endpoint, to);
}

/** True when a datagram from @from comes from the peer's endpoint. */
bool table_same_endpoint(const struct peer *peer, const struct sockaddr *from)
{
	if (from->sa_family != peer->address.sa.sa_family)
		return false;
	if (from->sa_family == AF_INET) {
		const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)from;

		return in4->sin_port == peer->address.in4.sin_port &&
		       in4->sin_addr.s_addr == peer->address.in4.sin_addr.s_addr;
	}
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)from;

	return in6->sin6_port == peer->address.in6.sin6_port &&
	       memcmp(&in6->sin6_addr, &peer->address.in6.sin6_addr, 16) == 0;
}

/* The first prefix of ours in a family is the device's own address, by contract. */
static int own_fill(struct table *table, const struct hp_prefix *prefixes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		unsigned int which = prefixes[i].family == 6;

		if (prefixes[i].peer != HP_OWN && prefixes[i].peer >= table->peer_count)
			return -EINVAL;
		if (prefixes[i].peer != HP_OWN || table->has_own[which])
			continue;
		memcpy(table->own[which], prefixes[i].addr, 16);
		table->has_own[which] = true;
	}
	return 0;
}

int table_build(const struct hp_tunnel *t, const struct hp_peer *peers, uint32_t peer_count,
		const struct hp_prefix *prefixes, uint32_t prefix_count, struct table **out)
{
	struct table *table = calloc(1, sizeof(*table));
	int rc = -ENOMEM;

	if (!table)
		return -ENOMEM;
	table->peer_count = peer_count;
	table->peers = calloc((size_t)peer_count + 1, sizeof(*table->peers));
	table->counters = calloc((size_t)WORKERS_MAX * ((size_t)peer_count + 1),
				 sizeof(*table->counters));
	if (!table->peers || !table->counters)
		goto fail;
	for (uint32_t i = 0; i < peer_count; i++) {
		rc = peer_fill(t, &peers[i], &table->peers[i]);
		if (rc < 0)
			goto fail;
	}
	rc = own_fill(table, prefixes, prefix_count);
	if (rc == 0)
		rc = lpm_build(prefixes, prefix_count, &table->lpm);
	if (rc < 0)
		goto fail;
	*out = table;
	return 0;
fail:
	table_free(table);
	return rc;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	lpm_free(table->lpm);
	free(table->peers);
	free(table->counters);
	free(table);
}
