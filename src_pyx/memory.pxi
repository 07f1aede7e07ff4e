# Buffers of the caller's, and the arena.

cdef extern from *:
    """
    #if defined(__linux__)
    #include <sys/mman.h>
    #endif

    /* Asks for the pages of fresh memory to be huge: panels are read and written in more places at once
     * than a translation buffer has entries for small ones. */
    static void fw_want_huge_pages(char *memory, size_t bytes)
    {
    #if defined(MADV_HUGEPAGE)
        const uintptr_t huge = 1 << 21;
        uintptr_t begin = ((uintptr_t)memory + huge - 1) / huge * huge;
        uintptr_t end = ((uintptr_t)memory + bytes) / huge * huge;
        if (begin < end) (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
    #else
        (void)memory;
        (void)bytes;
    #endif
    }
    """
    void fw_want_huge_pages(char* memory, size_t size) nogil

cdef enum: ALIGNMENT = 64


cdef class Address:
    """A C-contiguous buffer held for as long as this object lives; None is a null address."""

    cdef Py_buffer view
    cdef char* at

    def __cinit__(self, buffer, bint writable=False):
        self.at = NULL
        if buffer is not None:
            PyObject_GetBuffer(buffer, &self.view, PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0))
            self.at = <char*>self.view.buf

    def __dealloc__(self):
        if self.at != NULL:
            PyBuffer_Release(&self.view)


cdef class Arrays:
    """One buffer for each input or output, held for as long as this object lives: an array, or a tuple of them."""

    cdef Py_ssize_t count
    cdef tuple addresses
    cdef char* single
    cdef const char** at
    cdef Py_ssize_t single_item
    cdef Py_ssize_t* item_bytes  # of each

    def __cinit__(self, arrays, bint writable=False):
        cdef Py_ssize_t i
        self.at, self.item_bytes = <const char**>&self.single, &self.single_item
        if type(arrays) is not tuple:
            self.addresses, self.count = (Address(arrays, writable),), 1
        else:
            self.addresses = tuple([Address(array, writable) for array in arrays])
            self.count = len(self.addresses)
            self.at = <const char**>calloc(self.count + 1, sizeof(char*))
            self.item_bytes = <Py_ssize_t*>calloc(self.count + 1, sizeof(Py_ssize_t))
            if self.at == NULL or self.item_bytes == NULL:
                raise MemoryError()
        for i in range(self.count):
            self.at[i] = (<Address>self.addresses[i]).at
            self.item_bytes[i] = 0 if self.at[i] == NULL else (<Address>self.addresses[i]).view.itemsize

    def __dealloc__(self):
        if self.at != <const char**>&self.single:
            free(self.at)
        if self.item_bytes != &self.single_item:
            free(self.item_bytes)


cdef inline Py_ssize_t aligned(Py_ssize_t size) noexcept nogil:
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


# The next `size` bytes of an arena, aligned; NULL for none.
cdef inline char* take(char** at, Py_ssize_t size) noexcept nogil:
    cdef char* taken = at[0]
    at[0] += aligned(size)
    return taken if size > 0 else NULL
