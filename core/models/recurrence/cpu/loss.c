/* The loss of logits that are there already, each row on its own (loss.h). */

#include "loss.h"

typedef struct {
    float *logits;      /* (rows, columns); dlogits take their place, unless they go to logits16 */
    uint16_t *logits16; /* dlogits in bfloat16, or NULL */
    const int64_t *targets;
    const float *weights; /* (rows,) or NULL for ones */
    float *surprises;     /* (rows,), in nats */
    int columns, differentiate;
} Loss;

static void loss_rows(const void *given, int begin, int end) {
    const Loss *job = given;
    for (int row = begin; row < end; row++) {
        const long first = (long)row * job->columns;
        job->surprises[row] =
            loss_of_row(job->logits + first, job->logits16 ? job->logits16 + first : NULL, PIECE, job->columns,
                        job->targets[row], job->weights ? job->weights[row] : 1.0f, job->differentiate);
    }
}

void cross_entropy(float *logits, uint16_t *logits16, const int64_t *targets, const float *weights, float *surprises,
                   int rows, int columns, int differentiate, int threads) {
    const Loss job = {logits, logits16, targets, weights, surprises, columns, differentiate};
    share(loss_rows, &job, rows, threads);
}
