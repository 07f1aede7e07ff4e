# Every loss by its name, and how many bytes of targets it looks at for a line of so many columns; -1: it is not
# for so many.

cdef Py_ssize_t outputs_bytes(Py_ssize_t columns, const double* options) noexcept nogil:
    return columns * sizeof(real)


cdef Py_ssize_t label_bytes(Py_ssize_t columns, const double* options) noexcept nogil:
    return sizeof(int32_t)


cdef Py_ssize_t quantile_bytes(Py_ssize_t columns, const double* options) noexcept nogil:
    cdef Py_ssize_t quantiles = <Py_ssize_t>options[0]
    if not 1 <= quantiles < LOSS_NUMBERS or columns % quantiles != 0:
        return -1
    return columns // quantiles * sizeof(real)


cdef Py_ssize_t gaussian_bytes(Py_ssize_t columns, const double* options) noexcept nogil:
    return columns // 2 * sizeof(real) if columns % 2 == 0 else -1


cdef Loss[26] LOSSES = [
    Loss("mean_squared_error", mean_squared_error_loss, outputs_bytes),
    Loss("mean_absolute_error", mean_absolute_error_loss, outputs_bytes),
    Loss("mean_absolute_percentage_error", mean_absolute_percentage_error_loss, outputs_bytes),
    Loss("mean_squared_logarithmic_error", mean_squared_logarithmic_error_loss, outputs_bytes),
    Loss("huber", huber_loss, outputs_bytes),
    Loss("log_cosh", log_cosh_loss, outputs_bytes),
    Loss("poisson", poisson_loss, outputs_bytes),
    Loss("poisson_deviance", poisson_deviance_loss, outputs_bytes),
    Loss("hinge", hinge_loss, outputs_bytes),
    Loss("squared_hinge", squared_hinge_loss, outputs_bytes),
    Loss("categorical_hinge", categorical_hinge_loss, outputs_bytes),
    Loss("binary_crossentropy", binary_crossentropy_loss, outputs_bytes),
    Loss("binary_crossentropy_logits", binary_crossentropy_logits_loss, outputs_bytes),
    Loss("binary_focal_crossentropy", binary_focal_crossentropy_loss, outputs_bytes),
    Loss("binary_focal_crossentropy_logits", binary_focal_crossentropy_logits_loss, outputs_bytes),
    Loss("categorical_crossentropy", categorical_crossentropy, outputs_bytes),
    Loss("categorical_crossentropy_logits", categorical_crossentropy_logits, outputs_bytes),
    Loss("categorical_focal_crossentropy", categorical_focal_crossentropy, outputs_bytes),
    Loss("categorical_focal_crossentropy_logits", categorical_focal_crossentropy_logits, outputs_bytes),
    Loss("sparse_categorical_crossentropy", sparse_categorical_crossentropy, label_bytes),
    Loss("sparse_categorical_crossentropy_logits", sparse_categorical_crossentropy_logits, label_bytes),
    Loss("kl_divergence", kl_divergence_loss, outputs_bytes),
    Loss("cosine_similarity", cosine_similarity_loss, outputs_bytes),
    Loss("quantile", quantile_loss, quantile_bytes),
    Loss("gaussian_nll", gaussian_nll_loss, gaussian_bytes),
    Loss(NULL, NULL, NULL),
]


# ---- one loss on arrays -------------------------------------------------------------------------

# The arrays are given by address; dy may be 0.
def apply_loss(str name, size_t values, size_t dy, size_t prediction, size_t target,
               Py_ssize_t rows, Py_ssize_t columns, options, double scale):
    cdef fw_float_mode mode
    cdef double[LOSS_NUMBERS] numbers
    cdef Py_ssize_t i = 0
    read_numbers(numbers, LOSS_NUMBERS, options)
    wanted = name.encode()
    while LOSSES[i].name != NULL:
        if LOSSES[i].name == wanted:
            with nogil:
                mode = fw_enter_float_mode()
                LOSSES[i].compute(<double*>values, <void*>dy, <const void*>prediction,
                                  <const void*>target, rows, columns, numbers, scale)
                fw_leave_float_mode(mode)
            return
        i += 1
    raise KeyError(name)
