/* What the reader makes of archives of others: old, odd, cut and hostile ones. */
#include "tests/unit/t_tar.h"

#include <errno.h>

static struct archive a;

/* --- what others write ------------------------------------------------------------------------ */

/* The sum anew, for a header at `at` that was changed. */
static void seal(size_t at) {
    unsigned sum = 0;
    memset(a.bytes + at + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)a.bytes[at + i];
    (void)snprintf(a.bytes + at + 148, 8, "%06o", sum);
}

/* A header as of 1988; where it begins. */
static size_t add_raw(const char *name, char type, const char *size) {
    size_t at = a.n;
    add(&a, NULL, TAR_BLOCK);
    char *h = a.bytes + at;
    (void)strncpy(h, name, 100);
    memcpy(h + 100,
           "0000644\0"
           "0000001\0"
           "0000002",
           23);
    memcpy(h + 124, size, strlen(size) < 12 ? strlen(size) + 1 : 12);
    memcpy(h + 136, "00000000012", 12);
    h[156] = type;
    memcpy(h + 257, "ustar\00000", 8);
    seal(at);
    return at;
}

/* Change n bytes of a header. */
static void change(size_t at, size_t field, const void *bytes, size_t n) {
    memcpy(a.bytes + at + field, bytes, n);
    seal(at);
}

/* A pax header or long name of n bytes. */
static void add_extension(char type, const char *bytes, size_t n) {
    char size[16];
    (void)snprintf(size, sizeof size, "%011zo", n);
    (void)add_raw("x", type, size);
    add_content(&a, bytes, n);
}
#define ADD_PAX(type, text) add_extension(type, text, sizeof(text) - 1)

/* `a` has one entry: give it; the reading is to be freed. */
static const struct tar_entry *only(struct reading *r, const char *what) {
    bool split = read_all_ways(r, &a);
    (void)OK(split && r->n == 1 && r->last == TAR_END, "%s: one entry (%zu, %s)", what, r->n,
             r->e.text);
    return r->n > 0 ? &r->seen[0].entry : NULL;
}

/* Is `a` refused with this text in the message? */
static void refused(const char *what, const char *text) {
    struct reading r;
    bool split = read_all_ways(&r, &a);
    OK(split && r.last == TAR_BAD && strstr(r.e.text, text), "%s: %s", what, r.e.text);
    reading_free(&r);
}

static void old_headers(void) {
    struct reading r;
    const struct tar_entry *t;
    static const char garbage[] = "garbage that is no magic";
    a.n = 0;
    size_t at = add_raw("old/", '\0', "0");
    change(at, 257, garbage, sizeof garbage);
    change(at, 345, garbage, sizeof garbage);
    t = only(&r, "V7, a directory by its slash");
    OK(t && t->type == '5' && strcmp(t->path, "old/") == 0 && !t->owner[0] && t->major == 0,
       "whose last fields mean nothing");
    reading_free(&r);
    a.n = 0;
    at = add_raw("f", '\0', "         3 ");
    change(at, 100, "   644 \0", 8);
    change(at, 257, "\0\0\0\0\0\0\0\0", 8);
    add_content(&a, "abc", 3);
    t = only(&r, "V7, a file, its numbers with blanks");
    OK(t && t->type == '0' && t->mode == 0644 && t->size == 3 && r.seen[0].bytes == 3,
       "of 3 bytes");
    reading_free(&r);
    a.n = 0;
    change(add_raw("f", '0', "0"), 100, "0100755", 8);
    t = only(&r, "a mode with the bits of its kind");
    OK(t && t->mode == 0755, "loses them");
    reading_free(&r);
    a.n = 0;
    at = add_raw("{", '1', "0");
    change(at, 257, "\0\0\0\0\0\0\0\0", 8);
    change(at, 157, "target", 6);
    t = only(&r, "V7, a hard link");
    OK(t && t->type == '1' && strcmp(t->target, "target") == 0, "to its target");
    reading_free(&r);
}

static void header_numbers(void) {
    static const struct {
        const char *what;
        size_t at, n;
        const char *bytes;
        int64_t want; /* -1: refused */
    } cases[] = {
        { "12 digits", 124, 12, "000000000000", 0 },
        { "ended by a blank", 108, 8, "0000017 ", 15 },
        { "8 digits", 108, 8, "77777777", 16777215 },
        { "blanks", 108, 8, "        ", 0 },
        { "nothing", 108, 8, "\0\0\0\0\0\0\0\0", 0 },
        { "no octal digit", 108, 8, "0000018", -1 },
        { "letters", 108, 8, "root\0\0\0", -1 },
        { "a sign", 108, 8, "-000001", -1 },
        { "base 256", 108, 8, "\x80\0\0\0\xff\xff\xff\xff", 4294967295 },
        { "base 256 above 32 bits", 108, 8, "\x80\0\0\1\0\0\0\0", -1 },
        { "base 256 below zero", 108, 8, "\xff\xff\xff\xff\xff\xff\xff\xff", -1 },
        { "base 256 of 12 bytes", 124, 12, "\x80\0\0\0\0\0\0\0\0\0\0\0", 0 },
        { "a size of 2^63", 124, 12, "\x80\0\0\0\x80\0\0\0\0\0\0\0", -1 },
        { "a size of 2^94", 124, 12, "\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", -1 },
        { "a size of -1", 124, 12, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", -1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reading r;
        a.n = 0;
        size_t at = add_raw("n", '0', "0");
        change(at, cases[i].at, cases[i].bytes, cases[i].n);
        if (cases[i].want < 0) {
            refused(cases[i].what, cases[i].at == 108 ? "in 'n': uid" : "in 'n': size");
            continue;
        }
        const struct tar_entry *t = only(&r, cases[i].what);
        OK(t && (cases[i].at == 108 ? t->uid : t->size) == (uint64_t)cases[i].want, "is %lld",
           (long long)cases[i].want);
        reading_free(&r);
    }
}

static void header_times(void) {
    struct reading r;
    a.n = 0;
    change(add_raw("n", '0', "0"), 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12);
    const struct tar_entry *t = only(&r, "a time below zero in base 256");
    OK(t && t->mtime.tv_sec == -2, "is -2");
    reading_free(&r);
    a.n = 0;
    change(add_raw("n", '0', "0"), 136, "\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", 12);
    t = only(&r, "the first second there is");
    OK(t && t->mtime.tv_sec == INT64_MIN, "is -2^63");
    reading_free(&r);
    a.n = 0;
    change(add_raw("n", '0', "0"), 136, "\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
    refused("the one before it", "in 'n': mtime");
}

static void checksums(void) {
    struct reading r;
    a.n = 0;
    size_t at = add_raw("\xc3\xa9", '0', "0");
    int sum = (int)strtol(a.bytes + at + 148, NULL, 8);
    (void)snprintf(a.bytes + at + 148, 8, "%06o", (unsigned)(sum - 2 * 256));
    const struct tar_entry *t = only(&r, "a sum of signed bytes");
    OK(t && strcmp(t->path, "\xc3\xa9") == 0, "is one, too");
    reading_free(&r);
    (void)snprintf(a.bytes + at + 148, 8, "%06o", (unsigned)(sum - 256));
    refused("a sum of half of them", "at byte 0: no tar header");
    (void)snprintf(a.bytes + at + 148, 8, "%06o", (unsigned)(sum + 1));
    refused("a sum that is one too high", "no tar header");
    memset(a.bytes + at + 148, 0, 8);
    refused("no sum", "no tar header");
    a.n = 0;
    add(&a, "\x1f\x8b\x08", 3);
    add(&a, NULL, 2000);
    refused("a compressed archive", "uncompress it first");
    a.n = 0;
    (void)add_raw("one", '0', "0");
    add(&a, "garbage", 7);
    add(&a, NULL, 1000);
    refused("garbage after an entry", "at byte 512, after 'one': no tar header");
}

/* The entry has a size and no content, as POSIX has it; the next one follows at once. */
static void sizes_to_ignore(void) {
    struct reading r;
    a.n = 0;
    for (char type = '1'; type <= '6'; type++)
        change(add_raw("n", type, "00000001000"), 157, "target", 6);
    size_t at = add_raw("garbage", '5', "no number");
    change(at, 329, "no number", 8);
    (void)add_raw("slash/", '0', "3");
    add_content(&a, "abc", 3);
    (void)add_raw("in one piece", '7', "3");
    add_content(&a, "abc", 3);
    OK(read_all_ways(&r, &a) && r.n == 9 && r.last == TAR_END, "sizes of links and others (%s)",
       r.e.text);
    for (size_t i = 0; i < r.n && i < 8; i++)
        OK(r.seen[i].entry.size == 0 && r.seen[i].bytes == 0 &&
               (r.seen[i].entry.target[0] != '\0') == (i < 2),
           "type %c has no content, and a target if it is a link", r.seen[i].entry.type);
    OK(r.n == 9 && r.seen[7].entry.type == '5' && r.seen[8].entry.type == '0' &&
           r.seen[8].bytes == 3,
       "a file with a slash is a directory, one in one piece is a file");
    reading_free(&r);
}

static void gnu_names(void) {
    static char name[PATH_MAX + 1];
    struct reading r;
    memset(name, 'n', PATH_MAX);
    a.n = 0;
    add_extension('L', name, 200);
    add_extension('K', "to", 3);
    (void)add_raw("cut", '2', "0");
    const struct tar_entry *t = only(&r, "names of GNU tar, without their NUL and with it");
    OK(t && strlen(t->path) == 200 && strcmp(t->target, "to") == 0, "of 200 and 2 bytes");
    reading_free(&r);
    name[PATH_MAX - 1] = '\0';
    a.n = 0;
    add_extension('L', name, PATH_MAX);
    (void)add_raw("cut", '0', "0");
    (void)add_raw("next", '0', "0");
    OK(read_all_ways(&r, &a) && r.n == 2 && strlen(r.seen[0].entry.path) == PATH_MAX - 1 &&
           strcmp(r.seen[1].entry.path, "next") == 0,
       "the longest one, and no other entry gets it");
    reading_free(&r);
    name[PATH_MAX - 1] = 'n';
    a.n = 0;
    add_extension('L', name, PATH_MAX);
    refused("one without its NUL at the end", "path is too long");
    a.n = 0;
    add_extension('K', name, PATH_MAX + 1);
    refused("one that is longer", "too long");
    a.n = 0;
    add_extension('L', name, 0);
    refused("an empty one, and no entry", "belongs to no entry");
    a.n = 0;
    add_extension('L', "", 1);
    (void)add_raw("n", '0', "0");
    refused("a name that is empty", "without a name");
    a.n = 0;
    change(add_raw("x", 'L', "0"), 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    refused("a name of -1 bytes", "too long");
}

static void gnu_prefix(void) {
    struct reading r;
    a.n = 0;
    size_t at = add_raw("n", '0', "0");
    change(at, 257, "ustar  \0owner", 13);
    change(at, 345, "12345670123", 12);
    const struct tar_entry *t = only(&r, "GNU tar's own headers");
    OK(t && strcmp(t->path, "n") == 0 && strcmp(t->owner, "owner") == 0,
       "have a time in the place of a prefix");
    reading_free(&r);
    a.n = 0;
    at = add_raw("{", '0', "0");
    memset(a.bytes + at, 'n', 100);
    memset(a.bytes + at + 345, 'p', 155);
    memset(a.bytes + at + 265, 'o', 32);
    seal(at);
    t = only(&r, "fields that are full to the last byte");
    OK(t && strlen(t->path) == 256 && t->path[155] == '/' && strlen(t->owner) == 32, "are read");
    reading_free(&r);
}

/* --- pax headers ------------------------------------------------------------------------------ */

static struct archive pax; /* the records of the next one */

static void put(const char *key, const char *value, size_t n) {
    char head[64];
    size_t body = strlen(key) + n + 3, len = body + 1;
    while (len != body + (size_t)snprintf(NULL, 0, "%zu", len))
        len++;
    add(&pax, head, (size_t)snprintf(head, sizeof head, "%zu ", len));
    add(&pax, key, strlen(key));
    add(&pax, "=", 1);
    add(&pax, value, n);
    add(&pax, "\n", 1);
}
#define PUT(key, text) put(key, text, sizeof(text) - 1)

static void add_pax(char type) {
    add_extension(type, pax.bytes, pax.n);
    pax.n = 0;
}

static void pax_keys(void) {
    struct reading r;
    static char big[60000];
    memset(big, '\n', sizeof big);
    a.n = 0;
    PUT("path", "a/b");
    PUT("linkpath", "c");
    PUT("uname", "me");
    PUT("gname", "us");
    PUT("uid", "1000");
    PUT("gid", "4294967295");
    PUT("mtime", "-1.5");
    PUT("size", "77"); /* of a link: means nothing */
    PUT("atime", "not looked at");
    PUT("comment", "with a\nnewline and a \0 NUL");
    PUT("mode", "no key of pax");
    put("SCHILY.xattr.user.big", big, sizeof big);
    PUT("LIBARCHIVE.creationtime", "");
    PUT("", "");
    PUT("GNU.sparse", "not quite");
    add_pax('x');
    (void)add_raw("short", '2', "0");
    (void)add_raw("next", '0', "0");
    OK(read_all_ways(&r, &a) && r.n == 2 && r.last == TAR_END, "a pax header of all keys (%s)",
       r.e.text);
    static const struct tar_entry want = {
        .path = "a/b",
        .target = "c",
        .type = '2',
        .owner = "me",
        .group = "us",
        .uid = 1000,
        .gid = UINT32_MAX,
        .mtime = { -2, 500000000 },
        .mode = 0644,
    };
    OK(r.n == 2 && same_entry(&r.seen[0].entry, &want), "says all of the next entry");
    OK(r.n == 2 && strcmp(r.seen[1].entry.path, "next") == 0 && r.seen[1].entry.uid == 1 &&
           r.seen[1].entry.mtime.tv_sec == 10 && !r.seen[1].entry.owner[0],
       "and nothing of the one after it");
    reading_free(&r);
}

static void pax_global(void) {
    struct reading r;
    a.n = 0;
    PUT("uname", "all");
    PUT("mtime", "5.25");
    PUT("uid", "77");
    PUT("gid", "78");
    add_pax('g');
    PUT("uname", "one");
    PUT("uid", "79");
    PUT("gid", "");
    add_pax('x');
    (void)add_raw("first", '0', "0");
    (void)add_raw("second", '0', "0");
    PUT("uid", "80");
    PUT("path", "third");
    add_pax('g');
    (void)add_raw("3", '0', "0");
    PUT("path", "again");
    PUT("uname", "");
    add_pax('X'); /* of Solaris, from before POSIX had one */
    (void)add_raw("4", '0', "0");
    OK(read_all_ways(&r, &a) && r.n == 4 && r.last == TAR_END, "global pax headers (%s)", r.e.text);
    static const struct {
        const char *path, *owner;
        uint32_t uid, gid;
    } want[] = { { "first", "one", 79, 2 },
                 { "second", "all", 77, 78 },
                 { "third", "all", 80, 78 },
                 { "again", "", 80, 78 } };
    for (size_t i = 0; i < r.n && i < COUNT(want); i++) {
        const struct tar_entry *t = &r.seen[i].entry;
        OK(strcmp(t->path, want[i].path) == 0 && strcmp(t->owner, want[i].owner) == 0 &&
               t->uid == want[i].uid && t->gid == want[i].gid && t->mtime.tv_nsec == 250000000,
           "%s is '%s', of %s, %u, %u", want[i].path, t->path, t->owner, t->uid, t->gid);
    }
    reading_free(&r);
}

static void pax_numbers(void) {
    static const struct {
        const char *key, *value;
        bool good;
        struct timespec want;
    } cases[] = {
        { "size", "0", true, { 0, 0 } },
        { "size", "9223372036854775808", .good = false },
        { "size", "18446744073709551616", .good = false },
        { "size", "99999999999999999999999999", .good = false },
        { "size", "-1", .good = false },
        { "size", "-0", true, { 0, 0 } },
        { "size", "0.5", .good = false },
        { "size", "0x0", .good = false },
        { "size", " 0", .good = false },
        { "size", "+0", .good = false },
        { "uid", "4294967295", true, { 4294967295, 0 } },
        { "uid", "4294967296", .good = false },
        { "uid", "-1", .good = false },
        { "mtime", "0000000000000000000000000000001", true, { 1, 0 } },
        { "mtime", "1.", true, { 1, 0 } },
        { "mtime", ".5", .good = false },
        { "mtime", "-", .good = false },
        { "mtime", "--1", .good = false },
        { "mtime", "1.5.5", .good = false },
        { "mtime", "1e3", .good = false },
        { "mtime", "now", .good = false },
        { "mtime", "1.123456789", true, { 1, 123456789 } },
        { "mtime", "1.1234567899999", true, { 1, 123456789 } },
        { "mtime", "-1.0000000001", true, { -2, 999999999 } },
        { "mtime", "-1.9999999999", true, { -2, 0 } },
        { "mtime", "-0.5", true, { -1, 500000000 } },
        { "mtime", "9223372036854775807.999999999", true, { INT64_MAX, 999999999 } },
        { "mtime", "9223372036854775808", .good = false },
        { "mtime", "-9223372036854775808", true, { INT64_MIN, 0 } },
        { "mtime", "-9223372036854775808.1", .good = false },
        { "mtime", "-9223372036854775809", .good = false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reading r;
        const char *key = cases[i].key;
        a.n = 0;
        put(key, cases[i].value, strlen(cases[i].value));
        add_pax('x');
        (void)add_raw("n", '0', "0");
        (void)read_all_ways(&r, &a);
        const struct tar_entry *t = r.n == 1 ? &r.seen[0].entry : NULL;
        struct timespec got = !t                          ? (struct timespec){ 0 }
                              : strcmp(key, "mtime") == 0 ? t->mtime
                              : strcmp(key, "uid") == 0   ? (struct timespec){ t->uid, 0 }
                                                          : (struct timespec){ (time_t)t->size, 0 };
        OK(cases[i].good == (t != NULL) && got.tv_sec == cases[i].want.tv_sec &&
               got.tv_nsec == cases[i].want.tv_nsec && (t || strstr(r.e.text, key)),
           "%s=%s: %lld.%09ld %s", key, cases[i].value, (long long)got.tv_sec, got.tv_nsec,
           r.e.text);
        reading_free(&r);
    }
}

static void pax_lies(void) {
    static const struct {
        const char *what, *bytes, *text;
    } cases[] = {
        { "no blank", "12path=a/bcd\n", "length" },
        { "no digits", " path=a\n", "length" },
        { "letters", "path=a\n", "length" },
        { "a sign", "-9 path=a\n", "length" },
        { "two blanks are one and a key", "10  path=\n\n", "length" },
        { "a length of 0", "0 path=a\n", "length" },
        { "a length of its own digits", "3 \npath", "without a key" },
        { "a length of that and a blank", "2 9 path=a\n", "length" },
        { "too short a length", "8 path=a\n", "length" },
        { "too long a length", "12 path=ab\n", "length" },
        { "far too long a length", "4294967320 path=aaaaaaa\n", "length" },
        { "longer than 64 bits", "18446744073709551649 path=aaaaaa\n", "length" },
        { "no newline", "10 path=ab", "length" },
        { "no equals sign", "8 pathx\n", "without a key" },
        { "half a length at the end", "10 path=a\n1", "length" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        a.n = 0;
        add_extension('x', cases[i].bytes, strlen(cases[i].bytes));
        (void)add_raw("n", '0', "0");
        refused(cases[i].what, cases[i].text);
    }
    a.n = 0;
    PUT("path", "a\0b");
    add_pax('x');
    refused("a NUL in a path", "path");
    a.n = 0;
    PUT("uname", "a\0b");
    add_pax('g');
    refused("a NUL in an owner", "uname");
    a.n = 0;
    PUT("size", "1\0");
    add_pax('x');
    refused("a NUL behind a number", "size");
    a.n = 0;
    add_extension('x', "11 path\0x=a\n", 12);
    refused("a NUL in a key, a wrong length", "length");
    a.n = 0;
    add_extension('x', "12 path\0x=a\n", 12);
    refused("a NUL in a key", "key");
}

static void pax_sizes(void) {
    static char name[PATH_MAX + 100];
    struct reading r;
    memset(name, 'n', sizeof name);
    a.n = 0;
    put("path", name, PATH_MAX - 1);
    put("linkpath", name, PATH_MAX - 1);
    put("uname", name, 64);
    put("gname", name, 63);
    add_pax('x');
    (void)add_raw("n", '1', "0");
    const struct tar_entry *t = only(&r, "the longest names");
    OK(t && strlen(t->path) == PATH_MAX - 1 && strlen(t->target) == PATH_MAX - 1 && !t->owner[0] &&
           strlen(t->group) == 63,
       "are taken; an owner that is longer is none");
    reading_free(&r);
    for (size_t n = PATH_MAX; n <= sizeof name; n += 33) {
        a.n = 0;
        put("linkpath", name, n);
        add_pax('x');
        (void)add_raw("n", '1', "0");
        refused("a name of PATH_MAX and more", "linkpath is too long");
    }
    a.n = 0;
    memset(name, '0', sizeof name);
    put("size", name, sizeof name);
    add_pax('x');
    refused("a number that is too long", "size is too long");
    a.n = 0;
    name[sizeof name - 1] = '\0';
    put(name, "a", 1);
    put("pathname", name, sizeof name - 1);
    add_pax('x');
    (void)add_raw("n", '0', "0");
    t = only(&r, "a key that has no end, and a value of an unknown key");
    OK(t && strcmp(t->path, "n") == 0, "are ignored");
    reading_free(&r);
    a.n = 0;
    (void)add_raw("x", 'x', "00100000001");
    refused("a pax header that is too long", "too long");
    a.n = 0;
    (void)add_raw("x", 'g', "00100000000");
    refused("the longest one, which is cut", "cut");
    a.n = 0;
    add_pax('x');
    (void)add_raw("n", '0', "0");
    (void)only(&r, "an empty pax header");
    reading_free(&r);
    a.n = 0;
    PUT("path", "");
    add_pax('x');
    (void)add_raw("n", '0', "0");
    refused("an empty path", "without a name");
}

/* --- what is not unpacked --------------------------------------------------------------------- */

static void kinds(void) {
    struct reading r;
    a.n = 0;
    (void)add_raw("big", 'S', "0");
    refused("a sparse file", "in 'big': a sparse file");
    a.n = 0;
    (void)add_raw("big", 'M', "0");
    refused("a second volume", "in 'big': a file continued");
    a.n = 0;
    PUT("GNU.sparse.major", "1");
    add_pax('x');
    (void)add_raw("big", '0', "0");
    refused("a sparse file in pax", "in 'big': a sparse file");
    a.n = 0;
    PUT("GNU.volume.filename", "big");
    add_pax('g');
    (void)add_raw("big", '0', "0");
    refused("a second volume in pax", "in 'big': a file continued");
    a.n = 0;
    (void)add_raw("what", 'Z', "0");
    refused("a kind that nobody knows", "in 'what': an entry of an unknown kind");
    a.n = 0;
    (void)add_raw("", '0', "0");
    refused("an entry without a name", "without a name");
    a.n = 0;
    (void)add_raw("label", 'V', "00000000001");
    add_content(&a, "x", 1);
    (void)add_raw("dir", 'D', "00000000003");
    add_content(&a, "Ya", 3);
    const struct tar_entry *t = only(&r, "a label, and a directory with a list");
    OK(t && t->type == '5' && t->size == 0 && strcmp(t->path, "dir") == 0,
       "are no entry, and a directory");
    reading_free(&r);
}

static void ends(void) {
    struct reading r;
    a.n = 0;
    OK(read_all_ways(&r, &a) && r.last == TAR_END && r.n == 0, "no bytes are an empty archive");
    add_end(&a);
    OK(read_all_ways(&r, &a) && r.last == TAR_END && r.n == 0, "and so are two blocks of zeros");
    a.n = 0;
    (void)add_raw("one", '0', "0");
    add(&a, NULL, TAR_BLOCK);
    (void)only(&r, "one block of zeros at the end");
    reading_free(&r);
    (void)add_raw("two", '0', "0");
    refused("one in the middle", "after 'one': a lone block of zeros");
    a.n = 0;
    PUT("path", "a");
    add_pax('x');
    refused("a pax header at the end", "belongs to no entry");
    add_end(&a);
    refused("a pax header before the zeros", "belongs to no entry");
    a.n = 0;
    (void)add_raw("big", '0', "\xff"); /* no number */
    change(0, 124, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
    add(&a, NULL, 4 * TAR_BLOCK);
    refused("a content of 2^63 - 1 bytes", "in 'big': it ends");
}

/* Cut after every byte: it is noticed but where a header could stand. */
static void cuts(void) {
    static struct tar_entry t;
    size_t bounds[8], n = 0, wrong = 0;
    a.n = 0;
    bounds[n++] = 0;
    t = (struct tar_entry){ .path = "a", .type = '0', .size = 700 };
    (void)add_entry(&a, &t);
    bounds[n++] = a.n;
    t = (struct tar_entry){ .path = "d", .type = '5', .mtime = { 0, 5 } };
    (void)add_entry(&a, &t);
    bounds[n++] = a.n;
    add_extension('L', "long", 5);
    t = (struct tar_entry){ .path = "b", .type = '0', .size = 512 };
    (void)add_entry(&a, &t);
    bounds[n++] = a.n;
    add(&a, NULL, TAR_BLOCK);
    bounds[n++] = a.n;
    add(&a, NULL, TAR_BLOCK);
    for (size_t cut = 0; cut <= a.n; cut++) {
        struct reading r;
        bool whole = cut == a.n;
        for (size_t i = 0; i < n; i++)
            whole |= cut == bounds[i];
        read_archive(&r, a.bytes, cut, cut % 3 ? 0 : 300);
        wrong += r.broken || r.last != (whole ? TAR_END : TAR_BAD) || (!whole && !r.e.text[0]);
        reading_free(&r);
    }
    OK(wrong == 0, "an archive of %zu bytes, cut after each: %zu wrong", a.n, wrong);
}

static void answers_stay(void) {
    static struct tar_reader r;
    struct err e = { 0 };
    size_t used = 7, len;
    const char *data;
    static char zeros[3 * TAR_BLOCK];
    tar_reader_init(&r);
    OK(tar_read(&r, NULL, 0, false, &used, &data, &len, &e) == TAR_MORE && used == 0 && !data &&
           len == 0,
       "nothing is nothing");
    OK(tar_read(&r, zeros, sizeof zeros, false, &used, &data, &len, &e) == TAR_END &&
           used == 2 * TAR_BLOCK,
       "the end is where it is");
    OK(tar_read(&r, "after", 5, true, &used, &data, &len, &e) == TAR_END && used == 5,
       "it stays, and takes what follows");
    tar_reader_init(&r);
    OK(tar_read(&r, "short", 5, true, &used, &data, &len, &e) == TAR_BAD && used == 5 &&
           strstr(e.text, "cut") && e.code == EINVAL,
       "%s", e.text);
    OK(tar_read(&r, zeros, 512, true, &used, &data, &len, &e) == TAR_BAD && used == 0 &&
           strstr(e.text, "before"),
       "%s", e.text);
}

int main(void) {
    old_headers();
    header_numbers();
    header_times();
    checksums();
    sizes_to_ignore();
    gnu_names();
    gnu_prefix();
    pax_keys();
    pax_global();
    pax_numbers();
    pax_lies();
    pax_sizes();
    kinds();
    ends();
    cuts();
    answers_stay();
    return tap_end();
}
