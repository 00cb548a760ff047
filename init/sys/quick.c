#include "sys/quick.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/exec.h"
#include "sys/raw_syscall.h"

enum { QUICK_STACK = 16 << 10 };

struct quick {
    struct spawn_req req;
    struct spawn_limit limit;
    struct quick_news news;
    int report;
    const char *const *files; /* to try, one after the other */
    _Alignas(16) char stack[QUICK_STACK];
    char bytes[]; /* pointers first, each list whole */
};

/* --- the block -------------------------------------------------------------------------------- */

static size_t list_length(const char *const *list) {
    size_t n = 0;
    while (list[n])
        n++;
    return n;
}

static size_t list_size(const char *const *list) {
    size_t size = sizeof *list;
    for (; *list; list++)
        size += sizeof *list + strlen(*list) + 1;
    return size;
}

static const char *put_text(char **at, const char *s) {
    const char *to = *at;
    *at = stpcpy(*at, s) + 1;
    return to;
}

static const char **put_pointers(char **at, size_t n) {
    const char **to = (void *)*at;
    *at += n * sizeof *to;
    return to;
}

static void put_list(const char **to, char **at, const char *const *list) {
    for (; *list; list++)
        *to++ = put_text(at, *list);
    *to = NULL;
}

static const char *path_in(const char *const *env) {
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return EXEC_PATH;
}

static size_t count_files(const char *name, const char *path) {
    size_t n = 1;
    for (; !strchr(name, '/') && *path; path++)
        n += *path == ':';
    return n;
}

/* False: one is too long, which is for others to tell. */
static bool put_files(const char **to, char **at, const char *name, const char *path) {
    char file[PATH_MAX];
    bool fits = true;
    if (strchr(name, '/')) {
        *to++ = put_text(at, name);
        path = NULL;
    }
    while (path && fits) {
        fits = exec_next_file(&path, name, file);
        if (fits)
            *to++ = put_text(at, file);
    }
    *to = NULL;
    return fits;
}

static bool is_for_it(const struct spawn_req *r) {
    bool plain = !r->user && !r->ctty && !r->foreground && !r->own_group && !r->announce &&
                 !r->sigchld_ignored && r->own_session && r->only_stdio && r->cgroup_fd < 0 &&
                 r->oom_score_adj == OOM_INHERIT && r->nlimits == 1;
    return RAW_SYSCALLS && plain && (!r->cwd || r->cwd[0] == '/') && *r->argv[0] &&
           r->stdio[0] > 2 && r->stdio[1] > 2 && r->stdio[2] > 2;
}

static size_t block_size(const struct spawn_req *r, const char *path) {
    const char *name = r->argv[0];
    size_t n = count_files(name, path);
    return sizeof(struct quick) + list_size(r->argv) + list_size(r->envp) +
           (r->cwd ? strlen(r->cwd) + 1 : 0) + (n + 1) * sizeof(char *) + strlen(path) +
           n * (strlen(name) + 2);
}

struct quick *quick_new(const struct spawn_req *r) {
    const char *path = path_in(r->envp);
    struct quick *q = is_for_it(r) ? malloc(block_size(r, path)) : NULL;
    if (!q)
        return NULL;
    char *at = q->bytes;
    const char **argv = put_pointers(&at, list_length(r->argv) + 1);
    const char **envp = put_pointers(&at, list_length(r->envp) + 1);
    const char **files = put_pointers(&at, count_files(r->argv[0], path) + 1);
    q->req = *r;
    q->limit = r->limits[0];
    q->req.limits = &q->limit;
    q->req.argv = argv;
    q->req.envp = envp;
    q->files = files;
    put_list(argv, &at, r->argv);
    put_list(envp, &at, r->envp);
    q->req.cwd = r->cwd ? put_text(&at, r->cwd) : NULL;
    if (put_files(files, &at, r->argv[0], path))
        return q;
    free(q);
    return NULL;
}

const struct spawn_req *quick_request(const struct quick *q) { return &q->req; }

void quick_free(struct quick *q) { free(q); }

/* --- the child -------------------------------------------------------------------------------- */

#if defined __clang__ || defined __GNUC__
#define NOT_INSTRUMENTED __attribute__((no_sanitize("address", "undefined")))
#else
#define NOT_INSTRUMENTED
#endif

#define CALL(n, a, b, c, d, e) raw_syscall(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

NOT_INSTRUMENTED static long tell(const struct quick_news *news) {
    *news->pid = (int32_t)CALL(SYS_getpid, 0, 0, 0, 0, 0);
    return CALL(SYS_sendmsg, news->sock, news->message, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
}

/* 0, 1, 2 and, as 3, the report; all others are closed, as nobody can say how long execve takes. */
NOT_INSTRUMENTED static long set_descriptors(struct quick *q) {
    long rc = 0;
    for (int i = 0; i < 3 && rc >= 0; i++)
        rc = CALL(SYS_dup3, q->req.stdio[i], i, 0, 0, 0);
    if (rc >= 0 && q->report != 3)
        rc = CALL(SYS_dup3, q->report, 3, O_CLOEXEC, 0, 0);
    if (rc < 0)
        return rc;
    q->report = 3;
    (void)CALL(SYS_close_range, 4, ~0U, 0, 0, 0);
    return 0;
}

NOT_INSTRUMENTED static long execute(const struct quick *q) {
    long rc = -ENOENT;
    for (const char *const *file = q->files; *file && exec_goes_on((int)-rc); file++)
        rc = CALL(SYS_execve, *file, q->req.argv, q->req.envp, 0, 0);
    return rc;
}

NOT_INSTRUMENTED static int child(void *arg) {
    struct quick *q = arg;
    const struct spawn_limit *l = &q->limit;
    enum spawn_step step = STEP_ANNOUNCE;
    long rc = tell(&q->news);
    if (rc >= 0) {
        step = STEP_STDIO;
        rc = set_descriptors(q);
    }
    if (rc >= 0) {
        step = STEP_SESSION;
        rc = CALL(SYS_setsid, 0, 0, 0, 0, 0);
    }
    if (rc >= 0) {
        step = STEP_LIMITS;
        rc = CALL(SYS_prlimit64, 0, l->resource, &l->value, 0, 0);
    }
    if (rc >= 0 && q->req.cwd) {
        step = STEP_CWD;
        rc = CALL(SYS_chdir, q->req.cwd, 0, 0, 0, 0);
    }
    if (rc >= 0) {
        (void)CALL(SYS_rt_sigprocmask, SIG_SETMASK, &q->req.sigmask, 0, sizeof q->req.sigmask, 0);
        step = STEP_EXEC;
        rc = execute(q);
    }
    struct exec_failure f = { .step = (int32_t)step, .code = (int32_t)-rc };
    (void)CALL(SYS_write, q->report, &f, sizeof f, 0, 0);
    return 127; /* clone() makes it exit(2) with that */
}

pid_t quick_start(struct quick *q, int report, const struct quick_news *news) {
    q->report = report;
    q->news = *news;
    pid_t pid = clone(child, q->stack + sizeof q->stack, CLONE_VM | SIGCHLD, q);
    return pid < 0 ? -errno : pid;
}
