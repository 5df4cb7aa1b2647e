#include "execsvc/memory.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "execsvc/exs.h"

#define EVERY_US   UINT64_C(1000000)
#define WORTH_IT   (UINT64_C(4) << 20)
#define GAIN_LEAST (UINT64_C(2) << 20)
#define IDLE_LEAST (UINT64_C(32) << 10) /* when nobody waits for us */
#define FADES      16
#define MMAP_FROM  (1 << 20) /* what runs come and go with (256 KiB) stays below: no page faults */
#define TRIM_FROM  (16 << 20)

void memory_set_up(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, MMAP_FROM);
    mallopt(M_TRIM_THRESHOLD, TRIM_FROM);
}

static uint64_t unused(const struct memory_figures *now)
{
    return now->free_bytes < now->resident_bytes ? now->free_bytes : now->resident_bytes;
}

bool memory_wants_trim(const struct memory_figures *now, uint64_t kept_bytes, bool idle)
{
    if (idle)
        return unused(now) > kept_bytes + IDLE_LEAST;
    return unused(now) > WORTH_IT && unused(now) > kept_bytes + GAIN_LEAST;
}

enum memory_verdict memory_judge(const struct memory_figures *now, uint64_t max_bytes)
{
    if (!max_bytes || now->resident_bytes <= max_bytes)
        return MEMORY_FINE;
    return now->resident_bytes / 2 <= max_bytes ? MEMORY_DRAIN : MEMORY_END;
}

static void measure(struct memory_figures *ret)
{
    unsigned long size, resident = 0, shared = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file) {
        if (fscanf(file, "%lu %lu %lu", &size, &resident, &shared) != 3)
            resident = shared = 0;
        fclose(file);
    }
    struct mallinfo2 heap = mallinfo2();
    ret->resident_bytes = (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
    ret->free_bytes = heap.fordblks;
}

static void on_timer(struct loop_timer *timer)
{
    struct exs *exs = container_of(timer, struct exs, memory.timer);
    struct memory_figures now;
    measure(&now);
    /* What a trim could not get at may be free by now. */
    exs->memory.kept_bytes -= exs->memory.kept_bytes / FADES;
    if (memory_wants_trim(&now, exs->memory.kept_bytes, exs->n_runs == 0)) {
        malloc_trim(0);
        measure(&now);
        exs->memory.kept_bytes = unused(&now);
        exs->stats.memory_trims++;
    }
    enum memory_verdict verdict = memory_judge(&now, exs->config->memory_max);
    if (verdict != MEMORY_FINE)
        exs->memory.on_too_much(verdict, now.resident_bytes);
    loop_timer_set(exs->loop, timer, clock_us() + EVERY_US, on_timer);
}

void memory_watch_start(struct exs *exs, memory_fn *on_too_much)
{
    exs->memory.on_too_much = on_too_much;
    on_timer(&exs->memory.timer);
}
