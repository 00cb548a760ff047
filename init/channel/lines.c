#include "channel/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"

static void end(struct lines *l, int code) {
    l->reading = false;
    loop_unwatch(&l->pipe);
    l->ended(l, code);
}

/* Lines that are complete. False: the owner has no room. */
static bool give(struct lines *l) {
    size_t at = 0;
    bool room = true;
    char *eol;
    while (room && l->reading && (eol = memchr(l->bytes + at, '\n', l->n - at))) {
        size_t n = (size_t)(eol - l->bytes) - at;
        room = l->line(l, l->bytes + at, n);
        at += room ? n + 1 : 0;
    }
    if (!l->bytes) /* stopped from within */
        return false;
    memmove(l->bytes, l->bytes + at, l->n - at);
    l->n -= at;
    return room;
}

static void read_on(struct lines *l) {
    while (l->reading) {
        if (!give(l)) {
            loop_unwatch(&l->pipe);
            return;
        }
        if (!l->reading)
            return;
        ssize_t n = read(l->pipe.fd, l->bytes + l->n, LINES_MAX - l->n);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            end(l, n < 0 ? -errno : l->n == LINES_MAX ? -EMSGSIZE : 0);
            return;
        }
        l->n += (size_t)n;
    }
    if (l->reading && loop_watch(l->loop, &l->pipe) < 0)
        end(l, -ENOMEM);
}

static void ready(struct source *s, uint32_t got) {
    (void)got;
    read_on(CONTAINER_OF(s, struct lines, pipe));
}

int lines_begin(struct lines *l, struct loop *loop, int fd) {
    l->bytes = malloc(LINES_MAX);
    if (!l->bytes)
        return -ENOMEM;
    l->loop = loop;
    l->pipe = (struct source){ .fd = fd, .want = EPOLLIN, .ready = ready };
    l->reading = true;
    read_on(l);
    return 0;
}

void lines_more(struct lines *l) {
    if (l->reading)
        read_on(l);
}

void lines_stop(struct lines *l) {
    loop_unwatch(&l->pipe);
    l->reading = false;
    mem_release(&l->bytes);
    l->n = 0;
}
