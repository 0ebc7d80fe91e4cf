/* The output layer of output.c by the matrix unit: factors in bfloat16, logits and all sums in single precision.
 *
 * Threads meet between packing, rows and weights. A thread takes some rows at a time through logits, loss and dH, so that
 * their logits stay in its second-level cache; of a block of rows only dlogits and H^T are kept, for dW. All that is
 * multiplied has zeros behind it, up to whole tiles.
 */

#include "loss.h"
#include "matrix_unit.h"
#include "square.h"

enum {
    PIECE = 2 * LANES, /* columns of a panel: those of two tiles */
    ROWS = 2 * TILE_ROWS,
    MOST = 4 * ROWS,  /* rows that a thread takes at a time: they share what is loaded of the weights */
    ALONG = MOST + 1, /* rows of a panel of logits: the last is b; without it pieces of a row evict one another */
    NEIGHBOURS = 4    /* panels of dW that share what is loaded of H */
};

typedef struct {
    const float *H;     /* (rows, inner) */
    const float *W, *b; /* element (i, j) of W at W[i * down + j * right]; (columns,) */
    const int64_t *targets;
    const float *weights; /* (rows,) or NULL for ones */
    uint16_t *panels;     /* W, pairs of rows side by side: (panels, wide / 2, PIECE, 2) */
    uint16_t *turned;     /* W^T: (inner panels, padded / 2, PIECE, 2) */
    uint16_t *pairs;      /* dlogits of the block: (panels, size / 2, PIECE, 2) */
    uint16_t *strips;     /* H^T of the block: (wide, size) */
    float *logits;        /* of each thread: (panels, ALONG, PIECE) */
    uint16_t *left;       /* of each thread: (MOST, wide + padded), H and dlogits */
    float *surprises, *dH, *dW, *db;
    long down, right;
    float scale; /* of the gradient of the loss */
    int rows, inner, wide, columns, padded, size, differentiate;
} Output;

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__linux__)

/* Columns of a matrix, element (k, i) at source[k * down + i * right], as pairs: (length / 2, PIECE, 2).
 * One of the strides is 1.
 */
static void pack_pairs(uint16_t *to, const float *source, long down, long right, int inner, int length, int width) {
    uint32_t *pairs = (uint32_t *)to;
    if (right != 1) {
        uint16_t narrow[LANES][2 * LANES];
        for (int k = 0; k < length; k += 2 * LANES, pairs += LANES * PIECE)
            for (int half = 0; half < PIECE; half += LANES) {
                for (int i = half; i < half + LANES; i++)
                    for (int v = 0; v < 2 * LANES; v += LANES)
                        store_bf16(narrow[i - half] + v,
                                   load(source + i * right + k + v, i < width ? inner - k - v : 0), LANES);
                turn_pairs(pairs + half, narrow[0], PIECE);
            }
        return;
    }
    const int whole = inner / 2 * 2;
    memset(to, 0, sizeof *to * length * PIECE);
    for (int k = 0; k < whole; k += 2)
        for (int i = 0; i < width; i++) pairs[k / 2 * PIECE + i] = pair(source + k * down + i, down);
    for (int i = 0; i < width && whole < inner; i++)
        pairs[whole / 2 * PIECE + i] = rounded(source[whole * down + i]) >> 16;
}

static void pack(const Output *job, int member, int members) {
    const int panels = job->padded / PIECE, turned = job->differentiate ? job->wide / PIECE : 0;
    for (int n = panels * member / members; n < panels * (member + 1) / members; n++)
        pack_pairs(job->panels + (long)n * PIECE * job->wide, job->W + n * PIECE * job->right, job->down, job->right,
                   job->inner, job->wide, least(PIECE, job->columns - n * PIECE));
    for (int n = turned * member / members; n < turned * (member + 1) / members; n++)
        pack_pairs(job->turned + (long)n * PIECE * job->padded, job->W + n * PIECE * job->down, job->right, job->down,
                   job->columns, job->padded, least(PIECE, job->inner - n * PIECE));
}

/* The left factor of some rows, and its transpose among the strips. */
static void take_rows(const Output *job, uint16_t *left, int place, int count, int row) {
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < job->wide; i += LANES) {
            const float *H = job->H + (long)(place + r) * job->inner + i;
            store_bf16(left + (long)r * job->wide + i, load(H, r < count ? job->inner - i : 0), LANES);
        }
    for (int i = 0; i < job->wide && job->differentiate; i += SIDE)
        turn_square(job->strips + (long)i * job->size + row, left + i, job->size, job->wide);
}

static void losses(const Output *job, float *logits, uint16_t *narrow, int place, int count) {
    const long stride = (long)ALONG * PIECE;
    for (int r = 0; r < count; r++, place++) {
        float *row = logits + r * PIECE;
        const float weight = job->scale * (job->weights ? job->weights[place] : 1.0f);
        job->surprises[place] = loss_of_row(row, narrow + (long)r * job->padded, PIECE, stride, job->columns,
                                            job->targets[place], weight, job->differentiate);
        memset(narrow + (long)r * job->padded + job->columns, 0, sizeof *narrow * (job->padded - job->columns));
    }
    for (int r = count; r % ROWS; r++) memset(narrow + (long)r * job->padded, 0, sizeof *narrow * job->padded);
}

/* sums (ROWS, PIECE) = X @ panel, plus b where it is not NULL; the rows of X begin `along` numbers apart. */
INLINE void square_of(float *sums, const uint16_t *X, long along, const uint16_t *panel, int inner, const float *b) {
    multiply_two(sums, sums + TILE_ROWS * PIECE, X, X + TILE_ROWS * along, along, panel, inner, 2, b);
}

static void take_gradients(const Output *job, const uint16_t *narrow, int place, int count, int row) {
    float sums[ROWS * PIECE];
    for (int q = 0; q < job->wide; q += PIECE)
        for (int from = 0; from < count; from += ROWS) {
            square_of(sums, narrow + (long)from * job->padded, job->padded, job->turned + (long)q * job->padded,
                      job->padded, NULL);
            for (int r = 0; r < least(ROWS, count - from); r++)
                for (int v = 0; v < PIECE; v += LANES)
                    store(job->dH + (long)(place + from + r) * job->inner + q + v, load(sums + r * PIECE + v, LANES),
                          job->inner - q - v);
        }
    for (int p = 0; p < job->padded; p += PIECE)
        for (int r = 0; r < count; r += 2) { /* a last odd row has zeros behind it */
            uint32_t *to = (uint32_t *)(job->pairs + (long)p * job->size + (long)(row + r) * PIECE);
            const uint16_t *one = narrow + (long)r * job->padded + p, *two = one + job->padded;
            for (int i = 0; i < PIECE; i++) to[i] = one[i] | (uint32_t)two[i] << 16;
        }
    for (int p = 0; p < job->padded && count % ROWS; p += PIECE) {
        const int begin = (count + 1) / 2 * 2, end = (count + ROWS - 1) / ROWS * ROWS;
        memset(job->pairs + (long)p * job->size + (long)(row + begin) * PIECE, 0, 2L * PIECE * (end - begin));
    }
}

/* Of the `count` rows that a block has from `first` on, those of one thread. */
static void rows_of_block(const Output *job, int first, int count, int member, int members) {
    const int squares = (count + ROWS - 1) / ROWS, last = least(squares * (member + 1) / members * ROWS, count);
    uint16_t *left = job->left + (long)member * MOST * (job->wide + job->padded);
    uint16_t *narrow = left + (long)MOST * job->wide;
    float *logits = job->logits + (long)member * ALONG * job->padded;
    for (int i = 0; i < job->padded; i += LANES)
        store(place_in(logits + MOST * PIECE, PIECE, (long)ALONG * PIECE, i), load(job->b + i, job->columns - i),
              LANES);
    for (int row = squares * member / members * ROWS; row < last; row += MOST) {
        const int place = first + row, here = least(MOST, last - row);
        for (int r = 0; r < here; r += ROWS)
            take_rows(job, left + (long)r * job->wide, place + r, least(ROWS, here - r), row + r);
        for (int p = 0; p < job->padded; p += PIECE) {
            float *panel = logits + (long)p * ALONG;
            for (int r = 0; r < here; r += ROWS)
                square_of(panel + (long)r * PIECE, left + (long)r * job->wide, job->wide,
                          job->panels + (long)p * job->wide, job->wide, panel + MOST * PIECE);
        }
        losses(job, logits, narrow, place, here);
        if (job->differentiate) take_gradients(job, narrow, place, here, row);
    }
}

static void db_panel(const Output *job, int p, int first, int count) {
    const uint32_t *pairs = (const uint32_t *)(job->pairs + (long)p * job->size);
    for (int v = 0; v < PIECE; v += LANES) {
        const int width = job->columns - p - v;
        vec sum = first ? load(job->db + p + v, width) : splat(0.0f);
        for (int r = 0; r < count; r += 2) {
            mask two;
            memcpy(&two, pairs + (long)r / 2 * PIECE + v, sizeof two);
            sum += (vec)(two << 16) + (vec)(two & (mask)((mask){0} - 65536));
        }
        store(job->db + p + v, sum, width);
    }
}

static void dW_square(const Output *job, int i, int p, int first, int length) {
    float sums[ROWS * PIECE];
    square_of(sums, job->strips + (long)i * job->size, job->size, job->pairs + (long)p * job->size, length, NULL);
    for (int r = 0; r < least(ROWS, job->inner - i); r++)
        for (int v = 0; v < PIECE; v += LANES) {
            float *to = job->dW + (long)(i + r) * job->columns + p + v;
            const int width = job->columns - p - v;
            const vec sum = load(sums + r * PIECE + v, LANES);
            store(to, first ? load(to, width) + sum : sum, width);
        }
}

/* A thread's squares of dW. */
static void weights_of_block(const Output *job, int first, int count, int member, int members) {
    const int step = NEIGHBOURS * PIECE, down = job->wide / ROWS, all = (job->padded + step - 1) / step * down;
    const int length = (count + ROWS - 1) / ROWS * ROWS;
    for (int n = all * member / members; n < all * (member + 1) / members; n++) {
        const int i = n % down * ROWS, begin = n / down * step;
        for (int p = begin; p < least(begin + step, job->padded); p += PIECE) {
            if (!i) db_panel(job, p, first, count);
            dW_square(job, i, p, first, length);
        }
    }
}

static void output_layer(const void *given, Meeting *meeting, int member) {
    const Output *job = given;
    const int members = meeting->members;
    begin_tiles(TILE_ROWS);
    pack(job, member, members);
    wait_for_all(meeting);
    for (int first = 0; first < job->rows; first += job->size) {
        const int count = least(job->size, job->rows - first);
        rows_of_block(job, first, count, member, members);
        wait_for_all(meeting);
        if (!job->differentiate) continue;
        weights_of_block(job, first, count, member, members);
        wait_for_all(meeting);
    }
    end_tiles();
}
#else
static void output_layer(const void *given, Meeting *meeting, int member) {}
#endif

void output_loss_bf16(const float *H, const float *W, const float *b, const int64_t *targets, const float *weights,
                      uint16_t *panels, uint16_t *turned, uint16_t *pairs, uint16_t *strips, float *logits,
                      uint16_t *left, float *surprises, float *dH, float *dW, float *db, float scale, int rows,
                      int inner, int wide, int columns, int padded, int down, int right, int size, int threads) {
    const Output job = {H,  W,  b,    targets, weights, panels, turned, pairs, strips,  logits, left, surprises, dH,
                        dW, db, down, right,   scale,   rows,   inner,  wide,  columns, padded, size, dH != NULL};
    meet(output_layer, &job, threads);
}
