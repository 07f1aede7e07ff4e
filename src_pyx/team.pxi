# A private pool of threads, and teams of them that run one task together.
#
# A team's members all run the same function and meet at barriers. Between tasks a thread spins for
# SPIN_SECONDS, since the next task often comes at once, and then sleeps. Threads and locks are
# CPython's own portable ones; none of the threads ever touches a Python object or holds the GIL.

from cpython.pythread cimport (
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock,
    PyThread_start_new_thread, PyThread_type_lock, WAIT_LOCK,
)

cdef extern from "Python.h":
    unsigned long thread_ident "PyThread_get_thread_ident"() noexcept nogil

cdef extern from *:
    """
    #if defined(_WIN32)
    #include <windows.h>
    static double fw_seconds(void)
    {
        LARGE_INTEGER now, frequency;
        QueryPerformanceCounter(&now);
        QueryPerformanceFrequency(&frequency);
        return (double)now.QuadPart / (double)frequency.QuadPart;
    }
    static void fw_give_way(void) { SwitchToThread(); }
    static void fw_at_fork(void (*in_child)(void)) { (void)in_child; }
    #else
    #include <pthread.h>
    #include <sched.h>
    #include <time.h>
    static double fw_seconds(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    }
    static void fw_give_way(void) { sched_yield(); }
    /* Also where C forks, of which Python is told nothing. */
    static void fw_at_fork(void (*in_child)(void)) { (void)pthread_atfork(NULL, NULL, in_child); }
    #endif

    /* Sequentially consistent operations on what threads share. */
    #if defined(_MSC_VER) && !defined(__clang__)
    typedef volatile long fw_shared;
    static long fw_read(fw_shared *a) { return InterlockedOr(a, 0); }
    static long fw_exchange(fw_shared *a, long b) { return InterlockedExchange(a, b); }
    static long fw_add(fw_shared *a, long b) { return InterlockedExchangeAdd(a, b); }
    static void fw_pause(void) { YieldProcessor(); }
    #else
    typedef long fw_shared;
    static long fw_read(fw_shared *a) { return __atomic_load_n(a, __ATOMIC_SEQ_CST); }
    static long fw_exchange(fw_shared *a, long b) { return __atomic_exchange_n(a, b, __ATOMIC_SEQ_CST); }
    static long fw_add(fw_shared *a, long b) { return __atomic_fetch_add(a, b, __ATOMIC_SEQ_CST); }
    static void fw_pause(void)
    {
    #if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
    #elif defined(__aarch64__)
        __asm__ volatile("yield");
    #endif
    }
    #endif
    """
    ctypedef long fw_shared
    double fw_seconds() noexcept nogil
    void fw_give_way() noexcept nogil
    void fw_at_fork(void (*in_child)() noexcept nogil)
    void fw_pause() noexcept nogil
    long fw_read(fw_shared* a) noexcept nogil
    long fw_exchange(fw_shared* a, long b) noexcept nogil      # the value before
    long fw_add(fw_shared* a, long b) noexcept nogil           # the value before

cdef enum:
    MAX_MEMBERS = 64
    LINE = 64 // sizeof(long)          # what threads write stands on cache lines of its own
    PAUSES = 64                        # between two looks at the clock

cdef double SPIN_SECONDS = 40e-6

ctypedef void (*task_function)(void* argument, int member, Team* team) noexcept nogil


cdef struct Team:
    int members
    bint spins                         # false with more members than CPUs: spinning keeps another out
    fw_shared[LINE] arrived
    fw_shared[LINE] generation


cdef struct Worker:
    fw_shared[LINE] task               # number of the last task given to it
    fw_shared[LINE] asleep
    PyThread_type_lock wake


cdef struct Pool:
    fw_shared[LINE] workers
    fw_shared[LINE] cpus
    fw_shared[LINE] busy
    fw_shared[LINE] unfinished
    long task
    task_function function
    void* argument
    Team team
    Worker[MAX_MEMBERS] worker         # that of member 0 is whoever asks

cdef Pool POOL

# Forks that this process has come through: what was locked before may be so for ever. The thread that forked
# last is the only one that was left.
cdef long FORKS = 0
cdef unsigned long SURVIVOR = 0


# Returns when a has left `value`: spins for a while, then lets others run in between.
cdef void wait_while(fw_shared* a, long value, bint spins) noexcept nogil:
    cdef double until
    cdef int i
    if spins:
        until = fw_seconds() + SPIN_SECONDS
        while fw_seconds() < until:
            for i in range(PAUSES):
                if fw_read(a) != value:
                    return
                fw_pause()
    while fw_read(a) == value:
        fw_give_way()


cdef inline void wait_until(fw_shared* a, long value, bint spins) noexcept nogil:
    cdef long found = fw_read(a)
    while found != value:
        wait_while(a, found, spins)
        found = fw_read(a)


# Returns when all members have come here; what they wrote before is then seen by all.
cdef void meet(Team* team) noexcept nogil:
    cdef long generation
    if team.members == 1:
        return
    generation = fw_read(&team.generation[0])
    if fw_add(&team.arrived[0], 1) == team.members - 1:
        fw_exchange(&team.arrived[0], 0)
        fw_add(&team.generation[0], 1)
    else:
        wait_while(&team.generation[0], generation, team.spins)


cdef void sleep_until_given(Worker* me, long task) noexcept nogil:
    cdef double until = fw_seconds() + SPIN_SECONDS
    cdef int i
    while fw_seconds() < until:
        for i in range(PAUSES):
            if fw_read(&me.task[0]) != task:
                return
            fw_pause()
    fw_exchange(&me.asleep[0], 1)
    if fw_read(&me.task[0]) == task or fw_exchange(&me.asleep[0], 0) == 0:
        PyThread_acquire_lock(me.wake, WAIT_LOCK)


cdef void work(void* argument) noexcept nogil:
    cdef Worker* me = <Worker*>argument
    cdef long task = 0
    fw_enter_float_mode()
    while True:
        sleep_until_given(me, task)
        task = fw_read(&me.task[0])
        POOL.function(POOL.argument, <int>(me - POOL.worker), &POOL.team)
        fw_add(&POOL.unfinished[0], -1)


# Starts threads until a team may have `members`; fewer if the system gives no more.
cdef int recruit(int members, int cpus):
    cdef Worker* worker
    fw_exchange(&POOL.cpus[0], cpus)
    while fw_read(&POOL.workers[0]) < min(members, MAX_MEMBERS) - 1:
        worker = &POOL.worker[fw_read(&POOL.workers[0]) + 1]
        if worker.wake == NULL:
            worker.wake = PyThread_allocate_lock()
            if worker.wake == NULL:
                break
            PyThread_acquire_lock(worker.wake, WAIT_LOCK)
        worker.task[0] = worker.asleep[0] = 0
        if PyThread_start_new_thread(work, worker) == <unsigned long>-1:
            break
        fw_add(&POOL.workers[0], 1)
    return <int>fw_read(&POOL.workers[0]) + 1


# Runs function(argument, member, team) on each of `members` threads, of which the caller is member 0.
# If another Python thread has the pool, or the pool is smaller, on fewer.
cdef void run_together(task_function function, void* argument, int members) noexcept nogil:
    cdef Team alone
    cdef int i
    cdef fw_float_mode mode = fw_enter_float_mode()
    members = min(members, <int>fw_read(&POOL.workers[0]) + 1)
    if members <= 1 or fw_exchange(&POOL.busy[0], 1) != 0:
        alone.members = 1
        function(argument, 0, &alone)
        fw_leave_float_mode(mode)
        return
    POOL.function = function
    POOL.argument = argument
    POOL.team.members = members
    POOL.team.spins = members <= fw_read(&POOL.cpus[0])
    POOL.team.arrived[0] = 0
    POOL.task += 1
    fw_exchange(&POOL.unfinished[0], members - 1)
    for i in range(1, members):
        fw_exchange(&POOL.worker[i].task[0], POOL.task)
        if fw_exchange(&POOL.worker[i].asleep[0], 0) == 1:
            PyThread_release_lock(POOL.worker[i].wake)
    function(argument, 0, &POOL.team)
    wait_until(&POOL.unfinished[0], 0, POOL.team.spins)
    fw_exchange(&POOL.busy[0], 0)
    fw_leave_float_mode(mode)


# In a forked process, whose parent's threads it has not: pool and locks start anew. A team that the thread was
# in the middle of (a signal's handler may fork) has no other member.
cdef void forget_threads() noexcept nogil:
    global FORKS, SURVIVOR
    memset(&POOL, 0, sizeof(POOL))
    POOL.team.members = 1
    FORKS += 1
    SURVIVOR = thread_ident()


fw_at_fork(forget_threads)
