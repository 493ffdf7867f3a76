/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's SSE registers, kept and given back. Compiled, as all but
 * crypt_xts.c is, without knowing of them: no statement between begin and end
 * can be moved into one of them.
 */
#include "crypt_xts.h"

#define CPUID_FEATURES 1
#define CPUID_ECX_AES (1u << 25)

bool sse_has_aes(void)
{
	uint32_t eax = CPUID_FEATURES, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid"
			 : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ecx & CPUID_ECX_AES;
}

void sse_begin(struct sse_state *guest)
{
	__asm__ volatile("movups %%xmm0, 0x00(%0)\n\t"
			 "movups %%xmm1, 0x10(%0)\n\t"
			 "movups %%xmm2, 0x20(%0)\n\t"
			 "movups %%xmm3, 0x30(%0)\n\t"
			 "movups %%xmm4, 0x40(%0)\n\t"
			 "movups %%xmm5, 0x50(%0)\n\t"
			 "movups %%xmm6, 0x60(%0)\n\t"
			 "movups %%xmm7, 0x70(%0)\n\t"
			 "movups %%xmm8, 0x80(%0)\n\t"
			 "movups %%xmm9, 0x90(%0)\n\t"
			 "movups %%xmm10, 0xa0(%0)\n\t"
			 "movups %%xmm11, 0xb0(%0)\n\t"
			 "movups %%xmm12, 0xc0(%0)\n\t"
			 "movups %%xmm13, 0xd0(%0)\n\t"
			 "movups %%xmm14, 0xe0(%0)\n\t"
			 "movups %%xmm15, 0xf0(%0)"
			 : : "r"(guest) : "memory");
}

void sse_end(const struct sse_state *guest)
{
	__asm__ volatile("movups 0x00(%0), %%xmm0\n\t"
			 "movups 0x10(%0), %%xmm1\n\t"
			 "movups 0x20(%0), %%xmm2\n\t"
			 "movups 0x30(%0), %%xmm3\n\t"
			 "movups 0x40(%0), %%xmm4\n\t"
			 "movups 0x50(%0), %%xmm5\n\t"
			 "movups 0x60(%0), %%xmm6\n\t"
			 "movups 0x70(%0), %%xmm7\n\t"
			 "movups 0x80(%0), %%xmm8\n\t"
			 "movups 0x90(%0), %%xmm9\n\t"
			 "movups 0xa0(%0), %%xmm10\n\t"
			 "movups 0xb0(%0), %%xmm11\n\t"
			 "movups 0xc0(%0), %%xmm12\n\t"
			 "movups 0xd0(%0), %%xmm13\n\t"
			 "movups 0xe0(%0), %%xmm14\n\t"
			 "movups 0xf0(%0), %%xmm15"
			 : : "r"(guest) : "memory");
}
