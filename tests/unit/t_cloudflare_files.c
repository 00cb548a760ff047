#include <string.h>

#include "channel/cloudflare/files.h"
#include "tests/unit/tap.h"

static void test_types(void) {
    static const struct {
        const char *name, *type;
        bool text;
    } rows[] = {
        { "a.txt", "text/plain", true },
        { "/x/a.ts", "text/javascript", true },
        { "a.rs", "application/rls-services+xml", true },
        { "a.svg", "image/svg+xml", true },
        { "a.json", "application/json", true },
        { "a.tar.gz", "application/gzip", false },
        { "a.png", "image/png", false },
        { "a.TXT", NULL, false },
        { "a.py", NULL, false },
        { "Makefile", NULL, false },
        { ".txt", NULL, false },
        { "/dir.txt/a", NULL, false },
        { "/dir/.json", NULL, false },
        { "a.", NULL, false },
        { "a. ", NULL, false },
        { "a.js mjs", NULL, false },
        { "a.averyveryverylongending", NULL, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *type = cf_media_type(rows[i].name);
        bool same = rows[i].type ? type && strcmp(type, rows[i].type) == 0 : !type;
        OK(same && (!type || cf_media_is_text(type) == rows[i].text), "%s: %s", rows[i].name,
           type ? type : "unknown");
    }
    OK(cf_media_is_text("inode/x-empty") && cf_media_is_text("a/b+json") &&
           !cf_media_is_text("application/octet-stream") && !cf_media_is_text("xtext/plain"),
       "what is text");
}

static void test_paths(void) {
    static char path[CF_MAX_PATH + 2];
    memset(path, 'x', sizeof path - 1);
    OK(!cf_path_fault((struct slice){ "a", 1 }) &&
           !cf_path_fault((struct slice){ path, CF_MAX_PATH }),
       "paths");
    OK(cf_path_fault((struct slice){ path, CF_MAX_PATH + 1 }) &&
           cf_path_fault((struct slice){ "", 0 }) && cf_path_fault((struct slice){ 0 }) &&
           cf_path_fault((struct slice){ "a\0b", 3 }),
       "what is none: too long, empty, none at all, with a NUL");
}

int main(void) {
    test_types();
    test_paths();
    return tap_end();
}
