/* What the kernels say vectors with: GCC's and Clang's vector extensions, as wide as the instruction set's own. */
#ifndef MER_VECTORS_H
#define MER_VECTORS_H

#include <stdint.h>

typedef float v4f __attribute__((vector_size(16)));

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t v4i __attribute__((vector_size(16)));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (v4i){__VA_ARGS__})
#endif

/* Loops over the registers of a block must be gone before the compiler decides what lives in a register. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

/* Has a product rounded before it is added to something: compilers make one operation of the two. */
#if defined(__x86_64__)
#define ROUNDED(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define ROUNDED(v) __asm__("" : "+w"(v))
#else
#define ROUNDED(v) __asm__("" : "+m"(v))
#endif

#define INLINE static inline __attribute__((always_inline))

#endif
