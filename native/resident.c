/*
 * Programs in the kernel that outlived their process. Theory of operation: a program attached to
 * a device without a link stays there until the device goes or somebody detaches it, and keeps
 * its maps alive. So nothing has to be pinned in a file system: a successor asks the device for
 * its programs, knows ours by name, and reaches the maps through the program. The head map says
 * for which TUN device they were made. Descriptors by number need CAP_SYS_ADMIN; without it
 * programs are attached by links and end with the process.
 */
#include <errno.h>
#include <net/if.h>
#include <unistd.h>

#include "fastpath.h"

#define PROGRAMS_MAX 64u
#define MAPS_MAX 16u

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/** Whether what stays attached could be found again. */
bool resident_allowed(void)
{
	/* No program has this number: any other error means that we may not ask */
	return bpf_by_id(BPF_PROG_GET_FD_BY_ID, UINT32_MAX) == -ENOENT;
}

/* A descriptor of the program's map of this name, or -1. */
static int map_of(int program, const char *name)
{
	struct bpf_prog_info info;
	uint32_t ids[MAPS_MAX];

	memset(&info, 0, sizeof(info));
	info.nr_map_ids = MAPS_MAX;
	info.map_ids = (uintptr_t)ids;
	if (bpf_info(program, &info, sizeof(info)) < 0)
		return -1;
	for (uint32_t i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++) {
		struct bpf_map_info map;
		int fd = bpf_by_id(BPF_MAP_GET_FD_BY_ID, ids[i]);

		memset(&map, 0, sizeof(map));
		if (fd >= 0 && bpf_info(fd, &map, sizeof(map)) == 0 && strcmp(map.name, name) == 0)
			return fd;
		close_fd(&fd);
	}
	return -1;
}

static bool head_of(int program, struct fast_head *head)
{
	uint32_t zero = 0;
	int fd = map_of(program, NAME_HEAD);
	bool found = fd >= 0 && bpf_map_lookup(fd, &zero, head) == 0;

	close_fd(&fd);
	return found;
}

/* For this TUN device, or for one that is no more. */
static bool is_for(int program, unsigned int device)
{
	struct fast_head head;
	char name[IF_NAMESIZE];

	return head_of(program, &head) &&
	       (head.device == device || !if_indextoname(head.device, name));
}

/** A descriptor of our program at @at, or -1. */
int resident_find(unsigned int at, uint32_t type, unsigned int device)
{
	const char *name = type == ATTACH_TCX_EGRESS ? NAME_SENDER : NAME_RECEIVER;
	uint32_t ids[PROGRAMS_MAX];
	int count = bpf_attached(at, type, ids, PROGRAMS_MAX);

	for (int i = 0; i < count; i++) {
		struct bpf_prog_info info;
		int fd = bpf_by_id(BPF_PROG_GET_FD_BY_ID, ids[i]);

		memset(&info, 0, sizeof(info));
		if (fd >= 0 && bpf_info(fd, &info, sizeof(info)) == 0 &&
		    strcmp(info.name, name) == 0 && is_for(fd, device))
			return fd;
		close_fd(&fd);
	}
	return -1;
}

/** Takes the maps of a program whose layout is ours; false leaves *f as it was. */
bool resident_adopt(struct fastpath *f, struct filter *filter, int program)
{
	struct fast_head head;

	if (program < 0 || !head_of(program, &head) || head.layout != FAST_LAYOUT)
		return false;
	f->routes = map_of(program, NAME_ROUTES);
	f->counters = map_of(program, NAME_COUNTERS);
	f->flows = map_of(program, NAME_FLOWS);
	f->names = map_of(program, NAME_NAMES);
	f->head = map_of(program, NAME_HEAD);
	filter->ends = map_of(program, NAME_ENDS);
	filter->drops = map_of(program, NAME_DROPS);
	if (f->routes >= 0 && f->counters >= 0 && f->flows >= 0 && f->names >= 0 && f->head >= 0)
		return true;
	close_fd(&f->routes);
	close_fd(&f->counters);
	close_fd(&f->flows);
	close_fd(&f->names);
	close_fd(&f->head);
	close_fd(&filter->ends);
	close_fd(&filter->drops);
	return false;
}

static void sweep_at(unsigned int at, uint32_t type, unsigned int device)
{
	/* Each detachment is one fewer; one that the kernel refuses ends the search */
	for (uint32_t i = 0; i < PROGRAMS_MAX; i++) {
		int program = resident_find(at, type, device), rc = -ENOENT;

		if (program >= 0)
			rc = bpf_detach(program, at, type);
		close_fd(&program);
		if (rc < 0)
			return;
	}
}

/** Detaches what was left for @device, everywhere but where @keep (or NULL) is attached. */
void resident_sweep(unsigned int device, const struct fastpath *keep)
{
	struct if_nameindex *all = if_nameindex();

	for (const struct if_nameindex *i = all; i && i->if_index != 0; i++) {
		if (!keep || keep->decap < 0 || i->if_index != keep->underlay)
			sweep_at(i->if_index, ATTACH_TCX_INGRESS, device);
		if (!keep || keep->encap < 0 || i->if_index != keep->device)
			sweep_at(i->if_index, ATTACH_TCX_EGRESS, device);
	}
	if (all)
		if_freenameindex(all);
}

int resident_forget(const char *device)
{
	/* No device has index 0: then only what is of no use to anybody goes */
	resident_sweep(if_nametoindex(device), NULL);
	return 0;
}
