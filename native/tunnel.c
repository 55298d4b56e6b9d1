/*
 * The control side of the ABI. Theory of operation: one control thread calls in; workers run on
 * their own. Tables that were replaced wait in a list behind the current one and are freed by a
 * later call, once every worker has begun a round after the replacement or sleeps; then their
 * counters are added to the base, by slot.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fastpath.h"
#include "worker.h"

static int config_check(const struct hp_config *c)
{
	if (c->size != sizeof(*c) || c->queues < 1 || c->queues > HP_QUEUES_MAX ||
	    c->listeners < 1 || c->listeners > HP_LISTEN_MAX || c->mtu < 68 ||
	    c->mtu > PACKET_MAX || c->device[0] == 0 || c->device[15] != 0)
		return -EINVAL;
	for (uint32_t i = 0; i < c->listeners; i++) {
		if (c->listen[i].family != 4 && c->listen[i].family != 6)
			return -EINVAL;
	}
	return 0;
}

static void close_all(int32_t *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static int open_descriptors(struct hp_tunnel *t, uint32_t *features, int32_t *errors,
			    uint32_t *step)
{
	int rc = tun_open(&t->config, features, errors, t->tun, step);

	for (uint32_t i = 0; rc == 0 && i < t->config.listeners; i++)
		rc = udp_open(&t->config, i, features, errors, &t->udp[i], step);
	return rc;
}

/* What was taken from the offer goes back to the caller. */
static void give_back(struct hp_tunnel *t, const struct hp_config *offer)
{
	for (size_t i = 0; i < HP_QUEUES_MAX; i++) {
		for (size_t j = 0; j < HP_QUEUES_MAX; j++) {
			if (t->tun[i] >= 0 && t->tun[i] == offer->tun_fds[j])
				t->tun[i] = -1;
		}
	}
	for (size_t i = 0; i < HP_LISTEN_MAX; i++) {
		for (size_t j = 0; j < HP_LISTEN_MAX; j++) {
			if (t->udp[i] >= 0 && t->udp[i] == offer->udp_fds[j])
				t->udp[i] = -1;
		}
	}
}

static int make_workers(struct hp_tunnel *t)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < t->config.queues; i++)
		rc = worker_make(t, t->tun[i], -1);
	for (uint32_t i = 0; rc == 0 && i < t->config.listeners; i++)
		rc = worker_make(t, t->tun[i % t->config.queues], (int)i);
	return rc;
}

/* Features that only make sense with others. */
static uint32_t features_settle(uint32_t features)
{
	if ((features & HP_F_SOURCE_CHECK) == 0)
		features &= ~(uint32_t)HP_F_FILTER;
	if ((features & HP_F_VNET) == 0)
		features &= ~(uint32_t)(HP_F_CSUM | HP_F_TSO4 | HP_F_TSO6 | HP_F_USO |
					HP_F_TCP_COALESCE | HP_F_UDP_COALESCE);
	return features;
}

int hp_open(const struct hp_config *config, struct hp_status *status, struct hp_tunnel **out)
{
	struct hp_tunnel *t = calloc(1, sizeof(*t));
	uint32_t features;
	int rc;

	*status = (struct hp_status){ .wanted = config->features, .failed_call = HP_STEP_MEMORY };
	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < HP_QUEUES_MAX; i++)
		t->tun[i] = -1;
	for (size_t i = 0; i < HP_LISTEN_MAX; i++)
		t->udp[i] = -1;
	fastpath_init(&t->fast);
	filter_init(&t->filter);
	t->icmp[0] = t->icmp[1] = -1;
	t->config = *config;
	features = config->features;
	status->failed_call = HP_STEP_CONFIG;
	rc = config_check(config);
	if (rc == 0)
		rc = open_descriptors(t, &features, status->error, &status->failed_call);
	if (rc < 0)
		goto fail;
	icmp_open(t->icmp);
	atomic_store(&t->features, features_settle(features));
	for (size_t i = 0; i < 16; i++)
		atomic_store(&t->errors[i], status->error[i]);
	status->failed_call = HP_STEP_MEMORY;
	rc = hp_set_peers(t, NULL, 0, NULL, 0);
	if (rc == 0)
		rc = make_workers(t);
	if (rc < 0)
		goto fail;
	/* A queue that nobody reads would swallow the flows that are hashed to it */
	close_all(t->config.tun_fds, HP_QUEUES_MAX);
	close_all(t->config.udp_fds, HP_LISTEN_MAX);
	filter_detach(t->udp, t->config.listeners);
	fastpath_prepare(&t->fast, &t->filter, &t->config, features);
	filter_open(t);
	hp_status(t, status);
	*out = t;
	return 0;
fail:
	give_back(t, config);
	hp_close(t);
	return rc;
}

static void counters_add(struct hp_peer_counters *to, const struct hp_peer_counters *from)
{
	to->tx_packets += __atomic_load_n(&from->tx_packets, __ATOMIC_RELAXED);
	to->tx_bytes += __atomic_load_n(&from->tx_bytes, __ATOMIC_RELAXED);
	to->rx_packets += __atomic_load_n(&from->rx_packets, __ATOMIC_RELAXED);
	to->rx_bytes += __atomic_load_n(&from->rx_bytes, __ATOMIC_RELAXED);
}

static void counters_of(const struct table *table, struct hp_peer_counters *into, uint32_t slots)
{
	for (uint32_t i = 0; i < table->peer_count; i++) {
		if (table->peers[i].slot >= slots)
			continue;
		for (uint32_t w = 0; w < WORKERS_MAX; w++)
			counters_add(&into[table->peers[i].slot],
				     &table->counters[(size_t)w * (table->peer_count + 1) + i]);
	}
}

static bool still_read(const struct hp_tunnel *t, const struct table *table)
{
	for (uint32_t i = 0; i < t->worker_count; i++) {
		if (atomic_load(&t->workers[i]->seen) < table->retired)
			return true;
	}
	return false;
}

static void reclaim(struct hp_tunnel *t)
{
	struct table *current = atomic_load(&t->table), **link;

	for (link = &current->next; *link;) {
		struct table *old = *link;

		if (still_read(t, old)) {
			link = &old->next;
			continue;
		}
		*link = old->next;
		counters_of(old, t->base, t->base_count);
		table_free(old);
	}
}

static int base_grow(struct hp_tunnel *t, const struct hp_peer *peers, uint32_t count)
{
	uint32_t slots = t->base_count;
	struct hp_peer_counters *bigger;

	for (uint32_t i = 0; i < count; i++) {
		if (peers[i].slot >= slots)
			slots = peers[i].slot + 1;
	}
	if (slots == t->base_count)
		return 0;
	bigger = calloc(slots, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	if (t->base_count > 0)
		memcpy(bigger, t->base, t->base_count * sizeof(*bigger));
	free(t->base);
	t->base = bigger;
	t->base_count = slots;
	return 0;
}

int hp_set_peers(struct hp_tunnel *t, const struct hp_peer *peers, uint32_t peer_count,
		 const struct hp_prefix *prefixes, uint32_t prefix_count)
{
	struct table *fresh, *old = atomic_load(&t->table);
	int rc;

	for (uint32_t i = 0; i < peer_count; i++) {
		if (peers[i].slot >= 1u << 20)
			return -EINVAL;
	}
	rc = table_build(t, peers, peer_count, prefixes, prefix_count, &fresh);
	if (rc < 0)
		return rc;
	rc = base_grow(t, peers, peer_count);
	if (rc < 0) {
		table_free(fresh);
		return rc;
	}
	fresh->next = old;
	/* First the table, then the generation: who sees the new number loads the new table */
	atomic_store(&t->table, fresh);
	uint64_t generation = atomic_fetch_add(&t->generation, 1) + 1;

	if (old)
		old->retired = generation;
	reclaim(t);
	filter_update(t);
	if (t->fast.routes < 0)
		return 0;
	rc = fastpath_set_peers(&t->fast, peers, peer_count, prefixes, prefix_count);
	if (rc < 0)
		decelerate(t, -rc);
	return 0;
}

int hp_free_slots(struct hp_tunnel *t, uint32_t *slots, uint32_t count)
{
	bool *used = calloc((size_t)t->base_count + 1, sizeof(*used));
	uint32_t busy = 0;

	if (!used)
		return (int)count;
	reclaim(t);
	for (const struct table *table = atomic_load(&t->table); table; table = table->next) {
		for (uint32_t i = 0; i < table->peer_count; i++)
			used[table->peers[i].slot] = true;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t slot = slots[i];

		if (slot < t->base_count && used[slot]) {
			slots[busy++] = slot;
			continue;
		}
		if (slot < t->base_count)
			memset(&t->base[slot], 0, sizeof(t->base[slot]));
		fastpath_free_slot(&t->fast, slot);
	}
	free(used);
	return (int)busy;
}

int hp_counters(struct hp_tunnel *t, uint64_t *into, uint32_t capacity)
{
	uint32_t n = capacity < HP_C_END ? capacity : HP_C_END;

	memset(into, 0, n * sizeof(*into));
	for (uint32_t w = 0; w < t->worker_count; w++) {
		for (uint32_t i = 0; i < n; i++)
			into[i] += __atomic_load_n(&t->workers[w]->counters[i], __ATOMIC_RELAXED);
	}
	struct hp_peer_counters fast = { 0 };

	for (uint32_t slot = 0; slot < t->base_count; slot++) {
		if (fastpath_counters(&t->fast, slot, &fast) < 0)
			break;
	}
	(void)fastpath_counters(&t->fast, SLOT_GONE, &fast);
	const uint64_t values[] = { fast.tx_packets, fast.tx_bytes, fast.rx_packets,
				    fast.rx_bytes };
	const uint32_t at[] = { HP_C_tx_encap_packets, HP_C_tx_encap_bytes, HP_C_rx_decap_packets,
				HP_C_rx_decap_bytes };

	const uint32_t reasons[DROP_REASONS] = { HP_C_rx_drop_source, HP_C_rx_drop_destination,
						 HP_C_rx_drop_malformed };

	for (uint32_t i = 0; i < DROP_REASONS; i++) {
		if (reasons[i] < n)
			into[reasons[i]] += filter_dropped(&t->filter, i);
	}
	for (size_t i = 0; i < HP_ARRAY_SIZE(at); i++) {
		if (at[i] < n)
			into[at[i]] += values[i];
	}
	return HP_C_END;
}

/** By slot; returns the number of slots. */
int hp_peer_counters(struct hp_tunnel *t, struct hp_peer_counters *into, uint32_t capacity)
{
	uint32_t n = capacity < t->base_count ? capacity : t->base_count;

	reclaim(t);
	if (n > 0)
		memcpy(into, t->base, n * sizeof(*into));
	for (const struct table *table = atomic_load(&t->table); table; table = table->next)
		counters_of(table, into, n);
	for (uint32_t slot = 0; slot < n; slot++) {
		if (fastpath_counters(&t->fast, slot, &into[slot]) < 0)
			break;
	}
	return (int)t->base_count;
}

int hp_status(struct hp_tunnel *t, struct hp_status *status)
{
	status->wanted = t->config.features;
	status->active = atomic_load(&t->features);
	for (size_t i = 0; i < 16; i++)
		status->error[i] = atomic_load(&t->errors[i]);
	status->device_error = atomic_load(&t->device_error);
	status->failed_call = 0;
	return 0;
}

int hp_descriptors(struct hp_tunnel *t, int32_t *tun_fds, int32_t *udp_fds)
{
	memcpy(tun_fds, t->tun, sizeof(t->tun));
	memcpy(udp_fds, t->udp, sizeof(t->udp));
	return 0;
}

int hp_pause(struct hp_tunnel *t)
{
	atomic_store(&t->stopping, true);
	for (uint32_t i = 0; i < t->worker_count; i++)
		worker_stop(t->workers[i]);
	return 0;
}

int hp_resume(struct hp_tunnel *t)
{
	int rc = 0;

	if (!t->running) {
		t->running = true;
		filter_update(t);
	}
	atomic_store(&t->stopping, false);
	for (uint32_t i = 0; rc == 0 && i < t->worker_count; i++) {
		if (!t->workers[i]->started)
			rc = worker_start(t->workers[i]);
	}
	if (rc < 0)
		hp_pause(t);
	return rc;
}

int hp_forget_device(struct hp_tunnel *t)
{
	fastpath_close(&t->fast);
	atomic_fetch_and(&t->features, ~(uint32_t)(HP_F_ENCAP | HP_F_DECAP | HP_F_RESIDENT));
	(void)resident_forget(t->config.device);
	return tun_set_persist(t->tun[0], false);
}

int hp_forget(const char *device)
{
	return resident_forget(device);
}

int hp_close(struct hp_tunnel *t)
{
	fastpath_close(&t->fast);
	filter_close(&t->filter);
	hp_pause(t);
	for (uint32_t i = 0; i < t->worker_count; i++)
		worker_free(t->workers[i]);
	for (size_t i = 0; i < HP_QUEUES_MAX; i++) {
		if (t->tun[i] >= 0)
			close(t->tun[i]);
	}
	for (size_t i = 0; i < HP_LISTEN_MAX; i++) {
		if (t->udp[i] >= 0)
			close(t->udp[i]);
	}
	for (size_t i = 0; i < 2; i++) {
		if (t->icmp[i] >= 0)
			close(t->icmp[i]);
	}
	for (struct table *table = atomic_load(&t->table), *next; table; table = next) {
		next = table->next;
		table_free(table);
	}
	free(t->base);
	free(t);
	return 0;
}
