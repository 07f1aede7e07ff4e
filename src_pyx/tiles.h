/* Tiles: the matrix registers of AMX, and the bfloat16 numbers that they hold.
 *
 * A bfloat16 is the upper half of a float32. A tile is 16 rows of 16 words of 32 bits; a word is one
 * float32, or a pair of bfloat16 of which the first stands in its lower half. Words are kept in
 * arrays of reals and only ever moved, so kernels that fill tiles work on every CPU level.
 *
 * FW_TILES   1: this compilation has tile registers: those of the CPU at level amx for float32, or
 *               the ones below, in plain C, where the tests ask for them with FW_EMULATE_TILES
 *            0: it has none; the operations do nothing and must not be reached
 *
 * A thread calls tiles_begin before it uses tiles and tiles_end after. The number of a register is
 * written out where it is used: it is part of the instruction.
 */
#ifndef FW_TILES_H
#define FW_TILES_H

#include "simd.h"

/* The nearest bfloat16, ties to even, as a float32; for numbers that do not round to infinity. */
FW_INLINE vreal vbfloat16(vreal a)
{
    vbits bits = vbits_of(a);
    return vreal_of((bits + 0x7fff + ((bits >> 16) & 1)) & ~0xffff);
}

/* Words of the upper halves of two float32 each: `first` in the lower half, `second` in the upper. */
FW_INLINE vreal vpair(vreal first, vreal second)
{
    return vreal_of(((vbits_of(first) >> 16) & 0xffff) | (vbits_of(second) & ~0xffff));
}

#if defined(FW_EMULATE_TILES)

/* What Intel's manual (Software Developer's Manual, volume 2, TDPBF16PS) says, step by step. */
#define FW_TILES 1
static _Thread_local uint32_t fw_tile[8][16][16];

FW_INLINE void tiles_begin(void) { memset(fw_tile, 0xff, sizeof fw_tile); }
FW_INLINE void tiles_end(void) { memset(fw_tile, 0xff, sizeof fw_tile); }
FW_INLINE void tile_zero(int t) { memset(fw_tile[t], 0, sizeof fw_tile[t]); }

FW_INLINE void tile_load(int t, const void *from, intptr_t stride)
{
    for (int row = 0; row < 16; row++) memcpy(fw_tile[t][row], (const char *)from + row * stride, 64);
}

FW_INLINE void tile_store(int t, void *to, intptr_t stride)
{
    for (int row = 0; row < 16; row++) memcpy((char *)to + row * stride, fw_tile[t][row], 64);
}

/* Subnormal numbers count as zero, coming in and going out. */
static inline float fw_flushed(float a) { return fabsf(a) < 0x1p-126f ? copysignf(0.0f, a) : a; }

static inline float fw_float_of(uint32_t bits)
{
    float a;
    memcpy(&a, &bits, sizeof a);
    return fw_flushed(a);
}

static inline float fw_first(uint32_t pair) { return fw_float_of(pair << 16); }
static inline float fw_second(uint32_t pair) { return fw_float_of(pair & 0xffff0000u); }

/* c (16, 16) += a (16, 16 pairs) . b (16 pairs, 16): a chain of fused multiply-adds over the first
 * of each pair and one over the second, from zero; then their sum is added to c. */
static void fw_tile_multiply(int c, int a, int b)
{
    for (int row = 0; row < 16; row++) {
        float firsts[16] = {0}, seconds[16] = {0};
        for (int k = 0; k < 16; k++) {
            uint32_t pair = fw_tile[a][row][k];
            for (int column = 0; column < 16; column++) {
                uint32_t other = fw_tile[b][k][column];
                firsts[column] =
                    fw_flushed(fmaf(fw_first(pair), fw_first(other), firsts[column]));
                seconds[column] =
                    fw_flushed(fmaf(fw_second(pair), fw_second(other), seconds[column]));
            }
        }
        for (int column = 0; column < 16; column++) {
            float sum = fw_flushed(firsts[column] + seconds[column]);
            sum = fw_flushed(fw_float_of(fw_tile[c][row][column]) + sum);
            memcpy(&fw_tile[c][row][column], &sum, sizeof sum);
        }
    }
}
#define tile_multiply(c, a, b) fw_tile_multiply(c, a, b)

#elif defined(FW_LEVEL_AMX) && !FW_F64

#define FW_TILES 1

/* Palette 1, and all eight registers with 16 rows of 64 bytes. */
static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} FW_TILE_CONFIG = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

FW_INLINE void tiles_begin(void) { _tile_loadconfig(&FW_TILE_CONFIG); }
FW_INLINE void tiles_end(void) { _tile_release(); }
#define tile_zero(t) _tile_zero(t)
/* GCC 12 does not know that the instruction reads memory: what was written must be there before. */
#define tile_load(t, from, stride)              \
    do {                                        \
        __asm__ volatile("" ::: "memory");      \
        _tile_loadd(t, from, stride);           \
    } while (0)
#define tile_store(t, to, stride) _tile_stored(t, to, stride)
#define tile_multiply(c, a, b) _tile_dpbf16ps(c, a, b)

#else

#define FW_TILES 0
#define tiles_begin() ((void)0)
#define tiles_end() ((void)0)
#define tile_zero(t) ((void)0)
#define tile_load(t, from, stride) ((void)(from), (void)(stride))
#define tile_store(t, to, stride) ((void)(to), (void)(stride))
#define tile_multiply(c, a, b) ((void)0)

#endif
#endif
