/* Archives: out, in, and those that are made to do harm. */
#include <sys/sysmacros.h>
#include <time.h>

#include "channel/files/tar.h"
#include "tests/unit/t_files.h"

/* --- archives made by hand -------------------------------------------------------------------- */

static char archive[1 << 20];
static size_t archive_len;

static struct tar_entry *entry(char type, const char *path) {
    static struct tar_entry e;
    e = (struct tar_entry){ .type = type, .mode = type == '5' ? 0755 : 0644 };
    e.mtime.tv_sec = 1000000000;
    (void)snprintf(e.path, sizeof e.path, "%s", path);
    return &e;
}

static void add(struct tar_entry *e, const char *content) {
    char head[TAR_HEAD_MAX];
    e->size = content ? strlen(content) : 0;
    int n = tar_head(e, head);
    memcpy(archive + archive_len, head, (size_t)n);
    archive_len += (size_t)n;
    if (content)
        memcpy(archive + archive_len, content, e->size);
    archive_len += e->size + tar_padding(e->size);
}

static void add_link(char type, const char *path, const char *target) {
    struct tar_entry *e = entry(type, path);
    (void)snprintf(e->target, sizeof e->target, "%s", target);
    add(e, NULL);
}

static void start(void) {
    memset(archive, 0, sizeof archive);
    archive_len = 0;
}

static enum file_fault unpack_as(const char *where, const char *user) {
    archive_len += 2 * TAR_BLOCK;
    struct run how = { .in = archive, .in_len = archive_len };
    return go_with((struct file_req){ .op = FILE_UNTAR, .path = at(where), .user = user }, how);
}

static enum file_fault unpack(const char *where) { return unpack_as(where, NULL); }

/* --- good ones -------------------------------------------------------------------------------- */

static void unpacks(void) {
    start();
    (void)mkdir("in", 0755);
    add(entry('5', "./"), NULL);
    struct tar_entry *e = entry('5', "dir/");
    e->mode = 0500;
    add(e, NULL);
    add(entry('0', "dir/file"), "hello");
    e = entry('0', "parents/made/for/it");
    e->mode = 04755;
    e->uid = 12;
    add(e, "");
    e = entry('0', "setuid");
    e->mode = 06755;
    add(e, "");
    add_link('2', "link", "/etc");
    add_link('1', "hard", "dir/file");
    add(entry('6', "fifo"), NULL);
    e = entry('3', "null");
    e->major = 1;
    e->minor = 3;
    add(e, NULL);
    IS(FILE_OK, unpack("in"), "unpacked");
    OK(holds("in/dir/file", "hello") && look("in/dir/file").st_mtim.tv_sec == 1000000000, "a file");
    struct stat st = look("in/dir");
    OK((st.st_mode & 07777) == 0500 && st.st_mtim.tv_sec == 1000000000,
       "its directory has mode and time all the same");
    OK((look("in/parents/made/for/it").st_mode & 07777) == 0755, "no setuid for another's file");
    OK((look("in/setuid").st_mode & 07777) == 06755, "but for one's own");
    OK(S_ISLNK(look("in/link").st_mode) && look("in/link").st_mtim.tv_sec == 1000000000, "a link");
    OK(look("in/hard").st_ino == look("in/dir/file").st_ino, "a hard link");
    OK(S_ISFIFO(look("in/fifo").st_mode), "a FIFO");
    OK(S_ISCHR(look("in/null").st_mode) && look("in/null").st_rdev == makedev(1, 3), "a device");
    OK((look("in").st_mode & 07777) == 0755, "the place itself stays as it is");
    ino_t ino = look("in/dir/file").st_ino;
    archive_len -= 2 * TAR_BLOCK;
    IS(FILE_OK, unpack("in"), "once more over it");
    OK(look("in/dir/file").st_ino != ino, "files are replaced");
    (void)mkdir("theirs", 0755);
    (void)chown("theirs", 65534, 65534);
    archive_len -= 2 * TAR_BLOCK;
    IS(FILE_DENIED, unpack_as("theirs", "nobody"), "devices not by anybody: %s", last.t.why);
    OK(holds("theirs/dir/file", "hello") && look("theirs/dir").st_uid == 65534 &&
           (look("theirs/dir").st_mode & 07777) == 0500 && is_there("theirs/fifo"),
       "all else is there, and theirs");
    OK((look("theirs/setuid").st_mode & 07777) == 0755, "root's setuid file is not");
    struct run how = { .in = archive, .in_len = archive_len };
    struct file_req q = {
        .op = FILE_UNTAR, .path = at("kept"), .parents = true, .keep_owner = true
    };
    OK(go_with(q, how) == FILE_OK && look("kept/parents/made/for/it").st_uid == 12 &&
           (look("kept/parents/made/for/it").st_mode & 07777) == 04755,
       "owners kept, and setuid with them");
    q = (struct file_req){
        .op = FILE_UNTAR, .path = at("given"), .parents = true, .user = "nobody", .as_root = true
    };
    OK(go_with(q, how) == FILE_OK && look("given/dir/file").st_uid == 65534 &&
           look("given/parents/made").st_uid == 65534 && look("given/link").st_uid == 65534,
       "as root, and given away");
    IS(FILE_NOT_FOUND, unpack("no-such-place"), "into nothing");
    OK(!last.opened, "told before the content");
    IS(FILE_NOT_DIR, unpack("in/dir/file"), "into a file");
}

static void is_cut(void) {
    (void)mkdir("cut", 0755);
    start();
    add(entry('0', "whole"), "whole");
    add(entry('0', "half"), "a content that is only half there");
    struct run how = { .in = archive, .in_len = archive_len - TAR_BLOCK + 5, .cut = true };
    struct file_req q = { .op = FILE_UNTAR, .path = at("cut") };
    IS(FILE_CUT, go_with(q, how), "a cut transfer");
    OK(holds("cut/whole", "whole") && !is_there("cut/half"), "no half file is left");
    how.cut = false;
    IS(FILE_BAD_ARCHIVE, go_with(q, how), "a cut archive: %s", last.t.why);
    OK(!is_there("cut/half"), "no half file is left");
    how.in = "this is no archive, and long enough to see that it is none; not at all. ............"
             "..............................................................................."
             "..............................................................................."
             "..............................................................................."
             "..............................................................................."
             "..............................................................................."
             ".......................................................";
    how.in_len = strlen(how.in);
    IS(FILE_BAD_ARCHIVE, go_with(q, how), "none at all: %s", last.t.why);
    how.in_len = 0;
    IS(FILE_OK, go_with(q, how), "nothing is an empty one");
}

/* --- bad ones --------------------------------------------------------------------------------- */

/* Unpack it; afterwards nothing outside of the place may have changed. */
static void harmless(enum file_fault want, const char *what) {
    (void)mkdir("place", 0755);
    put("outside-file", "keep", 0600);
    (void)mkdir("outside", 0755);
    put("outside/f", "keep", 0640);
    enum file_fault got = unpack("place");
    OK(got == want, "%s: %s", what, got ? last.t.why : "unpacked");
    OK(holds("outside-file", "keep") && (look("outside-file").st_mode & 07777) == 0600 &&
           look("outside-file").st_nlink == 1 && names_in("outside") == 1 &&
           holds("outside/f", "keep") && (look("outside").st_mode & 07777) == 0755,
       "%s: nothing outside has changed", what);
    shell("rm -rf place");
    start();
}

static void harms(void) {
    start();
    add(entry('0', "../outside-file"), "evil");
    harmless(FILE_BAD_PATH, "dot dot");
    add(entry('0', "a/../../outside-file"), "evil");
    harmless(FILE_BAD_PATH, "dot dot within");
    add(entry('0', at("outside-file")), "evil");
    harmless(FILE_OK, "an absolute path");
    add_link('2', "l", "..");
    add(entry('0', "l/outside-file"), "evil");
    harmless(FILE_NOT_DIR, "through a link of its own");
    add_link('2', "l", at("outside"));
    add(entry('5', "l"), NULL);
    add(entry('0', "l/f"), "evil");
    harmless(FILE_OK, "a directory over a link");
    add_link('2', "l", "../outside-file");
    add(entry('0', "l"), "evil");
    harmless(FILE_OK, "a file over a link");
    add_link('1', "h", "../outside-file");
    harmless(FILE_BAD_PATH, "a hard link out");
    add_link('2', "l", "..");
    add_link('1', "h", "l/outside-file");
    add(entry('0', "h"), "evil");
    harmless(FILE_NOT_DIR, "a hard link through a link");
    add_link('2', "l", "../outside-file");
    add_link('1', "h", "l");
    add(entry('0', "h"), "evil");
    harmless(FILE_BAD_PATH, "a hard link to a link");
    struct tar_entry *e = entry('5', "d");
    e->mode = 0;
    add(e, NULL);
    add_link('2', "e", "../outside");
    add(entry('0', "d/x"), "x");
    harmless(FILE_OK, "a directory without rights");
    add(entry('5', "d"), NULL);
    add(entry('5', "d/sub"), NULL);
    add_link('2', "d/sub2", "../../outside");
    e = entry('5', "d/sub2");
    e->mode = 0777;
    add(e, NULL);
    harmless(FILE_OK, "a directory's mode");
    e = entry('5', "x");
    e->mode = 0777;
    add(e, NULL);
    add(entry('0', "x"), "");
    harmless(FILE_OK, "a file over an empty directory");
    add(entry('0', "y/z"), "");
    add(entry('0', "y"), "");
    harmless(FILE_IS_DIR, "a file over a full directory");
    add(entry('0', "."), "x");
    harmless(FILE_BAD_ARCHIVE, "no name");
    char deep[1024] = "";
    for (int i = 0; i < 300; i++)
        memcpy(deep + 2 * i, "d/", 3);
    memcpy(deep + 600, "f", 2);
    add(entry('0', deep), "x");
    harmless(FILE_LIMIT, "too deep");
    add_link('2', "d", "../outside");
    add(entry('0', "e/f"), "x");
    add_link('2', "e/f2", "x");
    harmless(FILE_OK, "links beside");
}

/* Somebody in the place swaps a directory for a link while it is unpacked. */
static void races(void) {
    (void)mkdir("place", 0755);
    (void)mkdir("place/d", 0755);
    (void)symlink("../outside", "place/l");
    pid_t pid = fork();
    while (pid == 0) {
        (void)renameat2(AT_FDCWD, "place/d", AT_FDCWD, "place/l", RENAME_EXCHANGE);
        if (getppid() == 1)
            _exit(0);
    }
    int ended[2] = { 0 };
    for (int i = 0; i < 20; i++) {
        start();
        for (int k = 0; k < 100; k++) {
            char name[32];
            (void)snprintf(name, sizeof name, "d/%s%d", k % 2 ? "" : "sub/", k);
            add(entry('0', name), "evil");
            add(entry('0', "other"), ""); /* or the directory would be kept open */
        }
        ended[unpack("place") != FILE_OK]++;
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    OK(names_in("outside") == 1 && holds("outside/f", "keep"),
       "swapped links are not gone through");
    OK(ended[0] + ended[1] == 20, "%d were unpacked, %d not", ended[0], ended[1]);
    shell("rm -rf place");
}

/* --- out
 * -------------------------------------------------------------------------------------------------
 */

static enum file_fault pack(const char *name, bool contents) {
    return go((struct file_req){ .op = FILE_TAR, .path = at(name), .contents = contents });
}

/* The names in what was packed, each with its type. */
static const char *names(void) {
    static char text[65536];
    static struct tar_reader r;
    struct text t = TEXT(text);
    tar_reader_init(&r);
    const char *in = last.out;
    size_t n = last.out_len, used, len;
    const char *data;
    struct err e = { 0 };
    text[0] = '\0';
    for (;;) {
        enum tar_event ev = tar_read(&r, in, n, true, &used, &data, &len, &e);
        in += used;
        n -= used;
        if (ev == TAR_ENTRY)
            text_add(&t, "%c%s ", r.entry.type, r.entry.path);
        if (ev == TAR_BAD)
            text_add(&t, "%s", e.text);
        if (ev == TAR_END || ev == TAR_BAD || ev == TAR_MORE)
            return text;
    }
}

static void packs(void) {
    shell(
        "mkdir -p out/b/c && echo hello >out/b/file && ln -s file out/b/link && mkfifo out/a && "
        "chmod 4755 out/b/file && dd if=/dev/urandom of=out/large bs=1k count=3001 status=none && "
        "touch -d @1000000000.25 out/b out/b/file && chown 12:13 out/b/file && "
        "chmod 4755 out/b/file && touch -d @1000000000.25 out/b");
    IS(FILE_OK, pack("out", false), "packed");
    OK(strcmp(names(), "5out/ 6out/a 5out/b/ 5out/b/c/ 0out/b/file 2out/b/link 0out/large ") == 0,
       "%s", names());
    char *kept = last.out;
    struct run how = { .in = kept, .in_len = last.out_len };
    last.out = NULL;
    struct file_req q = {
        .op = FILE_UNTAR, .path = at("again"), .parents = true, .keep_owner = true
    };
    IS(FILE_OK, go_with(q, how), "and unpacked");
    OK(system("cmp -s out/large again/out/large") == 0 &&
           holds("again/out/b/file", "hello\n"), /* NOLINT */
       "the same contents");
    struct stat st = look("again/out/b/file");
    OK((st.st_mode & 07777) == 04755 && st.st_uid == 12 && st.st_gid == 13 &&
           st.st_mtim.tv_sec == 1000000000 && st.st_mtim.tv_nsec == 250000000,
       "mode %o, owner %u, time", st.st_mode, st.st_uid);
    OK(look("again/out/b").st_mtim.tv_nsec == 250000000, "also of a directory");
    free(kept);
    IS(FILE_OK, pack("out", true), "its contents");
    OK(strcmp(names(), "6a 5b/ 5b/c/ 0b/file 2b/link 0large ") == 0, "%s", names());
    IS(FILE_OK, pack("out/b/file", false), "a file");
    OK(strcmp(names(), "0file ") == 0, "%s", names());
    IS(FILE_OK, pack("out/b/link", false), "a link");
    OK(strcmp(names(), "2link ") == 0, "%s", names());
    IS(FILE_OK, pack("out/b/c", true), "nothing");
    OK(strcmp(names(), "") == 0 && last.out_len == 2 * TAR_BLOCK, "%s", names());
    (void)symlink("out", "to-out");
    OK(pack("to-out", true) == FILE_OK &&
           strcmp(names(), "6a 5b/ 5b/c/ 0b/file 2b/link 0large ") == 0,
       "contents by a link");
    put(".hidden", "", 0644);
    OK(pack(".hidden", false) == FILE_OK && strcmp(names(), "0.hidden ") == 0, "a dot: %s",
       names());
    IS(FILE_NOT_FOUND, pack("none", false), "nothing there");
    IS(FILE_NOT_DIR, pack("out/large", true), "the contents of a file");
    (void)chmod("out/large", 0600);
    q = (struct file_req){ .op = FILE_TAR, .path = at("out"), .user = "nobody" };
    IS(FILE_DENIED, go(q), "what may not be read fails the whole: %s", last.t.why);
    q.path = at("out/large");
    IS(FILE_DENIED, go(q), "at once, if it is all");
    OK(!last.opened, "before anything is sent");
}

/* A file that is cut while it is read. */
static void shrinks(void) {
    (void)mkdir("shrink", 0755);
    put("shrink/f", "", 0644);
    (void)truncate("shrink/f", 64 << 20);
    put("shrink/g", "after", 0644);
    struct run r = { .hold = true };
    run_begin(&r, (struct file_req){ .op = FILE_TAR, .path = at("shrink") });
    turns_until(&r.opened);
    file_go(&r.t, 0, 0);
    for (int i = 0; i < 20; i++) { /* until the pipe is full */
        struct timespec ts = { .tv_nsec = 10000000 };
        (void)nanosleep(&ts, NULL);
    }
    (void)truncate("shrink/f", 8 << 20);
    r.data = (struct source){ .fd = r.t.data, .want = EPOLLIN, .ready = run_data };
    (void)loop_watch(&loop, &r.data);
    turns_until(&r.drained);
    turns_until(&r.finished);
    run_end(&last);
    last.out = r.out;
    last.out_len = r.out_len;
    OK(r.t.fault == FILE_OK && r.out_len > (64 << 20) && r.out_len % TAR_BLOCK == 0,
       "a file that shrinks: %zu bytes", r.out_len);
    OK(strcmp(names(), "5shrink/ 0shrink/f 0shrink/g ") == 0, "is filled up: %s", names());
    r.out = NULL;
    run_end(&r);
}

int main(int argc, char **argv) {
    if (geteuid() != 0) {
        (void)printf("1..0 # SKIP not root\n");
        return 0;
    }
    begin(argc, argv);
    unpacks();
    is_cut();
    harms();
    races();
    packs();
    shrinks();
    return end();
}
