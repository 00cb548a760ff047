/* t_files.h — file operations in a test: a real loop, real workers, real files below a directory of
 * our own, which is where the process is. */
#ifndef TESTS_UNIT_T_FILES_H
#define TESTS_UNIT_T_FILES_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/own.h"
#include "channel/files/files.h"
#include "sys/signals.h"
#include "sys/title.h"
#include "tests/unit/tap.h"

static struct sys sys;
static struct loop loop;
static struct children children;
static struct source chld;
static struct files files;
static char base[64]; /* the directory */

static void chld_ready(struct source *s, uint32_t got) {
    (void)got;
    struct signalfd_siginfo si;
    while (signals_read(s->fd, &si) > 0)
        children_reap(&children, (pid_t)si.ssi_pid);
}

/* --- one operation, to its end ---------------------------------------------------------------- */

struct run {
    struct file_task t;
    struct source data;
    const char *in; /* content to give */
    size_t in_len, in_at;
    bool cut;           /* give it without saying that it is complete */
    bool base64;        /* it is that */
    bool hold;          /* do not go when opened */
    uint64_t from, len; /* FILE_READ; len 0: all */
    char *out;          /* content taken, NUL-terminated */
    size_t out_len, out_cap;
    bool opened, finished, drained;
};

static void run_data(struct source *s, uint32_t got) {
    (void)got;
    static char buf[1 << 18];
    struct run *r = CONTAINER_OF(s, struct run, data);
    ssize_t n = read(s->fd, buf, sizeof buf);
    if (n < 0)
        return;
    if (n == 0) {
        loop_unwatch(s);
        r->drained = true;
        return;
    }
    if (r->out_len + (size_t)n >= r->out_cap) {
        r->out_cap = 2 * (r->out_len + (size_t)n);
        r->out = realloc(r->out, r->out_cap);
    }
    memcpy(r->out + r->out_len, buf, (size_t)n);
    r->out_len += (size_t)n;
    r->out[r->out_len] = '\0';
}

static void run_give(struct source *s, uint32_t got) {
    struct run *r = CONTAINER_OF(s, struct run, data);
    size_t left = r->in_len - r->in_at;
    ssize_t n = left > 0 && !(got & EPOLLERR) ? write(s->fd, r->in + r->in_at, left) : 0;
    r->in_at += n > 0 ? (size_t)n : 0;
    if (n < 0 && errno == EAGAIN)
        return;
    if (r->in_at < r->in_len && n > 0)
        return;
    loop_unwatch(s);
    r->drained = true;
    if (r->cut)
        fd_close(&r->t.data);
    else if (r->base64)
        file_content_complete_base64(&r->t);
    else
        file_content_complete(&r->t);
}

static void run_opened(struct file_task *t) {
    struct run *r = CONTAINER_OF(t, struct run, t);
    r->opened = true;
    if (r->hold)
        return;
    file_go(t, r->from, r->len ? r->len : (uint64_t)t->info.st.st_size - r->from);
    r->data = (struct source){ .fd = t->data,
                               .want = r->in ? EPOLLOUT : EPOLLIN,
                               .ready = r->in ? run_give : run_data };
    (void)loop_watch(&loop, &r->data);
}

static void run_finished(struct file_task *t) {
    struct run *r = CONTAINER_OF(t, struct run, t);
    r->finished = true;
    if (!r->data.loop)
        r->drained = true;
}

static void turns_until(const bool *what) {
    while (!*what && loop_turn(&loop) >= 0)
        ;
}

static void ticked(struct timer *t) { (void)t; }

/* At most a millisecond. */
static inline void short_turn(void) {
    struct timer t = { .fire = ticked };
    timer_arm(&loop, &t, span_ms(1));
    (void)loop_turn(&loop);
    timer_stop(&t);
}

/* Give back what a run holds, and wait until no process is left but those that watch. */
static void run_end(struct run *r) {
    loop_unwatch(&r->data);
    file_cancel(&r->t);
    mem_release(&r->out);
    while (files.n[FILE_SHORT] + files.n[FILE_STREAM] > 0 && loop_turn(&loop) >= 0)
        ;
    *r = (struct run){ 0 };
}

static void run_begin(struct run *r, struct file_req q) {
    r->t.opened = run_opened;
    r->t.finished = run_finished;
    r->finished = r->drained = file_begin(&files, &r->t, &q, NULL) < 0;
}

static struct run last; /* the one of go() */

static enum file_fault go_with(struct file_req q, struct run how) {
    run_end(&last);
    last = how;
    run_begin(&last, q);
    turns_until(&last.finished);
    turns_until(&last.drained);
    return last.t.fault;
}

static inline enum file_fault go(struct file_req q) { return go_with(q, (struct run){ 0 }); }

static inline enum file_fault give(struct file_req q, const char *text) {
    return go_with(q, (struct run){ .in = text, .in_len = strlen(text) });
}

/* The operation ends so. */
#define IS(fault_, call, ...)                                                              \
    do {                                                                                   \
        enum file_fault got_ = (call);                                                     \
        if (!OK(got_ == (fault_), __VA_ARGS__))                                            \
            (void)printf("# fault %d, code %d: %s\n", (int)got_, last.t.code, last.t.why); \
    } while (0)

/* --- files ------------------------------------------------------------------------------------ */

/* A path below the directory, in one of eight buffers. */
static const char *at(const char *name) {
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, PATH_MAX, "%s/%s", base, name);
    return path;
}

static void put(const char *name, const char *text, mode_t mode) {
    (void)unlink(name);
    AUTO_FD int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fchmod(fd, mode) < 0)
        (void)OK(false, "put %s: %s", name, strerror(errno));
}

static inline const char *content(const char *name) {
    static char text[4096];
    AUTO_FD int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return n < 0 ? "(none)" : text;
}

static inline bool holds(const char *name, const char *text) {
    return strcmp(content(name), text) == 0;
}
static inline bool is_there(const char *name) {
    struct stat st;
    return lstat(name, &st) == 0;
}
static inline struct stat look(const char *name) {
    struct stat st = { 0 };
    (void)lstat(name, &st);
    return st;
}

/* How many names there are in a directory. */
static inline int names_in(const char *name) {
    DIR *d = opendir(name);
    int n = -2;
    while (d && readdir(d))
        n++;
    if (d)
        (void)closedir(d);
    return n;
}

static inline void shell(const char *command) {
    if (system(command) != 0) /* NOLINT: a test's own words */
        (void)OK(false, "%s", command);
}

/* A file system of its own, in the mount namespace of this test. */
static inline bool mount_tmpfs(const char *name, const char *options) {
    return mkdir(name, 0777) == 0 && mount("t_files", name, "tmpfs", 0, options) == 0;
}

static inline void begin(int argc, char **argv) {
    title_init(argc, argv);
    (void)alarm(55);
    (void)umask(022);
    sys_linux_init(&sys);
    (void)signals_block(SIGNALS_ALL & ~SIGNAL_BIT(SIGALRM));
    (void)loop_init(&loop, &sys);
    children_init(&children, &loop);
    chld = (struct source){ .fd = signals_open(SIGNAL_BIT(SIGCHLD)),
                            .want = EPOLLIN,
                            .ready = chld_ready };
    (void)loop_watch(&loop, &chld);
    files_init(&files, &loop, &children, 4);
    (void)snprintf(base, sizeof base, "/tmp/t_files.XXXXXX");
    if (!mkdtemp(base) || chmod(base, 0755) < 0 || chdir(base) < 0)
        (void)OK(false, "make %s", base);
    if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0)
        (void)mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static inline int end(void) {
    run_end(&last);
    (void)chdir("/");
    pid_t pid = fork(); /* mounts go with us: from outside, the directory is plain */
    if (pid == 0) {
        (void)umount2(at("small"), MNT_DETACH);
        (void)umount2(at("other"), MNT_DETACH);
        (void)execlp("rm", "rm", "-rf", "--one-file-system", base, (char *)NULL);
        _exit(1);
    }
    (void)waitpid(pid, NULL, 0);
    loop_unwatch(&chld);
    fd_close(&chld.fd);
    children_fini(&children);
    loop_fini(&loop);
    return tap_end();
}

#endif
