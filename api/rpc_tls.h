#pragma once
/*
 * Certificates: what the door shows, whom it trusts, and what a peer's certificate calls him.
 *
 * TLS 1.3 only, a client certificate of the operator's CA always, HTTP/2 (ALPN "h2") only, no
 * resumption (so that every connection is judged by today's CA and clock). The identity of a peer
 * is the first subject alternative name of his certificate, DNS name or URI, that is on the list,
 * written as there: "dns:gateway.example" or "uri:spiffe://example/gateway". Names are compared
 * whole (DNS without regard to case); a wildcard in a certificate stands for nothing, and the
 * common name never counts.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/ssl.h>

struct err;

struct tls_files {
    const char *certificate; /* PEM: ours, then what leads to its CA */
    const char *key;         /* PEM; readable for nobody but its owner */
    const char *client_ca;   /* PEM: who may vouch for clients */
};

/** tls_context_new() - read the files. -EPERM: the key is readable for group or others. */
int tls_context_new(const struct tls_files *files, SSL_CTX **ret, struct err *err);

/* What a set of files was when it was read: a change of any of them changes this. */
struct tls_stamp {
    struct {
        dev_t device;
        ino_t inode;
        off_t size;
        int64_t changed_ns;
    } file[3];
};

void tls_stamp_read(const struct tls_files *files, struct tls_stamp *ret);

/** tls_identity() - the place in @allowed of the peer's name. Return: 0, or -EACCES. */
int tls_identity(const SSL *ssl, const char *const *allowed, size_t n_allowed, size_t *ret);

/** tls_fault() - OpenSSL's words for what went wrong last in this thread; empties its queue. */
const char *tls_fault(char *buf, size_t size);
