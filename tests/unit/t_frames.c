#include "channel/native/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/str.h"
#include "tests/unit/tap.h"

/* What a stream says, piece by piece, as text: "1:hel|1:lo|" */
static const char *read_all(const char *in, size_t n, size_t step, uint32_t max) {
    static char buf[4096];
    struct text t = TEXT(buf);
    buf[0] = '\0';
    struct frame_reader r = { .have = 0 };
    for (size_t at = 0; at < n;) {
        struct frame_piece p;
        size_t k = n - at < step ? n - at : step;
        int64_t used = frame_next(&r, in + at, k, max, &p);
        if (used < 0) {
            text_add(&t, "error %d", (int)-used);
            return buf;
        }
        if (p.bytes)
            text_add(&t, "%d@%u/%u:%.*s|", p.type, p.at, p.total, (int)p.n, p.bytes);
        at += (size_t)used;
    }
    return buf;
}

static void test_heads(void) {
    unsigned char h[FRAME_HEAD];
    frame_head(h, FRAME_STDERR, 0x01020304);
    OK(memcmp(h, "\2\0\0\0\1\2\3\4", 8) == 0, "a length is 32 bits, big-endian");
}

static void test_reading(void) {
    static const char in[] =
        "\0\0\0\0\0\0\0\5hello\4\0\0\0\0\0\0\4TERM\0\0\0\0\0\0\0\0\x9\0\0\0\0\0\0\0";
    const char *whole = read_all(in, sizeof in - 1, sizeof in, 100);
    OK(strcmp(whole, "0@0/5:hello|4@0/4:TERM|0@0/0:|9@0/0:|") == 0, "whole frames: %s", whole);
    const char *bytes = read_all(in, sizeof in - 1, 1, 100);
    OK(strcmp(bytes, "0@0/5:h|0@1/5:e|0@2/5:l|0@3/5:l|0@4/5:o|4@0/4:T|4@1/4:E|4@2/4:R|4@3/4:M|"
                     "0@0/0:|9@0/0:|") == 0,
       "byte by byte, the same: %s", bytes);
}

static void test_refusals(void) {
    static const struct {
        const char *in, *what;
    } bad[] = {
        { "\xa\0\0\0\0\0\0\0", "an unknown type" },
        { "\0\1\0\0\0\0\0\0", "a byte that has to be 0" },
        { "\0\0\0\1\0\0\0\0", "another one" },
        { "\0\0\0\0\0\0\0\x65", "one byte more than the limit" },
        { "\0\0\0\0\xff\xff\xff\xff", "4 GiB" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        OK(strcmp(read_all(bad[i].in, 8, 8, 100), "error 71") == 0, "refused: %s", bad[i].what);
    OK(strcmp(read_all("\0\0\0\0\0\0\0\x64", 8, 8, 100), "") == 0, "the limit itself is taken");
}

static void test_base64(void) {
    static const struct {
        const char *in, *out;
    } rows[] = { { "", "" },
                 { "f", "Zg==" },
                 { "fo", "Zm8=" },
                 { "foo", "Zm9v" },
                 { "foob", "Zm9vYg==" },
                 { "fooba", "Zm9vYmE=" },
                 { "foobar", "Zm9vYmFy" },
                 { "foobarfo", "Zm9vYmFyZm8=" },
                 { "The quick brown fox?", "VGhlIHF1aWNrIGJyb3duIGZveD8=" },
                 { "\xff\xfe\xfd", "//79" } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[32] = "";
        size_t n = strlen(rows[i].in);
        base64_encode(rows[i].in, n, out);
        OK(base64_len(n) == strlen(rows[i].out) && memcmp(out, rows[i].out, base64_len(n)) == 0,
           "RFC 4648: '%s'", rows[i].out);
    }
}

/* Every value of every digit, at every place and length, against the other way. */
static void test_base64_round(void) {
    unsigned char in[192], back[200];
    char out[260];
    bool same = true;
    for (unsigned seed = 0; seed < 64; seed++)
        for (size_t n = 0; n <= sizeof in; n++) {
            for (size_t i = 0; i < n; i++)
                in[i] = (unsigned char)(i * 67 + seed * 129 + n);
            base64_encode(in, n, out);
            same &=
                base64_decode(out, base64_len(n), back) == (ssize_t)n && memcmp(in, back, n) == 0;
        }
    OK(same, "what is encoded is decoded to the same");
}

static void test_utf8(void) {
    OK(utf8_is_valid("gr\xc3\xbc\xc3\x9f", 6) && utf8_is_valid("", 0) && utf8_is_valid("a\0b", 3),
       "UTF-8 is");
    OK(!utf8_is_valid("\xc3", 1) && !utf8_is_valid("\xff", 1) && !utf8_is_valid("\xed\xa0\x80", 3),
       "half a letter, no letter and a surrogate are not");
}

int main(void) {
    test_heads();
    test_reading();
    test_refusals();
    test_base64();
    test_base64_round();
    test_utf8();
    return tap_end();
}
