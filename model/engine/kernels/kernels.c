/* Every kernel, compiled for each instruction set of this architecture, and the choice between them at run time. */

#include "kernels.h"

#include <stdlib.h>
#include <string.h>

#include "vectors.h"

#define JOIN(a, b) a##_##b
#define SUFFIX(a, b) JOIN(a, b)
#define NAME(x) SUFFIX(x, MER_ISA)

/* MER_LANES: floats in a vector register. MER_MOST: how many times sixteen of them stay in registers as sums. AVX2 and
 * AVX-512 have the same, so that they add in the same order and agree to the bit. */
#define MER_ISA baseline
#define MER_LANES 4
#if defined(__x86_64__)
#define MER_MOST 3
#else
#define MER_MOST 7
#endif
#include "variant.inc"
#undef MER_ISA
#undef MER_LANES
#undef MER_MOST

#if defined(__x86_64__)
#include <immintrin.h>

#define MER_ISA avx2
#define MER_LANES 8
#define MER_MOST 7
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi,bmi2,popcnt")
#endif
#include "variant.inc"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef MER_ISA
#undef MER_LANES
#undef MER_MOST

#define MER_ISA avx512
#define MER_LANES 16
#define MER_MOST 7
#define MER_COMPRESS /* vectors of 16-bit words, of which those that are kept move together (AVX-512 VBMI2) */
#if defined(__clang__)
#pragma clang attribute push(                                                                                           \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,avx2,fma,bmi,bmi2,popcnt"))),                \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,avx2,fma,bmi,bmi2,popcnt")
#endif
#include "variant.inc"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef MER_ISA
#undef MER_LANES
#undef MER_MOST
#endif

const mer_kernels *mer_select(const char *instruction_set)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    const int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512vbmi2");
    if (avx512 && (!instruction_set || !strcmp(instruction_set, "avx512")))
        return &kernels_avx512;
    if (avx2 && (!instruction_set || !strcmp(instruction_set, "avx2")))
        return &kernels_avx2;
#endif
    if (!instruction_set || !strcmp(instruction_set, "baseline"))
        return &kernels_baseline;
    return NULL;
}

/* Gives each part of a scratch its place, on cache lines of its own, behind the scratch itself; how many bytes they all
 * take. Without a scratch, only that. */
static size_t lay_out(mer_scratch *scratch, const mer_net *net, int64_t n)
{
    size_t used = 0;
#define PART(pointer, bytes)                                                                                           \
    do {                                                                                                               \
        if (scratch)                                                                                                   \
            pointer = (void *)((char *)scratch + used);                                                                \
        used += ((size_t)(bytes) + 63) / 64 * 64;                                                                      \
    } while (0)
    used += (sizeof(mer_scratch) + net->n_layers * sizeof(mer_trace) + 63) / 64 * 64;
    PART(scratch->blank, WORDS(net->layers->n_in) * sizeof(uint64_t));
    PART(scratch->step, net->layers->wide * sizeof(float));
    for (int64_t l = 0; l < net->n_layers; l++) {
        mer_trace *trace = scratch ? scratch->layers + l : NULL;
        PART(trace->z, n * net->layers[l].wide * sizeof(float));
        if (l) {
            /* A row's last values are written sixteen at a time. */
            const int64_t units = net->layers[l - 1].wide;
            const int64_t row_words = WORDS(units) + (units + 16) / 2;
            PART(trace->rows, n * row_words * sizeof(uint64_t));
            PART(trace->turned, 16 * units * sizeof(float));
            if (scratch)
                trace->row_words = row_words;
        }
    }
#undef PART
    return used;
}

mer_scratch *mer_new_scratch(const mer_net *net, int64_t n)
{
    void *block;
    if (n > MER_CHUNK)
        n = MER_CHUNK;
    const size_t bytes = lay_out(NULL, net, n);
    if (posix_memalign(&block, 64, bytes))
        return NULL;
    lay_out(memset(block, 0, bytes), net, n);
    return block;
}

void mer_free(mer_scratch *scratch)
{
    free(scratch);
}
