/* GRU, gates in the order z, r, h: P_t = H_{t-1} W, N_t = P^h_t + b_hn,
 * Z_t = sigmoid(A^z_t + P^z_t), R_t = sigmoid(A^r_t + P^r_t), H~_t = tanh(A^h_t + R_t * N_t),
 * H_t = H~_t + Z_t * (H_{t-1} - H~_t).
 *
 * A panel of the forward pass is one vector of hidden units with its three gates.
 */

#include "recurrence.h"

enum { Z_GATE, R_GATE, H_GATE, GATES };

#define ROWS (MOST_ROWS * 3 / 4) /* of a tile with three vectors a row */

typedef struct {
    Shape shape;
    Input input;
    float *gates; /* may take the place of A */
    float *H, *N;
    uint16_t *H16;
    const float *b_hn;
} GruForward;

INLINE void gru_forward_tile(const GruForward *job, int t, int row, int rows, int column, const void *panel, int bf16) {
    const int batch = job->shape.batch, hidden = job->shape.hidden, width = least(LANES, hidden - column);
    const long first = (long)t * batch + row;
    const vec b_hn = load(job->b_hn + column, width);
    vec P[ROWS * GATES];
    for (int r = 0; r < rows; r++) {
        P[r * GATES + Z_GATE] = input_at(&job->input, first + r, GATES * hidden, column, width);
        P[r * GATES + R_GATE] = input_at(&job->input, first + r, GATES * hidden, column + hidden, width);
        P[r * GATES + H_GATE] = b_hn;
    }
    if (bf16)
        accumulate_bf16(P, rows, GATES, job->H16 + first * hidden, hidden, panel, hidden);
    else
        accumulate(P, rows, GATES, job->H + first * hidden, hidden, panel, hidden);
    for (int r = 0; r < rows; r++) {
        float *gates = job->gates + (first + r) * GATES * hidden + column;
        const long here = (first + r) * hidden + column, next = here + (long)batch * hidden;
        const vec Z = sigmoid_of(P[r * GATES + Z_GATE]), R = sigmoid_of(P[r * GATES + R_GATE]), N = P[r * GATES + H_GATE];
        const vec A_h = input_at(&job->input, first + r, GATES * hidden, column + H_GATE * hidden, width);
        const vec H_tilda = tanh_of(A_h + R * N);
        const vec H = H_tilda + Z * (load(job->H + here, width) - H_tilda);
        store(gates + Z_GATE * hidden, Z, width);
        store(gates + R_GATE * hidden, R, width);
        store(gates + H_GATE * hidden, H_tilda, width);
        store(job->N + here, N, width);
        store(job->H + next, H, width);
        if (bf16) store_bf16(job->H16 + next, H, width);
    }
}

static void gru_forward_rows(const void *given, int begin, int end) {
    const GruForward *job = given;
    const Shape *shape = &job->shape;
    const long panel_bytes = panel_size(shape->hidden, GATES, shape->bf16);
    for (int t = 0; t < shape->steps; t++)
        for (int column = 0, p = 0; column < shape->hidden; column += LANES, p++) {
            const char *panel = (const char *)shape->panels + p * panel_bytes;
            TILES(begin, end, shape->bf16, ROWS, gru_forward_tile, job, t, column, panel);
        }
}

void gru_forward(const float *A, const int64_t *ids, const float *b, float *gates, float *H, float *N, uint16_t *H16, const float *b_hn, const float *W, void *panels,
                 int steps, int batch, int hidden, int bf16, int threads) {
    GruForward job = {{steps, batch, hidden, 0, bf16, panels}, {A, ids, b}, gates, H, N, H16, b_hn};
    pack(W, GATES * hidden, 1, hidden, hidden, GATES, hidden, LANES, bf16, panels, threads);
    share(gru_forward_rows, &job, batch, threads);
}

/* D_{t-1} = dH_{t-1} + D_t * Z_t + [dA^z_t dA^r_t dN_t] W^T; the tile that gives it gives dP_{t-1} as well. */

typedef struct {
    Backward backward; /* dP = [dA^z dA^r dN], (steps, batch, 3 * hidden); D: D_t * Z_t between the steps */
    const float *gates, *H, *N;
    float *dA_h; /* (steps, batch, hidden) */
} GruBackward;

INLINE void gru_local(const Backward *back, int t, int row, int column, int width, vec D, int bf16) {
    const GruBackward *job = (const GruBackward *)back;
    const int hidden = back->shape.hidden;
    const long index = (long)t * back->shape.batch + row, here = index * hidden + column;
    const long wide = index * GATES * hidden + column;
    const vec Z = load(job->gates + wide + Z_GATE * hidden, width), R = load(job->gates + wide + R_GATE * hidden, width);
    const vec H_tilda = load(job->gates + wide + H_GATE * hidden, width);
    const vec N = load(job->N + here, width), H_before = load(job->H + here, width);
    const vec K_h = (1.0f - Z) * (1.0f - H_tilda * H_tilda), K_n = K_h * R;
    store(back->D + (long)row * hidden + column, D * Z, width);
    store(job->dA_h + here, D * K_h, width);
    const vec dP[GATES] = {
        [Z_GATE] = D * ((H_before - H_tilda) * (Z * (1.0f - Z))),
        [R_GATE] = D * (K_n * (N * (1.0f - R))),
        [H_GATE] = D * K_n,
    };
    for (int g = 0; g < GATES; g++) {
        store(back->dP + wide + g * hidden, dP[g], width);
        if (bf16) store_bf16(back->dP16 + wide + g * hidden, dP[g], width);
    }
}

static void gru_backward_rows(const void *job, int begin, int end) { backward_rows(job, gru_local, GATES, 1, begin, end); }

void gru_backward(const float *gates, const float *H, const float *N, const float *dH, const float *dH_last, float *dP,
                  uint16_t *dP16, float *dA_h, float *D, const float *W, void *panels, int steps, int batch, int hidden,
                  int bf16, int threads) {
    const GruBackward job = {{{steps, batch, hidden, 0, bf16, panels}, dH, dH_last, dP, dP16, D}, gates, H, N, dA_h};
    backward(&job.backward, gru_backward_rows, W, GATES, panels, threads);
}
