/* Vectors of single-precision numbers, as wide as this processor's registers, and the functions of the gates. */

#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
#define LANES 16
#define MOST_ROWS 8 /* of a tile with two vectors a row: 16 of the 32 registers hold sums */
#else
#define LANES 8
#define MOST_ROWS 4
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t mask __attribute__((vector_size(4 * LANES)));

INLINE int least(int a, int b) { return a < b ? a : b; }

INLINE vec splat(float x) { return x - (vec){0}; }

/* The first `width` numbers (at most LANES; none where it is not positive), zeros behind them. */
INLINE vec load(const float *from, int width) {
    vec x = {0};
    if (width >= LANES)
        memcpy(&x, from, sizeof x);
    else
        for (int i = 0; i < width; i++) x[i] = from[i];
    return x;
}

INLINE void store(float *to, vec x, int width) {
    if (width >= LANES)
        memcpy(to, &x, sizeof x);
    else
        for (int i = 0; i < width; i++) to[i] = x[i];
}

typedef uint16_t halves __attribute__((vector_size(2 * LANES)));

/* From bfloat16: the upper half of each number. */
INLINE vec load_bf16(const uint16_t *from, int width) {
    halves x = {0};
    if (width >= LANES)
        memcpy(&x, from, sizeof x);
    else
        for (int i = 0; i < width; i++) x[i] = from[i];
    return (vec)(__builtin_convertvector(x, mask) << 16);
}

INLINE vec either(mask condition, vec yes, vec no) { return (vec)((condition & (mask)yes) | (~condition & (mask)no)); }

/* The first of two numbers if it is larger (smaller), else the second, also where one of them is NaN. */
#if defined(__AVX512F__)
INLINE vec larger(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vec smaller(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
#else
INLINE vec larger(vec a, vec b) { return either(a > b, a, b); }
INLINE vec smaller(vec a, vec b) { return either(a < b, a, b); }
#endif

/* Both keep a NaN of x: a model that diverges must be seen to. */
INLINE vec positive(vec x) { return larger(splat(0.0f), x); }
INLINE vec where_positive(vec H, vec x) { return either(H <= 0.0f, splat(0.0f), x); }

/* e to the power of x <= 0 with a relative error under 2e-7, for x cut to -87; NaN stays NaN.
 *
 * x = n log 2 + r with a whole n and |r| <= log(2)/2. e^r = 1 + r + r^2 q(r), the coefficients of q fitted to the
 * smallest relative error (3e-9 before rounding), and 2^n goes straight into the exponent's bits.
 */
INLINE vec exp_of_negative(vec x) {
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number, which lands in the low bits */
    x = larger(splat(-87.0f), x);
    const vec shifted = x * 1.44269504f + shift;
    const vec n = shifted - shift;
    const vec r = (x - n * 0.693145752f) - n * 1.42860677e-6f; /* log 2 in two parts, the first with few bits */
    vec q = splat(1.381461298e-3f);
    q = q * r + 8.368709843e-3f;
    q = q * r + 4.166838737e-2f;
    q = q * r + 1.666652069e-1f;
    q = q * r + 4.999999345e-1f;
    const vec e_r = q * (r * r) + r + 1.0f;
    const mask exponent = ((mask)shifted - 0x4B400000) << 23;
    return (vec)((mask)e_r + exponent);
}

/* The same for any x, cut to [-87, 88]. */
INLINE vec exp_of(vec x) { return exp_of_negative(smaller(splat(88.0f), x)); }

INLINE vec sigmoid_of(vec x) { return 1.0f / (1.0f + exp_of(-x)); }
INLINE vec tanh_of(vec x) { return 1.0f - 2.0f / (1.0f + exp_of(x + x)); }

/* The nearest numbers that bfloat16 has, ties to even; NaN stays NaN. */
INLINE vec nearest_bf16(vec x) {
    const mask bits = (mask)x, nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) & (int32_t)0xFFFF0000;
    return (vec)((~(x != x) & nearest) | ((x != x) & 0x7FC00000));
}

#if defined(__AVX512BF16__)
INLINE void store_bf16(uint16_t *to, vec x, int width) {
    const __m256bh rounded = _mm512_cvtneps_pbh((__m512)x);
    if (width >= LANES) /* known to the compiler: two instructions in place of a call */
        memcpy(to, &rounded, sizeof rounded);
    else if (width > 0)
        memcpy(to, &rounded, 2 * (size_t)width);
}
#else
INLINE void store_bf16(uint16_t *to, vec x, int width) {
    const halves rounded = __builtin_convertvector((mask)nearest_bf16(x) >> 16, halves);
    if (width >= LANES) /* known to the compiler: two instructions in place of a call */
        memcpy(to, &rounded, sizeof rounded);
    else if (width > 0)
        memcpy(to, &rounded, 2 * (size_t)width);
}
#endif

/* The nearest number in bfloat16, ties to even, as the upper half of 32 bits; NaN stays NaN. */
INLINE uint32_t rounded(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return x != x ? 0x7FC00000u : bits + 0x7FFFu + ((bits >> 16) & 1u);
}

INLINE uint32_t pair(const float *x, long down) { return rounded(x[0]) >> 16 | (rounded(x[down]) & 0xFFFF0000u); }
