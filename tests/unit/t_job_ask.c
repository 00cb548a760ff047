#include "channel/native/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

static struct job_ask ask;
static struct err e;
static yyjson_doc *doc;

static int parse(const char *json) {
    job_ask_release(&ask);
    yyjson_doc_free(doc);
    e = (struct err){ 0 };
    doc = yyjson_read(json, strlen(json), 0);
    return job_ask_parse(&ask, yyjson_doc_get_root(doc), true, &e);
}

static void test_commands(void) {
    OK(parse("{\"argv\":[\"ls\",\"-l\",\"\"]}") == 0 && strcmp(ask.words[1], "-l") == 0 &&
           ask.words[2][0] == '\0' && !ask.words[3],
       "argv, also with an empty word");
    OK(ask.detach && span_is_never(ask.spec.timeout) && !ask.spec.stdin_pipe && !ask.spec.pty &&
           ask.spec.keep == 0 && ask.spec.kill_after.ns == span_s(2).ns,
       "what is not said has its default");
    OK(parse("{\"shell\":\"a | b\"}") == 0 && strcmp(ask.words[0], "/bin/sh") == 0 &&
           strcmp(ask.words[2], "a | b") == 0 && !ask.words[3],
       "shell");
    OK(parse("{\"login\":true,\"shell\":\"a\"}") == 0 && strcmp(ask.words[1], "-l") == 0 &&
           strcmp(ask.words[3], "a") == 0 && !ask.words[4],
       "a login shell, whichever member comes first");
}

static void test_members(void) {
    OK(parse("{\"argv\":[\"a\"],\"env\":{\"A\":\"1=2\",\"B\":null,\"C\":\"\"},\"cwd\":\"/"
             "x\",\"user\":\"u:g\","
             "\"stdin\":\"pipe\",\"pty\":{\"rows\":50},\"timeout_ms\":1500,\"kill_after_ms\":0,"
             "\"tag\":\"t\","
             "\"key\":\"k\",\"keep_output\":65536,\"detach\":false}") == 0,
       "all members: %s", e.text);
    OK(strcmp(ask.spec.env[0], "A=1=2") == 0 && strcmp(ask.spec.env[1], "B") == 0 &&
           strcmp(ask.spec.env[2], "C=") == 0 && !ask.spec.env[3],
       "env: a value, a removal, an empty one");
    OK(ask.spec.pty && ask.spec.rows == 50 && ask.spec.cols == 80, "pty, with a default");
    OK(ask.spec.timeout.ns == span_ms(1500).ns && ask.spec.kill_after.ns == 0 &&
           ask.spec.keep == 65536 && !ask.detach,
       "times and sizes");
}

static void test_keys(void) {
    (void)parse("{\"argv\":[\"a\"],\"key\":\"k\"}");
    uint64_t first = ask.spec.key_hash;
    (void)parse("{\"argv\":[\"a\"],\"key\":\"k\"}");
    OK(ask.spec.key_hash == first && first != 0, "the same request is recognised");
    (void)parse("{\"argv\":[\"b\"],\"key\":\"k\"}");
    OK(ask.spec.key_hash != first, "and another one");
}

static void test_refusals(void) {
    static const struct {
        const char *json, *word;
    } bad[] = {
        { "[]", "object" },
        { "{}", "argv or shell" },
        { "{\"argv\":[\"a\"],\"shell\":\"a\"}", "only one" },
        { "{\"argv\":[]}", "argv" },
        { "{\"argv\":[\"\"]}", "empty" },
        { "{\"argv\":\"ls\"}", "argv" },
        { "{\"argv\":[1]}", "argv" },
        { "{\"argv\":[\"a\\u0000b\"]}", "NUL" },
        { "{\"argv\":[\"a\"],\"login\":true}", "login" },
        { "{\"argv\":[\"a\"],\"cmd\":1}", "'cmd'" },
        { "{\"argv\":[\"a\"],\"timout_ms\":1}", "did you mean timeout_ms" },
        { "{\"argv\":[\"a\"],\"timeout_ms\":0}", "timeout_ms" },
        { "{\"argv\":[\"a\"],\"timeout_ms\":-1}", "timeout_ms" },
        { "{\"argv\":[\"a\"],\"timeout_ms\":1e3}", "timeout_ms" },
        { "{\"argv\":[\"a\"],\"timeout_ms\":99999999999999999}", "timeout_ms" },
        { "{\"argv\":[\"a\"],\"env\":{\"\":\"x\"}}", "env" },
        { "{\"argv\":[\"a\"],\"env\":{\"A=B\":\"x\"}}", "env" },
        { "{\"argv\":[\"a\"],\"env\":{\"A\":1}}", "env" },
        { "{\"argv\":[\"a\"],\"env\":[]}", "env" },
        { "{\"argv\":[\"a\"],\"pty\":true}", "pty" },
        { "{\"argv\":[\"a\"],\"pty\":{\"rows\":70000}}", "pty.rows" },
        { "{\"argv\":[\"a\"],\"pty\":{\"height\":1}}", "pty" },
        { "{\"argv\":[\"a\"],\"stdin\":true}", "stdin" },
        { "{\"argv\":[\"a\"],\"keep_output\":67108865}", "keep_output" },
        { "{\"argv\":[\"a\"],\"tag\":"
          "\"0123456789012345678901234567890123456789012345678901234567890123\"}",
          "tag" },
        { "{\"argv\":[\"a\"],\"detach\":1}", "detach" },
        { "null", "object" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        OK(parse(bad[i].json) < 0 && strstr(e.text, bad[i].word), "%s: %s", bad[i].json, e.text);
}

static void test_limits(void) {
    static char json[16 * MAX_JOB_WORDS + 64];
    struct text t = TEXT(json);
    text_add(&t, "{\"argv\":[\"a\"");
    for (int i = 1; i < MAX_JOB_WORDS; i++)
        text_add(&t, ",\"%d\"", i);
    size_t at = t.len;
    text_add(&t, "]}");
    OK(parse(json) == 0 && strcmp(ask.spec.argv[MAX_JOB_WORDS - 1], "65535") == 0 &&
           !ask.spec.argv[MAX_JOB_WORDS],
       "%d words", MAX_JOB_WORDS);
    t.len = at;
    text_add(&t, ",\"a\"]}");
    OK(parse(json) == -E2BIG && strstr(e.text, "65536"), "and not one more: %s", e.text);
    t.len = 0;
    text_add(&t, "{\"argv\":[\"a\"],\"env\":{\"V0\":\"\"");
    for (int i = 1; i < MAX_JOB_ENV; i++)
        text_add(&t, ",\"V%d\":\"\"", i);
    at = t.len;
    text_add(&t, "}}");
    OK(parse(json) == 0 && strcmp(ask.spec.env[MAX_JOB_ENV - 1], "V4095=") == 0, "%d variables",
       MAX_JOB_ENV);
    t.len = at;
    text_add(&t, ",\"V\":null}}");
    OK(parse(json) == -E2BIG && strstr(e.text, "env"), "and not one more: %s", e.text);
}

static void test_json(void) {
    char buf[JOB_JSON_MAX];
    struct text t = TEXT(buf);
    char command[] = "[\"sleep\",\"5\"]";
    struct job j = { .id = 0xabcdef012345,
                     .state = JOB_RUNNING,
                     .leader = 42,
                     .command = command,
                     .tag = "a\"b",
                     .started_unix_ms = 1764140000000,
                     .started = { 1000000 } };
    job_json(&j, (instant){ 6000000 }, &t);
    OK(strcmp(buf,
              "{\"id\":\"abcdef012345\",\"argv\":[\"sleep\",\"5\"],\"tag\":\"a\\\"b\",\"pid\":42,"
              "\"state\":\"running\",\"pty\":false,\"stdin\":\"none\",\"started_unix_ms\":"
              "1764140000000,\"ran_ms\":5,\"output\":{\"from\":0,\"to\":0},\"end\":null}") == 0,
       "a running one: %s", buf);
    j.state = JOB_ENDED;
    j.end = (struct job_end){ .known = true,
                              .how = { .signaled = true, .core = true, .code = 11 },
                              .oom = true,
                              .timed_out = true };
    t = TEXT(buf);
    job_json(&j, (instant){ 6000000 }, &t);
    OK(strstr(buf, "\"end\":{\"signal\":11,\"core\":true,\"timed_out\":true,\"oom\":true}}"),
       "an ended one: %s", buf);
    j.end = (struct job_end){ .known = false };
    t = TEXT(buf);
    job_json(&j, (instant){ 6000000 }, &t);
    OK(strstr(buf, "\"end\":{\"lost\":true}}"), "one that nobody saw end");
}

int main(void) {
    test_commands();
    test_members();
    test_keys();
    test_refusals();
    test_limits();
    test_json();
    job_ask_release(&ask);
    yyjson_doc_free(doc);
    return tap_end();
}
