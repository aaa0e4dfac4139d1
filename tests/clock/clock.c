// A system clock that a test can set for one process, loaded before libc (LD_PRELOAD).
//
// The file that CLOCK_FILE names holds the seconds by which CLOCK_REALTIME is off. The monotonic clock goes on as ever.
// Waits until a time of the system clock are what the kernel makes of them when somebody sets it: they end when the
// clock says so, however long that takes.

#define _GNU_SOURCE
#include <errno.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>

#define LOOK_EVERY_NS 20000000L
#define SECOND_NS 1000000000L

static long long off_by_s(void) {
    long long seconds = 0;
    const char *name = getenv("CLOCK_FILE");
    FILE *file = name ? fopen(name, "re") : NULL;
    if (file) {
        if (fscanf(file, "%lld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    return seconds;
}

static int real_clock(clockid_t id, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    return real(id, out);
}

int clock_gettime(clockid_t id, struct timespec *out) {
    int result = real_clock(id, out);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) out->tv_sec += off_by_s();
    return result;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *out, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, out) == 0 ? base : 0;
}

typedef int (*wait_until)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

// Waits a little by the real clock, again and again, until the clock that was set is there.
static int wait_for(wait_until real, pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
    for (;;) {
        struct timespec now, look;
        clock_gettime(CLOCK_REALTIME, &now);
        long long left_ns = (long long)(until->tv_sec - now.tv_sec) * SECOND_NS + (until->tv_nsec - now.tv_nsec);
        if (until->tv_sec - now.tv_sec > 1000 || left_ns > LOOK_EVERY_NS) left_ns = LOOK_EVERY_NS;
        if (left_ns < 0) left_ns = 0;
        real_clock(CLOCK_REALTIME, &look);
        look.tv_nsec += left_ns;
        look.tv_sec += look.tv_nsec / SECOND_NS;
        look.tv_nsec %= SECOND_NS;
        int result = real(condition, mutex, &look);
        if (result != ETIMEDOUT) return result;
        clock_gettime(CLOCK_REALTIME, &now);
        if (now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec)) return ETIMEDOUT;
    }
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static wait_until real;
    if (!real) real = (wait_until)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real) real = (wait_until)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    return wait_for(real, condition, mutex, until);
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until) {
    int result = pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until);
    return result == 0 ? thrd_success : result == ETIMEDOUT ? thrd_timedout : thrd_error;
}
