# Products of a matrix with itself, of which half is enough: what normal equations and their factors are made of.
#
#     c (n, n) += left^T . right      left, right (depth, n), in the panels that `pack` makes
#
# Rows [begin, begin + PANEL) of c, from the diagonal on to the right: begin is a multiple of PANEL. What stands left
# of the diagonal in these rows is not to be looked at. Each element is one chain in ascending k that goes on from
# what is there, so the bits do not depend on how the depth is cut, nor on who has which rows.

cdef void pack_panels(void* panels, Py_ssize_t panel_stride, const void* lines, Py_ssize_t depth,
                     Py_ssize_t columns) noexcept nogil:
    pack(<real*>panels, panel_stride, <const real*>lines, depth, columns)


cdef void multiply_panels(void* c, Py_ssize_t ldc, const void* left, const void* right, Py_ssize_t panel_stride,
                          Py_ssize_t depth, Py_ssize_t n, Py_ssize_t begin) noexcept nogil:
    cdef Py_ssize_t at = begin // PANEL * panel_stride
    cdef real* corner = <real*>c + begin * (ldc + 1)
    cdef Product p = Product(corner, ldc, <const real*>left + at, 1, PANEL, <const real*>right + at, PANEL,
                             panel_stride, corner, ldc, depth, NULL, NULL, False, NULL)
    matmul(&p, min(n - begin, <Py_ssize_t>PANEL), n - begin)
