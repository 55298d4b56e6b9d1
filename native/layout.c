/*
 * What the caller checks at load: the version, the sizes of the structures, and the names of
 * features and counters.
 */
#include "internal.h"

uint32_t hp_abi_version(void)
{
	return HP_ABI_VERSION;
}

int hp_layout(uint32_t *sizes, uint32_t capacity)
{
	static const uint32_t all[] = {
		sizeof(struct hp_endpoint), sizeof(struct hp_peer),
		sizeof(struct hp_prefix),   sizeof(struct hp_config),
		sizeof(struct hp_status),   sizeof(struct hp_peer_counters),
		sizeof(struct hp_adopted),
	};
	uint32_t n = capacity < HP_ARRAY_SIZE(all) ? capacity : HP_ARRAY_SIZE(all);

	memcpy(sizes, all, n * sizeof(*all));
	return (int)HP_ARRAY_SIZE(all);
}

const char *hp_feature_name(uint32_t bit)
{
#define FEATURE_NAME(name, bit, text) text,
	static const char *const names[] = { HP_FEATURES(FEATURE_NAME) };

	return bit < HP_ARRAY_SIZE(names) ? names[bit] : NULL;
}

const char *hp_counter_name(uint32_t index)
{
#define COUNTER_NAME(name) #name,
	static const char *const names[] = { HP_COUNTERS(COUNTER_NAME) };

	return index < HP_ARRAY_SIZE(names) ? names[index] : NULL;
}
