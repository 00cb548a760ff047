/* Whose daemon.json is it? The record beside it: its text, and what it makes of every state
 * that a crash, an edit or another boot can leave the two files in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "engine/json_file.h"
#include "sys/file.h"
#include "tests/unit/tap.h"

#define ONE  "{\"bip\":1}"
#define TWO  "{\"bip\":2}"
#define USER "{ \"x\": \"a\" }\n"

static char dir[] = "/tmp/t_engine_record-XXXXXX";
static char json[64], record[96];

static struct json_text text_of(const char *s) { return (struct json_text){ s, strlen(s) }; }

static bool same(struct json_text t, const char *s) {
    return t.len == strlen(s) && memcmp(t.at, s, t.len) == 0;
}

static void hashes(void) {
    /* From the algorithm's authors: FNV-1a, 64 bits. */
    OK(record_hash(text_of("")) == UINT64_C(0xcbf29ce484222325), "FNV-1a of nothing");
    OK(record_hash(text_of("a")) == UINT64_C(0xaf63dc4c8601ec8c), "of one byte");
    OK(record_hash(text_of("foobar")) == UINT64_C(0x85944171f73967e8), "of a word");
}

static void round_trips(void) {
    static const char *const texts[] = { "", USER, "\n", "# pinnace wrote \n", "\xef\xbb\xbf{}" };
    char buf[256];
    struct json_record r, back;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        r = (struct json_record){ .wrote = { 1, UINT64_MAX - i }, .existed = true };
        size_t n = record_head(buf, &r);
        OK(n < RECORD_HEAD && buf[n - 1] == '\n', "a head of %zu bytes", n);
        memcpy(buf + n, texts[i], strlen(texts[i]) + 1);
        OK(record_parse(text_of(buf), &back) && back.existed && back.wrote[0] == 1 &&
               back.wrote[1] == UINT64_MAX - i && same(back.original, texts[i]),
           "original %zu comes back byte for byte", i);
    }
    r.existed = false;
    (void)record_head(buf, &r);
    OK(record_parse(text_of(buf), &back) && !back.existed && back.original.len == 0,
       "that there was no file");
    (void)strcat(buf, "x");
    OK(!record_parse(text_of(buf), &back), "but then nothing may follow");
}

static void refuses(void) {
    char buf[RECORD_HEAD + 8], bad[RECORD_HEAD + 8];
    struct json_record r = { .wrote = { 7, 8 }, .existed = true }, back;
    size_t n = record_head(buf, &r);
    int believed = 0;
    for (size_t i = 0; i < n; i++)
        believed += record_parse((struct json_text){ buf, i }, &back) || back.original.at;
    OK(believed == 0, "no beginning of a head is one");
    for (size_t i = 0; i < n; i++) {
        memcpy(bad, buf, n);
        bad[i] = (char)(bad[i] ^ 0x80);
        believed += record_parse((struct json_text){ bad, n }, &back);
    }
    OK(believed == 0, "nor one with a byte changed");
    memcpy(bad, buf, n);
    bad[16] = 'A';
    OK(!record_parse((struct json_text){ bad, n }, &back), "nor one in capitals");
}

/* --- on disk --- */

static void put(const char *path, const char *text) {
    struct err e;
    if (!text)
        (void)unlink(path);
    else if (file_replace(path, text, strlen(text), &e) < 0)
        OK(false, "%s", e.text);
}

static bool holds(const char *path, const char *text) {
    AUTO_FREE char *is = NULL;
    size_t len = 0;
    if (file_read(path, 4096, &is, &len, NULL) < 0)
        return !text;
    return text && len == strlen(text) && memcmp(is, text, len) == 0;
}

/* The text of a record: what was there before, and which texts are ours. */
static const char *record_of(char *buf, const char *original, const char *a, const char *b) {
    struct json_record r = { .wrote = { record_hash(text_of(a)), record_hash(text_of(b)) },
                             .existed = original };
    size_t n = record_head(buf, &r);
    (void)strcpy(buf + n, original ? original : "");
    return buf;
}

static bool reads_as(const char *base, bool ours, bool edited) {
    struct json_file f;
    json_file_read(&f, json);
    bool good =
        f.error == 0 && f.ours == ours && f.edited == edited && same(json_file_base(&f), base);
    if (!good)
        printf("# error %d, ours %d, edited %d, base <%.*s>\n", f.error, f.ours, f.edited,
               (int)json_file_base(&f).len, json_file_base(&f).at);
    json_file_free(&f);
    return good;
}

static int write_text(const char *text) {
    struct json_file f;
    struct err e = { 0 };
    json_file_read(&f, json);
    int rc = json_file_write(&f, text_of(text), &e);
    if (rc < 0)
        printf("# %s\n", e.text);
    json_file_free(&f);
    return rc;
}

static int restore(void) {
    struct json_file f;
    struct err e;
    json_file_read(&f, json);
    int rc = json_file_restore(&f, &e);
    json_file_free(&f);
    return rc;
}

/* A life: `original` is what the user had, NULL for no file. */
static void lives(const char *original) {
    char buf[256];
    struct stat st, again;
    put(json, original);
    put(record, NULL);
    OK(reads_as(original ? original : "", false, false), "%s", original ? "a file" : "no file");
    OK(write_text(ONE) == 1 && holds(json, ONE) &&
           holds(record, record_of(buf, original, ONE, ONE)),
       "  the first write, and its record");
    OK(stat(record, &st) == 0 && (st.st_mode & 0777) == 0600, "  which is private");
    OK(reads_as(original ? original : "", true, false), "  the next boot knows it");
    OK(write_text(ONE) == 0 && stat(record, &again) == 0 && again.st_ino == st.st_ino,
       "  and writes neither again");
    OK(write_text(TWO) == 1 && holds(json, TWO) &&
           holds(record, record_of(buf, original, ONE, TWO)),
       "  another text: the original stays the user's");
    OK(reads_as(original ? original : "", true, false), "  which the next boot knows");
    OK(restore() == 0 && holds(json, original) && holds(record, NULL), "  all is as it was");
    OK(restore() == 0 && holds(json, original), "  and stays so");
}

/* clang-format off */
static const struct {
    const char *what, *now;     /* daemon.json */
    const char *original, *a, *b; /* the record; no `a`: none */
    const char *base;
    bool ours, edited;
} states[] = {
    { "first write, crash before the file", USER, USER, ONE, ONE, USER, false, false },
    { "first write of no file, crash before the file", NULL, NULL, ONE, ONE, "", false, false },
    { "second write, crash before the file", ONE, USER, ONE, TWO, USER, true, false },
    { "second write, done", TWO, USER, ONE, TWO, USER, true, false },
    { "third write, crash before the file", TWO, USER, TWO, ONE, USER, true, false },
    { "the other order: a file before its record", ONE, NULL, NULL, NULL, ONE, false, false },
    { "the other order, second time", TWO, USER, ONE, ONE, TWO, false, true },
    { "put back, crash before the record goes", USER, USER, ONE, TWO, USER, false, false },
    { "removed, crash before the record goes", NULL, NULL, ONE, ONE, "", false, false },
    { "the user edited it", "{\"bip\":1,\"x\":2}", USER, ONE, ONE, "{\"bip\":1,\"x\":2}", false, true },
    { "the user removed it", NULL, USER, ONE, ONE, "", false, false },
    { "the user emptied it", "", USER, ONE, ONE, "", false, true },
    { "the user took the original back", USER, USER, ONE, ONE, USER, false, false },
    { "half a file of ours", "{\"bip", USER, ONE, TWO, "{\"bip", false, true },
};
/* clang-format on */

static void states_of_two_files(void) {
    char buf[256];
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        put(json, states[i].now);
        put(record,
            states[i].a ? record_of(buf, states[i].original, states[i].a, states[i].b) : NULL);
        OK(reads_as(states[i].base, states[i].ours, states[i].edited), "%s", states[i].what);
        /* Whatever it was: one more write and its undoing lead back to the user's text. */
        bool file = states[i].ours ? states[i].original != NULL : states[i].now != NULL;
        OK(write_text("{\"new\":1}") == 1 && reads_as(states[i].base, true, false),
           "  then a write keeps what is the user's");
        OK(restore() == 0 && holds(json, file ? states[i].base : NULL), "  and gives it back");
    }
}

static void keeps_rights(void) {
    struct stat st;
    put(json, USER);
    put(record, NULL);
    (void)chmod(json, 0640);
    OK(write_text(ONE) == 1 && stat(json, &st) == 0 && (st.st_mode & 0777) == 0640,
       "the file's mode stays");
    OK(restore() == 0 && stat(json, &st) == 0 && (st.st_mode & 0777) == 0640, "also back again");
    put(record, "");
    OK(write_text(ONE) == 1 && reads_as(USER, true, false), "an empty record is none");
    put(record, "hello");
    OK(reads_as(ONE, false, false), "nor is any other text");
    put(record, NULL);
}

static void fails(void) {
    char buf[256];
    struct json_file f;
    struct err e = { 0 };
    put(json, USER);
    OK(mkdir(record, 0700) == 0 && write_text(ONE) < 0 && holds(json, USER),
       "no record can be made: the file stays as it is");
    (void)rmdir(record);
    put(json, ONE);
    put(record, record_of(buf, USER, ONE, ONE));
    json_file_read(&f, json);
    json_file_disown(&f);
    OK(!f.ours && same(json_file_base(&f), ONE) && json_file_restore(&f, &e) == 0 &&
           holds(json, ONE),
       "disowned: all is the user's, and nothing is put back");
    json_file_free(&f);
    (void)unlink(json);
    OK(mkdir(json, 0700) == 0, "a folder of that name");
    json_file_read(&f, json);
    OK(f.error == EINVAL && !f.ours && json_file_text(&f).len == 0, "is an error, and not ours");
    json_file_free(&f);
    (void)rmdir(json);
    (void)unlink(record);
}

int main(void) {
    hashes();
    round_trips();
    refuses();
    if (!OK(mkdtemp(dir), "a directory"))
        return tap_end();
    (void)snprintf(json, sizeof json, "%s/etc/daemon.json", dir);
    (void)snprintf(record, sizeof record, "%s.before-pinnace", json);
    lives(NULL);
    lives("");
    lives(USER);
    states_of_two_files();
    keeps_rights();
    fails();
    char etc[64];
    (void)snprintf(etc, sizeof etc, "%s/etc", dir);
    OK(rmdir(etc) == 0 && rmdir(dir) == 0, "nothing else is left");
    return tap_end();
}
