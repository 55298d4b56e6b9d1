/*
 * A thread of the packet path. Theory of operation: a worker sleeps in poll(2) on its data
 * descriptor and an eventfd, does at most ROUNDS_MAX rounds of bounded size, and looks at the
 * eventfd again, so that control is never starved. Before it sleeps it says so (seen =
 * UINT64_MAX); before a round it notes the generation and then loads the table: whoever replaces
 * the table knows from that when the old one is free. Signals belong to the main program and are
 * blocked here.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/** A feature that the kernel turned out not to support is off from now on, for all workers. */
void feature_off(struct worker *w, uint32_t bit, int error)
{
	atomic_store(&w->tunnel->errors[bit], error);
	atomic_fetch_and(&w->tunnel->features, ~(1u << bit));
}

/** Waits once, briefly, for room; the caller drops when there is none. */
bool worker_wait_writable(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLOUT };

	return poll(&wait, 1, 5) == 1 && (wait.revents & POLLOUT) != 0;
}

/** Answers for source and destination of a packet, in w->cache. */
void worker_routes(struct worker *w, const uint8_t *p, uint8_t family)
{
	struct route_cache *cache = &w->cache;
	const uint8_t *pair = packet_source(p, family);
	size_t size = family == 4 ? 8 : 32;

	if (cache->family == family && memcmp(cache->pair, pair, size) == 0)
		return;
	cache->family = family;
	memcpy(cache->pair, pair, size);
	cache->source = lpm_find(w->table->lpm, family, pair);
	cache->destination = lpm_find(w->table->lpm, family, pair + size / 2);
}

static void round_begin(struct worker *w)
{
	uint64_t generation = atomic_load(&w->tunnel->generation);

	w->features = atomic_load_explicit(&w->tunnel->features, memory_order_relaxed);
	if (atomic_load_explicit(&w->seen, memory_order_relaxed) == generation && w->table)
		return;
	atomic_store(&w->seen, generation);
	w->table = atomic_load(&w->tunnel->table);
	w->peer_counters = w->table->counters + (size_t)w->index * (w->table->peer_count + 1);
	w->cache.family = 0;
}

static void sleep_begin(struct worker *w)
{
	atomic_store(&w->seen, UINT64_MAX);
	w->table = NULL;
}

static void device_gone(struct worker *w, int error)
{
	int32_t none = 0;

	atomic_compare_exchange_strong(&w->tunnel->device_error, &none, error);
}

static void work(struct worker *w, struct pollfd *data)
{
	bool sender = w->tx != NULL;

	if (sender)
		COUNT(w, tx_wakeups, 1);
	else
		COUNT(w, rx_wakeups, 1);
	for (uint32_t i = 0; i < ROUNDS_MAX && !atomic_load(&w->tunnel->stopping); i++) {
		round_begin(w);
		int rc = sender ? tx_round(w) : rx_round(w);

		if (rc < 0) {
			device_gone(w, -rc);
			/* The descriptor reports an error for ever: only control is left */
			if (sender)
				data->fd = -1;
		}
		if (rc <= 0)
			return;
	}
}

static void *worker_main(void *argument)
{
	struct worker *w = argument;
	struct pollfd wait[2] = {
		{ .fd = w->tx ? w->tun : w->tunnel->udp[w->udp], .events = POLLIN },
		{ .fd = w->event, .events = POLLIN },
	};

	while (!atomic_load(&w->tunnel->stopping)) {
		sleep_begin(w);
		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			break;
		if (wait[1].revents != 0) {
			uint64_t ignored;

			if (read(w->event, &ignored, sizeof(ignored)) < 0 && errno != EAGAIN)
				break;
		}
		if (wait[0].revents != 0)
			work(w, &wait[0]);
	}
	sleep_begin(w);
	return NULL;
}

/** @listener is -1 for a sender. */
int worker_make(struct hp_tunnel *t, int tun, int listener)
{
	struct worker *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return -ENOMEM;
	w->tunnel = t;
	w->index = t->worker_count;
	w->tun = tun;
	w->udp = listener;
	atomic_store(&w->seen, UINT64_MAX);
	w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = w->event < 0 ? -errno : listener < 0 ? tx_setup(w) : rx_setup(w);
	if (rc < 0) {
		worker_free(w);
		return rc;
	}
	t->workers[t->worker_count++] = w;
	return 0;
}

int worker_start(struct worker *w)
{
	sigset_t all, before;
	char name[16];
	int rc;

	sigfillset(&all);
	rc = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (rc != 0)
		return -rc;
	rc = pthread_create(&w->thread, NULL, worker_main, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return -rc;
	w->started = true;
	(void)snprintf(name, sizeof(name), "heddle-%s%u", w->tx ? "tx" : "rx", w->index % 100);
	(void)pthread_setname_np(w->thread, name);
	return 0;
}

/** The tunnel's stopping flag must be set already. */
void worker_stop(struct worker *w)
{
	uint64_t one = 1;

	if (!w->started)
		return;
	if (write(w->event, &one, sizeof(one)) < 0 && errno != EAGAIN)
		return;
	(void)pthread_join(w->thread, NULL);
	w->started = false;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	if (w->event >= 0)
		close(w->event);
	tx_free(w->tx);
	rx_free(w->rx);
	free(w);
}
