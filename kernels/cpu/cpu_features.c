/*
 * cpu_features.c: which instruction sets this process may use. The only place that asks the processor.
 *
 * A set counts only if the processor has all its parts (CPUID) and the operating system saves the wide registers on a
 * context switch (XGETBV); otherwise their upper halves would be lost.
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapters 14.3 and 15.2-15.4.
 */
#include "kernels.h"

#if defined(__x86_64__)

#include <cpuid.h>

#define XCR0_YMM	0x06u		/* XMM and YMM state */
#define XCR0_ZMM	0xe6u		/* also mask registers and both halves of ZMM state */

/* leaf 1, ecx */
#define BIT_FMA		(1u << 12)
#define BIT_OSXSAVE	(1u << 27)
#define BIT_AVX		(1u << 28)
#define BIT_F16C	(1u << 29)

/* leaf 7, subleaf 0, ebx and ecx; subleaf 1, eax */
#define BIT_AVX2		(1u << 5)
#define BIT_AVX512F		(1u << 16)
#define BIT_AVX512DQ	(1u << 17)
#define BIT_AVX512BW	(1u << 30)
#define BIT_AVX512VL	(1u << 31)
#define BIT_AVX512VNNI	(1u << 11)
#define BIT_AVXVNNI		(1u << 4)

static uint32_t
read_xcr0(void)
{
	uint32_t	low;
	uint32_t	high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low;
}

static int
has_all(uint32_t value, uint32_t mask)
{
	return (value & mask) == mask;
}

/*
 * llmk_cpu_features: LLMK_CPU_* bits of this processor under this operating system. Always the same within a process.
 */
uint32_t
llmk_cpu_features(void)
{
	uint32_t	eax;
	uint32_t	ebx;
	uint32_t	ecx;
	uint32_t	edx;
	uint32_t	max_subleaf;
	uint32_t	xcr0;
	uint32_t	features = 0;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !has_all(ecx, BIT_FMA | BIT_OSXSAVE | BIT_AVX | BIT_F16C))
		return 0;
	xcr0 = read_xcr0();
	if (!has_all(xcr0, XCR0_YMM) || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ebx & BIT_AVX2))
		return 0;
	features = LLMK_CPU_AVX2;
	max_subleaf = eax;

	if (has_all(xcr0, XCR0_ZMM) && has_all(ebx, BIT_AVX512F | BIT_AVX512DQ | BIT_AVX512BW | BIT_AVX512VL))
	{
		features |= LLMK_CPU_AVX512;
		if (ecx & BIT_AVX512VNNI)
			features |= LLMK_CPU_AVX512VNNI;
	}
	if (max_subleaf >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & BIT_AVXVNNI))
		features |= LLMK_CPU_AVXVNNI;
	return features;
}

#else

uint32_t
llmk_cpu_features(void)
{
	return 0;
}

#endif
