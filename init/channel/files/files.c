/* The channel's side of file operations: who waits, who works, and what workers say. */
#include "channel/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/files/worker.h"

enum direction { NO_CONTENT, CONTENT_OUT, CONTENT_IN };

static const struct {
    enum direction content;
    enum file_class class;
    bool tidies; /* an unwanted worker may have something to take away */
} ops[FILE_NOPS] = {
    [FILE_READ] = { CONTENT_OUT, FILE_STREAM, false },
    [FILE_WRITE] = { CONTENT_IN, FILE_STREAM, true },
    [FILE_LIST] = { CONTENT_OUT, FILE_STREAM, false },
    [FILE_MOVE] = { NO_CONTENT, FILE_SHORT, true },
    [FILE_COPY] = { NO_CONTENT, FILE_SHORT, true },
    [FILE_TAR] = { CONTENT_OUT, FILE_STREAM, false },
    [FILE_UNTAR] = { CONTENT_IN, FILE_STREAM, true },
    [FILE_WATCH] = { CONTENT_OUT, FILE_WATCHER, false },
    [FILE_COMPOSE] = { NO_CONTENT, FILE_SHORT, true },
};

/* Lives as long as its process, which may be longer than its task. */
struct file_worker {
    struct files *files;
    struct file_task *task; /* NULL: no longer wanted */
    enum file_op op;
    bool done; /* it has said all */
    struct child child;
    struct timer patience;
};

void files_init(struct files *f, struct loop *l, struct children *cs, size_t max) {
    *f = (struct files){ .loop = l, .children = cs, .max = max };
    list_init(&f->waiting);
}

/* --- requests that wait ---------------------------------------------------------------------- */

/* A copy in one block of memory: measured first, with `at` NULL, then made. */
struct packer {
    char *at;
    size_t size;
};

static const char *pack_text(struct packer *p, const char *s) {
    size_t n = s ? strlen(s) + 1 : 0;
    const char *copy = p->at && s ? memcpy(p->at + p->size, s, n) : NULL;
    p->size += n;
    return copy;
}

static const char *const *pack_list(struct packer *p, const char *const *list) {
    if (!list)
        return NULL;
    size_t n = 0;
    while (list[n])
        n++;
    p->size = (p->size + sizeof *list - 1) / sizeof *list * sizeof *list;
    const char **copy = p->at ? (const char **)(void *)(p->at + p->size) : NULL;
    p->size += (n + 1) * sizeof *list;
    for (size_t i = 0; i < n; i++) {
        const char *text = pack_text(p, list[i]);
        if (copy)
            copy[i] = text;
    }
    if (copy)
        copy[n] = NULL;
    return copy;
}

static void pack_request(struct packer *p, const struct file_req *r) {
    struct file_req copy = *r;
    p->size = sizeof copy;
    copy.set_xattrs = pack_list(p, r->set_xattrs);
    copy.sources = pack_list(p, r->sources);
    copy.exclude = pack_list(p, r->exclude);
    copy.include = pack_list(p, r->include);
    copy.path = pack_text(p, r->path);
    copy.base = pack_text(p, r->base);
    copy.to = pack_text(p, r->to);
    copy.user = pack_text(p, r->user);
    copy.owner = pack_text(p, r->owner);
    copy.group = pack_text(p, r->group);
    copy.upload = pack_text(p, r->upload);
    copy.if_match = pack_text(p, r->if_match);
    copy.xattr_prefix = pack_text(p, r->xattr_prefix);
    copy.shown = pack_text(p, r->shown);
    copy.head = pack_text(p, r->head);
    copy.tail = pack_text(p, r->tail);
    if (p->at)
        memcpy(p->at, &copy, sizeof copy);
}

static void *packed(const struct file_req *r) {
    struct packer p = { 0 };
    pack_request(&p, r);
    p.at = malloc(p.size);
    if (p.at)
        pack_request(&p, r);
    return p.at;
}

/* --- ends ------------------------------------------------------------------------------------ */

static void let_go(struct file_task *t) {
    loop_unwatch(&t->control);
    fd_close(&t->control.fd);
    if (t->worker)
        t->worker->task = NULL;
    t->worker = NULL;
}

static void set_fault(struct file_task *t, enum file_fault fault, const struct err *e) {
    t->fault = fault;
    t->code = e->code;
    (void)snprintf(t->why, sizeof t->why, "%s", e->text);
}

/* The last thing that is done with a task: it may be gone afterwards. */
static void finish(struct file_task *t) {
    t->files->failed += t->fault != FILE_OK;
    let_go(t);
    t->finished(t);
}

/* --- what a worker says ---------------------------------------------------------------------- */

static void take_report(struct file_task *t, const struct file_report *r) {
    t->info = r->info;
    t->info.type[sizeof t->info.type - 1] = '\0';
    t->info.etag[sizeof t->info.etag - 1] = '\0';
    t->info.path[sizeof t->info.path - 1] = '\0';
    t->fault =
        r->fault < FILE_OK || r->fault > FILE_FAILED ? FILE_FAILED : (enum file_fault)r->fault;
    t->code = r->code;
    (void)snprintf(t->why, sizeof t->why, "%.*s", (int)sizeof r->why - 1, r->why);
}

static bool take_text(struct file_task *t, const struct file_text *m, size_t n) {
    if (t->text_len + n > MAX_FILE_TEXT)
        return false;
    char *grown = realloc(t->text, t->text_len + n + 1);
    if (!grown)
        return false;
    memcpy(grown + t->text_len, m->bytes, n);
    t->text = grown;
    t->text_len += n;
    t->text[t->text_len] = '\0';
    return true;
}

/* One packet. The word it was; -1: nothing there, the end, or nonsense. */
static int take_packet(struct file_task *t) {
    union {
        uint32_t word;
        struct file_report report;
        struct file_text text;
    } m;
    ssize_t n = recv(t->control.fd, &m, sizeof m, MSG_DONTWAIT);
    if (n < (ssize_t)sizeof m.word)
        return -1;
    if (m.word == FILE_SAYS_TEXT)
        return take_text(t, &m.text, (size_t)n - offsetof(struct file_text, bytes)) ? (int)m.word
                                                                                    : -1;
    bool is_report = m.word == FILE_SAYS_OPENED || m.word == FILE_SAYS_DONE;
    if (!is_report || n != (ssize_t)sizeof m.report)
        return -1;
    take_report(t, &m.report);
    return (int)m.word;
}

/* One packet a turn: a callback may be the end of the task. */
static void control_ready(struct source *s, uint32_t got) {
    (void)got;
    struct file_task *t = CONTAINER_OF(s, struct file_task, control);
    int word = take_packet(t);
    if (word == FILE_SAYS_OPENED && t->opened)
        t->opened(t);
    else if (word != FILE_SAYS_TEXT)
        loop_unwatch(s); /* what comes now is its end */
    if (word == FILE_SAYS_DONE)
        t->worker->done = true;
}

/* Nobody waits for it any more. One that has something to take away sees its socket hang up. */
static void dismiss(struct file_worker *fw) {
    struct sys *sys = fw->files->loop->sys;
    if (ops[fw->op].tidies)
        timer_arm(fw->files->loop, &fw->patience, span_s(FILE_TIDY_S));
    else
        (void)sys->kill(sys, fw->child.pid, SIGKILL);
}

static void patience_over(struct timer *t) {
    struct file_worker *fw = CONTAINER_OF(t, struct file_worker, patience);
    struct sys *sys = fw->files->loop->sys;
    (void)sys->kill(sys, fw->child.pid, SIGKILL);
}

static void begin_waiting(struct files *f);

static void worker_exited(struct child *c, struct exit_info how) {
    struct file_worker *fw = CONTAINER_OF(c, struct file_worker, child);
    struct files *f = fw->files;
    struct file_task *t = fw->task;
    bool done = fw->done;
    timer_stop(&fw->patience);
    f->n[ops[fw->op].class]--;
    for (int word = 0; t && !done && word >= 0;) {
        word = take_packet(t);
        done = word == FILE_SAYS_DONE;
    }
    if (t && !done) {
        struct err e = { 0 };
        (void)err_set(&e, EIO, "the worker for %.200s has ended by %s %d", t->info.path,
                      how.signaled ? "signal" : "itself with status", how.code);
        set_fault(t, FILE_FAILED, &e);
    }
    if (t)
        finish(t);
    free(fw);
    begin_waiting(f);
}

/* --- starting -------------------------------------------------------------------------------- */

/* A pipe whose end for us does not block: [0] is the task's, [1] the worker's. */
static int make_pipe(enum direction content, int ends[2]) {
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return -errno;
    bool out = content == CONTENT_OUT;
    ends[0] = p[out ? 0 : 1];
    ends[1] = p[out ? 1 : 0];
    (void)fcntl(p[0], F_SETPIPE_SZ, FILE_PIPE); /* what there is will do as well */
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int fork_worker(struct file_task *t, const struct worker_args *a, struct err *e) {
    struct sys *sys = t->files->loop->sys;
    int keep[2] = { a->control, a->data };
    struct fork_req r = { .title = "file worker",
                          .run = worker_main,
                          .arg = (void *)a,
                          .keep = keep,
                          .nkeep = a->data >= 0 ? 2 : 1 };
    return sys->fork(sys, &r, e);
}

static int start_worker(struct file_task *t, const struct file_req *r, struct err *e) {
    int control[2], data[2] = { -1, -1 };
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0)
        return err_sys(e, errno, "make a socket for a file worker");
    AUTO_FD int ours = control[0];
    AUTO_FD int theirs = control[1];
    int rc = ops[r->op].content ? make_pipe(ops[r->op].content, data) : 0;
    AUTO_FD int our_data = data[0];
    AUTO_FD int their_data = data[1];
    if (rc < 0)
        return err_sys(e, -rc, "make a pipe for a file worker");
    struct file_worker *fw = calloc(1, sizeof *fw);
    struct worker_args a = { .req = r, .control = theirs, .data = their_data };
    pid_t pid = fw ? fork_worker(t, &a, e) : err_sys(e, ENOMEM, "start a file worker");
    if (pid < 0) {
        free(fw);
        return pid;
    }
    *fw = (struct file_worker){ .files = t->files, .task = t, .op = r->op };
    fw->child.exited = worker_exited;
    fw->patience.fire = patience_over;
    children_add(t->files->children, &fw->child, pid);
    t->files->n[ops[r->op].class]++;
    t->worker = fw;
    t->data = fd_take(&our_data);
    t->control = (struct source){ .fd = fd_take(&ours), .want = EPOLLIN, .ready = control_ready };
    rc = loop_watch(t->files->loop, &t->control);
    if (rc < 0) {
        let_go(t);
        dismiss(fw);
        fd_close(&t->data);
    }
    return rc < 0 ? err_sys(e, -rc, "listen to a file worker") : 0;
}

static bool has_room(const struct files *f, enum file_class class) {
    size_t max[FILE_NCLASSES] = {
        [FILE_SHORT] = f->max, [FILE_STREAM] = MAX_FILE_STREAMS, [FILE_WATCHER] = MAX_FILE_WATCHERS
    };
    return f->n[class] < max[class];
}

/* --- the interface --------------------------------------------------------------------------- */

static bool good_path(const char *path) {
    return !path || (strlen(path) < PATH_MAX && (path[0] != '~' || path[1] == '/' || !path[1]));
}

static bool good_upload(const struct file_req *r) {
    size_t n = r->upload ? strlen(r->upload) : 1;
    static const char word[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    return n > 0 && n <= MAX_UPLOAD_ID && (!r->upload || strspn(r->upload, word) == n);
}

/* What needs no look at files. */
static enum file_fault check(const struct file_req *r, struct err *e) {
    const char *paths[] = { r->path, r->base, r->to };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (!good_path(paths[i])) {
            (void)err_set(e, EINVAL,
                          "the path %.100s is longer than %d bytes, or another user's home",
                          paths[i], PATH_MAX - 1);
            return FILE_BAD_PATH;
        }
    if (!good_upload(r)) {
        (void)err_set(e, EINVAL, "an upload is named by 1 to %d of A-Z a-z 0-9 _ -", MAX_UPLOAD_ID);
        return FILE_BAD_PATH;
    }
    if ((r->op == FILE_MOVE || r->op == FILE_COPY) && !r->to) {
        (void)err_set(e, EINVAL, "it is not said where %.100s shall go", r->path);
        return FILE_BAD_PATH;
    }
    bool part = r->op == FILE_WRITE && r->upload && r->from != UPLOAD_ASK;
    if (part && (r->from >= r->total || r->total > INT64_MAX)) {
        (void)err_set(e, EINVAL, "a part cannot begin at %llu of %llu bytes",
                      (unsigned long long)r->from, (unsigned long long)r->total);
        return FILE_BAD_RANGE;
    }
    return FILE_OK;
}

static int wait_in_line(struct file_task *t, const struct file_req *r, struct err *e) {
    struct files *f = t->files;
    if (ops[r->op].class == FILE_WATCHER)
        return err_set(e, EAGAIN, "there are %d watches already", MAX_FILE_WATCHERS);
    if (f->nwaiting >= MAX_FILE_WAITING)
        return err_set(e, EAGAIN, "%d file operations wait already", MAX_FILE_WAITING);
    t->packed = packed(r);
    if (!t->packed)
        return err_sys(e, ENOMEM, "keep a request");
    f->nwaiting++;
    list_insert_before(&f->waiting, &t->link);
    return 0;
}

static void leave_line(struct file_task *t) {
    if (!t->link.next)
        return;
    list_remove(&t->link);
    t->files->nwaiting--;
}

/* Those whose class has room now. A callback may change the list: look from its start again. */
static void begin_waiting(struct files *f) {
    for (struct link *l = f->waiting.next; l != &f->waiting;) {
        struct file_task *t = CONTAINER_OF(l, struct file_task, link);
        const struct file_req *r = t->packed;
        l = l->next;
        if (!has_room(f, ops[r->op].class))
            continue;
        leave_line(t);
        struct err e = { 0 };
        if (start_worker(t, r, &e) < 0) {
            set_fault(t, FILE_FAILED, &e);
            finish(t);
            l = f->waiting.next;
        }
    }
}

int file_begin(struct files *f, struct file_task *t, const struct file_req *r, struct err *e) {
    struct err err = { 0 };
    *t = (struct file_task){
        .files = f, .data = -1, .control.fd = -1, .opened = t->opened, .finished = t->finished
    };
    enum file_fault fault = check(r, &err);
    bool room = has_room(f, ops[r->op].class);
    int rc = fault ? -err.code : room ? start_worker(t, r, &err) : wait_in_line(t, r, &err);
    f->total++;
    if (rc == 0)
        return 0;
    fault = fault                                             ? fault
            : rc == -EAGAIN || rc == -EMFILE || rc == -ENFILE ? FILE_LIMIT
                                                              : FILE_FAILED;
    set_fault(t, fault, &err);
    f->failed++;
    if (e)
        *e = err;
    return rc;
}

static void order(struct file_task *t, const struct file_order *o) {
    if (t->control.fd >= 0)
        (void)send(t->control.fd, o, sizeof *o, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void file_go(struct file_task *t, uint64_t from, uint64_t len) {
    order(t, &(struct file_order){ .word = FILE_SAID_GO, .from = from, .len = len });
}

void file_content_complete(struct file_task *t) {
    order(t, &(struct file_order){ .word = FILE_SAID_COMPLETE });
    fd_close(&t->data);
}

void file_content_complete_base64(struct file_task *t) {
    order(t, &(struct file_order){ .word = FILE_SAID_COMPLETE_BASE64 });
    fd_close(&t->data);
}

void file_cancel(struct file_task *t) {
    struct file_worker *fw = t->worker;
    if (!t->files) /* has never begun, or has been given back */
        return;
    leave_line(t);
    let_go(t);
    fd_close(&t->data);
    mem_release(&t->text);
    mem_release(&t->packed);
    if (fw)
        dismiss(fw);
    t->files = NULL;
}
