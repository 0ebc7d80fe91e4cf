/* The transpose of a matrix: Y (columns, rows) from X (rows, columns).
 *
 * Read along a column, rows whose length is a power of two evict one another from the cache. Small squares do not: each
 * is read by rows, transposed in the nearest cache, and written by rows.
 */

#include "threads.h"

enum { SIDE = 32 };

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

typedef uint16_t eight __attribute__((vector_size(16)));

#if defined(__clang__)
#define ZIPPED(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define ZIPPED(a, b, ...) __builtin_shuffle(a, b, (eight){__VA_ARGS__})
#endif

/* A whole square of numbers of 2 bytes, eight by eight in registers: zipping each of the first four of eight rows with
 * the one four further, three times, transposes them. For numbers of 4 bytes the plain way is no slower.
 */
INLINE void turn_square(uint16_t *y, const uint16_t *x, long rows, long columns) {
    uint16_t square[SIDE][SIDE];
    eight a[8], b[8];
    for (int row = 0; row < SIDE; row += 8)
        for (int column = 0; column < SIDE; column += 8) {
            for (int r = 0; r < 8; r++) memcpy(&a[r], x + (row + r) * columns + column, sizeof *a);
            for (int times = 0; times < 3; times++, memcpy(a, b, sizeof a))
                for (int r = 0; r < 4; r++) {
                    b[2 * r] = ZIPPED(a[r], a[r + 4], 0, 8, 1, 9, 2, 10, 3, 11);
                    b[2 * r + 1] = ZIPPED(a[r], a[r + 4], 4, 12, 5, 13, 6, 14, 7, 15);
                }
            for (int r = 0; r < 8; r++) memcpy(&square[column + r][row], &a[r], sizeof *a);
        }
    for (int c = 0; c < SIDE; c++) memcpy(y + c * rows, square[c], sizeof square[c]);
}

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
