/* media.c — media types as the package's server tells them, by the ending of a name. What is not
 * here is judged by its content. */
#include <string.h>

#include "channel/cloudflare/files.h"

/* Endings, with blanks around each; their case matters. Of those whose type is none of text
 * although their content mostly is (pl, sql, pem, crt, key, tex) the content decides, too. */
static const struct {
    const char *type, *endings;
} types[] = {
    /* clang-format off */
    { "text/javascript",                  " js mjs cjs jsx ts tsx mts cts " },
    { "text/x-c",                         " c cc cxx cpp h hh dic " },
    { "text/x-java-source",               " java " },
    { "text/html",                        " html htm shtml " },
    { "text/css",                         " css " },
    { "text/less",                        " less " },
    { "text/x-scss",                      " scss " },
    { "text/x-sass",                      " sass " },
    { "text/csv",                         " csv " },
    { "text/tab-separated-values",        " tsv " },
    { "text/plain",                       " txt text conf def list log in ini " },
    { "text/markdown",                    " md markdown mkd " },
    { "text/mdx",                         " mdx " },
    { "text/yaml",                        " yaml yml " },
    { "text/x-lua",                       " lua " },
    { "text/x-vcard",                     " vcf " },
    { "text/calendar",                    " ics ifb " },
    { "text/vtt",                         " vtt " },
    { "text/coffeescript",                " coffee litcoffee " },
    { "text/jade",                        " jade " },
    { "text/stylus",                      " stylus styl " },
    { "text/vue",                         " vue " },
    { "application/rls-services+xml",     " rs " },
    { "application/json",                 " json map " },
    { "application/json5",                " json5 " },
    { "application/ld+json",              " jsonld " },
    { "application/manifest+json",        " webmanifest " },
    { "application/geo+json",             " geojson " },
    { "application/toml",                 " toml " },
    { "application/xml",                  " xml xsl xsd rng " },
    { "application/xml-dtd",              " dtd " },
    { "application/xhtml+xml",            " xhtml xht " },
    { "application/atom+xml",             " atom " },
    { "application/rss+xml",              " rss " },
    { "application/x-sh",                 " sh " },
    { "application/x-httpd-php",          " php " },
    { "application/rtf",                  " rtf " },
    { "image/svg+xml",                    " svg svgz " },
    { "image/png",                        " png " },
    { "image/jpeg",                       " jpg jpeg jpe " },
    { "image/gif",                        " gif " },
    { "image/webp",                       " webp " },
    { "image/avif",                       " avif " },
    { "image/bmp",                        " bmp " },
    { "image/tiff",                       " tif tiff " },
    { "image/vnd.microsoft.icon",         " ico " },
    { "audio/mpeg",                       " mp3 mpga mp2 " },
    { "audio/mp4",                        " m4a mp4a " },
    { "audio/ogg",                        " oga ogg opus spx " },
    { "audio/wav",                        " wav " },
    { "audio/flac",                       " flac " },
    { "video/mp4",                        " mp4 mp4v mpg4 m4v " },
    { "video/mpeg",                       " mpeg mpg mpe " },
    { "video/webm",                       " webm " },
    { "video/quicktime",                  " qt mov " },
    { "video/x-msvideo",                  " avi " },
    { "video/x-matroska",                 " mkv " },
    { "font/woff",                        " woff " },
    { "font/woff2",                       " woff2 " },
    { "font/ttf",                         " ttf " },
    { "font/otf",                         " otf " },
    { "application/pdf",                  " pdf " },
    { "application/zip",                  " zip " },
    { "application/gzip",                 " gz " },
    { "application/x-tar",                " tar " },
    { "application/x-bzip2",              " bz2 " },
    { "application/x-7z-compressed",      " 7z " },
    { "application/zstd",                 " zst " },
    { "application/wasm",                 " wasm " },
    { "application/octet-stream",         " bin exe dll so dmg iso img deb " },
    { "application/java-archive",         " jar war ear " },
    { "application/msword",               " doc dot " },
    { "application/vnd.ms-excel",         " xls " },
    { "application/vnd.ms-powerpoint",    " ppt " },
    { "application/vnd.openxmlformats-officedocument.wordprocessingml.document",   " docx " },
    { "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",         " xlsx " },
    { "application/vnd.openxmlformats-officedocument.presentationml.presentation", " pptx " },
    /* clang-format on */
};

const char *cf_media_type(const char *name) {
    const char *slash = strrchr(name, '/'), *dot = strrchr(slash ? slash : name, '.');
    char ending[16];
    struct text t = TEXT(ending);
    if (!dot || dot == (slash ? slash + 1 : name) || strchr(dot, ' '))
        return NULL;
    text_add(&t, " %s ", dot + 1);
    for (size_t i = 0; !t.cut && i < sizeof types / sizeof types[0]; i++)
        if (strstr(types[i].endings, ending))
            return types[i].type;
    return NULL;
}

bool cf_media_is_text(const char *type) {
    static const char *const texts[] = {
        "application/ecmascript",
        "application/javascript",
        "application/json",
        "application/json-seq",
        "application/json5",
        "application/rtf",
        "application/sql",
        "application/toml",
        "application/typescript",
        "application/x-empty",
        "application/x-httpd-php",
        "application/x-javascript",
        "application/x-sh",
        "application/x-shellscript",
        "application/x-typescript",
        "application/x-yaml",
        "application/xml",
        "application/xml-dtd",
        "application/yaml",
        "application/xml-external-parsed-entity",
        "inode/x-empty",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(type, texts[i]) == 0)
            return true;
    return has_prefix(type, "text/") || has_suffix(type, "+json") || has_suffix(type, "+xml");
}
