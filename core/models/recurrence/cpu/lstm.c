/* LSTM: [O_t I_t F_t C~_t] = activation(A_t + H_{t-1} W), C_t = F_t * C_{t-1} + I_t * C~_t, H_t = O_t * tanh(C_t).
 *
 * A panel of the forward pass is one vector of hidden units with its four gates, so a tile has all that a step needs.
 */

#include "recurrence.h"

enum { O_GATE, I_GATE, F_GATE, C_GATE, GATES };

#define ROWS (MOST_ROWS / 2) /* of a tile with four vectors a row */

typedef struct {
    Shape shape;
    Input input;
    float *gates; /* may take the place of A */
    float *H, *C, *tanh_C;
    uint16_t *H16;
} LstmForward;

INLINE void lstm_forward_tile(const LstmForward *job, int t, int row, int rows, int column, const void *panel, int bf16) {
    const int batch = job->shape.batch, hidden = job->shape.hidden, width = least(LANES, hidden - column);
    const long first = (long)t * batch + row;
    vec Z[ROWS * GATES];
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < GATES; g++)
            Z[r * GATES + g] = input_at(&job->input, first + r, GATES * hidden, column + g * hidden, width);
    if (bf16)
        accumulate_bf16(Z, rows, GATES, job->H16 + first * hidden, hidden, panel, hidden);
    else
        accumulate(Z, rows, GATES, job->H + first * hidden, hidden, panel, hidden);
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
        store(job->tanh_C + here, tanh_C, width);
        store(job->H + next, H, width);
        if (bf16) store_bf16(job->H16 + next, H, width);
    }
}

static void lstm_forward_rows(const void *given, int begin, int end) {
    const LstmForward *job = given;
    const Shape *shape = &job->shape;
    const long panel_bytes = panel_size(shape->hidden, GATES, shape->bf16);
    for (int t = 0; t < shape->steps; t++)
        for (int column = 0, p = 0; column < shape->hidden; column += LANES, p++) {
            const char *panel = (const char *)shape->panels + p * panel_bytes;
            TILES(begin, end, shape->bf16, ROWS, lstm_forward_tile, job, t, column, panel);
        }
}

void lstm_forward(const float *A, const int64_t *ids, const float *b, float *gates, float *H, float *C, float *tanh_C, uint16_t *H16, const float *W, void *panels,
                  int steps, int batch, int hidden, int bf16, int threads) {
    LstmForward job = {{steps, batch, hidden, 0, bf16, panels}, {A, ids, b}, gates, H, C, tanh_C, H16};
    pack(W, GATES * hidden, 1, hidden, hidden, GATES, hidden, LANES, bf16, panels, threads);
    share(lstm_forward_rows, &job, batch, threads);
}

/* The tile that gives D_{t-1} = dH_{t-1} + dA_t W^T gives dA_{t-1} and E_{t-2} as well. */

typedef struct {
    Backward backward; /* dP = dA, (steps, batch, 4 * hidden) */
    const float *gates, *C, *tanh_C;
    float *E; /* (batch, hidden): dC_last before the first step, dC_0 after the last */
} LstmBackward;

INLINE void lstm_local(const Backward *back, int t, int row, int column, int width, vec D, int bf16) {
    const LstmBackward *job = (const LstmBackward *)back;
    const int hidden = back->shape.hidden;
    const long index = (long)t * back->shape.batch + row, here = index * hidden + column;
    const long wide = index * GATES * hidden + column;
    const vec O = load(job->gates + wide + O_GATE * hidden, width), I = load(job->gates + wide + I_GATE * hidden, width);
    const vec F = load(job->gates + wide + F_GATE * hidden, width);
    const vec C_tilda = load(job->gates + wide + C_GATE * hidden, width);
    const vec tanh_C = load(job->tanh_C + here, width), C_before = load(job->C + here, width);
    float *memory = job->E + (long)row * hidden + column;
    const vec E = load(memory, width) + D * (O * (1.0f - tanh_C * tanh_C));
    store(memory, E * F, width);
    const vec dA[GATES] = {
        [O_GATE] = D * (tanh_C * (O * (1.0f - O))),
        [I_GATE] = E * (C_tilda * (I * (1.0f - I))),
        [F_GATE] = E * (C_before * (F * (1.0f - F))),
        [C_GATE] = E * (I * (1.0f - C_tilda * C_tilda)),
    };
    for (int g = 0; g < GATES; g++) {
        if (back->dP) store(back->dP + wide + g * hidden, dA[g], width);
        if (bf16) store_bf16(back->dP16 + wide + g * hidden, dA[g], width);
    }
}

static void lstm_backward_rows(const void *job, int begin, int end) { backward_rows(job, lstm_local, GATES, 0, begin, end); }

void lstm_backward(const float *gates, const float *C, const float *tanh_C, const float *dH, const float *dH_last,
                   float *E, float *dA, uint16_t *dA16, float *D_0, const float *W, void *panels, int steps, int batch,
                   int hidden, int bf16, int threads) {
    const LstmBackward job = {{{steps, batch, hidden, 0, bf16, panels}, dH, dH_last, dA, dA16, D_0}, gates, C, tanh_C, E};
    backward(&job.backward, lstm_backward_rows, W, GATES, panels, threads);
}
