#include "http/websocket_frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "tests/unit/tap.h"

enum { MAX_TEXT = 1000, MAX_BINARY = 2000 };

/* A client's frame, masked; its length. `first`: FIN, reserved bits and opcode. */
static size_t frame(char *out, unsigned first, const char *payload, size_t n) {
    static const unsigned char mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
    size_t head = websocket_head((unsigned char *)out, WS_TEXT, true, n);
    out[0] = (char)first;
    out[1] |= (char)0x80;
    memcpy(out + head, mask, 4);
    for (size_t i = 0; i < n; i++)
        out[head + 4 + i] = (char)((unsigned char)payload[i] ^ mask[i % 4]);
    return head + 4 + n;
}

/* What the frames say, as text: "1:Hel|1:lo.|", with a '.' at the end of each message. */
static const char *read_all(const char *in, size_t n, size_t step, size_t cap) {
    static char buf[8192];
    struct text t = TEXT(buf);
    struct websocket_reader r = { .max_text = MAX_TEXT, .max_binary = MAX_BINARY };
    buf[0] = '\0';
    for (size_t at = 0; at < n;) {
        struct websocket_piece p;
        char out[4096];
        size_t k = n - at < step ? n - at : step;
        int64_t used = websocket_next(&r, in + at, k, out, cap, &p);
        if (used <= 0) {
            text_add(&t, "!%d", (int)-used);
            return buf;
        }
        if (p.there)
            text_add(&t, "%d%s:%.*s%s|", p.type, p.first ? "^" : "", (int)p.n, p.bytes,
                     p.last ? "." : "");
        if (p.there && p.type == WS_CLOSE)
            text_add(&t, "code %d|", p.code);
        at += (size_t)used;
    }
    return buf;
}

static const char *read_one(unsigned first, const char *payload, size_t n) {
    static char in[4096];
    return read_all(in, frame(in, first, payload, n), SIZE_MAX, 4096);
}

static void test_rfc_examples(void) {
    /* RFC 6455 section 5.7 */
    const char *masked = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    OK(strcmp(read_all(masked, 11, 100, 100), "1^:Hello.|") == 0, "a masked text of the RFC");
    const char *ping = "\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    OK(strcmp(read_all(ping, 11, 100, 100), "9^:Hello.|") == 0, "a masked ping of the RFC");
    unsigned char h[WS_MAX_HEAD];
    OK(websocket_head(h, WS_TEXT, true, 5) == 2 && memcmp(h, "\x81\x05", 2) == 0, "a short head");
    OK(websocket_head(h, WS_TEXT, false, 3) == 2 && memcmp(h, "\x01\x03", 2) == 0,
       "that of a first piece");
    OK(websocket_head(h, WS_CONTINUATION, true, 125) == 2 && memcmp(h, "\x80\x7d", 2) == 0,
       "125 bytes have one of two bytes");
    OK(websocket_head(h, WS_BINARY, true, 126) == 4 && memcmp(h, "\x82\x7e\0\x7e", 4) == 0,
       "126 one of four");
    OK(websocket_head(h, WS_BINARY, true, 65535) == 4 && memcmp(h, "\x82\x7e\xff\xff", 4) == 0,
       "65535 as well");
    OK(websocket_head(h, WS_BINARY, true, 65536) == 10 &&
           memcmp(h, "\x82\x7f\0\0\0\0\0\1\0\0", 10) == 0,
       "65536 one of ten");
}

static void test_pieces(void) {
    char in[512];
    size_t n = frame(in, 0x01, "Hel", 3);
    n += frame(in + n, 0x89, "ping", 4);
    n += frame(in + n, 0x00, "", 0);
    n += frame(in + n, 0x80, "lo", 2);
    n += frame(in + n, 0x82, "", 0);
    n += frame(in + n, 0x8a, "", 0);
    n += frame(in + n, 0x88, "\x03\xe8gone", 6);
    const char *said = read_all(in, n, SIZE_MAX, 100);
    OK(strcmp(said, "1^:Hel|9^:ping.|1:|1:lo.|2^:.|10^:.|8^:gone.|code 1000|") == 0,
       "a message in frames, a ping between them, empty ones, a close: %s", said);
    said = read_all(in, n, 1, 100);
    OK(strcmp(said, "1^:H|1:e|1:l|9^:ping.|1:|1:l|1:o.|2^:.|10^:.|8^:gone.|code 1000|") == 0,
       "byte by byte: %s", said);
    n = frame(in, 0x82, "0123456789", 10);
    said = read_all(in, n, SIZE_MAX, 4);
    OK(strcmp(said, "2^:0123|2:4567|2:89.|") == 0, "no more comes out than there is room: %s",
       said);
}

static void test_refusals(void) {
    static const struct {
        const char *in;
        size_t n;
        unsigned code;
        const char *what;
    } bad[] = {
        { "\x81\x05Hello", 7, WS_PROTOCOL_ERROR, "a frame that is not masked" },
        { "\xc1\x80....", 6, WS_PROTOCOL_ERROR, "reserved bit 1" },
        { "\xa1\x80....", 6, WS_PROTOCOL_ERROR, "reserved bit 2" },
        { "\x91\x80....", 6, WS_PROTOCOL_ERROR, "reserved bit 3" },
        { "\x83\x80....", 6, WS_PROTOCOL_ERROR, "opcode 3" },
        { "\x87\x80....", 6, WS_PROTOCOL_ERROR, "opcode 7" },
        { "\x8b\x80....", 6, WS_PROTOCOL_ERROR, "opcode 11" },
        { "\x8f\x80....", 6, WS_PROTOCOL_ERROR, "opcode 15" },
        { "\x80\x80....", 6, WS_PROTOCOL_ERROR, "a continuation of nothing" },
        { "\x09\x80....", 6, WS_PROTOCOL_ERROR, "a control frame that is not the last piece" },
        { "\x89\xfe\0\x7e....", 8, WS_PROTOCOL_ERROR, "a control frame of 126 bytes" },
        { "\x81\xfe\0\x7d....", 8, WS_PROTOCOL_ERROR, "16 bits for a length of 7" },
        { "\x82\xff\0\0\0\0\0\0\xff\xff....", 14, WS_PROTOCOL_ERROR, "64 bits for one of 16" },
        { "\x82\xff\x80\0\0\0\0\0\0\0....", 14, WS_PROTOCOL_ERROR, "a length of 2^63" },
        { "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff....", 14, WS_TOO_BIG, "one of 2^63 - 1" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char want[32];
        (void)snprintf(want, sizeof want, "!%u", bad[i].code);
        const char *said = read_all(bad[i].in, bad[i].n, SIZE_MAX, 100);
        OK(strcmp(said, want) == 0, "refused: %s: %s", bad[i].what, said);
    }
    char in[64];
    size_t n = frame(in, 0x01, "a", 1);
    n += frame(in + n, 0x81, "b", 1);
    OK(strcmp(read_all(in, n, SIZE_MAX, 100), "1^:a|!1002") == 0,
       "refused: a message within another");
}

static void test_limits(void) {
    static char in[4096], payload[3000];
    memset(payload, 'a', sizeof payload);
    OK(strncmp(read_one(0x81, payload, MAX_TEXT), "1^:aaa", 6) == 0, "the longest text");
    OK(strcmp(read_one(0x81, payload, MAX_TEXT + 1), "!1009") == 0, "one byte more");
    OK(strncmp(read_one(0x82, payload, MAX_BINARY), "2^:aaa", 6) == 0, "the longest binary");
    OK(strcmp(read_one(0x82, payload, MAX_BINARY + 1), "!1009") == 0, "one byte more");
    size_t n = frame(in, 0x01, payload, MAX_TEXT);
    size_t all = n + frame(in + n, 0x00, "", 0);
    OK(strstr(read_all(in, all, SIZE_MAX, 4096), "!") == NULL, "nothing more fits always");
    all = n + frame(in + n, 0x80, "b", 1);
    OK(strstr(read_all(in, all, SIZE_MAX, 4096), "|!1009") != NULL, "one byte in another frame");
    OK(strncmp(read_one(0x89, payload, 125), "9^:aaa", 6) == 0, "a ping of 125 bytes");
}

static void test_text(void) {
    OK(strcmp(read_one(0x81, "gr\xc3\xbc\xc3\x9f", 6), "1^:gr\xc3\xbc\xc3\x9f.|") == 0, "UTF-8");
    OK(strcmp(read_one(0x81, "\xc3", 1), "!1007") == 0, "half a letter at the end");
    OK(strcmp(read_one(0x81, "\xed\xa0\x80", 3), "!1007") == 0, "a surrogate");
    OK(strcmp(read_one(0x82, "\xff\xfe", 2), "2^:\xff\xfe.|") == 0, "binary is anything");
    char in[64];
    size_t n = frame(in, 0x01, "\xf0\x9f", 2);
    n += frame(in + n, 0x80, "\x98\x80", 2);
    OK(strcmp(read_all(in, n, 1, 1), "1^:\xf0|1:\x9f|1:\x98|1:\x80.|") == 0,
       "a letter may be in two frames");
    n = frame(in, 0x01, "\xf0\x9f", 2);
    n += frame(in + n, 0x80, "\x98", 1);
    OK(strstr(read_all(in, n, SIZE_MAX, 10), "!1007") != NULL, "but not in a half");
    n = frame(in, 0x01, "\xe0", 1);
    n += frame(in + n, 0x00, "\x80", 1);
    OK(strstr(read_all(in, n, SIZE_MAX, 10), "!1007") != NULL,
       "what cannot become one is refused at once");
}

static void test_close(void) {
    static const struct {
        const char *payload;
        size_t n;
        const char *want;
    } rows[] = {
        { "", 0, "8^:.|code 1005|" },         { "\x03", 1, "!1002" },
        { "\x03\xe8", 2, "8^:.|code 1000|" }, { "\x03\xe9 bye", 6, "8^: bye.|code 1001|" },
        { "\x03\xe7", 2, "!1002" },           { "\x03\xec", 2, "!1002" },
        { "\x03\xed", 2, "!1002" },           { "\x03\xee", 2, "!1002" },
        { "\x03\xf6", 2, "8^:.|code 1014|" }, { "\x03\xf7", 2, "!1002" },
        { "\x0b\xb7", 2, "!1002" },           { "\x0b\xb8", 2, "8^:.|code 3000|" },
        { "\x13\x87", 2, "8^:.|code 4999|" }, { "\x13\x88", 2, "!1002" },
        { "\x03\xe8\xff", 3, "!1007" },       { "\x03\xe8\xc3", 3, "!1007" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *said = read_one(0x88, rows[i].payload, rows[i].n);
        OK(strcmp(said, rows[i].want) == 0, "a close, %zu: %s", i, said);
    }
}

/* What was not taken comes again, wherever it is within its frame. */
static void test_untake(void) {
    char in[64], got[16] = "";
    size_t n = frame(in, 0x82, "0123456789", 10), len = 0;
    struct websocket_reader r = { .max_binary = MAX_BINARY };
    bool last = false;
    int rounds = 0;
    for (size_t at = 0; at < n && rounds < 100; rounds++) {
        struct websocket_piece p;
        char out[7];
        int64_t used = websocket_next(&r, in + at, n - at, out, sizeof out, &p);
        size_t left = p.there ? p.n - p.n / 2 - (p.n == 1) : 0;
        if (p.first != (len == 0) || used < 0)
            break;
        memcpy(got + len, out, p.n - left);
        len += p.n - left;
        websocket_untake(&r, left);
        at += (size_t)used - left;
        last = p.last && left == 0;
    }
    OK(len == 10 && memcmp(got, "0123456789", 10) == 0 && last,
       "what was not taken comes again: %.*s", (int)len, got);
    n = frame(in, 0x81, "next", 4);
    r.max_text = MAX_TEXT;
    struct websocket_piece p;
    char out[16];
    OK(websocket_next(&r, in, n, out, sizeof out, &p) == (int64_t)n && p.n == 4 && p.last,
       "and the next message is one");
}

static void test_utf8(void) {
    static const struct {
        const char *s;
        bool good;
    } rows[] = {
        { "plain, and more than eight bytes of it", true },
        { "\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true },
        { "\xc1\xbf", false },
        { "\xe0\x9f\xbf", false },
        { "\xed\xbf\xbf", false },
        { "\xf0\x8f\xbf\xbf", false },
        { "\xf4\x90\x80\x80", false },
        { "\xf5\x80\x80\x80", false },
        { "\x80", false },
        { "12345678\xff", false },
        { "\xe2\x82x", false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct utf8 whole = { 0 }, bytes = { 0 };
        size_t n = strlen(rows[i].s);
        bool good = utf8_take(&whole, rows[i].s, n) && utf8_is_whole(&whole), same = true;
        for (size_t k = 0; k < n && same; k++)
            same = utf8_take(&bytes, rows[i].s + k, 1);
        same = same && utf8_is_whole(&bytes);
        OK(good == rows[i].good && same == good && good == utf8_is_valid(rows[i].s, n),
           "UTF-8, %zu: %s", i, good ? "yes" : "no");
    }
}

int main(void) {
    test_rfc_examples();
    test_pieces();
    test_refusals();
    test_limits();
    test_text();
    test_close();
    test_untake();
    test_utf8();
    return tap_end();
}
