/* Dropout: y = x / (1 - share) where a random number of 16 bits is at least share * 2^16, else 0.
 *
 * The random numbers are Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2,
 * 3"): a function of the seed and the index only. So the order of the threads does not matter, and the backward pass,
 * which is the same function of the gradient, draws the numbers again instead of keeping a mask.
 *
 * x may be a part of a larger tensor: pieces of `length` numbers that begin at number `first` of the whole, each
 * `stride` numbers after the one before. They get the random numbers of their places in the whole.
 */

#include "threads.h"

enum { COUNTERS = 8, BLOCK = COUNTERS * 8 }; /* each counter gives four numbers of 32 bits: eight of 16 */

typedef uint64_t wide __attribute__((vector_size(8 * COUNTERS)));

typedef struct {
    const float *x;
    float *y;
    uint64_t seed;
    int silenced; /* share * 2^16 */
    float scale;
    long first, length, stride;
    int blocks; /* that a piece may have numbers of */
} Dropout;

/* The product of the lower halves: one instruction with AVX512, which a compiler does not choose by itself. */
INLINE wide product_of(wide x, uint32_t y) {
#if defined(__AVX512F__)
    return (wide)_mm512_mul_epu32((__m512i)x, _mm512_set1_epi64(y));
#else
    return x * y;
#endif
}

typedef union {
    wide words[2];                  /* numbers 0 and 1 of each counter, then 2 and 3 */
    uint16_t halves[BLOCK + LANES]; /* a vector is read at any of the BLOCK */
} Random;

INLINE void draw(Random *random, uint64_t seed, uint64_t first) {
    const uint64_t low = 0xFFFFFFFFu;
    uint64_t key_0 = seed & low, key_1 = seed >> 32;
    wide counter;
    for (int i = 0; i < COUNTERS; i++) counter[i] = first + (uint64_t)i;
    wide x_0 = counter & low, x_1 = counter >> 32, x_2 = {0}, x_3 = {0};
    for (int round = 0; round < 10; round++) {
        const wide p = product_of(x_0, 0xD2511F53u), q = product_of(x_2, 0xCD9E8D57u);
        x_0 = (q >> 32) ^ x_1 ^ key_0;
        x_1 = q & low;
        x_2 = (p >> 32) ^ x_3 ^ key_1;
        x_3 = p & low;
        key_0 = (key_0 + 0x9E3779B9u) & low;
        key_1 = (key_1 + 0xBB67AE85u) & low;
    }
    random->words[0] = x_0 | x_1 << 32;
    random->words[1] = x_2 | x_3 << 32;
}

static void dropout_blocks(const void *given, int begin, int end) {
    const Dropout *job = given;
    for (int index = begin; index < end; index++) {
        const long piece = index / job->blocks, offset = piece * job->stride + job->first, last = offset + job->length;
        const long block = offset / BLOCK + index % job->blocks, start = block * BLOCK;
        const long from = start > offset ? start : offset, to = start + BLOCK < last ? start + BLOCK : last;
        if (from >= to) continue;
        Random random;
        draw(&random, job->seed, (uint64_t)block * COUNTERS);
        for (long place = from; place < to; place += LANES) {
            const long here = piece * job->length + place - offset;
            const int width = to - place < LANES ? (int)(to - place) : LANES;
            halves number;
            memcpy(&number, random.halves + (place - start), sizeof number);
            const mask keep = __builtin_convertvector(number, mask) >= job->silenced;
            const vec x = load(job->x + here, width) * job->scale;
            store(job->y + here, either(keep, x, splat(0.0f)), width);
        }
    }
}

void dropout(const float *x, float *y, uint64_t seed, int64_t pieces, int64_t length, int64_t stride, int64_t first,
             int silenced, int threads) {
    const int blocks = (int)((length + BLOCK - 1) / BLOCK) + (pieces > 1 || first % BLOCK > 0);
    const Dropout job = {x, y, seed, silenced, 65536.0f / (65536.0f - (float)silenced), first, length, stride, blocks};
    share(dropout_blocks, &job, (int)pieces * blocks, threads);
}

/* The ten rounds alone, for the test against the known answers of the paper's library. */
void philox(uint64_t seed, uint64_t counter, uint64_t *two) {
    Random random;
    draw(&random, seed, counter);
    two[0] = random.words[0][0];
    two[1] = random.words[1][0];
}
