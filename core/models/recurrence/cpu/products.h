/* Small matrix products that keep their sums in registers, the packing of their right factors, and threads. */

#pragma once

#include <pthread.h>
#include <stdlib.h>

#include "vectors.h"

/* ------------------------------------------------------------------------------------------------------------------
 * Tiles: sums (rows, vecs) += left (rows, inner) @ panel (inner, vecs * LANES)
 */

INLINE void accumulate(vec *sums, int rows, int vecs, const float *left, long stride, const void *panel, int inner) {
    const float *W = panel;
    for (int k = 0; k < inner; k++, W += vecs * LANES)
        for (int v = 0; v < vecs; v++) {
            const vec w = load(W + v * LANES, LANES);
            for (int r = 0; r < rows; r++) sums[r * vecs + v] += left[r * stride + k] * w;
        }
}

#if defined(__AVX512BF16__)
/* The same in bfloat16: the panel holds pairs (W[k][j], W[k + 1][j]); products are exact, sums single precision. */
INLINE void accumulate_bf16(vec *sums, int rows, int vecs, const uint16_t *left, long stride, const void *panel,
                            int inner) {
    const uint16_t *W = panel;
    for (int k = 0; k < inner; k += 2, W += vecs * 2 * LANES)
        for (int v = 0; v < vecs; v++) {
            __m512i w;
            memcpy(&w, W + v * 2 * LANES, sizeof w);
            for (int r = 0; r < rows; r++) {
                int32_t pair;
                memcpy(&pair, left + r * stride + k, sizeof pair);
                const __m512i x = _mm512_set1_epi32(pair);
                sums[r * vecs + v] = (vec)_mm512_dpbf16_ps((__m512)sums[r * vecs + v], (__m512bh)x, (__m512bh)w);
            }
        }
}
#else
INLINE void accumulate_bf16(vec *sums, int rows, int vecs, const uint16_t *left, long stride, const void *panel,
                            int inner) {}
#endif

/* tile(job, t, row, rows, column, panel, bf16) for all rows, with `rows` and `bf16` known to the compiler. */
#define TILES(begin, end, bf16, most, tile, job, t, column, panel)          \
    do {                                                                    \
        if (bf16) {                                                         \
            TILES_OF(begin, end, 1, most, tile, job, t, column, panel)      \
        } else {                                                            \
            TILES_OF(begin, end, 0, most, tile, job, t, column, panel)      \
        }                                                                   \
    } while (0)

#define TILES_OF(begin, end, bf16, most, tile, job, t, column, panel)       \
    for (int row = begin; row < end;) {                                     \
        if (end - row >= most) {                                            \
            tile(job, t, row, most, column, panel, bf16);                   \
            row += most;                                                    \
        } else if (end - row >= 2) {                                        \
            tile(job, t, row, 2, column, panel, bf16);                      \
            row += 2;                                                       \
        } else {                                                            \
            tile(job, t, row, 1, column, panel, bf16);                      \
            row += 1;                                                       \
        }                                                                   \
    }

/* ------------------------------------------------------------------------------------------------------------------
 * Threads: work(job, begin, end) over [0, count)
 */

typedef void (*Work)(const void *job, int begin, int end);

typedef struct {
    Work work;
    const void *job;
    int begin, end;
} Part;

static void *run_part(void *given) {
    const Part *part = given;
    part->work(part->job, part->begin, part->end);
    return NULL;
}

/* In parts of whole tiles. PyTorch's own threads do it where we are linked with their library: they are awake from the
 * call before, and do not have to share the processors with others. Else threads are made for the call, which costs
 * about 0.1 ms; one that cannot be had is no failure: its part is done here. */
static void share(Work work, const void *job, int count, int threads) {
    enum { MOST_THREADS = 64 };
    Part parts[MOST_THREADS];
    if (count < 1) return;
    threads = threads < 1 ? 1 : least(threads, MOST_THREADS);
    int size = (count + threads - 1) / threads, n = 0;
    size = (size + 3) / 4 * 4;
    for (int begin = 0; begin < count; begin += size, n++)
        parts[n] = (Part){work, job, begin, least(begin + size, count)};
#if defined(_OPENMP)
    if (n > 1) {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
        for (int i = 0; i < n; i++) run_part(&parts[i]);
        return;
    }
#endif
    pthread_t others[MOST_THREADS];
    int started[MOST_THREADS];
    for (int i = 1; i < n; i++) started[i] = pthread_create(&others[i], NULL, run_part, &parts[i]) == 0;
    run_part(&parts[0]);
    for (int i = 1; i < n; i++)
        if (started[i])
            pthread_join(others[i], NULL);
        else
            run_part(&parts[i]);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Packing: the right factor M (inner, columns), element (k, j) at source[k * down + j * right], cut into panels. One of
 * the strides is 1: that of a matrix and that of its transpose.
 *
 * Panel p holds, for each k, `vecs` vectors: vector v begins at column p * panel_step + v * vec_step. Columns past the
 * end of a vec_step's range, and past `columns`, are zeros. In bf16 two neighbouring k stand side by side; `inner` is even.
 */

typedef struct {
    const float *source;
    long down, right;
    int inner, columns, vecs, vec_step, panel_step, bf16;
    char *panels;
} Packing;

INLINE long panel_size(int inner, int vecs, int bf16) { return (long)inner * vecs * LANES * (bf16 ? 2 : 4); }

/* Row k of a panel's vector, or its transpose read along the rows of the source. */
static void pack_single(const Packing *job, float *to, const float *source, int width) {
    const long stride = (long)job->vecs * LANES;
    if (job->right == 1)
        for (int k = 0; k < job->inner; k++) store(to + k * stride, load(source + k * job->down, width), LANES);
    else
        for (int i = 0; i < LANES; i++)
            for (int k = 0; k < job->inner; k++) to[k * stride + i] = i < width ? source[k + i * job->right] : 0.0f;
}

/* The nearest number in bfloat16, ties to even, as the upper half of 32 bits; NaN stays NaN. */
INLINE uint32_t rounded(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return x != x ? 0x7FC00000u : bits + 0x7FFFu + ((bits >> 16) & 1u);
}

static void pack_bf16(const Packing *job, uint32_t *to, const float *source, int width) {
    const long stride = (long)job->vecs * LANES;
    if (job->right == 1)
        for (int k = 0; k < job->inner; k += 2)
            for (int i = 0; i < LANES; i++) {
                const float *x = source + k * job->down + i;
                to[k / 2 * stride + i] = i < width ? rounded(x[0]) >> 16 | (rounded(x[job->down]) & 0xFFFF0000u) : 0u;
            }
    else
        for (int i = 0; i < LANES; i++) {
            const float *x = source + i * job->right;
            for (int k = 0; k < job->inner; k += 2)
                to[k / 2 * stride + i] = i < width ? rounded(x[k]) >> 16 | (rounded(x[k + 1]) & 0xFFFF0000u) : 0u;
        }
}

static void pack_panels(const void *given, int begin, int end) {
    const Packing *job = given;
    const int vecs = job->vecs;
    for (int p = begin; p < end; p++) {
        char *panel = job->panels + p * panel_size(job->inner, vecs, job->bf16);
        for (int v = 0; v < vecs; v++) {
            const int width = least(LANES, job->columns - p * job->panel_step - (job->panel_step > LANES ? v * LANES : 0));
            const float *source = job->source + ((long)p * job->panel_step + (long)v * job->vec_step) * job->right;
            if (job->bf16)
                pack_bf16(job, (uint32_t *)panel + v * LANES, source, width);
            else
                pack_single(job, (float *)panel + v * LANES, source, width);
        }
    }
}

/* `columns`: how many there are of each gate. */
__attribute__((unused)) static void pack(const float *source, long down, long right, int inner, int columns, int vecs, int vec_step,
                 int panel_step, int bf16, void *panels, int threads) {
    const Packing job = {source, down, right, inner, columns, vecs, vec_step, panel_step, bf16, panels};
    share(pack_panels, &job, (columns + panel_step - 1) / panel_step, threads);
}
