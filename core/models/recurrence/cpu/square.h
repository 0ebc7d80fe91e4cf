/* The transposes of small squares, in registers. */

#pragma once

#include "vectors.h"

enum { SIDE = 32 };

typedef uint16_t eight __attribute__((vector_size(16)));

#if defined(__clang__)
#define ZIPPED(type, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define ZIPPED(type, a, b, ...) __builtin_shuffle(a, b, (type){__VA_ARGS__})
#endif

/* A whole square of numbers of 2 bytes, eight by eight in registers: zipping each of the first four of eight rows with
 * the one four further, three times, transposes them. For numbers of 4 bytes the plain way is no slower.
 */
INLINE void turn_square(uint16_t *y, const uint16_t *x, long rows, long columns) {
    uint16_t square[SIDE][SIDE];
    eight a[8], b[8];
    for (int row = 0; row < SIDE; row += 8)
        for (int column = 0; column < SIDE; column += 8) {
            for (int r = 0; r < 8; r++) memcpy(&a[r], x + (row + r) * columns + column, sizeof *a);
            for (int times = 0; times < 3; times++, memcpy(a, b, sizeof a))
                for (int r = 0; r < 4; r++) {
                    b[2 * r] = ZIPPED(eight, a[r], a[r + 4], 0, 8, 1, 9, 2, 10, 3, 11);
                    b[2 * r + 1] = ZIPPED(eight, a[r], a[r + 4], 4, 12, 5, 13, 6, 14, 7, 15);
                }
            for (int r = 0; r < 8; r++) memcpy(&square[column + r][row], &a[r], sizeof *a);
        }
    for (int c = 0; c < SIDE; c++) memcpy(y + c * rows, square[c], sizeof square[c]);
}

#if defined(__AVX512F__)
/* A whole square of LANES x LANES pairs of such numbers, as above: four times each of the first eight rows is zipped with
 * the one eight further. The rows of y begin `along` pairs apart.
 */
INLINE void turn_pairs(uint32_t *y, const uint16_t *x, long along) {
    mask a[LANES], b[LANES];
    memcpy(a, x, sizeof a);
    for (int times = 0; times < 4; times++, memcpy(a, b, sizeof a))
        for (int r = 0; r < 8; r++) {
            b[2 * r] = ZIPPED(mask, a[r], a[r + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            b[2 * r + 1] = ZIPPED(mask, a[r], a[r + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
    for (int r = 0; r < LANES; r++) memcpy(y + r * along, &a[r], sizeof a[r]);
}
#endif
