#include "http/json_scan.h"

#include <string.h>

#include "http/private.h"

/* What the next byte is. */
enum {
    START,
    NAME_OR_END, /* after { */
    NAME,        /* after a comma in an object */
    COLON,
    VALUE,
    VALUE_OR_END, /* after [ */
    AFTER_VALUE,
    WORD,
    MINUS, /* the digit after it */
    ZERO,  /* what may follow 0: no digit */
    DIGITS,
    POINT,
    FRACTION,
    EXPONENT, /* after the e */
    EXPONENT_SIGN,
    EXPONENT_DIGITS,
    STRING,
    ESCAPE,
    UNICODE,
    BLANK, /* to the end */
    BROKEN,
};

enum { LETTER = 8 }; /* bytes that one escape can add: U+FFFD for what was before, and a letter */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* --- strings ---------------------------------------------------------------------------------- */

/* A name that is too long, or has a NUL, is none that anybody asks for. */
static void add_name(struct json_scan *s, const char *bytes, size_t n) {
    if (s->nname + n >= sizeof s->name || memchr(bytes, '\0', n)) {
        s->nname = sizeof s->name;
        memset(s->name, 0, sizeof s->name);
        return;
    }
    memcpy(s->name + s->nname, bytes, n);
    s->nname = (uint8_t)(s->nname + n);
}

static void add(struct json_scan *s, const char *bytes, size_t n) {
    if (s->named)
        add_name(s, bytes, n);
    if (!s->told)
        return;
    memcpy(s->piece + s->n, bytes, n);
    s->n += n;
}

static void add_letter(struct json_scan *s, uint32_t c) {
    char b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        b[i] = (char)(0x80 | (c & 0x3f));
    b[0] = (char)(first[n] | c);
    add(s, b, n);
}

/* A first half that has no second one. */
static void drop_high(struct json_scan *s) {
    if (s->high)
        add_letter(s, 0xfffd);
    s->high = 0;
}

static void add_unit(struct json_scan *s, uint16_t unit) {
    bool low = unit >= 0xdc00 && unit <= 0xdfff, high = unit >= 0xd800 && unit <= 0xdbff;
    if (low && s->high) {
        add_letter(s, 0x10000 + ((uint32_t)(s->high - 0xd800) << 10) + (unit - 0xdc00U));
        s->high = 0;
        return;
    }
    drop_high(s);
    if (high)
        s->high = unit;
    else
        add_letter(s, low ? 0xfffd : unit);
}

static int escape(struct json_scan *s, char c) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = c ? strchr(from, c) : NULL;
    if (c == 'u') {
        s->digits = 0;
        s->unit = 0;
        return UNICODE;
    }
    if (!at)
        return BROKEN;
    drop_high(s);
    add(s, to + (at - from), 1);
    return STRING;
}

static int unicode(struct json_scan *s, char c) {
    int digit = http_hex(c);
    if (digit < 0)
        return BROKEN;
    s->unit = (uint16_t)(s->unit << 4 | digit);
    if (++s->digits < 4)
        return UNICODE;
    add_unit(s, s->unit);
    return STRING;
}

/* How many bytes stand for themselves. */
static size_t plain(const char *in, size_t n) {
    size_t i = 0;
    while (i < n && in[i] != '"' && in[i] != '\\' && (unsigned char)in[i] >= 0x20)
        i++;
    return i;
}

/* Bytes of a string. How many were used: fewer when the piece is full. */
static size_t take_string(struct json_scan *s, const char *in, size_t n) {
    size_t room = s->told ? sizeof s->piece - s->n : sizeof s->piece;
    if (room < LETTER)
        return 0;
    size_t k = plain(in, n < room ? n : room - LETTER + 1);
    if (s->high && k > 0)
        drop_high(s), k = k < room - LETTER ? k : room - LETTER;
    if (!utf8_take(&s->utf8, in, k)) {
        s->state = BROKEN;
        return k;
    }
    add(s, in, k);
    if (k > 0)
        return k;
    if (*in == '"')
        drop_high(s);
    if (*in == '"' && s->told && s->n > 0) /* what is left of the text is told first */
        return 0;
    bool whole = utf8_is_whole(&s->utf8);
    if (*in == '"' && whole)
        s->state = s->after;
    else
        s->state = *in == '\\' && whole ? ESCAPE : BROKEN;
    return 1;
}

static int begin_string(struct json_scan *s, bool name) {
    s->named = name && s->depth == 1;
    s->told = !name && s->depth == 1;
    s->after = name ? COLON : AFTER_VALUE;
    s->utf8 = (struct utf8){ 0 };
    s->high = 0;
    s->n = 0;
    s->nname = 0;
    if (s->named)
        memset(s->name, 0, sizeof s->name);
    return STRING;
}

/* --- everything else -------------------------------------------------------------------------- */

static int open_nested(struct json_scan *s, bool object) {
    if (s->depth == JSON_SCAN_DEPTH - 1)
        return BROKEN;
    s->depth++;
    s->objects &= ~(UINT64_C(1) << s->depth);
    s->objects |= (uint64_t)object << s->depth;
    return object ? NAME_OR_END : VALUE_OR_END;
}

static bool in_object(const struct json_scan *s) { return s->objects >> s->depth & 1; }

static int close_nested(struct json_scan *s, char c) {
    if (c != (in_object(s) ? '}' : ']'))
        return BROKEN;
    s->depth--;
    s->done = s->depth == 0;
    return s->done ? BLANK : AFTER_VALUE;
}

static int begin_value(struct json_scan *s, char c) {
    switch (c) {
    case '"':
        return begin_string(s, false);
    case '{':
    case '[':
        return open_nested(s, c == '{');
    case '-':
        return MINUS;
    case '0':
        return ZERO;
    case 't':
        s->word = "rue";
        return WORD;
    case 'f':
        s->word = "alse";
        return WORD;
    case 'n':
        s->word = "ull";
        return WORD;
    default:
        return is_digit(c) ? DIGITS : BROKEN;
    }
}

static int after_value(struct json_scan *s, char c) {
    if (c == ',')
        return in_object(s) ? NAME : VALUE;
    return close_nested(s, c);
}

/* A number has no end of its own. */
static int number(struct json_scan *s, char c) {
    bool digit = is_digit(c), e = c == 'e' || c == 'E';
    switch (s->state) {
    case MINUS:
        return c == '0' ? ZERO : digit ? DIGITS : BROKEN;
    case DIGITS:
        return digit ? DIGITS : c == '.' ? POINT : e ? EXPONENT : AFTER_VALUE;
    case ZERO:
        return digit ? BROKEN : c == '.' ? POINT : e ? EXPONENT : AFTER_VALUE;
    case POINT:
        return digit ? FRACTION : BROKEN;
    case FRACTION:
        return digit ? FRACTION : e ? EXPONENT : AFTER_VALUE;
    case EXPONENT:
        return c == '+' || c == '-' ? EXPONENT_SIGN : digit ? EXPONENT_DIGITS : BROKEN;
    case EXPONENT_SIGN:
        return digit ? EXPONENT_DIGITS : BROKEN;
    default:
        return digit ? EXPONENT_DIGITS : AFTER_VALUE;
    }
}

static int word(struct json_scan *s, char c) {
    if (c != *s->word)
        return BROKEN;
    s->word++;
    return *s->word ? WORD : AFTER_VALUE;
}

/* The state that a byte leads to, which is no part of a string. */
static int step(struct json_scan *s, char c) {
    switch (s->state) {
    case START:
        return c == '{' ? open_nested(s, true) : BROKEN;
    case NAME_OR_END:
    case NAME:
        return c == '"'                              ? begin_string(s, true)
               : c == '}' && s->state == NAME_OR_END ? close_nested(s, c)
                                                     : BROKEN;
    case COLON:
        return c == ':' ? VALUE : BROKEN;
    case VALUE_OR_END:
        return c == ']' ? close_nested(s, c) : begin_value(s, c);
    case VALUE:
        return begin_value(s, c);
    case AFTER_VALUE:
        return after_value(s, c);
    case WORD:
        return word(s, c);
    case ESCAPE:
        return escape(s, c);
    case UNICODE:
        return unicode(s, c);
    default:
        return BROKEN;
    }
}

static bool is_number(int state) { return state >= MINUS && state <= EXPONENT_DIGITS; }

/* One byte that is no plain one of a string. False: it is to be looked at again. */
static bool take(struct json_scan *s, char c) {
    if (is_number(s->state)) {
        s->state = (uint8_t)number(s, c);
        return s->state != AFTER_VALUE;
    }
    bool within = s->state == WORD || s->state == ESCAPE || s->state == UNICODE;
    if (within || !is_blank(c))
        s->state = (uint8_t)step(s, c);
    return true;
}

static enum json_scan_event tell(struct json_scan *s, struct slice *piece) {
    *piece = (struct slice){ s->piece, s->n };
    s->n = 0;
    return JSON_SCAN_TEXT;
}

bool json_scan_in_text(const struct json_scan *s) { return s->told; }

enum json_scan_event json_scan_next(struct json_scan *s, const char *in, size_t n, size_t *used,
                                    struct slice *piece) {
    *used = 0;
    *piece = (struct slice){ 0 };
    while (*used < n && s->state != BROKEN) {
        bool was_value = s->depth == 1 && s->state == VALUE;
        if (s->state == STRING) {
            size_t k = take_string(s, in + *used, n - *used);
            *used += k;
            if (k == 0)
                return tell(s, piece);
        } else {
            *used += take(s, in[*used]);
        }
        bool in_string = s->state == STRING || s->state == ESCAPE || s->state == UNICODE;
        if (s->told && !in_string && s->state != BROKEN) {
            s->told = false;
            return JSON_SCAN_END;
        }
        if (was_value && s->state != VALUE && s->state != STRING && s->state != BROKEN)
            return JSON_SCAN_OTHER;
    }
    if (s->state == BROKEN)
        return JSON_SCAN_BAD;
    return s->told && s->n > 0 ? tell(s, piece) : JSON_SCAN_NONE;
}
