/*
 * Datagrams that end before anybody wakes up: filter.c.
 */
#ifndef HEDDLE_FILTER_H
#define HEDDLE_FILTER_H

#include <stdint.h>

struct hp_config;
struct table;

/** Why, and under which row it is counted. */
enum { DROP_SOURCE, DROP_DESTINATION, DROP_MALFORMED, DROP_REASONS };

/**
 * struct filter - descriptors of it, -1 when off
 * @ends: array of one map of peers' endpoints, replaced as a whole
 * @drops: datagrams by reason, per CPU
 * @program: for sockets of IPv4 and of IPv6
 * @cpus: rows that the kernel keeps of each counter
 */
struct filter {
	int ends, drops;
	int program[2];
	uint32_t cpus;
};

void filter_init(struct filter *f);
int filter_prepare(struct filter *f);
int filter_set_peers(struct filter *f, const struct hp_config *config, const int *sockets,
		     const struct table *table);
void filter_detach(const int *sockets, uint32_t count);
uint64_t filter_dropped(const struct filter *f, uint32_t reason);
void filter_close(struct filter *f);

#endif
