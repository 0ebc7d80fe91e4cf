/* Work on several threads, and what all files need. */

#pragma once

#include "vectors.h"

/* For functions that other files of the library call and nothing outside it. */
#define INTERNAL __attribute__((visibility("hidden")))

typedef void (*Work)(const void *job, int begin, int end);

/* Call work(job, begin, end) over [0, count) on at most that many threads, in parts of whole tiles. */
INTERNAL void share(Work work, const void *job, int count, int threads);

/* Threads that work on the same thing step by step, and wait for one another after each step. */
typedef struct {
    int members, arrived, step;
} Meeting;

typedef void (*Together)(const void *job, Meeting *meeting, int member);

#if defined(_OPENMP)
enum { CAN_MEET = 1 };
#else
enum { CAN_MEET = 0 };
#endif

/* Call work on at most that many threads at the same time; on this one alone if they cannot meet. */
INTERNAL void meet(Together work, const void *job, int threads);
INTERNAL void wait_for_all(Meeting *meeting);
