/* Softmax, its cross-entropy against the targets, and the gradient of the logits, in one pass over each row.
 *
 *   P = softmax(logits),   surprise_r = -log P[r, target_r],   dlogits = weight_r * (P - one_hot(target))
 *
 * A row of a few thousand logits stays in the nearest cache between its three passes (maximum, sum of exponentials,
 * gradient), where one call after the other would send all rows through memory each time.
 */

#include <math.h>

#include "threads.h"

typedef struct {
    float *logits;      /* (rows, columns); dlogits take their place, unless they go to logits16 */
    uint16_t *logits16; /* dlogits in bfloat16, or NULL */
    const int64_t *targets;
    const float *weights; /* (rows,) or NULL for ones */
    float *surprises;     /* (rows,), in nats */
    int columns, differentiate;
} Loss;

INLINE float sum_of(vec x) {
    float sum = 0.0f;
    for (int i = 0; i < LANES; i++) sum += x[i];
    return sum;
}

static void loss_rows(const void *given, int begin, int end) {
    const Loss *job = given;
    const int columns = job->columns;
    for (int row = begin; row < end; row++) {
        float *x = job->logits + (long)row * columns;
        vec most = splat(x[0]);
        int i = 0;
        for (; i + LANES <= columns; i += LANES) {
            const vec here = load(x + i, LANES);
            most = either(here > most, here, most);
        }
        float greatest = most[0];
        for (int lane = 1; lane < LANES; lane++) greatest = most[lane] > greatest ? most[lane] : greatest;
        for (; i < columns; i++) greatest = x[i] > greatest ? x[i] : greatest;

        const int64_t target = job->targets[row];
        const float scored = x[target] - greatest;
        vec sums = splat(0.0f);
        for (i = 0; i + LANES <= columns; i += LANES) {
            const vec e = exp_of(load(x + i, LANES) - greatest);
            store(x + i, e, LANES);
            sums += e;
        }
        float sum = sum_of(sums);
        for (; i < columns; i++) sum += x[i] = exp_of(splat(x[i] - greatest))[0];
        job->surprises[row] = logf(sum) - scored;
        if (!job->differentiate) continue;

        const float weight = job->weights ? job->weights[row] : 1.0f, scale = weight / sum;
        x[target] -= sum;
        for (i = 0; i < columns; i += LANES) {
            const int width = least(LANES, columns - i);
            const vec d = load(x + i, width) * scale;
            if (job->logits16)
                store_bf16(job->logits16 + (long)row * columns + i, d, width);
            else
                store(x + i, d, width);
        }
    }
}

void cross_entropy(float *logits, uint16_t *logits16, const int64_t *targets, const float *weights, float *surprises,
                   int rows, int columns, int differentiate, int threads) {
    const Loss job = {logits, logits16, targets, weights, surprises, columns, differentiate};
    share(loss_rows, &job, rows, threads);
}
