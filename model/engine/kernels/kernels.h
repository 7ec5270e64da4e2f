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

/* The inputs of a layer, pixels or units: a bit for each, set where it is not zero, in words of 64, and behind them the
 * values of those that are not, in order. What two rows share, and what only one has, is one instruction for 64 inputs. */
typedef const uint64_t *mer_row;
#define WORDS(n_inputs) (((n_inputs) + 63) / 64)

/* Examples that go through the network together: as many as a word has bits. */
#define MER_CHUNK 64

/* What the examples of a chunk leave behind in one layer: its inputs; its sums, or the gradient with respect to them,
 * `wide` floats each; and above the first layer the inputs themselves, row_words apart. `turned` has room for the weights of
 * a layer of few outputs the other way around: a row for each output, as wide as the layer below. */
typedef struct {
    mer_row in[MER_CHUNK];
    float *z;
    uint64_t *rows;
    int64_t row_words;
    float *turned;
} mer_trace;

/* What is not zero in the rows of a chunk, listed once for many passes over it: how many values, whose they are, and the
 * values; by 64 inputs, row after row, whose being inputs of the 64; and input by input, whose being rows. */
typedef struct {
    const uint8_t *counts, *whose;
    const float *values;
} mer_list;
typedef struct {
    mer_list by_row, by_input;
} mer_listed;

typedef struct {
    const mer_listed *listed; /* the same as the rows that are given, or NULL */
    uint64_t *blank; /* an input of zeros */
    float *step;     /* what the first layer's rows are yet to be updated by, per unit of input */
    mer_trace layers[];
} mer_scratch;

typedef struct {
    const char *name;
    float (*sgd)(const mer_net *, mer_scratch *, const mer_row *, const int64_t *, const float *, int64_t, float);
    float (*backpropagate)(const mer_net *, mer_scratch *, const mer_row *, const int64_t *, const float *, float, int64_t);
    void (*accumulate)(const mer_net *, mer_scratch *, int64_t, float, const float *, float *, int);
    void (*scores)(const mer_net *, mer_scratch *, const mer_row *, const mer_listed *, int64_t, float *);
    int64_t (*pack)(const float *, int64_t, uint64_t *);
    void (*add)(float *, const float *, int64_t, float);
    void (*pull)(float *, const float *, const float *, int64_t, float);
    void (*interpolate)(float *, float *, int64_t, float, int);
    void (*gram)(const float *, int64_t, int64_t, int64_t, int64_t, double *, double *);
    void (*combine)(const float *, int64_t, int64_t, int64_t, const double *, float *);
    void (*draw_16)(uint32_t *, int *, uint32_t, int64_t, int64_t *, uint16_t *);
    void (*draw_32)(uint32_t *, int *, uint32_t, int64_t, int64_t *, uint32_t *);
} mer_kernels;

/* The kernels for an instruction set, "avx512", "avx2" or "baseline", or where that is NULL for the best that this
 * processor has; NULL where it has not got it. */
const mer_kernels *mer_select(const char *instruction_set);

/* Room for chunks of at most n examples, MER_CHUNK if not fewer, or NULL for want of memory; to be freed with mer_free. */
mer_scratch *mer_new_scratch(const mer_net *net, int64_t n);
void mer_free(mer_scratch *scratch);

#endif
