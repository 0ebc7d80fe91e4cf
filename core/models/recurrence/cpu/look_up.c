/* The gradient of a look-up: table[ids[row]] += gradient[row] for all rows, in their order.
 *
 * Each thread takes some columns of all rows, so the sums are the same however many threads there are.
 */

#include "threads.h"

typedef struct {
    float *table, *total; /* total: the sum of all rows, or NULL */
    const int64_t *ids;
    const float *gradient;
    const uint16_t *gradient16; /* the same in bfloat16 instead, or NULL */
    int rows, columns;
} LookUp;

enum { COLUMNS_OF_A_PART = 64 };

static void add_rows_part(const void *given, int begin, int end) {
    const LookUp *job = given;
    const int first = begin * COLUMNS_OF_A_PART, last = least(end * COLUMNS_OF_A_PART, job->columns);
    for (int row = 0; row < job->rows; row++) {
        float *sum = job->table + job->ids[row] * job->columns;
        const long place = (long)row * job->columns;
        for (int i = first; i < last; i += LANES) {
            const int width = least(LANES, last - i);
            const vec gradient = job->gradient16 ? load_bf16(job->gradient16 + place + i, width)
                                                 : load(job->gradient + place + i, width);
            store(sum + i, load(sum + i, width) + gradient, width);
            if (job->total) store(job->total + i, load(job->total + i, width) + gradient, width);
        }
    }
}

void add_rows(float *table, float *total, const int64_t *ids, const float *gradient, const uint16_t *gradient16,
              int rows, int columns, int threads) {
    const LookUp job = {table, total, ids, gradient, gradient16, rows, columns};
    share(add_rows_part, &job, (columns + COLUMNS_OF_A_PART - 1) / COLUMNS_OF_A_PART, threads);
}
