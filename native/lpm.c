/*
 * Longest prefix match. Theory of operation: prefixes are nested or disjoint, so the table can be
 * flattened once, when peers change, into sorted ranges that do not overlap, each with its
 * answer. A look-up is then one binary search: 15 steps for 10 000 prefixes, without pointers to
 * chase. IPv4 and IPv6 are two arrays; an IPv4 address is compared as a 32-bit number.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

typedef unsigned __int128 key;

/**
 * struct lpm - two sorted arrays; range i reaches from start i to the next start
 * @start4: first address of the range
 * @start6: first address of the range
 * @answer4: peer index, HP_OWN or LPM_NONE
 * @answer6: peer index, HP_OWN or LPM_NONE
 */
struct lpm {
	uint32_t count4, count6;
	uint32_t *start4, *answer4;
	key *start6;
	uint32_t *answer6;
};

/**
 * struct span - a prefix as numbers
 * @from: first address
 * @to: last address
 * @order: position in the input; a later row wins over an equal earlier one
 */
struct span {
	key from, to;
	uint32_t answer, order;
};

static key key_of(const uint8_t *address, uint8_t family)
{
	key value = 0;

	for (unsigned int i = 0; i < (family == 4 ? 4u : 16u); i++)
		value = value << 8 | address[i];
	return value;
}

/* Outer prefixes before inner ones, so that a stack of open prefixes is enough. */
static int by_start(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	if (x->to != y->to)
		return x->to > y->to ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/**
 * struct ranges - the flattened table while it grows
 */
struct ranges {
	key *start;
	uint32_t *answer;
	uint32_t count;
};

/* A range that starts where the last one starts replaces it; equal neighbours become one. */
static void range_add(struct ranges *r, key start, uint32_t answer)
{
	if (r->count > 0 && r->start[r->count - 1] == start)
		r->count--;
	if (r->count > 0 && r->answer[r->count - 1] == answer)
		return;
	r->start[r->count] = start;
	r->answer[r->count++] = answer;
}

/* @stack holds the open prefixes, outermost first; @last is the greatest address of the family. */
static void flatten(const struct span *spans, uint32_t count, uint32_t *stack, key last,
		    struct ranges *r)
{
	uint32_t depth = 0;

	range_add(r, 0, LPM_NONE);
	for (uint32_t i = 0; i <= count; i++) {
		while (depth > 0 && (i == count || spans[stack[depth - 1]].to < spans[i].from)) {
			const struct span *closed = &spans[stack[--depth]];

			if (closed->to != last)
				range_add(r, closed->to + 1,
					  depth > 0 ? spans[stack[depth - 1]].answer : LPM_NONE);
		}
		if (i < count) {
			range_add(r, spans[i].from, spans[i].answer);
			stack[depth++] = i;
		}
	}
}

static int spans_of(const struct hp_prefix *prefixes, uint32_t count, uint8_t family,
		    struct span *spans, uint32_t *found)
{
	unsigned int bits = family == 4 ? 32 : 128;
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct hp_prefix *p = &prefixes[i];
		key size;

		if (p->family != 4 && p->family != 6)
			return -EINVAL;
		if (p->family != family)
			continue;
		if (p->length > bits)
			return -EINVAL;
		/* All ones below the prefix; a shift by 128 is not defined */
		size = p->length == 0 ? ~(key)0 >> (128 - bits) :
					((key)1 << (bits - p->length)) - 1;
		spans[n] = (struct span){ .from = key_of(p->addr, family), .answer = p->peer,
					  .order = i };
		if ((spans[n].from & size) != 0)
			return -EINVAL;
		spans[n].to = spans[n].from | size;
		n++;
	}
	*found = n;
	return 0;
}

static int build_family(struct lpm *lpm, const struct hp_prefix *prefixes, uint32_t count,
			uint8_t family)
{
	size_t room = 2 * (size_t)count + 2;
	struct span *spans = calloc(room, sizeof(*spans));
	uint32_t *stack = calloc(room, sizeof(*stack));
	struct ranges r = { .start = calloc(room, sizeof(key)), .answer = calloc(room, 4) };
	uint32_t found = 0;
	int rc = -ENOMEM;

	if (!spans || !stack || !r.start || !r.answer)
		goto out;
	rc = spans_of(prefixes, count, family, spans, &found);
	if (rc < 0)
		goto out;
	qsort(spans, found, sizeof(*spans), by_start);
	flatten(spans, found, stack, family == 4 ? UINT32_MAX : ~(key)0, &r);
	if (family == 4) {
		lpm->start4 = calloc(room, sizeof(uint32_t));
		if (!lpm->start4) {
			rc = -ENOMEM;
			goto out;
		}
		for (uint32_t i = 0; i < r.count; i++)
			lpm->start4[i] = (uint32_t)r.start[i];
		lpm->answer4 = r.answer;
		lpm->count4 = r.count;
	} else {
		lpm->start6 = r.start;
		lpm->answer6 = r.answer;
		lpm->count6 = r.count;
		r.start = NULL;
	}
	r.answer = NULL;
out:
	free(spans);
	free(stack);
	free(r.start);
	free(r.answer);
	return rc;
}

int lpm_build(const struct hp_prefix *prefixes, uint32_t count, struct lpm **out)
{
	struct lpm *lpm = calloc(1, sizeof(*lpm));
	int rc;

	if (!lpm)
		return -ENOMEM;
	rc = build_family(lpm, prefixes, count, 4);
	if (rc == 0)
		rc = build_family(lpm, prefixes, count, 6);
	if (rc < 0) {
		lpm_free(lpm);
		return rc;
	}
	*out = lpm;
	return 0;
}

uint32_t lpm_find(const struct lpm *lpm, uint8_t family, const uint8_t *address)
{
	uint32_t low = 0, high;

	if (family == 4) {
		uint32_t wanted = get32(address);

		/* Invariant: start[low] <= wanted < start[high]; start[0] is 0 */
		for (high = lpm->count4; high - low > 1;) {
			uint32_t middle = (low + high) / 2;

			if (lpm->start4[middle] <= wanted)
				low = middle;
			else
				high = middle;
		}
		return lpm->answer4[low];
	}
	key wanted = key_of(address, 6);

	for (high = lpm->count6; high - low > 1;) {
		uint32_t middle = (low + high) / 2;

		if (lpm->start6[middle] <= wanted)
			low = middle;
		else
			high = middle;
	}
	return lpm->answer6[low];
}

void lpm_free(struct lpm *lpm)
{
	if (!lpm)
		return;
	free(lpm->start4);
	free(lpm->answer4);
	free(lpm->start6);
	free(lpm->answer6);
	free(lpm);
}
