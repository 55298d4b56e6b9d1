/*
 * What the source check costs the threads, a packet: two look-ups by longest prefix and one
 * comparison of endpoints, with nothing remembered from the packet before. Theory of operation:
 * the packet path's own functions over a table of peers with a /24 each, pairs of addresses in an
 * order that no cache foresees, the clock read around many of them.
 *
 *   checks PEERS     prints {"peers":N,"ns":T,"wrong":0}
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../worker.h"

#define PAIRS 4096u
#define ROUNDS 4000u

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t subnet(uint32_t number)
{
	return htonl(0x0a000000u + (number << 8));
}

int main(int argc, char **argv)
{
	static uint8_t pairs[PAIRS][8];
	uint32_t count = argc > 1 ? (uint32_t)atoi(argv[1]) : 2, seed = 1, wrong = 0;
	struct hp_peer *peers = calloc(count + 1, sizeof(*peers));
	struct hp_prefix *prefixes = calloc(count + 1, sizeof(*prefixes));
	struct hp_tunnel tunnel = { .config = { .listeners = 1 } };
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_port = htons(8285) };
	struct table *table;

	if (!peers || !prefixes || count > 60000)
		return 1;
	tunnel.config.listen[0].family = 4;
	for (uint32_t i = 0; i <= count; i++) {
		uint32_t addr = subnet(i);

		peers[i].endpoint = (struct hp_endpoint){ .port = 8285, .family = 4 };
		memcpy(peers[i].endpoint.addr, &addr, 4);
		prefixes[i] = (struct hp_prefix){ .peer = i < count ? i : HP_OWN,
						  .family = 4,
						  .length = 24 };
		memcpy(prefixes[i].addr, &addr, 4);
	}
	if (table_build(&tunnel, peers, count, prefixes, count + 1, &table) < 0)
		return 1;
	for (uint32_t i = 0; i < PAIRS; i++) {
		uint32_t source, own = subnet(count) | htonl(2);

		seed = seed * 1664525u + 1013904223u;
		source = subnet((seed >> 8) % count) | htonl(2);
		memcpy(pairs[i], &source, 4);
		memcpy(pairs[i] + 4, &own, 4);
	}
	uint64_t start = now();

	for (uint32_t n = 0; n < ROUNDS * PAIRS; n++) {
		const uint8_t *pair = pairs[n % PAIRS];
		uint32_t peer = lpm_find(table->lpm, 4, pair);

		memcpy(&from.sin_addr, pair, 3);
		((uint8_t *)&from.sin_addr)[3] = 0;
		wrong += peer >= count ||
			 !table_same_endpoint(&table->peers[peer],
					      (const struct sockaddr *)&from) ||
			 lpm_find(table->lpm, 4, pair + 4) != HP_OWN;
	}
	printf("{\"peers\":%u,\"ns\":%.1f,\"wrong\":%u}\n", count,
	       (double)(now() - start) / ((double)ROUNDS * PAIRS), wrong);
	table_free(table);
	free(peers);
	free(prefixes);
	return wrong > 0;
}
