/*
 * The table of prepared answers. Theory of operation: rows without gaps, in the order in which they
 * came, and a hash table of their numbers, which is what has to be half empty: 10 000 answers take
 * 0.5 MiB, where half empty slots of whole answers took 1.25. What is taken out keeps its row and
 * its slot, so that probing never meets a hole; both go when the table grows, and there are never
 * more than there are subnets in the fabric's pool.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answerer.h"

#define ROOM_MIN 64u

/* Gateways differ in few bytes, and those are not known beforehand: FNV-1a takes all of them. */
static uint32_t hash(uint8_t family, const uint8_t *addr)
{
	uint32_t h = 2166136261u ^ family;
	size_t length = family == 4 ? 4 : 16;

	for (size_t i = 0; i < length; i++)
		h = (h ^ addr[i]) * 16777619u;
	return h ^ h >> 15;
}

/** Where the number of @addr is kept, or the free slot where it belongs. */
static uint32_t *slot_of(const struct answers *t, uint8_t family, const uint8_t *addr)
{
	size_t length = family == 4 ? 4 : 16;
	uint32_t mask = 2 * t->room - 1;
	uint32_t at = hash(family, addr) & mask;

	while (t->slots[at] != 0) {
		const struct hm_answer *row = &t->rows[t->slots[at] - 1];

		if (row->family == family && memcmp(row->addr, addr, length) == 0)
			break;
		at = (at + 1) & mask;
	}
	return &t->slots[at];
}

static void append(struct answers *t, const struct hm_answer *answer, uint32_t *slot)
{
	t->rows[t->used++] = *answer;
	*slot = t->used;
}

static int grow(struct answers *t)
{
	struct answers larger = { .room = ROOM_MIN };
	uint32_t kept = 0;

	for (uint32_t i = 0; i < t->used; i++)
		kept += t->rows[i].dst_family != 0;
	while (2 * larger.room < 3 * (kept + 1))
		larger.room *= 2;
	/* Rows that are not there yet are pages that nobody touched. */
	larger.rows = malloc(larger.room * sizeof(*larger.rows));
	larger.slots = calloc(2 * (size_t)larger.room, sizeof(*larger.slots));
	if (!larger.rows || !larger.slots) {
		answers_free(&larger);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < t->used; i++) {
		const struct hm_answer *row = &t->rows[i];

		if (row->dst_family != 0)
			append(&larger, row, slot_of(&larger, row->family, row->addr));
	}
	answers_free(t);
	*t = larger;
	return 0;
}

int answers_put(struct answers *t, const struct hm_answer *answer)
{
	uint32_t *slot;

	if (t->used == t->room) {
		int rc = grow(t);

		if (rc < 0)
			return rc;
	}
	slot = slot_of(t, answer->family, answer->addr);
	if (*slot != 0)
		t->rows[*slot - 1] = *answer;
	else if (answer->dst_family != 0)
		append(t, answer, slot);
	return 0;
}

const struct hm_answer *answers_find(const struct answers *t, uint8_t family, const uint8_t *addr)
{
	uint32_t number = t->room == 0 ? 0 : *slot_of(t, family, addr);

	return number != 0 && t->rows[number - 1].dst_family != 0 ? &t->rows[number - 1] : NULL;
}

void answers_free(struct answers *t)
{
	free(t->rows);
	free(t->slots);
	*t = (struct answers){ 0 };
}
