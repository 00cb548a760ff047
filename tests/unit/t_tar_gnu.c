/* Archives between us and GNU tar(1), both ways, over real files. */
#include "tests/unit/t_tar.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

static struct archive a;
static char dir[] = "/tmp/t_tar.XXXXXX";
static char said[1 << 16]; /* by the last command */

/* Run a command of the shell in the directory; its exit status. */
__attribute__((format(printf, 1, 2))) static int run(const char *fmt, ...) {
    char command[3 * PATH_MAX];
    int at = snprintf(command, sizeof command, "cd %s && { ", dir);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(command + at, sizeof command - (size_t)at, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)(at + n) > sizeof command - 16)
        abort();
    memcpy(command + at + n, "\n} 2>&1", 8);
    FILE *f = popen(command, "r");
    if (!f)
        return -1;
    size_t len = fread(said, 1, sizeof said - 1, f);
    while (len > 0 && said[len - 1] == '\n')
        len--;
    said[len] = '\0';
    return pclose(f);
}

static const char *in_dir(const char *name) {
    static char path[2 * PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static bool save(const char *name, const char *bytes, size_t n) {
    FILE *f = fopen(in_dir(name), "we");
    if (!f)
        return false;
    bool good = fwrite(bytes, 1, n, f) == n;
    return fclose(f) == 0 && good;
}

static bool load(const char *name) {
    FILE *f = fopen(in_dir(name), "re");
    a.n = 0;
    if (!f)
        return false;
    a.n = fread(a.bytes, 1, sizeof a.bytes, f);
    return fclose(f) == 0 && a.n < sizeof a.bytes;
}

/* The sum of a file's bytes as see() makes it, and how many there are. */
static uint32_t sum_of(const char *name, uint64_t *bytes) {
    uint32_t sum = 0;
    FILE *f = fopen(in_dir(name), "re");
    *bytes = 0;
    for (int c; f && (c = getc(f)) != EOF; ++*bytes)
        sum = sum * 31 + (unsigned)c;
    if (f)
        (void)fclose(f);
    return sum;
}

/* --- ours, read by tar ------------------------------------------------------------------------ */

#define T0 1700000000 /* 2023-11-14 22:13:20 UTC */

/* clang-format off */
static const struct row {
    const char *path, *target;
    char type;
    uint32_t mode, uid, gid;
    uint64_t size;
    struct timespec mtime;
    uint32_t major, minor;
    const char *list; /* what tar -tv says before the date, with one blank each */
} rows[] = {
    { "d/", .type = '5', .mode = 0755, .list = "drwxr-xr-x 0/0 0" },
    { "d/empty", .mode = 0600, .uid = 1000, .gid = 100, .list = "-rw------- 1000/100 0" },
    { "d/one", .mode = 0444, .size = 1, .list = "-r--r--r-- 0/0 1" },
    { "d/511", .mode = 0644, .size = 511, .list = "-rw-r--r-- 0/0 511" },
    { "d/512", .mode = 0644, .size = 512, .list = "-rw-r--r-- 0/0 512" },
    { "d/513", .mode = 0644, .size = 513, .list = "-rw-r--r-- 0/0 513" },
    { "d/setuid", .mode = 04755, .size = 10000, .list = "-rwsr-xr-x 0/0 10000" },
    { "d/sticky", .type = '5', .mode = 01777, .list = "drwxrwxrwt 0/0 0" },
    { "{100a}", .mode = 0644, .size = 3, .list = "-rw-r--r-- 0/0 3" },
    { "{101a}", .mode = 0644, .size = 3, .list = "-rw-r--r-- 0/0 3" },
    { "{155d}/{100f}", .mode = 0644, .size = 3, .list = "-rw-r--r-- 0/0 3" },
    { "{200d}/{200e}/{200f}/{200g}", .mode = 0644, .size = 3, .list = "-rw-r--r-- 0/0 3" },
    { "za\xc5\xbc\xc3\xb3\xc5\x82\xc4\x87", .mode = 0644, .size = 3, .list = "-rw-r--r-- 0/0 3" },
    { "not-\xff-utf8", .mode = 0644, .size = 3, .list = "-rw-r--r-- 0/0 3" },
    { "ids", .mode = 0644, .uid = 2097152, .gid = 3000000000, .size = 3,
      .list = "-rw-r--r-- 2097152/3000000000 3" },
    { "fraction", .mode = 0644, .mtime = { T0, 120000000 }, .list = "-rw-r--r-- 0/0 0" },
    { "nanosecond", .mode = 0644, .mtime = { T0, 1 }, .list = "-rw-r--r-- 0/0 0" },
    { "before-1970", .mode = 0644, .mtime = { -86400, 0 }, .list = "-rw-r--r-- 0/0 0" },
    { "after-2242", .mode = 0644, .mtime = { 8589934592, 0 }, .list = "-rw-r--r-- 0/0 0" },
    { "l", "d/one", .type = '2', .mode = 0777, .list = "lrwxrwxrwx 0/0 0" },
    { "long-l", "{150x}/{150y}", .type = '2', .mode = 0777, .list = "lrwxrwxrwx 0/0 0" },
    { "utf8-l", "\xc3\xa9", .type = '2', .mode = 0777, .list = "lrwxrwxrwx 0/0 0" },
    { "h", "d/513", .type = '1', .mode = 0644, .list = "hrw-r--r-- 0/0 0" },
    { "long-h", "{155d}/{100f}", .type = '1', .mode = 0644, .list = "hrw-r--r-- 0/0 0" },
    { "p", .type = '6', .mode = 0620, .list = "prw--w---- 0/0 0" },
    { "c", .type = '3', .mode = 0666, .major = 1, .minor = 3, .list = "crw-rw-rw- 0/0 1,3" },
    { "b", .type = '4', .mode = 0660, .major = 259, .minor = 1048575,
      .list = "brw-rw---- 0/0 259,1048575" },
};
/* clang-format on */

static void fill_row(struct tar_entry *t, const struct row *row) {
    *t = (struct tar_entry){ .type = row->type ? row->type : '0',
                             .mode = row->mode,
                             .uid = row->uid,
                             .gid = row->gid,
                             .size = row->size,
                             .mtime = row->mtime,
                             .major = row->major,
                             .minor = row->minor };
    if (t->mtime.tv_sec == 0)
        t->mtime.tv_sec = T0;
    expand(t->path, sizeof t->path, row->path);
    expand(t->target, sizeof t->target, row->target ? row->target : "");
}

/* The date as --full-time prints it. */
static void date_of(char *out, size_t cap, struct timespec t) {
    struct tm tm;
    char fraction[16] = "";
    if (t.tv_nsec > 0) {
        int n = snprintf(fraction, sizeof fraction, ".%09ld", t.tv_nsec);
        while (fraction[n - 1] == '0')
            fraction[--n] = '\0';
    }
    size_t n = strftime(out, cap, "%Y-%m-%d %H:%M:%S", gmtime_r(&t.tv_sec, &tm));
    (void)snprintf(out + n, cap - n, "%s", fraction);
}

/* A line of tar -tv with its runs of blanks before the name made one each. */
static void squeeze(char *line) {
    char *to = line;
    int words = 0;
    for (char *from = line; *from; from++) {
        if (*from == ' ' && words < 5) {
            words++;
            while (from[1] == ' ')
                from++;
        }
        *to++ = *from;
    }
    *to = '\0';
}

static bool is_line(char *line, const struct row *row, const struct tar_entry *t) {
    char date[64], want[3 * PATH_MAX];
    const char *arrow = t->type == '2' ? " -> " : t->type == '1' ? " link to " : "";
    date_of(date, sizeof date, t->mtime);
    (void)snprintf(want, sizeof want, "%s %s %s%s%s", row->list, date, t->path, arrow, t->target);
    squeeze(line);
    if (strcmp(line, want) == 0)
        return true;
    (void)printf("# tar:  %.300s\n# want: %.300s\n", line, want);
    return false;
}

static void listed(void) {
    static struct tar_entry t;
    a.n = 0;
    for (size_t i = 0; i < COUNT(rows); i++) {
        fill_row(&t, &rows[i]);
        (void)add_entry(&a, &t);
    }
    add_end(&a);
    if (!OK(save("ours.tar", a.bytes, a.n), "our archive of %zu bytes", a.n))
        return;
    int rc = run("TZ=UTC LC_ALL=C tar --numeric-owner --full-time --quoting-style=literal "
                 "-tvf ours.tar");
    OK(rc == 0, "tar lists it: %d", rc);
    char *line = said;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *end = line ? strchr(line, '\n') : NULL;
        if (end)
            *end = '\0';
        fill_row(&t, &rows[i]);
        OK(line && is_line(line, &rows[i], &t), "%s as it is", rows[i].path);
        line = end ? end + 1 : NULL;
    }
    OK(!line, "and says no more: %s", line ? line : "");
}

static bool same_node(const struct tar_entry *t, const struct stat *st) {
    static const mode_t kinds[] = { S_IFREG, S_IFREG, S_IFLNK, S_IFCHR, S_IFBLK, S_IFDIR, S_IFIFO };
    bool device = t->type == '3' || t->type == '4';
    return (st->st_mode & S_IFMT) == kinds[t->type - '0'] &&
           (t->type == '2' || (st->st_mode & 07777) == t->mode) &&
           st->st_mtim.tv_sec == t->mtime.tv_sec && st->st_mtim.tv_nsec == t->mtime.tv_nsec &&
           (!device || (major(st->st_rdev) == t->major && minor(st->st_rdev) == t->minor));
}

/* Is this entry of an archive the file below `top`? */
static bool same_file(const char *top, const struct seen *s) {
    char path[3 * PATH_MAX], target[PATH_MAX];
    const struct tar_entry *t = &s->entry;
    struct stat st, other;
    uint64_t bytes;
    (void)snprintf(path, sizeof path, "%s/%s", top, t->path);
    if (lstat(in_dir(path), &st) < 0 || !same_node(t, &st))
        return false;
    if (t->type == '0')
        return t->size == (uint64_t)st.st_size && s->sum == sum_of(path, &bytes) &&
               s->bytes == bytes && bytes == t->size;
    if (t->type == '2') {
        ssize_t n = readlink(in_dir(path), target, sizeof target);
        return n > 0 && (size_t)n == strlen(t->target) && memcmp(target, t->target, (size_t)n) == 0;
    }
    (void)snprintf(path, sizeof path, "%s/%s", top, t->target);
    return t->type != '1' || (stat(in_dir(path), &other) == 0 && other.st_ino == st.st_ino);
}

static void extracted(void) {
    struct reading r;
    int rc = run("mkdir x && tar --no-same-owner -xpf ours.tar -C x --exclude='[bc]'");
    OK(rc == 0, "tar unpacks it: %d %s", rc, said);
    OK(load("ours.tar"), "and we read it");
    read_archive(&r, a.bytes, a.n, 0);
    OK(r.n == COUNT(rows), "%zu entries", r.n);
    for (size_t i = 0; i < r.n && i < COUNT(rows); i++) {
        char type = r.seen[i].entry.type;
        if (type != '3' && type != '4') /* to make those takes rights */
            OK(same_file("x", &r.seen[i]), "%s is what it was", rows[i].path);
    }
    reading_free(&r);
}

/* Sizes around 8 GiB, in a file with a hole of that size. */
static void large(void) {
    static struct tar_entry t;
    static const uint64_t sizes[] = { 077777777777, UINT64_C(1) << 33, (UINT64_C(1) << 33) + 1 };
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char want[64];
        t = (struct tar_entry){ .path = "big", .type = '0', .size = sizes[i] };
        a.n = 0;
        add(&a, NULL, TAR_HEAD_MAX);
        int n = tar_head(&t, a.bytes);
        off_t end = (off_t)((uint64_t)n + t.size + tar_padding(t.size) + 2 * TAR_BLOCK);
        if (!save("big.tar", a.bytes, (size_t)n) || truncate(in_dir("big.tar"), end) < 0) {
            OK(true, "%llu bytes # SKIP no such files here", (unsigned long long)sizes[i]);
            continue;
        }
        int rc = run("tar -tvf big.tar");
        (void)snprintf(want, sizeof want, " %llu ", (unsigned long long)sizes[i]);
        OK(rc == 0 && strstr(said, want), "tar finds %sbytes in ours: %s", want,
           strtok(said, "\n"));
        (void)run("rm big.tar && truncate -s %llu big", (unsigned long long)sizes[i]);
        for (const char *const *f = (const char *const[]){ "gnu", "pax", NULL }; *f; f++) {
            struct reading r;
            rc = run("tar --format=%s -cf - big 2>/dev/null | head -c 2560 >head.tar", *f);
            OK(rc == 0 && load("head.tar"), "the head of an archive as %s", *f);
            read_archive(&r, a.bytes, a.n, 0);
            OK(r.n == 1 && r.seen[0].entry.size == sizes[i] && r.last == TAR_BAD,
               "we find%sbytes in it", want);
            reading_free(&r);
        }
    }
}

/* --- theirs, read by us ----------------------------------------------------------------------- */

/* What every format can say, then what POSIX's can, then what takes pax or GNU tar. */
static const char tree[] =
    "umask 022; mkdir v7 && cd v7 && mkdir sub && : >empty && printf abc >sub/three && "
    "head -c 512 /dev/zero >512 && seq 3000 >many && chmod 4711 many && chmod 0400 empty && "
    "ln many sub/hard && ln -s ../many sub/sym && mkdir -m 1777 sub/sticky && "
    "printf x >$(printf '%080d' 1) && touch -d @1234567890 sub/three sub && cd .. && "
    "cp -a v7 ustar && cd ustar && mkfifo -m 640 fifo && d=$(printf '%090d/%060d' 1 1) && "
    "mkdir -p $d/sub && printf split >$d/sub/$(printf '%095d' 1) && cd .. && "
    "cp -a ustar pax && cd pax && d=$(printf '%0250d' 1) && mkdir -p $d/$d/$d && "
    "printf long >$d/$d/$d/f && ln $d/$d/$d/f hard && ln -s $d/$d/$d sym && "
    "printf u >$(printf 'za\\305\\274\\303\\263\\377') && touch -d '1969-12-31 23:59:58.5Z' many "
    "&& "
    "touch -d '2040-01-01 00:00:00.123456789Z' empty && { chown 3000000:3000001 512 || :; } && "
    "printf n >'new\nline' && cd .. && cp -a pax gnu";

/* The same with the owner, and a time in whole seconds where the format has no others. */
static bool is_theirs(const char *format, struct seen s) {
    char path[3 * PATH_MAX];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/%s", format, s.entry.path);
    if (lstat(in_dir(path), &st) < 0)
        return false;
    if (strcmp(format, "pax") != 0 && s.entry.mtime.tv_nsec == 0)
        s.entry.mtime.tv_nsec = st.st_mtim.tv_nsec;
    return s.entry.uid == st.st_uid && s.entry.gid == st.st_gid && same_file(format, &s);
}

static void read_theirs(const char *format, const char *options) {
    struct reading r;
    size_t n = 0, bad = 0, owned = 0;
    int rc = run("rm -f their.tar snar; tar --format=%s --sort=name %s -cf their.tar -C %s . && "
                 "find %s -print0 | tr -dc '\\0' | wc -c",
                 format, options, format, format);
    n = strtoul(said, NULL, 10);
    OK(rc == 0 && n > 5 && load("their.tar"), "tar --format=%s: %zu bytes of files: %s", format,
       a.n, said);
    bool split = read_all_ways(&r, &a);
    OK(split && r.n == n && r.last == TAR_END, "we read %zu (%s)", r.n, r.e.text);
    for (size_t i = 0; i < r.n; i++) {
        bool good = is_theirs(format, r.seen[i]);
        if (!good)
            (void)printf("# %s\n", r.seen[i].entry.path);
        bad += !good;
        owned += r.seen[i].entry.owner[0] != '\0';
    }
    OK(bad == 0, "each is the file it was: %zu are not", bad);
    OK(strcmp(format, "v7") == 0 ? owned == 0 : owned > 0, "%zu have an owner's name", owned);
    reading_free(&r);
}

static void theirs(void) {
    int rc = run("%s", tree);
    if (!OK(rc == 0, "trees of files: %s", said))
        return;
    read_theirs("v7", "");
    read_theirs("ustar", "");
    read_theirs("pax", "");
    read_theirs("gnu", "");
    read_theirs("gnu", "--label=volume --listed-incremental=snar");
    read_theirs("pax", "--pax-option=globexthdr.name=g,comment=hi,SCHILY.x.y=z,delete=atime");
    read_theirs("pax", "--xattrs --acls --selinux");
}

static void cannot_be_unpacked(const char *what, const char *name, const char *text) {
    struct reading r;
    (void)OK(load(name), "%s: %zu bytes", what, a.n);
    bool split = read_all_ways(&r, &a);
    OK(split && r.last == TAR_BAD && strstr(r.e.text, text), "%s: %s", what, r.e.text);
    reading_free(&r);
}

static void sparse(void) {
    static const char *const options[] = { "gnu", "pax --sparse-version=0.0",
                                           "pax --sparse-version=0.1", "pax --sparse-version=1.0" };
    (void)run("truncate -s 300000 holes && printf end >>holes");
    for (size_t i = 0; i < COUNT(options); i++) {
        int rc = run("tar -S --format=%s -cf s.tar holes", options[i]);
        OK(rc == 0, "%s", said);
        cannot_be_unpacked(options[i], "s.tar", "a sparse file of GNU tar");
        cannot_be_unpacked(options[i], "s.tar", "holes'");
    }
}

static void volumes(void) {
    for (const char *const *f = (const char *const[]){ "gnu", "pax", NULL }; *f; f++) {
        int rc = run("rm -f v?; seq 9000 >long; "
                     "tar -M -L 20 --format=%s -cf v1 -f v2 -f v3 -f v4 long",
                     *f);
        OK(rc == 0, "volumes as %s: %s", *f, said);
        cannot_be_unpacked("the first volume", "v1", "in 'long': it ends too early");
        cannot_be_unpacked("the second volume", "v2", "long");
        cannot_be_unpacked("the second volume", "v2", "a file continued from another volume");
    }
}

int main(void) {
    if (!OK(mkdtemp(dir), "a directory"))
        return tap_end();
    (void)run("tar --version");
    if (!strstr(said, "GNU tar")) {
        OK(true, "GNU tar # SKIP there is none here");
    } else {
        listed();
        extracted();
        large();
        theirs();
        sparse();
        volumes();
    }
    (void)run("rm -rf %s", dir);
    return tap_end();
}
