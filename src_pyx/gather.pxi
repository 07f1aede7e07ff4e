# Rows picked from all over the data: copied, and fetched ahead.

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define fw_prefetch(address) __builtin_prefetch(address)
    #else
    #define fw_prefetch(address) ((void)(address))
    #endif
    """
    void fw_prefetch(const void* address) nogil

cdef enum:
    # How far ahead rows are fetched, and how much of each.
    ROWS_AHEAD = 12
    PREFETCHED_BYTES = 512
    LINE_BYTES = 64


# Row order[i] of data for i in [first, last), one after the other; order has `end` entries.
cdef void gather(char* to, const char* data, Py_ssize_t row_bytes, const int64_t* order, Py_ssize_t first,
                 Py_ssize_t last, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(first, last):
        # Short rows share their lines with others and do not repay it.
        if row_bytes >= LINE_BYTES:
            prefetch_row(data + order[min(i + ROWS_AHEAD, end - 1)] * row_bytes, row_bytes)
        copy_row(to, data + order[i] * row_bytes, row_bytes)
        to += row_bytes


# The same of rows of `width` bytes, each of which becomes a real.
cdef void gather_bytes(widen_function widen, char* to, Py_ssize_t row_bytes, const char* data, Py_ssize_t width,
                       const int64_t* order, Py_ssize_t first, Py_ssize_t last, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(first, last):
        if width >= LINE_BYTES:
            prefetch_row(data + order[min(i + ROWS_AHEAD, end - 1)] * width, width)
        widen(to, <const unsigned char*>(data + order[i] * width), width)
        to += row_bytes


# Has the beginning of a row fetched; what follows in a long one the hardware sees coming.
cdef inline void prefetch_row(const char* row, Py_ssize_t size) noexcept nogil:
    cdef const char* end = row + min(size, <Py_ssize_t>PREFETCHED_BYTES)
    row -= <uintptr_t>row % LINE_BYTES
    while row < end:
        fw_prefetch(row)
        row += LINE_BYTES


# memcpy of a multiple of 4 bytes, for rows so short that the call would cost more than the copy.
cdef inline void copy_row(char* to, const char* row, Py_ssize_t size) noexcept nogil:
    if size > 128:
        memcpy(to, row, size)
        return
    while size >= 16:
        memcpy(to, row, 16)
        to += 16
        row += 16
        size -= 16
    while size > 0:
        memcpy(to, row, 4)
        to += 4
        row += 4
        size -= 4
