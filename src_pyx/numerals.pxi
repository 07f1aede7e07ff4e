# Plain numbers, correctly rounded: the double next to the decimal that is written, as Python has it.
#
# Up to 19 digits are one whole number w times a power of ten; the product with the 128 bits of that power
# of five that `powers` holds decides the rounding in all cases: Lemire, "Number parsing at a gigabyte per
# second" (Software: Practice and Experience 51, 2021); that no case is left out: Mushtak and Lemire, "Fast
# number parsing without fallback" (the same, 53, 2023). More digits than that are Python's to read.

cdef extern from *:
    """
    #include <stdint.h>

    /* The low 64 bits of a * b. */
    static uint64_t fw_multiply(uint64_t a, uint64_t b, uint64_t *high)
    {
    #if defined(__SIZEOF_INT128__)
        unsigned __int128 product = (unsigned __int128)a * b;
        *high = (uint64_t)(product >> 64);
        return (uint64_t)product;
    #else
        uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
        uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)middle;
        *high = a1 * b1 + (middle >> 32) + (other >> 32);
        return (other << 32) | (uint32_t)low;
    #endif
    }

    /* Above the highest bit that is set; one is. */
    static int fw_leading_zeros(uint64_t number)
    {
    #if defined(__GNUC__)
        return __builtin_clzll(number);
    #else
        int zeros = 0;
        for (int half = 32; half > 0; half /= 2)
            if (number >> (64 - half) == 0) {
                zeros += half;
                number <<= half;
            }
        return zeros;
    #endif
    }

    static double fw_double_of_bits(uint64_t bits)
    {
        double value;
        memcpy(&value, &bits, 8);
        return value;
    }
    """
    uint64_t multiply "fw_multiply"(uint64_t a, uint64_t b, uint64_t* high) noexcept nogil
    int leading_zeros "fw_leading_zeros"(uint64_t number) noexcept nogil
    double double_of_bits "fw_double_of_bits"(uint64_t bits) noexcept nogil

cdef enum:
    MIN_POWER = -342
    MAX_POWER = 308
    # All that a uint64 surely holds.
    MAX_DIGITS = 19

# What is written in a cell, as far as it tells which mark parts decimals and which thousands. Of a number
# with three digits behind its only mark both may be true.
cdef enum:
    FEW_DIGITS
    MANY_DIGITS
    POINT_SURE
    POINT_MAYBE
    COMMA_SURE
    COMMA_MAYBE
    POINT_GROUPS
    COMMA_GROUPS
    SPACE_GROUPS
    APOSTROPHE_GROUPS
    NO_NUMBER
    FORMS

# The first 128 bits of each power of five, high and low.
cdef uint64_t[2 * (MAX_POWER - MIN_POWER + 1)] powers


def fill_powers():
    """The powers of five from MIN_POWER on, rounded as the proof wants them: those below 1 upwards."""
    for power in range(MIN_POWER, MAX_POWER + 1):
        if power >= 0:
            exact = 5**power << 128
            bits = exact >> exact.bit_length() - 128
        else:
            divisor = 5**-power
            size = (divisor - 1).bit_length()
            bits = (1 << (size + 127 if power >= -27 else 2 * size + 128)) // divisor + 1
            bits >>= bits.bit_length() - 128
        powers[2 * (power - MIN_POWER)] = bits >> 64
        powers[2 * (power - MIN_POWER) + 1] = bits & 0xFFFFFFFFFFFFFFFF


fill_powers()


# w 10^power
cdef double scaled(uint64_t w, Py_ssize_t power) noexcept nogil:
    cdef uint64_t high, low, more, mantissa
    cdef int zeros, upper, exponent, place
    if w == 0 or power < MIN_POWER:
        return 0.0
    if power > MAX_POWER:
        return double_of_bits(<uint64_t>0x7FF << 52)
    zeros = leading_zeros(w)
    w <<= zeros
    place = 2 * <int>(power - MIN_POWER)
    low = multiply(w, powers[place], &high)
    if high & 0x1FF == 0x1FF:  # What the lower bits of the power add may be carried up to the mantissa.
        multiply(w, powers[place + 1], &more)
        low += more
        high += low < more
    upper = high >> 63
    mantissa = high >> (upper + 9)
    exponent = <int>((217706 * <int64_t>power) >> 16) + 63 + upper - zeros + 1023
    if exponent <= 0:  # subnormal
        if exponent <= -63:
            return 0.0
        mantissa >>= 1 - exponent
        mantissa = (mantissa + (mantissa & 1)) >> 1
        return double_of_bits(mantissa)  # 2^52 is the smallest normal number
    if low <= 1 and -4 <= power <= 23 and mantissa & 3 == 1 and mantissa << (upper + 9) == high:
        mantissa -= 1  # halfway between two doubles: to the even one
    mantissa = (mantissa + (mantissa & 1)) >> 1
    if mantissa == <uint64_t>1 << 53:
        mantissa >>= 1
        exponent += 1
    if exponent >= 0x7FF:
        return double_of_bits(<uint64_t>0x7FF << 52)
    return double_of_bits((mantissa & ~(<uint64_t>1 << 52)) | <uint64_t>exponent << 52)


cdef double by_python(const char* begin, const char* end, char point) noexcept with gil:
    return float(begin[:end - begin].replace(bytes([<unsigned char>point]), b"."))


cdef inline bint is_digit(char c) noexcept nogil:
    return <unsigned char>(c - c'0') <= 9


# How many of these digits there are behind leading zeros.
cdef Py_ssize_t significant(const char* begin, const char* end) noexcept nogil:
    cdef Py_ssize_t count = 0
    while begin < end:
        if is_digit(begin[0]):
            count += count > 0 or begin[0] != c'0'
        begin += 1
    return count


# The number that text begins with, which a byte ends that no number has; NULL where there is none. A plain
# number is described in `fastweights.table.cells.Cells`.
cdef const char* read_number(const char* text, char point, double* value, int* form) noexcept nogil:
    cdef const char* first = text + (text[0] == c'-' or text[0] == c'+')
    cdef const char* at = first
    cdef const char* mark
    cdef const char* digits_end
    cdef uint64_t digits = 0
    cdef Py_ssize_t whole, behind = 0, exponent = 0
    cdef bint is_negative
    while is_digit(at[0]):
        digits = 10 * digits + <uint64_t>(at[0] - c'0')
        at += 1
    whole = at - first
    if whole > 1 and first[0] == c'0':
        return NULL
    form[0] = FEW_DIGITS if whole <= 3 else MANY_DIGITS
    if at[0] == point:
        mark = at
        at += 1
        while is_digit(at[0]):
            digits = 10 * digits + <uint64_t>(at[0] - c'0')
            at += 1
        behind = at - mark - 1
        form[0] = POINT_MAYBE if behind == 3 and 1 <= whole <= 3 and first[0] != c'0' else POINT_SURE
        if point == c',':
            form[0] += COMMA_SURE - POINT_SURE
    if whole + behind == 0:
        return NULL
    digits_end = at
    if at[0] == c'e' or at[0] == c'E':
        at += 1
        is_negative = at[0] == c'-'
        at += is_negative or at[0] == c'+'
        if not is_digit(at[0]):
            return NULL
        while is_digit(at[0]):
            if exponent < 1000000:
                exponent = 10 * exponent + (at[0] - c'0')
            at += 1
        exponent = -exponent if is_negative else exponent
        if form[0] == FEW_DIGITS or form[0] == POINT_MAYBE or form[0] == COMMA_MAYBE:
            form[0] = MANY_DIGITS
    exponent -= behind
    if whole + behind > MAX_DIGITS and significant(first, digits_end) > MAX_DIGITS:
        value[0] = by_python(first, at, point)
    else:
        value[0] = <double>digits if exponent == 0 else scaled(digits, exponent)
    if text[0] == c'-':
        value[0] = -value[0]
    return at if isfinite(value[0]) else NULL
