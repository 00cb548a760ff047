#include "base/glob.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WORDS = (GLOB_MAX + 64) / 64 };

/* Where in the pattern one can be: bit i says that all before its i-th byte has matched. */
struct places {
    uint64_t bits[WORDS];
};

static void put(struct places *p, size_t i) { p->bits[i / 64] |= UINT64_C(1) << i % 64; }
static bool has(const struct places *p, size_t i) { return p->bits[i / 64] >> i % 64 & 1; }

/* Here, and where stars that match nothing lead to; a whole part of a path that is "**" may be
 * nothing together with its slash. */
static void reach(struct places *p, const char *pattern, size_t i) {
    put(p, i);
    while (pattern[i] == '*') {
        bool two = pattern[i + 1] == '*', begins = i == 0 || pattern[i - 1] == '/';
        if (two && begins && pattern[i + 2] == '/')
            put(p, i + 3);
        i += two ? 2 : 1;
        put(p, i);
    }
}

static bool is_nowhere(const struct places *p) {
    for (size_t i = 0; i < WORDS; i++)
        if (p->bits[i])
            return false;
    return true;
}

static void step(const struct places *from, struct places *to, const char *pattern, size_t n,
                 char c) {
    for (size_t i = 0; i < n; i++) {
        if (!has(from, i))
            continue;
        bool two = pattern[i] == '*' && pattern[i + 1] == '*';
        if (two || (pattern[i] == '*' && c != '/')) {
            put(to, i);
            reach(to, pattern, i + (two ? 2 : 1));
        } else if (pattern[i] == '\\' && i + 1 < n) {
            if (pattern[i + 1] == c)
                reach(to, pattern, i + 2);
        } else if (pattern[i] == c || (pattern[i] == '?' && c != '/')) {
            reach(to, pattern, i + 1);
        }
    }
}

bool glob_matches(const char *pattern, const char *path) {
    bool rooted = pattern[0] == '/';
    struct places now = { 0 };
    pattern += rooted;
    size_t n = strlen(pattern);
    if (n > 0 && pattern[n - 1] == '/') /* a directory, which is what is matched anyway */
        n--;
    if (n == 0 || n > GLOB_MAX)
        return false;
    for (size_t i = 0;; i++) {
        struct places next = { 0 };
        bool begins = i == 0 || (!rooted && path[i - 1] == '/');
        if (begins)
            reach(&now, pattern, 0);
        if ((path[i] == '/' || !path[i]) && i > 0 && has(&now, n))
            return true;
        if (!path[i] || (rooted && is_nowhere(&now)))
            return false;
        step(&now, &next, pattern, n, path[i]);
        now = next;
    }
}

bool glob_any(const char *const *patterns, const char *path) {
    for (; patterns && *patterns; patterns++)
        if (glob_matches(*patterns, path))
            return true;
    return false;
}
