"""Python code in the floating-point environment that kernels count on: see float_mode.h."""

from float_mode cimport fw_enter_float_mode, fw_float_mode, fw_leave_float_mode


def in_default_float_mode(function, *arguments):
    """``function(*arguments)``, with round to nearest and with subnormal numbers, whatever the
    calling thread has set; the thread's settings are the same afterwards."""
    cdef fw_float_mode mode = fw_enter_float_mode()
    try:
        return function(*arguments)
    finally:
        fw_leave_float_mode(mode)
