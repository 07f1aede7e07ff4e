"""Records of delimited text, as they stand in a file's bytes, and columns of cells made of them.

# Design: one pass over UTF-8 bytes that are all in memory. A cell that is a plain number is one while it is
# looked at (numerals.pxi); any other is where it begins and ends, and its column knows texts by their bytes
# (texts.pxi). So nothing is a Python object but the different texts, in the end. A column's values and
# codes are written from the first row on that has the one or the other: what is all numbers has no codes, and
# memory that nobody wrote to is none. Every few milliseconds somebody looks for signals.
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.math cimport NAN, isfinite
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from os import urandom

from numpy import array, broadcast_to, empty, float64, int32, nan

include "numerals.pxi"
include "texts.pxi"

cdef enum:
    # Bytes between two looks for signals.
    AT_ONCE = 1 << 21
    # Records of another length than the others' that are remembered.
    MAX_BAD = 16

# In place of a decimal mark where there can be none: UTF-8 has no such byte.
cdef char NO_POINT = <char>0xFF

# What is wrong with a record, where it is not its length; and that there is no memory.
cdef enum:
    FINE = 0
    UNCLOSED = -1
    AFTER_QUOTE = -2
    NO_MEMORY = -3

# What ends a cell: a delimiter, which may be white space of any length, or the line's end.
cdef struct Syntax:
    char delimiter
    bint is_space
    unsigned char[256] ends
    unsigned char[256] blank

# Where a cell begins and ends, stripped; whether quotes stand around it, and two for one in it.
cdef struct Span:
    const char* begin
    const char* end
    bint is_quoted, has_quotes

cdef struct Bad:
    Py_ssize_t line, cells, row, begin, end

cdef struct Reading:
    const char* data
    const char* at
    const char* end
    # The line that `at` is on.
    Py_ssize_t line
    Syntax syntax
    Copy* copies
    # Of the cell that is being read, without its second quotes.
    char* unquoted
    size_t room
    Py_ssize_t width, rows
    Column* columns
    Bad[MAX_BAD] bad
    Py_ssize_t bad_count, comments, longer


cdef void set_syntax(Syntax* syntax, char delimiter) noexcept:
    memset(syntax, 0, sizeof(Syntax))
    syntax.delimiter = delimiter
    syntax.is_space = delimiter == c' '
    syntax.blank[c' '] = True
    syntax.blank[c'\t'] = delimiter != c'\t'
    for end in (0, c'\n', c'\r', delimiter):
        syntax.ends[<unsigned char>end] = True
    if syntax.is_space:
        syntax.ends[c'\t'] = True


cdef inline const char* skip_blank(const Syntax* syntax, const char* at) noexcept nogil:
    while syntax.blank[<unsigned char>at[0]]:
        at += 1
    return at


# Behind the line's end that stands here, if one does.
cdef inline const char* skip_line_end(const char* at) noexcept nogil:
    if at[0] == c'\r':
        return at + 1 + (at[1] == c'\n')
    return at + (at[0] == c'\n')


# The cell that begins at `at`, and to its end; the bytes end with a NUL. FINE or what is wrong.
cdef int next_cell(Reading* reading, const char** at, Span* cell) noexcept nogil:
    cdef const char* here = skip_blank(&reading.syntax, at[0])
    cdef int size
    cell.is_quoted = here[0] == c'"'
    cell.has_quotes = False
    if cell.is_quoted:
        here += 1
        cell.begin = here
        while True:
            if here[0] == c'"':
                if here[1] != c'"':
                    break
                cell.has_quotes = True
                here += 1
            elif here[0] == c'\n' or (here[0] == c'\r' and here[1] != c'\n'):
                reading.line += 1
            elif here >= reading.end:
                return UNCLOSED
            here += 1
        cell.end = here
        here = skip_blank(&reading.syntax, here + 1)
        if not reading.syntax.ends[<unsigned char>here[0]] and not (
                reading.syntax.is_space and reading.syntax.blank[<unsigned char>(here - 1)[0]]):
            return AFTER_QUOTE
    else:
        cell.begin = here
        while not reading.syntax.ends[<unsigned char>here[0]]:
            here += 1
        cell.end = here
    at[0] = here
    size = space_after(cell.begin, cell.end)
    while size:
        cell.begin += size
        size = space_after(cell.begin, cell.end)
    size = space_before(cell.begin, cell.end)
    while size:
        cell.end -= size
        size = space_before(cell.begin, cell.end)
    return FINE


# Whether another cell follows, and to its begin.
cdef inline bint next_begin(Reading* reading, const char** at) noexcept nogil:
    cdef const char* here = at[0]
    if reading.syntax.is_space:
        at[0] = here = skip_blank(&reading.syntax, here)
        return here[0] != c'\n' and here[0] != c'\r' and here < reading.end
    if here[0] == reading.syntax.delimiter and here < reading.end and here[0] != c'\n':
        at[0] = here + 1
        return True
    return False


# The cell's text with one quote for two.
cdef int unquote(Reading* reading, Span* cell) noexcept nogil:
    cdef size_t length = cell.end - cell.begin
    cdef char* to
    if length > reading.room:
        to = <char*>realloc(reading.unquoted, 2 * length)
        if to == NULL:
            return NO_MEMORY
        reading.unquoted, reading.room = to, 2 * length
    to = reading.unquoted
    while cell.begin < cell.end:
        to[0] = cell.begin[0]
        to += 1
        cell.begin += 1 + (cell.begin[0] == c'"')
    cell.begin, cell.end = reading.unquoted, to
    return FINE


# The decimal mark of a cell: where it parts cells too, only what is in quotes has one.
cdef inline char point_in(const Reading* reading, const Column* column, bint is_quoted) noexcept nogil:
    if column.point == reading.syntax.delimiter and not is_quoted:
        return NO_POINT
    return column.point


cdef int put_cell(Reading* reading, Column* column, Span* cell) noexcept nogil:
    cdef double value
    cdef int form
    cdef const char* after
    if cell.has_quotes and unquote(reading, cell) < 0:
        return NO_MEMORY
    if cell.end > cell.begin and not cell.has_quotes:
        after = read_number(cell.begin, point_in(reading, column, cell.is_quoted), &value, &form)
        if after == cell.end:
            put_number(column, reading.rows, value, form)
            return FINE
    if put_text(column, reading.rows, cell.begin, cell.end - cell.begin,
                &reading.copies if cell.has_quotes else NULL) < 0:
        return NO_MEMORY
    return FINE


# One record from `at` on; `cells` is how many it has. The first `width` of them go to the columns.
cdef int read_record(Reading* reading, Py_ssize_t* cells, bint* is_longer) noexcept nogil:
    cdef const char* at = reading.at
    cdef const char* after
    cdef Column* column
    cdef double value
    cdef int form, status
    cdef Span cell
    cells[0] = 0
    is_longer[0] = False
    while True:
        if cells[0] < reading.width:
            at = skip_blank(&reading.syntax, at)
            column = &reading.columns[cells[0]]
            after = NULL
            if at[0] != c'"':
                after = read_number(at, point_in(reading, column, False), &value, &form)
            if after != NULL:
                after = skip_blank(&reading.syntax, after)
            if after != NULL and (reading.syntax.ends[<unsigned char>after[0]]
                                  or (reading.syntax.is_space
                                      and reading.syntax.blank[<unsigned char>(after - 1)[0]])):
                put_number(column, reading.rows, value, form)
                at = after
            else:
                status = next_cell(reading, &at, &cell)
                if status == FINE:
                    status = put_cell(reading, column, &cell)
                if status < 0:
                    return status
        else:
            status = next_cell(reading, &at, &cell)
            if status < 0:
                return status
            is_longer[0] = is_longer[0] or cell.end > cell.begin
        cells[0] += 1
        if not next_begin(reading, &at):
            reading.at = at
            return FINE


# Behind the blank lines that stand here.
cdef void skip_blank_lines(Reading* reading) noexcept nogil:
    cdef const char* at = reading.at
    while reading.at < reading.end:
        at = skip_blank(&reading.syntax, reading.at)
        if at[0] != c'\n' and at[0] != c'\r':
            if at == reading.end:
                reading.at = at
            break
        reading.at = skip_line_end(at)
        reading.line += 1


# Remembers a record that is left out, which ends at `at`, unless it is a comment.
cdef void leave_out(Reading* reading, const char* begin, Py_ssize_t line, Py_ssize_t cells) noexcept nogil:
    if begin[0] == c'#':
        reading.comments += 1
        return
    if reading.bad_count < MAX_BAD:
        reading.bad[reading.bad_count] = Bad(
            line, cells, reading.rows, begin - reading.data, reading.at - reading.data)
    reading.bad_count += 1


cdef int settle_all(Reading* reading) noexcept nogil:
    cdef Py_ssize_t place
    for place in range(reading.width):
        if settle(&reading.columns[place]) < 0:
            return NO_MEMORY
    return FINE


# Rows until `until` is passed; FINE or NO_MEMORY.
cdef int read_rows(Reading* reading, const char* until) noexcept nogil:
    cdef const char* begin
    cdef Py_ssize_t line, cells
    cdef bint is_longer
    cdef int status
    skip_blank_lines(reading)
    while reading.at < until:
        begin, line = reading.at, reading.line
        status = read_record(reading, &cells, &is_longer)
        if status == NO_MEMORY:
            return NO_MEMORY
        if status < 0:  # Where it should have ended nobody knows: it is over with its first line.
            while begin < reading.end and begin[0] != c'\n' and begin[0] != c'\r':
                begin += 1
            begin, reading.at = reading.at, begin
            reading.line = line
            cells = status
        if cells == reading.width or (cells > reading.width and not is_longer):
            reading.longer += cells > reading.width
            reading.rows += 1
        else:
            leave_out(reading, begin, line, cells)
            if settle_all(reading) < 0:  # The row that some of its cells had is the next one's.
                return NO_MEMORY
        if reading.at < reading.end:
            reading.line += 1
        reading.at = skip_line_end(reading.at)
        skip_blank_lines(reading)
    return FINE


cdef Py_ssize_t count_lines(const char* at, const char* end) noexcept nogil:
    cdef Py_ssize_t lines = 1
    cdef const char* last = end - 1
    while at < last:
        lines += (at[0] == c'\n') + ((at[0] == c'\r') & (at[1] != c'\n'))
        at += 1
    return lines


cdef class Tokens:
    """What `tokenise` found.

    Attributes
    ----------
    rows : int
    columns : list of (values, codes, texts, forms)
        float64 (rows,), int32 (rows,), tuple of str, and how many cells are of each of the FORMS.
    bad : list of (line, cells, row, begin, end)
        The first records that are left out: the line they begin on, how many cells they have (-1:
        a quote that nothing closes, -2: a quote in the middle of a cell), the row before which they
        stand, and where in the file.
    bad_count, comments, longer : int
        How many are left out; how many of another length begin with ``#``; how many have empty cells
        behind the others.
    """

    cdef readonly Py_ssize_t rows, bad_count, comments, longer
    cdef readonly list columns, bad


cdef class _Memory:
    """What a reading has allocated, until nobody reads any more."""

    cdef Reading reading

    def __cinit__(self):
        memset(&self.reading, 0, sizeof(Reading))

    def __dealloc__(self):
        cdef Py_ssize_t place
        cdef Copy* copy
        for place in range(self.reading.width):
            free(self.reading.columns[place].texts)
            free(self.reading.columns[place].slots)
            free(self.reading.columns[place].waiting)
        free(self.reading.columns)
        free(self.reading.unquoted)
        while self.reading.copies != NULL:
            copy = self.reading.copies
            self.reading.copies = copy.next
            free(copy)


def tokenise(bytes data, Py_ssize_t start, Py_ssize_t line, str delimiter, str points, bint skip_bad,
             Py_ssize_t at_once=AT_ONCE):
    """The rows of a table whose bytes are UTF-8, from `start` on, which is on this line.

    Parameters
    ----------
    delimiter : str
        One character; ``" "`` stands for white space of any length, ``"\\n"`` for none.
    points : str
        The decimal mark of each column: so many columns there are.
    skip_bad : bool
        Whether to go on where records are of another length. If not, it is over with the first few.
    at_once : int
        How many bytes are read between two looks for signals.
    """
    cdef _Memory memory = _Memory()
    cdef Reading* reading = &memory.reading
    cdef const char* until
    cdef Column* column
    cdef Py_ssize_t width = len(points), place, most
    cdef double[::1] values
    cdef int32_t[::1] codes
    cdef int status
    reading.data = data
    reading.at, reading.end, reading.line = reading.data + start, reading.data + len(data), line
    set_syntax(&reading.syntax, ord(delimiter))
    with nogil:
        most = count_lines(reading.at, reading.end)
    most = max(1, min(most, (len(data) - start) // width + 1))
    reading.columns = <Column*>calloc(width, sizeof(Column))
    if reading.columns == NULL:
        raise MemoryError
    reading.width = width
    arrays = []
    for place in range(width):
        values, codes = arrays_of = empty(most, float64), empty(most, int32)
        arrays.append(arrays_of)
        column = &reading.columns[place]
        column.values, column.codes = &values[0], &codes[0]
        column.point = ord(points[place])
        column.empty = -1
    while reading.at < reading.end and (skip_bad or reading.bad_count < MAX_BAD):
        until = reading.end if reading.end - reading.at <= at_once else reading.at + at_once
        with nogil:
            status = read_rows(reading, until)
        if status == NO_MEMORY:
            raise MemoryError
        PyErr_CheckSignals()
    if settle_all(reading) < 0:
        raise MemoryError
    found = Tokens()
    found.rows, found.bad_count = reading.rows, reading.bad_count
    found.comments, found.longer = reading.comments, reading.longer
    found.bad = [
        (bad.line, bad.cells, bad.row, bad.begin, bad.end)
        for bad in reading.bad[:min(reading.bad_count, <Py_ssize_t>MAX_BAD)]
    ]
    found.columns = []
    for place in range(width):
        found.columns.append(finished(&reading.columns[place], arrays[place], reading.rows, most))
        arrays[place] = None
    return found


cdef tuple finished(Column* column, tuple arrays, Py_ssize_t rows, Py_ssize_t most):
    """A column's values, codes, texts and forms; of what there is none one number stands for all."""
    values, codes = arrays
    cdef Py_ssize_t code
    cdef list texts = []
    for code in range(column.count):
        texts.append(PyUnicode_DecodeUTF8(column.texts[code].at, column.texts[code].length, NULL))
        if code & 0xFFFF == 0:
            PyErr_CheckSignals()
    values = fitting(values, rows, most) if column.has_numbers else broadcast_to(nan, rows)
    codes = fitting(codes, rows, most) if column.has_texts else broadcast_to(int32(-1), rows)
    return values, codes, tuple(texts), tuple([column.forms[form] for form in range(FORMS)])


cdef object fitting(whole, Py_ssize_t rows, Py_ssize_t most):
    return whole[:rows] if rows >= most - most // 8 else array(whole[:rows])


def records(bytes data, Py_ssize_t start, Py_ssize_t line, str delimiter, Py_ssize_t most):
    """The first records from `start` on: a list of (line, begin, end, texts).

    It is over before one with a quote that nothing closes, or that text follows.
    """
    cdef _Memory memory = _Memory()
    cdef Reading* reading = &memory.reading
    cdef const char* begin
    cdef const char* at
    cdef Span cell
    cdef int status = FINE
    reading.data = data
    reading.at, reading.end, reading.line = reading.data + start, reading.data + len(data), line
    set_syntax(&reading.syntax, ord(delimiter))
    found = []
    skip_blank_lines(reading)
    while reading.at < reading.end and len(found) < most:
        begin, line, at = reading.at, reading.line, reading.at
        texts = []
        while True:
            status = next_cell(reading, &at, &cell)
            if status < 0:
                break
            if cell.has_quotes and unquote(reading, &cell) < 0:
                raise MemoryError
            texts.append(PyUnicode_DecodeUTF8(cell.begin, cell.end - cell.begin, NULL))
            if not next_begin(reading, &at):
                break
        if status < 0:
            break
        reading.at = skip_line_end(at)
        reading.line += reading.at > at
        found.append((line, begin - reading.data, reading.at - reading.data, texts))
        skip_blank_lines(reading)
    return found
