/* The native engine's kernels, as the Cython module sees them. */
#ifndef MER_KERNELS_H
#define MER_KERNELS_H

#include <stdint.h>

/* A Linear layer: n_in rows of `wide` floats, n_out of them weights and the rest zeros, and a bias as wide. */
typedef struct {
    int64_t n_in, n_out, wide;
    float *w, *b;
} mer_layer;

typedef struct {
    int64_t n_layers;
    mer_layer *layers;
} mer_net;

/* An input: its nonzero values and where they are. */
typedef struct {
    int64_t count;
    int32_t *index;
    float *value;
} mer_row;

/* What one example leaves behind, layer by layer: the sums z, or the gradient with respect to them; and of the layer's
 * inputs those that are not zero (of the first layer's, the example's row tells). */
typedef struct {
    float **z;
    int64_t *count;
    int32_t **index;
    float **value;
} mer_trace;

typedef struct {
    const char *name;
    float (*sgd)(const mer_net *, mer_trace *, const mer_row *, const int64_t *, const float *, int64_t, float);
    float (*backpropagate)(const mer_net *, mer_trace *, const mer_row *, const int64_t *, const float *, int64_t);
    void (*accumulate)(const mer_net *, mer_trace *, const mer_row *, int64_t, float, const float *, float *);
    void (*scores)(const mer_net *, mer_trace *, const mer_row *, int64_t, float *);
    void (*add)(float *, const float *, int64_t, float);
    void (*pull)(float *, const float *, const float *, int64_t, float);
    void (*gram)(const float *, int64_t, int64_t, double *, double *);
    void (*draw_16)(uint32_t *, int *, uint32_t, int64_t, int64_t *, uint16_t *);
    void (*draw_32)(uint32_t *, int *, uint32_t, int64_t, int64_t *, uint32_t *);
} mer_kernels;

/* The kernels for an instruction set, "avx512", "avx2" or "baseline", or where that is NULL for the best that this
 * processor has; NULL where it has not got it. */
const mer_kernels *mer_select(const char *instruction_set);

/* n traces for a network, or NULL for want of memory; to be freed with mer_free_traces. */
mer_trace *mer_new_traces(const mer_net *net, int64_t n);
void mer_free_traces(mer_trace *traces);

#endif
