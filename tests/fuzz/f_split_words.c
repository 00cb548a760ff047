/* Any text into words: no byte is read or written out of bounds, and words that are quoted
 * again split into the same words. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 'word', with '\'' for a quote in it. */
static void quote(struct text *t, const char *word) {
    text_put(t, "'", 1);
    for (; *word; word++)
        if (*word == '\'')
            text_put(t, "'\\''", 4);
        else
            text_put(t, word, 1);
    text_put(t, "' ", 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char quoted[1 << 16];
    char **words, **again;
    size_t n, m, bytes = 0;
    struct err e = { 0 };
    if (size > 4096)
        return 0;
    char *text = malloc(size + 1); /* of exactly its size, for the sanitizer */
    memcpy(text, data, size);
    text[size] = '\0';
    if (split_words(text, &words, &n, &e) < 0) {
        if (e.code == 0 || !e.text[0] || !strpbrk(text, "'\""))
            abort();
        free(text);
        return 0;
    }
    struct text t = TEXT(quoted);
    quoted[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        bytes += strlen(words[i]);
        quote(&t, words[i]);
    }
    if (words[n] || bytes > strlen(text) || t.cut)
        abort();
    if (split_words(quoted, &again, &m, &e) < 0 || m != n)
        abort();
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], again[i]) != 0)
            abort();
    free(words);
    free(again);
    free(text);
    return 0;
}
