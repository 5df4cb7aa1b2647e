#include "api/rpc_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "api/rpc_server.h"
#include "base/cleanup.h"
#include "base/err.h"

#define DNS_PREFIX   "dns:"
#define URI_PREFIX   "uri:"
#define PREFIX_LEN   4
#define NAME_MAX_LEN 200 /* with a subject behind it below the length of a tenant */
#define CHAIN_DEPTH  4

const char *tls_fault(char *buf, size_t size)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(buf, size, "%s", reason ? reason : "the connection ended");
    ERR_clear_error();
    return buf;
}

/* ---- the context -------------------------------------------------------------------------- */

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned int in_len, void *arg)
{
    static const unsigned char h2[] = {2, 'h', '2'};
    (void)ssl;
    (void)arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, h2, sizeof(h2), in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int fault(struct err *err, const char *what, const char *path)
{
    char words[128];
    return err_set(err, -EINVAL, "%s %s: %s", what, path, tls_fault(words, sizeof(words)));
}

/* The file that was checked is the file that is read. */
static int load_key(SSL_CTX *ctx, const char *path, struct err *err)
{
    struct stat st;
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, -errno, "open the key %s: %m", path);
    if (!S_ISREG(st.st_mode) || st.st_mode & (S_IRWXG | S_IRWXO))
        return err_set(err, -EPERM,
                       "the key %s has mode %04o: it must be a file that only its owner may read "
                       "(chmod 0600)",
                       path, st.st_mode & 07777);
    AUTO_FCLOSE FILE *file = fdopen(take_fd(&fd), "re");
    if (!file)
        return err_set(err, -errno, "open the key %s: %m", path);
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    int ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    return ok ? 0 : fault(err, "the key", path);
}

static int load(SSL_CTX *ctx, const struct tls_files *files, struct err *err)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, files->certificate) != 1)
        return fault(err, "the certificate", files->certificate);
    int r = load_key(ctx, files->key, err);
    if (r < 0)
        return r;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(files->client_ca);
    if (!names || SSL_CTX_load_verify_file(ctx, files->client_ca) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return fault(err, "the clients' CA", files->client_ca);
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    return 0;
}

int tls_context_new(const struct tls_files *files, SSL_CTX **ret, struct err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return err_set(err, -ENOMEM, "TLS: %m");
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH);
    SSL_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    int r = load(ctx, files, err);
    if (r < 0) {
        SSL_CTX_free(ctx);
        return r;
    }
    *ret = ctx;
    return 0;
}

void tls_stamp_read(const struct tls_files *files, struct tls_stamp *ret)
{
    const char *const paths[3] = {files->certificate, files->key, files->client_ca};
    memset(ret, 0, sizeof(*ret)); /* padding too: stamps are compared as bytes */
    for (size_t i = 0; i < 3; i++) {
        struct stat st;
        if (stat(paths[i], &st) < 0)
            continue;
        ret->file[i].device = st.st_dev;
        ret->file[i].inode = st.st_ino;
        ret->file[i].size = st.st_size;
        ret->file[i].changed_ns =
            (int64_t)st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec;
    }
}

/* ---- names -------------------------------------------------------------------------------- */

bool rpc_tls_identity_ok(const char *name)
{
    size_t len = strlen(name);
    if (len <= PREFIX_LEN || len > NAME_MAX_LEN)
        return false;
    if (strncmp(name, DNS_PREFIX, PREFIX_LEN) != 0 && strncmp(name, URI_PREFIX, PREFIX_LEN) != 0)
        return false;
    for (const char *c = name; *c; c++)
        if (*c <= ' ' || *c > '~' || *c == '*')
            return false;
    return true;
}

static int same(const char *allowed, const GENERAL_NAME *name)
{
    const ASN1_IA5STRING *text = NULL;
    int dns = name->type == GEN_DNS;
    if (dns)
        text = name->d.dNSName;
    else if (name->type == GEN_URI)
        text = name->d.uniformResourceIdentifier;
    if (!text || strncmp(allowed, dns ? DNS_PREFIX : URI_PREFIX, PREFIX_LEN) != 0)
        return 0;
    size_t len = (size_t)ASN1_STRING_length(text);
    const char *data = (const char *)ASN1_STRING_get0_data(text);
    if (strlen(allowed + PREFIX_LEN) != len) /* a NUL inside of the name can't match either */
        return 0;
    return dns ? strncasecmp(allowed + PREFIX_LEN, data, len) == 0
               : memcmp(allowed + PREFIX_LEN, data, len) == 0;
}

int tls_identity(const SSL *ssl, const char *const *allowed, size_t n_allowed, size_t *ret)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK)
        return -EACCES;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int r = -EACCES;
    for (int i = 0; r < 0 && i < sk_GENERAL_NAME_num(names); i++) {
        for (size_t k = 0; r < 0 && k < n_allowed; k++) {
            if (!same(allowed[k], sk_GENERAL_NAME_value(names, i)))
                continue;
            *ret = k;
            r = 0;
        }
    }
    GENERAL_NAMES_free(names);
    return r;
}
