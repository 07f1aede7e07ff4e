# Numbers that change from step to step: learning rates, weight decay, rates of dropout.
#
# A schedule is compiled to a few doubles, the kind and its numbers; a warm-up is followed by the schedule that it
# stands in front of. What is computed here is the same bits everywhere, so of libm there is nothing but what is
# exact (floor, fmod, frexp, ldexp): cosines, powers and logarithms are sums of their series.

from libc.float cimport DBL_MAX
from libc.math cimport ceil, fabs, floor, fmod, frexp, ldexp

cdef enum ScheduleKind:
    CONSTANT            # value
    EXPONENTIAL         # initial, steps, rate, whether in whole steps
    PIECEWISE           # how many boundaries, these, one value more
    POLYNOMIAL          # initial, steps, end, power, whether it begins again
    INVERSE_TIME        # initial, steps, rate, whether in whole steps
    COSINE              # initial, steps, alpha
    RESTARTS            # initial, steps of the first, t_mul, m_mul, alpha
    PHASES              # whether by cosines, how many, of each its last step, and where it begins and ends
    LOGARITHMIC         # initial, steps
    WARMUP              # steps, initial, a schedule
    SCHEDULE_KINDS

SCHEDULES = {
    "constant": CONSTANT, "exponential": EXPONENTIAL, "piecewise": PIECEWISE, "polynomial": POLYNOMIAL,
    "inverse_time": INVERSE_TIME, "cosine": COSINE, "restarts": RESTARTS, "phases": PHASES,
    "logarithmic": LOGARITHMIC, "warmup": WARMUP,
}

# A number as the sum of two, of which the second is what the first has no digits for.
cdef struct Pair:
    double high
    double low


cdef inline Pair exact_sum(double a, double b) noexcept nogil:
    cdef double high = a + b, part = high - a
    return Pair(high, (a - (high - part)) + (b - part))


# (Dekker 1971)
cdef inline Pair exact_product(double a, double b) noexcept nogil:
    cdef double high = a * b, scaled = 134217729.0 * a, a0, a1, b0, b1
    a0 = scaled - (scaled - a)
    a1 = a - a0
    scaled = 134217729.0 * b
    b0 = scaled - (scaled - b)
    b1 = b - b0
    return Pair(high, ((a0 * b0 - high) + a0 * b1 + a1 * b0) + a1 * b1)


cdef enum: LOG_TERMS = 13
cdef enum: EXP_TERMS = 13

# 1 / 3, 1 / 5, ...
cdef double[LOG_TERMS] ODD_PARTS = [
    1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21, 1.0 / 23,
    1.0 / 25, 1.0 / 27,
]
# 1 / 2!, 1 / 3!, ...
cdef double[EXP_TERMS] FACTORIALS = [
    1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800,
    1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0, 1.0 / 87178291200.0,
]


# log(a), a > 0: 2 atanh((m - 1) / (m + 1)) of m between sqrt(1 / 2) and sqrt(2), and the powers of 2 before it.
cdef Pair log_of(double a) noexcept nogil:
    cdef int exponent, k
    cdef double m = frexp(a, &exponent), s, left, z, tail = 0.0
    cdef Pair over, product, whole, total
    if m < 0.70710678118654752:
        m *= 2.0
        exponent -= 1
    over = exact_sum(m, 1.0)
    s = (m - 1.0) / over.high
    product = exact_product(s, over.high)
    left = (((m - 1.0) - product.high) - product.low - s * over.low) / over.high
    z = s * s
    for k in range(LOG_TERMS - 1, -1, -1):
        tail = z * (ODD_PARTS[k] + tail)
    product = exact_product(exponent, 0.6931471805599453)
    whole = exact_sum(product.high, 2.0 * s)
    total.low = whole.low + (product.low + exponent * 2.3190468138462996e-17 + (2.0 * left + 2.0 * s * tail))
    total.high = whole.high + total.low
    total.low -= total.high - whole.high
    return total


# Of x between -800 and 800.
cdef double exp_of(Pair x) noexcept nogil:
    cdef double k, r, low, tail = 0.0
    cdef int i
    k = floor(x.high * 1.4426950408889634 + 0.5)
    r = x.high - k * 0.693147180369123816490
    low = x.low - k * 1.90821492927058770002e-10
    for i in range(EXP_TERMS - 1, -1, -1):
        tail = (r + low) * (FACTORIALS[i] + tail)
    return ldexp(1.0 + (r + (low + (r + low) * tail)), <int>k)


# a to the power of p, a >= 0.
cdef double power_of(double a, double p) noexcept nogil:
    cdef Pair log, product
    if p == 0.0 or a == 1.0:
        return 1.0
    if a == 0.0:
        return 0.0
    log = log_of(a)
    # Beyond there are no digits to be lost, and products may have none.
    if fabs(p * log.high) > 800.0:
        return INFINITY if log.high > 0.0 else 0.0
    product = exact_product(p, log.high)
    product.low += p * log.low
    return exp_of(product)


# sin and cos of x in [0, pi / 4], by their series.
cdef inline double small_sine(double x) noexcept nogil:
    cdef double z = x * x, total = 0.0, k = 19.0
    while k > 1.0:
        total = -z / (k * (k - 1.0)) * (1.0 + total)
        k -= 2.0
    return x + x * total


cdef inline double small_cosine(double x) noexcept nogil:
    cdef double z = x * x, total = 0.0, k = 18.0
    while k > 0.0:
        total = -z / (k * (k - 1.0)) * (1.0 + total)
        k -= 2.0
    return 1.0 + total


# The square of sin(pi x / 2), which is (1 - cos(pi x)) / 2, of x between -1 and 2, with all its digits near its zeros.
cdef double square_of_sine(double x) noexcept nogil:
    cdef double half = 1.5707963267948966
    x = fabs(x)
    if x > 1.0:
        x = 2.0 - x
    x = small_sine(half * x) if x <= 0.5 else small_cosine(half * (1.0 - x))
    return x * x


# a times a number that may have overflown.
cdef inline double so_many(double a, double power) noexcept nogil:
    return a * power if a != 0.0 else 0.0


# How often a number of steps has gone by; of very few it may be more than there are numbers.
cdef inline double times_of(double step, double steps) noexcept nogil:
    return min(step / steps, DBL_MAX)


# Where the restart of that number begins, in lengths of the first.
cdef inline double restart_begin(double number, double t_mul) noexcept nogil:
    return number if t_mul == 1.0 else (power_of(t_mul, number) - 1.0) / (t_mul - 1.0)


cdef double restarted(const double* numbers, double step) noexcept nogil:
    cdef double initial = numbers[0], done = times_of(step, numbers[1]), t_mul = numbers[2], m_mul = numbers[3]
    cdef double alpha = numbers[4], number = floor(done), share
    if t_mul != 1.0:
        number = floor(log_of(min(1.0 + done * (t_mul - 1.0), DBL_MAX)).high / log_of(t_mul).high)
        # What rounding has made of it where a restart begins.
        if restart_begin(number + 1.0, t_mul) <= done:
            number += 1.0
        elif restart_begin(number, t_mul) > done:
            number -= 1.0
    share = done - restart_begin(number, t_mul)
    if t_mul != 1.0:
        share /= power_of(t_mul, number)
    share = square_of_sine(1.0 - min(share, 1.0))
    return so_many(initial, so_many(share, so_many(1.0 - alpha, power_of(m_mul, number))) + alpha)


cdef double phased(const double* numbers, double step) noexcept nogil:
    cdef int count = <int>numbers[1], k
    cdef const double* phase = numbers + 2
    cdef double begin = 0.0, share
    for k in range(count):
        if step <= phase[0] or k == count - 1:
            break
        begin = phase[0]
        phase += 3
    share = 1.0 if step >= phase[0] else (step - begin) / (phase[0] - begin)
    if numbers[0] != 0.0:
        share = square_of_sine(share)
    return phase[1] + (phase[2] - phase[1]) * share


# Of so many steps, that of those that are left.
cdef inline double share_left(double step, double steps) noexcept nogil:
    return (steps - min(step, steps)) / steps


# The number at a step, from 0 on.
cdef double schedule_at(const double* schedule, double step) noexcept nogil:
    cdef const double* numbers = schedule + 1
    cdef int kind = <int>schedule[0], k
    cdef double share
    cdef Pair log, turns
    if kind == CONSTANT:
        return numbers[0]
    if kind == PIECEWISE:
        for k in range(<int>numbers[0]):
            if step <= numbers[1 + k]:
                return numbers[1 + <int>numbers[0] + k]
        return numbers[1 + 2 * <int>numbers[0]]
    if kind == PHASES:
        return phased(numbers, step)
    if kind == RESTARTS:
        return restarted(numbers, step)
    if kind == WARMUP:
        if step >= numbers[0]:
            return schedule_at(numbers + 2, step - numbers[0])
        return numbers[1] + (schedule_at(numbers + 2, 0.0) - numbers[1]) * (step / numbers[0])
    if kind == COSINE:
        return numbers[0] * ((1.0 - numbers[2]) * square_of_sine(share_left(step, numbers[1])) + numbers[2])
    share = times_of(step, numbers[1])
    if kind == LOGARITHMIC:
        # log2(1 + 15 t) goes from 0 to 4, with one cosine each.
        log = log_of(1.0 + 15.0 * min(share, 1.0))
        turns = exact_product(log.high, 2.0 * 1.4426950408889634)
        turns.low += 2.0 * (log.low * 1.4426950408889634 + log.high * 2.0355273740931033e-17)
        return numbers[0] * square_of_sine(fmod(turns.high, 2.0) + turns.low)
    if kind == POLYNOMIAL:
        share = share_left(step, numbers[1] * (max(1.0, ceil(share)) if numbers[4] != 0.0 else 1.0))
        return (numbers[0] - numbers[2]) * power_of(share, numbers[3]) + numbers[2]
    if numbers[3] != 0.0:
        share = floor(share)
    if kind == EXPONENTIAL:
        return so_many(numbers[0], power_of(numbers[2], share))
    return numbers[0] / (1.0 + numbers[2] * share)


# How many doubles a schedule takes of those that are there; more than that where it is none.
cdef Py_ssize_t schedule_size(const double* schedule, Py_ssize_t room) noexcept nogil:
    cdef Py_ssize_t count
    cdef int kind
    if room < 2 or not 0.0 <= schedule[0] < <double>SCHEDULE_KINDS:
        return room + 1
    kind = <int>schedule[0]
    if kind == PIECEWISE or kind == PHASES:
        count = 2 if kind == PIECEWISE else 3
        if room < count or not 1.0 <= schedule[count - 1] <= <double>room:
            return room + 1
        return count + (2 * <Py_ssize_t>schedule[1] + 1 if kind == PIECEWISE else 3 * <Py_ssize_t>schedule[2])
    if kind == WARMUP:
        return room + 1 if room < 3 else 3 + schedule_size(schedule + 3, room - 3)
    if kind == CONSTANT:
        return 2
    if kind == COSINE:
        return 4
    if kind == LOGARITHMIC:
        return 3
    return 5 if kind == EXPONENTIAL or kind == INVERSE_TIME else 6


cdef class Schedule:
    """A schedule's numbers, looked at once."""

    cdef double* numbers

    def __cinit__(self, numbers):
        cdef Py_ssize_t count = len(numbers)
        self.numbers = <double*>room_for(count, sizeof(double))
        for i, number in enumerate(numbers):
            self.numbers[i] = number
        if schedule_size(self.numbers, count) != count:
            raise ValueError(f"schedule: got {count} numbers, expected those of its kind")

    def __dealloc__(self):
        free(self.numbers)

    def at(self, double step):
        """Its value at a step, counted from 0."""
        cdef fw_float_mode mode = fw_enter_float_mode()
        cdef double value = schedule_at(self.numbers, step)
        fw_leave_float_mode(mode)
        return value
