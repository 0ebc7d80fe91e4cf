/* Writing one text token by token: the input, the recurrence of each layer, the scores of the next token, its choice.
 *
 * A product of a vector and a matrix reads each weight once: it is as fast as the caches, and packing would cost more
 * than it. So the weights are read where they are, several rows side by side, as a processor reads ahead. Each thread
 * has some units of each layer and some columns of the scores, the same ones at each token, whose weights stay in its
 * own cache. Each sum has the same order on any number of threads.
 */

#include <math.h>
#include <time.h>

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
    float *scores; /* (columns,), then -infinity up to a whole block */
    float *room;   /* (4 * gates * hidden,) */
} Step;

typedef struct {
    const Step *step;
    const int64_t *masked, *ends; /* tokens that are never chosen; tokens that end the text */
    const double *uniforms;       /* (count,), in [0, 1): one for each token that is sampled */
    int64_t *tokens;              /* (1 + count,): the last token so far, then those that are written */
    float *weights;               /* (columns,), rounded up to a whole block: the scores, then what they weigh */
    int num_masked, num_ends, count;
    float factor;    /* 1 / temperature, or 0: the most likely token, the first of several */
    double seconds;  /* until no further token is begun */
    int64_t written; /* tokens */
    int is_over, is_finite;
} Text;

typedef struct {
    float *y;
    const float *b, *x, *W; /* b: NULL for zeros */
    long down, right;
    int inner, columns;
} Product;

enum { SIDE_BY_SIDE = 8, UNITS = 2 * LANES /* whole panels of each cell */, WORTH_A_THREAD = 1 << 17 /* weights */ };

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

/* y = x W + b, columns begin to end - 1 */
static void multiply(const Product *job, int begin, int end) {
    (job->right == 1 && end - begin >= LANES ? by_rows : by_columns)(job, begin, end);
}

/* The first of a thread's numbers, out of `count`; those of thread `member + 1` begin where they end. No part is
 * narrower than a vector unless all are: its sums would have another order.
 */
static int first_of(int count, int member, int members) {
    const int units = (count + UNITS - LANES) / UNITS; /* the last one with a rest of less than a vector */
    return member == members ? count : least(count, units * member / members * UNITS);
}

/* A thread's part of one token further. */
static void advance(const Step *job, int64_t token, Meeting *meeting, int member) {
    const int hidden = job->hidden, gates = CELLS[job->cell].gates, wide = gates * hidden;
    const int begin = first_of(hidden, member, meeting->members), end = first_of(hidden, member + 1, meeting->members);
    float *A = job->room, *products = A + wide, *of_gates = products + wide, *inner = of_gates + wide;
    const float *X = job->vectors ? job->vectors + token * job->inputs : NULL;
    for (int n = 0, inputs = job->inputs; n < job->layers; n++, inputs = hidden) {
        const Layer *layer = job->layer + n;
        const Product of_X = {A, NULL, X, layer->W_x, wide, 1, inputs, wide};
        const Product of_H = {products, NULL, layer->H, layer->W_h, wide, 1, hidden, wide};
        for (int at = 0; at < wide && begin < end; at += hidden) {
            if (X) multiply(&of_X, at + begin, at + end);
            multiply(&of_H, at + begin, at + end);
        }
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
        CELLS[job->cell].forward(&forward, &(Region){0, 1, begin, end, NULL});
        wait_for_all(meeting);
        /* The others read the new state where it was made: this is for the next token. */
        memcpy(layer->H + begin, layer->H + hidden + begin, sizeof(float) * (end - begin));
        if (layer->C) memcpy(layer->C + begin, layer->C + hidden + begin, sizeof(float) * (end - begin));
        X = layer->H + hidden;
    }
    const Product scores = {job->scores, job->b, X, job->W, job->down, job->right, hidden, job->columns};
    const int first = first_of(job->columns, member, meeting->members);
    multiply(&scores, first, first_of(job->columns, member + 1, meeting->members));
    wait_for_all(meeting);
}

/* As many threads as there is work for. */
static int threads_for(const Step *job, int threads) {
    const long hidden = job->hidden, wide = CELLS[job->cell].gates * hidden;
    const long weights =
        job->layers * hidden * wide + (job->layers - !job->vectors) * hidden * wide + hidden * job->columns;
    const long most = weights / WORTH_A_THREAD;
    return most < 1 ? 1 : most < threads ? (int)most : threads;
}

typedef struct {
    const Step *step;
    int64_t token;
} Token;

static void advance_once(const void *given, Meeting *meeting, int member) {
    const Token *job = given;
    advance(job->step, job->token, meeting, member);
}

void step(const Step *job, int64_t token, int threads) {
    meet(advance_once, &(Token){job, token}, threads_for(job, threads));
}

/* ------------------------------------------------------------------------------------------------------------------
 * The choice of a token: the most likely one, or inverse transform sampling, as in core/generation/strategies.py
 */

enum { BLOCK = 64 };

INLINE float total_of(vec x) {
    float total = 0.0f;
    for (int lane = 0; lane < LANES; lane++) total += x[lane];
    return total;
}

/* The greatest of all weights; NaN if one of them is NaN or infinity. */
static float greatest_of(const float *weights, int count) {
    vec most = splat(-INFINITY), zeros = splat(0.0f); /* x - x of each number */
    for (int i = 0; i < count; i += LANES) {
        const vec x = load(weights + i, LANES);
        most = larger(x, most);
        zeros += either(x == -INFINITY, splat(0.0f), x - x);
    }
    float greatest = -INFINITY, zero = 0.0f;
    for (int lane = 0; lane < LANES; lane++) {
        greatest = most[lane] > greatest ? most[lane] : greatest;
        zero += zeros[lane];
    }
    return greatest + zero;
}

/* -1 if a score is NaN or infinity. */
static int64_t most_likely(const Text *text) {
    const float greatest = greatest_of(text->weights, text->step->columns);
    if (!isfinite(greatest)) return -1;
    int64_t token = 0;
    while (text->weights[token] != greatest) token++;
    return token;
}

static int64_t sampled(const Text *text, double uniform) {
    const int count = text->step->columns;
    float *weights = text->weights;
    const float greatest = greatest_of(weights, count);
    if (!isfinite(greatest)) return -1;
    for (int i = 0; i < count; i += LANES)
        store(weights + i, exp_of_negative((load(weights + i, LANES) - greatest) * text->factor), LANES);
    memset(weights + count, 0, sizeof(float) * (-count & (BLOCK - 1)));
    for (int i = 0; i < text->num_masked; i++) weights[text->masked[i]] = 0.0f;
    vec sums = splat(0.0f);
    for (int i = 0; i < count; i += LANES) sums += load(weights + i, LANES);
    double mass = uniform * total_of(sums);
    for (int block = 0; block < count; block += BLOCK) {
        vec of_block = splat(0.0f);
        for (int i = 0; i < BLOCK; i += LANES) of_block += load(weights + block + i, LANES);
        const float weight = total_of(of_block);
        if (mass >= weight)
            mass -= weight;
        else
            for (int i = block; i < block + BLOCK; i++)
                if ((mass -= weights[i]) < 0.0) return i;
    }
    int64_t token = count - 1; /* rounding has left none: the last one that can be sampled */
    while (token > 0 && weights[token] == 0.0f) token--;
    return token;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int is_one_of(int64_t token, const int64_t *tokens, int count) {
    for (int i = 0; i < count; i++)
        if (tokens[i] == token) return 1;
    return 0;
}

/* Choose a token by the scores, and whether it is the last one. */
static void choose(Text *text, double until) {
    const Step *step = text->step;
    memcpy(text->weights, step->scores, sizeof(float) * (step->columns + (-step->columns & (BLOCK - 1))));
    for (int i = 0; i < text->num_masked; i++) text->weights[text->masked[i]] = -INFINITY;
    const int64_t token = text->factor > 0 ? sampled(text, text->uniforms[text->written]) : most_likely(text);
    text->is_finite = token >= 0;
    if (text->is_finite) text->tokens[++text->written] = token;
    text->is_over = !text->is_finite || text->written == text->count || is_one_of(token, text->ends, text->num_ends) ||
                    now() >= until;
}

static void continue_together(const void *given, Meeting *meeting, int member) {
    Text *text = *(Text *const *)given;
    const double until = member ? 0.0 : now() + text->seconds;
    do {
        advance(text->step, text->tokens[text->written], meeting, member);
        if (!member) choose(text, until);
        wait_for_all(meeting);
    } while (!text->is_over);
}

/* Write up to `count` tokens, at least one unless the scores are not finite. */
void continue_text(Text *text, int threads) {
    text->written = text->is_over = 0;
    meet(continue_together, &text, threads_for(text->step, threads));
}
