#pragma once
#include <stdio.h>

struct gw_router;

/** gw_routes_print() - the route table as JSON, for the test that holds openapi.yaml against it. */
int gw_routes_print(const struct gw_router *router, FILE *out);
