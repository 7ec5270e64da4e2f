# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The native engine's kernels under Python: addresses and sizes come in, checked by `native`, and the GIL is let go.

Nothing here knows PyTorch: `native` passes the address of a tensor's data as an integer.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset


cdef extern from "<stdlib.h>" nogil:
    void *aligned_alloc(size_t, size_t)


cdef extern from "kernels/kernels.h" nogil:
    ctypedef struct mer_layer:
        int64_t n_in, n_out, wide
        float *w
        float *b

    ctypedef struct mer_net:
        int64_t n_layers
        mer_layer *layers

    ctypedef struct mer_row:
        int64_t count
        int32_t *index
        float *value

    ctypedef struct mer_trace:
        pass

    ctypedef struct mer_kernels:
        const char *name
        float (*sgd)(const mer_net *, mer_trace *, const mer_row *, const int64_t *, const float *, int64_t, float) noexcept nogil
        float (*backpropagate)(const mer_net *, mer_trace *, const mer_row *, const int64_t *, const float *, int64_t) noexcept nogil
        void (*accumulate)(const mer_net *, mer_trace *, const mer_row *, int64_t, float, const float *, float *) noexcept nogil
        void (*scores)(const mer_net *, mer_trace *, const mer_row *, int64_t, float *) noexcept nogil
        void (*add)(float *, const float *, int64_t, float) noexcept nogil
        void (*pull)(float *, const float *, const float *, int64_t, float) noexcept nogil
        void (*gram)(const float *, int64_t, int64_t, double *, double *) noexcept nogil
        void (*draw_16)(uint32_t *, int *, uint32_t, int64_t, int64_t *, uint16_t *) noexcept nogil
        void (*draw_32)(uint32_t *, int *, uint32_t, int64_t, int64_t *, uint32_t *) noexcept nogil

    const mer_kernels *mer_select(const char *)
    mer_trace *mer_new_traces(const mer_net *, int64_t)
    void mer_free_traces(mer_trace *)


cdef const mer_kernels *kernels = NULL
cdef int64_t BLOCK = 64


def select(name):
    """Use the kernels for one instruction set (avx512, avx2, baseline), or for None the best one; what it is called.

    Raises ValueError where the processor has not got it.
    """
    global kernels
    cdef bytes wanted
    cdef const mer_kernels *found
    if name is None:
        found = mer_select(NULL)
    else:
        wanted = name.encode()
        found = mer_select(wanted)
    if found == NULL:
        raise ValueError(f"this processor has no {name} kernels")
    kernels = found
    return kernels.name.decode()


cdef class Rows:
    """Input rows of one width, kept as their nonzero values and where those are."""

    cdef mer_row *rows
    cdef int64_t length, room
    cdef readonly int64_t n_inputs

    def __cinit__(self, int64_t n_inputs):
        self.n_inputs = n_inputs

    def __dealloc__(self):
        cdef int64_t i
        for i in range(self.length):
            free(self.rows[i].value)
        PyMem_Free(self.rows)

    def __len__(self):
        return self.length

    cpdef put(self, int64_t slot, uintptr_t address):
        """Write the n_inputs contiguous floats at an address to a slot in use, or to the next."""
        cdef const float *x = <const float *> address
        cdef int64_t count = 0, i
        cdef mer_row *grown
        cdef float *value
        if not 0 <= slot <= self.length:
            raise IndexError(f"slot {slot} of {self.length}")
        for i in range(self.n_inputs):
            count += x[i] != 0.0
        if slot == self.room:
            grown = <mer_row *> PyMem_Realloc(self.rows, max(64, 2 * self.room) * sizeof(mer_row))
            if grown == NULL:
                raise MemoryError()
            self.rows, self.room = grown, max(64, 2 * self.room)
        # Never nothing; the indices follow the values.
        value = <float *> malloc((2 * count + 1) * sizeof(float))
        if value == NULL:
            raise MemoryError()
        if slot == self.length:
            self.length += 1
        else:
            free(self.rows[slot].value)
        self.rows[slot].value = value
        self.rows[slot].index = <int32_t *> (value + count)
        self.rows[slot].count = count
        count = 0
        for i in range(self.n_inputs):
            if x[i] != 0.0:
                value[count] = x[i]
                self.rows[slot].index[count] = <int32_t> i
                count += 1

    def extend(self, uintptr_t address, int64_t n):
        """Write n rows, one behind the other at an address, to the next slots."""
        cdef int64_t i
        for i in range(n):
            self.put(self.length, address + i * self.n_inputs * sizeof(float))

    def write_dense(self, int64_t slot, uintptr_t address):
        """Write a row to n_inputs floats at an address."""
        cdef float *x = <float *> address
        cdef int64_t k
        if not 0 <= slot < self.length:
            raise IndexError(f"slot {slot} of {self.length}")
        memset(x, 0, self.n_inputs * sizeof(float))
        for k in range(self.rows[slot].count):
            x[self.rows[slot].index[k]] = self.rows[slot].value[k]

    cdef mer_row *select(self, const int64_t *slots, int64_t n) except NULL:
        """The rows at n slots, in a table for the caller to free."""
        cdef mer_row *chosen = <mer_row *> PyMem_Malloc(max(n, 1) * sizeof(mer_row))
        cdef int64_t i
        if chosen == NULL:
            raise MemoryError()
        for i in range(n):
            if not 0 <= slots[i] < self.length:
                PyMem_Free(chosen)
                raise IndexError(f"slot {slots[i]} of {self.length}")
            chosen[i] = self.rows[slots[i]]
        return chosen


cdef class Net:
    """An MLP whose weights lie in one vector of `floats` floats at address `flat`."""

    cdef mer_net net
    cdef mer_trace *trace
    cdef float *flat
    cdef float *sum
    cdef int64_t floats

    def __cinit__(self, uintptr_t flat, int64_t floats, list layers):
        """`layers`: (n_in, n_out, wide, address of the weights, address of the bias) of each."""
        cdef int64_t i
        self.flat, self.floats = <float *> flat, floats
        self.net.n_layers = len(layers)
        self.net.layers = <mer_layer *> PyMem_Malloc(len(layers) * sizeof(mer_layer))
        if self.net.layers == NULL:
            raise MemoryError()
        for i, (n_in, n_out, wide, w, b) in enumerate(layers):
            self.net.layers[i] = mer_layer(n_in, n_out, wide, <float *> <uintptr_t> w, <float *> <uintptr_t> b)
        self.trace = mer_new_traces(&self.net, 1)
        if self.trace == NULL:
            raise MemoryError()

    def __dealloc__(self):
        mer_free_traces(self.trace)
        free(self.sum)
        PyMem_Free(self.net.layers)

    def check_labels(self, uintptr_t labels, int64_t n):
        """Raise IndexError where one of n labels is no output of the network."""
        cdef int64_t n_out = self.net.layers[self.net.n_layers - 1].n_out, i
        cdef const int64_t *y = <const int64_t *> labels
        for i in range(n):
            if not 0 <= y[i] < n_out:
                raise IndexError(f"label {y[i]} of a network with {n_out} outputs")

    def sgd(self, Rows rows, uintptr_t slots, uintptr_t labels, uintptr_t scale, int64_t n, float lr):
        """One SGD step a row; NaN or infinity where a loss was that."""
        cdef mer_row *chosen = rows.select(<const int64_t *> slots, n)
        cdef float check
        with nogil:
            check = kernels.sgd(&self.net, self.trace, chosen, <const int64_t *> labels, <const float *> scale, n, lr)
        PyMem_Free(chosen)
        return check

    def step(self, Rows rows, uintptr_t slots, uintptr_t labels, uintptr_t weight, int64_t n, float lr,
             uintptr_t stiffness, uintptr_t target):
        """One SGD step on a weighted sum of losses, and on the penalty that stiffness and target describe."""
        cdef mer_row *chosen = rows.select(<const int64_t *> slots, n)
        cdef mer_trace *traces = mer_new_traces(&self.net, n)
        cdef float check
        if n != 1 and self.sum == NULL:
            self.sum = <float *> aligned_alloc(64, self.floats * sizeof(float))
        if traces == NULL or (n != 1 and self.sum == NULL):
            mer_free_traces(traces)
            PyMem_Free(chosen)
            raise MemoryError()
        with nogil:
            check = kernels.backpropagate(&self.net, traces, chosen, <const int64_t *> labels, <const float *> weight, n)
            if isfinite(check):
                if stiffness:
                    kernels.pull(self.flat, <const float *> stiffness, <const float *> target, self.floats, lr)
                if n == 1:
                    kernels.accumulate(&self.net, traces, chosen, 1, -lr, self.flat, self.flat)
                else:
                    # Summed first, so that the sum is rounded into the weights once, as PyTorch does it.
                    memset(self.sum, 0, self.floats * sizeof(float))
                    kernels.accumulate(&self.net, traces, chosen, n, 1.0, self.flat, self.sum)
                    kernels.add(self.flat, self.sum, self.floats, -lr)
        mer_free_traces(traces)
        PyMem_Free(chosen)
        return check

    def gradient(self, Rows rows, uintptr_t slots, uintptr_t labels, uintptr_t weight, int64_t n, uintptr_t out):
        """The gradient of a weighted sum of losses, by default their mean, into a vector of zeros."""
        cdef mer_row *chosen = rows.select(<const int64_t *> slots, n)
        # Some rows at a time, so that what they leave behind is still in a cache when it is used.
        cdef mer_trace *traces = mer_new_traces(&self.net, min(n, BLOCK))
        cdef const int64_t *y = <const int64_t *> labels
        cdef float *share = <float *> malloc(max(n, 1) * sizeof(float))
        cdef float check = 0.0
        cdef int64_t i, some
        if traces == NULL or share == NULL:
            free(share)
            mer_free_traces(traces)
            PyMem_Free(chosen)
            raise MemoryError()
        with nogil:
            for i in range(n):
                share[i] = (<const float *> weight)[i] if weight else <float> 1.0 / n
            i = 0
            while i < n:
                some = min(n - i, BLOCK)
                check += kernels.backpropagate(&self.net, traces, chosen + i, y + i, share + i, some)
                kernels.accumulate(&self.net, traces, chosen + i, some, 1.0, self.flat, <float *> out)
                i += some
        free(share)
        mer_free_traces(traces)
        PyMem_Free(chosen)
        return check

    def scores(self, Rows rows, uintptr_t slots, int64_t n, uintptr_t out):
        """The scores of n rows, into n x n_out floats; more than one thread may ask at a time."""
        cdef mer_row *chosen = rows.select(<const int64_t *> slots, n)
        cdef mer_trace *trace = mer_new_traces(&self.net, 1)
        if trace == NULL:
            PyMem_Free(chosen)
            raise MemoryError()
        with nogil:
            kernels.scores(&self.net, trace, chosen, n, <float *> out)
        mer_free_traces(trace)
        PyMem_Free(chosen)


def gram(uintptr_t rows, int64_t n, int64_t length, uintptr_t products):
    """The products, n x n doubles, of n rows of `length` floats; both addresses and `length` are of whole lines."""
    cdef double *copies = <double *> aligned_alloc(64, (n + 3) * 256 * sizeof(double))
    if copies == NULL:
        raise MemoryError()
    with nogil:
        memset(copies, 0, (n + 3) * 256 * sizeof(double))
        kernels.gram(<const float *> rows, n, length, copies, <double *> products)
    free(copies)


def draw(uintptr_t state, int used, int64_t n, int64_t k, uintptr_t drawn):
    """k draws from n entries, a shuffle of all before each, into k int64.

    `state`: 624 words of a Mersenne Twister, which advances, `used` of them handed out. Returns how many are now.
    """
    cdef size_t item = 2 if n <= 65536 else 4
    cdef void *scratch
    if not 1 <= n < 2**31 or not 0 <= k <= n or not 0 <= used <= 624:
        raise ValueError(f"{k} draws from {n} entries, {used} words used")
    scratch = malloc((3 * n + 64) * item)
    if scratch == NULL:
        raise MemoryError()
    with nogil:
        if item == 2:
            kernels.draw_16(<uint32_t *> state, &used, n, k, <int64_t *> drawn, <uint16_t *> scratch)
        else:
            kernels.draw_32(<uint32_t *> state, &used, n, k, <int64_t *> drawn, <uint32_t *> scratch)
    free(scratch)
    return used
