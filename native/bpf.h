/*
 * A small assembler for programs in the kernel, and the bpf(2) calls they need. One function per
 * instruction form; conditional exits collect in the assembler and land on the last two
 * instructions, which leave the packet to the userspace path.
 */
#ifndef HEDDLE_BPF_H
#define HEDDLE_BPF_H

#include <linux/bpf.h>

#include "internal.h"

/* linux/bpf.h before 6.6 lacks them. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS 47

/* Offsets in struct __sk_buff. */
#define SKB(field) ((int16_t)offsetof(struct __sk_buff, field))

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP };

/**
 * struct assembler - the program while it is written
 * @pass: jumps to the end, which leaves the packet alone
 */
struct assembler {
	struct bpf_insn code[400];
	uint32_t length;
	uint32_t pass[48];
	uint32_t passes;
};

void asm_put(struct assembler *a, int code, int dst, int src, int offset, int32_t imm);
void asm_load(struct assembler *a, int size, int dst, int src, int offset);
void asm_store(struct assembler *a, int size, int dst, int offset, int src);
void asm_store_imm(struct assembler *a, int size, int dst, int offset, int32_t imm);
void asm_op(struct assembler *a, int operation, int dst, int32_t imm);
void asm_op_reg(struct assembler *a, int operation, int dst, int src);
void asm_call(struct assembler *a, int helper);
void asm_load_map(struct assembler *a, int dst, int fd);
void asm_pass_if(struct assembler *a, int condition, int dst, int32_t imm);
void asm_pass_if_reg(struct assembler *a, int condition, int dst, int src);
uint32_t asm_jump(struct assembler *a, int condition, int dst, int32_t imm);
uint32_t asm_jump_reg(struct assembler *a, int condition, int dst, int src);
void asm_land(struct assembler *a, uint32_t at);
void asm_packets(struct assembler *a, int dst, int skb);
void asm_land_passes(struct assembler *a, uint32_t from, uint32_t to);
void asm_finish(struct assembler *a);
int bpf_call(int command, union bpf_attr *attr);
int bpf_map_create(const char *name, uint32_t type, uint32_t key, uint32_t value, uint32_t entries,
		   int inner);
int bpf_map_update(int fd, const void *key, const void *value);
int bpf_map_update_batch(int fd, const void *keys, const void *values, uint32_t count);
int bpf_map_lookup(int fd, const void *key, void *value);
int bpf_map_delete(int fd, const void *key);
int bpf_map_next(int fd, const void *key, void *next);
int bpf_by_id(int command, uint32_t id);
int bpf_info(int fd, void *info, uint32_t size);
int bpf_program_load(const struct assembler *a, uint32_t type, const char *name);
int bpf_program_bind(int program, int map);
int bpf_link(int program, unsigned int device, uint32_t type);
int bpf_attach(int program, unsigned int device, uint32_t type, int replaced);
int bpf_detach(int program, unsigned int device, uint32_t type);
int bpf_attached(unsigned int device, uint32_t type, uint32_t *ids, uint32_t capacity);

#endif
