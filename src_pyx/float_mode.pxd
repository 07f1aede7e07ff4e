"""The floating-point environment that kernels count on: see float_mode.h."""

cdef extern from "float_mode.h" nogil:
    ctypedef unsigned long long fw_float_mode
    fw_float_mode fw_enter_float_mode()
    void fw_leave_float_mode(fw_float_mode mode)
