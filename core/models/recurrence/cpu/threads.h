/* Work on several threads, and what all files need. */

#pragma once

#include "vectors.h"

/* For functions that other files of the library call and nothing outside it. */
#define INTERNAL __attribute__((visibility("hidden")))

typedef void (*Work)(const void *job, int begin, int end);

/* Call work(job, begin, end) over [0, count) on at most that many threads, in parts of whole tiles. */
INTERNAL void share(Work work, const void *job, int count, int threads);
