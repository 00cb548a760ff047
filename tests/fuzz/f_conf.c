/* Any text as a configuration: taken or refused with a message; what is taken dumps to a file
 * that is taken too and dumps to the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dumped[2][1 << 20];

static void collect(void *arg, const char *line) { text_add(arg, "%s\n", line); }

static int load(struct conf *c, const char *text, char *const *env, struct err *e) {
    int rc = conf_begin(c, e);
    rc = rc < 0 ? rc : conf_add_text(c, "fuzz.ini", text, e);
    rc = rc < 0 ? rc : conf_add_env(c, env, e);
    rc = rc < 0 ? rc : conf_finish(c, e);
    if (rc < 0 && (rc != -e->code || !e->text[0]))
        abort();
    if (rc < 0)
        conf_free(c);
    return rc;
}

static void dump(struct conf *c, char *buf) {
    struct text t = { .buf = buf, .cap = sizeof dumped[0] };
    buf[0] = '\0';
    conf_dump(c, collect, &t);
    conf_free(c);
    if (t.cut)
        abort();
}

/* What libc's regcomp makes of a pattern is not ours to test, and takes for ever. */
static int has_regex(const char *text) { return strstr(text, "log:") != NULL; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char text[1 << 16];
    char *env[] = { NULL, NULL };
    struct conf c;
    struct err e;
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (has_regex(text) || has_regex(text + strlen(text) + (strlen(text) < size)))
        return 0;
    /* What comes after a NUL is one variable. */
    if (strlen(text) < size)
        env[0] = text + strlen(text) + 1;
    log_init(-1, LOG_TEXT, LOG_ERROR);
    if (load(&c, text, env, &e) < 0)
        return 0;
    dump(&c, dumped[0]);
    env[0] = NULL;
    int rc = load(&c, dumped[0], env, &e);
    if (rc == 0) {
        dump(&c, dumped[1]);
        bool hides = strstr(dumped[0], "\n; token is set"); /* a secret, which is not dumped */
        if (strcmp(dumped[0], dumped[1]) != 0 && !hides)
            abort();
    } else if (!strstr(dumped[0], "\n; ")) { /* a command of several lines cannot be dumped */
        abort();
    }
    return 0;
}
