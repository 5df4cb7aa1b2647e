#include "execsvc/compile_key.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#include "api/model.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "execsvc/runtime.h"

#define FORMAT "cloister compile key 1"

/* Each part with its length before it: no two lists of parts are the same bytes. */
struct digest {
    EVP_MD_CTX *sha;
    bool bad;
};

static void digest_done(struct digest *d)
{
    EVP_MD_CTX_free(d->sha);
}

static void add(struct digest *d, const void *bytes, size_t len)
{
    uint64_t length = len;
    d->bad = d->bad || !EVP_DigestUpdate(d->sha, &length, sizeof(length)) ||
             !EVP_DigestUpdate(d->sha, bytes, len);
}

static void add_text(struct digest *d, const char *text)
{
    add(d, text, strlen(text));
}

static void add_number(struct digest *d, uint64_t number)
{
    add(d, &number, sizeof(number));
}

static void add_list(struct digest *d, const char *const *texts)
{
    uint64_t n = 0;
    while (texts[n])
        n++;
    add_number(d, n);
    for (uint64_t i = 0; i < n; i++)
        add_text(d, texts[i]);
}

static void add_files(struct digest *d, const struct run_request *request)
{
    add_number(d, request->n_files);
    for (size_t i = 0; i < request->n_files; i++) {
        const struct model_file *file = &request->files[i];
        add_text(d, file->path);
        add_number(d, file->executable);
        add_number(d, file->sha256 != NULL);
        if (file->sha256)
            add(d, file->sha256, MODEL_SHA256);
        else
            add(d, file->content ? file->content : (const void *)"", file->size);
    }
}

int compile_key(const struct compile_inputs *inputs, struct compile_key *ret, struct err *err)
{
    CLEANUP(digest_done) struct digest d = {.sha = EVP_MD_CTX_new()};
    d.bad = !d.sha || !EVP_DigestInit_ex(d.sha, EVP_sha256(), NULL);
    if (!d.bad) {
        add_text(&d, FORMAT);
        add_text(&d, inputs->tenant);
        add_text(&d, inputs->runtime->name);
        add_text(&d, inputs->runtime->version);
        add_list(&d, inputs->argv);
        add_list(&d, inputs->envp);
        add_files(&d, inputs->request);
    }
    if (d.bad || !EVP_DigestFinal_ex(d.sha, ret->sha256, NULL))
        return err_set(err, -EIO, "compile key: no SHA-256");
    return 0;
}
