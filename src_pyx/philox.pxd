"""Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
numbers: as easy as 1, 2, 3" (SC 2011), for C callers; philox.pyx fills arrays with it.

# Design: a number is a function of (seed, stream, index) and of nothing else, so the order in which
# numbers are asked for, and by how many threads, changes none of them. The seed is the key. The
# counter is the stream above the number of a block, which is four words of 32 bits: word i of a
# stream is word i % 4 of block i / 4. Everything here is inline, so that a module that cimports it
# imports nothing.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from *:
    bint unlikely(bint) noexcept nogil      # Cython's own macro: a hint, and the same value


cdef enum:
    RUN = 64                 # words made at a time, whole blocks: they do not wait for each other


# The words stand apart, at the caller's, so that a compiler keeps the rest in registers.
cdef struct Source:
    uint32_t* words          # RUN of them: the run that `index` is in, unless it is the run's first
    uint64_t seed
    uint64_t stream
    uint64_t index           # of the next word


# block = block number `counter` of the stream. The constants are the paper's.
@cython.overflowcheck(False)
cdef inline void philox_block(uint32_t* block, uint64_t seed, uint64_t stream,
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
    block[0], block[1], block[2], block[3] = c0, c1, c2, c3


# Makes the run of words that `index` is in.
cdef inline void refill(Source* source) noexcept nogil:
    cdef uint64_t first = source.index // RUN * (RUN // 4)
    cdef int i
    for i in range(RUN // 4):
        philox_block(&source.words[4 * i], source.seed, source.stream, first + i)


# A source whose next word is word `index` of the stream; `words` has room for RUN.
cdef inline Source source_at(uint32_t* words, uint64_t seed, uint64_t stream,
                             uint64_t index) noexcept nogil:
    cdef Source source
    source.words = words
    source.seed = seed
    source.stream = stream
    source.index = index
    if index % RUN != 0:
        refill(&source)
    return source


cdef inline uint32_t next_word(Source* source) noexcept nogil:
    cdef uint64_t place = source.index % RUN
    if place == 0:
        refill(source)
    source.index += 1
    return source.words[place]


# The next two words as one of 64 bits, the first in its lower half.
cdef inline uint64_t next_pair(Source* source) noexcept nogil:
    cdef uint64_t low = next_word(source)
    return <uint64_t>next_word(source) << 32 | low


# A whole number in [0, bound), each equally likely. Up to 2^32 it is the upper half of a word times
# the bound: Lemire, "Fast random integer generation in an interval" (ACM TOMACS 29, 2019). Of the
# 2^32 words, 2^32 mod bound are too many; their products are those with the smallest lower halves,
# and they are drawn again. Beyond, it is the remainder of a pair of words, of which the
# 2^64 mod bound smallest are too many.
@cython.overflowcheck(False)
cdef inline uint64_t next_below(Source* source, uint64_t bound) noexcept nogil:
    cdef uint64_t drawn, surplus
    if bound <= <uint64_t>1 << 32:
        drawn = next_word(source) * bound
        if unlikely(<uint32_t>drawn < bound):
            surplus = (<uint64_t>1 << 32) % bound
            while <uint32_t>drawn < surplus:
                drawn = next_word(source) * bound
        return drawn >> 32
    surplus = (0 - bound) % bound
    drawn = next_pair(source)
    while drawn < surplus:
        drawn = next_pair(source)
    return drawn % bound


# order[:end] = a permutation of 0 .. end - 1, each equally likely, from one of 0 .. begin - 1 in
# order[:begin] (Fisher and Yates, from the inside out): every number takes one of the places up to
# its own, and what stood there moves to that place.
cdef inline void permute(int64_t* order, Py_ssize_t begin, Py_ssize_t end,
                         Source* source) noexcept nogil:
    cdef Py_ssize_t last, chosen
    for last in range(begin, end):
        chosen = <Py_ssize_t>next_below(source, <uint64_t>last + 1)
        order[last] = order[chosen]
        order[chosen] = last
