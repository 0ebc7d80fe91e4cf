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
    Shape shape;
    const float *gates, *H, *N, *dH, *dH_last;
    float *dP;   /* [dA^z dA^r dN], (steps, batch, 3 * hidden) */
    float *dA_h; /* (steps, batch, hidden) */
    float *D;    /* (batch, hidden): D_t * Z_t between the steps, D_0 on the way out */
    uint16_t *dP16;
} GruBackward;

INLINE void gru_local(const GruBackward *job, int t, int row, int column, int width, vec D, int bf16) {
    const int hidden = job->shape.hidden;
    const long index = (long)t * job->shape.batch + row, here = index * hidden + column;
    const long wide = index * GATES * hidden + column;
    const vec Z = load(job->gates + wide + Z_GATE * hidden, width), R = load(job->gates + wide + R_GATE * hidden, width);
    const vec H_tilda = load(job->gates + wide + H_GATE * hidden, width);
    const vec N = load(job->N + here, width), H_before = load(job->H + here, width);
    const vec K_h = (1.0f - Z) * (1.0f - H_tilda * H_tilda), K_n = K_h * R;
    store(job->D + (long)row * hidden + column, D * Z, width);
    store(job->dA_h + here, D * K_h, width);
    const vec dP[GATES] = {
        [Z_GATE] = D * ((H_before - H_tilda) * (Z * (1.0f - Z))),
        [R_GATE] = D * (K_n * (N * (1.0f - R))),
        [H_GATE] = D * K_n,
    };
    for (int g = 0; g < GATES; g++) {
        store(job->dP + wide + g * hidden, dP[g], width);
        if (bf16) store_bf16(job->dP16 + wide + g * hidden, dP[g], width);
    }
}

INLINE void gru_backward_tile(const GruBackward *job, int t, int row, int rows, int column, const void *panel, int bf16) {
    const int batch = job->shape.batch, hidden = job->shape.hidden, inner = GATES * hidden;
    const long first = (long)t * batch + row;
    vec D[MOST_ROWS * 2];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 2; v++) {
            const int at = column + v * LANES, width = least(LANES, hidden - at);
            D[2 * r + v] = load(job->D + (long)(row + r) * hidden + at, width);
            if (t) D[2 * r + v] += load(job->dH + (first - batch + r) * hidden + at, width);
        }
    if (bf16)
        accumulate_bf16(D, rows, 2, job->dP16 + first * inner, inner, panel, inner);
    else
        accumulate(D, rows, 2, job->dP + first * inner, inner, panel, inner);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 2; v++) {
            const int at = column + v * LANES, width = least(LANES, hidden - at);
            if (t)
                gru_local(job, t - 1, row + r, at, width, D[2 * r + v], bf16);
            else
                store(job->D + (long)(row + r) * hidden + at, D[2 * r + v], width);
        }
}

static void gru_backward_rows(const void *given, int begin, int end) {
    const GruBackward *job = given;
    const Shape *shape = &job->shape;
    const int hidden = shape->hidden, last = shape->steps - 1;
    const long panel_bytes = panel_size(GATES * hidden, 2, shape->bf16);
    for (int row = begin; row < end; row++)
        for (int column = 0; column < hidden; column += LANES) {
            const int width = least(LANES, hidden - column);
            const long place = (long)row * hidden + column;
            const vec D = load(job->dH + (long)last * shape->batch * hidden + place, width);
            gru_local(job, last, row, column, width, D + load(job->dH_last + place, width), shape->bf16);
        }
    for (int t = last; t >= 0; t--)
        for (int column = 0, p = 0; column < hidden; column += 2 * LANES, p++) {
            const char *panel = (const char *)shape->panels + p * panel_bytes;
            TILES(begin, end, shape->bf16, MOST_ROWS, gru_backward_tile, job, t, column, panel);
        }
}

void gru_backward(const float *gates, const float *H, const float *N, const float *dH, const float *dH_last, float *dP,
                  uint16_t *dP16, float *dA_h, float *D, const float *W, void *panels, int steps, int batch, int hidden,
                  int bf16, int threads) {
    GruBackward job = {{steps, batch, hidden, 0, bf16, panels}, gates, H, N, dH, dH_last, dP, dA_h, D, dP16};
    pack(W, 1, GATES * hidden, GATES * hidden, hidden, 2, LANES, 2 * LANES, bf16, panels, threads);
    share(gru_backward_rows, &job, batch, threads);
}
