/*
 * The pure parts of the packet path as functions over flat buffers, in the test libraries only. A
 * list of packets is a series of [u32 length][bytes]; a packet from or for the device starts with
 * its vnet header. Inputs are copied to blocks of their exact size first, so that the sanitizer
 * sees any read beyond them.
 */
#ifndef HEDDLE_PURE_H
#define HEDDLE_PURE_H

#include "answer.h"

HP_API int hpt_checksum(const uint8_t *in, uint32_t length);
HP_API int hpt_segment(const uint8_t *in, uint32_t length, uint8_t *out, uint32_t capacity);
HP_API int hpt_finish(const uint8_t *in, uint32_t length, uint8_t *out, uint32_t capacity);
HP_API int hpt_coalesce(const uint8_t *in, uint32_t length, uint8_t *out, uint32_t capacity);
HP_API int hpt_lpm(const struct hp_prefix *prefixes, uint32_t count, const uint8_t *addresses,
		   uint32_t address_count, uint32_t *answers);
/** What the table of prepared answers has for each address, zeros for nothing. */
HP_API int hpt_answers(const struct hm_answer *answers, uint32_t count, const uint8_t *addresses,
		       uint32_t address_count, struct hm_answer *into);
/** The questions of a datagram; returns how many there are. */
HP_API int hpt_questions(const uint8_t *in, uint32_t length, struct hm_record *into,
			 uint32_t capacity);
HP_API int hpt_icmp(const uint8_t *in, uint32_t length, uint32_t kind, uint32_t mtu, uint8_t *out,
		    uint32_t capacity);
HP_API int hpt_ttl(const uint8_t *in, uint32_t length, uint8_t *out, uint32_t capacity);

#endif
