# One user at a time of a model's numbers and of its plans' memory.

from cpython.pythread cimport NOWAIT_LOCK

cdef extern from "Python.h" nogil:
    int LOCK_ACQUIRED "PY_LOCK_ACQUIRED"
    # 1 as the last argument: signals end the wait.
    int PyThread_acquire_lock_timed(PyThread_type_lock lock, long long microseconds, int by_signals)

cdef enum:
    # Between two looks for signals while another thread has the model.
    PATIENCE_MICROSECONDS = 50000


cdef inline bint acquired(PyThread_type_lock lock) noexcept nogil:
    """Whether the lock could be had before it took long, or a signal came."""
    return PyThread_acquire_lock_timed(lock, PATIENCE_MICROSECONDS, 1) == LOCK_ACQUIRED


@cython.final
cdef class ModelLock:
    """Held while compiled code runs on a model. Whoever waits comes before whoever asks again."""

    cdef PyThread_type_lock in_use
    cdef PyThread_type_lock next_one   # held by the one who is waiting for in_use
    cdef fw_shared[LINE] owner         # its thread, while it is held
    cdef fw_shared[LINE] waiting
    cdef void* rested                  # the plan whose step made the gradients, if it was one that `rests`
    cdef readonly bint gradients_shown # to somebody who may write to them at any time
    cdef long forks

    def __cinit__(self):
        self.renew()

    cdef renew(self):
        # Locks from before a fork are left alone: they may be held, and freeing those is undefined.
        self.in_use = PyThread_allocate_lock()
        self.next_one = PyThread_allocate_lock()
        if self.in_use == NULL or self.next_one == NULL:
            raise MemoryError()
        self.owner[0] = 0
        self.waiting[0] = 0
        self.forks = FORKS

    def __dealloc__(self):
        if self.in_use != NULL:
            PyThread_free_lock(self.in_use)
        if self.next_one != NULL:
            PyThread_free_lock(self.next_one)

    cdef int enter(self) except -1:
        cdef unsigned long me = thread_ident()
        while True:
            # After a fork it is held by nobody but, within a signal's handler, the thread that forked.
            if fw_read(&self.owner[0]) == <long>me and (self.forks == FORKS or me == SURVIVOR):
                raise RuntimeError("got a call from a signal handler, or from a function of a layer, loss or "
                                   "optimizer of your own, in the middle of another call of the same model, expected one "
                                   "before or after that")
            if self.forks != FORKS:
                self.renew()
            if fw_read(&self.waiting[0]) == 0 and PyThread_acquire_lock(self.in_use, NOWAIT_LOCK):
                break
            if self.wait():
                break
            if check_signals() != 0:    # whose handlers may use the model, or fork
                return -1
        fw_exchange(&self.owner[0], <long>me)
        return 0

    cdef bint wait(self) noexcept:
        """Waits for the model; False where that takes long, or a signal comes."""
        cdef bint is_next, is_mine = False
        with nogil:
            fw_add(&self.waiting[0], 1)
            is_next = acquired(self.next_one)
            if is_next:
                is_mine = acquired(self.in_use)
            fw_add(&self.waiting[0], -1)
            if is_next:
                PyThread_release_lock(self.next_one)
        return is_mine

    def show_gradients(self):
        """Says that somebody has the vector of gradients, so no step can go by what the last one left there."""
        self.gradients_shown = True

    cdef void leave(self) noexcept nogil:
        fw_exchange(&self.owner[0], 0)
        PyThread_release_lock(self.in_use)

    def hold(self, function, *arguments):
        """``function(*arguments)`` while nobody else uses the model."""
        self.enter()
        try:
            return function(*arguments)
        finally:
            self.leave()

    def copy(self, targets, sources):
        """Copies each array of `sources` over the one of `targets`, all of them or none."""
        cdef list to = [Address(array, True) for array in targets]
        cdef list come = [Address(array) for array in sources]
        cdef Address target, source
        for target, source in zip(to, come, strict=True):
            if target.view.len != source.view.len:
                raise ValueError(f"copy: got {source.view.len} bytes for {target.view.len}")
        self.copy_all(to, come)

    def room_for(self, live):
        """Room for copies of some of the model's arrays."""
        return Copies(self, live)

    cdef int copy_all(self, list targets, list sources) except -1:
        """Copies buffers of the same sizes."""
        cdef Py_ssize_t i
        self.enter()
        for i in range(len(targets)):
            memcpy((<Address>targets[i]).at, (<Address>sources[i]).at, (<Address>sources[i]).view.len)
        self.leave()
        return 0


@cython.final
cdef class Copies:
    """Room for what some of a model's arrays hold at one moment.

    Parameters
    ----------
    lock : ModelLock
    live : tuple of ndarray
    """

    cdef ModelLock lock
    cdef list live, copies
    cdef readonly tuple arrays

    def __cinit__(self, ModelLock lock not None, live):
        live = tuple(live)
        self.lock = lock
        self.arrays = tuple([empty_like(array) for array in live])
        self.live = [Address(array, True) for array in live]
        self.copies = [Address(array, True) for array in self.arrays]

    def keep(self):
        """Copies all that is there now, and returns the copies, in which it will be when kept again."""
        self.lock.copy_all(self.copies, self.live)
        return self.arrays

    def bring_back(self):
        """Writes what was kept last over what is there now."""
        self.lock.copy_all(self.live, self.copies)
