/*
 * Replays inputs through every parser of the packet path, under the sanitizers. Theory of
 * operation: the first byte of an input chooses the function, the rest is its input; with `-m N
 * SEED` each file is also replayed N times with random changes, so the replayer is a small fuzzer
 * by itself. It says how many inputs ran; the sanitizers end the program on the first fault.
 *
 *   replay [-m N SEED] FILE...
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../pure.h"

#define INPUT_MAX 70000u
#define OUTPUT_MAX (4u << 20)

/**
 * struct run - one run of the program
 * @out: where functions write
 * @random: xorshift state
 * @inputs: how many ran
 */
struct run {
	uint8_t *out;
	uint64_t random;
	uint64_t inputs;
};

static uint32_t next_random(struct run *r)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return (uint32_t)(r->random >> 16);
}

static void lpm_input(const uint8_t *in, uint32_t length, struct run *r)
{
	uint32_t count = length / sizeof(struct hp_prefix);
	struct hp_prefix *prefixes = calloc(count + 1, sizeof(*prefixes));
	uint32_t answer;

	if (!prefixes)
		return;
	memcpy(prefixes, in, count * sizeof(*prefixes));
	if (length >= 17)
		(void)hpt_lpm(prefixes, count, in, 1, &answer);
	free(prefixes);
	(void)r;
}

static void one(const uint8_t *in, uint32_t length, struct run *r)
{
	if (length < 1)
		return;
	r->inputs++;
	switch (in[0] % 8) {
	case 0:
		(void)hpt_segment(in + 1, length - 1, r->out, OUTPUT_MAX);
		break;
	case 1:
		(void)hpt_finish(in + 1, length - 1, r->out, OUTPUT_MAX);
		break;
	case 2:
		(void)hpt_coalesce(in + 1, length - 1, r->out, OUTPUT_MAX);
		break;
	case 3:
	case 4:
	case 5:
		(void)hpt_icmp(in + 1, length - 1, in[0] % 8 - 3u, 1400, r->out, OUTPUT_MAX);
		break;
	case 6:
		(void)hpt_ttl(in + 1, length - 1, r->out, OUTPUT_MAX);
		break;
	default:
		lpm_input(in + 1, length - 1, r);
	}
}

/* Bytes set, bits flipped, the end cut off: what breaks parsers of headers. */
static uint32_t mutate(uint8_t *data, uint32_t length, struct run *r)
{
	uint32_t changes = 1 + next_random(r) % 4;

	for (uint32_t i = 0; i < changes && length > 1; i++) {
		/* Mostly near the front, where the headers are */
		uint32_t at = next_random(r) % (next_random(r) % 2 && length > 80 ? 80 : length);

		switch (next_random(r) % 4) {
		case 0:
			data[at] = (uint8_t)next_random(r);
			break;
		case 1:
			data[at] = (uint8_t)(data[at] ^ 1u << next_random(r) % 8);
			break;
		case 2:
			data[at] = next_random(r) % 2 ? 0xff : 0;
			break;
		default:
			length = 1 + next_random(r) % length;
		}
	}
	return length;
}

static int file(const char *path, uint64_t mutations, struct run *r)
{
	uint8_t *data = malloc(INPUT_MAX), *copy = malloc(INPUT_MAX);
	FILE *f = fopen(path, "rb");
	int rc = 1;

	if (data && copy && f) {
		uint32_t length = (uint32_t)fread(data, 1, INPUT_MAX, f);

		one(data, length, r);
		for (uint64_t i = 0; i < mutations && length > 0; i++) {
			memcpy(copy, data, length);
			one(copy, mutate(copy, length, r), r);
		}
		rc = 0;
	} else {
		fprintf(stderr, "replay: cannot read %s\n", path);
	}
	if (f)
		fclose(f);
	free(data);
	free(copy);
	return rc;
}

int main(int argc, char **argv)
{
	struct run r = { .out = malloc(OUTPUT_MAX), .random = 88172645463325252u };
	uint64_t mutations = 0;
	int first = 1, rc = 0;

	if (!r.out)
		return 1;
	if (argc > 3 && strcmp(argv[1], "-m") == 0) {
		mutations = strtoull(argv[2], NULL, 10);
		r.random ^= strtoull(argv[3], NULL, 10) << 20;
		first = 4;
	}
	for (int i = first; i < argc; i++)
		rc |= file(argv[i], mutations, &r);
	printf("%llu inputs\n", (unsigned long long)r.inputs);
	free(r.out);
	return rc;
}
