# How many members a plan's steps take, of those that their work repays.
#
# Whether a second thread helps is not known beforehand: another process may have its CPU, or two CPUs may
# be one core. So two sizes of a team take turns, the faster one has the title, and after a truce, which is
# longer each time that it keeps it, the next size challenges. The size of a team changes no bit.

cdef enum:
    # Of a contest: each team settles and is timed, three times, or once if that leaves no doubt.
    TURNS = 12
    ROUND_TURNS = 4
    # How long a truce is, in times of what the contest took the loser.
    SHORTEST_TRUCE = 16
    LONGEST_TRUCE = 1024

# Of being timed, or one step. To settle, which means to have the data in the right caches, is one step.
cdef double TURN_SECONDS = 1e-3
# What the time of a step must come down to for the larger of two teams to be worth its threads.
cdef double CLEARLY_FASTER = 0.97
# How many times slower a team is that is not timed again.
cdef double HOPELESS = 1.5


cdef struct Contest:
    # What it is about: with other steps it starts anew.
    Py_ssize_t batch_size
    int most
    int[2] members                     # who has the title and who challenges
    double[2] step                     # seconds a step, added up over the times that it was timed ...
    double[2] worst                    # ... and the longest of these, which the CPU may have been away for
    double[2] seconds                  # all that it had in this contest
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
    c.step[0] = c.step[1] = c.worst[0] = c.worst[1] = c.seconds[0] = c.seconds[1] = 0.0
    c.turn = 0


# Whose turn it is, and whether to settle.
cdef inline int at_it(const Contest* c) noexcept nogil:
    return 0 if c.turn == TURNS else c.turn // 2 % 2


cdef inline bint settles(const Contest* c) noexcept nogil:
    return c.turn < TURNS and c.turn % 2 == 0


# The members of the next steps: of one if they settle, of TURN_SECONDS if they are timed, else of up to
# steps_left.
cdef int choose_members(Contest* c, Py_ssize_t batch_size, int most) noexcept nogil:
    if c.batch_size != batch_size or c.most != most:
        c.batch_size = batch_size
        c.most = c.members[0] = c.members[1] = most
        c.truce = SHORTEST_TRUCE
        begin_contest(c)
    return c.members[at_it(c)]


cdef inline double step_seconds(const Contest* c, int who) noexcept nogil:
    cdef double step = c.step[who]
    if c.turn > ROUND_TURNS:
        step = (step - c.worst[who]) / (TURNS // ROUND_TURNS - 1)
    return max(step, 1e-9)             # a clock may be coarse


cdef inline bint is_hopeless(const Contest* c, int who) noexcept nogil:
    return c.step[who] > HOPELESS * c.step[1 - who]


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
    c.seconds[at_it(c)] += seconds
    if not settles(c):
        c.step[at_it(c)] += seconds / steps
        c.worst[at_it(c)] = max(c.worst[at_it(c)], seconds / steps)
    c.turn += 1
    if c.turn < TURNS and not (c.turn == ROUND_TURNS and (is_hopeless(c, 0) or is_hopeless(c, 1))):
        return
    if challenger_wins(c):
        c.members[0], c.members[1] = c.members[1], c.members[0]
        c.truce = SHORTEST_TRUCE
        c.steps_left = c.truce * c.seconds[0] / step_seconds(c, 1)
    else:
        c.steps_left = c.truce * c.seconds[1] / step_seconds(c, 0)
    c.turn = TURNS
    c.truce = min(2 * c.truce, <Py_ssize_t>LONGEST_TRUCE)
