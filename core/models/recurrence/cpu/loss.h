/* Softmax, its cross-entropy against the target, and the gradient of the logits, of one row:
 *
 *   P = softmax(logits),   surprise = -log P[target],   dlogits = weight * (P - one_hot(target))
 *
 * A row of a few thousand logits stays in the nearest cache between its three passes (maximum, sum of exponentials,
 * gradient), where one call after the other would send all rows through memory each time.
 */

#pragma once

#include <math.h>

#include "threads.h"

INLINE float *place_in(float *row, int piece, long stride, long column) {
    return row + column / piece * stride + column % piece;
}

/* The gradient of some logits at a column: the compiler knows `width` of each call but the last of a row. */
INLINE void give_gradient(float *x, uint16_t *narrow, int column, float scale, int width) {
    const vec d = load(x, width) * scale;
    if (narrow)
        store_bf16(narrow + column, d, width);
    else
        store(x, d, width);
}

/* Logits and all that is made of them lie in pieces of `piece` columns, whole vectors. `row` points to the first piece,
 * the next is `stride` numbers behind it. The logits become E = exp(logits - maximum); with `differentiate`,
 * E[target] -= sum, so that dlogits = weight / sum * E. Returns the surprise in nats. */
INLINE float exponentials_of_row(float *row, int piece, long stride, int columns, long target, float *sum_of_all,
                                 int differentiate) {
    const int whole = columns / LANES * LANES;
    enum { SIDE_BY_SIDE = 4 }; /* a single maximum would wait for the one before */
    vec maxima[SIDE_BY_SIDE];
    for (int n = 0; n < SIDE_BY_SIDE; n++) maxima[n] = splat(row[0]);
    float *x = row;
    for (int i = 0; i < whole; i += piece, x += stride)
        for (int v = 0; v < piece && i + v < whole; v += LANES)
            maxima[v / LANES % SIDE_BY_SIDE] = larger(load(x + v, LANES), maxima[v / LANES % SIDE_BY_SIDE]);
    const vec most = larger(larger(maxima[0], maxima[1]), larger(maxima[2], maxima[3]));
    float greatest = most[0];
    for (int lane = 1; lane < LANES; lane++) greatest = most[lane] > greatest ? most[lane] : greatest;
    for (int i = whole; i < columns; i++) {
        const float here = *place_in(row, piece, stride, i);
        greatest = here > greatest ? here : greatest;
    }

    float *scored = place_in(row, piece, stride, target);
    const float difference = *scored - greatest;
    vec sums = splat(0.0f);
    x = row;
    for (int i = 0; i < whole; i += piece, x += stride)
        for (int v = 0; v < piece && i + v < whole; v += LANES) {
            const vec e = exp_of_negative(load(x + v, LANES) - greatest);
            store(x + v, e, LANES);
            sums += e;
        }
    float sum = 0.0f;
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
    if (whole < columns) {
        x = place_in(row, piece, stride, whole);
        const vec e = exp_of(load(x, columns - whole) - greatest); /* the zeros behind may be larger */
        store(x, e, columns - whole);
        for (int lane = 0; lane < columns - whole; lane++) sum += e[lane];
    }
    *sum_of_all = sum;
    if (differentiate) *scored -= sum;
    return logf(sum) - difference;
}

/* The gradient takes the logits' place, or goes to `narrow` in bfloat16, whose columns are neighbours. */
INLINE float loss_of_row(float *row, uint16_t *narrow, int piece, long stride, int columns, long target, float weight,
                         int differentiate) {
    float sum;
    const float surprise = exponentials_of_row(row, piece, stride, columns, target, &sum, differentiate);
    if (differentiate) {
        const int whole = columns / LANES * LANES;
        const float scale = weight / sum;
        float *x = row;
        for (int i = 0; i < whole; i += piece, x += stride)
            for (int v = 0; v < piece && i + v < whole; v += LANES) give_gradient(x + v, narrow, i + v, scale, LANES);
        if (whole < columns) give_gradient(place_in(row, piece, stride, whole), narrow, whole, scale, columns - whole);
    }
    return surprise;
}
