/*
 * Shared by the files of the answering thread: answers.c is the table, by address in a hash table
 * that only grows; question.c the messages; hearing.c the sockets; budget.c what strangers may
 * cost; answer.c the thread.
 */
#ifndef HEDDLE_ANSWERER_H
#define HEDDLE_ANSWERER_H

#include <stdbool.h>
#include <stddef.h>

#include "answer.h"

/**
 * struct answers - prepared answers, with linear probing
 * @rows: one of dst_family 0 was taken out
 * @slots: numbers of rows from 1 on, 0 where free; twice as many as there is room for rows
 * @room: for so many rows, a power of two
 * @used: rows
 */
struct answers {
	struct hm_answer *rows;
	uint32_t *slots;
	uint32_t room;
	uint32_t used;
};

int answers_put(struct answers *t, const struct hm_answer *answer);
/** NULL when there is none. */
const struct hm_answer *answers_find(const struct answers *t, uint8_t family, const uint8_t *addr);
void answers_free(struct answers *t);

/**
 * struct budget - what questions cost that are not in the table
 * @until: end of the window
 * @spent: in it, of CPU time
 * @passed_on: in it, to the control thread
 */
struct budget {
	uint64_t until, spent;
	uint32_t passed_on;
};

bool budget_spend(struct budget *b, uint64_t now, uint64_t ns);
uint32_t budget_pass_on(struct budget *b, uint64_t now);
int budget_wait_ms(const struct budget *b, uint64_t now);

/* hearing.c */
int netlink_open(uint32_t *port);
int questions_open(uint32_t receive_buffer);

/** Two requests with all their attributes. */
#define ANSWER_MAX 256u

/** Fills ANSWER_MAX bytes at @into, aligned for nlmsghdr; @mark is of the neighbour. */
size_t answer_encode(uint8_t *into, const struct hm_answer *answer, uint32_t index, uint8_t mark);
/** The next question of a datagram from *at on, which is moved behind it; false at the end. */
bool question_next(const uint8_t *from, size_t length, size_t *at, struct hm_record *record);

#endif
