/* The squares of many numbers, for the norm of a gradient: a sum for each block, in double precision, so that the whole
 * does not depend on the number of threads.
 */

#include "threads.h"

enum { NUMBERS = 1 << 13, SUMS = 4 };

typedef struct {
    const float *const *x; /* the first number of each tensor */
    const int64_t *counts; /* of their numbers */
    double *sums;          /* of all blocks: each tensor begins a new one */
} Squares;

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

static void squares_of_blocks(const void *given, int begin, int end) {
    const Squares *job = given;
    long first = 0; /* block of the tensor */
    for (int block = begin, tensor = 0; block < end; block++) {
        while (block - first >= blocks_of(job->counts[tensor])) first += blocks_of(job->counts[tensor++]);
        const long from = (block - first) * NUMBERS, left = job->counts[tensor] - from;
        job->sums[block] = sum_of_squares(job->x[tensor] + from, left < NUMBERS ? (int)left : NUMBERS);
    }
}

void squares(const float *const *x, const int64_t *counts, double *sums, int blocks, int threads) {
    const Squares job = {x, counts, sums};
    share(squares_of_blocks, &job, blocks, blocks < 8 ? 1 : threads);
}
