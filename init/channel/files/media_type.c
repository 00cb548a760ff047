#include <stdio.h>
#include <string.h>

#include "channel/files/worker.h"

/* What browsers and curl need to show a file rightly; everything else is bytes. */
static const struct {
    const char *endings; /* between blanks */
    const char *type;
} types[] = {
    { " txt log conf ini cfg env ", "text/plain; charset=utf-8" },
    { " html htm ", "text/html; charset=utf-8" },
    { " css ", "text/css; charset=utf-8" },
    { " js mjs cjs ", "text/javascript; charset=utf-8" },
    { " json map ", "application/json" },
    { " jsonl ndjson ", "application/x-ndjson" },
    { " md ", "text/markdown; charset=utf-8" },
    { " csv ", "text/csv; charset=utf-8" },
    { " xml ", "application/xml" },
    { " yaml yml ", "application/yaml" },
    { " toml ", "application/toml" },
    { " c h cc cpp hpp py rb rs go java ts tsx jsx sh bash pl sql diff patch ",
      "text/plain; charset=utf-8" },
    { " svg ", "image/svg+xml" },
    { " png ", "image/png" },
    { " jpg jpeg ", "image/jpeg" },
    { " gif ", "image/gif" },
    { " webp ", "image/webp" },
    { " ico ", "image/x-icon" },
    { " pdf ", "application/pdf" },
    { " wasm ", "application/wasm" },
    { " zip ", "application/zip" },
    { " gz tgz ", "application/gzip" },
    { " tar ", "application/x-tar" },
    { " zst ", "application/zstd" },
    { " mp3 ", "audio/mpeg" },
    { " wav ", "audio/wav" },
    { " mp4 ", "video/mp4" },
    { " webm ", "video/webm" },
    { " woff2 ", "font/woff2" },
};

const char *media_type(const char *name) {
    const char *dot = strrchr(name, '.');
    char ending[16];
    if (dot && dot != name && strlen(dot) < sizeof ending - 2 && !strchr(dot, ' ')) {
        (void)snprintf(ending, sizeof ending, " %s ", dot + 1);
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
            if (strcasestr(types[i].endings, ending))
                return types[i].type;
    }
    return NULL;
}

/* Beginnings that no text has. */
static const struct {
    const char *bytes;
    size_t n;
    const char *type;
} beginnings[] = {
    { "\x89PNG\r\n\x1a\n", 8, "image/png" },
    { "\xff\xd8\xff", 3, "image/jpeg" },
    { "GIF87a", 6, "image/gif" },
    { "GIF89a", 6, "image/gif" },
    { "%PDF-", 5, "application/pdf" },
    { "\x1f\x8b\x08", 3, "application/gzip" },
    { "PK\x03\x04", 4, "application/zip" },
    { "\x28\xb5\x2f\xfd", 4, "application/zstd" },
    { "\0asm", 4, "application/wasm" },
    { "wOF2", 4, "font/woff2" },
};

/* As in the WHATWG's "MIME Sniffing", section 7: a control character that no text has. */
static bool is_binary(unsigned char c) {
    return c < ' ' && c != '\t' && c != '\n' && c != '\f' && c != '\r' && c != 0x1b;
}

const char *media_type_of(const unsigned char *bytes, size_t n) {
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        if (n >= beginnings[i].n && memcmp(bytes, beginnings[i].bytes, beginnings[i].n) == 0)
            return beginnings[i].type;
    for (size_t i = 0; i < n && i < MEDIA_SNIFFED; i++)
        if (is_binary(bytes[i]))
            return MEDIA_ANY;
    return "text/plain; charset=utf-8";
}
