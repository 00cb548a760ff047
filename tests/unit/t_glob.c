#include "base/glob.h"

#include <string.h>

#include "tests/unit/tap.h"

static void test_matches(void) {
    static const struct {
        const char *pattern, *path;
        bool want;
    } rows[] = {
        { "a", "a", true },
        { "a", "b", false },
        { "a", "aa", false },
        { "a", "x/a", true },
        { "a", "x/a/y", true },
        { "a", "xa/y", false },
        { "a/b", "a/b", true },
        { "a/b", "x/a/b/c", true },
        { "a/b", "a/x/b", false },
        { "a/", "a", true },
        { "a/", "a/b", true },
        { "/a", "a", true },
        { "/a", "x/a", false },
        { "/a/b", "a/b/c", true },
        { "*", "a", true },
        { "*.o", "a.o", true },
        { "*.o", "dir/a.o", true },
        { "*.o", "a.oo", false },
        { "*.o", ".o", true },
        { "*.o", "a.o/b", true },
        { "a*b", "ab", true },
        { "a*b", "axxb", true },
        { "a*b", "ax/b", false },
        { "a*b*c", "axbxbxc", true },
        { "a?c", "abc", true },
        { "a?c", "ac", false },
        { "a?c", "a/c", false },
        { "**", "a/b/c", true },
        { "**/a", "a", true },
        { "**/a", "x/y/a", true },
        { "**/a", "x/ya", false },
        { "a/**", "a/b", true },
        { "a/**", "a/b/c", true },
        { "a/**", "b/a", false },
        { "a/**/b", "a/b", true },
        { "a/**/b", "a/x/y/b", true },
        { "a/**/b", "a/xb", false },
        { "/src/**/*.ts", "src/a/b.ts", true },
        { "/src/**/*.ts", "src/b.ts", true },
        { "/src/**/*.ts", "x/src/b.ts", false },
        { "***", "a/b", true },
        { "node_modules", "a/node_modules/b/c", true },
        { "node_modules", "a/node_modules2", false },
        { ".git", ".git", true },
        { ".git", ".gitignore", false },
        { "[a]", "a", false },
        { "[a]", "[a]", true },
        { "a\\*", "a*", true },
        { "a\\*", "ab", false },
        { "/\\?x/\\\\", "?x/\\", true },
        { "/\\?x", "ax", false },
        { "a\\", "a\\", true },
        { "", "a", false },
        { "/", "a", false },
        { "a", "", false },
        { "*", "", false },
        { "\xc3\xbc*",
          "\xc3\xbc"
          "ber",
          true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        OK(glob_matches(rows[i].pattern, rows[i].path) == rows[i].want, "'%s' %s '%s'",
           rows[i].pattern, rows[i].want ? "matches" : "does not match", rows[i].path);
}

static void test_bounds(void) {
    char pattern[GLOB_MAX + 2], path[4096];
    memset(pattern, 'a', sizeof pattern);
    memset(path, 'a', sizeof path);
    pattern[GLOB_MAX + 1] = path[GLOB_MAX + 1] = '\0';
    OK(!glob_matches(pattern, path), "a pattern of %d bytes matches nothing", GLOB_MAX + 1);
    pattern[GLOB_MAX] = path[GLOB_MAX] = '\0';
    OK(glob_matches(pattern, path), "one of %d does", GLOB_MAX);
    /* What would keep a matcher that goes back busy for ever. */
    for (size_t i = 0; i + 2 < GLOB_MAX; i += 3)
        memcpy(pattern + i, "a**", 3);
    memset(path, 'a', sizeof path);
    path[sizeof path - 1] = '\0';
    path[sizeof path - 2] = 'b';
    pattern[GLOB_MAX - 1] = 'c';
    pattern[GLOB_MAX] = '\0';
    OK(!glob_matches(pattern, path), "many stars on a long path end");
    static const char *const any[] = { "x", "*.log", NULL };
    OK(glob_any(any, "a/b.log") && !glob_any(any, "a/b") && !glob_any(NULL, "a"), "any of them");
}

int main(void) {
    test_matches();
    test_bounds();
    return tap_end();
}
