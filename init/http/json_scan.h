/* json_scan.h — a JSON object (RFC 8259) that comes in pieces, for one that is too large to be
 * kept: its own members are told, texts as they come; what is nested is only checked. PURE; strict.
 *
 *     while (n > 0 && (event = json_scan_next(s, in, n, &used, &piece)) != JSON_SCAN_BAD)
 *         in += used, n -= used, take(event, s->name, piece);
 *     whole = s->done;
 *
 * A half of a surrogate pair becomes U+FFFD, as JSON.parse() and UTF-8 make of it.
 */
#ifndef HTTP_JSON_SCAN_H
#define HTTP_JSON_SCAN_H

#include "base/utf8.h"
#include "http/head.h"

enum {
    JSON_SCAN_NAME = 64,   /* bytes of a member's name, NUL included; a longer one is "" */
    JSON_SCAN_DEPTH = 64,  /* objects and arrays within each other; more: JSON_SCAN_BAD */
    JSON_SCAN_PIECE = 8192 /* bytes of a piece */
};

enum json_scan_event {
    JSON_SCAN_NONE,  /* nothing to tell; all was used */
    JSON_SCAN_TEXT,  /* a piece of the value of the member s->name, which is a text; may be empty */
    JSON_SCAN_END,   /* of that value: the quote that ends it was used, and no more */
    JSON_SCAN_OTHER, /* a value of s->name that is no text begins */
    JSON_SCAN_BAD,
};

struct json_scan { /* the zero value begins */
    char name[JSON_SCAN_NAME];
    bool done; /* the object is whole; only blanks may follow */
    /* private */
    uint8_t state, after; /* `after`: what a string leads to */
    uint8_t depth, nname; /* nname: of the name that is being read */
    uint8_t digits;       /* of a \u escape, that are there */
    bool told;            /* the string is the value of a member */
    bool named;           /* it is the name of one */
    uint16_t unit, high;  /* a \u escape; the first half of a pair, or 0 */
    uint64_t objects;     /* bit d: depth d is an object, not an array */
    const char *word;     /* what is left of true, false, null */
    struct utf8 utf8;
    size_t n;
    char piece[JSON_SCAN_PIECE];
};

enum json_scan_event json_scan_next(struct json_scan *s, const char *in, size_t n, size_t *used,
                                    struct slice *piece);
/* Is the next byte one of a text that is told: has its first quote been used, and not its last? */
bool json_scan_in_text(const struct json_scan *s);

#endif
