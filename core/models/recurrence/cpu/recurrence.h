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
