"""Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
numbers: as easy as 1, 2, 3" (SC 2011), for C callers; philox.pyx fills arrays with it.

# Design: a number is a function of (seed, stream, index) and of nothing else, so the order in which
# numbers are asked for, and by how many threads, changes none of them. The seed is the key. The
# counter is the stream above the number of a block of 128 bits, which is two words of 64 bits: word
# i of a stream is half i % 2 of block i / 2. Everything here is inline, so that a module that
# cimports it imports nothing.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef struct Source:
    uint64_t seed
    uint64_t stream
    uint64_t index           # of the next word
    uint64_t[2] block        # where index is odd, its second word is the next


# words = block number `counter` of the stream. The constants are the paper's.
@cython.overflowcheck(False)
cdef inline void philox_block(uint64_t* words, uint64_t seed, uint64_t stream,
                              uint64_t counter) noexcept nogil:
    cdef uint32_t key0 = <uint32_t>seed, key1 = <uint32_t>(seed >> 32)
    cdef uint32_t c0 = <uint32_t>counter, c1 = <uint32_t>(counter >> 32)
    cdef uint32_t c2 = <uint32_t>stream, c3 = <uint32_t>(stream >> 32)
    cdef uint64_t product0, product2
    cdef int round
    for round in range(10):
        product0 = <uint64_t>0xD2511F53U * c0
        product2 = <uint64_t>0xCD9E8D57U * c2
        c0 = <uint32_t>(product2 >> 32) ^ c1 ^ key0
        c1 = <uint32_t>product2
        c2 = <uint32_t>(product0 >> 32) ^ c3 ^ key1
        c3 = <uint32_t>product0
        key0 += 0x9E3779B9U
        key1 += 0xBB67AE85U
    words[0] = <uint64_t>c1 << 32 | c0
    words[1] = <uint64_t>c3 << 32 | c2


# A source whose next word is word `index` of the stream.
cdef inline Source source_at(uint64_t seed, uint64_t stream, uint64_t index) noexcept nogil:
    cdef Source source
    source.seed = seed
    source.stream = stream
    source.index = index
    philox_block(source.block, seed, stream, index >> 1)
    return source


cdef inline uint64_t next_word(Source* source) noexcept nogil:
    cdef uint64_t half = source.index & 1
    if half == 0:
        philox_block(source.block, source.seed, source.stream, source.index >> 1)
    source.index += 1
    return source.block[half]


# The upper 64 bits of a * b, and in `low` the lower; from products of 32 bits, as not every
# compiler has a 128-bit type.
@cython.overflowcheck(False)
cdef inline uint64_t multiply_high(uint64_t a, uint64_t b, uint64_t* low) noexcept nogil:
    cdef uint64_t a0 = a & 0xFFFFFFFFU, a1 = a >> 32
    cdef uint64_t b0 = b & 0xFFFFFFFFU, b1 = b >> 32
    cdef uint64_t middle = a1 * b0 + (a0 * b0 >> 32)
    cdef uint64_t carry = a0 * b1 + (middle & 0xFFFFFFFFU)
    low[0] = a * b
    return a1 * b1 + (middle >> 32) + (carry >> 32)


# A whole number in [0, bound), each equally likely: Lemire, "Fast random integer generation in an
# interval" (ACM TOMACS 29, 2019). Of the 2^64 words, 2^64 mod bound are one too many; their
# products are those with the smallest lower halves, and they are drawn again.
@cython.overflowcheck(False)
cdef inline uint64_t next_below(Source* source, uint64_t bound) noexcept nogil:
    cdef uint64_t low, surplus
    cdef uint64_t high = multiply_high(next_word(source), bound, &low)
    if low < bound:
        surplus = (0 - bound) % bound
        while low < surplus:
            high = multiply_high(next_word(source), bound, &low)
    return high


# order = a permutation of 0 .. n - 1, each equally likely (Fisher, Yates and Durstenfeld).
cdef inline void permute(int64_t* order, Py_ssize_t n, uint64_t seed,
                         uint64_t stream) noexcept nogil:
    cdef Source source = source_at(seed, stream, 0)
    cdef Py_ssize_t last, chosen
    for last in range(n):
        order[last] = last
    for last in range(n - 1, 0, -1):
        chosen = <Py_ssize_t>next_below(&source, <uint64_t>last + 1)
        order[last], order[chosen] = order[chosen], order[last]
