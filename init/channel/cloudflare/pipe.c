#include "channel/cloudflare/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/cloudflare/hide.h"

enum {
    PIECE = 64 << 10,
    TURN = 256 << 10, /* bytes read of one pipe before others have their turn */
    LARGE = 1 << 20,  /* bytes of a pipe that was seen full (fcntl(2), F_SETPIPE_SZ) */
};

struct cf_pipe {
    struct source source;
    struct link link; /* in cf_state.drains, once its command is over */
    struct channel *channel;
    struct cf_output *into; /* NULL: to nowhere */
    struct hide hide;
    void (*tell)(void *arg);
    void *arg;
    bool grown, ended;
};

static void keep(void *pipe, const char *bytes, size_t n) {
    cf_output_put(((struct cf_pipe *)pipe)->into, bytes, n);
}

static int make_fifo(int dir, const char *name, uid_t uid) {
    if (mkfifoat(dir, name, 0600) < 0)
        return errno == EEXIST ? 0 : -errno;
    if (uid != geteuid() && fchownat(dir, name, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return 0;
}

static int open_fifo(int dir, const char *name, uid_t uid, int flags) {
    int rc = make_fifo(dir, name, uid);
    int fd = rc < 0 ? -1 : openat(dir, name, flags | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    return rc < 0 ? rc : fd < 0 ? -errno : fd;
}

int cf_fifo_open(int dir, const char *name, uid_t uid) { return open_fifo(dir, name, uid, O_RDWR); }

static void ended(struct cf_pipe *p) {
    loop_unwatch(&p->source);
    fd_close(&p->source.fd);
    p->ended = true;
    if (p->tell)
        p->tell(p->arg);
}

/* At most that many bytes: true when there is nothing more now. */
static bool drain(struct cf_pipe *p, size_t most) {
    char buf[PIECE];
    for (size_t total = 0; total < most && !p->ended;) {
        ssize_t n = read(p->source.fd, buf, sizeof buf);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n <= 0) {
            ended(p);
            return true;
        }
        if (p->into)
            hide_take(&p->hide, buf, (size_t)n);
        if (n == PIECE && !p->grown) {
            p->grown = true;
            (void)fcntl(p->source.fd, F_SETPIPE_SZ, LARGE);
        }
        total += (size_t)n;
    }
    return p->ended;
}

static void pipe_free(struct cf_pipe *p) {
    loop_unwatch(&p->source);
    fd_close(&p->source.fd);
    if (p->link.next)
        p->channel->cloudflare.ndrains--;
    list_remove(&p->link);
    free(p);
}

static void ready(struct source *s, uint32_t got) {
    (void)got;
    struct cf_pipe *p = CONTAINER_OF(s, struct cf_pipe, source);
    (void)drain(p, TURN);
    if (p->ended && p->link.next)
        pipe_free(p);
}

struct cf_pipe *cf_pipe_new(struct channel *ch, const struct cf_pipe_args *a) {
    struct cf_pipe *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    *p = (struct cf_pipe){ .channel = ch, .into = a->into, .tell = a->ended, .arg = a->arg };
    p->hide.put = keep;
    p->hide.arg = p;
    (void)snprintf(p->hide.text, sizeof p->hide.text, "%s", a->hide ? a->hide : "");
    p->source.want = EPOLLIN;
    p->source.ready = ready;
    p->source.fd = open_fifo(a->dir, a->name, a->uid, O_RDONLY);
    int rc = p->source.fd < 0 ? p->source.fd : loop_watch(&ch->loop, &p->source);
    if (rc == 0)
        return p;
    fd_close(&p->source.fd);
    free(p);
    errno = -rc;
    return NULL;
}

void cf_pipe_resume(struct channel *ch, int dir, const char *name) {
    struct cf_pipe_args a = { .dir = dir, .name = name, .uid = geteuid() };
    struct cf_pipe *p = cf_pipe_new(ch, &a);
    (void)unlinkat(dir, name, 0);
    cf_pipe_done(&p);
}

bool cf_pipe_ended(const struct cf_pipe *p) { return p->ended; }

void cf_pipe_ignore(struct cf_pipe *p) { p->into = NULL; }

static void to_nowhere(struct cf_pipe *p) {
    struct cf_state *all = &p->channel->cloudflare;
    p->into = NULL;
    list_insert_before(&all->drains, &p->link);
    if (++all->ndrains > CF_MAX_DRAINS)
        pipe_free(CONTAINER_OF(all->drains.next, struct cf_pipe, link));
}

void cf_pipe_done(struct cf_pipe **owner) {
    struct cf_pipe *p = *owner;
    *owner = NULL;
    if (!p)
        return;
    p->tell = NULL;
    (void)drain(p, LARGE + PIECE);
    if (p->into)
        hide_end(&p->hide);
    if (p->ended)
        pipe_free(p);
    else
        to_nowhere(p);
}
