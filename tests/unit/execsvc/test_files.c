/* files_in, files_out and collect together: what one writes the others read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/sha.h>

#include "base/err.h"
#include "execsvc/collect.h"
#include "execsvc/files_in.h"
#include "execsvc/files_out.h"

struct bytes {
    uint8_t p[400 * 1024];
    size_t len;
};

static struct bytes stream;

static void put(const void *bytes, size_t len)
{
    assert_true(stream.len + len <= sizeof(stream.p));
    if (len)
        memcpy(stream.p + stream.len, bytes, len);
    stream.len += len;
}

static void put_record(uint16_t type, const char *path, size_t path_len, int32_t status,
                       uint64_t size)
{
    struct fs_header h = {.magic = FS_MAGIC,
                          .type = type,
                          .path_len = (uint16_t)path_len,
                          .mode = 0644,
                          .status = status,
                          .size = size};
    put(&h, sizeof(h));
    put(path, path_len);
}

static void put_file(const char *path, const void *content, size_t len)
{
    put_record(FS_FILE, path, strlen(path), 0, len);
    put(content, len);
}

static int clear(void **state)
{
    (void)state;
    stream.len = 0;
    return 0;
}

/* The whole stream in steps of @step; the last status. */
static int parse_all(size_t step, struct err *err)
{
    static struct files_out out;
    files_out_init(&out);
    for (size_t i = 0; i < stream.len; i += step) {
        const uint8_t *at = stream.p + i;
        size_t left = stream.len - i < step ? stream.len - i : step;
        struct files_out_event e;
        do {
            int r = files_out_next(&out, &at, &left, &e, err);
            if (r < 0)
                return r;
        } while (e.type != FILES_OUT_MORE);
    }
    return files_out_ended(&out);
}

static void what_files_in_writes_files_out_reads(void **state)
{
    (void)state;
    const struct files_in_file files[] = {
        {.path = "main.py", .path_len = 7, .content = "print(1)\n", .len = 9},
        {.path = "empty", .path_len = 5, .content = NULL, .len = 0},
        {.path = "a/b/run", .path_len = 7, .content = "x", .len = 1, .executable = true},
    };
    for (size_t step = 1; step < 60; step++) {
        stream.len = 0;
        struct files_in in;
        files_in_init(&in, files, 3);
        const void *piece;
        size_t len;
        while (files_in_piece(&in, &piece, &len)) {
            size_t n = len < step ? len : step;
            put(piece, n);
            files_in_advance(&in, n);
        }
        const uint8_t *at = stream.p;
        size_t left = stream.len;
        static struct files_out out;
        files_out_init(&out);
        struct files_out_event e;
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(files_out_next(&out, &at, &left, &e, NULL), 0);
            assert_int_equal(e.type, FILES_OUT_FILE);
            assert_string_equal(e.path, files[i].path);
            assert_int_equal(e.size, files[i].len);
            assert_int_equal(e.mode, files[i].executable ? 0755 : 0644);
            if (e.size) {
                assert_int_equal(files_out_next(&out, &at, &left, &e, NULL), 0);
                assert_int_equal(e.type, FILES_OUT_DATA);
                assert_memory_equal(e.bytes, files[i].content, files[i].len);
            }
            assert_int_equal(files_out_next(&out, &at, &left, &e, NULL), 0);
            assert_int_equal(e.type, FILES_OUT_FILE_END);
        }
        assert_int_equal(files_out_next(&out, &at, &left, &e, NULL), 0);
        assert_int_equal(e.type, FILES_OUT_END);
        assert_true(files_out_ended(&out));
        assert_int_equal(left, 0);
    }
}

static void a_stream_without_files_is_an_end_record(void **state)
{
    (void)state;
    struct files_in in;
    const void *piece;
    size_t len;
    files_in_init(&in, NULL, 0);
    assert_true(files_in_piece(&in, &piece, &len));
    put(piece, len);
    files_in_advance(&in, len);
    assert_false(files_in_piece(&in, &piece, &len));
    assert_int_equal(parse_all(1, NULL), 1);
}

static void hostile_names_are_refused(void **state)
{
    (void)state;
    static char name_256[257], deep[2 * 40];
    memset(name_256, 'x', 256);
    for (size_t i = 0; i < sizeof(deep) - 1; i++)
        deep[i] = i % 2 ? '/' : 'd';
    const struct {
        const char *path;
        size_t len;
    } bad[] = {
        {"/etc/passwd", 11}, {"..", 2},    {"../x", 4}, {"a/../b", 6}, {"a/..", 4}, {".", 1},
        {"./a", 3},          {"a/./b", 5}, {"a//b", 4}, {"a/", 2},     {"/", 1},    {"a\0b", 3},
        {name_256, 256},     {deep, 79},   {"", 0},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        static const uint16_t types[] = {FS_FILE, FS_DIR, FS_SKIPPED, FS_BROKEN};
        for (size_t t = 0; t < 4; t++) {
            stream.len = 0;
            put_record(types[t], bad[i].path, bad[i].len, 0, 0);
            put_record(FS_END, "", 0, 0, 0);
            struct err err = {0};
            assert_int_equal(parse_all(7, &err), -EPROTO);
            assert_int_equal(err.code, -EPROTO);
        }
    }
}

static void odd_but_harmless_names_pass(void **state)
{
    (void)state;
    static char name_255[256];
    memset(name_255, 'x', 255);
    const char *good[] = {"...", "..a",    "a\nb", "\xff\xfe", "-rf",   "~",
                          " ",   "$(x)\t", "\\",   "a\x1b[2J", name_255};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        put_file(good[i], "y", 1);
    put_record(FS_END, "", 0, 0, 0);
    for (size_t step = 1; step < 100; step += 9)
        assert_int_equal(parse_all(step, NULL), 1);
}

static void a_broken_stream_is_refused(void **state)
{
    (void)state;
    const struct fs_header bad[] = {
        {.magic = 1, .type = FS_FILE, .path_len = 1},
        {.magic = FS_MAGIC, .type = 0, .path_len = 1},
        {.magic = FS_MAGIC, .type = 6, .path_len = 1},
        {.magic = FS_MAGIC, .type = FS_FILE, .path_len = FS_PATH_MAX + 1},
        {.magic = FS_MAGIC, .type = FS_FILE, .path_len = 1, .mode = 04755},
        {.magic = FS_MAGIC, .type = FS_FILE, .path_len = 1, .status = 5},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        stream.len = 0;
        put(&bad[i], sizeof(bad[i]));
        put("aaaaaaaa", 8);
        assert_int_equal(parse_all(1, NULL), -EPROTO);
        assert_int_equal(parse_all(1000, NULL), -EPROTO);
    }
    stream.len = 0;
    put_record(FS_END, "", 0, 0, 0);
    put("x", 1);
    assert_int_equal(parse_all(1000, NULL), -EPROTO);
}

/* ---- collect ---- */

struct got {
    char path[64];
    uint64_t size;
    uint64_t bytes;
    int chunks;
    bool last, in_order;
    uint8_t sha256[32];
    SHA256_CTX sha;
};

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static size_t collect_all(struct collect *c, size_t step, struct got *got, size_t max, int *ret)
{
    size_t n = 0;
    *ret = COLLECT_MORE;
    for (size_t i = 0; i < stream.len; i += step) {
        const uint8_t *at = stream.p + i;
        size_t left = stream.len - i < step ? stream.len - i : step;
        struct collect_chunk chunk;
        while ((*ret = collect_next(c, &at, &left, &chunk, NULL)) == COLLECT_CHUNK) {
            assert_true(chunk.len <= COLLECT_CHUNK_MAX);
            if (chunk.offset == 0) {
                assert_true(n < max);
                got[n] = (struct got){.size = chunk.size, .in_order = true};
                snprintf(got[n].path, sizeof(got[n].path), "%s", chunk.path);
                SHA256_Init(&got[n].sha);
                n++;
            }
            struct got *g = &got[n - 1];
            g->in_order = g->in_order && chunk.offset == g->bytes;
            g->bytes += chunk.len;
            g->chunks++;
            SHA256_Update(&g->sha, chunk.data, chunk.len);
            if (chunk.last) {
                uint8_t sum[32];
                SHA256_Final(sum, &g->sha);
                assert_memory_equal(sum, chunk.sha256, 32);
                g->last = true;
            }
        }
        if (*ret != COLLECT_MORE)
            return n;
    }
    return n;
}

static struct collect *collector(const struct collect_bytes *patterns, size_t n, uint32_t files,
                                 uint64_t bytes)
{
    const struct collect_rules rules = {.patterns = patterns,
                                        .n_patterns = n,
                                        .max_files = files,
                                        .max_bytes = bytes};
    struct collect *c = NULL;
    assert_int_equal(collect_new(&rules, &c, NULL), 0);
    return c;
}

static void files_arrive_whole_with_their_hash(void **state)
{
    (void)state;
    static uint8_t big[200 * 1000];
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (uint8_t)(i * 7 % 253);
    put_file("empty", "", 0);
    put_record(FS_DIR, "d", 1, 0, 0);
    put_file("d/big", big, sizeof(big));
    put_file("exact", big, COLLECT_CHUNK_MAX);
    put_file("small", "abc", 3);
    put_record(FS_END, "", 0, 0, 0);
    for (size_t step = 1; step < 300000; step = step * 3 + 7) {
        struct collect *c = collector(NULL, 0, 10, 1 << 20);
        struct got got[4];
        int r;
        assert_int_equal(collect_all(c, step, got, 4, &r), 4);
        assert_int_equal(r, COLLECT_END);
        collect_stop(c);
        static const char *names[] = {"empty", "d/big", "exact", "small"};
        static const int chunks[] = {1, 4, 1, 1};
        struct collect_list list;
        collect_list(c, &list);
        assert_false(list.incomplete);
        assert_int_equal(list.n_files, 4);
        assert_int_equal(list.n_skipped, 0);
        for (int i = 0; i < 4; i++) {
            assert_string_equal(got[i].path, names[i]);
            assert_true(got[i].last && got[i].in_order);
            assert_int_equal(got[i].bytes, got[i].size);
            assert_int_equal(got[i].chunks, chunks[i]);
            assert_string_equal(list.files[i].path, names[i]);
            assert_int_equal(list.files[i].size, got[i].size);
        }
        collect_free(c);
    }
}

static void a_broken_file_has_no_last_chunk_and_is_listed(void **state)
{
    (void)state;
    put_file("good", "1", 1);
    put_file("torn", "22", 2);
    put_record(FS_BROKEN, "torn", 4, -EIO, 0);
    put_file("after", "3", 1);
    put_record(FS_END, "", 0, 0, 0);
    struct collect *c = collector(NULL, 0, 10, 100);
    struct got got[4];
    int r;
    assert_int_equal(collect_all(c, 5, got, 4, &r), 2);
    assert_int_equal(r, COLLECT_END);
    struct collect_list list;
    collect_list(c, &list);
    assert_int_equal(list.n_files, 2);
    assert_string_equal(list.files[1].path, "after");
    assert_int_equal(list.n_skipped, 1);
    assert_string_equal(list.skipped[0].path, "torn");
    assert_string_equal(list.skipped[0].reason, "changed while read");
    collect_free(c);
}

static void caps_and_patterns_hold(void **state)
{
    (void)state;
    put_file("a.png", "11", 2);
    put_file("sub/b.png", "22", 2);
    put_file("c.txt", "33", 2);
    put_file("d.png", "44444", 5);
    put_file("e.png", "55", 2);
    put_file("f.png", "66", 2);
    put_record(FS_SKIPPED, "g.png", 5, -EFBIG, 1u << 30);
    put_record(FS_SKIPPED, "h.txt", 5, -EACCES, 1);
    put_record(FS_END, "", 0, 0, 0);
    const struct collect_bytes pattern = {"*.png", 5};
    struct collect *c = collector(&pattern, 1, 2, 6);
    struct got got[4];
    int r;
    assert_int_equal(collect_all(c, 11, got, 4, &r), 2);
    struct collect_list list;
    collect_list(c, &list);
    assert_string_equal(list.files[0].path, "a.png");
    assert_string_equal(list.files[1].path, "e.png");
    assert_int_equal(list.n_skipped, 3);
    assert_string_equal(list.skipped[0].path, "d.png");
    assert_string_equal(list.skipped[0].reason, "too many bytes");
    assert_string_equal(list.skipped[1].path, "f.png");
    assert_string_equal(list.skipped[1].reason, "too many files");
    assert_string_equal(list.skipped[2].path, "g.png");
    assert_int_equal(list.skipped[2].size, 1u << 30);
    collect_free(c);
}

static void the_list_of_skipped_files_is_bounded(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "f%d", i);
        put_file(name, "", 0);
    }
    put_record(FS_END, "", 0, 0, 0);
    struct collect *c = collector(NULL, 0, 1, 100);
    struct got got[4];
    int r;
    assert_int_equal(collect_all(c, 100, got, 4, &r), 1);
    struct collect_list list;
    collect_list(c, &list);
    assert_int_equal(list.n_skipped, COLLECT_SKIPPED_MAX);
    assert_int_equal(list.n_skipped + list.n_skipped_more, 999);
    collect_free(c);
}

static void a_helper_that_gives_up_or_is_cut_off_is_told_of(void **state)
{
    (void)state;
    put_file("whole", "1", 1);
    put_record(FS_FILE, "cut", 3, 0, 10);
    put("12345", 5);
    struct collect *c = collector(NULL, 0, 10, 100);
    struct got got[4];
    int r;
    struct collect_list list;
    collect_all(c, 9, got, 4, &r);
    assert_int_equal(r, COLLECT_MORE);
    collect_stop(c);
    collect_list(c, &list);
    assert_true(list.incomplete);
    assert_int_equal(list.n_files, 1);
    assert_int_equal(list.n_skipped, 1);
    assert_string_equal(list.skipped[0].path, "cut");
    collect_free(c);

    stream.len = 0;
    put_record(FS_END, "out of memory", 13, -ENOMEM, 0);
    c = collector(NULL, 0, 1, 100);
    collect_all(c, 9, got, 4, &r);
    assert_int_equal(r, COLLECT_END);
    collect_stop(c);
    collect_list(c, &list);
    assert_true(list.incomplete);
    collect_free(c);
}

static void patterns_stop_at_a_slash(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        {"*.png", "a.png", true},
        {"*.png", "d/a.png", false},
        {"*/*.png", "d/a.png", true},
        {"*/*.png", "d/e/a.png", false},
        {"?.c", "a.c", true},
        {"?.c", "/.c", false},
        {"a?c", "a/c", false},
        {"*", "", true},
        {"*", "abc", true},
        {"", "", true},
        {"", "a", false},
        {"a*b*c", "aXbYc", true},
        {"a*b*c", "aXbY", false},
        {"[a]", "a", false},
        {"[a]", "[a]", true},
        {"d/*", "d/", true},
        {"**", "ab", true},
        {"out/*", "out/a/b", false},
        {"*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(collect_match(cases[i].pattern, strlen(cases[i].pattern), cases[i].text,
                                       strlen(cases[i].text)),
                         cases[i].match);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_files_in_writes_files_out_reads, clear),
        cmocka_unit_test_setup(a_stream_without_files_is_an_end_record, clear),
        cmocka_unit_test_setup(hostile_names_are_refused, clear),
        cmocka_unit_test_setup(odd_but_harmless_names_pass, clear),
        cmocka_unit_test_setup(a_broken_stream_is_refused, clear),
        cmocka_unit_test_setup(files_arrive_whole_with_their_hash, clear),
        cmocka_unit_test_setup(a_broken_file_has_no_last_chunk_and_is_listed, clear),
        cmocka_unit_test_setup(caps_and_patterns_hold, clear),
        cmocka_unit_test_setup(the_list_of_skipped_files_is_bounded, clear),
        cmocka_unit_test_setup(a_helper_that_gives_up_or_is_cut_off_is_told_of, clear),
        cmocka_unit_test(patterns_stop_at_a_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
