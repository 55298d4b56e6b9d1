/*
 * What strangers may cost. Theory of operation: time is cut into windows; what was spent in one is
 * forgotten in the next. Pure: the caller has the clock.
 */
#include "answerer.h"

#define WINDOW_NS 100000000u
/** For how long the thread may run before all ordinary ones: a tenth. */
#define BUDGET_NS (WINDOW_NS / 10)
/** A question costs the event loop some 8 us. */
#define PASSED_ON_MAX 512u

static void roll(struct budget *b, uint64_t now)
{
	if (now < b->until)
		return;
	*b = (struct budget){ .until = now + WINDOW_NS };
}

/** Whether there is some left after @ns more, at the time @now. */
bool budget_spend(struct budget *b, uint64_t now, uint64_t ns)
{
	roll(b, now);
	b->spent += ns;
	return b->spent < BUDGET_NS;
}

/** Counts one more; by how many there are too many now, 0 when it may be passed on. */
uint32_t budget_pass_on(struct budget *b, uint64_t now)
{
	roll(b, now);
	b->passed_on++;
	return b->passed_on > PASSED_ON_MAX ? b->passed_on - PASSED_ON_MAX : 0;
}

/** In how many milliseconds there is some again. */
int budget_wait_ms(const struct budget *b, uint64_t now)
{
	return now >= b->until ? 0 : (int)((b->until - now) / 1000000 + 1);
}
