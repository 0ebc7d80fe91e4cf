/* RNN: H_t = activation(A_t + H_{t-1} W). A panel is two vectors of neighbouring hidden units. */

#include "recurrence.h"

INLINE void forward_tile(const void *given, int t, int row, int rows, int column, const void *panel, int bf16) {
    const Forward *job = given;
    const int hidden = job->shape.hidden;
    const long first = (long)t * job->shape.batch + row, next = first + job->shape.batch;
    vec Z[MOST_ROWS * 2];
    for (int i = 0; i < 2 * rows; i++) {
        const int at = column + i % 2 * LANES;
        Z[i] = input_at(job, first + i / 2, hidden, at, least(LANES, hidden - at));
    }
    accumulate(Z, rows, 2, job->H, job->H_twin, first, panel, hidden, bf16);
    for (int i = 0; i < 2 * rows; i++) {
        const int at = column + i % 2 * LANES, width = least(LANES, hidden - at);
        const vec H = job->shape.relu ? positive(Z[i]) : tanh_of(Z[i]);
        store(job->H + (next + i / 2) * hidden + at, H, width);
        if (is_bf16(bf16)) store_bf16((uint16_t *)job->H_twin + (next + i / 2) * hidden + at, H, width);
    }
}

void rnn_forward(const void *job, const Region *region) {
    forward_region(job, forward_tile, MOST_ROWS, 2, 2 * LANES, region);
}

/* dZ_t = K_t * D_t with D_t = dH_t + dZ_{t+1} W^T: the tile that gives D_{t-1} gives dZ_{t-1} as well. */
INLINE void local(const Backward *job, int t, int row, int column, int width, vec D, int bf16) {
    const int batch = job->shape.batch, hidden = job->shape.hidden;
    const long place = ((long)t * batch + row) * hidden + column;
    const vec H = load(job->H + place + (long)batch * hidden, width);
    const vec dZ = job->shape.relu ? where_positive(H, D) : D * (1.0f - H * H);
    store_gradients(job, place, &dZ, 1, width, bf16);
}

INLINE void back_tile(const void *job, int t, int row, int rows, int column, const void *panel, int bf16) {
    backward_tile(job, local, 1, 0, t, row, rows, column, panel, bf16);
}

void rnn_backward(const void *job, const Region *region) { backward_region(job, back_tile, local, 1, region); }
