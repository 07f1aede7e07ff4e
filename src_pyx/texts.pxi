# The different texts of a column: where they lie, their codes, and in what form they hold numbers.
#
# Each look at one of many texts waits for memory three times: for its slot, for what is known of it, for its
# bytes. Columns of many texts collect cells, therefore, and ask for the memory of all of them at once.

cdef extern from *:
    """
    /* A hash that nobody can aim at, as its secret differs from process to process: the halves of products,
     * as in wyhash by Wang Yi. */
    static uint64_t fw_hash(const char *at, size_t n, uint64_t secret)
    {
        uint64_t word, high, hash = secret ^ n;
        for (; n > 8; n -= 8, at += 8) {
            memcpy(&word, at, 8);
            hash = fw_multiply(hash ^ word, secret | 1, &high);
            hash ^= high;
        }
        word = 0;
        if (n >= 4) {
            memcpy(&word, at, 4);
            memcpy((char *)&word + 4, at + n - 4, 4);
        } else if (n > 0) {
            word = (uint64_t)(unsigned char)at[0] << 16 | (uint64_t)(unsigned char)at[n / 2] << 8
                   | (unsigned char)at[n - 1];
        }
        hash = fw_multiply(hash ^ word, 0x9e3779b97f4a7c15u ^ secret, &high);
        return hash ^ high;
    }

    #if defined(__GNUC__)
    #define FW_PREFETCH(at) __builtin_prefetch(at)
    #else
    #define FW_PREFETCH(at) ((void)(at))
    #endif
    """
    void prefetch "FW_PREFETCH"(const void* at) noexcept nogil
    uint64_t hash_of "fw_hash"(const char* at, size_t n, uint64_t secret) noexcept nogil

cdef enum:
    FIRST_SLOTS = 16
    # Texts of a column whose memory is not at hand any more, and how many cells wait for it at a time.
    MANY_TEXTS = 1 << 12
    WAITING = 64
    # Of what stands before and behind the digits of a number: a sign, a currency, a unit.
    MAX_AROUND = 8

cdef uint64_t SECRET = int.from_bytes(urandom(8), "little")

cdef struct Text:
    const char* at
    size_t length
    uint64_t hash

# A text that lies nowhere in the file, as it has quotes in it.
cdef struct Copy:
    Copy* next

cdef struct Waiting:
    const char* at
    size_t length
    uint64_t hash
    Py_ssize_t row

cdef struct Column:
    double* values
    int32_t* codes
    char point
    bint has_numbers, has_texts
    # The code of the empty text; -1 where there was none yet.
    int32_t empty
    int32_t count
    Text* texts
    int32_t* slots
    size_t mask
    Waiting* waiting
    int waiting_count
    Py_ssize_t[FORMS] forms


# How many bytes of white space end here, going back to `begin`: as `str.strip` has it, in UTF-8.
cdef int space_before(const char* begin, const char* end) noexcept nogil:
    cdef unsigned char last = (end - 1)[0] if end > begin else 0
    if last == 0x20 or 0x09 <= last <= 0x0D or 0x1C <= last <= 0x1F:
        return 1
    if last < 0x80 or end - begin < 2:
        return 0
    if is_space_of_two(end - 2):
        return 2
    return 3 if end - begin >= 3 and is_space_of_three(end - 3) else 0


# The same at the beginning.
cdef int space_after(const char* begin, const char* end) noexcept nogil:
    cdef unsigned char first = begin[0] if end > begin else 0
    if first == 0x20 or 0x09 <= first <= 0x0D or 0x1C <= first <= 0x1F:
        return 1
    if first < 0x80 or end - begin < 2:
        return 0
    if is_space_of_two(begin):
        return 2
    return 3 if end - begin >= 3 and is_space_of_three(begin) else 0


cdef bint is_space_of_two(const char* at) noexcept nogil:
    cdef unsigned char second = at[1]
    return <unsigned char>at[0] == 0xC2 and (second == 0x85 or second == 0xA0)


cdef bint is_space_of_three(const char* at) noexcept nogil:
    cdef int character
    if <unsigned char>at[0] & 0xF0 != 0xE0:
        return False
    character = (at[0] & 0x0F) << 12 | (at[1] & 0x3F) << 6 | (at[2] & 0x3F)
    return (0x2000 <= character <= 0x200A or character == 0x2028 or character == 0x2029
            or character == 0x202F or character == 0x205F or character == 0x3000
            or character == 0x1680)


# The form of the mark that stands at a place within a number, and its size in bytes; -1 for none.
cdef int group_mark(const char* at, const char* end, int* size) noexcept nogil:
    size[0] = 1
    if at[0] == c'.':
        return POINT_GROUPS
    if at[0] == c',':
        return COMMA_GROUPS
    if at[0] == c"'":
        return APOSTROPHE_GROUPS
    if end - at >= 3 and memcmp(at, b"\xe2\x80\x99", 3) == 0:
        size[0] = 3
        return APOSTROPHE_GROUPS
    size[0] = space_after(at, end)
    return SPACE_GROUPS if size[0] else -1


# In what form a text holds a number: the decimal mark's, FEW_DIGITS or MANY_DIGITS where it has none; and the
# form of what groups its digits, -1 where nothing does. NO_NUMBER where it holds digits but no number, -1 where
# it has no digits.
cdef int form_of_text(const char* begin, const char* end, int* groups) noexcept nogil:
    cdef const char* first = begin
    cdef const char* last = end
    cdef const char* at
    cdef const char* mantissa
    cdef int mark, size, run = 0, before = 0, grouping = -1, form = -1, decimal = -1
    cdef bint is_grouped = True
    groups[0] = -1
    while first < end and not is_digit(first[0]):
        first += 1
    if first == end:
        return -1
    while not is_digit((last - 1)[0]):
        last -= 1
    if first - begin > MAX_AROUND or end - last > MAX_AROUND:
        return NO_NUMBER
    at = first
    while at < last:
        if is_digit(at[0]):
            run += 1
            at += 1
            continue
        if (at[0] == c'e' or at[0] == c'E') and before + run > 0:
            break  # what follows is an exponent or none
        mark = group_mark(at, last, &size)
        if mark < 0 or decimal >= 0 or run == 0:
            return NO_NUMBER
        if before == 0:
            is_grouped = run <= 3 and first[0] != c'0'
            before = run
        elif run != 3 and (run != 2 or grouping != COMMA_GROUPS):  # lakhs are groups of two
            return NO_NUMBER
        if grouping < 0:
            grouping = mark
        elif mark != grouping:
            decimal = mark
        run = 0
        at += size
    if at < last:
        mantissa = at
        at += 1 + (at[1] == c'+' or at[1] == c'-')
        while at < last:
            if not is_digit(at[0]):
                return NO_NUMBER
            at += 1
        is_grouped = False
        last = mantissa
    if grouping < 0:
        return FEW_DIGITS if run <= 3 else MANY_DIGITS
    if decimal < 0 and (grouping == POINT_GROUPS or grouping == COMMA_GROUPS) and first + before == last - run - 1:
        form = POINT_SURE if grouping == POINT_GROUPS else COMMA_SURE
        return form + (is_grouped and run == 3)
    if not is_grouped or (decimal < 0 and run != 3):
        return NO_NUMBER
    if decimal == SPACE_GROUPS or decimal == APOSTROPHE_GROUPS:
        return NO_NUMBER
    groups[0] = grouping
    if decimal < 0:
        return MANY_DIGITS
    return POINT_SURE if decimal == POINT_GROUPS else COMMA_SURE


cdef int grow(Column* column) noexcept nogil:
    cdef size_t slots = 2 * (column.mask + 1) if column.slots else FIRST_SLOTS
    cdef size_t slot
    cdef int32_t code
    cdef Text* texts = <Text*>realloc(column.texts, slots // 2 * sizeof(Text))
    if texts == NULL:
        return -1
    column.texts = texts
    free(column.slots)
    column.slots = <int32_t*>malloc(slots * sizeof(int32_t))
    if column.slots == NULL:
        return -1
    memset(column.slots, 0xFF, slots * sizeof(int32_t))
    column.mask = slots - 1
    for code in range(column.count):
        slot = texts[code].hash & column.mask
        while column.slots[slot] >= 0:
            slot = (slot + 1) & column.mask
        column.slots[slot] = code
    return 0


# The code of a text of this hash, or -1 where there is no memory. One that lies in a buffer which others will
# use is copied where it is new.
cdef int32_t code_of(Column* column, const char* at, size_t length, uint64_t hash,
                     Copy** copies) noexcept nogil:
    cdef size_t slot
    cdef int32_t code
    cdef int form, groups
    cdef Copy* copy
    if column.slots == NULL or 2 * <size_t>column.count > column.mask:
        if column.count > 1 << 29 or grow(column) < 0:
            return -1
    slot = hash & column.mask
    while column.slots[slot] >= 0:
        code = column.slots[slot]
        if (column.texts[code].hash == hash and column.texts[code].length == length
                and memcmp(column.texts[code].at, at, length) == 0):
            return code
        slot = (slot + 1) & column.mask
    if copies != NULL:
        copy = <Copy*>malloc(sizeof(Copy) + length)
        if copy == NULL:
            return -1
        copy.next = copies[0]
        copies[0] = copy
        at = <const char*>memcpy(<char*>copy + sizeof(Copy), at, length)
    code = column.count
    column.slots[slot] = code
    column.texts[code].at, column.texts[code].length = at, length
    column.texts[code].hash = hash
    column.count += 1
    form = form_of_text(at, at + length, &groups)
    if form >= 0:
        column.forms[form] += 1
    if groups >= 0:
        column.forms[groups] += 1
    return code


# The codes of the cells that wait.
cdef int settle(Column* column) noexcept nogil:
    cdef Waiting* cell
    cdef int32_t code
    cdef int i
    for i in range(column.waiting_count):
        cell = &column.waiting[i]
        cell.hash = hash_of(cell.at, cell.length, SECRET)
        prefetch(&column.slots[cell.hash & column.mask])
    for i in range(column.waiting_count):
        code = column.slots[column.waiting[i].hash & column.mask]
        if code >= 0:
            prefetch(&column.texts[code])
    for i in range(column.waiting_count):
        code = column.slots[column.waiting[i].hash & column.mask]
        if code >= 0:
            prefetch(column.texts[code].at)
    for i in range(column.waiting_count):
        cell = &column.waiting[i]
        code = code_of(column, cell.at, cell.length, cell.hash, NULL)
        if code < 0:
            return -1
        column.codes[cell.row] = code
    column.waiting_count = 0
    return 0


cdef int wait(Column* column, Py_ssize_t row, const char* at, size_t length) noexcept nogil:
    cdef Waiting* cell
    if column.waiting == NULL:
        column.waiting = <Waiting*>malloc(WAITING * sizeof(Waiting))
        if column.waiting == NULL:
            return -1
    cell = &column.waiting[column.waiting_count]
    cell.at, cell.length, cell.row = at, length, row
    column.waiting_count += 1
    return settle(column) if column.waiting_count == WAITING else 0


cdef inline void put_number(Column* column, Py_ssize_t row, double value, int form) noexcept nogil:
    cdef Py_ssize_t before
    if not column.has_numbers:
        for before in range(row):
            column.values[before] = NAN
        column.has_numbers = True
    column.values[row] = value
    if column.has_texts:
        column.codes[row] = -1
    column.forms[form] += 1


cdef inline int put_text(Column* column, Py_ssize_t row, const char* at, size_t length,
                         Copy** copies) noexcept nogil:
    cdef int32_t code
    cdef Py_ssize_t before
    if not column.has_texts:
        for before in range(row):
            column.codes[before] = -1
        column.has_texts = True
    if column.has_numbers:
        column.values[row] = NAN
    if length == 0 and column.empty >= 0:
        column.codes[row] = column.empty
        return 0
    if column.mask >= 2 * MANY_TEXTS and length > 0 and copies == NULL:
        return wait(column, row, at, length)
    if settle(column) < 0:  # Codes are in the order of rows.
        return -1
    code = code_of(column, at, length, hash_of(at, length, SECRET), copies)
    if code < 0:
        return -1
    if length == 0:
        column.empty = code
    column.codes[row] = code
    return 0
