/*
 * The messages of the answering thread: the kernel's question (neigh_app_ns in
 * net/core/neighbour.c), and the two requests that answer it. Pure: bytes in, bytes out.
 */
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "answerer.h"

static uint8_t *put_attribute(uint8_t *at, uint16_t type, const void *data, uint16_t length)
{
	struct rtattr *attribute = (struct rtattr *)(void *)at;

	attribute->rta_type = type;
	attribute->rta_len = (uint16_t)RTA_LENGTH(length);
	memcpy(RTA_DATA(attribute), data, length);
	return at + RTA_ALIGN(attribute->rta_len);
}

/** Begins a request that sets; its attributes follow where it returns. */
static uint8_t *begin(uint8_t *at, uint32_t sequence, struct ndmsg of)
{
	struct nlmsghdr *header = (struct nlmsghdr *)(void *)at;

	*header = (struct nlmsghdr){
		.nlmsg_type = RTM_NEWNEIGH,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE,
		.nlmsg_seq = sequence,
	};
	memcpy(NLMSG_DATA(header), &of, sizeof(of));
	return at + NLMSG_LENGTH(sizeof(of));
}

static void end(uint8_t *start, const uint8_t *at, uint16_t flags)
{
	struct nlmsghdr *header = (struct nlmsghdr *)(void *)start;

	header->nlmsg_len = (uint32_t)(at - start);
	header->nlmsg_flags |= flags;
}

static uint16_t address_length(uint8_t family)
{
	return family == 4 ? 4 : 16;
}

/* The queued packet leaves as soon as the neighbour is there: by then its way must be known. */
size_t answer_encode(uint8_t *into, const struct hm_answer *answer, uint32_t index, uint8_t mark)
{
	struct ndmsg entry = { .ndm_family = AF_BRIDGE, .ndm_ifindex = (int)index,
			       .ndm_state = NUD_PERMANENT, .ndm_flags = NTF_SELF };
	struct ndmsg neighbour = { .ndm_family = answer->family == 4 ? AF_INET : AF_INET6,
				   .ndm_ifindex = (int)index, .ndm_state = NUD_PERMANENT,
				   .ndm_type = RTN_UNICAST };
	uint8_t *at, *second;

	memset(into, 0, ANSWER_MAX);
	at = begin(into, 1, entry);
	at = put_attribute(at, NDA_LLADDR, answer->mac, sizeof(answer->mac));
	at = put_attribute(at, NDA_DST, answer->dst, address_length(answer->dst_family));
	end(into, at, 0);
	second = at;
	at = begin(second, 2, neighbour);
	at = put_attribute(at, NDA_DST, answer->addr, address_length(answer->family));
	at = put_attribute(at, NDA_LLADDR, answer->mac, sizeof(answer->mac));
	at = put_attribute(at, NDA_PROTOCOL, &mark, sizeof(mark));
	end(second, at, NLM_F_ACK);
	return (size_t)(at - into);
}

/* An L2 miss has the same type without the flag (vxlan_fdb_miss in drivers/net/vxlan). */
static bool decode(const struct nlmsghdr *header, struct hm_record *record)
{
	const struct ndmsg *neighbour = NLMSG_DATA(header);
	const struct rtattr *attribute;
	uint32_t left;

	if (header->nlmsg_type != RTM_GETNEIGH || (header->nlmsg_flags & NLM_F_REQUEST) == 0 ||
	    header->nlmsg_len < NLMSG_LENGTH(sizeof(*neighbour)))
		return false;
	if (neighbour->ndm_family != AF_INET && neighbour->ndm_family != AF_INET6)
		return false;
	*record = (struct hm_record){
		.answer.family = neighbour->ndm_family == AF_INET ? 4 : 6,
		.index = (uint32_t)neighbour->ndm_ifindex,
		.outcome = HM_PASSED_ON,
	};
	attribute = (const struct rtattr *)(const void *)(neighbour + 1);
	left = header->nlmsg_len - (uint32_t)NLMSG_LENGTH(sizeof(*neighbour));
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		uint16_t length = address_length(record->answer.family);

		if (attribute->rta_type != NDA_DST || RTA_PAYLOAD(attribute) != length)
			continue;
		memcpy(record->answer.addr, RTA_DATA(attribute), length);
		return true;
	}
	return false;
}

bool question_next(const uint8_t *from, size_t length, size_t *at, struct hm_record *record)
{
	while (*at + sizeof(struct nlmsghdr) <= length) {
		const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)(from + *at);

		if (header->nlmsg_len < sizeof(*header) || header->nlmsg_len > length - *at)
			return false;
		*at += NLMSG_ALIGN((size_t)header->nlmsg_len);
		if (decode(header, record))
			return true;
	}
	return false;
}
