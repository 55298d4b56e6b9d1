/*
 * A bad underlay. Theory of operation: two devices of a namespace are joined frame by frame
 * (AF_PACKET); frames that carry UDP are lost, doubled, held back behind later ones, damaged by
 * one bit, or swallowed for their size, as a seeded generator says; all others pass. SIGTERM
 * releases what is held back and prints, for each direction, what became of the UDP frames.
 *
 *   adversary DEVICE DEVICE SEED LOSS DOUBLE LATE DAMAGE MTU
 *
 * Rates are in frames of 1000; MTU is the greatest IP packet that passes, 0 for all.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#define FRAME_MAX 2048
#define HELD_MAX 64
/** A frame that is late comes after this many others at most. */
#define LATE_MAX 12
/** Without traffic behind it, it comes after this long. */
#define IDLE_MS 3

struct held {
	uint8_t frame[FRAME_MAX];
	size_t length;
	unsigned int after;
};

struct counts {
	unsigned long seen, lost, doubled, late, damaged, big, passed;
};

struct side {
	int in, out;
	struct held held[HELD_MAX];
	unsigned int held_count;
	struct counts counts;
};

struct rates {
	unsigned int loss, twice, late, damage, mtu;
};

static volatile sig_atomic_t stopping;
static uint64_t state;

static void on_signal(int number)
{
	(void)number;
	stopping = 1;
}

/* splitmix64 */
static uint64_t random_next(void)
{
	uint64_t x = state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static bool chance(unsigned int of_thousand)
{
	return random_next() % 1000 < of_thousand;
}

static int open_device(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(name) };
	struct packet_mreq all = { .mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1, buffer = 32 << 20;

	if (fd < 0 || at.sll_ifindex == 0)
		return -1;
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	return bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ? -1 : fd;
}

static void put(struct side *side, const uint8_t *frame, size_t length)
{
	/* What a full queue refuses is tried again: loss is for the generator to say */
	while (send(side->out, frame, length, 0) < 0 && errno == ENOBUFS)
		poll(NULL, 0, 1);
	side->counts.passed++;
}

/* Where the IP packet's own payload starts, or 0 for what is no UDP. */
static size_t udp_at(const uint8_t *frame, size_t length)
{
	if (length < ETH_HLEN + 40)
		return 0;
	if (frame[12] == 0x08 && frame[13] == 0x00 && frame[ETH_HLEN + 9] == IPPROTO_UDP)
		return ETH_HLEN + 20;
	if (frame[12] == 0x86 && frame[13] == 0xdd && frame[ETH_HLEN + 6] == IPPROTO_UDP)
		return ETH_HLEN + 40;
	return 0;
}

static void release(struct side *side, bool all)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < side->held_count; i++) {
		struct held *h = &side->held[i];

		if (all || --h->after == 0)
			put(side, h->frame, h->length);
		else if (kept++ != i)
			side->held[kept - 1] = *h;
	}
	side->held_count = kept;
}

static void hold(struct side *side, const uint8_t *frame, size_t length)
{
	struct held *h = &side->held[side->held_count++];

	memcpy(h->frame, frame, length);
	h->length = length;
	h->after = 2 + (unsigned int)(random_next() % (LATE_MAX - 1));
	side->counts.late++;
}

static void relay(struct side *side, const struct rates *rates, uint8_t *frame, size_t length)
{
	size_t udp = udp_at(frame, length);

	if (udp == 0) {
		(void)!send(side->out, frame, length, 0);
		return;
	}
	side->counts.seen++;
	if (rates->mtu > 0 && length - ETH_HLEN > rates->mtu) {
		side->counts.big++;
		return;
	}
	if (chance(rates->loss)) {
		side->counts.lost++;
		return;
	}
	if (chance(rates->damage)) {
		/* IPv4 guards its header, IPv6 does not: there a packet could turn into another's */
		size_t from = udp == ETH_HLEN + 20 ? ETH_HLEN : udp;
		uint64_t bit = random_next() % ((length - from) * 8);

		frame[from + bit / 8] ^= (uint8_t)(1u << (bit & 7));
		side->counts.damaged++;
	}
	bool twice = chance(rates->twice);

	if (twice)
		side->counts.doubled++;
	if (chance(rates->late) && side->held_count < HELD_MAX)
		hold(side, frame, length);
	else
		put(side, frame, length);
	if (twice)
		put(side, frame, length);
	release(side, false);
}

static void report(const struct counts *c)
{
	printf("{\"seen\":%lu,\"lost\":%lu,\"doubled\":%lu,\"late\":%lu,\"damaged\":%lu,"
	       "\"big\":%lu,\"passed\":%lu}",
	       c->seen, c->lost, c->doubled, c->late, c->damaged, c->big, c->passed);
}

int main(int argc, char **argv)
{
	static struct side sides[2];
	static uint8_t frame[65536];
	struct sigaction action = { .sa_handler = on_signal };
	struct rates rates;

	if (argc != 9)
		return 2;
	int first = open_device(argv[1]), second = open_device(argv[2]);

	if (first < 0 || second < 0)
		return 1;
	sides[0].in = sides[1].out = first;
	sides[0].out = sides[1].in = second;
	state = strtoull(argv[3], NULL, 10);
	rates = (struct rates){ (unsigned int)atoi(argv[4]), (unsigned int)atoi(argv[5]),
				(unsigned int)atoi(argv[6]), (unsigned int)atoi(argv[7]),
				(unsigned int)atoi(argv[8]) };
	sigaction(SIGTERM, &action, NULL);
	printf("ready\n");
	fflush(stdout);
	while (!stopping) {
		struct pollfd wait[2] = { { .fd = first, .events = POLLIN },
					  { .fd = second, .events = POLLIN } };
		int ready = poll(wait, 2, IDLE_MS);

		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (ready == 0)
				release(&sides[i], true);
			for (int more = 64; more > 0; more--) {
				n = recv(sides[i].in, frame, sizeof(frame), MSG_DONTWAIT);
				if (n < 0)
					break;
				if (n <= FRAME_MAX)
					relay(&sides[i], &rates, frame, (size_t)n);
			}
		}
	}
	printf("[");
	for (int i = 0; i < 2; i++) {
		release(&sides[i], true);
		printf("%s", i > 0 ? "," : "");
		report(&sides[i].counts);
	}
	printf("]\n");
	return 0;
}
