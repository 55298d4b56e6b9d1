/*
 * The answering thread. Theory of operation: it sleeps in poll(2) on the socket of questions and an
 * eventfd that ends it. A question is looked up, answered and written down under one lock, so the
 * control thread sees all of it or nothing: whoever dumps the kernel and then takes the records
 * knows of every entry in the dump. The lock lends its holder the thread's priority; without that
 * an ordinary process could keep the control thread, and with it the answers, from running.
 *
 * It runs before ordinary threads where that is allowed: beside programs that never rest an
 * ordinary thread waits for tens of milliseconds. Questions that it can answer are as few as there
 * are peers. A stranger may cause any number of others: when those have taken a tenth of a window
 * of time (budget.c), it is an ordinary thread until the next.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answerer.h"

/** Questions between two turns of the control thread, before they are looked up in the kernel. */
#define RECORDS_MAX 4096u
/** Of these, so many may be about addresses that are not in the table. */
#define STRANGE_MAX (RECORDS_MAX / 2)
/** A question is 68 bytes; the kernel sends one per datagram. */
#define QUESTION_MAX 4096u
/** Acknowledgements without the requests that they are for (NETLINK_CAP_ACK). */
#define REPLY_MAX 512u
/** Above idle and below what an administrator gives a priority on purpose. */
#define PRIORITY 1

/**
 * struct hm_answerer - the thread and what it shares with the control thread
 * @lock: of all below it
 * @serve: device to answer on, for IPv4 and for IPv6; 0 for none
 * @told: the control thread was woken and has not taken the records yet
 * @budget: of the thread alone, with
 * @used: CPU time when it was last looked at
 * @realtime: it may run before ordinary ones
 * @ahead: it does
 */
struct hm_answerer {
	int questions, requests, stop, wake;
	uint32_t protocol;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	struct answers table;
	uint32_t serve[2];
	struct hm_record records[RECORDS_MAX];
	uint32_t first, count;
	bool lost, told;
	struct budget budget;
	uint64_t used;
	bool realtime, ahead;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/** rtnetlink works inside send(2): every reply is there when it returns. 0 or the first errno. */
static int replies(int fd)
{
	_Alignas(struct nlmsghdr) uint8_t from[REPLY_MAX];
	int first = 0;

	for (;;) {
		ssize_t got = recv(fd, from, sizeof(from), MSG_DONTWAIT);
		const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)from;
		const struct nlmsgerr *reply = NLMSG_DATA(header);

		if (got < 0)
			return errno == EAGAIN ? first : errno;
		if ((size_t)got < NLMSG_LENGTH(sizeof(*reply)) || header->nlmsg_type != NLMSG_ERROR)
			continue;
		if (first == 0)
			first = -reply->error;
	}
}

static int give(struct hm_answerer *a, const struct hm_answer *answer, uint32_t index)
{
	_Alignas(struct nlmsghdr) uint8_t out[ANSWER_MAX];
	size_t length = answer_encode(out, answer, index, (uint8_t)a->protocol);

	if (send(a->requests, out, length, 0) < 0)
		return errno;
	return replies(a->requests);
}

static void note(struct hm_answerer *a, const struct hm_record *record, uint64_t arrived)
{
	bool strange = record->outcome == HM_PASSED_ON;
	uint32_t over = strange ? budget_pass_on(&a->budget, arrived) : 0;

	if (over > 0 || a->count >= (strange ? STRANGE_MAX : RECORDS_MAX)) {
		/* The control thread is woken for the first of a window */
		a->lost = a->lost || over <= 1;
		return;
	}
	a->records[(a->first + a->count) % RECORDS_MAX] = *record;
	a->count++;
}

/** Whether it was in the table. */
static bool answer_one(struct hm_answerer *a, struct hm_record *record, uint64_t arrived)
{
	const struct hm_answer *found;
	bool served;

	pthread_mutex_lock(&a->lock);
	served = record->index == a->serve[record->answer.family == 6];
	found = served ? answers_find(&a->table, record->answer.family, record->answer.addr) : NULL;
	if (found) {
		record->answer = *found;
		record->outcome = give(a, found, record->index);
		record->waited_us = (uint32_t)((now_ns() - arrived) / 1000);
	}
	note(a, record, arrived);
	pthread_mutex_unlock(&a->lock);
	return found != NULL;
}

static void tell(struct hm_answerer *a)
{
	bool asleep;

	pthread_mutex_lock(&a->lock);
	asleep = !a->told && (a->count > 0 || a->lost);
	a->told = a->told || asleep;
	pthread_mutex_unlock(&a->lock);
	/* A wake-up that finds no room is not needed: others wait there */
	if (asleep)
		(void)send(a->wake, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void gap(struct hm_answerer *a)
{
	pthread_mutex_lock(&a->lock);
	a->lost = true;
	pthread_mutex_unlock(&a->lock);
}

static void rank(struct hm_answerer *a, bool ahead)
{
	struct sched_param priority = { .sched_priority = ahead ? PRIORITY : 0 };

	if (!a->realtime || ahead == a->ahead)
		return;
	if (pthread_setschedparam(pthread_self(), ahead ? SCHED_FIFO : SCHED_OTHER, &priority) == 0)
		a->ahead = ahead;
}

/* The time to wake up and to look in vain counts too: it is most of it. */
static void spend(struct hm_answerer *a, bool known)
{
	uint64_t used = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	if (!known)
		rank(a, budget_spend(&a->budget, now_ns(), used - a->used));
	a->used = used;
}

/** All that is queued, the control thread told after each. */
static void hear(struct hm_answerer *a)
{
	_Alignas(struct nlmsghdr) uint8_t from[QUESTION_MAX];

	for (;;) {
		ssize_t got = recv(a->questions, from, sizeof(from), MSG_DONTWAIT);
		uint64_t arrived = now_ns();
		bool known = got > 0;
		struct hm_record record;
		size_t at = 0;

		if (got < 0 && errno != ENOBUFS)
			return;
		/* The socket goes on after an overrun; what was lost is found in the kernel */
		if (got < 0)
			gap(a);
		while (got > 0 && question_next(from, (size_t)got, &at, &record))
			known = answer_one(a, &record, arrived) && known;
		tell(a);
		spend(a, known);
	}
}

static void *answerer_main(void *argument)
{
	struct hm_answerer *a = argument;
	struct pollfd wait[2] = {
		{ .fd = a->questions, .events = POLLIN },
		{ .fd = a->stop, .events = POLLIN },
	};

	/* Until it is known whether it comes first */
	pthread_mutex_lock(&a->lock);
	pthread_mutex_unlock(&a->lock);
	for (;;) {
		bool waits = a->realtime && !a->ahead;
		int ready = poll(wait, 2, waits ? budget_wait_ms(&a->budget, now_ns()) : -1);

		if (ready < 0 && errno != EINTR)
			return NULL;
		if (ready == 0)
			rank(a, true);
		if (wait[1].revents != 0)
			return NULL;
		if (wait[0].revents != 0)
			hear(a);
	}
}

static int sockets_open(struct hm_answerer *a, uint32_t receive_buffer, struct hm_status *status)
{
	int pair[2], one = 1;

	a->questions = questions_open(receive_buffer);
	if (a->questions < 0)
		return a->questions;
	a->requests = netlink_open(&status->port);
	if (a->requests < 0)
		return a->requests;
	(void)setsockopt(a->requests, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	a->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->stop < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	a->wake = pair[0];
	status->wake_fd = pair[1];
	return 0;
}

static int lock_make(struct hm_answerer *a)
{
	pthread_mutexattr_t kind;
	int rc = pthread_mutexattr_init(&kind);

	if (rc == 0)
		rc = pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT);
	if (rc == 0)
		rc = pthread_mutex_init(&a->lock, &kind);
	(void)pthread_mutexattr_destroy(&kind);
	return -rc;
}

/* Signals belong to the main program. */
static int thread_start(struct hm_answerer *a, struct hm_status *status)
{
	struct sched_param priority = { .sched_priority = PRIORITY };
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	rc = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (rc != 0)
		return -rc;
	pthread_mutex_lock(&a->lock);
	rc = pthread_create(&a->thread, NULL, answerer_main, a);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0) {
		a->started = true;
		(void)pthread_setname_np(a->thread, "heddle-answer");
		a->realtime = pthread_setschedparam(a->thread, SCHED_FIFO, &priority) == 0;
		a->ahead = a->realtime;
		status->realtime = a->realtime;
	}
	pthread_mutex_unlock(&a->lock);
	return -rc;
}

int hm_open(uint32_t protocol, uint32_t receive_buffer, struct hm_status *status,
	    struct hm_answerer **out)
{
	struct hm_answerer *a = calloc(1, sizeof(*a));
	int rc;

	*status = (struct hm_status){ .wake_fd = -1 };
	if (!a)
		return -ENOMEM;
	a->protocol = protocol;
	a->questions = a->requests = a->stop = a->wake = -1;
	rc = lock_make(a);
	if (rc < 0) {
		free(a);
		return rc;
	}
	rc = sockets_open(a, receive_buffer, status);
	if (rc == 0)
		rc = thread_start(a, status);
	if (rc < 0) {
		if (status->wake_fd >= 0)
			close(status->wake_fd);
		hm_close(a);
		return rc;
	}
	*out = a;
	return 0;
}

int hm_set(struct hm_answerer *a, const struct hm_answer *answers, uint32_t count)
{
	int rc = 0;

	pthread_mutex_lock(&a->lock);
	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		bool sound = answers[i].family == 4 || answers[i].family == 6;

		rc = sound ? answers_put(&a->table, &answers[i]) : -EINVAL;
	}
	pthread_mutex_unlock(&a->lock);
	return rc;
}

int hm_serve(struct hm_answerer *a, uint32_t index4, uint32_t index6)
{
	pthread_mutex_lock(&a->lock);
	a->serve[0] = index4;
	a->serve[1] = index6;
	pthread_mutex_unlock(&a->lock);
	return 0;
}

int hm_take(struct hm_answerer *a, struct hm_record *into, uint32_t capacity, uint32_t *lost)
{
	uint32_t taken = 0;

	pthread_mutex_lock(&a->lock);
	for (; taken < capacity && a->count > 0; taken++) {
		into[taken] = a->records[a->first];
		a->first = (a->first + 1) % RECORDS_MAX;
		a->count--;
	}
	*lost = a->lost;
	a->lost = false;
	a->told = a->count > 0;
	pthread_mutex_unlock(&a->lock);
	return (int)taken;
}

int hm_close(struct hm_answerer *a)
{
	const int fds[] = { a->questions, a->requests, a->stop, a->wake };

	if (a->started) {
		uint64_t one = 1;

		if (write(a->stop, &one, sizeof(one)) < 0)
			return -errno;
		(void)pthread_join(a->thread, NULL);
	}
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	(void)pthread_mutex_destroy(&a->lock);
	answers_free(&a->table);
	free(a);
	return 0;
}

int hm_layout(uint32_t *sizes, uint32_t capacity)
{
	static const uint32_t all[] = { sizeof(struct hm_answer), sizeof(struct hm_record),
					sizeof(struct hm_status) };

	for (uint32_t i = 0; i < capacity && i < sizeof(all) / sizeof(all[0]); i++)
		sizes[i] = all[i];
	return (int)(sizeof(all) / sizeof(all[0]));
}
