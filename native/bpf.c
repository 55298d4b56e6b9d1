/*
 * See bpf.h. Theory of operation: programs are short and fixed, so they are written out
 * instruction by instruction with the numbers of this tunnel in them; no compiler for the
 * kernel's machine is needed where the product runs. The kernel's verifier checks them at load.
 */
#include "bpf.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

void asm_put(struct assembler *a, int code, int dst, int src, int offset, int32_t imm)
{
	a->code[a->length++] = (struct bpf_insn){ .code = (uint8_t)code,
						  .dst_reg = (uint8_t)(dst & 15),
						  .src_reg = (uint8_t)(src & 15),
						  .off = (int16_t)offset,
						  .imm = imm };
}

void asm_load(struct assembler *a, int size, int dst, int src, int offset)
{
	asm_put(a, BPF_LDX | BPF_MEM | size, dst, src, offset, 0);
}

void asm_store(struct assembler *a, int size, int dst, int offset, int src)
{
	asm_put(a, BPF_STX | BPF_MEM | size, dst, src, offset, 0);
}

void asm_store_imm(struct assembler *a, int size, int dst, int offset, int32_t imm)
{
	asm_put(a, BPF_ST | BPF_MEM | size, dst, 0, offset, imm);
}

void asm_op(struct assembler *a, int operation, int dst, int32_t imm)
{
	asm_put(a, BPF_ALU64 | operation | BPF_K, dst, 0, 0, imm);
}

void asm_op_reg(struct assembler *a, int operation, int dst, int src)
{
	asm_put(a, BPF_ALU64 | operation | BPF_X, dst, src, 0, 0);
}

void asm_call(struct assembler *a, int helper)
{
	asm_put(a, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

void asm_load_map(struct assembler *a, int dst, int fd)
{
	asm_put(a, BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, fd);
	asm_put(a, 0, 0, 0, 0, 0);
}

void asm_pass_if(struct assembler *a, int condition, int dst, int32_t imm)
{
	a->pass[a->passes++] = a->length;
	asm_put(a, BPF_JMP | condition | BPF_K, dst, 0, 0, imm);
}

void asm_pass_if_reg(struct assembler *a, int condition, int dst, int src)
{
	a->pass[a->passes++] = a->length;
	asm_put(a, BPF_JMP | condition | BPF_X, dst, src, 0, 0);
}

/* Marks a forward jump; asm_land() makes it go to the next instruction. */
uint32_t asm_jump(struct assembler *a, int condition, int dst, int32_t imm)
{
	asm_put(a, BPF_JMP | condition | BPF_K, dst, 0, 0, imm);
	return a->length - 1;
}

uint32_t asm_jump_reg(struct assembler *a, int condition, int dst, int src)
{
	asm_put(a, BPF_JMP | condition | BPF_X, dst, src, 0, 0);
	return a->length - 1;
}

void asm_land(struct assembler *a, uint32_t at)
{
	a->code[at].off = (int16_t)(a->length - at - 1);
}

/** @dst: how many packets the context @skb stands for, which is more than one of a superpacket. */
void asm_packets(struct assembler *a, int dst, int skb)
{
	uint32_t known;

	asm_load(a, BPF_W, dst, skb, SKB(gso_segs));
	known = asm_jump(a, BPF_JNE, dst, 0);
	asm_op(a, BPF_MOV, dst, 1);
	asm_land(a, known);
}

/** The exits numbered @from to before @to go to the next instruction instead of the end. */
void asm_land_passes(struct assembler *a, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		asm_land(a, a->pass[i]);
	for (uint32_t i = to; i < a->passes; i++)
		a->pass[i - to + from] = a->pass[i];
	a->passes -= to - from;
}

/** The jumps to pass() land here: the packet goes on as if the program were not there. */
void asm_finish(struct assembler *a)
{
	for (uint32_t i = 0; i < a->passes; i++)
		asm_land(a, a->pass[i]);
	/* TCX_NEXT */
	asm_op(a, BPF_MOV, R0, -1);
	asm_put(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

int bpf_call(int command, union bpf_attr *attr)
{
	long rc = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return rc < 0 ? -errno : (int)rc;
}

static void name_put(char *to, const char *name)
{
	memcpy(to, name, strnlen(name, BPF_OBJ_NAME_LEN - 1));
}

int bpf_map_create(const char *name, uint32_t type, uint32_t key, uint32_t value, uint32_t entries,
		   int inner)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key;
	attr.value_size = value;
	attr.max_entries = entries;
	/* Of thousands of possible entries a handful is used */
	if (type == BPF_MAP_TYPE_LPM_TRIE || type == BPF_MAP_TYPE_HASH)
		attr.map_flags = BPF_F_NO_PREALLOC;
	if (inner >= 0)
		attr.inner_map_fd = (uint32_t)inner;
	name_put(attr.map_name, name);
	return bpf_call(BPF_MAP_CREATE, &attr);
}

static int element(int command, int fd, const void *key, const void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value;
	return bpf_call(command, &attr);
}

int bpf_map_update(int fd, const void *key, const void *value)
{
	return element(BPF_MAP_UPDATE_ELEM, fd, key, value);
}

/** All of @count keys in one call; the map must be new. */
int bpf_map_update_batch(int fd, const void *keys, const void *values, uint32_t count)
{
	union bpf_attr attr;

	if (count == 0)
		return 0;
	memset(&attr, 0, sizeof(attr));
	attr.batch.map_fd = (uint32_t)fd;
	attr.batch.keys = (uintptr_t)keys;
	attr.batch.values = (uintptr_t)values;
	attr.batch.count = count;
	return bpf_call(BPF_MAP_UPDATE_BATCH, &attr);
}

int bpf_map_lookup(int fd, const void *key, void *value)
{
	return element(BPF_MAP_LOOKUP_ELEM, fd, key, value);
}

int bpf_map_delete(int fd, const void *key)
{
	return element(BPF_MAP_DELETE_ELEM, fd, key, NULL);
}

/** The key after @key, or the first when that is NULL; -ENOENT at the end. */
int bpf_map_next(int fd, const void *key, void *next)
{
	return element(BPF_MAP_GET_NEXT_KEY, fd, key, next);
}

/** A descriptor of the program or map of this number; needs CAP_SYS_ADMIN. */
int bpf_by_id(int command, uint32_t id)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_id = id;
	return bpf_call(command, &attr);
}

int bpf_info(int fd, void *info, uint32_t size)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = size;
	attr.info.info = (uintptr_t)info;
	return bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

int bpf_program_load(const struct assembler *a, uint32_t type, const char *name)
{
	union bpf_attr attr;
#ifdef HEDDLE_BPF_LOG
	static char log[1 << 18];
#endif

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = type;
	attr.insns = (uintptr_t)a->code;
	attr.insn_cnt = a->length;
	attr.license = (uintptr_t)"Apache-2.0";
	name_put(attr.prog_name, name);
#ifdef HEDDLE_BPF_LOG
	attr.log_buf = (uintptr_t)log;
	attr.log_size = sizeof(log);
	attr.log_level = 1;
	int rc = bpf_call(BPF_PROG_LOAD, &attr);

	if (rc < 0)
		(void)!write(2, log, strlen(log));
	return rc;
#else
	return bpf_call(BPF_PROG_LOAD, &attr);
#endif
}

/** Makes a map live as long as the program, and be found through it. */
int bpf_program_bind(int program, int map)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_bind_map.prog_fd = (uint32_t)program;
	attr.prog_bind_map.map_fd = (uint32_t)map;
	return bpf_call(BPF_PROG_BIND_MAP, &attr);
}

/** Attached for as long as the descriptor that it returns is open. */
int bpf_link(int program, unsigned int device, uint32_t type)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)program;
	attr.link_create.target_ifindex = device;
	attr.link_create.attach_type = type;
	return bpf_call(BPF_LINK_CREATE, &attr);
}

/** Attached for as long as the device is there, in one step in place of @replaced unless -1. */
int bpf_attach(int program, unsigned int device, uint32_t type, int replaced)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = device;
	attr.attach_bpf_fd = (uint32_t)program;
	attr.attach_type = type;
	if (replaced >= 0) {
		attr.attach_flags = BPF_F_REPLACE;
		attr.replace_bpf_fd = (uint32_t)replaced;
	}
	return bpf_call(BPF_PROG_ATTACH, &attr);
}

int bpf_detach(int program, unsigned int device, uint32_t type)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = device;
	attr.attach_bpf_fd = (uint32_t)program;
	attr.attach_type = type;
	return bpf_call(BPF_PROG_DETACH, &attr);
}

/** Numbers of the programs there, in their order; returns how many. */
int bpf_attached(unsigned int device, uint32_t type, uint32_t *ids, uint32_t capacity)
{
	union bpf_attr attr;
	int rc;

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = device;
	attr.query.attach_type = type;
	attr.query.prog_ids = (uintptr_t)ids;
	attr.query.prog_cnt = capacity;
	rc = bpf_call(BPF_PROG_QUERY, &attr);
	return rc < 0 ? rc : (int)attr.query.prog_cnt;
}
