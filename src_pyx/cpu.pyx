"""What this CPU and this compiler can do, and which build this is."""

cdef extern from *:
    """
    #if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    static int fw_has_avx2(void)
    {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
            && __builtin_cpu_supports("bmi2");
    }
    static int fw_has_avx512(void)
    {
        return fw_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
    }
    #else
    static int fw_has_avx2(void) { return 0; }
    static int fw_has_avx512(void) { return 0; }
    #endif
    #if defined(__GNUC__) && defined(__x86_64__) && defined(__linux__)
    #include <cpuid.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    /* A process asks Linux once for the tile registers; the answer holds for its threads and forks. */
    static int fw_has_amx(void)
    {
        enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
        const unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24;
        unsigned eax, ebx, ecx, edx;
        return fw_has_avx512() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)
            && (edx & amx_bf16) && (edx & amx_tile)
            && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
    }
    #else
    static int fw_has_amx(void) { return 0; }
    #endif
    #if defined(__aarch64__) || defined(_M_ARM64)
    static int fw_has_neon(void) { return 1; }
    #else
    static int fw_has_neon(void) { return 0; }
    #endif
    """
    bint fw_has_avx2()
    bint fw_has_avx512()
    bint fw_has_amx()
    bint fw_has_neon()
    const char* FW_OPS_STAMP
    const char* FW_KERNELS_STAMP

# Modules with other stamps were built from other sources and do not belong to this one: see setup.py.
OPS_STAMP = FW_OPS_STAMP.decode()
KERNELS_STAMP = FW_KERNELS_STAMP.decode()


def supported_levels():
    """The CPU levels that this CPU and operating system can run, best first."""
    has = [("amx", fw_has_amx()), ("avx512", fw_has_avx512()), ("avx2", fw_has_avx2()),
           ("neon", fw_has_neon())]
    return [level for level, supported in has if supported] + ["baseline"]
