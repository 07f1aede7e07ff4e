# How many members a plan's steps take, of those that their work repays.
#
# Whether a second thread helps is not known beforehand: another process may have its CPU, or two CPUs may
# be one core. So two sizes of a team take turns, the faster one has the title, and after a truce, which is
# longer each time that it keeps it, the next size challenges. The size of a team changes no bit.

cdef enum:
    TURNS = 4                          # of a contest, the title holder's first
    # How long a truce is, in times of what the contest took the loser.
    SHORTEST_TRUCE = 32
    LONGEST_TRUCE = 1024

cdef double TURN_SECONDS = 5e-4        # or one step
# What the time of a step must come down to for the larger of two teams to be worth its threads.
cdef double CLEARLY_FASTER = 0.97


cdef struct Contest:
    # What it is about: with other steps it starts anew.
    Py_ssize_t batch_size
    int most
    int[2] members                     # who has the title and who challenges
    double[2] steps                    # what each did in this contest ...
    double[2] seconds                  # ... and how long it took
    int turn                           # TURNS: truce
    Py_ssize_t truce
    double steps_left                  # of the truce


# Half or, by turns where there may be as many, twice the holder's members.
cdef inline int next_challenger(const Contest* c) noexcept nogil:
    cdef int holder = c.members[0], last = c.members[1]
    if holder > 1 and (last > holder or 2 * holder > c.most):
        return holder // 2
    return min(2 * holder, c.most)


cdef void begin_contest(Contest* c) noexcept nogil:
    c.members[1] = next_challenger(c)
    c.steps[0] = c.steps[1] = c.seconds[0] = c.seconds[1] = 0.0
    c.turn = 0


# The members of the next steps. In a contest they are for TURN_SECONDS, else for up to steps_left.
cdef int choose_members(Contest* c, Py_ssize_t batch_size, int most) noexcept nogil:
    if c.batch_size != batch_size or c.most != most:
        c.batch_size = batch_size
        c.most = c.members[0] = c.members[1] = most
        c.truce = SHORTEST_TRUCE
        begin_contest(c)
    return c.members[0 if c.turn == TURNS else c.turn % 2]


cdef inline double step_seconds(const Contest* c, int who) noexcept nogil:
    return c.seconds[who] / c.steps[who]


cdef inline bint challenger_wins(const Contest* c) noexcept nogil:
    if c.members[1] > c.members[0]:
        return step_seconds(c, 1) < CLEARLY_FASTER * step_seconds(c, 0)
    return CLEARLY_FASTER * step_seconds(c, 1) < step_seconds(c, 0)


# How long the members that were chosen took for so many steps, all of one turn or some of a truce.
cdef void note_steps(Contest* c, double steps, double seconds) noexcept nogil:
    if c.turn == TURNS:
        c.steps_left -= steps
        if c.steps_left < 1.0:
            begin_contest(c)
        return
    c.steps[c.turn % 2] += steps
    c.seconds[c.turn % 2] += seconds
    c.turn += 1
    if c.turn < TURNS:
        return
    if challenger_wins(c):
        c.members[0], c.members[1] = c.members[1], c.members[0]
        c.truce = SHORTEST_TRUCE
        c.steps_left = c.truce * c.seconds[0] / step_seconds(c, 1)
    else:
        c.steps_left = c.truce * c.seconds[1] / step_seconds(c, 0)
    c.truce = min(2 * c.truce, <Py_ssize_t>LONGEST_TRUCE)
