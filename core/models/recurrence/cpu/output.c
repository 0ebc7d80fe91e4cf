/* The output layer with its loss and all gradients, in single precision:
 *
 *   logits = H W + b,   dlogits as in loss.h,   dH = dlogits W^T,   dW = H^T dlogits,   db = sum of its rows
 *
 * A block of rows goes through all of it before the next begins, so that its logits stay in the second-level cache and
 * never are in memory for all rows (as in Wijmans et al. 2024, "Cut your losses in large-vocabulary language models").
 * Everything is cut into panels of PIECE columns with zeros behind the last: no product meets an odd width. First each
 * thread takes some rows of the block, then some parts of dW; sums do not depend on the number of threads.
 *
 * A tile of sums, TILE rows of VECS vectors, stays in registers. Three vectors a row take fewer instructions than two for
 * the same products: the layer takes 0.9 of the time where another program shares the core, the same where none does.
 */

#include "loss.h"

#if LANES == 16
enum { VECS = 3, TILE = 8 };
#else
enum { VECS = 2, TILE = 4 };
#endif
enum { PIECE = VECS * LANES };

typedef struct {
    const float *H;     /* (rows, inner) */
    const float *W, *b; /* element (i, j) of W at W[i * down + j * right]; (columns,) */
    const int64_t *targets;
    const float *weights; /* (rows,) or NULL for ones */
    float *panels;        /* W: (panels, inner, PIECE) */
    float *turned;        /* W^T: (inner panels, columns, PIECE) */
    float *block;         /* logits, then E of loss.h: (panels, size, PIECE) */
    float *scales;        /* dlogits / E of each row of the block, (size,): less work than to scale E */
    float *strips;        /* H^T of the block, scaled: (strips, size, TILE) */
    float *surprises, *dH, *dW, *db;
    long down, right;
    float scale; /* of the gradient of the loss */
    int inner, columns, size, differentiate;
    int along; /* rows of a panel of the block: one more than `size`, or pieces of a row would evict one another */
    int first, count; /* the rows of the block */
} Output;

static int panels_of(int columns) { return (columns + PIECE - 1) / PIECE; }

/* Columns of a matrix, element (k, i) at source[k * down + i * right], as (inner, PIECE). One stride is 1. */
static void pack_panel(float *to, const float *source, long down, long right, int inner, int width) {
    enum { STRIP = 16 };
    if (right == 1)
        for (int k = 0; k < inner; k++)
            for (int v = 0; v < PIECE; v += LANES)
                store(to + (long)k * PIECE + v, load(source + k * down + v, width - v), LANES);
    else
        for (int begin = 0; begin < inner; begin += STRIP) {
            const int end = least(begin + STRIP, inner);
            for (int i = 0; i < PIECE; i++)
                for (int k = begin; k < end; k++)
                    to[(long)k * PIECE + i] = i < width ? source[k * down + i * right] : 0.0f;
        }
}

static void pack_columns(const void *given, int begin, int end) {
    const Output *job = given;
    for (int p = begin; p < end; p++)
        pack_panel(job->panels + (long)p * job->inner * PIECE, job->W + (long)p * PIECE * job->right, job->down,
                   job->right, job->inner, least(PIECE, job->columns - p * PIECE));
}

/* sums (rows, vecs) += left (rows, inner) @ panel (inner, PIECE), left's element (r, k) at left[r * down + k * right] */
INLINE void accumulate(vec *sums, int rows, int vecs, const float *left, long down, long right, const float *panel,
                       int inner) {
#pragma GCC unroll 2
    for (int k = 0; k < inner; k++) {
        vec columns[VECS];
        for (int v = 0; v < vecs; v++) columns[v] = load(panel + (long)k * PIECE + v * LANES, LANES);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vecs; v++) sums[r * vecs + v] += left[r * down + k * right] * columns[v];
    }
}

typedef void (*Tile)(const Output *job, int row, int rows, int panel, int vecs);

/* Rows begin to end - 1, as many at a time as registers hold. The compiler knows `rows` and `vecs` of each call. */
INLINE void in_rows(Tile tile, const Output *job, int begin, int end, int panel, int vecs) {
    int row = begin;
    for (; end - row >= TILE; row += TILE) tile(job, row, TILE, panel, vecs);
    for (; end - row >= 2; row += 2) tile(job, row, 2, panel, vecs);
    for (; row < end; row++) tile(job, row, 1, panel, vecs);
}

/* The same for as many vectors as `width` columns from the panel's first on need. */
INLINE void in_tiles(Tile tile, const Output *job, int begin, int end, int panel, int width) {
    if (width > (VECS - 1) * LANES)
        in_rows(tile, job, begin, end, panel, VECS);
    else if (width > LANES)
        in_rows(tile, job, begin, end, panel, 2);
    else
        in_rows(tile, job, begin, end, panel, 1);
}

INLINE void logits_tile(const Output *job, int row, int rows, int p, int vecs) {
    vec sums[TILE * VECS];
    for (int i = 0; i < rows * vecs; i++) {
        const int column = p * PIECE + i % vecs * LANES;
        sums[i] = load(job->b + column, job->columns - column);
    }
    accumulate(sums, rows, vecs, job->H + (long)(job->first + row) * job->inner, job->inner, 1,
               job->panels + (long)p * job->inner * PIECE, job->inner);
    float *to = job->block + ((long)p * job->along + row) * PIECE;
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vecs; v++) store(to + r * PIECE + v * LANES, sums[r * vecs + v], LANES);
}

/* In stretches of columns: that part of a panel stays in the cache from tile to tile, and the sum of thousands of small
 * numbers, one after the other, would lose a digit.
 */
enum { STRETCH = 4 * PIECE };

static int stretches_of(int columns) { return (columns + STRETCH - 1) / STRETCH; }

static void pack_turned(const void *given, int begin, int end) {
    const Output *job = given;
    for (int part = begin; part < end; part++) {
        const int q = part / stretches_of(job->columns), column = part % stretches_of(job->columns) * STRETCH;
        pack_panel(job->turned + ((long)q * job->columns + column) * PIECE,
                   job->W + (long)q * PIECE * job->down + (long)column * job->right, job->right, job->down,
                   least(STRETCH, job->columns - column), least(PIECE, job->inner - q * PIECE));
    }
}

INLINE void dH_tile(const Output *job, int row, int rows, int part, int vecs) {
    const int q = part / stretches_of(job->columns), begin = part % stretches_of(job->columns) * STRETCH;
    const int end = least(begin + STRETCH, job->columns), width = job->inner - q * PIECE;
    const float *panel = job->turned + (long)q * job->columns * PIECE;
    float *to = job->dH + (long)(job->first + row) * job->inner + q * PIECE;
    vec sums[TILE * VECS];
    for (int i = 0; i < rows * vecs; i++) sums[i] = splat(0.0f);
    for (int column = begin; column < end; column += PIECE)
        accumulate(sums, rows, vecs, job->block + (long)column * job->along + (long)row * PIECE, PIECE, 1,
                   panel + (long)column * PIECE, least(PIECE, end - column));
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vecs; v++) {
            float *at = to + (long)r * job->inner + v * LANES;
            const vec sum = sums[r * vecs + v] * job->scales[row + r];
            store(at, begin ? load(at, width - v * LANES) + sum : sum, width - v * LANES);
        }
}

/* Rows whose logits are read again before they have left the nearest cache; and how many weights may be read for each
 * such group of rows: more are read once for all, because they come from farther away. */
enum { TOGETHER = 2 * TILE, READ_OFTEN = 300000 };

static void rows_of_block(const void *given, int begin, int end) {
    const Output *job = given;
    const int together = (long)job->inner * job->columns <= READ_OFTEN ? TOGETHER : end - begin;
    for (int first = begin; first < end; first += together) {
        const int last = least(first + together, end);
        for (int p = 0; p < panels_of(job->columns); p++)
            in_tiles(logits_tile, job, first, last, p, job->columns - p * PIECE);
        for (int row = first; row < last; row++) {
            const int place = job->first + row;
            float sum;
            job->surprises[place] = exponentials_of_row(job->block + (long)row * PIECE, PIECE, (long)job->along * PIECE,
                                                        job->columns, job->targets[place], &sum, job->differentiate);
            if (job->differentiate) job->scales[row] = job->scale * (job->weights ? job->weights[place] : 1.0f) / sum;
        }
    }
    if (!job->differentiate) return;
    for (int i = 0; i < job->inner; i += TILE) {
        float *to = job->strips + (long)i * job->size;
        const float *from = job->H + (long)job->first * job->inner + i;
        const int width = least(TILE, job->inner - i);
        for (int row = begin; row < end; row++)
            for (int j = 0; j < TILE; j++)
                to[row * TILE + j] = j < width ? from[(long)row * job->inner + j] * job->scales[row] : 0.0f;
    }
    const int stretches = stretches_of(job->columns);
    for (int part = 0; part < panels_of(job->inner) * stretches; part++)
        in_tiles(dH_tile, job, begin, end, part, job->inner - part / stretches * PIECE);
}

INLINE void dW_tile(const Output *job, int i, int rows, int p, int vecs) {
    const float *panel = job->block + (long)p * job->along * PIECE;
    float *to = job->dW + (long)i * job->columns + p * PIECE;
    const int width = job->columns - p * PIECE;
    vec sums[TILE * VECS];
    for (int j = 0; j < rows * vecs; j++) {
        const int v = j % vecs;
        sums[j] = job->first ? load(to + (long)(j / vecs) * job->columns + v * LANES, width - v * LANES) : splat(0.0f);
    }
    accumulate(sums, rows, vecs, job->strips + (long)(i / TILE * TILE) * job->size + i % TILE, 1, TILE, panel,
               job->count);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vecs; v++)
            store(to + (long)r * job->columns + v * LANES, sums[r * vecs + v], width - v * LANES);
}

static void db_panel(const Output *job, int p) {
    const float *row = job->block + (long)p * job->along * PIECE;
    const int width = job->columns - p * PIECE;
    float *to = job->db + p * PIECE;
    vec sums[VECS];
    for (int v = 0; v < VECS; v++) sums[v] = job->first ? load(to + v * LANES, width - v * LANES) : splat(0.0f);
    for (int r = 0; r < job->count; r++)
        for (int v = 0; v < VECS; v++) sums[v] += load(row + (long)r * PIECE + v * LANES, LANES) * job->scales[r];
    for (int v = 0; v < VECS; v++) store(to + v * LANES, sums[v], width - v * LANES);
}

/* Part n is a strip of TILE rows of a panel of dW. */
static void parts_of_weights(const void *given, int begin, int end) {
    const Output *job = given;
    const int strips = (job->inner + TILE - 1) / TILE;
    for (int n = begin; n < end; n++) {
        const int p = n / strips, i = n % strips * TILE;
        if (!i) db_panel(job, p);
        in_tiles(dW_tile, job, i, least(i + TILE, job->inner), p, job->columns - p * PIECE);
    }
}

void output_loss(const float *H, const float *W, const float *b, const int64_t *targets, const float *weights,
                 float *panels, float *turned, float *block, float *scales, float *strips, float *surprises, float *dH,
                 float *dW, float *db, float scale, int rows, int inner, int columns, int down, int right, int size,
                 int threads) {
    Output job = {H,  W,  b,  targets, weights, panels, turned, block,   scales, strips,     surprises,
                  dH, dW, db, down,    right,   scale,  inner,  columns, size,   dH != NULL, size + 1};
    share(pack_columns, &job, panels_of(columns), threads);
    if (job.differentiate) share(pack_turned, &job, panels_of(inner) * stretches_of(columns), threads);
    for (; job.first < rows; job.first += size) {
        job.count = least(size, rows - job.first);
        share(rows_of_block, &job, job.count, threads);
        if (job.differentiate) share(parts_of_weights, &job, panels_of(columns) * ((inner + TILE - 1) / TILE), threads);
    }
}
