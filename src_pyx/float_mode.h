/* The floating-point environment that kernels count on, whatever the thread that calls them has set.
 *
 * `fw_enter_float_mode` sets the defaults of IEEE 754: round to nearest, subnormal numbers are
 * numbers, no exception traps. `fw_leave_float_mode` gives the caller's settings back, and leaves the
 * flags of the exceptions that were raised in between. What lies between them must not be moved out
 * by the compiler, which knows nothing of modes: memory is a barrier on both sides, so arithmetic
 * stays inside that reads memory and whose result is written to memory. On a CPU that is not known
 * here nothing is done.
 */
#ifndef FW_FLOAT_MODE_H
#define FW_FLOAT_MODE_H

#include <stdint.h>

#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>

#if defined(_MSC_VER)
#include <intrin.h>
#define FW_MODE_BARRIER() _ReadWriteBarrier()
#else
#define FW_MODE_BARRIER() __asm__ volatile("" ::: "memory")
#endif

typedef uint32_t fw_float_mode;

#define FW_MODE_FLAGS 0x003Fu
#define FW_MODE_DEFAULT 0x1F80u /* all exceptions masked, everything else 0 */

static inline fw_float_mode fw_enter_float_mode(void)
{
    const fw_float_mode mode = _mm_getcsr();
    if ((mode & ~FW_MODE_FLAGS) != FW_MODE_DEFAULT)
        _mm_setcsr((mode & FW_MODE_FLAGS) | FW_MODE_DEFAULT);
    FW_MODE_BARRIER();
    return mode;
}

static inline void fw_leave_float_mode(fw_float_mode mode)
{
    FW_MODE_BARRIER();
    if ((mode & ~FW_MODE_FLAGS) != FW_MODE_DEFAULT)
        _mm_setcsr((_mm_getcsr() & FW_MODE_FLAGS) | (mode & ~FW_MODE_FLAGS));
}

#elif defined(__aarch64__) && defined(__GNUC__)

typedef uint64_t fw_float_mode; /* FPCR, whose default is 0; the flags are elsewhere */

static inline fw_float_mode fw_enter_float_mode(void)
{
    fw_float_mode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode) : : "memory");
    if (mode != 0)
        __asm__ volatile("msr fpcr, %0" : : "r"((fw_float_mode)0) : "memory");
    return mode;
}

static inline void fw_leave_float_mode(fw_float_mode mode)
{
    if (mode != 0)
        __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory");
}

#else

typedef int fw_float_mode;
static inline fw_float_mode fw_enter_float_mode(void) { return 0; }
static inline void fw_leave_float_mode(fw_float_mode mode) { (void)mode; }

#endif
#endif
