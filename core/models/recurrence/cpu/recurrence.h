/* The recurrences of eager.py on a CPU: all steps of a batch in one call.
 *
 * The rows of a batch are independent, so each thread takes some rows through all steps and never waits for the others;
 * a matrix too large for a cache would be read by each of them at each step, so there each takes some units of all rows.
 * The recurrent matrix is packed into panels that the cache holds; a tile, a few rows times one panel, stays in
 * registers from the product to the gates, so no intermediate goes to memory; only the matrix unit's sums (bf16) pass
 * through the nearest cache. Mathematics and names are eager.py's.
 *
 * All arrays are row-major, contiguous and in single precision. The left factors of products rounded to bfloat16 are
 * twins of H and dP: in bfloat16, or in single precision where that multiplies them; NULL where nothing is rounded.
 */

#pragma once

#include "matrix_unit.h"
#include "threads.h"

/* How products are computed, as numbered in bindings.py: of factors rounded to bfloat16 in single precision, in bfloat16
 * by vectors, or by the matrix unit; or they are GIVEN: the panels are H W of a single row, (gates * hidden,).
 */
enum { SINGLE, ROUNDED, BF16_VECTORS, BF16_TILES, GIVEN };

/* Of each number of a factor. */
INLINE int bytes_of(int kind) { return kind == BF16_VECTORS || kind == BF16_TILES ? 2 : 4; }

INLINE int is_bf16(int kind) { return bytes_of(kind) == 2; }

typedef struct {
    int steps, batch, hidden, relu, bf16; /* bf16: one of those */
    const void *panels;                   /* the packed recurrent matrix; transposed in the backward pass */
} Shape;

typedef struct {
    Shape shape;
    const float *A;     /* (steps, batch, gates * hidden), or a table (vocabulary, gates * hidden) */
    const int64_t *ids; /* (steps, batch): the table's rows; NULL where A is no table */
    const float *b;     /* (gates * hidden,), added to each of the table's rows, or NULL */
    float *gates;       /* (steps, batch, gates * hidden), may take the place of A; not for the RNN */
    float *H, *C;       /* (steps + 1, batch, hidden), the first step given; C for the LSTM alone */
    float *inner;       /* (steps, batch, hidden): N of the GRU, tanh C of the LSTM */
    void *H_twin;
    const float *b_hn; /* (hidden,), for the GRU alone */
} Forward;

typedef struct {
    Shape shape;
    const float *gates, *H, *C, *inner; /* what the forward pass wrote */
    const float *dH, *dH_last;
    float
        *dP; /* (steps, batch, gates * hidden): the gradient of H_{t-1} W; NULL where its twin in bfloat16 is enough */
    void *dP_twin; /* may be dP itself */
    float *D;      /* (batch, hidden): what the GRU carries between the steps; D_0 at the end */
    float *dA_h;   /* (steps, batch, hidden), for the GRU alone */
    float *E;      /* (batch, hidden), for the LSTM alone: dC_last before the first step, dC_0 after the last */
} Backward;

/* What a thread has: rows begin to end - 1, and of each step their units from `first` to before `last`, a whole number
 * of panels. Where others have the other units of these rows, they meet after each step.
 */
typedef struct {
    int begin, end, first, last;
    Meeting *meeting; /* or NULL */
} Region;

INLINE void wait_for_others(const Region *region) {
    if (region->meeting) wait_for_all(region->meeting);
}

/* A region through all steps, one function for each cell and direction. */
typedef void (*Pass)(const void *job, const Region *region);

INTERNAL void rnn_forward(const void *job, const Region *region), rnn_backward(const void *job, const Region *region);
INTERNAL void gru_forward(const void *job, const Region *region), gru_backward(const void *job, const Region *region);
INTERNAL void lstm_forward(const void *job, const Region *region), lstm_backward(const void *job, const Region *region);

typedef struct {
    Pass forward, backward;
    int gates;
} Cell;

/* By the number of a cell, as in compiled.py: the RNN, the GRU, the LSTM. */
INTERNAL extern const Cell CELLS[];

/* The input part of a place, from a column on. */
INLINE vec input_at(const Forward *job, long place, int columns, int column, int width) {
    const float *row = job->A + (job->ids ? (long)job->ids[place] : place) * columns;
    const vec A = load(row + column, width);
    return job->b ? A + load(job->b + column, width) : A;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Tiles: sums (rows, vecs) += left (rows, inner) @ panel (inner, vecs * LANES)
 */

INLINE void accumulate_single(vec *sums, int rows, int vecs, const float *left, const void *panel, int inner) {
    const float *W = panel;
#pragma GCC unroll 2
    for (int k = 0; k < inner; k++)
        for (int v = 0; v < vecs; v++) {
            const vec w = load(W + (long)(k * vecs + v) * LANES, LANES);
            for (int r = 0; r < rows; r++) sums[r * vecs + v] += left[(long)r * inner + k] * w;
        }
}

#if defined(__AVX512BF16__)
/* The same in bfloat16: the panel holds pairs (W[k][j], W[k + 1][j]); products are exact, sums single precision. */
INLINE void accumulate_bf16(vec *sums, int rows, int vecs, const uint16_t *left, long along, const void *panel,
                            int inner) {
    const uint16_t *W = panel;
    for (int k = 0; k < inner; k += 2, W += vecs * 2 * LANES)
        for (int v = 0; v < vecs; v++) {
            __m512i w;
            memcpy(&w, W + v * 2 * LANES, sizeof w);
            for (int r = 0; r < rows; r++) {
                int32_t pair;
                memcpy(&pair, left + r * along + k, sizeof pair);
                const __m512i x = _mm512_set1_epi32(pair);
                sums[r * vecs + v] = (vec)_mm512_dpbf16_ps((__m512)sums[r * vecs + v], (__m512bh)x, (__m512bh)w);
            }
        }
}
#else
INLINE void accumulate_bf16(vec *sums, int rows, int vecs, const uint16_t *left, long along, const void *panel,
                            int inner) {}
#endif

/* The left factor: the rows from `first` on of X, or of its twin. */
INLINE void accumulate(vec *sums, int rows, int vecs, const float *X, const void *twin, long first, const void *panel,
                       int inner, int bf16) {
    if (bf16 == BF16_TILES || bf16 == GIVEN) /* the panel is what has been made of it for these rows */
        for (int i = 0; i < rows * vecs; i++) sums[i] += load((const float *)panel + i * LANES, LANES);
    else if (bf16 == BF16_VECTORS)
        accumulate_bf16(sums, rows, vecs, (const uint16_t *)twin + first * inner, inner, panel, inner);
    else
        accumulate_single(sums, rows, vecs, (twin ? (const float *)twin : X) + first * inner, panel, inner);
}

INLINE long panel_size(int inner, int vecs, int bf16) { return (long)inner * vecs * LANES * bytes_of(bf16); }

typedef void (*Tile)(const void *job, int t, int row, int rows, int column, const void *panel, int bf16);

/* Rows begin to end - 1, as many at a time as registers hold. The compiler knows `rows` and `bf16` of each call. */
INLINE void tiles_of_panel(Tile tile, int most, const void *job, int t, int begin, int end, int column,
                           const void *panel, int bf16) {
    int row = begin;
    for (; end - row >= most; row += most) tile(job, t, row, most, column, panel, bf16);
    for (; most > 4 && end - row >= 4; row += 4) tile(job, t, row, 4, column, panel, bf16);
    for (; end - row >= 2; row += 2) tile(job, t, row, 2, column, panel, bf16);
    for (; row < end; row++) tile(job, t, row, 1, column, panel, bf16);
}

/* Adds what the last numbers of the rows make, which fill no tile of the matrix unit. */
INLINE void add_rest(float *products, int rows, int vecs, const uint16_t *X, const uint16_t *panel, int inner) {
    const int whole = inner / TILE_INNER * TILE_INNER;
    panel += (long)whole * vecs * LANES;
    for (int r = 0; r < rows && whole < inner; r++, products += vecs * LANES) {
        vec sums[4];
        memcpy(sums, products, vecs * sizeof *sums);
        accumulate_bf16(sums, 1, vecs, X + (long)r * inner + whole, inner, panel, inner - whole);
        memcpy(products, sums, vecs * sizeof *sums);
    }
}

/* Neighbouring panels whose sums wait in the nearest caches: a row then reads and writes whole stretches of memory. */
enum { GROUP = 8 };

/* The same for a group of panels by the matrix unit, two blocks of rows at a time. The last blocks begin where they are
 * whole: of rows that are in two, the first block's sums are used. X16: the left factor's rows of this step.
 */
INLINE void blocks_of_panels(Tile tile, const void *job, int t, int begin, int end, int column, int width, int count,
                             const char *panels, const uint16_t *X16, int inner, int vecs) {
    float products[2][GROUP][TILE_ROWS * 4 * LANES];
    const int block = least(TILE_ROWS, end - begin), whole = inner / TILE_INNER * TILE_INNER;
    for (int row = begin; row < end; row += 2 * block) {
        const int blocks = row + block < end ? 2 : 1;
        const int from[2] = {least(row, end - block), least(row + block, end - block)};
        const uint16_t *X[2] = {X16 + (long)from[0] * inner, X16 + (long)from[1] * inner};
        for (int p = 0; p < count; p++) {
            const uint16_t *panel = (const uint16_t *)(panels + p * panel_size(inner, vecs, BF16_TILES));
            if (blocks == 2)
                multiply_two(products[0][p], products[1][p], X[0], X[1], inner, panel, whole, vecs, NULL);
            else
                multiply_one(products[0][p], X[0], inner, panel, whole, vecs);
            for (int b = 0; b < blocks; b++) add_rest(products[b][p], block, vecs, X[b], panel, inner);
        }
        for (int b = 0; b < blocks; b++)
            for (int i = row + b * block - from[b]; i < block; i++)
                for (int p = 0; p < count; p++)
                    tile(job, t, from[b] + i, 1, column + p * width, products[b][p] + i * vecs * LANES, BF16_TILES);
    }
}

/* One step of a region: a panel has `vecs` vectors and makes `width` units. */
INLINE void step_of_region(Tile tile, int most, const Shape *shape, const void *job, int t, const Region *region,
                           const void *twin, int inner, int vecs, int width) {
    const int begin = region->begin, end = region->end, last = region->last;
    const int count = shape->bf16 == BF16_TILES ? GROUP : 1, stride = count * width;
    const char *panel = (const char *)shape->panels + region->first / width * panel_size(inner, vecs, shape->bf16);
    for (int column = region->first; column < last;
         column += stride, panel += count * panel_size(inner, vecs, shape->bf16))
        if (shape->bf16 == BF16_TILES)
            blocks_of_panels(tile, job, t, begin, end, column, width, least(GROUP, (last - column + width - 1) / width),
                             panel, (const uint16_t *)twin + (long)t * shape->batch * inner, inner, vecs);
        else if (shape->bf16 == BF16_VECTORS)
            tiles_of_panel(tile, most, job, t, begin, end, column, panel, BF16_VECTORS);
        else /* the same code for ROUNDED, where the left factor is the twin: it would take twice as long to compile */
            tiles_of_panel(tile, most, job, t, begin, end, column, panel, SINGLE);
}

/* The region's rows and units of step t become left factors of the next one: X and its twin have `parts` times hidden
 * columns. In bfloat16 the tiles do that.
 */
INLINE void end_step(const Shape *shape, const float *X, void *twin, int t, int parts, const Region *region) {
    for (int row = region->begin; row < region->end && shape->bf16 == ROUNDED; row++)
        for (int part = 0; part < parts; part++) {
            const long place = (((long)t * shape->batch + row) * parts + part) * shape->hidden;
            for (int column = region->first; column < region->last; column += LANES) {
                const int width = region->last - column;
                store((float *)twin + place + column, nearest_bf16(load(X + place + column, width)), width);
            }
        }
    wait_for_others(region);
}

/* The same for a single row whose products are there: each tile gets its vectors of them. */
INLINE void step_of_one(Tile tile, const Shape *shape, const void *job, const Region *region, int vecs, int width) {
    const float *products = shape->panels;
    const int hidden = shape->hidden;
    float sums[4 * LANES];
    for (int column = region->first; column < region->last; column += width) {
        for (int v = 0; v < vecs; v++) {
            const int at = column + (width > LANES ? v * LANES : 0), gate = width > LANES ? 0 : v;
            store(sums + v * LANES, load(products + (long)gate * hidden + at, hidden - at), LANES);
        }
        tile(job, 0, 0, 1, column, sums, GIVEN);
    }
}

INLINE void forward_region(const Forward *job, Tile tile, int most, int vecs, int width, const Region *region) {
    const Shape *shape = &job->shape;
    if (shape->bf16 == GIVEN) {
        step_of_one(tile, shape, job, region, vecs, width);
        return;
    }
    if (shape->bf16 == BF16_TILES) begin_tiles(least(TILE_ROWS, region->end - region->begin));
    for (int t = 0; t < shape->steps; t++) {
        step_of_region(tile, most, shape, job, t, region, job->H_twin, shape->hidden, vecs, width);
        end_step(shape, job->H, job->H_twin, t + 1, 1, region);
    }
    if (shape->bf16 == BF16_TILES) end_tiles();
}

/* ------------------------------------------------------------------------------------------------------------------
 * The backward pass of every cell: D_{t-1} = dH_{t-1} + dP_t W^T, plus D_t * Z_t for the GRU, which `carries` it. The
 * tile that computes D_{t-1} calls `local`, which computes all that is local to step t-1 from it, dP_{t-1} included.
 */

typedef void (*Local)(const Backward *job, int t, int row, int column, int width, vec D, int bf16);

INLINE void backward_tile(const Backward *job, Local local, int gates, int carries, int t, int row, int rows,
                          int column, const void *panel, int bf16) {
    const int batch = job->shape.batch, hidden = job->shape.hidden;
    const long first = (long)t * batch + row;
    vec D[MOST_ROWS * 2];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 2; v++) {
            const int at = column + v * LANES, width = least(LANES, hidden - at);
            const float *dH = job->dH + (first - batch + r) * hidden + at;
            if (carries) {
                D[2 * r + v] = load(job->D + (long)(row + r) * hidden + at, width);
                if (t) D[2 * r + v] += load(dH, width);
            } else
                D[2 * r + v] = t ? load(dH, width) : splat(0.0f);
        }
    accumulate(D, rows, 2, job->dP, job->dP_twin, first, panel, gates * hidden, bf16);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 2; v++) {
            const int at = column + v * LANES, width = least(LANES, hidden - at);
            if (t)
                local(job, t - 1, row + r, at, width, D[2 * r + v], bf16);
            else
                store(job->D + (long)(row + r) * hidden + at, D[2 * r + v], width);
        }
}

INLINE void backward_region(const Backward *job, Tile tile, Local local, int gates, const Region *region) {
    const Shape *shape = &job->shape;
    const int hidden = shape->hidden, last = shape->steps - 1, begin = region->begin, end = region->end;
    for (int row = begin; row < end; row++)
        for (int column = region->first; column < region->last; column += LANES) {
            const int width = least(LANES, hidden - column);
            const long place = (long)row * hidden + column;
            const vec D = load(job->dH + (long)last * shape->batch * hidden + place, width);
            local(job, last, row, column, width, D + load(job->dH_last + place, width), shape->bf16);
        }
    end_step(shape, job->dP, job->dP_twin, last, gates, region);
    if (shape->bf16 == BF16_TILES) begin_tiles(least(TILE_ROWS, end - begin));
    for (int t = last; t >= 0; t--) {
        step_of_region(tile, MOST_ROWS, shape, job, t, region, job->dP_twin, gates * hidden, 2, 2 * LANES);
        if (t) end_step(shape, job->dP, job->dP_twin, t - 1, gates, region);
    }
    if (shape->bf16 == BF16_TILES) end_tiles();
}

/* What autograd is given of one place: the gradients of its gates. */
INLINE void store_gradients(const Backward *job, long place, const vec *dP, int gates, int width, int bf16) {
    for (int g = 0; g < gates; g++) {
        if (job->dP) store(job->dP + place + g * job->shape.hidden, dP[g], width);
        if (is_bf16(bf16)) store_bf16((uint16_t *)job->dP_twin + place + g * job->shape.hidden, dP[g], width);
    }
}
