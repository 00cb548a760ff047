#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "channel/jobs/private.h"
#include "sys/signals.h"

enum {
    WALK_PASSES = 64,
    WALK_LOOKS = 3, /* at an environment that is empty, as it is for a moment in execve(2) */
    NOBODY = -1,
    KERNEL_THREAD = 0x00200000, /* PF_KTHREAD in the flags of proc_pid_stat(5) */
};

struct process {
    pid_t pid, parent, group, session;
    uint64_t born;      /* clock ticks after boot: with the pid, who it is */
    int owner;          /* whose tree it is in: an index of walk.targets, or NOBODY */
    unsigned looks;     /* at its environment; WALK_LOOKS: it is known */
    bool dead, stopped; /* a zombie, or the kernel's; by a signal */
    bool spared;        /* ourselves and those above us */
    bool done;          /* it has been sent what it should be */
};

struct picture {
    struct process *list; /* by pid */
    size_t n;
};

/* --- one process ---------------------------------------------------------------------------- */

static ssize_t read_file(int dir, const char *name, char *text, size_t cap) {
    AUTO_FD int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, cap - 1);
    text[n > 0 ? n : 0] = '\0';
    return n;
}

/* proc_pid_stat(5): "12 (a name) S 1 12 12 ...", the 22nd is when it was born. The name may hold
 * anything, so count from its last bracket on. */
static bool read_stat(int dir, const char *name, struct process *p) {
    char text[1024];
    const char *at = read_file(dir, name, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    if (!at || strlen(at) < 4)
        return false;
    p->dead = at[2] == 'Z' || at[2] == 'X';
    p->stopped = at[2] == 'T';
    char *next = (char *)at + 3;
    p->parent = (pid_t)strtol(next, &next, 10);
    p->group = (pid_t)strtol(next, &next, 10);
    p->session = (pid_t)strtol(next, &next, 10);
    unsigned long flags = 0;
    for (int field = 7; field < 22; field++) {
        long value = strtol(next, &next, 10);
        flags = field == 9 ? (unsigned long)value : flags;
    }
    p->dead |= (flags & KERNEL_THREAD) != 0;
    p->born = strtoull(next, &next, 10);
    return *next == ' ';
}

/* Reading it takes ptrace(2)'s rights. Without CAP_SYS_PTRACE root has them for a user's processes
 * as that user, whom the file system ids are enough to be. */
static int open_environ(pid_t pid) {
    char path[48], dir[32];
    (void)snprintf(dir, sizeof dir, "/proc/%d", pid);
    (void)snprintf(path, sizeof path, "%s/environ", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd >= 0 || (errno != EACCES && errno != EPERM) || stat(dir, &st) < 0)
        return fd;
    (void)setfsgid(st.st_gid);
    (void)setfsuid(st.st_uid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    (void)setfsuid(geteuid());
    (void)setfsgid(getegid());
    return fd;
}

/* The id after PINNACE_JOB= in the entry that ends here, of which `head` has the first bytes. */
static uint64_t marker(const char *head, size_t n) {
    static const char name[] = "PINNACE_JOB=";
    enum { NAME = sizeof name - 1, DIGITS = JOB_ID_TEXT - 1 };
    if (n != NAME + DIGITS || memcmp(head, name, NAME) != 0)
        return 0;
    char digits[DIGITS + 1] = "", *end;
    memcpy(digits, head + NAME, DIGITS);
    uint64_t id = strtoull(digits, &end, 16);
    return *end ? 0 : id;
}

/* False: it has no environment. Else the id of its job, or 0. Entries end in NUL; only the head of
 * one is kept. */
static bool job_of(pid_t pid, uint64_t *id) {
    AUTO_FD int fd = open_environ(pid);
    char chunk[4096], head[32];
    size_t len = 0; /* of the entry so far */
    bool any = false;
    *id = 0;
    for (ssize_t n; fd >= 0 && !*id && (n = read(fd, chunk, sizeof chunk)) > 0; any = true)
        for (ssize_t i = 0; i < n && !*id; i++) {
            if (chunk[i] && len < sizeof head)
                head[len] = chunk[i];
            *id = chunk[i] ? 0 : marker(head, len);
            len = chunk[i] ? len + 1 : 0;
        }
    return any;
}

/* --- signals -------------------------------------------------------------------------------- */

/* To that process and no other which has come by its number meanwhile: a directory of /proc is a
 * pidfd as well (pidfd_send_signal(2)). */
static bool send_to(const struct process *p, int sig) {
    char path[32];
    struct process is;
    (void)snprintf(path, sizeof path, "/proc/%d", p->pid);
    AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || !read_stat(fd, "stat", &is) || is.born != p->born)
        return false;
    if (syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) == 0)
        return true;
    return errno != ESRCH && errno != EPERM && kill(p->pid, sig) == 0;
}

static bool signal_one(const struct walk_target *t, const struct process *p) {
    if (t->sigs & SIGNAL_BIT(SIGKILL)) {
        if (t->leads && p->session == t->leader && !t->below) /* its group, which may be forking */
            (void)kill(-p->group, SIGKILL);
        return send_to(p, SIGKILL);
    }
    bool sent = false;
    for (int sig = 1; sig <= SIGNAL_MAX; sig++)
        if ((t->sigs & SIGNAL_BIT(sig)) &&
            !((t->group_had & SIGNAL_BIT(sig)) && p->group == t->leader))
            sent |= send_to(p, sig);
    /* One that is stopped would not see that it is to end. */
    if (p->stopped && (t->sigs & (SIGNAL_BIT(SIGTERM) | SIGNAL_BIT(SIGHUP))))
        (void)send_to(p, SIGCONT);
    return sent;
}

/* --- by its mark ---------------------------------------------------------------------------- */

static int of_session(const struct walk *w, pid_t session) {
    for (size_t i = 0; i < w->n; i++)
        if (w->targets[i].leads && w->targets[i].leader == session)
            return (int)i;
    return NOBODY;
}

static int of_id(const struct walk *w, uint64_t id) {
    for (size_t i = 0; i < w->n && id; i++)
        if (w->targets[i].id == id)
            return (int)i;
    return NOBODY;
}

/* Whom the mark gives away is signalled at once: it may be about to make the next one and end. A
 * member of its leader's session with the mark proves that the session is still that leader's: its
 * number is not given away while it has a member (setsid(2)). Nonzero: look again. */
static size_t look_at(struct walk *w, struct process *p) {
    if (p->spared || p->dead || p->looks == WALK_LOOKS)
        return 0;
    uint64_t id;
    bool known = job_of(p->pid, &id);
    int owner = of_id(w, id);
    p->looks = known ? WALK_LOOKS : p->looks + 1;
    if (owner == NOBODY)
        return !known;
    struct walk_target *t = &w->targets[owner];
    p->owner = owner;
    t->leads |= p->session == t->leader;
    if (p->done)
        return 0;
    p->done = true;
    return signal_one(t, p);
}

/* --- all processes -------------------------------------------------------------------------- */

static int by_pid(const void *a, const void *b) {
    const struct process *p = a, *q = b;
    return (p->pid > q->pid) - (p->pid < q->pid);
}

static struct process *find(const struct picture *all, pid_t pid) {
    const struct process key = { .pid = pid };
    return all->n ? bsearch(&key, all->list, all->n, sizeof key, by_pid) : NULL;
}

static void spare_ancestors(const struct picture *all) {
    for (struct process *p = find(all, getpid()); p && !p->spared; p = find(all, p->parent))
        p->spared = true;
}

/* What is known of it from the pass before. */
static void recall(struct process *p, const struct picture *before) {
    const struct process *old = find(before, p->pid);
    if (!old || old->born != p->born)
        return;
    p->owner = old->owner;
    p->looks = old->looks;
    p->spared = old->spared;
    p->done = old->done;
}

/* The kernel lists them by their numbers, so those who are made meanwhile are seen in the end. With
 * `look` each is looked at as it comes, and *again grows when that was of use. */
static int take_picture(struct walk *w, struct picture *now, const struct picture *before,
                        bool look, size_t *again) {
    DIR *proc = opendir("/proc");
    if (!proc)
        return -errno;
    now->n = 0;
    for (struct dirent *d; (d = readdir(proc)) && now->n < MAX_WALK_PROCESSES;) {
        char name[32], *end;
        long pid = strtol(d->d_name, &end, 10);
        struct process p = { .pid = (pid_t)pid, .owner = NOBODY };
        (void)snprintf(name, sizeof name, "%ld/stat", pid);
        if (*end || pid <= 0 || !read_stat(dirfd(proc), name, &p))
            continue;
        recall(&p, before);
        *again += look ? look_at(w, &p) : 0;
        now->list[now->n++] = p;
    }
    (void)closedir(proc);
    qsort(now->list, now->n, sizeof *now->list, by_pid);
    spare_ancestors(now);
    return 0;
}

/* --- by its place ---------------------------------------------------------------------------- */

/* Born later, or in the same tick and with a number that was given away later. They are given away
 * in order, and begin again at some time. */
static bool is_since(const struct job_since *since, const struct process *p) {
    enum { NUMBERS = 1 << 22, NEAR = 1 << 14 };
    unsigned ahead = (unsigned)(p->pid - since->last) % NUMBERS;
    return p->born > since->ticks || (p->born == since->ticks && ahead > 0 && ahead < NEAR);
}

/* Of those in the leader's session: its child, or one that has lost its parent. Others' children
 * are the parent's affair. */
static bool is_below(const struct walk_target *t, const struct process *p,
                     const struct process *parent) {
    bool of_leader = p->parent == t->leader || !parent || parent->session != t->leader;
    return p->pid != t->leader && of_leader && is_since(&t->since, p);
}

/* Children may come before their parents: repeat until nothing changes. */
static void claim(const struct walk *w, const struct picture *all) {
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < all->n; i++) {
            struct process *p = &all->list[i];
            if (p->owner != NOBODY || p->spared)
                continue;
            const struct process *parent = find(all, p->parent);
            int owner = of_session(w, p->session);
            if (owner != NOBODY && w->targets[owner].below &&
                !is_below(&w->targets[owner], p, parent))
                owner = NOBODY;
            p->owner = owner;
            if (p->owner == NOBODY && parent)
                p->owner = parent->owner;
            changed |= p->owner != NOBODY;
        }
    }
}

static size_t signal_new(const struct walk *w, const struct picture *all) {
    size_t sent = 0;
    for (size_t i = 0; i < all->n; i++) {
        struct process *p = &all->list[i];
        if (p->owner == NOBODY || p->done || p->dead)
            continue;
        p->done = true;
        sent += signal_one(&w->targets[p->owner], p);
    }
    return sent;
}

/* First those who need no look into their environment, for that may hang. */
int walk_run(void *arg) {
    struct walk *w = arg;
    struct picture pictures[2] = { { .n = 0 } };
    for (int i = 0; i < 2; i++)
        pictures[i].list = calloc(MAX_WALK_PROCESSES, sizeof(struct process));
    if (!pictures[0].list || !pictures[1].list)
        return 1; /* and so does the process end, with all it has */
    size_t again = 1;
    for (int i = 0; i < WALK_PASSES && again > 0; i++) {
        struct picture *now = &pictures[i % 2];
        again = i == 0;
        if (take_picture(w, now, &pictures[(i + 1) % 2], i > 0, &again) < 0)
            return 1;
        claim(w, now);
        again += signal_new(w, now);
    }
    return 0;
}
