/* str.h — small pure helpers on text. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/time.h"

/* Bounded text that is built piece by piece. Never overflows: `cut` is set instead. */
struct text {
    char *buf;
    size_t cap, len; /* len < cap always; buf[len] is NUL */
    bool cut;
};
#define TEXT(array) ((struct text){ .buf = (array), .cap = sizeof(array) })
__attribute__((format(printf, 2, 3))) void text_add(struct text *t, const char *fmt, ...);
void text_put(struct text *t, const char *bytes, size_t n); /* NULL where n is 0 */
/* As a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void text_json(struct text *t, const char *s, size_t n);
void text_json_part(struct text *t, const char *s, size_t n); /* without the quotes */
/* How much of s[n] there is without a character of UTF-8 that may go on after it. */
size_t utf8_whole(const char *s, size_t n);
/* Is all of it well-formed UTF-8 (RFC 3629)? */
bool utf8_is_valid(const char *s, size_t n);

/* "500ms", "2s", "1m30s", "2h", "never" (where allowed). A unit is required. */
int parse_span(const char *s, bool allow_never, span *out, struct err *e);
/* "500ms", "12.3s", "4m05s": for people. Returns buf. */
const char *format_span(char *buf, size_t cap, span d);
/* "2026-11-22T01:46:04.123Z" (RFC 3339) of a Unix time; in buf[UTC_TEXT], returned. */
enum { UTC_TEXT = 64 };
char *format_utc(char buf[UTC_TEXT], int64_t unix_ms);
/* "64k", "1m", "2g" or plain bytes. */
int parse_size(const char *s, size_t *out, struct err *e);
int parse_uint(const char *s, unsigned min, unsigned max, unsigned *out, struct err *e);

/* Split into words as a shell would quote them ('', "", \), with no expansion at all.
 * *out becomes a NULL-terminated array, one block of memory to be freed with free(3). */
int split_words(const char *s, char ***out, size_t *n, struct err *e);

/* The candidate nearest to `word` by edit distance, if near enough to be a typo; NULL. */
const char *nearest(const char *word, const char *const *candidates, size_t n);

bool has_prefix(const char *s, const char *prefix);
bool has_suffix(const char *s, const char *suffix);

/* A signal by name ("TERM", "SIGTERM", "RTMIN+1") or number, 1..64; -1 if none. */
int signal_number(const char *name);
/* "SIGTERM", "SIGRTMIN+1"; in buf. */
const char *signal_name(char *buf, size_t cap, int sig);

#endif
