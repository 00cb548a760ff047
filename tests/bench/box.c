#include "box.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define PAYLOAD "/bin/payload"

static int64_t *exec_time; /* shared with the child that is about to execute an init */

static _Noreturn void die(const char *what) {
    fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void subject_parse(struct subject *s) {
    int n = 0;
    s->line[strcspn(s->line, "\n")] = '\0';
    s->name = strtok(s->line, "\t");
    for (char *word = strtok(NULL, "\t"); word; word = strtok(NULL, "\t")) {
        if (n == MAX_SUBJECT_WORDS) {
            errno = E2BIG;
            die(s->name);
        }
        s->words[n++] = word;
    }
    s->words[n] = NULL;
}

int subjects_read(const char *path, struct subject *out, int max) {
    FILE *f = fopen(path, "re");
    if (!f)
        die(path);
    int n = 0;
    while (n < max && fgets(out[n].line, sizeof out[n].line, f)) {
        if (!strchr(out[n].line, '\n')) {
            errno = E2BIG;
            die(path);
        }
        subject_parse(&out[n++]);
    }
    fclose(f);
    return n;
}

/* As every container runtime leaves it. */
static void loopback_up(void) {
    struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r) < 0)
        die("lo");
    close(fd);
}

static void bind_device(const char *root, const char *path) {
    char target[4096];
    int n = snprintf(target, sizeof target, "%s%s", root, path);
    if (n < 0 || (size_t)n >= sizeof target)
        die(path);
    if (mount(path, target, NULL, MS_BIND, NULL) < 0)
        die(target);
}

void stage_enter(const char *root) {
    if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC) < 0)
        die("unshare (root is needed)");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        die("make / private");
    bind_device(root, "/dev/null");
    bind_device(root, "/dev/zero");
    bind_device(root, "/dev/urandom");
    loopback_up();
    /* A root of the mount tree, not a mere chroot: the old one must not be in reach. */
    if (mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(root) < 0)
        die(root);
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        die("pivot_root");
    exec_time =
        mmap(NULL, sizeof *exec_time, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (exec_time == MAP_FAILED)
        die("mmap");
}

/* Runs after a raw clone, which libc does not know of: system calls only. */
static _Noreturn void become_init(const char *const argv[], int in, int out) {
    static const char *const env[] = { "PATH=/bin", "HOME=/", NULL };
    signal(SIGPIPE, SIG_DFL); /* what we ignore would stay ignored */
    bool ok = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && setsid() > 0 &&
              dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
              mount("proc", "/proc", "proc", 0, NULL) == 0 &&
              mount("run", "/run", "tmpfs", 0, "mode=755") == 0 &&
              mount("tmp", "/tmp", "tmpfs", 0, NULL) == 0;
    if (ok) {
        *exec_time = now_ns();
        execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
    }
    _exit(99);
}

static int argv_join(const char *argv[BOX_WORDS + 1], const struct subject *s,
                     const char *const payload_args[]) {
    int n = 0;
    for (int i = 0; s->words[i]; i++)
        argv[n++] = s->words[i];
    argv[n++] = PAYLOAD;
    for (int i = 0; payload_args[i]; i++) {
        if (n == BOX_WORDS)
            return -E2BIG;
        argv[n++] = payload_args[i];
    }
    argv[n] = NULL;
    return 0;
}

/* `in` and `out` are {read end, write end}; our ends are taken over by the box. */
static int box_clone(struct box *b, const char *const argv[], const int in[2], const int out[2]) {
    int pidfd = -1;
    struct clone_args args = {
        .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        become_init(argv, in[0], out[1]);
    if (pid < 0)
        return -errno;
    *b = (struct box){ .init = pid, .pidfd = pidfd, .orders = in[1], .answers = out[0] };
    return 0;
}

int box_open(struct box *b, const struct subject *s, const char *const payload_args[]) {
    const char *argv[BOX_WORDS + 1];
    int in[2], out[2];
    *b = (struct box){ .pidfd = -1 };
    int rc = argv_join(argv, s, payload_args);
    if (rc < 0)
        return rc;
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        die("pipe");
    rc = box_clone(b, argv, in, out);
    close(in[0]);
    close(out[1]);
    if (rc < 0) {
        close(in[1]);
        close(out[0]);
    }
    return rc;
}

int64_t box_exec_time(void) { return *exec_time; }

/* 0 once `fd` is readable. */
static int await_readable(int fd) {
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int n = poll(&p, 1, BOX_PATIENCE_MS);
    if (n < 0)
        return -errno;
    return n == 0 ? -ETIMEDOUT : 0;
}

int box_answer(struct box *b, int64_t *value) {
    int rc = await_readable(b->answers);
    if (rc < 0)
        return rc;
    return read(b->answers, value, sizeof *value) == (ssize_t)sizeof *value ? 0 : -EPIPE;
}

int box_order(struct box *b) { return write(b->orders, "g", 1) == 1 ? 0 : -errno; }

int64_t box_cpu_ns(const struct box *b) {
    clockid_t id;
    return clock_getcpuclockid(b->init, &id) == 0 ? clock_ns(id) : 0;
}

int box_await_end(struct box *b, int *status) {
    int rc = await_readable(b->pidfd);
    if (rc == 0 && waitpid(b->init, status, 0) == b->init)
        b->init = 0;
    return rc;
}

void box_close(struct box *b) {
    if (b->pidfd < 0)
        return;
    if (b->init > 0) {
        (void)kill(b->init, SIGKILL);
        (void)waitpid(b->init, NULL, 0);
    }
    close(b->pidfd);
    close(b->orders);
    close(b->answers);
    *b = (struct box){ .pidfd = -1 };
}
