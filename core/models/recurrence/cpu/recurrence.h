/* The recurrences of eager.py on a CPU: all steps of a batch in one call.
 *
 * The rows of a batch do not see one another, so each thread takes some rows through all steps and never waits for the
 * others. The recurrent matrix is packed into panels that the cache holds; a tile of a few rows times one panel stays
 * in registers from the product to the gates, so no intermediate ever goes to memory. The mathematics, and the names,
 * are those of eager.py, which is the plain twin of everything here.
 *
 * Shapes, all row-major and contiguous, in single precision where nothing else is said:
 *   A (steps, batch, gates * hidden), or a table (vocabulary, gates * hidden) of which ids (steps, batch) pick the rows:
 *   the input part then never stands in memory for all steps   H, C (steps + 1, batch, hidden)   W (hidden, gates * hidden)
 * The twins in bfloat16 (H16, dA16, of the same shapes) are the left factors of the products where bf16 is asked for;
 * else they are not touched. Every function returns when all its rows are done.
 */

#pragma once

#include "products.h"

typedef struct {
    int steps, batch, hidden, relu, bf16;
    const void *panels; /* the packed recurrent matrix; transposed in the backward pass */
} Shape;

typedef struct {
    const float *rows;  /* A, or the table */
    const int64_t *ids; /* which of its rows each place takes, or NULL where that is the place's own */
    const float *b;     /* (gates * hidden,), added to each of the table's rows, or NULL */
} Input;

/* The input part of a place, from a column on. */
INLINE vec input_at(const Input *input, long place, int columns, int column, int width) {
    const float *row = input->rows + (input->ids ? (long)input->ids[place] : place) * columns;
    const vec A = load(row + column, width);
    return input->b ? A + load(input->b + column, width) : A;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The backward pass of every cell: D_{t-1} = dH_{t-1} + dP_t W^T, plus D_t * Z_t for the GRU, which `carries` it. The
 * tile that computes D_{t-1} calls `local`, which computes all that is local to step t-1 from it, dP_{t-1} included.
 */

typedef struct {
    Shape shape;
    const float *dH, *dH_last;
    float *dP; /* (steps, batch, gates * hidden): the gradient of H_{t-1} W; NULL where its twin is enough */
    uint16_t *dP16;
    float *D; /* (batch, hidden): what is carried between the steps, D_0 at the end */
} Backward;

typedef void (*Local)(const Backward *job, int t, int row, int column, int width, vec D, int bf16);

INLINE void backward_tile(const Backward *job, Local local, int gates, int carries, int t, int row, int rows,
                          int column, const void *panel, int bf16) {
    const int batch = job->shape.batch, hidden = job->shape.hidden, inner = gates * hidden;
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
    if (bf16)
        accumulate_bf16(D, rows, 2, job->dP16 + first * inner, inner, panel, inner);
    else
        accumulate(D, rows, 2, job->dP + first * inner, inner, panel, inner);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 2; v++) {
            const int at = column + v * LANES, width = least(LANES, hidden - at);
            if (t)
                local(job, t - 1, row + r, at, width, D[2 * r + v], bf16);
            else
                store(job->D + (long)(row + r) * hidden + at, D[2 * r + v], width);
        }
}

#define BACKWARD_TILE(job, t, row, rows, column, panel, bf16) \
    backward_tile(job, local, gates, carries, t, row, rows, column, panel, bf16)

INLINE void backward_rows(const Backward *job, Local local, int gates, int carries, int begin, int end) {
    const Shape *shape = &job->shape;
    const int hidden = shape->hidden, last = shape->steps - 1;
    const long panel_bytes = panel_size(gates * hidden, 2, shape->bf16);
    for (int row = begin; row < end; row++)
        for (int column = 0; column < hidden; column += LANES) {
            const int width = least(LANES, hidden - column);
            const long place = (long)row * hidden + column;
            const vec D = load(job->dH + (long)last * shape->batch * hidden + place, width);
            local(job, last, row, column, width, D + load(job->dH_last + place, width), shape->bf16);
        }
    for (int t = last; t >= 0; t--)
        for (int column = 0, p = 0; column < hidden; column += 2 * LANES, p++) {
            const char *panel = (const char *)shape->panels + p * panel_bytes;
            TILES(begin, end, shape->bf16, MOST_ROWS, BACKWARD_TILE, job, t, column, panel);
        }
}

/* Pack W transposed, and take every row through all steps. */
INLINE void backward(const Backward *job, Work rows, const float *W, int gates, void *panels, int threads) {
    const int hidden = job->shape.hidden;
    pack(W, 1, gates * hidden, gates * hidden, hidden, 2, LANES, 2 * LANES, job->shape.bf16, panels, threads);
    share(rows, job, job->shape.batch, threads);
}
