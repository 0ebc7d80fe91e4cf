/* The loss of logits that are there already (loss.h): dlogits take their place, in bfloat16 where they are. */

#include "loss.h"

typedef struct {
    float *logits;      /* (rows, columns); or room for them, where each thread uses one row, which stays in cache */
    uint16_t *logits16; /* (rows, columns), without their bias, or NULL */
    const float *b;     /* (columns,), added in single precision: rounded, it would shift a token's score permanently */
    const int64_t *targets;
    const float *weights; /* (rows,) or NULL for ones */
    float *surprises;     /* (rows,), in nats */
    int columns, differentiate;
} Loss;

static void loss_rows(const void *given, int begin, int end) {
    const Loss *job = given;
    const int columns = job->columns;
    for (int row = begin; row < end; row++) {
        uint16_t *narrow = job->logits16 ? job->logits16 + (long)row * columns : NULL;
        float *x = job->logits + (long)(narrow ? begin : row) * columns;
        for (int i = 0; narrow && i < columns; i += LANES) {
            const int width = least(LANES, columns - i);
            store(x + i, load_bf16(narrow + i, width) + load(job->b + i, width), width);
        }
        job->surprises[row] = loss_of_row(x, narrow, LANES, LANES, columns, job->targets[row],
                                          job->weights ? job->weights[row] : 1.0f, job->differentiate);
    }
}

void cross_entropy(float *logits, uint16_t *logits16, const float *b, const int64_t *targets, const float *weights,
                   float *surprises, int rows, int columns, int differentiate, int threads) {
    const Loss job = {logits, logits16, b, targets, weights, surprises, columns, differentiate};
    share(loss_rows, &job, rows, threads);
}
