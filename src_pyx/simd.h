/* The vector types of one CPU level and one dtype, and the operations on them.
 *
 * A kernel source is compiled once per (level, dtype) with
 *     FW_F64                 1: real is double, 0: real is float
 *     FW_LEVEL_<level>       AMX (AVX512 and the tiles of tiles.h), AVX512, AVX2, NEON or BASELINE
 * and sees the same names everywhere: `vreal` holds VL reals, + - * / work on it (GNU vector
 * extensions), the functions below do the rest. `baseline` is 128 bits wide where the compiler has
 * vector extensions and one real wide where it has not, so any C99 compiler builds it.
 *
 * Rules that the bits depend on: `vfma` rounds once on avx512, avx2 and neon and twice on baseline;
 * nothing else differs between levels. A sum over lanes goes through LANES reals, whatever VL is.
 */
#ifndef FW_SIMD_H
#define FW_SIMD_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(FW_LEVEL_AMX)
#define FW_LEVEL_AVX512 1
#endif
#if defined(FW_LEVEL_AVX512) || defined(FW_LEVEL_AVX2) || defined(__SSE2__)
#include <immintrin.h>
#endif
#if defined(FW_LEVEL_NEON)
#include <arm_neon.h>
#endif

#if FW_F64
typedef double real;
typedef int64_t real_bits;
#define FW_MANTISSA_BITS 52
#define FW_EXPONENT_BIAS 1023
#define FW_ROUND_MAGIC 6755399441055744.0 /* 1.5 * 2^52 */
#define FW_EXPONENT_MAGIC 4503599627370496.0 /* 2^52 */
#define FW_SPLITTER 134217729.0 /* 2^27 + 1 */
#define FW_LARGEST DBL_MAX
#define FW_SMALLEST_NORMAL DBL_MIN
#define FW_RECIPROCAL_BITS 0x7fde620000000000
#else
typedef float real;
typedef int32_t real_bits;
#define FW_MANTISSA_BITS 23
#define FW_EXPONENT_BIAS 127
#define FW_ROUND_MAGIC 12582912.0f /* 1.5 * 2^23 */
#define FW_EXPONENT_MAGIC 8388608.0f /* 2^23 */
#define FW_SPLITTER 4097.0f /* 2^12 + 1 */
#define FW_LARGEST FLT_MAX
#define FW_SMALLEST_NORMAL FLT_MIN
#define FW_RECIPROCAL_BITS 0x7ef31000
#endif

/* ---- types ------------------------------------------------------------------------------- */

#if defined(FW_LEVEL_AVX512)
#define FW_BYTES 64
#elif defined(FW_LEVEL_AVX2)
#define FW_BYTES 32
#elif defined(__GNUC__)
#define FW_BYTES 16
#else
#define FW_BYTES ((int)sizeof(real))
#endif

/* A register tile of a matrix product is up to TILE_VECTORS vectors wide and has TILE_ACCUMULATORS
 * accumulators; beside them there is room for a row of operands and a broadcast. */
#if defined(FW_LEVEL_AVX512)
enum { TILE_VECTORS = 4, TILE_ACCUMULATORS = 24 };
#elif defined(FW_LEVEL_AVX2)
enum { TILE_VECTORS = 2, TILE_ACCUMULATORS = 12 };
#elif defined(FW_LEVEL_NEON)
enum { TILE_VECTORS = 4, TILE_ACCUMULATORS = 24 };
#else
enum { TILE_VECTORS = 2, TILE_ACCUMULATORS = 8 };
#endif

/* Exponents that have one of these bits are those of numbers that are not below the smallest normal one;
 * not below 2^-95 (float64: 2^-959); and not below the root of the smallest normal number. */
#if FW_F64
#define FW_NORMAL_BITS 0x7ff0000000000000
#define FW_TRACE_BITS 0x7c00000000000000
#define FW_ROOT_BITS 0x6000000000000000
#else
#define FW_NORMAL_BITS 0x7f800000
#define FW_TRACE_BITS 0x70000000
#define FW_ROOT_BITS 0x60000000
#endif

#define VL (FW_BYTES / (int)sizeof(real))
#define LANES (64 / (int)sizeof(real))
#define LANE_VECTORS (LANES / VL)

#if defined(__GNUC__)
#define FW_INLINE static inline __attribute__((always_inline, unused))
typedef real vreal __attribute__((vector_size(FW_BYTES)));
typedef real_bits vbits __attribute__((vector_size(FW_BYTES)));
FW_INLINE vbits vbits_of(vreal a) { return (vbits)a; }
FW_INLINE vreal vreal_of(vbits a) { return (vreal)a; }
#else
#define FW_INLINE static inline
typedef real vreal;
typedef real_bits vbits;
FW_INLINE vbits vbits_of(vreal a) { vbits b; memcpy(&b, &a, sizeof b); return b; }
FW_INLINE vreal vreal_of(vbits a) { vreal b; memcpy(&b, &a, sizeof b); return b; }
#endif

/* ---- load, store, broadcast; a tail is the first n < VL reals of a vector ------------------- */

/* The cache line at p, which may be anyone's or no one's memory, will be wanted soon. */
FW_INLINE void vprefetch(const void *p)
{
#if defined(__GNUC__)
    __builtin_prefetch(p);
#else
    (void)p;
#endif
}

FW_INLINE vreal vload(const real *p) { vreal v; memcpy(&v, p, sizeof v); return v; }
FW_INLINE void vstore(real *p, vreal a) { memcpy(p, &a, sizeof a); }

#if FW_F64
#define FW_MM(width, name) _mm##width##_##name##_pd
#else
#define FW_MM(width, name) _mm##width##_##name##_ps
#endif

#if defined(FW_LEVEL_AVX512)
#if FW_F64
typedef __mmask8 vmask;
#else
typedef __mmask16 vmask;
#endif
typedef vmask vtail;
FW_INLINE vreal vset1(real a) { return FW_MM(512, set1)(a); }
FW_INLINE vtail vtail_of(intptr_t n) { return (vtail)((1u << n) - 1u); }
FW_INLINE vreal vload_tail(const real *p, vtail t) { return FW_MM(512, maskz_loadu)(t, p); }
FW_INLINE void vstore_tail(real *p, vreal a, vtail t) { FW_MM(512, mask_storeu)(p, t, a); }
#elif defined(FW_LEVEL_AVX2)
typedef vbits vmask;
typedef __m256i vtail;
FW_INLINE vreal vset1(real a) { return FW_MM(256, set1)(a); }
FW_INLINE vtail vtail_of(intptr_t n)
{
#if FW_F64
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
#else
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
#endif
}
FW_INLINE vreal vload_tail(const real *p, vtail t) { return FW_MM(256, maskload)(p, t); }
FW_INLINE void vstore_tail(real *p, vreal a, vtail t) { FW_MM(256, maskstore)(p, t, a); }
#else
typedef vbits vmask;
typedef intptr_t vtail;
FW_INLINE vreal vset1(real a)
{
#if defined(__GNUC__)
    return a - (vreal){0};
#else
    return a;
#endif
}
FW_INLINE vtail vtail_of(intptr_t n) { return n; }
FW_INLINE vreal vload_tail(const real *p, vtail t)
{
    real lanes[VL] = {0};
    memcpy(lanes, p, (size_t)t * sizeof(real));
    return vload(lanes);
}
FW_INLINE void vstore_tail(real *p, vreal a, vtail t) { memcpy(p, &a, (size_t)t * sizeof(real)); }
#endif

/* a within the tail, 0 beyond it */
FW_INLINE vreal vkeep_tail(vreal a, vtail t)
{
#if defined(FW_LEVEL_AVX512)
    return FW_MM(512, maskz_mov)(t, a);
#elif defined(FW_LEVEL_AVX2)
    return vreal_of(vbits_of(a) & (vbits)t);
#else
    real lanes[VL] = {0};
    memcpy(lanes, &a, (size_t)t * sizeof(real));
    return vload(lanes);
#endif
}

/* As vload_tail, with the lanes beyond the tail taken from `fill`. */
FW_INLINE vreal vload_tail_or(const real *p, vtail t, vreal fill)
{
#if defined(FW_LEVEL_AVX512)
    return FW_MM(512, mask_loadu)(fill, t, p);
#elif defined(FW_LEVEL_AVX2)
    return FW_MM(256, blendv)(fill, vload_tail(p, t), (vreal)t);
#else
    memcpy(&fill, p, (size_t)t * sizeof(real));
    return fill;
#endif
}

FW_INLINE vreal vzero(void) { return vset1((real)0); }

/* ---- comparison and selection ---------------------------------------------------------------
 * Comparisons with NaN are false. vselect(m, a, b) is a where m holds, else b. */

#if defined(FW_LEVEL_AVX512)
#if FW_F64
#define FW_CMP(a, b, how) _mm512_cmp_pd_mask(a, b, how)
#else
#define FW_CMP(a, b, how) _mm512_cmp_ps_mask(a, b, how)
#endif
FW_INLINE vmask vlt(vreal a, vreal b) { return FW_CMP(a, b, _CMP_LT_OQ); }
FW_INLINE vmask vle(vreal a, vreal b) { return FW_CMP(a, b, _CMP_LE_OQ); }
FW_INLINE vmask veq(vreal a, vreal b) { return FW_CMP(a, b, _CMP_EQ_OQ); }
FW_INLINE vreal vselect(vmask m, vreal a, vreal b) { return FW_MM(512, mask_blend)(m, b, a); }
FW_INLINE int vany(vmask m) { return m != 0; }
#else
#if defined(__GNUC__)
FW_INLINE vmask vlt(vreal a, vreal b) { return a < b; }
FW_INLINE vmask vle(vreal a, vreal b) { return a <= b; }
FW_INLINE vmask veq(vreal a, vreal b) { return a == b; }
#else
FW_INLINE vmask vlt(vreal a, vreal b) { return -(vmask)(a < b); }
FW_INLINE vmask vle(vreal a, vreal b) { return -(vmask)(a <= b); }
FW_INLINE vmask veq(vreal a, vreal b) { return -(vmask)(a == b); }
#endif
FW_INLINE vreal vselect(vmask m, vreal a, vreal b)
{
#if defined(FW_LEVEL_AVX2)
    return FW_MM(256, blendv)(b, a, (vreal)m);
#else
    return vreal_of((m & vbits_of(a)) | (~m & vbits_of(b)));
#endif
}
FW_INLINE int vany(vmask m)
{
#if defined(FW_LEVEL_AVX2)
    return FW_MM(256, movemask)((vreal)m) != 0;
#else
    real_bits lanes[VL], any = 0;
    memcpy(lanes, &m, sizeof lanes);
    for (int i = 0; i < VL; i++) any |= lanes[i];
    return any != 0;
#endif
}
#endif

/* a where its exponent has one of these bits, else 0: a comparison by size in two instructions. */
FW_INLINE vreal vkeep_exponents(vreal a, real_bits bits)
{
#if defined(FW_LEVEL_AVX512) && FW_F64
    return _mm512_maskz_mov_pd(_mm512_test_epi64_mask((__m512i)a, _mm512_set1_epi64(bits)), a);
#elif defined(FW_LEVEL_AVX512)
    return _mm512_maskz_mov_ps(_mm512_test_epi32_mask((__m512i)a, _mm512_set1_epi32(bits)), a);
#elif defined(__GNUC__)
    return vreal_of(vbits_of(a) & ~(vbits)((vbits_of(a) & bits) == 0));
#else
    return vbits_of(a) & bits ? a : 0;
#endif
}

FW_INLINE vmask vand(vmask a, vmask b) { return (vmask)(a & b); }
FW_INLINE vmask vor(vmask a, vmask b) { return (vmask)(a | b); }
FW_INLINE vmask vnot(vmask a) { return (vmask)~a; }

/* ---- interleaving: vzip_low is a0 b0 a1 b1 ..., vzip_high goes on where it ends -------------- */

#if defined(FW_LEVEL_AVX512) && FW_F64
FW_INLINE vreal vzip_low(vreal a, vreal b)
{
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b);
}
FW_INLINE vreal vzip_high(vreal a, vreal b)
{
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b);
}
#elif defined(FW_LEVEL_AVX512)
FW_INLINE vreal vzip_low(vreal a, vreal b)
{
    return _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
}
FW_INLINE vreal vzip_high(vreal a, vreal b)
{
    return _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b);
}
#elif defined(FW_LEVEL_AVX2)
#if FW_F64
#define FW_HALVES(a, b, which) _mm256_permute2f128_pd(a, b, which)
#else
#define FW_HALVES(a, b, which) _mm256_permute2f128_ps(a, b, which)
#endif
FW_INLINE vreal vzip_low(vreal a, vreal b)
{
    return FW_HALVES(FW_MM(256, unpacklo)(a, b), FW_MM(256, unpackhi)(a, b), 0x20);
}
FW_INLINE vreal vzip_high(vreal a, vreal b)
{
    return FW_HALVES(FW_MM(256, unpacklo)(a, b), FW_MM(256, unpackhi)(a, b), 0x31);
}
#else
FW_INLINE vreal fw_zip(vreal a, vreal b, int from)
{
    real x[VL], y[VL], z[2 * VL];
    vstore(x, a);
    vstore(y, b);
    for (int i = 0; i < VL; i++) {
        z[2 * i] = x[i];
        z[2 * i + 1] = y[i];
    }
    return vload(z + from);
}
FW_INLINE vreal vzip_low(vreal a, vreal b) { return fw_zip(a, b, 0); }
FW_INLINE vreal vzip_high(vreal a, vreal b) { return fw_zip(a, b, VL); }
#endif

/* ... and back: vunzip_even is a0 a2 ... b0 b2 ..., vunzip_odd the others. */

#if defined(FW_LEVEL_AVX512) && FW_F64
FW_INLINE vreal vunzip_even(vreal a, vreal b)
{
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), b);
}
FW_INLINE vreal vunzip_odd(vreal a, vreal b)
{
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), b);
}
#elif defined(FW_LEVEL_AVX512)
FW_INLINE vreal vunzip_even(vreal a, vreal b)
{
    return _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);
}
FW_INLINE vreal vunzip_odd(vreal a, vreal b)
{
    return _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), b);
}
#elif defined(FW_LEVEL_AVX2)
#if FW_F64
#define FW_MIDDLE_SWAPPED(a) _mm256_permute4x64_pd(a, 0xd8)
#define FW_EVEN _mm256_unpacklo_pd(a, b)
#define FW_ODD _mm256_unpackhi_pd(a, b)
#else
#define FW_MIDDLE_SWAPPED(a) (vreal)_mm256_permute4x64_pd((__m256d)(a), 0xd8)
#define FW_EVEN _mm256_shuffle_ps(a, b, 0x88)
#define FW_ODD _mm256_shuffle_ps(a, b, 0xdd)
#endif
FW_INLINE vreal vunzip_even(vreal a, vreal b) { return FW_MIDDLE_SWAPPED(FW_EVEN); }
FW_INLINE vreal vunzip_odd(vreal a, vreal b) { return FW_MIDDLE_SWAPPED(FW_ODD); }
#else
FW_INLINE vreal fw_unzip(vreal a, vreal b, int from)
{
    real x[2 * VL], y[VL];
    vstore(x, a);
    vstore(x + VL, b);
    for (int i = 0; i < VL; i++) y[i] = x[2 * i + from];
    return vload(y);
}
FW_INLINE vreal vunzip_even(vreal a, vreal b) { return fw_unzip(a, b, 0); }
FW_INLINE vreal vunzip_odd(vreal a, vreal b) { return fw_unzip(a, b, 1); }
#endif

/* ---- arithmetic beyond + - * / ------------------------------------------------------------- */

/* a * b + c */
FW_INLINE vreal vfma(vreal a, vreal b, vreal c)
{
#if defined(FW_LEVEL_AVX512)
    return FW_MM(512, fmadd)(a, b, c);
#elif defined(FW_LEVEL_AVX2)
    return FW_MM(256, fmadd)(a, b, c);
#elif defined(FW_LEVEL_NEON) && FW_F64
    return (vreal)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#elif defined(FW_LEVEL_NEON)
    return (vreal)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

/* c - a * b */
FW_INLINE vreal vfnma(vreal a, vreal b, vreal c)
{
#if defined(FW_LEVEL_AVX512)
    return FW_MM(512, fnmadd)(a, b, c);
#elif defined(FW_LEVEL_AVX2)
    return FW_MM(256, fnmadd)(a, b, c);
#else
    return vfma(-a, b, c);
#endif
}

/* The exact rounding error of p = a * b (Dekker 1971 where there is no fused multiply-add). */
FW_INLINE vreal vmul_error(vreal a, vreal b, vreal p)
{
#if defined(FW_LEVEL_AVX512) || defined(FW_LEVEL_AVX2) || defined(FW_LEVEL_NEON)
    return vfma(a, b, -p);
#else
    vreal splitter = vset1(FW_SPLITTER);
    vreal ta = splitter * a, tb = splitter * b;
    vreal ah = ta - (ta - a), bh = tb - (tb - b);
    vreal al = a - ah, bl = b - bh;
    return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
#endif
}

/* The exact rounding error of s = a + b (D. E. Knuth, TAOCP 2, 4.2.2). */
FW_INLINE vreal vadd_error(vreal a, vreal b, vreal s)
{
    vreal part = s - a;
    return (a - (s - part)) + (b - part);
}

/* vmin(a, b) and vmax(a, b) are b where either is NaN: put the constant first and NaN goes through. */
#if defined(FW_LEVEL_AVX512)
FW_INLINE vreal vmin(vreal a, vreal b) { return FW_MM(512, min)(a, b); }
FW_INLINE vreal vmax(vreal a, vreal b) { return FW_MM(512, max)(a, b); }
FW_INLINE vreal vsqrt(vreal a) { return FW_MM(512, sqrt)(a); }
#elif defined(FW_LEVEL_AVX2)
FW_INLINE vreal vmin(vreal a, vreal b) { return FW_MM(256, min)(a, b); }
FW_INLINE vreal vmax(vreal a, vreal b) { return FW_MM(256, max)(a, b); }
FW_INLINE vreal vsqrt(vreal a) { return FW_MM(256, sqrt)(a); }
#else
FW_INLINE vreal vmin(vreal a, vreal b) { return vselect(vlt(a, b), a, b); }
FW_INLINE vreal vmax(vreal a, vreal b) { return vselect(vlt(b, a), a, b); }
FW_INLINE vreal vsqrt(vreal a)
{
    real lanes[VL];
    vstore(lanes, a);
    for (int i = 0; i < VL; i++) lanes[i] = (real)sqrt((double)lanes[i]);
    return vload(lanes);
}
#endif

#if FW_F64
#define FW_SIGN_BIT ((real_bits)(((uint64_t)1) << 63))
#else
#define FW_SIGN_BIT ((real_bits)(((uint32_t)1) << 31))
#endif

FW_INLINE vreal vabs(vreal a) { return vreal_of(vbits_of(a) & ~FW_SIGN_BIT); }

/* -|a| */
FW_INLINE vreal vminus_abs(vreal a) { return vreal_of(vbits_of(a) | FW_SIGN_BIT); }

/* |a| with the sign of b */
FW_INLINE vreal vcopysign(vreal a, vreal b)
{
#if defined(FW_LEVEL_AVX512)
    __m512i sign = (__m512i)vset1((real)-0.0); /* its own bit from b, all others from a */
    return (vreal)_mm512_ternarylogic_epi64(sign, (__m512i)a, (__m512i)b, 0xac);
#else
    return vreal_of((vbits_of(a) & ~FW_SIGN_BIT) | (vbits_of(b) & FW_SIGN_BIT));
#endif
}

/* 2^n for a whole number n within the normal exponents. */
FW_INLINE vreal vexp2i(vreal n)
{
    vreal shifted = n + vset1((real)(FW_ROUND_MAGIC + FW_EXPONENT_BIAS));
    return vreal_of(vbits_of(shifted) << FW_MANTISSA_BITS);
}

/* n = a * b to the nearest whole number; returns 2^n, for n within the normal exponents, or 0 where
 * not m. */
FW_INLINE vreal vexp2_round(vreal a, vreal b, vmask m, vreal *n)
{
    vreal magic = vset1((real)(FW_ROUND_MAGIC + FW_EXPONENT_BIAS));
    vreal shifted = vfma(a, b, magic);
    *n = shifted - magic;
#if defined(FW_LEVEL_AVX512) && FW_F64
    return (vreal)_mm512_maskz_slli_epi64(m, (__m512i)shifted, FW_MANTISSA_BITS);
#elif defined(FW_LEVEL_AVX512)
    return (vreal)_mm512_maskz_slli_epi32(m, (__m512i)shifted, FW_MANTISSA_BITS);
#else
    return vreal_of((vbits_of(shifted) << FW_MANTISSA_BITS) & m);
#endif
}

/* The exponent e and the mantissa in [1, 2) of a positive normal number: a = mantissa * 2^e. */
FW_INLINE vreal vexponent(vreal a)
{
    vbits magic = vbits_of(vset1((real)FW_EXPONENT_MAGIC));
    vbits biased = vbits_of(a) >> FW_MANTISSA_BITS;
    return (vreal_of(biased | magic) - vset1((real)FW_EXPONENT_MAGIC))
           - vset1((real)FW_EXPONENT_BIAS);
}

FW_INLINE vreal vmantissa(vreal a)
{
    real_bits fraction = (((real_bits)1) << FW_MANTISSA_BITS) - 1;
    return vreal_of((vbits_of(a) & fraction) | vbits_of(vset1((real)1)));
}

/* 1 / a within 5.1 % for positive a below 2^125 (float64: 2^1021): a straight line between powers of two. */
FW_INLINE vreal vreciprocal_guess(vreal a) { return vreal_of((real_bits)FW_RECIPROCAL_BITS - vbits_of(a)); }

/* ---- whole numbers of 64 bits, of which random numbers are made -------------------------------
 * A vwide holds WIDE of them; + ^ << >> work on it. */

#if defined(__GNUC__)
#define WIDE (FW_BYTES / 8)
typedef uint64_t vwide __attribute__((vector_size(FW_BYTES)));
FW_INLINE vwide wide_set1(uint64_t a) { return a - (vwide){0}; }
#else
#define WIDE 1
typedef uint64_t vwide;
FW_INLINE vwide wide_set1(uint64_t a) { return a; }
#endif

/* 0, 1, 2, ... */
FW_INLINE vwide wide_count(void)
{
    uint64_t lanes[WIDE];
    vwide count;
    for (int i = 0; i < WIDE; i++) lanes[i] = (uint64_t)i;
    memcpy(&count, lanes, sizeof count);
    return count;
}

/* The lower halves' products. */
FW_INLINE vwide wide_product(vwide a, vwide b)
{
#if defined(FW_LEVEL_AVX512)
    return (vwide)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(FW_LEVEL_AVX2)
    return (vwide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(FW_LEVEL_NEON)
    return (vwide)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#elif defined(__GNUC__) && defined(__SSE2__)
    return (vwide)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

/* The upper halves, as lower ones; what is above them is anything. */
FW_INLINE vwide wide_upper(vwide a)
{
    /* By a shuffle, which CPUs do beside a product. */
#if defined(FW_LEVEL_AVX512)
    return (vwide)_mm512_shuffle_epi32((__m512i)a, 0xf5);
#elif defined(FW_LEVEL_AVX2)
    return (vwide)_mm256_shuffle_epi32((__m256i)a, 0xf5);
#else
    return a >> 32;
#endif
}

/* The lower halves of both, the second's above the first's. */
FW_INLINE vwide wide_join(vwide low, vwide high) { return (low & 0xffffffffu) | (high << 32); }

/* Each number as two words of 32 bits, the lower half first. */
FW_INLINE void wide_store(int32_t *p, vwide a) { memcpy(p, &a, sizeof a); }

/* Bit 4 i + k: whether part k of 16 bits of number i, from the lowest on, is above the limit. */
FW_INLINE uint32_t wide_above(vwide a, uint16_t limit)
{
#if defined(FW_LEVEL_AVX512)
    return _mm512_cmpgt_epu16_mask((__m512i)a, _mm512_set1_epi16((short)limit));
#elif defined(FW_LEVEL_AVX2)
    __m256i shifted = _mm256_xor_si256((__m256i)a, _mm256_set1_epi16((short)0x8000));
    __m256i above = _mm256_cmpgt_epi16(shifted, _mm256_set1_epi16((short)(limit ^ 0x8000)));
    return (uint32_t)_mm_movemask_epi8(
        _mm_packs_epi16(_mm256_castsi256_si128(above), _mm256_extracti128_si256(above, 1)));
#elif defined(FW_LEVEL_NEON)
    const uint16_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint16x8_t above = vcgtq_u16((uint16x8_t)a, vdupq_n_u16(limit));
    return vaddvq_u16(vandq_u16(above, vld1q_u16(bits)));
#elif defined(__GNUC__) && defined(__SSE2__)
    __m128i shifted = _mm_xor_si128((__m128i)a, _mm_set1_epi16((short)0x8000));
    __m128i above = _mm_cmpgt_epi16(shifted, _mm_set1_epi16((short)(limit ^ 0x8000)));
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(above, _mm_setzero_si128()));
#else
    uint64_t lanes[WIDE];
    uint32_t above = 0;
    memcpy(lanes, &a, sizeof lanes);
    for (int part = 0; part < 4 * WIDE; part++)
        above |= (uint32_t)(((lanes[part / 4] >> (16 * (part % 4))) & 0xffff) > limit) << part;
    return above;
#endif
}

/* Lane i where bit i of the number is set. */
FW_INLINE vmask vmask_of(uint64_t bits)
{
#if defined(FW_LEVEL_AVX512)
    return (vmask)bits;
#elif defined(__GNUC__)
    real_bits lanes[VL];
    vbits lane;
    for (int i = 0; i < VL; i++) lanes[i] = (real_bits)1 << i;
    memcpy(&lane, lanes, sizeof lane);
    return ((real_bits)bits & lane) != 0;
#else
    return -(vmask)(bits & 1);
#endif
}

/* VL whole numbers of 32 bits, rounded. */
FW_INLINE vreal vreal_of_words(const int32_t *p)
{
#if defined(FW_LEVEL_AVX512) && FW_F64
    return _mm512_cvtepi32_pd(_mm256_loadu_si256((const __m256i *)p));
#elif defined(FW_LEVEL_AVX512)
    return _mm512_cvtepi32_ps(_mm512_loadu_si512(p));
#elif defined(FW_LEVEL_AVX2) && FW_F64
    return _mm256_cvtepi32_pd(_mm_loadu_si128((const __m128i *)p));
#elif defined(FW_LEVEL_AVX2)
    return _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)p));
#else
    real lanes[VL];
    for (int i = 0; i < VL; i++) lanes[i] = (real)p[i];
    return vload(lanes);
#endif
}

#endif
