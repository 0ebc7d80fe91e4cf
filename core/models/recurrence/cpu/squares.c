/* The squares of many numbers, for the norm of a gradient: a sum for each block, in double precision, so that the whole
 * does not depend on the number of threads.
 */

#include "threads.h"

enum { NUMBERS = 1 << 13, SUMS = 4 };

typedef struct {
    const float *x;
    double *sums; /* (blocks,) */
    long count;
} Squares;

static void squares_of_blocks(const void *given, int begin, int end) {
    const Squares *job = given;
    for (int block = begin; block < end; block++) {
        const float *x = job->x + (long)block * NUMBERS;
        const int count = job->count - (long)block * NUMBERS < NUMBERS ? (int)(job->count % NUMBERS) : NUMBERS;
        vec sums[SUMS] = {{0}};
        for (int i = 0; i < count; i += SUMS * LANES)
            for (int s = 0; s < SUMS; s++) {
                const vec here = load(x + i + s * LANES, count - i - s * LANES);
                sums[s] += here * here;
            }
        double sum = 0.0;
        for (int s = 0; s < SUMS; s++)
            for (int lane = 0; lane < LANES; lane++) sum += (double)sums[s][lane];
        job->sums[block] = sum;
    }
}

void squares(const float *x, double *sums, int64_t count, int threads) {
    const Squares job = {x, sums, count};
    const int blocks = (int)((count + NUMBERS - 1) / NUMBERS);
    share(squares_of_blocks, &job, blocks, blocks < 8 ? 1 : threads);
}
