/*
 * See pure.h. Theory of operation: each function is the glue that tx.c or rx.c has around a pure
 * part, with lists in and out instead of descriptors.
 */
#include "pure.h"

#include <errno.h>
#include <stdlib.h>

#include "answerer.h"
#include "internal.h"

/**
 * struct list - packets being appended to a flat buffer
 */
struct list {
	uint8_t *at;
	uint32_t room;
	int count;
};

static int list_add(struct list *l, const struct iovec *iov, uint32_t n)
{
	uint32_t length = 0;

	for (uint32_t i = 0; i < n; i++)
		length += (uint32_t)iov[i].iov_len;
	if (l->room < 4 || l->room - 4 < length)
		return -ENOBUFS;
	memcpy(l->at, &length, 4);
	l->at += 4;
	for (uint32_t i = 0; i < n; i++) {
		memcpy(l->at, iov[i].iov_base, iov[i].iov_len);
		l->at += iov[i].iov_len;
	}
	l->room -= length + 4;
	l->count++;
	return 0;
}

static uint8_t *exact(const uint8_t *in, uint32_t length)
{
	uint8_t *copy = malloc(length > 0 ? length : 1);

	if (copy && length > 0)
		memcpy(copy, in, length);
	return copy;
}

int hpt_checksum(const uint8_t *in, uint32_t length)
{
	uint8_t *p = exact(in, length);
	int sum;

	if (!p)
		return -ENOMEM;
	sum = csum_fold(csum_add(p, length, 0));
	free(p);
	return sum;
}

static int segment_all(uint8_t *p, uint32_t length, const struct virtio_net_hdr *vnet,
		       struct list *out)
{
	struct segments s = { .capacity = SEGMENTS_MAX };
	struct packet packet;
	int rc = packet_parse(p, length, &packet);

	if (rc < 0)
		return rc;
	s.headers = malloc((size_t)SEGMENTS_MAX * HEADER_MAX);
	s.iov = malloc(2 * SEGMENTS_MAX * sizeof(*s.iov));
	rc = s.headers && s.iov ? segment(p, &packet, vnet, &s) : -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < s.count; i++)
		rc = list_add(out, &s.iov[2 * (size_t)i], 2);
	free(s.headers);
	free(s.iov);
	return rc;
}

int hpt_segment(const uint8_t *in, uint32_t length, uint8_t *out, uint32_t capacity)
{
	struct list list = { .at = out, .room = capacity };
	struct virtio_net_hdr vnet;
	uint8_t *p;
	int rc;

	if (length < VNET_SIZE)
		return -EINVAL;
	memcpy(&vnet, in, VNET_SIZE);
	p = exact(in + VNET_SIZE, length - (uint32_t)VNET_SIZE);
	if (!p)
		return -ENOMEM;
	rc = segment_all(p, length - (uint32_t)VNET_SIZE, &vnet, &list);
	free(p);
	return rc < 0 ? rc : list.count;
}

/** Input with vnet header, output the packet with its checksum completed. */
int hpt_finish(const uint8_t *in, uint32_t length, uint8_t *out, uint32_t capacity)
{
	struct list list = { .at = out, .room = capacity };
	struct virtio_net_hdr vnet;
	struct packet packet;
	uint8_t *p;
	int rc;

	if (length < VNET_SIZE)
		return -EINVAL;
	memcpy(&vnet, in, VNET_SIZE);
	length -= (uint32_t)VNET_SIZE;
	p = exact(in + VNET_SIZE, length);
	if (!p)
		return -ENOMEM;
	rc = packet_parse(p, length, &packet);
	if (rc == 0)
		rc = finish_checksum(p, packet.total, &vnet);
	if (rc == 0)
		rc = list_add(&list, &(struct iovec){ .iov_base = p, .iov_len = packet.total }, 1);
	free(p);
	return rc < 0 ? rc : list.count;
}

static int coalesce_all(struct coalescer *c, uint8_t **copies, const uint8_t *in, uint32_t length)
{
	uint32_t at = 0, size;

	coalesce_reset(c);
	for (uint32_t n = 0; at + 4 <= length && n < BATCH_PACKETS_MAX; n++) {
		struct packet packet;

		memcpy(&size, in + at, 4);
		at += 4;
		if (size > length - at)
			return -EINVAL;
		copies[n] = exact(in + at, size);
		at += size;
		if (!copies[n])
			return -ENOMEM;
		/* As rx.c: what does not parse never gets to the coalescer */
		if (packet_parse(copies[n], size, &packet) < 0 ||
		    !packet_header_good(copies[n], &packet))
			continue;
		coalesce_push(c, copies[n], &packet, false);
	}
	return 0;
}

static int group_add(const struct coalescer *c, const struct group *g, struct list *list)
{
	struct iovec *iov = calloc(g->count + 2, sizeof(*iov));
	uint8_t header[HEADER_MAX];
	struct virtio_net_hdr vnet;
	uint32_t length, n = 0;
	int rc;

	if (!iov)
		return -ENOMEM;
	length = coalesce_header(c, g, header, &vnet);
	iov[n++] = (struct iovec){ .iov_base = &vnet, .iov_len = VNET_SIZE };
	iov[n++] = (struct iovec){ .iov_base = header, .iov_len = length };
	for (uint32_t i = g->first; i != PIECE_END; i = c->pieces[i].next)
		iov[n++] = (struct iovec){ .iov_base = c->pieces[i].data + length,
					   .iov_len = c->pieces[i].length - length };
	rc = list_add(list, iov, n);
	free(iov);
	return rc;
}

int hpt_coalesce(const uint8_t *in, uint32_t length, uint8_t *out, uint32_t capacity)
{
	struct list list = { .at = out, .room = capacity };
	struct coalescer c = { .tcp = true, .udp = true };
	uint8_t **copies = calloc(BATCH_PACKETS_MAX, sizeof(*copies));
	int rc = -ENOMEM;

	c.pieces = calloc(BATCH_PACKETS_MAX, sizeof(*c.pieces));
	c.groups = calloc(BATCH_PACKETS_MAX, sizeof(*c.groups));
	if (copies && c.pieces && c.groups)
		rc = coalesce_all(&c, copies, in, length);
	for (uint32_t i = 0; rc == 0 && i < c.group_count; i++)
		rc = group_add(&c, &c.groups[i], &list);
	for (uint32_t i = 0; copies && i < BATCH_PACKETS_MAX; i++)
		free(copies[i]);
	free(copies);
	free(c.pieces);
	free(c.groups);
	return rc < 0 ? rc : list.count;
}

/** Addresses are 17 bytes each: family, then 16 bytes. */
int hpt_lpm(const struct hp_prefix *prefixes, uint32_t count, const uint8_t *addresses,
	    uint32_t address_count, uint32_t *answers)
{
	struct lpm *lpm;
	int rc = lpm_build(prefixes, count, &lpm);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < address_count; i++)
		answers[i] = lpm_find(lpm, addresses[17 * i], addresses + 17 * i + 1);
	lpm_free(lpm);
	return 0;
}

int hpt_answers(const struct hm_answer *answers, uint32_t count, const uint8_t *addresses,
		uint32_t address_count, struct hm_answer *into)
{
	struct answers table = { 0 };
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = answers_put(&table, &answers[i]);
	for (uint32_t i = 0; rc == 0 && i < address_count; i++) {
		const uint8_t *address = addresses + 17 * i;
		const struct hm_answer *found = answers_find(&table, address[0], address + 1);

		into[i] = found ? *found : (struct hm_answer){ 0 };
		if (found && found->dst_family == 0)
			rc = -EINVAL;
	}
	answers_free(&table);
	return rc;
}

int hpt_questions(const uint8_t *in, uint32_t length, struct hm_record *into, uint32_t capacity)
{
	uint8_t *copy = exact(in, length);
	size_t at = 0;
	uint32_t count = 0;

	if (!copy)
		return -ENOMEM;
	while (count < capacity && question_next(copy, length, &at, &into[count]))
		count++;
	free(copy);
	return (int)count;
}

int hpt_icmp(const uint8_t *in, uint32_t length, uint32_t kind, uint32_t mtu, uint8_t *out,
	     uint32_t capacity)
{
	static const uint8_t own[16] = { 10, 5, 1, 0 };
	struct packet packet;
	uint8_t *p;
	int rc;

	if (kind > ICMP_TOO_BIG_KIND || capacity < ICMP_ERROR_MAX)
		return -EINVAL;
	p = exact(in, length);
	if (!p)
		return -ENOMEM;
	rc = packet_parse(p, length, &packet);
	if (rc == 0)
		rc = (int)icmp_error(p, &packet, (enum icmp_kind)kind, mtu, own, out);
	free(p);
	return rc;
}

int hpt_ttl(const uint8_t *in, uint32_t length, uint8_t *out, uint32_t capacity)
{
	struct packet packet;
	int rc;

	if (capacity < length)
		return -ENOBUFS;
	memcpy(out, in, length);
	rc = packet_parse(out, length, &packet);
	if (rc < 0)
		return rc;
	if (packet.ttl == 0)
		return -EINVAL;
	packet_decrement_ttl(out, &packet);
	return (int)length;
}
