# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The native engine's kernels under Python: addresses and sizes come in, checked by `native`, and the GIL is let go.

Nothing here knows PyTorch: `native` passes the address of a tensor's data as an integer.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset


cdef extern from "<stdlib.h>" nogil:
    void *aligned_alloc(size_t, size_t)
    int popcount "__builtin_popcountll"(uint64_t)


cdef extern from "kernels/kernels.h" nogil:
    ctypedef struct mer_layer:
        int64_t n_in, n_out, wide
        float *w
        float *b

    ctypedef struct mer_net:
        int64_t n_layers
        mer_layer *layers

    ctypedef const uint64_t *mer_row

    ctypedef struct mer_list:
        const uint8_t *counts
        const uint8_t *whose
        const float *values

    ctypedef struct mer_listed:
        mer_list by_row, by_input

    ctypedef struct mer_scratch:
        const mer_listed *listed

    int64_t MER_CHUNK
    int64_t WORDS(int64_t) noexcept

    ctypedef struct mer_kernels:
        const char *name
        float (*sgd)(const mer_net *, mer_scratch *, const mer_row *, const int64_t *, const float *, int64_t, float) noexcept nogil
        float (*backpropagate)(const mer_net *, mer_scratch *, const mer_row *, const int64_t *, const float *, float, int64_t) noexcept nogil
        void (*accumulate)(const mer_net *, mer_scratch *, int64_t, float, const float *, float *, int) noexcept nogil
        void (*scores)(const mer_net *, mer_scratch *, const mer_row *, const mer_listed *, int64_t, float *) noexcept nogil
        int64_t (*pack)(const float *, int64_t, uint64_t *) noexcept nogil
        void (*add)(float *, const float *, int64_t, float) noexcept nogil
        void (*pull)(float *, const float *, const float *, int64_t, float) noexcept nogil
        void (*interpolate)(float *, float *, int64_t, float, int) noexcept nogil
        void (*gram)(const float *, int64_t, int64_t, int64_t, int64_t, double *, double *) noexcept nogil
        void (*combine)(const float *, int64_t, int64_t, int64_t, const double *, float *) noexcept nogil
        void (*draw_16)(uint32_t *, int *, uint32_t, int64_t, int64_t *, uint16_t *) noexcept nogil
        void (*draw_32)(uint32_t *, int *, uint32_t, int64_t, int64_t *, uint32_t *) noexcept nogil

    const mer_kernels *mer_select(const char *)
    mer_scratch *mer_new_scratch(const mer_net *, int64_t)
    void mer_free(mer_scratch *)


cdef const mer_kernels *kernels = NULL


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
    """Input rows of one width, each kept as which of its values are not zero, and those."""

    cdef mer_row *rows
    cdef uint64_t *packed
    cdef int64_t length, room
    cdef readonly int64_t n_inputs
    cdef readonly int64_t overwritten  # how many times a slot in use was

    def __cinit__(self, int64_t n_inputs):
        self.n_inputs = n_inputs
        # The longest row, and room for what is written behind the last value.
        self.packed = <uint64_t *> PyMem_Malloc(WORDS(n_inputs) * sizeof(uint64_t) + (n_inputs + 16) * sizeof(float))
        if self.packed == NULL:
            raise MemoryError()

    def __dealloc__(self):
        cdef int64_t i
        for i in range(self.length):
            free(<void *> self.rows[i])
        PyMem_Free(self.rows)
        PyMem_Free(self.packed)

    def __len__(self):
        return self.length

    cpdef put(self, int64_t slot, uintptr_t address):
        """Write the n_inputs contiguous floats at an address to a slot in use, or to the next."""
        cdef mer_row *grown
        cdef uint64_t *row
        cdef size_t size
        if not 0 <= slot <= self.length:
            raise IndexError(f"slot {slot} of {self.length}")
        if slot == self.room:
            grown = <mer_row *> PyMem_Realloc(self.rows, max(64, 2 * self.room) * sizeof(mer_row))
            if grown == NULL:
                raise MemoryError()
            self.rows, self.room = grown, max(64, 2 * self.room)
        size = kernels.pack(<const float *> address, self.n_inputs, self.packed) * sizeof(float)
        size += WORDS(self.n_inputs) * sizeof(uint64_t)
        row = <uint64_t *> malloc(max(size, <size_t> 1))
        if row == NULL:
            raise MemoryError()
        memcpy(row, self.packed, size)
        if slot == self.length:
            self.length += 1
        else:
            free(<void *> self.rows[slot])
            self.overwritten += 1
        self.rows[slot] = row

    def extend(self, uintptr_t address, int64_t n):
        """Write n rows, one behind the other at an address, to the next slots."""
        cdef int64_t i
        for i in range(n):
            self.put(self.length, address + i * self.n_inputs * sizeof(float))

    def write_dense(self, int64_t slot, uintptr_t address):
        """Write a row to n_inputs floats at an address."""
        cdef float *x = <float *> address
        cdef const uint64_t *words
        cdef const float *value
        cdef int64_t i
        if not 0 <= slot < self.length:
            raise IndexError(f"slot {slot} of {self.length}")
        words = self.rows[slot]
        value = <const float *> (words + WORDS(self.n_inputs))
        for i in range(self.n_inputs):
            if words[i // 64] >> (i % 64) & 1:
                x[i] = value[0]
                value += 1
            else:
                x[i] = 0.0

    cdef mer_row *select(self, const int64_t *slots, int64_t n) except NULL:
        """The rows at n slots, NULL for the first n, in a table for the caller to free."""
        cdef mer_row *chosen = <mer_row *> PyMem_Malloc(max(n, 1) * sizeof(mer_row))
        cdef int64_t i, slot
        if chosen == NULL:
            raise MemoryError()
        for i in range(n):
            slot = slots[i] if slots else i
            if not 0 <= slot < self.length:
                PyMem_Free(chosen)
                raise IndexError(f"slot {slot} of {self.length}")
            chosen[i] = self.rows[slot]
        return chosen


cdef class Listed:
    """The rows at n slots as they are now, listed for many passes over them: for each chunk, see `mer_listed`."""

    cdef mer_listed *chunks
    cdef void **blocks
    cdef int64_t n_chunks

    def __cinit__(self, Rows rows, uintptr_t slots, int64_t n):
        cdef mer_row *chosen = rows.select(<const int64_t *> slots, n)
        cdef int64_t c
        self.chunks = <mer_listed *> PyMem_Calloc(n // MER_CHUNK + 1, sizeof(mer_listed))
        self.blocks = <void **> PyMem_Calloc(n // MER_CHUNK + 1, sizeof(void *))
        if self.chunks != NULL and self.blocks != NULL:
            for c in range((n + MER_CHUNK - 1) // MER_CHUNK):
                self.blocks[c] = list_chunk(
                    chosen + c * MER_CHUNK, min(n - c * MER_CHUNK, MER_CHUNK), rows.n_inputs, self.chunks + c
                )
                if self.blocks[c] == NULL:
                    break
                self.n_chunks += 1
        PyMem_Free(chosen)
        if self.n_chunks * MER_CHUNK < n:
            raise MemoryError()

    def __dealloc__(self):
        cdef int64_t c
        for c in range(self.n_chunks):
            free(self.blocks[c])
        PyMem_Free(self.blocks)
        PyMem_Free(self.chunks)


cdef void *list_chunk(const mer_row *rows, int64_t n, int64_t n_inputs, mer_listed *lists) noexcept nogil:
    """A chunk's lists, in one block of memory, or NULL for want of it."""
    cdef int64_t words = WORDS(n_inputs), n_values = 0, i, k, q
    cdef const float **values
    cdef float *value
    cdef uint8_t *count
    cdef uint8_t *whose
    cdef void *block
    cdef uint64_t bits
    for i in range(n):
        for k in range(words):
            n_values += popcount(rows[i][k])
    block = malloc(n_values * 2 * (sizeof(float) + 1) + n * words + n_inputs + n * sizeof(float *))
    if block == NULL:
        return NULL
    values = <const float **> block
    value = <float *> (values + n)
    whose = <uint8_t *> (value + 2 * n_values)
    count = whose + 2 * n_values

    for i in range(n):
        values[i] = <const float *> (rows[i] + words)
    lists.by_row = mer_list(count, whose, value)
    for k in range(words):
        for i in range(n):
            bits = rows[i][k]
            count[0] = popcount(bits)
            memcpy(value, values[i], count[0] * sizeof(float))
            values[i] += count[0]
            value += count[0]
            count += 1
            for q in range(64):
                if bits >> q & 1:
                    whose[0] = q
                    whose += 1

    for i in range(n):
        values[i] = <const float *> (rows[i] + words)
    lists.by_input = mer_list(count, whose, value)
    for q in range(n_inputs):
        count[0] = 0
        for i in range(n):
            if rows[i][q // 64] >> (q % 64) & 1:
                value[0], whose[0] = values[i][0], i
                values[i] += 1
                value += 1
                whose += 1
                count[0] += 1
        count += 1
    return block


cdef enum:
    STRETCH = 2048  # floats: of weights, stiffness and target together, 24 KB


cdef class Pull:
    """A diagonal quadratic penalty's gradient, stiffness * weights - target: where it is not zero throughout.

    The stretches that are pulled begin and end on lines of 16 floats. With few examples behind a Fisher information, a
    fifth of it is zero: pixels that they never show.
    """

    cdef const float *stiffness
    cdef const float *target
    cdef int64_t *ends
    cdef int64_t n_stretches
    cdef bint back

    def __cinit__(self, uintptr_t stiffness, uintptr_t target, int64_t floats):
        cdef int64_t line, i, end = 0
        cdef bint pulled
        self.stiffness, self.target = <const float *> stiffness, <const float *> target
        # In turn: where a stretch begins and where it ends.
        self.ends = <int64_t *> PyMem_Malloc((floats // 16 + 2) * sizeof(int64_t))
        if self.ends == NULL:
            raise MemoryError()
        for line in range(0, floats, 16):
            pulled = False
            for i in range(line, line + 16):
                pulled |= self.stiffness[i] != 0 or self.target[i] != 0
            if pulled and (not self.n_stretches or end != line or end - self.ends[2 * self.n_stretches - 2] >= STRETCH):
                self.ends[2 * self.n_stretches] = line
                self.n_stretches += 1
            if pulled:
                end = line + 16
                self.ends[2 * self.n_stretches - 1] = end

    def __dealloc__(self):
        PyMem_Free(self.ends)

    cdef void apply(self, float *weights, float lr) noexcept nogil:
        """Each time the other way round: what was pulled last is what the caches still have."""
        cdef int64_t i, at, begin
        self.back = not self.back
        for i in range(self.n_stretches):
            at = self.n_stretches - 1 - i if self.back else i
            begin = self.ends[2 * at]
            kernels.pull(weights + begin, self.stiffness + begin, self.target + begin, self.ends[2 * at + 1] - begin, lr)


cdef int must_be_finite(float loss) except -1:
    if not isfinite(loss):
        raise FloatingPointError(f"the loss is {loss}")
    return 0


cdef class Net:
    """An MLP whose weights lie in one vector of `floats` floats at address `flat`.

    What computes a loss raises FloatingPointError where that is NaN or infinite.
    """

    cdef mer_net net
    cdef mer_scratch *scratch
    cdef float *flat
    cdef float *sum
    cdef int64_t floats
    cdef int64_t others

    def __cinit__(self, uintptr_t flat, int64_t floats, list layers):
        """`layers`: (n_in, n_out, wide, address of the weights, address of the bias) of each."""
        cdef int64_t i
        self.flat, self.floats = <float *> flat, floats
        # How many of them are another network's.
        self.others = floats - sum([(n_in + 1) * wide for n_in, _, wide, _, _ in layers])
        self.net.n_layers = len(layers)
        self.net.layers = <mer_layer *> PyMem_Malloc(len(layers) * sizeof(mer_layer))
        if self.net.layers == NULL:
            raise MemoryError()
        for i, (n_in, n_out, wide, w, b) in enumerate(layers):
            self.net.layers[i] = mer_layer(n_in, n_out, wide, <float *> <uintptr_t> w, <float *> <uintptr_t> b)
        self.scratch = mer_new_scratch(&self.net, MER_CHUNK)
        if self.scratch == NULL:
            raise MemoryError()

    def __dealloc__(self):
        mer_free(self.scratch)
        free(self.sum)
        PyMem_Free(self.net.layers)

    cdef const int64_t *labels(self, uintptr_t address, int64_t n) except? NULL:
        """n labels at an address, all of them outputs of the network."""
        cdef int64_t n_out = self.net.layers[self.net.n_layers - 1].n_out, i
        cdef const int64_t *y = <const int64_t *> address
        for i in range(n):
            if not 0 <= y[i] < n_out:
                raise IndexError(f"label {y[i]} of a network with {n_out} outputs")
        return y

    def sgd(self, Rows rows, uintptr_t slots, uintptr_t labels, uintptr_t scale, int64_t n, float lr):
        """One SGD step a row."""
        cdef const int64_t *y = self.labels(labels, n)
        cdef mer_row *chosen = rows.select(<const int64_t *> slots, n)
        cdef float check
        with nogil:
            check = kernels.sgd(&self.net, self.scratch, chosen, y, <const float *> scale, n, lr)
        PyMem_Free(chosen)
        must_be_finite(check)

    def step(self, Rows rows, uintptr_t slots, uintptr_t labels, uintptr_t weight, int64_t n, float lr,
             Pull pull):
        """One SGD step on a weighted sum of losses, and on the penalty whose gradient is a pull, if not None."""
        cdef const int64_t *y = self.labels(labels, n)
        cdef mer_row *chosen = rows.select(<const int64_t *> slots, n)
        cdef const float *w = <const float *> weight
        cdef float check
        if n > MER_CHUNK and self.sum == NULL:
            self.sum = <float *> aligned_alloc(64, self.floats * sizeof(float))
            if self.sum == NULL:
                PyMem_Free(chosen)
                raise MemoryError()
        with nogil:
            # However many rows, their sum is rounded into the weights once, as PyTorch does it.
            if n > MER_CHUNK:
                check = self.sum_gradient(self.scratch, chosen, NULL, y, w, n, self.sum)
            else:
                check = kernels.backpropagate(&self.net, self.scratch, chosen, y, w, <float> 1.0 / max(n, 1), n)
            if isfinite(check):
                if pull is not None:
                    pull.apply(self.flat, lr)
                if n > MER_CHUNK:
                    kernels.add(self.flat, self.sum, self.floats, -lr)
                else:
                    kernels.accumulate(&self.net, self.scratch, n, -lr, self.flat, self.flat, 0)
        PyMem_Free(chosen)
        must_be_finite(check)

    def gradient(self, Rows rows, uintptr_t slots, uintptr_t labels, uintptr_t weight, int64_t n, uintptr_t out,
                 Listed listed=None):
        """The gradient of a weighted sum of losses, by default their mean; `listed`, if given, are the same rows.

        More than one thread may ask at a time.
        """
        cdef const int64_t *y = self.labels(labels, n)
        cdef mer_row *chosen = rows.select(<const int64_t *> slots, n)
        cdef mer_scratch *scratch = mer_new_scratch(&self.net, n)
        cdef const mer_listed *lists = listed.chunks if listed is not None else NULL
        cdef float check
        if scratch == NULL:
            PyMem_Free(chosen)
            raise MemoryError()
        with nogil:
            check = self.sum_gradient(scratch, chosen, lists, y, <const float *> weight, n, <float *> out)
        mer_free(scratch)
        PyMem_Free(chosen)
        must_be_finite(check)

    cdef float sum_gradient(self, mer_scratch *scratch, const mer_row *rows, const mer_listed *listed,
                            const int64_t *labels, const float *weight, int64_t n, float *to) noexcept nogil:
        """to = the gradient of a weighted sum of losses, by default their mean."""
        cdef float check = 0.0
        cdef int64_t i = 0, some
        # The first examples write what is this network's.
        if n == 0 or self.others:
            memset(to, 0, self.floats * sizeof(float))
        while i < n:
            some = min(n - i, MER_CHUNK)
            scratch.listed = listed + i // MER_CHUNK if listed else NULL
            check += kernels.backpropagate(
                &self.net, scratch, rows + i, labels + i, weight + i if weight else NULL, <float> 1.0 / n, some
            )
            kernels.accumulate(&self.net, scratch, some, 1.0, self.flat, to, i == 0)
            i += some
        return check

    def scores(self, Rows rows, uintptr_t slots, int64_t n, uintptr_t out, int64_t piece, int64_t pieces,
               Listed listed=None):
        """The scores of one of so many pieces of n rows, into its part of n x n_out floats; `listed`, if given, are
        the same rows.

        More than one thread may ask at a time.
        """
        # Lists are of whole chunks.
        cdef int64_t length = ((n + MER_CHUNK - 1) // MER_CHUNK + pieces - 1) // pieces * MER_CHUNK
        cdef int64_t begin = min(piece * length, n), end = min(begin + length, n)
        cdef int64_t n_out = self.net.layers[self.net.n_layers - 1].n_out
        cdef mer_row *chosen = rows.select(<const int64_t *> slots, end)
        cdef mer_scratch *scratch = mer_new_scratch(&self.net, end - begin)
        cdef const mer_listed *lists = listed.chunks + begin // MER_CHUNK if listed is not None else NULL
        if scratch == NULL:
            PyMem_Free(chosen)
            raise MemoryError()
        with nogil:
            kernels.scores(&self.net, scratch, chosen + begin, lists, end - begin, <float *> out + begin * n_out)
        mer_free(scratch)
        PyMem_Free(chosen)


def gram(uintptr_t rows, int64_t n, int64_t stride, int64_t length, int64_t chunk, uintptr_t products):
    """The products, n x n doubles, of n rows of `length` floats, `stride` floats apart.

    `length` and `chunk`, the columns that are taken at a time, are whole lines of 16 floats.
    """
    cdef int64_t size = ((n + 3) * (chunk + 1) + 8 * (n + 1) * (n + 1)) * sizeof(double)
    cdef double *scratch = <double *> aligned_alloc(64, (size + 63) // 64 * 64)
    if scratch == NULL:
        raise MemoryError()
    with nogil:
        memset(scratch, 0, size)
        kernels.gram(<const float *> rows, n, stride, length, chunk, scratch, <double *> products)
    free(scratch)


def combine(uintptr_t rows, int64_t n, int64_t stride, int64_t length, uintptr_t factors, uintptr_t to):
    """The sum, `length` floats, of such rows, each times its factor, a double."""
    with nogil:
        kernels.combine(<const float *> rows, n, stride, length, <const double *> factors, <float *> to)


def interpolate(uintptr_t weights, uintptr_t before, int64_t floats, float rate, bint renew):
    """weights = before + rate * (weights - before), in whole lines of 16 floats, to PyTorch's bits; where `renew`, before
    becomes the same.
    """
    with nogil:
        kernels.interpolate(<float *> weights, <float *> before, floats, rate, renew)


def draw(uintptr_t state, int used, int64_t n, int64_t k, uintptr_t drawn):
    """k draws from n entries, a shuffle of all before each, into k int64.

    `state`: 624 words of a Mersenne Twister, which advances, `used` of them handed out. Returns how many are now.
    """
    cdef size_t item = 2 if n < 65536 else 4
    cdef void *scratch
    if not 1 <= n < 2**31 or not 0 <= k <= n or not 0 <= used <= 624:
        raise ValueError(f"{k} draws from {n} entries, {used} words used")
    scratch = malloc((4 * n + 128) * item)
    if scratch == NULL:
        raise MemoryError()
    with nogil:
        if item == 2:
            kernels.draw_16(<uint32_t *> state, &used, n, k, <int64_t *> drawn, <uint16_t *> scratch)
        else:
            kernels.draw_32(<uint32_t *> state, &used, n, k, <int64_t *> drawn, <uint32_t *> scratch)
    free(scratch)
    return used
