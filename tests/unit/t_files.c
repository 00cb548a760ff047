/* Contents: read, written whole, in place, in parts, put together. */
#include <sys/xattr.h>

#include "tests/unit/t_files.h"

static void render(const struct file_entry *e, size_t index, struct text *out) {
    text_add(out, "%s%s %o %s %s", index ? "\n" : "", e->name, (unsigned)e->st.st_mode, e->owner,
             e->target);
    if (*e->resolved)
        text_add(out, " -> %s", e->resolved);
    for (const char *p = e->xattrs; p && *p; p += strlen(p) + 1) {
        text_add(out, " %s", p);
        p += strlen(p) + 1;
        text_add(out, "=%s", p);
    }
}

static void stats(void) {
    put("plain", "12345", 0640);
    IS(FILE_OK, go((struct file_req){ .path = at("plain"), .entry = render }), "stat");
    OK(strcmp(last.t.text, "plain 100640 root ") == 0, "rendered: %s", last.t.text);
    OK(last.t.info.st.st_size == 5 && strcmp(last.t.info.path, at("plain")) == 0, "and told");
    (void)symlink("plain", "link");
    IS(FILE_OK, go((struct file_req){ .path = at("link"), .entry = render }), "stat of a link");
    char want[128];
    (void)snprintf(want, sizeof want, "link 120777 root plain -> %s", at("plain"));
    OK(strcmp(last.t.text, want) == 0, "it is a link: %s", last.t.text);
    (void)symlink("nowhere", "dangling");
    IS(FILE_OK, go((struct file_req){ .path = at("dangling"), .entry = render }), "a dangling one");
    OK(strcmp(last.t.text, "dangling 120777 root nowhere") == 0, "%s", last.t.text);
    IS(FILE_OK, go((struct file_req){ .path = "/", .entry = render }), "the root");
    OK(has_prefix(last.t.text, "/ 4"), "%s", last.t.text);
    IS(FILE_NOT_FOUND, go((struct file_req){ .path = at("none") }), "nothing there");
    OK(strstr(last.t.why, "/none: No such file"), "says so: %s", last.t.why);
    IS(FILE_NOT_DIR, go((struct file_req){ .path = at("plain/x") }), "below a file");
    IS(FILE_BAD_PATH, go((struct file_req){ .path = "~other/x" }), "another's home");
    char name[300];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    IS(FILE_BAD_PATH, go((struct file_req){ .path = at(name) }), "a name that is too long");
    static char path[PATH_MAX + 1];
    memset(path, '/', PATH_MAX);
    IS(FILE_BAD_PATH, go((struct file_req){ .path = path }), "a path that is too long");
    IS(FILE_BAD_USER, go((struct file_req){ .path = "/", .user = "no-such-user" }), "no such user");
    (void)symlink("loop", "loop");
    IS(FILE_LOOP, go((struct file_req){ .op = FILE_READ, .path = at("loop") }), "a loop of links");
}

static void paths(void) {
    (void)mkdir("home", 0755);
    put("home/f", "in home", 0644);
    struct file_req q = { .op = FILE_READ, .base = at("home") };
    static const char *const good[] = { "f", "./f", "../home//./f", "../home/../home/f" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        q.path = good[i];
        OK(go(q) == FILE_OK && strcmp(last.out, "in home") == 0, "%s: %s", q.path, last.t.why);
    }
    q.path = "f/";
    IS(FILE_NOT_DIR, go(q), "a slash behind a file");
    IS(FILE_OK, go((struct file_req){ .path = "", .base = at("home") }), "nothing is the base");
    OK(strcmp(last.t.info.path, at("home")) == 0, "%s", last.t.info.path);
    IS(FILE_OK, go((struct file_req){ .path = "~", .user = "root" }), "a home");
    OK(strcmp(last.t.info.path, "/root") == 0, "%s", last.t.info.path);
    IS(FILE_OK, go((struct file_req){ .path = "", .user = "root", .base = "~/" }), "as a base");
    OK(strcmp(last.t.info.path, "/root") == 0, "%s", last.t.info.path);
}

static void reads(void) {
    struct file_req q = { .op = FILE_READ, .path = at("page.html") };
    put("page.html", "0123456789", 0600);
    IS(FILE_OK, go(q), "read");
    OK(strcmp(last.out, "0123456789") == 0, "all of it");
    OK(strcmp(last.t.info.type, "text/html; charset=utf-8") == 0, "type %s", last.t.info.type);
    OK(last.t.info.etag[0] == '"' && strlen(last.t.info.etag) > 10, "version %s", last.t.info.etag);
    OK(go_with(q, (struct run){ .from = 3, .len = 4 }) == FILE_OK && strcmp(last.out, "3456") == 0,
       "a part");
    OK(go_with(q, (struct run){ .from = 3, .len = 40 }) == FILE_CUT, "more than there is is a cut");
    put("empty", "", 0600);
    q.path = at("empty");
    OK(go(q) == FILE_OK && last.out_len == 0 && last.opened, "an empty file");
    q.path = "/proc/version";
    OK(go(q) == FILE_OK && last.out && has_prefix(last.out, "Linux version") &&
           last.t.info.st.st_size == (off_t)last.out_len,
       "one of /proc has its size: %lld", (long long)last.t.info.st.st_size);
    q.path = "/sys/kernel/mm/transparent_hugepage/enabled";
    if (is_there(q.path))
        OK(go(q) == FILE_OK && last.out_len > 0 && last.out_len < 4096, "one of /sys: %zu bytes",
           last.out_len);
    q.path = base;
    IS(FILE_IS_DIR, go(q), "a directory");
    (void)mkfifo("fifo", 0666);
    q.path = at("fifo");
    IS(FILE_BAD_PATH, go(q), "a FIFO is not waited for");
    q.path = "/dev/zero";
    IS(FILE_BAD_PATH, go(q), "a device: %s", last.t.why);
    q.path = at("page.html");
    q.user = "nobody";
    IS(FILE_DENIED, go(q), "as somebody who may not: %s", last.t.why);
    (void)chmod("page.html", 0604);
    IS(FILE_OK, go(q), "or may");
}

/* --- writing ---------------------------------------------------------------------------------- */

static struct file_req write_to(const char *name) {
    return (struct file_req){ .op = FILE_WRITE, .path = at(name) };
}

static void writes(void) {
    (void)mkdir("w", 0755);
    struct file_req q = write_to("w/new");
    q.entry = render;
    IS(FILE_OK, give(q, "hello"), "a new file");
    OK(holds("w/new", "hello") && last.t.info.created, "is there");
    OK(last.t.text && strcmp(last.t.text, "new 100644 root ") == 0, "told: %s", last.t.text);
    struct stat st = look("w/new");
    (void)chmod("w/new", 04751);
    (void)chown("w/new", 3, 4);
    (void)chmod("w/new", 04751);
    IS(FILE_OK, give(q, "second"), "replaced");
    struct stat now = look("w/new");
    OK(holds("w/new", "second") && !last.t.info.created && now.st_ino != st.st_ino, "by another");
    OK((now.st_mode & 07777) == 04751 && now.st_uid == 3 && now.st_gid == 4,
       "mode %o and owner %u stay", now.st_mode, now.st_uid);
    IS(FILE_OK, give(q, ""), "with nothing");
    OK(holds("w/new", "") && look("w/new").st_size == 0, "it is empty");
    q = write_to("w/moded");
    q.mode = 0400;
    q.has_mode = true;
    OK(give(q, "x") == FILE_OK && (look("w/moded").st_mode & 07777) == 0400, "a mode");
    IS(FILE_IS_DIR, give(write_to("w"), "x"), "a directory");
    IS(FILE_IS_DIR, give(write_to("w/slash/"), "x"), "a slash behind");
    IS(FILE_NOT_FOUND, give(write_to("w/no/such/dir"), "x"), "no directory");
    OK(!last.opened, "is told before the content");
    q = write_to("w/no/such/dir");
    q.parents = true;
    OK(give(q, "x") == FILE_OK && holds("w/no/such/dir", "x"), "made with its directories");
    OK((look("w/no").st_mode & 07777) == 0755, "which have 0755");
    OK(names_in("w") == 3, "nothing else is left: %d", names_in("w"));
}

static void writes_links(void) {
    (void)mkdir("l", 0755);
    put("l/target", "old", 0644);
    (void)symlink("target", "l/one");
    (void)symlink("../l/one", "l/two");
    IS(FILE_OK, give(write_to("l/two"), "through"), "through two links");
    OK(holds("l/target", "through") && S_ISLNK(look("l/two").st_mode) &&
           S_ISLNK(look("l/one").st_mode),
       "which stay");
    struct stat st = look("l/target");
    OK(st.st_ino == last.t.info.st.st_ino, "the version is that of the content");
    (void)symlink("made", "l/dangling");
    OK(give(write_to("l/dangling"), "x") == FILE_OK && holds("l/made", "x"), "a link to nothing");
    (void)symlink("ring", "l/ring");
    IS(FILE_LOOP, give(write_to("l/ring"), "x"), "a ring");
    IS(FILE_OK, give((struct file_req){ .op = FILE_WRITE, .path = "/dev/null" }, "gone"),
       "a device");
    OK(S_ISCHR(look("/dev/null").st_mode), "stays one");
}

static void conditions(void) {
    struct file_req q = write_to("cond");
    q.only_new = true;
    OK(give(q, "1") == FILE_OK && last.t.info.created, "only if new: made");
    IS(FILE_CHANGED, give(q, "2"), "only if new: there");
    q.only_new = false;
    char etag[64];
    (void)go((struct file_req){ .path = at("cond") });
    (void)snprintf(etag, sizeof etag, "%s", last.t.info.etag);
    q.if_match = etag;
    IS(FILE_OK, give(q, "22"), "this version");
    char newer[64];
    (void)snprintf(newer, sizeof newer, "%s", last.t.info.etag);
    OK(strcmp(newer, etag) != 0, "there is another now");
    IS(FILE_CHANGED, give(q, "333"), "the old one");
    OK(holds("cond", "22"), "nothing has changed");
    char list[160];
    (void)snprintf(list, sizeof list, "\"other\", %s", newer);
    q.if_match = list;
    IS(FILE_OK, give(q, "4444"), "one of several");
    q.if_match = "*";
    IS(FILE_OK, give(q, "5"), "any");
    q = write_to("not-there");
    q.if_match = "*";
    IS(FILE_CHANGED, give(q, "5"), "any, of nothing");

    /* Two at once with one version: one wins. */
    (void)go((struct file_req){ .path = at("cond") });
    (void)snprintf(etag, sizeof etag, "%s", last.t.info.etag);
    int won = 0;
    struct run both[2] = { { .in = "first", .in_len = 5 }, { .in = "other", .in_len = 5 } };
    for (int i = 0; i < 2; i++)
        run_begin(&both[i],
                  (struct file_req){ .op = FILE_WRITE, .path = at("cond"), .if_match = etag });
    for (int i = 0; i < 2; i++) {
        turns_until(&both[i].finished);
        won += both[i].t.fault == FILE_OK;
    }
    OK(won == 1, "of two with the same version one wins: %d", won);
    for (int i = 0; i < 2; i++)
        run_end(&both[i]);
}

static void is_cut(void) {
    (void)mkdir("cut", 0755);
    put("cut/f", "old", 0644);
    struct run how = { .in = "half", .in_len = 4, .cut = true };
    IS(FILE_CUT, go_with(write_to("cut/f"), how), "a content that is cut");
    OK(holds("cut/f", "old") && names_in("cut") == 1, "changes nothing and leaves nothing");
    how.cut = false;
    how.hold = true;
    struct run r = how;
    run_begin(&r, write_to("cut/f"));
    turns_until(&r.opened);
    run_end(&r);
    OK(holds("cut/f", "old") && names_in("cut") == 1, "nor one that is cancelled when opened");
    static char big[4 << 20];
    r = (struct run){ .in = big, .in_len = sizeof big };
    run_begin(&r, write_to("cut/f"));
    while (r.in_at < (1 << 20) && loop_turn(&loop) >= 0)
        ;
    run_end(&r);
    OK(holds("cut/f", "old") && names_in("cut") == 1, "nor half-way");
    r = (struct run){ 0 };
    run_begin(&r, write_to("cut/f"));
    run_end(&r);
    OK(holds("cut/f", "old") && names_in("cut") == 1, "nor at once");
}

static void as_others(void) {
    (void)mkdir("open", 0777);
    (void)chmod("open", 0777);
    struct file_req q = write_to("open/theirs");
    q.user = "nobody";
    OK(give(q, "x") == FILE_OK && look("open/theirs").st_uid == 65534, "a new file is the user's");
    q.path = at("open/sub/theirs");
    q.parents = true;
    OK(give(q, "x") == FILE_OK && look("open/sub").st_uid == 65534, "and so are directories");
    (void)mkdir("closed", 0755);
    q = write_to("closed/new");
    q.user = "nobody";
    IS(FILE_DENIED, give(q, "x"), "no new file where the user may not: %s", last.t.why);
    put("open/mine", "old", 0644);
    q = write_to("open/mine");
    q.user = "nobody";
    IS(FILE_DENIED, give(q, "x"),
       "nor over one that the user may not write, though rename(2) could");
    put("closed/all", "a longer text", 0666);
    struct stat st = look("closed/all");
    q = write_to("closed/all");
    q.user = "nobody";
    IS(FILE_OK, give(q, "short"), "one that may be written in a directory that may not");
    OK(holds("closed/all", "short") && look("closed/all").st_ino == st.st_ino &&
           names_in("closed") == 1,
       "is rewritten in place: %s", content("closed/all"));
    put("open/all", "root's", 0666);
    q = write_to("open/all");
    q.user = "nobody";
    OK(give(q, "x") == FILE_OK && look("open/all").st_uid == 0 && holds("open/all", "x"),
       "the owner stays, also where it cannot be given");
    q = write_to("closed/root-made");
    q.user = "nobody";
    q.as_root = true;
    OK(give(q, "x") == FILE_OK && look("closed/root-made").st_uid == 65534,
       "as root, and given away");
    put("closed/lends", "root's", 0644);
    (void)chmod("closed/lends", 04755);
    q = write_to("closed/lends");
    q.user = "nobody";
    q.as_root = true;
    OK(give(q, "x") == FILE_OK && look("closed/lends").st_uid == 65534 &&
           (look("closed/lends").st_mode & 07777) == 0755,
       "also one that was there, which then lends nobody's rights");
    q = write_to("closed/deep/er/root-made");
    q.user = "nobody:7";
    q.as_root = q.parents = true;
    OK(give(q, "x") == FILE_OK && look("closed/deep").st_uid == 65534 &&
           look("closed/deep/er").st_gid == 7,
       "with its directories");
}

static void mounts(void) {
    put("mount-source", "outer", 0644);
    put("mounted", "inner", 0644);
    if (mount("mount-source", "mounted", NULL, MS_BIND, NULL) < 0)
        return;
    IS(FILE_OK, give(write_to("mounted"), "rewritten"), "a file that is a mount");
    OK(holds("mounted", "rewritten") && holds("mount-source", "rewritten"),
       "is rewritten in place");
    (void)umount2("mounted", MNT_DETACH);
    OK(holds("mounted", "inner"), "what is below is as it was");
}

static void no_space(void) {
    if (!mount_tmpfs("small", "size=1m"))
        return;
    put("small/f", "old", 0644);
    static char big[2 << 20];
    struct run how = { .in = big, .in_len = sizeof big };
    IS(FILE_NO_SPACE, go_with(write_to("small/f"), how), "a content that does not fit");
    OK(holds("small/f", "old") && names_in("small") == 1, "leaves the old one, and nothing else");
    OK(last.in_at < sizeof big, "and is not taken to its end");
    struct file_req q = write_to("small/u");
    q.upload = "id";
    q.total = sizeof big;
    IS(FILE_NO_SPACE, go_with(q, how), "nor does a part");
    (void)umount2("small", MNT_DETACH);
    (void)rmdir("small");
}

static void in_place(void) {
    put("placed", "something long", 0640);
    struct stat st = look("placed");
    struct file_req q = write_to("placed");
    q.in_place = true;
    OK(give(q, "short") == FILE_OK && holds("placed", "short") &&
           look("placed").st_ino == st.st_ino,
       "in place");
    q = write_to("placed-new");
    q.in_place = true;
    OK(give(q, "x") == FILE_OK && holds("placed-new", "x") && last.t.info.created, "a new one");
    OK((look("placed-new").st_mode & 07777) == 0644, "by the umask");
}

static void attributes(void) {
    struct file_req q = write_to("attributes");
    q.xattr_prefix = "user.e2b.";
    q.set_xattrs = (const char *const[]){ "a=1", "b=two words", "empty=", NULL };
    enum file_fault fault = give(q, "x");
    if (fault != FILE_OK && last.t.code == EOPNOTSUPP)
        return;
    IS(FILE_OK, fault, "with attributes");
    char value[32] = "";
    OK(getxattr("attributes", "user.e2b.b", value, sizeof value - 1) == 9 &&
           strcmp(value, "two words") == 0,
       "they are there: %s", value);
    (void)setxattr("attributes", "user.other", "o", 1, 0);
    IS(FILE_OK,
       go((struct file_req){ .path = at("attributes"),
                             .entry = render,
                             .xattrs = true,
                             .xattr_prefix = "user.e2b." }),
       "shown");
    OK(strstr(last.t.text, " a=1") && strstr(last.t.text, " b=two words") &&
           strstr(last.t.text, " empty=") && !strstr(last.t.text, "other"),
       "without the prefix: %s", last.t.text);
    IS(FILE_OK, give(write_to("attributes"), "y"), "another content");
    OK(getxattr("attributes", "user.e2b.a", value, sizeof value) == 1, "keeps them");
    q.set_xattrs = (const char *const[]){ "c=3", NULL };
    q.in_place = true;
    IS(FILE_OK, give(q, "z"), "others instead");
    OK(getxattr("attributes", "user.e2b.a", value, sizeof value) < 0 &&
           getxattr("attributes", "user.e2b.c", value, sizeof value) == 1 &&
           getxattr("attributes", "user.other", value, sizeof value) == 1,
       "those of the prefix are replaced");
}

/* --- parts ------------------------------------------------------------------------------------ */

static enum file_fault part(const char *name, uint64_t from, uint64_t total, const char *text) {
    struct file_req q = write_to(name);
    q.upload = "Up-1";
    q.from = from;
    q.total = total;
    return give(q, text);
}

static void uploads(void) {
    (void)mkdir("up", 0755);
    put("up/f", "old", 0640);
    IS(FILE_OK, part("up/f", 0, 10, "01234"), "a first part");
    OK(last.t.info.done == 5 && !last.t.info.complete && holds("up/f", "old"), "5 of 10");
    IS(FILE_BAD_RANGE, part("up/f", 7, 10, "789"), "a gap: %s", last.t.why);
    OK(last.t.info.done == 5, "how far it is is told");
    IS(FILE_BAD_RANGE, part("up/f", 5, 11, "5"), "another size: %s", last.t.why);
    IS(FILE_BAD_RANGE, part("up/f", 5, 10, "56789X"), "too long");
    IS(FILE_BAD_RANGE, part("up/f", 10, 10, ""), "past its end");
    struct file_req q = write_to("up/f");
    q.upload = "Up-1";
    q.from = UPLOAD_ASK;
    q.total = 10;
    IS(FILE_OK, go(q), "how far is it?");
    OK(last.t.info.done == 10 && !last.opened && holds("up/f", "old"), "all of it: %llu",
       (unsigned long long)last.t.info.done);
    IS(FILE_OK, part("up/f", 3, 10, "3456789"), "a part again, to the end");
    OK(last.t.info.complete && holds("up/f", "0123456789"), "in place: %s", content("up/f"));
    OK((look("up/f").st_mode & 07777) == 0640 && names_in("up") == 1,
       "with its mode, nothing left");
    IS(FILE_OK, part("up/new", 0, 3, "a"), "of a new file");
    struct run how = { .in = "b", .in_len = 1, .cut = true };
    q = write_to("up/new");
    q.upload = "Up-1";
    q.from = 1;
    q.total = 3;
    IS(FILE_CUT, go_with(q, how), "a part that is cut");
    OK(last.t.info.done == 2, "what came of it counts: %llu", (unsigned long long)last.t.info.done);
    OK(part("up/new", 2, 3, "c") == FILE_OK && holds("up/new", "abc") && last.t.info.complete,
       "go on");
    q.from = UPLOAD_ASK;
    OK(go(q) == FILE_OK && last.t.info.done == 0, "no upload: nothing so far");
    (void)part("up/new", 0, 3, "a");
    q = (struct file_req){ .op = FILE_REMOVE, .path = at("up/new"), .upload = "Up-1" };
    OK(go(q) == FILE_OK && names_in("up") == 2, "given up: %d", names_in("up"));
    IS(FILE_NOT_FOUND, go(q), "once");
    q = write_to("up/new");
    q.total = 3;
    q.upload = "../x";
    IS(FILE_BAD_PATH, give(q, "x"), "a bad name for an upload");
    q.upload = "";
    IS(FILE_BAD_PATH, give(q, "x"), "an empty one");
    put("up/victim", "ours", 0600);
    (void)part("up/foreseen", 0, 3, "a");
    shell("cd up && name=$(echo .pinnace-Up-1-*.3) && rm \"$name\" && ln victim \"$name\"");
    IS(FILE_DENIED, part("up/foreseen", 0, 3, "abc"), "a link where an upload is to be: %s",
       last.t.why);
    OK(holds("up/victim", "ours"), "what it is a link to stays: %s", content("up/victim"));
    shell("rm up/.pinnace-Up-1-*.3");
    (void)part("up/busy", 0, 3, "a");
    struct run held = { .in = "b", .in_len = 1, .hold = true };
    q = write_to("up/busy");
    q.upload = "Up-1";
    q.from = 1;
    q.total = 3;
    run_begin(&held, q);
    turns_until(&held.opened);
    last = (struct run){ .in = "b", .in_len = 1 };
    run_begin(&last, q);
    turns_until(&last.finished);
    OK(last.t.fault == FILE_BUSY, "two parts at once: %s", last.t.why);
    file_cancel(&last.t);
    run_end(&held);
}

static void composes(void) {
    (void)mkdir("comp", 0755);
    put("comp/a", "one ", 0644);
    put("comp/b", "two ", 0644);
    (void)truncate("comp/b", 8192);
    struct file_req q = { .op = FILE_COMPOSE, .path = at("comp/all"), .entry = render };
    q.sources = (const char *const[]){ at("comp/a"), at("comp/none"), NULL };
    IS(FILE_NOT_FOUND, go(q), "a source that is missing");
    OK(is_there("comp/a") && !is_there("comp/all") && names_in("comp") == 2, "changes nothing");
    q.sources = (const char *const[]){ at("comp/a"), at("comp/b"), at("comp/a"), NULL };
    IS(FILE_OK, go(q), "composed");
    OK(has_prefix(content("comp/all"), "one two ") && look("comp/all").st_size == 4 + 8192 + 4,
       "one after the other: %lld", (long long)look("comp/all").st_size);
    AUTO_FD int fd = open("comp/all", O_RDONLY | O_CLOEXEC);
    char tail[5] = "";
    OK(pread(fd, tail, 4, 4 + 8192) == 4 && strcmp(tail, "one ") == 0, "holes are kept: %s", tail);
    OK(names_in("comp") == 1, "and gone");
}

/* --- many
 * ---------------------------------------------------------------------------------------------------
 */

static void queues(void) {
    enum { N = 40 };
    static struct run runs[N];
    for (int i = 0; i < N; i++)
        run_begin(&runs[i], (struct file_req){ .path = at("plain"), .entry = render });
    OK(files.n[FILE_SHORT] == 4 && files.nwaiting == N - 4, "more than may work wait: %zu, %zu",
       files.n[FILE_SHORT], files.nwaiting);
    for (int i = 0; i < N; i += 4)
        file_cancel(&runs[i].t);
    int good = 0;
    for (int i = 0; i < N; i++) {
        if (i % 4)
            turns_until(&runs[i].finished);
        good += runs[i].finished && runs[i].t.fault == FILE_OK && runs[i].t.text;
        file_cancel(&runs[i].t);
        file_cancel(&runs[i].t);
    }
    OK(good == N - N / 4 && files.nwaiting == 0, "all that were not cancelled are done: %d", good);
}

static void large(void) {
    enum { MANY = 24 << 20 };
    char *bytes = malloc(MANY);
    for (size_t i = 0; i < MANY; i += 8)
        memcpy(bytes + i, &i, 8);
    struct run how = { .in = bytes, .in_len = MANY };
    IS(FILE_OK, go_with(write_to("large"), how), "24 MiB in");
    OK(look("large").st_size == MANY, "all there");
    IS(FILE_OK, go((struct file_req){ .op = FILE_READ, .path = at("large") }), "and out");
    OK(last.out_len == MANY && memcmp(last.out, bytes, MANY) == 0, "the same");
    free(bytes);
    (void)unlink("large");
}

/* A worker that is killed by somebody is an error, not a success. */
static void is_killed(void) {
    struct run r = { .hold = true };
    put("victim", "x", 0644);
    run_begin(&r, (struct file_req){ .op = FILE_READ, .path = at("victim") });
    turns_until(&r.opened);
    struct child *c = CONTAINER_OF(children.live.next, struct child, link);
    (void)kill(c->pid, SIGKILL);
    turns_until(&r.finished);
    OK(r.t.fault == FILE_FAILED && strstr(r.t.why, "signal 9"), "%s", r.t.why);
    run_end(&r);
    r = (struct run){ .in = "x", .in_len = 1, .hold = true };
    (void)mkdir("termed", 0755);
    run_begin(&r, write_to("termed/f"));
    turns_until(&r.opened);
    c = CONTAINER_OF(children.live.next, struct child, link);
    (void)kill(c->pid, SIGTERM);
    turns_until(&r.finished);
    OK(r.t.fault == FILE_FAILED && names_in("termed") == 0, "TERM: %s", r.t.why);
    run_end(&r);
}

int main(int argc, char **argv) {
    if (geteuid() != 0) {
        (void)printf("1..0 # SKIP not root\n");
        return 0;
    }
    begin(argc, argv);
    stats();
    paths();
    reads();
    writes();
    writes_links();
    conditions();
    is_cut();
    as_others();
    mounts();
    no_space();
    in_place();
    attributes();
    uploads();
    composes();
    queues();
    large();
    is_killed();
    return end();
}
