/* What is taken out of a stream, and text that is escaped by pieces: the same whatever the pieces
 * are. The first bytes say how long those are. */
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "base/own.h"
#include "base/str.h"
#include "channel/cloudflare/frame.h"
#include "channel/cloudflare/hide.h"

static void append(void *text, const char *bytes, size_t n) { text_put(text, bytes, n); }

static void hide(const char *s, size_t n, size_t piece, struct text *out) {
    struct hide h = { .text = "/a/ab/", .put = append, .arg = out };
    for (size_t at = 0; at < n; at += piece)
        hide_take(&h, s + at, n - at < piece ? n - at : piece);
    hide_end(&h);
}

static void escape(const char *s, size_t n, size_t piece, struct text *out) {
    text_put(out, "\"", 1);
    for (size_t at = 0; at < n;) {
        size_t part = n - at < piece ? n - at : piece;
        size_t whole = at + part == n ? part : utf8_whole(s + at, part);
        text_json_part(out, s + at, whole);
        at += whole;
        piece += whole == 0; /* as more comes in the end */
    }
    text_put(out, "\"", 1);
}

static void same(const struct text *a, const struct text *b) {
    (void)BUG_ON(a->len != b->len || memcmp(a->buf, b->buf, a->len) != 0);
}

/* What a shell makes of it again, by its rules (POSIX, 2.2.2). */
static void unquote(const char *s, struct text *out) {
    for (bool in = false; *s; s++)
        if (*s == '\'')
            in = !in;
        else
            text_put(out, *s == '\\' && !in ? ++s : s, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 4096)
        return 0;
    size_t piece = 1 + data[0] % 64, n = size - 1, cap = 8 * size + 64;
    const char *s = (const char *)data + 1;
    AUTO_FREE char *bufs = malloc(4 * cap);
    AUTO_FREE char *word = strndup(s, n);
    struct text t[4];
    for (int i = 0; i < 4; i++)
        t[i] = (struct text){ .buf = bufs + (size_t)i * cap, .cap = cap };
    hide(s, n, piece, &t[0]);
    hide(s, n, n + 1, &t[1]);
    same(&t[0], &t[1]);
    t[0].len = t[1].len = 0;
    escape(s, n, piece, &t[0]);
    text_json(&t[1], s, n);
    same(&t[0], &t[1]);
    t[0].len = 0;
    frame_quote(&t[2], word);
    unquote(t[2].buf, &t[3]);
    text_put(&t[0], word, strlen(word));
    same(&t[0], &t[3]);
    return 0;
}
