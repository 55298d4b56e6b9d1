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

void asm_land(struct assembler *a, uint32_t at)
{
	a->code[at].off = (int16_t)(a->length - at - 1);
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

int bpf_map_create(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, int inner)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key;
	attr.value_size = value;
	attr.max_entries = entries;
	attr.map_flags = type == BPF_MAP_TYPE_LPM_TRIE ? BPF_F_NO_PREALLOC : 0;
	if (inner >= 0)
		attr.inner_map_fd = (uint32_t)inner;
	return bpf_call(BPF_MAP_CREATE, &attr);
}

int bpf_map_update(int fd, const void *key, const void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value;
	return bpf_call(BPF_MAP_UPDATE_ELEM, &attr);
}

int bpf_program_load(const struct assembler *a)
{
	union bpf_attr attr;
#ifdef HEDDLE_BPF_LOG
	static char log[1 << 18];
#endif

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attr.insns = (uintptr_t)a->code;
	attr.insn_cnt = a->length;
	attr.license = (uintptr_t)"Apache-2.0";
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

int bpf_program_attach(int program, unsigned int device, uint32_t type)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)program;
	attr.link_create.target_ifindex = device;
	attr.link_create.attach_type = type;
	return bpf_call(BPF_LINK_CREATE, &attr);
}

