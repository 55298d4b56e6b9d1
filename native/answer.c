/*
 * The answering thread. Theory of operation: it sleeps in poll(2) on the socket of questions and an
 * eventfd that ends it. A question is looked up, answered and written down under one lock, so the
 * control thread sees all of it or nothing: whoever dumps the kernel and then takes the records
 * knows of every entry in the dump. The lock lends its holder the thread's priority; without that
 * an ordinary process could keep the control thread, and with it the answers, from running.
 *
 * It runs before ordinary threads where that is allowed: beside programs that never rest an
 * ordinary thread waits for tens of milliseconds. What it does per question is bounded, and the
 * kernel leaves others a twentieth of each second in any case (sched_rt_runtime_us).
 */
#include <errno.h>
#include <linux/filter.h>
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
#define PASSED_ON_MAX (RECORDS_MAX / 2)
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
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
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

static void note(struct hm_answerer *a, const struct hm_record *record)
{
	uint32_t max = record->outcome == HM_PASSED_ON ? PASSED_ON_MAX : RECORDS_MAX;

	if (a->count >= max) {
		a->lost = true;
		return;
	}
	a->records[(a->first + a->count) % RECORDS_MAX] = *record;
	a->count++;
}

static void answer_one(struct hm_answerer *a, struct hm_record *record, uint64_t arrived)
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
	note(a, record);
	pthread_mutex_unlock(&a->lock);
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

/** All that is queued, the control thread told after each. */
static void hear(struct hm_answerer *a)
{
	_Alignas(struct nlmsghdr) uint8_t from[QUESTION_MAX];

	for (;;) {
		ssize_t got = recv(a->questions, from, sizeof(from), MSG_DONTWAIT);
		uint64_t arrived = now_ns();
		struct hm_record record;
		size_t at = 0;

		if (got < 0 && errno != ENOBUFS)
			return;
		/* The socket goes on after an overrun; what was lost is found in the kernel */
		if (got < 0)
			gap(a);
		while (got > 0 && question_next(from, (size_t)got, &at, &record))
			answer_one(a, &record, arrived);
		tell(a);
	}
}

static void *answerer_main(void *argument)
{
	struct hm_answerer *a = argument;
	struct pollfd wait[2] = {
		{ .fd = a->questions, .events = POLLIN },
		{ .fd = a->stop, .events = POLLIN },
	};

	for (;;) {
		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (wait[1].revents != 0)
			return NULL;
		if (wait[0].revents != 0)
			hear(a);
	}
}

static int netlink_open(uint32_t *port)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	socklen_t length = sizeof(address);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int rc;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)(void *)&address, sizeof(address)) < 0 ||
	    getsockname(fd, (struct sockaddr *)(void *)&address, &length) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	*port = address.nl_pid;
	return fd;
}

/* The thousands of notifications that our own changes cause neither wake it nor fill its buffer. */
static int questions_open(uint32_t receive_buffer)
{
	struct sock_filter only_questions[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __builtin_bswap16(RTM_GETNEIGH), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = 4, .filter = only_questions };
	int size = (int)receive_buffer, group = RTNLGRP_NEIGH, rc;
	uint32_t port;
	int fd = netlink_open(&port);

	if (fd < 0)
		return fd;
	/* Without the privilege the default holds some hundred questions */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0 &&
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
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
	rc = pthread_create(&a->thread, NULL, answerer_main, a);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return -rc;
	a->started = true;
	(void)pthread_setname_np(a->thread, "heddle-answer");
	status->realtime = pthread_setschedparam(a->thread, SCHED_FIFO, &priority) == 0;
	return 0;
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
