#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/bug.h"
#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "channel/jobs/private.h"
#include "svc/environment.h"
#include "sys/quick.h"

/* --- the quick way, until it has led to something --------------------------------------------- */

static void close_theirs(int theirs[3]) {
    if (theirs[1] == theirs[0]) /* one terminal */
        theirs[1] = theirs[2] = -1;
    for (int i = 0; i < 3; i++)
        fd_close(&theirs[i]);
}

/* What the quick way (sys/quick.h) needs until it has led to something. */
struct attempt {
    struct quick *quick;
    struct wire_packet packet;
    int theirs[3];
    bool failed;
};

void job_attempt_free(struct job *j) {
    struct attempt *a = j->attempt;
    j->attempt = NULL;
    if (!a)
        return;
    quick_free(a->quick);
    close_theirs(a->theirs);
    free(a);
}

/* --- what came of it ------------------------------------------------------------------------ */

static enum job_reason reason_of(struct exec_failure f) {
    if (f.code == ENOMEM)
        return JOB_NO_MEMORY;
    if (f.code == EAGAIN || f.code == EMFILE || f.code == ENFILE || f.code == ENOSPC ||
        f.code == ETOOMANYREFS)
        return JOB_LIMIT;
    if (f.code == E2BIG)
        return JOB_TOO_LONG;
    if (f.step == STEP_USER)
        return JOB_UNKNOWN_USER;
    if (f.step == STEP_CWD)
        return JOB_BAD_CWD;
    if (f.code == EACCES || f.code == EPERM)
        return JOB_PERMISSION;
    if (f.step == STEP_INTERPRETER)
        return JOB_NOT_FOUND;
    if (f.step != STEP_EXEC)
        return JOB_OTHER;
    return f.code == ENOENT || f.code == ENOTDIR ? JOB_NOT_FOUND
           : f.code == ENOEXEC                   ? JOB_BAD_FORMAT
                                                 : JOB_OTHER;
}

/* j->asked holds program, cwd and user, each with its NUL; an adopted job has none. */
static const char *asked(const struct job *j, int nth) {
    const char *p = j->asked;
    for (int i = 0; p && i < nth; i++)
        p += strlen(p) + 1;
    return p ? p : "";
}

static void explain(struct job *j, struct exec_failure f) {
    struct text t = TEXT(j->why);
    bool program = f.step == STEP_EXEC || f.step == STEP_INTERPRETER;
    const char *what = program               ? asked(j, 0)
                       : f.step == STEP_CWD  ? asked(j, 1)
                       : f.step == STEP_USER ? asked(j, 2)
                                             : "";
    text_add(&t, "cannot %s", program ? "execute" : spawn_step_text(f.step));
    if (j->asked && (program || *what))
        text_add(&t, " '%.100s'", what);
    if (f.step == STEP_INTERPRETER)
        text_add(&t, ": it is there, but not its interpreter (of its first line, or its loader)");
    else if (f.step == STEP_USER && f.code == ENOENT)
        text_add(&t, ": no such user or group");
    else if (f.code == E2BIG)
        text_add(&t, ": words and variables are too long for execve(2): use stdin or a file");
    else
        text_add(&t, ": %s", strerror(f.code));
}

static void settled(struct job *j, enum job_state state) {
    j->state = state;
    mem_release(&j->asked);
    record_write(j);
    job_touch(j, NEWS_CHANGED | NEWS_READERS | (state == JOB_FAILED ? NEWS_ROOM : 0));
}

static void failed(struct job *j, struct exec_failure f) {
    struct jobs *js = j->jobs;
    j->reason = reason_of(f);
    explain(j, f);
    for (int i = 0; i < JOB_NFDS; i++)
        job_close_fd(j, (enum job_fd)i);
    j->stdin_open = false;
    j->term_at = j->kill_at = INSTANT_NEVER;
    job_arm(j);
    js->nrunning--;
    js->nfailed++;
    js->failed_total++;
    settled(j, JOB_FAILED);
}

/* End of file: it has executed; or it was killed before that, which its end will tell. */
void job_exec_settle(struct job *j) {
    struct exec_failure f = { .code = EIO };
    if (j->attempt && j->attempt->failed)
        return;
    ssize_t n = j->fds[JOB_EXEC] < 0 ? 0 : read(j->fds[JOB_EXEC], &f, sizeof f);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != 0 && j->attempt) { /* once it is reaped, job_again() */
        loop_unwatch(&j->exec);
        fd_close(&j->fds[JOB_EXEC]);
        j->attempt->failed = true;
        return;
    }
    job_attempt_free(j);
    if (n != 0) {
        failed(j, f);
        return;
    }
    job_close_fd(j, JOB_EXEC);
    settled(j, JOB_RUNNING);
    job_send_early(j);
    if (!j->stdin_open && j->stdin_pipe)
        job_owe(j, WIRE_JOB_SHUT); /* it was closed before PID 1 could have known it */
}

/* --- its ends ------------------------------------------------------------------------------- */

static int job_pipe(int *ours, int *theirs, bool write_end, struct err *e) {
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_sys(e, errno, "make a pipe");
    *ours = p[write_end];
    *theirs = p[!write_end];
    (void)fcntl(*ours, F_SETFL, O_NONBLOCK);
    return 0;
}

/* Where TIOCGPTPEER is unknown, by name, which may be another one's in another mount of devpts. */
static int open_slave(int master) {
    int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    int fd = ioctl(master, TIOCGPTPEER, flags);
    char name[64];
    if (fd < 0 && (errno == ENOTTY || errno == EINVAL) && ptsname_r(master, name, sizeof name) == 0)
        fd = open(name, flags);
    return fd;
}

static int open_terminal(struct job *j, const struct job_spec *spec, int theirs[3], struct err *e) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0)
        return err_sys(e, errno, "open /dev/ptmx for a terminal");
    j->fds[JOB_STDOUT] = master;
    if (unlockpt(master) < 0 || (theirs[0] = open_slave(master)) < 0)
        return err_sys(e, errno, "open the other side of a terminal");
    theirs[1] = theirs[2] = theirs[0];
    struct winsize size = { .ws_row = spec->rows ? spec->rows : 24,
                            .ws_col = spec->cols ? spec->cols : 80 };
    (void)ioctl(master, TIOCSWINSZ, &size);
    return 0;
}

int jobs_null(struct jobs *js, struct err *e) {
    if (js->null < 0 && (js->null = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
        return err_sys(e, errno, "open /dev/null");
    return 0;
}

/* 0 or -errno. theirs[] are the caller's to close, but for /dev/null. */
static int open_stdio(struct job *j, const struct job_spec *spec, int theirs[3], struct err *e) {
    if (spec->pty)
        return open_terminal(j, spec, theirs, e);
    int rc = spec->stdin_pipe ? job_pipe(&j->fds[JOB_STDIN], &theirs[0], true, e)
                              : jobs_null(j->jobs, e);
    if (rc == 0)
        rc = job_pipe(&j->fds[JOB_STDOUT], &theirs[1], false, e);
    if (rc == 0)
        rc = job_pipe(&j->fds[JOB_STDERR], &theirs[2], false, e);
    return rc;
}

/* --- the spawn ------------------------------------------------------------------------------ */

/* In a child there are no jobs (job.c): it has all that it needs here. */
struct announcement {
    struct wire_job m;
    int fds[JOB_NFDS];
    int pid1;
};

/* Waiting harms nobody else. PID 1 may be behind; or so many descriptors be on their way that the
 * kernel takes no more for now, which nothing tells the end of. */
static int announce(void *arg) {
    struct announcement *a = arg;
    struct pollfd room = { .fd = a->pid1, .events = POLLOUT };
    a->m.pid = getpid();
    for (int ms = 0;; ms++) {
        int rc = wire_send_fds(room.fd, &a->m, a->fds);
        if (rc == -EAGAIN)
            (void)poll(&room, 1, -1);
        else if (rc == -ETOOMANYREFS && ms < JOB_ANNOUNCE_MS)
            (void)poll(NULL, 0, 1);
        else
            return -rc;
    }
}

static struct wire_job announced(const struct job *j) {
    return (struct wire_job){ .head = WIRE_HEAD(WIRE_JOB, struct wire_job),
                              .id = j->id,
                              .slot = j->slot };
}

static pid_t spawn_fork(struct job *j, const struct spawn_req *asked, struct err *e) {
    struct sys *sys = j->jobs->a.loop->sys;
    struct announcement a = { .m = announced(j), .pid1 = j->jobs->a.pid1 };
    struct spawn_req r = *asked;
    memcpy(a.fds, j->fds, sizeof a.fds);
    r.announce = announce;
    r.announce_arg = &a;
    pid_t pid = sys->spawn(sys, &r, &a.fds[JOB_EXEC], e);
    j->fds[JOB_EXEC] = a.fds[JOB_EXEC];
    return pid;
}

/* 0: it is no way for this one. With a pid, theirs[] are the attempt's. */
static pid_t spawn_quick(struct job *j, const struct spawn_req *r, int theirs[3]) {
    struct attempt *a = j->attempt = calloc(1, sizeof *a);
    AUTO_FD int report = -1;
    pid_t pid = -1;
    if (!a)
        return 0;
    memset(a->theirs, -1, sizeof a->theirs);
    a->quick = quick_new(r);
    if (a->quick && job_pipe(&j->fds[JOB_EXEC], &report, false, NULL) == 0) {
        const struct wire_job m = announced(j);
        wire_pack_fds(&a->packet, &m, j->fds);
        pid = quick_start(a->quick, report,
                          &(struct quick_news){ .sock = j->jobs->a.pid1,
                                                .message = &a->packet.message.head,
                                                .pid = &a->packet.job.pid });
    }
    if (pid < 0) {
        fd_close(&j->fds[JOB_EXEC]);
        job_attempt_free(j);
        return 0;
    }
    memcpy(a->theirs, theirs, sizeof a->theirs);
    memset(theirs, -1, sizeof a->theirs);
    return pid;
}

/* What it could not do, a fork can, or says why. Its process has been reaped. */
bool job_again(struct job *j) {
    struct attempt *a = j->attempt;
    struct err e = { 0 };
    if (!a || !a->failed)
        return false;
    pid_t pid = spawn_fork(j, quick_request(a->quick), &e);
    job_attempt_free(j);
    if (pid < 0) {
        failed(j, (struct exec_failure){ .step = STEP_ANNOUNCE, .code = -pid });
        return true;
    }
    j->pid = j->leader = pid;
    children_add(j->jobs->a.children, &j->child, pid);
    job_watch(j);
    job_send_early(j);
    return true;
}

/* All of it is put together here, for in the child each page that it writes to is copied first. But
 * what a login sets is known there only, so the job's `own` goes over that once more. */
static pid_t spawn(struct job *j, const struct job_spec *spec, const char *const *env,
                   const char *const *own, struct err *e) {
    const struct jobs_args *a = &j->jobs->a;
    int theirs[3] = { -1, -1, -1 };
    int rc = open_stdio(j, spec, theirs, e);
    struct spawn_limit files = { RLIMIT_NOFILE, a->nofile };
    struct spawn_req r = {
        .argv = spec->argv,
        .envp = env,
        .env_over = spec->user ? own : NULL,
        .cwd = spec->cwd,
        .home_cwd = true,
        .user = spec->user,
        .login_env = spec->user != NULL,
        .stdio = { theirs[0] < 0 ? j->jobs->null : theirs[0], theirs[1], theirs[2] },
        .own_session = true,
        .ctty = spec->pty,
        .only_stdio = true,
        .cgroup_fd = -1,
        .oom_score_adj = OOM_INHERIT,
        .limits = &files,
        .nlimits = 1,
        .sigmask = a->sigmask,
        .sigchld_ignored = a->sigchld_ignored,
    };
    if (rc == 0 && (rc = spawn_quick(j, &r, theirs)) == 0)
        rc = spawn_fork(j, &r, e);
    close_theirs(theirs);
    return rc;
}

static pid_t spawn_marked(struct job *j, const struct job_spec *spec, struct err *e) {
    size_t n = 0;
    while (spec->env && spec->env[n])
        n++;
    AUTO_FREE const char **own = calloc(n + 2, sizeof *own);
    if (!own)
        return err_sys(e, ENOMEM, "start a job");
    char marker[32];
    (void)snprintf(marker, sizeof marker, "PINNACE_JOB=%012" PRIx64, j->id);
    if (n > 0)
        memcpy(own, spec->env, n * sizeof *own);
    own[n] = marker;
    struct env_request r = { .base = j->jobs->a.env, .add = own, .kind = SVC_KIND_SERVICE };
    AUTO_FREE const char **env = NULL;
    int rc = environment_make(&r, &env, e);
    return rc < 0 ? rc : spawn(j, spec, env, own, e);
}

/* --- a new job ------------------------------------------------------------------------------ */

/* No two have a slot at once, so no two have an id. */
static uint64_t new_id(uint32_t slot) {
    uint64_t id;
    do {
        if (getrandom(&id, sizeof id, 0) < 0)
            id = (uint64_t)instant_now().ns * UINT64_C(0x9e3779b97f4a7c15);
        id = (id & ((UINT64_C(1) << 48) - MAX_JOBS)) | slot;
    } while (id < MAX_JOBS);
    return id;
}

static char *join_asked(const struct job_spec *spec) {
    const char *parts[] = { spec->argv[0], spec->cwd ? spec->cwd : "",
                            spec->user ? spec->user : "" };
    size_t n = 0;
    for (size_t i = 0; i < 3; i++)
        n += strlen(parts[i]) + 1;
    char *all = malloc(n), *p = all;
    for (size_t i = 0; all && i < 3; i++)
        p = stpcpy(p, parts[i]) + 1;
    return all;
}

static struct job *describe(struct jobs *js, const struct job_spec *spec, struct err *e) {
    uint32_t slot = jobs_make_room(js) ? jobs_free_slot(js) : MAX_JOBS;
    if (slot == MAX_JOBS) {
        (void)err_set(e, EAGAIN, "%zu jobs run, or are kept because somebody reads them: no more",
                      js->n);
        return NULL;
    }
    struct job *j = job_new(js, new_id(slot), slot);
    if (!j) {
        (void)err_sys(e, ENOMEM, "start a job");
        return NULL;
    }
    (void)snprintf(j->tag, sizeof j->tag, "%s", spec->tag ? spec->tag : "");
    (void)snprintf(j->key, sizeof j->key, "%s", spec->key ? spec->key : "");
    j->key_hash = spec->key_hash;
    j->pty = spec->pty;
    j->stdin_pipe = spec->stdin_pipe && !spec->pty;
    j->stdin_open = spec->stdin_pipe || spec->pty;
    j->kill_after = spec->kill_after;
    j->command = record_command(spec->argv);
    j->asked = join_asked(spec);
    j->note = spec->note ? strdup(spec->note) : NULL;
    ring_init(&j->output, spec->keep ? spec->keep : JOB_OUTPUT, 0);
    if (!j->command || !j->asked || (spec->note && !j->note)) {
        (void)err_sys(e, ENOMEM, "start a job");
        job_discard(j);
        return NULL;
    }
    return j;
}

static int64_t unix_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int launch(struct job *j, const struct job_spec *spec, struct err *e) {
    struct jobs *js = j->jobs;
    j->started = js->a.loop->sys->now(js->a.loop->sys);
    j->started_unix_ms = unix_ms();
    j->term_at = instant_add(j->started, spec->timeout);
    if (js->started_total == 0)
        jobs_find_counter(js); /* once more: the box may have moved since */
    j->ooms = jobs_ooms(js);
    record_create(j);
    pid_t pid = spawn_marked(j, spec, e);
    if (pid < 0)
        return pid;
    j->pid = j->leader = pid;
    children_add(js->a.children, &j->child, pid);
    return 0;
}

struct job *job_start(struct jobs *js, const struct job_spec *spec, enum job_reason *why,
                      struct err *e) {
    struct job *j = describe(js, spec, e);
    int rc = j ? launch(j, spec, e) : -e->code;
    if (rc < 0) {
        *why = reason_of((struct exec_failure){ .step = STEP_ANNOUNCE, .code = -rc });
        if (j)
            job_discard(j);
        return NULL;
    }
    js->started_total++;
    job_watch(j);
    job_arm(j);
    return j;
}
