/*
 * The ABI's calls about the programs in the kernel, none of which is ever a reason to fail.
 */
#include "bpf.h"
#include "worker.h"

/**
 * Attaches the programs in the kernel. Apart from hp_open because each attachment waits for the
 * kernel (RCU, 10 ms): the workers carry meanwhile. Never a reason to fail: without it the workers
 * do everything.
 */
int hp_accelerate(struct hp_tunnel *t)
{
	uint32_t wanted = atomic_load(&t->features), features = wanted;
	int32_t errors[16] = { 0 };

	fastpath_attach(&t->fast, &t->filter, &t->config, &features, errors);
	atomic_fetch_and(&t->features, ~(wanted & ~features));
	for (size_t i = 0; i < 16; i++) {
		if (errors[i] != 0)
			atomic_store(&t->errors[i], errors[i]);
	}
	return 0;
}

int hp_adopted(struct hp_tunnel *t, struct hp_adopted *into, uint32_t capacity)
{
	return fastpath_adopted(&t->fast, into, capacity);
}

int hp_name_slot(struct hp_tunnel *t, uint32_t slot, const char *name)
{
	return fastpath_name(&t->fast, slot, name);
}

/* Programs with old routes would be worse than none: the workers have the new table already. */
void decelerate(struct hp_tunnel *t, int error)
{
	uint32_t zero = 0;

	/* What stays attached finds no route any more and passes everything */
	(void)bpf_map_delete(t->fast.routes, &zero);
	fastpath_close(&t->fast);
	atomic_store(&t->errors[10], error);
	atomic_store(&t->errors[13], error);
	atomic_fetch_and(&t->features, ~(uint32_t)(HP_F_ENCAP | HP_F_DECAP | HP_F_RESIDENT));
}

int hp_refresh(struct hp_tunnel *t)
{
	int rc = fastpath_refresh(&t->fast);

	if (rc < 0)
		decelerate(t, -rc);
	return 0;
}

static void filter_off(struct hp_tunnel *t, int error)
{
	atomic_store(&t->errors[15], error);
	atomic_fetch_and(&t->features, ~(uint32_t)HP_F_FILTER);
}

void filter_open(struct hp_tunnel *t)
{
	int rc = 0;

	if (atomic_load(&t->features) & HP_F_FILTER)
		rc = filter_prepare(&t->filter);
	if (rc < 0)
		filter_off(t, -rc);
}

/** Before the first start the peers are not all known. */
void filter_update(struct hp_tunnel *t)
{
	int rc = 0;

	if (t->running && (atomic_load(&t->features) & HP_F_FILTER))
		rc = filter_set_peers(&t->filter, &t->config, t->udp, atomic_load(&t->table));
	if (rc < 0)
		filter_off(t, -rc);
}
