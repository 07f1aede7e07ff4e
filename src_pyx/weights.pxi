# The parameters, apart from the ops that work with them: what they cost, and what keeps them within bounds.

# Parameters [begin, end), or pieces of an op's parameters.
cdef struct Pieces:
    Py_ssize_t begin
    Py_ssize_t end


# Parameters [begin, end) of which large ones cost something.
cdef struct Penalty:
    Py_ssize_t begin
    Py_ssize_t end
    double l1
    double l2
    bint is_of_sum              # whether it stands beside the sum over what the rows count, not beside their mean


# What a step leaves of the variable at `begin`, group by group.
cdef struct Bound:
    Py_ssize_t begin
    Py_ssize_t groups
    Py_ssize_t along
    Py_ssize_t inner
    const Constraint* constraint
    double[CONSTRAINT_NUMBERS] options


cdef class Weights:
    """The flat vectors of parameters and their gradients, with what costs something and what has bounds.

    A penalty of single weights is added piece by piece, where a piece's gradient has just been made. That of a
    matrix needs all of it as it was before the step: it is found before, by all members. Bounds are kept
    once all members have made the step, since a group of weights may be of several pieces.
    """

    cdef const KernelTable* table
    cdef Address parameters, gradients
    cdef Py_ssize_t n_penalties, n_matrices, n_bounds
    cdef Penalty* penalties
    cdef double sum_share               # of a penalty beside the sum: 1 / what the rows of the batch count together
    cdef Matrix* matrices
    cdef Bound* bounds
    cdef char* matrix_workspaces        # of each member
    cdef Py_ssize_t matrix_workspace_bytes

    cdef set_penalties(self, penalties, matrices):
        """(begin, end, l1, l2, is_of_sum) of each; (begin, vectors, length, are_columns, factor) of each matrix."""
        cdef Matrix* matrix
        self.penalties = <Penalty*>room_for(len(penalties), sizeof(Penalty))
        self.matrices = <Matrix*>room_for(len(matrices), sizeof(Matrix))
        for i, (begin, end, l1, l2, is_of_sum) in enumerate(penalties):
            self.expect_parameters("penalties", begin, end)
            self.penalties[i] = Penalty(begin, end, l1, l2, is_of_sum)
        for i, (begin, vectors, length, are_columns, factor) in enumerate(matrices):
            self.expect_parameters("matrices", begin, begin + vectors * length)
            if vectors < 2:
                raise ValueError(f"matrices: got {vectors} vectors, expected at least 2")
            matrix = &self.matrices[i]
            matrix.begin, matrix.vectors, matrix.length = begin, vectors, length
            matrix.are_columns, matrix.factor = are_columns, factor
            self.matrix_workspace_bytes = max(
                self.matrix_workspace_bytes, self.table.matrix_workspace_reals(matrix) * self.table.real_bytes)
        self.n_penalties, self.n_matrices = len(penalties), len(matrices)

    cdef set_bounds(self, bounds):
        """(begin, groups, along, inner, constraint, options) of each."""
        cdef Bound* bound
        self.bounds = <Bound*>room_for(len(bounds), sizeof(Bound))
        for i, (begin, groups, along, inner, constraint, options) in enumerate(bounds):
            self.expect_parameters("bounds", begin, begin + groups * along)
            if inner < 1 or along < 1 or groups % inner:
                raise ValueError(f"bounds: got {groups} groups {inner} by {inner}, expected whole ones")
            bound = &self.bounds[i]
            bound.begin, bound.groups, bound.along, bound.inner = begin, groups, along, inner
            bound.constraint = <const Constraint*>find(self.table.constraints, sizeof(Constraint), constraint)
            copy_numbers(bound.options, CONSTRAINT_NUMBERS, constraint, options)
        self.n_bounds = len(bounds)

    cdef int expect_parameters(self, str argument, Py_ssize_t begin, Py_ssize_t end) except -1:
        """Raises ValueError unless there are parameters from begin to end."""
        cdef Py_ssize_t there = self.parameters.view.len // self.table.real_bytes
        if not 0 <= begin < end <= there:
            raise ValueError(f"{argument}: got {begin} to {end}, expected some of {there} parameters")
        return 0

    def __dealloc__(self):
        free(self.penalties)
        free(self.matrices)
        free(self.bounds)

    cdef char* place_matrices(self, char* at, int members, bint trains) noexcept nogil:
        """Room for what is found out about matrices; returns what follows it."""
        cdef Py_ssize_t i, bytes
        cdef Matrix* matrix
        for i in range(self.n_matrices):
            matrix = &self.matrices[i]
            bytes = matrix.vectors * matrix.length * self.table.real_bytes
            matrix.units = take(&at, bytes)
            matrix.turned = take(&at, bytes)
            matrix.gradients = take(&at, bytes if trains else 0)
            matrix.norms = <double*>take(&at, matrix.vectors * sizeof(double))
            matrix.costs = <double*>take(&at, matrix.vectors * sizeof(double))
        self.matrix_workspaces = take(&at, members * self.matrix_workspace_bytes)
        return at

    # ---- what they cost ----------------------------------------------------------------------------

    @cython.final
    cdef void weigh_matrices(self, int member, Team* team) noexcept nogil:
        """What matrices cost, and its gradient; all members begin together, and go on together."""
        cdef char* workspace = self.matrix_workspaces + member * self.matrix_workspace_bytes
        cdef Matrix* matrix
        cdef Py_ssize_t i
        for i in range(self.n_matrices):
            matrix = &self.matrices[i]
            self.table.matrix_units(matrix, self.parameters.at, part_of_team(matrix.vectors, member, team),
                                    part_of_team(matrix.vectors, member + 1, team))
        meet(team)
        for i in range(self.n_matrices):
            matrix = &self.matrices[i]
            self.table.matrix_penalty(matrix, workspace, part_of_team(matrix.vectors, member, team),
                                      part_of_team(matrix.vectors, member + 1, team))
        meet(team)

    cdef inline void divide_penalties(self, double counted) noexcept nogil:
        """Says what the rows of a batch count together; where none does, a penalty beside their sum is 0."""
        self.sum_share = 1.0 / counted if counted > 0.0 else 0.0

    cdef inline double penalty_share(self, const Penalty* penalty) noexcept nogil:
        return self.sum_share if penalty.is_of_sum else 1.0

    @cython.final
    cdef double penalty(self) noexcept nogil:
        """What the parameters cost as they are; of matrices what was found last."""
        cdef const Penalty* each
        cdef double total = 0.0
        cdef Py_ssize_t i
        for i in range(self.n_penalties):
            each = &self.penalties[i]
            total += self.penalty_share(each) * self.table.penalty(self.parameters.at, each.begin, each.end, each.l1, each.l2)
        for i in range(self.n_matrices):
            total += sum_of(self.matrices[i].costs, self.matrices[i].vectors)
        return total

    @cython.final
    cdef void penalise(self, Pieces places) noexcept nogil:
        """The gradient of what these parameters cost is added to theirs."""
        cdef Py_ssize_t i, begin, end
        cdef double share
        for i in range(self.n_penalties):
            begin = max(places.begin, self.penalties[i].begin)
            end = min(places.end, self.penalties[i].end)
            if begin < end:
                share = self.penalty_share(&self.penalties[i])
                self.table.penalise(self.gradients.at, self.parameters.at, begin, end, share * self.penalties[i].l1,
                                    share * self.penalties[i].l2)
        for i in range(self.n_matrices):
            begin = max(places.begin, self.matrices[i].begin)
            end = min(places.end, self.matrices[i].begin + self.matrices[i].vectors * self.matrices[i].length)
            if begin < end:
                self.table.penalise_matrix(self.gradients.at, &self.matrices[i], begin, end)

    # ---- their bounds ------------------------------------------------------------------------------

    @cython.final
    cdef void keep_bounds(self, int member, Team* team) noexcept nogil:
        """This member's groups of what has bounds, after a step that all members have made."""
        cdef Bound* bound
        cdef Py_ssize_t i, begin, end
        for i in range(self.n_bounds):
            bound = &self.bounds[i]
            begin = part_of_team(bound.groups, member, team)
            end = part_of_team(bound.groups, member + 1, team)
            if begin < end:
                bound.constraint.apply(self.parameters.at + bound.begin * self.table.real_bytes, bound.along,
                                       bound.inner, begin, end, bound.options)


# Where a member's part of n things begins, with a cache line of them.
cdef inline Py_ssize_t part_of_team(Py_ssize_t n, int member, const Team* team) noexcept nogil:
    return n if member == team.members else n * member // team.members // LINE_REALS * LINE_REALS
