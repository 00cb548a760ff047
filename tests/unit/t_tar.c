/* What the writer of archives says is what the reader understands, in whatever pieces. */
#include "tests/unit/t_tar.h"

#include <errno.h>

static struct archive a;

/* --- what the writer says --------------------------------------------------------------------- */

enum { PLAIN = TAR_BLOCK, PAX1 = 3 * TAR_BLOCK }; /* bytes of a head */

/* clang-format off */
static const struct odd {
    const char *what, *path, *target;
    char type;
    int head; /* bytes expected; 0: more than PAX1 */
    uint32_t mode, uid, gid;
    const char *owner, *group;
    uint64_t size;
    struct timespec mtime;
    uint32_t major, minor;
} odds[] = {
    { "a file", "a", .head = PLAIN, .mode = 0644, .size = 3 },
    { "a path of 100", "{100a}", .head = PLAIN, .size = 513 },
    { "a path of 101 that cannot be split", "{101a}", .head = PAX1, .size = 512 },
    { "a path split 155/100", "{155d}/{100f}", .head = PLAIN },
    { "a path of 255", "{154d}/{100f}", .head = PLAIN },
    { "a path of 256 that cannot be split", "{156d}/{99f}", .head = PAX1 },
    { "a last part of 101", "{100d}/{101f}", .head = PAX1 },
    { "many slashes", "{50a}/{50b}/{50c}/{90d}", .head = PLAIN },
    { "a slash that is one byte too early", "{50d}/{50e}/{50f}", .head = PLAIN },
    { "a slash in the right place among wrong ones", "a/{90b}/{90c}/d", .head = PLAIN },
    { "two slashes where it is split", "{80d}//{80f}", .head = PLAIN },
    { "only the root to split at", "/{100f}", .head = PAX1 },
    { "an absolute path", "/{99d}/{99f}", .head = PLAIN },
    { "a directory's slash is no place to split", "{100d}/", .type = '5', .head = PAX1 },
    { "a directory of 99 and its slash", "{99d}/", .type = '5', .head = PLAIN },
    { "a directory that is split", "{100d}/{99e}/", .type = '5', .head = PLAIN },
    { "a path of 4000", "{4000a}", .head = 0 },
    { "the longest path", "{2000a}/{2094b}", .head = 0 },
    { "both as long as can be", "{4095a}", "{4095b}", .type = '2', .head = 0 },
    { "UTF-8", "za\xc5\xbc\xc3\xb3\xc5\x82\xc4\x87/\xe6\x97\xa5\xe6\x9c\xac", .head = PAX1 },
    { "what is not UTF-8", "\xff\xfe\x80", .head = PAX1 },
    { "UTF-8 that is split", "{100d}/\xc3\xa9{90f}", .head = PAX1 },
    { "newlines and a record in a name", "a\n9 path=b\n\n", .head = PLAIN },
    { "the same in a pax header", "a\n9 path=b\n\xc3\xa9\n", .head = PAX1 },
    { "an inner .. and .", "./a/../b", .head = PLAIN },
    { "8 GiB less a byte", "a", .head = PLAIN, .size = 077777777777 },
    { "8 GiB", "a", .head = PAX1, .size = UINT64_C(1) << 33 },
    { "the largest size", "a", .head = PAX1, .size = INT64_MAX },
    { "the largest ids of ustar", "a", .head = PLAIN, .uid = 2097151, .gid = 2097151 },
    { "a larger uid", "a", .head = PAX1, .uid = 2097152, .gid = 1 },
    { "a larger gid", "a", .head = PAX1, .uid = 1, .gid = 2097152 },
    { "the largest ids", "a", .head = PAX1, .uid = UINT32_MAX, .gid = UINT32_MAX },
    { "names of 31", "a", .head = PLAIN, .owner = "{31o}", .group = "{31g}" },
    { "names of 32", "a", .head = PAX1, .owner = "{32o}", .group = "{32g}" },
    { "names of 63", "a", .head = PAX1, .owner = "{63o}", .group = "{63g}" },
    { "an owner in UTF-8", "a", .head = PAX1, .owner = "ren\xc3\xa9", .group = "x" },
    { "every bit of a mode", "a", .head = PLAIN, .mode = 07777 },
    { "1970", "a", .head = PLAIN, .mtime = { 0, 0 } },
    { "a nanosecond later", "a", .head = PAX1, .mtime = { 0, 1 } },
    { "a second before", "a", .head = PAX1, .mtime = { -1, 0 } },
    { "half a second before", "a", .head = PAX1, .mtime = { -1, 500000000 } },
    { "a nanosecond before", "a", .head = PAX1, .mtime = { -1, 999999999 } },
    { "a second and a half before", "a", .head = PAX1, .mtime = { -2, 500000000 } },
    { "ten nanoseconds", "a", .head = PAX1, .mtime = { 1764140000, 10 } },
    { "the last second of ustar", "a", .head = PLAIN, .mtime = { 077777777777, 0 } },
    { "the one after it", "a", .head = PAX1, .mtime = { 0100000000000, 0 } },
    { "the end of time", "a", .head = PAX1, .mtime = { INT64_MAX, 999999999 } },
    { "the beginning of time", "a", .head = PAX1, .mtime = { INT64_MIN, 0 } },
    { "shortly after it", "a", .head = PAX1, .mtime = { INT64_MIN, 1 } },
    { "a symbolic link to 100", "l", "{100t}", .type = '2', .head = PLAIN, .mode = 0777 },
    { "a symbolic link to 101", "l", "{101t}", .type = '2', .head = PAX1 },
    { "a symbolic link to UTF-8", "l", "\xc3\xa9", .type = '2', .head = PAX1 },
    { "a hard link", "l", "a/b", .type = '1', .head = PLAIN },
    { "a hard link to 4095", "l", "{4095t}", .type = '1', .head = 0 },
    { "a character device", "d", .type = '3', .head = PLAIN, .major = 5, .minor = 2097151 },
    { "a block device of a large number", "d", .type = '4', .head = PAX1, .major = UINT32_MAX,
      .minor = 2097152 },
    { "a fifo", "f", .type = '6', .head = PLAIN },
};
/* clang-format on */

static void fill_odd(struct tar_entry *t, const struct odd *o) {
    *t = (struct tar_entry){ .type = o->type ? o->type : '0',
                             .mode = o->mode,
                             .uid = o->uid,
                             .gid = o->gid,
                             .size = o->size,
                             .mtime = o->mtime,
                             .major = o->major,
                             .minor = o->minor };
    expand(t->path, sizeof t->path, o->path);
    expand(t->target, sizeof t->target, o->target ? o->target : "");
    expand(t->owner, sizeof t->owner, o->owner ? o->owner : "");
    expand(t->group, sizeof t->group, o->group ? o->group : "");
}

static void round_trips(void) {
    static struct tar_entry t;
    for (size_t i = 0; i < COUNT(odds); i++) {
        char head[TAR_HEAD_MAX];
        struct reading r;
        fill_odd(&t, &odds[i]);
        a.n = 0;
        int n = tar_head(&t, head);
        add(&a, head, n > 0 ? (size_t)n : 0);
        bool split = read_all_ways(&r, &a);
        OK(odds[i].head ? n == odds[i].head : n > PAX1 && n <= TAR_HEAD_MAX, "%s: %d bytes",
           odds[i].what, n);
        OK(split && r.n == 1 && same_entry(&r.seen[0].entry, &t), "%s: read back (%s)",
           odds[i].what, r.e.text);
        OK(r.last == (t.size > 0 ? TAR_BAD : TAR_END), "%s: and then %d", odds[i].what, r.last);
        reading_free(&r);
    }
}

/* All of them that have a small content in one archive, the end and what may follow it. */
static void one_archive(void) {
    static struct tar_entry t;
    struct reading r;
    size_t n = 0;
    bool good = true;
    a.n = 0;
    for (size_t i = 0; i < COUNT(odds); i++) {
        fill_odd(&t, &odds[i]);
        if (t.size < 1000)
            n += add_entry(&a, &t) > 0;
    }
    add_end(&a);
    add(&a, "what follows is ignored", 23);
    OK(read_all_ways(&r, &a) && r.last == TAR_END && r.n == n, "%zu entries in one archive (%s)", n,
       r.e.text);
    for (size_t i = 0, at = 0; i < COUNT(odds) && at < r.n; i++) {
        fill_odd(&t, &odds[i]);
        if (t.size >= 1000)
            continue;
        good &= same_entry(&r.seen[at].entry, &t) && r.seen[at].bytes == t.size;
        at++;
    }
    OK(good, "each with its own fields and as much content as it says");
    OK(r.n > 2 && r.seen[0].sum == 0 * 31 * 31 + 7 * 31 + 14, "and with its bytes");
    reading_free(&r);
}

/* A record's length counts its own digits: every length of path, so every change of digits. */
static void every_length(void) {
    static struct tar_entry t, *back;
    size_t bad = 0;
    t = (struct tar_entry){ .type = '0' };
    for (size_t n = 1; n < PATH_MAX; n++) {
        char head[TAR_HEAD_MAX];
        struct reading r;
        t.path[n - 1] = n % 97 ? 'p' : '/';
        t.path[n] = '\0';
        if (t.path[n - 1] == '/')
            continue; /* would be a directory */
        int len = tar_head(&t, head);
        read_archive(&r, head, len > 0 ? (size_t)len : 0, 0);
        back = r.n == 1 ? &r.seen[0].entry : NULL;
        bad += !back || r.last != TAR_END || !same_entry(back, &t);
        reading_free(&r);
    }
    OK(bad == 0, "paths of every length: %zu bad", bad);
}

static void the_same_bytes(void) {
    static struct tar_entry t;
    bool good = true;
    for (size_t i = 0; i < COUNT(odds); i++) {
        char one[TAR_HEAD_MAX], two[TAR_HEAD_MAX];
        memset(one, 0x55, sizeof one);
        memset(two, 0xaa, sizeof two);
        fill_odd(&t, &odds[i]);
        int n = tar_head(&t, one);
        memset(t.path + strlen(t.path) + 1, '#', sizeof t.path - strlen(t.path) - 1);
        memset(t.owner + strlen(t.owner) + 1, '#', sizeof t.owner - strlen(t.owner) - 1);
        good &= n == tar_head(&t, two) && memcmp(one, two, (size_t)n) == 0;
        good &= n == TAR_HEAD_MAX || one[n] == 0x55;
    }
    OK(good, "the same entry gives the same bytes, whatever was in memory");
    t = (struct tar_entry){ .path = "a/b",
                            .type = '0',
                            .mode = 0644,
                            .uid = 1000,
                            .gid = 100,
                            .size = 5,
                            .mtime = { 1700000000, 0 },
                            .owner = "me",
                            .group = "us" };
    char head[TAR_HEAD_MAX], want[TAR_BLOCK] = "a/b";
    memcpy(want + 100,
           "0000644\0"
           "0001750\0"
           "0000144\0"
           "00000000005\0"
           "14524770400\0",
           48);
    memcpy(want + 148, "011256\0 0", 9);
    memcpy(want + 257, "ustar\00000me", 10);
    memcpy(want + 297, "us", 2);
    memcpy(want + 329,
           "0000000\0"
           "0000000",
           15);
    int sum = 0;
    for (int i = 0; i < TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : want[i];
    (void)snprintf(want + 148, 8, "%06o", (unsigned)sum);
    want[155] = ' ';
    OK(tar_head(&t, head) == TAR_BLOCK && memcmp(head, want, TAR_BLOCK) == 0,
       "a plain header, byte for byte");
    t.mtime.tv_nsec = 120000000;
    t.size = UINT64_C(1) << 33;
    static const char records[] = "19 size=8589934592\n23 mtime=1700000000.12\n";
    OK(tar_head(&t, head) == PAX1 && head[156] == 'x' &&
           memcmp(head + TAR_BLOCK, records, sizeof records) == 0,
       "and a pax header's records");
}

static void not_written(void) {
    static struct tar_entry t;
    static char head[TAR_HEAD_MAX];
    struct reading r;
    t = (struct tar_entry){ .type = '0' };
    OK(tar_head(&t, head) == -EINVAL, "no path");
    memset(t.path, 'a', sizeof t.path);
    OK(tar_head(&t, head) == -ENAMETOOLONG, "a path without its NUL");
    t = (struct tar_entry){ .path = "a", .type = '0' };
    memset(t.group, 'a', sizeof t.group);
    OK(tar_head(&t, head) == -ENAMETOOLONG, "a group without its NUL");
    t = (struct tar_entry){ .path = "a", .type = '7' };
    OK(tar_head(&t, head) == -EINVAL, "another type");
    t = (struct tar_entry){ .path = "a", .type = '0', .mtime = { 0, 1000000000 } };
    OK(tar_head(&t, head) == -EINVAL, "nanoseconds that make a second");
    t = (struct tar_entry){ .path = "a", .type = '0', .size = UINT64_C(1) << 63 };
    OK(tar_head(&t, head) == -EINVAL, "a size that no file has");
    t = (struct tar_entry){
        .path = "d", .target = "x", .type = '5', .size = 4096, .mode = 040755, .major = 1
    };
    int n = tar_head(&t, head);
    read_archive(&r, head, n > 0 ? (size_t)n : 0, 0);
    OK(n == PLAIN && r.n == 1 && r.last == TAR_END, "a directory as lstat(2) says it");
    OK(r.n == 1 && r.seen[0].entry.size == 0 && !r.seen[0].entry.target[0] &&
           r.seen[0].entry.mode == 0755 && r.seen[0].entry.major == 0,
       "is read without size, target, device, and with only the bits of its mode");
    OK(strcmp(head + 100, "0000755") == 0 && strcmp(head + 124, "00000000000") == 0 && !head[157] &&
           strcmp(head + 329, "0000000") == 0,
       "has no size, no target, no device, as written");
    reading_free(&r);
}

/* --- names ------------------------------------------------------------------------------------ */

static void clean_paths(void) {
    static const struct {
        const char *path, *want; /* NULL: refused */
    } cases[] = {
        { "a", "a" },
        { "a/b", "a/b" },
        { "/a", "a" },
        { "///a//b///", "a/b" },
        { "./a", "a" },
        { "./", "" },
        { ".", "" },
        { "", "" },
        { "/", "" },
        { "a/./b/.", "a/b" },
        { "...", "..." },
        { "a/..b/c..", "a/..b/c.." },
        { ".a/.b", ".a/.b" },
        { "..", NULL },
        { "../a", NULL },
        { "a/..", NULL },
        { "a/../b", NULL },
        { "/..", NULL },
        { "a/b/../../..", NULL },
        { "./..//", NULL },
        { "{4095a}", "{4095a}" },
        { "/{4095a}/", "{4095a}" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char in[PATH_MAX + 8], want[PATH_MAX], out[PATH_MAX];
        expand(in, sizeof in, cases[i].path);
        expand(want, sizeof want, cases[i].want ? cases[i].want : "");
        int rc = tar_clean_path(in, out);
        OK(cases[i].want ? rc == 0 && strcmp(out, want) == 0 : rc == -EINVAL, "'%s' is '%s'",
           cases[i].path, cases[i].want ? cases[i].want : "refused");
    }
    char in[PATH_MAX + 8], out[PATH_MAX];
    expand(in, sizeof in, "{4096a}");
    OK(tar_clean_path(in, out) == -ENAMETOOLONG, "one that does not fit");
}

int main(void) {
    round_trips();
    one_archive();
    every_length();
    the_same_bytes();
    not_written();
    clean_paths();
    return tap_end();
}
