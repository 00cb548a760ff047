#include "sys/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"

enum { MAX_PROCESSES = 65536, MAX_PASSES = 16 };

struct process {
    pid_t pid, parent;
    bool inside; /* a descendant of root */
};

struct tree {
    struct process *list;
    size_t n;
};

/* The parent of `pid`: the second word after the last ')' of its stat line, for the name in
 * brackets may hold anything (proc_pid_stat(5)). 0 when it is gone. */
static pid_t parent_of(pid_t pid) {
    char path[32], text[512];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    /* ") S 123 ..." */
    return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : 0;
}

static int take_picture(struct tree *t) {
    DIR *proc = opendir("/proc");
    if (!proc)
        return -errno;
    t->n = 0;
    for (struct dirent *d; (d = readdir(proc)) && t->n < MAX_PROCESSES;) {
        char *end;
        long pid = strtol(d->d_name, &end, 10);
        if (*end == '\0' && pid > 0)
            t->list[t->n++] = (struct process){ (pid_t)pid, parent_of((pid_t)pid), false };
    }
    (void)closedir(proc);
    return 0;
}

static bool is_spared(pid_t pid, const pid_t *spare, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (spare[i] == pid)
            return true;
    return pid == getpid();
}

static bool parent_inside(const struct tree *t, pid_t parent, pid_t root) {
    for (size_t k = 0; k < t->n; k++)
        if (t->list[k].pid == parent)
            return t->list[k].inside;
    return parent == root;
}

/* Children may come before their parents in /proc: repeat until nothing changes. */
static void mark_inside(struct tree *t, pid_t root, const pid_t *spare, size_t nspare,
                        pid_t through) {
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < t->n; i++) {
            struct process *p = &t->list[i];
            if (p->inside || p->pid == root || is_spared(p->pid, spare, nspare))
                continue;
            p->inside = p->parent == root || (through && p->parent == through) ||
                        parent_inside(t, p->parent, root);
            changed |= p->inside;
        }
    }
}

static bool seen_before(const struct tree *old, pid_t pid) {
    for (size_t i = 0; i < old->n; i++)
        if (old->list[i].pid == pid && old->list[i].inside)
            return true;
    return false;
}

/* Signal those of `now` that were not there in `old`; how many. */
static int signal_new(const struct tree *now, const struct tree *old, int sig) {
    int sent = 0;
    for (size_t i = 0; i < now->n; i++) {
        pid_t pid = now->list[i].pid;
        if (!now->list[i].inside || seen_before(old, pid) || kill(pid, sig) < 0)
            continue;
        if (sig != SIGKILL)
            (void)kill(pid, SIGCONT);
        sent++;
    }
    return sent;
}

int tree_signal(pid_t root, const pid_t *spare, size_t nspare, pid_t through, int sig) {
    struct tree trees[2] = { { .n = 0 } };
    trees[0].list = calloc(MAX_PROCESSES, sizeof *trees[0].list);
    trees[1].list = calloc(MAX_PROCESSES, sizeof *trees[1].list);
    int total = 0;
    int rc = trees[0].list && trees[1].list ? 0 : -ENOMEM;
    for (int pass = 0; pass < MAX_PASSES && rc == 0; pass++) {
        struct tree *now = &trees[pass % 2];
        rc = take_picture(now);
        if (rc < 0)
            break;
        mark_inside(now, root, spare, nspare, through);
        int sent = signal_new(now, &trees[(pass + 1) % 2], sig);
        total += sent;
        if (sent == 0)
            break;
    }
    free(trees[0].list);
    free(trees[1].list);
    return rc < 0 ? rc : total;
}

static void add_name(struct text *t, pid_t pid) {
    char path[32], name[32];
    (void)snprintf(path, sizeof path, "/proc/%d/comm", pid);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof name - 1);
    name[n > 0 ? n - 1 : 0] = '\0'; /* without its newline */
    text_add(t, "%s%d (%s)", t->len ? ", " : "", pid, name);
}

int tree_names(pid_t root, const pid_t *spare, size_t nspare, pid_t through, char *out,
               size_t cap) {
    struct text t = { .buf = out, .cap = cap };
    struct tree tree = { .list = calloc(MAX_PROCESSES, sizeof *tree.list) };
    int n = 0;
    out[0] = '\0';
    int rc = tree.list ? take_picture(&tree) : -ENOMEM;
    if (rc == 0)
        mark_inside(&tree, root, spare, nspare, through);
    for (size_t i = 0; i < tree.n && rc == 0; i++)
        if (tree.list[i].inside) {
            add_name(&t, tree.list[i].pid);
            n++;
        }
    free(tree.list);
    return rc < 0 ? rc : n;
}
