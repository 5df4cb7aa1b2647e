#pragma once
/* node_inner_main() is declared in node.h; this is what outer and inner agree on. */

#define INNER_ARG0      "cloister-spawner: inner"
#define INNER_FD_CONFIG 3 /* sealed memory file: struct node_config */
#define INNER_FD_CLIENT 4 /* the spawner's end of the SOCK_SEQPACKET pair */
#define INNER_EXIT_NO_START                                                                        \
    3 /* it has said why; any other end came later, and may be mended by a start */
#define INNER_FDS_LOW 10 /* numbers below it are kept free for the stdio of children */
