/* cloister doctor: what this host lacks, and what to do about it. */

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/commands.h"
#include "sandbox/doctor.h"

#define EXIT_SHORTFALL 1
#define EXIT_USAGE     2

static const char usage[] =
    "usage: cloister doctor [--json]\n"
    "\n"
    "Looks at this host and says, line by line, what the service needs and whether it is there.\n"
    "Exit status: 0 the service can run with all layers, 1 it can not, 2 bad usage.\n";

static void print_text(const struct doctor_report *report)
{
    for (size_t i = 0; i < report->n; i++) {
        const struct doctor_check *check = &report->checks[i];
        printf("%-9s  %-25s  %s\n", doctor_state_name(check->state), check->name, check->found);
        if (check->remedy[0])
            printf("%-9s  %-25s  -> %s\n", "", "", check->remedy);
    }
    puts(doctor_healthy(report) ? "\nThis host can run the service with all layers."
                                : "\nThis host can not run the service with all layers.");
}

/* Return: 0, or -1 when memory or the output failed. */
static int print_json(const struct doctor_report *report)
{
    json_t *checks = json_array();
    for (size_t i = 0; checks && i < report->n; i++) {
        const struct doctor_check *check = &report->checks[i];
        json_t *one = json_pack("{s:s, s:s, s:s, s:s*}", "name", check->name, "state",
                                doctor_state_name(check->state), "found", check->found, "remedy",
                                check->remedy[0] ? check->remedy : NULL);
        if (json_array_append_new(checks, one) < 0)
            checks = NULL;
    }
    json_t *all = json_pack("{s:b, s:o}", "healthy", doctor_healthy(report), "checks", checks);
    if (!all)
        return -1;
    int r = json_dumpf(all, stdout, JSON_INDENT(2));
    json_decref(all);
    return r < 0 || putchar('\n') == EOF ? -1 : 0;
}

int cmd_doctor(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'j') {
            json = true;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }

    struct doctor_facts facts;
    struct doctor_report report;
    struct err err = {0};
    if (doctor_examine(&facts, &err) < 0) {
        fprintf(stderr, "cloister doctor: %s\n", err.text);
        return EXIT_SHORTFALL;
    }
    doctor_judge(&facts, &report);
    if (!json)
        print_text(&report);
    else if (print_json(&report) < 0)
        return EXIT_SHORTFALL;
    return doctor_healthy(&report) ? 0 : EXIT_SHORTFALL;
}
