/* Watches. */
#include "base/limits.h"
#include "tests/unit/t_files.h"

static void render(const struct file_event *e, size_t index, struct text *out) {
    static const char *const kinds[] = { "watching", "create", "write",   "remove",
                                         "rename",   "chmod",  "overflow" };
    text_add(out, "%zu:%s%s:%s%s%s\n", index, kinds[e->kind], e->moved ? "+" : "", e->name,
             e->is_dir ? "/" : "", e->entry ? e->entry->st.st_size == 3 ? "=3" : "=" : "");
}

static struct run w;

static void watch_end(void) {
    run_end(&w);
    while (files.n[FILE_WATCHER] > 0 && loop_turn(&loop) >= 0)
        ;
}

static void watch(struct file_req q) {
    watch_end();
    q.op = FILE_WATCH;
    q.event = render;
    q.network_ok = true;
    run_begin(&w, q);
}

/* Wait until the events hold this; without it, the test's alarm ends it. */
static bool told(const char *what) {
    while (!w.drained && !(w.out && strstr(w.out, what)) && loop_turn(&loop) >= 0)
        ;
    return w.out && strstr(w.out, what);
}

static bool never_told(const char *what) { return !w.out || !strstr(w.out, what); }

static void watches_one(void) {
    (void)mkdir("one", 0755);
    (void)mkdir("one/sub", 0755);
    watch((struct file_req){ .path = at("one"), .entries = true });
    OK(told("0:watching:/\n"), "the first is: watching");
    put("one/f", "abc", 0644);
    OK(told(":create:f=") && told(":write:f=3"), "create and write");
    (void)chmod("one/f", 0600);
    OK(told(":chmod:f=3"), "chmod");
    (void)rename("one/f", "one/g");
    OK(told(":rename:f\n") && told(":create+:g=3"), "rename");
    (void)unlink("one/g");
    OK(told(":remove:g\n"), "remove");
    put("one/sub/x", "", 0644);
    (void)mkdir("one/dir", 0755);
    OK(told(":create:dir/"), "a directory");
    OK(never_told("sub/x"), "nothing of what is below");
    IS(FILE_OK, give((struct file_req){ .op = FILE_WRITE, .path = at("one/h") }, "x"),
       "written by pinnace");
    OK(told("create") && told(":h="), "seen");
    OK(never_told("pinnace") && never_told("#"), "but not how");
    shell("rm -r one");
    OK(told(":remove:/\n"), "the directory itself");
    turns_until(&w.finished);
    OK(w.t.fault == FILE_OK, "and that is the end");
}

static void watches_all(void) {
    shell("mkdir -p all/a/b");
    watch((struct file_req){ .path = at("all"), .recursive = true });
    OK(told("0:watching:/\n"), "recursive");
    put("all/a/b/deep", "", 0644);
    OK(told(":create:a/b/deep\n"), "deep down");
    shell("mkdir -p all/new/er/est && touch all/new/er/est/f");
    OK(told(":create:new/er/est/f\n"), "what is new is watched, and what is in it already told");
    put("all/new/er/late", "", 0644);
    OK(told(":create:new/er/late\n"), "and later things");
    (void)rename("all/new", "all/a/moved");
    OK(told(":rename:new/\n") && told(":create+:a/moved/\n") && told(":create:a/moved/er/est/f\n"),
       "moved within");
    put("all/a/moved/er/est/g", "", 0644);
    OK(told(":create:a/moved/er/est/g\n"), "goes on under its new name");
    shell("mkdir -p elsewhere/x");
    (void)rename("all/a/moved", "elsewhere/x/gone");
    OK(told(":rename:a/moved/\n"), "moved away");
    put("elsewhere/x/gone/er/unseen", "", 0644);
    (void)rename("elsewhere/x", "all/back");
    OK(told(":create:back/gone/er/unseen\n"), "moved in");
    put("all/mark", "", 0644);
    OK(told(":create:mark\n") && never_told("moved/er/unseen"), "not seen while it was away");
    shell("rm -r all/back");
    OK(told(":remove:back/gone/er/est/f\n") && told(":remove:back/\n"), "removed: all of it");
    (void)symlink(at("elsewhere"), "all/link");
    OK(told(":create:link\n"), "a link");
    put("elsewhere/behind", "", 0644);
    put("all/mark2", "", 0644);
    OK(told(":create:mark2\n") && never_told("behind"), "is not watched through");
    watch_end();
}

static void overflows(void) {
    (void)mkdir("flood", 0755);
    watch((struct file_req){ .path = at("flood"), .recursive = true });
    OK(told("0:watching:/\n"), "watching");
    loop_unwatch(&w.data);
    for (int i = 0; i < 60000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "flood/%d", i);
        (void)close(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
        (void)unlink(name);
    }
    (void)mkdir("flood/d", 0755);
    (void)loop_watch(&loop, &w.data);
    OK(told(":overflow:/\n"), "events that were lost are told");
    put("flood/d/f", "", 0644);
    OK(told(":create:d/f\n"), "and the watch goes on, also in what was missed");
    watch_end();
}

static void render_rewritten(const struct file_event *e, size_t index, struct text *out) {
    render(e, index, out);
    if (e->rewritten)
        text_add(out, "rewritten:%s\n", e->name);
}

static void leaves_out(void) {
    static const char *const out[] = { "skip", "*.tmp", NULL }, *const in[] = { "*.c", NULL };
    shell("mkdir -p some/skip/deep some/keep");
    watch((struct file_req){ .path = at("some"), .recursive = true, .exclude = out });
    OK(told("0:watching:/\n"), "watching all but");
    put("some/skip/f", "", 0644);
    put("some/skip/deep/f", "", 0644);
    put("some/keep/x.tmp", "", 0644);
    shell("mkdir -p some/new/skip/er && touch some/new/skip/er/f && touch some/keep/end");
    OK(told(":create:keep/end\n") && told(":create:new/\n"), "what is not left out is told");
    OK(never_told("skip") && never_told(".tmp"), "what is, is not");
    watch((struct file_req){ .path = at("some"), .recursive = true, .include = in });
    OK(told("0:watching:/\n"), "watching only");
    put("some/keep/a.h", "", 0644);
    put("some/keep/a.c", "", 0644);
    OK(told(":create:keep/a.c\n") && never_told("a.h"), "what is named");
    watch_end();
    put("some/w", "1", 0644);
    run_begin(&w, (struct file_req){ .op = FILE_WATCH,
                                     .path = at("some"),
                                     .event = render_rewritten,
                                     .network_ok = true });
    OK(told("0:watching:/\n"), "watching what pinnace does");
    IS(FILE_OK, give((struct file_req){ .op = FILE_WRITE, .path = at("some/w") }, "2"),
       "it writes");
    OK(told("rewritten:w\n"), "over a file: rewritten");
    IS(FILE_OK, give((struct file_req){ .op = FILE_WRITE, .path = at("some/v") }, "2"), "again");
    shell("echo 3 >some/u && mv some/u some/w");
    OK(told(":create+:w\n") || told("create+"), "and somebody else moves a file there");
    put("some/mark", "", 0644);
    OK(told(":create:mark\n"), "to the end");
    const char *first = strstr(w.out, "rewritten:");
    OK(first && !strstr(first + 1, "rewritten:"), "only the first of these is: %s", w.out);
    watch_end();
}

static void refuses(void) {
    watch((struct file_req){ .path = at("none") });
    turns_until(&w.finished);
    OK(w.t.fault == FILE_NOT_FOUND, "nothing: %s", w.t.why);
    put("file", "", 0644);
    watch((struct file_req){ .path = at("file") });
    turns_until(&w.finished);
    OK(w.t.fault == FILE_NOT_DIR, "a file: %s", w.t.why);
    (void)mkdir("root", 0700);
    watch((struct file_req){ .path = at("root"), .user = "nobody" });
    turns_until(&w.finished);
    OK(w.t.fault == FILE_DENIED, "not ours: %s", w.t.why);
    static struct run many[MAX_FILE_WATCHERS + 1];
    int n = 0;
    for (; n < MAX_FILE_WATCHERS + 1; n++) {
        many[n].t.opened = run_opened;
        many[n].t.finished = run_finished;
        struct file_req q = { .op = FILE_WATCH, .path = base, .event = render };
        if (file_begin(&files, &many[n].t, &q, NULL) < 0)
            break;
    }
    OK(n == MAX_FILE_WATCHERS && many[n].t.fault == FILE_LIMIT, "%d watches are enough: %s", n,
       many[n].t.why);
    IS(FILE_OK, go((struct file_req){ .path = base }), "others are not held up by them");
    for (int i = 0; i < n; i++)
        file_cancel(&many[i].t);
    watch_end();
}

int main(int argc, char **argv) {
    if (geteuid() != 0) {
        (void)printf("1..0 # SKIP not root\n");
        return 0;
    }
    begin(argc, argv);
    watches_one();
    watches_all();
    overflows();
    leaves_out();
    refuses();
    return end();
}
