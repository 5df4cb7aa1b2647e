#pragma once
/* A roster as it stands in a CSV file, before anything is looked up. Pure. */

#include "frontgw/people/actor.h"
#include "frontgw/people/password.h"
#include "frontgw/store/ulid.h"

#define ROSTER_MAX 1000

struct roster_entry {
    char login[65];
    char name[201];
    /* filled in later: */
    char id[ULID_SIZE];
    char password[PASSWORD_ONE_TIME_SIZE];
    char hash[PASSWORD_HASH_MAX];
    bool exists;
};

struct roster {
    struct roster_entry *entries;
    size_t n;
};

/**
 * roster_parse() - `login,name` a line, with or without a header; logins in lower case, each once
 *
 * Return: 0, GW_PROBLEM_INVALID_VALUE naming the line, or -ENOMEM. roster_done() in every case.
 */
int roster_parse(const char *text, size_t len, struct roster *roster, struct err *err);
void roster_done(struct roster *roster);
