#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "channel/cloudflare/cloudflare.h"
#include "channel/cloudflare/frame.h"
#include "channel/cloudflare/hide.h"
#include "channel/cloudflare/output.h"
#include "channel/cloudflare/process.h"
#include "tests/unit/tap.h"

/* --- codes ------------------------------------------------------------------------------------ */

static void test_codes(void) {
    static const struct {
        enum cf_code code;
        const char *text;
        int status;
    } rows[] = { { CF_SESSION_ALREADY_EXISTS, "SESSION_ALREADY_EXISTS", 409 },
                 { CF_SESSION_TERMINATED, "SESSION_TERMINATED", 410 },
                 { CF_FILE_NOT_FOUND, "FILE_NOT_FOUND", 404 },
                 { CF_FILE_TOO_LARGE, "FILE_TOO_LARGE", 413 },
                 { CF_IS_DIRECTORY, "IS_DIRECTORY", 400 },
                 { CF_PERMISSION_DENIED, "PERMISSION_DENIED", 403 },
                 { CF_GIT_AUTH_FAILED, "GIT_AUTH_FAILED", 401 },
                 { CF_PYTHON_NOT_AVAILABLE, "PYTHON_NOT_AVAILABLE", 501 },
                 { CF_GIT_NETWORK_ERROR, "GIT_NETWORK_ERROR", 502 },
                 { CF_VALIDATION_FAILED, "VALIDATION_FAILED", 400 },
                 { CF_UNKNOWN_ERROR, "UNKNOWN_ERROR", 500 } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        OK(strcmp(cf_code_text(rows[i].code), rows[i].text) == 0 &&
               cf_code_status(rows[i].code) == rows[i].status,
           "%s is %d", rows[i].text, rows[i].status);
    int wrong = 0;
    for (int i = 0; i < CF_NCODES; i++)
        wrong += cf_code_status((enum cf_code)i) == 503 || cf_code_status((enum cf_code)i) < 400;
    OK(wrong == 0, "no code says that the container is still starting");
}

static void test_members(void) {
    char buf[512];
    struct text t = TEXT(buf);
    text_add(&t, "{");
    cf_put(&t, "a", "x\"\n");
    cf_put(&t, "b", NULL);
    cf_put_number(&t, "c", -5);
    cf_put_flag(&t, "d", true);
    cf_put_bytes(&t, "e", "\0\xff", 2);
    text_add(&t, ",\"f\":[");
    cf_comma(&t);
    text_add(&t, "1");
    cf_comma(&t);
    text_add(&t, "2]");
    cf_put_time(&t, "g", 1795704046123);
    text_add(&t, "}");
    OK(strcmp(t.buf,
              "{\"a\":\"x\\\"\\n\",\"b\":null,\"c\":-5,\"d\":true,\"e\":\"\\u0000\xef\xbf\xbd\","
              "\"f\":[1,2],\"g\":\"2026-11-26T14:40:46.123Z\"}") == 0,
       "members: %s", t.buf);
}

/* --- frames ----------------------------------------------------------------------------------- */

static const struct frame_shell bash = { .dir = "/run/x", .bash = true };
static const struct frame_shell odd = { .dir = "/it's", .bash = false };

/* All of the text; its first line is shown. */
#define LINE(text)  (int)strcspn(text, "\n"), text
#define IS(t, want) OK(strcmp((t).buf, want) == 0 && !(t).cut, "%.*s", LINE((t).buf))

static void test_frames(void) {
    char buf[FRAME_TEXT];
    struct text t = TEXT(buf);
    frame_quote(&t, "");
    frame_quote(&t, "it's '");
    IS(t, "'''it'\\''s '\\'''");
    t = TEXT(buf);
    frame_first(&t, &bash);
    IS(t, "\\command . '/run/x/first'\n");
    t = TEXT(buf);
    frame_run(&t, &bash, 7, false, NULL);
    IS(t, "{ \\command . '/run/x/bash'; } </dev/null 1<>'/run/x/out.7' 2<>'/run/x/err.7'\n"
          "\\command echo 7 \"$?\" >'/run/x/control'\n");
    t = TEXT(buf);
    frame_run(&t, &odd, 8, true, "/no'where");
    IS(t, "if \\command . '/it'\\''s/before'; then { \\command . '/it'\\''s/sh'; } </dev/null "
          "1<>'/it'\\''s/out.8' 2<>'/it'\\''s/err.8'; __pn_r=$?; else { \\printf '%s%s%s\\n' "
          "\"Failed to change directory to '\" '/no'\\''where' \"'\"; } >'/it'\\''s/err.8'; "
          "__pn_r=1; fi\n\\command . '/it'\\''s/after'\n"
          "\\command echo 8 \"$__pn_r\" >'/it'\\''s/control'; \\unset __pn_r\n");
    t = TEXT(buf);
    frame_dump(&t, &bash, 9);
    IS(t, "( \\unset PINNACE_JOB; \\command . '/run/x/dump' ) </dev/null 2>/dev/null "
          ">|'/run/x/state.9'\n\\command echo 9 \"$?\" >'/run/x/control'\n");
}

/* A path may be as long as it likes: what does not fit is told, not written. */
static void test_frame_cut(void) {
    char buf[FRAME_TEXT], dir[600];
    struct text t = TEXT(buf);
    AUTO_FREE char *cwd = malloc(FRAME_TEXT + 1);
    memset(dir, 'd', sizeof dir - 1);
    dir[0] = '/';
    dir[sizeof dir - 1] = '\0';
    frame_first(&t, &(struct frame_shell){ .dir = dir });
    OK(t.cut, "a directory that is too long");
    memset(cwd, 'c', FRAME_TEXT);
    cwd[FRAME_TEXT] = '\0';
    t = TEXT(buf);
    frame_run(&t, &bash, 1, true, cwd);
    OK(t.cut, "a cwd that is too long");
}

static void test_files(void) {
    static const char *const env[] = { "A=it's", "B=", "3x=no", "PINNACE_JOB=1", NULL };
    static const char *const own[] = { "A=it's", NULL };
    char buf[8192];
    struct text t = TEXT(buf);
    frame_put_first(&t, &bash, "/a b", false);
    IS(t, "CDPATH= \\command cd -- '/a b' >/dev/null 2>&1 || \\command cd >/dev/null 2>&1 || "
          "\\command cd /root 2>/dev/null || \\command cd /\n"
          "\\trap '\\command . '\\''/run/x/save'\\''' 50\n");
    t = TEXT(buf);
    frame_put_first(&t, &bash, "/a", true);
    OK(strncmp(t.buf, "\\command . '/run/x/saved' >/dev/null 2>&1\n\\trap ", 47) == 0, "%.*s",
       LINE(t.buf));
    t = TEXT(buf);
    frame_put_dump(&t, &bash, env, own);
    OK(strstr(t.buf, "case ${B+x} in x) ;; *) \\printf '\\\\unset B\\n' ;; esac\n") &&
           !strstr(t.buf, "3x") && !strstr(t.buf, "PINNACE_JOB") &&
           strcmp(t.buf + t.len - 8, "\\set +o\n") == 0 && strstr(t.buf, "\\declare -f\n") &&
           !strstr(t.buf, "\\readonly"),
       "what a bash prints");
    t = TEXT(buf);
    frame_put_dump(&t, &odd, env, own);
    OK(strstr(t.buf, "\\readonly -p\n") && !strstr(t.buf, "declare"), "what a sh prints");
    t = TEXT(buf);
    *buf = '\0';
    frame_put_prefix(&t, NULL, NULL, NULL);
    IS(t, "");
    t = TEXT(buf);
    frame_put_prefix(&t, "/s", own, "/d");
    IS(t, "\\command . '/s' >/dev/null 2>&1; \\command export A='it'\\''s'; "
          "CDPATH= \\command cd -- '/d' >/dev/null 2>&1 || { \\printf '%s%s%s\\n' "
          "\"Failed to change directory to '\" '/d' \"'\" >&2; \\exit 1; }\n");
    t = TEXT(buf);
    frame_put_before(&t, &bash, own, NULL);
    IS(t, "__pn_s0=${A+x} __pn_v0=${A-} __pn_e0=${A+${A@a}}\n\\command export A='it'\\''s'\n:\n");
}

/* frame_size() says what they need at most. */
static void test_size(void) {
    char name[300], value[4000], *env[64], cwd[5000];
    memset(name, 'N', sizeof name);
    memset(value, '\'', sizeof value);
    memset(cwd, '\'', sizeof cwd - 1);
    cwd[sizeof cwd - 1] = '\0';
    for (size_t i = 0; i < 63; i++) {
        env[i] = malloc(sizeof name + sizeof value + 2);
        memcpy(env[i], name, sizeof name);
        env[i][sizeof name] = '=';
        memcpy(env[i] + sizeof name + 1, value, sizeof value);
        env[i][sizeof name + 1 + sizeof value] = '\0';
    }
    env[63] = NULL;
    const char *const *e = (const char *const *)env;
    size_t cap = frame_size(e, cwd);
    AUTO_FREE char *buf = malloc(cap);
    bool cut = false;
    for (int sh = 0; sh < 2; sh++) {
        struct frame_shell f = { .dir = "/run/x", .bash = sh };
        struct text t = { .buf = buf, .cap = cap };
        frame_put_before(&t, &f, e, cwd);
        cut |= t.cut;
        t = (struct text){ .buf = buf, .cap = cap };
        frame_put_after(&t, &f, e, cwd);
        cut |= t.cut;
        t = (struct text){ .buf = buf, .cap = cap };
        frame_put_prefix(&t, NULL, e, cwd);
        cut |= t.cut;
        t = (struct text){ .buf = buf, .cap = cap };
        frame_put_dump(&t, &f, e, NULL);
        cut |= t.cut;
    }
    OK(!cut, "%zu bytes are enough", cap);
    for (size_t i = 0; i < 63; i++)
        free(env[i]);
}

/* --- what is taken out ------------------------------------------------------------------------ */

static char left[512];

static void keep(void *arg, const char *bytes, size_t n) {
    (void)arg;
    (void)strncat(left, bytes, n);
}

/* In pieces of every length. */
static void test_hide(void) {
    static const struct {
        const char *text, *in, *out;
    } rows[] = {
        { "/run/x/", "/run/x/bash: no\n", "bash: no\n" },
        { "/run/x/", "a /run/x/b /run/x//run/x/c /run/", "a b c /run/" },
        { "/run/x/", "/run/run/x/y", "/runy" },
        { "/run/x/", "//run/x", "//run/x" },
        { "/run/x/", "/run/x//run/x", "/run/x" },
        { "aab", "aaab aabaab aa", "a  aa" },
        { "", "as it is", "as it is" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t piece = 1; piece <= strlen(rows[i].in); piece++) {
            struct hide h = { .put = keep };
            (void)strcpy(h.text, rows[i].text);
            left[0] = '\0';
            for (size_t at = 0; at < strlen(rows[i].in); at += piece) {
                size_t n = strlen(rows[i].in + at);
                hide_take(&h, rows[i].in + at, n < piece ? n : piece);
            }
            hide_end(&h);
            if (strcmp(left, rows[i].out) != 0 || piece == 1)
                OK(strcmp(left, rows[i].out) == 0, "row %zu by %zu: '%.*s'", i, piece, LINE(left));
        }
}

/* --- what is printed -------------------------------------------------------------------------- */

static void test_output(void) {
    struct cf_output o = CF_OUTPUT_EMPTY;
    char buf[64];
    OK(cf_output_read(&o, 0, buf, sizeof buf) == 0 && o.size == 0, "nothing");
    cf_output_put(&o, "\0a\0\0b\n\0", 7);
    cf_output_put(&o, "\n", 1);
    OK(o.size == 4 && cf_output_read(&o, 0, buf, sizeof buf) == 4 && memcmp(buf, "ab\n\n", 4) == 0,
       "NUL bytes are left out");
    cf_output_trim(&o);
    cf_output_trim(&o);
    OK(o.size == 3 && cf_output_read(&o, 1, buf, sizeof buf) == 2 && o.file < 0,
       "one newline is taken off");
    cf_output_free(&o);
    AUTO_FREE char *much = malloc(1000);
    memset(much, 'x', 1000);
    for (int i = 0; i < 1000; i++) {
        much[0] = (char)('a' + i % 26);
        cf_output_put(&o, much, 1000);
    }
    OK(o.size == 1000000 && o.file >= 0 && !o.mem && !o.failed, "much is in a file");
    OK(cf_output_read(&o, 25000, buf, 2) == 2 && buf[0] == 'z' && buf[1] == 'x' &&
           cf_output_read(&o, 999999, buf, sizeof buf) == 1 &&
           cf_output_read(&o, 1000000, buf, sizeof buf) == 0,
       "and can be read anywhere");
    cf_output_free(&o);
    OK(o.size == 0 && o.file < 0, "and is given back");
}

/* --- processes -------------------------------------------------------------------------------- */

static void test_keys(void) {
    char key[JOB_TEXT], other[JOB_TEXT], id[CF_SESSION_TEXT];
    cf_process_key("default", key);
    OK(strcmp(key, "cf:default") == 0, "%s", key);
    memset(id, 'i', 200);
    id[200] = '\0';
    cf_process_key(id, key);
    id[199] = 'j';
    cf_process_key(id, other);
    OK(strlen(key) < JOB_TEXT && strcmp(key, other) != 0 && strncmp(key, "cf:iiii", 7) == 0,
       "long ids have keys of their own: %s", key);
    memset(id, 'i', 60);
    id[60] = '\0';
    cf_process_key(id, key);
    OK(strlen(key) == 63 && strcmp(key + 3, id) == 0, "one that just fits: %s", key);
}

static void test_status(void) {
    static const struct {
        enum job_state state;
        bool known, signaled;
        int code, exit;
        const char *status;
    } rows[] = { { JOB_STARTING, false, false, 0, -1, "starting" },
                 { JOB_RUNNING, false, false, 0, -1, "running" },
                 { JOB_ENDED, true, false, 0, 0, "completed" },
                 { JOB_ENDED, true, false, 3, 3, "failed" },
                 { JOB_ENDED, true, true, 9, 137, "killed" },
                 { JOB_ENDED, true, true, 15, 143, "killed" },
                 { JOB_ENDED, true, false, 143, 143, "killed" },
                 { JOB_ENDED, true, true, 11, 139, "failed" },
                 { JOB_ENDED, false, false, 0, -1, "error" } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct job j = { .state = rows[i].state };
        j.end.known = rows[i].known;
        j.end.how.signaled = rows[i].signaled;
        j.end.how.code = rows[i].code;
        OK(cf_exit_status(&j) == rows[i].exit && strcmp(cf_process_status(&j), rows[i].status) == 0,
           "%s, %d", cf_process_status(&j), cf_exit_status(&j));
    }
}

/* After a restart there is only the record. */
static void test_command(void) {
    static const struct {
        const char *record, *command;
    } rows[] = {
        { "[\"/bin/bash\",\"-c\",\"npm run dev\",\"bash\"]", "npm run dev" },
        { "[\"/bin/sh\",\"-c\",\"\\\\command . '/s' >/dev/null 2>&1; \\nls\\nx\",\"sh\"]",
          "ls\nx" },
        { "[\"/bin/sh\",\"-c\",\"CDPATH= \\\\command cd -- 'a'\\nls\"]", "ls" },
        { "[\"/bin/bash\",\"-c\",\"a\\nb\"]", "a\nb" },
        { "[]", "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct job j = { .command = (char *)(uintptr_t)rows[i].record };
        AUTO_FREE char *command = cf_process_command(&j);
        OK(strcmp(command, rows[i].command) == 0, "row %zu: %.*s", i, LINE(command));
    }
    struct job noted = { .command = (char *)(uintptr_t) "[]", .note = (char *)(uintptr_t) "whole" };
    AUTO_FREE char *command = cf_process_command(&noted);
    OK(strcmp(command, "whole") == 0, "else it is as it came");
}

int main(void) {
    test_codes();
    test_members();
    test_frames();
    test_frame_cut();
    test_files();
    test_size();
    test_hide();
    test_output();
    test_keys();
    test_status();
    test_command();
    return tap_end();
}
