/* Trees: lists, directories, moves, copies, removals, modes; and what is swapped under their feet.
 */
#include <sys/xattr.h>

#include "tests/unit/t_files.h"

static void render(const struct file_entry *e, size_t index, struct text *out) {
    (void)index;
    text_add(out, "%s ", e->name);
}

static char listed[1 << 20];

static const char *list(const char *name, unsigned depth, const char *user) {
    struct file_req q = {
        .op = FILE_LIST, .path = at(name), .depth = depth, .entry = render, .user = user
    };
    q.head = "[";
    q.tail = "]";
    enum file_fault f = go(q);
    (void)snprintf(listed, sizeof listed, "%s", f ? last.t.why : last.out);
    return listed;
}

static void lists(void) {
    shell("mkdir -p l/b/d/e l/c && touch l/a l/b/x l/b/d/y l/B && ln -s b l/z");
    OK(strcmp(list("l", 1, NULL), "[B a b c z ]") == 0, "sorted: %s", listed);
    OK(strcmp(list("l", 0, NULL), "[B a b c z ]") == 0, "no depth is one: %s", listed);
    OK(strcmp(list("l", 2, NULL), "[B a b b/d b/x c z ]") == 0, "two deep: %s", listed);
    OK(strcmp(list("l", 99, NULL), "[B a b b/d b/d/e b/d/y b/x c z ]") == 0, "all: %s", listed);
    OK(strcmp(list("l/z", 1, NULL), "[d x ]") == 0, "by a link: %s", listed);
    OK(strcmp(list("l/c", 1, NULL), "[]") == 0, "an empty one: %s", listed);
    (void)list("l/a", 1, NULL);
    OK(last.t.fault == FILE_NOT_DIR, "a file: %s", listed);
    (void)list("l/none", 1, NULL);
    OK(last.t.fault == FILE_NOT_FOUND, "nothing: %s", listed);
    (void)chmod("l/b", 0700);
    OK(strcmp(list("l", 9, "nobody"), "[B a b c z ]") == 0, "past what is closed: %s", listed);
    (void)list("l/b", 1, "nobody");
    OK(last.t.fault == FILE_DENIED && !last.opened, "but not into it: %s", listed);
    (void)chmod("l/b", 0744);
    (void)list("l/b", 1, "nobody");
    OK(last.t.fault == FILE_DENIED, "names that cannot be looked at: %s", listed);
}

static void long_lists(void) {
    (void)mkdir("many", 0755);
    for (int i = 0; i < 10000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "many/%05d", i);
        (void)close(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    }
    (void)list("many", 1, NULL);
    OK(last.t.fault == FILE_OK && strlen(listed) == 2 + 6 * 10000, "10000 entries: %zu",
       strlen(listed));
    OK(has_prefix(listed, "[00000 00001 ") && strcmp(listed + strlen(listed) - 7, "09999 ]") == 0,
       "in order");
    struct run r = { .hold = true };
    run_begin(&r, (struct file_req){ .op = FILE_LIST, .path = at("many"), .entry = render });
    turns_until(&r.opened);
    file_go(&r.t, 0, 0);
    run_end(&r);
    OK(true, "one that nobody reads ends");
    IS(FILE_OK, go((struct file_req){ .op = FILE_REMOVE, .path = at("many"), .recursive = true }),
       "all removed");
    OK(!is_there("many"), "gone");
}

/* Deeper than descriptors are kept for, and than any path is long. */
static void make_deep(const char *name, int depth) {
    AUTO_FD int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < depth; i++) {
        char part[64];
        (void)snprintf(part, sizeof part, "%s%0*d", i ? "" : name, i ? 40 : 0, i);
        if (i == 0)
            (void)snprintf(part, sizeof part, "%s", name);
        (void)mkdirat(fd, part, 0755);
        int next = openat(fd, part, O_PATH | O_DIRECTORY | O_CLOEXEC);
        fd_close(&fd);
        fd = next;
        (void)close(openat(fd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    }
}

static void deep(void) {
    make_deep("deep", 250);
    struct file_req q = { .op = FILE_COPY, .path = at("deep"), .to = at("deep2") };
    IS(FILE_OK, go(q), "a copy 250 deep, past any path");
    q = (struct file_req){
        .op = FILE_CHMOD, .path = at("deep2"), .has_mode = true, .mode = 0700, .recursive = true
    };
    IS(FILE_OK, go(q), "modes");
    q = (struct file_req){ .op = FILE_REMOVE, .path = at("deep2"), .recursive = true };
    OK(go(q) == FILE_OK && !is_there("deep2"), "removed: %s", last.t.why);
    q = (struct file_req){ .op = FILE_LIST, .path = at("deep"), .depth = 999, .entry = render };
    IS(FILE_BAD_PATH, go(q), "but it cannot be listed");
    q = (struct file_req){ .op = FILE_REMOVE, .path = at("deep"), .recursive = true };
    (void)go(q);
    make_deep("deeper", 300);
    q.path = at("deeper");
    IS(FILE_LIMIT, go(q), "300 deep is too deep: %.60s", last.t.why);
    shell("rm -rf deeper");
}

static void makes(void) {
    struct file_req q = { .op = FILE_MKDIR, .path = at("m/a/b"), .entry = render };
    IS(FILE_NOT_FOUND, go(q), "mkdir without its parents");
    q.parents = true;
    OK(go(q) == FILE_OK && last.t.info.created && S_ISDIR(look("m/a/b").st_mode), "with them");
    OK(strcmp(last.t.text, "b ") == 0, "told: %s", last.t.text);
    OK(go(q) == FILE_OK && !last.t.info.created, "once more");
    q.parents = false;
    IS(FILE_EXISTS, go(q), "without parents it must not be there");
    OK(S_ISDIR(last.t.info.st.st_mode), "what is there is told");
    put("m/file", "", 0644);
    q.path = at("m/file");
    IS(FILE_NOT_DIR, go(q), "a file is there");
    q.path = at("m/file/x");
    q.parents = true;
    IS(FILE_NOT_DIR, go(q), "a file is in the way");
    q.path = "/";
    IS(FILE_OK, go(q), "the root is there");
    q = (struct file_req){
        .op = FILE_MKDIR, .path = at("m/moded"), .has_mode = true, .mode = 02775
    };
    OK(go(q) == FILE_OK && (look("m/moded").st_mode & 07777) == 02775,
       "with a mode past the umask: %o", look("m/moded").st_mode);
    q = (struct file_req){ .op = FILE_MKDIR,
                           .path = at("m/given/away"),
                           .parents = true,
                           .user = "nobody",
                           .as_root = true };
    OK(go(q) == FILE_OK && look("m/given").st_uid == 65534 && look("m/given/away").st_uid == 65534,
       "given away, all that is new");
}

static void moves(void) {
    shell("mkdir -p mv/dir/sub mv/full mv/empty && echo 1 >mv/one && echo 2 >mv/two && touch "
          "mv/full/x");
    struct file_req q = {
        .op = FILE_MOVE, .path = at("mv/one"), .to = at("mv/two"), .entry = render
    };
    IS(FILE_EXISTS, go(q), "move onto something");
    OK(holds("mv/one", "1\n") && holds("mv/two", "2\n"), "changes nothing");
    q.replace = true;
    OK(go(q) == FILE_OK && holds("mv/two", "1\n") && !is_there("mv/one"), "unless it is replaced");
    OK(strcmp(last.t.info.path, at("mv/two")) == 0, "where it went is told");
    q = (struct file_req){ .op = FILE_MOVE, .path = at("mv/dir"), .to = at("mv/dir/sub/dir") };
    IS(FILE_BAD_PATH, go(q), "into itself: %s", last.t.why);
    q = (struct file_req){ .op = FILE_MOVE, .path = at("mv/two"), .to = at("mv/a/b/two") };
    IS(FILE_NOT_FOUND, go(q), "to where there is nothing");
    q.parents = true;
    OK(go(q) == FILE_OK && holds("mv/a/b/two", "1\n"), "made");
    q = (struct file_req){
        .op = FILE_MOVE, .path = at("mv/dir"), .to = at("mv/full"), .replace = true
    };
    IS(FILE_NOT_EMPTY, go(q), "over a directory that is not empty: %s", last.t.why);
    q.to = at("mv/empty");
    OK(go(q) == FILE_OK && is_there("mv/empty/sub"), "over an empty one");
    q.path = at("mv/none");
    IS(FILE_NOT_FOUND, go(q), "nothing to move");
    q.path = at("mv/..");
    IS(FILE_BAD_PATH, go(q), "no name: %s", last.t.why);
    put("mv/f", "f", 0644);
    q.path = at("mv/f");
    IS(FILE_IS_DIR, go(q), "a file over a directory");
    q.to = at("mv/new/");
    IS(FILE_IS_DIR, go(q), "a file to what must be one");
    (void)link("mv/f", "mv/g");
    q.to = at("mv/g");
    OK(go(q) == FILE_OK && !is_there("mv/f") && holds("mv/g", "f"), "two links to one file");
    q.path = q.to = at("mv/g");
    OK(go(q) == FILE_OK && holds("mv/g", "f"), "onto itself");
}

#define TREE                                                                                       \
    "mkdir -p %1$s/sub/ro && echo data >%1$s/file && chmod 4750 %1$s/file && chown 1:2 %1$s/file " \
    "&& "                                                                                          \
    "chmod 4750 %1$s/file && touch -d @1000000000.5 %1$s/file && ln -s /nowhere %1$s/link && "     \
    "mkfifo %1$s/fifo && echo x >%1$s/sub/ro/x && chmod 0500 %1$s/sub/ro && "                      \
    "touch -d @999999999 %1$s/sub && truncate -s 8M %1$s/sparse && echo end >>%1$s/sparse"

static void make_tree(const char *name) {
    char command[2048];
    (void)snprintf(command, sizeof command, TREE, name);
    shell(command);
    (void)setxattr(at(name), "user.k", "v", 1, 0);
}

static void is_tree(const char *name, const char *how) {
    char path[128];
#define IN(x) ((void)snprintf(path, sizeof path, "%s/" x, name), path)
    struct stat st = look(IN("file"));
    OK(holds(path, "data\n"), "%s: content", how);
    OK((st.st_mode & 07777) == 04750 && st.st_uid == 1 && st.st_gid == 2,
       "%s: mode %o, owner %u:%u", how, st.st_mode, st.st_uid, st.st_gid);
    OK(st.st_mtim.tv_sec == 1000000000 && st.st_mtim.tv_nsec == 500000000, "%s: time", how);
    char target[16] = "";
    OK(readlink(IN("link"), target, sizeof target - 1) == 8, "%s: link", how);
    OK(S_ISFIFO(look(IN("fifo")).st_mode), "%s: fifo", how);
    OK(holds(IN("sub/ro/x"), "x\n"), "%s: below", how);
    OK((look(IN("sub/ro")).st_mode & 07777) == 0500, "%s: mode of a directory", how);
    OK(look(IN("sub")).st_mtim.tv_sec == 999999999, "%s: its time", how);
    st = look(IN("sparse"));
    OK(st.st_size == (8 << 20) + 4 && st.st_blocks < 1024, "%s: holes: %lld blocks", how,
       (long long)st.st_blocks);
    char value[2] = "";
    OK(getxattr(at(name), "user.k", value, 1) == 1 || errno == EOPNOTSUPP, "%s: attributes", how);
#undef IN
}

static void copies(void) {
    make_tree("tree");
    struct file_req q = { .op = FILE_COPY, .path = at("tree"), .to = at("tree2") };
    IS(FILE_OK, go(q), "a copy");
    is_tree("tree2", "copy");
    is_tree("tree", "its source");
    IS(FILE_EXISTS, go(q), "not over another");
    q.replace = true;
    IS(FILE_NOT_EMPTY, go(q), "nor over a full directory");
    q.to = at("tree/sub/t");
    IS(FILE_BAD_PATH, go(q), "nor into itself");
    q = (struct file_req){
        .op = FILE_COPY, .path = at("tree/file"), .to = at("tree2/file"), .replace = true
    };
    IS(FILE_OK, go(q), "a file over a file");
    OK(names_in("tree2") == 5 && names_in(".") > 0, "nothing is left over");
    q = (struct file_req){ .op = FILE_COPY, .path = at("tree/link"), .to = at("link2") };
    OK(go(q) == FILE_OK && S_ISLNK(look("link2").st_mode), "a link as a link");
    (void)mkdir("theirs", 0777);
    (void)chmod("theirs", 0777);
    put("readable", "r", 04755);
    q = (struct file_req){
        .op = FILE_COPY, .path = at("readable"), .to = at("theirs/c"), .user = "nobody"
    };
    OK(go(q) == FILE_OK && look("theirs/c").st_uid == 65534, "by another user it is that user's");
    OK((look("theirs/c").st_mode & 07777) == 0755, "and not setuid: %o", look("theirs/c").st_mode);
    q = (struct file_req){
        .op = FILE_COPY, .path = at("tree"), .to = at("theirs/t"), .user = "nobody"
    };
    IS(FILE_DENIED, go(q), "what may not be read is not copied: %s", last.t.why);
    OK(names_in("theirs") == 1, "and nothing is left");
    q = (struct file_req){ .op = FILE_COPY, .path = "/proc/version", .to = at("version") };
    OK(go(q) == FILE_OK && has_prefix(content("version"), "Linux"), "a file of /proc");
}

/* Into a directory of somebody else's, who puts a link to another file into the copy's place. */
static void copies_of_others(void) {
    char path[NAME_MAX + 64] = "";
    shell(
        "mkdir evil && chown nobody evil && dd if=/dev/zero of=large bs=1M count=64 status=none &&"
        " chown nobody large && echo ours >ours && chmod 600 ours");
    struct run r = { 0 };
    run_begin(&r, (struct file_req){ .op = FILE_COPY, .path = at("large"), .to = at("evil/c") });
    while (!*path && !r.finished) {
        short_turn();
        DIR *d = opendir("evil");
        for (const struct dirent *e; d && (e = readdir(d));)
            if (strstr(e->d_name, "pinnace-"))
                (void)snprintf(path, sizeof path, "evil/%s", e->d_name);
        (void)closedir(d);
    }
    OK(*path && !r.finished && rename(path, "evil/taken") == 0 && link("ours", path) == 0,
       "a copy, swapped before it is whole");
    turns_until(&r.finished);
    run_end(&r);
    OK(look("ours").st_uid == 0 && (look("ours").st_mode & 07777) == 0600,
       "what was put in its place stays as it is: %u %o", look("ours").st_uid,
       look("ours").st_mode);
    shell("rm -r evil large ours");
}

static void crosses(void) {
    if (!mount_tmpfs("other", "size=64m"))
        return;
    make_tree("crossing");
    struct file_req q = { .op = FILE_MOVE, .path = at("crossing"), .to = at("other/c") };
    IS(FILE_OK, go(q), "a move to another file system");
    is_tree("other/c", "moved");
    OK(!is_there("crossing") && names_in("other") == 1, "the source is gone");
    q = (struct file_req){ .op = FILE_MOVE, .path = at("other/c"), .to = at("back") };
    IS(FILE_OK, go(q), "and back");
    is_tree("back", "moved back");
    put("f", "f", 0644);
    put("other/f", "other", 0600);
    q = (struct file_req){ .op = FILE_MOVE, .path = at("f"), .to = at("other/f") };
    IS(FILE_EXISTS, go(q), "not over another");
    q.replace = true;
    OK(go(q) == FILE_OK && holds("other/f", "f") && !is_there("f"), "unless wanted");
    /* Too large: what is there stays, what was copied goes. */
    shell("mkdir -p big && dd if=/dev/zero of=big/1 bs=1M count=40 status=none && cp big/1 big/2");
    q = (struct file_req){ .op = FILE_MOVE, .path = at("big"), .to = at("other/big") };
    IS(FILE_NO_SPACE, go(q), "one that does not fit: %s", last.t.why);
    OK(look("big/2").st_size == 40 << 20 && names_in("other") == 1, "changes nothing");
    (void)unlink("big/2");
    struct run r = { 0 };
    run_begin(&r, q);
    while (names_in("other") < 2 && !r.finished)
        short_turn();
    bool late = is_there("other/big");
    run_end(&r);
    OK(is_there("big/1") || late, "cancelled half-way: the source is there");
    OK(names_in("other") == 1 + late, "and nothing is left");
    shell("rm -rf big");
    (void)umount2("other", MNT_DETACH);
    (void)rmdir("other");
}

static void removes(void) {
    shell("mkdir -p rm/full/x rm/empty && echo 1 >rm/file && ln -s ../tree rm/link && ln -s /etc "
          "rm/full/etc");
    struct file_req q = { .op = FILE_REMOVE, .path = at("rm/file") };
    OK(go(q) == FILE_OK && !is_there("rm/file"), "a file");
    IS(FILE_NOT_FOUND, go(q), "once");
    q.missing_ok = true;
    IS(FILE_OK, go(q), "unless that does not matter");
    q.path = at("rm/no/such/dir");
    IS(FILE_OK, go(q), "nor that there is no directory");
    q.path = at("rm/empty");
    OK(go(q) == FILE_OK && !is_there("rm/empty"), "an empty directory");
    q.path = at("rm/full");
    IS(FILE_NOT_EMPTY, go(q), "not a full one");
    q.recursive = true;
    OK(go(q) == FILE_OK && !is_there("rm/full") && is_there("/etc/passwd"),
       "but its tree, not what it links to");
    q.path = at("rm/link");
    OK(go(q) == FILE_OK && !is_there("rm/link") && is_there("tree/file"),
       "a link, not what is behind");
    q.path = "/";
    IS(FILE_BAD_PATH, go(q), "not everything");
    q.path = at("rm/..");
    IS(FILE_BAD_PATH, go(q), "nor what has no name");
    q.path = at("tree2");
    q.user = "nobody";
    IS(FILE_DENIED, go(q), "not another's: %s", last.t.why);
}

static void modes(void) {
    shell("mkdir -p ch/a/b && touch ch/f ch/a/g && echo s >secret && chmod 600 secret && ln -s "
          "../secret ch/link");
    struct file_req q = { .op = FILE_CHMOD, .path = at("ch"), .has_mode = true, .mode = 0751 };
    OK(go(q) == FILE_OK && (look("ch").st_mode & 07777) == 0751 &&
           (look("ch/f").st_mode & 07777) == 0644,
       "one mode");
    q.recursive = true;
    q.mode = 0711;
    OK(go(q) == FILE_OK && (look("ch/a/g").st_mode & 07777) == 0711 &&
           (look("ch/a/b").st_mode & 07777) == 0711,
       "all below");
    OK((look("secret").st_mode & 07777) == 0600, "not through a link");
    q = (struct file_req){
        .op = FILE_CHMOD, .path = at("ch"), .owner = "nobody", .group = "7", .recursive = true
    };
    OK(go(q) == FILE_OK && look("ch/a/g").st_uid == 65534 && look("ch/a/g").st_gid == 7, "owners");
    OK(look("ch/link").st_uid == 65534 && look("secret").st_uid == 0, "of a link, not behind it");
    q = (struct file_req){ .op = FILE_CHMOD,
                           .path = at("ch"),
                           .has_mode = true,
                           .mode = 0,
                           .recursive = true,
                           .user = "nobody" };
    OK(go(q) == FILE_OK && (look("ch/a/g").st_mode & 07777) == 0 &&
           (look("ch/a").st_mode & 07777) == 0,
       "taken away by its owner, to the last");
    q.mode = 0700;
    OK(go(q) == FILE_OK && (look("ch/a/b").st_mode & 07777) == 0700, "and given back");
    q.path = at("secret");
    IS(FILE_DENIED, go(q), "not another's");
    q = (struct file_req){
        .op = FILE_CHMOD, .path = at("ch/link"), .has_mode = true, .mode = 0640
    };
    OK(go(q) == FILE_OK && (look("secret").st_mode & 07777) == 0640,
       "a link that is named is followed");
    q.owner = "no-such-user";
    IS(FILE_BAD_USER, go(q), "%s", last.t.why);
    q.owner = NULL;
    q.group = "no-such-group";
    IS(FILE_BAD_USER, go(q), "%s", last.t.why);
}

/* --- races ------------------------------------------------------------------------------------ */

enum { RACE_MS = 1000 };

/* Somebody swaps a directory for a link to a place that must stay as it is, as fast as can be. */
static pid_t swapper(const char *dir, const char *link) {
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    for (;;) {
        (void)renameat2(AT_FDCWD, dir, AT_FDCWD, link, RENAME_EXCHANGE);
        if (getppid() == 1)
            _exit(0);
    }
}

static void fill(const char *dir, const char *text) {
    char path[64];
    (void)mkdir(dir, 0755);
    (void)snprintf(path, sizeof path, "%s/sub", dir);
    (void)mkdir(path, 0755);
    (void)snprintf(path, sizeof path, "%s/sub/f", dir);
    put(path, text, 0640);
}

/* A directory where it is missing, and a link beside the tree. Nobody may swap them meanwhile. */
static void fill_race(void) {
    (void)mkdir("race", 0755);
    (void)mkdir("race/t", 0755);
    if (!is_there("race/t/d"))
        (void)rename("race/l", "race/t/d"); /* the link was taken away, where it stood */
    if (!is_there("race/t/d") || S_ISLNK(look("race/t/d").st_mode)) {
        (void)unlink("race/t/d");
        fill("race/t/d", "theirs");
    }
    (void)unlink("race/l");
    (void)symlink(at("outside"), "race/l");
}

static bool outside_is_whole(void) {
    return names_in("outside") == 1 && holds("outside/sub/f", "keep") &&
           (look("outside/sub/f").st_mode & 07777) == 0640 && look("outside").st_uid == 0;
}

static bool outside_is_copied(void) {
    return S_ISDIR(look("race/c/d").st_mode) && holds("race/c/d/sub/f", "keep");
}

static void end_swapper(pid_t pid) {
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

/* As often as there is time for: what has to be seen is a swap between two calls of the kernel. */
static void race(struct file_req q) {
    static char path[PATH_MAX], to[PATH_MAX]; /* at() goes on */
    int all = 0, failed = 0;
    (void)snprintf(path, sizeof path, "%s", q.path);
    (void)snprintf(to, sizeof to, "%s", q.to ? q.to : "");
    q.path = path;
    q.to = q.to ? to : NULL;
    fill_race();
    pid_t pid = swapper("race/t/d", "race/l");
    for (instant end = instant_add(instant_now(), span_ms(RACE_MS));
         instant_before(instant_now(), end) && outside_is_whole() && !outside_is_copied();) {
        if (!is_there("race/t/d")) {
            end_swapper(pid);
            fill_race();
            pid = swapper("race/t/d", "race/l");
        }
        failed += go(q) != FILE_OK;
        all++;
        if (q.op == FILE_COPY && !outside_is_copied())
            (void)go((struct file_req){ .op = FILE_REMOVE, .path = q.to, .recursive = true });
    }
    end_swapper(pid);
    OK(outside_is_whole() && !outside_is_copied(),
       "what is outside of a tree stays there: %d times, %d failed", all, failed);
    shell("rm -rf race");
}

static void races(void) {
    fill("outside", "keep");
    race((struct file_req){ .op = FILE_CHMOD,
                            .path = at("race/t"),
                            .has_mode = true,
                            .mode = 0777,
                            .owner = "nobody",
                            .recursive = true });
    race((struct file_req){ .op = FILE_REMOVE, .path = at("race/t"), .recursive = true });
    race((struct file_req){ .op = FILE_COPY, .path = at("race/t"), .to = at("race/c") });
}

int main(int argc, char **argv) {
    if (geteuid() != 0) {
        (void)printf("1..0 # SKIP not root\n");
        return 0;
    }
    begin(argc, argv);
    lists();
    long_lists();
    deep();
    makes();
    moves();
    copies();
    copies_of_others();
    crosses();
    removes();
    modes();
    races();
    return end();
}
