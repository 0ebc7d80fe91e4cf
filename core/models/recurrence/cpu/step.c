/* One token of one text, for writing: its input, the recurrence of each layer, and the scores of the next token.
 *
 * A product of a vector and a matrix reads each weight once: it is as fast as the caches, and packing would cost more
 * than it. So the weights are read where they are, several rows side by side, as a processor reads ahead. Each sum has
 * the same order on any number of threads.
 */

#include "recurrence.h"

typedef struct {
    const float *W_x, *W_h, *b, *b_hn; /* (inputs, gates * hidden), (hidden, gates * hidden), (gates * hidden,), ... */
    float *H, *C;                      /* (2, hidden): the state, and room for the next one; C for the LSTM alone */
} Layer;

typedef struct {
    int cell, relu, layers, inputs, hidden, columns;
    const float *vectors; /* (vocabulary, inputs), or NULL for one-hot inputs */
    const Layer *layer;
    const float *W, *b; /* element (i, j) of W at W[i * down + j * right], one of them 1; (columns,) */
    int64_t down, right;
    float *scores; /* (columns,) */
    float *room;   /* (4 * gates * hidden,) */
} Step;

typedef struct {
    float *y;
    const float *b, *x, *W; /* b: NULL for zeros */
    long down, right;
    int inner, columns;
} Product;

enum { SIDE_BY_SIDE = 8, STRETCH = 16, WORTH_A_THREAD = 1 << 17 /* weights */ };

INLINE vec summed(vec sum, const float *x, const float *W, long down, int rows) {
    for (int i = 0; i < rows; i++) sum += x[i] * load(W + i * down, LANES);
    return sum;
}

/* Columns begin to end - 1 by rows of W. The last vector ends with the last column, and has sums of its own. */
static void by_rows(const Product *job, int begin, int end) {
    const int inner = job->inner, last = end - LANES;
    float *y = job->y;
    vec rest = job->b ? load(job->b + last, LANES) : splat(0.0f);
    for (int column = begin; column <= last; column += LANES)
        store(y + column, job->b ? load(job->b + column, LANES) : splat(0.0f), LANES);
    for (int k = 0; k < inner;) {
        const float *x = job->x + k, *W = job->W + k * job->down;
        const int rows = inner - k >= SIDE_BY_SIDE ? SIDE_BY_SIDE : 1;
        k += rows;
        if (rows == SIDE_BY_SIDE) {
            for (int column = begin; column <= last; column += LANES)
                store(y + column, summed(load(y + column, LANES), x, W + column, job->down, SIDE_BY_SIDE), LANES);
            rest = summed(rest, x, W + last, job->down, SIDE_BY_SIDE);
        } else {
            for (int column = begin; column <= last; column += LANES)
                store(y + column, summed(load(y + column, LANES), x, W + column, 0, 1), LANES);
            rest = summed(rest, x, W + last, 0, 1);
        }
    }
    store(y + last, rest, LANES);
}

/* The same one by one: for few columns, and where the numbers of a column are neighbours. */
static void by_columns(const Product *job, int begin, int end) {
    const int inner = job->inner, whole = job->down == 1 ? inner / LANES * LANES : 0;
    for (int column = begin; column < end; column++) {
        const float *W = job->W + column * job->right;
        float sum = job->b ? job->b[column] : 0.0f;
        vec sums = splat(0.0f);
        for (int k = 0; k < whole; k += LANES) sums += load(job->x + k, LANES) * load(W + k, LANES);
        for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
        for (int k = whole; k < inner; k++) sum += job->x[k] * W[k * job->down];
        job->y[column] = sum;
    }
}

static void stretches(const void *given, int begin, int end) {
    const Product *job = given;
    const int first = begin * STRETCH, last = least(end * STRETCH, job->columns);
    (job->right == 1 && last - first >= LANES ? by_rows : by_columns)(job, first, last);
}

/* y = x W + b */
static void multiply(Product job, int threads) {
    const long most = (long)job.inner * job.columns / WORTH_A_THREAD;
    share(stretches, &job, (job.columns + STRETCH - 1) / STRETCH, most < threads ? (int)most : threads);
}

void step(const Step *job, int64_t token, int threads) {
    const int hidden = job->hidden, gates = CELLS[job->cell].gates, wide = gates * hidden;
    float *A = job->room, *products = A + wide, *of_gates = products + wide, *inner = of_gates + wide;
    const float *X = job->vectors ? job->vectors + token * job->inputs : NULL;
    for (int n = 0, inputs = job->inputs; n < job->layers; n++, inputs = hidden) {
        const Layer *layer = job->layer + n;
        if (X) multiply((Product){A, NULL, X, layer->W_x, wide, 1, inputs, wide}, threads);
        multiply((Product){products, NULL, layer->H, layer->W_h, wide, 1, hidden, wide}, threads);
        const Forward forward = {
            .shape = {1, 1, hidden, job->relu, GIVEN, products},
            .A = X ? A : layer->W_x,
            .ids = X ? NULL : &token,
            .b = layer->b,
            .gates = of_gates,
            .H = layer->H,
            .C = layer->C,
            .inner = inner,
            .b_hn = layer->b_hn,
        };
        CELLS[job->cell].forward(&forward, &(Region){0, 1, 0, hidden, NULL});
        memcpy(layer->H, layer->H + hidden, sizeof(float) * hidden);
        if (layer->C) memcpy(layer->C, layer->C + hidden, sizeof(float) * hidden);
        X = layer->H;
    }
    multiply((Product){job->scores, job->b, X, job->W, job->down, job->right, hidden, job->columns}, threads);
}
