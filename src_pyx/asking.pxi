# What a Python thread asks in the middle of a call, as signals come to the main thread alone.

class _OfThread(local):
    """For each thread its own.

    Attributes
    ----------
    ask : callable or None
        Called now and then in long calls; what it raises ends them as an exception of a signal's handler does.
    """

    ask = None


OF_THREAD = _OfThread()


cdef object raised_by_thread():
    """What ends the call of this thread, or None."""
    try:
        if OF_THREAD.ask is not None:
            OF_THREAD.ask()
    except BaseException as error:
        return error
    return None
