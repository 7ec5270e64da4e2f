/* Sixteen lanes, whatever the machine: the compiler splits them into the registers that the target has. With the lanes
 * fixed and products fused the same way everywhere, AVX2 and AVX-512 add in the same order and agree to the bit. */
#ifndef MER_VECTORS
#define MER_VECTORS
typedef float v16f __attribute__((vector_size(64)));
typedef float v8f __attribute__((vector_size(32)));
typedef float v4f __attribute__((vector_size(16)));
typedef int32_t v16i __attribute__((vector_size(64)));
typedef uint32_t v16u __attribute__((vector_size(64)));
typedef v16f v16f_loose __attribute__((aligned(4), may_alias));
typedef v16u v16u_loose __attribute__((aligned(4), may_alias));
typedef union { v16f whole; v8f halves[2]; } mer_halves;
typedef union { v8f half; v4f quarters[2]; } mer_quarters;
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t v4i __attribute__((vector_size(16)));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (v4i){__VA_ARGS__})
#endif
#define LOAD(p) (*(const v16f *)(p))
#define STORE(p, v) (*(v16f *)(p) = (v))
#define LOAD_U(p) (*(const v16u_loose *)(p))
#define STORE_U(p, v) (*(v16u_loose *)(p) = (v))
#define SPLAT(x) ((v16f){0} + (float)(x))
#define SPLAT_U(x) ((v16u){0} + (uint32_t)(x))
#define INLINE static inline __attribute__((always_inline))
#endif
