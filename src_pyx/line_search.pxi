# How far to go along a direction: the search of More and Thuente, "Line search algorithms with guaranteed sufficient
# decrease", ACM TOMS 20 (1994), 286-307, for a step t that meets the strong conditions of Wolfe,
#
#     f(t) <= f(0) + c1 t f'(0)        |f'(t)| <= c2 |f'(0)|
#
# It keeps the best step so far and, once there is one, another with which it brackets such a t. As long as no step has
# met the first condition on a rising slope, it works with f(t) - f(0) - c1 t f'(0) in place of f (their section 2).
# A step where f or its slope is no finite number is too long, and nothing longer is tried.

cdef enum:
    # What became of a step.
    GO_ON           # try `step` next
    FOUND           # it meets the conditions
    AT_AN_END       # no number between those that were tried is left to be tried

# Before there is a bracket the next step is at least, and at most, so much further than the last one (their section 4).
cdef double LEAST_FURTHER = 1.1
cdef double MOST_FURTHER = 4.0
# A bracket must shrink to this in two steps, or is halved; within one a step stays so far from its other end.
cdef double SHRINKS_TO = 0.66
# Of the way to where there are no finite numbers the next step goes so much.
cdef double SHORT_OF_LIMIT = 0.1
# A bracket that is so narrow, for its place, is a point.
cdef double NARROWEST = 1e-14


cdef struct Trial:
    double step
    double loss
    double slope


cdef struct Search:
    double step          # to be tried
    Trial start
    Trial best
    Trial other          # of the bracket, where there is one
    double c1
    double c2
    double lower         # bounds of the next step ...
    double upper
    double limit         # ... and what it stays below: there f was no number
    double width         # of the bracket ...
    double width_before  # ... and a step earlier
    bint is_bracketed
    bint is_modified


cdef void begin_search(Search* s, double loss, double slope, double step, double c1, double c2) noexcept nogil:
    s.start = s.best = s.other = Trial(0.0, loss, slope)
    s.step, s.c1, s.c2 = step, c1, c2
    s.lower, s.upper = 0.0, step + MOST_FURTHER * step
    s.limit = s.width = INFINITY
    s.width_before = INFINITY
    s.is_bracketed, s.is_modified = False, True


# Takes `slope` times the step off what was found.
cdef inline void tilt(Trial* t, double slope) noexcept nogil:
    t.loss -= t.step * slope
    t.slope -= slope


# What a step has led to: says what is next.
cdef int consider(Search* s, double loss, double slope) noexcept nogil:
    cdef Trial tried = Trial(s.step, loss, slope)
    cdef double least = s.c1 * s.start.slope, bound = s.start.loss + s.step * least, length
    if not (isfinite(loss) and isfinite(slope)):
        s.limit = s.step
        s.step = s.best.step + SHORT_OF_LIMIT * (s.step - s.best.step)
        return GO_ON if s.best.step < s.step < s.limit or s.limit < s.step < s.best.step else AT_AN_END
    if loss <= bound and fabs(slope) <= -s.c2 * s.start.slope:
        s.best = tried
        return FOUND
    if loss <= bound and slope >= 0.0:
        s.is_modified = False
    if s.is_modified and loss <= s.best.loss and loss > bound:
        tilt(&tried, least)
        tilt(&s.best, least)
        tilt(&s.other, least)
        narrow(s, tried)
        tilt(&s.best, -least)
        tilt(&s.other, -least)
    else:
        narrow(s, tried)
    if s.is_bracketed:
        length = fabs(s.other.step - s.best.step)
        if length >= SHRINKS_TO * s.width_before:
            s.step = s.best.step + 0.5 * (s.other.step - s.best.step)
        s.width_before, s.width = s.width, length
        s.lower, s.upper = min(s.best.step, s.other.step), max(s.best.step, s.other.step)
        if not s.lower < s.step < s.upper or length <= NARROWEST * s.upper:
            return AT_AN_END
    else:
        s.lower = s.step + LEAST_FURTHER * (s.step - s.best.step)
        s.upper = s.step + MOST_FURTHER * (s.step - s.best.step)
    if s.step >= s.limit:
        s.step = s.best.step + SHORT_OF_LIMIT * (s.limit - s.best.step)
    return GO_ON if s.step != s.best.step and isfinite(s.step) else AT_AN_END


# Where the cubic that has the losses and slopes of two trials is least: how much of the way from a to b.
# Where there is no such place `has_none` says so.
cdef inline double least_of_cubic(const Trial* a, const Trial* b, bint* has_none) noexcept nogil:
    cdef double theta = 3.0 * (a.loss - b.loss) / (b.step - a.step) + a.slope + b.slope
    cdef double size = max(fabs(theta), max(fabs(a.slope), fabs(b.slope)))
    cdef double inner = (theta / size) * (theta / size) - (a.slope / size) * (b.slope / size)
    cdef double gamma = size * sqrt(max(0.0, inner))
    cdef double numerator, denominator
    if b.step < a.step:
        gamma = -gamma
    numerator = (gamma - a.slope) + theta
    denominator = ((gamma - a.slope) + gamma) + b.slope
    has_none[0] = gamma == 0.0 or denominator == 0.0
    return 0.0 if denominator == 0.0 else numerator / denominator


# The bracket after one more trial, and the next step: the four cases of their section 4.
cdef void narrow(Search* s, Trial tried) noexcept nogil:
    cdef Trial best = s.best
    cdef double between = tried.step - best.step, cubic, secant, step
    cdef bint has_none = False, turns = tried.slope * (1.0 if best.slope > 0.0 else -1.0) < 0.0
    if tried.loss > best.loss:
        # Less is on this side of it: the cubic's step, or half of what a parabola by both losses goes beyond it.
        cubic = best.step + least_of_cubic(&best, &tried, &has_none) * between
        secant = best.step + 0.5 * best.slope / ((best.loss - tried.loss) / between + best.slope) * between
        step = cubic if fabs(cubic - best.step) < fabs(secant - best.step) else cubic + 0.5 * (secant - cubic)
        s.is_bracketed = True
    elif turns:
        # Slopes of two signs: whichever of the cubic's and the secant's step is nearer to the best one.
        cubic = tried.step - least_of_cubic(&tried, &best, &has_none) * between
        secant = tried.step - tried.slope / (tried.slope - best.slope) * between
        step = cubic if fabs(cubic - tried.step) > fabs(secant - tried.step) else secant
        s.is_bracketed = True
    elif fabs(tried.slope) < fabs(best.slope):
        # The slope gets less: the cubic counts where it rises further on.
        cubic = least_of_cubic(&tried, &best, &has_none)
        if cubic < 0.0 and not has_none:
            cubic = tried.step - cubic * between
        else:
            cubic = s.upper if between > 0.0 else s.lower
        secant = tried.step - tried.slope / (tried.slope - best.slope) * between
        if s.is_bracketed:
            step = cubic if fabs(cubic - tried.step) < fabs(secant - tried.step) else secant
            secant = tried.step + SHRINKS_TO * (s.other.step - tried.step)
            step = min(secant, step) if between > 0.0 else max(secant, step)
        else:
            step = cubic if fabs(cubic - tried.step) > fabs(secant - tried.step) else secant
            step = max(s.lower, min(s.upper, step))
    elif s.is_bracketed:
        step = tried.step + least_of_cubic(&tried, &s.other, &has_none) * (s.other.step - tried.step)
    else:
        step = s.upper if between > 0.0 else s.lower
    if tried.loss > best.loss:
        s.other = tried
    else:
        if turns:
            s.other = best
        s.best = tried
    s.step = step


def search_line(function, double step, double c1, double c2, Py_ssize_t most):
    """(step, trials) of a search along ``function(t) -> (value, slope)``; the best one where none meets the conditions.

    What the search is tried with.
    """
    cdef Search s
    cdef int became = GO_ON
    cdef Py_ssize_t trials = 0
    loss, slope = function(0.0)
    begin_search(&s, loss, slope, step, c1, c2)
    while became == GO_ON and trials < most:
        loss, slope = function(s.step)
        became = consider(&s, loss, slope)
        trials += 1
    return s.best.step, trials
