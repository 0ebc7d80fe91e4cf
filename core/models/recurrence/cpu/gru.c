/* GRU, gates in the order z, r, h: P_t = H_{t-1} W, N_t = P^h_t + b_hn,
 * Z_t = sigmoid(A^z_t + P^z_t), R_t = sigmoid(A^r_t + P^r_t), H~_t = tanh(A^h_t + R_t * N_t),
 * H_t = H~_t + Z_t * (H_{t-1} - H~_t).
 *
 * A panel of the forward pass is one vector of hidden units with its three gates.
 */

#include "recurrence.h"

enum { Z_GATE, R_GATE, H_GATE, GATES };

#define ROWS \
    (LANES == 16 ? MOST_ROWS : 3) /* of a tile with three vectors a row: sums in 24 of 32 or 9 of 16 registers */

INLINE void forward_tile(const void *given, int t, int row, int rows, int column, const void *panel, int bf16) {
    const Forward *job = given;
    const int batch = job->shape.batch, hidden = job->shape.hidden, width = least(LANES, hidden - column);
    const long first = (long)t * batch + row;
    const vec b_hn = load(job->b_hn + column, width);
    vec P[ROWS * GATES];
    for (int r = 0; r < rows; r++) {
        P[r * GATES + Z_GATE] = input_at(job, first + r, GATES * hidden, column, width);
        P[r * GATES + R_GATE] = input_at(job, first + r, GATES * hidden, column + hidden, width);
        P[r * GATES + H_GATE] = b_hn;
    }
    accumulate(P, rows, GATES, job->H, job->H_twin, first, panel, hidden, bf16);
    for (int r = 0; r < rows; r++) {
        float *gates = job->gates + (first + r) * GATES * hidden + column;
        const long here = (first + r) * hidden + column, next = here + (long)batch * hidden;
        const vec Z = sigmoid_of(P[r * GATES + Z_GATE]), R = sigmoid_of(P[r * GATES + R_GATE]);
        const vec N = P[r * GATES + H_GATE];
        const vec A_h = input_at(job, first + r, GATES * hidden, column + H_GATE * hidden, width);
        const vec H_tilda = tanh_of(A_h + R * N);
        const vec H = H_tilda + Z * (load(job->H + here, width) - H_tilda);
        store(gates + Z_GATE * hidden, Z, width);
        store(gates + R_GATE * hidden, R, width);
        store(gates + H_GATE * hidden, H_tilda, width);
        store(job->inner + here, N, width);
        store(job->H + next, H, width);
        if (is_bf16(bf16)) store_bf16((uint16_t *)job->H_twin + next, H, width);
    }
}

void gru_forward(const void *job, const Region *region) {
    forward_region(job, forward_tile, ROWS, GATES, LANES, region);
}

/* D_{t-1} = dH_{t-1} + D_t * Z_t + [dA^z_t dA^r_t dN_t] W^T; the tile that gives it gives dP_{t-1} as well. */
INLINE void local(const Backward *job, int t, int row, int column, int width, vec D, int bf16) {
    const int hidden = job->shape.hidden;
    const long index = (long)t * job->shape.batch + row, here = index * hidden + column;
    const long wide = index * GATES * hidden + column;
    const vec Z = load(job->gates + wide + Z_GATE * hidden, width);
    const vec R = load(job->gates + wide + R_GATE * hidden, width);
    const vec H_tilda = load(job->gates + wide + H_GATE * hidden, width);
    const vec N = load(job->inner + here, width), H_before = load(job->H + here, width);
    const vec K_h = (1.0f - Z) * (1.0f - H_tilda * H_tilda), K_n = K_h * R;
    store(job->D + (long)row * hidden + column, D * Z, width);
    store(job->dA_h + here, D * K_h, width);
    const vec dP[GATES] = {
        [Z_GATE] = D * ((H_before - H_tilda) * (Z * (1.0f - Z))),
        [R_GATE] = D * (K_n * (N * (1.0f - R))),
        [H_GATE] = D * K_n,
    };
    store_gradients(job, wide, dP, GATES, width, bf16);
}

INLINE void back_tile(const void *job, int t, int row, int rows, int column, const void *panel, int bf16) {
    backward_tile(job, local, GATES, 1, t, row, rows, column, panel, bf16);
}

void gru_backward(const void *job, const Region *region) { backward_region(job, back_tile, local, GATES, region); }
