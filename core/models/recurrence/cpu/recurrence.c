/* The entry points of all cells: pack the recurrent matrix, and take every row through all steps.
 *
 * Packing: the right factor M (inner, columns), element (k, j) at source[k * down + j * right], is cut into panels. One
 * stride is 1: `right` for a matrix, `down` for its transpose. Panel p has, for each k, `vecs` vectors; vector v begins
 * at column p * panel_step + v * vec_step. Columns past the end of a vec_step's range, and past `columns`, are zeros.
 * In bfloat16 the numbers of two neighbouring k are adjacent, and `inner` is even.
 */

#include "recurrence.h"

typedef struct {
    const float *source;
    long down, right;
    int inner, columns, vecs, vec_step, panel_step, bf16;
    char *panels;
} Packing;

/* Row k of a panel's vector, or its transpose read along the rows of the source. */
static void pack_single(const Packing *job, float *to, const float *source, int width) {
    const long stride = (long)job->vecs * LANES;
    if (job->right == 1)
        for (int k = 0; k < job->inner; k++) store(to + k * stride, load(source + k * job->down, width), LANES);
    else
        for (int i = 0; i < LANES; i++)
            for (int k = 0; k < job->inner; k++) to[k * stride + i] = i < width ? source[k + i * job->right] : 0.0f;
    for (int k = 0; k < job->inner && job->bf16 == ROUNDED; k++)
        store(to + k * stride, nearest_bf16(load(to + k * stride, LANES)), LANES);
}

static void pack_bf16(const Packing *job, uint32_t *to, const float *source, int width) {
    const long stride = (long)job->vecs * LANES, down = job->down, right = job->right;
    if (right == 1)
        for (int k = 0; k < job->inner; k += 2)
            for (int i = 0; i < LANES; i++) to[k / 2 * stride + i] = i < width ? pair(source + k * down + i, down) : 0u;
    else
        for (int i = 0; i < LANES; i++)
            for (int k = 0; k < job->inner; k += 2)
                to[k / 2 * stride + i] = i < width ? pair(source + k * down + i * right, down) : 0u;
}

static void pack_panels(const void *given, int begin, int end) {
    const Packing *job = given;
    const int vecs = job->vecs;
    for (int p = begin; p < end; p++) {
        char *panel = job->panels + p * panel_size(job->inner, vecs, job->bf16);
        for (int v = 0; v < vecs; v++) {
            const int width =
                least(LANES, job->columns - p * job->panel_step - (job->panel_step > LANES ? v * LANES : 0));
            const float *source = job->source + ((long)p * job->panel_step + (long)v * job->vec_step) * job->right;
            if (is_bf16(job->bf16))
                pack_bf16(job, (uint32_t *)panel + v * LANES, source, width);
            else
                pack_single(job, (float *)panel + v * LANES, source, width);
        }
    }
}

static void pack(const Packing *job, int threads) {
    share(pack_panels, job, (job->columns + job->panel_step - 1) / job->panel_step, threads);
}

const Cell CELLS[] = {{rnn_forward, rnn_backward, 1}, {gru_forward, gru_backward, 3}, {lstm_forward, lstm_backward, 4}};

typedef struct {
    Pass pass;
    const void *job;
    int batch, hidden, width; /* units of a panel */
} Run;

static void some_rows(const void *given, int begin, int end) {
    const Run *run = given;
    run->pass(run->job, &(Region){begin, end, 0, run->hidden, NULL});
}

static void some_units(const void *given, Meeting *meeting, int member) {
    const Run *run = given;
    const int width = run->width, panels = (run->hidden + width - 1) / width, members = meeting->members;
    const int first = panels * member / members * width, last = panels * (member + 1) / members * width;
    run->pass(run->job, &(Region){0, run->batch, first, least(last, run->hidden), meeting});
}

/* All steps: rows for each thread, or units where the matrix is more than about half of a thread's cache. */
static void run_pass(Pass pass, const void *job, const Packing *packing, int gates, int batch, int threads) {
    enum { LARGE = 1 << 20 };
    const int hidden = packing->columns;
    const Run run = {pass, job, batch, hidden, packing->panel_step};
    if (CAN_MEET && threads > 1 && (long)gates * hidden * hidden * bytes_of(packing->bf16) > LARGE && batch > 0)
        meet(some_units, &run, threads);
    else
        share(some_rows, &run, batch, threads);
}

void recurrence_forward(int cell, const float *A, const int64_t *ids, const float *b, float *gates, float *H,
                        void *H_twin, float *C, float *inner, const float *b_hn, const float *W, void *panels,
                        int steps, int batch, int hidden, int relu, int bf16, int threads) {
    const Forward job = {{steps, batch, hidden, relu, bf16, panels}, A, ids, b, gates, H, C, inner, H_twin, b_hn};
    const int count = CELLS[cell].gates, neighbours = count == 1; /* or a panel has one vector of each gate */
    const Packing packing = {
        .source = W,
        .down = (long)count * hidden,
        .right = 1,
        .inner = hidden,
        .columns = hidden,
        .vecs = neighbours ? 2 : count,
        .vec_step = neighbours ? LANES : hidden,
        .panel_step = neighbours ? 2 * LANES : LANES,
        .bf16 = bf16,
        .panels = panels,
    };
    pack(&packing, threads);
    run_pass(CELLS[cell].forward, &job, &packing, CELLS[cell].gates, batch, threads);
}

void recurrence_backward(int cell, const float *gates, const float *H, const float *C, const float *inner,
                         const float *dH, const float *dH_last, float *dP, void *dP_twin, float *D_0, float *dA_h,
                         float *E, const float *W, void *panels, int steps, int batch, int hidden, int relu, int bf16,
                         int threads) {
    const Backward job = {
        {steps, batch, hidden, relu, bf16, panels}, gates, H, C, inner, dH, dH_last, dP, dP_twin, D_0, dA_h, E};
    const int wide = CELLS[cell].gates * hidden;
    const Packing packing = {
        .source = W,
        .down = 1,
        .right = wide,
        .inner = wide,
        .columns = hidden,
        .vecs = 2,
        .vec_step = LANES,
        .panel_step = 2 * LANES,
        .bf16 = bf16,
        .panels = panels,
    };
    pack(&packing, threads);
    run_pass(CELLS[cell].backward, &job, &packing, CELLS[cell].gates, batch, threads);
}

/* The last arithmetic for bfloat16 that this processor has. */
int best_of_bf16(void) {
#if defined(__AVX512BF16__)
    return ask_for_tiles() ? BF16_TILES : BF16_VECTORS;
#else
    return ROUNDED;
#endif
}
