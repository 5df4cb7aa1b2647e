/* grpc-status-details-bin from a server that may send anything. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/rpc_status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rpc_status status = {.code = RPC_INTERNAL};
    rpc_status_decode(data, size, &status);
    uint8_t bytes[4096];
    if (status.n_meta > RPC_META_MAX || rpc_status_encode(&status, bytes, sizeof(bytes)) == 0)
        abort();
    return 0;
}
