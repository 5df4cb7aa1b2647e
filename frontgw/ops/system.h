#pragma once
/* The part that answers for the process itself: /health, /system-stats, the description of the API.
 */

struct gw_part;

extern const struct gw_part gw_system_part;
