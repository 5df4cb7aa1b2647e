/* Rounds, tables, bars and the line of JSON. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bench.h"

enum { GAP_NONE, GAP_SOME, GAPS };
enum { QUEUED, SLOT, FILES_IN, SPAWN, RUN, TOTAL, STEPS };

static const char *const program_names[PROGRAMS] = {"tiny", "python3"};
static const unsigned client_counts[] = {1, 2, 8};
enum { RATES = sizeof(client_counts) / sizeof(client_counts[0]) };

struct figure {
    unsigned n;
    double p10, p50, p99; /* us */
};

struct results {
    struct figure of[PROGRAMS][GAPS][LAUNCHERS_MAX];
    double steps[PROGRAMS][GAPS][LAUNCHERS_MAX][STEPS]; /* medians, as the results say */
    double rate[LAUNCHERS_MAX][RATES];
};

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static struct figure figure_of(double *samples, unsigned n)
{
    qsort(samples, n, sizeof(*samples), compare);
    return (struct figure){.n = n,
                           .p10 = samples[n / 10],
                           .p50 = samples[n / 2],
                           .p99 = samples[n - 1 - n / 100]};
}

static const struct launcher *find(const struct bench *bench, const char *name)
{
    for (size_t i = 0; i < bench->n; i++)
        if (strcmp(bench->launchers[i].name, name) == 0)
            return &bench->launchers[i];
    return NULL;
}

static size_t index_of(const struct bench *bench, const char *name)
{
    const struct launcher *l = find(bench, name);
    return l ? (size_t)(l - bench->launchers) : LAUNCHERS_MAX - 1;
}

/* What a launcher leaves to the kernel's workers is paid by the next one: nobody has a fixed
 * neighbour. The same order in every run of the benchmark. */
static void shuffle(size_t *order, size_t n)
{
    static uint32_t state = 1;
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        state = state * 1664525u + 1013904223u;
        size_t j = (size_t)(state >> 8) % i, other = order[j];
        order[j] = order[i - 1];
        order[i - 1] = other;
    }
}

static int one_round(struct bench *bench, enum program program, unsigned gap_ms, unsigned row,
                     unsigned rounds, double *samples, double *steps, struct err *err)
{
    size_t order[LAUNCHERS_MAX];
    shuffle(order, bench->n);
    for (size_t turn = 0; turn < bench->n; turn++) {
        size_t i = order[turn];
        struct launcher *launcher = &bench->launchers[i];
        if (gap_ms)
            nanosleep(&(struct timespec){.tv_nsec = (long)gap_ms * 1000000}, NULL);
        double begin = now_us();
        int r = launcher->run(launcher, program, err);
        samples[i * rounds + row] = now_us() - begin;
        if (r < 0)
            return err_prefix(err, "%s, %s", launcher->name, program_names[program]);
        if (launcher->timing) {
            const struct run_timing *t = launcher->timing(launcher);
            const uint64_t values[STEPS] = {t->queued, t->slot, t->files_in,
                                            t->spawn,  t->run,  t->total};
            for (size_t k = 0; k < STEPS; k++)
                steps[(i * STEPS + k) * rounds + row] = (double)values[k];
        }
    }
    return 0;
}

static int measure(struct bench *bench, enum program program, int gap, struct results *results,
                   struct err *err)
{
    unsigned rounds = gap ? bench->gap_rounds[program] : bench->rounds[program];
    unsigned gap_ms = gap ? bench->gap_ms : 0, warm = gap ? 1 : 5;
    AUTO_FREE double *samples = calloc(rounds, LAUNCHERS_MAX * sizeof(double));
    AUTO_FREE double *steps = calloc(rounds, LAUNCHERS_MAX * STEPS * sizeof(double));
    if (!samples || !steps)
        return err_set(err, -ENOMEM, "no memory for %u rounds", rounds);
    for (unsigned row = 0; row < warm + rounds; row++) {
        int r = one_round(bench, program, gap_ms, row < warm ? 0 : row - warm, rounds, samples,
                          steps, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < bench->n; i++) {
        results->of[program][gap][i] = figure_of(samples + i * rounds, rounds);
        for (size_t k = 0; k < STEPS; k++)
            results->steps[program][gap][i][k] =
                figure_of(steps + (i * STEPS + k) * rounds, rounds).p50;
    }
    return 0;
}

static void print_table(const struct bench *bench, const struct results *results, int program,
                        int gap)
{
    const struct figure *all = results->of[program][gap];
    printf("\n%s, idle gap %u ms, %u rounds          p10      p50      p99 us   p50 / bare\n",
           program_names[program], gap ? bench->gap_ms : 0, all[0].n);
    for (size_t i = 0; i < bench->n; i++)
        printf("  %-32s %9.0f %8.0f %8.0f    %8.2f\n", bench->launchers[i].name, all[i].p10,
               all[i].p50, all[i].p99, all[i].p50 / all[0].p50);
    for (size_t i = 0; i < bench->n; i++) {
        const double *t = results->steps[program][gap][i];
        if (bench->launchers[i].timing)
            printf("  steps of %s: queued %.0f, slot %.0f, files in %.0f, spawn %.0f, run %.0f, "
                   "total %.0f us\n",
                   bench->launchers[i].name, t[QUEUED], t[SLOT], t[FILES_IN], t[SPAWN], t[RUN],
                   t[TOTAL]);
    }
    fflush(stdout);
}

static int measure_rates(struct bench *bench, struct results *results, struct err *err)
{
    printf("\nruns per second, tiny program          1 client  2 clients  8 clients\n");
    for (size_t i = 0; i < bench->n; i++) {
        struct launcher *launcher = &bench->launchers[i];
        if (!launcher->rate)
            continue;
        printf("  %-35s", launcher->name);
        for (size_t k = 0; k < RATES; k++) {
            int r = launcher->rate(launcher, client_counts[k], bench->rate_ms * UINT64_C(1000),
                                   &results->rate[i][k], err);
            if (r < 0)
                return err_prefix(err, "%s, %u clients", launcher->name, client_counts[k]);
            printf(" %10.0f", results->rate[i][k]);
            fflush(stdout);
        }
        printf("\n");
    }
    return 0;
}

/* Return: 1 when it is missed. */
static int bar(const char *words, double value, double limit, bool at_most)
{
    bool holds = at_most ? value <= limit : value >= limit;
    printf("  %-58s %8.2f   %s %.2f   %s\n", words, value, at_most ? "<=" : ">=", limit,
           holds ? "holds" : "MISSED");
    return !holds;
}

static int check_bars(const struct bench *bench, const struct results *results)
{
    size_t ours = index_of(bench, "spawner"), grpc = index_of(bench, "gRPC Execute");
    size_t once = index_of(bench, "one-shot sandbox run"), bwrap = index_of(bench, "bubblewrap");
    int missed = 0;
    printf("\nbars (docs/PERFORMANCE.md)\n");
    for (int gap = 0; gap < GAPS; gap++) {
        const struct figure *f = results->of[PROGRAM_TINY][gap];
        char words[100];
        if (f[0].n == 0)
            continue;
        unsigned ms = gap ? bench->gap_ms : 0;
        snprintf(words, sizeof(words), "gap %u ms: spawner / bare", ms);
        if (f[ours].n)
            missed |= bar(words, f[ours].p50 / f[0].p50, 6, true);
        snprintf(words, sizeof(words), "gap %u ms: gRPC adds to the spawner, ms", ms);
        if (f[ours].n && f[grpc].n)
            missed |= bar(words, (f[grpc].p50 - f[ours].p50) / 1e3, gap ? 1.0 : 0.5, true);
        snprintf(words, sizeof(words), "gap %u ms: bubblewrap / spawner", ms);
        if (f[bwrap].n && f[ours].n)
            missed |= bar(words, f[bwrap].p50 / f[ours].p50, 5, false);
        snprintf(words, sizeof(words), "gap %u ms: bubblewrap / one-shot", ms);
        if (f[bwrap].n && f[once].n)
            missed |= bar(words, f[bwrap].p50 / f[once].p50, 2, false);
    }
    const struct figure *python = results->of[PROGRAM_PYTHON][GAP_NONE];
    if (python[ours].n)
        missed |= bar("gap 0 ms: python3 in the spawner's sandbox / bare python3",
                      python[ours].p50 / python[0].p50, 1.15, true);
    if (results->rate[grpc][RATES - 1] > 0)
        missed |= bar("runs per second through gRPC with 8 clients", results->rate[grpc][RATES - 1],
                      800, false);
    if (results->rate[grpc][RATES - 1] > 0 && results->rate[bwrap][RATES - 1] > 0)
        missed |= bar("the same / bubblewrap's",
                      results->rate[grpc][RATES - 1] / results->rate[bwrap][RATES - 1], 4, false);
    return missed;
}

static void print_json(const struct bench *bench, const struct results *results, int missed)
{
    struct utsname host = {0};
    const char *comma = "";
    uname(&host);
    printf("\n{\"bench\":\"launch\",\"kernel\":\"%s\",\"machine\":\"%s\",\"cpus\":%ld,"
           "\"layers\":%d,\"bars_missed\":%s,\"results\":[",
           host.release, host.machine, sysconf(_SC_NPROCESSORS_ONLN), LAYER_COUNT,
           missed ? "true" : "false");
    for (int p = 0; p < PROGRAMS; p++)
        for (int gap = 0; gap < GAPS; gap++)
            for (size_t i = 0; i < bench->n && results->of[p][gap][i].n; i++) {
                const struct figure *f = &results->of[p][gap][i];
                printf("%s{\"launcher\":\"%s\",\"program\":\"%s\",\"gap_ms\":%u,\"rounds\":%u,"
                       "\"p10_us\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"ratio\":%.3f}",
                       comma, bench->launchers[i].name, program_names[p], gap ? bench->gap_ms : 0,
                       f->n, f->p10, f->p50, f->p99, f->p50 / results->of[p][gap][0].p50);
                comma = ",";
            }
    printf("],\"rates\":[");
    for (size_t i = 0; bench->rate_ms && i < bench->n; i++)
        for (size_t k = 0; k < RATES; k++)
            printf("%s{\"launcher\":\"%s\",\"clients\":%u,\"per_second\":%.1f}", i + k ? "," : "",
                   bench->launchers[i].name, client_counts[k], results->rate[i][k]);
    printf("]}\n");
}

int measure_all(struct bench *bench, struct err *err)
{
    static struct results results;
    for (int program = 0; program < PROGRAMS; program++)
        for (int gap = 0; gap < GAPS; gap++) {
            if (!(gap ? bench->gap_rounds[program] && bench->gap_ms : bench->rounds[program]))
                continue;
            int r = measure(bench, (enum program)program, gap, &results, err);
            if (r < 0)
                return r;
            print_table(bench, &results, program, gap);
        }
    int r = bench->rate_ms ? measure_rates(bench, &results, err) : 0;
    if (r == 0)
        r = oneshot_attest(bench, err);
    if (r < 0)
        return r;
    printf("\nevery measured run of ours had all %d layers active:", LAYER_COUNT);
    for (int i = 0; i < LAYER_COUNT; i++)
        printf(" %s", layer_name((enum layer)i));
    printf("\n");
    int missed = check_bars(bench, &results);
    print_json(bench, &results, missed);
    return missed && bench->strict ? 1 : 0;
}
