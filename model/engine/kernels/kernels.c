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
#define MER_COMPRESS
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi,bmi2,popcnt"))),   \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi,bmi2,popcnt")
#endif
#include "variant.inc"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef MER_COMPRESS
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
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (avx512 && (!instruction_set || !strcmp(instruction_set, "avx512")))
        return &kernels_avx512;
    if (avx2 && (!instruction_set || !strcmp(instruction_set, "avx2")))
        return &kernels_avx2;
#endif
    if (!instruction_set || !strcmp(instruction_set, "baseline"))
        return &kernels_baseline;
    return NULL;
}

mer_trace *mer_new_traces(const mer_net *net, int64_t n)
{
    /* One block: the traces, their tables of pointers and counts, and on lines of their own the floats and indices,
     * with room for the whole vector that the last few entries are written as. */
    const int64_t layers = net->n_layers;
    const size_t table = sizeof(mer_trace) + layers * (3 * sizeof(void *) + sizeof(int64_t));
    size_t floats = 0;
    for (int64_t l = 0; l < layers; l++)
        floats += net->layers[l].wide + (l ? 2 * (net->layers[l - 1].wide + 16) : 0);
    const size_t tables = (n * table + 63) / 64 * 64;
    char *block;
    if (posix_memalign((void **)&block, 64, tables + n * floats * sizeof(float)))
        return NULL;
    mer_trace *traces = (mer_trace *)block;
    char *next = block + n * sizeof(mer_trace);
    float *data = (float *)(block + tables);
    for (int64_t i = 0; i < n; i++) {
        traces[i].z = (float **)next;
        traces[i].index = (int32_t **)(traces[i].z + layers);
        traces[i].value = (float **)(traces[i].index + layers);
        traces[i].count = (int64_t *)(traces[i].value + layers);
        next = (char *)(traces[i].count + layers);
        for (int64_t l = 0; l < layers; l++) {
            traces[i].z[l] = data;
            data += net->layers[l].wide;
            if (l) {
                traces[i].index[l] = (int32_t *)data;
                data += net->layers[l - 1].wide + 16;
                traces[i].value[l] = data;
                data += net->layers[l - 1].wide + 16;
            }
        }
    }
    return traces;
}

void mer_free_traces(mer_trace *traces)
{
    free(traces);
}
