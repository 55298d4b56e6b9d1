/*
 * The table of prepared answers. Theory of operation: what is taken out keeps its slot, so that
 * probing never meets a hole; such slots go when the table grows, and there are never more than
 * there are subnets in the fabric's pool.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answerer.h"

#define CAPACITY_MIN 64u

/* Gateways differ in few bytes, and those are not known beforehand: FNV-1a takes all of them. */
static uint32_t hash(uint8_t family, const uint8_t *addr)
{
	uint32_t h = 2166136261u ^ family;
	size_t length = family == 4 ? 4 : 16;

	for (size_t i = 0; i < length; i++)
		h = (h ^ addr[i]) * 16777619u;
	return h ^ h >> 15;
}

/** The slot of @addr, or the free one where it belongs. */
static struct hm_answer *slot_of(const struct answers *t, uint8_t family, const uint8_t *addr)
{
	size_t length = family == 4 ? 4 : 16;
	uint32_t at = hash(family, addr) & (t->capacity - 1);

	while (t->slots[at].family != 0) {
		if (t->slots[at].family == family && memcmp(t->slots[at].addr, addr, length) == 0)
			break;
		at = (at + 1) & (t->capacity - 1);
	}
	return &t->slots[at];
}

static int grow(struct answers *t)
{
	struct answers larger = { .capacity = CAPACITY_MIN };

	for (uint32_t i = 0; i < t->capacity; i++)
		larger.used += t->slots[i].dst_family != 0;
	while (larger.capacity < 3 * (larger.used + 1))
		larger.capacity *= 2;
	larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->capacity; i++) {
		const struct hm_answer *answer = &t->slots[i];

		if (answer->dst_family != 0)
			*slot_of(&larger, answer->family, answer->addr) = *answer;
	}
	free(t->slots);
	*t = larger;
	return 0;
}

int answers_put(struct answers *t, const struct hm_answer *answer)
{
	struct hm_answer *slot;

	if (2 * (t->used + 1) > t->capacity) {
		int rc = grow(t);

		if (rc < 0)
			return rc;
	}
	slot = slot_of(t, answer->family, answer->addr);
	if (slot->family == 0) {
		if (answer->dst_family == 0)
			return 0;
		t->used++;
	}
	*slot = *answer;
	return 0;
}

const struct hm_answer *answers_find(const struct answers *t, uint8_t family, const uint8_t *addr)
{
	const struct hm_answer *slot = t->capacity == 0 ? NULL : slot_of(t, family, addr);

	return slot && slot->family != 0 && slot->dst_family != 0 ? slot : NULL;
}

void answers_free(struct answers *t)
{
	free(t->slots);
	*t = (struct answers){ 0 };
}
