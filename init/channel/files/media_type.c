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
    return "application/octet-stream";
}
