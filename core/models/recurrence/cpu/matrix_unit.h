/* The matrix unit of x86-64 processors (AMX): products in bfloat16, 16 x 32 times 32 x 16 numbers an instruction.
 *
 * Its eight registers are tiles of up to 16 rows of 64 bytes. A tile of the right factor is 16 pairs of rows of a panel
 * in bfloat16, as they lie there. Sums are single precision; each row's are in the same order whatever rows are beside
 * it. Linux must permit a process to use the unit, and each thread sets up the shapes of its tiles.
 */

#pragma once

#include "vectors.h"

enum { TILE_ROWS = 16, TILE_INNER = 32 };

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

/* Ask for the unit's state (XTILEDATA); 0 where the kernel or the processor does not have it. */
INLINE int ask_for_tiles(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}

/* Tiles 0 to 3 hold sums and tiles 4 and 5 left factors, both of `rows` rows; 6 and 7 hold right factors. */
INLINE void begin_tiles(int rows) {
    struct {
        uint8_t palette, first_row, reserved[14];
        uint16_t bytes_of_a_row[16];
        uint8_t rows[16];
    } shapes = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        shapes.bytes_of_a_row[tile] = 2 * TILE_INNER;
        shapes.rows[tile] = tile < 6 ? rows : TILE_INNER / 2;
    }
    _tile_loadconfig(&shapes);
}

INLINE void end_tiles(void) { _tile_release(); }

/* sums (the tiles' rows, vecs * LANES) = X @ panel; `inner` is a multiple of TILE_INNER, 2 to 4 vecs, and the rows of X
 * begin `along` numbers apart.
 */
INLINE void multiply_one(float *sums, const uint16_t *X, long along, const uint16_t *panel, int inner, int vecs) {
    const long down = 4L * LANES * vecs;
    __asm__ volatile("" ::: "memory"); /* what was stored before is read by the unit */
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int k = 0; k < inner; k += TILE_INNER, panel += (long)TILE_INNER * LANES * vecs) {
        _tile_loadd(4, X + k, 2 * along);
        _tile_loadd(6, panel, down);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, panel + 2 * LANES, down);
        _tile_dpbf16ps(1, 4, 7);
        if (vecs > 2) {
            _tile_loadd(6, panel + 4 * LANES, down);
            _tile_dpbf16ps(2, 4, 6);
        }
        if (vecs > 3) {
            _tile_loadd(7, panel + 6 * LANES, down);
            _tile_dpbf16ps(3, 4, 7);
        }
    }
    _tile_stored(0, sums, down);
    _tile_stored(1, sums + LANES, down);
    if (vecs > 2) _tile_stored(2, sums + 2 * LANES, down);
    if (vecs > 3) _tile_stored(3, sums + 3 * LANES, down);
}

/* The same for two blocks of rows, which share what is loaded of the panel; b (vecs * LANES), if not NULL, is added to
 * each row, and vecs is then even.
 */
INLINE void multiply_two(float *sums, float *sums_2, const uint16_t *X, const uint16_t *X_2, long along,
                         const uint16_t *panel, int inner, int vecs, const float *b) {
    const long down = 4L * LANES * vecs;
    __asm__ volatile("" ::: "memory");
    for (int v = 0; v < vecs; v += 2) {
        const uint16_t *W = panel + (long)v * 2 * LANES;
        if (b) { /* with a stride of 0 each row of a tile is the same */
            _tile_loadd(0, b + v * LANES, 0);
            _tile_loadd(1, b + v * LANES, 0);
            _tile_loadd(2, b + (v + 1) * LANES, 0);
            _tile_loadd(3, b + (v + 1) * LANES, 0);
        } else {
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
        }
        for (int k = 0; k < inner; k += TILE_INNER, W += (long)TILE_INNER * LANES * vecs) {
            _tile_loadd(4, X + k, 2 * along);
            _tile_loadd(5, X_2 + k, 2 * along);
            _tile_loadd(6, W, down);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 5, 6);
            if (v + 1 < vecs) {
                _tile_loadd(7, W + 2 * LANES, down);
                _tile_dpbf16ps(2, 4, 7);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
        _tile_stored(0, sums + v * LANES, down);
        _tile_stored(1, sums_2 + v * LANES, down);
        if (v + 1 < vecs) {
            _tile_stored(2, sums + (v + 1) * LANES, down);
            _tile_stored(3, sums_2 + (v + 1) * LANES, down);
        }
    }
}
#else
INLINE int ask_for_tiles(void) { return 0; }
INLINE void begin_tiles(int rows) {}
INLINE void end_tiles(void) {}
INLINE void multiply_one(float *sums, const uint16_t *X, long along, const uint16_t *panel, int inner, int vecs) {}
INLINE void multiply_two(float *sums, float *sums_2, const uint16_t *X, const uint16_t *X_2, long along,
                         const uint16_t *panel, int inner, int vecs, const float *b) {}
#endif
