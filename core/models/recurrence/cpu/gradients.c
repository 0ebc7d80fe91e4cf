/* What is done with the gradients of all weights at once: their squares, for the norm, and a step of gradient descent.
 *
 * The tensors are cut into blocks, which threads share. Each block has a sum of squares in double precision, so that
 * the whole does not depend on the number of threads.
 */

#include "threads.h"

enum { NUMBERS = 1 << 13, SUMS = 4 };

typedef struct {
    const float *const *gradients; /* the first number of each tensor */
    const int64_t *counts;         /* of their numbers */
    float *const *weights;
    float keep, rate;
    double *sums; /* of all blocks: each tensor begins a new one */
} Gradients;

static double sum_of_squares(const float *x, int count) {
    vec sums[SUMS] = {{0}};
    for (int i = 0; i < count; i += SUMS * LANES)
        for (int s = 0; s < SUMS; s++) {
            const vec here = load(x + i + s * LANES, count - i - s * LANES);
            sums[s] += here * here;
        }
    double sum = 0.0;
    for (int s = 0; s < SUMS; s++)
        for (int lane = 0; lane < LANES; lane++) sum += (double)sums[s][lane];
    return sum;
}

static long blocks_of(int64_t count) { return (count + NUMBERS - 1) / NUMBERS; }

/* A block: where it begins in its tensor, and how many numbers it has. */
typedef struct {
    int tensor, count;
    long from;
} Block;

static Block block_at(const Gradients *job, long number) {
    Block found = {0};
    for (; number >= blocks_of(job->counts[found.tensor]); found.tensor++)
        number -= blocks_of(job->counts[found.tensor]);
    found.from = number * NUMBERS;
    const long left = job->counts[found.tensor] - found.from;
    found.count = left < NUMBERS ? (int)left : NUMBERS;
    return found;
}

static void squares_of_blocks(const void *given, int begin, int end) {
    const Gradients *job = given;
    for (int number = begin; number < end; number++) {
        const Block block = block_at(job, number);
        job->sums[number] = sum_of_squares(job->gradients[block.tensor] + block.from, block.count);
    }
}

void squares(const float *const *gradients, const int64_t *counts, double *sums, int blocks, int threads) {
    const Gradients job = {.gradients = gradients, .counts = counts, .sums = sums};
    share(squares_of_blocks, &job, blocks, blocks < 8 ? 1 : threads);
}

static void descend_blocks(const void *given, int begin, int end) {
    const Gradients *job = given;
    for (int number = begin; number < end; number++) {
        const Block block = block_at(job, number);
        const float *gradient = job->gradients[block.tensor] + block.from;
        float *weight = job->weights[block.tensor] + block.from;
        for (int i = 0; i < block.count; i += LANES) {
            const int width = block.count - i;
            store(weight + i, job->keep * load(weight + i, width) - job->rate * load(gradient + i, width), width);
        }
    }
}

/* weight = keep * weight - rate * gradient */
void descend(float *const *weights, const float *const *gradients, const int64_t *counts, float keep, float rate,
             int blocks, int threads) {
    const Gradients job = {gradients, counts, weights, keep, rate, NULL};
    share(descend_blocks, &job, blocks, blocks < 8 ? 1 : threads);
}
