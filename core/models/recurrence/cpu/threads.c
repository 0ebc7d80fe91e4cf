/* PyTorch's own threads if the library is linked with its OpenMP: they are still awake from the call before, and no
 * other threads compete for the processors. Otherwise threads are started for the call, which costs about 0.1 ms; if
 * one cannot be started, this thread does its part. Each thread treats denormal numbers as the caller does.
 */

#include <fenv.h>
#include <pthread.h>
#include <sched.h>

#include "threads.h"

#if defined(_OPENMP)
extern int omp_get_thread_num(void), omp_get_num_threads(void); /* omp.h may be missing where its library is there */
#endif

typedef struct {
    Work work;
    const void *job;
    int begin, end;
    const fenv_t *callers;
} Part;

static void *run_part(void *given) {
    const Part *part = given;
    fenv_t before;
    fegetenv(&before);
    fesetenv(part->callers);
    part->work(part->job, part->begin, part->end);
    fesetenv(&before);
    return NULL;
}

void share(Work work, const void *job, int count, int threads) {
    enum { MOST_THREADS = 64 };
    Part parts[MOST_THREADS];
    fenv_t callers;
    if (count < 1) return;
    threads = threads < 1 ? 1 : least(threads, MOST_THREADS);
    int size = (count + threads - 1) / threads, n = 0;
    size = (size + 3) / 4 * 4;
    fegetenv(&callers);
    for (int begin = 0; begin < count; begin += size, n++)
        parts[n] = (Part){work, job, begin, least(begin + size, count), &callers};
#if defined(_OPENMP)
    if (n > 1) {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
        for (int i = 0; i < n; i++) run_part(&parts[i]);
        return;
    }
#endif
    pthread_t others[MOST_THREADS];
    int started[MOST_THREADS];
    for (int i = 1; i < n; i++) started[i] = pthread_create(&others[i], NULL, run_part, &parts[i]) == 0;
    run_part(&parts[0]);
    for (int i = 1; i < n; i++)
        if (started[i])
            pthread_join(others[i], NULL);
        else
            run_part(&parts[i]);
}

void meet(Together work, const void *job, int threads) {
    Meeting meeting = {1, 0, 0};
#if defined(_OPENMP)
    if (threads > 1) {
        fenv_t callers;
        fegetenv(&callers);
#pragma omp parallel num_threads(threads)
        {
            fenv_t before;
            fegetenv(&before);
            fesetenv(&callers);
#pragma omp single
            meeting.members = omp_get_num_threads();
            work(job, &meeting, omp_get_thread_num());
            fesetenv(&before);
        }
        return;
    }
#endif
    work(job, &meeting, 0);
}

/* A few microseconds awake, which is what steps differ by; then whoever else wants the processor has it. */
void wait_for_all(Meeting *meeting) {
    enum { PATIENCE = 1 << 12 };
    if (meeting->members == 1) return;
    const int step = __atomic_load_n(&meeting->step, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&meeting->arrived, 1, __ATOMIC_ACQ_REL) == meeting->members) {
        __atomic_store_n(&meeting->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&meeting->step, step + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int turns = 0; __atomic_load_n(&meeting->step, __ATOMIC_ACQUIRE) == step; turns++)
        if (turns > PATIENCE) sched_yield();
}
