/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Integer types and the two kinds of physical address. gpa_t is what the
 * guest says, hpa_t what a device or a page table of ours is told; they are
 * distinct struct types so that mixing them does not compile.
 */
#ifndef SLUICE_TYPES_H
#define SLUICE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

typedef struct { u64 v; } gpa_t;
typedef struct { u64 v; } hpa_t;

static inline gpa_t gpa(u64 v)
{
	return (gpa_t){ v };
}

static inline hpa_t hpa(u64 v)
{
	return (hpa_t){ v };
}

/* What every doorbell of the guest needs is kept together in memory; what
 * hardly anything needs is kept out of its way. */
#define HOT __attribute__((hot))
#define COLD __attribute__((cold))
#define HOT_DATA __attribute__((section(".data.hot")))

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096ull
#define PAGE_MASK (PAGE_SIZE - 1)

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))

#endif
