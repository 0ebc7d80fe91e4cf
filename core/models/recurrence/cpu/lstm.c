/* LSTM: [O_t I_t F_t C~_t] = activation(A_t + H_{t-1} W), C_t = F_t * C_{t-1} + I_t * C~_t, H_t = O_t * tanh(C_t).
 *
 * A panel of the forward pass is one vector of hidden units with its four gates, so a tile has all that a step needs.
 */

#include "recurrence.h"

enum { O_GATE, I_GATE, F_GATE, C_GATE, GATES };

#define ROWS (LANES == 16 ? 6 : 2) /* of a tile with four vectors a row: sums in 24 of 32 or 8 of 16 registers */

INLINE void forward_tile(const void *given, int t, int row, int rows, int column, const void *panel, int bf16) {
    const Forward *job = given;
    const int batch = job->shape.batch, hidden = job->shape.hidden, width = least(LANES, hidden - column);
    const long first = (long)t * batch + row;
    vec Z[ROWS * GATES];
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < GATES; g++)
            Z[r * GATES + g] = input_at(job, first + r, GATES * hidden, column + g * hidden, width);
    accumulate(Z, rows, GATES, job->H, job->H_twin, first, panel, hidden, bf16);
    for (int r = 0; r < rows; r++) {
        float *gates = job->gates + (first + r) * GATES * hidden + column;
        const long here = (first + r) * hidden + column, next = here + (long)batch * hidden;
        const vec O = sigmoid_of(Z[r * GATES + O_GATE]), I = sigmoid_of(Z[r * GATES + I_GATE]);
        const vec F = sigmoid_of(Z[r * GATES + F_GATE]), C_tilda = tanh_of(Z[r * GATES + C_GATE]);
        const vec C = F * load(job->C + here, width) + I * C_tilda;
        const vec tanh_C = tanh_of(C), H = O * tanh_C;
        store(gates + O_GATE * hidden, O, width);
        store(gates + I_GATE * hidden, I, width);
        store(gates + F_GATE * hidden, F, width);
        store(gates + C_GATE * hidden, C_tilda, width);
        store(job->C + next, C, width);
        store(job->inner + here, tanh_C, width);
        store(job->H + next, H, width);
        if (is_bf16(bf16)) store_bf16((uint16_t *)job->H_twin + next, H, width);
    }
}

void lstm_forward(const void *job, const Region *region) {
    forward_region(job, forward_tile, ROWS, GATES, LANES, region);
}

/* The tile that gives D_{t-1} = dH_{t-1} + dA_t W^T gives dA_{t-1} and E_{t-2} as well. */
INLINE void local(const Backward *job, int t, int row, int column, int width, vec D, int bf16) {
    const int hidden = job->shape.hidden;
    const long index = (long)t * job->shape.batch + row, here = index * hidden + column;
    const long wide = index * GATES * hidden + column;
    const vec O = load(job->gates + wide + O_GATE * hidden, width);
    const vec I = load(job->gates + wide + I_GATE * hidden, width);
    const vec F = load(job->gates + wide + F_GATE * hidden, width);
    const vec C_tilda = load(job->gates + wide + C_GATE * hidden, width);
    const vec tanh_C = load(job->inner + here, width), C_before = load(job->C + here, width);
    float *memory = job->E + (long)row * hidden + column;
    const vec E = load(memory, width) + D * (O * (1.0f - tanh_C * tanh_C));
    store(memory, E * F, width);
    const vec dA[GATES] = {
        [O_GATE] = D * (tanh_C * (O * (1.0f - O))),
        [I_GATE] = E * (C_tilda * (I * (1.0f - I))),
        [F_GATE] = E * (C_before * (F * (1.0f - F))),
        [C_GATE] = E * (I * (1.0f - C_tilda * C_tilda)),
    };
    store_gradients(job, wide, dA, GATES, width, bf16);
}

INLINE void back_tile(const void *job, int t, int row, int rows, int column, const void *panel, int bf16) {
    backward_tile(job, local, GATES, 0, t, row, rows, column, panel, bf16);
}

void lstm_backward(const void *job, const Region *region) { backward_region(job, back_tile, local, GATES, region); }
