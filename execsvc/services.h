#pragma once
/* The gRPC services, added to the server before it starts. */

struct err;
struct exs;

int service_execution_add(struct exs *exs, struct err *err);
int service_node_add(struct exs *exs, struct err *err);
