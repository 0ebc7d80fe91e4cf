/* The transpose of a matrix: Y (columns, rows) from X (rows, columns).
 *
 * Read along a column, rows whose length is a power of two evict one another from the cache. Small squares do not: each
 * is read by rows, transposed in the nearest cache, and written by rows.
 */

#include "square.h"
#include "threads.h"

typedef struct {
    const char *x;
    char *y;
    int rows, columns, bytes; /* of a number: 4 or 2 */
} Transpose;

#define TURN(TYPE)                                                                                         \
    do {                                                                                                   \
        const TYPE *x = (const TYPE *)job->x + (long)row * job->columns + column;                          \
        TYPE *y = (TYPE *)job->y + (long)column * job->rows + row;                                         \
        TYPE square[SIDE][SIDE];                                                                           \
        for (int r = 0; r < height; r++)                                                                   \
            for (int c = 0; c < width; c++) square[c][r] = x[(long)r * job->columns + c];                  \
        for (int c = 0; c < width; c++) memcpy(y + (long)c * job->rows, square[c], sizeof(TYPE) * height); \
    } while (0)

/* The parts are strips of SIDE columns of X, rows of Y: no two threads write on the same line. */
static void transpose_strips(const void *given, int begin, int end) {
    const Transpose *job = given;
    for (int strip = begin; strip < end; strip++)
        for (int row = 0; row < job->rows; row += SIDE) {
            const int column = strip * SIDE;
            const int height = least(SIDE, job->rows - row), width = least(SIDE, job->columns - column);
            if (job->bytes == 4)
                TURN(uint32_t);
            else if (height == SIDE && width == SIDE)
                turn_square((uint16_t *)job->y + (long)column * job->rows + row,
                            (const uint16_t *)job->x + (long)row * job->columns + column, job->rows, job->columns);
            else
                TURN(uint16_t);
        }
}

void transpose(const void *x, void *y, int rows, int columns, int bytes, int threads) {
    const Transpose job = {x, y, rows, columns, bytes};
    share(transpose_strips, &job, (columns + SIDE - 1) / SIDE, threads);
}
