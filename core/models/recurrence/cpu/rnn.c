/* RNN: H_t = activation(A_t + H_{t-1} W). A panel is two vectors of neighbouring hidden units. */

#include "recurrence.h"

typedef struct {
    Shape shape;
    Input input;
    float *H;
    uint16_t *H16;
} RnnForward;

INLINE void rnn_forward_tile(const RnnForward *job, int t, int row, int rows, int column, const void *panel, int bf16) {
    const int batch = job->shape.batch, hidden = job->shape.hidden;
    const long before = ((long)t * batch + row) * hidden, after = before + (long)batch * hidden;
    const int first = least(LANES, hidden - column), second = least(LANES, hidden - column - LANES);
    vec Z[MOST_ROWS * 2];
    for (int r = 0; r < rows; r++) {
        const long place = (long)t * batch + row + r;
        Z[2 * r] = input_at(&job->input, place, hidden, column, first);
        Z[2 * r + 1] = input_at(&job->input, place, hidden, column + LANES, second);
    }
    if (bf16)
        accumulate_bf16(Z, rows, 2, job->H16 + before, hidden, panel, hidden);
    else
        accumulate(Z, rows, 2, job->H + before, hidden, panel, hidden);
    for (int r = 0; r < rows; r++) {
        const long place = after + (long)r * hidden + column;
        for (int v = 0; v < 2; v++) {
            const int width = v ? second : first;
            const vec H = job->shape.relu ? positive(Z[2 * r + v]) : tanh_of(Z[2 * r + v]);
            store(job->H + place + v * LANES, H, width);
            if (bf16) store_bf16(job->H16 + place + v * LANES, H, width);
        }
    }
}

static void rnn_forward_rows(const void *given, int begin, int end) {
    const RnnForward *job = given;
    const Shape *shape = &job->shape;
    const long panel_bytes = panel_size(shape->hidden, 2, shape->bf16);
    for (int t = 0; t < shape->steps; t++)
        for (int column = 0, p = 0; column < shape->hidden; column += 2 * LANES, p++) {
            const char *panel = (const char *)shape->panels + p * panel_bytes;
            TILES(begin, end, shape->bf16, MOST_ROWS, rnn_forward_tile, job, t, column, panel);
        }
}

void rnn_forward(const float *A, const int64_t *ids, const float *b, float *H, uint16_t *H16, const float *W, void *panels, int steps, int batch, int hidden,
                 int relu, int bf16, int threads) {
    RnnForward job = {{steps, batch, hidden, relu, bf16, panels}, {A, ids, b}, H, H16};
    pack(W, hidden, 1, hidden, hidden, 2, LANES, 2 * LANES, bf16, panels, threads);
    share(rnn_forward_rows, &job, batch, threads);
}

/* dZ_t = K_t * D_t with D_t = dH_t + dZ_{t+1} W^T: the tile that gives D_{t-1} gives dZ_{t-1} as well. */

typedef struct {
    Backward backward;
    const float *H;
} RnnBackward;

INLINE void rnn_local(const Backward *job, int t, int row, int column, int width, vec D, int bf16) {
    const int batch = job->shape.batch, hidden = job->shape.hidden;
    const long place = ((long)t * batch + row) * hidden + column;
    const vec H = load(((const RnnBackward *)job)->H + place + (long)batch * hidden, width);
    const vec dZ = job->shape.relu ? where_positive(H, D) : D * (1.0f - H * H);
    if (job->dP) store(job->dP + place, dZ, width);
    if (bf16) store_bf16(job->dP16 + place, dZ, width);
}

static void rnn_backward_rows(const void *job, int begin, int end) { backward_rows(job, rnn_local, 1, 0, begin, end); }

void rnn_backward(const float *H, const float *dH, const float *dH_last, float *dZ, uint16_t *dZ16, float *D_0,
                  const float *W, void *panels, int steps, int batch, int hidden, int relu, int bf16, int threads) {
    const RnnBackward job = {{{steps, batch, hidden, relu, bf16, panels}, dH, dH_last, dZ, dZ16, D_0}, H};
    backward(&job.backward, rnn_backward_rows, W, 1, panels, threads);
}

int has_bf16(void) {
#if defined(__AVX512BF16__)
    return 1;
#else
    return 0;
#endif
}
